//! A validator whose peers do not keep the blocks any more that it needs: it fetches the state of a later height.
//!
//! Blocks are better while they can be had, since every signature in them is checked. So a fetch begins only where
//! f+1 peers say that they do not keep the next height, and where either all others say so or the gap to them would
//! take long to close: one that is said to keep it and gives little by little, or nothing, keeps nobody away. A
//! validator that is to keep everything fetches none once it has something: what it would skip may be nowhere else.

use std::time::Duration;

use bytes::Bytes;

use super::exchange::SEARCH_BYTES;
use super::{Evidence, Now, Observation, Offence, Ports, Replica, StateRead, To, Work};
use crate::limits::STATE_CHUNK_BYTES;
use crate::sync::{ChunkList, StateWork};
use crate::types::{Height, ValidatorIndex};
use crate::wire::PeerMessage;

/// How long it is watched whether the gap closes.
const WATCHED: Duration = Duration::from_secs(10);
/// How many times as long it may take, at the rate of that time, until the gap is closed.
const PATIENCE: u64 = 60;

/// What is known of the block that is needed next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextHeight {
    /// f+1 keep it.
    Kept,
    /// f+1 do not keep it any more; somebody may.
    Pruned,
    /// All other validators say that they do not keep it any more.
    Gone,
    /// Few have said anything lately.
    Unknown,
}

/// The distance to what others have committed, then and now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gap {
    /// The highest height that f+1 have claimed to have committed. One of them is honest, so it stays true when they go
    /// away: what few others claim meanwhile must not look like an end of the gap.
    claimed: Height,
    since: Option<(Duration, u64)>,
    /// It would take too long to close, and f+1 do not keep the next height.
    is_hopeless: bool,
}

impl Gap {
    /// f+1 claim at present to have committed `best`, and here everything up to `executed` is executed.
    fn watch(&mut self, (best, executed): (Height, Height), next: NextHeight, now: Duration) {
        self.claimed = self.claimed.max(best);
        let gap = self.claimed.0.saturating_sub(executed.0);
        if next == NextHeight::Kept || gap == 0 {
            *self = Self { claimed: self.claimed, ..Self::default() };
            return;
        }
        self.is_hopeless |= next == NextHeight::Gone;
        let (since, before) = *self.since.get_or_insert((now, gap));
        if now >= since + WATCHED {
            // Once it is so, it stays so until f+1 keep the next height: a liar may give a little now and then.
            self.is_hopeless |=
                next == NextHeight::Pruned && before.saturating_sub(gap).saturating_mul(PATIENCE) < gap;
            self.since = Some((now, gap));
        }
    }
}

impl Replica {
    /// The height that is needed and cannot be had as a block.
    fn needed_state(&mut self, now: Now) -> Option<Height> {
        if !self.settings.skips_blocks {
            return None;
        }
        let next = self.executed.next();
        let best = self.sync.best();
        // Nobody has said anything since it connected.
        if best.0 == 0 {
            return self.gap.is_hopeless.then_some(next);
        }
        let known = match self.sync.pruned_by(next) {
            _ if self.sync.is_kept(next) => NextHeight::Kept,
            by if by > 0 && by == self.others => NextHeight::Gone,
            _ if self.sync.is_pruned(next) => NextHeight::Pruned,
            _ => NextHeight::Unknown,
        };
        self.gap.watch((best, self.executed), known, now.monotonic);
        self.gap.is_hopeless.then_some(next)
    }

    pub(super) fn poll_states(&mut self, now: Now, ports: &mut impl Ports) {
        let needed = self.needed_state(now);
        let (asked, work) = self.states.poll(needed, now.monotonic);
        if let Some(work) = work {
            ports.hand_on(Work::State(work));
        }
        for (peer, message) in asked {
            ports.send(To::One(peer), &message);
        }
    }

