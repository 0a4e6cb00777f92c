//! Finds the rate that a network can take, from how long it takes to answer.
//!
//! ```text
//!                               delay near the base              delay of recent answers
//!                                 ┌───────────┐              ┌───────────────────────────────┐
//!   Probe ── base delay known ──> │ rate×1.25 │ ── delay ──> │ rate = answered × (1 + gain·e)│
//!   (a trickle)                   └── Search ─┘    or Busy   └──────────── Track ────────────┘
//!                                                             e = (target − delay) / target, in −1..=1
//! ```
//!
//! Once a system is saturated, offering more only lengthens its queues: the rate of answers stays and
//! the delay grows. So the controller offers what was lately answered, plus or minus a share that
//! depends on how far the delay is from its target. With d the delay, the queue obeys d' = gain·(1 − d/target):
//! a first-order system that settles on the target without knowing the capacity, with a small standing
//! queue that keeps every stage busy. (Delay as the signal is the idea of TCP Vegas; a plain
//! additive-increase search oscillates around the capacity by the depth of the mempools instead.)
//!
//! A network whose delay is long even when idle (many validators) must not be read as saturated. So the first thing
//! learned is the *base*, the median delay under a trickle; the target is never below 1.6 times the base, and the
//! search goes up one step only when answers to the last step have come back, and one long delay does not end it.
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
    /// The trickle of the probe, in transactions a second.
    pub rate_start: f64,
    /// The rate never falls below this.
    pub rate_min: f64,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning { target_us: 300_000, rate_start: 2_000.0, rate_min: 500.0 }
    }
}

/// Intervals with answers that the base is the median of.
const PROBE: usize = 5;
/// Factor by which Search raises the rate at each step.
const SEARCH_GROWTH: f64 = 1.25;
/// Share of the way from the base to the target at which Search ends: beyond it the queue is already growing.
const SEARCH_ENDS: f64 = 0.5;
/// Search goes no further than this many times what was ever answered in one interval: the delay of what was answered
/// says nothing yet of what has no verdict.
const UNANSWERED_MAX: f64 = 1.6;
/// Share of the answered rate that Track adds when the delay is nil.
const GAIN_UP: f64 = 0.3;
/// Share that it takes away when the delay is twice the target or more: a queue is drained sooner than built.
const GAIN_DOWN: f64 = 0.6;
/// The error that a refusal for want of room counts as, whatever the delay says.
const BUSY_ERROR: f64 = -0.6;
/// The target is at least this many times the base.
const BASE_FACTOR: f64 = 1.6;
/// Number of intervals over which the answered rate is averaged (blocks answer in lumps).
const MEMORY: usize = 5;
/// After a stall the rate restarts from this share of the best answered rate.
const STALL_FLOOR: f64 = 0.1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Probe,
    Search,
    Track,
}

/// The controller: one [`Controller::update`] an interval, the new rate comes back.
#[derive(Debug, Clone)]
pub struct Controller {
    tuning: Tuning,
    mode: Mode,
    rate: f64,
    /// The rate to hold until the memory is full.
    held: f64,
    recent: [Interval; MEMORY],
    cursor: usize,
    /// What the last answers took, or for how long there have been none, if that is longer.
    delay_us: f64,
    silent_us: u64,
    /// Delays under the trickle.
    probed: Vec<u64>,
    /// Since when the rate is what it is, and the delay long or not, in Search.
    step_us: u64,
    /// Whether the delay was long in the last interval, in Search.
    strained: bool,
    best_answered: f64,
    /// The most that one interval has answered, in transactions a second.
    peak_answered: f64,
}

