//! Paying and ordering from the command line: a transaction is signed, submitted and followed to its end.
//!
//! ```text
//! transfer, freeze, issue.. ── account? ──▶ nonce, key version ── sign ──▶ submit ──▶ verdict ──▶ where it is
//!                              is it the account's key? ─┘           │
//!                                                                    └─ --offline ──▶ FILE ─ ─ later ─ ─▶ submit
//! ```
//!
//! Submitting the same bytes again is safe: a nonce is spent once, and who submits again is told what became of the
//! first.

mod file;
mod payments;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use client::{Client, ClientError, FoundTransaction};
use engine::execute::WindowRefusal;
use engine::limits::MEMO_BYTES_MAX;
use engine::types::{
    AccountId, Action, ChainId, Command, Content, Digest, FIRST_KEY_VERSION, Frozen, Height, Linked,
    Malformed, Outcome, Payment, Payments, Refusal, Registrar, Roles, Transaction, TransactionId, Transfer,
    Verdict,
};
use kernels::ed25519::SigningKey;
use serde_json::json;

pub use self::file::{FileError, SignedFile};
pub use self::payments::PaymentsError;
use crate::cli::{
    AuthorityArgs, BurnArgs, FreezeArgs, IssueArgs, MemoArgs, Place, SigningArgs, SubmitArgs, TransferArgs,
    UnfreezeArgs, WhomArgs, on_network, print_json, quoted, rows,
};
use crate::governance::{proposals, require_consents};
use crate::keys::{self, Source};
use crate::network::Network;
use crate::query::{Asked, charter, connect, network_of, print, reach, require_member, reservations};

/// How many heights after the present one a transfer may execute, if nothing else is said.
const EXPIRES_AFTER: u64 = 1_000;
/// How long a verdict may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a block that is executed may take to be durable.
const DURABLE_WITHIN: Duration = Duration::from_secs(2);
/// How often an earlier submission is asked for.
const POLL: Duration = Duration::from_millis(100);

/// What a transaction needs beside what it does.
pub(crate) struct Terms {
    pub(crate) key_version: u32,
    pub(crate) reference: [u8; 12],
    pub(crate) nonce: u64,
    pub(crate) expiry: Height,
}

/// Signs a transfer, and submits it or writes it into a file; `false` if it is not committed.
///
/// # Errors
/// The key, the network or the account is not there, no validator answers, or the file cannot be written.
pub fn transfer(args: &TransferArgs) -> Result<bool> {
    let (from, memo) = (args.from, memo_of(&args.memo)?);
    let (to, amount) = match (&args.payments, args.to, args.amount) {
        (Some(file), ..) => return linked_of(args, file, &memo),
        (None, Some(to), Some(amount)) => (to, amount),
        _ => unreachable!("clap asks for --to and --amount where there is no --payments"),
    };
    let credit_chain = (from.chain != to.chain).then_some(to.chain);
    if !memo.is_empty() {
        if credit_chain.is_some() {
            return Err(TransferError::MemoAcross.into());
        }
        return linked(args, &[Payment { to: to.account, amount }], &memo);
    }
    if credit_chain.is_some() && u32::try_from(to.account.0).is_err() {
        return Err(TransferError::Credit(to.account).into());
    }
    let network = network_of(args.how.network.as_deref())?;
    complete(&args.how, network.as_ref(), from, |terms, network, key| {
        let Terms { key_version, reference, nonce, expiry } = terms;
        let (chain, debit, credit) = (from.chain, from.account, to.account);
        let transfer =
            Transfer { chain, key_version, reference, debit, credit_chain, credit, amount, nonce, expiry };
        transfer.sign(network, |message| key.sign(message)).run().transaction()
    })
}

/// Pays what a file lists, all or none. Where that is refused or fails, it says which lines name an account that is not
/// there or cannot be paid now.
fn linked_of(args: &TransferArgs, file: &Path, memo: &[u8]) -> Result<bool> {
    let lines = payments::read(file)?;
    let all: Vec<Payment> = lines.iter().map(|(_, payment)| *payment).collect();
    let committed = linked(args, &all, memo)?;
    if committed || args.how.json {
        return Ok(committed);
    }
    let network = network_of(args.how.network.as_deref())?;
    let client = match &network {
        Some(network) => validator_of(&args.how, Some(network)).ok(),
        None => None,
    };
    let Some(mut client) = client else { return Ok(committed) };
    for (line, payment) in lines {
        match client.account(args.from.chain, payment.to) {
            Err(ClientError::NotFound { .. }) => {
                println!("line {line}: chain {} has no account {}", args.from.chain, payment.to);
            }
            Ok(answer) => {
                if let Err(reason) = answer.value.proof.flags.credit() {
                    println!("line {line}: nothing can be paid to account {}: {reason}", payment.to);
                }
            }
            Err(_) => break,
        }
    }
    Ok(committed)
}

