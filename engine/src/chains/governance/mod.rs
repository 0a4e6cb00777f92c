//! Chains of the kind *governance*: administrators, whose accounts these are, decide about all chains of the network.
//! `docs/GOVERNANCE.md` has the rules, in the order in which they are looked at.
//!
//! ```text
//! propose, approve ── k of n ──▶ decided at h ─ ─ DECISION_LAG heights ─ ─▶ in effect: orders, one for each decision
//!   rows of this chain say it                                               every chain obeys those about itself
//! ```
//!
//! A change of the members, who validate, is no order to a chain: with the height in which it is decided the ledger
//! hands out the new set, and a later block begins the epoch that is theirs.
//!
//! A decision reaches a chain as an [`Order`](crate::types::Order) when it takes effect, and never before: the executor
//! of a chain reads no other chain's state. What is in effect stands in the chain's own table.

mod executor;
mod members;
mod oracle;

use super::Rules;
use super::accounts::{self, refuse};
use crate::execute::oracle::{About, Fault, Oracle};
use crate::execute::{Book, ChainState, Chains};
use crate::types::{
    AccountFlags, ChainStatus, ChainTime, Content, ISSUE_KIND, Outcome, PacketRun, RECOVER_KIND, REKEY_KIND,
    Refusal, SETTLE_KIND,
};

pub(crate) use executor::{Governance, obey};
pub(crate) use oracle::{PlainChain, PlainGovernance, obey_plainly, refuses, restore_decisions};

/// The rules of the kind.
pub(crate) enum Administration {}

impl Rules for Administration {
    /// Who is an administrator, and what can be decided, is for execution to say.
    fn judge(_: &Chains, state: &ChainState, content: &Content<'_>) -> Result<(), Refusal> {
        match content {
            Content::Propose(propose) => refuse(state, propose.administrator, AccountFlags::debit),
            Content::Approve(approve) => refuse(state, approve.administrator, AccountFlags::debit),
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

/// Whether a chain in this state takes a transaction. One that is paused takes none. One that is closed takes what lets
/// money leave it, what ends reservations, and what its owners may need for that: their keys.
#[inline]
pub(crate) fn takes(status: ChainStatus, run: PacketRun<'_>) -> Result<(), Outcome> {
    match status {
        ChainStatus::Active => Ok(()),
        ChainStatus::Paused => Err(Outcome::ChainPaused),
        ChainStatus::Closed => {
            let orders = run.is_command() && run.kind() != ISSUE_KIND;
            let ends = run.kind() == SETTLE_KIND;
            let leaves =
                run.is_cross() || orders || ends || (REKEY_KIND..=RECOVER_KIND).contains(&run.kind());
            leaves.then_some(()).ok_or(Outcome::ChainClosed)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
