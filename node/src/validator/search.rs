//! Finding a transaction in the journal by its id: where the hint says, else in the last blocks.
//!
//! A search is a bounded amount of work, since a client can ask for ids that do not exist: besides the block of the
//! hint it ends with the block at which it has hashed [`SEARCHED_PACKETS_MAX`] packets, and reads at most
//! [`SEARCHED_BLOCKS_MAX`] blocks.
//! Only the block that holds the transaction has its tree built.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use engine::replica::{ChainRecord, CommittedBlock, Hints, JournalReader, ReadError};
use engine::roots::{TransactionTree, contains_transaction};
use engine::store::Records;
use engine::types::{ChainId, Height, PacketRun, TransactionId};
use engine::wire::{Batch, Block};
use thiserror::Error;

/// Packets that are looked at: as many as the largest block has.
const SEARCHED_PACKETS_MAX: u64 = engine::limits::BLOCK_PACKETS_MAX as u64;
/// Blocks that are looked at, mostly empty ones then.
const SEARCHED_BLOCKS_MAX: usize = 256;

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum Unanswered {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    BelowRetention(ReadError),
    #[error("the validator is stopping")]
    Stopping,
    #[error(transparent)]
    Journal(ReadError),
}

impl From<ReadError> for Unanswered {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotCommitted(..) => Self::NotFound(error.to_string()),
            error @ ReadError::BelowRetention { .. } => Self::BelowRetention(error),
            error => Self::Journal(error),
        }
    }
}

/// A committed block, as the journal holds it.
pub struct Stored {
    pub record: CommittedBlock,
    pub block: Block,
}

/// A transaction in its block.
pub struct Found {
    pub chain: ChainId,
    pub place: usize,
    pub tree: TransactionTree,
    pub batches: Vec<Batch>,
    pub stored: Stored,
}

/// A block does not have the transaction.
struct NotThere {
    /// How many packets were looked at.
    packets: u64,
}

/// Where to search.
pub struct Search<'a, R> {
    pub reader: JournalReader<'a, R>,
    pub hints: &'a Hints,
    /// Set when the validator stops: a search ends at the next block.
    pub stopping: &'a AtomicBool,
}

impl<R: Records> Search<'_, R> {
    /// A committed block.
    pub fn stored(&self, height: Height) -> Result<Stored, Unanswered> {
        let (record, block) = self.reader.block(height)?;
        Ok(Stored { record, block })
    }

    /// Looks where the hint says, and nowhere else.
    pub fn find_hinted(
        &self,
        chain: Option<ChainId>,
        id: &TransactionId,
    ) -> Result<Option<Found>, Unanswered> {
        match self.hints.find(id, self.reader.index.height()) {
            None => Ok(None),
            Some(height) => Ok(self.find_in(self.stored(height)?, chain, id)?.ok()),
        }
    }

    /// Looks where the hint says, then in the last blocks.
    pub fn find(&self, chain: Option<ChainId>, id: &TransactionId) -> Result<Found, Unanswered> {
        let committed = self.reader.index.height();
        let hint = self.hints.find(id, committed);
        // A hint may be wrong. One that leads to what is not kept any more is the answer if nothing else is found.
        let gone = match self.find_hinted(chain, id) {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(gone @ Unanswered::BelowRetention(_)) => Some(gone),
            Err(error) => return Err(error),
        };
        let (mut budget, mut lowest) = (SEARCHED_PACKETS_MAX, committed.0 + 1);
        let first = self.reader.index.base().0 + 1;
        for height in (first..=committed.0).rev().take(SEARCHED_BLOCKS_MAX) {
            if self.stopping.load(Relaxed) {
                return Err(Unanswered::Stopping);
            }
            if hint != Some(Height(height)) {
                let stored = self.stored(Height(height))?;
                // Each transaction has at least one packet.
                if transactions(&stored.record, chain) > budget {
                    break;
                }
                match self.find_in(stored, chain, id)? {
                    Ok(found) => return Ok(found),
                    Err(NotThere { packets }) => budget = budget.saturating_sub(packets),
                }
            }
            lowest = height;
        }
        let nowhere = || {
            let where_to = format!("is in the blocks {lowest} to {committed}, nor known from an earlier one");
            Unanswered::NotFound(format!("no transaction {id} {where_to}"))
        };
        Err(gone.unwrap_or_else(nowhere))
    }

    fn find_in(
        &self,
        stored: Stored,
        chain: Option<ChainId>,
        id: &TransactionId,
    ) -> Result<Result<Found, NotThere>, Unanswered> {
        let mut looked_at = 0;
        if transactions(&stored.record, chain) == 0 {
            return Ok(Err(NotThere { packets: looked_at }));
        }
        let batches = self.reader.batches(&stored.record)?;
        let network = self.reader.network;
        for of_chain in
            stored.record.chains.iter().filter(|of| chain.is_none_or(|chain| chain == of.entry.chain))
        {
            let packets = || batches.iter().map(|batch| batch.packets_of(of_chain.entry.chain));
            looked_at += packets().map(<[_]>::len).sum::<usize>() as u64;
            let transactions = packets().flat_map(PacketRun::all).count();
            if transactions as u64 != of_chain.entry.transactions {
                return Err(ReadError::Damaged(stored.record.height).into());
            }
            if !packets().any(|packets| contains_transaction(network, packets, id)) {
                continue;
            }
            let tree = TransactionTree::new(network, packets(), &of_chain.outcomes(packets()));
            if let Some(place) = tree.position(id) {
                let chain = of_chain.entry.chain;
                return Ok(Ok(Found { chain, place, tree, batches, stored }));
            }
        }
        Ok(Err(NotThere { packets: looked_at }))
    }
}

/// How many transactions have to be looked at in a block.
fn transactions(record: &CommittedBlock, chain: Option<ChainId>) -> u64 {
    let of_chain = |of: &&ChainRecord| chain.is_none_or(|chain| chain == of.entry.chain);
    record.chains.iter().filter(of_chain).map(|of| of.entry.transactions).sum()
}

#[cfg(test)]
mod tests;
