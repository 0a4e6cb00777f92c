//! Proposals as a validator has them: one or all, what each would change, and what became of it.
//!
//! ```text
//! own rows of the chain … │ proposal ─▶ next higher key ─▶ proposal ─▶ … ─▶ zero
//! ```
//!
//! Every row names the next one, and the path to the state root covers that name: a validator cannot leave one out.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use client::{Client, ClientError};
use engine::types::{
    AccountId, Administrators, BEFORE_PROPOSALS, ChainId, ChainKind, Content, Decision, Digest, Fingerprint,
    Height, Outcome, ProposalRecord, Transaction, Verdict,
};
use serde_json::{Value, json};

use super::{GovernanceError, UNNAMED, checks, deciding, members};
use crate::cli::{ProposalArgs, ProposalsArgs, on_network, print_json, rows, with_key};
use crate::network::Network;
use crate::query::decisions::{self, Change, proposal_fields};
use crate::query::{Asked, Checked, PROOF_PATIENCE, administrators, charter_if_known, connect, print};
use crate::validator::clock::Clock;

/// How often a proposal is asked for, and how many times.
const ASKED_EVERY: Duration = Duration::from_millis(500);
const ASKED_TIMES: usize = 600;

/// A proposal at a height, and what became of it.
pub(crate) struct Found {
    pub(crate) proposal: Digest,
    pub(crate) record: ProposalRecord,
    height: Height,
    /// Whether it can still be decided.
    is_open: bool,
    /// Of decided members: whether their epoch has begun.
    has_begun: bool,
    /// What has become of it, in words.
    pub(crate) fate: String,
    /// What it would change, if it is not in effect yet and that can be known.
    changes: Option<Vec<Change>>,
}

impl Found {
    /// `present` is the version of those who decide now; `has_begun` says whether the epoch of decided members has.
    fn new(
        (proposal, record): (Digest, ProposalRecord),
        height: Height,
        (present, has_begun): (u64, bool),
    ) -> Self {
        let (is_open, fate) = fate(&record, height, (present, has_begun));
        Self { proposal, record, height, is_open, has_begun, fate, changes: None }
    }

    /// The same, where a validator says both.
    pub(super) fn asked(
        (proposal, record): (Digest, ProposalRecord),
        height: Height,
        (client, network, chain): (&mut Client, Option<&Network>, ChainId),
    ) -> Result<Self> {
        let present = administrators_version(client, network, chain)?;
        let has_begun = has_begun(client, chain, (&proposal, &record))?;
        Ok(Self::new((proposal, record), height, (present, has_begun)))
    }

    /// Whether it can still be decided.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// With what it would change against what is in effect.
    fn compared(mut self, client: &mut Client, network: Option<&Network>, chain: ChainId) -> Result<Self> {
        if self.may_come() {
            self.changes = changes(client, network, chain, &self.record.decision)?;
        }
        Ok(self)
    }

    fn is_in_effect(&self) -> bool {
        self.has_begun && self.record.decided.is_some_and(|(_, since)| since <= self.height)
    }

    /// Whether it is decided and not in effect yet.
    pub(crate) fn is_coming(&self) -> bool {
        self.record.decided.is_some() && !self.is_in_effect()
    }

    /// Whether it is decided, not in effect yet, and another one about the same thing.
    pub(super) fn replaces(&self, decision: &Decision) -> bool {
        let same = match (&self.record.decision, decision) {
            (Decision::Roles(one, _), Decision::Roles(other, _)) => one == other,
            (Decision::Administrators(_), Decision::Administrators(_)) => true,
            _ => false,
        };
        same && self.record.decision != *decision && self.is_coming()
    }

    fn may_come(&self) -> bool {
        self.is_open || self.is_coming()
    }

    /// As fields of an object.
    pub(crate) fn fields(&self) -> Value {
        let mut fields = proposal_fields(&self.record);
        fields["proposal"] = json!(self.proposal);
        fields["in_effect"] = json!(self.is_in_effect());
        fields["height"] = json!(self.height);
        fields["fate"] = json!(self.fate);
        fields["changes"] = json!(self.changes);
        fields
    }

