//! A disk in memory that knows what has been synced, fails on request, and can lose its power at any moment.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::handle::Handle;
use crate::store::error::StoreError;
use crate::store::identity::Identity;
use crate::store::options::Options;
use crate::store::sector::SECTOR_BYTES;

/// Copies of a disk share the sectors that are equal.
pub(super) type Sector = Arc<[u8; SECTOR_BYTES]>;

/// What became of a sector that had not been synced when the power went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrived whole.
    Kept,
    /// It did not arrive.
    Lost,
    /// Only its first bytes arrived, so many of them.
    Torn(usize),
}

/// What goes wrong on a disk, from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Segments cannot be created: with this error.
    pub creations: Option<io::ErrorKind>,
    /// Writes fail with this error, after any part of them may have arrived.
    pub writes: Option<io::ErrorKind>,
    /// Only the write of this number fails, counted from 0 since the log was opened, and with this error.
    pub write: Option<(u64, io::ErrorKind)>,
    /// Syncs fail with this error. As on Linux, what they should have made durable is still read back, yet no later
    /// sync makes it durable: only writing it again does.
    pub syncs: Option<io::ErrorKind>,
    /// Syncs report success and make nothing durable.
    pub lying: bool,
    /// Of two writes in flight the younger one is completed first.
    pub reordering: bool,
}

impl Faults {
    /// A full disk: nothing can be created, and writes find no room.
    #[must_use]
    pub fn full() -> Faults {
        let kind = Some(io::ErrorKind::StorageFull);
        Faults { creations: kind, writes: kind, ..Faults::default() }
    }

    /// A broken disk: writes, syncs and creations fail.
    #[must_use]
    pub fn broken() -> Faults {
        let kind = Some(io::ErrorKind::Other);
        Faults { creations: kind, writes: kind, syncs: kind, ..Faults::default() }
    }

    /// A disk whose syncs lie.
    #[must_use]
    pub fn lying() -> Faults {
        Faults { lying: true, ..Faults::default() }
    }
}

/// What the disk holds of one segment. Sectors that were never written are zeros and take no memory.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) sectors: u64,
    pub(super) durable: BTreeMap<u64, Sector>,
}

/// A sector that was written and not synced.
#[derive(Clone)]
pub(super) struct Unsynced {
    /// The number of the write that brought it.
    pub(super) write: u64,
    pub(super) bytes: Sector,
}

#[derive(Clone, Default)]
pub(super) struct Contents {
    identity: Option<Identity>,
    pub(super) segments: BTreeMap<u64, Segment>,
    /// By segment and sector in it. A sector that is written twice without a sync is remembered as it was last.
    pub(super) unsynced: BTreeMap<(u64, u64), Unsynced>,
    /// Writes so far: the number of the next one.
    pub(super) writes: u64,
}

impl Contents {
    /// What a reader sees of a sector; `None` if it was never written.
    pub(super) fn read(&self, segment: u64, sector: u64) -> Option<&Sector> {
        match self.unsynced.get(&(segment, sector)) {
            Some(unsynced) => Some(&unsynced.bytes),
            None => self.segments.get(&segment)?.durable.get(&sector),
        }
    }

    /// The sync behind a write has succeeded.
    pub(super) fn sync(&mut self, segment: u64, number: u64) {
        let Some(blocks) = self.segments.get_mut(&segment) else { return };
        let range = (segment, 0)..=(segment, u64::MAX);
        for ((_, sector), unsynced) in self.unsynced.extract_if(range, |_, unsynced| unsynced.write == number)
        {
            blocks.durable.insert(sector, unsynced.bytes);
        }
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) contents: Contents,
    pub(super) faults: Faults,
    /// One more at each opening and each crash: a log of an earlier life cannot touch the disk.
    pub(super) life: u64,
    /// How many writes there had been when the log was opened.
    pub(super) writes_before: u64,
    #[cfg(test)]
    moments: Vec<Contents>,
}

impl State {
    /// To be called after each operation that changes the disk.
    pub(super) fn changed(&mut self) {
        #[cfg(test)]
        self.moments.push(self.contents.clone());
    }
}

/// The disk of one log. Clones are the same disk; `copy` makes another one.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

