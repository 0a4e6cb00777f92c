//! Other keys for an account, who may give them, and closing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use engine::limits::GUARDIANS_MAX;
use engine::types::{
    AccountId, AccountRecord, Action, ChainId, Command, Digest, EncodedSafeguards, Height, Protect, Recover,
    Rekey, Safeguards, new_key_message, quorum, recovery_message,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::possession;
use crate::cli::{
    CancelArgs, CloseArgs, NewAccountKeyArgs, OutputError, Place, ProtectArgs, RecoverArgs, RekeyArgs,
    SigningArgs, on_network, print_json, quoted, rows, with_key, write_new,
};
use crate::keys::{self, Source};
use crate::network::Network;
use crate::query::{network_of, other_roots, present_members, print};
use crate::transfer::{Terms, TransferError, complete, network_id, validator_of};

/// The only version of the file so far.
const VERSION: u32 = 1;
/// How often other validators are asked for a state root that too few of them have, and how long that is apart.
const ASKED_TIMES: usize = 10;
const ASKED_EVERY: Duration = Duration::from_millis(300);

/// A key that an account is to have, with the proof that somebody has its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    millrace_new_key: u32,
    network: Digest,
    chain: ChainId,
    account: AccountId,
    /// The public key.
    key: Digest,
    /// The signature of the key, in hexadecimal.
    possession: String,
}

/// Why a change cannot be ordered.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It has no new key, or a damaged one.
    #[error("{}: not what `millrace account new-key` writes: {problem}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It is for another network.
    #[error("{}: this is a key for an account of network {network}", file.display())]
    OtherNetwork {
        /// The file.
        file: PathBuf,
        /// The network that it is for.
        network: Digest,
    },
    /// Guardians that cannot be meant.
    #[error(
        "name 1 to {GUARDIANS_MAX} guardians, each once and none the account itself, and a threshold from 1 up to their \
         number; a recovery key of small order, as one of zeros, protects nothing"
    )]
    Guardians,
    /// The number is not known, or one validator alone would have to be believed.
    #[error(
        "without the validators of --network nobody says which change is meant: add {0} with the number of changes that \
         `millrace query account` shows"
    )]
    NoNumber(&'static str),
    /// Too few validators say the same.
    #[error(
        "only {agree} validators have the same state root at height {height}, and {wanted} must: ask again, or add {else_add} \
         with the number that `millrace query account` shows"
    )]
    TooFew {
        /// The height.
        height: Height,
        /// How many have it.
        agree: usize,
        /// How many must, so that one of them is honest.
        wanted: usize,
        /// What helps.
        else_add: &'static str,
    },
    /// There is nothing to cancel.
    #[error(
        "account {chain}:{account} has no change in its lock window: it took effect, was dropped or was cancelled; \
         `millrace query account {chain} {account}` shows its key", chain = .0.chain, account = .0.account
    )]
    NothingPending(Place),
    /// It cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Writes the file with which an account is given another key.
///
/// # Errors
/// [`ChangeError`], or the key file cannot be used.
pub fn new_key(args: &NewAccountKeyArgs) -> Result<bool> {
    let network = network_of(args.network.as_deref())?;
    let Place { chain, account } = args.account;
    if network.as_ref().is_some_and(|network| !network.genesis.may_have(chain)) {
        return Err(TransferError::Chain(chain).into());
    }
    let id = network_id(network.as_ref(), args.network_id)?;
    let (key, _) = keys::read(&args.key, &Source::of(&args.passphrase))?;
    let public_key = key.public_key();
    let possession = key.signing_key().sign(&new_key_message(&id, (chain, account), &public_key));
    let new = NewKey {
        millrace_new_key: VERSION,
        network: id,
        chain,
        account,
        key: Digest(public_key),
        possession: hex::encode(possession),
    };
    let text = serde_json::to_string_pretty(&new)? + "\n";
    write_new(&args.out, text.as_bytes()).map_err(ChangeError::from)?;
    if args.json {
        return print_json(&json!({ "file": args.out, "new_key": new }));
    }
    println!("a key for account {account} of chain {chain} is in {}", args.out.display());
    rows(&[("public key", hex::encode(public_key))]);
    let follows = network.is_some_and(|network| network.genesis.account(chain, account).is_some());
    let (file, on) = (quoted(&args.out), on_network(args.network.as_deref()));
    let on = with_key(None, follows) + &on;
    println!("the account takes it with:        millrace account rekey {file}{on}");
    println!("a guardian, of account N, with:   millrace account recover {file} --signer N{on}");
    Ok(true)
}

/// Gives an account another key, by its present one; `false` if that is not committed.
///
/// # Errors
/// [`ChangeError`], or as for a transfer.
pub fn rekey(args: &RekeyArgs) -> Result<bool> {
    let (new, possession) = read(&args.file)?;
    let network = network_for(&args.how, &new, &args.file)?;
    let NewKey { chain, account, key: Digest(new_key), .. } = new;
    complete(&args.how, network.as_ref(), Place { chain, account }, |terms, network, key| {
        let Terms { key_version, reference, nonce, expiry } = terms;
        let (key_, possession) = (&new_key, &possession);
        let rekey = Rekey { chain, key_version, reference, account, key: key_, possession, nonce, expiry };
        rekey.sign(network, |message| key.sign(message))
    })
    .and_then(|begun| told(begun, (&args.how, true), network.as_ref(), Place { chain, account }))
}

