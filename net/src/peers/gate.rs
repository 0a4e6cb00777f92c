//! Who may be the connection of a peer: its newest, unless two processes share its identity, or the
//! validator wants nothing of this peer for a while.
//!
//! A peer that restarts replaces the connection that its old process has left behind. Two processes
//! with one identity would replace each other endlessly; so after [`REPLACED_MAX`] living connections
//! were replaced within [`REPLACED_WITHIN`], the present one is kept until it ends, or until no other
//! has come for [`QUIET_FOR`].

use std::collections::VecDeque;
use std::time::Duration;

/// A peer that crashes and starts again does not replace more living connections than this.
const REPLACED_MAX: usize = 3;
const REPLACED_WITHIN: Duration = Duration::from_secs(30);
/// Longer than the longest pause of a caller that was refused, [`REFUSED_PAUSE_MAX`].
const QUIET_FOR: Duration = Duration::from_secs(120);
/// First pause of a caller that was refused for one of the reasons here; it doubles each time.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(60);
const _: () = assert!(QUIET_FOR.as_secs() > REFUSED_PAUSE_MAX.as_secs());

/// What becomes of a new connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It takes the place of the present one.
    Admit,
    /// The present one stays: two processes use this identity. `first`: this was not known before.
    Duplicate { first: bool },
    /// The peer is not wanted at present, in these words.
    Excluded(String),
}

/// Decides for one peer.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// When living connections were replaced; at most [`REPLACED_MAX`].
    replaced: VecDeque<Duration>,
    duplicate_until: Option<Duration>,
    excluded: Option<(Duration, String)>,
}

impl Gate {
    /// Judges a new connection; `living`: there is one that has not ended.
    pub(super) fn judge(&mut self, living: bool, now: Duration) -> Verdict {
        if let Some((_, words)) = self.excluded(now) {
            return Verdict::Excluded(words);
        }
        if !living {
            self.duplicate_until = None;
            return Verdict::Admit;
        }
        let known = self.duplicate_until.is_some_and(|until| now < until);
        self.replaced.retain(|at| now.saturating_sub(*at) < REPLACED_WITHIN);
        if known || self.replaced.len() >= REPLACED_MAX {
            self.duplicate_until = Some(now + QUIET_FOR);
            return Verdict::Duplicate { first: !known };
        }
        self.replaced.push_back(now);
        Verdict::Admit
    }

    /// Nothing is wanted of this peer before `until`.
    pub(super) fn exclude(&mut self, until: Duration, words: &str) {
        self.excluded = Some((until, words.to_owned()));
    }

    /// Until when the peer is not wanted, and why.
    pub(super) fn excluded(&mut self, now: Duration) -> Option<(Duration, String)> {
        self.excluded.take_if(|(until, _)| *until <= now);
        self.excluded.clone()
    }
}

/// How long a caller waits after it was refused for the n-th time in a row, counted from 1.
pub(super) fn refused_pause(times: u32) -> Duration {
    let doublings = times.saturating_sub(1).min(16);
    (REFUSED_PAUSE * (1 << doublings)).min(REFUSED_PAUSE_MAX)
}

#[cfg(test)]
mod tests;
