//! Open-loop clients: they sign before the clock starts, send when the schedule says, and remember
//! what they were told.
//!
//! ```text
//!   client keys ──────> workload ─ transfers ─> presign ─ packets ─> pool
//!                                                                     │ due frames
//!   controller ─ rate ─> schedule ─ intended times ─> session <──── driver <══ QUIC ══> validators
//!                                                      │     notices
//!                                                      └──> outcome ──> validity ──> report (JSON, table, page)
//!                                                              └─────> audit trail
//! ```
//!
//! The rooms stand in the order in which a transaction of a client walks through them. Only `driver`
//! does I/O or reads a clock; everything else takes `now` as an argument.
//!
//! Invariants: an intended send time never changes once given; latency runs from it; whatever did not
//! commit is in the latencies too, as the time-out; the books cost no map and no allocation for a
//! transaction.

pub mod plan;
pub mod client_keys;
pub mod workload;
pub mod presign;
pub mod pool;
pub mod shape;
pub mod schedule;
pub mod controller;
pub mod session;
mod driver;
pub mod progress;
pub mod outcome;
pub mod ceiling;
pub mod validity;
pub mod report;
pub mod statistics;
pub mod saturation;

pub use driver::run;
pub use plan::{ChainLoad, Endpoint, LoadError, LoadPlan, Rate, Share, Start, Traffic, bytes_beyond};
pub use shape::{Arrivals, Shape};
