//! The log as its users see it: open, append, hear of durability, read back, release.

use std::fs::{File, TryLockError};
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};

use super::disk::Disk;
use super::error::StoreError;
use super::files::Files;
use super::group::record_limit;
use super::identity::Identity;
use super::names::create_directory;
use super::options::{Backend, Metrics, Options};
use super::position::{Durable, Position};
use super::pump::{Pump, buffers};
use super::recover::{Extent, recover};
use super::repairs::{Repair, Repaired, Repairs};
use super::replay::{Guard, Record, Replay, read_record};
use super::sector::{SECTOR_BYTES, Seed};
use super::segments::Segments;
use super::shared::{Callback, Shared, State};
use super::tail;

/// How a read-only open treats a log that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Refuse it: the files must rest.
    Shared,
    /// Read it all the same; what is being appended meanwhile may or may not be seen.
    None,
}

/// A durable log of records. Dropping it writes what is pending and waits for it.
pub struct Log {
    pub(super) shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    identity: Identity,
    /// From this sector on it was written in this life.
    begun: u64,
    repairs: Arc<Repairs>,
    thread: Option<JoinHandle<()>>,
    /// Why `Backend::Auto` has fallen back.
    fallback: Option<Error>,
    /// Held as long as the log lives; the operating system lets go of it if the process dies.
    _lock: Option<File>,
}

impl Log {
    /// Opens the log in a directory, making both if there are none, and starts its thread.
    ///
    /// # Errors
    /// The directory is in use, belongs to another owner, is damaged where it was durable, or cannot be written.
    pub fn open(directory: &Path, options: Options) -> Result<(Log, Replay), StoreError> {
        options.check()?;
        create_directory(directory).map_err(|error| StoreError::io("creating", directory, &error))?;
        let lock = lock(directory, true)?;
        let existing = identity_in(directory)?;
        if let Some(identity) = &existing {
            identity.belongs_to(&options.owner, directory)?;
        }
        let (files, fallback) = choose(directory, options.backend)?;
        let disk: Arc<dyn Disk> = Arc::new(files);
        let before = existing.unwrap_or(Identity {
            owner: options.owner,
            segment_bytes: options.segment_bytes,
            incarnation: 0,
        });
        let extent = recover(disk.as_ref(), &before)?;
        // The file may be an older one that was put back; then the sectors know better.
        let incarnation = before.incarnation.max(extent.incarnation) + 1;
        let identity = Identity { incarnation, ..before };
        identity.save(directory)?;
        let repairs = Repairs::load(directory, &identity.owner)?;
        let (mut log, replay, pump) = Log::assemble((disk, repairs), identity, &extent, &options, true)?;
        (log._lock, log.fallback) = (Some(lock), fallback);
        let name = options.thread_name.clone();
        let thread = thread::Builder::new().name(name).spawn(move || pump.run());
        log.thread =
            Some(thread.map_err(|error| StoreError::io("starting the thread of", directory, &error))?);
        Ok((log, replay))
    }

    /// Reads a log without writing anything: for audits. So it proves nothing about the records behind the last proven
    /// sector: they may be in the page cache only. Whose it is, is for the caller to look at.
    ///
    /// # Errors
    /// As `open`, and `NoLog` where there is none.
    pub fn inspect(directory: &Path, locking: Lock) -> Result<(Identity, Replay), StoreError> {
        let identity =
            identity_in(directory)?.ok_or_else(|| StoreError::NoLog { path: directory.to_path_buf() })?;
        let guard = match locking {
            Lock::None => None,
            Lock::Shared => Some(Guard::Directory { _lock: lock(directory, false)? }),
        };
        let disk: Arc<dyn Disk> = Arc::new(Files::new(directory, false, false));
        let extent = recover(disk.as_ref(), &identity)?;
        let repairs = Repairs::load(directory, &identity.owner)?;
        Ok((identity, Replay::new((disk, repairs), &identity, &extent, guard)))
    }

