//! The search for the rate at which a network is saturated: the highest that it holds.
//!
//! ```text
//!   double ── until a rate does not hold ──> halve the gap ── until it is 3 % ──> hold for 60 s, three times of three
//!                                                              ▲                     │ one did not hold
//!                                                              └── 3 % lower ────────┘
//! ```
//!
//! A rate *holds* if the generator offered it, all but one in a thousand of its transactions are committed, their p99
//! is at most 500 ms, and the work that waits does not grow. `--rate max` follows a median and is an estimate; this is
//! the definition of a headline. The search is a value: it says what to run next, and is told what came of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::outcome::Latency;
use crate::report::BenchReport;
use crate::session::SecondRow;
use crate::validity::{Finding, Rule};

/// What a rate must do to hold, and how closely it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// The highest p99 of the latency, in microseconds, from the intended send; failures and time-outs are in it.
    pub p99_us_max: u64,
    /// The lowest share of what was offered that must be committed.
    pub committed_share_min: f64,
    /// The lowest share of the rate that the generator must offer.
    pub offered_share_min: f64,
    /// The search ends when the lowest rate that does not hold is at most so many times the highest that does.
    pub precision: f64,
    /// Seconds for which the found rate is held.
    pub hold_seconds: u64,
    /// How often it must hold for so long, one after the other.
    pub holds: u32,
    /// Seconds of each look before that.
    pub probe_seconds: u64,
}

impl Default for Goal {
    fn default() -> Self {
        Self {
            p99_us_max: 500_000,
            committed_share_min: 0.999,
            offered_share_min: 0.99,
            precision: 1.03,
            hold_seconds: 60,
            holds: 3,
            probe_seconds: 10,
        }
    }
}

/// What came of a rate: a point of the curve of rate and latency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The rate that was asked for, in transactions a second.
    pub rate: f64,
    /// For how many seconds.
    pub seconds: u64,
    /// Offered in a second.
    pub offered: f64,
    /// Committed in a second.
    pub committed: f64,
    /// The share of what was offered that was committed, also after the window.
    pub committed_share: f64,
    /// Latency from the intended send.
    pub latency_us: Latency,
    /// By how many transactions the work that waits has grown in a second.
    pub backlog_growth: f64,
    /// Whether the generator itself was late, ran out of signed transactions, or was too near its own ceiling.
    pub generator_is_the_limit: bool,
    /// Whether transactions left late, or not at all, though the generator was in time: the validators took no more.
    pub is_pushed_back: bool,
    /// Whether the machine was taken away for a while, or somebody else used the same accounts: the point says nothing
    /// then.
    pub is_disturbed: bool,
}

/// Why a rate does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Broken {
    /// The generator did not offer it. That says nothing about the network.
    NotOffered,
    /// The machine was taken away for a while. That says nothing about anything.
    Disturbed,
    /// The validators did not take it in time.
    PushedBack,
    /// Too many transactions failed, were refused, or got no answer.
    NotCommitted,
    /// They take too long.
    TooSlow,
    /// Ever more work waits.
    BacklogGrows,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOffered => "the generator did not offer it",
            Self::Disturbed => "the run was disturbed",
            Self::PushedBack => "the validators did not take it in time",
            Self::NotCommitted => "too few are committed",
            Self::TooSlow => "the p99 is too long",
            Self::BacklogGrows => "the work that waits grows",
        })
    }
}

/// The most by which the waiting work may grow in a second, as a share of the rate.
const BACKLOG_GROWTH_MAX: f64 = 0.005;
/// A shorter window does not show it: blocks come in steps, and a line through a few seconds leans by itself.
const BACKLOG_SECONDS_MIN: u64 = 30;
/// The share of late ticks from which the generator itself is late.
const LATE_TICKS_MAX: f64 = 0.01;

