//! What peers ask and answer.

use std::time::Duration;

use engine::availability::Event;
use engine::sync::Progress;
use engine::types::{Digest, ValidatorIndex};
use engine::wire::{Block, FinalizedBlock, PeerMessage};

use super::{Core, STATUS_EVERY};
use crate::validator::counters::Counters;
use crate::validator::server::Request;

impl Core {
    pub(super) fn connected(&mut self, peer: ValidatorIndex) {
        tracing::info!(peer = peer.0, "peer connected");
        self.sync.connected(peer);
        self.send(peer, &self.status());
        self.availability(Event::Connected(peer));
    }

    pub(super) fn peer_message(&mut self, from: ValidatorIndex, message: PeerMessage) {
        match message {
            PeerMessage::Acknowledgement(acknowledgement) => {
                self.acknowledgements.push((from, acknowledgement))
            }
            PeerMessage::Certificate(certificate) => self.certificates.push((from, certificate)),
            PeerMessage::BlockBody(block) => self.block_body(from, block),
            PeerMessage::BlocksReply(blocks) => self.blocks_reply(from, blocks),
            PeerMessage::Status { committed, .. } => {
                if let Err(misbehaviour) = self.sync.status(from, committed) {
                    self.misbehaviour(from, &misbehaviour.to_string());
                }
            }
            PeerMessage::FetchBlock { digest } => self.fetch_block(from, &digest),
            PeerMessage::FetchBlocks { from: first, max } => {
                self.serve(Request::Blocks { to: from, from: first, max, committed: self.committed });
            }
            PeerMessage::FetchBatch { batch, digest } => {
                self.serve(Request::Batch { to: from, batch, digest })
            }
            // With a body it goes to a verifier; without, the next signer is asked when the time is up.
            PeerMessage::BatchReply { .. } | PeerMessage::Batch(_) => {}
        }
    }

    /// Has the signatures checked that have come in since the last time.
    pub(super) fn weigh(&mut self) {
        if !self.acknowledgements.is_empty() {
            let shown = std::mem::take(&mut self.acknowledgements);
            self.availability(Event::Acknowledged(shown));
        }
        if !self.certificates.is_empty() {
            let shown = std::mem::take(&mut self.certificates);
            self.availability(Event::Certified(shown));
        }
    }

    /// A body is taken from its proposer, or from whoever was asked for it.
    fn block_body(&mut self, from: ValidatorIndex, block: Block) {
        let wanted = self.tree.missing() == Some(*block.digest());
        if wanted {
            self.sync.block_arrived(block.digest());
        }
        if wanted || block.header().proposer == from {
            self.insert(block);
        }
    }

    fn blocks_reply(&mut self, from: ValidatorIndex, blocks: Vec<FinalizedBlock>) {
        match self.sync.reply(from, blocks, &self.progress()) {
            Ok(blocks) => {
                for FinalizedBlock { block, finalization } in blocks {
                    self.insert(block);
                    if !finalization.is_empty() {
                        self.finalize(&finalization);
                    }
                }
                self.poll_sync(self.wiring.clock.now());
            }
            Err(misbehaviour) => self.misbehaviour(from, &misbehaviour.to_string()),
        }
    }

    fn misbehaviour(&self, peer: ValidatorIndex, what: &str) {
        Counters::add(&self.wiring.counters.peer_messages_refused, 1);
        tracing::warn!(peer = peer.0, what, "a peer is not asked for blocks any more until it reconnects");
    }

    fn fetch_block(&self, to: ValidatorIndex, digest: &Digest) {
        if let Some(block) = self.tree.block(digest) {
            self.send(to, &PeerMessage::BlockBody(block.clone()));
            return;
        }
        let finalized = self.finalized.iter().find(|(block, _)| block.value().digest() == digest);
        if let Some((block, _)) = finalized {
            self.send(to, &PeerMessage::BlockBody(block.value().clone()));
            return;
        }
        if let Some((_, height)) = self.recent.iter().rev().find(|(recent, _)| recent == digest) {
            self.serve(Request::Block { to, height: *height });
        }
    }

    /// A server with too much to do drops the request; the peer asks somebody else when its time is up.
    fn serve(&self, request: Request) {
        if self.wiring.server.try_send(request).is_err() {
            tracing::debug!("a peer's request is dropped: too many are waiting");
        }
    }

    fn progress(&self) -> Progress {
        let head = self.tree.head();
        Progress {
            head: head.height,
            digest: head.digest,
            executed: self.executed,
            missing: self.tree.missing(),
        }
    }

    pub(super) fn poll_sync(&mut self, now: Duration) {
        for (peer, message) in self.sync.poll(&self.progress(), now) {
            self.send(peer, &message);
        }
    }

    fn status(&self) -> PeerMessage {
        PeerMessage::Status { finalized: self.tree.head().height, committed: self.committed }
    }

    pub(super) fn tell_status(&mut self, now: Duration) {
        let (last, told) = self.last_status;
        if now >= last + STATUS_EVERY && told != self.committed {
            self.last_status = (now, self.committed);
            self.broadcast(&self.status());
        }
    }
}
