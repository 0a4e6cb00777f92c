//! What peers ask and answer.

use std::time::Duration;

use super::state::Told;
use super::{Halt, Now, Observation, Offence, Ports, Read, Replica, To, Work};
use crate::availability::Wanted;
use crate::limits::{BATCH_BYTES_MAX, BODIES_REPLY_HEIGHTS_MAX, FETCH_REPLY_BYTES_MAX};
use crate::order::Finality;
use crate::sync::Progress;
use crate::types::{Digest, Head, Sequence, ValidatorIndex};
use crate::wire::{Block, FinalizedBlock, PeerMessage, PeerVersion};

/// How often peers are told where this validator stands, at most.
const STATUS_EVERY: Duration = Duration::from_millis(500);
/// How often those that follow are told, at most: nobody proposes anything to them, so this is how they hear of blocks.
const OBSERVERS_TOLD_EVERY: Duration = Duration::from_millis(25);
/// Bytes of batches that one peer is sent in a second when it asks for them.
const SERVED_BYTES_MAX: usize = 64 << 20;
/// What looking for a block or a batch costs of that, found or not.
pub(super) const SEARCH_BYTES: usize = 16 << 10;
/// What the batches of one height cost of it, about.
const BODIES_BYTES: usize = 64 << 10;
/// How many views ahead of this validator's own a proposed block may be.
const VIEWS_AHEAD: u64 = 64;

impl Replica {
    pub(super) fn connect(
        &mut self,
        peer: ValidatorIndex,
        version: PeerVersion,
        now: Now,
        ports: &mut impl Ports,
    ) {
        if self.is_observer(peer) {
            self.observers.insert(peer);
            self.epochs_of[usize::from(peer.0)] = None;
            ports.send(To::One(peer), &self.status(Head::NONE, ports));
            return;
        }
        if usize::from(peer.0) >= self.heard || (peer == self.settings.me && !self.is_follower()) {
            return;
        }
        self.connected.insert(peer);
        self.sync.connected(peer, version);
        self.states.connected(peer);
        // Nothing is pushed before the peer has said what it holds.
        self.epochs_of[usize::from(peer.0)] = None;
        let push = &mut self.pushes[usize::from(peer.0)];
        (push.heard, push.progress) = (false, now.monotonic);
        ports.send(To::One(peer), &self.status(self.yours(peer), ports));
        if !self.is_follower() {
            ports.send(To::One(peer), &self.held());
        }
        if let Some(hearing) = &mut self.hearing {
            hearing.connected(peer);
        }
    }

    pub(super) fn disconnect(&mut self, peer: ValidatorIndex) {
        self.connected.remove(&peer);
        self.observers.remove(&peer);
        self.sync.disconnected(peer);
        self.states.disconnected(peer);
    }