impl Point {
    /// What a run at a rate has shown.
    #[must_use]
    pub fn of(rate: f64, report: &BenchReport) -> Self {
        let fails = |rule| {
            let mut rules = report.validity.rules.iter();
            rules.any(|judged| judged.rule == rule && judged.finding == Finding::Fails)
        };
        let applied = report.accepted.saturating_sub(report.failed.values().sum());
        let generator = report.generator;
        let generator_is_the_limit = report.generator_saturated
            || generator.starved
            || generator.late_share > LATE_TICKS_MAX
            || fails(Rule::Ceiling);
        Self {
            rate,
            seconds: report.seconds.len() as u64,
            offered: report.tps.offered,
            committed: report.tps.committed,
            committed_share: applied as f64 / report.offered.max(1) as f64,
            latency_us: report.latency_us,
            backlog_growth: backlog_growth(&report.seconds),
            generator_is_the_limit,
            is_pushed_back: !generator_is_the_limit && (fails(Rule::LateSends) || fails(Rule::Offered)),
            is_disturbed: fails(Rule::Steal) || report.contested > 0,
        }
    }

    /// Every reason why it does not hold.
    #[must_use]
    pub fn broken(&self, goal: &Goal) -> Vec<Broken> {
        let offered = self.offered >= goal.offered_share_min * self.rate && !self.generator_is_the_limit;
        let backlog_grows =
            self.seconds >= BACKLOG_SECONDS_MIN && self.backlog_growth > BACKLOG_GROWTH_MAX * self.rate;
        [
            (!offered, Broken::NotOffered),
            (self.is_disturbed, Broken::Disturbed),
            (self.is_pushed_back, Broken::PushedBack),
            (self.committed_share < goal.committed_share_min, Broken::NotCommitted),
            (self.latency_us.p99 > goal.p99_us_max, Broken::TooSlow),
            (backlog_grows, Broken::BacklogGrows),
        ]
        .into_iter()
        .filter_map(|(is_broken, why)| is_broken.then_some(why))
        .collect()
    }
}

/// The slope of what waits over the seconds of a window, by least squares; 0 for a window of less than four seconds,
/// which says nothing about it.
fn backlog_growth(rows: &[SecondRow]) -> f64 {
    if rows.len() < 4 {
        return 0.0;
    }
    let mut waiting = 0.0;
    let backlog: Vec<f64> = rows
        .iter()
        .map(|row| {
            let ended = row.committed + row.failed + row.rejected + row.timed_out;
            waiting += row.offered as f64 - ended as f64;
            waiting
        })
        .collect();
    let n = backlog.len() as f64;
    let (mean_x, mean_y) = ((n - 1.0) / 2.0, backlog.iter().sum::<f64>() / n);
    let (mut over, mut under) = (0.0, 0.0);
    for (second, waits) in backlog.iter().enumerate() {
        let x = second as f64 - mean_x;
        over += x * (waits - mean_y);
        under += x * x;
    }
    over / under
}

/// What is to be run next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Next {
    /// A look at a rate.
    Probe {
        /// Transactions a second.
        rate: f64,
    },
    /// The found rate, for long.
    Hold {
        /// Transactions a second.
        rate: f64,
        /// Which of the holds this is, counted from 1.
        number: u32,
    },
    /// It is over.
    Done(Found),
}

/// What a search has found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// The highest rate that holds.
    Saturation(f64),
    /// This holds, and the generator could not offer more. So it is not known what saturates the network.
    AtLeast(f64),
    /// Not even this holds.
    Below(f64),
    /// Rates that hold for a moment do not do so for long, however much lower: the machine is not quiet.
    Unsteady,
}

/// Rates below this are not looked for.
const RATE_MIN: f64 = 10.0;
/// Rates above this are not looked for: the most that a load takes.
const RATE_MAX: f64 = 10_000_000.0;
/// How often a rate that did not hold for long is lowered.
const RETREATS_MAX: u32 = 8;
/// How often in a row a rate is run again because the machine was disturbed.
const AGAIN_MAX: u32 = 3;

