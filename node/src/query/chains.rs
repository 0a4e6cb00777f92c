//! The chains of a network, as they are in effect, with what has been issued and burned on each.

use anyhow::{Result, anyhow};
use client::answers::RowAnswer;
use client::{Answer, Client, FoundBlock};
use engine::roots::ChainEntry;
use engine::types::{
    ADMINISTRATORS_KEY, AccountId, Administrators, ChainId, ChainKind, Charter, Council, Digest, Height,
    OWN_CHAIN_KEY,
};
use serde_json::{Value, json};

use super::{Asked, Checked, connect_member, decisions};
use crate::cli::{ChainListArgs, grouped, rows};
use crate::network::Network;

/// Prints every chain, with the sums after the last committed height.
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
    let mut ids: Vec<ChainId> = network.chains().collect();
    ids.extend(entries.iter().map(|entry| entry.chain));
    ids.sort_unstable();
    ids.dedup();
    let mut chains = Vec::new();
    for id in ids {
        let entry = entries.iter().find(|entry| entry.chain == id).copied();
        let of = charter(&mut asked.client, network, id)?;
        let beginning = network.genesis.chain(id).map_or(0, |chain| chain.accounts.len() as u64);
        let council = administrators(&mut asked.client, network, id)?;
        chains.push(Shown {
            id,
            of,
            council,
            entry,
            accounts: entry.map_or(beginning, |entry| entry.accounts),
        });
    }
    if args.json {
        let chains: Vec<_> = chains.iter().map(as_json).collect();
        super::print_json(as_of, &json!({ "chains": chains }), &checked)?;
        return Ok(true);
    }
    chains.iter().for_each(print);
    println!("as of {as_of} (the validator's word); {}", checked.roots());
    Ok(true)
}

impl Asked {
    /// Prints what a chain is now.
    pub(super) fn chain(&mut self, chain: ChainId, json: bool) -> Result<()> {
        let Answer { as_of, value: answer } = self.client.row(chain, &OWN_CHAIN_KEY)?;
        let proved = &answer.proof.chain;
        let checked = self.checked(proved.height, &answer.state_root)?;
        let of_genesis = self.network.as_ref().and_then(|network| network.genesis.chain(chain));
        let of = said(&answer, chain)?.or_else(|| of_genesis.map(Charter::from));
        let (entry, accounts) = (Some(proved.entry), proved.entry.accounts);
        let Some(of) = of else {
            println!("chain {chain} is as the genesis has it; --network says how that is");
            return Ok(());
        };
        let council = match &self.network {
            Some(network) => administrators(&mut self.client, network, chain)?,
            None => None,
        };
        let shown = Shown { id: chain, of, council, entry, accounts };
        if json {
            return super::print_json(as_of, &as_json(&shown), &checked);
        }
        print(&shown);
        rows(&[
            ("state root", answer.state_root.to_string()),
            ("as of", as_of.to_string()),
            ("checked", checked.text()),
        ]);
        Ok(())
    }
}

/// What the row of a chain says of it, if there is one.
fn said(answer: &RowAnswer, chain: ChainId) -> Result<Option<Charter>> {
    let row = answer.proof.says(&Digest(OWN_CHAIN_KEY)).flatten();
    let unreadable =
        || anyhow!("the row of chain {chain} cannot be read: is the validator of another release?");
    row.map(|row| Charter::decode(row).ok_or_else(unreadable)).transpose()
}

/// What a chain is now: as the genesis has it, or as administrators have decided since.
///
/// # Errors
/// The validator does not answer, or there is no such chain.
pub(crate) fn charter(client: &mut Client, network: &Network, chain: ChainId) -> Result<Charter> {
    let said = said(&client.row(chain, &OWN_CHAIN_KEY)?.value, chain)?;
    let of_genesis = || network.genesis.chain(chain).map(Charter::from);
    said.or_else(of_genesis).ok_or_else(|| super::NoChain(chain).into())
}

/// Who decides, if it is the chain that does.
fn administrators(client: &mut Client, network: &Network, chain: ChainId) -> Result<Option<Administrators>> {
    let Some(of) = network.genesis.governance().filter(|of| of.id == chain) else { return Ok(None) };
    let answer = client.row(chain, &ADMINISTRATORS_KEY)?.value;
    if let Some(row) = answer.proof.says(&Digest(ADMINISTRATORS_KEY)).flatten() {
        return Ok(Administrators::decode(row));
    }
    let accounts = (0..of.accounts.len() as u64).map(AccountId).collect();
    let council = Council { threshold: of.threshold, accounts };
    Ok(Some(Administrators { version: 1, council }))
}

/// A chain with what it has after a height.
struct Shown {
    id: ChainId,
    of: Charter,
    /// Who decides, if it is the chain that does.
    council: Option<Administrators>,
    /// None at height 0.
    entry: Option<ChainEntry>,
    accounts: u64,
}

fn print(shown: &Shown) {
    let Shown { id, of, council, entry, accounts } = shown;
    let mut table = vec![
        (
            "status",
            match of.since {
                Height(0) => format!("{}, as the genesis has it", of.status.name()),
                since => format!(
                    "{}; the last decision about it is proposal {}, from height {since} on",
                    of.status.name(),
                    of.proposal
                ),
            },
        ),
        ("accounts", grouped(*accounts)),
    ];
    match of.kind {
        ChainKind::Transfers => {
            println!("chain {id}: transfers of {}", of.asset);
            let issuance = entry.map(|entry| entry.issuance).unwrap_or_default();
            table.push(("at the beginning", grouped(of.supply)));
            let sums = format!("{}, {}", grouped(issuance.issued), grouped(issuance.burned));
            table.push(("issued, burned", sums));
        }
        ChainKind::Attestations | ChainKind::Governance => {
            println!("chain {id}: {}", of.kind.name());
            // Few of them are what the ledger keeps of accounts.
            table.push(("rows of the table", grouped(entry.map_or(1, |entry| entry.rows))));
        }
    }
    if let Some(Administrators { version, council }) = council {
        let accounts: Vec<String> = council.accounts.iter().map(ToString::to_string).collect();
        let (accounts, threshold) = (accounts.join(", "), council.threshold);
        let text = format!("accounts {accounts}; {threshold} must approve (version {version})");
        table.push(("administrators", text));
    }
    let has_money = of.kind == ChainKind::Transfers;
    table.extend(decisions::rows(&of.roles).into_iter().filter(|(what, _)| has_money || *what != "issuer"));
    rows(&table);
}

fn as_json(shown: &Shown) -> Value {
    let Shown { id, of, council, entry, accounts } = shown;
    let issuance = entry.map(|entry| entry.issuance).unwrap_or_default();
    let mut fields = decisions::charter_fields(of);
    if let Some(Administrators { version, council }) = council {
        fields["administrators"] =
            json!({ "version": version, "accounts": council.accounts, "threshold": council.threshold });
    }
    fields["chain"] = json!(id);
    fields["accounts"] = json!(accounts);
    fields["issued"] = json!(issuance.issued);
    fields["burned"] = json!(issuance.burned);
    fields["rows"] = json!(entry.map_or(1, |entry| entry.rows));
    fields
}
