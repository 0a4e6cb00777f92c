//! What validators say to each other, beside the messages of the consensus engine.
//!
//! Who sent a message is known from the connection, so none is signed; what must convince a third party (a batch, a
//! finalization) carries its own signatures.

use bytes::Bytes;

use super::block::{read_head, write_head};
use super::{Block, Reader, WireError, Writer};
use crate::limits::{
    BATCH_BYTES_MAX, BLOCKS_REPLY_MAX, EVIDENCE_BYTES_MAX, FINALIZATION_BYTES_MAX, HEAD_BYTES,
    PEER_MESSAGE_BYTES_MAX, STATE_CHUNK_BYTES, STATE_CHUNKS_MAX, STATES_MAX, STORED_BYTES_MAX,
    VALIDATORS_MAX, VOTE_BYTES_MAX,
};
use crate::types::{Digest, Epoch, Head, Height, Sequence, ValidatorIndex};

/// A block for a peer that catches up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalizedBlock {
    /// The block.
    pub block: Block,
    /// The certificate of its finalization; empty if only a later block has one.
    pub finalization: Bytes,
}

/// A checkpoint that a validator keeps: what all validators have at its height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateOffer {
    /// The height.
    pub height: Height,
    /// How many chunks it has.
    pub chunks: u32,
    /// The digest over the digests of its chunks.
    pub digest: Digest,
}

/// A version of what validators say to each other: on each connection the newest one that both speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerVersion(pub u16);

