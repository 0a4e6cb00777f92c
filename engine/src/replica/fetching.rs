//! What is missing, and when it is asked for.
//!
//! In the normal course blocks and batches are on their way before anybody misses them, so they are asked for a little
//! later. Who follows, or has fallen behind, is pushed nothing: it asks at once, for the bodies of many heights in one
//! message, and by their names only for those that two peers have not sent. Impatience would be worse than waiting:
//! each question by name costs the peer that answers it a search on its disk.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Now, Observation, Ports, Replica, To};
use crate::availability::{Gap, Stream, Wanted};
use crate::limits::{BODIES_REPLY_HEIGHTS_MAX, FETCH_REPLY_BYTES_MAX};
use crate::types::{Digest, Head, Height, Sequence, ValidatorIndex};
use crate::wire::{Batch, Block, PeerMessage, PeerVersion};

/// How long a batch may be missing before it is asked for, where its author is probably still sending it.
pub(super) const BATCH_PATIENCE: Duration = Duration::from_millis(100);
/// How long what a block needs may be missing before it is asked for: it is mostly on its way.
pub(super) const PATIENCE: Duration = Duration::from_millis(30);
/// How many finalized blocks have their bodies fetched at a time if the replica follows or is behind.
const BLOCKS_FETCHED_AT_ONCE: usize = 64;
/// The same for a replica that keeps up. If more finalized blocks wait, it is behind, and gets bodies only if it asks.
pub(super) const BLOCKS_AWAITED: u64 = 8;
/// How long a peer may send nothing of the next range of bodies, and how long that range may take in all, before
/// another peer is asked for the rest.
const SILENCE_MAX: Duration = Duration::from_millis(500);
const RANGE_MAX: Duration = Duration::from_secs(3);
/// How many peers are asked for a range before its bodies are asked for by their names.
const RANGE_ATTEMPTS_MAX: u32 = 2;
/// Bodies that a range will bring are taken when they come, and not asked for by their names in that time.
const RANGE_PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of batches that a range is to bring, about.
const RANGE_BYTES: u64 = FETCH_REPLY_BYTES_MAX as u64 / 2;

/// The bodies of some heights that a peer was asked for.
#[derive(Clone, Copy, Debug)]
struct Range {
    last: Height,
    peer: ValidatorIndex,
    /// When it has become the first one, and when its peer has sent something of use.
    since: Duration,
    heard: Duration,
    attempts: u32,
}

/// The ranges of heights whose bodies are asked for, ascending.
#[derive(Debug)]
pub(super) struct Bodies {
    ranges: VecDeque<Range>,
    /// Up to there they are asked for, or here.
    asked: Height,
    /// Bytes of the batches of one height, smoothed: as many heights are asked for as one answer has room for.
    bytes: u64,
}

impl Bodies {
    /// Everything up to a height is here.
    pub(super) fn new(height: Height) -> Self {
        Self { ranges: VecDeque::new(), asked: height, bytes: 0 }
    }

    /// A peer has sent a batch that has passed its checks as far as they can be done.
    pub(super) fn heard(&mut self, from: ValidatorIndex, now: Duration) {
        let of_peer = self.ranges.iter_mut().filter(|range| range.peer == from);
        of_peer.for_each(|range| range.heard = now);
    }

    /// A block with batches of so many bytes is dispatched.
    pub(super) fn dispatched(&mut self, bytes: u64) {
        self.bytes = (self.bytes * 7 + bytes) / 8;
    }

    /// The last height of a range.
    fn end_of_range(&self, first: Height) -> Height {
        let heights = (RANGE_BYTES / self.bytes.max(1)).clamp(1, BODIES_REPLY_HEIGHTS_MAX);
        Height(first.0 + heights - 1)
    }
}

impl Replica {
    /// Whether so many finalized blocks wait for their bodies that these are not on their way: what is not final yet is
    /// not asked for then, because nobody here could vote on it.
    pub(super) fn is_far_behind(&self) -> bool {
        self.finalized.len() as u64 > BLOCKS_AWAITED
    }

    /// Asks for what holds back finalized blocks: an ancestor, or the bodies of the next ones.
    pub(super) fn want_finalized(&mut self, now: Now, ports: &mut impl Ports) {
        if let Some(missing) = self.tree.missing() {
            self.want_block(missing, Vec::new(), PATIENCE, now);
        }
        if self.is_follower() || self.is_far_behind() {
            self.ask_again(now, ports);
            self.ask_on(now, ports);
            self.want_bodies(self.bodies.asked, RANGE_PATIENCE, now);
        } else {
            self.want_bodies(Height(self.dispatched.0 + BLOCKS_AWAITED), PATIENCE, now);
        }
    }

