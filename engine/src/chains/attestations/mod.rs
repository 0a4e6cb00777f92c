//! Chains of the kind *attestations*: accounts register fingerprints, supersede and revoke them. `docs/ATTESTATIONS.md`
//! has the rules, in the order in which they are looked at.
//!
//! The table has a row for each fingerprint, with its [`Attestation`](crate::types::Attestation).

mod executor;
mod oracle;

pub use oracle::PlainAttestation;

use super::Rules;
use super::accounts::{self, refuse};
use crate::execute::oracle::{About, Fault, Oracle};
use crate::execute::{Book, ChainState, Chains};
use crate::types::{AccountFlags, ChainTime, Content, Outcome, PacketRun, Refusal};

/// The rules of the kind.
pub(crate) enum Attestations {}

impl Rules for Attestations {
    /// Whether a fingerprint is free is for execution to say.
    fn judge(_: &Chains, state: &ChainState, content: &Content<'_>) -> Result<(), Refusal> {
        match content {
            Content::Attest(attest) => refuse(state, attest.owner, AccountFlags::debit),
            Content::Revoke(revoke) => refuse(state, revoke.owner, AccountFlags::debit),
            _ => accounts::judge(state, content).unwrap_or(Err(Refusal::OtherKind)),
        }
    }

    fn execute(book: &mut Book, at: ChainTime, signer: usize, run: PacketRun<'_>) -> Outcome {
        executor::execute(book, at, signer, run)
    }

    fn execute_plainly(oracle: &mut Oracle, at: ChainTime, content: &Content<'_>) -> Outcome {
        oracle::execute(oracle, at, content)
    }

    fn restore_plainly(oracle: &mut Oracle, about: &About, value: &[u8]) -> Result<(), Fault> {
        oracle::restore(oracle, about, value)
    }
}

#[cfg(test)]
pub(crate) mod tests;
