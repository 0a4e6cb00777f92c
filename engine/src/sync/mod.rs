//! Catching up by blocks: a state machine without network and clock.
//!
//! ```text
//!   Status from peers ──▶ CatchUp ──▶ FetchBlocks{from head + 1} to one peer
//!   BlocksReply ────────▶ checked: contiguous, hash-chained to the head, certified ──▶ blocks for the tree
//! ```
//!
//! A validator that is many blocks behind what f+1 peers have committed asks for ranges of blocks by height. (A single
//! block that is missing is asked for by its digest: see `availability`.) One liar who claims a huge height moves
//! nobody.
//!
//! Blocks above the last certificate of an answer wait here, and come out with the certificate that makes them final:
//! no block enters the tree only because a peer made it up.
//!
//! Invariants: at most one range is asked for at a time; nothing is taken from a reply that was not asked for; a peer
//! whose committed height goes back, whose reply does not chain, or whose blocks come to no certificate in time is not
//! asked for a while, which grows with each time and outlives its connection.

mod by_state;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use thiserror::Error;

pub use self::by_state::{ChunkList, FalseState, StateSync, StateWork};
use crate::limits::BLOCKS_REPLY_MAX;
use crate::types::{Digest, Height, ValidatorIndex};
use crate::wire::{FinalizedBlock, PeerMessage, PeerVersion};

/// How long a peer may take to answer before another one is asked.
pub const ANSWER_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How many blocks a peer may be ahead before ranges are asked for, instead of waiting for the normal course.
pub const LAG_MIN: u64 = 16;
/// How many blocks of one peer may wait for a certificate.
const TIP_MAX: usize = 1_024;
/// So many blocks without a certificate earn their peer the time of one more answer: one that answers with little by
/// little would otherwise be the only one that is asked.
const TIP_BLOCKS_AN_ANSWER: u32 = 16;
/// How long a peer that said something false is not asked: 5 s at first, 640 s at most. Each false answer doubles the
/// time, and each certified one takes one doubling back.
const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_DOUBLINGS_MAX: u32 = 7;
/// How long the head may rest below a peer's committed height before ranges are asked for anyway.
pub const STALL_PATIENCE: Duration = Duration::from_secs(2);

/// A peer said something that no correct validator says: an offence.
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

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    connected: bool,
    /// What is spoken with it; none before it has connected.
    version: Option<PeerVersion>,
    /// It has said on this connection where it stands.
    heard: bool,
    committed: Height,
    /// The highest committed block that it has given: its last status may be older.
    given: Height,
    /// The first height that it keeps.
    kept_from: Height,
    /// It is in a later epoch: it has the last block of this one.
    is_beyond: bool,
    /// It has answered with nothing since its last status.
    had_nothing: bool,
    /// It has not sent in time what it was asked for: others are asked before it until then.
    slow_until: Duration,
    /// How often that was so, less what it brought in time.
    delays: u32,
    /// False answers that certified ones have not made good.
    strikes: u32,
    /// It is not asked before.
    paused_until: Duration,
    distrusted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    from: Height,
    peer: ValidatorIndex,
    deadline: Duration,
}

/// Blocks above the head, or above the last certificate, that one peer has sent: its next answer must go on from here.
#[derive(Debug)]
struct Tip {
    peer: ValidatorIndex,
    blocks: Vec<FinalizedBlock>,
    since: Duration,
}

impl Tip {
    fn top(&self) -> Option<(Height, Digest)> {
        self.blocks.last().map(|last| (last.block.height(), *last.block.digest()))
    }

    /// Whether its peer has used up the time for a certificate.
    fn is_overdue(&self, now: Duration) -> bool {
        let blocks = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        now > self.since + ANSWER_TIMEOUT * (2 + blocks / TIP_BLOCKS_AN_ANSWER) || self.blocks.len() > TIP_MAX
    }
}

/// The catch-up of one validator.
#[derive(Debug)]
pub struct CatchUp {
    peers: BTreeMap<ValidatorIndex, Peer>,
    faulty: usize,
    /// How many blocks a peer may be ahead before ranges are asked for.
    lag_min: u64,
    range: Option<Asked>,
    tip: Option<Tip>,
    head_since: Option<(Height, Duration)>,
    turn: usize,
}

