//! A process that is stopped for a while, and finds everything that came meanwhile in the same order.

use std::time::Duration;

/// Until when a process is stopped, and what waits for it.
#[derive(Debug)]
pub(crate) struct Pause<E> {
    until: Duration,
    held: Vec<E>,
}

impl<E> Default for Pause<E> {
    fn default() -> Self {
        Self { until: Duration::ZERO, held: Vec::new() }
    }
}

impl<E> Pause<E> {
    /// Stops the process; a stop that lasts longer goes on.
    pub(crate) fn stop(&mut self, until: Duration) {
        self.until = self.until.max(until);
    }

    /// The process goes on at once: what waits is to be released now.
    pub(crate) fn end(&mut self, now: Duration) -> bool {
        self.until = self.until.min(now);
        !self.held.is_empty()
    }

    /// Whether what comes now has to wait: also behind what waits already, when the stop is over.
    pub(crate) fn holds(&self, now: Duration) -> bool {
        self.until > now || !self.held.is_empty()
    }

    /// Keeps something. For the first one it says when it is to be released.
    pub(crate) fn hold(&mut self, event: E) -> Option<Duration> {
        self.held.push(event);
        (self.held.len() == 1).then_some(self.until)
    }

    /// What has waited, in order; or until when it still has to.
    pub(crate) fn release(&mut self, now: Duration) -> Result<Vec<E>, Duration> {
        match self.until > now && !self.held.is_empty() {
            true => Err(self.until),
            false => Ok(std::mem::take(&mut self.held)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_waits_comes_first_also_when_a_pause_is_cut_short() {
        let mut pause = Pause::default();
        assert!(!pause.holds(ms(0)));
        pause.stop(ms(20));
        pause.stop(ms(10));
        assert!(pause.holds(ms(19)) && !pause.holds(ms(20)));
        assert_eq!((pause.hold("first"), pause.hold("second")), (Some(ms(20)), None));
        assert_eq!(pause.release(ms(19)), Err(ms(20)));
        assert!(pause.end(ms(15)), "something waits");
        assert!(pause.holds(ms(17)), "what comes now is later than what waits");
        assert_eq!(pause.hold("third"), None);
        assert_eq!(pause.release(ms(17)), Ok(vec!["first", "second", "third"]));
        assert!(!pause.holds(ms(17)) && !pause.end(ms(18)));
        assert_eq!(pause.release(ms(20)), Ok(vec![]), "the release that was planned at first");
    }
}
