//! Callers that have done something bad lately, and are held off for a while.
//!
//! A node disconnects a client most of whose signatures are bad, and callers share conversations with it: so who sends
//! bad ones is held off here first. The same is done with those who guess tokens.
//!
//! Invariant: at most [`CALLERS_MAX`] callers are remembered, each for [`Bounds::interval`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::operations::Caller;

/// What is let pass.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long something bad counts.
    pub interval: Duration,
    /// How much of it is let pass in an interval.
    pub most: u32,
}

/// Of bad signatures a quarter of what the node lets pass, in an interval that is as long as its own.
pub const SIGNATURES: Bounds = Bounds { interval: Duration::from_secs(10), most: 16 };
/// Of tokens that are wrong. They have 256 bits, so this bounds the noise more than the chances.
pub const TOKENS: Bounds = Bounds { interval: Duration::from_secs(60), most: 10 };
/// Callers that are remembered.
const CALLERS_MAX: usize = 4_096;

/// Who has done something bad lately.
#[derive(Debug)]
pub struct Offenders {
    bounds: Bounds,
    all: Mutex<BTreeMap<Caller, (Instant, u32)>>,
}

impl Offenders {
    /// Nothing bad has been done yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, all: Mutex::default() }
    }

    /// A caller has done it.
    pub fn note(&self, caller: Caller, now: Instant) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= CALLERS_MAX {
            all.retain(|_, (since, _)| now.duration_since(*since) < self.bounds.interval);
        }
        if all.len() < CALLERS_MAX || all.contains_key(&caller) {
            let (since, bad) = all.entry(caller).or_insert((now, 0));
            if now.duration_since(*since) >= self.bounds.interval {
                (*since, *bad) = (now, 0);
            }
            *bad += 1;
        }
    }

    /// For how many seconds a caller is held off, if it is.
    pub fn holds_off(&self, caller: Caller, now: Instant) -> Option<u32> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, bad) = all.get(&caller)?;
        let left =
            self.bounds.interval.checked_sub(now.duration_since(*since)).filter(|left| !left.is_zero())?;
        (*bad >= self.bounds.most).then(|| left.as_secs() as u32 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_bad_things_is_held_off_for_a_while_and_nobody_else_is() {
        let (all, start) = (Offenders::new(SIGNATURES), Instant::now());
        (1..SIGNATURES.most).for_each(|_| all.note(Caller(7), start));
        assert_eq!(all.holds_off(Caller(7), start), None);
        all.note(Caller(7), start);
        assert_eq!(all.holds_off(Caller(7), start), Some(11));
        assert_eq!(all.holds_off(Caller(8), start), None);
        assert_eq!(all.holds_off(Caller(7), start + SIGNATURES.interval), None);
        all.note(Caller(7), start + SIGNATURES.interval);
        assert_eq!(all.holds_off(Caller(7), start + SIGNATURES.interval), None, "it counts anew");
        (0..2 * CALLERS_MAX as u64).for_each(|caller| all.note(Caller(caller), start));
        assert!(all.all.lock().unwrap().len() <= CALLERS_MAX);
    }
}
