//! How the rate of a load changes over its window, and how its transactions follow each other.
//!
//! ```text
//!   Shape ── weights of equal parts of the window ──┐
//!   Arrivals ── even, or drawn ─────────────────────┴──> Instants: the intended send time of each transaction
//! ```
//!
//! The rate of a plan is the mean over the window, whatever the shape: a window of T seconds at a rate r has exactly r
//! T transactions. Drawn arrivals are those of a Poisson process with as many arrivals as that: the gaps are
//! exponential, and all are stretched so that the count fits. Known how many there are, the arrivals of a Poisson
//! process are spread so (Kingman, *Poisson Processes*, 2.4). Everything follows from the seed.
//!
//! Invariant: instants never decrease, and all lie in the window.

use crate::plan::{LoadError, Rate};
use crate::workload::Dice;
use std::fmt;

/// Parts into which a ramp is divided.
const RAMP_PARTS: usize = 1_000;
/// Parts of a second of a window with bursts.
const BURST_PARTS: u64 = 10;
/// The most parts that a shape may have: a day in seconds.
pub const PARTS_MAX: usize = 86_400;

/// How the rate changes over the window. Numbers are relative: the mean is the rate of the plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Shape {
    /// It does not.
    #[default]
    Constant,
    /// Evenly from one to another.
    Ramp {
        /// At the beginning.
        from: f64,
        /// At the end.
        to: f64,
    },
    /// One after the other, each for an equal part of the window.
    Steps(Vec<f64>),
    /// Bursts of the same length at equal distances; the first one begins with the window.
    Burst {
        /// How many times as much as between the bursts.
        times: f64,
        /// Seconds of a burst.
        seconds: u64,
        /// Seconds from the beginning of one to that of the next.
        every: u64,
    },
    /// What was recorded elsewhere: each value for an equal part of the window.
    Trace(Vec<f64>),
}

/// How transactions follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Arrivals {
    /// At equal distances.
    #[default]
    Even,
    /// As those of many clients that know nothing of each other: a Poisson process.
    Poisson,
}

impl Shape {
    /// Refuses what is no load, or cannot be told within so many seconds.
    ///
    /// # Errors
    /// [`LoadError::Plan`].
    pub fn check(&self, seconds: u64) -> Result<(), LoadError> {
        let wrong = |what: &str| Err(LoadError::Plan(what.into()));
        if let Shape::Burst { seconds: of_burst, every, .. } = self
            && !(1..*every).contains(of_burst)
        {
            return wrong("a burst lasts one second or more, and ends before the next one begins");
        }
        if let Shape::Burst { every, .. } = self
            && *every > seconds
        {
            return wrong("the window is shorter than the time from one burst to the next");
        }
        let weights = self.weights(seconds);
        if !(1..=PARTS_MAX).contains(&weights.len()) {
            return wrong("a shape has 1 to 86,400 parts");
        }
        let is_usable = |weight: &f64| weight.is_finite() && (0.0..=1e9).contains(weight);
        if !weights.iter().all(is_usable) || weights.iter().sum::<f64>() <= 0.0 {
            return wrong("the parts of a shape are numbers from 0 to 1e9, and not all of them are 0");
        }
        Ok(())
    }

    /// The same for a load with these arrivals at a rate.
    ///
    /// # Errors
    /// [`LoadError::Plan`].
    pub fn check_load(&self, arrivals: Arrivals, rate: Rate, seconds: u64) -> Result<(), LoadError> {
        if rate == Rate::Max && self.is_shaped(arrivals) {
            let words = "a shape and drawn arrivals take a rate that is configured: give --rate";
            return Err(LoadError::Plan(words.into()));
        }
        self.check(seconds)
    }

    /// Whether that is anything but a constant rate at equal distances.
    pub(crate) fn is_shaped(&self, arrivals: Arrivals) -> bool {
        *self != Shape::Constant || arrivals != Arrivals::Even
    }

    /// The weights of equal parts of the window.
    fn weights(&self, seconds: u64) -> Vec<f64> {
        match self {
            Shape::Constant => vec![1.0],
            Shape::Ramp { from, to } => {
                let at = |part: usize| (part as f64 + 0.5) / RAMP_PARTS as f64;
                (0..RAMP_PARTS).map(|part| from + (to - from) * at(part)).collect()
            }
            Shape::Steps(weights) | Shape::Trace(weights) => weights.clone(),
            Shape::Burst { times, seconds: of_burst, every } => {
                let is_burst = |part: u64| part % (every * BURST_PARTS) < of_burst * BURST_PARTS;
                (0..seconds * BURST_PARTS).map(|part| if is_burst(part) { *times } else { 1.0 }).collect()
            }
        }
    }

