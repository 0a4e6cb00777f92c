//! What is missing, and when it is asked for.
//!
//! In the normal course blocks and batches are on their way before anybody misses them, so they are asked for a little
//! later. Who follows, or has fallen behind, is pushed nothing: it asks at once, for the bodies of many heights in one
//! message, and by their names only for those that two peers have not sent. Impatience would be worse than waiting: each
//! question by name costs the peer that answers it a search on its disk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Check, Now, Observation, Ports, Replica, To};
use crate::availability::{Gap, Stream, Wanted};
use crate::limits::BODIES_REPLY_HEIGHTS_MAX;
use crate::types::{Digest, Head, Height, Sequence, ValidatorIndex};
use crate::wire::{Batch, Block, PeerMessage};

/// How long a batch may be missing before it is asked for, where its author is probably still sending it.
pub(super) const BATCH_PATIENCE: Duration = Duration::from_millis(100);
/// How long what a block needs may be missing before it is asked for: it is mostly on its way.
pub(super) const PATIENCE: Duration = Duration::from_millis(30);
/// How many finalized blocks have their bodies fetched at a time by one that is behind…
const BLOCKS_FETCHED_AT_ONCE: u64 = 64;
/// …and in the normal course. Where more wait, their bodies are not on their way.
const BLOCKS_AWAITED: u64 = 8;
/// How long a peer may send nothing of the next range of bodies, and how long that range may take in all, before another
/// peer is asked for the rest.
const SILENCE_MAX: Duration = Duration::from_millis(500);
const RANGE_MAX: Duration = Duration::from_secs(3);
/// How many peers are asked for a range before its bodies are asked for by their names.
const RANGE_ATTEMPTS_MAX: u32 = 2;
/// Bodies that a range will bring are taken when they come, and not asked for by their names in that time.
const RANGE_PATIENCE: Duration = Duration::from_secs(60);

/// The bodies of some heights that a peer was asked for.
#[derive(Clone, Copy, Debug)]
struct Range {
    last: Height,
    peer: ValidatorIndex,
    asked: Duration,
    heard: Duration,
    attempts: u32,
}

impl Range {
    fn is_overdue(&self, now: Duration) -> bool {
        now >= self.heard + SILENCE_MAX || now >= self.asked + RANGE_MAX
    }
}

/// The ranges of heights whose bodies are asked for, ascending, without a gap between them.
#[derive(Debug)]
pub(super) struct Bodies {
    ranges: VecDeque<Range>,
    /// The last height of the last one.
    asked: Height,
}

impl Bodies {
    /// Everything up to a height is here.
    pub(super) fn new(height: Height) -> Self {
        Self { ranges: VecDeque::new(), asked: height }
    }

