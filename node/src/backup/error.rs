//! What can go wrong with a backup, told so that an operator can act on it.

use std::io;
use std::path::{Path, PathBuf};

use engine::store::StoreError;

/// A backup, or a restore, that was not done.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target is there already.
    #[error("{}: this is there already, and nothing is overwritten: choose another directory, or move this one away", .0.display())]
    Exists(PathBuf),
    /// The target lies in what is backed up.
    #[error("{}: this lies in the data directory itself, and would be lost with it: choose a place outside", .0.display())]
    InsideData(PathBuf),
    /// There is no backup at this place, or it was not finished.
    #[error("{}: there is no {} in it: it is no backup, or one that was cut short. Use another one", .0.display(), super::MANIFEST)]
    NoBackup(PathBuf),
    /// What the backup says of itself cannot be read.
    #[error("{}: it cannot be read ({why}): use another backup", file.display())]
    Manifest {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file of the backup is not as it was written.
    #[error("{}: {what}: this backup is damaged; use another one", file.display())]
    BackupDamaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A file of the data directory cannot be read.
    #[error(
        "{}: {what}: nothing was backed up. Leave the validator running: its scrubber repairs the journal from other \
         validators, and sets damaged checkpoints aside. Try again when its log says that this is done", file.display()
    )]
    SourceDamaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A file is another one than when it was copied: the journal was pruned meanwhile, or the copy is damaged.
    #[error(
        "{}: it has changed since it was copied, and the copy cannot be read: the journal is pruned faster than it is \
         copied, or the disk of the backup is at fault. Let the validator keep more (`keep_mib`), or take a faster disk",
        .0.display()
    )]
    Changed(PathBuf),
    /// The data directory has no checkpoint, or none that goes with its journal.
    #[error(
        "{}: it has no checkpoint from which a start could go on with its journal, which was pruned: look at it with \
         `millrace verify`", .0.display()
    )]
    NoCheckpoint(PathBuf),
    /// The journal cannot be read.
    #[error("the journal cannot be read: {0}")]
    Journal(#[from] StoreError),
    /// The operating system refused.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
}

impl BackupError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the command line, or what it names, has to be changed.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Exists(_)
                | Self::InsideData(_)
                | Self::NoBackup(_)
                | Self::Journal(StoreError::NoLog { .. })
        )
    }
}
