//! The chains of a network, with what has been issued and burned on each.

use anyhow::Result;
use client::{Answer, FoundBlock};
use engine::types::{ChainGenesis, Height, Issuance, Registrar};
use serde_json::json;

use super::{Asked, Checked, connect_member};
use crate::cli::{ChainListArgs, grouped, rows};
use crate::network::Network;

/// Prints every chain of the genesis, with the sums after the last committed height.
///
/// # Errors
/// The network cannot be read, no validator answers, or two disagree.
pub fn list_chains(args: &ChainListArgs) -> Result<bool> {
    let network = Network::load(&args.network)?;
    let client = connect_member(&network, args.validator)?;
    let mut asked = Asked { client, network: Some(network) };
    let Answer { as_of, value: status } = asked.client.status()?;
    let (mut entries, mut checked) = (Vec::new(), Checked::default());
    if status.committed > Height(0) {
        let Answer { value: FoundBlock { answer, .. }, .. } = asked.client.block(status.committed)?;
        checked = Checked { path: false, ..asked.checked(status.committed, &answer.state_root)? };
        entries = answer.entries;
    }
    let Some(network) = &asked.network else { return Ok(false) };
    let chains = network.genesis.chains().iter().map(|chain| {
        let entry = entries.iter().find(|entry| entry.chain == chain.id);
        let accounts = entry.map_or(chain.accounts.len() as u64, |entry| entry.accounts);
        (chain, accounts, entry.map_or(Issuance::default(), |entry| entry.issuance))
    });
    if args.json {
        let chains: Vec<_> =
            chains.map(|(chain, accounts, issuance)| as_json(chain, accounts, issuance)).collect();
        super::print_json(as_of, &json!({ "chains": chains }), &checked)?;
        return Ok(true);
    }
    for (chain, accounts, Issuance { issued, burned }) in chains {
        let holder = |account: Option<_>| match account {
            None => "nobody".to_owned(),
            Some(account) => format!("account {account}"),
        };
        let issuer = match chain.roles.issuer {
            None => holder(None),
            issuer => format!(
                "{}, at most {} more than is burned",
                holder(issuer),
                grouped(chain.roles.issuance_cap)
            ),
        };
        let most = grouped(chain.roles.accounts_cap);
        let registrar = match chain.roles.registrar {
            Registrar::Nobody => holder(None),
            Registrar::Account(account) => {
                format!("{}, at most {most} accounts in all", holder(Some(account)))
            }
            Registrar::Anyone => format!("any account, at most {most} accounts in all"),
        };
        println!("chain {}: transfers of {}", chain.id, chain.asset);
        rows(&[
            ("accounts", grouped(accounts)),
            ("at the beginning", grouped(chain.supply().unwrap_or(0))),
            ("issued, burned", format!("{}, {}", grouped(issued), grouped(burned))),
            ("issuer", issuer),
            ("freezer", holder(chain.roles.freezer)),
            ("registrar", registrar),
        ]);
    }
    println!("as of {as_of} (the validator's word); {}", checked.roots());
    Ok(true)
}

fn as_json(chain: &ChainGenesis, accounts: u64, Issuance { issued, burned }: Issuance) -> serde_json::Value {
    let registrar = match chain.roles.registrar {
        Registrar::Nobody => serde_json::Value::Null,
        Registrar::Account(account) => json!(account),
        Registrar::Anyone => json!("anyone"),
    };
    json!({
        "chain": chain.id,
        "kind": "transfers",
        "asset": chain.asset.to_string(),
        "accounts": accounts,
        "supply": chain.supply(),
        "issued": issued,
        "burned": burned,
        "issuer": chain.roles.issuer,
        "issuance_cap": chain.roles.issuance_cap,
        "freezer": chain.roles.freezer,
        "registrar": registrar,
        "accounts_cap": chain.roles.accounts_cap,
    })
}
