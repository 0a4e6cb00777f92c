//! Lines in the log that others can cause, limited: the log lies on the disk that must not fill.
//!
//! Inequality, for each [`LogLimit`]: `lines in one interval <= offenders_max + 1`.

use std::collections::BTreeMap;
use std::time::Duration;

/// Lets one line through for each offender and interval, and counts the lines that it holds back.
///
/// It remembers at most `offenders_max` offenders; all others share one place, so that an attacker with
/// many addresses gets no more lines than that. What is held back belongs into a counter too: a
/// number that no later line of its offender tells is not told at all.
#[derive(Debug)]
pub struct LogLimit<K> {
    interval: Duration,
    offenders_max: usize,
    offenders: BTreeMap<K, Told>,
    others: Option<Told>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    at: Duration,
    suppressed: u64,
}

impl<K: Ord> LogLimit<K> {
    /// One line for each of `offenders_max` offenders and `interval`, and one for all others together.
    pub const fn new(interval: Duration, offenders_max: usize) -> Self {
        Self { interval, offenders_max, offenders: BTreeMap::new(), others: None }
    }

    /// Whether a line about `offender` may be written at `now`: if so, how many lines about it were
    /// held back since the last one. `now` counts from any fixed instant.
    pub fn admit(&mut self, offender: K, now: Duration) -> Option<u64> {
        let interval = self.interval;
        if let Some(told) = self.offenders.get_mut(&offender) {
            return told.admit(interval, now);
        }
        if self.offenders.len() >= self.offenders_max {
            self.offenders.retain(|_, told| !told.is_over(interval, now));
        }
        if self.offenders.len() < self.offenders_max {
            self.offenders.insert(offender, Told { at: now, suppressed: 0 });
            return Some(0);
        }
        match &mut self.others {
            Some(told) => told.admit(interval, now),
            None => {
                self.others = Some(Told { at: now, suppressed: 0 });
                Some(0)
            }
        }
    }
}

impl Told {
    fn is_over(&self, interval: Duration, now: Duration) -> bool {
        now.saturating_sub(self.at) >= interval
    }

    fn admit(&mut self, interval: Duration, now: Duration) -> Option<u64> {
        if self.is_over(interval, now) {
            let suppressed = self.suppressed;
            *self = Self { at: now, suppressed: 0 };
            Some(suppressed)
        } else {
            self.suppressed += 1;
            None
        }
    }
}

#[cfg(test)]
mod tests;
