//! Proposing, judging, certifying and finalizing blocks, and handing them to execution.
//!
//! ```text
//!   Propose ─▶ cut of what a quorum holds ─▶ answer ─▶ Relay ─▶ block to all
//!   Verify  ─▶ header right and every body here ─▶ yes      wrong for good ─▶ no      too late ─▶ no answer     (R7)
//!   Certify ─▶ block, unfinalized ancestors and all their bodies durable here ─▶ yes, and nothing else            (R9)
//!   Finalized ─▶ in the order of heights, with bodies ─▶ committer
//! ```
//!
//! So a finalization proves that f+1 honest validators have everything on disk: whatever is missing can be fetched,
//! also after all of them have lost power at once.

use std::time::Duration;

use super::fetching::PATIENCE;
use super::recovery::bytes_of;
use super::state::{Certifying, Judging, Own, Proposing, Unstable};
use super::{
    Answer, CheckpointDue, Halt, Job, KIND_BATCH, KIND_BLOCK, Now, Observation, OwnBatch, Ports, QuestionId,
    Replica, Stage, To, Work,
};
use crate::availability::{Gap, Stream};
use crate::limits::ROOT_LAG_MAX;
use crate::order::{Finality, FinalizeError, Finalized, Insert, Judgement, Position, Proposal, Wait};
use crate::store::Position as LogPosition;
use crate::types::{Digest, Head, Height, Refusal, ValidatorIndex};
use crate::wire::{Block, PeerMessage};

/// How many executed blocks are found by their digest, for peers that miss one.
const RECENT_BLOCKS: usize = 1_024;
/// R8: what one view that was lost for an author's late bodies counts, what each finalized block takes off, and from
/// when on the author is taken only when a quorum of others holds its batches.
const LATE_VIEW: u32 = 4;
const LATE_LIMIT: u32 = 2 * LATE_VIEW;
const LATE_MAX: u32 = 64 * LATE_VIEW;
/// Bytes of old batches that are written again at one height, and one batch more.
const REWRITTEN_BYTES_MAX: usize = 256 << 10;
/// Bodies that are awaited at a time after they came too late for a view.
const AWAITED_MAX: usize = 256;
/// Finalized blocks that may wait for bodies; further ones are fetched again later.
const UNDISPATCHED_MAX: usize = 1_024;
/// Blocks whose way to finality is timed at once.
const STARTED_MAX: usize = 64;
/// A view that took longer says nothing of the usual ones.
const VIEW_TIME_MAX: Duration = Duration::from_millis(200);
/// The shortest time that a leader gives the authors that are nearly ready.
const GATHER_MIN: Duration = Duration::from_millis(1);

impl Replica {
    pub(super) fn propose(&mut self, question: QuestionId, proposal: Proposal, now: Now) {
        self.view = self.view.max(proposal.view);
        self.ready_changed = true;
        self.proposing = Some(Proposing { question, proposal, since: now.monotonic, ready: None });
    }

    /// When the open question for a block must be looked at again.
    pub(super) fn propose_deadline(&self) -> Option<Duration> {
        let proposing = self.proposing.as_ref()?;
        // Without the parent no time helps: an event must.
        self.tree.position(&proposing.proposal.parent).ok()?;
        let idle = proposing.since + self.settings.idle_interval;
        let ready = proposing.ready.map(|ready| (ready + self.gather()).max(self.pace()));
        Some(ready.map_or(idle, |ready| ready.min(idle)))
    }

    /// How long a leader waits, from the first author that is ready, for those that are nearly so.
    fn gather(&self) -> Duration {
        (self.view_time / 2).max(GATHER_MIN)
    }

    /// When the next block that takes batches may follow the last one: a view is followed by as long a rest as it took,
    /// so that where views are slow they are fewer and each takes more.
    fn pace(&self) -> Duration {
        self.last_block + self.settings.view_interval.max(self.view_time)
    }

