//! Reads the journal for peers that catch up, so that the core never waits for a disk.

use std::sync::Arc;

use crossbeam::channel::Receiver;
use engine::limits::{BATCH_BYTES_MAX, BLOCKS_REPLY_MAX};
use engine::store::Log;
use engine::types::{BatchId, Digest, Height, ValidatorIndex};
use engine::wire::{Batch, Block, FinalizedBlock, PeerMessage};
use net::PeerNetwork;

use super::core::channel_of;
use super::index::JournalIndex;
use super::journal::CommittedBlock;

/// What a peer wants from the journal.
#[derive(Debug)]
pub enum Request {
    /// A batch.
    Batch {
        /// Who asks.
        to: ValidatorIndex,
        /// The batch.
        batch: BatchId,
        /// Its digest.
        digest: Digest,
    },
    /// The body of one committed block.
    Block {
        /// Who asks.
        to: ValidatorIndex,
        /// The block's height.
        height: Height,
    },
    /// Committed blocks with their certificates.
    Blocks {
        /// Who asks.
        to: ValidatorIndex,
        /// The first height.
        from: Height,
        /// How many at most.
        max: u32,
        /// The last height that may be given.
        committed: Height,
    },
}

/// Answers peers' requests.
pub struct Server {
    /// The journal.
    pub journal: Arc<Log>,
    /// Where its records are.
    pub index: Arc<JournalIndex>,
    /// The way back.
    pub peers: PeerNetwork,
}

impl Server {
    /// Answers until nobody can ask any more.
    pub fn run(self, requests: &Receiver<Request>) {
        for request in requests {
            match request {
                Request::Batch { to, batch, digest } => {
                    let bytes = self.batch(&batch, &digest);
                    self.send(to, &PeerMessage::BatchReply { batch, digest, bytes });
                }
                Request::Block { to, height } => {
                    if let Some(found) = self.block(height) {
                        self.send(to, &PeerMessage::BlockBody(found.block));
                    }
                }
                Request::Blocks { to, from, max, committed } => {
                    let max = u64::from(max).min(BLOCKS_REPLY_MAX as u64);
                    let end = from.0.saturating_add(max).min(committed.0 + 1);
                    self.send(to, &PeerMessage::BlocksReply(self.blocks(from, Height(end))));
                }
            }
        }
    }

    /// The encoding of a batch, if this validator has the one that is asked for.
    fn batch(&self, batch: &BatchId, digest: &Digest) -> Option<bytes::Bytes> {
        let record = self.journal.read(self.index.batch_position(batch)?).ok()?;
        let decoded = Batch::decode(record.bytes.into()).ok()?;
        (decoded.digest() == digest).then(|| decoded.bytes().clone())
    }

    fn block(&self, height: Height) -> Option<FinalizedBlock> {
        let record = self.journal.read(self.index.block_position(height)?).ok()?;
        let record = CommittedBlock::decode(&record.bytes).ok()?;
        Some(FinalizedBlock {
            block: Block::decode(&record.block).ok()?,
            finalization: record.certificate.into(),
        })
    }

    /// Blocks from `from` to below `end`, as many as one frame of the bulk channel holds.
    fn blocks(&self, from: Height, end: Height) -> Vec<FinalizedBlock> {
        let mut bytes = 64;
        (from.0..end.0)
            .map_while(|height| self.block(Height(height)))
            .take_while(|found| {
                bytes += found.block.encode().len() + found.finalization.len() + 8;
                bytes <= BATCH_BYTES_MAX
            })
            .collect()
    }

    /// A reply that cannot be sent now is dropped; the peer asks again.
    fn send(&self, to: ValidatorIndex, message: &PeerMessage) {
        let _counted = self.peers.send(to.0, channel_of(message), message.encode());
    }
}
