//! What can be wrong with an archive, told so that an operator can act on it.

use std::io;
use std::path::{Path, PathBuf};

use engine::replica::RecordError;
use engine::store::StoreError;
use engine::types::{Digest, Epoch, Height, ValidatorIndex};
use engine::wire::WireError;

/// Why something cannot be archived, or read from an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The operating system refuses.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What it answered.
        source: io::Error,
    },
    /// There is nothing to read.
    #[error("{}: no archive, for there is no file FIRST-LAST.archive; `millrace archive` makes one", .0.display())]
    NoArchive(PathBuf),
    /// The archive lies in what is archived.
    #[error("{}: this lies in the data directory itself, and would be lost with it: name another directory", .0.display())]
    InsideData(PathBuf),
    /// Another process archives into the directory.
    #[error("{}: another `millrace archive` writes this archive; let one of them do it", .0.display())]
    InUse(PathBuf),
    /// The archive is of another network.
    #[error("{}: this is the archive of network {found}, and not of {expected}: name another directory", directory.display())]
    OtherNetwork {
        /// The archive.
        directory: PathBuf,
        /// The network whose journal is read, or of which the questions are.
        expected: Digest,
        /// The network of the archive.
        found: Digest,
    },
    /// A file is not as it was written.
    #[error(transparent)]
    Damaged(#[from] Flaw),
    /// A file that the archive goes on from was taken away.
    #[error(
        "{}: this archive had heights up to {height}, and the file that ends with it is not here: put it back, for the \
         archive goes on from its last file. If it is lost, delete archived.json here: what is missing is then archived \
         again, if the journal still has it",
        directory.display()
    )]
    LastFileMissing {
        /// The archive.
        directory: PathBuf,
        /// The last height that was archived.
        height: Height,
    },
    /// A height is not in the archive.
    #[error("{}: the archive has no file with height {height}: it was moved, so bring it back", directory.display())]
    FileMissing {
        /// The archive.
        directory: PathBuf,
        /// The height.
        height: Height,
    },
    /// The journal has released what the archive needs next.
    #[error(
        "the archive ends with height {archived}, and {} no longer has all of height {}{}: archive from a validator that \
         keeps more, and then go on with this one",
        journal.display(), archived.0 + 1, of_height(*first)
    )]
    Gap {
        /// The journal.
        journal: PathBuf,
        /// The last height of the archive; 0 where it is empty.
        archived: Height,
        /// The first block that was found above it.
        first: Option<Height>,
    },
    /// The journal has another block than the archive.
    #[error(
        "{} has another block at height {height} than the archive: {found} on {expected}; one of them is of a network that \
         has forked, or was tampered with: run `millrace verify` on both",
        journal.display()
    )]
    Fork {
        /// The journal.
        journal: PathBuf,
        /// The height.
        height: Height,
        /// What the archive says there.
        expected: Digest,
        /// What the journal says.
        found: Digest,
    },
    /// A block of the journal does not hold.
    #[error("{}, height {height}: {what}; nothing of it is archived: run `millrace verify` on this validator's data", journal.display())]
    Unsound {
        /// The journal.
        journal: PathBuf,
        /// The height.
        height: Height,
        /// What is wrong with it.
        what: Unsound,
    },
    /// The journal cannot be read.
    #[error("the journal cannot be read: {0}")]
    Journal(#[from] StoreError),
    /// A record of the journal cannot be read.
    #[error("a record of the journal cannot be read ({0}): was it written by another version of millrace?")]
    Record(#[from] RecordError),
    /// A batch or a block of the journal cannot be read.
    #[error(
        "a batch or block of the journal cannot be read ({0}): was it written by another version of millrace?"
    )]
    Wire(#[from] WireError),
    /// There is too little room.
    #[error(
        "{}: {free} bytes are free, and {needed} are needed for the next file: make room, and start again",
        directory.display()
    )]
    NoRoom {
        /// The archive.
        directory: PathBuf,
        /// The bytes that are free.
        free: u64,
        /// The bytes that must be.
        needed: u64,
    },
    /// A question cannot be answered because of what is in the files.
    #[error("the archive cannot be read: {0}; `millrace verify --archive` names all that is wrong with it")]
    Unreadable(String),
    /// An archive cannot answer such a question.
    #[error(
        "an archive has blocks and transactions, and no answer to `{0}`: ask a validator, with --network"
    )]
    NotInArchive(&'static str),
}

/// What is wrong with a block of a journal.
#[derive(Debug, thiserror::Error)]
pub enum Unsound {
    /// The certificate proves nothing.
    #[error("its finalization certificate does not hold ({0})")]
    Certificate(String),
    /// It is of another epoch than the blocks before it lead to.
    #[error("it is of epoch {found}, and the blocks before it lead to epoch {expected}")]
    Epoch {
        /// Where the blocks before it lead to.
        expected: Epoch,
        /// What its header says.
        found: Epoch,
    },
    /// Its record does not have the members of the next epoch that its header names.
    #[error("its record has other members of the next epoch than its header names")]
    Members,
    /// A batch of the cut has another body than its header names.
    #[error("a batch of validator {0} has another body than its header names")]
    Body(ValidatorIndex),
    /// The record of its execution contradicts itself, or a later block.
    #[error("its record does not lead to the state root {0}")]
    StateRoot(Digest),
    /// The streams do not go on from where the block before has taken them.
    #[error("its cut does not go on from that of the block before")]
    Cut,
}

fn of_height(first: Option<Height>) -> String {
    first.map_or_else(String::new, |first| format!("; the next block there is that of height {first}"))
}

impl ArchiveError {
    /// Whether a directory or the command line has to be changed, and nothing is wrong with what is in the files.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoArchive(_)
                | Self::InsideData(_)
                | Self::InUse(_)
                | Self::OtherNetwork { .. }
                | Self::LastFileMissing { .. }
                | Self::NotInArchive(_)
        )
    }

    /// Wraps what the operating system answered.
    pub(super) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_path_buf(), source }
    }

    /// The same for a reader of journals.
    pub(super) fn into_store(self) -> StoreError {
        match self {
            Self::Damaged(Flaw { path, offset, expected, found }) => {
                StoreError::Corrupt { path, offset, expected, found }
            }
            Self::Io { action, path, source } => StoreError::Io { action, path, detail: source.to_string() },
            Self::FileMissing { ref directory, .. } | Self::OtherNetwork { ref directory, .. } => {
                StoreError::Io { action: "reading", path: directory.clone(), detail: self.to_string() }
            }
            other => StoreError::Io { action: "reading", path: PathBuf::new(), detail: other.to_string() },
        }
    }
}

/// A byte of a file of an archive that is not as it was written, or a file that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is damaged at byte {offset}: expected {expected}, found {found}", path.display())]
pub struct Flaw {
    /// The file.
    pub path: PathBuf,
    /// Where the part begins that is not right.
    pub offset: u64,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}
