//! `millrace kernels`: are the kernels right on this machine, and how fast are they?
//!
//! ```text
//! check: vectors (one JSON object a line) ── every path ──> one verdict, the expected one, or exit code 1
//! bench: every operation, repeated until it takes long enough to be timed; the best of several rounds
//! ```
//!
//! Invariant: a vector passes only if all paths agree on it, whether or not there is an expectation.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use kernels::ed25519::{Entry, verify, verify_batch};
use serde::Deserialize;

mod measure;

pub use measure::bench;

/// One vector.
#[derive(Debug, Deserialize)]
struct Vector {
    /// The public key, in hexadecimal.
    key: String,
    /// The message, in hexadecimal.
    msg: String,
    /// The signature, in hexadecimal.
    sig: String,
    /// The right verdict, if the file knows it.
    expect: Option<bool>,
}

/// A vector whose key and signature have the lengths that they must have.
struct Sized {
    key: [u8; 32],
    message: Vec<u8>,
    signature: [u8; 64],
}

/// One way to a verdict.
struct VerifyPath {
    name: &'static str,
    verdict: fn(&Sized, [u8; 32]) -> bool,
}

/// How many copies of a vector the batched path checks together: enough to enter the combination.
const COPIES: usize = 16;

const PATHS: [VerifyPath; 2] = [
    VerifyPath { name: "single", verdict: |v, _| verify(&v.key, &v.message, &v.signature) },
    VerifyPath { name: "batch", verdict: in_a_batch },
];

/// The verdict that a batch of copies gives; copies that disagree give the opposite of the single path.
fn in_a_batch(vector: &Sized, seed: [u8; 32]) -> bool {
    let entry = Entry { key: &vector.key, message: &vector.message, signature: &vector.signature };
    let mut verdicts = [false; COPIES];
    verify_batch(&[entry; COPIES], seed, &mut verdicts);
    match verdicts {
        [first, ..] if verdicts.iter().all(|verdict| *verdict == first) => first,
        _ => !verify(&vector.key, &vector.message, &vector.signature),
    }
}

/// Runs vectors through every path; `false` if any verdict is wrong.
///
/// # Errors
/// The file cannot be read, or a line is no vector.
pub fn check(file: &Path) -> Result<bool> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let (mut vectors, mut wrong) = (0_u64, 0_u64);
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{}, line {number}", file.display());
        let vector: Vector = serde_json::from_str(line).with_context(place)?;
        let verdicts = verdicts(&vector).with_context(place)?;
        vectors += 1;
        let right = vector.expect.unwrap_or(verdicts[0].1);
        for (name, verdict) in verdicts {
            if verdict != right {
                wrong += 1;
                println!("{}: {name} says {verdict}, expected {right}", place());
            }
        }
    }
    if vectors == 0 {
        bail!("{}: there is no vector in this file", file.display());
    }
    let names: Vec<_> = PATHS.iter().map(|path| path.name).collect();
    println!("{vectors} vectors, paths {}: {wrong} wrong verdicts", names.join(", "));
    Ok(wrong == 0)
}

/// What every path says. A key or signature of another length cannot be handed to any path: it is refused.
fn verdicts(vector: &Vector) -> Result<Vec<(&'static str, bool)>> {
    let bytes = |text: &str, what: &'static str| hex::decode(text).context(what);
    let key = bytes(&vector.key, "the key is not hexadecimal")?.try_into();
    let message = bytes(&vector.msg, "the message is not hexadecimal")?;
    let signature = bytes(&vector.sig, "the signature is not hexadecimal")?.try_into();
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::other).context("no randomness")?;
    let sized = match (key, signature) {
        (Ok(key), Ok(signature)) => Some(Sized { key, message, signature }),
        _ => None,
    };
    let verdict = |path: &VerifyPath| sized.as_ref().is_some_and(|sized| (path.verdict)(sized, seed));
    Ok(PATHS.iter().map(|path| (path.name, verdict(path))).collect())
}

#[cfg(test)]
mod tests;