/// Pays all or none.
fn linked(args: &TransferArgs, payments: &[Payment], memo: &[u8]) -> Result<bool> {
    let network = network_of(args.how.network.as_deref())?;
    let encoded: Vec<_> = payments.iter().map(Payment::encode).collect();
    complete(&args.how, network.as_ref(), args.from, |terms, network, key| {
        let Terms { key_version, reference, nonce, expiry } = terms;
        let (chain, debit, payments) = (args.from.chain, args.from.account, Payments::of(&encoded));
        let linked = Linked { chain, key_version, reference, debit, payments, memo, nonce, expiry };
        linked.sign(network, |message| key.sign(message))
    })
}

/// What is added: text, or the hash of something longer.
///
/// # Errors
/// [`TransferError::Memo`].
pub(crate) fn memo_of(args: &MemoArgs) -> Result<Vec<u8>, TransferError> {
    let memo = match (&args.memo, args.memo_hash) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(hash)) => hash.0.to_vec(),
        (None, None) => Vec::new(),
    };
    if memo.len() > MEMO_BYTES_MAX { Err(TransferError::Memo(memo.len())) } else { Ok(memo) }
}

/// Freezes an account; `false` if that is not committed.
///
/// # Errors
/// As for [`transfer()`], or nobody holds the role.
pub fn freeze(args: &FreezeArgs) -> Result<bool> {
    let frozen = match (args.debit, args.credit) {
        (true, false) => Frozen::DEBIT,
        (false, true) => Frozen::CREDIT,
        _ => Frozen::BOTH,
    };
    let Place { chain, account } = args.account;
    order(&args.by, (chain, Role::Freezer), Action::Freeze { account, frozen })
}

/// Opens an account again, both ways; `false` if that is not committed.
///
/// # Errors
/// As for [`freeze()`].
pub fn unfreeze(args: &UnfreezeArgs) -> Result<bool> {
    let Place { chain, account } = args.account;
    let action = Action::Freeze { account, frozen: Frozen::NONE };
    order(&args.by, (chain, Role::Freezer), action)
}

/// Issues money; `false` if that is not committed.
///
/// # Errors
/// As for [`freeze()`].
pub fn issue(args: &IssueArgs) -> Result<bool> {
    let action = Action::Issue { to: args.to.account, amount: args.amount };
    order(&args.by, (args.to.chain, Role::Issuer), action)
}

/// Burns money of the issuer; `false` if that is not committed.
///
/// # Errors
/// As for [`freeze()`].
pub fn burn(args: &BurnArgs) -> Result<bool> {
    order(&args.by, (ChainId(args.chain), Role::Issuer), Action::Burn { amount: args.amount })
}

/// What an authority of a chain may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It issues and burns.
    Issuer,
    /// It freezes and unfreezes.
    Freezer,
    /// It opens accounts.
    Registrar,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Freezer => "freezer",
            Self::Registrar => "registrar",
        }
    }
}

/// The account that holds a role: the one that is named, or the one that the chain has.
pub(crate) fn holder(
    named: Option<u64>,
    (network, whom): (Option<&Network>, &WhomArgs),
    (chain, role): (ChainId, Role),
) -> Result<AccountId> {
    match (named, network) {
        (Some(account), _) => Ok(AccountId(account)),
        (None, None) => Err(TransferError::NoAuthority(role.name()).into()),
        (None, Some(network)) => {
            let roles = roles_of(network, whom, chain)?;
            let holder = match (role, roles.registrar) {
                (Role::Issuer, _) => roles.issuer,
                (Role::Freezer, _) => roles.freezer,
                (Role::Registrar, Registrar::Account(account)) => Some(account),
                (Role::Registrar, Registrar::Anyone) => return Err(TransferError::AnyRegistrar(chain).into()),
                (Role::Registrar, Registrar::Nobody) => None,
            };
            holder.ok_or(TransferError::NoHolder(chain, role.name()).into())
        }
    }
}

