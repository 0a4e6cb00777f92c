//! Where an audit reads records from: the journal of a directory, or an archive.

use std::path::PathBuf;

use super::{AuditError, Finding, directory};
use crate::store::{Position, Record, Replay};

/// What was archived of a network, read in order and from the first height on. Nothing in it is believed.
pub trait Archive {
    /// The records of the next heights, at least one: of each height its batches, and then its block. Empty at the end.
    ///
    /// # Errors
    /// What is wrong with which file; there is nothing more then.
    fn read(&mut self) -> Result<Vec<Record>, Finding>;

    /// The file of a record, and where in it the part stands that has the record.
    fn locate(&self, position: Position) -> (PathBuf, u64);

    /// A position that is not below that of any record.
    fn end(&self) -> Position;
}

/// Records in order. The auditor asks the same of a journal and of an archive.
pub(super) trait Source {
    /// Some more records, and what is damaged behind them. Nothing of both at the end.
    fn wave(&mut self) -> Result<(Vec<Record>, Option<Finding>), AuditError>;

    /// File and place of a record.
    fn locate(&self, position: Position) -> (PathBuf, u64);

    /// The position behind the last record.
    fn end(&self) -> Position;
}

/// The journal of a directory.
pub(super) struct Journal {
    pub replay: Replay,
    pub directory: PathBuf,
}

impl Source for Journal {
    fn wave(&mut self) -> Result<(Vec<Record>, Option<Finding>), AuditError> {
        directory::read_wave(&mut self.replay, &self.directory)
    }

    fn locate(&self, position: Position) -> (PathBuf, u64) {
        self.replay.locate(position)
    }

    fn end(&self) -> Position {
        self.replay.end()
    }
}

/// An archive.
pub(super) struct Archived<'a>(pub &'a mut dyn Archive);

impl Source for Archived<'_> {
    fn wave(&mut self) -> Result<(Vec<Record>, Option<Finding>), AuditError> {
        Ok(self.0.read().map_or_else(|finding| (Vec::new(), Some(finding)), |records| (records, None)))
    }

    fn locate(&self, position: Position) -> (PathBuf, u64) {
        self.0.locate(position)
    }

    fn end(&self) -> Position {
        self.0.end()
    }
}