impl Controller {
    /// A controller that is about to probe.
    pub fn new(tuning: Tuning) -> Controller {
        let rate = tuning.rate_start.max(tuning.rate_min);
        Controller {
            tuning,
            mode: Mode::Probe,
            rate,
            held: rate,
            recent: [Interval::default(); MEMORY],
            cursor: 0,
            delay_us: 0.0,
            silent_us: 0,
            probed: Vec::new(),
            step_us: 0,
            strained: false,
            best_answered: 0.0,
            peak_answered: 0.0,
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

    /// How long the network takes to answer lately, in microseconds.
    pub fn delay_us(&self) -> u64 {
        self.delay_us as u64
    }

    /// The rate at which answers came lately, in transactions a second.
    pub fn answered_rate(&self) -> f64 {
        let (answered, length) =
            self.recent.iter().fold((0, 0), |(a, l), i| (a + i.answered, l + i.length_us));
        if length == 0 { 0.0 } else { answered as f64 * 1e6 / length as f64 }
    }

    /// The rate to go on from after the search: what was answered lately, or where the network has not been followed
    /// for long enough to know, what was offered last, but not more than was ever answered in one interval.
    pub fn found_rate(&self) -> f64 {
        if self.tracking() && self.warm() { self.answered_rate() } else { self.rate.min(self.peak_answered) }
    }

    fn warm(&self) -> bool {
        self.recent.iter().all(|interval| interval.length_us > 0)
    }

    /// The best rate of answers over any [`MEMORY`] intervals while tracking, in transactions a second.
    pub fn best_answered(&self) -> f64 {
        self.best_answered
    }

    /// Forgets the recent past after a pause in the load, and starts again from `rate`.
    pub fn restart_at(&mut self, rate: f64) {
        self.rate = rate.max(self.tuning.rate_min);
        self.held = self.rate;
        self.recent = [Interval::default(); MEMORY];
        (self.delay_us, self.silent_us) = (0.0, 0);
    }

    /// Takes in one interval and decides the rate of the next.
    pub fn update(&mut self, seen: Interval) -> f64 {
        self.peak_answered = self.peak_answered.max(seen.answered as f64 * 1e6 / seen.length_us as f64);
        self.recent[self.cursor] = seen;
        self.cursor = (self.cursor + 1) % MEMORY;
        match seen.delay_us {
            Some(delay) => (self.delay_us, self.silent_us) = (delay as f64, 0),
            // Silence is not a short delay: what has no verdict has waited at least as long.
            None => {
                self.silent_us += seen.length_us;
                self.delay_us = self.delay_us.max(self.silent_us as f64);
            }
        }
        match self.mode {
            Mode::Probe => self.probe(seen),
            Mode::Search => self.search(seen),
            Mode::Track => self.track(seen),
        }
        self.rate
    }

    fn probe(&mut self, seen: Interval) {
        self.probed.extend(seen.delay_us);
        self.probed.sort_unstable();
        if self.probed.len() == PROBE {
            self.mode = Mode::Search;
        } else if seen.busy > 0 {
            self.follow();
        }
    }

    fn search(&mut self, seen: Interval) {
        let (base, target) = (self.base_us(), self.target_us());
        let strained = self.delay_us > base + SEARCH_ENDS * (target - base)
            || self.rate > UNANSWERED_MAX * self.peak_answered;
        if strained != self.strained {
            (self.strained, self.step_us) = (strained, 0);
        }
        self.step_us += seen.length_us;
        // Answers to this rate have come back: a delay that is long now is no accident.
        let known = self.step_us as f64 > self.delay_us;
        if seen.busy > 0 || (strained && known) {
            self.follow();
        } else if known {
            self.rate *= SEARCH_GROWTH;
            self.step_us = 0;
        }
    }

    /// From now on the network leads. What it answered while the rate still grew says less than what it could take.
    fn follow(&mut self) {
        self.mode = Mode::Track;
        let delay_us = self.delay_us;
        self.restart_at(self.rate);
        self.delay_us = delay_us;
    }

    fn track(&mut self, seen: Interval) {
        let (answered, target) = (self.answered_rate(), self.target_us());
        let mut error = ((target - self.delay_us) / target).clamp(-1.0, 1.0);
        if seen.busy > 0 {
            error = error.min(BUSY_ERROR);
        }
        let share = if error > 0.0 { GAIN_UP * error } else { GAIN_DOWN * error };
        let wanted = if self.warm() {
            self.best_answered = self.best_answered.max(answered);
            answered * (1.0 + share)
        } else {
            // After a restart the first answers are few only because they take their time to arrive: do not follow them
            // down, but do listen to a delay that is already too long.
            self.held * (1.0 + share.min(0.0))
        };
        self.rate = wanted.max(self.tuning.rate_min).max(STALL_FLOOR * self.best_answered);
    }

    /// The delay of a network with next to nothing to do; 0 while it is not known.
    fn base_us(&self) -> f64 {
        self.probed.get(self.probed.len() / 2).map_or(0.0, |median| *median as f64)
    }

    fn target_us(&self) -> f64 {
        (BASE_FACTOR * self.base_us()).max(self.tuning.target_us as f64)
    }
}

#[cfg(test)]
mod tests;
