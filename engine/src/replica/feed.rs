//! The feed of a chain, read from the journal.
//!
//! What the chain executed at a height is in the block of that height, and what took effect by itself in the block's
//! record. What came from other chains is not stored: it follows from what they sent in the block before, and from what
//! the chains before could not credit.
//!
//! A question is a bounded amount of work, whatever it asks for: it ends after [`HEIGHTS_MAX`] heights, or with the
//! height at which it has read [`PACKETS_MAX`] packets, and says where to go on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{ChainRecord, CommittedBlock, JournalReader, ReadError};
use crate::limits::{BLOCK_PACKETS_MAX, FEED_EVENTS_MAX, FEED_PACKETS_MAX};
use crate::store::Records;
use crate::types::{ChainId, Height, Outcome, Packet, PacketRun, Transaction, TransactionId};
use crate::wire::answers::{FeedAnswer, FeedEvent, FeedItem};
use crate::wire::{Batch, Cursor, FeedQuery, Happening};

/// Heights that one question looks at.
const HEIGHTS_MAX: usize = 256;
/// So much is looked at until a question ends, with the height that it has come to: packets of all chains in the blocks
/// that it reads from the journal, and what happened on its own chain. A height needs at most [`BLOCKS_KEPT`] blocks.
const PACKETS_MAX: u64 = BLOCK_PACKETS_MAX as u64;
/// Blocks that are kept: one with the two before it, from which its arrivals follow.
const BLOCKS_KEPT: usize = 3;

/// The blocks that were read last, at most three: the next question mostly goes on where the last one ended.
#[derive(Debug)]
pub struct FeedBlocks {
    kept: VecDeque<Arc<Stored>>,
    /// Packets of all chains in the blocks that were read since the question began.
    read: u64,
    packets_max: u64,
}

impl Default for FeedBlocks {
    fn default() -> Self {
        Self::bounded(PACKETS_MAX)
    }
}

impl FeedBlocks {
    /// For questions that end with the height at which they have read so many packets.
    pub(super) fn bounded(packets_max: u64) -> Self {
        Self { kept: VecDeque::new(), read: 0, packets_max }
    }
}

/// A block, with the batches that it orders.
#[derive(Debug)]
struct Stored {
    record: CommittedBlock,
    batches: Vec<Batch>,
}

impl Stored {
    fn chain(&self, chain: ChainId) -> Result<&ChainRecord, ReadError> {
        self.record.chain(chain).ok_or(ReadError::Damaged(self.record.height))
    }

    /// The transactions of a chain with their outcomes, in order.
    fn executed(&self, chain: ChainId) -> Result<impl Iterator<Item = (PacketRun<'_>, Outcome)>, ReadError> {
        let of_chain = self.chain(chain)?;
        let packets = || self.batches.iter().map(move |batch| batch.packets_of(chain));
        let outcomes = of_chain.outcomes(packets());
        if outcomes.len() as u64 != of_chain.entry.transactions {
            return Err(ReadError::Damaged(self.record.height));
        }
        Ok(packets().flat_map(PacketRun::all).zip(outcomes))
    }

    /// What a chain has sent to others, in order, and to which.
    fn sent(&self, from: ChainId) -> Result<impl Iterator<Item = (PacketRun<'_>, ChainId)>, ReadError> {
        // Before it was created a chain has sent nothing.
        let was_there = self.record.chain(from).is_some();
        let executed = was_there.then(|| self.executed(from)).transpose()?.into_iter().flatten();
        let sent = executed.filter(|(_, outcome)| *outcome == Outcome::Sent);
        Ok(sent.filter_map(|(run, _)| run.destination().map(|(chain, _)| (run, chain))))
    }
}