    /// The highest rate of the window, as a multiple of the mean.
    pub fn peak(&self, seconds: u64) -> f64 {
        let weights = self.weights(seconds);
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        weights.iter().copied().fold(0.0, f64::max) / mean
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Constant => f.write_str("constant"),
            Shape::Ramp { from, to } => write!(f, "ramp:{from}..{to}"),
            Shape::Steps(weights) => {
                let weights: Vec<String> = weights.iter().map(f64::to_string).collect();
                write!(f, "steps:{}", weights.join(","))
            }
            Shape::Burst { times, seconds, every } => write!(f, "burst:{times}x{seconds}/{every}"),
            Shape::Trace(weights) => write!(f, "trace of {} parts", weights.len()),
        }
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arrivals::Even => "even",
            Arrivals::Poisson => "poisson",
        })
    }
}

/// The intended send times of a window.
#[derive(Debug, Clone)]
pub struct Instants {
    start_us: f64,
    length_us: f64,
    /// Up to where the weights sum, as shares: of each part, and 1 at the end.
    sums: Vec<f64>,
    part: usize,
    count: u64,
    given: u64,
    gaps: Option<Gaps>,
}

/// Exponential gaps, the sum of which is known.
#[derive(Debug, Clone)]
struct Gaps {
    dice: Dice,
    sum: f64,
    whole: f64,
}

impl Gaps {
    fn next(&mut self) -> f64 {
        self.sum += exponential(&mut self.dice);
        self.sum / self.whole
    }
}

fn exponential(dice: &mut Dice) -> f64 {
    // Above 0 and up to 1, so that the logarithm is finite.
    let uniform = ((dice.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    -uniform.ln()
}

impl Instants {
    /// Those of `count` transactions in a window.
    pub fn new(
        (shape, arrivals): (&Shape, Arrivals),
        start_us: u64,
        seconds: u64,
        count: u64,
        seed: u64,
    ) -> Instants {
        let weights = shape.weights(seconds);
        let whole: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let sums = weights.iter().map(|weight| {
            sum += weight;
            sum / whole
        });
        let gaps = (arrivals == Arrivals::Poisson).then(|| {
            let (dice, mut ahead) = (Dice::new(seed), Dice::new(seed));
            // One gap more than transactions: behind the last one there is one, too.
            let whole = (0..=count).map(|_| exponential(&mut ahead)).sum();
            Gaps { dice, sum: 0.0, whole }
        });
        Instants {
            start_us: start_us as f64,
            length_us: seconds as f64 * 1e6,
            sums: sums.collect(),
            part: 0,
            count,
            given: 0,
            gaps,
        }
    }

    /// Where in the window the share `mass` of all transactions is reached. Must not decrease from call to call.
    fn instant(&mut self, mass: f64) -> f64 {
        let parts = self.sums.len();
        while self.part + 1 < parts && self.sums[self.part] <= mass {
            self.part += 1;
        }
        let before = if self.part == 0 { 0.0 } else { self.sums[self.part - 1] };
        let weight = self.sums[self.part] - before;
        let within = if weight > 0.0 { ((mass - before) / weight).clamp(0.0, 1.0) } else { 0.0 };
        // The window ends before its last microsecond does.
        let share = (self.part as f64 + within) / parts as f64;
        self.start_us + (share * self.length_us).min(self.length_us - 1.0)
    }

    /// Transactions a second at present.
    pub fn rate(&self) -> f64 {
        let before = if self.part == 0 { 0.0 } else { self.sums[self.part - 1] };
        let seconds = self.length_us / self.sums.len() as f64 / 1e6;
        (self.sums[self.part] - before) * self.count as f64 / seconds
    }
}

impl Iterator for Instants {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.given == self.count {
            return None;
        }
        let even = self.given as f64 / self.count as f64;
        let mass = self.gaps.as_mut().map_or(even, Gaps::next);
        self.given += 1;
        Some(self.instant(mass) as u64)
    }
}

#[cfg(test)]
mod tests;
