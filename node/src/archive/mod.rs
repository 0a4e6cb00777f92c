//! An archive: everything that a network has committed, as files of their own, from which it can be audited and asked.
//!
//! ```text
//! a validator's journal ── read while it runs ── Heights: proved to be final ── FileWriter ──▶ FIRST-LAST.archive
//!                                                                                             │ closed, moved, copied
//! verify --archive ── all heights, in order, into the auditor ◀───────────────────────────────┤
//! query --archive  ── one height at a time, answered as a validator would ◀───────────────────┘
//! ```
//!
//! Invariants:
//! - the last block of each file has a finalization certificate of a quorum, and each block names the one before: so
//!   each file proves by itself that its blocks are final;
//! - a file that has its name is whole, durable and never changed;
//! - files that are written one after the other have neither a gap between them nor a height twice.
//!
//! `docs/ARCHIVE.md` has the format, and `docs/adr` why it is so.

mod error;
mod format;
mod file;
mod write;
mod journal;
mod archiver;
mod follow;
mod records;
mod answers;
mod audited;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use engine::types::{Digest, Height};

pub use answers::client;
pub use audited::{ArchivedFile, AuditedArchive};
pub use error::{ArchiveError, Flaw, Unsound};
pub use file::ArchiveFile;
pub use follow::archive;
pub use write::Written;

/// What the names of files end with.
const SUFFIX: &str = ".archive";

/// The name of a file with these heights.
fn name_of(first: Height, last: Height) -> String {
    format!("{:016}-{:016}{SUFFIX}", first.0, last.0)
}

/// The heights that a name says.
fn heights_of(name: &str) -> Option<(Height, Height)> {
    let (first, last) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let (first, last) = (Height(first.parse().ok()?), Height(last.parse().ok()?));
    (name == name_of(first, last) && first.0 > 0 && first <= last && last.0 < 1 << 47)
        .then_some((first, last))
}

/// The files of a directory, by their names, ascending.
#[derive(Debug, Clone)]
pub struct Archive {
    directory: PathBuf,
    files: Vec<(Height, Height)>,
    /// The last height that was archived here, if the process that did it has recorded it: there must be a file of it.
    recorded_last_height: Option<Height>,
}

impl Archive {
    /// Lists a directory, which may have no file yet.
    ///
    /// # Errors
    /// [`ArchiveError::Io`]: it cannot be read.
    fn list(directory: &Path) -> Result<Self, ArchiveError> {
        // First the record of progress: a file is durable before it is recorded, and more may be archived meanwhile.
        let recorded_last_height = archiver::progress(directory).map(|progress| progress.height);
        let names = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let names = names.map_err(ArchiveError::io("reading", directory))?;
        let mut files: Vec<_> =
            names.iter().filter_map(|entry| heights_of(entry.file_name().to_str()?)).collect();
        files.sort_unstable();
        Ok(Self { directory: directory.to_owned(), files, recorded_last_height })
    }

    /// Lists an archive.
    ///
    /// # Errors
    /// [`ArchiveError::NoArchive`] where it has no file; [`ArchiveError::Io`].
    pub fn open(directory: &Path) -> Result<Self, ArchiveError> {
        match Self::list(directory) {
            Err(ArchiveError::Io { source, .. })
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Err(ArchiveError::NoArchive(directory.to_owned()))
            }
            Ok(listed) if listed.files.is_empty() => Err(ArchiveError::NoArchive(directory.to_owned())),
            listed => listed,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The last height; 0 where there is no file.
    #[must_use]
    pub fn last(&self) -> Height {
        self.files.last().map_or(Height(0), |(_, last)| *last)
    }

    /// The last height of an archive of this network; 0 where there is none that can be read. Of its last file header
    /// and index are looked at.
    pub(crate) fn reaches(directory: &Path, network: &Digest) -> Height {
        let last = || {
            let archive = Self::open(directory).ok()?;
            let heights = *archive.files.last()?;
            let file = archive.open_file(heights).ok()?;
            (file.network() == network).then_some(heights.1)
        };
        last().unwrap_or(Height(0))
    }

    /// The heights from the first block of the network to the last one here that no file has.
    fn gaps(&self, before_first: Height) -> Vec<(Height, Height)> {
        let mut next = before_first.next();
        let mut gaps = Vec::new();
        for (first, last) in &self.files {
            if *first > next {
                gaps.push((next, Height(first.0 - 1)));
            }
            next = next.max(last.next());
        }
        gaps
    }

    fn path(&self, (first, last): (Height, Height)) -> PathBuf {
        self.directory.join(name_of(first, last))
    }

    fn open_file(&self, heights: (Height, Height)) -> Result<ArchiveFile, ArchiveError> {
        ArchiveFile::open(&self.path(heights), heights)
    }

    /// The file that has a height.
    fn file_of(&self, height: Height) -> Option<(Height, Height)> {
        let place = self.files.partition_point(|(first, _)| *first <= height).checked_sub(1)?;
        self.files.get(place).copied().filter(|(_, last)| height <= *last)
    }
}