impl<R: Records> JournalReader<'_, R> {
    /// What happened on a chain of the network from a cursor on, up to the height `last`. `stopped` is looked at before
    /// each height.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn feed(
        &self,
        query: &FeedQuery,
        last: Height,
        blocks: &mut FeedBlocks,
        stopped: &dyn Fn() -> bool,
    ) -> Result<FeedAnswer, ReadError> {
        let max = usize::from(query.max).min(FEED_EVENTS_MAX);
        let (mut events, mut at, mut looked_through) = (Vec::new(), query.from.max(Cursor::START), 0);
        let mut packets = 0;
        blocks.read = 0;
        for _ in 0..HEIGHTS_MAX {
            if at.height > last || looked_through + blocks.read >= blocks.packets_max || stopped() {
                break;
            }
            let (record, _) = self.block(at.height)?;
            let of_chain = record.chain(query.chain);
            let effects = of_chain.map_or(&[][..], |of| &of.effects);
            for (place, effect) in (0_u32..).zip(effects).skip(at.place as usize) {
                let here = Cursor { place, ..at };
                if !query.wants_effect(effect) {
                    continue;
                }
                if events.len() == max {
                    return Ok(FeedAnswer { events, next: here });
                }
                events.push(FeedEvent { at: here, item: FeedItem::Effect(*effect) });
            }
            let first = effects.len() as u32;
            let count = of_chain.map_or(0, |of| of.entry.inbox + of.entry.transactions);
            looked_through += count + u64::from(first);
            if count > 0 && count + u64::from(first) > at.place.into() {
                let stored = self.stored(at.height, blocks)?;
                let arrivals = self.arrivals(query.chain, &stored, blocks)?;
                let arrivals = arrivals.iter().map(|(sent, happening)| (sent.run(), *happening));
                let executed = stored.executed(query.chain)?;
                let executed = executed.map(|(run, outcome)| (run, Happening::Executed { outcome }));
                let seen = at.place.saturating_sub(first);
                let all = (first..).zip(arrivals.chain(executed)).skip(seen as usize);
                for (place, (run, happening)) in all {
                    let here = Cursor { place, ..at };
                    if !query.wants(happening, run) {
                        continue;
                    }
                    packets += run.packets().len();
                    if events.len() == max || (packets > FEED_PACKETS_MAX && !events.is_empty()) {
                        return Ok(FeedAnswer { events, next: here });
                    }
                    let (id, packet) = (run.id(self.network), hex::encode(Packet::bytes(run.packets())));
                    let item = FeedItem::Transaction { id, happening, packet };
                    events.push(FeedEvent { at: here, item });
                }
            }
            at = Cursor::at(at.height.next());
        }
        Ok(FeedAnswer { events, next: at })
    }

    /// What came to a chain from others, in the order in which it was executed: by the chain that sent it, and of each
    /// chain first what it gives back.
    fn arrivals(
        &self,
        chain: ChainId,
        stored: &Stored,
        blocks: &mut FeedBlocks,
    ) -> Result<Vec<(Transaction, Happening)>, ReadError> {
        let (height, here) = (stored.record.height, stored.chain(chain)?);
        if here.entry.inbox == 0 {
            return Ok(Vec::new());
        }
        let damaged = || ReadError::Damaged(height);
        let before = self.stored(Height(height.0.checked_sub(1).ok_or_else(damaged)?), blocks)?;
        // What this chain has sent two heights before comes back now, or what it has paid for offers goes on to here.
        let earlier = match height.0 {
            ..=2 => None,
            height => self.sent_by(chain, Height(height - 2), blocks)?,
        };
        let mut answered: BTreeMap<ChainId, Vec<PacketRun<'_>>> = BTreeMap::new();
        if let Some(earlier) = &earlier {
            for (run, other) in earlier.sent(chain)? {
                answered.entry(other).or_default().push(run);
            }
        }
        let returned: BTreeMap<TransactionId, Outcome> = here.returned.iter().copied().collect();
        let own = |run: PacketRun<'_>| run.transaction().map_err(|_| damaged());
        let mut arrivals = Vec::new();
        for of in &before.record.chains {
            let other = of.entry.chain;
            let given_back: BTreeMap<TransactionId, Outcome> = of.returned.iter().copied().collect();
            for run in answered.remove(&other).unwrap_or_default() {
                match given_back.get(&run.id(self.network)) {
                    Some(reason) => arrivals.push((own(run)?, Happening::Refunded { reason: *reason })),
                    None if !run.is_cross() => arrivals.push((own(run)?, Happening::Swapped)),
                    None => {}
                }
            }
            for (run, _) in before.sent(other)?.filter(|(_, to)| *to == chain) {
                let happening = match returned.get(&run.id(self.network)) {
                    None => Happening::Credited,
                    Some(reason) => Happening::NotCredited { reason: *reason },
                };
                arrivals.push((own(run)?, happening));
            }
        }
        if arrivals.len() as u64 == here.entry.inbox { Ok(arrivals) } else { Err(damaged()) }
    }

    /// The block of a height, if a chain has sent something there.
    fn sent_by(
        &self,
        chain: ChainId,
        height: Height,
        blocks: &mut FeedBlocks,
    ) -> Result<Option<Arc<Stored>>, ReadError> {
        let kept = blocks.kept.iter().find(|stored| stored.record.height == height);
        let sends = |record: &CommittedBlock| record.chain(chain).is_some_and(|of| of.entry.outbox > 0);
        let sends = match kept {
            Some(stored) => sends(&stored.record),
            None => sends(&self.block(height)?.0),
        };
        sends.then(|| self.stored(height, blocks)).transpose()
    }

    fn stored(&self, height: Height, blocks: &mut FeedBlocks) -> Result<Arc<Stored>, ReadError> {
        if let Some(stored) = blocks.kept.iter().find(|stored| stored.record.height == height) {
            return Ok(Arc::clone(stored));
        }
        let (record, _) = self.block(height)?;
        let batches = self.batches(&record)?;
        blocks.read += batches.iter().map(|batch| batch.packets().len() as u64).sum::<u64>();
        let stored = Arc::new(Stored { record, batches });
        if blocks.kept.len() == BLOCKS_KEPT {
            blocks.kept.pop_front();
        }
        blocks.kept.push_back(Arc::clone(&stored));
        Ok(stored)
    }
}
