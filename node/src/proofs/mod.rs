//! Proofs as files: written for strangers, and checked as a stranger does, without a network.
//!
//! ```text
//! query … --proof FILE ── client collects ── checked against the genesis, if it is known ──▶ FILE
//! verify-proof FILE --genesis genesis.header ──▶ what is proved, or what is wrong
//! ```
//!
//! `statement` puts what is proved into words and fields; `same` has what a proof says as the engine has it.
//!
//! Invariant: where the genesis is known, no file is written that does not hold.

mod same;
mod statement;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use engine::types::{Digest, Transaction};
use proof::{
    Fact, FormError, GENESIS_HEADER_BYTES_MAX, HISTORY_BYTES_MAX, History, HistoryError, PROOF_BYTES_MAX,
    Proof, ProofError, ProvedHistory, Statement,
};
use serde_json::{Value, json};

use crate::cli::{SignedSource, VerifyProofArgs, grouped, print_json, quoted, rows, write_new};
use crate::config::ConfigError;
pub(crate) use same::{kind, roles};
use statement::{attestation_rows, history_json, statement_json, statement_rows};

/// The header of a genesis that a proof cannot be checked with.
#[derive(Debug, thiserror::Error)]
pub enum GenesisHeaderError {
    /// It is no header.
    #[error("{}: this is not the header of a genesis ({reason}); take the file genesis.header of the network", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: FormError,
    },
    /// It is of another network than the one that is expected.
    #[error(
        "{}: this is the header of the network {found}, and --network-id names {expected}; take the header of that \
         network",
        file.display()
    )]
    OtherNetwork {
        /// The file.
        file: PathBuf,
        /// The network id that was typed.
        expected: Digest,
        /// The network id of the header.
        found: Digest,
    },
}

/// Checks a proof; `false` where it does not hold, or does not speak of the transaction that it must speak of.
///
/// # Errors
/// A file cannot be read, or is not the header of the genesis that is expected ([`GenesisHeaderError`]).
pub fn verify_proof(args: &VerifyProofArgs) -> Result<bool> {
    let proof = read(&args.proof, HISTORY_BYTES_MAX.max(PROOF_BYTES_MAX))?;
    let genesis = read(&args.genesis, GENESIS_HEADER_BYTES_MAX)?;
    let file = || args.genesis.clone();
    let header = proof::Genesis::decode(&genesis)
        .map_err(|reason| GenesisHeaderError::Unreadable { file: file(), reason })?;
    let found = Digest(header.network);
    if let Some(expected) = args.network_id.filter(|expected| *expected != found) {
        return Err(GenesisHeaderError::OtherNetwork { file: file(), expected, found }.into());
    }
    let transaction = args.transaction.as_ref().map(|bytes| bytes.transaction(&found)).transpose()?;
    if History::is_one(&proof) {
        return verify_history(args, proof::verify_history(&proof, &genesis));
    }
    let verdict = proof::verify(&proof, &genesis);
    // The id of the transaction that was named, if the proof speaks of it.
    let named = verdict.as_ref().ok().zip(transaction.as_ref());
    let named = named.map(|(statement, transaction)| {
        speaks_of(statement, transaction).then(|| transaction.id(&found).to_string())
    });
    if args.json {
        let mut told = verdict_json(&verdict);
        match &named {
            Some(Some(named)) => told["speaks_of"] = json!(named),
            // Who asks about one transaction must not read that something about another one holds.
            Some(None) => {
                told["holds"] = json!(false);
                told["reason"] = json!("the proof holds, but it does not speak of that transaction");
            }
            None => {}
        }
        print_json(&told)?;
    } else {
        match (&verdict, &named) {
            (Ok(statement), None | Some(Some(_))) => {
                println!("the proof holds: {statement}");
                let named = named.iter().flatten().map(|id| ("the transaction", id.clone()));
                rows(&named.chain(statement_rows(statement)).collect::<Vec<_>>());
            }
            (Ok(statement), Some(None)) => {
                println!("the proof holds, but it does not speak of that transaction: {statement}");
            }
            (Err(error), _) => println!("the proof does not hold: {error}"),
        }
    }
    Ok(verdict.is_ok() && named != Some(None))
}

/// Whether a statement is about a transaction: about its id, or about all that its first packet signs.
fn speaks_of(statement: &Statement, transaction: &Transaction) -> bool {
    match &statement.fact {
        Fact::Transaction { id, .. } => transaction.id(&Digest(statement.network)).0 == *id,
        Fact::NeverExecuted(unexecuted) => *transaction.run().first().body() == unexecuted.body,
        _ => false,
    }
}

