//! Reading committed blocks and their batches back from the journal, for peers and for queries.

use bytes::Bytes;
use thiserror::Error;

use super::{BlockIndex, CommittedBlock, KIND_BATCH, KIND_COMMITTED, KIND_STATE, Read};
use crate::limits::{
    BLOCK_BYTES_MAX, BLOCKS_REPLY_MAX, BODIES_REPLY_HEIGHTS_MAX, FETCH_REPLY_BYTES_MAX,
    FINALIZATION_BYTES_MAX, STORED_BYTES_MAX,
};
use crate::store::{Position, Record, Records, StoreError};
use crate::types::{Digest, Head, Height, Sequence, ValidatorIndex};
use crate::wire::{Batch, Block, FinalizedBlock, PeerMessage};

/// Bytes of blocks in one answer.
const BLOCKS_REPLY_BYTES_MAX: usize = 16 * (BLOCK_BYTES_MAX + FINALIZATION_BYTES_MAX);
/// Heights from which the batches of one answer come, so that one request is a bounded amount of work for the disk. Who
/// needs more asks again from the last batch that came.
const STREAM_HEIGHTS_MAX: usize = 64;

/// Why something cannot be read back.
#[derive(Debug, Error)]
pub enum ReadError {
    /// No block is committed at this height.
    #[error("there is no committed block at height {0}; the last is {1}")]
    NotCommitted(Height, Height),
    /// The journal was pruned above this height.
    #[error(
        "height {height} is below what this validator keeps, which begins at height {first}: ask a validator that keeps \
         more"
    )]
    BelowRetention {
        /// The height.
        height: Height,
        /// The first that is kept with its batches.
        first: Height,
    },
    /// The journal cannot be read there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal holds something else there, which the index and the record before do not allow.
    #[error("the journal is damaged at height {0}; run `millrace verify` on this validator's data")]
    Damaged(Height),
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
        let Some(position) = position else {
            let (base, last) = (self.index.base(), self.index.height());
            return Err(match height < base && height.0 > 0 {
                true => ReadError::BelowRetention { height, first: base.next() },
                false => ReadError::NotCommitted(height, last),
            });
        };
        let record = self.record(height, position)?;
        let damaged = || ReadError::Damaged(height);
        if !matches!(record.kind, KIND_COMMITTED | KIND_STATE) {
            return Err(damaged());
        }
        let committed = CommittedBlock::decode(&record.bytes).map_err(|_| damaged())?;
        let block = Block::decode(&committed.block).map_err(|_| damaged())?;
        if block.height() == height { Ok((committed, block)) } else { Err(damaged()) }
    }

    /// Reads a record of a height, which may just have been released.
    fn record(&self, height: Height, position: Position) -> Result<Record, ReadError> {
        self.records.read(position).map_err(|error| match error {
            StoreError::Released { .. } => {
                let first = self.index.base().max(height).next();
                ReadError::BelowRetention { height, first }
            }
            error => error.into(),
        })
    }

    /// The last finalization certificate at or below a height, as far as the journal goes back; empty if there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn last_certificate(&self, height: Height) -> Result<Vec<u8>, ReadError> {
        for at in (self.index.base().0.max(1)..=height.0).rev() {
            let (committed, _) = self.block(Height(at))?;
            if !committed.certificate.is_empty() {
                return Ok(committed.certificate);
            }
        }
        Ok(Vec::new())
    }

    /// The batches of a committed block, by author and sequence.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn batches(&self, committed: &CommittedBlock) -> Result<Vec<Batch>, ReadError> {
        // Of the base only the record is here.
        if committed.height <= self.index.base() {
            return Err(ReadError::BelowRetention {
                height: committed.height,
                first: self.index.base().next(),
            });
        }
        committed.batches.iter().map(|position| self.batch(committed.height, *position)).collect()
    }

    fn batch(&self, height: Height, position: Position) -> Result<Batch, ReadError> {
        let record = self.record(height, position)?;
        if record.kind != KIND_BATCH {
            return Err(ReadError::Damaged(height));
        }
        Batch::decode(self.network, record.bytes.into()).map_err(|_| ReadError::Damaged(height))
    }

    /// What a peer asked for, as the messages that answer it; none where it is not here.
    pub fn answer(&self, read: &Read) -> Vec<PeerMessage> {
        let mut answer = Vec::new();
        // What cannot be read is left out, as what is not here.
        let _left_out = self.answer_unless(read, &|| false, &mut answer);
        answer
    }

    /// The same for a host that may have to stop and that tells of damage. `stopped` is looked at before each height;
    /// what was read before the stop or before an error is in `answer`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn answer_unless(
        &self,
        read: &Read,
        stopped: &dyn Fn() -> bool,
        answer: &mut Vec<PeerMessage>,
    ) -> Result<(), ReadError> {
        match *read {
            Read::Block(height) => {
                answer.push(PeerMessage::Block(self.block(height)?.1));
                Ok(())
            }
            Read::Blocks { from, max, committed } => {
                let max = u64::from(max).min(BLOCKS_REPLY_MAX as u64);
                let end = from.0.saturating_add(max).min(committed.0.saturating_add(1));
                let mut blocks = Vec::new();
                let read = self.blocks(from, Height(end), stopped, &mut blocks);
                answer.push(PeerMessage::BlocksReply(blocks));
                read
            }
            Read::Bodies { from, heights, committed } => {
                let heights = u64::from(heights).min(BODIES_REPLY_HEIGHTS_MAX);
                let end = from.0.saturating_add(heights).min(committed.0.saturating_add(1));
                self.bodies(from, Height(end), stopped, answer)
            }
            Read::Stored { height, place } => {
                let read = self.record_of(height, place);
                let bytes = read.as_ref().map_or_else(|_| Bytes::new(), Clone::clone);
                answer.push(PeerMessage::Stored { height, place, bytes });
                read.map(drop)
            }
            Read::Batches { author, above, head, heights } => {
                self.stream(author, (above, head), heights, stopped, answer)
            }
        }
    }

    /// The record of a block without the places of its batches, or the batch of a place; empty where that is too long
    /// for one message or there is no such batch.
    fn record_of(&self, height: Height, place: u32) -> Result<Bytes, ReadError> {
        let (committed, _) = self.block(height)?;
        let Some(place) = place.checked_sub(1) else {
            let bytes = CommittedBlock { batches: Vec::new(), ..committed }.encode();
            return Ok(if bytes.len() > STORED_BYTES_MAX { Bytes::new() } else { bytes.into() });
        };
        let position = committed.batches.get(place as usize);
        let batch = position.map(|position| self.batch(height, *position)).transpose()?;
        Ok(batch.map_or_else(Bytes::new, |batch| batch.bytes().clone()))
    }

    fn blocks(
        &self,
        from: Height,
        end: Height,
        stopped: &dyn Fn() -> bool,
        found: &mut Vec<FinalizedBlock>,
    ) -> Result<(), ReadError> {
        let mut bytes = 0;
        for height in (from.0..end.0).map(Height) {
            if stopped() {
                break;
            }
            let (record, block) = self.block(height)?;
            bytes += record.block.len() + record.certificate.len() + 8;
            if bytes > BLOCKS_REPLY_BYTES_MAX {
                break;
            }
            let ends_epoch = block.next_members().is_some();
            found.push(FinalizedBlock { block, finalization: record.certificate.into() });
            // Who has it goes on as the next epoch's validators do.
            if ends_epoch {
                break;
            }
        }
        Ok(())
    }

    /// The batches of committed blocks from one height on, below another: of each block backwards. Whole blocks, as
    /// many as an answer has room for, and at least one.
    fn bodies(
        &self,
        from: Height,
        end: Height,
        stopped: &dyn Fn() -> bool,
        found: &mut Vec<PeerMessage>,
    ) -> Result<(), ReadError> {
        let mut bytes = 0;
        for height in (from.0..end.0).map(Height) {
            if stopped() {
                break;
            }
            let (committed, _) = self.block(height)?;
            let batches = self.batches(&committed)?;
            bytes += batches.iter().map(|batch| batch.bytes().len()).sum::<usize>();
            if bytes > FETCH_REPLY_BYTES_MAX && !found.is_empty() {
                break;
            }
            found.extend(batches.iter().rev().map(|batch| PeerMessage::Batch(batch.bytes().clone())));
        }
        Ok(())
    }

    /// Committed batches of one author that end with `head` and lie above `above`, the last one first. From one batch
    /// to the one before it the heights between them are jumped over: an author may have been idle for millions of
    /// them.
    fn stream(
        &self,
        author: ValidatorIndex,
        (above, head): (Sequence, Head),
        (before, last): (Height, Height),
        stopped: &dyn Fn() -> bool,
        found: &mut Vec<PeerMessage>,
    ) -> Result<(), ReadError> {
        let (mut bytes, mut at, mut highest) = (0, head, self.index.height().min(last));
        let lowest = self.index.base().max(before);
        for _ in 0..STREAM_HEIGHTS_MAX {
            if at.sequence <= above || highest <= lowest || stopped() {
                break;
            }
            let Some(here) = self.height_of(author, at.sequence, (lowest, highest))? else { break };
            let (before, positions) = self.of_author(here, author)?;
            // The block's cut passes `at`, and the cut before does not.
            let up_to = (at.sequence.0 - before.0) as usize;
            for position in positions.iter().take(up_to).rev() {
                let batch = self.batch(here, *position)?;
                bytes += batch.bytes().len();
                let full = bytes > FETCH_REPLY_BYTES_MAX && !found.is_empty();
                if batch.head() != at || at.sequence <= above || full {
                    return Ok(());
                }
                at = batch.previous();
                found.push(PeerMessage::Batch(batch.bytes().clone()));
            }
            highest = Height(here.0 - 1);
        }
        Ok(())
    }

    /// The lowest height above `lowest` and up to `highest`, whose epoch it is, whose cut passes a sequence, if its
    /// batches are kept. Within an epoch cuts only grow, so it is found by halving; the first steps are small ones
    /// that double, because it is mostly close to `highest`.
    fn height_of(
        &self,
        author: ValidatorIndex,
        sequence: Sequence,
        (lowest, highest): (Height, Height),
    ) -> Result<Option<Height>, ReadError> {
        let epoch = self.block(highest)?.1.header().epoch;
        let reaches = |height: u64| -> Result<bool, ReadError> {
            let (_, block) = self.block(Height(height))?;
            let head = block.cut().get(usize::from(author.0));
            // Before the epoch every stream of it is empty.
            Ok(block.header().epoch == epoch && head.is_some_and(|head| head.sequence >= sequence))
        };
        // `low` does not reach, `high` does.
        let (mut low, mut high, mut step) = (lowest.0, highest.0, 1_u64);
        if high <= low || !reaches(high)? || (low > 0 && reaches(low)?) {
            return Ok(None);
        }
        while high - low > 1 {
            let between = high - step.min((high - low) / 2);
            match reaches(between)? {
                true => (high, step) = (between, step.saturating_mul(2)),
                false => (low, step) = (between, u64::MAX),
            }
        }
        Ok(Some(Height(high)))
    }

    /// The batches of one author in the block at a height: the sequence before the first, and where they stand.
    fn of_author(
        &self,
        height: Height,
        author: ValidatorIndex,
    ) -> Result<(Sequence, Vec<Position>), ReadError> {
        let (committed, block) = self.block(height)?;
        let below = match height.0 {
            1 => None,
            above => Some(self.block(Height(above - 1))?.1),
        };
        let before = block.cut_before(below.as_ref());
        let counts: Vec<usize> = before
            .iter()
            .zip(block.cut())
            .map(|(from, to)| to.sequence.0.saturating_sub(from.sequence.0) as usize)
            .collect();
        let author = usize::from(author.0);
        let first: usize = counts.iter().take(author).sum();
        let count = counts.get(author).copied().unwrap_or(0);
        let positions = committed.batches.get(first..first + count).ok_or(ReadError::Damaged(height))?;
        let before = before.get(author).map_or(Sequence(0), |head| head.sequence);
        Ok((before, positions.to_vec()))
    }
}

#[cfg(test)]
mod tests;
