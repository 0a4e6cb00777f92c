//! Reading the log from its oldest kept record to its end, in order, checking every sector.

use std::path::PathBuf;
use std::sync::Arc;

use super::buffer::Buffer;
use super::disk::Disk;
use super::error::StoreError;
use super::group::{HEADER_BYTES, Header};
use super::identity::Identity;
use super::position::Position;
use super::read_ahead::ReadAhead;
use super::recover::{Extent, corrupt, unreadable};
use super::repairs::{Known, Repaired, Repairs};
use super::sector::{ENDS_SEGMENT, Found, SECTOR_BYTES, STARTS_GROUP, Seed, TAG_BYTES, Tag};

/// One record, as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub position: Position,
    /// What the appender called it.
    pub kind: u8,
    /// The appender's bytes.
    pub bytes: Vec<u8>,
}

/// A stretch of a log that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rot {
    /// The first record that is lost, or the sector at which it may begin.
    pub from: Position,
    /// Where the log can be read again: a group begins there, or the log ends.
    pub until: Position,
}

/// A record of which some sectors have been read.
struct Partial {
    position: Position,
    kind: u8,
    length: usize,
    bytes: Vec<u8>,
}

/// Every durable record, oldest first. After an error there is nothing more, unless what it speaks of is skipped.
pub struct Replay {
    disk: Arc<dyn Disk>,
    repairs: Arc<Repairs>,
    /// The repair that is read instead of the log now, and the number of its next record.
    beside: Option<(Arc<Known>, usize)>,
    seed: Seed,
    segment_sectors: u64,
    /// The first sector that is kept, and the first that was not released.
    first: u64,
    released: u64,
    /// The next sector to look at, and the end.
    next: u64,
    end: u64,
    read_ahead: ReadAhead,
    /// The sector being parsed and how far.
    current: Option<(Tag, usize)>,
    partial: Option<Partial>,
    incarnation: u32,
    failed: bool,
    /// After an error: what is lost begins here.
    lost: Option<Position>,
    /// While this is held nothing that is being replayed is recycled; a read-only replay holds the directory's lock.
    _guard: Option<Guard>,
}

/// What a replay keeps alive.
pub(super) enum Guard {
    Recycling { _hold: Arc<()> },
    Directory { _lock: std::fs::File },
}

impl Replay {
    pub(super) fn new(
        (disk, repairs): (Arc<dyn Disk>, Arc<Repairs>),
        identity: &Identity,
        extent: &Extent,
        guard: Option<Guard>,
    ) -> Replay {
        Replay {
            disk,
            repairs,
            beside: None,
            seed: Seed::new(&identity.owner),
            segment_sectors: identity.segment_sectors(),
            first: extent.first,
            released: extent.released,
            next: extent.first,
            end: extent.end,
            read_ahead: ReadAhead::new(identity.segment_sectors()),
            current: None,
            partial: None,
            incarnation: 0,
            failed: false,
            lost: None,
            _guard: guard,
        }
    }

    /// The same from the disk.
    pub(super) fn uncached(mut self) -> Replay {
        self.read_ahead.uncached = true;
        self
    }

    /// The repairs that are read instead of the log, ascending.
    #[must_use]
    pub fn repairs(&self) -> Vec<Repaired> {
        self.repairs.list()
    }

    /// Files of repairs that cannot be read, each with what is wrong.
    #[must_use]
    pub fn spoiled_repairs(&self) -> &[(PathBuf, String)] {
        self.repairs.spoiled()
    }

    /// After an error: goes on behind what cannot be read, and says what that is. None where there was no error.
    ///
    /// A stretch ends with its segment, where a group begins in any case, and where a repair begins: what stands
    /// behind is a stretch of its own. It takes in all of a repair that it reaches into, for a disk may say something
    /// else the second time, and repairs must not overlap in part.
    pub fn skip_rot(&mut self) -> Option<Rot> {
        let from = self.lost.take()?;
        (self.current, self.partial, self.beside, self.failed) = (None, None, None, false);
        let (sector, _) = from.split();
        while self.next < self.end {
            let (number, at) = (self.next, Position::of_sector(self.next));
            let begins =
                || number.is_multiple_of(self.segment_sectors) || self.repairs.beginning(at).is_some();
            if number > sector && begins() {
                break;
            }
            let read = self.load(number);
            self.next = match read.map(|()| self.found(number)) {
                Ok(Found::Valid(tag)) if tag.incarnation >= self.incarnation => {
                    if tag.flags & STARTS_GROUP != 0 {
                        break;
                    }
                    self.behind(number, &tag)
                }
                Ok(_) | Err(_) => number + 1,
            };
        }
        let until = Position::of_sector(self.next);
        if let Some(repair) =
            self.repairs.around(until).filter(|repair| from < repair.from && repair.from < until)
        {
            (self.next, _) = repair.until.split();
        }
        Some(Rot { from, until: Position::of_sector(self.next.min(self.end)) })
    }