/// Who may order what on a chain: by its genesis, or, where administrators may have decided since, by a validator.
fn roles_of(network: &Network, whom: &WhomArgs, chain: ChainId) -> Result<Roles> {
    if !network.genesis.may_have(chain) {
        return Err(TransferError::Chain(chain).into());
    }
    let of_genesis = network.genesis.chain(chain).map(|of| of.roles);
    if let (None, Some(roles)) = (network.genesis.governance(), of_genesis) {
        return Ok(roles);
    }
    let now = reach(whom, Some(network)).and_then(|mut client| charter(&mut client, network, chain));
    // Who signs without a validator may be wrong, and then the chain says so.
    now.map(|now| now.roles).or_else(|error| of_genesis.ok_or(error))
}

fn order(by: &AuthorityArgs, (chain, role): (ChainId, Role), action: Action) -> Result<bool> {
    let how = &by.how;
    let network = network_of(how.network.as_deref())?;
    let authority = holder(by.authority, (network.as_ref(), &how.whom()), (chain, role))?;
    complete(how, network.as_ref(), Place { chain, account: authority }, |terms, network, key| {
        let Terms { key_version, reference, nonce, expiry } = terms;
        let command = Command { chain, key_version, reference, authority, action, nonce, expiry };
        command.sign(network, |message| key.sign(message)).run().transaction()
    })
}

/// Signs for the account `signer`, and submits it or writes it into a file.
pub(crate) fn complete(
    how: &SigningArgs,
    network: Option<&Network>,
    signer: Place,
    sign: impl FnOnce(Terms, &Digest, &SigningKey) -> Result<Transaction, Malformed>,
) -> Result<bool> {
    let reference = reference(how.reference.as_deref().unwrap_or_default())?;
    // Accounts that were opened later are not in the genesis; a validator knows them.
    let listed = match network {
        Some(network) if !network.genesis.may_have(signer.chain) => {
            return Err(TransferError::Chain(signer.chain).into());
        }
        Some(network) => genesis_key(network, signer).ok(),
        None => None,
    };
    let network_id = network_id(network, how.network_id)?;
    let key = signing_key(how, network, signer)?;
    if let Some(file) = &how.offline {
        let (Some(nonce), Some(expiry)) = (how.nonce, how.expiry) else {
            bail!("without a validator nobody says which nonce is next: add --nonce and --expiry");
        };
        // Later keys are not in the genesis.
        if let Some(listed) = listed.filter(|_| how.key_version == FIRST_KEY_VERSION) {
            check_key(&key, &listed, signer)?;
        }
        let terms = Terms { key_version: how.key_version, reference, nonce, expiry: Height(expiry) };
        let transaction = sign(terms, &network_id, &key)?;
        SignedFile::new(&network_id, &transaction).write(file)?;
        if how.json {
            let signed = json!({ "id": transaction.id(&network_id), "file": file });
            return print_json(&print::with_content(signed, &transaction));
        }
        println!("signed, not submitted: {}", file.display());
        let mut shown = vec![
            ("transaction", transaction.id(&network_id).to_string()),
            ("says", print::says(&transaction)),
        ];
        if let Ok(Content::Propose(propose)) = transaction.run().content() {
            shown.push(("proposal", propose.proposal().to_string()));
        }
        shown.extend(reservations::made_row(&transaction));
        rows(&shown);
        let directory = how.network.as_deref().unwrap_or(Path::new("DIR"));
        println!("submit it with:  millrace submit {} --network {}", quoted(file), quoted(directory));
        return Ok(true);
    }
    let mut client = validator_of(how, network)?;
    require_member(&mut client, network)?;
    let account = client.account(signer.chain, signer.account)?;
    let proof = &account.value.proof;
    check_key(&key, &proof.key.0, signer)?;
    let nonce = how.nonce.unwrap_or_else(|| print::next_nonce(proof.window_base, proof.window_used));
    let expiry = how.expiry.unwrap_or_else(|| account.as_of.height.0.saturating_add(EXPIRES_AFTER));
    let terms = Terms { key_version: proof.key_version, reference, nonce, expiry: Height(expiry) };
    let transaction = sign(terms, &network_id, &key)?;
    let kept = Kept { network: how.network.clone(), ..Kept::new(Path::new(""), &network_id, &transaction) };
    let committed = follow(&mut client, network, &transaction, how.json).with_context(|| kept.advice())?;
    kept.forget();
    Ok(committed)
}