    /// What can be typed next, if anything helps.
    pub(crate) fn next(&self, network: Option<&Network>) -> Option<String> {
        let proposal = self.proposal;
        let on = on_network(Some(network.map_or(Path::new("DIR"), |network| &network.directory)));
        match self.record.decided {
            None if self.is_open => {
                let known = network.and_then(|network| Some((network, network.genesis.governance()?.id)));
                let is_test = |(network, chain): (&Network, ChainId)| {
                    self.record
                        .approvals
                        .iter()
                        .all(|account| network.genesis.account(chain, *account).is_some())
                };
                let key = with_key(None, known.is_some_and(is_test));
                Some(format!("approve it:  millrace chain approve {proposal} --as ACCOUNT{key}{on}"))
            }
            None => None,
            Some(_) => Some(format!("wait for it:  millrace chain proposal {proposal} --wait{on}")),
        }
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        vec![
            ("says", decisions::decision(&self.record.decision)),
            ("approved by", accounts(&self.record.approvals)),
            ("fate", self.fate.clone()),
        ]
    }
}

/// Shows a proposal; `false` if there is none, or it is not in effect in time.
///
/// # Errors
/// The network cannot be read, or no validator answers.
pub fn proposal(args: &ProposalArgs) -> Result<bool> {
    let mut asked = connect(&args.whom)?;
    let chain = deciding_by(&mut asked)?;
    if let Some(file) = &args.proof {
        let proof = asked.client.prove_row(chain, &args.proposal.0, PROOF_PATIENCE);
        return asked.write(proof, file, None, args.json).map(|()| true);
    }
    let (mut is_decided, mut turn) = (false, 0);
    loop {
        turn += 1;
        match show_or_wait(&mut asked, chain, args, (turn >= ASKED_TIMES, &mut is_decided)) {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) => {}
            // With the epoch of other members each validator starts again in its process.
            Err(error) if args.wait && turn < ASKED_TIMES && is_cut(&error) => {
                if let Ok(again) = connect(&args.whom) {
                    asked = again;
                }
            }
            Err(error) => return Err(error),
        }
        std::thread::sleep(ASKED_EVERY);
    }
}

/// Whether a connection has ended, or nobody is there at present.
fn is_cut(error: &anyhow::Error) -> bool {
    let cut = error.downcast_ref();
    matches!(cut, Some(ClientError::Link(_) | ClientError::Silent(_) | ClientError::Connect(_)))
}

/// Shows a proposal; nothing if it is still waited for.
fn show_or_wait(
    asked: &mut Asked,
    chain: ChainId,
    args: &ProposalArgs,
    (is_last, is_decided): (bool, &mut bool),
) -> Result<Option<bool>> {
    let (found, height, root) = record(&mut asked.client, chain, &args.proposal)?;
    let Some(found) = found else {
        eprintln!("nobody has proposed {} (at height {height})", args.proposal);
        return Ok(Some(false));
    };
    let of = (&mut asked.client, asked.network.as_ref(), chain);
    let found = Found::asked((args.proposal, found), height, of)?;
    // A validator that was asked next may be a little behind the one that has told of the decision.
    let waits = args.wait && (found.is_coming() || (*is_decided && found.is_open));
    if waits && !*is_decided {
        eprintln!("waiting: {}", found.fate);
    }
    *is_decided |= found.record.decided.is_some();
    if waits && !is_last {
        return Ok(None);
    }
    let checked = asked.checked(height, &root)?;
    let found = found.compared(&mut asked.client, asked.network.as_ref(), chain)?;
    let lacks = match !waits && found.is_open {
        true => Some(checks::missing_approvals(&mut asked.client, asked.network.as_ref(), (chain, &found))?),
        false => None,
    };
    show(&found, &checked, args.json)?;
    if let Some(lacks) = lacks {
        let nothing = if args.wait { "it is not decided, so there is nothing to wait for: " } else { "" };
        eprintln!("{nothing}{lacks}");
        found.next(asked.network.as_ref()).iter().for_each(|next| eprintln!("{next}"));
    } else if waits {
        eprintln!("it is not in effect yet (at height {height})");
    }
    Ok(Some(!args.wait || found.is_in_effect()))
}

/// Whether the epoch of decided members or rules has begun; `true` for all other decisions.
fn has_begun(
    client: &mut Client,
    chain: ChainId,
    (proposal, record): (&Digest, &ProposalRecord),
) -> Result<bool> {
    let of_members = record.decided.is_some() && matches!(record.decision, Decision::Members(_));
    if !of_members {
        return Ok(true);
    }
    let coming = members::coming(client, chain)?;
    Ok(coming.is_none_or(|coming| coming.proposal != *proposal))
}

