//! The group being filled: records laid out over tagged sectors, ready to be written in one go.
//!
//! A record is an 8-byte header (length, kind, a constant) and its bytes, flowing over as many payloads as it needs.
//! A header never straddles two sectors, a record never straddles two groups, a group never straddles two segments.
//! Each byte is copied once, from the caller's slices to where the disk will take it from.

use super::buffer::Buffer;
use super::sector::{ENDS_SEGMENT, PAYLOAD_BYTES, SECTOR_BYTES, STARTS_GROUP, Seed, TAG_BYTES, Tag, u32_at};

/// Bytes in front of each record.
pub(super) const HEADER_BYTES: usize = 8;
/// The end of each record header: a read at a position where no record starts shows here.
const MAGIC: [u8; 3] = *b"mil";

/// A record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) length: u32,
    pub(super) kind: u8,
}

impl Header {
    fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4] = self.kind;
        bytes[5..].copy_from_slice(&MAGIC);
        bytes
    }

    /// `None` where no header stands.
    pub(super) fn decode(bytes: &[u8]) -> Option<Header> {
        match bytes.len() >= HEADER_BYTES && bytes[5..HEADER_BYTES] == MAGIC {
            true => Some(Header { length: u32_at(bytes, 0), kind: bytes[4] }),
            false => None,
        }
    }
}

/// The largest record that fits into `sectors` fresh sectors.
pub(super) fn record_limit(sectors: u64) -> u64 {
    (sectors * PAYLOAD_BYTES as u64).saturating_sub(HEADER_BYTES as u64).min(u64::from(u32::MAX))
}

/// Why a record was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The buffer is full: the group must be written first.
    Buffer,
    /// The segment is full: the group must end the segment, the record goes into the next.
    Segment,
}

/// Records on their way to the disk.
pub(super) struct Group {
    buffer: Buffer,
    /// Absolute number of the first sector.
    start: u64,
    /// Sectors in use, the one being filled included.
    used: usize,
    /// Payload bytes in use in the last one.
    filled: usize,
    /// Absolute number of the first sector of the next segment.
    segment_end: u64,
    ends_segment: bool,
    records: u64,
}

impl Group {
    /// An empty group that begins at sector `start`, in the segment that ends at `segment_end`.
    pub(super) fn new(buffer: Buffer, start: u64, segment_end: u64) -> Group {
        assert!(start < segment_end, "a group begins inside its segment");
        Group { buffer, start, used: 0, filled: 0, segment_end, ends_segment: false, records: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Sectors in use.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// The sector after the group, where the next one begins: the next segment's first if this one ends its segment.
    pub(super) fn next_start(&self) -> u64 {
        match self.ends_segment {
            true => self.segment_end,
            false => self.start + self.used as u64,
        }
    }

    /// Takes a record; returns the absolute byte address of its header. The caller has checked `record_limit`.
    pub(super) fn push(&mut self, kind: u8, parts: &[&[u8]], length: u32) -> Result<u64, Full> {
        assert!(!self.ends_segment, "nothing follows the end of a segment");
        let fresh = self.used == 0 || PAYLOAD_BYTES - self.filled < HEADER_BYTES;
        let room = if fresh { 0 } else { PAYLOAD_BYTES - self.filled };
        let overflow = (HEADER_BYTES + length as usize).saturating_sub(room);
        let wanted = self.used + overflow.div_ceil(PAYLOAD_BYTES);
        if self.start + wanted as u64 > self.segment_end {
            return Err(Full::Segment);
        }
        if wanted > self.buffer.sectors() {
            return Err(Full::Buffer);
        }
        if fresh {
            self.open_sector();
        }
        let address =
            (self.start + self.used as u64 - 1) * SECTOR_BYTES as u64 + (TAG_BYTES + self.filled) as u64;
        self.copy(&Header { length, kind }.encode());
        for part in parts {
            self.copy(part);
        }
        self.records += 1;
        Ok(address)
    }

    /// Marks the segment as ended here. False if the buffer has no sector left to say so: write the group first.
    pub(super) fn end_segment(&mut self) -> bool {
        let full = self.start + self.used as u64 == self.segment_end;
        if !full {
            if self.used == self.buffer.sectors() {
                return false;
            }
            self.open_sector();
        }
        self.ends_segment = true;
        true
    }

    /// Adds an empty sector: a group of nothing else is a *mark*, written to say what has become durable.
    pub(super) fn open_sector(&mut self) {
        if self.used > 0 {
            self.close_sector();
        }
        self.used += 1;
        self.filled = 0;
    }

    fn close_sector(&mut self) {
        let sector = self.buffer.sector_mut(self.used - 1);
        sector[32..34].copy_from_slice(&(self.filled as u16).to_le_bytes());
        sector[TAG_BYTES + self.filled..].fill(0);
    }

    fn copy(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.filled == PAYLOAD_BYTES {
                self.open_sector();
            }
            let count = bytes.len().min(PAYLOAD_BYTES - self.filled);
            let at = TAG_BYTES + self.filled;
            self.buffer.sector_mut(self.used - 1)[at..at + count].copy_from_slice(&bytes[..count]);
            self.filled += count;
            bytes = &bytes[count..];
        }
    }

    /// Stamps every sector and hands over the buffer.
    pub(super) fn seal(mut self, seed: &Seed, incarnation: u32, durable: u64, released: u64) -> Buffer {
        assert!(self.used > 0, "an empty group is never written");
        self.close_sector();
        let ending = self.ends_segment && self.start + (self.used as u64) < self.segment_end;
        for index in 0..self.used {
            let sector = self.buffer.sector_mut(index);
            let mut flags = 0;
            if index == 0 {
                flags |= STARTS_GROUP;
            }
            if ending && index + 1 == self.used {
                flags |= ENDS_SEGMENT;
            }
            let length = u16::from_le_bytes([sector[32], sector[33]]);
            let number = self.start + index as u64;
            seed.stamp(sector, &Tag { incarnation, sector: number, durable, released, length, flags });
        }
        self.buffer
    }
}

#[cfg(test)]
mod tests;