/// The network id under which is signed: that of the network at hand, or the one that is named.
pub(crate) fn network_id(network: Option<&Network>, named: Option<Digest>) -> Result<Digest, TransferError> {
    let at_hand = network.map(|network| *network.genesis.network());
    at_hand.or(named).ok_or(TransferError::NoNetwork)
}

/// The validator that is to be asked and told.
pub(crate) fn validator_of(how: &SigningArgs, network: Option<&Network>) -> Result<Client> {
    if network.is_none() && how.endpoint.is_none() {
        return Err(TransferError::NoValidator.into());
    }
    reach(&how.whom(), network)
}

/// The bytes of a transaction that may have been submitted and is not decided yet: submitting them again is safe, and
/// signing anew might do the same a second time.
struct Kept {
    /// The directory of the network, if it is a local one.
    network: Option<PathBuf>,
    id: TransactionId,
    file: Result<PathBuf, String>,
}

impl Kept {
    /// Writes them into a new file of a directory, before they are submitted.
    fn new(directory: &Path, network: &Digest, transaction: &Transaction) -> Self {
        let (id, signed) = (transaction.id(network), SignedFile::new(network, transaction));
        let mut name = id.to_string();
        name.truncate(16);
        let file = directory.join(format!("transaction-{name}.json"));
        let is_there = || SignedFile::read(&file).is_ok_and(|there| there == signed);
        let written = signed.write(&file).or_else(|error| if is_there() { Ok(()) } else { Err(error) });
        if let Err(error) = &written {
            let bytes = hex::encode(transaction.bytes());
            eprintln!("{error}; if you hear no verdict, submit these bytes again: {bytes}");
        }
        Self { network: None, id, file: written.map(|()| file).map_err(|error| error.to_string()) }
    }

    fn advice(&self) -> String {
        let kept = match &self.file {
            Ok(file) => {
                let network = on_network(self.network.as_deref());
                let (shown, file) = (file.display(), quoted(file));
                format!("its bytes are in {shown}, and `millrace submit {file}{network}` is safe")
            }
            Err(_) => "ask for it before you sign anew".to_owned(),
        };
        format!("transaction {} was submitted, and nobody has said what became of it; {kept}", self.id)
    }

    /// It is decided.
    fn forget(self) {
        if let Ok(file) = self.file {
            // One that stays is safe to submit.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Submits a transaction that was signed into a file; `false` if it is not committed.
///
/// # Errors
/// The file is not one, belongs to another network, or no validator answers.
pub fn submit(args: &SubmitArgs) -> Result<bool> {
    let signed = SignedFile::read(&args.file)?;
    let Asked { mut client, network, .. } = connect(&args.whom)?;
    let transaction = signed.transaction_for(client.network(), &args.file)?;
    require_member(&mut client, network.as_ref())?;
    require_consents(&mut client, network.as_ref(), &transaction)?;
    follow(&mut client, network.as_ref(), &transaction, args.json)
}

/// What is typed and cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The genesis does not have the account that signs.
    #[error("the genesis has no account {0}:{1}")]
    Account(ChainId, AccountId),
    /// The key is another one than the account's.
    #[error(
        "the key of account {}:{} is {}, but the key file has {}; name the key file of this account with --key",
        place.chain, place.account, hex::encode(expected), hex::encode(found)
    )]
    OtherKey {
        /// The account that signs.
        place: Place,
        /// The account's public key.
        expected: [u8; 32],
        /// The public key at hand.
        found: [u8; 32],
    },
    /// Nothing says which key to sign with.
    #[error("without --network the key must be in a file: add --key FILE")]
    NoKey,
    /// A passphrase for nothing.
    #[error("--passphrase-file and --passphrase-env are for a key file: add --key FILE, or leave them out")]
    NoKeyFile,
    /// Nothing says for which network to sign.
    #[error("name the network with --network DIR or --network-id HEX")]
    NoNetwork,
    /// Nothing says which validator to submit to.
    #[error(
        "name a validator with --endpoint and --fingerprint, a local network with --network, or sign into a file with \
         --offline"
    )]
    NoValidator,
    /// The reference is too long.
    #[error("a reference has at most 12 bytes; \"{0}\" has {len}", len = .0.len())]
    Reference(String),
    /// The network has no such chain.
    #[error("the network has no chain {0}; `millrace chain list` shows them")]
    Chain(ChainId),
    /// Nobody may order that on this chain.
    #[error(
        "chain {0} has no {1}: roles are given in the file of `network init --chains`, or by `millrace chain roles`"
    )]
    NoHolder(ChainId, &'static str),
    /// Nothing says who orders.
    #[error("without --network the {0} of the chain is not known: add --authority ACCOUNT")]
    NoAuthority(&'static str),
    /// A memo travels only within a chain.
    #[error("a payment to another chain takes no memo: leave out --memo and --memo-hash")]
    MemoAcross,
    /// The memo is too long.
    #[error(
        "a memo has at most {MEMO_BYTES_MAX} bytes; this one has {0}: give its SHA-256 with --memo-hash instead"
    )]
    Memo(usize),
    /// Every account of the chain may open others.
    #[error(
        "any account of chain {0} can open others: name the one that signs with --authority or --registrar"
    )]
    AnyRegistrar(ChainId),
    /// The credit account on another chain does not fit into the packet.
    #[error("an account on another chain has a number below 2^32; {0} is too large")]
    Credit(AccountId),
}

