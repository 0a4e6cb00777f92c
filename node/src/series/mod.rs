//! Several runs of `bench`, each a process of its own, and what they say together.
//!
//! ```text
//! bench --repeat N ──> N runs of one ──────────────────> medians, with intervals
//! compare A B ───────> runs of A and B in turns ───────> ratios, with intervals, and an answer
//! bench --saturate ──> runs at rates that a search asks for ──> the highest rate that holds
//! ```
//!
//! Invariants: every run makes its own network and is audited; no run is left out; a run that fails ends the series.

mod compare;
mod figures;
mod program;
mod repeat;
mod saturate;

pub use compare::compare;
pub use repeat::repeat;
pub(crate) use saturate::saturate;
pub use saturate::saturate_bench;

#[cfg(test)]
mod tests;
