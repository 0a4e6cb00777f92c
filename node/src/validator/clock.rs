//! The one place where a validator reads the time; every room below is given `now`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::replica::Now;

/// Monotonic time since the validator started, and the calendar's time for block headers.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts at zero now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "here time enters the program")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Time since the start.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "here time enters the program")]
    pub fn now(&self) -> Duration {
        Instant::now().duration_since(self.started)
    }

    /// Microseconds since the start: the time stamp that travels with a transaction.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.now().as_micros() as u64
    }

    /// Both times at once, for the engine.
    #[must_use]
    pub fn moment(&self) -> Now {
        Now { monotonic: self.now(), unix_ms: Self::unix_ms() }
    }

    /// Milliseconds since the Unix epoch, for block headers only; safety never depends on it.
    #[allow(clippy::disallowed_methods, reason = "here time enters the program")]
    fn unix_ms() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }
}
