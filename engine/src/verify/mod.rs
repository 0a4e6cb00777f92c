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
//! Small batches share a round so that the combination that checks them is large. A bad signature costs its sender, not
//! its neighbours: the kernel finds it. A batch that was found good lately and comes again is not checked again.
//!
//! Invariants: `signatures checked >= transactions verified`, and every `Verified` had its signature checked in this
//! process. What is refused of a *batch* depends only on the genesis and the batch, never on this validator's height, so
//! honest validators agree about every batch; expiry and replay are judged by execution.

mod evidence;
mod memory;
mod verifier;

pub use evidence::Verified;
pub use verifier::{BatchFault, BatchRefusal, Checked, CheckedPackets, Job, Verifier};

#[cfg(test)]
mod tests;
