//! The header of a block in its short form, whose digest the validators sign.
//!
//! ```text
//! height | view | time | proposer | #roots | #heads | epoch | parent | first root height | next members
//!        | root of the roots | root of the heads | root of the log
//! ```
//!
//! The log is the tree over the digests of all earlier headers, from the network id on; it has as many leaves as the
//! height says.

use crate::Digest;
use crate::codec::{FormError, Reader};
use crate::entry::Tree;
use crate::genesis::VALIDATORS_MAX;

/// Bytes of a header in its short form.
pub const HEADER_BYTES: usize = 112 + 3 * 32;
/// What the digest begins with.
const MAGIC: &[u8; 16] = b"millrace/block/3";
/// State roots that one header may carry.
const ROOTS_MAX: u64 = 64;

/// The header of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The number of the block, from 1.
    pub height: u64,
    /// The epoch: how often the validators had changed.
    pub epoch: u64,
    /// The view of consensus in which it was proposed.
    pub view: u64,
    /// The proposer's clock, in milliseconds since 1970; never below the parent's.
    pub time_ms: u64,
    /// Who proposed it.
    pub proposer: u16,
    /// The digest of the header below; the network id at height 1.
    pub parent: Digest,
    /// The height of the first root.
    pub roots_first: u64,
    /// In the last block of an epoch the digest of the validators of the next one; zeros in every other block.
    pub next_members: Digest,
    /// The tree over the state roots of executed heights, without gaps.
    pub roots: Tree,
    /// The tree over how far the stream of each validator is taken, by its index.
    pub cut: Tree,
    /// The root of the tree over the digests of all earlier headers; the network id is the first.
    pub log: Digest,
}

impl Header {
    /// Decodes a header.
    ///
    /// # Errors
    /// [`FormError`]: the bytes are not one header in its one form.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(bytes);
        let header = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(header)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        let height = reader.u64("height of a header")?;
        let view = reader.u64("view of a header")?;
        let time_ms = reader.u64("time of a header")?;
        let proposer = reader.u16("proposer of a header")?;
        let roots = u64::from(reader.u16("roots of a header")?);
        let heads = u64::from(reader.u32("cut of a header")?);
        let epoch = reader.u64("epoch of a header")?;
        let parent = reader.array("parent of a header")?;
        let roots_first = reader.u64("height of the first root of a header")?;
        let next_members = reader.array("next members of a header")?;
        let roots = Tree { root: reader.array("roots of a header")?, size: roots };
        let cut = Tree { root: reader.array("cut of a header")?, size: heads };
        let log = reader.array("log of a header")?;
        let header = Self {
            height,
            epoch,
            view,
            time_ms,
            proposer,
            parent,
            roots_first,
            next_members,
            roots,
            cut,
            log,
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), FormError> {
        let invalid = |what, reason| Err(FormError::Invalid { what, reason });
        if self.height == 0 || self.height == u64::MAX {
            return invalid(
                "height of a header",
                "height 0 is the genesis, and none follows the last number",
            );
        }
        if self.roots.size > ROOTS_MAX {
            return invalid("roots of a header", "they are at most 64");
        }
        let above_roots = self.roots_first.checked_add(self.roots.size);
        if above_roots.is_none_or(|above| above > self.height) {
            return invalid("roots of a header", "a block cannot know roots of its own height or above");
        }
        if self.cut.size == 0 || self.cut.size > VALIDATORS_MAX as u64 {
            return invalid("cut of a header", "a network has 1 to 128 validators");
        }
        Ok(())
    }

    /// The encoding.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        put(&self.height.to_le_bytes());
        put(&self.view.to_le_bytes());
        put(&self.time_ms.to_le_bytes());
        put(&self.proposer.to_le_bytes());
        // A header that was read has no more roots and heads than these hold.
        put(&(self.roots.size as u16).to_le_bytes());
        put(&(self.cut.size as u32).to_le_bytes());
        put(&self.epoch.to_le_bytes());
        put(&self.parent);
        put(&self.roots_first.to_le_bytes());
        put(&self.next_members);
        put(&self.roots.root);
        put(&self.cut.root);
        put(&self.log);
        bytes
    }

    /// The digest that consensus orders: SHA-256 over a magic and the encoding.
    #[must_use]
    pub fn digest(&self) -> Digest {
        kernels::sha2::sha256_parts(&[MAGIC, &self.encode()])
    }

    /// The place of a height's state root among those that this header carries, if it does.
    #[must_use]
    pub fn place_of(&self, height: u64) -> Option<u64> {
        height.checked_sub(self.roots_first).filter(|place| *place < self.roots.size)
    }
}
