//! Both lanes under one lock: where things are put in, and where verify threads wait.
//!
//! A thread that waits is either *parked*, since nothing is there for it, or *lingers*, since little is there and more
//! is likely to come. While one lingers, what comes is left to it, until it is enough for a round of its own.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fair::FairQueue;
use super::{Bounds, PeerBatch, Round, Source, Submission, Weighed, packets};

/// A round of fewer packets is small: below, a signature costs more.
pub(super) const LINGER_PACKETS: usize = 256;
/// How long a small round waits for more.
const LINGER: Duration = Duration::from_millis(2);
/// The same where a device checks signatures, too.
const LINGER_FOR_DEVICE: Duration = Duration::from_millis(5);
/// A round lingers only so long after another one,
pub(super) const BUSY_FOR: Duration = Duration::from_millis(50);
/// which had at least so many packets: a network that has little to do answers at once.
pub(super) const BUSY_PACKETS: usize = 32;

/// What a lane has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LaneCounters {
    /// Packets that were let in.
    pub accepted_packets: u64,
    /// Packets that were turned away because the lane, or its source's part of it, was full.
    pub shed_packets: u64,
    /// Bytes that wait.
    pub queued_bytes: u64,
}

/// What the lane did not take comes back.
#[derive(Debug)]
pub enum Refused<T> {
    /// There is no room for it now.
    Full(T),
    /// Nobody takes anything any more.
    Closed(T),
}

/// One lane behind the lock.
#[derive(Debug)]
pub(super) struct Entrance<T> {
    queue: FairQueue<T>,
    accepted_packets: u64,
    shed_packets: u64,
    /// Clones of its [`Lane`].
    doors: usize,
}

impl<T: Weighed> Entrance<T> {
    fn new(bytes_max: usize) -> Self {
        Self { queue: FairQueue::new(bytes_max), accepted_packets: 0, shed_packets: 0, doors: 1 }
    }

    fn is_finished(&self) -> bool {
        self.doors == 0 && self.queue.packets() == 0
    }
}

#[derive(Debug)]
pub(super) struct State {
    submissions: Entrance<Submission>,
    batches: Entrance<PeerBatch>,
    /// Clones of the [`Intake`](super::Intake).
    takers: usize,
    parked: usize,
    lingering: usize,
    /// A round of fewer packets waits for more, and how long.
    small: (usize, Duration),
    /// When the last round was taken, and how many packets it had.
    last: Option<(Duration, usize)>,
}

impl State {
    fn waiting(&self) -> usize {
        self.submissions.queue.packets() + self.batches.queue.packets()
    }

    /// Whether there is something for one more thread.
    fn is_ready(&self) -> bool {
        let waiting = self.waiting();
        waiting >= self.small.0 || (waiting > 0 && self.lingering == 0)
    }

    fn is_finished(&self) -> bool {
        self.submissions.is_finished() && self.batches.is_finished()
    }

    fn is_closing(&self) -> bool {
        self.submissions.doors == 0 || self.batches.doors == 0
    }

    /// Whether it pays to wait for more.
    fn is_small(&self) -> bool {
        (1..self.small.0).contains(&self.waiting()) && !self.is_closing()
    }

    /// Whether a round taken now is small and more is likely to come soon.
    fn should_linger(&self, now: Duration) -> bool {
        let busy = self
            .last
            .is_some_and(|(at, packets)| packets >= BUSY_PACKETS && now.saturating_sub(at) <= BUSY_FOR);
        busy && self.is_small()
    }

    /// Each lane is sure of half of a round, and gets what the other does not need.
    fn round(&mut self, packets_max: usize) -> Round {
        let mut round = Round::default();
        self.batches.queue.take((packets_max / 2).max(1), &mut round.batches);
        let left = packets_max.saturating_sub(packets(&round.batches));
        self.submissions.queue.take(left.max(1), &mut round.submissions);
        let left = packets_max.saturating_sub(round.packets());
        self.batches.queue.take(left, &mut round.batches);
        round
    }
}

