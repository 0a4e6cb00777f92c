//! From the mempools to own batches (R14: sealing clocks itself).
//!
//! A batch is sealed at once after idleness, and then once in a view: when a block has been finalized, or when so much
//! waits that a batch is worth its fixed cost; a full one at once; and all of it after the batch delay at the latest.
//! So batches grow with the load and with the time that a view takes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::state::{Own, Unstable};
use super::{Halt, KIND_BATCH, Now, Observation, Ports, Replica, Stage, To};
use crate::mempool::{Mempool, Pending};
use crate::receipts::NoticeBook;
use crate::types::{ChainId, Quota, Refusal, ValidatorIndex};
use crate::verify::Verified;
use crate::wire::PeerMessage;

/// Own batches that may wait to be ordered before sealing pauses.
const OWN_UNORDERED_MAX: u64 = 48;
/// From this many packets on a batch is worth its fixed cost at once.
const SMALL_BATCH: usize = 256;
/// Checks do not keep up where batches from more than f validators have been with the verifiers for longer.
const CHECKED_WITHIN: Duration = Duration::from_millis(100);
/// Execution does not keep up where more final blocks wait for it.
const BLOCKS_BEHIND: u64 = 2;
/// Own batches that are not full and not yet held by a quorum.
const SMALL_IN_FLIGHT_MAX: u64 = 2;

/// How many packets of a chain a batch may have.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// So many; one transaction may exceed it, where it is not nothing.
    part: usize,
    /// And never more than this.
    most: usize,
}

impl Room {
    /// Of a chain that may have a whole block there is no limit.
    fn of(rooms: &BTreeMap<ChainId, Self>, chain: ChainId) -> Self {
        rooms.get(&chain).copied().unwrap_or(Self { part: usize::MAX, most: usize::MAX })
    }

    fn without(self, packets: usize) -> Self {
        Self { part: self.part.saturating_sub(packets), most: self.most.saturating_sub(packets) }
    }
}

impl Replica {
    pub(super) fn mempool_filled(&mut self, now: Now) {
        self.waiting_since.get_or_insert(now.monotonic);
    }

    /// Own batches that a quorum does not hold yet.
    fn in_flight(&self) -> u64 {
        let cut = self.streams[self.me()].cut();
        self.own_head.sequence.0.saturating_sub(self.own_available.sequence.0.max(cut.sequence.0))
    }

    fn may_seal(&self) -> bool {
        let knows_itself = self.learning.is_none() && self.hearing.is_none();
        knows_itself && !self.is_follower() && self.unordered() < OWN_UNORDERED_MAX
    }

    /// Own batches between the finalized cut and the last one sealed. What lies on other branches of the own stream, or
    /// without its predecessor, keeps nobody from sealing: a liar could make it lie there.
    fn unordered(&self) -> u64 {
        self.own_head.sequence.0.saturating_sub(self.streams[self.me()].cut().sequence.0)
    }

    /// Whether as much is on its way as [may be](super::pace).
    fn is_held_back(&mut self, now: Duration) -> bool {
        let most = self.pace.most(self.faulty, now);
        self.own.values().map(|own| own.batch.packets().len()).sum::<usize>() >= most
    }

    /// Tells the others if the verifiers or the executor of this validator do not keep up.
    pub(super) fn tell_overloaded(&mut self, now: Now, ports: &mut impl Ports) {
        if !self.is_overloaded(now.monotonic) {
            return;
        }
        let me = self.me();
        self.pace.overloaded(me, now.monotonic);
        if self.pace.is_to_be_told(now.monotonic) {
            ports.send(To::All, &PeerMessage::Overloaded);
        }
    }

    fn is_overloaded(&self, now: Duration) -> bool {
        // What waits for a height to be executed waits for no verifier; and who catches up lacks no processor.
        if self.behind().is_some() || self.learning.is_some() || self.is_follower() {
            return false;
        }
        let waits = |author: ValidatorIndex, digest| self.early[usize::from(author.0)].contains_key(digest);
        let late = self
            .checking
            .iter()
            .filter(|(digest, of)| of.since + CHECKED_WITHIN < now && !waits(of.author, *digest));
        let senders: BTreeSet<_> = late.flat_map(|(_, checking)| &checking.copies).collect();
        senders.len() > self.faulty || self.tree.head().height.0 - self.executed.0 > BLOCKS_BEHIND
    }

    /// Packets that wait and can be in the next batch.
    fn waiting(&self) -> usize {
        let rooms = self.rooms();
        let of = |mempool: &Mempool| mempool.packets().min(Room::of(&rooms, mempool.chain()).part);
        self.mempools.iter().map(of).sum()
    }

