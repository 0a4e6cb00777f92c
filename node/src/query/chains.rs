//! The chains of a network, as they are in effect, with what has been issued and burned on each.

use anyhow::{Result, anyhow};
use client::answers::RowAnswer;
use client::{Answer, Client, FoundBlock};
use engine::roots::ChainEntry;
use engine::types::{
    ADMINISTRATORS_KEY, AccountId, Administrators, Asset, ChainId, ChainKind, ChainStatus, Charter, Council,
    Digest, Height, OWN_CHAIN_KEY,
};
use serde_json::{Value, json};

use super::{Asked, Checked, connect, decisions};
use crate::cli::{ChainListArgs, grouped, rows};
use crate::governance::proposals::{self, Found};
use crate::network::Network;

/// Prints every chain, with the sums after the last committed height.
///
/// # Errors
/// The network cannot be read, no validator answers, or two disagree.
pub fn list_chains(args: &ChainListArgs) -> Result<bool> {
    let mut asked = connect(&args.whom)?;
    let Answer { as_of, value: status } = asked.client.status()?;
    let (mut entries, mut checked) = (Vec::new(), Checked::default());
    if status.committed > Height(0) {
        let Answer { value: FoundBlock { answer, .. }, .. } = asked.client.block(status.committed)?;
        checked = Checked { path: false, ..asked.checked(status.committed, &answer.state_root)? };
        entries = answer.entries;
    }
    let Asked { client, network, .. } = &mut asked;
    let mut ids: Vec<ChainId> = network.iter().flat_map(Network::chains).collect();
    ids.extend(entries.iter().map(|entry| entry.chain));
    ids.sort_unstable();
    ids.dedup();
    let network = network.as_ref();
    let governance = network.and_then(|network| network.genesis.governance()).map(|chain| chain.id);
    let is_governance = |entry: &&ChainEntry| entry.kind == ChainKind::Governance;
    let governance = governance.or_else(|| entries.iter().find(is_governance).map(|entry| entry.chain));
    // Asked first: what takes effect meanwhile is shown twice rather than not at all.
    let coming = governance.map_or_else(|| Ok(Vec::new()), |chain| coming(client, network, chain))?;
    let mut chains = Vec::new();
    for id in ids {
        let entry = entries.iter().find(|entry| entry.chain == id).copied();
        chains.push(shown(client, network, id, entry)?);
    }
    if args.json {
        let chains: Vec<_> = chains.iter().map(as_json).collect();
        let decided: Vec<_> = coming.iter().map(Found::fields).collect();
        super::print_json(as_of, &json!({ "chains": chains, "decided": decided }), &checked)?;
        return Ok(true);
    }
    for shown in &chains {
        let about = |found: &&Found| about(found, governance) == Some(shown.id);
        print(shown, coming.iter().filter(about).map(decided));
    }
    for found in &coming {
        if let Some(chain) = about(found, governance).filter(|chain| chains.iter().all(|of| of.id != *chain))
        {
            println!("chain {chain}: does not exist yet");
            rows(&[decided(found)]);
        }
    }
    println!("as of {as_of} (the validator's word); {}", checked.roots());
    Ok(true)
}

/// What is decided and not in effect yet, in the order in which it takes effect.
fn coming(client: &mut Client, network: Option<&Network>, governance: ChainId) -> Result<Vec<Found>> {
    let (mut all, ..) = proposals::all(client, network, governance)?;
    all.retain(Found::is_coming);
    all.sort_by_key(|found| found.record.decided);
    Ok(all)
}

/// The chain that a decision is about.
fn about(found: &Found, governance: Option<ChainId>) -> Option<ChainId> {
    found.record.decision.chain().or(governance)
}

fn decided(found: &Found) -> (&'static str, String) {
    let since = found.record.decided.map_or(Height(0), |(_, since)| since);
    let decision = decisions::decision(&found.record.decision);
    ("decided", format!("from height {since} on: {decision} (proposal {})", found.proposal))
}

impl Asked {
    /// Prints what a chain is now.
    pub(super) fn chain(&mut self, chain: ChainId, json: bool) -> Result<()> {
        let Answer { as_of, value: answer } = self.client.row(chain, &OWN_CHAIN_KEY)?;
        let proved = &answer.proof.chain;
        let checked = self.checked(proved.height, &answer.state_root)?;
        let shown = shown(&mut self.client, self.network.as_ref(), chain, Some(proved.entry))?;
        if json {
            return super::print_json(as_of, &as_json(&shown), &checked);
        }
        print(&shown, []);
        rows(&[
            ("state root", answer.state_root.to_string()),
            ("as of", as_of.to_string()),
            ("checked", checked.text()),
        ]);
        Ok(())
    }
}

