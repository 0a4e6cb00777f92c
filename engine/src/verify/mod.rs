//! Verification: from bytes that anybody may have sent to evidence that their owners signed them.
//!
//! ```text
//! jobs: packets of clients, batches of peers
//!   │ cheap refusals: kind, chain, expiry, accounts, key version, replay window      (reads of one cache line)
//!   ▼
//! one list of (key, message, signature) for the whole round ──▶ kernels::ed25519::verify_batch
//!   │ a verdict for each
//!   ▼
//! CheckedPackets: Verified<Transaction> or Refusal each      Verified<Batch> or BatchRefusal
//! ```
//!
//! Small batches share a round so that the combination that checks them is large. Every job has a source, which answers
//! for its signatures: where a combination fails, the search is by source first, so that honest sources pay for one
//! more sum at most, and a source that has sent bad signatures lately is checked apart from them. The caller is told
//! how many were bad, and can disconnect the source. A batch that was found good lately and comes again is not checked
//! again.
//!
//! Invariants: `signatures checked >= transactions verified`, and every `Verified` had its signature checked in this
//! process, or accepted by the [`Assistant`] that it was given, except batches that a finalized cut names, in recovery.
//! What is refused of a *batch* depends only on the batch and on the state at the height that it names, never on this
//! validator's height, so honest validators agree about every batch; expiry and replay are judged by execution.

mod assistant;
mod batch;
mod evidence;
mod packets;
mod signed;
mod suspects;
mod verifier;

pub use assistant::{Answer, Assistant};
pub use batch::{BatchFault, BatchRefusal};
pub use evidence::Verified;
pub use packets::{CheckedPackets, CheckedTransaction};
pub use verifier::{Checked, Job, Load, Tally, Verifier};

/// How many packets ahead the accounts are asked for.
const PREFETCH_AHEAD: usize = 8;

#[cfg(test)]
mod tests;
