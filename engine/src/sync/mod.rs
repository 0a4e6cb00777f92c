//! Catching up by blocks: a state machine without network and clock.
//!
//! ```text
//!   Status from peers ──▶ CatchUp ──▶ FetchBlocks{from head + 1} to one peer
//!   BlocksReply ────────▶ checked: contiguous, hash-chained to the head, certified ──▶ blocks for the tree
//! ```
//!
//! Two kinds of absence end here. A *gap* is a finalized block whose body did not arrive: it is asked for by digest,
//! from one peer after another. A *lag* is a head that is many blocks behind what a peer has committed: ranges of blocks
//! are asked for by height.
//!
//! Invariants: at most one range and one digest are asked for at a time; a peer whose committed height goes back or whose
//! reply does not chain is not asked again until it reconnects; nothing is taken from a reply that was not asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use crate::limits::BLOCKS_REPLY_MAX;
use crate::types::{Digest, Height, ValidatorIndex};
use crate::wire::{FinalizedBlock, PeerMessage};

/// How long a peer may take to answer before another one is asked.
pub const ANSWER_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How long a finalized block may lack its body before it is asked for: it is usually on its way.
pub const GAP_PATIENCE: Duration = Duration::from_millis(150);
/// How many blocks a peer may be ahead before ranges are asked for, instead of waiting for the normal course.
pub const LAG_MIN: u64 = 16;
/// How long the head may rest below a peer's committed height before ranges are asked for all the same.
pub const STALL_PATIENCE: Duration = Duration::from_secs(2);

/// A peer said something that no correct validator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Misbehaviour {
    /// Its committed height went back.
    #[error("its committed height went back from {from} to {to}")]
    HeightWentBack {
        /// What it said before.
        from: Height,
        /// What it says now.
        to: Height,
    },
    /// Its blocks do not form a chain on our head.
    #[error("the block at {0} in its answer does not follow the block below")]
    BrokenChain(Height),
    /// It sent more than was asked for.
    #[error("it answered with {0} blocks, more than were asked for")]
    TooMany(usize),
}

/// What this validator has, as the caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The last finalized block.
    pub head: Height,
    /// Its digest.
    pub digest: Digest,
    /// The last executed height: blocks are not fetched faster than they are executed.
    pub executed: Height,
    /// The body that holds back finalization, if any.
    pub missing: Option<Digest>,
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    committed: Height,
    distrusted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Asked<T> {
    what: T,
    peer: ValidatorIndex,
    deadline: Duration,
}

/// The catch-up of one validator.
#[derive(Debug, Default)]
pub struct CatchUp {
    peers: BTreeMap<ValidatorIndex, Peer>,
    range: Option<Asked<Height>>,
    gap: Option<Asked<Digest>>,
    gap_since: Option<(Digest, Duration)>,
    head_since: Option<(Height, Duration)>,
    turn: usize,
}

impl CatchUp {
    /// Nothing known of anybody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A peer has connected: what it did wrong before is forgiven, since it may have been repaired.
    pub fn connected(&mut self, peer: ValidatorIndex) {
        self.peers.insert(peer, Peer { committed: Height(0), distrusted: false });
    }

    /// A peer has gone: it is not asked, and what it was asked is asked elsewhere.
    pub fn disconnected(&mut self, peer: ValidatorIndex) {
        self.peers.remove(&peer);
        self.range.take_if(|asked| asked.peer == peer);
        self.gap.take_if(|asked| asked.peer == peer);
    }

    /// A peer says where it stands.
    ///
    /// # Errors
    /// [`Misbehaviour::HeightWentBack`]: the peer is no longer asked.
    pub fn status(&mut self, from: ValidatorIndex, committed: Height) -> Result<(), Misbehaviour> {
        let Some(peer) = self.peers.get_mut(&from) else { return Ok(()) };
        if committed < peer.committed {
            peer.distrusted = true;
            return Err(Misbehaviour::HeightWentBack { from: peer.committed, to: committed });
        }
        peer.committed = committed;
        Ok(())
    }

    /// The highest committed height that a trusted peer claims.
    #[must_use]
    pub fn best(&self) -> Height {
        let trusted = self.peers.values().filter(|peer| !peer.distrusted);
        trusted.map(|peer| peer.committed).max().unwrap_or(Height(0))
    }

