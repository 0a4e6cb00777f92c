//! Batches on their way: from peers to the verifiers to the journal, and own ones to the peers.
//!
//! What is checked, in this order (R12): the sender is the author, or the digest was asked for; the window; the
//! signature of the header, the body and the signatures of clients, all three by a verifier. The digest covers the
//! header alone, so everything before the last step costs one hash of at most 2,200 bytes, mostly about 200.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use kernels::ed25519;

use super::fetching::{BATCH_PATIENCE, BLOCKS_AWAITED};
use super::state::{Checking, Told, Unstable};
use super::{Check, Halt, KIND_BATCH, Now, Observation, Offence, Ports, Replica, Stage, To, Work};
use crate::availability::{RETRY_AFTER, Refused, Wanted};
use crate::limits::STREAM_BATCHES_MAX;
use crate::store::Durable;
use crate::types::{Digest, Head, ValidatorIndex};
use crate::verify::{BatchRefusal, Verified};
use crate::wire::{Batch, PeerMessage};

/// Batches of one author that may be with the verifiers at a time.
const CHECKING_MAX: usize = 64;
/// Own batches that a peer may be sent ahead of what it says that it holds.
const PUSH_AHEAD: u64 = 32;
/// When own batches that a peer does not report are sent again.
const PUSH_AGAIN_AFTER: Duration = Duration::from_millis(1_000);
/// Everybody is told what is held so many times less often than the next leaders.
const HOLDING_TO_ALL: u32 = 4;
/// The leaders of so many views, from this one on, are told early.
const LEADERS_TOLD: u64 = 2;
/// How long after a request an answer to it may come without being an offence.
const LATE_ANSWER: Duration = Duration::from_secs(5);

impl Replica {
    /// A batch from a peer, nothing checked.
    pub(super) fn batch_arrived(
        &mut self,
        from: ValidatorIndex,
        bytes: Bytes,
        now: Now,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        let Ok(batch) = Batch::decode(&self.network, bytes) else {
            self.offence(from, Offence::Malformed, ports);
            return Ok(());
        };
        let (author, head) = (batch.id().author, batch.head());
        // Its sender has not entered this epoch yet, or has entered the next one.
        if batch.epoch() != self.epoch {
            return Ok(());
        }
        if usize::from(author.0) >= self.validators() {
            self.offence(from, Offence::Malformed, ports);
            return Ok(());
        }
        let another = |checking: &Checking| checking.copies.contains(&from);
        if self.waits(author, &head.digest) || self.checking.get(&head.digest).is_some_and(another) {
            return Ok(());
        }
        let wanted = self.fetches.wanted_batches(author, &head);
        let asked = wanted.is_some();
        let pushed = author == from && !asked;
        let stream = &mut self.streams[usize::from(author.0)];
        if !asked {
            if author != from {
                // An answer that comes twice, or late, is no offence.
                let known = head.sequence <= stream.cut().sequence || stream.batch(&head.digest).is_some();
                if !known && !self.may_be_late_answer(from, now) {
                    self.offence(from, Offence::Unwanted, ports);
                }
                return Ok(());
            }
            match stream.may_push(&batch, |digest| self.checking.contains_key(digest)) {
                Ok(()) => {}
                // It sends again what it does not know that we hold: tell it.
                Err(Refused::Known) => {
                    stream.pushed_again(head);
                    self.holding = Told::Nobody;
                    return Ok(());
                }
                Err(Refused::Window | Refused::Gap) => return Ok(()),
                Err(Refused::Branch) => {
                    self.offence(from, Offence::Equivocation, ports);
                    return Ok(());
                }
            }
            let checking = self.checking.values().filter(|checking| checking.author == author).count();
            let bytes = stream.bytes() + batch.bytes().len();
            // What is not ordered yet leaves room for what is, which is fetched; it is fetched itself when it is
            // ordered.
            let is_in_the_way =
                bytes > stream.bytes_max() / 4 && self.finalized.len() as u64 > BLOCKS_AWAITED;
            if checking >= CHECKING_MAX || is_in_the_way {
                return Ok(());
            }
        } else {
            let finalized = matches!(wanted, Some(Wanted::Batches { finalized: true, .. }));
            // What is above the window is of use only where it shows that the own stream is lost.
            let is_near = author == self.settings.me || stream.is_near(head.sequence);
            let may_come = finalized || (is_near && stream.has_room(&batch));
            if !may_come || !self.may_wait(&batch) {
                return Ok(());
            }
            // The digest makes the header true, so what it follows is wanted as well. It is mostly in the same answer.
            self.want_previous(&batch, finalized, RETRY_AFTER, now);
        }
        let checking = self.checking.entry(head.digest);
        let (sequence, copies) = (head.sequence, BTreeSet::new());
        let since = now.monotonic;
        let checking = checking.or_insert_with(|| Checking { author, sequence, copies, since });
        checking.copies.insert(from);
        self.check_or_keep(Check { from, pushed, batch }, now, ports)
    }