    pub(super) fn propose_if_due(&mut self, now: Now, ports: &mut impl Ports) -> Result<(), Halt> {
        let Some(proposing) = &self.proposing else { return Ok(()) };
        let (question, proposal) = (proposing.question, proposing.proposal);
        let (since, ready) = (proposing.since, proposing.ready);
        if !ports.is_open(question) {
            self.proposing = None;
            return Ok(());
        }
        let Ok(parent) = self.tree.position(&proposal.parent) else {
            // A leader that knows to be behind does not keep the others waiting.
            if self.behind().is_some() {
                self.proposing = None;
                ports.answer(question, Answer::Decline);
            } else {
                self.want_block(proposal.parent, Vec::new(), PATIENCE, now);
            }
            return Ok(());
        };
        if parent.ends_epoch {
            // Until it is final it is proposed again, and nothing else.
            self.proposing = None;
            ports.answer(question, Answer::Propose(parent.digest));
            return Ok(());
        }
        let idle = now.monotonic >= since + self.settings.idle_interval;
        if !idle && now.monotonic < self.pace() {
            // Looked at again then; until then what is ready need not be counted.
            if let Some(proposing) = &mut self.proposing {
                proposing.ready = Some(ready.unwrap_or(now.monotonic));
            }
            return Ok(());
        }
        // Counting heads walks every stream: only when something has changed, or when time has.
        let due = self.propose_deadline().is_some_and(|deadline| now.monotonic >= deadline);
        if !std::mem::take(&mut self.ready_changed) && !due && !idle {
            return Ok(());
        }
        let heads = self.ready_heads(&parent);
        // Money between chains does not wait for transactions: the next height executes it, if only with an empty cut.
        // What the parent sends is known when the parent is executed here.
        let any = (self.in_flight && parent.height == self.executed)
            || heads.iter().zip(&parent.cut).any(|(ready, from)| ready.sequence > from.sequence);
        if !any && !idle {
            if let Some(proposing) = &mut self.proposing {
                proposing.ready = None;
            }
            return Ok(());
        }
        let first = ready.unwrap_or(now.monotonic);
        if let Some(proposing) = &mut self.proposing {
            proposing.ready = Some(first);
        }
        let streams = self.streams.iter().zip(&heads);
        let nearly = streams.filter(|(stream, ready)| stream.extends(ready)).count();
        if nearly > 0 && !idle && now.monotonic < first + self.gather() {
            return Ok(());
        }
        self.proposing = None;
        let head = |author: ValidatorIndex, _: &Position| heads[usize::from(author.0)];
        let Ok(block) = self.tree.propose(&proposal, now.unix_ms, &self.streams, head) else { return Ok(()) };
        let digest = *block.digest();
        ports.observe(Observation::Proposed);
        self.insert_block(block, true, now, ports)?;
        self.journal_block(&digest, ports)?;
        ports.answer(question, Answer::Propose(digest));
        Ok(())
    }

    /// For each author the head up to which a leader may take its stream (R2, R8). Of the others of a late author there
    /// must be as many as there are when f of them are silent: f+1 of these are honest where a quorum would be n-f.
    fn ready_heads(&mut self, parent: &Position) -> Vec<Head> {
        let (quorum, me) = (self.quorum, self.settings.me);
        let others = quorum.min(self.validators().saturating_sub(1 + self.faulty));
        let late = &self.late;
        let streams = self.streams.iter_mut().enumerate();
        streams
            .map(|(author, stream)| match late[author] >= LATE_LIMIT {
                true => {
                    stream.quorum_head(&parent.cut[author], others, me, Some(ValidatorIndex(author as u16)))
                }
                false => stream.quorum_head(&parent.cut[author], quorum, me, None),
            })
            .collect()
    }

    pub(super) fn relay(&mut self, digest: &Digest, ports: &mut impl Ports) {
        if let Some(block) = self.tree.block(digest) {
            ports.send(To::All, &PeerMessage::Block(block.clone()));
        }
    }