impl CatchUp {
    /// Nothing known of anybody, in a network of which `faulty` validators may lie.
    #[must_use]
    pub fn new(faulty: usize) -> Self {
        Self::with(faulty, LAG_MIN)
    }

    /// The same for one that follows: nobody proposes blocks to it, so it asks for every one.
    #[must_use]
    pub fn following(faulty: usize) -> Self {
        Self::with(faulty, 1)
    }

    fn with(faulty: usize, lag_min: u64) -> Self {
        Self { peers: BTreeMap::new(), faulty, lag_min, range: None, tip: None, head_since: None, turn: 0 }
    }

    /// A peer has connected. Where it stands is not known any more; what it did wrong is.
    pub fn connected(&mut self, peer: ValidatorIndex, version: PeerVersion) {
        let peer = self.peers.entry(peer).or_default();
        (peer.connected, peer.heard, peer.version) = (true, false, Some(version));
        (peer.committed, peer.given, peer.kept_from) = (Height(0), Height(0), Height(0));
    }

    /// A peer has gone: it is not asked, and what it was asked is asked elsewhere.
    pub fn disconnected(&mut self, peer: ValidatorIndex) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.connected = false;
        }
        self.range.take_if(|asked| asked.peer == peer);
        self.tip.take_if(|tip| tip.peer == peer);
    }

    /// A peer says what it has committed, and from which height on it keeps blocks.
    ///
    /// # Errors
    /// [`Misbehaviour::HeightWentBack`]: the peer is not asked for a while.
    pub fn status(
        &mut self,
        from: ValidatorIndex,
        (committed, kept_from): (Height, Height),
        now: Duration,
    ) -> Result<(), Misbehaviour> {
        let Some(peer) = self.peers.get_mut(&from) else { return Ok(()) };
        (peer.heard, peer.kept_from, peer.had_nothing) = (true, kept_from, false);
        let before = std::mem::replace(&mut peer.committed, committed);
        if committed < before {
            self.distrust(from, now);
            return Err(Misbehaviour::HeightWentBack { from: before, to: committed });
        }
        Ok(())
    }

    /// A peer says that it is in a later epoch, or not. Who is there has left this one and does not vote in it any
    /// more: it alone may have the finalization of the last block.
    pub fn beyond(&mut self, from: ValidatorIndex, is_beyond: bool) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.is_beyond = is_beyond;
        }
    }

    /// The highest committed height that f+1 trusted peers claim to have reached.
    #[must_use]
    pub fn best(&self) -> Height {
        let mut heights: Vec<Height> = self.trusted().map(|(_, peer)| peer.committed).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        heights.get(self.faulty).copied().unwrap_or(Height(0))
    }

    /// Whether f+1 trusted peers have said where they stand: with fewer nobody can tell how far the network is.
    #[must_use]
    pub fn hears(&self) -> bool {
        self.trusted().filter(|(_, peer)| peer.heard).count() > self.faulty
    }

    /// How many blocks `committed` is behind, if that is more than the normal course explains.
    #[must_use]
    pub fn lag(&self, committed: Height) -> Option<u64> {
        let lag = self.best().0.saturating_sub(committed.0);
        (lag >= LAG_MIN).then_some(lag)
    }

    /// The first height that a trusted peer keeps, if f+1 of them have committed the next height and none keeps it any
    /// more: catching up by blocks is not possible then.
    #[must_use]
    pub fn below_retention(&self, next: Height) -> Option<Height> {
        let able =
            || self.trusted().filter(|(_, peer)| peer.committed >= next).map(|(_, peer)| peer.kept_from);
        let first = able().min().filter(|first| *first > next)?;
        (able().count() > self.faulty).then_some(first)
    }

    /// Whether f+1 trusted peers have committed the next height and keep it.
    #[must_use]
    pub fn is_kept(&self, next: Height) -> bool {
        let keeps = |peer: &Peer| (peer.kept_from..=peer.committed).contains(&next);
        self.trusted().filter(|(_, peer)| keeps(peer)).count() > self.faulty
    }

    /// Whether f+1 trusted peers have committed the next height and keep it no more.
    #[must_use]
    pub fn is_pruned(&self, next: Height) -> bool {
        self.pruned_by(next) > self.faulty
    }

    /// How many trusted peers have committed the next height and keep it no more.
    #[must_use]
    pub fn pruned_by(&self, next: Height) -> usize {
        self.trusted().filter(|(_, peer)| peer.committed >= next && peer.kept_from > next).count()
    }

    /// The trusted peers that say that they keep a height, if others have committed it and keep it no more: what
    /// belongs to that height is asked of these first. None where that makes no difference.
    #[must_use]
    pub fn keepers(&self, height: Height) -> Vec<ValidatorIndex> {
        let able = self.trusted().filter(|(_, peer)| peer.committed >= height);
        let (keepers, others): (Vec<_>, Vec<_>) = able.partition(|(_, peer)| peer.kept_from <= height);
        let keepers = keepers.into_iter().filter(|_| !others.is_empty());
        keepers.map(|(index, _)| index).collect()
    }

    fn trusted(&self) -> impl Iterator<Item = (ValidatorIndex, &Peer)> {
        let trusted = self.peers.iter().filter(|(_, peer)| peer.connected && !peer.distrusted);
        trusted.map(|(index, peer)| (*index, peer))
    }

    /// A peer has sent something false: it is not asked for a while.
    pub fn distrust(&mut self, peer: ValidatorIndex, now: Duration) {
        self.tip.take_if(|tip| tip.peer == peer);
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.distrusted = true;
            peer.paused_until = now + PAUSE_MIN * (1 << peer.strikes.min(PAUSE_DOUBLINGS_MAX));
            peer.strikes += 1;
        }
    }

    /// A peer does not send what it was asked for in time: others are preferred for a while.
    pub fn note_late(&mut self, peer: ValidatorIndex, now: Duration) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.slow_until = now + PAUSE_MIN * (1 << peer.delays.min(PAUSE_DOUBLINGS_MAX));
            peer.delays += 1;
        }
    }

    /// A peer has brought what it was asked for in time.
    pub fn note_in_time(&mut self, peer: ValidatorIndex) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.delays = peer.delays.saturating_sub(1);
        }
    }

    /// The highest height that f+1 trusted peers claim to have committed, or have given.
    #[must_use]
    pub fn claimed(&self) -> Height {
        let mut claims: Vec<Height> =
            self.trusted().map(|(_, peer)| peer.committed.max(peer.given)).collect();
        claims.sort_unstable_by(|a, b| b.cmp(a));
        claims.get(self.faulty).copied().unwrap_or_default()
    }

    /// The certificate of a peer's last answer holds, up to a height.
    pub fn certified(&mut self, peer: ValidatorIndex, up_to: Height) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.given = peer.given.max(up_to);
            peer.strikes = peer.strikes.saturating_sub(1);
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
        for peer in self.peers.values_mut() {
            peer.distrusted &= now < peer.paused_until;
        }
        if self.range.is_some_and(|asked| now < asked.deadline) {
            return None;
        }
        // What waits for a certificate was overtaken by the head if it does not end above it.
        self.tip.take_if(|tip| tip.top().is_none_or(|(height, _)| height <= progress.head));
        let lag = self.best().0.saturating_sub(progress.head.0);
        let left = |peer: &Peer| peer.is_beyond && peer.committed > progress.head;
        let is_left = self.trusted().any(|(_, peer)| left(peer));
        let stalled = (lag > 0 || is_left) && now >= since + STALL_PATIENCE;
        let execution_keeps_up =
            progress.head.0 - progress.executed.0.min(progress.head.0) < BLOCKS_REPLY_MAX as u64;
        if !(lag >= self.lag_min || stalled) || !execution_keeps_up {
            return None;
        }
        // A peer that did not go on from its own tip, or whose blocks come to no certificate in time, is not asked for
        // more.
        let unanswered = self.range.take();
        if let Some(asked) = unanswered {
            self.note_late(asked.peer, now);
        }
        if let Some(tip) = self.tip.take_if(|tip| unanswered.is_some() || tip.is_overdue(now)) {
            self.distrust(tip.peer, now);
        }
        let going_on = self.tip.as_ref().and_then(|tip| Some((tip.top()?.0.next(), tip.peer)));
        let (from, peer) = match going_on {
            Some(going_on) => going_on,
            None => {
                let next = progress.head.next();
                (next, self.peer_with(next..=next, PeerVersion::FIRST, now)?)
            }
        };
        self.range = Some(Asked { from, peer, deadline: now + ANSWER_TIMEOUT });
        Some((peer, PeerMessage::FetchBlocks { from, max: BLOCKS_REPLY_MAX as u32 }))
    }

    /// The next trusted peer, in turns, that says that it has committed some heights and keeps them, and speaks this
    /// version or a later one; where all of them are slow, one of those that were late least often.
    pub fn peer_with(
        &mut self,
        heights: RangeInclusive<Height>,
        version: PeerVersion,
        now: Duration,
    ) -> Option<ValidatorIndex> {
        let keeps = |peer: &Peer| {
            let committed = peer.committed.max(peer.given);
            let can_be_asked = !peer.had_nothing && peer.version >= Some(version);
            can_be_asked && peer.kept_from <= *heights.start() && *heights.end() <= committed
        };
        let able = self.trusted().filter(|(_, peer)| keeps(peer));
        let able = able.map(|(index, peer)| (now < peer.slow_until, peer.delays, index));
        let (mut slow, others): (Vec<_>, Vec<_>) = able.partition(|(is_slow, ..)| *is_slow);
        // One that never answers must not have its turn as often as one that was busy once.
        let least = slow.iter().map(|(_, delays, _)| *delays).min();
        slow.retain(|(_, delays, _)| Some(*delays) == least);
        let able = if others.is_empty() { slow } else { others };
        self.turn = self.turn.wrapping_add(1);
        able.get(self.turn % able.len().max(1)).map(|(.., index)| *index)
    }

    /// A reply with blocks. What comes out chains from the head and ends with a certificate, which the caller checks
    /// ([`Self::certified`], or else [`Self::distrust`]); what lies above the certificate waits for the next answer.
    ///
    /// # Errors
    /// [`Misbehaviour`]: nothing of the reply is used and the peer is not asked for a while.
    pub fn reply(
        &mut self,
        from: ValidatorIndex,
        mut blocks: Vec<FinalizedBlock>,
        progress: &Progress,
        now: Duration,
    ) -> Result<Vec<FinalizedBlock>, Misbehaviour> {
        // A peer that answers with nothing may just have pruned its journal. It is not asked again until its next
        // status: that it answers at once must not make us ask it at once.
        if blocks.is_empty() {
            if self.range.take_if(|asked| asked.peer == from).is_some()
                && let Some(peer) = self.peers.get_mut(&from)
            {
                peer.had_nothing = true;
                // What it had sent without a certificate came to nothing.
                self.tip.take_if(|tip| tip.peer == from);
            }
            return Ok(blocks);
        }
        let Some(asked) = self.range.take_if(|asked| asked.peer == from) else { return Ok(Vec::new()) };
        let tip = self.tip.take_if(|tip| tip.peer == from);
        let top = tip.as_ref().and_then(Tip::top);
        let (height, digest) = top.unwrap_or((progress.head, progress.digest));
        if asked.from != height.next() {
            return Ok(Vec::new());
        }
        if let Err(misbehaviour) = check_chain(&blocks, height, digest) {
            self.distrust(from, now);
            return Err(misbehaviour);
        }
        let (mut waiting, since) = tip.map_or((Vec::new(), now), |tip| (tip.blocks, tip.since));
        let certified = blocks.iter().rposition(|block| !block.finalization.is_empty());
        let Some(last) = certified else {
            waiting.append(&mut blocks);
            self.tip = Some(Tip { peer: from, blocks: waiting, since });
            return Ok(Vec::new());
        };
        let above = blocks.split_off(last + 1);
        self.tip = (!above.is_empty()).then_some(Tip { peer: from, blocks: above, since: now });
        waiting.append(&mut blocks);
        Ok(waiting)
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
