//! What the rest of the engine asks of a log, so that it runs on the threaded one and on the simulated one alike.

use super::error::StoreError;
use super::log::Log;
use super::position::Position;
use super::replay::Record;

/// A log that takes records, reads them back and gives up its past.
pub trait Journal {
    /// Appends a record made of the parts, one after the other.
    ///
    /// # Errors
    /// The record is too large, or the log has failed, is full or closed.
    fn append(&self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError>;

    /// Reads one durable record back.
    ///
    /// # Errors
    /// The record is not durable, was released, was never there, or is damaged.
    fn read(&self, position: Position) -> Result<Record, StoreError>;

    /// Gives up every record before `before`.
    fn release(&self, before: Position);
}

impl Journal for Log {
    fn append(&self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError> {
        Log::append(self, kind, parts)
    }

    fn read(&self, position: Position) -> Result<Record, StoreError> {
        Log::read(self, position)
    }

    fn release(&self, before: Position) {
        Log::release(self, before);
    }
}