    /// Puts the parts together over what was recovered, without a thread. The identity's incarnation is above that of
    /// every sector.
    pub(super) fn assemble(
        (disk, repairs): (Arc<dyn Disk>, Arc<Repairs>),
        identity: Identity,
        extent: &Extent,
        options: &Options,
        ahead: bool,
    ) -> Result<(Log, Replay, Pump), StoreError> {
        let size = identity.segment_sectors();
        let mut writer =
            disk.writer().map_err(|error| StoreError::io("preparing to write", &disk.path(0), &error))?;
        // What is replayed is acted upon, so it must be durable.
        tail::rewrite(disk.as_ref(), writer.as_mut(), &identity, extent)?;
        let hold = Arc::new(());
        let state = State {
            group: None,
            next_start: extent.end,
            closed: false,
            free: buffers(options.group_bytes),
            durable: extent.end,
            released: extent.released,
            callbacks: std::collections::VecDeque::new(),
            failure: None,
            stopping: false,
            asleep: false,
            metrics: Metrics { backend: disk.name(), ..Metrics::default() },
        };
        let limit = record_limit(size.min((options.group_bytes / SECTOR_BYTES) as u64));
        let shared = Shared::new(state, size, limit);
        repairs.release_below(Position::of_sector(extent.told_released));
        // A segment is reused only once the disk durably says that it was released, else a crash could leave a log
        // whose first segment seems to be missing.
        let told = extent.told_released / size;
        let (spare, untold): (Vec<u64>, Vec<u64>) = extent.spare.iter().partition(|segment| **segment < told);
        let segments = Segments::new(
            Arc::clone(&disk),
            identity.segment_bytes,
            options.reserve_segments,
            untold.into_iter().chain(extent.segments.iter().copied()),
            spare,
            ahead,
            Arc::clone(&hold),
        );
        let seed = Seed::new(&identity.owner);
        let pump = Pump::new(
            Arc::clone(&shared),
            writer,
            (segments, Arc::clone(&repairs)),
            seed,
            (identity.incarnation, extent.told_released),
            options.mark_after,
        );
        let parts = (Arc::clone(&disk), Arc::clone(&repairs));
        let replay = Replay::new(parts, &identity, extent, Some(Guard::Recycling { _hold: hold }));
        let begun = extent.end;
        let log = Log { shared, disk, identity, begun, repairs, thread: None, fallback: None, _lock: None };
        Ok((log, replay, pump))
    }

    /// Appends a record made of the parts, one after the other; it becomes durable soon, together with its neighbours.
    ///
    /// Waits while the group being filled is full and two are in flight: memory is bounded, and an appender that
    /// is faster than the disk is slowed down here.
    ///
    /// # Errors
    /// The record is too large, or the log has failed, is full or closed.
    pub fn append(&self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError> {
        self.shared.append(kind, parts)
    }

    /// Has a function called once the record at `position` is durable, or can no longer become so.
    ///
    /// It is called on the log's thread, in order of positions registered in order; at once, on this one, if the
    /// outcome is known already. It must not block: every other record waits behind it.
    pub fn on_durable(&self, position: Position, callback: Callback) {
        let mut state = self.shared.lock();
        let outcome = match (Durable::below(Position::of_sector(state.durable)), &state.failure) {
            (durable, _) if durable.covers(position) => Ok(durable),
            (_, Some(failure)) => Err(failure.clone()),
            (_, None) => {
                let at = state.callbacks.partition_point(|(other, _)| *other <= position);
                state.callbacks.insert(at, (position, callback));
                return;
            }
        };
        drop(state);
        callback(outcome);
    }

    /// Waits until the record at `position` is durable.
    ///
    /// # Errors
    /// The log failed before it was.
    pub fn wait_durable(&self, position: Position) -> Result<Durable, StoreError> {
        let mut state = self.shared.lock();
        loop {
            let durable = Durable::below(Position::of_sector(state.durable));
            if durable.covers(position) {
                return Ok(durable);
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            state = self.shared.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reads one durable record back; every sector of it is checked. From any thread, without disturbing the writing.
    ///
    /// # Errors
    /// The record is not durable, was released, was never there, or is damaged.
    pub fn read(&self, position: Position) -> Result<Record, StoreError> {
        let released = |log: &Log| position < Position::of_sector(log.shared.lock().released);
        if let Some((repair, number)) = self.repairs.with(position) {
            return repair.record(number).expect("the repair has it");
        }
        if released(self) {
            return Err(StoreError::Released { position: position.raw() });
        }
        if position >= Position::of_sector(self.shared.lock().durable) {
            return Err(StoreError::NotDurable { position: position.raw() });
        }
        read_record(self.disk.as_ref(), &self.identity, self.begun, position).map_err(|error| match released(
            self,
        ) {
            // Its segment was recycled under the read: what looked like damage is not.
            true => StoreError::Released { position: position.raw() },
            false => error,
        })
    }

    /// Everything that is durable now and not released, from the disk and not from the page cache, to see whether it is
    /// as it was written. What is released meanwhile may be taken into use again under it.
    #[must_use]
    pub fn scrub(&self) -> Replay {
        let state = self.shared.lock();
        let extent = Extent::kept(state.released, state.durable, self.identity.segment_sectors());
        drop(state);
        let parts = (Arc::clone(&self.disk), Arc::clone(&self.repairs));
        Replay::new(parts, &self.identity, &extent, None).uncached()
    }

    /// Has a file read instead of a stretch that is rotten, from now on; on return it is durable.
    ///
    /// # Errors
    /// The file cannot be written, or the stretch overlaps an earlier one in part. The log itself goes on.
    pub fn repair(&self, repair: &Repair) -> Result<Repaired, StoreError> {
        self.repairs.add(&self.identity.owner, repair)
    }

    /// The stretches that are read from files beside the log, ascending. The files of what was released are removed
    /// once the disk says that it was.
    #[must_use]
    pub fn repairs(&self) -> Vec<Repaired> {
        self.repairs.list()
    }

    /// Gives up every record before `before`. Whole segments of such records are reused or deleted by the log's thread.
    pub fn release(&self, before: Position) {
        let mut state = self.shared.lock();
        let (sector, _) = before.split();
        // A segment counts as released only once it is durable, else recovery could not tell it from a lost one.
        let sector = sector.min(state.durable);
        if sector > state.released {
            state.released = sector;
            self.shared.wake(&mut state);
        }
    }

    /// Every record before this position has been released and cannot be read.
    #[must_use]
    pub fn released(&self) -> Position {
        Position::of_sector(self.shared.lock().released)
    }

    /// Where the next record will stand, or a little before it.
    #[must_use]
    pub fn next(&self) -> Position {
        let state = self.shared.lock();
        let sector =
            state.group.as_ref().map_or(state.next_start, |group| group.start() + group.used() as u64);
        Position::of_sector(sector)
    }

    /// Why the log has stopped, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<StoreError> {
        self.shared.lock().failure.clone()
    }

    /// Counters since the log was opened.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.shared.lock().metrics
    }

    /// Why io_uring is not used although [`Backend::Auto`] would have it: what the trial write failed with.
    #[must_use]
    pub fn fallback(&self) -> Option<&Error> {
        self.fallback.as_ref()
    }

    /// Bytes that the log takes on the disk: its segments, those that are prepared and reserved included.
    #[must_use]
    pub fn bytes_on_disk(&self) -> u64 {
        self.metrics().segments * self.identity.segment_bytes
    }

    /// Whose log it is and how it is cut.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopping = true;
        self.shared.wake(&mut state);
        drop(state);
        self.shared.room.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // It reports its failures to those who wait; there is nothing to add about a panic.
            let _ = thread.join();
        }
    }
}