    pub(super) fn verify(
        &mut self,
        question: QuestionId,
        proposal: Proposal,
        digest: Digest,
        now: Now,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        self.view = self.view.max(proposal.view);
        self.judging.push(Judging { question, proposal, digest, since: now.monotonic });
        self.reconsider(now, ports)
    }

    pub(super) fn certify(
        &mut self,
        question: QuestionId,
        view: u64,
        digest: Digest,
        now: Now,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        self.view = self.view.max(view);
        self.certifying.push(Certifying { question, digest });
        self.reconsider_certifying(now, ports)
    }

    /// Looks again at every question that waits for something.
    pub(super) fn reconsider(&mut self, now: Now, ports: &mut impl Ports) -> Result<(), Halt> {
        for judging in std::mem::take(&mut self.judging) {
            if !ports.is_open(judging.question) {
                continue;
            }
            let Judging { question, proposal, digest, .. } = judging;
            match self.tree.judge(&digest, &proposal, &self.streams, now.unix_ms) {
                Judgement::Valid => {
                    self.journal_block(&digest, ports)?;
                    ports.answer(question, Answer::Vote(true));
                }
                Judgement::Invalid(flaw) => {
                    let (leader, view) = (proposal.leader, proposal.view);
                    ports.observe(Observation::ProposalRefused { leader, view, flaw: flaw.to_string() });
                    if !self.journaled.contains_key(&digest) {
                        self.tree.remove(&digest);
                    }
                    ports.answer(question, Answer::Vote(false));
                }
                Judgement::Wait(wait) => {
                    match wait {
                        Wait::Block(_) if self.finalized.len() >= UNDISPATCHED_MAX => {}
                        Wait::Block(missing) => {
                            self.want_block(missing, vec![proposal.leader], PATIENCE, now);
                        }
                        Wait::Batches(_) if self.is_far_behind() => {}
                        Wait::Batches(missing) => {
                            for (author, head) in missing {
                                self.want_batch(author, head, false, vec![proposal.leader], PATIENCE, now);
                            }
                        }
                        Wait::Executed(_) | Wait::Time => {}
                    }
                    self.judging.push(judging);
                }
            }
        }
        self.reconsider_certifying(now, ports)
    }

    pub(super) fn judge_deadline(&self) -> Option<Duration> {
        self.judging.iter().map(|judging| judging.since + self.settings.verify_patience).min()
    }

    /// R7: a reply that is too late is not given, and fetching goes on; consensus may still certify the block.
    pub(super) fn give_up_judging(&mut self, now: Now, ports: &mut impl Ports) {
        let patience = self.settings.verify_patience;
        let is_late = |judging: &mut Judging| now.monotonic >= judging.since + patience;
        for judging in self.judging.extract_if(.., is_late).collect::<Vec<_>>() {
            let waits = self.tree.judge(&judging.digest, &judging.proposal, &self.streams, now.unix_ms);
            if let Judgement::Wait(Wait::Batches(missing)) = waits {
                for (author, head) in missing {
                    if self.awaited.len() < AWAITED_MAX {
                        self.awaited.insert(head.digest, author);
                    }
                }
            }
            ports.answer(judging.question, Answer::Decline);
        }
    }

    /// R8: a body that a view was lost for has come. One that never comes counts against nobody: a leader may have
    /// named a batch that does not exist.
    pub(super) fn count_late(&mut self, author: ValidatorIndex, digest: &Digest) {
        if self.awaited.remove(digest) == Some(author) {
            let late = &mut self.late[usize::from(author.0)];
            *late = (*late + LATE_VIEW).min(LATE_MAX);
        }
    }

