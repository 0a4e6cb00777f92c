//! Paying from the command line: a transfer is signed, submitted and followed to its end.
//!
//! ```text
//! transfer ── account? ──▶ nonce, key version ── sign ──▶ submit ──▶ verdict ──▶ where it is, on both chains
//!     │                    is it the account's key? ─┘
//!     └─ --offline ── sign ──▶ FILE ─ ─ ─ on another machine, later ─ ─ ─▶ submit
//! ```
//!
//! Submitting the same bytes again is safe: a nonce is spent once, and who submits again is told what became of the
//! first.

mod file;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use client::{Client, ClientError, FoundTransaction};
use engine::types::{
    AccountId, ChainId, Digest, GENESIS_KEY_VERSION, Height, Outcome, Packet, Refusal, TransactionId,
    Transfer, Verdict,
};
use kernels::ed25519::SigningKey;
use serde_json::json;

pub use self::file::{FileError, SignedFile};
use crate::cli::{Place, SubmitArgs, TransferArgs, print_json, rows};
use crate::keys::{self, Source};
use crate::network::Network;
use crate::query::{connect, connect_member, connect_to, print};

/// How many heights after the present one a transfer may execute, if nothing else is said.
const EXPIRES_AFTER: u64 = 1_000;
/// How long a verdict may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a block that is executed may take to be durable.
const DURABLE_WITHIN: Duration = Duration::from_secs(2);
/// How often an earlier submission is asked for.
const POLL: Duration = Duration::from_millis(100);

/// Signs a transfer, and submits it or writes it into a file; `false` if it is not committed.
///
/// # Errors
/// The key, the network or the account is not there, no validator answers, or the file cannot be written.
pub fn transfer(args: &TransferArgs) -> Result<bool> {
    let reference = reference(args.reference.as_deref().unwrap_or_default())?;
    let network = args.network.as_ref().map(|directory| Network::load(directory)).transpose()?;
    let listed = network.as_ref().map(|network| genesis_key(network, args.from)).transpose()?;
    let network_id = match (&network, args.network_id) {
        (Some(network), _) => *network.genesis.network(),
        (None, Some(id)) => id,
        (None, None) => return Err(TransferError::NoNetwork.into()),
    };
    let key = payer_key(args, network.as_ref())?;
    if let Some(file) = &args.offline {
        let (Some(nonce), Some(expiry)) = (args.nonce, args.expiry) else {
            bail!("without a validator nobody says which nonce is next: add --nonce and --expiry");
        };
        // Later keys are not in the genesis.
        if let Some(listed) = listed.filter(|_| args.key_version == GENESIS_KEY_VERSION) {
            check_key(&key, &listed, args.from)?;
        }
        let packet = sign(&key, &network_id, args, reference, (args.key_version, nonce, Height(expiry)))?;
        SignedFile::new(&network_id, packet).write(file)?;
        if args.json {
            let transfer = packet.transfer().context("the transaction's bytes")?;
            return print_json(&json!({
                "id": packet.id(&network_id),
                "file": file,
                "transfer": print::transfer(&transfer),
            }));
        }
        println!("signed, not submitted: {}", file.display());
        println!("submit it with:  millrace submit {} --network DIR", file.display());
        return Ok(true);
    }
    let mut client = match (&network, args.endpoint, args.fingerprint) {
        (Some(network), ..) => connect_member(network, args.validator)?,
        (None, Some(endpoint), Some(fingerprint)) => connect_to(endpoint, fingerprint, network_id)?,
        (None, ..) => return Err(TransferError::NoValidator.into()),
    };
    let account = client.account(args.from.chain, args.from.account)?;
    let proof = &account.value.proof;
    check_key(&key, &proof.key.0, args.from)?;
    let nonce = args.nonce.unwrap_or_else(|| print::next_nonce(proof.window_base, proof.window_used));
    let expiry = args.expiry.unwrap_or_else(|| account.as_of.height.0.saturating_add(EXPIRES_AFTER));
    let packet = sign(&key, &network_id, args, reference, (proof.key_version, nonce, Height(expiry)))?;
    follow(&mut client, &network_id, packet, args.json)
}

/// Submits a transaction that was signed into a file; `false` if it is not committed.
///
/// # Errors
/// The file is not one, belongs to another network, or no validator answers.
pub fn submit(args: &SubmitArgs) -> Result<bool> {
    let signed = SignedFile::read(&args.file)?;
    let mut asked = connect(&args.whom)?;
    let network = *asked.client.network();
    let packet = signed.packet_for(&network, &args.file)?;
    follow(&mut asked.client, &network, packet, args.json)
}