/// Accounts, in words.
pub(super) fn accounts(of: &[AccountId]) -> String {
    let all: Vec<String> = of.iter().map(ToString::to_string).collect();
    format!("{} {}", if all.len() == 1 { "account" } else { "accounts" }, all.join(", "))
}

fn show(found: &Found, checked: &Checked, as_json: bool) -> Result<()> {
    if as_json {
        let mut fields = found.fields();
        fields["checked"] = json!(checked);
        return print_json(&fields).map(drop);
    }
    println!("proposal {}", found.proposal);
    let mut shown = found.rows();
    shown.push(("checked", checked.text()));
    rows(&shown);
    print_changes(found.changes.as_deref());
    Ok(())
}

/// Lists the proposals that are open or will take effect, or all.
///
/// # Errors
/// The network cannot be read, or no validator answers.
pub fn proposals(args: &ProposalsArgs) -> Result<bool> {
    let mut asked = connect(&args.whom)?;
    let chain = deciding_by(&mut asked)?;
    let (mut all, height, root) = all(&mut asked.client, asked.network.as_ref(), chain)?;
    let checked = asked.checked(height, &root)?;
    let count = all.len();
    all.retain(|found| args.all || found.may_come());
    // What is decided comes first, in its order; then what ends first.
    all.sort_by_key(|found| {
        (found.record.decided.map_or(u64::MAX, |(number, _)| number), found.record.until_ms)
    });
    if args.json {
        let proposals: Vec<Value> = all.iter().map(Found::fields).collect();
        return print_json(
            &json!({ "proposals": proposals, "of": count, "height": height, "checked": checked }),
        );
    }
    for found in &all {
        println!("proposal {}", found.proposal);
        rows(&found.rows());
    }
    let open = all.iter().filter(|found| found.is_open).count();
    let coming = all.iter().filter(|found| found.is_coming()).count();
    let others = match count - open - coming {
        0 => String::new(),
        others if args.all => format!(", {others} other(s)"),
        others => format!(", {others} other(s) (--all shows them)"),
    };
    println!("{open} open, {coming} decided and not in effect yet{others}; at height {height}");
    println!("checked: for each, {}", checked.text());
    Ok(true)
}

/// All proposals of the chain that decides, in the order of their names, as of the last height and state root of which
/// a row was told.
pub(crate) fn all(
    client: &mut Client,
    network: Option<&Network>,
    chain: ChainId,
) -> Result<(Vec<Found>, Height, Digest)> {
    let present = administrators_version(client, network, chain)?;
    let mut records = Vec::new();
    let mut key = Digest(BEFORE_PROPOSALS);
    loop {
        let answer = client.row(chain, &key.0)?;
        let proof = &answer.value.proof;
        if let Some(row) = proof.says(&key).flatten() {
            records.push((key, read(&key, row)?));
        }
        let next = proof.next;
        if next == Digest::default() {
            let (height, root) = (answer.as_of.height, answer.value.state_root);
            let mut found = Vec::new();
            for (proposal, record) in records {
                let has_begun = has_begun(client, chain, (&proposal, &record))?;
                found.push(Found::new((proposal, record), height, (present, has_begun)));
            }
            return Ok((found, height, root));
        }
        if next <= key {
            return Err(GovernanceError::Unreadable("the next proposal").into());
        }
        key = next;
    }
}

/// A proposal, if there is one, with the height and the state root of which that is so: the one that is asked for.
pub(super) fn record(
    client: &mut Client,
    chain: ChainId,
    proposal: &Digest,
) -> Result<(Option<ProposalRecord>, Height, Digest)> {
    let answer = client.row(chain, &proposal.0)?;
    if Fingerprint(proposal.0).is_reserved() {
        return Ok((None, answer.as_of.height, answer.value.state_root));
    }
    let row = answer.value.proof.says(proposal).flatten();
    let record = row.map(|row| read(proposal, row)).transpose()?;
    Ok((record, answer.as_of.height, answer.value.state_root))
}

/// The row of a proposal, whose name is the hash of what it says, whatever the validator says.
fn read(proposal: &Digest, row: &[u8]) -> Result<ProposalRecord, GovernanceError> {
    let record = ProposalRecord::decode(row).ok_or(GovernanceError::Unreadable("the proposal"))?;
    if record.proposal() == *proposal { Ok(record) } else { Err(GovernanceError::OtherProposal(*proposal)) }
}

