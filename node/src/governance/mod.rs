//! What administrators decide about the chains and the validators of a network: proposing, approving, and seeing what
//! became of it.

mod checks;
mod members;
pub(crate) mod proposals;
mod rules;
mod unfit;

use anyhow::Result;
use client::Client;
use engine::types::{
    AccountId, Approve, Asset, ChainId, ChainKind, Consents, Council, CryptoSuite, Decision, Digest,
    EncodedDecision, NewChain, Propose, Quota, Roles,
};

pub(crate) use self::checks::require_consents;
pub use self::members::{admit, list as members, remove};
use self::proposals::{Found, administrators_version, changes, missing, print_changes, record};
pub use self::proposals::{proposal, proposals};
pub use self::rules::rules as next_rules;
use crate::cli::{
    AdministratorsArgs, ApproveArgs, CloseChainArgs, CreateArgs, Leaver, PauseArgs, Place, ProposingArgs,
    ResumeArgs, RoleArgs, RolesArgs, SigningArgs,
};
use crate::network::Network;
use crate::proofs::{kind, roles as roles_of};
use crate::query::decisions::decision as in_words;
use crate::query::{PROOF_PATIENCE, network_of, require_member};
use crate::transfer::{Terms, complete, validator_of};
use crate::validator::clock::Clock;

/// The chain that decides, where no genesis says which.
const UNNAMED: ChainId = ChainId(0);

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
    /// All of it is so already.
    #[error(
        "that changes nothing: chain {0} has these roles, caps and windows now; name what is to be different (see \
         `millrace chain roles --help`)"
    )]
    NoChange(ChainId),
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
    /// Somebody who does not decide.
    #[error(
        "account {account} of chain {chain} is not an administrator, so it can neither propose nor approve: name one of \
         accounts {known} with --as"
    )]
    NotAdministrator {
        /// The chain that decides.
        chain: ChainId,
        /// Who was named.
        account: AccountId,
        /// Those who decide, in words.
        known: String,
    },
    /// The last approval of a change of the members, signed where nobody could be asked.
    #[error(
        "this would decide about the members, and it was signed with --offline, without the consents of those who are to \
         be members: it would fail. Sign it anew where they can be reached, without --offline: `millrace chain approve \
         {0}`"
    )]
    NoConsents(Digest),
    /// A member that nobody knows.
    #[error("{named} is not a member: {members} (`millrace chain members`)")]
    NoMember {
        /// What was named.
        named: Leaver,
        /// The members, in words.
        members: String,
    },
    /// A name that several members have.
    #[error("several members are called \"{}\": name one by its place (`millrace chain members`)", .0.escape_debug())]
    Ambiguous(String),
    /// Nobody can be asked.
    #[error(
        "with --offline nobody is asked which member {0} is: name it by its key, which `millrace chain members --json` \
         lists as public_key"
    )]
    OfflineMember(Leaver),
    /// What a validator told cannot be read.
    #[error(
        "the row of {0} cannot be read: the validator may run another release. Ask another one with --validator"
    )]
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
        (Some(count), Some(network)) => network.client_seed()?.public_keys(chain, 0..count),
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
        Some(charter) => roles_of(&charter.roles),
        None if is_all(&args.roles) => Roles::default(),
        None => return Err(GovernanceError::NotAll.into()),
    };
    let proposed = with(present, &args.roles);
    if proved.is_some() && proposed == present {
        return Err(GovernanceError::NoChange(chain).into());
    }
    // What a chain is never changes; of one that is created later, only a validator knows it.
    let genesis = network.as_ref().and_then(|network| network.genesis.chain(chain));
    let is = proved.map(|charter| (kind(charter.kind), Asset(charter.asset)));
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
    let administrator = AccountId(args.administrator);
    let mut client = asked_first(how, network.as_ref())?;
    let mut consents = Consents::encode(Vec::new());
    if let Some(client) = &mut client {
        checks::require_administrator(client, network.as_ref(), (chain, administrator))?;
        let (found, height, _) = record(client, chain, &proposal)?;
        let Some(found) = found else {
            eprintln!(
                "nobody has proposed {proposal} (at height {height}); `millrace chain proposals` lists what is open"
            );
            return Ok(false);
        };
        let decision = found.decision.clone();
        let found = Found::asked((proposal, found), height, (&mut *client, network.as_ref(), chain))?;
        if let Some(why) = checks::cannot_be_approved(&found, administrator) {
            eprintln!("nothing was signed: {why}");
            return Ok(false);
        }
        if !how.json {
            println!("you approve: {}", in_words(&decision));
        }
        examine(client, network.as_ref(), chain, (&decision, how.json))?;
        if let Decision::Members(change) = &decision {
            consents = members::consents(client, network.as_ref(), (change, how.json))?;
        }
    } else {
        eprintln!(
            "note: nobody is asked with --offline. If this is the last approval of a change of the members, it lacks their \
             consents, and `millrace submit` refuses it"
        );
    }
    let version = version(client.as_mut(), network.as_ref(), chain, args.administrators_version)?;
    complete(&args.how, network.as_ref(), Place { chain, account: administrator }, |terms, network, key| {
        let Terms { key_version, reference, nonce, expiry } = terms;
        let administrators = version;
        let approve = Approve {
            chain,
            key_version,
            reference,
            administrator,
            proposal,
            administrators,
            consents: Consents::read(&consents)?,
            nonce,
            expiry,
        };
        approve.sign(network, |message| key.sign(message))
    })
}