    /// Looks at the progress made and says what to ask of whom. To be called at every tick and after every change.
    pub fn poll(&mut self, progress: &Progress, now: Duration) -> Vec<(ValidatorIndex, PeerMessage)> {
        let mut out = Vec::new();
        out.extend(self.poll_gap(progress, now));
        out.extend(self.poll_range(progress, now));
        out
    }

    fn poll_gap(&mut self, progress: &Progress, now: Duration) -> Option<(ValidatorIndex, PeerMessage)> {
        let Some(digest) = progress.missing else {
            (self.gap, self.gap_since) = (None, None);
            return None;
        };
        let since = match self.gap_since {
            Some((known, since)) if known == digest => since,
            _ => {
                self.gap = None;
                self.gap_since = Some((digest, now));
                now
            }
        };
        let waiting = self.gap.is_some_and(|asked| asked.what == digest && now < asked.deadline);
        if waiting || now < since + GAP_PATIENCE {
            return None;
        }
        let peer = self.next_peer(Height(0))?;
        self.gap = Some(Asked { what: digest, peer, deadline: now + ANSWER_TIMEOUT });
        Some((peer, PeerMessage::FetchBlock { digest }))
    }

    fn poll_range(&mut self, progress: &Progress, now: Duration) -> Option<(ValidatorIndex, PeerMessage)> {
        let since = match self.head_since {
            Some((height, since)) if height == progress.head => since,
            _ => {
                self.head_since = Some((progress.head, now));
                now
            }
        };
        if self.range.is_some_and(|asked| now < asked.deadline) {
            return None;
        }
        let lag = self.best().0.saturating_sub(progress.head.0);
        let stalled = lag > 0 && now >= since + STALL_PATIENCE;
        let execution_keeps_up =
            progress.head.0 - progress.executed.0.min(progress.head.0) < BLOCKS_REPLY_MAX as u64;
        if !(lag >= LAG_MIN || stalled) || !execution_keeps_up {
            return None;
        }
        let from = progress.head.next();
        let peer = self.next_peer(from)?;
        self.range = Some(Asked { what: from, peer, deadline: now + ANSWER_TIMEOUT });
        Some((peer, PeerMessage::FetchBlocks { from, max: BLOCKS_REPLY_MAX as u32 }))
    }

    /// The next trusted peer, in turns, that has committed at least `height`.
    fn next_peer(&mut self, height: Height) -> Option<ValidatorIndex> {
        let able: Vec<ValidatorIndex> = self
            .peers
            .iter()
            .filter(|(_, peer)| !peer.distrusted && peer.committed >= height)
            .map(|(index, _)| *index)
            .collect();
        self.turn = self.turn.wrapping_add(1);
        able.get(self.turn % able.len().max(1)).copied()
    }

    /// A reply with blocks. What comes out chains from the head and may go into the tree; whether it is final is for the
    /// certificates to say.
    ///
    /// # Errors
    /// [`Misbehaviour`]: nothing of the reply is used and the peer is no longer asked.
    pub fn reply(
        &mut self,
        from: ValidatorIndex,
        blocks: Vec<FinalizedBlock>,
        progress: &Progress,
    ) -> Result<Vec<FinalizedBlock>, Misbehaviour> {
        // A peer that has nothing after all keeps its turn until the time-out: answering at once must not make us ask at once.
        if blocks.is_empty() {
            return Ok(blocks);
        }
        let Some(asked) = self.range.take_if(|asked| asked.peer == from) else { return Ok(Vec::new()) };
        if asked.what != progress.head.next() {
            return Ok(Vec::new());
        }
        let checked = check_chain(&blocks, progress);
        if checked.is_err()
            && let Some(peer) = self.peers.get_mut(&from)
        {
            peer.distrusted = true;
        }
        checked.map(|()| blocks)
    }

    /// A block asked for by digest has arrived, or another that consensus relayed: `true` if it was the one asked for.
    pub fn block_arrived(&mut self, digest: &Digest) -> bool {
        self.gap.take_if(|asked| asked.what == *digest).is_some()
    }
}

fn check_chain(blocks: &[FinalizedBlock], progress: &Progress) -> Result<(), Misbehaviour> {
    if blocks.len() > BLOCKS_REPLY_MAX {
        return Err(Misbehaviour::TooMany(blocks.len()));
    }
    let (mut height, mut digest) = (progress.head, progress.digest);
    for FinalizedBlock { block, .. } in blocks {
        if block.height() != height.next() || block.header().parent != digest {
            return Err(Misbehaviour::BrokenChain(block.height()));
        }
        (height, digest) = (block.height(), *block.digest());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
