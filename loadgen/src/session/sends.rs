//! How late transactions left, from their intended sends to the instant at which the transport had taken them.
//!
//! A generator that runs behind its schedule, or whose transport takes nothing, does not offer the load that it was
//! asked for. The latencies contain that, and a reader cannot tell it from the time that the network took. So it has a
//! measure of its own.

use crate::outcome::Latency;
use hdrhistogram::Histogram;

/// A send that leaves later than this after its intended instant is late.
pub const SEND_LATE_US: u64 = 10_000;
/// Longer delays are not told apart.
const DELAY_US_MAX: u64 = 600_000_000;

/// The first sends of a window. What is offered once more, after a loss or a refusal, does not count again.
#[derive(Debug, Clone)]
pub struct Sends {
    delay_us: Histogram<u64>,
    in_time: u64,
    left: u64,
}

impl Default for Sends {
    fn default() -> Sends {
        let delay_us = Histogram::new_with_bounds(1, DELAY_US_MAX, 3).expect("constants that it accepts");
        Sends { delay_us, in_time: 0, left: 0 }
    }
}

impl Sends {
    /// One that was meant to leave in the window has left, so long after its instant.
    pub(super) fn of_window(&mut self, delay_us: u64) {
        self.in_time += u64::from(delay_us <= SEND_LATE_US);
        self.delay_us.saturating_record(delay_us.max(1));
    }

    /// So many have left while the window was open, whenever they were meant to.
    pub(super) fn in_window(&mut self, count: u64) {
        self.left += count;
    }

    /// How many left while the window was open.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The share of so many offered ones that left late, or never.
    pub fn late_share(&self, offered: u64) -> f64 {
        offered.saturating_sub(self.in_time) as f64 / offered.max(1) as f64
    }

    /// How late they left.
    pub fn delay(&self) -> Latency {
        (&self.delay_us).into()
    }
}
