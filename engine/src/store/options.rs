//! How a log is set up, and what it says about itself while it runs.

use std::time::Duration;

use super::error::StoreError;
use super::owner::{LogKind, Owner};
use super::sector::SECTOR_BYTES;

/// How groups are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// io_uring with direct I/O where a trial write succeeds, else portable.
    #[default]
    Auto,
    /// io_uring with direct I/O, or an error.
    Uring,
    /// `std::fs`: a write through the page cache and `sync_data`.
    Portable,
}

/// How a log is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The log's owner: a directory of another owner is refused.
    pub owner: Owner,
    /// How groups are written.
    pub backend: Backend,
    /// Bytes of a segment of a *new* log; an existing one keeps its own.
    pub segment_bytes: u64,
    /// Bytes of one group at most. The log holds three such buffers: one filling, two in flight.
    pub group_bytes: usize,
    /// Released segments that are kept to be reused; more are deleted.
    pub reserve_segments: usize,
    /// How long the log rests before it writes down that its last group is durable, which is what lets a later open
    /// tell a rotten last group from a torn one.
    pub mark_after: Duration,
    /// Name of the log's thread.
    pub thread_name: String,
}

impl Options {
    /// The defaults, for one owner.
    #[must_use]
    pub fn new(owner: Owner) -> Options {
        let thread_name = match owner.log {
            LogKind::Journal => "journal",
            LogKind::Votes => "consensus-log",
        };
        Options {
            owner,
            backend: Backend::Auto,
            segment_bytes: 64 << 20,
            group_bytes: 4 << 20,
            reserve_segments: 2,
            mark_after: Duration::from_millis(50),
            thread_name: thread_name.to_string(),
        }
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        let sector = SECTOR_BYTES as u64;
        if self.segment_bytes < 2 * sector || !self.segment_bytes.is_multiple_of(sector) {
            let detail =
                format!("segment_bytes is {}, not two or more sectors of {sector}", self.segment_bytes);
            return Err(StoreError::Options { detail });
        }
        if self.group_bytes < SECTOR_BYTES || self.group_bytes as u64 > u64::from(u32::MAX) {
            let detail = format!("group_bytes is {}, not between {sector} and 4 GiB", self.group_bytes);
            return Err(StoreError::Options { detail });
        }
        Ok(())
    }
}

/// Counters of a running log, since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metrics {
    /// The backend in use.
    pub backend: &'static str,
    /// Records made durable.
    pub records: u64,
    /// Bytes of these records, as given by the appenders.
    pub record_bytes: u64,
    /// Bytes written to the disk, tags, padding and marks included.
    pub written_bytes: u64,
    /// Groups written, each with one fdatasync.
    pub syncs: u64,
    /// Groups among them that only say what is durable.
    pub marks: u64,
    /// Times that an appender had to wait for room.
    pub waits: u64,
    /// Segments that hold the log, prepared and reserved ones included.
    pub segments: u64,
    /// Segments that were taken into use again.
    pub recycled: u64,
}
