//! The unit of everything on disk: 4 KiB, each with a tag of its own.
//!
//! ```text
//!  0      4            8         16         24          32       34      36       40        4096
//!  | crc  | incarnation | sector  | durable  | released  | length | flags | spare  | payload  |
//! ```
//!
//! The tag answers the four questions that recovery asks of a sector:
//! *is it whole* (crc, seeded with the owner), *is it the one that belongs here* (sector, absolute since the log was
//! born, so a recycled segment's old contents and a misdirected write both show), *is it from this life or from an
//! unacknowledged tail of an earlier one* (incarnation), and *what was known to be durable when it was written*
//! (durable), which is what separates a torn tail from a rotten middle.

use super::owner::Owner;

/// Bytes of a sector: the unit of writing, of checksums and of tearing.
pub(super) const SECTOR_BYTES: usize = 4096;
/// Bytes of the tag at the front of each sector.
pub(super) const TAG_BYTES: usize = 40;
/// Bytes of records in each sector.
pub(super) const PAYLOAD_BYTES: usize = SECTOR_BYTES - TAG_BYTES;

/// The first sector of a group; a record never crosses into it from the sector before.
pub(super) const STARTS_GROUP: u8 = 1;
/// The rest of this segment is unused; the log goes on in the next.
pub(super) const ENDS_SEGMENT: u8 = 2;

/// What stands in front of each sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    /// The life of the log that wrote it: one more at each open.
    pub(super) incarnation: u32,
    /// Its own absolute number.
    pub(super) sector: u64,
    /// Every sector below this one was known to be durable when this one was written.
    pub(super) durable: u64,
    /// Every sector below this one was released.
    pub(super) released: u64,
    /// Payload bytes in use.
    pub(super) length: u16,
    /// `STARTS_GROUP`, `ENDS_SEGMENT`.
    pub(super) flags: u8,
}

/// What a sector turned out to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// What belongs there.
    Valid(Tag),
    /// Never written.
    Blank,
    /// A whole sector that belongs elsewhere: left over from before the segment was recycled, or misdirected.
    Elsewhere(Tag),
    /// The checksum does not hold.
    Damaged {
        /// The checksum that its bytes have.
        computed: u32,
        /// The checksum that it carries.
        carried: u32,
    },
}

/// The checksum state that each sector's checksum starts from, so that another owner's sectors do not pass.
#[derive(Clone)]
pub(super) struct Seed(crc32fast::Hasher);

impl Seed {
    /// The seed of an owner.
    pub(super) fn new(owner: &Owner) -> Seed {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&owner.network);
        hasher.update(&owner.validator);
        hasher.update(&[owner.log.code()]);
        Seed(hasher)
    }

    fn checksum(&self, bytes: &[u8; SECTOR_BYTES]) -> u32 {
        let mut hasher = self.0.clone();
        hasher.update(&bytes[4..]);
        hasher.finalize()
    }

    /// Writes the tag and the checksum in front of a payload that is already in place.
    pub(super) fn stamp(&self, bytes: &mut [u8; SECTOR_BYTES], tag: &Tag) {
        bytes[4..8].copy_from_slice(&tag.incarnation.to_le_bytes());
        bytes[8..16].copy_from_slice(&tag.sector.to_le_bytes());
        bytes[16..24].copy_from_slice(&tag.durable.to_le_bytes());
        bytes[24..32].copy_from_slice(&tag.released.to_le_bytes());
        bytes[32..34].copy_from_slice(&tag.length.to_le_bytes());
        bytes[34] = tag.flags;
        bytes[35..TAG_BYTES].fill(0);
        let checksum = self.checksum(bytes);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads and judges the sector that should be number `expected`.
    pub(super) fn inspect(&self, bytes: &[u8; SECTOR_BYTES], expected: u64) -> Found {
        let carried = u32_at(bytes, 0);
        let computed = self.checksum(bytes);
        if carried != computed {
            return match bytes.iter().all(|byte| *byte == 0) {
                true => Found::Blank,
                false => Found::Damaged { computed, carried },
            };
        }
        let tag = Tag {
            incarnation: u32_at(bytes, 4),
            sector: u64_at(bytes, 8),
            durable: u64_at(bytes, 16),
            released: u64_at(bytes, 24),
            length: u16::from_le_bytes([bytes[32], bytes[33]]),
            flags: bytes[34],
        };
        match tag.sector == expected {
            true => Found::Valid(tag),
            false => Found::Elsewhere(tag),
        }
    }
}

impl Found {
    /// The words of an error report.
    pub(super) fn describe(&self) -> String {
        match self {
            Found::Valid(tag) => {
                format!("sector {} of incarnation {} with flags {}", tag.sector, tag.incarnation, tag.flags)
            }
            Found::Blank => "zeros".to_string(),
            Found::Elsewhere(tag) => {
                format!("sector {} of incarnation {} (stale or misdirected)", tag.sector, tag.incarnation)
            }
            Found::Damaged { computed, carried } => {
                format!("bytes with checksum {computed:08x} under the checksum {carried:08x}")
            }
        }
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("a slice of four bytes"))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a slice of eight bytes"))
}

#[cfg(test)]
mod tests;
