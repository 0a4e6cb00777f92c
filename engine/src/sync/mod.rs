//! Catching up by blocks: a state machine without network and clock.
//!
//! ```text
//!   Status from peers ──▶ CatchUp ──▶ FetchBlocks{from head + 1} to one peer
//!   BlocksReply ────────▶ checked: contiguous, hash-chained to the head, certified ──▶ blocks for the tree
//! ```
//!
//! A validator that is many blocks behind what f+1 peers have committed asks for ranges of blocks by height. (A single
//! block that is missing is asked for by its digest: see `availability`.) One liar who claims a huge height moves nobody.
//!
//! Invariants: at most one range is asked for at a time; a peer whose committed height goes back or whose reply does not
//! chain is not asked again until it reconnects; nothing is taken from a reply that was not asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use crate::limits::BLOCKS_REPLY_MAX;
use crate::types::{Digest, Height, ValidatorIndex};
use crate::wire::{FinalizedBlock, PeerMessage};

/// How long a peer may take to answer before another one is asked.
pub const ANSWER_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How many blocks a peer may be ahead before ranges are asked for, instead of waiting for the normal course.
pub const LAG_MIN: u64 = 16;
/// How far one peer's blocks may go without a certificate.
const TIP_MAX: u64 = 4_096;
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
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    committed: Height,
    distrusted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    from: Height,
    peer: ValidatorIndex,
    deadline: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Tip {
    height: Height,
    digest: Digest,
    peer: ValidatorIndex,
}

/// The catch-up of one validator.
#[derive(Debug, Default)]
pub struct CatchUp {
    peers: BTreeMap<ValidatorIndex, Peer>,
    faulty: usize,
    range: Option<Asked>,
    /// Blocks above the head that one peer has sent without a certificate yet: its next answer must go on from here.
    tip: Option<Tip>,
    head_since: Option<(Height, Duration)>,
    turn: usize,
}

impl CatchUp {
    /// Nothing known of anybody, in a network of which `faulty` validators may lie.
    #[must_use]
    pub fn new(faulty: usize) -> Self {
        Self { faulty, ..Self::default() }
    }

    /// A peer has connected: what it did wrong before is forgiven, since it may have been repaired.
    pub fn connected(&mut self, peer: ValidatorIndex) {
        self.peers.insert(peer, Peer { committed: Height(0), distrusted: false });
    }

    /// A peer has gone: it is not asked, and what it was asked is asked elsewhere.
    pub fn disconnected(&mut self, peer: ValidatorIndex) {
        self.peers.remove(&peer);
        self.range.take_if(|asked| asked.peer == peer);
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

    /// The highest committed height that f+1 trusted peers claim to have reached.
    #[must_use]
    pub fn best(&self) -> Height {
        let trusted = self.peers.values().filter(|peer| !peer.distrusted);
        let mut heights: Vec<Height> = trusted.map(|peer| peer.committed).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        heights.get(self.faulty).copied().unwrap_or(Height(0))
    }

    /// How many blocks `committed` is behind, if that is more than the normal course explains.
    #[must_use]
    pub fn lag(&self, committed: Height) -> Option<u64> {
        let lag = self.best().0.saturating_sub(committed.0);
        (lag >= LAG_MIN).then_some(lag)
    }

    /// A peer has sent something false: it is not asked again until it reconnects.
    pub fn distrust(&mut self, peer: ValidatorIndex) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.distrusted = true;
        }
    }

    /// Looks at the progress made and says what to ask of whom. To be called at every tick and after every change.
    pub fn poll(&mut self, progress: &Progress, now: Duration) -> Option<(ValidatorIndex, PeerMessage)> {
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
        self.tip.take_if(|tip| {
            tip.height <= progress.head || self.peers.get(&tip.peer).is_none_or(|peer| peer.distrusted)
        });
        let lag = self.best().0.saturating_sub(progress.head.0);
        let stalled = lag > 0 && now >= since + STALL_PATIENCE;
        let execution_keeps_up =
            progress.head.0 - progress.executed.0.min(progress.head.0) < BLOCKS_REPLY_MAX as u64;
        if !(lag >= LAG_MIN || stalled) || !execution_keeps_up {
            return None;
        }
        // A peer that did not go on from its own tip, or whose blocks never come to a certificate, is not asked for more.
        if let Some(tip) =
            self.tip.take_if(|tip| self.range.is_some() || tip.height.0 > progress.head.0 + TIP_MAX)
        {
            self.distrust(tip.peer);
        }
        let (from, peer) = match self.tip {
            Some(tip) => (tip.height.next(), tip.peer),
            None => (progress.head.next(), self.next_peer(progress.head.next())?),
        };
        self.range = Some(Asked { from, peer, deadline: now + ANSWER_TIMEOUT });
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
        let (height, digest) = match self.tip.filter(|tip| tip.peer == from) {
            Some(tip) => (tip.height, tip.digest),
            None => (progress.head, progress.digest),
        };
        if asked.from != height.next() {
            return Ok(Vec::new());
        }
        if let Err(misbehaviour) = check_chain(&blocks, height, digest) {
            self.tip = None;
            self.distrust(from);
            return Err(misbehaviour);
        }
        let last = blocks.last().map(|last| Tip {
            height: last.block.height(),
            digest: *last.block.digest(),
            peer: from,
        });
        self.tip = last.filter(|_| blocks.last().is_some_and(|last| last.finalization.is_empty()));
        Ok(blocks)
    }
}

fn check_chain(
    blocks: &[FinalizedBlock],
    mut height: Height,
    mut digest: Digest,
) -> Result<(), Misbehaviour> {
    if blocks.len() > BLOCKS_REPLY_MAX {
        return Err(Misbehaviour::TooMany(blocks.len()));
    }
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