    pub(super) fn message(
        &mut self,
        from: ValidatorIndex,
        message: PeerMessage,
        now: Now,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        if usize::from(from.0) >= self.heard && !self.is_for_observers(from, &message) {
            return Ok(());
        }
        match message {
            PeerMessage::Batch(bytes) => self.batch_arrived(from, bytes, now, ports)?,
            PeerMessage::Holding(heads) if self.is_in_this_epoch(from) && !self.is_follower() => {
                self.holding(from, &heads, now, ports);
            }
            PeerMessage::Holding(_) => {}
            PeerMessage::Overloaded if self.is_outdated() => {}
            PeerMessage::Overloaded => self.pace.overloaded(usize::from(from.0), now.monotonic),
            PeerMessage::Block(block) => self.block_arrived(from, block, now, ports)?,
            PeerMessage::BlocksReply(blocks) => self.blocks_reply(from, blocks, now, ports)?,
            PeerMessage::Status { epoch, committed, kept_from, view, yours, .. } => {
                self.epochs_of[usize::from(from.0)] = Some(epoch);
                if self.is_observer(from) {
                    return Ok(());
                }
                self.sync.beyond(from, epoch > self.epoch);
                if self.sync.status(from, (committed, kept_from), now.monotonic).is_err() {
                    self.offence(from, Offence::FalseSync, ports);
                }
                // Views and streams begin anew in each epoch.
                if epoch != self.epoch {
                    return Ok(());
                }
                self.rejoin_told(from, view);
                if let Some(learning) = &mut self.learning {
                    learning.told(from, yours);
                }
                if let Some(hearing) = &mut self.hearing {
                    hearing.told(from, yours);
                }
                if self.is_follower() {
                    self.poll_sync(now, ports);
                }
            }
            PeerMessage::FetchLastVote => {
                // Votes of an epoch are remembered by the numbers of its validators.
                if !self.is_outdated() && self.may_serve(from, SEARCH_BYTES, now) {
                    ports.send(To::One(from), &PeerMessage::LastVote(ports.last_vote(from)));
                }
            }
            PeerMessage::LastVote(vote) => self.vote_shown(from, &vote, ports)?,
            PeerMessage::FetchBlock { digest } => self.serve_block(from, &digest, now, ports),
            PeerMessage::FetchBlocks { from: first, max } => {
                let read = Read::Blocks { from: first, max, committed: self.committed };
                ports.hand_on(Work::Read(from, read));
            }
            PeerMessage::FetchBodies { from: first, heights } => {
                let heights = heights.min(BODIES_REPLY_HEIGHTS_MAX as u32);
                if self.may_serve(from, SEARCH_BYTES + heights as usize * BODIES_BYTES, now) {
                    let read = Read::Bodies { from: first, heights, committed: self.committed };
                    ports.hand_on(Work::Read(from, read));
                }
            }
            PeerMessage::FetchBatches { author, above, head } => {
                self.serve_batches(from, author, above, head, now, ports);
            }
            PeerMessage::FetchStored { height, place } => {
                if self.may_serve(from, BATCH_BYTES_MAX, now) {
                    ports.hand_on(Work::Read(from, Read::Stored { height, place }));
                }
            }
            // The host takes the answers to its own questions before they come here.
            PeerMessage::Stored { .. } | PeerMessage::Verifies { .. } => {}
            PeerMessage::FetchStates
            | PeerMessage::FetchChunkList { .. }
            | PeerMessage::FetchChunk { .. }
            | PeerMessage::States(_)
            | PeerMessage::ChunkList { .. }
            | PeerMessage::Chunk { .. } => self.state_message(from, message, now, ports),
        }
        Ok(())
    }

    /// Whether a peer is no validator and may follow.
    fn is_observer(&self, peer: ValidatorIndex) -> bool {
        let validators = self.validators();
        (validators..validators + self.settings.observers).contains(&usize::from(peer.0))
            && !self.is_follower()
    }

    /// Whether an observer may say it: where it is, and what it wants to have.
    fn is_for_observers(&self, from: ValidatorIndex, message: &PeerMessage) -> bool {
        let may = matches!(
            message,
            PeerMessage::Status { .. }
                | PeerMessage::FetchBlock { .. }
                | PeerMessage::FetchBlocks { .. }
                | PeerMessage::FetchBodies { .. }
                | PeerMessage::FetchBatches { .. }
                | PeerMessage::FetchStored { .. }
                | PeerMessage::FetchStates
                | PeerMessage::FetchChunkList { .. }
                | PeerMessage::FetchChunk { .. }
        );
        may && self.is_observer(from)
    }

    /// A block is taken from its proposer, for views that may still come, or from anybody who was asked for it.
    fn block_arrived(
        &mut self,
        from: ValidatorIndex,
        block: Block,
        now: Now,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        if block.header().epoch != self.epoch {
            return Ok(());
        }
        if block.cut().len() != self.validators() {
            self.offence(from, Offence::Malformed, ports);
            return Ok(());
        }
        let asked = self.fetches.wanted(block.digest()) == Some(Wanted::Block);
        let header = block.header();
        let old = header.height <= self.tree.head().height || self.tree.block(block.digest()).is_some();
        if !asked {
            if old {
                return Ok(());
            }
            if header.proposer != from {
                // The last block of an epoch is proposed again by each leader until it is final.
                if block.next_members().is_none() && !self.may_be_late_answer(from, now) {
                    self.offence(from, Offence::Unwanted, ports);
                }
                return Ok(());
            }
            if header.view <= self.tree.head().view {
                return Ok(());
            }
        }
        // A block of no view that may still come answers no question, also where its digest was asked for.
        if header.view > self.view.saturating_add(VIEWS_AHEAD) {
            self.fetches.arrived(block.digest());
            return Ok(());
        }
        self.insert_block(block, asked, now, ports)
    }

