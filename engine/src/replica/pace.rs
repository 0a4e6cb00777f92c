//! How much of the own stream may be on its way (R14).
//!
//! What is sealed beyond what the network orders lies in queues that all chains share; in the mempools each chain has
//! its own. So own packets wait to be ordered for about a second at most: as many as were ordered in the second before.
//! Where more than f validators say that they are overloaded, processors are the bottleneck, and it is a quarter of a
//! second. A long link is no reason for that, since nobody's checks wait for it, and neither are f liars.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits::BATCH_PACKETS_MAX;

/// So long own packets may wait to be ordered, by what was ordered in this time before…
const ORDERED_WITHIN: Duration = Duration::from_secs(1);
/// …but always so many: a load that begins grows from there, each time that some are ordered.
const UNORDERED_MIN: usize = 2 * BATCH_PACKETS_MAX;
/// Where validators are overloaded, it is this part of that…
const PART_OVERLOADED: usize = 4;
/// …but always so many.
const UNORDERED_MIN_OVERLOADED: usize = 512;
/// So long it counts that a validator was overloaded.
const OVERLOADED_FOR: Duration = Duration::from_secs(1);
/// It is told again while it stays so.
const TELL_AGAIN_AFTER: Duration = Duration::from_millis(400);

/// The pace of one validator.
#[derive(Debug)]
pub(super) struct Pace {
    /// Own packets that were ordered lately, and when.
    ordered: VecDeque<(Duration, usize)>,
    /// Until when each validator counts as overloaded.
    overloaded_until: Vec<Duration>,
    /// When this validator told the others last that it is overloaded.
    told: Option<Duration>,
}

impl Pace {
    /// Of a network of so many validators.
    pub(super) fn new(validators: usize) -> Self {
        Self { ordered: VecDeque::new(), overloaded_until: vec![Duration::ZERO; validators], told: None }
    }

    /// A validator says that it is overloaded, or this one sees that it is.
    pub(super) fn overloaded(&mut self, validator: usize, now: Duration) {
        self.overloaded_until[validator] = now + OVERLOADED_FOR;
    }

    /// Whether the others are to be told now that this validator is overloaded.
    pub(super) fn is_to_be_told(&mut self, now: Duration) -> bool {
        let is_due = self.told.is_none_or(|told| now >= told + TELL_AGAIN_AFTER);
        if is_due {
            self.told = Some(now);
        }
        is_due
    }

    /// Own packets are ordered.
    pub(super) fn ordered(&mut self, packets: usize, now: Duration) {
        self.ordered.push_back((now, packets));
    }

    /// How many own packets may wait to be ordered.
    pub(super) fn most(&mut self, faulty: usize, now: Duration) -> usize {
        while self.ordered.front().is_some_and(|(at, _)| *at + ORDERED_WITHIN < now) {
            self.ordered.pop_front();
        }
        let lately: usize = self.ordered.iter().map(|(_, packets)| packets).sum();
        let overloaded = self.overloaded_until.iter().filter(|until| now < **until).count();
        match overloaded > faulty {
            true => (lately / PART_OVERLOADED).max(UNORDERED_MIN_OVERLOADED),
            false => lately.max(UNORDERED_MIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_is_less_only_where_more_than_f_are_overloaded() {
        let mut pace = Pace::new(4);
        pace.ordered(40_000, ms(900));
        assert_eq!(pace.most(1, ms(1_000)), 40_000);
        pace.overloaded(2, ms(1_000));
        assert_eq!(pace.most(1, ms(1_000)), 40_000, "one may be a liar");
        pace.overloaded(2, ms(1_100));
        assert_eq!(pace.most(1, ms(1_100)), 40_000, "however often it says so");
        pace.overloaded(0, ms(1_200));
        assert_eq!(pace.most(1, ms(1_200)), 10_000);
        assert_eq!(pace.most(0, ms(1_200)), 10_000);
        // Nobody has said so again.
        pace.ordered(40_000, ms(2_000));
        assert_eq!(pace.most(1, ms(2_099)), 10_000);
        assert_eq!(pace.most(1, ms(2_100)), 40_000);
    }

    #[test]
    fn what_may_wait_follows_what_was_ordered_and_never_is_nothing() {
        let mut pace = Pace::new(1);
        assert_eq!(pace.most(0, ms(5_000)), UNORDERED_MIN);
        pace.overloaded(0, ms(5_000));
        assert_eq!(pace.most(0, ms(5_000)), UNORDERED_MIN_OVERLOADED);
        pace.ordered(8_000, ms(4_500));
        pace.ordered(8_000, ms(5_000));
        assert_eq!(pace.most(0, ms(5_400)), 4_000);
        assert_eq!(pace.most(0, ms(5_600)), 2_000, "half of it is a second ago");
    }

    #[test]
    fn what_lasts_is_told_again_before_it_is_forgotten() {
        let mut pace = Pace::new(4);
        let mut told = |at| pace.is_to_be_told(ms(at));
        assert!(told(10) && !told(20) && !told(409) && told(410) && !told(420) && told(9_000));
        assert!(OVERLOADED_FOR > 2 * TELL_AGAIN_AFTER, "one may be lost");
    }
}