    /// The same for the bodies of finalized blocks up to a height, each by its name.
    fn want_bodies(&mut self, up_to: Height, patience: Duration, now: Now) {
        for author in 0..self.validators() {
            for head in self.lacking(author, up_to) {
                self.want_batch(ValidatorIndex(author as u16), head, true, Vec::new(), patience, now);
            }
        }
    }

    /// Asks another peer for what the first range lacks when it does not come, and at last each peer for each of its
    /// bodies. Only of the first range: to ask for all of them once more would slow those down who answer slowly.
    fn ask_again(&mut self, now: Now, ports: &mut impl Ports) {
        let (dispatched, now_at) = (self.dispatched, now.monotonic);
        while let Some(range) = self.bodies.ranges.pop_front_if(|range| range.last <= dispatched) {
            if range.attempts == 0 {
                self.sync.note_in_time(range.peer);
            }
            if let Some(next) = self.bodies.ranges.front_mut() {
                (next.since, next.heard) = (now_at, now_at);
            }
        }
        let Some(range) = self.bodies.ranges.front().copied() else { return };
        let overdue = now_at >= range.heard + SILENCE_MAX || now_at >= range.since + RANGE_MAX;
        let lacks = self.first_lacking(dispatched.next()).filter(|first| *first <= range.last);
        let (mut peer, mut attempts) = (range.peer, range.attempts);
        match lacks {
            // It is here, and waits for the verifiers or for what is executed.
            None => {}
            Some(_) if !overdue => return,
            Some(first) => {
                // Once, and not again while its bodies are asked for by their names.
                if attempts < RANGE_ATTEMPTS_MAX {
                    self.sync.note_late(range.peer, now_at);
                    attempts += 1;
                }
                let rest = first..=range.last;
                let other = self.sync.peer_with(rest.clone(), PeerVersion::BODIES_BY_HEIGHT, now_at);
                match other.filter(|other| *other != range.peer && attempts < RANGE_ATTEMPTS_MAX) {
                    Some(other) => {
                        peer = other;
                        self.ask_for_bodies(other, rest, now, ports);
                    }
                    None => self.want_bodies(range.last, Duration::ZERO, now),
                }
            }
        }
        if let Some(first) = self.bodies.ranges.front_mut() {
            *first = Range { peer, since: now_at, heard: now_at, attempts, ..range };
        }
    }

    /// Asks peers in turns for the bodies of the next finalized blocks, a range of heights of each.
    fn ask_on(&mut self, now: Now, ports: &mut impl Ports) {
        let last = self.last_with_room();
        while let Some(first) = self.first_lacking(self.bodies.asked.max(self.dispatched).next())
            && first <= last
        {
            let whole = self.bodies.end_of_range(first);
            // The end of a range comes with later blocks, or when there is room, unless nothing else is under way.
            if whole > last && last != self.tree.head().height && !self.bodies.ranges.is_empty() {
                return;
            }
            let end = whole.min(last).min(self.sync.claimed()).max(first);
            if let Some(peer) = self.sync.peer_with(first..=end, PeerVersion::BODIES_BY_HEIGHT, now.monotonic)
            {
                self.ask_for_bodies(peer, first..=end, now, ports);
                let (since, heard) = (now.monotonic, now.monotonic);
                self.bodies.ranges.push_back(Range { last: end, peer, since, heard, attempts: 0 });
                self.bodies.asked = end;
            } else {
                // Perhaps somebody has it who does not say so. The others come when somebody does, or when nobody can
                // be asked in another way.
                let in_old_words = self.sync.peer_with(first..=first, PeerVersion::FIRST, now.monotonic);
                let by_name = if in_old_words.is_some() { BLOCKS_AWAITED } else { 1 };
                self.want_bodies(Height(self.dispatched.0 + by_name), Duration::ZERO, now);
                return;
            }
        }
    }

    fn ask_for_bodies(
        &mut self,
        peer: ValidatorIndex,
        heights: RangeInclusive<Height>,
        now: Now,
        ports: &mut impl Ports,
    ) {
        self.last_asked[usize::from(peer.0)] = Some(now.monotonic);
        let mut from = *heights.start();
        while from <= *heights.end() {
            let last = self.bodies.end_of_range(from).min(*heights.end());
            ports.observe(Observation::Fetched);
            let heights = (last.0 - from.0 + 1) as u32;
            ports.send(To::One(peer), &PeerMessage::FetchBodies { from, heights });
            from = last.next();
        }
    }

