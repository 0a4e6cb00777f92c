//! Sectors that are read many at a time, and one by one where the disk cannot read them together.

use std::io;
use std::ops::Range;

use super::buffer::Buffer;
use super::disk::Disk;
use super::sector::SECTOR_BYTES;

/// Sectors read at a time.
const CHUNK_SECTORS: u64 = 256;

/// Some sectors of a segment.
pub(super) struct ReadAhead {
    segment_sectors: u64,
    buffer: Buffer,
    /// Absolute numbers of the sectors in the buffer.
    loaded: Range<u64>,
    /// The disk could not read these together. One that cannot be read costs a disk seconds, so the others are not
    /// tried with it again.
    singly: Range<u64>,
    /// Whether each read comes from the disk, not from the page cache.
    pub(super) uncached: bool,
}

impl ReadAhead {
    pub(super) fn new(segment_sectors: u64) -> ReadAhead {
        let buffer = Buffer::new(CHUNK_SECTORS.min(segment_sectors) as usize);
        ReadAhead { segment_sectors, buffer, loaded: 0..0, singly: 0..0, uncached: false }
    }

    /// Has the sectors read anew that are loaded now.
    pub(super) fn clear(&mut self) {
        (self.loaded, self.singly) = (0..0, 0..0);
    }

    /// A sector that is loaded.
    pub(super) fn sector(&self, number: u64) -> &[u8; SECTOR_BYTES] {
        self.buffer.sector((number - self.loaded.start) as usize)
    }

    /// Loads a sector, and those behind it that can be read together with it.
    ///
    /// # Errors
    /// The disk cannot read this one.
    pub(super) fn load(&mut self, disk: &dyn Disk, number: u64) -> io::Result<()> {
        if self.loaded.contains(&number) {
            return Ok(());
        }
        self.loaded = 0..0;
        let within = number % self.segment_sectors;
        let mut count = (self.segment_sectors - within).min(self.buffer.sectors() as u64);
        if self.singly.contains(&number) || self.read(disk, number, count).is_err() {
            if !self.singly.contains(&number) {
                self.singly = number..number + count;
            }
            count = 1;
            self.read(disk, number, count)?;
        }
        self.loaded = number..number + count;
        Ok(())
    }

    fn read(&mut self, disk: &dyn Disk, number: u64, count: u64) -> io::Result<()> {
        let (segment, within) = (number / self.segment_sectors, number % self.segment_sectors);
        let offset = within * SECTOR_BYTES as u64;
        let forget = || {
            if self.uncached {
                disk.forget(segment, offset, count * SECTOR_BYTES as u64);
            }
        };
        forget();
        let read = disk.read(segment, offset, &mut self.buffer, count as usize);
        forget();
        read
    }
}
