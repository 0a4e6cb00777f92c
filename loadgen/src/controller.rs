//! Finds the rate that a network can take, from how long it takes to answer.
//!
//! ```text
//!            delay below 60 % of target                    delay of recent answers
//!          ┌──────────┐                              ┌───────────────────────────────┐
//!   Search │ rate×1.2 │ ── delay or Busy ──> Track   │ rate = answered × (1 + gain·e)│
//!          └──────────┘                              └───────────────────────────────┘
//!                                                     e = (target − delay) / target, in −1..=1
//! ```
//!
//! Once a system is saturated, offering more only lengthens its queues: the rate of answers stays and
//! the delay grows. So the controller offers what was lately answered, plus or minus a share that
//! depends on how far the delay is from its target. With d the delay, the queue obeys d' = gain·(1 − d/target):
//! a first-order system that settles on the target without knowing the capacity, with a small standing
//! queue that keeps every stage busy. (Delay as the signal is the idea of TCP Vegas; a plain
//! additive-increase search oscillates around the capacity by the depth of the mempools instead.)
//!
//! A network whose delay is long even when idle (many validators) must not be read as saturated:
//! the target is never below 1.6 times the shortest delay seen.
//!
//! Invariants: rate_min <= rate; the decisions depend only on the intervals handed in, never on a clock.

/// What was seen since the last decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interval {
    /// Length of the interval.
    pub length_us: u64,
    /// Transactions that got their final answer, good or bad, other than a refusal for want of room.
    pub answered: u64,
    /// Transactions refused for want of room.
    pub busy: u64,
    /// Median delay of the committed ones, from their intended send; `None` if none came.
    pub delay_us: Option<u64>,
}

/// Limits and gains of a [`Controller`].
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// The median delay to settle on.
    pub target_us: u64,
    /// Rate of the first interval, in transactions a second.
    pub rate_start: f64,
    /// The rate never falls below this.
    pub rate_min: f64,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning { target_us: 300_000, rate_start: 10_000.0, rate_min: 500.0 }
    }
}

/// Factor by which Search raises the rate at each interval.
const SEARCH_GROWTH: f64 = 1.2;
/// Share of the target at which Search ends: beyond it the queue is already growing.
const SEARCH_ENDS: f64 = 0.6;
/// Share of the answered rate that Track adds when the delay is nil.
const GAIN_UP: f64 = 0.3;
/// Share that it takes away when the delay is twice the target or more: a queue is drained sooner than built.
const GAIN_DOWN: f64 = 0.6;
/// The error that a refusal for want of room counts as, whatever the delay says.
const BUSY_ERROR: f64 = -0.6;
/// The target is at least this many times the shortest delay seen.
const BASE_FACTOR: f64 = 1.6;
/// Number of intervals over which the answered rate is averaged (blocks answer in lumps).
const MEMORY: usize = 5;
/// After a stall the rate restarts from this share of the best answered rate.
const STALL_FLOOR: f64 = 0.1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Search,
    Track,
}

/// The controller: one [`Controller::update`] an interval, the new rate comes back.
#[derive(Debug, Clone)]
pub struct Controller {
    tuning: Tuning,
    mode: Mode,
    rate: f64,
    recent: [Interval; MEMORY],
    cursor: usize,
    delay_us: f64,
    shortest_us: Option<u64>,
    best_answered: f64,
}

impl Controller {
    /// A controller that is about to search.
    pub fn new(tuning: Tuning) -> Controller {
        Controller {
            tuning,
            mode: Mode::Search,
            rate: tuning.rate_start.max(tuning.rate_min),
            recent: [Interval::default(); MEMORY],
            cursor: 0,
            delay_us: 0.0,
            shortest_us: None,
            best_answered: 0.0,
        }
    }

    /// The rate to offer now.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether the search has met the network's limit, so that the rate now follows the network.
    pub fn tracking(&self) -> bool {
        self.mode == Mode::Track
    }

    /// The rate at which answers came lately, in transactions a second.
    pub fn answered_rate(&self) -> f64 {
        let (answered, length) =
            self.recent.iter().fold((0, 0), |(a, l), i| (a + i.answered, l + i.length_us));
        if length == 0 { 0.0 } else { answered as f64 * 1e6 / length as f64 }
    }

    /// The best rate of answers over any [`MEMORY`] intervals while tracking, in transactions a second.
    pub fn best_answered(&self) -> f64 {
        self.best_answered
    }

    /// Forgets the recent past after a pause in the load, and starts again from `rate`.
    pub fn restart_at(&mut self, rate: f64) {
        self.rate = rate.max(self.tuning.rate_min);
        self.recent = [Interval::default(); MEMORY];
        self.delay_us = 0.0;
    }

    /// Takes in one interval and decides the rate of the next.
    pub fn update(&mut self, seen: Interval) -> f64 {
        self.recent[self.cursor] = seen;
        self.cursor = (self.cursor + 1) % MEMORY;
        match seen.delay_us {
            Some(delay) => {
                self.delay_us = delay as f64;
                self.shortest_us = Some(self.shortest_us.map_or(delay, |s| s.min(delay)));
            }
            // Silence is not a short delay: what is on its way has become older by this interval.
            None => self.delay_us += seen.length_us as f64,
        }
        let answered = self.answered_rate();
        let target = self.target_us();
        // Before the first answers, silence is the network's own latency, unless it lasts.
        let quiet_start = self.shortest_us.is_none() && self.delay_us < 3.0 * target;
        if self.mode == Mode::Search {
            if seen.busy == 0 && (quiet_start || self.delay_us < SEARCH_ENDS * target) {
                if !quiet_start {
                    self.rate *= SEARCH_GROWTH;
                }
                return self.rate;
            }
            self.mode = Mode::Track;
        }
        let warm = self.recent.iter().all(|i| i.length_us > 0);
        if warm {
            self.best_answered = self.best_answered.max(answered);
        } else if answered == 0.0 {
            // Just restarted, and nothing has come back yet: there is nothing to follow.
            return self.rate;
        }
        let mut error = ((target - self.delay_us) / target).clamp(-1.0, 1.0);
        if seen.busy > 0 {
            error = error.min(BUSY_ERROR);
        }
        let share = if error > 0.0 { GAIN_UP * error } else { GAIN_DOWN * error };
        let floor = self.tuning.rate_min.max(STALL_FLOOR * self.best_answered);
        self.rate = if warm {
            (answered * (1.0 + share)).max(floor)
        } else {
            // After a restart the first answers are few only because they have been on their way: do
            // not follow them down, but do listen to a delay that is already too long.
            (self.rate * (1.0 + share.min(0.0))).max(floor)
        };
        self.rate
    }

    fn target_us(&self) -> f64 {
        let base = self.shortest_us.map_or(0.0, |s| s as f64 * BASE_FACTOR);
        base.max(self.tuning.target_us as f64)
    }
}

#[cfg(test)]
mod tests;