    /// R6: a batch is judged by the accounts of the height that it names, so it waits until that is executed here. What
    /// needs no accounts is checked at once, the author's signature and the body's root, so one copy is enough. No more
    /// of an author waits than a window and its share; what has no room is as if it had not come.
    fn check_or_keep(&mut self, check: Check, now: Now, ports: &mut impl Ports) -> Result<(), Halt> {
        let Check { from, pushed, batch } = &check;
        let (from, author, digest) = (*from, batch.id().author, *batch.digest());
        if batch.as_of() <= self.executed {
            ports.hand_on(Work::Check(check));
            return Ok(());
        }
        let key = &self.authors[usize::from(author.0)];
        if !batch.body_matches() || !ed25519::verify(key, &batch.message(), batch.signature()) {
            self.checked_copy(from, &digest);
            self.offence(from, Offence::BadBatch, ports);
            return Ok(());
        }
        // Of an author that contradicts itself one branch waits; the others are judged when they come again.
        let other = self.early_of(author).any(|other| other.previous() == batch.previous());
        let branches = *pushed && (other || self.streams[usize::from(author.0)].contradicts(batch));
        if branches || !self.may_wait(batch) {
            self.checked_copy(from, &digest);
            return Ok(());
        }
        self.bodies.heard(from, now.monotonic);
        self.fetches.arrived(&digest);
        self.early[usize::from(author.0)].insert(digest, check);
        // It has sealed what it does not know.
        if author == self.settings.me {
            self.lose_stream(ports)?;
        }
        Ok(())
    }

    /// Whether a batch need not wait, or has room to. Asked before the one before it is asked for: what has no room
    /// must not lead to more.
    fn may_wait(&self, batch: &Batch) -> bool {
        let author = usize::from(batch.id().author.0);
        let (early, bytes_max) = (&self.early[author], self.streams[author].bytes_max());
        let bytes: usize = early.values().map(|early| early.batch.bytes().len()).sum();
        batch.as_of() <= self.executed
            || (early.len() < STREAM_BATCHES_MAX && bytes + batch.bytes().len() <= bytes_max)
    }

    /// Whether a batch is here and waits for its height.
    pub(super) fn waits(&self, author: ValidatorIndex, digest: &Digest) -> bool {
        self.early[usize::from(author.0)].contains_key(digest)
    }

    /// What an author has sealed and nobody here could judge yet.
    pub(super) fn early_of(&self, author: ValidatorIndex) -> impl Iterator<Item = &Batch> {
        self.early[usize::from(author.0)].values().map(|early| &early.batch)
    }

    /// A height is executed: what waited for it is judged now, and what a finalized cut has passed is wanted no more.
    pub(super) fn release_early(&mut self, ports: &mut impl Ports) {
        for author in 0..self.early.len() {
            let cut = self.streams[author].cut().sequence;
            let stays =
                |check: &Check| check.batch.as_of() > self.executed && check.batch.id().sequence > cut;
            let released: Vec<_> = self.early[author].extract_if(.., |_, check| !stays(check)).collect();
            for (digest, check) in released {
                let Check { from, pushed, batch } = &check;
                let from = *from;
                let coming = |digest: &Digest| self.checking.contains_key(digest);
                if batch.id().sequence <= cut {
                    self.checked_copy(from, &digest);
                } else if *pushed && let Err(refused) = self.streams[author].may_push(batch, coming) {
                    self.checked_copy(from, &digest);
                    if refused == Refused::Branch {
                        self.offence(from, Offence::Equivocation, ports);
                    }
                } else {
                    ports.hand_on(Work::Check(check));
                }
            }
        }
    }

