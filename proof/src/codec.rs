//! Reading and writing bytes, with every length checked.

use alloc::vec::Vec;
use core::fmt;

use crate::Digest;

/// Why bytes are not the encoding of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormError {
    /// The bytes end too early.
    Truncated {
        /// What was being read.
        what: &'static str,
    },
    /// Bytes after the end.
    Trailing(usize),
    /// A count or a length outside its bounds.
    TooMany {
        /// What is counted.
        what: &'static str,
        /// The count.
        count: usize,
        /// The most there may be.
        max: usize,
    },
    /// A field with a value that it cannot have.
    Invalid {
        /// The field.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { what } => write!(f, "the bytes end inside the {what}"),
            Self::Trailing(bytes) => write!(f, "{bytes} bytes after the end"),
            Self::TooMany { what, count, max } => write!(f, "the {what}: {count} is more than {max}"),
            Self::Invalid { what, reason } => write!(f, "the {what}: {reason}"),
        }
    }
}

impl core::error::Error for FormError {}

/// Reads from a slice and never past it.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of all of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// The next `n` bytes.
    pub(crate) fn take(&mut self, what: &'static str, n: usize) -> Result<&'a [u8], FormError> {
        let (taken, left) = self.left.split_at_checked(n).ok_or(FormError::Truncated { what })?;
        self.left = left;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FormError> {
        let (taken, left) = self.left.split_first_chunk().ok_or(FormError::Truncated { what })?;
        self.left = left;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, FormError> {
        self.array(what).map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, FormError> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, FormError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, FormError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A count of items that take at least `item_bytes` each: within `max`, and no more than the bytes left can hold,
    /// so that allocating for it is safe.
    pub(crate) fn bounded(
        &self,
        what: &'static str,
        count: usize,
        max: usize,
        item_bytes: usize,
    ) -> Result<usize, FormError> {
        if count > max {
            return Err(FormError::TooMany { what, count, max });
        }
        match count.checked_mul(item_bytes) {
            Some(needed) if needed <= self.left.len() => Ok(count),
            _ => Err(FormError::Truncated { what }),
        }
    }

    /// Digests, with a count of one byte before them.
    pub(crate) fn digests(&mut self, what: &'static str, max: usize) -> Result<Vec<Digest>, FormError> {
        let count = usize::from(self.u8(what)?);
        let count = self.bounded(what, count, max, 32)?;
        (0..count).map(|_| self.array(what)).collect()
    }

    /// So many accounts, ascending.
    pub(crate) fn accounts(
        &mut self,
        what: &'static str,
        count: u8,
        max: usize,
    ) -> Result<Vec<u64>, FormError> {
        let count = self.bounded(what, usize::from(count), max, 8)?;
        let accounts = (0..count).map(|_| self.u64(what)).collect::<Result<Vec<_>, _>>()?;
        match accounts.is_sorted_by(|a, b| a < b) {
            true => Ok(accounts),
            false => Err(FormError::Invalid { what, reason: "they do not ascend" }),
        }
    }

    /// All that is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.left
    }

    /// The end: nothing may be left.
    pub(crate) fn finish(self) -> Result<(), FormError> {
        match self.left.len() {
            0 => Ok(()),
            trailing => Err(FormError::Trailing(trailing)),
        }
    }
}

/// A count that is written in so few bits, if it is within its bound.
pub(crate) fn count<N: TryFrom<usize>>(what: &'static str, count: usize, max: usize) -> Result<N, FormError> {
    let too_many = FormError::TooMany { what, count, max };
    if count > max {
        return Err(too_many);
    }
    N::try_from(count).map_err(|_| too_many)
}
