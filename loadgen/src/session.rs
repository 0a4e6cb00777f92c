//! What was due, sent and answered when, for each transaction of a run. No I/O, no clock.
//!
//! ```text
//!              schedule(now)          take_due(lane)          notice(lane, tag, verdict, now)
//!   (future) ───────────────> Waiting ─────────────> Sent ──────────────────────────────────> verdict
//!                                └───────────────────┴──── expire(now) ──> TimedOut ──(late)──> LateCommit
//! ```
//!
//! Transactions are numbered in the order of their intended send times; number `g` is packet
//! `g / lanes` of lane `g % lanes`. So a (lane, tag) pair finds its row by one multiplication, and a
//! transaction costs two dense arrays (8 bytes for its intended time, 1 for its state) and no map.
//!
//! Invariants: intended times never decrease and are never rewritten; a transaction reaches at most one
//! final state (a commit after its time-out is noted for the audit but stays a time-out in the figures);
//! `offered == accepted + rejected + timed_out` for the window once everything is settled.

mod meter;
mod sends;
mod window;

pub use meter::SecondRow;
pub use sends::{SEND_LATE_US, Sends};
pub use window::{Tally, Window};

use crate::controller::Interval;
use crate::schedule::Schedule;
use engine::types::{Outcome, Refusal, Verdict};
use meter::Meters;
use std::collections::VecDeque;
use std::ops::Range;

/// States of a transaction that are not a verdict's code (those are all below 64).
const WAITING: u8 = 255;
const SENT: u8 = 254;
const TIMED_OUT: u8 = 253;
const LATE_COMMIT: u8 = 252;

/// After this long it is asked again what became of a transaction that waits in a mempool since an earlier connection.
const PENDING_RETRY_US: u64 = 500_000;

/// What a session needs to know before the first transaction.
#[derive(Debug, Clone, Copy)]
pub struct SessionConfig {
    /// Number of connections, one for each validator.
    pub lanes: usize,
    /// After this long without a verdict a transaction counts as timed out.
    pub timeout_us: u64,
    /// When to offer a transaction again that was refused for want of room; `None` takes the refusal as final.
    pub busy_retry_us: Option<u64>,
}

/// What was due, sent and answered, for each transaction of a run.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    /// Packets signed and ready in each lane.
    ready_per_lane: u64,
    intended_us: Vec<u64>,
    state: Vec<u8>,
    next_tag: Vec<u64>,
    /// Everything below this number has its final state.
    settled_below: usize,
    unsettled: u64,
    retries: VecDeque<(u64, usize, u64)>,
    /// Tags below these were offered on a connection that was lost.
    again_below: Vec<u64>,
    /// Refusals that only somebody else can have caused who uses the same accounts.
    contested: u64,
    starved: bool,
    meters: Meters,
    window: Option<Window>,
}

impl Session {
    /// A session without transactions.
    pub fn new(config: SessionConfig) -> Session {
        assert!(config.lanes > 0, "a session has at least one lane");
        Session {
            config,
            ready_per_lane: 0,
            intended_us: Vec::new(),
            state: Vec::new(),
            next_tag: vec![0; config.lanes],
            settled_below: 0,
            unsettled: 0,
            retries: VecDeque::new(),
            again_below: vec![0; config.lanes],
            contested: 0,
            starved: false,
            meters: Meters::default(),
            window: None,
        }
    }

    /// Empty books, left in place of the real ones when those are taken away.
    pub(crate) fn empty() -> Session {
        Session::new(SessionConfig { lanes: 1, timeout_us: 1, busy_retry_us: None })
    }

    /// Makes room for `per_lane` more signed packets in every lane.
    pub fn add_ready(&mut self, per_lane: u64) {
        self.ready_per_lane += per_lane;
        self.starved = false;
        let total = self.ready_per_lane as usize * self.config.lanes;
        self.intended_us.reserve(total - self.intended_us.len());
        self.state.reserve(total - self.state.len());
    }

    /// Packets that are signed and have no intended time yet.
    pub fn unscheduled(&self) -> u64 {
        self.ready_per_lane * self.config.lanes as u64 - self.intended_us.len() as u64
    }

    /// Whether the schedule wanted more packets than were signed.
    pub fn starved(&self) -> bool {
        self.starved
    }

    /// Opens the measured window; intended times and arrivals inside it are counted from here on.
    pub fn open_window(&mut self, start_us: u64, seconds: u64) {
        self.meters.open(start_us, seconds);
        self.window = Some(Window::new(start_us, seconds));
    }

    /// The window, if it has been opened.
    pub fn window(&self) -> Option<&Window> {
        self.window.as_ref()
    }

    /// The per-second rows of the window.
    pub fn seconds(&self) -> &[SecondRow] {
        self.meters.rows()
    }

