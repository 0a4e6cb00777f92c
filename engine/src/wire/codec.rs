//! Reading and writing bytes, with every length checked.

use bytes::Bytes;

use crate::types::{Digest, UnknownCode};

/// Why bytes are not the encoding of anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end too early.
    #[error("{what}: needs {needed} bytes, {left} are left")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// How many bytes it needs.
        needed: usize,
        /// How many there are.
        left: usize,
    },
    /// Bytes after the end.
    #[error("{0} bytes after the end")]
    Trailing(usize),
    /// A count or a length outside its limits.
    #[error("{what}: {count} is outside 0..={max}")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// The count.
        count: u64,
        /// The limit.
        max: usize,
    },
    /// A field with a value that it cannot have.
    #[error("{what}: {reason}")]
    Invalid {
        /// The field.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A code that names nothing.
    #[error(transparent)]
    Code(#[from] UnknownCode),
    /// A header that is not a block.
    #[error(transparent)]
    Block(#[from] super::BlockError),
    /// A genesis that is not valid.
    #[error(transparent)]
    Genesis(#[from] crate::types::GenesisError),
}

/// Reads from a slice and never past it.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.left.len()
    }

    /// The next `n` bytes.
    pub fn take(&mut self, what: &'static str, n: usize) -> Result<&'a [u8], WireError> {
        let (taken, left) = self.left.split_at_checked(n).ok_or(WireError::Truncated {
            what,
            needed: n,
            left: self.left.len(),
        })?;
        self.left = left;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let bytes = self.take(what, N)?;
        Ok(*bytes.first_chunk().expect("take gives as many as asked for"))
    }

    /// A byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, WireError> {
        self.array(what).map(u8::from_le_bytes)
    }

    /// A 16-bit number.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, WireError> {
        self.array(what).map(u16::from_le_bytes)
    }

    /// A 32-bit number.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// A 64-bit number.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, WireError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A digest.
    pub fn digest(&mut self, what: &'static str) -> Result<Digest, WireError> {
        self.array(what).map(Digest)
    }

    /// A 32-bit count of items that take at least `item_bytes` each: within `max`, and no more than the bytes left can
    /// hold, so that allocating for it is safe.
    pub fn count(&mut self, what: &'static str, max: usize, item_bytes: usize) -> Result<usize, WireError> {
        let count = self.u32(what)?;
        check_count(what, u64::from(count), max, item_bytes, self.left.len())
    }

    /// As [`Self::count`], for a 16-bit count.
    pub fn count16(&mut self, what: &'static str, max: usize, item_bytes: usize) -> Result<usize, WireError> {
        let count = self.u16(what)?;
        check_count(what, u64::from(count), max, item_bytes, self.left.len())
    }

    /// Bytes with a 32-bit length before them.
    pub fn blob(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], WireError> {
        let length = self.count(what, max, 1)?;
        self.take(what, length)
    }

    /// UTF-8 with a 32-bit length before it.
    pub fn text(&mut self, what: &'static str, max: usize) -> Result<String, WireError> {
        let bytes = self.blob(what, max)?;
        str::from_utf8(bytes).map(str::to_owned).map_err(|_| WireError::Invalid { what, reason: "not UTF-8" })
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.left)
    }

    /// The end: nothing may be left.
    pub fn finish(self) -> Result<(), WireError> {
        match self.left.len() {
            0 => Ok(()),
            trailing => Err(WireError::Trailing(trailing)),
        }
    }
}

fn check_count(
    what: &'static str,
    count: u64,
    max: usize,
    item_bytes: usize,
    left: usize,
) -> Result<usize, WireError> {
    let count_in_memory = usize::try_from(count).ok().filter(|count| *count <= max);
    let count = count_in_memory.ok_or(WireError::TooMany { what, count, max })?;
    match count.checked_mul(item_bytes) {
        Some(needed) if needed <= left => Ok(count),
        needed => Err(WireError::Truncated { what, needed: needed.unwrap_or(usize::MAX), left }),
    }
}

/// Writes what [`Reader`] reads.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    /// A 16-bit number.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// A 32-bit number.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// A 64-bit number.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// A digest.
    pub fn digest(&mut self, digest: &Digest) -> &mut Self {
        self.raw(&digest.0)
    }

    /// A 32-bit count or length.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.u32(u32::try_from(count).expect("no limit of the ledger exceeds 32 bits"))
    }

    /// Bytes with a 32-bit length before them.
    pub fn blob(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).raw(bytes)
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// What was written, shareable.
    pub fn finish_bytes(self) -> Bytes {
        self.bytes.into()
    }
}
