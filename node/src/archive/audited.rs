//! An archive for an auditor, and what is wrong with each of its files by itself.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;

use engine::audit::{Archive as AuditSource, Finding, FindingKind};
use engine::store::{Position, Record};
use engine::types::{Digest, Genesis, Height};
use serde::Serialize;

use super::archiver::PROGRESS_FILE;
use super::error::{ArchiveError, Flaw};
use super::records::{batch_record, block_record, height_of, place_of};
use super::{Archive, ArchiveFile};

/// A file of an archive, or heights of which there is no file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArchivedFile {
    /// The file; the directory where one is missing.
    pub file: PathBuf,
    /// The heights that its name says, or that are missing.
    pub first: Height,
    /// The last of them.
    pub last: Height,
    /// What is wrong with it.
    pub wrong: Option<String>,
}

impl ArchivedFile {
    /// All files, every byte of which is read, and what is missing between them; `progress` is told how many were read
    /// of how many.
    #[must_use]
    pub fn list(archive: &Archive, genesis: &Genesis, progress: &dyn Fn(u64, u64)) -> Vec<Self> {
        let (mut listed, network) = (Vec::new(), genesis.network());
        let (before_first, block) = genesis.first_parent();
        let (mut next, mut block) = (before_first.next(), Some(block));
        for (place, (first, last)) in archive.files.iter().copied().enumerate() {
            progress(place as u64, archive.files.len() as u64);
            if first > next {
                let (file, last) = (archive.directory.clone(), Height(first.0 - 1));
                listed.push(Self {
                    file,
                    first: next,
                    last,
                    wrong: Some("no file has these heights".into()),
                });
                block = None;
            }
            let (wrong, end) = match archive.open_file((first, last)).and_then(|file| checked(file, network))
            {
                Err(error) => (Some(words(&error)), None),
                Ok((parent, end)) if first < next => {
                    let wrong = format!("out of sequence: height {first} is in the file before, too");
                    (Some(wrong), Some((parent, end)))
                }
                Ok((parent, end)) => {
                    let wrong = block.filter(|block| *block != parent).map(|block| {
                        format!(
                            "out of sequence: it goes on from the block {parent}, and before it is {block}"
                        )
                    });
                    (wrong, Some((parent, end)))
                }
            };
            listed.push(Self { file: archive.path((first, last)), first, last, wrong });
            next = next.max(last.next());
            block = end.map(|(_, end)| end);
        }
        let (file, first) = (archive.directory.clone(), next);
        listed.extend(archive.recorded_last_height.filter(|last| *last >= next).map(|last| {
            let wrong =
                Some(format!("no file has these heights, which were archived, as {PROGRESS_FILE} says"));
            Self { file, first, last, wrong }
        }));
        listed
    }
}

/// The blocks between which a file stands, if it is whole and of the network.
fn checked(file: ArchiveFile, network: &Digest) -> Result<(Digest, Digest), ArchiveError> {
    if file.network() != network {
        let (expected, found) = (*network, *file.network());
        return Err(ArchiveError::OtherNetwork { directory: PathBuf::new(), expected, found });
    }
    file.check().map(|()| file.links())
}

fn words(error: &ArchiveError) -> String {
    match error {
        ArchiveError::Damaged(Flaw { offset, expected, found, .. }) => {
            format!("damaged at byte {offset}: expected {expected}, found {found}")
        }
        ArchiveError::OtherNetwork { found, .. } => format!("of another network, {found}"),
        ArchiveError::Io { source, .. } => format!("cannot be read: {source}"),
        other => other.to_string(),
    }
}

impl fmt::Display for ArchivedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wrong.as_deref().unwrap_or("whole"))
    }
}

/// Reads an archive from its first height to its last.
#[derive(Debug)]
pub struct AuditedArchive {
    archive: Archive,
    network: Digest,
    /// Files that were not opened yet, and the one that is being read, with its next frame.
    left: VecDeque<(Height, Height)>,
    open: Option<(ArchiveFile, usize)>,
    next: Height,
}

impl AuditedArchive {
    /// At the first height.
    #[must_use]
    pub fn new(archive: Archive, genesis: &Genesis) -> Self {
        let left = archive.files.iter().copied().collect();
        let (network, (before_first, _)) = (*genesis.network(), genesis.first_parent());
        Self { archive, network, left, open: None, next: before_first.next() }
    }

    fn finding(&self, error: ArchiveError) -> Finding {
        let what = "a file of the archive".to_owned();
        match error {
            ArchiveError::Damaged(Flaw { path, offset, expected, found }) => {
                Finding { kind: FindingKind::Damage, file: path, offset, what, expected, found }
            }
            ArchiveError::OtherNetwork { directory, expected, found } => Finding {
                kind: FindingKind::Wrong,
                file: directory,
                offset: 12,
                what,
                expected: format!("one of network {expected}"),
                found: format!("one of {found}"),
            },
            other => Finding {
                kind: FindingKind::Damage,
                file: self.archive.directory().to_owned(),
                offset: 0,
                what,
                expected: "one that can be read".to_owned(),
                found: other.to_string(),
            },
        }
    }

    /// Opens the file with the next height.
    fn open_next(&mut self) -> Result<bool, ArchiveError> {
        let heights = self.left.pop_front();
        let is_missing = match heights {
            Some((first, _)) => first > self.next,
            None => self.archive.recorded_last_height.is_some_and(|last| last >= self.next),
        };
        if is_missing {
            let (directory, height) = (self.archive.directory().to_owned(), self.next);
            return Err(ArchiveError::FileMissing { directory, height });
        }
        let Some(heights) = heights else { return Ok(false) };
        let file = self.archive.open_file(heights)?;
        if *file.network() != self.network {
            let (directory, expected, found) = (self.archive.path(heights), self.network, *file.network());
            return Err(ArchiveError::OtherNetwork { directory, expected, found });
        }
        self.open = Some((file, 0));
        Ok(true)
    }

    fn next_frame(&mut self) -> Result<Vec<Record>, ArchiveError> {
        while self.open.as_ref().is_none_or(|(file, next)| *next == file.frames()) {
            if !self.open_next()? {
                return Ok(Vec::new());
            }
        }
        let (file, next) = self.open.as_mut().expect("it has a frame that was not read");
        let (first, entries) = file.frame(*next)?;
        *next += 1;
        let mut records = Vec::new();
        for (height, entry) in (first.0..).map(Height).zip(entries) {
            let block = block_record(height, &entry).ok_or_else(|| Flaw {
                path: self.archive.path((file.header.first, file.index.last)),
                offset: file.offset_of(height),
                expected: format!("the record of height {height}"),
                found: "something else".to_owned(),
            })?;
            let batches = (1..).zip(entry.batches);
            records.extend(batches.map(|(number, bytes)| batch_record(height, number, bytes)));
            records.push(block);
            self.next = height.next();
        }
        Ok(records)
    }
}

impl AuditSource for AuditedArchive {
    fn read(&mut self) -> Result<Vec<Record>, Finding> {
        self.next_frame().map_err(|error| self.finding(error))
    }

    fn locate(&self, position: Position) -> (PathBuf, u64) {
        let height = height_of(position);
        let nowhere = || (self.archive.directory().to_owned(), 0);
        let Some(heights) = self.archive.file_of(height) else { return nowhere() };
        let offset = self.archive.open_file(heights).map_or(0, |file| file.offset_of(height));
        (self.archive.path(heights), offset)
    }

    fn end(&self) -> Position {
        place_of(self.archive.last().next(), 0)
    }
}