    pub(super) fn state_message(
        &mut self,
        from: ValidatorIndex,
        message: PeerMessage,
        now: Now,
        ports: &mut impl Ports,
    ) {
        match message {
            PeerMessage::FetchStates => self.serve_state(from, StateRead::States, SEARCH_BYTES, now, ports),
            PeerMessage::FetchChunkList { height } => {
                self.serve_state(from, StateRead::ChunkList(height), STATE_CHUNK_BYTES, now, ports);
            }
            PeerMessage::FetchChunk { height, number } => {
                self.serve_state(from, StateRead::Chunk(height, number), STATE_CHUNK_BYTES, now, ports);
            }
            PeerMessage::States(offers) => self.states.offers(from, offers),
            PeerMessage::ChunkList { height, digests, evidence } => {
                // One without a finalization helps nobody to begin, but for the state that the genesis names.
                let is_named = self.origin == Some(height);
                let has_none = Evidence::decode(&evidence).is_ok_and(|of| of.last.is_empty());
                let evidence = if has_none && !is_named { Bytes::new() } else { evidence };
                let list = (ChunkList { height, digests }, evidence);
                let epochs = self.settings.known.as_ref().unwrap_or(&self.epochs);
                let certificates = &*self.certificates;
                let holds = |evidence: &Bytes| {
                    Evidence::decode(evidence).is_ok_and(|of| {
                        (is_named && of == Evidence::default())
                            || epochs.agree_with((height, &of), certificates)
                    })
                };
                match self.states.chunk_list(from, list, holds, now.monotonic) {
                    Ok(work) => work.into_iter().for_each(|work| ports.hand_on(Work::State(work))),
                    Err(_) => self.offence(from, Offence::FalseState, ports),
                }
            }
            PeerMessage::Chunk { height, number, bytes } => {
                match self.states.chunk(from, (height, number), bytes, now.monotonic) {
                    Ok(work) => work.into_iter().for_each(|work| ports.hand_on(Work::State(work))),
                    Err(_) => self.offence(from, Offence::FalseState, ports),
                }
            }
            _ => unreachable!("it is no message about states"),
        }
        if self.states.progress().is_some() {
            self.poll_states(now, ports);
        }
    }

    fn serve_state(
        &mut self,
        to: ValidatorIndex,
        read: StateRead,
        bytes: usize,
        now: Now,
        ports: &mut impl Ports,
    ) {
        if self.may_serve(to, bytes, now) {
            ports.hand_on(Work::ReadState(to, read));
        }
    }

    pub(super) fn chunk_written(&mut self, height: Height, number: u32, now: Now, ports: &mut impl Ports) {
        match self.states.stored(height, number) {
            Some(complete @ StateWork::Complete { .. }) => ports.hand_on(Work::State(complete)),
            _ => self.poll_states(now, ports),
        }
    }

    /// How far a fetch is, in words now and then.
    pub(super) fn tell_states(&self, ports: &mut impl Ports) {
        if let Some((height, written, chunks)) = self.states.progress() {
            let from = self.states.asked();
            ports.observe(Observation::FetchingState { height, written, chunks, from });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is hopeless after so many times of watching, in each of which the gap shrinks by so much.
    fn hopeless(gap: u64, shrinks_by: u64, times: u64, known: NextHeight) -> bool {
        let mut watched = Gap::default();
        let standing = |at| (Height(gap), Height(shrinks_by * at));
        (0..=times).for_each(|at| watched.watch(standing(at), known, WATCHED * at as u32));
        watched.is_hopeless
    }

    #[test]
    fn a_gap_that_closes_too_slowly_is_as_one_that_does_not() {
        let pruned = NextHeight::Pruned;
        assert!(hopeless(10_000, 0, 1, pruned));
        assert!(hopeless(10_000, 1, 1, pruned), "a liar that drips would need a day");
        assert!(!hopeless(10_000, 200, 5, pruned), "at this rate it takes less than ten minutes");
        assert!(!hopeless(10_000, 0, 0, pruned), "it is watched first");
        assert!(!hopeless(10_000, 0, 5, NextHeight::Kept), "f+1 keep them");
        assert!(!hopeless(10_000, 0, 5, NextHeight::Unknown), "nobody has said that they are gone");
        assert!(hopeless(10_000, 200, 0, NextHeight::Gone), "there is nothing to wait for");
        assert!(!hopeless(0, 0, 0, NextHeight::Gone), "there is nothing to fetch");
    }

    #[test]
    fn what_is_hopeless_stays_so_until_f_plus_1_keep_the_next_height() {
        let (mut gap, at) = (Gap::default(), |executed| (Height(10_000), Height(executed)));
        gap.watch(at(0), NextHeight::Pruned, Duration::ZERO);
        gap.watch(at(0), NextHeight::Pruned, WATCHED);
        // One of those that said so is gone for a moment; another gives a little.
        gap.watch(at(0), NextHeight::Unknown, WATCHED);
        gap.watch(at(1_000), NextHeight::Pruned, 2 * WATCHED);
        assert!(gap.is_hopeless);
        gap.watch(at(1_000), NextHeight::Kept, 2 * WATCHED);
        assert!(!gap.is_hopeless);
    }

    #[test]
    fn what_few_claim_while_others_are_away_does_not_end_the_watch() {
        let (mut gap, pruned) = (Gap::default(), NextHeight::Pruned);
        gap.watch((Height(10_000), Height(4)), pruned, Duration::ZERO);
        // The others start again. A liar and one that has just come claim that they are no further than this one.
        gap.watch((Height(3), Height(4)), NextHeight::Unknown, WATCHED / 2);
        gap.watch((Height(10_500), Height(4)), pruned, WATCHED);
        assert!(gap.is_hopeless);
    }
}
