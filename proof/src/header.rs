//! The header of a block, whose digest the validators sign.
//!
//! ```text
//! height | view | time | proposer | #roots | #heads | epoch | parent | first root height | roots.. | heads..
//! ```

use alloc::vec::Vec;

use crate::Digest;
use crate::codec::{FormError, Reader, count};
use crate::genesis::VALIDATORS_MAX;

/// State roots that one header may carry.
const ROOTS_MAX: usize = 64;
const HEAD_BYTES: usize = 8 + 32;
const FIXED_BYTES: usize = 80;
/// Bytes of the largest header.
pub const HEADER_BYTES_MAX: usize = FIXED_BYTES + ROOTS_MAX * 32 + VALIDATORS_MAX * HEAD_BYTES;

/// How far the stream of one validator is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of its last batch; 0 if there is none.
    pub sequence: u64,
    /// The digest of that batch; zero if there is none.
    pub digest: Digest,
}

/// The header of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The number of the block, from 1.
    pub height: u64,
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
    /// State roots of executed heights, without gaps.
    pub roots: Vec<Digest>,
    /// How far each validator's stream is taken, by its index.
    pub cut: Vec<Head>,
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
        let roots = usize::from(reader.u16("roots of a header")?);
        let heads = reader.u32("cut of a header")? as usize;
        if reader.u64("epoch of a header")? != 0 {
            return Err(FormError::Invalid { what: "epoch of a header", reason: "it must be 0" });
        }
        let parent = reader.array("parent of a header")?;
        let roots_first = reader.u64("height of the first root of a header")?;
        let roots = reader.bounded("roots of a header", roots, ROOTS_MAX, 32)?;
        let roots = (0..roots).map(|_| reader.array("roots of a header")).collect::<Result<Vec<_>, _>>()?;
        let heads = reader.bounded("cut of a header", heads, VALIDATORS_MAX, HEAD_BYTES)?;
        let cut = (0..heads).map(|_| head(reader)).collect::<Result<Vec<_>, _>>()?;
        let header = Self { height, view, time_ms, proposer, parent, roots_first, roots, cut };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), FormError> {
        let invalid = |what, reason| Err(FormError::Invalid { what, reason });
        if self.height == 0 {
            return invalid("height of a header", "height 0 is the genesis");
        }
        let above_roots = self.roots_first.checked_add(self.roots.len() as u64);
        if above_roots.is_none_or(|above| above > self.height) {
            return invalid("roots of a header", "a block cannot know roots of its own height or above");
        }
        if self.cut.is_empty() {
            return invalid("cut of a header", "there are no validators");
        }
        if self.cut.iter().any(|head| (head.sequence == 0) != (head.digest == [0; 32])) {
            return invalid("cut of a header", "a head is neither empty nor that of a batch");
        }
        Ok(())
    }

    /// Appends the encoding.
    ///
    /// # Errors
    /// [`FormError::TooMany`]: more roots or heads than a header may have.
    pub fn encode(&self, bytes: &mut Vec<u8>) -> Result<(), FormError> {
        let roots: u16 = count("roots of a header", self.roots.len(), ROOTS_MAX)?;
        let heads: u32 = count("cut of a header", self.cut.len(), VALIDATORS_MAX)?;
        for number in [self.height, self.view, self.time_ms] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.proposer.to_le_bytes());
        bytes.extend_from_slice(&roots.to_le_bytes());
        bytes.extend_from_slice(&heads.to_le_bytes());
        bytes.extend_from_slice(&0_u64.to_le_bytes());
        bytes.extend_from_slice(&self.parent);
        bytes.extend_from_slice(&self.roots_first.to_le_bytes());
        bytes.extend_from_slice(self.roots.as_flattened());
        for head in &self.cut {
            bytes.extend_from_slice(&head.sequence.to_le_bytes());
            bytes.extend_from_slice(&head.digest);
        }
        Ok(())
    }

    /// The digest that consensus orders: SHA-256 of the encoding.
    ///
    /// # Errors
    /// As [`Self::encode`]; never for a header that was decoded.
    pub fn digest(&self) -> Result<Digest, FormError> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.roots.len() * 32 + self.cut.len() * HEAD_BYTES);
        self.encode(&mut bytes)?;
        Ok(kernels::sha2::sha256(&bytes))
    }

    /// The state root of a height, if it is one that this header carries.
    #[must_use]
    pub fn root_of(&self, height: u64) -> Option<&Digest> {
        let offset = height.checked_sub(self.roots_first)?;
        self.roots.get(usize::try_from(offset).ok()?)
    }
}

fn head(reader: &mut Reader<'_>) -> Result<Head, FormError> {
    Ok(Head { sequence: reader.u64("cut of a header")?, digest: reader.array("cut of a header")? })
}
