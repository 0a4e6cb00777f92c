//! Where a record stands, and the proof that it is durable.

use super::sector::SECTOR_BYTES;

/// The highest bit: no log comes so far.
const BESIDE: u64 = 1 << 63;
/// Bits of a number: more batches than a block can have.
const BESIDE_BITS: u32 = 17;

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

    /// A place that no log gives out, for a record that has lost its own: the `number`-th such of a repair that begins
    /// at `from`. No two repairs begin in one sector. None where there are too many.
    #[must_use]
    pub const fn beside(from: Position, number: u64) -> Option<Position> {
        let sector = from.0 / SECTOR_BYTES as u64;
        if number >> BESIDE_BITS == 0 && sector >> (63 - BESIDE_BITS) == 0 {
            Some(Position(BESIDE | sector << BESIDE_BITS | number))
        } else {
            None
        }
    }

    /// Whether it is such a place.
    #[must_use]
    pub const fn is_beside(self) -> bool {
        self.0 & BESIDE != 0
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