    /// The finalized blocks from a height on that wait for their bodies, each with the cut before it.
    fn waiting_from(&self, first: Height) -> impl Iterator<Item = (&Block, Vec<Head>)> {
        let cuts = self.streams.iter().map(Stream::cut).collect();
        let blocks = self.finalized.iter().map(|(block, _)| block.value());
        let with_cuts = blocks.scan(cuts, |before: &mut Vec<Head>, block| {
            Some((block, std::mem::replace(before, block.cut().to_vec())))
        });
        with_cuts.skip_while(move |(block, _)| block.height() < first)
    }

    /// The first finalized block, from `first` on, that lacks a batch which is not with the verifiers either. Of each
    /// author only the highest batch that is missing counts.
    fn first_lacking(&self, first: Height) -> Option<Height> {
        let is_missing = |author: usize, from: &Head, to: &Head| {
            let comes =
                |digest| self.early[author].contains_key(digest) || self.checking.contains_key(digest);
            let Err(Gap::Missing(head)) = self.streams[author].path(from, to) else { return false };
            !comes(&head.digest)
        };
        let lacks = |(block, before): &(&Block, Vec<Head>)| {
            let pairs = before.iter().zip(block.cut()).enumerate();
            pairs.into_iter().any(|(author, (from, to))| is_missing(author, from, to))
        };
        self.waiting_from(first).find(lacks).map(|(block, _)| block.height())
    }

    /// The last finalized block whose bodies may be fetched: what cannot be judged before blocks below it are executed
    /// waits, and has a bounded room. The next block always has it: its batches can be judged when the blocks below are
    /// executed.
    fn last_with_room(&self) -> Height {
        let waits = |author: usize| self.early[author].values().map(|early| early.batch.bytes().len());
        let is_full: Vec<bool> = (0..self.validators())
            .map(|author| {
                let stream = &self.streams[author];
                waits(author).sum::<usize>() + stream.bytes() > stream.bytes_max() / 2
            })
            .collect();
        let next = self.dispatched.next();
        let has_room = |(block, before): &(&Block, Vec<Head>)| {
            let mut of_authors = before.iter().zip(block.cut()).enumerate();
            block.height() <= next
                || of_authors.all(|(author, (from, to))| {
                    from == to || (!is_full[author] && self.streams[author].is_near(to.sequence))
                })
        };
        let with_room = self.waiting_from(next).take(BLOCKS_FETCHED_AT_ONCE).take_while(has_room);
        with_room.last().map_or(self.dispatched, |(block, _)| block.height())
    }

    /// The batches of one author that finalized blocks up to a height order and that are not here: for each block the
    /// last one of those.
    fn lacking(&self, author: usize, up_to: Height) -> Vec<Head> {
        let (stream, mut lacking) = (&self.streams[author], Vec::new());
        let mut from = stream.cut();
        let blocks = self.finalized.iter().map(|(block, _)| block.value());
        for block in blocks.take_while(|block| block.height() <= up_to) {
            let to = block.cut()[author];
            if let Err(Gap::Missing(head)) = stream.path(&from, &to) {
                lacking.push(head);
            }
            from = to;
        }
        lacking
    }

    pub(super) fn want_block(
        &mut self,
        digest: Digest,
        best: Vec<ValidatorIndex>,
        patience: Duration,
        now: Now,
    ) {
        let me = self.settings.me;
        let holders = || best.into_iter().filter(|peer| *peer != me).collect();
        self.fetches.want(digest, Wanted::Block, holders, patience, now.monotonic);
    }

    /// Asks for the batch before this one if it is not here and not on its way.
    pub(super) fn want_previous(&mut self, batch: &Batch, finalized: bool, patience: Duration, now: Now) {
        let (author, previous) = (batch.id().author, batch.previous());
        let stream = &self.streams[usize::from(author.0)];
        let here = previous.sequence <= stream.cut().sequence || stream.batch(&previous.digest).is_some();
        if !here {
            // What is wanted already is asked for when that was decided.
            let is_wanted = self.fetches.wanted_batches(author, &previous).is_some();
            let patience = if is_wanted { RANGE_PATIENCE } else { patience };
            self.want_batch(author, previous, finalized, Vec::new(), patience, now);
        }
    }