/// What is typed and cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The genesis does not have the account that pays, so nobody has its key.
    #[error("the network has no account {0}:{1}")]
    Account(ChainId, AccountId),
    /// The key is another one than the account's.
    #[error(
        "the key of account {}:{} is {}, but the key file has {}; name the key file of this account with --key",
        place.chain, place.account, hex::encode(expected), hex::encode(found)
    )]
    OtherKey {
        /// The account that pays.
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

/// The key of the account that pays: from its file, or from the secret of a network with test money.
fn payer_key(args: &TransferArgs, network: Option<&Network>) -> Result<SigningKey> {
    let passphrase = Source::of(&args.passphrase);
    match (&args.key, network) {
        (Some(file), _) => Ok(keys::read(file, &passphrase)?.0.signing_key()),
        (None, _) if passphrase != Source::Terminal => Err(TransferError::NoKeyFile.into()),
        (None, Some(network)) => Ok(network.client_seed.signing_key(args.from.chain, args.from.account)),
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

fn sign(
    key: &SigningKey,
    network: &Digest,
    args: &TransferArgs,
    reference: [u8; 12],
    (key_version, nonce, expiry): (u32, u64, Height),
) -> Result<Packet, TransferError> {
    let (from, to) = (args.from, args.to);
    let credit_chain = (from.chain != to.chain).then_some(to.chain);
    if credit_chain.is_some() && u32::try_from(to.account.0).is_err() {
        return Err(TransferError::Credit(to.account));
    }
    let (chain, debit, credit, amount) = (from.chain, from.account, to.account, args.amount);
    let transfer =
        Transfer { chain, key_version, reference, debit, credit_chain, credit, amount, nonce, expiry };
    Ok(transfer.sign(network, |message| key.sign(message)))
}

/// Submits, waits for the verdict, and says what became of it.
fn follow(client: &mut Client, network: &Digest, packet: Packet, json: bool) -> Result<bool> {
    let transfer = packet.transfer().context("the transaction's bytes")?;
    let id = packet.id(network);
    let told = verdict(client, packet)?;
    let found = match told {
        told if may_be_earlier(told) => earlier(client, &id, told)?,
        told => client.check(&id, told)?,
    };
    let told = match &found {
        None => told,
        Some(found) => match found.transaction.final_outcome() {
            Some(outcome) => outcome.into(),
            None => bail!(
                "the payment of transaction {id} is in flight; ask for it later, or submit the same again"
            ),
        },
    };
    let committed = told == Verdict::Committed;
    if json {
        let transaction = found.as_ref().map(|found| &found.transaction);
        let all = json!({
            "id": id,
            "committed": committed,
            "verdict": told.to_string(),
            "transfer": print::transfer(&transfer),
            "transaction": transaction,
        });
        print_json(&all)?;
        return Ok(committed);
    }
    let place = |chain: ChainId, account: AccountId| format!("account {account} of chain {chain}");
    let block = match found {
        None => "none".to_owned(),
        Some(FoundTransaction { transaction, .. }) => match transaction.crossing {
            None => format!("{} at height {}", transaction.outcome, transaction.height),
            Some(_) => print::outcome(&transaction),
        },
    };
    println!("transaction {id}");
    rows(&[
        ("verdict", told.to_string()),
        ("amount", crate::cli::grouped(transfer.amount)),
        ("from", place(transfer.chain, transfer.debit)),
        ("to", place(transfer.credit_chain.unwrap_or(transfer.chain), transfer.credit)),
        ("nonce", transfer.nonce.to_string()),
        ("block", block),
    ]);
    Ok(committed)
}

/// What the validator says of one transaction.
fn verdict(client: &mut Client, packet: Packet) -> Result<Verdict> {
    let tag = client.submit(&[packet])?.start;
    let notices = client.notices(PATIENCE).with_context(|| {
        format!("no verdict within {PATIENCE:?}; ask for the transaction later, or submit the same again")
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
        Verdict::Refused(Refusal::Replayed | Refusal::DuplicatePending | Refusal::Expired)
            | Verdict::Failed(Outcome::Replayed)
    )
}

/// The transaction of this id with its end, if it was submitted before. What waits already gets as long as any verdict;
/// otherwise it is in a block that this validator has executed, and shows as soon as that is durable.
fn earlier(client: &mut Client, id: &TransactionId, told: Verdict) -> Result<Option<FoundTransaction>> {
    let waits = told == Verdict::Refused(Refusal::DuplicatePending);
    let mut found = None;
    let mut waited = Duration::ZERO;
    while waited < if waits || found.is_some() { PATIENCE } else { DURABLE_WITHIN } {
        match client.transaction(None, id) {
            Ok(answer) if answer.value.transaction.final_outcome().is_some() => {
                return Ok(Some(answer.value));
            }
            Ok(answer) => found = Some(answer.value),
            Err(ClientError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        std::thread::sleep(POLL);
        waited += POLL;
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
