//! Roots: what a block did and what all accounts are afterwards, in 32 bytes that anybody can check against.
//!
//! ```text
//!                     StateRoot(height)                    each tree as in RFC 9162
//!        ┌───────────────┼───────────────┐
//! height, chains  chain 0 entry     chain 5 entry          chain, kind, status, asset | each tree's root and size
//!          ┌────────────┼────────────┬───────────┬──────────┐
//!     transactions   accounts      outbox      inbox       table     leaf: id, outcome | id, key, balance, window
//!                                                                          delivery    | delivery, outcome
//!                                                                          key, next key, value
//! ```
//!
//! Invariants: a [`StateRoot`] comes only out of executed deltas of one height, one for each chain of the network; the
//! accounts tree after folding a delta is the tree over the accounts after that block; a proof made here verifies from
//! the 32 bytes of the state root alone.

mod accounts;
mod crossings;
mod keys;
mod ledger;
mod oracle;
mod proof;
mod rows;
mod state_root;
mod transactions;
mod lazy_trees;
mod view;

pub use accounts::{ACCOUNT_LEAF_BYTES, AccountTree, account_leaf, accounts_root, parse_account_leaf};
pub use crossings::{inbox_root, outbox_root};
pub use ledger::{Decided, Executed, Ledger, RestoreError, StateMismatch};
pub use oracle::{OracleExecuted, OracleLedger, OracleRestoreError, PlainState};
pub use proof::{AccountProof, ChainEntryProof, Path, ProofError, RowProof, TransactionProof};
pub use rows::TableTree;
pub use state_root::{CHAIN_ENTRY_BYTES, ChainEntry, StateRoot};
pub use transactions::{TransactionTree, contains_transaction, transaction_ids};
pub use view::CommittedView;

#[cfg(test)]
pub(crate) mod tests;

/// The RFC 9162 hashes of many leaves of `N - 1` bytes: each message is a zero byte and the leaf.
fn leaf_hashes<const N: usize>(leaves: impl ExactSizeIterator<Item = [u8; N]>) -> Vec<[u8; 32]> {
    let mut messages = Vec::with_capacity(leaves.len() * N);
    for leaf in leaves {
        debug_assert_eq!(leaf[0], 0, "the domain of leaves");
        messages.extend_from_slice(&leaf);
    }
    let mut hashes = vec![[0; 32]; messages.len() / N];
    kernels::sha2::sha256_many(&messages, N, &mut hashes);
    hashes
}
