//! One suite over the trait of disks: what each fault of a disk comes to, alike on io_uring, portable and simulated
//! disks.
//!
//! | fault | what is promised |
//! |---|---|
//! | a torn write | what was acknowledged is there; nothing of what was not is half believed |
//! | a partial write, reported | [`StoreError::Failed`], at once and for good; else as torn |
//! | reordered writes | nothing is acknowledged before all that is below it |
//! | a lost write | in the committed middle [`StoreError::Corrupt`] with file and byte; never an older record in its place |
//! | a sync that lies | as lost writes where a later sector says so; else a beginning of what was acknowledged |
//! | EIO of a write or sync | [`StoreError::Failed`], for good; nothing is retried |
//! | EIO of a read | [`StoreError::Unreadable`] with file and byte; skipped, and mended, below what is proved; harmless behind the end; an open is refused where the log would be continued over it |
//! | ENOSPC | [`StoreError::NoSpace`]; what is durable can be read, and the log goes on in a next life |
//! | rot | [`StoreError::Corrupt`] with file and byte, of every sector but the last mark |
//! | a misdirected write | both places: the one that it hit, and the one that it missed |
//! | a misdirected read | [`StoreError::Corrupt`]; an open looks twice before it ends the log there |
//!
//! What no log can tell by itself: that its last groups are gone, whole, if no sector that arrived speaks of them. The
//! other log of the validator does ([`crate::replica::Boots`]). And, after a crash without a mark, a rotten last group
//! from a torn one: [`Options::mark_after`] is how long that lasts.

mod faulty;
mod reads;
mod at_rest;
mod writes;

use super::rig::judge;
use super::*;
use crate::store::disk::Disk;
use crate::store::files::Files;
use crate::store::repairs::Repairs;
use crate::store::sector::SECTOR_BYTES;
use faulty::{Faults, Faulty, Place, Read, Sector, Wrong};

/// What a log is put together of.
type Parts = (Arc<dyn Disk>, Arc<Repairs>, Identity);

/// Where a log is kept.
enum Home {
    Files { directory: tempfile::TempDir, direct: bool },
    Memory(SimulatedDisk),
}

impl Home {
    /// An empty one of each backend that this machine has.
    fn all() -> Vec<Home> {
        let directory = || tempfile::tempdir().unwrap();
        let mut all =
            vec![Home::Memory(SimulatedDisk::new()), Home::Files { directory: directory(), direct: false }];
        let direct = directory();
        match Files::new(direct.path(), true, true).probe() {
            Ok(()) => all.push(Home::Files { directory: direct, direct: true }),
            Err(error) => eprintln!("io_uring with direct I/O is not tried here: {error}"),
        }
        all
    }

    /// Its disk, in a next life of its log.
    fn disk(&self) -> Result<Parts, StoreError> {
        match self {
            Home::Memory(disk) => {
                let (handle, identity) = disk.open(&tiny())?;
                Ok((Arc::new(handle), Repairs::none(), identity))
            }
            Home::Files { directory, direct } => {
                let (directory, Options { owner, segment_bytes, .. }) = (directory.path(), tiny());
                let before = Identity::load(directory)?;
                let before = before.unwrap_or(Identity { owner, segment_bytes, incarnation: 0 });
                let identity = Identity { incarnation: before.incarnation + 1, ..before };
                identity.save(directory)?;
                let files = Files::new(directory, *direct, true);
                Ok((Arc::new(files), Repairs::load(directory, &identity.owner)?, identity))
            }
        }
    }

    /// Opens its log over a disk with these faults.
    fn open(&self, faults: Faults) -> Result<Life, StoreError> {
        let (disk, repairs, identity) = self.disk()?;
        let faulty = Faulty::new(disk.clone(), faults);
        let parts = (Arc::new(faulty.clone()) as Arc<dyn Disk>, repairs);
        let (log, replay) = SimulatedLog::over(parts, identity, &tiny())?;
        Ok(Life { log, replay: Some(replay), disk, faulty, history: Vec::new() })
    }

