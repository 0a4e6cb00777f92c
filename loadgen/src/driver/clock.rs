//! Where the generator meets the world's time, and how late it was for its own ticks.

use std::time::{Duration, Instant};

/// Counts microseconds from the start of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "the one place where the generator reads the clock")]
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    #[allow(clippy::disallowed_methods, reason = "the one place where the generator reads the clock")]
    pub fn now_us(&self) -> u64 {
        self.micros(Instant::now())
    }

    pub fn micros(&self, at: Instant) -> u64 {
        super::micros(at.saturating_duration_since(self.start))
    }
}

/// A tick this late is too late for a generator that claims to be open-loop.
const LATE_US: u64 = 20_000;

/// Counts ticks, and those that came too late. A tick that came late by several periods stands for all
/// the ticks that it replaced, so that one long pause weighs as much as many short ones.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lateness {
    ticks: u64,
    late: u64,
}

impl Lateness {
    pub fn tick(&mut self, planned_us: u64, now_us: u64, period_us: u64) {
        let behind = now_us.saturating_sub(planned_us);
        let replaced = behind / period_us.max(1);
        self.ticks += 1 + replaced;
        if behind > LATE_US {
            self.late += 1 + replaced;
        }
    }

    /// The share of ticks that came too late.
    pub fn share(&self) -> f64 {
        self.late as f64 / self.ticks.max(1) as f64
    }
}

/// CPU time of the calling thread, where the kernel tells.
pub(super) fn thread_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