    /// Begins at the oldest kept record again.
    pub fn rewind(&mut self) {
        self.next = self.first;
        (self.current, self.partial, self.incarnation, self.failed) = (None, None, 0, false);
        (self.beside, self.lost) = (None, None);
    }

    /// Where the oldest kept record stands, or a little before it: 0 unless the log was released up to somewhere.
    #[must_use]
    pub fn first(&self) -> Position {
        Position::of_sector(self.first)
    }

    /// What stands below was released, as far as the disk tells, whether or not it is still there: 0 if nothing was.
    #[must_use]
    pub fn released(&self) -> Position {
        Position::of_sector(self.released)
    }

    /// Looks for what was appended behind the end meanwhile: to be called where there was nothing more. What was
    /// released meanwhile is known then, too. For a log that another process writes.
    ///
    /// # Errors
    /// [`StoreError::Released`] where what follows was released, and cannot be read any more; damage behind the end,
    /// or a directory or file that cannot be read.
    pub fn look_further(&mut self) -> Result<(), StoreError> {
        // The last sectors may have been read while they were written.
        self.read_ahead.clear();
        let mut segments: Vec<u64> = Vec::new();
        loop {
            let segment = self.end / self.segment_sectors;
            if segments.binary_search(&segment).is_err() {
                let path = self.disk.path(segment);
                let all = self.disk.segments();
                segments = all.map_err(|error| StoreError::io("listing the segments for", &path, &error))?;
                if segments.binary_search(&segment).is_err() {
                    // Those above it are there only if it was there, too.
                    let is_gone = segments.last().is_some_and(|last| *last > segment);
                    let position = Position::of_sector(self.end).raw();
                    return if is_gone { Err(StoreError::Released { position }) } else { Ok(()) };
                }
            }
            self.load(self.end)?;
            let found = self.found(self.end);
            let next = match found {
                Found::Valid(tag) if tag.incarnation >= self.incarnation => tag,
                // One segment is prepared ahead. With a second one the log had gone on before this sector was read.
                _ if segments.last().is_some_and(|last| *last > segment + 1) => {
                    let expected = format!("sector {}, for the log goes on", self.end);
                    return Err(self.corrupt(self.end, expected, found.describe()));
                }
                _ => return Ok(()),
            };
            self.end = self.behind(self.end, &next);
            self.released = self.released.max(next.released);
            self.first = self.first.max(self.released / self.segment_sectors * self.segment_sectors);
        }
    }

    /// Goes on with the record at a position that the log gave out once; where a repair has left that record out, with
    /// the first of the repair.
    ///
    /// # Errors
    /// No record is kept there.
    pub fn seek(&mut self, position: Position) -> Result<(), StoreError> {
        let (sector, offset) = position.split();
        let none = || StoreError::NoRecord { position: position.raw() };
        // What a repair has left out was of no use. So its first record comes next, and some that were not asked for.
        let first = || self.repairs.around(position).map(|repair| (repair, 0));
        if let Some((repair, number)) = self.repairs.with(position).or_else(first) {
            self.rewind();
            (self.next, _) = repair.until.split();
            self.beside = Some((repair, number));
            return Ok(());
        }
        if !(self.first..self.end).contains(&sector) {
            return Err(none());
        }
        self.rewind();
        self.load(sector)?;
        let found = self.found(sector);
        let Found::Valid(tag) = found else {
            return Err(self.corrupt(
                sector,
                format!("sector {sector}, which was durable"),
                found.describe(),
            ));
        };
        let at = offset.checked_sub(TAG_BYTES).filter(|at| *at < usize::from(tag.length)).ok_or_else(none)?;
        self.incarnation = tag.incarnation;
        self.next = self.behind(sector, &tag);
        self.current = Some((tag, at));
        Ok(())
    }

    /// The sector to look at after another one.
    fn behind(&self, sector: u64, tag: &Tag) -> u64 {
        match tag.flags & ENDS_SEGMENT {
            0 => sector + 1,
            _ => (sector / self.segment_sectors + 1) * self.segment_sectors,
        }
    }

