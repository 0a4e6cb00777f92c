//! New accounts, asked for by the owner of a key and opened by the registrar of a chain; and other keys for accounts.
//!
//! ```text
//! key file ── account request ──▶ FILE: key, proof of possession ── account open, signed by the registrar ──▶ ids
//! key file ── account new-key ──▶ FILE: key, proof of possession ── account rekey or recover ──▶ another key
//! ```

mod changes;

use std::path::{Path, PathBuf};

use anyhow::Result;
use engine::limits::OPENED_ACCOUNTS_MAX;
use engine::types::{AccountId, ChainId, Digest, NewAccount, NewAccounts, Opening, possession_message};
use kernels::ed25519::verify;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cli::{OpenArgs, OutputError, Place, RequestArgs, WhomArgs, print_json, rows, write_new};
use crate::keys::{self, Source};
use crate::query::network_of;
use crate::transfer::{Role, Terms, complete, holder, network_id};

pub use self::changes::{ChangeError, cancel, close, new_key, protect, recover, rekey};

/// The only version of the file so far.
const VERSION: u32 = 1;

/// What the owner of a key hands to a registrar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    millrace_account_request: u32,
    network: Digest,
    chain: ChainId,
    registrar: AccountId,
    /// The public key.
    key: Digest,
    /// The signature of the key, in hexadecimal.
    possession: String,
}

/// Why a request cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no request, or a damaged one.
    #[error("{}: not a request for an account: {problem}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It is for another network, chain or registrar.
    #[error(
        "{}: this asks account {registrar} of chain {chain} in network {network}; all requests of one command must ask \
         the account that signs it, in its network",
        file.display()
    )]
    Elsewhere {
        /// The file.
        file: PathBuf,
        /// The network that it is for.
        network: Digest,
        /// The chain.
        chain: ChainId,
        /// The registrar.
        registrar: AccountId,
    },
    /// Too many at once.
    #[error("{0} requests; one transaction opens at most {OPENED_ACCOUNTS_MAX} accounts")]
    TooMany(usize),
    /// It cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Writes a request for an account.
///
/// # Errors
/// [`RequestError`], or the key file cannot be used.
pub fn request(args: &RequestArgs) -> Result<bool> {
    let network = network_of(args.network.as_deref())?;
    let chain = ChainId(args.chain);
    let whom = WhomArgs { network: args.network.clone(), ..WhomArgs::default() };
    let registrar = holder(args.registrar, (network.as_ref(), &whom), (chain, Role::Registrar))?;
    let id = network_id(network.as_ref(), args.network_id)?;
    let (key, _) = keys::read(&args.key, &Source::of(&args.passphrase))?;
    let public_key = key.public_key();
    let possession = key.signing_key().sign(&possession_message(&id, chain, registrar, &public_key));
    let request = Request {
        millrace_account_request: VERSION,
        network: id,
        chain,
        registrar,
        key: Digest(public_key),
        possession: hex::encode(possession),
    };
    let text = serde_json::to_string_pretty(&request)? + "\n";
    write_new(&args.out, text.as_bytes()).map_err(RequestError::from)?;
    if args.json {
        return print_json(&json!({ "file": args.out, "request": request }));
    }
    println!("a request for an account of chain {chain} is in {}", args.out.display());
    rows(&[("public key", hex::encode(public_key)), ("registrar", format!("account {registrar}"))]);
    println!(
        "hand it to the registrar, who opens the account with:  millrace account open {}",
        args.out.display()
    );
    Ok(true)
}

