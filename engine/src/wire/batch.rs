//! A batch: the transactions that one validator hands to its peers at once, as the bytes that travel and are stored.

use std::fmt;

use bytes::Bytes;

use super::{Reader, WireError};
use crate::limits::{BATCH_HEADER_BYTES, BATCH_TRANSACTIONS_MAX, PACKET_BYTES};
use crate::types::{BatchId, ChainId, Digest, Packet, Sequence, ValidatorIndex};

/// An encoded batch. Hashed once and parsed once, when it is made; clones share the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Batch {
    bytes: Bytes,
    id: BatchId,
    digest: Digest,
}

impl Batch {
    /// Encodes a batch. There must be 1 to [`BATCH_TRANSACTIONS_MAX`] packets.
    pub fn seal<'a>(id: BatchId, packets: impl ExactSizeIterator<Item = &'a Packet>) -> Self {
        let count = packets.len();
        assert!((1..=BATCH_TRANSACTIONS_MAX).contains(&count), "a batch of {count} transactions");
        let mut bytes = Vec::with_capacity(BATCH_HEADER_BYTES + count * PACKET_BYTES);
        bytes.extend_from_slice(&id.chain.0.to_le_bytes());
        bytes.extend_from_slice(&id.author.0.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&id.sequence.0.to_le_bytes());
        bytes.extend_from_slice(&(count as u32).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for packet in packets {
            bytes.extend_from_slice(&packet.0);
        }
        let digest = Digest(kernels::sha2::sha256(&bytes));
        Self { bytes: bytes.into(), id, digest }
    }

    /// Parses the header, checks the length and hashes. The packets are not looked at.
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let id = Self::peek(&bytes)?;
        let digest = Digest(kernels::sha2::sha256(&bytes));
        Ok(Self { bytes, id, digest })
    }

    /// The name in an encoding whose lengths are right, without hashing it.
    pub fn peek(bytes: &[u8]) -> Result<BatchId, WireError> {
        let mut reader = Reader::new(bytes);
        let chain = ChainId(reader.u32("batch chain")?);
        let author = ValidatorIndex(reader.u16("batch author")?);
        reader.reserved::<2>("batch header")?;
        let sequence = Sequence(reader.u64("batch sequence")?);
        let count = reader.u32("batch transactions")? as usize;
        reader.reserved::<4>("batch header")?;
        if sequence.0 == 0 {
            return Err(WireError::Invalid { what: "batch sequence", reason: "sequences begin at 1" });
        }
        if count == 0 {
            return Err(WireError::Invalid { what: "batch transactions", reason: "a batch is never empty" });
        }
        if count > BATCH_TRANSACTIONS_MAX {
            let max = BATCH_TRANSACTIONS_MAX;
            return Err(WireError::TooMany { what: "batch transactions", count: count as u64, max });
        }
        reader.take("batch packets", count * PACKET_BYTES)?;
        reader.finish()?;
        Ok(BatchId { chain, author, sequence })
    }

    /// Its name.
    pub fn id(&self) -> BatchId {
        self.id
    }

    /// SHA-256 of the whole encoding.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The encoding.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The packets, in place.
    #[inline]
    pub fn packets(&self) -> &[Packet] {
        Packet::slice(&self.bytes[BATCH_HEADER_BYTES..])
    }

    /// How many packets.
    pub fn transactions(&self) -> u32 {
        self.packets().len() as u32
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({}, {} transactions, {:?})", self.id, self.transactions(), self.digest)
    }
}
