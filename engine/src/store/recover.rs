//! Where the log ends: what was durable, then what happens to be whole behind it.
//!
//! ```text
//!   oldest ──── durable by the word of a later sector ────▶ D ── whole sectors in a row ──▶ end │ torn, stale, blank
//!               damage here is an error, met in replay          may be acknowledged or not      │ dropped
//! ```
//!
//! `D` is the highest `durable` that any whole sector carries. At most `IN_FLIGHT` groups are ever unacknowledged, so
//! the two last segments with anything in them contain that sector. Sectors are only ever rewritten at or above the
//! end, and `end >= D`: so a whole sector's word stays true in every later life of the log, and no incarnation need be
//! compared to trust it. What follows `D` counts while the sectors are whole, in place, and of no earlier life than the
//! last.
//!
//! A sector that the disk cannot read says nothing, as one that has rotted. Below `D` replay and the scrubber come to
//! it and name it, and a repair can stand for it. Behind the end it does no harm. Where the end would be, it is an
//! error: it may have been acknowledged, and what is written next would take its place.

use std::io;

use super::disk::{Disk, IN_FLIGHT};
use super::error::StoreError;
use super::identity::Identity;
use super::read_ahead::ReadAhead;
use super::sector::{ENDS_SEGMENT, Found, SECTOR_BYTES, Seed, Tag};

/// Sectors that may be unreadable while the end is looked for. A disk with more of them is dying, and takes seconds for
/// each.
const UNREADABLE_MAX: usize = 256;

/// What recovery found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first sector that is kept.
    pub(super) first: u64,
    /// Every sector below this one is durable, by the word of a later one.
    pub(super) durable: u64,
    /// The sector after the last that counts.
    pub(super) end: u64,
    /// The last life of the log that has left a whole sector in its last segments; 0 if none has.
    pub(super) incarnation: u32,
    /// What was released at least.
    pub(super) released: u64,
    /// So much of it by the word of a sector that counts; the next group may overwrite what else says so.
    pub(super) told_released: u64,
    /// All segments that exist from `first` on, prepared ones included.
    pub(super) segments: Vec<u64>,
    /// Segments below `first`, free to be recycled.
    pub(super) spare: Vec<u64>,
}

impl Extent {
    /// That of a running log.
    pub(super) fn kept(released: u64, durable: u64, segment_sectors: u64) -> Self {
        Self {
            first: released / segment_sectors * segment_sectors,
            durable,
            end: durable,
            incarnation: 0,
            released,
            told_released: released,
            segments: Vec::new(),
            spare: Vec::new(),
        }
    }
}

/// Reads segments, their sectors ahead of what is asked for.
struct Reader<'a> {
    disk: &'a dyn Disk,
    seed: Seed,
    segment_sectors: u64,
    read_ahead: ReadAhead,
}