/// The validator that is asked before anything is signed; none with --offline.
fn asked_first(how: &SigningArgs, network: Option<&Network>) -> Result<Option<Client>> {
    if how.offline.is_some() {
        return Ok(None);
    }
    let mut client = validator_of(how, network)?;
    require_member(&mut client, network)?;
    Ok(Some(client))
}

fn propose(by: &ProposingArgs, network: Option<&Network>, decision: &Decision) -> Result<bool> {
    if let Some(wrong) = unfit::decision(decision) {
        return Err(GovernanceError::Invalid(wrong).into());
    }
    let chain = deciding(network)?;
    if !by.how.json {
        println!("you propose: {}", in_words(decision));
    }
    let administrator = AccountId(by.administrator);
    let mut client = asked_first(&by.how, network)?;
    let mut consents = Consents::encode(Vec::new());
    if let Some(client) = &mut client {
        checks::require_administrator(client, network, (chain, administrator))?;
        if let Decision::Administrators(council) = decision {
            for account in &council.accounts {
                if let Some(why) = missing(client, chain, *account)? {
                    eprintln!("account {account} cannot be an administrator: {why}");
                    return Ok(false);
                }
            }
        }
        examine(client, network, chain, (decision, by.how.json))?;
        if let Decision::Members(change) = decision {
            consents = members::consents(client, network, (change, by.how.json))?;
        }
    }
    let version = version(client.as_mut(), network, chain, by.administrators_version)?;
    let until_ms = Clock::start().moment().unix_ms.saturating_add(by.for_minutes.saturating_mul(60_000));
    let encoded = decision.encode();
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
            consents: Consents::read(&consents)?,
            decision,
            nonce,
            expiry,
        };
        propose.sign(network, |message| key.sign(message))
    })
}

/// The chain that decides.
fn deciding(network: Option<&Network>) -> Result<ChainId, GovernanceError> {
    let Some(network) = network else { return Ok(UNNAMED) };
    network.genesis.governance().map(|chain| chain.id).ok_or(GovernanceError::NoAdministrators)
}

/// Which version of the administrators decides now: the one that is named, or what a validator says. A validator that
/// lies makes the transaction fail, and no more.
fn version(
    client: Option<&mut Client>,
    network: Option<&Network>,
    chain: ChainId,
    named: Option<u64>,
) -> Result<u64> {
    match (named, client) {
        (Some(version), _) => Ok(version),
        (None, None) => Ok(1),
        (None, Some(client)) => administrators_version(client, network, chain),
    }
}

/// Says what a decision would change, and warns of roles that nobody would have.
fn examine(
    client: &mut Client,
    network: Option<&Network>,
    governance: ChainId,
    (decision, json): (&Decision, bool),
) -> Result<()> {
    if !json {
        print_changes(changes(client, network, governance, decision)?.as_deref());
    }
    if matches!(decision, Decision::Roles(..) | Decision::Administrators(_)) {
        let (all, ..) = proposals::all(client, network, governance)?;
        for found in all.iter().filter(|found| found.replaces(decision)) {
            eprintln!(
                "warning: proposal {} about the same ({}) is decided and takes effect from height {} on; what this one \
                 changes is compared with what is in effect now, and what takes effect later replaces all of it",
                found.proposal,
                in_words(&found.record.decision),
                found.record.decided.map_or(0, |(_, since)| since.0)
            );
        }
    }
    let Decision::Roles(chain, roles) = decision else { return Ok(()) };
    for (role, account) in unfit::holders(roles) {
        if let Some(why) = missing(client, *chain, account)? {
            eprintln!("warning: {why}; if that is so when this takes effect, nobody becomes the {role}");
        }
    }
    Ok(())
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
    roles.quota = typed.quota.map_or(roles.quota, Quota);
    roles
}
