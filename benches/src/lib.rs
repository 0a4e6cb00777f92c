//! Benchmarks that know the answer: every timed call is checked, rivals and ours take turns on one core, and the median
//! of the rounds counts.
//!
//! ```text
//! Contest { op, [ours per backend], [rivals] } ── rounds × turns ──▶ median ns per item ──▶ ratio, JSON
//! ```

pub mod contest;
pub mod hashes;
pub mod signatures;
