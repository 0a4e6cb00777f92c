//! When each transaction *should* leave, decided before anyone knows whether it could.
//!
//! ```text
//!   rate (tx/s) ──> Schedule ──> intended send time of transaction 0, 1, 2, …   (µs since the run began)
//! ```
//!
//! An open-loop generator plays clients that do not wait for each other: the instant at which a
//! transaction is meant to leave depends on the rate and on nothing that the network does. Once
//! handed out, an instant is never rewritten, so a stall of the system is felt by every transaction
//! that was due during it, not only by the one that happened to meet it ("coordinated omission").
//!
//! Invariants: the instants never decrease; at a constant rate r the k-th instant after a change of
//! rate is k/r later, without accumulated rounding (the fraction of a microsecond is carried).

use crate::shape::Instants;

/// Hands out intended send times at a rate that may change between two of them.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Where the present rate began, and how many transactions it has handed out since.
    anchor_us: f64,
    given: u64,
    step_us: f64,
    /// The instants of a window with a shape, in place of all that; and the next of them.
    shaped: Option<(Instants, Option<u64>)>,
}

impl Schedule {
    /// A schedule whose first transaction is due at `start_us`, at `rate` transactions a second.
    pub fn new(start_us: u64, rate: f64) -> Schedule {
        Schedule { anchor_us: start_us as f64, given: 0, step_us: step(rate), shaped: None }
    }

    /// A schedule of these instants. It has no rate that could be changed.
    pub fn shaped(mut instants: Instants) -> Schedule {
        let next = instants.next();
        Schedule { shaped: Some((instants, next)), ..Schedule::new(0, 1.0) }
    }

    /// Changes the rate of everything that has not been handed out yet.
    ///
    /// The gap to the next transaction shrinks with the rate, so that leaving a very low rate does not
    /// first wait out one of its long gaps.
    pub fn set_rate(&mut self, rate: f64, now_us: u64) {
        assert!(self.shaped.is_none(), "a shape follows its own course");
        let fresh = step(rate);
        self.anchor_us = self.next_us().min((now_us as f64 + fresh).max(self.anchor_us));
        self.given = 0;
        self.step_us = fresh;
    }

    /// The present rate, in transactions a second.
    pub fn rate(&self) -> f64 {
        self.shaped.as_ref().map_or(1_000_000.0 / self.step_us, |(instants, _)| instants.rate())
    }

    /// The next intended instant if it is due at `now_us`.
    pub fn pop_due(&mut self, now_us: u64) -> Option<u64> {
        if let Some((instants, next)) = &mut self.shaped {
            let due = next.take_if(|next| *next <= now_us)?;
            *next = instants.next();
            return Some(due);
        }
        let next = self.next_us();
        if next > now_us as f64 {
            return None;
        }
        self.given += 1;
        Some(next as u64)
    }

    /// Multiplied out rather than summed up, so that roundings do not add up over a long run.
    fn next_us(&self) -> f64 {
        self.anchor_us + self.given as f64 * self.step_us
    }
}

fn step(rate: f64) -> f64 {
    assert!(rate > 0.0 && rate.is_finite(), "a schedule needs a positive rate, not {rate}");
    1_000_000.0 / rate
}

#[cfg(test)]
mod tests;