impl SimulatedDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> SimulatedDisk {
        SimulatedDisk::default()
    }

    /// Another disk with the same contents and without faults: an older copy, to be put in this one's place later.
    #[must_use]
    pub fn copy(&self) -> SimulatedDisk {
        SimulatedDisk::holding(self.lock().contents.clone())
    }

    /// Cuts the power: what was synced stays, and `fate` is asked about each sector that was not, in ascending order.
    /// The disk is then what a restart finds. The log that was open cannot use it any more.
    pub fn crash(&self, mut fate: impl FnMut() -> Fate) {
        let mut state = self.lock();
        state.life += 1;
        let contents = &mut state.contents;
        for ((segment, sector), unsynced) in std::mem::take(&mut contents.unsynced) {
            let Some(blocks) = contents.segments.get_mut(&segment) else { continue };
            match fate() {
                Fate::Kept => drop(blocks.durable.insert(sector, unsynced.bytes)),
                Fate::Lost => {}
                Fate::Torn(count) => {
                    let count = count.min(SECTOR_BYTES);
                    let old = blocks.durable.entry(sector).or_insert_with(|| Arc::new([0; SECTOR_BYTES]));
                    Arc::make_mut(old)[..count].copy_from_slice(&unsynced.bytes[..count]);
                }
            }
        }
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// How many sectors a crash would ask about.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.lock().contents.unsynced.len()
    }

    /// The durable sectors that were ever written, each as its segment and its number in it, ascending.
    #[must_use]
    pub fn written(&self) -> Vec<(u64, u64)> {
        let state = self.lock();
        let sectors = |(segment, blocks): (&u64, &Segment)| {
            blocks.durable.keys().map(|sector| (*segment, *sector)).collect::<Vec<_>>()
        };
        state.contents.segments.iter().flat_map(sectors).collect()
    }

    /// Changes a durable sector behind the log's back: rot, a lost or a misdirected write. False if there is none
    /// there.
    pub fn damage(&self, segment: u64, sector: u64, change: impl FnOnce(&mut [u8; SECTOR_BYTES])) -> bool {
        let mut state = self.lock();
        let blocks = state.contents.segments.get_mut(&segment);
        match blocks.and_then(|blocks| blocks.durable.get_mut(&sector)) {
            Some(bytes) => {
                change(Arc::make_mut(bytes));
                true
            }
            None => false,
        }
    }

    /// Bytes that the contents take, sectors shared with copies included.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let state = self.lock();
        let durable: usize = state.contents.segments.values().map(|blocks| blocks.durable.len()).sum();
        ((durable + state.contents.unsynced.len()) * SECTOR_BYTES) as u64
    }

    /// Begins a life of the log: what `Log::open` does with the identity file.
    pub(in crate::store) fn open(&self, options: &Options) -> Result<(Handle, Identity), StoreError> {
        let mut state = self.lock();
        let existing = state.contents.identity;
        if let Some(identity) = &existing {
            identity.belongs_to(&options.owner, Path::new(DIRECTORY))?;
        }
        let before = existing.unwrap_or(Identity {
            owner: options.owner,
            segment_bytes: options.segment_bytes,
            incarnation: 0,
        });
        let identity = Identity { incarnation: before.incarnation + 1, ..before };
        if let Some(kind) = state.faults.writes {
            return Err(StoreError::writing(&Path::new(DIRECTORY).join("identity"), &kind.into()));
        }
        state.contents.identity = Some(identity);
        state.life += 1;
        state.writes_before = state.contents.writes;
        Ok((Handle::new(self.clone(), state.life), identity))
    }

    fn holding(contents: Contents) -> SimulatedDisk {
        SimulatedDisk(Arc::new(Mutex::new(State { contents, ..State::default() })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Only a panicking `fate` or `change` poisons it, and leaves a disk that such a crash may well leave.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the disk has changed.
    #[cfg(test)]
    pub(in crate::store) fn operations(&self) -> usize {
        self.lock().moments.len()
    }

    /// The disk as it was after each of its changes.
    #[cfg(test)]
    pub(in crate::store) fn moments(&self) -> Vec<SimulatedDisk> {
        self.lock().moments.iter().cloned().map(SimulatedDisk::holding).collect()
    }

    /// The numbers of its segments.
    #[cfg(test)]
    pub(in crate::store) fn segments(&self) -> Vec<u64> {
        self.lock().contents.segments.keys().copied().collect()
    }
}

/// Where error reports say that the segments lie.
pub(super) const DIRECTORY: &str = "/simulated";