impl PeerVersion {
    /// The oldest one that is spoken: that of the last release.
    pub const FIRST: Self = Self(1);
    /// The first one in which bodies can be asked for by height, and validators say how they check signatures.
    pub const BODIES_BY_HEIGHT: Self = Self(2);
    /// The newest one.
    pub const LAST: Self = Self(2);
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
    /// Asks for the batches that committed blocks order, ascending by height. They are sent as `Batch`, of each block
    /// and author the last one first; of whole blocks, until they exceed
    /// [`FETCH_REPLY_BYTES_MAX`](crate::limits::FETCH_REPLY_BYTES_MAX).
    FetchBodies {
        /// The first height.
        from: Height,
        /// Of how many heights.
        heights: u32,
    },
    /// The answer to `FetchBlocks`. Fewer than asked for if there are no more, or if the message would be too long.
    BlocksReply(Vec<FinalizedBlock>),
    /// Where the sender stands.
    Status {
        /// The epoch that it is in. What it says of views and streams is of that epoch.
        epoch: Epoch,
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
    /// Asks for the sender's last vote that has come to the receiver: the sender may have started from an older copy
    /// of its disk, and then lacks it.
    FetchLastVote,
    /// The answer: the vote of the highest view since the validator that answers was started, as it came; empty if none
    /// has come.
    LastVote(Bytes),
    /// Asks for the checkpoints that the receiver keeps.
    FetchStates,
    /// The answer.
    States(Vec<StateOffer>),
    /// Asks for the digests of the chunks of a checkpoint.
    FetchChunkList {
        /// Its height.
        height: Height,
    },
    /// The answer; without digests if the checkpoint is not kept any more.
    ChunkList {
        /// The height.
        height: Height,
        /// The digest of each chunk.
        digests: Vec<Digest>,
        /// The [`Evidence`](crate::replica::Evidence) of the state, encoded; empty if it has none.
        evidence: Bytes,
    },
    /// Asks for a chunk.
    FetchChunk {
        /// The height of the checkpoint.
        height: Height,
        /// Which chunk, from 0.
        number: u32,
    },
    /// The answer; without bytes if the checkpoint is not kept any more.
    Chunk {
        /// The height of the checkpoint.
        height: Height,
        /// Which chunk.
        number: u32,
        /// Its bytes.
        bytes: Bytes,
    },
    /// Asks for what the receiver's journal has of a committed height: the sender's own is rotten there.
    FetchStored {
        /// The height.
        height: Height,
        /// 0 for the block's record, without the places of its batches; else which batch of the block, from 1.
        place: u32,
    },
    /// The answer; without bytes if it is not here, or longer than
    /// [`STORED_BYTES_MAX`](crate::limits::STORED_BYTES_MAX).
    Stored {
        /// The height.
        height: Height,
        /// What of it.
        place: u32,
        /// The bytes of the record.
        bytes: Bytes,
    },
    /// How the sender checks signatures. Replaces what it said before on this connection.
    Verifies {
        /// Whether a device may accept signatures there (ADR 31).
        by_device: bool,
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
const FETCH_STATES: u8 = 10;
const STATES: u8 = 11;
const FETCH_CHUNK_LIST: u8 = 12;
const CHUNK_LIST: u8 = 13;
const FETCH_CHUNK: u8 = 14;
const CHUNK: u8 = 15;
const FETCH_LAST_VOTE: u8 = 16;
const LAST_VOTE: u8 = 17;
const FETCH_STORED: u8 = 18;
const STORED: u8 = 19;
const FETCH_BODIES: u8 = 20;
const VERIFIES: u8 = 21;
/// Bytes of a [`StateOffer`].
const OFFER_BYTES: usize = 8 + 4 + 32;

impl PeerMessage {
    /// The first version that has it. Who speaks an earlier one cannot read it, and closes the connection.
    #[must_use]
    pub fn since(&self) -> PeerVersion {
        match self {
            Self::FetchBodies { .. } | Self::Verifies { .. } => PeerVersion::BODIES_BY_HEIGHT,
            _ => PeerVersion::FIRST,
        }
    }

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
            Self::FetchBodies { from, heights } => {
                writer.u8(FETCH_BODIES).u64(from.0).u32(*heights);
            }
            Self::BlocksReply(blocks) => {
                assert!(blocks.len() <= BLOCKS_REPLY_MAX, "{} blocks in one reply", blocks.len());
                writer.u8(BLOCKS_REPLY).count(blocks.len());
                for block in blocks {
                    block.block.write(&mut writer);
                    writer.blob(&block.finalization);
                }
            }
            Self::Status { epoch, finalized, committed, kept_from, view, yours } => {
                writer.u8(STATUS).u64(epoch.0).u64(finalized.0).u64(committed.0).u64(kept_from.0);
                write_head(writer.u64(*view), yours);
            }
            Self::FetchLastVote => {
                writer.u8(FETCH_LAST_VOTE);
            }
            Self::LastVote(vote) => {
                writer.u8(LAST_VOTE).blob(vote);
            }
            Self::FetchStates => {
                writer.u8(FETCH_STATES);
            }
            Self::States(offers) => {
                writer.u8(STATES).count(offers.len());
                for StateOffer { height, chunks, digest } in offers {
                    writer.u64(height.0).u32(*chunks).digest(digest);
                }
            }
            Self::FetchChunkList { height } => {
                writer.u8(FETCH_CHUNK_LIST).u64(height.0);
            }
            Self::ChunkList { height, digests, evidence } => {
                writer = Writer::with_capacity(32 + digests.len() * 32 + evidence.len());
                writer.u8(CHUNK_LIST).u64(height.0).count(digests.len());
                for digest in digests {
                    writer.digest(digest);
                }
                writer.blob(evidence);
            }
            Self::FetchChunk { height, number } => {
                writer.u8(FETCH_CHUNK).u64(height.0).u32(*number);
            }
            Self::Chunk { height, number, bytes } => {
                writer = Writer::with_capacity(32 + bytes.len());
                writer.u8(CHUNK).u64(height.0).u32(*number).blob(bytes);
            }
            Self::FetchStored { height, place } => {
                writer.u8(FETCH_STORED).u64(height.0).u32(*place);
            }
            Self::Stored { height, place, bytes } => {
                writer = Writer::with_capacity(32 + bytes.len());
                writer.u8(STORED).u64(height.0).u32(*place).blob(bytes);
            }
            Self::Verifies { by_device } => {
                writer.u8(VERIFIES).u8((*by_device).into());
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
            VERIFIES => match reader.u8("whether a device verifies")? {
                flag @ 0..=1 => Self::Verifies { by_device: flag == 1 },
                _ => {
                    let (what, reason) = ("whether a device verifies", "it is neither 0 nor 1");
                    return Err(WireError::Invalid { what, reason });
                }
            },
            FETCH_BODIES => {
                Self::FetchBodies { from: Height(reader.u64("height")?), heights: reader.u32("heights")? }
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
                epoch: Epoch(reader.u64("epoch")?),
                finalized: Height(reader.u64("finalized height")?),
                committed: Height(reader.u64("committed height")?),
                kept_from: Height(reader.u64("first kept height")?),
                view: reader.u64("view")?,
                yours: read_head(&mut reader, "head of the receiver")?,
            },
            FETCH_LAST_VOTE => Self::FetchLastVote,
            LAST_VOTE => Self::LastVote(message.slice_ref(reader.blob("vote", VOTE_BYTES_MAX)?)),
            FETCH_STATES => Self::FetchStates,
            STATES => {
                let count = reader.count("checkpoints", STATES_MAX, OFFER_BYTES)?;
                let offer = |_| {
                    Ok(StateOffer {
                        height: Height(reader.u64("height of a checkpoint")?),
                        chunks: reader.u32("chunks of a checkpoint")?,
                        digest: reader.digest("digest of a checkpoint")?,
                    })
                };
                Self::States((0..count).map(offer).collect::<Result<_, WireError>>()?)
            }
            FETCH_CHUNK_LIST => {
                Self::FetchChunkList { height: Height(reader.u64("height of a checkpoint")?) }
            }
            CHUNK_LIST => {
                let height = Height(reader.u64("height of a checkpoint")?);
                let count = reader.count("chunks", STATE_CHUNKS_MAX, 32)?;
                let digests =
                    (0..count).map(|_| reader.digest("digest of a chunk")).collect::<Result<_, _>>()?;
                let evidence = reader.blob("evidence", EVIDENCE_BYTES_MAX)?;
                Self::ChunkList { height, digests, evidence: message.slice_ref(evidence) }
            }
            FETCH_CHUNK => Self::FetchChunk {
                height: Height(reader.u64("height of a checkpoint")?),
                number: reader.u32("number of a chunk")?,
            },
            CHUNK => {
                let height = Height(reader.u64("height of a checkpoint")?);
                let number = reader.u32("number of a chunk")?;
                let bytes = reader.blob("chunk", STATE_CHUNK_BYTES)?;
                Self::Chunk { height, number, bytes: message.slice_ref(bytes) }
            }
            FETCH_STORED => Self::FetchStored {
                height: Height(reader.u64("height")?),
                place: reader.u32("place of a record")?,
            },
            STORED => {
                let height = Height(reader.u64("height")?);
                let place = reader.u32("place of a record")?;
                let bytes = reader.blob("record", STORED_BYTES_MAX)?;
                Self::Stored { height, place, bytes: message.slice_ref(bytes) }
            }
            _ => return Err(WireError::Invalid { what: "message kind", reason: "unknown" }),
        };
        reader.finish()?;
        Ok(decoded)
    }
}