impl<'a> Reader<'a> {
    fn new(disk: &'a dyn Disk, identity: &Identity) -> Reader<'a> {
        let segment_sectors = identity.segment_sectors();
        let seed = Seed::new(&identity.owner);
        Reader { disk, seed, segment_sectors, read_ahead: ReadAhead::new(segment_sectors) }
    }

    /// What a sector turns out to be.
    fn sector(&mut self, number: u64) -> Result<Found, StoreError> {
        self.read_ahead
            .load(self.disk, number)
            .map_err(|error| unreadable(self.disk, self.segment_sectors, number, &error))?;
        Ok(self.seed.inspect(self.read_ahead.sector(number), number))
    }

    /// The same of a sector at which the log seems to end. A disk may say something else the second time, and what is
    /// written next takes its place.
    fn last(&mut self, number: u64) -> Result<Found, StoreError> {
        match self.sector(number) {
            Ok(Found::Valid(tag)) => Ok(Found::Valid(tag)),
            _ => {
                self.read_ahead.clear();
                self.sector(number)
            }
        }
    }

    /// The error report of a sector that should have been there.
    fn corrupt(&self, number: u64, expected: String, found: String) -> StoreError {
        corrupt(self.disk, self.segment_sectors, number, expected, found)
    }
}

/// The error report of a sector that cannot be read.
pub(super) fn unreadable(
    disk: &dyn Disk,
    segment_sectors: u64,
    number: u64,
    error: &io::Error,
) -> StoreError {
    let path = disk.path(number / segment_sectors);
    match (error.kind(), std::fs::metadata(&path)) {
        (io::ErrorKind::UnexpectedEof, Ok(file)) if file.len() < segment_sectors * SECTOR_BYTES as u64 => {
            StoreError::Short { path, expected: segment_sectors * SECTOR_BYTES as u64, found: file.len() }
        }
        _ if is_of_the_medium(error) => StoreError::Unreadable {
            path,
            offset: number % segment_sectors * SECTOR_BYTES as u64,
            detail: error.to_string(),
        },
        _ => StoreError::io("reading", &path, error),
    }
}

/// Whether a disk says that it has a place, and cannot read it: also one with checksums of its own, or a file system.
fn is_of_the_medium(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code.is_some_and(|code| [libc::EIO, libc::ENODATA, libc::EILSEQ, libc::EBADMSG].contains(&code))
}

/// The error report of a sector that should have been there.
pub(super) fn corrupt(
    disk: &dyn Disk,
    segment_sectors: u64,
    number: u64,
    expected: String,
    found: String,
) -> StoreError {
    StoreError::Corrupt {
        path: disk.path(number / segment_sectors),
        offset: number % segment_sectors * SECTOR_BYTES as u64,
        expected,
        found,
    }
}

/// Finds the end of the log. Reads only the last segments; damage further up shows in replay.
pub(super) fn recover(disk: &dyn Disk, identity: &Identity) -> Result<Extent, StoreError> {
    let size = identity.segment_sectors();
    let directory = disk.path(0);
    let directory = directory.parent().unwrap_or(&directory);
    let all = disk.segments().map_err(|error| StoreError::io("listing", directory, &error))?;
    // The last run of consecutive numbers; what lies below a gap must have been released.
    let run = all.windows(2).rposition(|pair| pair[0] + 1 != pair[1]).map_or(0, |index| index + 1);
    let (below, segments) = all.split_at(run);
    let Some(&lowest) = segments.first() else {
        return Ok(Extent {
            first: 0,
            durable: 0,
            end: 0,
            incarnation: 0,
            released: 0,
            told_released: 0,
            segments: Vec::new(),
            spare: Vec::new(),
        });
    };

    let mut reader = Reader::new(disk, identity);
    let tags = evidence(&mut reader, segments, size)?;
    let durable = tags.iter().map(|tag| tag.durable).max().unwrap_or(0);
    let released = tags.iter().map(|tag| tag.released).max().unwrap_or(0);
    // Everything between what was released and what was durable must be there.
    let oldest = released / size;
    if lowest > oldest {
        let missing = lowest - 1;
        return Err(StoreError::MissingSegment { path: disk.path(missing) });
    }
    let highest = segments[segments.len() - 1];
    if durable > (highest + 1) * size {
        return Err(StoreError::MissingSegment { path: disk.path(highest + 1) });
    }
    // A segment is released only once it is durable to its end.
    let first = oldest * size;
    if durable < first {
        return Err(reader.corrupt(
            first,
            "a released segment to be durable".into(),
            format!("durable {durable}"),
        ));
    }

    let last_life =
        |below: u64| tags.iter().filter(|tag| tag.sector < below).map(|tag| tag.incarnation).max();
    let mut incarnation = last_life(durable).unwrap_or(0);
    let mut end = durable;
    while end / size <= highest {
        let Found::Valid(tag) = reader.last(end)? else { break };
        if tag.incarnation < incarnation {
            break;
        }
        incarnation = tag.incarnation;
        end = match tag.flags & ENDS_SEGMENT {
            0 => end + 1,
            _ => (end / size + 1) * size,
        };
    }
    let without_forgotten = tags.iter().filter(|tag| tag.sector < end);
    let told_released = without_forgotten.map(|tag| tag.released).max().unwrap_or(0);
    let split = segments.partition_point(|segment| *segment < oldest);
    let (old, kept) = segments.split_at(split);
    let spare = below.iter().chain(old).copied().collect();
    let segments = kept.to_vec();
    let incarnation = last_life(u64::MAX).unwrap_or(0);
    Ok(Extent { first, durable, end, incarnation, released, told_released, segments, spare })
}

/// The tags of all whole sectors of the last segments that have any.
fn evidence(reader: &mut Reader<'_>, segments: &[u64], size: u64) -> Result<Vec<Tag>, StoreError> {
    let mut tags = Vec::new();
    let (mut seen, mut unreadable) = (0, 0);
    for segment in segments.iter().rev() {
        let before = tags.len();
        for number in segment * size..(segment + 1) * size {
            match reader.sector(number) {
                Ok(Found::Valid(tag)) => tags.push(tag),
                Ok(_) => {}
                Err(StoreError::Unreadable { .. }) if unreadable < UNREADABLE_MAX => unreadable += 1,
                Err(error) => return Err(error),
            }
        }
        seen += usize::from(tags.len() > before);
        if seen == IN_FLIGHT {
            break;
        }
    }
    Ok(tags)
}