    /// Whether what a peer sends may answer a request that was forgotten or answered by another.
    pub(super) fn may_be_late_answer(&self, from: ValidatorIndex, now: Now) -> bool {
        self.last_asked[usize::from(from.0)].is_some_and(|asked| now.monotonic < asked + LATE_ANSWER)
    }

    /// A copy of a batch is no longer with the verifiers.
    pub(super) fn checked_copy(&mut self, from: ValidatorIndex, digest: &Digest) {
        if let Some(checking) = self.checking.get_mut(digest) {
            checking.copies.remove(&from);
            if checking.copies.is_empty() {
                self.checking.remove(digest);
            }
        }
    }

    /// A verifier has decided.
    pub(super) fn checked(
        &mut self,
        from: ValidatorIndex,
        (author, head): (ValidatorIndex, Head),
        pushed: bool,
        verdict: Result<Verified<Batch>, BatchRefusal>,
        now: Now,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        self.checked_copy(from, &head.digest);
        match verdict {
            Err(_) => self.offence(from, Offence::BadBatch, ports),
            Ok(batch) => {
                debug_assert_eq!((batch.id().author, batch.head()), (author, head));
                self.bodies.heard(from, now.monotonic);
                self.insert_batch(batch, pushed, now, ports)?;
            }
        }
        Ok(())
    }

    fn insert_batch(
        &mut self,
        batch: Verified<Batch>,
        pushed: bool,
        now: Now,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        let (author, head, previous) = (batch.id().author, batch.head(), batch.previous());
        self.fetches.arrived(&head.digest);
        self.want_previous(&batch, false, BATCH_PATIENCE, now);
        self.count_late(author, &head.digest);
        let stream = &mut self.streams[usize::from(author.0)];
        let contradiction = stream.contradicts(&batch);
        let bytes = batch.bytes().clone();
        if !stream.insert(batch, pushed) {
            return Ok(());
        }
        if contradiction {
            ports.observe(Observation::Contradiction { author, one: head, after: previous });
        }
        // Others have a batch of this validator that it does not know. The loss is written before the batch that shows
        // it.
        if author == self.settings.me {
            self.lose_stream(ports)?;
        }
        ports.observe(Observation::BatchAccepted);
        // The journal has a batch before the block that orders it.
        let position = ports.append(KIND_BATCH, &[&bytes])?;
        self.streams[usize::from(author.0)].stored(&head.digest, position);
        self.appended = self.appended.max(position);
        self.unstable.push_back((position, Unstable::Batch(author, head.digest)));
        self.reconsider(now, ports)?;
        self.dispatch(ports)
    }

    /// The journal has become durable up to somewhere.
    pub(super) fn durable(
        &mut self,
        durable: &Durable,
        now: Now,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        let mut own = false;
        while let Some((_, unstable)) = self.unstable.pop_front_if(|(position, _)| durable.covers(*position))
        {
            match unstable {
                Unstable::Block(digest) => self.tree.durable(&digest),
                Unstable::Batch(author, digest) => {
                    if self.streams[usize::from(author.0)].durable(&digest) {
                        (self.holding, self.ready_changed) = (Told::Nobody, true);
                        own |= author == self.settings.me;
                    }
                }
            }
        }
        if own {
            self.push_to_all(now, ports);
            self.count_own(now.monotonic, ports);
        }
        self.reconsider_certifying(now, ports)
    }

