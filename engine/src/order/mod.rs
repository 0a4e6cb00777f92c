//! From certificates to blocks, and from blocks to a finalized order. No network, no clock, no consensus engine.
//!
//! ```text
//!             propose(parent) ──▶ Block ──▶ consensus orders its digest
//!  peers ──▶ insert(block) ─▶ tree of known blocks above the head ◀── judge(digest, context): vote or wait
//!                                   │
//!                                   └── finalize(certificate) ──▶ Finalized<Block>, by height, each exactly once
//! ```
//!
//! Invariants:
//! - `head <= finalized blocks handed out <= proposed blocks in the tree`, heights without gaps;
//! - per (chain, author) the batches of a branch have the sequences 1, 2, 3, …: nothing is ordered twice, and no set of
//!   ordered batches is needed to know it;
//! - every height's state root is carried by exactly one block of a branch, in order, and a block is at most
//!   [`crate::limits::ROOT_LAG_MAX`] heights ahead of the last root carried below it;
//! - a [`Finalized`] comes only out of [`BlockTree::finalize`], which had the certificate checked.
//!
//! A judgement never turns a *late* thing into a *wrong* one: consensus asks once, so whatever may still arrive is
//! [`Judgement::Wait`].

mod finality;
mod judge;
mod position;
mod tree;

pub use finality::{Finality, FinalityVerifier, Finalized};
pub use judge::{Flaw, Judgement, Proposal};
pub use position::{Divergence, Position, Roots};
pub use tree::{BlockTree, FinalizeError, Insert, ProposeError};

#[cfg(test)]
mod tests;
