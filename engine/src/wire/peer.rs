//! What validators say to each other, beside the messages of the consensus engine.

use bytes::Bytes;

use super::certificate::{read_batch_id, write_batch_id};
use super::{Acknowledgement, Block, Certificate, Reader, WireError, Writer};
use crate::limits::{BATCH_BYTES_MAX, BLOCKS_REPLY_MAX, FINALIZATION_BYTES_MAX, PEER_MESSAGE_BYTES_MAX};
use crate::types::{BatchId, Digest, Height};

/// A block for a peer that catches up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalizedBlock {
    /// The block.
    pub block: Block,
    /// The certificate of its finalization; empty if only a later block has one.
    pub finalization: Bytes,
}

/// A message between validators. Who sent it is known from the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage {
    /// An encoded batch of the sender, to be checked, stored and acknowledged. Not parsed: that is the verifier's work.
    Batch(Bytes),
    /// To the author of a batch.
    Acknowledgement(Acknowledgement),
    /// From the author of a batch, to all.
    Certificate(Certificate),
    /// A proposed block, or the answer to `FetchBlock`.
    BlockBody(Block),
    /// Asks for a certified batch.
    FetchBatch {
        /// The batch.
        batch: BatchId,
        /// Its digest.
        digest: Digest,
    },
    /// The answer: the encoded batch, or nothing if the sender does not have it.
    BatchReply {
        /// The batch.
        batch: BatchId,
        /// Its digest, as asked.
        digest: Digest,
        /// The encoding.
        bytes: Option<Bytes>,
    },
    /// Asks for finalized blocks, ascending.
    FetchBlocks {
        /// The first height.
        from: Height,
        /// How many at most.
        max: u32,
    },
    /// The answer. Fewer than asked for if there are no more, or if the message would be too long.
    BlocksReply(Vec<FinalizedBlock>),
    /// Asks for a block by its digest.
    FetchBlock {
        /// The digest.
        digest: Digest,
    },
    /// Where the sender stands.
    Status {
        /// The highest height that it has finalized.
        finalized: Height,
        /// The highest height that it has executed and made durable.
        committed: Height,
    },
}

const BATCH: u8 = 1;
const ACKNOWLEDGEMENT: u8 = 2;
const CERTIFICATE: u8 = 3;
const BLOCK_BODY: u8 = 4;
const FETCH_BATCH: u8 = 5;
const BATCH_REPLY: u8 = 6;
const FETCH_BLOCKS: u8 = 7;
const BLOCKS_REPLY: u8 = 8;
const FETCH_BLOCK: u8 = 9;
const STATUS: u8 = 10;

impl PeerMessage {
    /// The encoding.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        match self {
            Self::Batch(bytes) => {
                writer = Writer::with_capacity(1 + bytes.len());
                writer.u8(BATCH).raw(bytes);
            }
            Self::Acknowledgement(acknowledgement) => acknowledgement.write(writer.u8(ACKNOWLEDGEMENT)),
            Self::Certificate(certificate) => certificate.write(writer.u8(CERTIFICATE)),
            Self::BlockBody(block) => block.write(writer.u8(BLOCK_BODY)),
            Self::FetchBatch { batch, digest } => {
                write_batch_id(writer.u8(FETCH_BATCH), batch);
                writer.digest(digest);
            }
            Self::BatchReply { batch, digest, bytes } => {
                write_batch_id(writer.u8(BATCH_REPLY), batch);
                writer.digest(digest).raw(bytes.as_deref().unwrap_or_default());
            }
            Self::FetchBlocks { from, max } => {
                writer.u8(FETCH_BLOCKS).u64(from.0).u32(*max);
            }
            Self::BlocksReply(blocks) => {
                assert!(blocks.len() <= BLOCKS_REPLY_MAX, "{} blocks in one reply", blocks.len());
                writer.u8(BLOCKS_REPLY).count(blocks.len());
                for block in blocks {
                    block.block.write(&mut writer);
                    writer.blob(&block.finalization);
                }
            }
            Self::FetchBlock { digest } => {
                writer.u8(FETCH_BLOCK).digest(digest);
            }
            Self::Status { finalized, committed } => {
                writer.u8(STATUS).u64(finalized.0).u64(committed.0);
            }
        }
        writer.finish_bytes()
    }

    /// The inverse of [`Self::encode`]. Bytes of batches and certificates share those of the message.
    pub fn decode(message: &Bytes) -> Result<Self, WireError> {
        if message.len() > PEER_MESSAGE_BYTES_MAX {
            let count = message.len() as u64;
            return Err(WireError::TooMany { what: "message bytes", count, max: PEER_MESSAGE_BYTES_MAX });
        }
        let mut reader = Reader::new(message);
        let decoded = match reader.u8("message kind")? {
            BATCH => Self::Batch(message.slice_ref(batch_bytes(reader.rest())?)),
            ACKNOWLEDGEMENT => Self::Acknowledgement(Acknowledgement::read(&mut reader)?),
            CERTIFICATE => Self::Certificate(Certificate::read(&mut reader)?),
            BLOCK_BODY => Self::BlockBody(Block::read(&mut reader)?),
            FETCH_BATCH => Self::FetchBatch {
                batch: read_batch_id(&mut reader)?,
                digest: reader.digest("wanted digest")?,
            },
            BATCH_REPLY => {
                let batch = read_batch_id(&mut reader)?;
                let digest = reader.digest("wanted digest")?;
                let bytes = match reader.rest() {
                    [] => None,
                    bytes => Some(message.slice_ref(batch_bytes(bytes)?)),
                };
                Self::BatchReply { batch, digest, bytes }
            }
            FETCH_BLOCKS => {
                Self::FetchBlocks { from: Height(reader.u64("height")?), max: reader.u32("blocks")? }
            }
            BLOCKS_REPLY => {
                let count = reader.count("blocks", BLOCKS_REPLY_MAX, 1)?;
                let block = |_| {
                    let block = Block::read(&mut reader)?;
                    let finalization = reader.blob("finalization", FINALIZATION_BYTES_MAX)?;
                    Ok(FinalizedBlock { block, finalization: message.slice_ref(finalization) })
                };
                Self::BlocksReply((0..count).map(block).collect::<Result<_, WireError>>()?)
            }
            FETCH_BLOCK => Self::FetchBlock { digest: reader.digest("wanted digest")? },
            STATUS => Self::Status {
                finalized: Height(reader.u64("finalized height")?),
                committed: Height(reader.u64("committed height")?),
            },
            _ => return Err(WireError::Invalid { what: "message kind", reason: "unknown" }),
        };
        reader.finish()?;
        Ok(decoded)
    }
}

fn batch_bytes(bytes: &[u8]) -> Result<&[u8], WireError> {
    match bytes.len() {
        0..=BATCH_BYTES_MAX => Ok(bytes),
        length => Err(WireError::TooMany { what: "batch bytes", count: length as u64, max: BATCH_BYTES_MAX }),
    }
}