/// A search that is under way.
#[derive(Debug)]
pub struct Search {
    goal: Goal,
    rate: f64,
    /// The highest rate that holds, and the lowest that does not.
    low: Option<f64>,
    high: Option<f64>,
    /// Whether the generator, and not the network, has set `high`.
    high_is_the_generators: bool,
    /// How often the rate has held for long.
    held: u32,
    is_holding: bool,
    retreats: u32,
    disturbed: u32,
    done: Option<Found>,
    points: Vec<Point>,
}

impl Search {
    /// A search that begins at a rate.
    #[must_use]
    pub fn new(goal: Goal, start: f64) -> Self {
        Self {
            goal,
            rate: start.clamp(RATE_MIN, RATE_MAX),
            low: None,
            high: None,
            high_is_the_generators: false,
            held: 0,
            is_holding: false,
            retreats: 0,
            disturbed: 0,
            done: None,
            points: Vec::new(),
        }
    }

    /// What to run next.
    #[must_use]
    pub fn next(&self) -> Next {
        match self.done {
            Some(found) => Next::Done(found),
            None if self.is_holding => Next::Hold { rate: self.rate, number: self.held + 1 },
            None => Next::Probe { rate: self.rate },
        }
    }

    /// All points so far, in the order in which they were run.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Takes what came of the run that was asked for.
    pub fn tell(&mut self, point: Point) {
        let broken = point.broken(&self.goal);
        self.points.push(point);
        if broken.contains(&Broken::Disturbed) {
            self.disturbed += 1;
            if self.disturbed > AGAIN_MAX {
                self.done = Some(Found::Unsteady);
            }
            return;
        }
        self.disturbed = 0;
        if self.is_holding {
            self.tell_hold(&broken);
            return;
        }
        if broken.is_empty() {
            self.low = Some(self.rate);
        } else {
            self.high = Some(self.rate);
            // Where the generator is late, everything else follows from that: latency runs from the intended send.
            self.high_is_the_generators = broken.contains(&Broken::NotOffered);
        }
        self.go_on();
    }

    /// The run that was asked for cannot be done, because the generator has no room for so many transactions.
    pub fn cannot_offer(&mut self) {
        if self.is_holding {
            self.tell_hold(&[Broken::NotOffered]);
            return;
        }
        (self.high, self.high_is_the_generators) = (Some(self.rate), true);
        self.go_on();
    }

    /// What follows from the bounds that are known.
    fn go_on(&mut self) {
        match (self.low, self.high) {
            (Some(low), None) if low >= RATE_MAX => self.done = Some(Found::AtLeast(low)),
            (Some(low), None) => self.rate = (2.0 * low).min(RATE_MAX),
            (None, Some(high)) if high <= RATE_MIN => self.done = Some(Found::Below(high)),
            (None, Some(high)) => self.rate = (high / 2.0).max(RATE_MIN),
            (Some(low), Some(high)) if high <= self.goal.precision * low => {
                (self.rate, self.is_holding) = (low, true);
            }
            // The middle by proportion.
            (Some(low), Some(high)) => self.rate = (low * high).sqrt(),
            (None, None) => unreachable!("a point has just set one of them"),
        }
    }

    fn tell_hold(&mut self, broken: &[Broken]) {
        if broken.is_empty() {
            self.held += 1;
            if self.held == self.goal.holds {
                self.done = Some(match self.high_is_the_generators {
                    true => Found::AtLeast(self.rate),
                    false => Found::Saturation(self.rate),
                });
            }
            return;
        }
        // Three of three begin anew, a little lower.
        (self.held, self.high_is_the_generators) = (0, broken.contains(&Broken::NotOffered));
        self.retreats += 1;
        self.rate /= self.goal.precision;
        if self.retreats > RETREATS_MAX || self.rate < RATE_MIN {
            self.done = Some(Found::Unsteady);
        }
    }
}

#[cfg(test)]
mod tests;