    /// Gives everything that is due at `now_us` its number and its intended time.
    pub fn schedule(&mut self, schedule: &mut Schedule, now_us: u64) {
        self.meters.waits(self.unsettled, now_us);
        let capacity = self.ready_per_lane as usize * self.config.lanes;
        while self.intended_us.len() < capacity {
            let Some(due) = schedule.pop_due(now_us) else { return };
            debug_assert!(self.intended_us.last().is_none_or(|last| *last <= due));
            self.intended_us.push(due);
            self.state.push(WAITING);
            self.unsettled += 1;
            if let Some(window) = self.window.as_mut().filter(|w| w.contains(due)) {
                window.tally.offered += 1;
                self.meters.offered(due);
            }
        }
        self.starved |= schedule.pop_due(now_us).is_some();
    }

    /// At most `max` packets of a lane to send now, as a range of tags; they count as sent.
    pub fn take_due(&mut self, lane: usize, max: u64) -> Range<u64> {
        let mut first = self.next_tag[lane];
        let end = self.scheduled_in(lane);
        // What timed out while the connection took nothing is not sent any more.
        while first < end && self.state[self.number(lane, first)] != WAITING {
            first += 1;
        }
        let mut last = first;
        while last < end && last - first < max {
            let number = self.number(lane, last);
            if self.state[number] != WAITING {
                break;
            }
            self.state[number] = SENT;
            last += 1;
        }
        self.next_tag[lane] = last;
        first..last
    }

    /// The transport has taken transactions of a lane, for the first time.
    pub fn left(&mut self, lane: usize, tags: Range<u64>, now_us: u64) {
        let Some(window) = &mut self.window else { return };
        if window.contains(now_us) {
            window.sends.in_window(tags.end - tags.start);
        }
        for tag in tags {
            let intended = self.intended_us[tag as usize * self.config.lanes + lane];
            if window.contains(intended) {
                window.sends.of_window(now_us.saturating_sub(intended));
            }
        }
    }

    /// The connection of a lane was lost and is there again: what has no verdict is to be offered once more, in these
    /// runs of tags, the oldest first. Also what was given up meanwhile, whose nonces would be missing.
    pub fn resume(&mut self, lane: usize) -> Vec<Range<u64>> {
        let end = self.scheduled_in(lane);
        let mut next = self.next_tag[lane];
        while next < end && self.state[self.number(lane, next)] != WAITING {
            next += 1;
        }
        (self.next_tag[lane], self.again_below[lane]) = (next, next);
        let mut runs: Vec<Range<u64>> = Vec::new();
        for tag in (0..next).filter(|tag| matches!(self.state[self.number(lane, *tag)], SENT | TIMED_OUT)) {
            match runs.last_mut() {
                Some(run) if run.end == tag => run.end += 1,
                _ => runs.push(tag..tag + 1),
            }
        }
        runs
    }

    /// The next run of refused packets whose time to be offered again has come.
    pub fn take_retry(&mut self, now_us: u64) -> Option<(usize, Range<u64>)> {
        loop {
            let (_, lane, tag) = *self.retries.front().filter(|(at, ..)| *at <= now_us)?;
            self.retries.pop_front();
            if self.state[self.number(lane, tag)] != SENT {
                continue;
            }
            let mut end = tag + 1;
            while self.retries.front().is_some_and(|(at, l, t)| *at <= now_us && *l == lane && *t == end)
                && self.state[self.number(lane, end)] == SENT
            {
                self.retries.pop_front();
                end += 1;
            }
            return Some((lane, tag..end));
        }
    }

    /// Takes in a verdict of the validator behind `lane`.
    pub fn notice(&mut self, lane: usize, tag: u64, verdict: Verdict, now_us: u64) {
        if lane >= self.config.lanes || tag >= self.next_tag[lane] {
            self.meters.strange += 1;
            return;
        }
        let number = self.number(lane, tag);
        match self.state[number] {
            SENT => {}
            TIMED_OUT if verdict == Verdict::Committed => {
                self.state[number] = LATE_COMMIT;
                self.meters.late_commits += 1;
                return;
            }
            TIMED_OUT => return,
            _ => {
                self.meters.strange += 1;
                return;
            }
        }
        let was_offered = tag < self.again_below[lane];
        if was_offered && is_unknown(verdict) {
            // It waits there since it was offered on the connection before, which nobody hears any more, or it was
            // executed since, and the validator had no room to look up how.
            self.retries.push_back((now_us + PENDING_RETRY_US, lane, tag));
            return;
        }
        self.contested += u64::from(!was_offered && is_contested(verdict));
        let busy = verdict == Verdict::Refused(Refusal::Busy);
        if busy {
            self.meters.interval.busy += 1;
            if let Some(delay) = self.config.busy_retry_us {
                self.meters.busy_retries += 1;
                self.retries.push_back((now_us + delay, lane, tag));
                return;
            }
        } else {
            self.meters.interval.answered += 1;
        }
        self.state[number] = verdict.code();
        self.settle(number, Some(verdict), now_us);
    }

