//! A block: a header, which consensus orders by its digest. It has no body: it says how far each author's stream is
//! taken, and the batches are fetched by the digests that this names.
//!
//! ```text
//! height | view | time | proposer | #roots | #authors | epoch | parent | first root height | next members
//!        | roots.. | cut.. | log..
//! cut = for each validator of the epoch, the head up to which its stream is taken
//! log = the frontier of the tree over the digests of all earlier headers, from the network id on
//! ```
//!
//! The digest covers a short form, in which roots, cut and log are each the root of a tree. So one header that is final
//! proves any earlier one, without those between.
//!
//! Nothing in a block is a count of something that the voter does not hold: bounds are computed from the batches.

use kernels::merkle::{Frontier, Hash, leaf_hash, prove, root, verify_inclusion};

use super::{Reader, WireError, Writer};
use crate::limits::{BLOCK_FIXED_BYTES, BLOCK_ROOTS_MAX, HEAD_BYTES, VALIDATORS_MAX};
use crate::types::{ChainTime, Digest, Epoch, Head, Height, Members, Sequence, ValidatorIndex};

/// What is hashed before the short form: nothing else that is hashed begins so.
const MAGIC: &[u8; 16] = b"millrace/block/3";
/// Bytes of the short form.
const SHORT_BYTES: usize = BLOCK_FIXED_BYTES + 3 * 32;

/// What the digest of a block covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The number of the block, from 1.
    pub height: Height,
    /// The epoch in which it was proposed.
    pub epoch: Epoch,
    /// The view of consensus in which it was first proposed; views begin anew with each epoch.
    pub view: u64,
    /// The digest of the block below; the network id at height 1.
    pub parent: Digest,
    /// Who proposed it.
    pub proposer: ValidatorIndex,
    /// The proposer's clock, in milliseconds since 1970, but never below the parent's. Lock windows end by it.
    pub time_ms: u64,
    /// The height of the first root in `roots`.
    pub roots_first: Height,
    /// In the last block of an epoch the digest of the validators of the next one; zeros in every other block.
    pub next_members: Digest,
    /// State roots of executed heights, contiguous.
    pub roots: Vec<Digest>,
    /// How far each validator's stream is taken, by its index.
    pub cut: Vec<Head>,
    /// The tree over the digests of all earlier headers, with the network id as that of height 0.
    pub log: Frontier,
}

/// Why a header is not a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Height 0 is the genesis, which is not a block of this kind.
    #[error("height 0 is the genesis")]
    Genesis,
    /// The last height that there is, above which no block could follow.
    #[error("no block could follow above height {0}")]
    Last(Height),
    /// A log of more or fewer headers than there are earlier ones.
    #[error("a block at {height} has as many earlier headers, not {logged}")]
    Log {
        /// The height of the block.
        height: Height,
        /// How many headers its log has.
        logged: u64,
    },
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
        self.write_fixed(writer);
        for root in &self.roots {
            writer.digest(root);
        }
        for head in &self.cut {
            write_head(writer, head);
        }
        for root in self.log.roots() {
            writer.raw(root);
        }
    }

    /// What stands before the roots, in the encoding as in the short form.
    fn write_fixed(&self, writer: &mut Writer) {
        writer.u64(self.height.0).u64(self.view).u64(self.time_ms).u16(self.proposer.0);
        writer.u16(self.roots.len() as u16).count(self.cut.len()).u64(self.epoch.0);
        writer.digest(&self.parent).u64(self.roots_first.0).digest(&self.next_members);
    }

    /// The form that the digest covers: roots, cut and log each as the root of a tree. It says how many leaves each of
    /// these has; the log has as many as the height says.
    fn short(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(SHORT_BYTES);
        self.write_fixed(&mut writer);
        writer.raw(&root(&root_leaves(&self.roots)));
        writer.raw(&root(&self.cut.iter().map(head_leaf).collect::<Vec<_>>()));
        writer.raw(&self.log.root());
        writer.finish()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let height = Height(reader.u64("height")?);
        let view = reader.u64("view")?;
        let time_ms = reader.u64("time")?;
        let proposer = ValidatorIndex(reader.u16("proposer")?);
        let root_count = reader.count16("roots", BLOCK_ROOTS_MAX, 32)?;
        let author_count = reader.count("cut", VALIDATORS_MAX, HEAD_BYTES)?;
        let epoch = Epoch(reader.u64("block epoch")?);
        let parent = reader.digest("parent")?;
        let roots_first = Height(reader.u64("first root height")?);
        let next_members = reader.digest("next members")?;
        let roots = (0..root_count).map(|_| reader.digest("root")).collect::<Result<_, _>>()?;
        let cut = (0..author_count).map(|_| read_head(reader, "cut")).collect::<Result<_, _>>()?;
        let log = (0..height.0.count_ones())
            .map(|_| Ok(reader.digest("log")?.0))
            .collect::<Result<_, WireError>>()?;
        let log = Frontier::new(height.0, log).expect("as many roots as bits in the height");
        Ok(Self {
            height,
            epoch,
            view,
            parent,
            proposer,
            time_ms,
            roots_first,
            next_members,
            roots,
            cut,
            log,
        })
    }
}

