//! What administrators decide about the chains of a network: proposing, approving, and seeing what became of it.

mod unfit;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use client::Client;
use engine::types::{
    ADMINISTRATORS_KEY, AccountId, Administrators, Approve, Asset, ChainId, ChainKind, Council, CryptoSuite,
    Decision, Digest, EncodedDecision, Fingerprint, Height, NewChain, ProposalRecord, Propose, Roles,
};
use serde_json::json;

use crate::cli::{
    AdministratorsArgs, ApproveArgs, CloseChainArgs, CreateArgs, PauseArgs, Place, ProposalArgs,
    ProposingArgs, ResumeArgs, RoleArgs, RolesArgs, SigningArgs, on_network, print_json, rows,
};
use crate::network::Network;
use crate::proofs::roles as roles_of;
use crate::query::decisions::{decision as in_words, proposal_fields};
use crate::query::{Checked, PROOF_PATIENCE, check_root, connect_member, network_of, print};
use crate::transfer::{Terms, complete, validator_of};
use crate::validator::clock::Clock;

/// The chain that decides, where no genesis says which.
const UNNAMED: ChainId = ChainId(0);
/// How often a proposal is asked for, and how long it is waited for.
const ASKED_EVERY: Duration = Duration::from_millis(500);
const ASKED_TIMES: usize = 600;

/// Why nothing can be proposed or approved.
#[derive(Debug, thiserror::Error)]
pub enum GovernanceError {
    /// Nobody decides about the chains of this network.
    #[error(
        "the network has no chain of the kind \"governance\", so nobody can decide about its chains: make one with \
         `millrace network init --governance K/N`"
    )]
    NoAdministrators,
    /// An option that no chain could have.
    #[error("this cannot be decided: {0}")]
    Invalid(String),
    /// A key is named for two accounts.
    #[error("--founder {0} is given twice: each first account needs a key of its own")]
    SameFounder(Digest),
    /// Nothing says which keys the accounts of the chain begin with.
    #[error(
        "name 1 to 8 keys with --founder, or with --test-founders how many test accounts the chain begins with"
    )]
    NoFounders,
    /// A validator lies.
    #[error("the validator shows something else as proposal {0}: ask another one with --validator")]
    OtherProposal(Digest),
    /// What stays as it is would be unknown.
    #[error(
        "without --network nobody proves what stays: name --issuer, --freezer, --registrar, --rekey-window and \
         --recovery-window, with the caps that go with them"
    )]
    NotAll,
    /// What a validator told cannot be read.
    #[error("the row of {0} cannot be read: is the validator of another release?")]
    Unreadable(&'static str),
}

/// Proposes another chain; `false` if that is not committed.
///
/// # Errors
/// [`GovernanceError`], or as for a transfer.
pub fn create(args: &CreateArgs) -> Result<bool> {
    let (chain, kind) = (ChainId(args.chain), args.kind);
    let network = network_of(args.by.how.network.as_deref())?;
    let founders: Vec<[u8; 32]> = match (args.test_founders, &network) {
        (Some(count), Some(network)) => network.client_seed.public_keys(chain, 0..count),
        _ => args.founders.iter().map(|key| key.0).collect(),
    };
    if founders.is_empty() {
        return Err(GovernanceError::NoFounders.into());
    }
    if let Some(key) = repeated(&args.founders) {
        return Err(GovernanceError::SameFounder(key).into());
    }
    let unnamed = if kind == ChainKind::Transfers { Asset::UNIT } else { Asset::NONE };
    let asset = args.asset.unwrap_or(unnamed);
    let roles = with(Roles::default(), &args.roles);
    let new = NewChain { id: chain, kind, suite: CryptoSuite::Ed25519, asset, roles, founders };
    propose(&args.by, network.as_ref(), &Decision::Create(new))
}

/// A key that stands in a list more than once.
fn repeated(keys: &[Digest]) -> Option<Digest> {
    let earlier = |at: usize| keys[..at].contains(&keys[at]);
    (0..keys.len()).find(|at| earlier(*at)).map(|at| keys[at])
}

/// Proposes that a chain rests; `false` if that is not committed.
///
/// # Errors
/// [`GovernanceError`], or as for a transfer.
pub fn pause(args: &PauseArgs) -> Result<bool> {
    let network = network_of(args.by.how.network.as_deref())?;
    propose(&args.by, network.as_ref(), &Decision::Pause(ChainId(args.chain)))
}

