//! Where a record stands, and the proof that it is durable.

use super::sector::SECTOR_BYTES;

/// Where a record stands in the log: a byte address since the log was born. Later records have higher positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// The position as a number, to be kept elsewhere.
    #[must_use]
    pub fn raw(self) -> u64 {
        self.0
    }

    /// A position that was kept elsewhere. One that the log never gave out is answered with an error, not with bytes.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Position {
        Position(raw)
    }

    pub(super) fn of_sector(sector: u64) -> Position {
        Position(sector * SECTOR_BYTES as u64)
    }

    pub(super) fn of_byte(sector: u64, offset: usize) -> Position {
        Position(sector * SECTOR_BYTES as u64 + offset as u64)
    }

    /// Sector and offset in it.
    pub(super) fn split(self) -> (u64, usize) {
        (self.0 / SECTOR_BYTES as u64, (self.0 % SECTOR_BYTES as u64) as usize)
    }
}

/// Evidence that everything below some position has been written and synced. Only the log mints it, after the fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    end: Position,
}

impl Durable {
    /// Only for the log's thread, after an fdatasync has completed.
    pub(super) fn below(end: Position) -> Durable {
        Durable { end }
    }

    /// Does it cover the record at this position?
    #[must_use]
    pub fn covers(&self, position: Position) -> bool {
        position < self.end
    }

    /// Every record below this position is durable.
    #[must_use]
    pub fn end(&self) -> Position {
        self.end
    }
}
