//! The engine's memory: named blobs over the caller's append-only log of records.
//!
//! ```text
//!   engine --write, resize, remove--> blobs in memory --one record each--> Store (group commit)
//!   engine --sync--> waits until the blob's last record is durable
//!   now and then: snapshot of all live blobs into the log, and when that is durable, release of what lies before
//!   start: Replay takes every record again and rebuilds the blobs
//! ```
//!
//! Invariants:
//! - The records are totally ordered, and a log that is replayed ends at some record: so a blob is never in a state
//!   in which it was not at some moment after its last completed sync. That is stronger than the engine asks. It is why
//!   creating and removing a blob need not wait for durability: whatever later becomes durable implies them.
//! - Nothing before a snapshot is released until its last record is durable. So at every moment the log holds
//!   either everything, or one complete snapshot with everything after it.
//! - After the first error of the store no operation completes any more ([`crate::StopReason::Storage`]).

use std::io;

pub(crate) mod record;
mod replay;
pub(crate) mod volume;
pub(crate) mod blob;

pub use replay::{Replay, ReplayError};

/// The partition in which simplex keeps what it has voted and learnt: one blob for each view.
pub(crate) const PARTITION: &str = "simplex-0";

/// The longest record that is ever appended.
pub const RECORD_BYTES_MAX: usize = 64 << 10;

/// Told once, from any thread, how a sync ended.
pub type SyncDone = Box<dyn FnOnce(io::Result<()>) + Send>;

/// An append-only log of byte records, as the engine sees it. Other records may share the same log.
///
/// The methods are called from the engine's tasks and from [`crate::start`] or [`crate::spawn`], never from inside a
/// [`SyncDone`].
pub trait Store: Send + Sync + 'static {
    /// Appends one record and returns its position; positions increase strictly. Need not be durable yet.
    fn append(&self, record: &[u8]) -> io::Result<u64>;

    /// Calls `done` once the record at `position` and all earlier ones are durable, or cannot become so any more: at
    /// once or later, from this thread or another. Must not block, and must not wait for more records before it begins.
    fn sync(&self, position: u64, done: SyncDone);

    /// No record of the engine before `before` is needed any more. They may be forgotten, from the oldest on, all, some
    /// or none.
    fn release(&self, before: u64);
}

#[cfg(test)]
mod tests;