/// Proposes that a chain goes on; `false` if that is not committed.
///
/// # Errors
/// [`GovernanceError`], or as for a transfer.
pub fn resume(args: &ResumeArgs) -> Result<bool> {
    let network = network_of(args.by.how.network.as_deref())?;
    propose(&args.by, network.as_ref(), &Decision::Resume(ChainId(args.chain)))
}

/// Proposes that a chain takes nothing new any more; `false` if that is not committed.
///
/// # Errors
/// [`GovernanceError`], or as for a transfer.
pub fn close(args: &CloseChainArgs) -> Result<bool> {
    let network = network_of(args.by.how.network.as_deref())?;
    propose(&args.by, network.as_ref(), &Decision::Close(ChainId(args.chain)))
}

/// Proposes other roles, caps and lock windows; `false` if that is not committed.
///
/// # Errors
/// [`GovernanceError`], or as for a transfer.
pub fn roles(args: &RolesArgs) -> Result<bool> {
    let (chain, how) = (ChainId(args.chain), &args.by.how);
    let network = network_of(how.network.as_deref())?;
    let proved = match &network {
        Some(network) if how.offline.is_none() => {
            Some(proved_charter(&mut validator_of(how, Some(network))?, network, chain)?)
        }
        _ => None,
    };
    let present = match &proved {
        Some(charter) => roles_of(charter),
        None if is_all(&args.roles) => Roles::default(),
        None => return Err(GovernanceError::NotAll.into()),
    };
    let proposed = with(present, &args.roles);
    // What a chain is never changes; of one that is created later, only a validator knows it.
    let genesis = network.as_ref().and_then(|network| network.genesis.chain(chain));
    let is = proved.map(|charter| (kind_of(&charter), Asset(charter.asset)));
    let is = is.or_else(|| genesis.map(|of| (of.kind, of.asset)));
    if let Some(wrong) = is.and_then(|is| unfit::roles(&proposed, is)) {
        return Err(GovernanceError::Invalid(wrong).into());
    }
    propose(&args.by, network.as_ref(), &Decision::Roles(chain, proposed))
}

/// What a chain is now, with the signatures of a quorum: what stays as it is will be signed.
fn proved_charter(client: &mut Client, network: &Network, chain: ChainId) -> Result<proof::Charter> {
    let proof = client.prove_charter(chain, PROOF_PATIENCE)?.encode()?;
    match proof::verify(&proof, network.genesis.header())?.fact {
        proof::Fact::Charter(charter) => Ok(charter),
        _ => Err(GovernanceError::Unreadable("the chain").into()),
    }
}

fn kind_of(charter: &proof::Charter) -> ChainKind {
    match charter.kind {
        proof::ChainKind::Transfers => ChainKind::Transfers,
        proof::ChainKind::Attestations => ChainKind::Attestations,
        proof::ChainKind::Governance => ChainKind::Governance,
    }
}

/// Whether nothing is left to be as it is.
fn is_all(typed: &RoleArgs) -> bool {
    let RoleArgs { issuer, freezer, registrar, rekey_window, recovery_window, .. } = typed;
    let windows = rekey_window.is_some() && recovery_window.is_some();
    issuer.is_some() && freezer.is_some() && registrar.is_some() && windows
}

/// Proposes other administrators; `false` if that is not committed.
///
/// # Errors
/// [`GovernanceError`], or as for a transfer.
pub fn administrators(args: &AdministratorsArgs) -> Result<bool> {
    let network = network_of(args.by.how.network.as_deref())?;
    let mut accounts: Vec<AccountId> = args.accounts.iter().copied().map(AccountId).collect();
    accounts.sort_unstable();
    let council = Council { threshold: args.threshold, accounts };
    propose(&args.by, network.as_ref(), &Decision::Administrators(council))
}

/// Approves a proposal; `false` if that is not committed.
///
/// # Errors
/// [`GovernanceError`], or as for a transfer.
pub fn approve(args: &ApproveArgs) -> Result<bool> {
    let network = network_of(args.how.network.as_deref())?;
    let chain = deciding(network.as_ref())?;
    let (how, proposal) = (&args.how, args.proposal);
    if how.offline.is_none() {
        let (found, height, _) = record(&mut validator_of(how, network.as_ref())?, chain, &proposal)?;
        let Some(found) = found else {
            eprintln!("nobody has proposed {proposal} (at height {height})");
            return Ok(false);
        };
        if !how.json {
            println!("you approve: {}", in_words(&found.decision));
        }
    }
    let version = version(how, network.as_ref(), chain, args.administrators_version)?;
    let administrator = AccountId(args.administrator);
    complete(&args.how, network.as_ref(), Place { chain, account: administrator }, |terms, network, key| {
        let Terms { key_version, reference, nonce, expiry } = terms;
        let administrators = version;
        let approve =
            Approve { chain, key_version, reference, administrator, proposal, administrators, nonce, expiry };
        approve.sign(network, |message| key.sign(message))
    })
    .and_then(|counted| told(counted, &args.how, (network.as_ref(), chain), &proposal))
}

