//! The chains of a network, with what has been issued and burned on each.

use anyhow::Result;
use client::{Answer, FoundBlock};
use engine::types::{ChainGenesis, ChainKind, Height, Issuance, LockWindows, Registrar};
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
        Shown {
            chain,
            accounts: entry.map_or(chain.accounts.len() as u64, |entry| entry.accounts),
            issuance: entry.map_or(Issuance::default(), |entry| entry.issuance),
            rows: entry.map_or(1, |entry| entry.rows),
        }
    });
    if args.json {
        let chains: Vec<_> = chains.map(|shown| as_json(&shown)).collect();
        super::print_json(as_of, &json!({ "chains": chains }), &checked)?;
        return Ok(true);
    }
    for Shown { chain, accounts, issuance: Issuance { issued, burned }, rows: table_rows } in chains {
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
        let accounts = ("accounts", grouped(accounts));
        let (freezer, registrar) = (("freezer", holder(chain.roles.freezer)), ("registrar", registrar));
        let LockWindows { rekey_seconds, recovery_seconds } = chain.roles.windows;
        let windows = format!(
            "{} s for a key, {} s for a recovery",
            grouped(rekey_seconds.into()),
            grouped(recovery_seconds.into())
        );
        let windows = ("lock windows", windows);
        match chain.kind {
            ChainKind::Transfers => {
                println!("chain {}: transfers of {}", chain.id, chain.asset);
                let beginning = ("at the beginning", grouped(chain.supply().unwrap_or(0)));
                let sums = ("issued, burned", format!("{}, {}", grouped(issued), grouped(burned)));
                rows(&[accounts, beginning, sums, ("issuer", issuer), freezer, registrar, windows]);
            }
            ChainKind::Attestations => {
                println!("chain {}: attestations", chain.id);
                let most = grouped(chain.roles.attestations_cap);
                let cap = ("attestations", format!("at most {most}"));
                // Few of them are what the ledger keeps of accounts.
                let table = ("rows of the table", grouped(table_rows));
                rows(&[accounts, cap, table, freezer, registrar, windows]);
            }
        }
    }
    println!("as of {as_of} (the validator's word); {}", checked.roots());
    Ok(true)
}

/// A chain with what it has after a height.
struct Shown<'a> {
    chain: &'a ChainGenesis,
    accounts: u64,
    issuance: Issuance,
    rows: u64,
}

fn as_json(shown: &Shown<'_>) -> serde_json::Value {
    let Shown { chain, accounts, issuance: Issuance { issued, burned }, rows } = shown;
    let asset = (chain.kind == ChainKind::Transfers).then(|| chain.asset.to_string());
    let registrar = match chain.roles.registrar {
        Registrar::Nobody => serde_json::Value::Null,
        Registrar::Account(account) => json!(account),
        Registrar::Anyone => json!("anyone"),
    };
    json!({
        "chain": chain.id,
        "kind": chain.kind.name(),
        "asset": asset,
        "accounts": accounts,
        "supply": chain.supply(),
        "issued": issued,
        "burned": burned,
        "issuer": chain.roles.issuer,
        "issuance_cap": chain.roles.issuance_cap,
        "freezer": chain.roles.freezer,
        "registrar": registrar,
        "accounts_cap": chain.roles.accounts_cap,
        "rows": rows,
        "attestations_cap": chain.roles.attestations_cap,
        "rekey_window": chain.roles.windows.rekey_seconds,
        "recovery_window": chain.roles.windows.recovery_seconds,
    })
}