    /// A peer has sent a batch that was asked for.
    pub(super) fn heard(&mut self, from: ValidatorIndex, now: Duration) {
        let of_peer = self.ranges.iter_mut().filter(|range| range.peer == from);
        of_peer.for_each(|range| range.heard = now);
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
            for (above, head) in self.lacking(author, up_to) {
                let author = ValidatorIndex(author as u16);
                self.want_range(author, (above, head), true, Vec::new(), patience, now);
            }
        }
    }

    /// Asks another peer for what the first range lacks when it does not come, and at last each peer for each of its
    /// bodies. Only of the next range: to ask for all of them once more would slow those down who answer slowly.
    fn ask_again(&mut self, now: Now, ports: &mut impl Ports) {
        let dispatched = self.dispatched;
        while self.bodies.ranges.pop_front_if(|range| range.last <= dispatched).is_some() {}
        let Some(range) = self.bodies.ranges.front().copied().filter(|range| range.is_overdue(now.monotonic))
        else {
            return;
        };
        self.sync.slow(range.peer, now.monotonic);
        let attempts = range.attempts + 1;
        let rest = dispatched.next()..=range.last;
        let other = if attempts < RANGE_ATTEMPTS_MAX {
            self.sync.peer_with(rest.clone(), now.monotonic)
        } else {
            None
        };
        if let Some(peer) = other {
            self.ask_for_bodies(peer, rest, ports);
        } else {
            self.want_bodies(range.last, Duration::ZERO, now);
        }
        if let Some(first) = self.bodies.ranges.front_mut() {
            let (asked, heard) = (now.monotonic, now.monotonic);
            *first = Range { peer: other.unwrap_or(range.peer), asked, heard, attempts, ..range };
        }
    }

    /// Asks peers in turns for the bodies of the next finalized blocks, a range of heights of each.
    fn ask_on(&mut self, now: Now, ports: &mut impl Ports) {
        let last = self.last_with_room();
        let mut first = self.bodies.asked.max(self.dispatched).next();
        while first <= last {
            let whole = first.0.next_multiple_of(BODIES_REPLY_HEIGHTS_MAX);
            // The end of a range comes with later blocks, or when there is room, unless nothing else is under way.
            if whole > last.0 && last != self.tree.head().height && !self.bodies.ranges.is_empty() {
                return;
            }
            let end = Height(whole.min(last.0));
            if let Some(peer) = self.sync.peer_with(first..=end, now.monotonic) {
                self.ask_for_bodies(peer, first..=end, ports);
                let (asked, heard) = (now.monotonic, now.monotonic);
                self.bodies.ranges.push_back(Range { last: end, peer, asked, heard, attempts: 0 });
            } else {
                self.want_bodies(end, Duration::ZERO, now);
            }
            (self.bodies.asked, first) = (end, end.next());
        }
    }

    fn ask_for_bodies(&self, peer: ValidatorIndex, heights: RangeInclusive<Height>, ports: &mut impl Ports) {
        let (from, heights) = (*heights.start(), (heights.end().0 - heights.start().0 + 1) as u32);
        ports.observe(Observation::Fetched);
        ports.send(To::One(peer), &PeerMessage::FetchBodies { from, heights });
    }

    /// The last finalized block whose bodies may be fetched: what cannot be judged before blocks below it are executed
    /// waits, and has a bounded room. The next block always has it, because its batches can be judged.
    fn last_with_room(&self) -> Height {
        let is_full = |(early, stream): (&BTreeMap<Digest, Check>, &Stream)| {
            early.values().map(|early| early.batch.bytes().len()).sum::<usize>() > stream.bytes_max() / 2
        };
        let next = self.dispatched.next();
        if self.early.iter().zip(&self.streams).any(is_full) {
            return next.min(self.tree.head().height);
        }
        let is_near = |block: &Block| {
            self.streams.iter().zip(block.cut()).all(|(stream, to)| stream.is_near(to.sequence))
        };
        let blocks = self.finalized.iter().map(|(block, _)| block.value());
        let near = blocks
            .take_while(|block| block.height() <= next || is_near(block))
            .take(BLOCKS_FETCHED_AT_ONCE as usize);
        near.last().map_or(self.dispatched, |block| block.height())
    }

    /// The batches of one author that finalized blocks up to a height order and that are not here: above a sequence, up
    /// to a head, for each block.
    fn lacking(&self, author: usize, up_to: Height) -> Vec<(Sequence, Head)> {
        let (stream, mut lacking) = (&self.streams[author], Vec::new());
        let mut from = stream.cut();
        let blocks = self.finalized.iter().map(|(block, _)| block.value());
        for block in blocks.take_while(|block| block.height() <= up_to) {
            let to = block.cut()[author];
            if let Err(Gap::Missing(head)) = stream.path(&from, &to) {
                lacking.push((from.sequence, head));
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
        let before = Sequence(head.sequence.0.saturating_sub(1));
        let above = match self.fetches.wanted(&head.digest) {
            // It stands in the request.
            Some(_) => before,
            None => self.on_its_way_below(author, &head).min(before),
        };
        self.want_range(author, (above, head), finalized, best, patience, now);
    }

    /// The same for all batches of an author above a sequence and up to a head.
    fn want_range(
        &mut self,
        author: ValidatorIndex,
        (above, head): (Sequence, Head),
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
            if let Some(head) = self.streams[author].lacking(witnesses) {
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
