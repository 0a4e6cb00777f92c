//! The durable log: bytes in, evidence of durability out. It knows nothing of what the bytes mean.
//!
//! ```text
//!  append ─▶ group being filled ─▶ sealed ─▶ write ─link─▶ fdatasync ─▶ Durable ─▶ callbacks
//!  (any thread, one copy)          └──────── the log's one thread, two groups in flight ────────┘
//!
//!  directory:  lock   identity   0000000000000000.segment   0000000000000001.segment ...
//!                                 00000000000c3000.repair
//!  segment:    | group | group | ... each of whole sectors, each sector tagged |
//! ```
//!
//! Invariants, in sectors since the log was born:
//! - `released <= durable <= in flight <= appended`, and each only grows;
//! - a record whose `Durable` was given out is replayed after any crash; what is dropped was never told to be durable;
//! - what is replayed is durable too: an open writes the unproven tail again, with a sync, before it hands out a
//!   record;
//! - damage below `durable` is an error that names file and offset, and leaves the files as they are; what others still
//!   have goes into a file beside them ([`Repair`]), which is read instead;
//! - after a failed write or sync nothing is written and nothing acknowledged any more, and no sync is retried: its
//!   outcome is unknown (Rebello and others, "Can Applications Recover from fsync Failures?", ATC 2020);
//! - both backends write the same bytes, so either opens the other's directory.
//!
//! A record whose write *failed* may still be found whole after a restart: its appender was told "not durable", which
//! is true of the promise, not a promise of absence.

mod buffer;
mod disk;
mod error;
mod files;
mod group;
mod identity;
mod log;
mod names;
mod options;
mod owner;
mod portable;
mod position;
mod pump;
mod recover;
mod records;
mod repairs;
mod replay;
mod sector;
mod segments;
mod shared;
mod tail;
mod uring;
mod read_ahead;

pub mod simulated;

#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use identity::Identity;
pub use log::{Lock, Log};
pub use names::remove_file;
pub use options::{Backend, Metrics, Options};
pub use owner::{LogKind, Owner};
pub use position::{Durable, Position};
pub use records::Records;
pub use repairs::{Repair, Repaired};
pub use replay::{Record, Replay, Rot};
pub use shared::Callback;
