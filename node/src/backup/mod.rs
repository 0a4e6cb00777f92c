//! A backup of a validator's data, made while it runs, and a data directory that is made from one.
//!
//! ```text
//! DATA_DIR ── checkpoints, then the journal up to its end of that moment ──▶ BACKUP ── read back ── backup.json, last
//! BACKUP   ── every file against backup.json ──▶ DATA_DIR (new) ── synced, then named
//! ```
//!
//! Invariants:
//! - a backup that has a `backup.json` is whole, durable and was read back;
//! - the log of votes is in no backup. What a validator has said since cannot be known from a copy, so the one that is
//!   restored has a journal, and a log of votes that says that it has lost some. A start then follows without voting
//!   until something is final above every view in which it may have voted;
//! - a restored directory appears under its name at once, whole.

mod error;
mod make;
mod manifest;
mod restore;

use std::path::{Path, PathBuf};

pub use error::BackupError;
pub use make::{Backup, backup};
pub use manifest::{BackedUp, Manifest};
pub use restore::restore;

/// The file that says what a backup holds.
const MANIFEST: &str = "backup.json";
/// How the name of a directory ends that is not whole yet.
const UNFINISHED: &str = "unfinished";

/// Where a directory is made before it gets its name.
fn unfinished(directory: &Path) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(UNFINISHED);
    directory.with_file_name(name)
}

#[cfg(test)]
mod tests;