fn root_leaves(roots: &[Digest]) -> Vec<Hash> {
    roots.iter().map(|root| leaf_hash(&root.0)).collect()
}

fn head_leaf(head: &Head) -> Hash {
    let mut leaf = [0; HEAD_BYTES];
    leaf[..8].copy_from_slice(&head.sequence.0.to_le_bytes());
    leaf[8..].copy_from_slice(&head.digest.0);
    leaf_hash(&leaf)
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
        if header.height.0 == u64::MAX {
            return Err(BlockError::Last(header.height));
        }
        if header.log.size() != header.height.0 {
            return Err(BlockError::Log { height: header.height, logged: header.log.size() });
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
        let digest = Digest(kernels::sha2::sha256_parts(&[MAGIC, &header.short()]));
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

    /// Its height, time and epoch.
    pub fn chain_time(&self) -> ChainTime {
        ChainTime::new(self.header.height, self.header.time_ms).in_epoch(self.header.epoch)
    }

    /// The digest of the validators of the next epoch, if this block is the last of its own.
    pub fn next_members(&self) -> Option<&Digest> {
        Some(&self.header.next_members).filter(|next| **next != Digest::default())
    }

    /// How far each validator's stream is taken, by its index.
    pub fn cut(&self) -> &[Head] {
        &self.header.cut
    }

    /// How far each stream was taken before this block. `below` is the block under it; none where that is the genesis.
    /// Streams begin anew in each epoch.
    pub fn cut_before(&self, below: Option<&Self>) -> Vec<Head> {
        let same = below.filter(|below| below.header.epoch == self.header.epoch);
        same.map_or_else(|| vec![Head::NONE; self.cut().len()], |below| below.cut().to_vec())
    }

    /// How far each stream is taken when the block above begins: nowhere where `next` validate from then on.
    pub fn cut_after(&self, next: Option<&Members>) -> Vec<Head> {
        next.map_or_else(|| self.cut().to_vec(), |next| vec![Head::NONE; next.list.len()])
    }

    /// SHA-256 over a magic and the [short form](Self::short).
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What the digest covers, and what a proof has of a header: 208 bytes, whatever it carries.
    pub fn short(&self) -> Vec<u8> {
        self.header.short()
    }

    /// The way of a state root that this block carries to the root that stands for them in the [short form](Self::short);
    /// `None` if it does not carry the root of that height.
    pub fn prove_root(&self, of: Height) -> Option<Vec<Hash>> {
        let place = of.0.checked_sub(self.header.roots_first.0)?;
        Some(prove(&root_leaves(&self.header.roots), place)?.path)
    }

    /// The way of this block to the log of `later`, given the digests of all blocks between them; `None` if they are
    /// not those.
    pub fn prove_in_log(&self, between: &[Digest], later: &Block) -> Option<Vec<Hash>> {
        let leaves: Vec<Hash> =
            [&self.digest].into_iter().chain(between).map(|digest| leaf_hash(&digest.0)).collect();
        let proof = self.header.log.prove_next(&leaves)?;
        let log = &later.header.log;
        (proof.size == log.size() && verify_inclusion(&log.root(), &leaves[0], &proof)).then_some(proof.path)
    }

    /// The log of all headers up to this one: what a child has.
    pub fn log(&self) -> Frontier {
        let mut log = self.header.log.clone();
        log.append(leaf_hash(&self.digest.0));
        log
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
    let digests = header.roots.len() + header.log.roots().len();
    BLOCK_FIXED_BYTES + digests * 32 + header.cut.len() * HEAD_BYTES
}