    pub(super) fn reconsider_certifying(&mut self, now: Now, ports: &mut impl Ports) -> Result<(), Halt> {
        for certifying in std::mem::take(&mut self.certifying) {
            if !ports.is_open(certifying.question) {
                continue;
            }
            if self.is_certifiable(&certifying.digest, now, ports)? {
                ports.answer(certifying.question, Answer::Vote(true));
            } else {
                self.certifying.push(certifying);
            }
        }
        Ok(())
    }

    /// R9: whether a block, its unfinalized ancestors and all bodies of their cuts are durable here. What is missing is
    /// asked for, final or not.
    fn is_certifiable(&mut self, digest: &Digest, now: Now, ports: &mut impl Ports) -> Result<bool, Halt> {
        if *digest == self.tree.head().digest || self.recent_height(digest).is_some() {
            // Final already: catch-up was faster than the view.
            return Ok(true);
        }
        let branch: Vec<Digest> = match self.tree.branch(digest) {
            Ok(branch) => branch.into_iter().map(|block| *block.digest()).collect(),
            // Where no more finalizations are taken, nothing would ever take it out of the tree again.
            Err(_) if self.finalized.len() >= UNDISPATCHED_MAX => return Ok(false),
            Err(missing) => {
                self.want_block(missing, Vec::new(), PATIENCE, now);
                return Ok(false);
            }
        };
        for block in &branch {
            self.journal_block(block, ports)?;
        }
        let Some(block) = self.tree.block(digest) else { return Ok(false) };
        let (from, to) = (self.tree.head().cut.clone(), block.cut().to_vec());
        let mut durable = self.tree.is_branch_durable(digest);
        for (author, (from, to)) in from.iter().zip(&to).enumerate() {
            match self.streams[author].path(from, to) {
                Ok(batches) => {
                    durable &= batches.iter().all(|batch| self.is_batch_durable(author, batch.digest()));
                }
                Err(Gap::Leaves) => return Ok(false),
                Err(Gap::Missing(_)) if self.is_far_behind() => return Ok(false),
                Err(Gap::Missing(head)) => {
                    durable = false;
                    self.want_batch(ValidatorIndex(author as u16), head, false, Vec::new(), PATIENCE, now);
                }
            }
        }
        Ok(durable)
    }

    /// Writes a known block to the journal, once. Blocks that nobody votes for are not written.
    pub(super) fn journal_block(&mut self, digest: &Digest, ports: &mut impl Ports) -> Result<(), Halt> {
        let Some(block) = self.tree.block(digest) else { return Ok(()) };
        if self.journaled.contains_key(digest) {
            return Ok(());
        }
        let height = block.height();
        let position = ports.append(KIND_BLOCK, &[&block.encode()])?;
        self.journaled.insert(*digest, (height, position));
        self.appended = self.appended.max(position);
        self.unstable.push_back((position, Unstable::Block(*digest)));
        Ok(())
    }

    /// Takes in a block, and does whatever it makes possible.
    pub(super) fn insert_block(
        &mut self,
        block: Block,
        asked: bool,
        now: Now,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        let digest = *block.digest();
        match self.tree.insert(block, asked) {
            Insert::Full => return Ok(()),
            Insert::Old | Insert::Known => self.fetches.arrived(&digest),
            Insert::Added => {
                self.fetches.arrived(&digest);
                if self.started.len() < STARTED_MAX {
                    self.started.insert(digest, now.monotonic);
                }
                let drained = self.tree.drain();
                self.take_finalized(drained, now, ports)?;
                self.reconsider(now, ports)?;
            }
        }
        Ok(())
    }

    /// Consensus, or a certificate that was checked, says that a block is final.
    pub(super) fn finalize(
        &mut self,
        finality: Finality,
        now: Now,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        self.view = self.view.max(finality.view());
        self.rejoin_with(&finality, ports);
        if self.finalized.len() >= UNDISPATCHED_MAX {
            ports.observe(Observation::FarBehind);
            return Ok(());
        }
        let finalized = self.tree.finalize(finality);
        self.take_finalized(finalized, now, ports)
    }

