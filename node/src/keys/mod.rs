//! Key files: the secret of an account, in a form that OpenSSL reads and writes.
//!
//! ```text
//! secret (32 bytes) ── PKCS#8, RFC 8410 ──▶ [ PBES2: scrypt, AES-256-CBC ] ── PEM ──▶ FILE, mode 0600
//! FILE ── private to its owner? ── PEM ── [ passphrase ] ── PKCS#8 ──▶ AccountKey ── signs for an account
//! ```
//!
//! Invariants: a secret is never printed, and the memory that held it is wiped; no file is overwritten; a file that
//! other users can read is refused; an encrypted file cannot make the reader spend more than `MEMORY_MAX` or
//! `ROUNDS_MAX`.

mod error;
mod file;
mod passphrase;

use std::path::Path;

use anyhow::Result;
use serde_json::json;

pub use self::error::KeyError;
pub use self::file::{AccountKey, Protection, read, write};
pub use self::passphrase::{Passphrase, Source};
use crate::cli::{DeriveKeyArgs, NewKeyArgs, ProtectionArgs, ShowKeyArgs, print_json, rows};
use crate::network::Network;
use crate::transfer::genesis_key;

/// Makes a key file.
///
/// # Errors
/// [`KeyError`].
pub fn new(args: &NewKeyArgs) -> Result<bool> {
    make(&AccountKey::generate()?, &args.file, &args.protection, args.json)
}

/// Prints the public key of a file.
///
/// # Errors
/// [`KeyError`].
pub fn show(args: &ShowKeyArgs) -> Result<bool> {
    let (key, protection) = read(&args.file, &Source::of(&args.passphrase))?;
    print(&key, &args.file, protection, args.json)
}

/// Makes a key file for an account of a network with test money.
///
/// # Errors
/// [`KeyError`], or the network does not have the account.
pub fn derive(args: &DeriveKeyArgs) -> Result<bool> {
    let network = Network::load(&args.network)?;
    let key = AccountKey::new(network.client_seed()?.account_seed(args.account.chain, args.account.account));
    // Of a chain that was created since, the genesis has no keys.
    let chain = args.account.chain;
    if network.genesis.chain(chain).is_some() || !network.genesis.may_have(chain) {
        let expected = genesis_key(&network, args.account)?;
        if key.public_key() != expected {
            return Err(KeyError::NotDerived { file: args.network.clone() }.into());
        }
    }
    make(&key, &args.file, &args.protection, args.json)
}

fn make(key: &AccountKey, file: &Path, protection: &ProtectionArgs, json: bool) -> Result<bool> {
    // Said before a passphrase is asked for.
    if file.symlink_metadata().is_ok() {
        return Err(KeyError::Exists(file.to_owned()).into());
    }
    let passphrase = match protection.no_passphrase {
        true => None,
        false => Some(Source::of(&protection.passphrase).new_passphrase(file)?),
    };
    let protection = write(key, file, passphrase.as_ref())?;
    print(key, file, protection, json)
}

fn print(key: &AccountKey, file: &Path, protection: Protection, json: bool) -> Result<bool> {
    let public_key = hex::encode(key.public_key());
    if json {
        return print_json(&json!({
            "file": file,
            "public_key": public_key,
            "encrypted": protection != Protection::None,
            "protection": protection.to_string(),
        }));
    }
    println!("key file {}", file.display());
    rows(&[("public key", public_key), ("protection", protection.to_string())]);
    Ok(true)
}

#[cfg(test)]
mod tests;