    /// Where the next record stands, or a little before it.
    #[must_use]
    pub fn next_position(&self) -> Position {
        let current = self.current.map(|(tag, at)| Position::of_byte(tag.sector, TAG_BYTES + at));
        current.unwrap_or(Position::of_sector(self.next))
    }

    /// The position behind the last record.
    #[must_use]
    pub fn end(&self) -> Position {
        Position::of_sector(self.end)
    }

    /// The file and the byte offset in it of a position, for error reports about a record's contents.
    #[must_use]
    pub fn locate(&self, position: Position) -> (PathBuf, u64) {
        if let Some(beside) = self.repairs.locate(position) {
            return beside;
        }
        let bytes = self.segment_sectors * SECTOR_BYTES as u64;
        (self.disk.path(position.raw() / bytes), position.raw() % bytes)
    }

    fn load(&mut self, number: u64) -> Result<(), StoreError> {
        let read = self.read_ahead.load(self.disk.as_ref(), number);
        read.map_err(|error| unreadable(self.disk.as_ref(), self.segment_sectors, number, &error))
    }

    /// What a sector that is loaded turns out to be.
    fn found(&self, number: u64) -> Found {
        self.seed.inspect(self.read_ahead.sector(number), number)
    }

    fn corrupt(&self, number: u64, expected: String, found: String) -> StoreError {
        corrupt(self.disk.as_ref(), self.segment_sectors, number, expected, found)
    }

    /// Takes the next sector as the current one. `None` at the end.
    fn advance(&mut self) -> Result<Option<Tag>, StoreError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let number = self.next;
        // So it is if this ends with an error.
        self.lost =
            Some(self.partial.as_ref().map_or(Position::of_sector(number), |partial| partial.position));
        self.load(number)?;
        let found = self.found(number);
        let Found::Valid(tag) = found else {
            return Err(self.corrupt(
                number,
                format!("sector {number}, which was durable"),
                found.describe(),
            ));
        };
        let starts = tag.flags & STARTS_GROUP != 0;
        let another_life = tag.incarnation != self.incarnation;
        if tag.incarnation < self.incarnation || (another_life && !starts) {
            let expected = format!("sector {number} of incarnation {}", self.incarnation);
            return Err(self.corrupt(number, expected, found.describe()));
        }
        if starts {
            // A record that a crash cut off was never acknowledged: the next life of the log began behind it.
            if self.partial.take().is_some() && !another_life {
                return Err(self.corrupt(number, "the rest of a record".into(), found.describe()));
            }
        }
        self.incarnation = tag.incarnation;
        self.next = self.behind(number, &tag);
        self.lost = None;
        Ok(Some(tag))
    }

    /// Whether a repair begins where the next record would: it is read instead.
    fn turns_aside(&mut self, at: Position) -> bool {
        if self.partial.is_some() {
            return false;
        }
        let Some(repair) = self.repairs.beginning(at) else { return false };
        (self.next, _) = repair.until.split();
        self.beside = Some((repair, 0));
        true
    }

    fn step(&mut self) -> Result<Option<Record>, StoreError> {
        loop {
            if let Some((repair, number)) = self.beside.take() {
                match repair.record(number) {
                    Some(Ok(record)) => {
                        self.beside = Some((repair, number + 1));
                        return Ok(Some(record));
                    }
                    Some(Err(error)) => {
                        self.lost = Some(repair.from);
                        return Err(error);
                    }
                    None => continue,
                }
            }
            let (tag, at) = match self.current.take() {
                Some(current) => current,
                None if self.turns_aside(Position::of_sector(self.next)) => continue,
                None => match self.advance()? {
                    Some(tag) => (tag, 0),
                    // What is cut off at the end was never acknowledged.
                    None => return Ok(None),
                },
            };
            if self.turns_aside(Position::of_byte(tag.sector, TAG_BYTES + at)) {
                continue;
            }
            let unfinished = self.partial.take();
            let payload = self.payload(&tag);
            let rest = &payload[at..];
            let mut used = 0;
            let mut partial = match unfinished {
                Some(partial) => partial,
                None if rest.is_empty() => continue,
                None => {
                    let Some(header) = Header::decode(rest) else {
                        let found = hex::encode(&rest[..rest.len().min(HEADER_BYTES)]);
                        self.lost = Some(Position::of_byte(tag.sector, TAG_BYTES + at));
                        return Err(self.corrupt(
                            tag.sector,
                            format!("a record at {}", TAG_BYTES + at),
                            found,
                        ));
                    };
                    used = HEADER_BYTES;
                    Partial {
                        position: Position::of_byte(tag.sector, TAG_BYTES + at),
                        kind: header.kind,
                        length: header.length as usize,
                        bytes: Vec::new(),
                    }
                }
            };
            let missing = partial.length - partial.bytes.len();
            let count = missing.min(rest.len() - used);
            if partial.bytes.capacity() < partial.length {
                // Sectors are checked before lengths are believed, so this is no attacker's number.
                partial.bytes.reserve_exact(partial.length);
            }
            partial.bytes.extend_from_slice(&rest[used..used + count]);
            let (at, end) = (at + used + count, payload.len());
            if at < end {
                self.current = Some((tag, at));
            }
            if partial.bytes.len() == partial.length {
                return Ok(Some(Record {
                    position: partial.position,
                    kind: partial.kind,
                    bytes: partial.bytes,
                }));
            }
            self.partial = Some(partial);
        }
    }

    fn payload(&self, tag: &Tag) -> &[u8] {
        let sector = self.read_ahead.sector(tag.sector);
        &sector[TAG_BYTES..TAG_BYTES + usize::from(tag.length)]
    }
}