    fn take_finalized(
        &mut self,
        finalized: Result<Vec<Finalized<Block>>, FinalizeError>,
        now: Now,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        let blocks = match finalized {
            Ok(blocks) => blocks,
            Err(FinalizeError::Full) => {
                ports.observe(Observation::FarBehind);
                return Ok(());
            }
            Err(fork @ FinalizeError::Fork { .. }) => return Err(fork.into()),
        };
        if blocks.is_empty() {
            self.want_finalized(now, ports);
            return Ok(());
        }
        self.measure_views(&blocks, now);
        self.last_block = now.monotonic;
        for block in blocks {
            self.late.iter_mut().for_each(|late| *late = late.saturating_sub(1));
            self.finalized.push_back((block, now.monotonic));
        }
        self.forget_dead_blocks();
        // What has not come by now was perhaps never there.
        if self.awaited.len() == AWAITED_MAX {
            self.awaited.clear();
        }
        ports.observe(Observation::Finalized(self.tree.head().height));
        self.dispatch(ports)?;
        self.want_finalized(now, ports);
        Ok(())
    }

    /// Of the blocks in the journal only those are of use that are known above the last final one, or final and not
    /// dispatched yet: `journaled <= blocks + undispatched`. The others can never become final.
    fn forget_dead_blocks(&mut self) {
        let (tree, finalized) = (&self.tree, &self.finalized);
        let Some(first) = finalized.front().map(|(block, _)| block.value().height()) else { return };
        let waits = |digest: &Digest, height: Height| {
            let place = height.0.checked_sub(first.0).and_then(|place| finalized.get(place as usize));
            place.is_some_and(|(block, _)| block.value().digest() == digest)
        };
        self.journaled.retain(|digest, (height, _)| tree.block(digest).is_some() || waits(digest, *height));
    }

    /// Smooths how long a view takes from the moment at which its block is known here until it is final.
    fn measure_views(&mut self, blocks: &[Finalized<Block>], now: Now) {
        for block in blocks {
            if let Some(since) = self.started.remove(block.value().digest()) {
                let took = now.monotonic.saturating_sub(since).min(VIEW_TIME_MAX);
                self.view_time = (self.view_time * 7 + took) / 8;
            }
        }
        let tree = &self.tree;
        self.started.retain(|digest, _| tree.block(digest).is_some());
    }

    /// Hands finalized blocks to the committer, in order, as far as every body is here. The committer is never more
    /// blocks behind than a block may be ahead of execution.
    pub(super) fn dispatch(&mut self, ports: &mut impl Ports) -> Result<(), Halt> {
        while let Some((block, _)) = self.finalized.front()
            && self.dispatched.0 - self.executed.0 < ROOT_LAG_MAX
        {
            let cut = block.value().cut();
            let here =
                self.streams.iter().zip(cut).all(|(stream, to)| stream.path(&stream.cut(), to).is_ok());
            if !here {
                return Ok(());
            }
            let (block, finalized) = self.finalized.pop_front().expect("looked at above");
            self.execute(block, finalized, ports)?;
        }
        Ok(())
    }

