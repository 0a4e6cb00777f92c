//! What can go wrong with the log, told so that an operator can act on it.

use std::io;
use std::path::{Path, PathBuf};

use super::owner::Owner;

/// A failure of the log. Cloned to everyone who waits on the same write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the directory's lock.
    #[error(
        "the data directory {path} is in use by another process: a validator, or a command that reads it. Find out \
         which one before you stop anything. `millrace backup` works beside a running validator"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory was made for another owner: another network, another validator, or another of its logs.
    #[error("the data directory {path} {}; put the directory back where it belongs", found.difference(expected))]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// The owner that was asked for.
        expected: Box<Owner>,
        /// The owner that is written there.
        found: Box<Owner>,
    },
    /// The directory was written by a format that this build does not know.
    #[error("{path} is written in log format {found}; this build reads format {expected}")]
    Format {
        /// The identity file.
        path: PathBuf,
        /// The format of this build.
        expected: u32,
        /// The format found.
        found: u32,
    },
    /// There is no log at this place (only a read-only open reports it).
    #[error("{path} holds no log")]
    NoLog {
        /// The directory.
        path: PathBuf,
    },
    /// Something that had been made durable does not read back as it was written. Never repaired by truncation.
    #[error("{path} is damaged at byte {offset}: expected {expected}, found {found}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The first wrong byte, as far as it can be told.
        offset: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The disk cannot read a place of a file, and says so.
    #[error("{path} cannot be read at byte {offset} ({detail}): look at the disk")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Where the sector begins.
        offset: u64,
        /// The operating system's words.
        detail: String,
    },
    /// A segment between two others, or below the oldest one, is gone.
    #[error(
        "the log segment {path} is missing: put it back, if it was moved; without it this log cannot be continued, and \
         counts as lost"
    )]
    MissingSegment {
        /// The file that should exist.
        path: PathBuf,
    },
    /// There are segments, and not the file that says whose they are.
    #[error(
        "{path} is missing, beside segments of a log: put it back, from any copy of this directory; without one, move the \
         whole directory away, and the validator starts as one that has lost this log"
    )]
    MissingIdentity {
        /// The file that should exist.
        path: PathBuf,
    },
    /// The file that says how the log is cut is that of another log.
    #[error(
        "{path} is of another log: by it a segment has {expected} bytes, and {segment} has {found}; put back the file of \
         this directory, from any copy of it"
    )]
    OtherIdentity {
        /// The file.
        path: PathBuf,
        /// The bytes of a segment by that file.
        expected: u64,
        /// A segment.
        segment: PathBuf,
        /// The bytes that it has.
        found: u64,
    },
    /// A segment is shorter than all segments of the log are.
    #[error(
        "{path} ends at byte {found}, and every segment of this log has {expected} bytes: it was cut off"
    )]
    Short {
        /// The file.
        path: PathBuf,
        /// The bytes that it should have.
        expected: u64,
        /// The bytes that it has.
        found: u64,
    },
    /// The disk is full. The log is read-only from here on; what was durable stays readable.
    #[error(
        "the disk is full while writing {path}; nothing more is written before there is room and the validator is started \
         again"
    )]
    NoSpace {
        /// The file that was being written.
        path: PathBuf,
    },
    /// A write or a sync failed. Sticky: what the disk holds after a failed fsync is unknown, so it is never retried.
    #[error("writing {path} failed ({detail}); the log has stopped and will not retry")]
    Failed {
        /// The file that was being written.
        path: PathBuf,
        /// The operating system's words.
        detail: String,
    },
    /// An operation outside the write path failed (opening, listing, reading).
    #[error("{action} {path}: {detail}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The operating system's words.
        detail: String,
    },
    /// `Backend::Uring` was asked for and cannot be had.
    #[error("io_uring with direct I/O was asked for but cannot be used in {path}: {detail}")]
    UringUnavailable {
        /// The directory.
        path: PathBuf,
        /// What the probe met.
        detail: String,
    },
    /// The options contradict each other or the format.
    #[error("the log's options are not usable: {detail}")]
    Options {
        /// Which and why.
        detail: String,
    },
    /// The record is larger than a group or a segment can ever hold.
    #[error("a record of {bytes} bytes exceeds the log's limit of {limit} bytes")]
    TooLarge {
        /// The size offered.
        bytes: u64,
        /// The most that fits.
        limit: u64,
    },
    /// The log is being closed.
    #[error("the log is closed")]
    Closed,
    /// The record was released and its segment may hold something else by now.
    #[error("the record at position {position} has been released")]
    Released {
        /// The position asked for.
        position: u64,
    },
    /// The record is not durable yet (or the position was never written).
    #[error("the record at position {position} is not durable")]
    NotDurable {
        /// The position asked for.
        position: u64,
    },
    /// No record starts there.
    #[error("no record starts at position {position}")]
    NoRecord {
        /// The position asked for.
        position: u64,
    },
}

impl StoreError {
    /// Wraps a failure outside the write path.
    pub(super) fn io(action: &'static str, path: &Path, error: &io::Error) -> StoreError {
        StoreError::Io { action, path: path.to_path_buf(), detail: error.to_string() }
    }

    /// Wraps a failure in the write path: a full disk is told apart, everything else is fatal and sticky.
    pub(super) fn writing(path: &Path, error: &io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::NoSpace { path: path.to_path_buf() }
            }
            _ => StoreError::Failed { path: path.to_path_buf(), detail: error.to_string() },
        }
    }
}