    fn blocks_reply(
        &mut self,
        from: ValidatorIndex,
        blocks: Vec<FinalizedBlock>,
        now: Now,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        // Who gives blocks stops at the end of an epoch: what follows is for its validators.
        let is_foreign =
            |block: &Block| block.header().epoch != self.epoch || block.cut().len() != self.validators();
        if blocks.iter().any(|block| is_foreign(&block.block)) {
            self.sync.distrust(from, now.monotonic);
            self.offence(from, Offence::Malformed, ports);
            return Ok(());
        }
        let Ok(blocks) = self.sync.reply(from, blocks, &self.progress(), now.monotonic) else {
            self.offence(from, Offence::FalseSync, ports);
            return Ok(());
        };
        let Some(last) = blocks.last() else {
            self.poll_sync(now, ports);
            return Ok(());
        };
        // A certificate makes everything below it final, so only the last one is checked.
        let finality = self.certificates.verify(&last.finalization);
        let is_of_it = |of: &Finality| of.epoch() == self.epoch && of.digest() == last.block.digest();
        let Some(finality) = finality.filter(is_of_it) else {
            self.sync.distrust(from, now.monotonic);
            self.offence(from, Offence::FalseSync, ports);
            return Ok(());
        };
        self.sync.certified(from, last.block.height());
        for FinalizedBlock { block, .. } in blocks {
            self.tree.insert(block, true);
        }
        self.finalize(finality, now, ports)?;
        self.poll_sync(now, ports);
        Ok(())
    }

    fn serve_block(&mut self, to: ValidatorIndex, digest: &Digest, now: Now, ports: &mut impl Ports) {
        if !self.may_serve(to, SEARCH_BYTES, now) {
            return;
        }
        let finalized = || {
            let waiting = self.finalized.iter().map(|(block, _)| block.value());
            waiting.into_iter().find(|block| block.digest() == digest)
        };
        if let Some(block) = self.tree.block(digest).or_else(finalized) {
            ports.send(To::One(to), &PeerMessage::Block(block.clone()));
        } else if let Some(height) = self.recent_height(digest) {
            ports.hand_on(Work::Read(to, Read::Block(height)));
        }
    }

    /// The batches that are in memory, the last one first; what is executed is read from the journal.
    fn serve_batches(
        &mut self,
        to: ValidatorIndex,
        author: ValidatorIndex,
        above: Sequence,
        head: Head,
        now: Now,
        ports: &mut impl Ports,
    ) {
        if !self.may_serve(to, SEARCH_BYTES, now) {
            return;
        }
        let epoch = self.epochs_of[usize::from(to.0)].unwrap_or(self.epoch);
        if epoch != self.epoch {
            // One that is behind needs what an earlier epoch has ordered; of a later one nothing is here.
            if let Some(heights) = self.epochs.heights(epoch) {
                ports.hand_on(Work::Read(to, Read::Batches { author, above, head, heights }));
            }
            return;
        }
        let Some(stream) = self.streams.get(usize::from(author.0)) else {
            return self.offence(to, Offence::Malformed, ports);
        };
        // To its author alone goes also what waits for its height: anybody else holds the sender of a batch to its
        // signatures, and nobody here has checked them yet.
        let early = |digest: &Digest| {
            let waiting = self.early[usize::from(author.0)].get(digest).filter(|_| to == author);
            waiting.map(|early| &early.batch)
        };
        let held = |digest: &Digest| stream.batch(digest).map(|batch| &**batch).or_else(|| early(digest));
        let (mut at, mut bytes) = (head, 0);
        while at.sequence > above
            && let Some(batch) = held(&at.digest)
        {
            bytes += batch.bytes().len();
            if bytes > FETCH_REPLY_BYTES_MAX && at != head {
                return;
            }
            ports.send(To::One(to), &PeerMessage::Batch(batch.bytes().clone()));
            at = batch.previous();
        }
        self.served[usize::from(to.0)].1 += bytes;
        if at.sequence > above && at.sequence <= stream.cut().sequence {
            let heights = (self.epochs.root().0, self.committed);
            ports.hand_on(Work::Read(to, Read::Batches { author, above, head: at, heights }));
        }
    }