    fn execute(
        &mut self,
        block: Finalized<Block>,
        finalized: Duration,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        let (mut batches, mut positions, mut own) = (Vec::new(), Vec::new(), Vec::new());
        for (stream, to) in self.streams.iter_mut().zip(block.value().cut()) {
            let path = stream.path(&stream.cut(), to).expect("dispatch has looked");
            for batch in path {
                if let Some(waiting) = self.own.remove(batch.digest()) {
                    let available = waiting.available.unwrap_or(finalized);
                    let us = finalized.saturating_sub(available).as_micros() as u64;
                    let transactions = waiting.origins.len() as u64;
                    ports.observe(Observation::Stage { stage: Stage::Ordered, us, transactions });
                    self.pace.ordered(waiting.batch.packets().len(), finalized);
                    own.push(OwnBatch { place: batches.len(), origins: waiting.origins });
                }
                positions
                    .push(stream.position(batch.digest()).expect("a batch is stored when it is taken in"));
                batches.push(batch.clone());
            }
            stream.finalize(*to);
        }
        self.give_up_superseded(finalized, ports);
        let (digest, height) = (*block.value().digest(), block.value().height());
        self.recent.push_back(digest);
        self.recent_heights.insert(digest, height);
        if self.recent.len() > RECENT_BLOCKS
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_heights.remove(&oldest);
        }
        self.dispatched = height;
        self.bodies.dispatched(bytes_of(&batches));
        self.journaled.retain(|_, (of, _)| *of > height);
        let ends_epoch = block.value().next_members().is_some();
        let due = self.schedule.follow(height, bytes_of(&batches)) || ends_epoch;
        if due {
            (self.rewrite_up_to, self.last_due) = (self.last_due, self.appended);
        }
        self.rewrite_old(ports)?;
        let ordered_bytes = self.schedule.ordered_bytes();
        let checkpoint =
            due.then(|| CheckpointDue { replay_from: self.replay_from(), ordered_bytes, ends_epoch });
        let finalized_us = finalized.as_micros() as u64;
        let job = Job { block, batches, positions, own, finalized_us, checkpoint };
        ports.hand_on(Work::Execute(Box::new(job)));
        Ok(())
    }

    /// Writes again batches that have waited since the last checkpoint but one was due, and perhaps are never ordered,
    /// so that none holds the journal back: the oldest ones, and a bounded number of bytes at each height, because a
    /// liar can fill its share with such batches.
    fn rewrite_old(&mut self, ports: &mut impl Ports) -> Result<(), Halt> {
        let old = self.streams.iter().enumerate().flat_map(|(author, stream)| {
            let old = stream.stored_up_to(self.rewrite_up_to);
            old.map(move |(position, batch)| (position, author, *batch.digest(), batch.bytes().clone()))
        });
        let mut old: Vec<_> = old.collect();
        old.sort_unstable_by_key(|(position, ..)| *position);
        let mut bytes_left = REWRITTEN_BYTES_MAX;
        for (_, author, digest, bytes) in old {
            let position = ports.append(KIND_BATCH, &[&bytes])?;
            self.streams[author].stored(&digest, position);
            self.appended = self.appended.max(position);
            match bytes_left.checked_sub(bytes.len()) {
                Some(left) => bytes_left = left,
                None => break,
            }
        }
        Ok(())
    }

    /// Where the journal has to be read from behind the height that was dispatched last: there stands the first batch
    /// that it has not ordered, or the first block above it. What is appended from now on stands behind that.
    fn replay_from(&self) -> LogPosition {
        let batches = self.streams.iter().filter_map(Stream::first_position);
        let blocks = self.journaled.values().map(|(_, position)| *position);
        batches.chain(blocks).min().unwrap_or(self.appended).min(self.appended)
    }

    /// Own batches that the finalized cut has passed on another branch, and those above them, will never be in a block:
    /// their clients are told, and sealing goes on behind what can still be ordered.
    fn give_up_superseded(&mut self, now: Duration, ports: &mut impl Ports) {
        let stream = &self.streams[self.me()];
        if stream.path(&stream.cut(), &self.own_head).is_err() {
            self.go_on_behind(stream.held(), now, ports);
        }
        let stream = &self.streams[self.me()];
        let is_gone = |digest: &Digest, _: &mut Own| stream.batch(digest).is_none();
        let gone: Vec<_> = self.own.extract_if(.., is_gone).collect();
        for (_, own) in gone {
            self.release(&own.batch);
            self.refuse_origins(&own.origins, Refusal::Busy, ports);
        }
    }

    /// The height of a block that was executed lately.
    pub(super) fn recent_height(&self, digest: &Digest) -> Option<Height> {
        self.recent_heights.get(digest).copied()
    }
}