    /// What the next batch may have of the chains that have a quota. Of a quota each validator has an equal part, for
    /// all its batches that wait to be ordered: so those of all validators fit into one block, but for transactions
    /// that exceed a part, and a chain's flood does not keep a stream from going on.
    fn rooms(&self) -> BTreeMap<ChainId, Room> {
        let quotas = self.tree.quotas();
        if !quotas.is_limiting() {
            return BTreeMap::new();
        }
        let chains = self.mempools.iter().map(Mempool::chain);
        let all = chains.map(|chain| (chain, quotas.lowest_from(chain, self.executed)));
        let limited = all.filter(|(_, quota)| *quota < Quota::WHOLE);
        let part = |quota: Quota| (quota.packets() / self.validators()).max(1);
        let room = |(chain, quota)| (chain, Room { part: part(quota), most: quota.packets() });
        let mut rooms: BTreeMap<_, _> = limited.map(room).collect();
        let stream = &self.streams[self.me()];
        let unordered = stream.path(&stream.cut(), &self.own_head).unwrap_or_default();
        for (chain, packets) in unordered.iter().flat_map(|batch| batch.sections()) {
            if let Some(room) = rooms.get_mut(&chain) {
                room.part = room.part.saturating_sub(packets.len());
            }
        }
        rooms
    }

    pub(super) fn seal_deadline(&self) -> Option<Duration> {
        let since = self.waiting_since?;
        // Where it may not seal, or what waits is of chains whose quotas are used, no time helps: an event must.
        (self.may_seal() && !self.held_back && self.waiting() > 0).then(|| self.seal_at(since))
    }

    /// When what waits since `since` is to be sealed, if it does not fill a batch before.
    fn seal_at(&self, since: Duration) -> Duration {
        match self.in_flight() {
            0 if self.is_worth_sealing() => since.max(self.last_seal + self.settings.seal_interval),
            in_flight if in_flight < SMALL_IN_FLIGHT_MAX => since + self.settings.batch_delay,
            // A quorum that comes back is heard of; this is for the case that it never comes.
            _ => since + 4 * self.settings.batch_delay,
        }
    }

    /// Whether what waits is a batch by now: a block has been finalized since the last one, or nothing is on its way to
    /// a block, or it is much. What is little and comes while a view is on its way costs less in the next batch, and is
    /// as early: it would have to wait for the next view anyway.
    fn is_worth_sealing(&self) -> bool {
        self.last_block >= self.last_seal
            || self.waiting() >= SMALL_BATCH
            || self.streams.iter().all(|stream| stream.held() == stream.cut())
    }

    pub(super) fn seal_if_due(&mut self, now: Now, ports: &mut impl Ports) -> Result<(), Halt> {
        let Some(since) = self.waiting_since else { return Ok(()) };
        self.held_back = self.is_held_back(now.monotonic);
        if !self.may_seal() || self.held_back {
            return Ok(());
        }
        let waiting = self.waiting();
        let mut full = waiting >= self.settings.batch_packets_max;
        if waiting == 0 || !full && now.monotonic < self.seal_at(since) {
            return Ok(());
        }
        loop {
            let taken = self.take_pending(ports);
            if taken.iter().all(|(_, pending)| pending.is_empty()) {
                break;
            }
            self.seal(taken, now, ports)?;
            full = self.waiting() >= self.settings.batch_packets_max;
            self.held_back = self.is_held_back(now.monotonic);
            if !full || !self.may_seal() || self.held_back {
                break;
            }
        }
        let is_left = self.mempools.iter().any(|mempool| !mempool.is_empty());
        self.waiting_since = is_left.then_some(now.monotonic);
        Ok(())
    }

    /// Refuses what waits for a quota and can no longer execute.
    pub(super) fn refuse_expired(&self, ports: &mut impl Ports) {
        for (chain, _) in self.rooms().into_iter().filter(|(_, room)| room.part == 0) {
            let (mut taken, mut expired) = (Vec::new(), Vec::new());
            let mempool = self.mempools.get(chain).expect("there is room for chains that have one");
            mempool.take(self.committed, (0, 0), &mut taken, &mut expired);
            self.refuse(&expired, Refusal::Expired, ports);
        }
    }

