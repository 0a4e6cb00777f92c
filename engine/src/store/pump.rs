//! The log's thread: takes the filled group, writes it, hears of its sync, tells who waited. Parks; never spins.
//!
//! ```text
//!   filling ──take──▶ sealed ──submit──▶ in flight (≤ 2) ──done, in order──▶ durable ──▶ callbacks
//!      ▲                                                        │
//!      └──────────────────────── free buffers ◀─────────────────┘
//! ```
//!
//! While fewer than two groups are in flight whatever has been appended goes out at once; while two are, the third
//! gathers. So the group's size follows the load and no timer is needed to form it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::buffer::Buffer;
use super::disk::{Done, Event, IN_FLIGHT, Write, Writer};
use super::error::StoreError;
use super::position::{Durable, Position};
use super::repairs::Repairs;
use super::sector::{SECTOR_BYTES, Seed};
use super::segments::Segments;
use super::shared::{Callback, Shared, State};

/// A group in flight.
struct Flight {
    segment: u64,
    /// The durable end when this and all before it are done.
    end: u64,
    released: u64,
    records: u64,
    bytes: u64,
    is_mark: bool,
}

/// The thread's own state.
pub(super) struct Pump {
    shared: Arc<Shared>,
    writer: Box<dyn Writer>,
    segments: Segments,
    repairs: Arc<Repairs>,
    seed: Seed,
    incarnation: u32,
    mark_after: Duration,
    next_ticket: u64,
    in_flight: BTreeMap<u64, Flight>,
    /// Done before an older one: waiting for its turn.
    early: BTreeSet<u64>,
    /// What the disk has been told to be durable and released.
    told_durable: u64,
    told_released: u64,
    /// The clock ran out with nothing to do: time for a mark.
    rested: bool,
}

/// What a step came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A group was submitted, or could not be and the log has failed.
    Submitted,
    /// There is nothing to submit, or no place for it: wait for the writer, no longer than so.
    Wait(Option<Duration>),
    /// The log is closed and everything is written.
    Stopped,
}

impl Pump {
    pub(super) fn new(
        shared: Arc<Shared>,
        writer: Box<dyn Writer>,
        (segments, repairs): (Segments, Arc<Repairs>),
        seed: Seed,
        (incarnation, told_released): (u32, u64),
        mark_after: Duration,
    ) -> Pump {
        let mut state = shared.lock();
        state.metrics.segments = segments.counts().0;
        // A recovered tail is durable, but no sector says so yet: the first rest does.
        let told_durable = 0;
        drop(state);
        Pump {
            shared,
            writer,
            segments,
            repairs,
            seed,
            incarnation,
            mark_after,
            next_ticket: 0,
            in_flight: BTreeMap::new(),
            early: BTreeSet::new(),
            told_durable,
            told_released,
            rested: false,
        }
    }

    /// The thread's body.
    pub(super) fn run(mut self) {
        match self.writer.waker() {
            Ok(waker) => self.shared.set_waker(waker),
            Err(error) => return self.shared.fail(&StoreError::writing(&self.segments.path(0), &error)),
        }
        loop {
            match self.step() {
                Step::Submitted => {}
                Step::Wait(timeout) => self.wait(timeout),
                Step::Stopped => return,
            }
        }
    }

    /// Submits one group if there is something to submit and a place for it; never waits.
    pub(super) fn step(&mut self) -> Step {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let failed = state.failure.is_some();
        if self.in_flight.len() < IN_FLIGHT && !failed {
            state.begin(self.shared.segment_sectors);
            let idle = state.group.as_ref().is_none_or(|group| group.is_empty() && !state.closed);
            if idle && self.in_flight.is_empty() {
                if self.unsaid(&state) && (self.rested || state.stopping) {
                    let group = state.group.as_mut().expect("with nothing in flight there is a free buffer");
                    group.open_sector();
                    return self.submit(state, true);
                }
                if state.stopping {
                    return Step::Stopped;
                }
            }
            if !idle {
                return self.submit(state, false);
            }
        }
        if failed && self.in_flight.is_empty() && state.stopping {
            return Step::Stopped;
        }
        // With both places taken a new record changes nothing: let the appenders save the system call.
        state.asleep = self.in_flight.len() < IN_FLIGHT;
        Step::Wait(match self.in_flight.is_empty() && self.unsaid(&state) && !failed {
            true => Some(self.mark_after),
            false => None,
        })
    }

