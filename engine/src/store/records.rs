//! Reading records back, from the threaded log and from the simulated one alike.

use super::error::StoreError;
use super::log::Log;
use super::position::Position;
use super::replay::Record;
use super::simulated::SimulatedLog;

/// Records by their positions.
pub trait Records {
    /// The durable record at a position.
    ///
    /// # Errors
    /// The record is not durable, was released, was never there, or is damaged.
    fn read(&self, position: Position) -> Result<Record, StoreError>;
}

impl Records for Log {
    fn read(&self, position: Position) -> Result<Record, StoreError> {
        Log::read(self, position)
    }
}

impl Records for SimulatedLog {
    fn read(&self, position: Position) -> Result<Record, StoreError> {
        SimulatedLog::read(self, position)
    }
}