/// The identity of the log in a directory; `None` where there is no log. Segments without one are no new log: their
/// owner is not known, and what would be written behind them could not be told from what was. One that cuts segments
/// otherwise is that of another log, and would write where nobody looks.
fn identity_in(directory: &Path) -> Result<Option<Identity>, StoreError> {
    let files = Files::new(directory, false, false);
    let segments = match files.segments() {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        other => other.map_err(|error| StoreError::io("listing", directory, &error))?,
    };
    let (identity, path) = (Identity::load(directory)?, Identity::path(directory));
    let Some(identity) = identity else {
        return if segments.is_empty() { Ok(None) } else { Err(StoreError::MissingIdentity { path }) };
    };
    // Shorter ones were cut off, and are named where they are read.
    for segment in segments {
        let file = files.path(segment);
        let length =
            std::fs::metadata(&file).map_err(|error| StoreError::io("looking at", &file, &error))?.len();
        if length > identity.segment_bytes {
            let expected = identity.segment_bytes;
            return Err(StoreError::OtherIdentity { path, expected, segment: file, found: length });
        }
    }
    Ok(Some(identity))
}

/// Takes the directory's lock, for writing or for reading.
fn lock(directory: &Path, exclusive: bool) -> Result<File, StoreError> {
    let path = directory.join("lock");
    let opened = match exclusive {
        true => File::options().write(true).create(true).truncate(false).open(&path),
        false => File::open(&path),
    };
    let file = opened.map_err(|error| StoreError::io("opening", &path, &error))?;
    let taken = match exclusive {
        true => file.try_lock(),
        false => file.try_lock_shared(),
    };
    match taken {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: directory.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("locking", &path, &error)),
    }
}

/// The backend that was asked for, or that this machine and file system can do, and what the better one failed with.
fn choose(directory: &Path, backend: Backend) -> Result<(Files, Option<Error>), StoreError> {
    let portable = Files::new(directory, false, true);
    if backend == Backend::Portable {
        return Ok((portable, None));
    }
    let direct = Files::new(directory, true, true);
    match (direct.probe(), backend) {
        (Ok(()), _) => Ok((direct, None)),
        (Err(error), Backend::Uring) => {
            Err(StoreError::UringUnavailable { path: directory.to_path_buf(), detail: error.to_string() })
        }
        (Err(error), _) => Ok((portable, Some(error))),
    }
}