/// Shows a proposal; `false` if there is none, or it is not in effect in time.
///
/// # Errors
/// The network cannot be read, or no validator answers.
pub fn proposal(args: &ProposalArgs) -> Result<bool> {
    let network = Network::load(&args.network)?;
    let chain = deciding(Some(&network))?;
    let mut client = connect_member(&network, args.validator)?;
    let mut asked = 0;
    loop {
        let (found, height, root) = record(&mut client, chain, &args.proposal)?;
        let Some(found) = found else {
            eprintln!("nobody has proposed {} (at height {height})", args.proposal);
            return Ok(false);
        };
        let is_in_effect = found.decided.is_some_and(|(_, since)| since <= height);
        asked += 1;
        let (is_open, fate) = fate(&found, height, present(&mut client, chain)?);
        let may_come = is_open || found.decided.is_some();
        if args.wait && asked == 1 && !is_in_effect && may_come {
            eprintln!("waiting: {fate}");
        }
        if args.wait && !is_in_effect && may_come && asked < ASKED_TIMES {
            std::thread::sleep(ASKED_EVERY);
            continue;
        }
        let checked = check_root(&network, client.validator(), (height, &root))?;
        show(args, &found, (height, is_in_effect, fate), checked)?;
        if args.wait && !is_in_effect {
            eprintln!("it is not in effect yet (at height {height})");
        }
        return Ok(!args.wait || is_in_effect);
    }
}

fn show(
    args: &ProposalArgs,
    record: &ProposalRecord,
    (height, is_in_effect, fate): (Height, bool, String),
    checked: Checked,
) -> Result<()> {
    if args.json {
        let mut fields = proposal_fields(record);
        fields["proposal"] = json!(args.proposal);
        fields["in_effect"] = json!(is_in_effect);
        fields["height"] = json!(height);
        fields["fate"] = json!(fate);
        fields["checked"] = json!(checked);
        return print_json(&fields).map(drop);
    }
    println!("proposal {}", args.proposal);
    let approvals: Vec<String> = record.approvals.iter().map(ToString::to_string).collect();
    rows(&[
        ("says", in_words(&record.decision)),
        ("approved by", format!("account(s) {}", approvals.join(", "))),
        ("fate", fate),
        ("checked", checked.text()),
    ]);
    Ok(())
}

fn propose(by: &ProposingArgs, network: Option<&Network>, decision: &Decision) -> Result<bool> {
    if let Some(wrong) = unfit::decision(decision) {
        return Err(GovernanceError::Invalid(wrong).into());
    }
    let chain = deciding(network)?;
    if !by.how.json {
        println!("you propose: {}", in_words(decision));
    }
    let version = version(&by.how, network, chain, by.administrators_version)?;
    let administrator = AccountId(by.administrator);
    let until_ms = Clock::start().moment().unix_ms.saturating_add(by.for_minutes.saturating_mul(60_000));
    let encoded = decision.encode();
    let mut proposal = None;
    let counted =
        complete(&by.how, network, Place { chain, account: administrator }, |terms, network, key| {
            let Terms { key_version, reference, nonce, expiry } = terms;
            let (administrators, decision) = (version, EncodedDecision::read(&encoded)?);
            let propose = Propose {
                chain,
                key_version,
                reference,
                administrator,
                administrators,
                until_ms,
                decision,
                nonce,
                expiry,
            };
            proposal = Some(propose.proposal());
            propose.sign(network, |message| key.sign(message))
        })?;
    match proposal {
        Some(proposal) => told(counted, &by.how, (network, chain), &proposal),
        None => Ok(counted),
    }
}

