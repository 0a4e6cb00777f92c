//! The mempool of a chain: transactions that are verified and wait to be sealed into a batch.
//!
//! ```text
//! Verified<Transaction> ─▶ SenderSlots: one bit for each (debit account, nonce mod 64)
//!                            │ taken: DuplicatePending      account at its cap: SenderFull
//!                            ▼
//!                          bounded lock-free queue ── full: Busy ──▶ core ── expired ──▶ told to the client
//!                            slots are given back when a transaction is committed, failed, expired or refused
//! ```
//!
//! Both structures are lock-free and of fixed size: a flood costs nothing but refusals. The queue is crossbeam's; what
//! we put around it is modelled with loom.
//!
//! Invariants: `pending of a debit account <= cap <= 64` (a cap that is lowered holds for those that come then);
//! `queued <= capacity`; nothing is in the queue without its slot; a refusal leaves no slot behind. Slots are advice
//! for fairness: execution alone decides about replays, so a slot that is given back twice across a restart harms
//! nobody.

#[cfg(loom)]
mod model_queue;
mod all;
mod pool;
mod slots;

pub use all::Mempools;
pub use pool::{Mempool, Origin, Pending};
pub use slots::SenderSlots;

#[cfg(test)]
#[cfg(loom)]
mod loom;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
