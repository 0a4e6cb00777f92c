//! A running engine, as its owner sees it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use crate::{StopReason, adapter::Progress, halt::Halt, store::volume::Volume, transport::Shared};

/// What has happened since the engine was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The current view; see [`Handle::view`].
    pub view: u64,
    /// The highest finalized view.
    pub finalized_view: u64,
    /// Finalizations told to the application.
    pub finalized: u64,
    /// Views that were skipped by a quorum of votes to nullify.
    pub nullified: u64,
    /// Contradictory votes proven.
    pub faults: u64,
    /// Messages taken from peers.
    pub delivered: u64,
    /// Messages dropped because their sender's share of a queue was full.
    pub dropped_full: u64,
    /// Messages dropped because they were empty, too long, or from a sender outside the committee.
    pub dropped_invalid: u64,
    /// Messages dropped because their sender was blocked.
    pub dropped_blocked: u64,
    /// Records appended to the store.
    pub store_records: u64,
    /// Bytes of these records.
    pub store_bytes: u64,
    /// Times the engine waited for durability.
    pub store_syncs: u64,
    /// Snapshots written into the store.
    pub compactions: u64,
    /// Bytes of the last of them.
    pub live_bytes: u64,
}

/// A running engine. Dropping it asks the engine to stop.
#[derive(Debug)]
pub struct Handle {
    pub(crate) me: u16,
    pub(crate) halt: Halt,
    pub(crate) progress: Arc<Progress>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) volume: Arc<Volume>,
    /// `None`: the engine is a task of the caller's runtime.
    pub(crate) thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// This validator's index.
    pub fn me(&self) -> u16 {
        self.me
    }

    /// The view that the engine is in: one more than the last that it knows to be certified, skipped or final.
    ///
    /// It is never below a view in which this validator has voted, not even while its records are read: this is the
    /// number for which a peer that lost its records asks; see [`crate::Config::floor`].
    pub fn view(&self) -> u64 {
        self.progress.view.load(Ordering::Relaxed).max(1)
    }

    /// Why the engine has stopped or is stopping; `None` while it runs.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.halt.reason()
    }

    /// Asks the engine to stop and, if it has its own thread, waits until it has. [`crate::Application::stopped`] is
    /// told; nothing else is appended, sent or called any more. Nothing is lost by stopping at any moment.
    ///
    /// # Panics
    /// When called from one of the engine's own callbacks, if the engine has its own thread.
    pub fn stop(self) {
        self.end(StopReason::Requested);
    }

    /// Ends the engine as a crash would: like [`Handle::stop`], but [`crate::Application::stopped`] is not called.
    ///
    /// A new engine may be started at once from the records that the store still has. What the old one has appended
    /// but never seen durable may be among them or not.
    ///
    /// # Panics
    /// As [`Handle::stop`].
    pub fn crash(self) {
        self.end(StopReason::Crashed);
    }

    fn end(mut self, reason: StopReason) {
        self.halt.stop(reason);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the engine's thread catches its panics");
        }
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (inbound, store) = (&self.shared.counters, &self.volume.counters);
        Counters {
            view: self.view(),
            finalized_view: read(&self.progress.finalized_view),
            finalized: read(&self.progress.finalized),
            nullified: read(&self.progress.nullified),
            faults: read(&self.progress.faults),
            delivered: read(&inbound.delivered),
            dropped_full: read(&inbound.dropped_full),
            dropped_invalid: read(&inbound.dropped_invalid),
            dropped_blocked: read(&inbound.dropped_blocked),
            store_records: read(&store.records),
            store_bytes: read(&store.bytes),
            store_syncs: read(&store.syncs),
            compactions: read(&store.compactions),
            live_bytes: read(&store.live_bytes),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.halt.stop(StopReason::Requested);
    }
}
