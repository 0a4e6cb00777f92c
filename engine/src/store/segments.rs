//! Segments before and after their use: prepared ahead of the log, recycled behind it.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::disk::Disk;
use super::error::StoreError;

/// A segment that is being allocated: its number, and the thread that does it.
struct Pending {
    segment: u64,
    worker: JoinHandle<io::Result<()>>,
}

/// The segments of one log, as its thread sees them.
pub(super) struct Segments {
    disk: Arc<dyn Disk>,
    bytes: u64,
    reserve: usize,
    /// In use or ready to be used.
    ready: BTreeSet<u64>,
    /// Released: their blocks may take a new number.
    spare: BTreeSet<u64>,
    pending: Option<Pending>,
    /// Allocate the segment after the current one in the background; off, everything happens where it is needed.
    ahead: bool,
    /// Someone replays the log while only we hold the other end of this.
    replaying: Arc<()>,
    recycled: u64,
}

impl Segments {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        bytes: u64,
        reserve: usize,
        ready: impl IntoIterator<Item = u64>,
        spare: impl IntoIterator<Item = u64>,
        ahead: bool,
        replaying: Arc<()>,
    ) -> Segments {
        let (ready, spare) = (ready.into_iter().collect(), spare.into_iter().collect());
        Segments { disk, bytes, reserve, ready, spare, pending: None, ahead, replaying, recycled: 0 }
    }

    pub(super) fn path(&self, segment: u64) -> PathBuf {
        self.disk.path(segment)
    }

    /// Segments on the disk, and how often one was taken into use again.
    pub(super) fn counts(&self) -> (u64, u64) {
        ((self.ready.len() + self.spare.len()) as u64, self.recycled)
    }

    /// Makes sure that a segment exists, and begins to prepare the one after it.
    pub(super) fn prepared(&mut self, segment: u64) -> Result<(), StoreError> {
        if !self.ready.contains(&segment) {
            self.settle(segment)?;
        }
        if !self.ready.contains(&segment) {
            self.take_spare_or_create(segment)?;
        }
        let next = segment + 1;
        if self.ahead && self.pending.is_none() && !self.ready.contains(&next) {
            if self.spare_at_hand() {
                return self.take_spare_or_create(next);
            }
            let (disk, bytes) = (Arc::clone(&self.disk), self.bytes);
            let worker = thread::Builder::new()
                .name("log-segment".to_string())
                .spawn(move || disk.create(next, bytes))
                .map_err(|error| StoreError::writing(&self.path(next), &error))?;
            self.pending = Some(Pending { segment: next, worker });
        }
        Ok(())
    }

    /// Waits for the allocation under way, if there is one.
    fn settle(&mut self, wanted: u64) -> Result<(), StoreError> {
        let Some(Pending { segment, worker }) = self.pending.take() else { return Ok(()) };
        let outcome =
            worker.join().unwrap_or_else(|_| Err(io::Error::other("the allocating thread panicked")));
        match outcome {
            Ok(()) => {
                self.ready.insert(segment);
                Ok(())
            }
            // A failure to work ahead matters when the segment is needed, and then says why.
            Err(error) if segment == wanted => Err(StoreError::writing(&self.path(segment), &error)),
            Err(_) => Ok(()),
        }
    }

    fn spare_at_hand(&self) -> bool {
        !self.spare.is_empty() && Arc::strong_count(&self.replaying) == 1
    }

    fn take_spare_or_create(&mut self, segment: u64) -> Result<(), StoreError> {
        let outcome = match self.spare_at_hand().then(|| self.spare.pop_first()).flatten() {
            Some(old) => {
                self.recycled += 1;
                self.disk.recycle(old, segment)
            }
            None => self.disk.create(segment, self.bytes),
        };
        outcome.map_err(|error| StoreError::writing(&self.path(segment), &error))?;
        self.ready.insert(segment);
        Ok(())
    }

    /// The disk durably says that everything below this sector is released: its whole segments are free.
    pub(super) fn release_below(&mut self, sector: u64) {
        let oldest = sector / (self.bytes / super::sector::SECTOR_BYTES as u64);
        let kept = self.ready.split_off(&oldest);
        let released = std::mem::replace(&mut self.ready, kept);
        self.spare.extend(released);
        // What cannot be removed now is removed later, or at the next open.
        while self.spare.len() > self.reserve && Arc::strong_count(&self.replaying) == 1 {
            let Some(segment) = self.spare.pop_first() else { break };
            if self.disk.remove(segment).is_err() {
                self.spare.insert(segment);
                break;
            }
        }
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        // The directory's lock is given back after this: nothing of ours may still be at work in it.
        if let Some(pending) = self.pending.take() {
            let _ = pending.worker.join();
        }
    }
}
