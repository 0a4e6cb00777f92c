//! What appenders and the log's thread share: the group being filled, who waits, and the one failure.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::buffer::Buffer;
use super::disk::Waker;
use super::error::StoreError;
use super::group::{Full, Group};
use super::options::Metrics;
use super::position::{Durable, Position};

/// Called once, when a record is durable or can no longer become so.
pub type Callback = Box<dyn FnOnce(Result<Durable, StoreError>) + Send>;

/// Everything under the lock.
pub(super) struct State {
    /// `None` while all buffers are in flight.
    pub(super) group: Option<Group>,
    /// Where the next group begins, while there is none.
    pub(super) next_start: u64,
    /// The group takes no more: the thread must write it first.
    pub(super) closed: bool,
    pub(super) free: Vec<Buffer>,
    /// Everything below this sector is durable.
    pub(super) durable: u64,
    /// Everything below this sector was released by the caller.
    pub(super) released: u64,
    pub(super) callbacks: VecDeque<(Position, Callback)>,
    pub(super) failure: Option<StoreError>,
    pub(super) stopping: bool,
    /// The thread sleeps and wants to be woken for a record.
    pub(super) asleep: bool,
    pub(super) metrics: Metrics,
}

/// The state, its conditions and the way to wake the thread.
pub(super) struct Shared {
    state: Mutex<State>,
    /// A buffer became free, or the log failed.
    pub(super) room: Condvar,
    /// The durable end moved, or the log failed.
    pub(super) progress: Condvar,
    waker: std::sync::OnceLock<Waker>,
    pub(super) segment_sectors: u64,
    pub(super) record_limit: u64,
}

impl Shared {
    pub(super) fn new(state: State, segment_sectors: u64, record_limit: u64) -> Arc<Shared> {
        Arc::new(Shared {
            state: Mutex::new(state),
            room: Condvar::new(),
            progress: Condvar::new(),
            waker: std::sync::OnceLock::new(),
            segment_sectors,
            record_limit,
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panicking callback runs outside the lock; nothing inside it leaves the state half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_waker(&self, waker: Waker) {
        let _ = self.waker.set(waker);
    }

    /// Wakes the thread if it sleeps.
    pub(super) fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.asleep)
            && let Some(wake) = self.waker.get()
        {
            wake();
        }
    }

    /// Appends a record, waiting for room if it must.
    pub(super) fn append(&self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError> {
        let mut state = self.lock();
        loop {
            if let Some(position) = self.offer(&mut state, kind, parts)? {
                return Ok(position);
            }
            state.metrics.waits += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Appends a record if there is room now.
    pub(super) fn offer(
        &self,
        state: &mut State,
        kind: u8,
        parts: &[&[u8]],
    ) -> Result<Option<Position>, StoreError> {
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        if bytes > self.record_limit {
            return Err(StoreError::TooLarge { bytes, limit: self.record_limit });
        }
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        if state.stopping {
            return Err(StoreError::Closed);
        }
        let address = state.push(kind, parts, bytes, self.segment_sectors);
        if address.is_some() {
            state.metrics.record_bytes += bytes;
        }
        self.wake(state);
        Ok(address.map(Position::from_raw))
    }

    /// Everything that waits hears of the failure; nothing is accepted afterwards.
    pub(super) fn fail(&self, failure: &StoreError) {
        let mut state = self.lock();
        state.failure.get_or_insert_with(|| failure.clone());
        state.group = None;
        let callbacks = std::mem::take(&mut state.callbacks);
        drop(state);
        self.room.notify_all();
        self.progress.notify_all();
        for (_, callback) in callbacks {
            callback(Err(failure.clone()));
        }
    }
}

impl State {
    /// Begins a group if there is a buffer for it.
    pub(super) fn begin(&mut self, segment_sectors: u64) {
        if self.group.is_none()
            && let Some(buffer) = self.free.pop()
        {
            let segment_end = (self.next_start / segment_sectors + 1) * segment_sectors;
            self.group = Some(Group::new(buffer, self.next_start, segment_end));
            self.closed = false;
        }
    }

    /// Takes a record into the group; `None` if it must wait for another group.
    fn push(&mut self, kind: u8, parts: &[&[u8]], bytes: u64, segment_sectors: u64) -> Option<u64> {
        self.begin(segment_sectors);
        if self.closed {
            return None;
        }
        let group = self.group.as_mut()?;
        let length = u32::try_from(bytes).expect("the record limit is below 4 GiB");
        match group.push(kind, parts, length) {
            Ok(address) => Some(address),
            Err(full) => {
                if full == Full::Segment {
                    // If there is no room to say so, the next group says it.
                    group.end_segment();
                }
                self.closed = true;
                None
            }
        }
    }
}