/// What lanes and intakes share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes parked threads.
    arrived: Condvar,
    /// Wakes the one that lingers.
    enough: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes one thread, if there is something for it. Nobody is woken in vain, since that is a call of the system.
    fn wake(&self, state: &State) {
        if state.lingering > 0 && state.waiting() >= state.small.0 {
            self.enough.notify_one();
        } else if state.parked > 0 && state.is_ready() {
            self.arrived.notify_one();
        }
    }

    fn wake_all(&self) {
        self.arrived.notify_all();
        self.enough.notify_all();
    }

    pub(super) fn take(
        &self,
        packets_max: usize,
        timeout: Duration,
        now: impl Fn() -> Duration,
    ) -> Option<Round> {
        let mut state = self.lock();
        if !state.is_ready() && !state.is_finished() {
            state.parked += 1;
            let idle = |state: &mut State| !state.is_ready() && !state.is_finished();
            let waited = self.arrived.wait_timeout_while(state, timeout, idle);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.parked -= 1;
            if !state.is_ready() {
                return (!state.is_finished()).then(Round::default);
            }
        }
        if state.should_linger(now()) {
            state.lingering += 1;
            let linger = state.small.1;
            let waited = self.enough.wait_timeout_while(state, linger, |state| state.is_small());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.lingering -= 1;
        }
        if state.is_finished() {
            return None;
        }
        let round = state.round(packets_max);
        if !round.is_empty() {
            state.last = Some((now(), round.packets()));
        }
        if state.is_finished() {
            self.wake_all();
        } else {
            self.wake(&state);
        }
        Some(round)
    }

    /// A device is worth its while from so many packets on.
    pub(super) fn device_from(&self, packets: usize) {
        self.lock().small = match packets {
            0..=LINGER_PACKETS => (LINGER_PACKETS, LINGER),
            _ => (packets, LINGER_FOR_DEVICE),
        };
    }

    /// Drops what waits from one source.
    pub(super) fn discard(&self, source: Source) {
        let mut state = self.lock();
        state.submissions.queue.discard(source);
        state.batches.queue.discard(source);
    }

    pub(super) fn add_taker(&self) {
        self.lock().takers += 1;
    }

    /// Without takers nothing is let in, and what waits goes: it holds parts of its senders' budgets.
    pub(super) fn remove_taker(&self) {
        let mut state = self.lock();
        state.takers -= 1;
        if state.takers == 0 {
            state.submissions.queue.clear();
            state.batches.queue.clear();
        }
    }
}

/// Where things are put in. When the last clone is gone, the lane is closed.
#[derive(Debug)]
pub struct Lane<T> {
    shared: Arc<Shared>,
    entrance: fn(&mut State) -> &mut Entrance<T>,
}

impl<T> Clone for Lane<T> {
    fn clone(&self) -> Self {
        (self.entrance)(&mut self.shared.lock()).doors += 1;
        Self { shared: Arc::clone(&self.shared), entrance: self.entrance }
    }
}

impl<T> Drop for Lane<T> {
    fn drop(&mut self) {
        (self.entrance)(&mut self.shared.lock()).doors -= 1;
        self.shared.wake_all();
    }
}

pub(super) fn open(bounds: Bounds) -> (Lane<Submission>, Lane<PeerBatch>, Arc<Shared>) {
    let state = State {
        submissions: Entrance::new(bounds.submission_bytes_max),
        batches: Entrance::new(bounds.batch_bytes_max),
        takers: 1,
        parked: 0,
        lingering: 0,
        small: (LINGER_PACKETS, LINGER),
        last: None,
    };
    let shared =
        Arc::new(Shared { state: Mutex::new(state), arrived: Condvar::new(), enough: Condvar::new() });
    let submissions = Lane { shared: Arc::clone(&shared), entrance: |state| &mut state.submissions };
    let batches = Lane { shared: Arc::clone(&shared), entrance: |state| &mut state.batches };
    (submissions, batches, shared)
}

impl<T: Weighed> Lane<T> {
    /// Puts an item in, or gives it back. What comes back with an item that was let in has lost its place to it: it was
    /// the last of a source that held more than its part of a full lane, which is to be told as if it had been refused
    /// now.
    pub fn offer(&self, item: T) -> Result<Vec<T>, Refused<T>> {
        let packets = item.packets() as u64;
        let mut state = self.shared.lock();
        if state.takers == 0 {
            return Err(Refused::Closed(item));
        }
        let entrance = (self.entrance)(&mut state);
        match entrance.queue.offer(item) {
            Ok(evicted) => {
                entrance.accepted_packets += packets;
                entrance.shed_packets += super::packets(&evicted) as u64;
                self.shared.wake(&state);
                Ok(evicted)
            }
            Err(item) => {
                entrance.shed_packets += packets;
                Err(Refused::Full(item))
            }
        }
    }

    /// Another bound of the bytes that may wait, from now on. What waits stays.
    pub fn set_bytes_max(&self, bytes_max: usize) {
        (self.entrance)(&mut self.shared.lock()).queue.set_bytes_max(bytes_max);
    }

    /// What this lane has seen.
    pub fn counters(&self) -> LaneCounters {
        let mut state = self.shared.lock();
        let entrance = (self.entrance)(&mut state);
        LaneCounters {
            accepted_packets: entrance.accepted_packets,
            shed_packets: entrance.shed_packets,
            queued_bytes: entrance.queue.bytes() as u64,
        }
    }
}

#[cfg(test)]
impl Shared {
    /// How many threads are parked, and how many linger.
    pub(super) fn resting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.parked, state.lingering)
    }

    /// Whether what waits would be left waiting for more.
    pub(super) fn would_linger(&self, now: Duration) -> bool {
        self.lock().should_linger(now)
    }
}