/// The key that the genesis lists for an account.
///
/// # Errors
/// [`TransferError::Account`].
pub(crate) fn genesis_key(network: &Network, place: Place) -> Result<[u8; 32], TransferError> {
    let account = network.genesis.account(place.chain, place.account);
    account.map(|account| account.public_key).ok_or(TransferError::Account(place.chain, place.account))
}

/// The key of the account that signs: from its file, or from the secret of a network with test money.
fn signing_key(how: &SigningArgs, network: Option<&Network>, signer: Place) -> Result<SigningKey> {
    let passphrase = Source::of(&how.passphrase);
    match (&how.key, network) {
        (Some(file), _) => Ok(keys::read(file, &passphrase)?.0.signing_key()),
        (None, _) if passphrase != Source::Terminal => Err(TransferError::NoKeyFile.into()),
        (None, Some(network)) => Ok(network.client_seed()?.signing_key(signer.chain, signer.account)),
        (None, None) => Err(TransferError::NoKey.into()),
    }
}

/// Refuses to sign with another key than the account's: a validator would only say *bad signature*.
fn check_key(key: &SigningKey, expected: &[u8; 32], place: Place) -> Result<(), TransferError> {
    let (found, expected) = (key.public_key(), *expected);
    if found == expected { Ok(()) } else { Err(TransferError::OtherKey { place, expected, found }) }
}

/// The client's own reference from text.
///
/// # Errors
/// [`TransferError::Reference`].
pub(crate) fn reference(text: &str) -> Result<[u8; 12], TransferError> {
    let mut bytes = [0; 12];
    let place = bytes.get_mut(..text.len()).ok_or_else(|| TransferError::Reference(text.to_owned()))?;
    place.copy_from_slice(text.as_bytes());
    Ok(bytes)
}

/// Submits, waits for the verdict, and says what became of it.
fn follow(
    client: &mut Client,
    network: Option<&Network>,
    transaction: &Transaction,
    json: bool,
) -> Result<bool> {
    let id = transaction.id(client.network());
    if !json {
        println!("transaction {id}");
    }
    let told = verdict(client, transaction)?;
    let found = match told {
        told if may_be_earlier(told) => earlier(client, transaction, &id, told)?,
        told => client.check(&id, told)?,
    };
    let told = match &found {
        // What was waiting had the same nonce and was something else.
        None if told == Verdict::Refused(Refusal::DuplicatePending) && is_spent(client, transaction)? => {
            Verdict::Refused(Refusal::Replayed)
        }
        None if told == Verdict::Refused(Refusal::DuplicatePending) => {
            bail!("the validator has transaction {id} waiting, and it is not decided within {PATIENCE:?}")
        }
        None => told,
        Some(found) => match found.transaction.final_outcome() {
            Some(outcome) => outcome.into(),
            None => bail!(
                "the payment of transaction {id} is in flight; ask for it later, or submit the same again"
            ),
        },
    };
    let committed = told == Verdict::Committed;
    let proposal = if committed { proposals::after(client, network, transaction) } else { None };
    let why = proposals::why(told, transaction).or_else(|| not_a_member(told));
    if json {
        let mut all = json!({
            "id": id,
            "committed": committed,
            "verdict": told.to_string(),
            "transaction": found.as_ref().map(|found| &found.transaction),
        });
        if let Some(proposal) = proposal {
            all["proposal"] = proposal.fields();
        }
        if let Some(why) = why {
            all["why"] = json!(why);
        }
        print_json(&print::with_content(all, transaction))?;
        return Ok(committed);
    }
    let block = match found {
        None => "none".to_owned(),
        Some(FoundTransaction { transaction: answer, .. }) if answer.opened.is_some() => {
            print::opened(&answer, transaction)
        }
        Some(FoundTransaction { transaction: answer, .. }) => match answer.crossing {
            None => format!("{} at height {}", answer.outcome, answer.height),
            Some(_) => print::outcome(&answer, transaction),
        },
    };
    let mut shown = vec![("verdict", told.to_string())];
    shown.extend(why.map(|why| ("why", why)));
    shown.push(("says", print::says(transaction)));
    if let (true, Ok(Content::Propose(propose))) = (committed, transaction.run().content()) {
        shown.push(("proposal", propose.proposal().to_string()));
    }
    if committed {
        shown.extend(reservations::made_row(transaction));
    }
    shown.extend([
        ("chain", transaction.chain().to_string()),
        ("nonce", transaction.nonce().to_string()),
        ("block", block),
    ]);
    shown.extend(proposal.iter().map(|proposal| ("fate", proposal.fate.clone())));
    rows(&shown);
    if let Some(next) = proposal.and_then(|proposal| proposal.next(network)) {
        println!("{next}");
    }
    Ok(committed)
}

