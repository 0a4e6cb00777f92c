//! Reading committed blocks and their batches back from the journal, for peers and for queries.

use thiserror::Error;

use super::{BlockIndex, CommittedBlock, KIND_BATCH, KIND_COMMITTED, Read};
use crate::limits::{BLOCK_BYTES_MAX, BLOCKS_REPLY_MAX, FETCH_REPLY_BYTES_MAX, FINALIZATION_BYTES_MAX};
use crate::store::{Position, Record, StoreError};
use crate::types::{Digest, Head, Height, Sequence, ValidatorIndex};
use crate::wire::{Batch, Block, FinalizedBlock, PeerMessage};

/// Bytes of blocks in one answer.
const BLOCKS_REPLY_BYTES_MAX: usize = 16 * (BLOCK_BYTES_MAX + FINALIZATION_BYTES_MAX);

/// Why something cannot be read back.
#[derive(Debug, Error)]
pub enum ReadError {
    /// No block is committed at this height.
    #[error("there is no committed block at height {0}; the last is {1}")]
    NotCommitted(Height, Height),
    /// The journal cannot be read there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal holds something else there, which the index and the record before do not allow.
    #[error("the journal is damaged at height {0}; run `millrace verify` on this validator's data")]
    Damaged(Height),
}

/// Records by their positions.
pub trait Records {
    /// The durable record at a position.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, position: Position) -> Result<Record, StoreError>;
}

impl Records for crate::store::Log {
    fn read(&self, position: Position) -> Result<Record, StoreError> {
        Self::read(self, position)
    }
}

/// A reader of one validator's journal.
pub struct JournalReader<'a, R> {
    /// The journal.
    pub records: &'a R,
    /// Where its blocks stand.
    pub index: &'a BlockIndex,
    /// The network.
    pub network: &'a Digest,
}

impl<R: Records> JournalReader<'_, R> {
    /// A committed block with its record.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn block(&self, height: Height) -> Result<(CommittedBlock, Block), ReadError> {
        let position = self.index.position(height);
        let position = position.ok_or_else(|| ReadError::NotCommitted(height, self.index.height()))?;
        let record = self.records.read(position)?;
        let damaged = || ReadError::Damaged(height);
        if record.kind != KIND_COMMITTED {
            return Err(damaged());
        }
        let committed = CommittedBlock::decode(&record.bytes).map_err(|_| damaged())?;
        let block = Block::decode(&committed.block).map_err(|_| damaged())?;
        if block.height() == height { Ok((committed, block)) } else { Err(damaged()) }
    }

    /// The batches of a committed block, by author and sequence.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn batches(&self, committed: &CommittedBlock) -> Result<Vec<Batch>, ReadError> {
        committed.batches.iter().map(|position| self.batch(committed.height, *position)).collect()
    }

    fn batch(&self, height: Height, position: Position) -> Result<Batch, ReadError> {
        let record = self.records.read(position)?;
        if record.kind != KIND_BATCH {
            return Err(ReadError::Damaged(height));
        }
        Batch::decode(self.network, record.bytes.into()).map_err(|_| ReadError::Damaged(height))
    }

    /// What a peer asked for, as the messages that answer it; none where it is not here.
    pub fn answer(&self, read: &Read) -> Vec<PeerMessage> {
        match *read {
            Read::Block(height) => {
                self.block(height).map(|(_, block)| PeerMessage::Block(block)).into_iter().collect()
            }
            Read::Blocks { from, max, committed } => {
                let max = u64::from(max).min(BLOCKS_REPLY_MAX as u64);
                let end = from.0.saturating_add(max).min(committed.0.saturating_add(1));
                vec![PeerMessage::BlocksReply(self.blocks(from, Height(end)))]
            }
            Read::Batches { author, above, head } => self.stream(author, above, head),
        }
    }

    fn blocks(&self, from: Height, end: Height) -> Vec<FinalizedBlock> {
        let mut bytes = 0;
        let found = (from.0..end.0).map_while(|height| self.block(Height(height)).ok());
        let found = found.map(|(record, block)| (record.block.len(), block, record.certificate));
        let fitting = found.take_while(|(block_bytes, _, certificate)| {
            bytes += block_bytes + certificate.len() + 8;
            bytes <= BLOCKS_REPLY_BYTES_MAX
        });
        fitting
            .map(|(_, block, certificate)| FinalizedBlock { block, finalization: certificate.into() })
            .collect()
    }

    /// Committed batches of one author that end with `head` and lie above `above`, the last one first.
    fn stream(&self, author: ValidatorIndex, above: Sequence, head: Head) -> Vec<PeerMessage> {
        let (mut found, mut bytes, mut at) = (Vec::new(), 0, head);
        let mut height = if at.is_none() { None } else { self.height_of(author, at.sequence) };
        while let Some(here) = height.filter(|height| height.0 > 0 && at.sequence > above) {
            let Ok(batches) = self.of_author(here, author) else { break };
            let last = at.sequence;
            for batch in batches.into_iter().rev().skip_while(|batch| batch.id().sequence > last) {
                bytes += batch.bytes().len();
                let full = bytes > FETCH_REPLY_BYTES_MAX && !found.is_empty();
                if batch.head() != at || at.sequence <= above || full {
                    return found;
                }
                at = batch.previous();
                found.push(PeerMessage::Batch(batch.bytes().clone()));
            }
            height = Some(Height(here.0 - 1));
        }
        found
    }

    /// The height whose cut passes a sequence: cuts only grow, so it is found by halving.
    fn height_of(&self, author: ValidatorIndex, sequence: Sequence) -> Option<Height> {
        let reaches = |height: u64| {
            let (_, block) = self.block(Height(height)).ok()?;
            Some(block.cut().get(usize::from(author.0))?.sequence >= sequence)
        };
        let (mut low, mut high) = (1, self.index.height().0);
        if high == 0 || !reaches(high)? {
            return None;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match reaches(middle)? {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        Some(Height(low))
    }

    fn of_author(&self, height: Height, author: ValidatorIndex) -> Result<Vec<Batch>, ReadError> {
        let (committed, block) = self.block(height)?;
        let before = match height.0 {
            1 => vec![Head::NONE; block.cut().len()],
            above => self.block(Height(above - 1))?.1.cut().to_vec(),
        };
        let counts: Vec<usize> = before
            .iter()
            .zip(block.cut())
            .map(|(from, to)| to.sequence.0.saturating_sub(from.sequence.0) as usize)
            .collect();
        let author = usize::from(author.0);
        let first: usize = counts.iter().take(author).sum();
        let count = counts.get(author).copied().unwrap_or(0);
        let positions = committed.batches.get(first..first + count).ok_or(ReadError::Damaged(height))?;
        positions.iter().map(|position| self.batch(height, *position)).collect()
    }
}
