//! A block: a header, which consensus orders by its digest. It has no body: it says how far each author's stream is
//! taken, and the batches are fetched by the digests that this names.
//!
//! ```text
//! height | view | time | proposer | #roots | #authors | epoch | parent | first root height | roots.. | cut..
//! cut = for each validator, in the order of the genesis, the head up to which its stream is taken
//! ```
//!
//! Nothing in a block is a count of something that the voter does not hold: bounds are computed from the batches.

use super::{Reader, WireError, Writer};
use crate::limits::{BLOCK_FIXED_BYTES, BLOCK_ROOTS_MAX, HEAD_BYTES, VALIDATORS_MAX};
use crate::types::{ChainTime, Digest, Head, Height, Sequence, ValidatorIndex};

/// What the digest of a block covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The number of the block, from 1.
    pub height: Height,
    /// The view of consensus in which it was proposed.
    pub view: u64,
    /// The digest of the block below; the network id at height 1.
    pub parent: Digest,
    /// Who proposed it.
    pub proposer: ValidatorIndex,
    /// The proposer's clock, in milliseconds since 1970, but never below the parent's. Lock windows end by it.
    pub time_ms: u64,
    /// The height of the first root in `roots`.
    pub roots_first: Height,
    /// State roots of executed heights, contiguous.
    pub roots: Vec<Digest>,
    /// How far each validator's stream is taken, by its index.
    pub cut: Vec<Head>,
}

/// Why a header is not a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Height 0 is the genesis, which is not a block of this kind.
    #[error("height 0 is the genesis")]
    Genesis,
    /// More roots than a block may carry.
    #[error("{0} roots are more than {BLOCK_ROOTS_MAX}")]
    Roots(usize),
    /// A root of this height or of one above it.
    #[error("a block at {0} cannot know the roots it carries")]
    FutureRoot(Height),
    /// A cut of no validators, or of too many.
    #[error("a cut of {0} streams: a network has 1 to {VALIDATORS_MAX} validators")]
    Cut(usize),
    /// An empty prefix with a digest, or a prefix with the digest of an empty one.
    #[error("the head of validator {0} is neither empty nor the head of a batch")]
    Head(ValidatorIndex),
}

impl Header {
    fn write(&self, writer: &mut Writer) {
        writer.u64(self.height.0).u64(self.view).u64(self.time_ms).u16(self.proposer.0);
        writer.u16(self.roots.len() as u16).count(self.cut.len()).u64(0);
        writer.digest(&self.parent).u64(self.roots_first.0);
        for root in &self.roots {
            writer.digest(root);
        }
        for head in &self.cut {
            write_head(writer, head);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let height = Height(reader.u64("height")?);
        let view = reader.u64("view")?;
        let time_ms = reader.u64("time")?;
        let proposer = ValidatorIndex(reader.u16("proposer")?);
        let root_count = reader.count16("roots", BLOCK_ROOTS_MAX, 32)?;
        let author_count = reader.count("cut", VALIDATORS_MAX, HEAD_BYTES)?;
        reader.reserved::<8>("block epoch")?;
        let parent = reader.digest("parent")?;
        let roots_first = Height(reader.u64("first root height")?);
        let roots = (0..root_count).map(|_| reader.digest("root")).collect::<Result<_, _>>()?;
        let cut = (0..author_count).map(|_| read_head(reader, "cut")).collect::<Result<_, _>>()?;
        Ok(Self { height, view, parent, proposer, time_ms, roots_first, roots, cut })
    }
}

/// Writes a head.
pub(super) fn write_head(writer: &mut Writer, head: &Head) {
    writer.u64(head.sequence.0).digest(&head.digest);
}

/// Reads a head.
pub(super) fn read_head(reader: &mut Reader<'_>, what: &'static str) -> Result<Head, WireError> {
    Ok(Head { sequence: Sequence(reader.u64(what)?), digest: reader.digest(what)? })
}

/// A header that is consistent in itself. Its digest is computed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    header: Header,
    digest: Digest,
}

impl Block {
    /// Checks what a header must be, whatever its parent is.
    ///
    /// # Errors
    /// [`BlockError`] says what it is not.
    pub fn new(header: Header) -> Result<Self, BlockError> {
        if header.height.0 == 0 {
            return Err(BlockError::Genesis);
        }
        if header.roots.len() > BLOCK_ROOTS_MAX {
            return Err(BlockError::Roots(header.roots.len()));
        }
        let above_roots = header.roots_first.0.checked_add(header.roots.len() as u64);
        if above_roots.is_none_or(|above| above > header.height.0) {
            return Err(BlockError::FutureRoot(header.height));
        }
        if header.cut.is_empty() || header.cut.len() > VALIDATORS_MAX {
            return Err(BlockError::Cut(header.cut.len()));
        }
        let odd = |head: &Head| head.is_none() != (head.digest == Digest::default());
        if let Some(author) = header.cut.iter().position(odd) {
            return Err(BlockError::Head(ValidatorIndex(author as u16)));
        }
        let mut writer = Writer::with_capacity(encoded_bytes(&header));
        header.write(&mut writer);
        let digest = Digest(kernels::sha2::sha256(&writer.finish()));
        Ok(Self { header, digest })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The number of the block.
    pub fn height(&self) -> Height {
        self.header.height
    }

    /// Its height and time.
    pub fn chain_time(&self) -> ChainTime {
        ChainTime::new(self.header.height, self.header.time_ms)
    }

    /// How far each validator's stream is taken, by its index.
    pub fn cut(&self) -> &[Head] {
        &self.header.cut
    }

    /// SHA-256 of the encoding.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(encoded_bytes(&self.header));
        self.write(&mut writer);
        writer.finish()
    }

    /// Appends the encoding to `writer`.
    pub fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`WireError`]: the bytes do not begin with a block.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self::new(Header::read(reader)?)?)
    }

    /// The inverse of [`Self::encode`].
    ///
    /// # Errors
    /// [`WireError`]: the bytes are not one block.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let block = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(block)
    }
}

fn encoded_bytes(header: &Header) -> usize {
    BLOCK_FIXED_BYTES + header.roots.len() * 32 + header.cut.len() * HEAD_BYTES
}