    /// Sends own durable batches to every peer that has room for more; none while it may have to go on behind others.
    fn push_to_all(&mut self, now: Now, ports: &mut impl Ports) {
        if self.is_learning() {
            return;
        }
        let stream = &self.streams[self.me()];
        let (cut, held, bytes_max) = (stream.cut(), stream.held(), stream.bytes_max());
        let Ok(path) = stream.path(&cut, &held) else { return };
        // Bytes of the batches above the cut, up to and including each.
        let mut bytes = 0;
        let sum = |batch: &&Verified<Batch>| {
            bytes += batch.bytes().len();
            bytes
        };
        let sums: Vec<usize> = path.iter().map(sum).collect();
        for (batch, sum) in path.into_iter().zip(&sums) {
            let sequence = batch.id().sequence;
            let wants = |peer: &ValidatorIndex| {
                let push = &self.pushes[usize::from(peer.0)];
                let told = push.told.0.max(cut.sequence.0);
                let told_bytes = (told - cut.sequence.0).checked_sub(1).and_then(|at| sums.get(at as usize));
                let ahead = sum.saturating_sub(told_bytes.copied().unwrap_or(0));
                push.heard
                    && push.sent.next() == sequence
                    && sequence.0 <= told + PUSH_AHEAD
                    && (ahead <= bytes_max || sequence.0 == told + 1)
            };
            let to: Vec<ValidatorIndex> = self.connected.iter().copied().filter(wants).collect();
            if to.is_empty() {
                continue;
            }
            for peer in &to {
                let push = &mut self.pushes[usize::from(peer.0)];
                if push.sent == push.told {
                    push.progress = now.monotonic;
                }
                push.sent = sequence;
            }
            ports.send(To::Some(to), &PeerMessage::Batch(batch.bytes().clone()));
        }
    }

    /// What a peer says that it holds.
    pub(super) fn holding(&mut self, from: ValidatorIndex, heads: &[Head], now: Now, ports: &mut impl Ports) {
        if heads.len() != self.validators() {
            return self.offence(from, Offence::Malformed, ports);
        }
        for (stream, head) in self.streams.iter_mut().zip(heads) {
            stream.told(from, *head);
        }
        let own = heads[self.me()];
        let stream = &self.streams[self.me()];
        let known = own.sequence <= stream.cut().sequence || self.is_on_own_branch(&own);
        self.ready_changed = true;
        let push = &mut self.pushes[usize::from(from.0)];
        let (heard, told) = (push.heard, push.told);
        if !push.heard {
            // One that has connected anew may have less than before.
            let holds = if known { own.sequence } else { stream.cut().sequence };
            (push.heard, push.sent, push.told) = (true, holds, holds);
        }
        if known && own.sequence > push.told {
            push.told = own.sequence;
            push.sent = push.sent.max(own.sequence);
            push.progress = now.monotonic;
        }
        if !heard || self.pushes[usize::from(from.0)].told != told {
            self.raise_pushes();
            self.push_to_all(now, ports);
            self.count_own(now.monotonic, ports);
        }
    }

    /// Whether a head above the cut is durable, and what is sealed goes on behind it.
    fn is_on_own_branch(&self, head: &Head) -> bool {
        let stream = &self.streams[self.me()];
        stream.is_durable(&head.digest) && stream.leads_to(head, &self.own_head)
    }

    /// The own stream goes on behind another batch than before: what peers hold of the branch that was left counts for
    /// nothing any more.
    pub(super) fn go_on_behind(&mut self, head: Head, now: Duration, ports: &mut impl Ports) {
        self.own_head = head;
        let me = self.me();
        self.streams[me].favour(head);
        let cut = self.streams[me].cut();
        self.own_available = cut;
        for peer in 0..self.pushes.len() {
            let told = self.streams[self.me()].told_by(ValidatorIndex(peer as u16));
            let holds = told.sequence > cut.sequence && self.is_on_own_branch(&told);
            let held = if holds { told.sequence } else { cut.sequence };
            let push = &mut self.pushes[peer];
            (push.told, push.sent, push.progress) = (held, held, now);
        }
        self.count_own(now, ports);
    }