/// Opens accounts; `false` if that is not committed.
///
/// # Errors
/// [`RequestError`], or as for a transfer.
pub fn open(args: &OpenArgs) -> Result<bool> {
    if args.requests.len() > OPENED_ACCOUNTS_MAX {
        return Err(RequestError::TooMany(args.requests.len()).into());
    }
    let requests: Vec<(Request, [u8; 64])> =
        args.requests.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
    let (first, _) = requests.first().expect("clap asks for a file");
    let (chain, registrar) = (first.chain, first.registrar);
    let network = network_of(args.by.how.network.as_deref())?;
    let id = network.as_ref().map(|network| *network.genesis.network()).or(args.by.how.network_id);
    let signer = args.by.authority.map_or(registrar, AccountId);
    for ((request, _), file) in requests.iter().zip(&args.requests) {
        let same = id.is_none_or(|id| id == request.network)
            && (request.chain, request.registrar) == (chain, signer);
        if !same {
            let Request { network, chain, registrar, .. } = request;
            let (network, chain, registrar) = (*network, *chain, *registrar);
            return Err(RequestError::Elsewhere { file: file.clone(), network, chain, registrar }.into());
        }
    }
    let encode =
        |(request, possession): &(Request, [u8; 64])| NewAccount { key: &request.key.0, possession }.encode();
    let encoded: Vec<_> = requests.iter().map(encode).collect();
    complete(&args.by.how, network.as_ref(), Place { chain, account: signer }, |terms, network, key| {
        let Terms { key_version, reference, nonce, expiry } = terms;
        let accounts = NewAccounts::of(&encoded);
        let opening = Opening { chain, key_version, reference, registrar: signer, accounts, nonce, expiry };
        opening.sign(network, |message| key.sign(message))
    })
}

/// A request and its signature, which is good.
fn read(file: &Path) -> Result<(Request, [u8; 64]), RequestError> {
    let text =
        std::fs::read_to_string(file).map_err(|source| RequestError::Io { file: file.to_owned(), source })?;
    let wrong = |problem: String| RequestError::Content { file: file.to_owned(), problem };
    let request: Request = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if request.millrace_account_request != VERSION {
        return Err(wrong(format!("version {} is not known here", request.millrace_account_request)));
    }
    let message = possession_message(&request.network, request.chain, request.registrar, &request.key.0);
    let possession = possession(&request.key, &request.possession, &message).map_err(wrong)?;
    Ok((request, possession))
}

/// The signature of a new key under a message, from a file.
fn possession(key: &Digest, text: &str, message: &[u8]) -> Result<[u8; 64], String> {
    let mut possession = [0; 64];
    hex::decode_to_slice(text, &mut possession)
        .map_err(|_| "the possession is not a signature of 64 bytes in hexadecimal".to_owned())?;
    match verify(&key.0, message, &possession) {
        true => Ok(possession),
        false => Err("the key has not signed it: the file was changed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::ed25519::SigningKey;

    #[test]
    fn a_request_is_read_as_it_was_written_and_no_part_of_it_can_be_changed() {
        let key = SigningKey::from_seed([7; 32]);
        let (network, chain, registrar) = (Digest([5; 32]), ChainId(3), AccountId(9));
        let possession = key.sign(&possession_message(&network, chain, registrar, &key.public_key()));
        let request = Request {
            millrace_account_request: VERSION,
            network,
            chain,
            registrar,
            key: Digest(key.public_key()),
            possession: hex::encode(possession),
        };
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("request.json");
        let text = serde_json::to_string(&request).unwrap();
        std::fs::write(&file, &text).unwrap();
        assert_eq!(read(&file).unwrap(), (request.clone(), possession));
        let other = Request { chain: ChainId(4), ..request.clone() };
        for changed in [
            Request { registrar: AccountId(8), ..request.clone() },
            Request { network: Digest([6; 32]), ..request.clone() },
            Request { key: Digest([1; 32]), ..request.clone() },
            Request { millrace_account_request: 2, ..request.clone() },
            Request { possession: "00".to_owned(), ..request },
            other,
        ] {
            std::fs::write(&file, serde_json::to_string(&changed).unwrap()).unwrap();
            assert!(matches!(read(&file), Err(RequestError::Content { .. })), "{changed:?}");
        }
        for broken in ["", "{}", &text[..40]] {
            std::fs::write(&file, broken).unwrap();
            assert!(matches!(read(&file), Err(RequestError::Content { .. })), "{broken}");
        }
        assert!(matches!(read(directory.path()), Err(RequestError::Io { .. })));
    }
}