/// Tells how far a proposal is, now that a transaction about it is committed; `false` if none is. That nobody can say
/// it does not change what is committed.
fn told(
    committed: bool,
    how: &SigningArgs,
    (network, chain): (Option<&Network>, ChainId),
    proposal: &Digest,
) -> Result<bool> {
    if !committed || how.json || how.offline.is_some() {
        return Ok(committed);
    }
    let Ok(mut client) = validator_of(how, network) else { return Ok(true) };
    let Ok((Some(record), height, _)) = record(&mut client, chain, proposal) else { return Ok(true) };
    let on = on_network(Some(how.network.as_deref().unwrap_or(Path::new("DIR"))));
    let now = present(&mut client, chain).unwrap_or(record.administrators);
    let fate = fate(&record, height, now);
    rows(&[("fate", fate.1)]);
    match record.decided {
        None => println!("approve it:  millrace chain approve {proposal} --as ACCOUNT{on}"),
        Some(_) => println!("wait for it:  millrace chain proposal {proposal} --wait{on}"),
    }
    Ok(true)
}

/// A proposal, if there is one, with the height and the state root of which that is so: the one that is asked for.
fn record(
    client: &mut Client,
    chain: ChainId,
    proposal: &Digest,
) -> Result<(Option<ProposalRecord>, Height, Digest)> {
    let answer = client.row(chain, &proposal.0)?;
    if Fingerprint(proposal.0).is_reserved() {
        return Ok((None, answer.as_of.height, answer.value.state_root));
    }
    let row = answer.value.proof.says(proposal).flatten();
    let unreadable = || GovernanceError::Unreadable("the proposal");
    let record = row.map(|row| ProposalRecord::decode(row).ok_or_else(unreadable)).transpose()?;
    // Its name is the hash of what it says, whatever the validator says.
    if record.as_ref().is_some_and(|record| record.proposal() != *proposal) {
        return Err(GovernanceError::OtherProposal(*proposal).into());
    }
    Ok((record, answer.as_of.height, answer.value.state_root))
}

/// Whether a proposal can still be decided, and what has become of it in words. `present` is the version of those who
/// decide now.
fn fate(record: &ProposalRecord, height: Height, present: u64) -> (bool, String) {
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
        Some((number, since)) if since <= height => {
            format!("decision {number}, in effect since height {since}")
        }
        Some((number, since)) => {
            format!("decision {number}, in effect from height {since} on; the network is at height {height}")
        }
    };
    (open, fate)
}

/// The chain that decides.
fn deciding(network: Option<&Network>) -> Result<ChainId, GovernanceError> {
    let Some(network) = network else { return Ok(UNNAMED) };
    network.genesis.governance().map(|chain| chain.id).ok_or(GovernanceError::NoAdministrators)
}

/// Which version of the administrators decides now: the one that is named, or what a validator says. A validator that
/// lies makes the transaction fail, and no more.
fn version(how: &SigningArgs, network: Option<&Network>, chain: ChainId, named: Option<u64>) -> Result<u64> {
    match named {
        Some(version) => Ok(version),
        None if how.offline.is_some() => Ok(1),
        None => present(&mut validator_of(how, network)?, chain),
    }
}

fn present(client: &mut Client, chain: ChainId) -> Result<u64> {
    let answer = client.row(chain, &ADMINISTRATORS_KEY)?.value;
    match answer.proof.says(&Digest(ADMINISTRATORS_KEY)).flatten() {
        None => Ok(1),
        Some(row) => {
            let found =
                Administrators::decode(row).ok_or(GovernanceError::Unreadable("the administrators"))?;
            Ok(found.version)
        }
    }
}

/// Roles, with what was typed in their place.
fn with(present: Roles, typed: &RoleArgs) -> Roles {
    let mut roles = present;
    if let Some(issuer) = typed.issuer {
        roles.issuer = issuer;
        roles.issuance_cap = if issuer.is_some() { roles.issuance_cap } else { 0 };
    }
    if let Some(freezer) = typed.freezer {
        roles.freezer = freezer;
    }
    if let Some(registrar) = typed.registrar {
        roles.registrar = registrar;
        let nobody = registrar == engine::types::Registrar::Nobody;
        roles.accounts_cap = if nobody { 0 } else { roles.accounts_cap };
    }
    roles.issuance_cap = typed.issuance_cap.unwrap_or(roles.issuance_cap);
    roles.accounts_cap = typed.accounts_cap.unwrap_or(roles.accounts_cap);
    roles.attestations_cap = typed.attestations_cap.unwrap_or(roles.attestations_cap);
    roles.windows.rekey_seconds = typed.rekey_window.unwrap_or(roles.windows.rekey_seconds);
    roles.windows.recovery_seconds = typed.recovery_window.unwrap_or(roles.windows.recovery_seconds);
    roles
}