    /// What a next start replays, on a disk without faults.
    fn replayed(&self) -> Result<Vec<Record>, StoreError> {
        self.open(Faults::default())?.replay()
    }
}

/// Four sectors a segment, and two a group.
fn tiny() -> Options {
    Options { segment_bytes: 4 * SECTOR_BYTES as u64, group_bytes: 2 * SECTOR_BYTES, ..small() }
}

/// One life of a log.
struct Life {
    log: SimulatedLog,
    replay: Option<Replay>,
    /// The disk without its faults.
    disk: Arc<dyn Disk>,
    faulty: Faulty,
    /// What was appended: number and position.
    history: Vec<(u64, Position)>,
}

impl Life {
    fn replay(&mut self) -> Result<Vec<Record>, StoreError> {
        self.replay.take().unwrap().collect()
    }

    /// Appends a record that fills a group of one or two sectors, and submits it.
    fn append(&mut self, record: u64) -> Result<(), StoreError> {
        let number = number(record);
        let position = self.log.append(number as u8, &[&content(number, length(number))])?;
        self.history.push((number, position));
        self.log.submit();
        Ok(())
    }

    /// Appends these one after the other, each made durable before the next; says why, if the log ends before that.
    fn fill(&mut self, records: std::ops::Range<u64>) -> Option<StoreError> {
        for record in records {
            if let Err(failure) = self.append(record) {
                return Some(failure);
            }
            self.wait();
        }
        self.log.failure()
    }

    /// Turns until what was appended is durable, without a mark behind it, or the log has failed.
    fn wait(&self) {
        let (_, last) = self.history[self.history.len() - 1];
        while self.log.failure().is_none() && !self.log.durable().covers(last) {
            self.log.turn();
        }
    }

    /// How many records were acknowledged.
    fn acknowledged(&self) -> u64 {
        let durable = self.log.durable();
        self.history.iter().filter(|(_, position)| durable.covers(*position)).count() as u64
    }

    /// The places of a record's sectors.
    fn places(&self, record: usize) -> Vec<Place> {
        let (number, position) = self.history[record];
        let (first, offset) = position.split();
        let bytes = offset + 8 + length(number);
        (0..sectors_of(bytes)).map(|index| place(first + index)).collect()
    }

    /// A later start has at least what was acknowledged, and nothing else than what was appended; how much it has.
    fn judge(&self, records: &[Record], what: &str) -> u64 {
        let judged = judge(records, &self.history, self.acknowledged(), 0);
        judged.unwrap_or_else(|error| panic!("{} {what}: {error}", self.disk.name())).1
    }
}

/// The number of the write that brings each of twelve records: others end a segment.
fn writes() -> Vec<u64> {
    let mut life = Home::Memory(SimulatedDisk::new()).open(Faults::default()).unwrap();
    let write = |record| {
        assert_eq!(life.fill(record..record + 1), None);
        life.faulty.writes() - 1
    };
    (0..12).map(write).collect()
}

/// Where a sector stands.
fn place(sector: u64) -> Place {
    let segment = tiny().segment_bytes / SECTOR_BYTES as u64;
    (sector / segment, sector % segment)
}

/// How many sectors a record takes that ends so many bytes behind the beginning of its first one.
fn sectors_of(end: usize) -> u64 {
    use crate::store::sector::{PAYLOAD_BYTES, TAG_BYTES};
    (end - TAG_BYTES).div_ceil(PAYLOAD_BYTES).max(1) as u64
}

/// Numbers of records that take one sector, or two.
fn number(record: u64) -> u64 {
    [0, 2, 5, 6, 10, 11][record as usize % 6] + record / 6 * 12
}

/// Whether an error names this place.
fn names(error: &StoreError, disk: &dyn Disk, (segment, sector): Place) -> bool {
    let (StoreError::Corrupt { path, offset, .. } | StoreError::Unreadable { path, offset, .. }) = error
    else {
        return false;
    };
    *path == disk.path(segment) && *offset == sector * SECTOR_BYTES as u64
}