    /// The highest batch of a stream that has come here with every one before it, checked and durable or not. Of what
    /// is being checked only what the author itself has sent counts: the rest may be forged.
    pub(super) fn received(&self, author: ValidatorIndex) -> Head {
        let coming = |checking: &Checking| checking.author == author && checking.copies.contains(&author);
        let stream = &self.streams[usize::from(author.0)];
        let received = stream.received(|digest| self.checking.get(digest).is_some_and(coming));
        let checking = self.checking.iter().filter(|(_, checking)| coming(checking));
        let heads = checking.map(|(digest, checking)| Head { sequence: checking.sequence, digest: *digest });
        heads.fold(received, Head::max)
    }

    /// What lies below the finalized cut is fetched by the peers that lack it, not pushed.
    fn raise_pushes(&mut self) {
        let cut = self.streams[self.me()].cut().sequence;
        for push in &mut self.pushes {
            push.sent = push.sent.max(cut);
        }
    }

    /// Notes how far a quorum holds the own stream.
    fn count_own(&mut self, now: Duration, ports: &mut impl Ports) {
        let (me, quorum) = (self.settings.me, self.quorum);
        let stream = &mut self.streams[usize::from(me.0)];
        let cut = stream.cut();
        let available = stream.quorum_head(&cut, quorum, me, None);
        if available.sequence <= self.own_available.sequence || !stream.leads_to(&available, &self.own_head) {
            return;
        }
        self.own_available = available;
        for own in self.own.values_mut() {
            if own.available.is_none() && own.head.sequence <= available.sequence {
                own.available = Some(now);
                let us = now.saturating_sub(own.sealed).as_micros() as u64;
                let transactions = own.origins.len() as u64;
                ports.observe(Observation::Stage { stage: Stage::Available, us, transactions });
            }
        }
    }

    /// A peer that does not report what it was sent is sent it again, from what it reports on.
    pub(super) fn push_again(&mut self, now: Now, ports: &mut impl Ports) {
        self.raise_pushes();
        let cut = self.streams[self.me()].cut().sequence;
        for push in &mut self.pushes {
            if push.sent > push.told.max(cut) && now.monotonic >= push.progress + PUSH_AGAIN_AFTER {
                push.sent = push.told.max(cut);
                push.progress = now.monotonic;
            }
        }
        self.push_to_all(now, ports);
    }

    /// How long what is held is gathered before it is told.
    fn holding_interval(&self) -> Duration {
        (self.view_time / 4).max(self.settings.holding_interval)
    }

    /// When everybody may be told again.
    fn holding_to_all_at(&self) -> Duration {
        self.last_holding_to_all + HOLDING_TO_ALL * self.holding_interval()
    }

    pub(super) fn holding_deadline(&self) -> Option<Duration> {
        let leaders = self.last_holding + self.holding_interval();
        let all = self.holding_to_all_at();
        match self.holding {
            _ if self.is_follower() => None,
            Told::All => None,
            Told::Leaders => Some(all),
            Told::Nobody => Some(leaders.min(all)),
        }
    }

    /// R4: those who lead this view and the next one decide what is taken, so they hear early; the others, who need it
    /// for what they push and fetch, hear about once in a view.
    pub(super) fn tell_holding_if_due(&mut self, now: Now, ports: &mut impl Ports) {
        if self.holding_deadline().is_none_or(|deadline| now.monotonic < deadline) {
            return;
        }
        let all = now.monotonic >= self.holding_to_all_at();
        self.last_holding = now.monotonic;
        let to = if all {
            (self.holding, self.last_holding_to_all) = (Told::All, now.monotonic);
            To::All
        } else {
            self.holding = Told::Leaders;
            let view = self.view.max(ports.view());
            let mut leaders: Vec<ValidatorIndex> =
                (view..view + LEADERS_TOLD).map(|view| self.certificates.leader(self.epoch, view)).collect();
            leaders.retain(|leader| self.connected.contains(leader));
            leaders.dedup();
            To::Some(leaders)
        };
        ports.send(to, &self.held());
    }

    pub(super) fn held(&self) -> PeerMessage {
        let streams = self.streams.iter().take(self.validators());
        PeerMessage::Holding(streams.map(|stream| stream.held()).collect())
    }

    /// Whether a batch is in the journal, durably.
    pub(super) fn is_batch_durable(&self, author: usize, digest: &Digest) -> bool {
        self.streams[author].is_durable(digest)
    }
}