    /// Gives up on everything that has waited longer than the time-out.
    pub fn expire(&mut self, now_us: u64) {
        while let Some(intended) = self.intended_us.get(self.settled_below) {
            if matches!(self.state[self.settled_below], WAITING | SENT) {
                if intended + self.config.timeout_us > now_us {
                    return;
                }
                self.state[self.settled_below] = TIMED_OUT;
                self.settle(self.settled_below, None, now_us);
            }
            self.settled_below += 1;
        }
    }

    /// Gives up on everything, however long it has waited: nobody is there any more who could answer.
    pub fn give_up(&mut self, now_us: u64) {
        for number in self.settled_below..self.intended_us.len() {
            if matches!(self.state[number], WAITING | SENT) {
                self.state[number] = TIMED_OUT;
                self.settle(number, None, now_us);
            }
        }
    }

    /// Takes what has no verdict out of the figures: it had no time to get one.
    pub fn withdraw(&mut self) {
        for number in self.settled_below..self.intended_us.len() {
            if matches!(self.state[number], WAITING | SENT) {
                self.state[number] = TIMED_OUT;
                self.unsettled -= 1;
                if let Some(window) = self.window.as_mut().filter(|w| w.contains(self.intended_us[number])) {
                    window.tally.offered -= 1;
                }
            }
        }
    }

    /// Closes the window early, at the end of the running second.
    pub fn end_window(&mut self, now_us: u64) {
        if let Some(window) = &mut self.window {
            window.end(now_us);
            self.meters.end(window.seconds());
        }
    }

    /// How many transactions were refused or failed because somebody else uses the same accounts.
    pub fn contested(&self) -> u64 {
        self.contested
    }

    /// Scheduled transactions without a final state.
    pub fn in_flight(&self) -> u64 {
        self.unsettled
    }

    /// What happened since the last call, for the controller.
    pub fn take_interval(&mut self, length_us: u64) -> Interval {
        self.meters.take_interval(length_us)
    }

    /// Notices for packets that were never sent or had their verdict already.
    pub fn strange_notices(&self) -> u64 {
        self.meters.strange
    }

    /// Commits that came after their time-out.
    pub fn late_commits(&self) -> u64 {
        self.meters.late_commits
    }

    /// How often a refused packet was offered again.
    pub fn busy_retries(&self) -> u64 {
        self.meters.busy_retries
    }

    /// Whether the validator behind `lane` has told the client that packet `tag` is committed.
    pub fn acknowledged(&self, lane: usize, tag: u64) -> bool {
        lane < self.config.lanes
            && self.state.get(self.number(lane, tag)).is_some_and(|state| is_commit(*state))
    }

    /// Number of lanes.
    pub fn lanes(&self) -> usize {
        self.config.lanes
    }

    /// Packets of a lane that have left, whether or not they have a verdict.
    pub fn sent(&self, lane: usize) -> u64 {
        self.next_tag.get(lane).copied().unwrap_or(0)
    }

    /// All (lane, tag) pairs that the network told the client are committed, in intended order.
    pub fn acknowledgements(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let lanes = self.config.lanes;
        self.state
            .iter()
            .enumerate()
            .filter(|(_, state)| is_commit(**state))
            .map(move |(number, _)| (number % lanes, (number / lanes) as u64))
    }

    /// Ends the books: the figures of the window are complete.
    pub fn close(&mut self) {
        self.meters.close();
    }

    fn settle(&mut self, number: usize, verdict: Option<Verdict>, now_us: u64) {
        self.unsettled -= 1;
        let intended = self.intended_us[number];
        let delay = now_us.saturating_sub(intended);
        self.meters.settled(verdict, delay, now_us);
        if let Some(window) = &mut self.window {
            window.settled(verdict, intended, now_us, self.config.timeout_us);
        }
    }

    fn number(&self, lane: usize, tag: u64) -> usize {
        tag as usize * self.config.lanes + lane
    }

    fn scheduled_in(&self, lane: usize) -> u64 {
        ((self.intended_us.len() + self.config.lanes - 1 - lane) / self.config.lanes) as u64
    }
}

/// Whether a transaction has met another one with its nonce. The clients of a load use each once.
fn is_contested(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Refused(Refusal::Replayed | Refusal::DuplicatePending) | Verdict::Failed(Outcome::Replayed)
    )
}

/// Whether a verdict on a transaction that was offered before leaves open what became of it the first time.
fn is_unknown(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Refused(Refusal::DuplicatePending | Refusal::Replayed | Refusal::Expired))
}

fn is_commit(state: u8) -> bool {
    state == Verdict::Committed.code() || state == LATE_COMMIT
}

#[cfg(test)]
mod tests;
