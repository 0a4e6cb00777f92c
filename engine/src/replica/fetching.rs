//! What is missing, and when it is asked for.
//!
//! In the normal course blocks and batches are on their way before anybody misses them, so they are asked for a little
//! later. Who follows, or has fallen behind, is pushed nothing: it asks at once, for the bodies of many heights in one
//! message, and by their names for those that have not come.

use std::collections::{BTreeMap, BTreeSet};
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
/// How long the bodies of a range of heights may take before each is asked for by its name.
const BODIES_PATIENCE: Duration = Duration::from_millis(500);

impl Replica {
    /// Asks for what holds back finalized blocks: an ancestor, or the bodies of the next ones.
    pub(super) fn want_finalized(&mut self, now: Now, ports: &mut impl Ports) {
        if let Some(missing) = self.tree.missing() {
            self.want_block(missing, Vec::new(), PATIENCE, now);
        }
        if self.is_follower() || self.finalized.len() as u64 > BLOCKS_AWAITED {
            self.ask_bodies(now, ports);
            self.want_bodies(self.bodies_asked, BODIES_PATIENCE, now);
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

    /// Asks peers in turns for the bodies of the next finalized blocks, a range of heights of each. What is lost, or
    /// comes from a liar, is asked for by its name afterwards.
    fn ask_bodies(&mut self, now: Now, ports: &mut impl Ports) {
        let last = self.last_with_room();
        let mut first = self.bodies_asked.max(self.dispatched).next();
        while first <= last {
            let whole = first.0.next_multiple_of(BODIES_REPLY_HEIGHTS_MAX);
            // The end of a range comes with later blocks, or when there is room, unless nothing else is under way.
            if whole > last.0 && last != self.tree.head().height && first != self.dispatched.next() {
                return;
            }
            let end = Height(whole.min(last.0));
            match self.sync.peer_with(first..=end) {
                Some(peer) => {
                    let heights = (end.0 - first.0 + 1) as u32;
                    ports.observe(Observation::Fetched);
                    ports.send(To::One(peer), &PeerMessage::FetchBodies { from: first, heights });
                }
                None => self.want_bodies(end, Duration::ZERO, now),
            }
            (self.bodies_asked, first) = (end, end.next());
        }
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