impl Iterator for Replay {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let outcome = self.step().transpose();
        self.failed = matches!(outcome, Some(Err(_)));
        outcome
    }
}

/// Reads the one record at a position whose group is known to be durable. From sector `begun` on the log is of the
/// life of its identity: a write that was lost there can have left a whole record of an earlier one, which a crash
/// had cut off.
pub(super) fn read_record(
    disk: &dyn Disk,
    identity: &Identity,
    begun: u64,
    position: Position,
) -> Result<Record, StoreError> {
    /// Most records that peers ask for (sealed batches) come in with the first read or two.
    const FIRST_SECTORS: u64 = 16;
    let seed = Seed::new(&identity.owner);
    let size = identity.segment_sectors();
    let (mut number, offset) = position.split();
    let no_record = || StoreError::NoRecord { position: position.raw() };
    let segment = number / size;
    let mut wanted = FIRST_SECTORS;
    let (mut header, mut life) = (None, None);
    let mut bytes = Vec::new();
    loop {
        let mut count = wanted.min((segment + 1) * size - number);
        if count == 0 {
            return Err(no_record());
        }
        let mut buffer = Buffer::new(count as usize);
        let at = number % size * SECTOR_BYTES as u64;
        let mut read = disk.read(segment, at, &mut buffer, count as usize);
        if read.is_err() && count > 1 {
            // What cannot be read may stand behind the record.
            count = 1;
            read = disk.read(segment, at, &mut buffer, 1);
        }
        read.map_err(|error| unreadable(disk, size, number, &error))?;
        for index in 0..count as usize {
            let sector = buffer.sector(index);
            let found = seed.inspect(sector, number);
            let Found::Valid(tag) = found else {
                return Err(corrupt(disk, size, number, format!("sector {number}"), found.describe()));
            };
            let known = if number >= begun { identity.incarnation } else { tag.incarnation };
            let expected = *life.get_or_insert(known);
            if tag.incarnation != expected {
                let expected = format!("sector {number} of incarnation {expected}");
                return Err(corrupt(disk, size, number, expected, found.describe()));
            }
            let payload = &sector[TAG_BYTES..TAG_BYTES + usize::from(tag.length)];
            let (rest, header) = match header {
                Some(header) => (payload, header),
                None => {
                    let rest = offset.checked_sub(TAG_BYTES).and_then(|at| payload.get(at..)).unwrap_or(&[]);
                    let found = Header::decode(rest).ok_or_else(no_record)?;
                    bytes.reserve_exact(found.length as usize);
                    (&rest[HEADER_BYTES..], *header.insert(found))
                }
            };
            let missing = header.length as usize - bytes.len();
            bytes.extend_from_slice(&rest[..missing.min(rest.len())]);
            number += 1;
            if bytes.len() == header.length as usize {
                return Ok(Record { position, kind: header.kind, bytes });
            }
        }
        let missing = header.map_or(0, |header: Header| header.length as usize) - bytes.len();
        wanted = missing.div_ceil(super::sector::PAYLOAD_BYTES) as u64;
    }
}