    /// Waits for the writer, and completes what it has done.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) {
        let event = self.writer.wait(timeout);
        self.rested = matches!(event, Event::TimedOut);
        self.shared.lock().asleep = false;
        if let Event::Done(done) = event {
            self.complete(done);
        }
    }

    /// Groups that the disk has and has not reported.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Is there something durable or released that no sector on the disk tells of?
    fn unsaid(&self, state: &State) -> bool {
        state.durable > self.told_durable || state.released > self.told_released
    }

    fn submit(&mut self, mut state: std::sync::MutexGuard<'_, State>, is_mark: bool) -> Step {
        self.rested = false;
        let mut group = state.group.take().expect("the caller saw a group to write");
        if group.is_empty() {
            // Closed and empty: no record fits into what is left of the segment.
            assert!(group.end_segment(), "an empty buffer has a sector for the segment's end");
        }
        state.next_start = group.next_start();
        state.begin(self.shared.segment_sectors);
        let (durable, released) = (state.durable, state.released.min(state.durable));
        drop(state);
        // The group's place is taken and the next one can fill: appenders need not wait for the rest of this.
        self.shared.room.notify_all();

        let (start, sectors, records) = (group.start(), group.used(), group.records());
        let (segment, end) = (start / self.shared.segment_sectors, group.next_start());
        let bytes = sectors * SECTOR_BYTES;
        if let Err(failure) = self.segments.prepared(segment) {
            self.fail(&failure);
            return Step::Submitted;
        }
        let buffer = group.seal(&self.seed, self.incarnation, durable, released);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let flight = Flight { segment, end, released, records, bytes: bytes as u64, is_mark };
        self.in_flight.insert(ticket, flight);
        let offset = start % self.shared.segment_sectors * SECTOR_BYTES as u64;
        self.writer.submit(Write { ticket, segment, offset, buffer, bytes });
        self.told_durable = if is_mark { end } else { durable };
        Step::Submitted
    }

    fn complete(&mut self, done: Done) {
        let Done { ticket, buffer, result } = done;
        if let Err(error) = result {
            let segment = self.in_flight[&ticket].segment;
            self.in_flight.remove(&ticket);
            // Groups behind it that are done count for nothing, and the writer will not report them again.
            for ticket in std::mem::take(&mut self.early) {
                self.in_flight.remove(&ticket);
            }
            self.fail(&StoreError::writing(&self.segments.path(segment), &error));
            return;
        }
        self.early.insert(ticket);
        let mut freed = Some(buffer);
        let mut due = Vec::new();
        let mut released = self.told_released;
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if state.failure.is_some() {
            // An older group failed: this one is not durable in any sense that counts.
            self.early.remove(&ticket);
            self.in_flight.remove(&ticket);
            return;
        }
        while let Some(entry) = self.in_flight.first_entry()
            && self.early.remove(entry.key())
        {
            let flight = entry.remove();
            state.durable = flight.end;
            state.metrics.records += flight.records;
            state.metrics.written_bytes += flight.bytes;
            state.metrics.syncs += 1;
            state.metrics.marks += u64::from(flight.is_mark);
            released = released.max(flight.released);
        }
        state.free.extend(freed.take());
        state.begin(self.shared.segment_sectors);
        let durable = Position::of_sector(state.durable);
        while let Some((position, _)) = state.callbacks.front()
            && *position < durable
        {
            due.extend(state.callbacks.pop_front());
        }
        drop(state);
        self.shared.room.notify_all();
        self.shared.progress.notify_all();
        self.call(due, Durable::below(durable));
        if released > self.told_released {
            self.told_released = released;
            self.segments.release_below(released);
            self.repairs.release_below(Position::of_sector(released));
        }
        let (segments, recycled) = self.segments.counts();
        let mut state = self.shared.lock();
        state.metrics.segments = segments;
        state.metrics.recycled = recycled;
    }

    fn call(&self, due: Vec<(Position, Callback)>, durable: Durable) {
        for (_, callback) in due {
            callback(Ok(durable));
        }
    }

    fn fail(&mut self, failure: &StoreError) {
        self.shared.fail(failure);
    }
}

/// The buffers of a log: one filling, the others in flight.
pub(super) fn buffers(group_bytes: usize) -> Vec<Buffer> {
    (0..=IN_FLIGHT).map(|_| Buffer::new(group_bytes / SECTOR_BYTES)).collect()
}
