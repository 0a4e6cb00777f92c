//! A validator whose peers do not keep the blocks any more that it needs: it fetches the state of a later height.
//!
//! Blocks are better while they can be had, since every signature in them is checked. So a fetch begins only where f+1
//! peers say that they do not keep the next height, and where the gap to them does not close: one that is said to keep
//! it and gives little by little, or nothing, keeps nobody away.

use std::time::Duration;

use super::exchange::SEARCH_BYTES;
use super::{Now, Observation, Offence, Ports, Replica, StateRead, To, Work};
use crate::limits::STATE_CHUNK_BYTES;
use crate::sync::{ChunkList, StateWork};
use crate::types::{Height, ValidatorIndex};
use crate::wire::PeerMessage;

/// How long it is watched whether the gap closes.
const WATCHED: Duration = Duration::from_secs(10);

/// The distance to what others have committed, then and now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gap {
    since: Option<(Duration, u64)>,
    /// It did not get smaller while it was watched, and f+1 did not keep the next height.
    is_hopeless: bool,
}

impl Gap {
    fn watch(&mut self, gap: u64, is_pruned: bool, now: Duration) {
        if !is_pruned {
            *self = Self::default();
            return;
        }
        let (since, before) = *self.since.get_or_insert((now, gap));
        if now >= since + WATCHED {
            // Once it is so, it stays so until the next height can be had: a liar may give a little now and then.
            self.is_hopeless |= gap >= before;
            self.since = Some((now, gap));
        }
    }
}

impl Replica {
    /// The height that is needed and cannot be had as a block.
    fn needed_state(&mut self, now: Now) -> Option<Height> {
        let next = self.executed.next();
        let gap = self.sync.best().0.saturating_sub(self.executed.0);
        self.gap.watch(gap, self.sync.is_pruned(next), now.monotonic);
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
            PeerMessage::ChunkList { height, digests, certificate } => {
                let list = ChunkList { height, digests };
                let finality = || self.certificates.verify(&certificate);
                if self.states.chunk_list(from, list, finality, now.monotonic).is_err() {
                    self.offence(from, Offence::FalseState, ports);
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
            ports.observe(Observation::FetchingState { height, written, chunks });
        }
    }
}
