//! Damage of the journal that is met while somebody is served from it: counted, and said once in a while.
//!
//! The validator goes on. What it needs itself it has in memory or reads at its next start, which checks everything;
//! and a peer that asked gets the same from another validator.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::replica::ReadError;
use net::LogLimit;

use super::counters::Counters;

/// How often damage is told in the log: a peer may ask for the same again and again.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Tells of damage.
#[derive(Debug)]
pub struct Damage {
    counters: Arc<Counters>,
    lines: Mutex<LogLimit<()>>,
}

impl Damage {
    /// Counts among these counters.
    #[must_use]
    pub fn new(counters: Arc<Counters>) -> Self {
        Self { counters, lines: Mutex::new(LogLimit::new(SAY_EVERY, 1)) }
    }

    /// Something could not be read back. A height that is not committed is no damage, nor one that is not kept.
    pub fn note(&self, error: &ReadError, now: Duration) {
        if matches!(error, ReadError::NotCommitted(..) | ReadError::BelowRetention { .. }) {
            return;
        }
        Counters::add(&self.counters.journal_damage, 1);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(suppressed) = lines.admit((), now) {
            tracing::warn!(%error, suppressed, "the journal cannot be read where it was durable");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use engine::types::Height;

    use super::*;

    #[test]
    fn damage_is_counted_each_time_and_a_missing_height_is_no_damage() {
        let counters = Arc::new(Counters::default());
        let damage = Damage::new(counters.clone());
        for second in 0..3 {
            damage.note(&ReadError::Damaged(Height(7)), Duration::from_secs(second));
        }
        damage.note(&ReadError::NotCommitted(Height(9), Height(8)), Duration::ZERO);
        damage.note(&ReadError::BelowRetention { height: Height(3), first: Height(5) }, Duration::ZERO);
        assert_eq!(counters.journal_damage.load(Relaxed), 3);
    }
}
