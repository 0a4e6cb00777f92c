//! Which refused calls get a line in the log: so many that somebody who calls without an end neither fills the disk nor
//! pushes out what others have left there. The next line says how many were left out before it.
//!
//! Invariants: one line in [`ALL_EVERY`], and one of a caller in [`CALLER_EVERY`]; at most [`CALLERS_MAX`] callers are
//! remembered.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::operations::Caller;

/// Of all callers together one line in this time.
const ALL_EVERY: Duration = Duration::from_secs(1);
/// Of one caller one line in this time.
const CALLER_EVERY: Duration = Duration::from_secs(10);
/// Callers that are remembered: no more can have a line in [`CALLER_EVERY`].
const CALLERS_MAX: usize = (CALLER_EVERY.as_secs() / ALL_EVERY.as_secs()) as usize + 1;

/// The lines that there were lately.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Lately>);

#[derive(Debug, Default)]
struct Lately {
    callers: BTreeMap<Caller, Instant>,
    left_out: u64,
}

impl Refusals {
    /// Whether a refusal gets a line; then how many before it got none.
    pub fn has_room(&self, caller: Caller, now: Instant) -> Option<u64> {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lately.callers.retain(|_, then| now.duration_since(*then) < CALLER_EVERY);
        let is_full = lately.callers.values().any(|then| now.duration_since(*then) < ALL_EVERY);
        if is_full || lately.callers.contains_key(&caller) {
            lately.left_out += 1;
            return None;
        }
        lately.callers.insert(caller, now);
        debug_assert!(lately.callers.len() <= CALLERS_MAX);
        Some(std::mem::take(&mut lately.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_refusals_get_few_lines_and_the_next_line_says_how_many_there_were() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let at = |caller, seconds| refusals.has_room(Caller(caller), start + Duration::from_secs(seconds));
        assert_eq!(at(1, 0), Some(0));
        (0..100).for_each(|_| assert_eq!(at(1, 0), None));
        assert_eq!(at(2, 0), None, "one a second of all together");
        assert_eq!(at(1, 5), None, "one in ten seconds of a caller");
        assert_eq!(at(2, 5), Some(102));
        assert_eq!(at(1, 10), Some(0));
        let lines = (0..1_000_u64).filter(|many| at(100 + many, 20 + many / 100).is_some()).count();
        assert_eq!(lines, 10, "however many callers there are");
        assert!(refusals.0.lock().unwrap().callers.len() <= CALLERS_MAX);
    }
}