    /// Whether a peer has not had more than its share of this second yet; what it asks for now takes `bytes` of it.
    pub(super) fn may_serve(&mut self, peer: ValidatorIndex, bytes: usize, now: Now) -> bool {
        let (since, served) = &mut self.served[usize::from(peer.0)];
        if now.monotonic >= *since + Duration::from_secs(1) {
            (*since, *served) = (now.monotonic, 0);
        }
        let may = *served < SERVED_BYTES_MAX;
        *served += bytes;
        may
    }

    fn progress(&self) -> Progress {
        let head = self.tree.head();
        Progress { head: head.height, digest: head.digest, executed: self.executed }
    }

    pub(super) fn poll_sync(&mut self, now: Now, ports: &mut impl Ports) {
        // What follows is asked for in the next epoch.
        if self.tree.head().ends_epoch {
            return;
        }
        if let Some((peer, message)) = self.sync.poll(&self.progress(), now.monotonic) {
            ports.send(To::One(peer), &message);
        }
    }

    /// Where this validator stands, for a peer of whose stream `yours` has come here.
    fn status(&self, yours: Head, ports: &impl Ports) -> PeerMessage {
        let (finalized, committed) = (self.tree.head().height, self.committed);
        let (kept_from, view) = (ports.kept_from(), self.view.max(ports.view()));
        PeerMessage::Status { epoch: self.epoch, finalized, committed, kept_from, view, yours }
    }

    /// How far a peer's stream has come here.
    fn yours(&self, peer: ValidatorIndex) -> Head {
        if self.is_outdated() { Head::NONE } else { self.received(peer) }
    }

    /// Whether a peer speaks of this validator's own epoch: it has said so since it connected. What it tells all others
    /// may come before that.
    fn is_in_this_epoch(&self, peer: ValidatorIndex) -> bool {
        self.epochs_of[usize::from(peer.0)] == Some(self.epoch)
    }

    /// Messages may be lost, so what peers need to know is also said again when nothing has changed.
    pub(super) fn tell_status(&mut self, now: Now, ports: &mut impl Ports) {
        let (last, told) = self.last_status;
        let patience = if told == self.committed { 2 * STATUS_EVERY } else { STATUS_EVERY };
        if now.monotonic >= last + patience {
            self.last_status = (now.monotonic, self.committed);
            self.holding = Told::Nobody;
            self.tell_states(ports);
            let height = self.tree.head().height.next();
            if let Some(kept_from) = self.sync.below_retention(height) {
                let skips_blocks = self.settings.skips_blocks;
                ports.observe(Observation::BelowRetention { height, kept_from, skips_blocks });
            }
            for peer in &self.connected {
                ports.send(To::One(*peer), &self.status(self.yours(*peer), ports));
            }
            self.tell_observers(now, ports);
        }
    }

    /// Those that follow hear of a committed height soon.
    pub(super) fn tell_observers(&mut self, now: Now, ports: &mut impl Ports) {
        if self.observers.is_empty() || now.monotonic < self.last_told_observers + OBSERVERS_TOLD_EVERY {
            return;
        }
        self.last_told_observers = now.monotonic;
        let to = To::Some(self.observers.iter().copied().collect());
        ports.send(to, &self.status(Head::NONE, ports));
    }
}