/// What became of the proposal that a committed transaction makes or approves. That nobody can say it does not change
/// what is committed, so there is no error.
pub(crate) fn after(
    client: &mut Client,
    network: Option<&Network>,
    transaction: &Transaction,
) -> Option<Found> {
    let (chain, proposal) = match transaction.run().content().ok()? {
        Content::Propose(of) => (of.chain, of.proposal()),
        Content::Approve(of) => (of.chain, of.proposal),
        _ => return None,
    };
    let (Some(record), height, _) = record(client, chain, &proposal).ok()? else { return None };
    let found = Found::asked((proposal, record), height, (&mut *client, network, chain));
    found.and_then(|found| found.compared(client, network, chain)).ok()
}

/// Why a proposal or an approval failed, where the words of the verdict are those of a payment.
pub(crate) fn why(verdict: Verdict, transaction: &Transaction) -> Option<String> {
    let Ok(Content::Propose(_) | Content::Approve(_)) = transaction.run().content() else { return None };
    let chain = transaction.chain();
    match verdict {
        Verdict::Failed(Outcome::UnknownCredit) => Some(format!(
            "one of the accounts that are to be administrators is not there: an administrator is an account of chain \
             {chain}"
        )),
        Verdict::Failed(Outcome::CreditClosed) => Some(format!(
            "one of the accounts of chain {chain} that are to be administrators is closed or being closed"
        )),
        _ => None,
    }
}

/// Whether a proposal can still be decided, and what has become of it in words. `present` is the version of those who
/// decide now; `has_begun` says whether the epoch of decided members has.
fn fate(record: &ProposalRecord, height: Height, (present, has_begun): (u64, bool)) -> (bool, String) {
    let until = print::time(record.until_ms);
    let open = record.decided.is_none();
    let version = record.administrators;
    let fate = match record.decided {
        None if version != present => {
            return (
                false,
                format!(
                    "void: made for version {version} of the administrators; version {present} decides now"
                ),
            );
        }
        None if record.until_ms < Clock::start().moment().unix_ms => {
            return (false, format!("expired: it could be approved until {until}"));
        }
        None => format!(
            "open: approved by {} of version {} of the administrators; others can approve it until {}",
            record.approvals.len(),
            version,
            until,
        ),
        Some((number, at)) if matches!(record.decision, Decision::Members(_)) => {
            let end = if has_begun {
                "the epoch that has them has begun"
            } else {
                "the next epoch has these members and rules"
            };
            format!("decision {number}, made at height {at}; {end}")
        }
        Some((number, since)) if since <= height => {
            format!("decision {number}, in effect since height {since}")
        }
        Some((number, since)) => {
            format!("decision {number}, in effect from height {since} on; the network is at height {height}")
        }
    };
    (open, fate)
}

/// What a decision would change against what is in effect, if it replaces something and that can be known.
pub(super) fn changes(
    client: &mut Client,
    network: Option<&Network>,
    governance: ChainId,
    decision: &Decision,
) -> Result<Option<Vec<Change>>> {
    Ok(match decision {
        Decision::Roles(chain, roles) => {
            let present = charter_if_known(client, network, *chain)?;
            present.map(|present| decisions::changed_roles(&present.roles, roles))
        }
        Decision::Administrators(council) => {
            let present = administrators(client, network, governance)?;
            present.map(|present| decisions::changed_council(&present.council, council))
        }
        Decision::Create(_)
        | Decision::Pause(_)
        | Decision::Resume(_)
        | Decision::Close(_)
        | Decision::Members(_) => None,
    })
}

/// Prints what a decision would change.
pub(super) fn print_changes(changes: Option<&[Change]>) {
    let Some(changes) = changes else { return };
    if changes.is_empty() {
        println!("it changes nothing: all of it is in effect now");
        return;
    }
    println!("it changes what is in effect now:");
    let changed: Vec<_> =
        changes.iter().map(|Change { what, from, to }| (*what, format!("{from} → {to}"))).collect();
    rows(&changed);
}

/// Why an account cannot hold anything on a chain, as far as a validator knows.
pub(super) fn missing(client: &mut Client, chain: ChainId, account: AccountId) -> Result<Option<String>> {
    match client.account(chain, account) {
        Ok(answer) => {
            let flags = answer.value.proof.flags;
            let is_going = flags.is_closed() || flags.is_closing();
            Ok(is_going.then(|| format!("account {account} of chain {chain} is {}", flags.name())))
        }
        Err(ClientError::NotFound { .. }) => Ok(Some(format!("chain {chain} has no account {account}"))),
        Err(error) => Err(error.into()),
    }
}