/// Writes a proof, after it was checked as far as that is possible without the genesis if that is not known, and says
/// what it proves and how to check it: with the file that has the header, and, where the proof does not cover the
/// question, with the transaction that it was asked of.
///
/// # Errors
/// It does not hold, or the file cannot be written.
pub fn write(
    proof: &Proof,
    genesis_header: Option<&[u8]>,
    (file, header_file): (&Path, Option<&Path>),
    asked_of: Option<&SignedSource>,
    as_json: bool,
) -> Result<()> {
    let bytes = proof.encode().context("what the validator answered makes no proof")?;
    let checked = match genesis_header {
        Some(header) => proof::verify(&bytes, header).map(Some),
        None => proof.check_claim().map(|()| None),
    };
    let statement = match checked {
        Ok(statement) => statement,
        Err(error) => bail!("no proof is written: {error}"),
    };
    write_new(file, &bytes)?;
    if as_json {
        let proved = statement.as_ref().map(statement_json);
        let told = json!({ "file": file, "bytes": bytes.len(), "statement": proved });
        print_json(&told)?;
        return Ok(());
    }
    println!("a proof of {} bytes is in {}", grouped(bytes.len() as u64), file.display());
    match &statement {
        Some(statement) => {
            println!("it says: {statement}");
            rows(&statement_rows(statement));
        }
        None => {
            println!("its paths and signatures are not checked here: that takes the header of the genesis")
        }
    }
    let header = header_file.unwrap_or(Path::new("genesis.header"));
    let with =
        asked_of.map_or_else(String::new, |source| format!(" --transaction {}", quoted(source.to_string())));
    println!("check it:  millrace verify-proof {} --genesis {}{with}", quoted(file), quoted(header));
    Ok(())
}

/// Prints whether a history holds, and what it proves; `false` where it does not, or where it should speak of a
/// transaction.
fn verify_history(args: &VerifyProofArgs, verdict: Result<ProvedHistory, HistoryError>) -> Result<bool> {
    let wrong = match &verdict {
        Ok(_) if args.transaction.is_some() => {
            Some("the proof holds, but it is one of attestations and not of that transaction".to_owned())
        }
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    if args.json {
        print_json(&match (&verdict, &wrong) {
            (Ok(history), None) => json!({ "holds": true, "statement": history_json(history) }),
            _ => json!({ "holds": false, "reason": wrong }),
        })?;
    } else {
        match (&verdict, &wrong) {
            (Ok(history), None) => {
                println!("the proof holds: {}", history.last);
                print_history(history);
            }
            (Ok(_), Some(wrong)) => println!("{wrong}"),
            (Err(_), wrong) => println!("the proof does not hold: {}", wrong.as_deref().unwrap_or_default()),
        }
    }
    Ok(wrong.is_none())
}

fn print_history(history: &ProvedHistory) {
    rows(&statement_rows(&history.last));
    for (fingerprint, attestation) in &history.earlier {
        println!("before it: fingerprint {}", hex::encode(fingerprint));
        rows(&attestation_rows(attestation));
    }
    println!("{} attestations, the last one first", history.earlier.len() + 1);
}

/// Writes a history, after it was checked if the genesis is known, and says what it proves and how to check it.
///
/// # Errors
/// It does not hold, or the file cannot be written.
pub fn write_history(
    history: &History,
    genesis_header: Option<&[u8]>,
    (file, header_file): (&Path, Option<&Path>),
    as_json: bool,
) -> Result<()> {
    let bytes = history.encode().context("what the validator answered makes no proof")?;
    let proved = genesis_header.map(|header| proof::verify_history(&bytes, header)).transpose();
    let proved = match proved {
        Ok(proved) => proved,
        Err(error) => bail!("no proof is written: {error}"),
    };
    write_new(file, &bytes)?;
    if as_json {
        let statement = proved.as_ref().map(history_json);
        return print_json(&json!({ "file": file, "bytes": bytes.len(), "statement": statement })).map(drop);
    }
    println!("a proof of {} bytes is in {}", grouped(bytes.len() as u64), file.display());
    match &proved {
        Some(proved) => {
            println!("it says: {}", proved.last);
            print_history(proved);
        }
        None => {
            println!(
                "its paths, hashes and signatures are not checked here: that takes the header of the genesis"
            )
        }
    }
    let header = header_file.unwrap_or(Path::new("genesis.header"));
    println!("check it:  millrace verify-proof {} --genesis {}", quoted(file), quoted(header));
    Ok(())
}

/// A file, and a byte more than `most` at most: longer ones are refused by their length.
fn read(file: &Path, most: usize) -> Result<Vec<u8>, ConfigError> {
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|opened| opened.take(most as u64 + 1).read_to_end(&mut bytes));
    opened.map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
    Ok(bytes)
}

fn verdict_json(verdict: &Result<Statement, ProofError>) -> Value {
    match verdict {
        Ok(statement) => json!({ "holds": true, "statement": statement_json(statement) }),
        Err(error) => json!({ "holds": false, "reason": error.to_string() }),
    }
}