    /// Says that a batch is missing. `best` are asked first. A copy of another peer that is being checked may be wrong.
    pub(super) fn want_batch(
        &mut self,
        author: ValidatorIndex,
        head: Head,
        finalized: bool,
        best: Vec<ValidatorIndex>,
        patience: Duration,
        now: Now,
    ) {
        // It is here, or the author's own copy is on its way through the verifiers.
        if self.waits(author, &head.digest) {
            return;
        }
        if self.checking.get(&head.digest).is_some_and(|checking| checking.copies.contains(&author)) {
            return;
        }
        let before = Sequence(head.sequence.0.saturating_sub(1));
        let above = match self.fetches.wanted_batches(author, &head) {
            // It stands in the request.
            Some(_) => before,
            None => self.on_its_way_below(author, &head).min(before),
        };
        let stream = &self.streams[usize::from(author.0)];
        let holders = || {
            // Far behind, most peers may not have it any more.
            let mut holders = self.sync.keepers(self.dispatched.next());
            holders.extend(best);
            let all = (0..stream.validators() as u16).map(ValidatorIndex);
            let holding = all.filter(|peer| stream.told_by(*peer).sequence >= head.sequence);
            holders.extend(std::iter::once(author).chain(holding));
            let mut seen = BTreeSet::from([self.settings.me]);
            holders.retain(|peer| seen.insert(*peer));
            holders
        };
        let wanted = Wanted::Batches { author, above, head, finalized };
        self.fetches.want(head.digest, wanted, holders, patience, now.monotonic);
    }

    /// Up to where a stream is here, or on its way from its author through the verifiers, below a head that is missing.
    /// What is as high as that head, or higher, has a gap below it or lies on another branch, and says nothing.
    pub(super) fn on_its_way_below(&self, author: ValidatorIndex, head: &Head) -> Sequence {
        let stream = &self.streams[usize::from(author.0)];
        let ends = [self.received(author), stream.held()];
        let below = ends.into_iter().find(|end| end.sequence < head.sequence);
        below.unwrap_or(stream.cut()).sequence
    }

    /// R4: what f+1 peers say that they hold exists, so it is fetched before anybody asks about it.
    pub(super) fn fetch_what_others_hold(&mut self, now: Now) {
        if self.is_far_behind() {
            return;
        }
        let witnesses = self.faulty + 1;
        for author in 0..self.validators() {
            let stream = &self.streams[author];
            // What lies above the window is of no use yet: one that is far behind would fill its room with it.
            let lacking = stream.lacking(witnesses).filter(|head| stream.is_near(head.sequence));
            if let Some(head) = lacking {
                self.want_batch(ValidatorIndex(author as u16), head, false, Vec::new(), BATCH_PATIENCE, now);
            }
        }
    }

    /// Sends the requests that are due.
    pub(super) fn send_requests(&mut self, now: Now, ports: &mut impl Ports) {
        if self.fetches.deadline().is_none_or(|deadline| now.monotonic < deadline) {
            return;
        }
        let connected: Vec<ValidatorIndex> = self.connected.iter().copied().collect();
        let is_coming = |digest: &Digest| self.checking.contains_key(digest);
        for ask in self.fetches.poll(&connected, is_coming, now.monotonic) {
            let message = match ask.wanted {
                Wanted::Block => PeerMessage::FetchBlock { digest: ask.digest },
                Wanted::Batches { author, above, head, .. } => {
                    PeerMessage::FetchBatches { author, above, head }
                }
            };
            self.last_asked[usize::from(ask.to.0)] = Some(now.monotonic);
            ports.observe(Observation::Fetched);
            ports.send(To::One(ask.to), &message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_as_many_heights_as_an_answer_has_room_for() {
        let heights = |bodies: &Bodies| bodies.end_of_range(Height(1)).0;
        let mut bodies = Bodies::new(Height(0));
        assert_eq!(heights(&bodies), BODIES_REPLY_HEIGHTS_MAX);
        (0..64).for_each(|_| bodies.dispatched(RANGE_BYTES / 4));
        assert_eq!(heights(&bodies), 4);
        (0..64).for_each(|_| bodies.dispatched(4 * RANGE_BYTES));
        assert_eq!(heights(&bodies), 1, "of the largest blocks one at a time");
        (0..64).for_each(|_| bodies.dispatched(0));
        assert_eq!(heights(&bodies), BODIES_REPLY_HEIGHTS_MAX);
    }
}
