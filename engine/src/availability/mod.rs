//! Availability: which batches of which author are here, who else holds them, and what is missing.
//!
//! ```text
//!   batch checked ─▶ Stream::insert ─▶ journal ─▶ Stream::durable ─▶ held head ─▶ told to peers as a vector of heads
//!   peers' vectors ─▶ Stream::told ────────────────────▶ quorum_head: how far a leader may take the stream
//!   a cut that is to be voted for or executed ─▶ Stream::path ─▶ the bodies, or the head that is missing ─▶ Fetches
//! ```
//!
//! There is one stream for each author. Its batches are chained, so a [`Head`](crate::types::Head) names a prefix, and
//! what a validator holds of a stream is one head. Heads are told on authenticated links and are not signed: they
//! decide what is proposed and fetched, never what is true. That a finalized cut is held by enough validators follows
//! from their votes (see `docs/PROTOCOL.md`).
//!
//! Invariants, for each stream, in sequences:
//! - `cut <= held`, and every batch in `cut + 1 ..= held` is durable here, on one branch;
//! - batches that were not asked for lie at most `STREAM_BATCHES_MAX` sequences above the cut;
//! - at most two branches start from one batch unless a digest was asked for (batches without their predecessor are
//!   kept too), and at most the author's share of bytes is kept;
//! - an author sends a batch only when it is durable, so that a crash never makes it contradict itself.

mod fetch;
mod stream;

pub use fetch::{Ask, Fetches, RETRY_AFTER, Wanted};
pub use stream::{Gap, Refused, Stream};

#[cfg(test)]
pub(crate) mod tests;
