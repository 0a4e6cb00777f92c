//! What validators say to each other, beside the messages of the consensus engine.
//!
//! Who sent a message is known from the connection, so none is signed; what must convince a third party (a batch, a
//! finalization) carries its own signatures.

use bytes::Bytes;

use super::block::{read_head, write_head};
use super::{Block, Reader, WireError, Writer};
use crate::limits::{
    BATCH_BYTES_MAX, BLOCKS_REPLY_MAX, FINALIZATION_BYTES_MAX, HEAD_BYTES, PEER_MESSAGE_BYTES_MAX,
    VALIDATORS_MAX,
};
use crate::types::{Digest, Head, Height, Sequence, ValidatorIndex};

/// A block for a peer that catches up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalizedBlock {
    /// The block.
    pub block: Block,
    /// The certificate of its finalization; empty if only a later block has one.
    pub finalization: Bytes,
}

/// A message between validators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage {
    /// An encoded batch: of the sender itself, or one that was asked for. Not parsed: the core decides first whether it
    /// is wanted.
    Batch(Bytes),
    /// For each validator, how far the sender holds its stream durably. Replaces what the sender said before.
    Holding(Vec<Head>),
    /// The sender's verifiers or its executor do not keep up: others seal less while more than f say so.
    Overloaded,
    /// A proposed block, or the answer to `FetchBlock`.
    Block(Block),
    /// Asks for the batches of a stream that end with `head` and lie above `above`. They are sent as `Batch`, the last
    /// one first, so that each can be recognised when it comes; as many as fit into
    /// [`FETCH_REPLY_BYTES_MAX`](crate::limits::FETCH_REPLY_BYTES_MAX).
    FetchBatches {
        /// Whose stream.
        author: ValidatorIndex,
        /// What the sender has already.
        above: Sequence,
        /// What it wants.
        head: Head,
    },
    /// Asks for a block by its digest.
    FetchBlock {
        /// The digest.
        digest: Digest,
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
    /// Where the sender stands.
    Status {
        /// The highest height that it has finalized.
        finalized: Height,
        /// The highest height that it has executed and made durable.
        committed: Height,
        /// The first height whose block and batches it keeps: it is not asked for anything below.
        kept_from: Height,
        /// The view that it is in.
        view: u64,
        /// The highest batch of the receiver's own stream that has come to the sender, whether or not it is checked and
        /// durable there: who has lost its stream must not seal again what is still on its way to a disk (R5).
        yours: Head,
    },
}

const BATCH: u8 = 1;
const HOLDING: u8 = 2;
const BLOCK: u8 = 3;
const FETCH_BATCHES: u8 = 4;
const FETCH_BLOCK: u8 = 5;
const FETCH_BLOCKS: u8 = 6;
const BLOCKS_REPLY: u8 = 7;
const STATUS: u8 = 8;
const OVERLOADED: u8 = 9;

impl PeerMessage {
    /// The encoding.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        match self {
            Self::Batch(bytes) => {
                writer = Writer::with_capacity(1 + bytes.len());
                writer.u8(BATCH).raw(bytes);
            }
            Self::Holding(heads) => {
                writer = Writer::with_capacity(5 + heads.len() * HEAD_BYTES);
                writer.u8(HOLDING).count(heads.len());
                heads.iter().for_each(|head| write_head(&mut writer, head));
            }
            Self::Overloaded => {
                writer.u8(OVERLOADED);
            }
            Self::Block(block) => block.write(writer.u8(BLOCK)),
            Self::FetchBatches { author, above, head } => {
                write_head(writer.u8(FETCH_BATCHES).u16(author.0).u64(above.0), head);
            }
            Self::FetchBlock { digest } => {
                writer.u8(FETCH_BLOCK).digest(digest);
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
            Self::Status { finalized, committed, kept_from, view, yours } => {
                writer.u8(STATUS).u64(finalized.0).u64(committed.0).u64(kept_from.0);
                write_head(writer.u64(*view), yours);
            }
        }
        writer.finish_bytes()
    }

    /// The inverse of [`Self::encode`]. The bytes of a batch and of certificates are shared with `message`.
    ///
    /// # Errors
    /// [`WireError`]: the bytes are not one message.
    pub fn decode(message: &Bytes) -> Result<Self, WireError> {
        if message.len() > PEER_MESSAGE_BYTES_MAX {
            let (what, max) = ("message bytes", PEER_MESSAGE_BYTES_MAX);
            return Err(WireError::TooMany { what, count: message.len() as u64, max });
        }
        let mut reader = Reader::new(message);
        let decoded = match reader.u8("message kind")? {
            BATCH => match reader.rest() {
                bytes if bytes.len() <= BATCH_BYTES_MAX => Self::Batch(message.slice_ref(bytes)),
                bytes => {
                    let (what, max) = ("batch bytes", BATCH_BYTES_MAX);
                    return Err(WireError::TooMany { what, count: bytes.len() as u64, max });
                }
            },
            HOLDING => {
                let count = reader.count("heads", VALIDATORS_MAX, HEAD_BYTES)?;
                let heads = (0..count).map(|_| read_head(&mut reader, "heads")).collect::<Result<_, _>>()?;
                Self::Holding(heads)
            }
            OVERLOADED => Self::Overloaded,
            BLOCK => Self::Block(Block::read(&mut reader)?),
            FETCH_BATCHES => Self::FetchBatches {
                author: ValidatorIndex(reader.u16("wanted author")?),
                above: Sequence(reader.u64("wanted sequence")?),
                head: read_head(&mut reader, "wanted head")?,
            },
            FETCH_BLOCK => Self::FetchBlock { digest: reader.digest("wanted digest")? },
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
            STATUS => Self::Status {
                finalized: Height(reader.u64("finalized height")?),
                committed: Height(reader.u64("committed height")?),
                kept_from: Height(reader.u64("first kept height")?),
                view: reader.u64("view")?,
                yours: read_head(&mut reader, "head of the receiver")?,
            },
            _ => return Err(WireError::Invalid { what: "message kind", reason: "unknown" }),
        };
        reader.finish()?;
        Ok(decoded)
    }
}
