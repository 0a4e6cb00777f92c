//! The one place in this crate where time is read; everything else takes it as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Time since the network started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
