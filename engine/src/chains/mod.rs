//! The kinds of chains: what a chain does with its transactions.
//!
//! ```text
//! transfers/       accounts hold money of one asset and pay each other
//! attestations/    accounts register fingerprints, supersede and revoke them
//! governance/      administrators decide about all chains
//! accounts         what chains of every kind have: accounts that are opened and frozen
//! changes          other keys for accounts, other safeguards, and closing, after lock windows
//! ```
//!
//! A kind is a type with [`Rules`], its oracle, a page in `docs/`, and a line in [`of_kind!`]: nothing else names it.
//! The rooms ask for the rules once a block or frame; what they do for each transaction is then known to the compiler.
//!
//! Invariants, for every kind (`laws.rs`): undoing a block restores every byte; the oracle agrees with the executor in
//! every outcome and root; roots are functions of the state; a state, and an oracle, that is restored from a checkpoint
//! goes on like the one that it was taken from.

mod accounts;
pub(crate) mod attestations;
pub(crate) mod changes;
pub(crate) mod governance;
pub(crate) mod transfers;

use crate::execute::oracle::{About, Fault, Oracle, UNKNOWN_ROW};
use crate::execute::{Book, ChainState, Chains, Delivery};
use crate::types::{ChainTime, Content, Outcome, PacketRun, Refusal};

/// What a kind of chain does.
pub(crate) trait Rules {
    /// Why a client's transaction would fail, by the state at hand and in the order of execution, as far as that is
    /// cheap to see. It is advice: execution decides. Expiry, account, key version and nonce are judged already.
    fn judge(chains: &Chains, state: &ChainState, content: &Content<'_>) -> Result<(), Refusal>;

    /// What the transaction of the account at `signer` does at this moment, once its nonce is spent.
    fn execute(book: &mut Book, at: ChainTime, signer: usize, run: PacketRun<'_>) -> Outcome;

    /// Takes what came from another chain, or says why not. A kind without money takes none.
    fn receive(_: &mut Book, _: &Delivery) -> Result<(), Outcome> {
        Err(Outcome::OtherKind)
    }

    /// The definition of [`Self::execute`].
    fn execute_plainly(oracle: &mut Oracle, at: ChainTime, content: &Content<'_>) -> Outcome;

    /// The definition of [`Self::receive`].
    fn receive_plainly(_: &mut Oracle, _: &Delivery) -> Outcome {
        Outcome::OtherKind
    }

    /// Reads a row that no other kind has, for the definition of a chain from its rows.
    fn restore_plainly(_: &mut Oracle, _: &About, _: &[u8]) -> Result<(), Fault> {
        Err(UNKNOWN_ROW)
    }
}

/// An expression with `$rules` as the rules of a kind: where a kind is registered.
macro_rules! of_kind {
    ($kind:expr, $rules:ident => $body:expr) => {
        match $kind {
            $crate::types::ChainKind::Transfers => {
                type $rules = $crate::chains::transfers::Transfers;
                $body
            }
            $crate::types::ChainKind::Attestations => {
                type $rules = $crate::chains::attestations::Attestations;
                $body
            }
            $crate::types::ChainKind::Governance => {
                type $rules = $crate::chains::governance::Administration;
                $body
            }
        }
    };
}
pub(crate) use of_kind;

#[cfg(test)]
mod laws;
