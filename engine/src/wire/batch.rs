//! A batch: the transactions that one validator hands to its peers at once, as the bytes that travel and are stored.
//!
//! ```text
//! 0       8        10          12        16         24      32         64          96          160
//! | epoch | author | #sections | packets | sequence | as of | previous | body root | signature | sections.. | packets..
//!                                                                             section = chain, packets
//! ```
//!
//! The digest covers network and header without the signature, and the header covers the body through its root. So
//! whether a batch is wanted can be told from the header alone, before anything expensive is done; and a head names all
//! batches before it, because each names the digest of the previous one. *As of* is a height that its author had on its
//! disk: its signatures are judged by the accounts that there were then, so that all validators judge them alike (R6).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use kernels::sha2::{sha256, sha256_parts};

use super::{Reader, WireError};
use crate::limits::{
    BATCH_HEADER_BYTES, BATCH_PACKETS_MAX, BATCH_SECTION_BYTES, CHAINS_MAX, PACKET_BYTES, SIGNATURE_BYTES,
};
use crate::types::{
    BatchId, ChainId, Digest, Epoch, Head, Height, Packet, PacketRun, Sequence, ValidatorIndex,
};

const DIGEST_DOMAIN: &[u8; 16] = b"millrace/batch/3";
const SIGNATURE_DOMAIN: &[u8; 23] = b"millrace/batch-author/3";
const SIGNATURE_AT: usize = BATCH_HEADER_BYTES - SIGNATURE_BYTES;
const BODY_ROOT: Range<usize> = SIGNATURE_AT - 32..SIGNATURE_AT;

/// Bytes of the message that an author signs: a domain and the batch's digest.
pub const BATCH_MESSAGE_BYTES: usize = SIGNATURE_DOMAIN.len() + 32;

/// The packets of one chain in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSection {
    /// The chain.
    pub chain: ChainId,
    /// How many packets; never 0.
    pub packets: u32,
}

/// An encoded batch: its header is parsed, its body only measured. Clones share the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Batch {
    bytes: Bytes,
    id: BatchId,
    epoch: Epoch,
    as_of: Height,
    previous: Digest,
    digest: Digest,
    sections: Arc<[BatchSection]>,
    body_at: usize,
}

impl Batch {
    /// Encodes the batch that follows `previous` in the stream of an author of an epoch, with signatures that are
    /// good as of a height, and has `sign` sign [`Self::message`]. The sections ascend by chain, none is empty, and
    /// together they have 1 to [`BATCH_PACKETS_MAX`] packets.
    pub fn seal<'a>(
        network: &Digest,
        (epoch, author): (Epoch, ValidatorIndex),
        previous: &Head,
        as_of: Height,
        sections: &[BatchSection],
        packets: impl Iterator<Item = &'a Packet>,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Self {
        let count = sections.iter().map(|section| section.packets as usize).sum::<usize>();
        assert!((1..=BATCH_PACKETS_MAX).contains(&count), "a batch of {count} packets");
        let body_at = BATCH_HEADER_BYTES + sections.len() * BATCH_SECTION_BYTES;
        let mut bytes = Vec::with_capacity(body_at + count * PACKET_BYTES);
        bytes.extend_from_slice(&epoch.0.to_le_bytes());
        bytes.extend_from_slice(&author.0.to_le_bytes());
        bytes.extend_from_slice(&(sections.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(count as u32).to_le_bytes());
        bytes.extend_from_slice(&previous.sequence.next().0.to_le_bytes());
        bytes.extend_from_slice(&as_of.0.to_le_bytes());
        bytes.extend_from_slice(&previous.digest.0);
        bytes.resize(BATCH_HEADER_BYTES, 0);
        for section in sections {
            bytes.extend_from_slice(&section.chain.0.to_le_bytes());
            bytes.extend_from_slice(&section.packets.to_le_bytes());
        }
        for packet in packets {
            bytes.extend_from_slice(&packet.0);
        }
        assert_eq!(bytes.len(), body_at + count * PACKET_BYTES, "the sections add up to the packets");
        let body_root = sha256(&bytes[body_at..]);
        bytes[BODY_ROOT].copy_from_slice(&body_root);
        let digest = digest(network, &bytes, body_at);
        bytes[SIGNATURE_AT..BATCH_HEADER_BYTES].copy_from_slice(&sign(&message(&digest)));
        Self {
            bytes: bytes.into(),
            id: BatchId { author, sequence: previous.sequence.next() },
            epoch,
            as_of,
            previous: previous.digest,
            digest,
            sections: sections.into(),
            body_at,
        }
    }