    /// Takes a batch's worth of transactions, oldest first in each chain. Every chain that has something waiting is
    /// sure of an equal part of the batch, in packets, and gets what others leave of theirs, so no chain's flood keeps
    /// another one waiting. Each batch begins with another chain, which matters where a part is not a whole number, and
    /// for envelopes: the last transaction of the first chain that has something may exceed its part, and the size at
    /// which batches are sealed, so that a large one is taken at the latest when its chain begins. Of no chain more is
    /// taken than there is [room](Self::rooms) for.
    fn take_pending(&mut self, ports: &mut impl Ports) -> Vec<(ChainId, Vec<Pending>)> {
        let all = std::sync::Arc::clone(&self.mempools);
        let mempools: Vec<&Mempool> = all.iter().collect();
        let chains = mempools.len();
        let limited = self.rooms();
        let mut rooms: Vec<Room> =
            mempools.iter().map(|mempool| Room::of(&limited, mempool.chain())).collect();
        let has_some = |(mempool, room): &(&&Mempool, &Room)| room.part > 0 && !mempool.is_empty();
        let waiting = mempools.iter().zip(&rooms).filter(has_some).count();
        let wanted = self.settings.batch_packets_max;
        let part = (wanted / waiting.max(1)).max(1);
        let mut packets = 0;
        let mut sections: BTreeMap<ChainId, Vec<Pending>> = BTreeMap::new();
        let turn = self.next_chain % chains;
        // What others leave is given out in the same order.
        for part in [part, usize::MAX] {
            for at in (0..chains).cycle().skip(turn).take(chains) {
                let (mempool, room) = (mempools[at], &mut rooms[at]);
                let taken = sections.entry(mempool.chain()).or_default();
                let mut expired = Vec::new();
                let part = part.min(wanted.saturating_sub(packets)).min(room.part);
                let most = if packets == 0 { self.settings.batch_packets_limit.min(room.most) } else { part };
                let more = mempool.take(self.committed, (part, most), taken, &mut expired);
                packets += more;
                *room = room.without(more);
                self.refuse(&expired, Refusal::Expired, ports);
            }
        }
        self.next_chain = self.next_chain.wrapping_add(1);
        sections.into_iter().collect()
    }

    fn seal(
        &mut self,
        sections: Vec<(ChainId, Vec<Pending>)>,
        now: Now,
        ports: &mut impl Ports,
    ) -> Result<(), Halt> {
        let transactions = sections.iter().flat_map(|(_, pending)| pending).map(|one| &one.transaction);
        let transactions: Vec<_> = transactions.collect();
        // Verifiers may have seen a height on the disk that this thread has not been told of.
        let seen = sections.iter().flat_map(|(_, pending)| pending).map(|one| one.as_of).max();
        let as_of = self.committed.max(seen.unwrap_or_default());
        let sign = |message: &[u8]| self.key.sign(message);
        let (me, previous) = (self.settings.me, self.own_head);
        let batch = Verified::seal(&self.network, (self.epoch, me), &previous, as_of, &transactions, sign);
        let head = batch.head();
        ports.observe(Observation::Sealed(transactions.len() as u64));
        let now_us = now.monotonic.as_micros() as u64;
        let origins: Vec<_> =
            sections.iter().flat_map(|(_, pending)| pending).map(|one| one.origin).collect();
        for run in origins.chunk_by(|a, b| a.verified_us == b.verified_us) {
            let us = now_us.saturating_sub(run[0].verified_us);
            ports.observe(Observation::Stage { stage: Stage::Mempool, us, transactions: run.len() as u64 });
        }
        let own = Own { head, batch: batch.clone(), origins, sealed: now.monotonic, available: None };
        self.own.insert(head.digest, own);
        self.own_head = head;
        self.last_seal = now.monotonic;
        // Peers see it when it is durable: were it lost in a crash after they had seen it, its sequence would be sealed
        // again with another content, and this validator would contradict itself.
        let position = ports.append(KIND_BATCH, &[batch.bytes()])?;
        let me = self.me();
        self.streams[me].insert(batch, true);
        self.streams[me].stored(&head.digest, position);
        self.appended = self.appended.max(position);
        self.unstable.push_back((position, Unstable::Batch(self.settings.me, head.digest)));
        Ok(())
    }

    /// Tells clients that transactions that were accepted will not be in a block.
    pub(super) fn refuse(&self, pending: &[Pending], refusal: Refusal, ports: &mut impl Ports) {
        let origins: Vec<_> = pending.iter().map(|pending| pending.origin).collect();
        self.refuse_origins(&origins, refusal, ports);
    }

    pub(super) fn refuse_origins(
        &self,
        origins: &[crate::mempool::Origin],
        refusal: Refusal,
        ports: &mut impl Ports,
    ) {
        if origins.is_empty() {
            return;
        }
        ports.observe(Observation::Refused(refusal, origins.len() as u64));
        let mut notices = NoticeBook::new();
        notices.refused(origins.iter().map(|origin| (origin.connection, origin.tag, refusal)));
        for (connection, notices) in notices.drain() {
            ports.notify(connection, notices);
        }
    }
}
