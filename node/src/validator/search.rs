//! Finding a transaction in the journal by its id: where the hint says, else in the last blocks.
//!
//! A search is a bounded amount of work, since a client can ask for ids that do not exist: besides the block of the
//! hint it ends with the block at which it has hashed [`SEARCHED_PACKETS_MAX`] packets, and reads at most
//! [`SEARCHED_BLOCKS_MAX`] blocks.
//! Only the block that holds the transaction has its tree built.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use engine::replica::{Hints, JournalReader, ReadError};
use engine::store::Records;
use engine::types::{ChainId, Height, TransactionId};
use thiserror::Error;

use super::committed::{Found, NotThere, find_in, stored, transactions};

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

/// Where to search.
pub struct Search<'a, R> {
    pub reader: JournalReader<'a, R>,
    pub hints: &'a Hints,
    /// Set when the validator stops: a search ends at the next block.
    pub stopping: &'a AtomicBool,
}

impl<R: Records> Search<'_, R> {
    /// Looks where the hint says, and nowhere else.
    pub fn find_hinted(
        &self,
        chain: Option<ChainId>,
        id: &TransactionId,
    ) -> Result<Option<Found>, Unanswered> {
        match self.hints.find(id, self.reader.index.height()) {
            None => Ok(None),
            Some(height) => Ok(find_in(&self.reader, stored(&self.reader, height)?, chain, id)?.ok()),
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
                let stored = stored(&self.reader, Height(height))?;
                // Each transaction has at least one packet.
                if transactions(&stored.record, chain) > budget {
                    break;
                }
                match find_in(&self.reader, stored, chain, id)? {
                    Ok(found) => return Ok(found),
                    Err(NotThere { packets }) => budget = budget.saturating_sub(packets),
                }
            }
            lowest = height;
        }
        let nowhere = || {
            let older = match lowest {
                0..=1 => "",
                _ => {
                    "; if it is older, `query history` finds it by its account, and `query --archive` by its id"
                }
            };
            let where_to = format!("is in the blocks {lowest} to {committed}, nor known from an earlier one");
            Unanswered::NotFound(format!("no transaction {id} {where_to}{older}"))
        };
        Err(gone.unwrap_or_else(nowhere))
    }
}

#[cfg(test)]
mod tests;