    /// Parses the header, checks the lengths and hashes the header. The body and the signatures are not looked at: see
    /// [`Self::body_matches`] and the verifier.
    ///
    /// # Errors
    /// [`WireError`]: the bytes are not the encoding of a batch.
    pub fn decode(network: &Digest, bytes: Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new(&bytes);
        let epoch = Epoch(reader.u64("batch epoch")?);
        let author = ValidatorIndex(reader.u16("batch author")?);
        let section_count = usize::from(reader.u16("batch sections")?);
        let count = reader.u32("batch packets")? as usize;
        let sequence = Sequence(reader.u64("batch sequence")?);
        let as_of = Height(reader.u64("batch as of")?);
        let previous = reader.digest("previous batch")?;
        reader.digest("batch body root")?;
        reader.take("batch signature", SIGNATURE_BYTES)?;
        if sequence.0 == 0 {
            return Err(WireError::Invalid { what: "batch sequence", reason: "sequences begin at 1" });
        }
        if (sequence.0 == 1) != (previous == Digest::default()) {
            return Err(WireError::Invalid {
                what: "previous batch",
                reason: "zero in the first batch of a stream, and only there",
            });
        }
        if count == 0 {
            return Err(WireError::Invalid { what: "batch packets", reason: "a batch is never empty" });
        }
        if count > BATCH_PACKETS_MAX {
            let max = BATCH_PACKETS_MAX;
            return Err(WireError::TooMany { what: "batch packets", count: count as u64, max });
        }
        if section_count > CHAINS_MAX {
            let max = CHAINS_MAX;
            return Err(WireError::TooMany { what: "batch sections", count: section_count as u64, max });
        }
        let sections = sections(&mut reader, section_count, count)?;
        let body_at = bytes.len() - reader.left();
        reader.take("batch packets", count * PACKET_BYTES)?;
        reader.finish()?;
        let digest = digest(network, &bytes, body_at);
        let id = BatchId { author, sequence };
        Ok(Self { id, epoch, as_of, previous, digest, sections, body_at, bytes })
    }

    /// Its place.
    pub fn id(&self) -> BatchId {
        self.id
    }

    /// The prefix that ends with it.
    pub fn head(&self) -> Head {
        Head { sequence: self.id.sequence, digest: self.digest }
    }

    /// The prefix that it follows.
    pub fn previous(&self) -> Head {
        Head { sequence: Sequence(self.id.sequence.0 - 1), digest: self.previous }
    }

    /// The epoch of its author. Streams begin anew with each.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The height by whose accounts its signatures are judged.
    pub fn as_of(&self) -> Height {
        self.as_of
    }

    /// What names it: SHA-256 over network and header.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What its author signs.
    pub fn message(&self) -> [u8; BATCH_MESSAGE_BYTES] {
        message(&self.digest)
    }

    /// The author's signature, a claim until it is checked.
    pub fn signature(&self) -> &[u8; SIGNATURE_BYTES] {
        self.bytes[SIGNATURE_AT..].first_chunk().expect("the length was checked")
    }

    /// Whether the packets are those that the header commits to.
    pub fn body_matches(&self) -> bool {
        sha256(&self.bytes[self.body_at..]) == self.bytes[BODY_ROOT]
    }

    /// The encoding.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// All packets, in place, section by section.
    #[inline]
    pub fn packets(&self) -> &[Packet] {
        Packet::slice(&self.bytes[self.body_at..])
    }

    /// The packets by chain, ascending.
    pub fn sections(&self) -> impl Iterator<Item = (ChainId, &[Packet])> {
        let mut rest = self.packets();
        self.sections.iter().map(move |section| {
            let mine = rest.split_off(..section.packets as usize).expect("decode has added them up");
            (section.chain, mine)
        })
    }

    /// The packets of one chain; empty where it has none.
    pub fn packets_of(&self, chain: ChainId) -> &[Packet] {
        self.sections().find(|(of, _)| *of == chain).map_or(&[], |(_, packets)| packets)
    }

    /// How many transactions, if its packets are transactions at all.
    pub fn transactions(&self) -> usize {
        PacketRun::all(self.packets()).count()
    }
}

fn sections(
    reader: &mut Reader<'_>,
    sections: usize,
    packets: usize,
) -> Result<Arc<[BatchSection]>, WireError> {
    let what = "batch sections";
    let mut rest = Reader::new(reader.take(what, sections * BATCH_SECTION_BYTES)?);
    let read = (0..sections)
        .map(|_| Ok(BatchSection { chain: ChainId(rest.u32(what)?), packets: rest.u32(what)? }))
        .collect::<Result<Arc<[_]>, WireError>>()?;
    if !read.is_sorted_by(|a, b| a.chain < b.chain) {
        return Err(WireError::Invalid { what, reason: "chains must ascend" });
    }
    if read.iter().any(|section| section.packets == 0) {
        return Err(WireError::Invalid { what, reason: "a section is never empty" });
    }
    let sum: u64 = read.iter().map(|section| u64::from(section.packets)).sum();
    if sum != packets as u64 {
        return Err(WireError::Invalid { what, reason: "they do not add up to the batch's packets" });
    }
    Ok(read)
}

fn digest(network: &Digest, bytes: &[u8], body_at: usize) -> Digest {
    let sections = &bytes[BATCH_HEADER_BYTES..body_at];
    Digest(sha256_parts(&[DIGEST_DOMAIN, &network.0, &bytes[..SIGNATURE_AT], sections]))
}

fn message(digest: &Digest) -> [u8; BATCH_MESSAGE_BYTES] {
    let mut message = [0; BATCH_MESSAGE_BYTES];
    message[..SIGNATURE_DOMAIN.len()].copy_from_slice(SIGNATURE_DOMAIN);
    message[SIGNATURE_DOMAIN.len()..].copy_from_slice(&digest.0);
    message
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({}, {} packets, {:?})", self.id, self.packets().len(), self.digest)
    }
}