/// Says who may give an account another key; `false` if that is not committed.
///
/// # Errors
/// [`ChangeError`], or as for a transfer.
pub fn protect(args: &ProtectArgs) -> Result<bool> {
    let Place { chain, account } = args.account;
    let mut guardians: Vec<AccountId> = args.guardians.iter().copied().map(AccountId).collect();
    guardians.sort_unstable();
    let safeguards = Safeguards {
        recovery_key: args.recovery_key.map(|key| key.0),
        threshold: args.threshold.unwrap_or(0),
        guardians,
    };
    if !safeguards.is_valid() || safeguards.guardians.contains(&account) {
        return Err(ChangeError::Guardians.into());
    }
    let (network, encoded) = (network_of(args.how.network.as_deref())?, safeguards.encode());
    complete(&args.how, network.as_ref(), args.account, |terms, network, key| {
        let Terms { key_version, reference, nonce, expiry } = terms;
        let safeguards = EncodedSafeguards::read(&encoded)?;
        let protect = Protect { chain, key_version, reference, account, safeguards, nonce, expiry };
        protect.sign(network, |message| key.sign(message))
    })
    .and_then(|begun| told(begun, (&args.how, true), network.as_ref(), args.account))
}

/// Gives somebody else's account another key; `false` if that is not committed.
///
/// # Errors
/// [`ChangeError`], or as for a transfer.
pub fn recover(args: &RecoverArgs) -> Result<bool> {
    let (new, possession) = read(&args.file)?;
    let network = network_for(&args.how, &new, &args.file)?;
    let NewKey { network: id, chain, account, key: Digest(new_key), .. } = new;
    let changes = match args.changes {
        Some(changes) => changes,
        None => record(&args.how, network.as_ref(), (Place { chain, account }, "--changes"))?.changes,
    };
    let signed = match &args.with_recovery_key {
        None => None,
        Some(file) => {
            let source = args.recovery_passphrase_file.clone().map_or(Source::Terminal, Source::File);
            let (key, _) = keys::read(file, &source)?;
            let message = recovery_message(&id, (chain, account), &new_key, changes);
            Some((key.public_key(), key.signing_key().sign(&message)))
        }
    };
    let signer = AccountId(args.signer);
    complete(&args.how, network.as_ref(), Place { chain, account: signer }, |terms, network, key| {
        let Terms { key_version, reference, nonce, expiry } = terms;
        let (new_key, possession) = (&new_key, &possession);
        let recovery = signed.as_ref().map(|(key, signature)| (key, signature));
        let recover = Recover {
            chain,
            key_version,
            reference,
            signer,
            account,
            changes,
            key: new_key,
            possession,
            recovery,
            nonce,
            expiry,
        };
        recover.sign(network, |message| key.sign(message))
    })
    .and_then(|begun| told(begun, (&args.how, false), network.as_ref(), Place { chain, account }))
}

/// Cancels what is in its lock window; `false` if that is not committed.
///
/// # Errors
/// [`ChangeError`], or as for a transfer.
pub fn cancel(args: &CancelArgs) -> Result<bool> {
    let network = network_of(args.how.network.as_deref())?;
    let change = match args.change {
        Some(change) => change,
        None => {
            let record = record(&args.how, network.as_ref(), (args.account, "--change"))?;
            if record.pending.is_none() {
                eprintln!("{}", ChangeError::NothingPending(args.account));
                return Ok(false);
            }
            record.changes
        }
    };
    order(&args.how, network.as_ref(), args.account, Action::Cancel { change })
}

/// Closes an account; `false` if that is not committed.
///
/// # Errors
/// As for a transfer.
pub fn close(args: &CloseArgs) -> Result<bool> {
    let network = network_of(args.how.network.as_deref())?;
    order(&args.how, network.as_ref(), args.account, Action::Close)
        .and_then(|begun| told(begun, (&args.how, true), network.as_ref(), args.account))
}

/// Tells what waits in its lock window, now that a transaction about an account is committed; `false` if none is. That
/// nobody can say it does not change what is committed. `own`: the account itself has signed, and cancels with the same
/// key.
fn told(
    committed: bool,
    (how, own): (&SigningArgs, bool),
    network: Option<&Network>,
    of: Place,
) -> Result<bool> {
    if !committed || how.json || how.offline.is_some() {
        return Ok(committed);
    }
    let Place { chain, account } = of;
    let answer = validator_of(how, network).and_then(|mut client| Ok(client.account(chain, account)?.value));
    let Some(record) = answer.ok().and_then(|answer| answer.record()) else { return Ok(true) };
    let waiting = print::record_rows(&record);
    rows(&waiting.into_iter().filter(|(what, _)| ["pending", "approved"].contains(what)).collect::<Vec<_>>());
    if record.pending.is_some() {
        let follows = network.is_some_and(|network| network.genesis.account(chain, account).is_some());
        let on = with_key(own.then_some(how.key.as_deref()).flatten(), follows)
            + &on_network(how.network.as_deref());
        println!("cancel it:  millrace account cancel {chain}:{account}{on}");
    }
    Ok(true)
}