/// What helps where the validator has left the members since it was asked.
fn not_a_member(told: Verdict) -> Option<String> {
    (told == Verdict::Refused(Refusal::NotMember)).then(|| {
        "the validator has just left the members: submit the same bytes to another one (`millrace chain members`)".to_owned()
    })
}

/// What the validator says of one transaction.
fn verdict(client: &mut Client, transaction: &Transaction) -> Result<Verdict> {
    let tag = client.submit(transaction.run().packets())?.start;
    let notices = client.notices(PATIENCE).map_err(|error| match error {
        ClientError::Silent(_) => anyhow::Error::new(error)
            .context(format!("no verdict within {PATIENCE:?}; is a quorum of the validators up?")),
        error => anyhow::Error::new(error).context("the validator is gone, and its verdict with it"),
    })?;
    // Nothing else was submitted on this connection.
    let notice = notices.iter().find(|notice| notice.tag == tag);
    notice
        .map(|notice| notice.verdict)
        .context("the validator told of another transaction than was submitted")
}

/// Whether a verdict may speak of these very bytes, submitted before: they have spent the nonce, they wait already, or
/// they were in a block before they expired.
fn may_be_earlier(told: Verdict) -> bool {
    matches!(
        told,
        Verdict::Refused(
            Refusal::Replayed | Refusal::DuplicatePending | Refusal::Expired | Refusal::WrongKeyVersion
        ) | Verdict::Failed(Outcome::Replayed)
    )
}

/// The transaction of this id with its end, if it was submitted before. What waits already gets as long as any verdict;
/// otherwise it is in a block that this validator has executed, and shows as soon as that is durable.
fn earlier(
    client: &mut Client,
    transaction: &Transaction,
    id: &TransactionId,
    told: Verdict,
) -> Result<Option<FoundTransaction>> {
    let waits = told == Verdict::Refused(Refusal::DuplicatePending);
    let mut found = None;
    let mut waited = Duration::ZERO;
    while waited < if waits || found.is_some() { PATIENCE } else { DURABLE_WITHIN } {
        match client.transaction(None, id) {
            Ok(answer) if answer.value.transaction.final_outcome().is_some() => {
                return Ok(Some(answer.value));
            }
            Ok(answer) => found = Some(answer.value),
            Err(ClientError::NotFound { .. }) if waits && is_spent(client, transaction)? => {
                // Asked once more: the block may have been committed between both questions.
                return match client.transaction(None, id) {
                    Ok(answer) => Ok(Some(answer.value)),
                    Err(ClientError::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error.into()),
                };
            }
            Err(ClientError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        std::thread::sleep(POLL);
        waited += POLL;
    }
    Ok(found)
}

/// Whether the account of a transaction has spent its nonce, with this transaction or with another.
fn is_spent(client: &mut Client, transaction: &Transaction) -> Result<bool> {
    let proof = client.account(transaction.chain(), transaction.debit())?.value.proof;
    Ok(proof.state().window.with(transaction.nonce()) == Err(WindowRefusal::Replayed))
}

#[cfg(test)]
mod tests;
