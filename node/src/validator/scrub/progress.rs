//! How far the scrubber is, for the status and the counters.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::wire::answers::ScrubAnswer;

use crate::validator::counters::Counters;

/// What the scrubber has done and found since the start.
#[derive(Debug)]
pub struct Progress {
    counters: Arc<Counters>,
    now: Mutex<ScrubAnswer>,
}

impl Progress {
    /// Nothing yet; counts among these counters.
    #[must_use]
    pub fn new(counters: Arc<Counters>) -> Self {
        Self { counters, now: Mutex::default() }
    }

    fn now(&self) -> MutexGuard<'_, ScrubAnswer> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the status.
    #[must_use]
    pub fn answer(&self) -> ScrubAnswer {
        *self.now()
    }

    /// A round begins over so many bytes.
    pub(super) fn begin(&self, of: u64) {
        let mut now = self.now();
        (now.read, now.of) = (0, of);
    }

    /// So many more bytes were read.
    pub(super) fn read(&self, bytes: u64) {
        Counters::add(&self.counters.scrubbed_bytes, bytes);
        let mut now = self.now();
        now.read += bytes;
        // What is written during a round is read in it, or in the next.
        now.of = now.of.max(now.read);
    }

    /// A round has ended: so many stretches cannot be read, and so many are read from repairs. How many bytes it had.
    pub(super) fn end(&self, rotten: u64, repaired: u64) -> u64 {
        self.counters.rotten.store(rotten, std::sync::atomic::Ordering::Relaxed);
        self.counters.repaired.store(repaired, std::sync::atomic::Ordering::Relaxed);
        let mut now = self.now();
        (now.rounds, now.of) = (now.rounds + 1, now.read);
        (now.rotten, now.repaired) = (rotten, repaired);
        now.read
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn a_round_says_how_far_it_is_and_what_the_last_one_found() {
        let counters = Arc::new(Counters::default());
        let progress = Progress::new(counters.clone());
        progress.begin(100);
        progress.read(40);
        let answer = ScrubAnswer { rounds: 0, read: 40, of: 100, rotten: 0, repaired: 0 };
        assert_eq!(progress.answer(), answer);
        progress.read(80);
        assert_eq!(progress.answer().of, 120, "more was written meanwhile");
        assert_eq!(progress.end(2, 1), 120);
        progress.begin(130);
        progress.read(10);
        let answer = ScrubAnswer { rounds: 1, read: 10, of: 130, rotten: 2, repaired: 1 };
        assert_eq!(progress.answer(), answer);
        let counted = [&counters.scrubbed_bytes, &counters.rotten, &counters.repaired];
        assert_eq!(counted.map(|counter| counter.load(Relaxed)), [130, 2, 1]);
    }
}