/// The account orders something of itself.
fn order(how: &SigningArgs, network: Option<&Network>, of: Place, action: Action) -> Result<bool> {
    complete(how, network, of, |terms, network, key| {
        let (Terms { key_version, reference, nonce, expiry }, Place { chain, account: authority }) =
            (terms, of);
        let command = Command { chain, key_version, reference, authority, action, nonce, expiry };
        command.sign(network, |message| key.sign(message)).run().transaction()
    })
}

/// What the chain keeps of an account, by so many validators that one of them is honest: a lie could cost a lock
/// window. `else_add` is what helps where they cannot be asked.
fn record(
    how: &SigningArgs,
    network: Option<&Network>,
    (of, else_add): (Place, &'static str),
) -> Result<AccountRecord> {
    let Some(network) = network.filter(|_| how.offline.is_none()) else {
        return Err(ChangeError::NoNumber(else_add).into());
    };
    let mut client = validator_of(how, Some(network))?;
    let members = present_members(network, &mut client)?;
    let wanted = members.len() - quorum(members.len()) + 1;
    let own = members.iter().filter(|member| Some(member.fingerprint) == client.fingerprint()).count();
    let (mut agree, mut height) = (0, Height(0));
    // Others may be a little behind, and nobody has a block at height 0. A liar can neither make up a record nor hold
    // this up.
    for _ in 0..ASKED_TIMES {
        let answer = client.account(of.chain, of.account)?.value;
        height = answer.proof.chain.height;
        let mut enough = || -> Result<bool> {
            let roots = other_roots(network, &mut client, height)?;
            agree = own + roots.filter(|(_, root)| root.as_ref().ok() == Some(&answer.state_root)).count();
            Ok(agree >= wanted)
        };
        if enough()? {
            return Ok(answer.record().unwrap_or_default());
        }
        std::thread::sleep(ASKED_EVERY);
        if enough()? {
            return Ok(answer.record().unwrap_or_default());
        }
    }
    Err(ChangeError::TooFew { height, agree, wanted, else_add }.into())
}

/// The network in the directory that is named, which is the one that the key is for.
fn network_for(how: &SigningArgs, new: &NewKey, file: &Path) -> Result<Option<Network>> {
    let network = network_of(how.network.as_deref())?;
    let id = network.as_ref().map(|network| *network.genesis.network()).or(how.network_id);
    if id.is_some_and(|id| id != new.network) {
        return Err(ChangeError::OtherNetwork { file: file.to_owned(), network: new.network }.into());
    }
    Ok(network)
}

/// A new key and its signature, which is good.
fn read(file: &Path) -> Result<(NewKey, [u8; 64]), ChangeError> {
    let text =
        std::fs::read_to_string(file).map_err(|source| ChangeError::Io { file: file.to_owned(), source })?;
    let wrong = |problem: String| ChangeError::Content { file: file.to_owned(), problem };
    let new: NewKey = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if new.millrace_new_key != VERSION {
        return Err(wrong(format!("version {} is not known here", new.millrace_new_key)));
    }
    let message = new_key_message(&new.network, (new.chain, new.account), &new.key.0);
    let possession = possession(&new.key, &new.possession, &message).map_err(wrong)?;
    Ok((new, possession))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::ed25519::SigningKey;

    #[test]
    fn a_new_key_is_read_as_it_was_written_and_no_part_of_it_can_be_changed() {
        let key = SigningKey::from_seed([7; 32]);
        let (network, chain, account) = (Digest([5; 32]), ChainId(3), AccountId(9));
        let possession = key.sign(&new_key_message(&network, (chain, account), &key.public_key()));
        let new = NewKey {
            millrace_new_key: VERSION,
            network,
            chain,
            account,
            key: Digest(key.public_key()),
            possession: hex::encode(possession),
        };
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key.json");
        std::fs::write(&file, serde_json::to_string(&new).unwrap()).unwrap();
        assert_eq!(read(&file).unwrap(), (new.clone(), possession));
        for changed in [
            NewKey { chain: ChainId(4), ..new.clone() },
            NewKey { account: AccountId(8), ..new.clone() },
            NewKey { network: Digest([6; 32]), ..new.clone() },
            NewKey { key: Digest([1; 32]), ..new.clone() },
            NewKey { millrace_new_key: 2, ..new.clone() },
            NewKey { possession: "00".to_owned(), ..new },
        ] {
            std::fs::write(&file, serde_json::to_string(&changed).unwrap()).unwrap();
            assert!(matches!(read(&file), Err(ChangeError::Content { .. })), "{changed:?}");
        }
        assert!(matches!(read(directory.path()), Err(ChangeError::Io { .. })));
    }
}
