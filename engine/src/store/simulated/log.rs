//! The log without its thread.

use std::sync::{Arc, Mutex, MutexGuard};

use super::SimulatedDisk;
use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::identity::Identity;
use crate::store::log::Log;
use crate::store::options::{Metrics, Options};
use crate::store::position::{Durable, Position};
use crate::store::pump::{Pump, Step};
use crate::store::recover::recover;
use crate::store::repairs::Repairs;
use crate::store::replay::{Record, Replay};
use crate::store::shared::Callback;

/// A log on a simulated disk. It does something only when it is called, and calls back on the caller's thread.
///
/// Dropping it is the death of the process: what was not submitted is lost, what was submitted is on the disk,
/// unsynced. For an orderly end call `settle` before.
pub struct SimulatedLog {
    pub(in crate::store) log: Log,
    pump: Mutex<Pump>,
}

impl SimulatedLog {
    /// Opens the log of a disk, making one if there is none. `backend` and `thread_name` of the options mean nothing
    /// here.
    ///
    /// # Errors
    /// The disk belongs to another owner, is damaged where it was durable, or cannot be written.
    pub fn open(disk: &SimulatedDisk, options: &Options) -> Result<(SimulatedLog, Replay), StoreError> {
        options.check()?;
        let (handle, identity) = disk.open(options)?;
        Self::over((Arc::new(handle), Repairs::none()), identity, options)
    }

    /// The same over any disk, in one life of its log.
    pub(in crate::store) fn over(
        (disk, repairs): (Arc<dyn Disk>, Arc<Repairs>),
        identity: Identity,
        options: &Options,
    ) -> Result<(SimulatedLog, Replay), StoreError> {
        let extent = recover(disk.as_ref(), &identity)?;
        let (log, replay, pump) = Log::assemble((disk, repairs), identity, &extent, options, false)?;
        Ok((SimulatedLog { log, pump: Mutex::new(pump) }, replay))
    }

    /// Appends a record made of the parts. Never waits: while there is no room it submits and completes groups itself.
    ///
    /// # Errors
    /// The record is too large, or the log has failed or is full.
    ///
    /// # Panics
    /// In a callback of this log, if there is no room.
    pub fn append(&self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError> {
        loop {
            let offered = self.log.shared.offer(&mut self.log.shared.lock(), kind, parts)?;
            if let Some(position) = offered {
                return Ok(position);
            }
            self.turn();
        }
    }

    /// Hands to the disk what was appended, as far as there are places in flight. True if a write is in flight.
    pub fn submit(&self) -> bool {
        let mut pump = self.pump();
        while pump.step() == Step::Submitted {}
        pump.in_flight() > 0
    }

    /// Completes the sync of one group in flight, calls back those who wait for it, and says what is durable.
    pub fn complete(&self) -> Durable {
        let mut pump = self.pump();
        if pump.in_flight() > 0 {
            pump.wait(None);
        }
        drop(pump);
        self.durable()
    }

    /// Tells the log that nothing has happened for `Options::mark_after`: it submits the mark that says what is
    /// durable, if no sector says so yet. True if a write is in flight.
    pub fn rest(&self) -> bool {
        let mut pump = self.pump();
        if let Step::Wait(Some(timeout)) = pump.step() {
            pump.wait(Some(timeout));
            pump.step();
        }
        pump.in_flight() > 0
    }

    /// One step of the log's thread: submits a group, or completes one, or rests. False if there was nothing to do.
    pub fn turn(&self) -> bool {
        let mut pump = self.pump();
        match pump.step() {
            Step::Submitted => true,
            Step::Stopped => false,
            Step::Wait(timeout) => {
                let busy = pump.in_flight() > 0 || timeout.is_some();
                if busy {
                    pump.wait(timeout);
                }
                busy
            }
        }
    }

    /// Turns until everything is durable and marked, or the log has failed.
    pub fn settle(&self) {
        while self.turn() {}
    }

    /// What is durable now.
    #[must_use]
    pub fn durable(&self) -> Durable {
        Durable::below(Position::of_sector(self.log.shared.lock().durable))
    }

    /// Has a function called once the record at `position` is durable, or can no longer become so; at once, if the
    /// outcome is known already. It runs inside `complete`, `turn`, `settle` or an `append` without room.
    pub fn on_durable(&self, position: Position, callback: Callback) {
        self.log.on_durable(position, callback);
    }

    /// Reads one durable record back; every sector of it is checked.
    ///
    /// # Errors
    /// The record is not durable, was released, was never there, or is damaged.
    pub fn read(&self, position: Position) -> Result<Record, StoreError> {
        self.log.read(position)
    }

    /// Gives up every record before `before`. Its whole segments are reused or deleted once the disk says that it was.
    pub fn release(&self, before: Position) {
        self.log.release(before);
    }

    /// Every record before this position has been released and cannot be read.
    #[must_use]
    pub fn released(&self) -> Position {
        self.log.released()
    }

    /// Where the next record will stand, or a little before it.
    #[must_use]
    pub fn next(&self) -> Position {
        self.log.next()
    }

    /// Why the log has stopped, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<StoreError> {
        self.log.failure()
    }

    /// Counters since the log was opened.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.log.metrics()
    }

    fn pump(&self) -> MutexGuard<'_, Pump> {
        self.pump
            .try_lock()
            .expect("a simulated log is turned by one caller at a time, and not by its callbacks")
    }
}
