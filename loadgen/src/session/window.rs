//! The measured window and what fell into it.
//!
//! Two populations are counted, and they are not the same transactions:
//!
//! - by *arrival*: `committed` counts the commits that the clients heard of inside the window, whenever
//!   they were sent. Divided by the window's length this is the throughput.
//! - by *intention*: everything whose intended send time lies inside the window. Its fate is followed to
//!   the end, past the end of the window if need be. Latency and the sum
//!   `offered = accepted + rejected + timed_out` are about these.
//!
//! The latency of what never committed is recorded as the time-out: a quick refusal must not look like
//! a quick commit.

use super::sends::Sends;
use engine::types::{Outcome, Refusal, Verdict};
use hdrhistogram::Histogram;

/// Longest latency that is told apart from longer ones.
const LATENCY_US_MAX: u64 = 600_000_000;

/// The counts of a window.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Transactions whose intended time lies in the window.
    pub offered: u64,
    /// Of these, the ones that ended in a block, with or without effect.
    pub accepted: u64,
    /// Of these, the ones without effect, by outcome.
    pub failed: Vec<(Outcome, u64)>,
    /// Of the offered, the ones refused, by reason.
    pub rejected: Vec<(Refusal, u64)>,
    /// Of the offered, the ones that nothing was heard of in time.
    pub timed_out: u64,
    /// Commits heard of inside the window.
    pub committed: u64,
}

impl Tally {
    /// Those that ended in a block with effect, whenever that was heard of.
    pub fn applied(&self) -> u64 {
        self.accepted - self.failed.iter().map(|(_, n)| n).sum::<u64>()
    }

    /// All refusals.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().map(|(_, n)| n).sum()
    }
}

/// A window in time, with its counts and its latencies.
#[derive(Debug, Clone)]
pub struct Window {
    start_us: u64,
    seconds: u64,
    /// When it was ended before its time.
    ended_us: Option<u64>,
    /// The counts so far.
    pub tally: Tally,
    /// How late they left.
    pub sends: Sends,
    latency_us: Histogram<u64>,
}

impl Window {
    pub(super) fn new(start_us: u64, seconds: u64) -> Window {
        Window {
            start_us,
            seconds,
            ended_us: None,
            tally: Tally::default(),
            sends: Sends::default(),
            latency_us: new_histogram(),
        }
    }

    /// When it begins.
    pub fn start_us(&self) -> u64 {
        self.start_us
    }

    /// When it ends.
    pub fn end_us(&self) -> u64 {
        self.start_us + self.seconds * 1_000_000
    }

    /// Its length.
    pub fn seconds(&self) -> u64 {
        self.seconds
    }

    /// Ends it at the end of the second of an instant, if that is earlier.
    pub(super) fn end(&mut self, at_us: u64) {
        let lasted = at_us.saturating_sub(self.start_us).div_ceil(1_000_000).max(1);
        if lasted <= self.seconds {
            (self.seconds, self.ended_us) = (lasted, Some(at_us));
        }
    }

    /// How long it was open, in seconds: less than they are, where it was ended in the midst of one.
    pub fn length(&self) -> f64 {
        let ended_us = self.ended_us.unwrap_or(self.end_us()).min(self.end_us());
        (ended_us.saturating_sub(self.start_us)).max(1) as f64 / 1e6
    }

    /// Whether an instant lies inside.
    pub fn contains(&self, at_us: u64) -> bool {
        (self.start_us..self.end_us()).contains(&at_us)
    }

    /// Latencies from the intended send, of everything offered inside.
    pub fn latency_us(&self) -> &Histogram<u64> {
        &self.latency_us
    }

    pub(super) fn settled(&mut self, verdict: Option<Verdict>, intended: u64, now: u64, timeout: u64) {
        if verdict == Some(Verdict::Committed) && self.contains(now) {
            self.tally.committed += 1;
        }
        if !self.contains(intended) {
            return;
        }
        let latency = now.saturating_sub(intended);
        match verdict {
            Some(Verdict::Committed) => {
                self.tally.accepted += 1;
                self.latency_us.saturating_record(latency.max(1));
                return;
            }
            Some(Verdict::Failed(outcome)) => {
                self.tally.accepted += 1;
                count(&mut self.tally.failed, outcome);
            }
            Some(Verdict::Refused(reason)) => count(&mut self.tally.rejected, reason),
            None => self.tally.timed_out += 1,
        }
        self.latency_us.saturating_record(latency.max(timeout));
    }
}

pub(super) fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are constants that it accepts")
}

fn count<K: PartialEq>(counts: &mut Vec<(K, u64)>, key: K) {
    match counts.iter_mut().find(|(k, _)| *k == key) {
        Some((_, n)) => *n += 1,
        None => counts.push((key, 1)),
    }
}
