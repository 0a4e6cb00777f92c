//! Callers with bad signatures. A node disconnects a client most of whose signatures are bad, and callers share
//! conversations with it: so who sends bad ones is held off here first.
//!
//! Invariant: at most [`CALLERS_MAX`] callers are remembered, each for [`INTERVAL`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::operations::Caller;

/// How long bad signatures count; the node's interval is as long.
const INTERVAL: Duration = Duration::from_secs(10);
/// Bad signatures that are let pass in an interval: a quarter of what the node lets pass.
const BAD_MAX: u32 = 16;
/// Callers that are remembered.
const CALLERS_MAX: usize = 4_096;

/// Who has sent bad signatures lately.
#[derive(Debug, Default)]
pub struct Offenders(Mutex<BTreeMap<Caller, (Instant, u32)>>);

impl Offenders {
    /// A signature of a caller was bad.
    pub fn note(&self, caller: Caller, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= CALLERS_MAX {
            all.retain(|_, (since, _)| now.duration_since(*since) < INTERVAL);
        }
        if all.len() < CALLERS_MAX || all.contains_key(&caller) {
            let (since, bad) = all.entry(caller).or_insert((now, 0));
            if now.duration_since(*since) >= INTERVAL {
                (*since, *bad) = (now, 0);
            }
            *bad += 1;
        }
    }

    /// For how many seconds a caller is held off, if it is.
    pub fn holds_off(&self, caller: Caller, now: Instant) -> Option<u32> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, bad) = all.get(&caller)?;
        let left = INTERVAL.checked_sub(now.duration_since(*since)).filter(|left| !left.is_zero())?;
        (*bad >= BAD_MAX).then(|| left.as_secs() as u32 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_bad_signatures_is_held_off_for_a_while_and_nobody_else_is() {
        let (all, start) = (Offenders::default(), Instant::now());
        (1..BAD_MAX).for_each(|_| all.note(Caller(7), start));
        assert_eq!(all.holds_off(Caller(7), start), None);
        all.note(Caller(7), start);
        assert_eq!(all.holds_off(Caller(7), start), Some(11));
        assert_eq!(all.holds_off(Caller(8), start), None);
        assert_eq!(all.holds_off(Caller(7), start + INTERVAL), None);
        all.note(Caller(7), start + INTERVAL);
        assert_eq!(all.holds_off(Caller(7), start + INTERVAL), None, "it counts anew");
        (0..2 * CALLERS_MAX as u64).for_each(|caller| all.note(Caller(caller), start));
        assert!(all.0.lock().unwrap().len() <= CALLERS_MAX);
    }
}
