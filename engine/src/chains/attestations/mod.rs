//! Chains of the kind *attestations*: accounts register fingerprints, supersede and revoke them. `docs/ATTESTATIONS.md`
//! has the rules, in the order in which they are looked at.
//!
//! The table has a row for each fingerprint, with its [`Attestation`](crate::types::Attestation).

mod executor;
mod oracle;

pub use oracle::PlainAttestation;
pub(crate) use oracle::Register;

use super::Rules;
use super::accounts::{judge_freeze, judge_opening, refuse_frozen};
use crate::execute::oracle::Oracle;
use crate::execute::{Book, ChainState, Chains, Delivery, Leg, Table};
use crate::types::{AccountId, Action, Command, Content, Frozen, Height, Outcome, PacketRun, Refusal};

/// The rules of the kind.
pub(crate) enum Attestations {}

impl Rules for Attestations {
    fn table() -> Table {
        Table::empty()
    }

    /// Whether a fingerprint is free is for execution to say.
    fn judge(_: &Chains, state: &ChainState, content: &Content<'_>) -> Result<(), Refusal> {
        match content {
            Content::Attest(attest) => refuse_frozen(state, attest.owner, Frozen::debit),
            Content::Revoke(revoke) => refuse_frozen(state, revoke.owner, Frozen::debit),
            Content::Opening(opening) => judge_opening(state, opening),
            Content::Command(Command { action: Action::Freeze { account, .. }, authority, .. }) => {
                judge_freeze(state, *authority, *account)
            }
            Content::Command(_) | Content::Transfer(_) | Content::Linked(_) => Err(Refusal::OtherKind),
        }
    }

    fn execute(book: &mut Book, height: Height, signer: usize, run: PacketRun<'_>) -> Outcome {
        executor::execute(book, height, signer, run)
    }

    fn credit(_: &mut Book, _: Leg, _: AccountId, _: u64) -> Result<(), Outcome> {
        Err(Outcome::OtherKind)
    }

    fn execute_plainly(oracle: &mut Oracle, height: Height, content: &Content<'_>) -> Outcome {
        oracle::execute(oracle, height, content)
    }

    fn credit_plainly(_: &mut Oracle, _: &Delivery) -> Outcome {
        Outcome::OtherKind
    }
}

#[cfg(test)]
pub(crate) mod tests;