/// The chain that decides: by the genesis, or by the last state root of the validator.
pub(crate) fn deciding_by(asked: &mut Asked) -> Result<ChainId> {
    if let Some(network) = &asked.network {
        return Ok(deciding(Some(network))?);
    }
    let height = asked.client.status()?.value.committed;
    if height == Height(0) {
        return Ok(UNNAMED);
    }
    let entries = asked.client.block(height)?.value.answer.entries;
    let deciding = entries.iter().find(|entry| entry.kind == ChainKind::Governance);
    Ok(deciding.map(|entry| entry.chain).ok_or(GovernanceError::NoAdministrators)?)
}

/// The version of those who decide now.
pub(super) fn administrators_version(
    client: &mut Client,
    network: Option<&Network>,
    chain: ChainId,
) -> Result<u64> {
    let found = administrators(client, network, chain)?;
    Ok(found.map_or(1, |Administrators { version, .. }| version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::types::{
        ADMINISTRATORS_KEY, Approve, Consents, Council, EncodedDecision, OWN_CHAIN_KEY, Propose, chain_key,
    };

    #[test]
    fn proposals_come_after_all_own_rows() {
        let own = [ADMINISTRATORS_KEY, OWN_CHAIN_KEY, chain_key(ChainId(u32::MAX))];
        assert!(own.iter().all(|key| *key < BEFORE_PROPOSALS));
        let mut first = [0; 32];
        first[15] = 1;
        assert!(BEFORE_PROPOSALS < first && !Fingerprint(first).is_reserved());
    }

    #[test]
    fn a_missing_administrator_is_not_called_a_payee() {
        let (chain, reference, administrator, nonce, expiry) =
            (ChainId(3), [0; 12], AccountId(0), 0, Height(9));
        let council = Council { threshold: 1, accounts: vec![AccountId(0), AccountId(7)] };
        let encoded = Decision::Administrators(council).encode();
        let decision = EncodedDecision::read(&encoded).unwrap();
        let propose = Propose {
            chain,
            key_version: 1,
            reference,
            administrator,
            administrators: 1,
            until_ms: 5,
            consents: Consents::NONE,
            decision,
            nonce,
            expiry,
        };
        let approve = Approve {
            chain,
            key_version: 1,
            reference,
            administrator,
            proposal: propose.proposal(),
            administrators: 1,
            consents: Consents::NONE,
            nonce,
            expiry,
        };
        let network = Digest([1; 32]);
        for signed in [propose.sign(&network, |_| [0; 64]), approve.sign(&network, |_| [0; 64])] {
            let signed = signed.unwrap();
            let words = why(Verdict::Failed(Outcome::UnknownCredit), &signed).unwrap();
            assert!(words.contains("an administrator is an account of chain 3"), "{words}");
            let words = why(Verdict::Failed(Outcome::CreditClosed), &signed).unwrap();
            assert!(words.contains("closed or being closed"), "{words}");
            assert_eq!(why(Verdict::Failed(Outcome::ApprovedAlready), &signed), None);
            assert_eq!(why(Verdict::Committed, &signed), None);
        }
    }

    #[test]
    fn the_fate_of_a_proposal_depends_on_who_decides_and_on_the_height() {
        let record = |until_ms, decided| ProposalRecord {
            administrators: 2,
            until_ms,
            approvals: vec![AccountId(1)],
            decided,
            decision: Decision::Pause(ChainId(4)),
        };
        let (height, open) = (Height(10), record(u64::MAX, None));
        let found = |record, present| Found::new((Digest::default(), record), height, (present, true));
        let of = |found: &Found| (found.is_open, found.is_coming(), found.is_in_effect());
        assert_eq!(of(&found(open.clone(), 2)), (true, false, false));
        assert_eq!(of(&found(open, 3)), (false, false, false), "it is void");
        assert_eq!(of(&found(record(0, None), 2)), (false, false, false), "it has expired");
        let decided = |height| record(0, Some((1, Height(height))));
        assert_eq!(of(&found(decided(11), 3)), (false, true, false));
        assert_eq!(of(&found(decided(10), 3)), (false, false, true));
        let change = engine::types::MemberChange::Remove { key: [7; 32], below_four: false };
        let members = ProposalRecord { decision: Decision::Members(change), ..decided(10) };
        for (has_begun, expected) in [(false, (false, true, false)), (true, (false, false, true))] {
            let record = (Digest::default(), members.clone());
            assert_eq!(of(&Found::new(record, height, (2, has_begun))), expected);
        }
    }
}
