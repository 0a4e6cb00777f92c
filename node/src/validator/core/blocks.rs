//! Proposing, judging and finalizing blocks, and handing them to execution.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use consensus::{Payload, Reply};
use engine::availability::Event;
use engine::order::{FinalizeError, Finalized, Insert, Judgement, Proposal, ProposeError};
use engine::types::{BatchId, Digest, Height};
use engine::wire::{Block, Certificate, PeerMessage};

use super::{Core, Proposing, RECENT_BLOCKS};
use crate::validator::clock::Clock;
use crate::validator::counters::Counters;
use crate::validator::executor::{Job, OwnBatch, Work};
use crate::validator::fatal::fatal;

/// A leader with nothing to order proposes an empty block after this long, so that the roots of the last blocks are
/// carried and everybody sees that the network lives.
const IDLE_INTERVAL: Duration = Duration::from_millis(500);

impl Core {
    pub(super) fn propose(&mut self, proposal: Proposal, reply: Reply<Payload>) {
        self.proposing = Some(Proposing { proposal, reply, since: self.wiring.clock.now() });
    }

    /// When the open question for a block must be looked at again.
    pub(super) fn propose_deadline(&self) -> Option<Duration> {
        let proposing = self.proposing.as_ref()?;
        let due = self.last_block + self.wiring.work.block_interval;
        let idle = proposing.since + IDLE_INTERVAL;
        let now = self.wiring.clock.now();
        Some(if now < due { due } else { idle })
    }

    pub(super) fn propose_if_due(&mut self, now: Duration) {
        let Some(proposing) = &self.proposing else { return };
        if proposing.reply.is_abandoned() {
            self.proposing = None;
            return;
        }
        let idle = now >= proposing.since + IDLE_INTERVAL;
        if now < self.last_block + self.wiring.work.block_interval && !idle {
            return;
        }
        let available = |batch: &BatchId| self.availability.available(batch);
        let built = self.tree.propose(&proposing.proposal, Clock::unix_ms(), &self.wiring.streams, available);
        match built {
            Ok(block) if block.certificates().is_empty() && !idle => {}
            Ok(block) => {
                let digest = *block.digest();
                Counters::add(&self.wiring.counters.blocks_proposed, 1);
                self.insert(block);
                self.proposing.take().expect("looked at above").reply.send(digest.0);
            }
            // Both end by themselves, or the view times out and another leader is asked.
            Err(ProposeError::Unknown(_) | ProposeError::Behind(_)) => {}
        }
    }

    pub(super) fn judge(&mut self, proposal: Proposal, digest: Digest, reply: Reply<bool>) {
        self.judging.push((proposal, digest, reply));
        self.judge_all();
    }

    /// Looks again at every proposal that waits for something.
    pub(super) fn judge_all(&mut self) {
        for (proposal, digest, reply) in std::mem::take(&mut self.judging) {
            if reply.is_abandoned() {
                continue;
            }
            let valid = |certificate: &Certificate| self.availability.check(certificate);
            match self.tree.judge(&digest, &proposal, valid) {
                Judgement::Valid => reply.send(true),
                Judgement::Wait(_) => self.judging.push((proposal, digest, reply)),
                Judgement::Invalid(flaw) => {
                    Counters::add(&self.wiring.counters.proposals_refused, 1);
                    tracing::warn!(leader = proposal.leader.0, view = proposal.view, %flaw, "a proposal is refused");
                    reply.send(false);
                }
            }
        }
    }

    pub(super) fn relay(&mut self, digest: &Digest) {
        if let Some(block) = self.tree.block(digest) {
            self.broadcast(&PeerMessage::BlockBody(block.clone()));
        }
    }

    /// Takes in a block body, and does whatever it makes possible.
    pub(super) fn insert(&mut self, block: Block) {
        if self.tree.insert(block) == Insert::Added {
            self.last_block = self.wiring.clock.now();
            let drained = self.tree.drain();
            self.take_finalized(drained);
            self.judge_all();
        }
    }

    pub(super) fn finalize(&mut self, certificate: &[u8]) {
        let finalized = self.tree.finalize(certificate, &self.wiring.certificates);
        self.take_finalized(finalized);
    }

    fn take_finalized(&mut self, finalized: Result<Vec<Finalized<Block>>, FinalizeError>) {
        match finalized {
            Ok(blocks) => {
                let now_us = self.wiring.clock.now_us();
                self.finalized.extend(blocks.into_iter().map(|block| (block, now_us)));
                self.wiring.counters.finalized.store(self.tree.head().height.0, Relaxed);
                self.dispatch();
            }
            Err(FinalizeError::Full) => {
                tracing::warn!("far behind: finalizations are dropped until it has caught up")
            }
            Err(FinalizeError::Certificate) => {
                tracing::warn!("a finalization certificate is not valid and is ignored")
            }
            Err(error @ FinalizeError::Fork { .. }) => fatal(format!(
                "{error}. More than a third of the validators are faulty, or this validator's disk was exchanged; do not \
                 restart it before its operator has compared its last blocks with the other validators'"
            )),
        }
    }

    /// Hands finalized blocks to the executor, in order, as far as every body is here; asks for those that are not.
    pub(super) fn dispatch(&mut self) {
        while let Some((block, _)) = self.finalized.front() {
            let certificates = block.value().certificates().iter();
            let missing: Vec<_> = certificates
                .filter(|c| self.availability.body(&c.batch(), c.digest()).is_none())
                .cloned()
                .collect();
            if !missing.is_empty() {
                missing.into_iter().for_each(|certificate| self.availability(Event::Needed(certificate)));
                return;
            }
            let (block, finalized_us) = self.finalized.pop_front().expect("looked at above");
            self.execute(block, finalized_us);
        }
    }

    fn execute(&mut self, block: Finalized<Block>, finalized_us: u64) {
        let certificates = block.value().certificates();
        let mut batches = Vec::with_capacity(certificates.len());
        let mut own = Vec::new();
        for (place, certificate) in certificates.iter().enumerate() {
            let id = certificate.batch();
            let body = self.availability.body(&id, certificate.digest()).expect("dispatch has looked");
            batches.push(body.clone());
            if let Some(waiting) = self.own.remove(&id) {
                own.push(OwnBatch { place, origins: waiting.origins, available_us: waiting.available_us });
            }
        }
        for certificate in certificates {
            self.availability(Event::Ordered(certificate.batch()));
        }
        self.recent.push_back((*block.value().digest(), block.value().height()));
        if self.recent.len() > RECENT_BLOCKS {
            self.recent.pop_front();
        }
        // An executor that is gone is stopping.
        let _stopping =
            self.wiring.executor.send(Work::Block(Box::new(Job { block, batches, own, finalized_us })));
    }

    pub(super) fn block_executed(&mut self, height: Height, root: Digest) {
        self.executed = height;
        self.tree.executed(height, root);
        self.judge_all();
    }
}