impl Asked {
    /// Prints who decides about the chains.
    pub(super) fn administrators(&mut self, json: bool) -> Result<()> {
        let chain = proposals::deciding_by(self)?;
        let Answer { as_of, value: answer } = self.client.row(chain, &ADMINISTRATORS_KEY)?;
        let checked = self.checked(answer.proof.chain.height, &answer.state_root)?;
        let of_genesis = || {
            let why = "nobody has changed who decides since the genesis, and that is not at hand";
            anyhow!("{why}: name the network's directory with --network")
        };
        let found = council(&answer, self.network.as_ref(), chain)?.ok_or_else(of_genesis)?;
        let Administrators { version, council } = found;
        if json {
            let fields = json!({
                "chain": chain,
                "version": version,
                "accounts": council.accounts,
                "threshold": council.threshold,
            });
            return super::print_json(as_of, &fields, &checked);
        }
        println!("administrators of the network, on chain {chain}");
        rows(&[
            ("administrators", decisions::accounts(&council)),
            ("threshold", format!("{} must approve", council.threshold)),
            ("version", version.to_string()),
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
    charter_if_known(client, Some(network), chain)?.ok_or_else(|| super::NoChain(chain).into())
}

/// What a chain is now, if that is said by administrators, or by a genesis that is at hand.
///
/// # Errors
/// The validator does not answer.
pub(crate) fn charter_if_known(
    client: &mut Client,
    network: Option<&Network>,
    chain: ChainId,
) -> Result<Option<Charter>> {
    let said = said(&client.row(chain, &OWN_CHAIN_KEY)?.value, chain)?;
    let of_genesis = || network.and_then(|network| network.genesis.chain(chain)).map(Charter::from);
    Ok(said.or_else(of_genesis))
}

/// Who decides, if it is the chain that does, and that is said by administrators or by a genesis that is at hand.
///
/// # Errors
/// The validator does not answer.
pub(crate) fn administrators(
    client: &mut Client,
    network: Option<&Network>,
    chain: ChainId,
) -> Result<Option<Administrators>> {
    council(&client.row(chain, &ADMINISTRATORS_KEY)?.value, network, chain)
}

fn council(answer: &RowAnswer, network: Option<&Network>, chain: ChainId) -> Result<Option<Administrators>> {
    if let Some(row) = answer.proof.says(&Digest(ADMINISTRATORS_KEY)).flatten() {
        let unreadable =
            || anyhow!("the row of the administrators cannot be read: is the validator of another release?");
        return Administrators::decode(row).ok_or_else(unreadable).map(Some);
    }
    let genesis = network.and_then(|network| network.genesis.governance()).filter(|of| of.id == chain);
    Ok(genesis.map(|of| {
        let accounts = (0..of.accounts.len() as u64).map(AccountId).collect();
        Administrators { version: 1, council: Council { threshold: of.threshold, accounts } }
    }))
}

/// A chain with what it has after a height.
struct Shown {
    id: ChainId,
    kind: ChainKind,
    asset: Asset,
    status: ChainStatus,
    /// None where only the genesis says it, and that is not at hand.
    of: Option<Charter>,
    /// Who decides, if it is the chain that does.
    council: Option<Administrators>,
    /// None at height 0.
    entry: Option<ChainEntry>,
    accounts: u64,
}

/// What is known of a chain, with its entry under a state root.
fn shown(
    client: &mut Client,
    network: Option<&Network>,
    id: ChainId,
    entry: Option<ChainEntry>,
) -> Result<Shown> {
    let of = charter_if_known(client, network, id)?;
    let of_charter = of.map(|of| (of.kind, of.asset, of.status));
    let of_entry = entry.map(|entry| (entry.kind, entry.asset, entry.status));
    let (kind, asset, status) = of_charter.or(of_entry).ok_or(super::NoChain(id))?;
    let genesis = network.and_then(|network| network.genesis.chain(id));
    let beginning = genesis.map_or(0, |chain| chain.accounts.len() as u64);
    let accounts = entry.map_or(beginning, |entry| entry.accounts);
    let council = if kind == ChainKind::Governance { administrators(client, network, id)? } else { None };
    Ok(Shown { id, kind, asset, status, of, council, entry, accounts })
}

/// Prints a chain, with the rows of what is decided about it and not in effect yet.
fn print(shown: &Shown, decided: impl IntoIterator<Item = (&'static str, String)>) {
    let Shown { id, kind, asset, status, of, council, entry, accounts } = shown;
    let status = status.name();
    let status = match of {
        Some(of) if of.since > Height(0) => {
            format!(
                "{status}; the last decision about it is proposal {}, from height {} on",
                of.proposal, of.since
            )
        }
        _ => format!("{status}, as the genesis has it"),
    };
    let mut table = vec![("status", status), ("accounts", grouped(*accounts))];
    match kind {
        ChainKind::Transfers => {
            println!("chain {id}: transfers of {asset}");
            let issuance = entry.map(|entry| entry.issuance).unwrap_or_default();
            table.extend(of.map(|of| ("at the beginning", grouped(of.supply))));
            let sums = format!("{}, {}", grouped(issuance.issued), grouped(issuance.burned));
            table.push(("issued, burned", sums));
        }
        ChainKind::Attestations | ChainKind::Governance => {
            println!("chain {id}: {}", kind.name());
            // Few of them are what the ledger keeps of accounts.
            table.push(("rows of the table", grouped(entry.map_or(1, |entry| entry.rows))));
        }
    }
    if let Some(Administrators { version, council }) = council {
        let (accounts, threshold) = (decisions::accounts(council), council.threshold);
        table.push(("administrators", format!("{accounts}; {threshold} must approve (version {version})")));
    }
    match of {
        Some(of) => {
            let has_money = *kind == ChainKind::Transfers;
            let roles = decisions::rows(&of.roles).into_iter();
            table.extend(roles.filter(|(what, _)| has_money || *what != "issuer"));
        }
        None => table.push(("roles", "as the genesis has them: --network says how that is".to_owned())),
    }
    table.extend(decided);
    rows(&table);
}

fn as_json(shown: &Shown) -> Value {
    let Shown { id, kind, asset, status, of, council, entry, accounts } = shown;
    let issuance = entry.map(|entry| entry.issuance).unwrap_or_default();
    let mut fields = match of {
        Some(of) => decisions::charter_fields(of),
        None => json!({
            "kind": kind.name(),
            "asset": (*asset != Asset::NONE).then_some(asset),
            "status": status.name(),
        }),
    };
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
