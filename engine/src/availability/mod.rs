//! From a sealed batch to a certificate that a quorum holds it: a state machine without network, disk and clock.
//!
//! ```text
//!  author:  Sealed ─▶ store ─▶ Durable ─▶ broadcast, own acknowledgement ─┐
//!                                         Acknowledged by peers ──────────┴─ 2f+1 ─▶ Available<Batch>, broadcast
//!  peer:    Received (every signature checked) ─▶ store ─▶ Durable ─▶ acknowledge to the author
//!           Certified ─▶ Available<Batch>
//!  anyone:  Needed by a finalized block and not here ─▶ fetch from its signers, one after another
//! ```
//!
//! The protocol is Narwhal's reliable dissemination (Danezis et al., 2022) without its DAG: one stream of batches per
//! (chain, author), numbered 1, 2, 3, …
//!
//! Invariants:
//! - `ordered <= acknowledged <= ordered + WINDOW` in the sequences of every stream;
//! - a validator acknowledges at most one digest per (chain, author, sequence), ever. Its journal is its memory: an
//!   acknowledgement follows the durable batch, and [`Availability::restore`] brings back what was durable;
//! - an author shows a batch to nobody before it is durable, so that a crash never makes it contradict itself;
//! - so two certificates for one [`BatchId`] have the same digest as long as fewer than a third of the validators lie;
//! - an [`Available`] comes only out of a quorum of signatures that were checked here.

mod certify;
mod machine;
mod stream;

pub use certify::{Available, Committee};
pub use machine::{Availability, Event, Output, Refused};

use std::time::Duration;

/// How far a stream may run ahead of what is ordered; what lies beyond is ignored and sent again later.
pub const WINDOW: u64 = 256;
/// Own batches that may wait to be ordered before sealing pauses.
pub const OWN_UNORDERED_MAX: usize = 48;
/// When a batch without certificate, or a certificate that nobody orders, is sent again.
pub const RESEND_AFTER: Duration = Duration::from_millis(1_500);
/// How long a peer may take to answer for a missing batch before the next signer is asked.
pub const FETCH_TIMEOUT: Duration = Duration::from_millis(700);

#[cfg(test)]
mod tests;
