//! From streams to blocks, and from blocks to a finalized order. No network, no clock, no consensus engine.
//!
//! ```text
//!             propose(parent) ──▶ Block ──▶ consensus orders its digest
//!  peers ──▶ insert(block) ─▶ tree of known blocks above the head ◀── judge(digest, context): vote or wait
//!                                   │
//!                                   └── finalize(evidence) ──▶ Finalized<Block>, by height, each exactly once
//! ```
//!
//! Invariants:
//! - `head <= finalized blocks handed out <= proposed blocks in the tree`, heights without gaps;
//! - each author's head of a block extends the head of its parent, so nothing is ordered twice;
//! - every height's state root is carried by exactly one block of a branch, in order, and a block that takes batches is
//!   at most [`crate::limits::ROOT_LAG_MAX`] heights ahead of the last root carried below it; one that takes none is
//!   always allowed;
//! - the block that carries the root of the height in which other validators were decided is the last of its epoch;
//!   until it is final it is proposed again, and nothing else on it;
//! - what bounds a block, and a chain in it, is counted in batches that the voter holds, never in what a leader says;
//! - a [`Finalized`] comes only out of [`BlockTree::finalize`], which was given the evidence of consensus.
//!
//! A judgement never turns a *late* thing into a *wrong* one: consensus asks once for each view, so whatever may still
//! arrive is [`Judgement::Wait`].

mod finality;
mod judge;
mod position;
mod quotas;
mod tree;

pub use finality::{Finality, FinalityEvidence, FinalityVerifier, Finalized};
pub use judge::{Flaw, Judgement, Proposal, Wait};
pub use position::{Divergence, NextMembers, Position, Roots};
pub use quotas::{OverQuota, Quotas};
pub use tree::{BlockTree, FinalizeError, Insert, ProposeError};

#[cfg(test)]
mod tests;
