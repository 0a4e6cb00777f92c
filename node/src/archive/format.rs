//! One file of an archive, as bytes. `docs/ARCHIVE.md` has the same as tables.
//!
//! ```text
//! | header | frame | frame | ... | first bytes of transaction ids, ascending | index | trailer |
//! ```
//!
//! A frame is what some consecutive heights have, compressed. The index has a SHA-256 of each frame and of the ids,
//! and the trailer one of header and index. So every byte is covered, and a height can be read and checked without the
//! rest.

use std::path::Path;

use engine::limits::{BLOCK_BATCHES_MAX, BLOCK_BYTES_MAX, BLOCK_PACKET_BYTES_MAX, VALIDATORS_MAX};
use engine::types::{Digest, Head, Height, Members, Sequence};
use kernels::sha2::sha256_parts;

use super::error::Flaw;

pub(super) const MAGIC: [u8; 8] = *b"millarch";
const END_MAGIC: [u8; 8] = *b"hcrallim";
const FORMAT: u32 = 2;
/// Bytes before the first frame.
pub(super) const HEADER_BYTES: usize = 8 + 4 + 32 + 8 + 32;
/// Bytes behind the index.
pub(super) const TRAILER_BYTES: usize = 4 + 32 + 8;
const FRAME_ENTRY_BYTES: usize = 8 + 4 + 4 + 32;
/// Bytes of an id in the table.
pub(super) const ID_BYTES: usize = 4;
/// Uncompressed bytes after which a frame ends.
pub(super) const FRAME_BYTES: usize = 1 << 20;
/// No height has more: its batches, its block and certificate, and what became of each transaction.
const HEIGHT_BYTES_MAX: usize = 2 * BLOCK_PACKET_BYTES_MAX + BLOCK_BATCHES_MAX * 4096 + BLOCK_BYTES_MAX;
/// No frame has more when it is uncompressed.
const FRAME_BYTES_MAX: usize = FRAME_BYTES + HEIGHT_BYTES_MAX;

/// No height has fewer: two lengths, and the digests and the height that the record of any block has.
const HEIGHT_BYTES_MIN: usize = 4 + 4 + 72;

/// What a file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub network: Digest,
    pub first: Height,
    /// The digest of the block before the first one; the network id where that is the genesis.
    pub parent: Digest,
}

/// One frame of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameEntry {
    pub first: Height,
    /// Bytes in the file, and uncompressed.
    pub bytes: u32,
    pub plain_bytes: u32,
    pub digest: Digest,
}

impl FrameEntry {
    /// Whether it has room for the heights below `end`. It was ended with the height that made it large enough.
    fn may_have(&self, end: u64) -> bool {
        let heights = end.saturating_sub(self.first.0);
        let most = (self.plain_bytes as usize).min(FRAME_BYTES + HEIGHT_BYTES_MIN) / HEIGHT_BYTES_MIN;
        (1..=most as u64).contains(&heights)
    }
}

/// What a file has at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub frames: Vec<FrameEntry>,
    /// How many transaction ids there are, and the SHA-256 of the table.
    pub ids: u64,
    pub ids_digest: Digest,
    pub last: Height,
    /// The digest of the last block, who validates the next one, and how far the stream of each of these is taken.
    pub block: Digest,
    pub cut: Vec<Head>,
    pub members: Members,
}

impl FileHeader {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.network.0);
        bytes.extend_from_slice(&self.first.0.to_le_bytes());
        bytes.extend_from_slice(&self.parent.0);
        bytes.try_into().expect("these fields")
    }

    pub fn decode(bytes: &[u8; HEADER_BYTES], path: &Path) -> Result<Self, Flaw> {
        let mut fields = Fields { bytes, at: 0, offset: 0, path };
        let magic = fields.array("the magic")?;
        if magic != MAGIC {
            return Err(fields.flaw(0, hex::encode(MAGIC), hex::encode(magic)));
        }
        let format = fields.u32("the format")?;
        if format != FORMAT {
            return Err(fields.flaw(8, format!("format {FORMAT}"), format!("format {format}")));
        }
        let (network, first, parent) =
            (fields.digest("the network")?, fields.u64("a height")?, fields.digest("the block before")?);
        Ok(Self { network, first: Height(first), parent })
    }
}

impl Index {
    /// Index and trailer.
    pub fn encode(&self, header: &[u8; HEADER_BYTES]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&(self.frames.len() as u32).to_le_bytes());
        for frame in &self.frames {
            bytes.extend_from_slice(&frame.first.0.to_le_bytes());
            bytes.extend_from_slice(&frame.bytes.to_le_bytes());
            bytes.extend_from_slice(&frame.plain_bytes.to_le_bytes());
            bytes.extend_from_slice(&frame.digest.0);
        }
        bytes.extend_from_slice(&self.ids.to_le_bytes());
        bytes.extend_from_slice(&self.ids_digest.0);
        bytes.extend_from_slice(&self.last.0.to_le_bytes());
        bytes.extend_from_slice(&self.block.0);
        bytes.extend_from_slice(&(self.cut.len() as u16).to_le_bytes());
        for head in &self.cut {
            bytes.extend_from_slice(&head.sequence.0.to_le_bytes());
            bytes.extend_from_slice(&head.digest.0);
        }
        put(&self.members.encode(), &mut bytes);
        let length = (bytes.len() as u32).to_le_bytes();
        let digest = sha256_parts(&[header, &bytes, &length]);
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(&digest);
        bytes.extend_from_slice(&END_MAGIC);
        bytes
    }

    /// How many bytes of index stand before this trailer.
    pub fn bytes_before(trailer: &[u8; TRAILER_BYTES], end: u64, path: &Path) -> Result<u32, Flaw> {
        let offset = end - TRAILER_BYTES as u64;
        let mut fields = Fields { bytes: trailer, at: 0, offset, path };
        let length = fields.u32("the bytes of the index")?;
        fields.digest("a digest")?;
        let magic = fields.array("the magic")?;
        if magic != END_MAGIC {
            return Err(fields.flaw(36, hex::encode(END_MAGIC), hex::encode(magic)));
        }
        match u64::from(length) + HEADER_BYTES as u64 <= offset {
            true => Ok(length),
            false => Err(fields.flaw(0, format!("less than {offset} bytes"), length.to_string())),
        }
    }

    /// Reads the index that begins at `offset`, with the trailer behind it.
    pub fn decode(
        header: &[u8; HEADER_BYTES],
        bytes: &[u8],
        (offset, path): (u64, &Path),
    ) -> Result<Self, Flaw> {
        let (bytes, trailer) = bytes.split_at(bytes.len() - TRAILER_BYTES);
        let (length, digest) = (&trailer[..4], &trailer[4..36]);
        let computed = sha256_parts(&[header, bytes, length]);
        let mut fields = Fields { bytes, at: 0, offset, path };
        if computed != *digest {
            let (computed, found) = (hex::encode(computed), hex::encode(digest));
            let expected = format!("header and index with the SHA-256 {found}");
            return Err(fields.flaw(bytes.len() + 4, expected, format!("those with {computed}")));
        }
        // What follows is as it was written, but not by whom.
        let first = FileHeader::decode(header, path)?.first;
        let count = fields.u32("the number of frames")?;
        let mut frames: Vec<FrameEntry> = Vec::new();
        for _ in 0..count {
            let entry = FrameEntry {
                first: Height(fields.u64("a height")?),
                bytes: fields.u32("the bytes of a frame")?,
                plain_bytes: fields.u32("the bytes of a frame")?,
                digest: fields.digest("the digest of a frame")?,
            };
            let follows = frames.last().map_or(entry.first == first, |before| before.first < entry.first);
            if !follows || entry.plain_bytes as usize > FRAME_BYTES_MAX {
                let expected = "frames of ascending heights and of bounded size".to_owned();
                let found = format!("one of {} bytes with height {}", entry.plain_bytes, entry.first);
                return Err(fields.flaw(fields.at - FRAME_ENTRY_BYTES, expected, found));
            }
            frames.push(entry);
        }
        let (ids, ids_digest) = (fields.u64("the number of ids")?, fields.digest("the digest of the ids")?);
        let (last, block) = (Height(fields.u64("a height")?), fields.digest("the last block")?);
        let streams = usize::from(u16::from_le_bytes(fields.array("the number of streams")?));
        let ends = frames.iter().skip(1).map(|frame| frame.first.0).chain([last.0.saturating_add(1)]);
        let are_possible = frames.iter().zip(ends).all(|(frame, end)| frame.may_have(end));
        if frames.is_empty() || !are_possible || streams > VALIDATORS_MAX || ids > 1 << 40 {
            let expected =
                "frames up to the last height, each of a possible number of heights, and a possible number \
                            of streams and ids"
                    .to_owned();
            let found = format!("{count} up to {last}, {streams} streams and {ids} ids");
            return Err(fields.flaw(0, expected, found));
        }
        let mut cut = Vec::new();
        for _ in 0..streams {
            let sequence = Sequence(fields.u64("a stream")?);
            cut.push(Head { sequence, digest: fields.digest("a stream")? });
        }
        let at = fields.at;
        let members = Members::decode(fields.bytes("the members")?);
        let fits = members.filter(|members| members.list.len() == streams);
        let members = fits.ok_or_else(|| {
            fields.flaw(at, format!("a set of {streams} members"), "something else".to_owned())
        })?;
        fields.finish()?;
        Ok(Self { frames, ids, ids_digest, last, block, cut, members })
    }

    /// Where the frames end and the ids begin.
    pub fn frames_end(&self) -> u64 {
        HEADER_BYTES as u64 + self.frames.iter().map(|frame| u64::from(frame.bytes)).sum::<u64>()
    }

    /// Place of the frame that has a height, its offset and the height behind it.
    pub fn frame_of(&self, height: Height) -> Option<(usize, u64, Height)> {
        let place = self.frames.partition_point(|frame| frame.first <= height).checked_sub(1)?;
        let before: u64 = self.frames[..place].iter().map(|frame| u64::from(frame.bytes)).sum();
        let end = self.frames.get(place + 1).map_or(self.last.next(), |next| next.first);
        (height < end).then_some((place, HEADER_BYTES as u64 + before, end))
    }
}

/// What one height has in a frame: the record of its block without places, and its batches by author and sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub record: Vec<u8>,
    pub batches: Vec<Vec<u8>>,
}

impl Entry {
    /// Appends it to an uncompressed frame.
    pub fn write(record: &[u8], batches: &[&[u8]], out: &mut Vec<u8>) {
        put(record, out);
        out.extend_from_slice(&(batches.len() as u32).to_le_bytes());
        batches.iter().for_each(|batch| put(batch, out));
    }

    /// All of an uncompressed frame of so many heights. `offset` is that of the frame.
    pub fn read_all(bytes: &[u8], heights: u64, (offset, path): (u64, &Path)) -> Result<Vec<Self>, Flaw> {
        let mut fields = Fields { bytes, at: 0, offset, path };
        let mut entries = Vec::new();
        for _ in 0..heights {
            let record = fields.bytes("a record")?.to_vec();
            let count = fields.u32("the number of batches")? as usize;
            if count > BLOCK_BATCHES_MAX {
                let expected = format!("at most {BLOCK_BATCHES_MAX} batches");
                return Err(fields.within(expected, count.to_string()));
            }
            let mut batches = Vec::new();
            for _ in 0..count {
                batches.push(fields.bytes("a batch")?.to_vec());
            }
            entries.push(Self { record, batches });
        }
        match fields.bytes.len() - fields.at {
            0 => Ok(entries),
            extra => Err(fields.within(format!("{heights} heights"), format!("{extra} bytes more"))),
        }
    }
}

fn put(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// A cursor that never reads past the end.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where in the file the bytes begin.
    offset: u64,
    path: &'a Path,
}

impl<'a> Fields<'a> {
    fn flaw(&self, at: usize, expected: String, found: String) -> Flaw {
        Flaw { path: self.path.to_path_buf(), offset: self.offset + at as u64, expected, found }
    }

    /// A flaw somewhere in a frame, whose own place is the only one that the file has.
    fn within(&self, expected: String, found: String) -> Flaw {
        self.flaw(0, format!("a frame of {expected}"), found)
    }

    fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], Flaw> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end =
            end.ok_or_else(|| self.flaw(0, format!("{what} up to its end"), "an end before".to_owned()))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Flaw> {
        Ok(self.take(N, what)?.try_into().expect("take returned N bytes"))
    }

    fn u32(&mut self, what: &str) -> Result<u32, Flaw> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64, Flaw> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    fn digest(&mut self, what: &str) -> Result<Digest, Flaw> {
        Ok(Digest(self.array(what)?))
    }

    fn bytes(&mut self, what: &str) -> Result<&'a [u8], Flaw> {
        let length = self.u32(what)? as usize;
        self.take(length, what)
    }

    fn finish(&self) -> Result<(), Flaw> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            extra => {
                Err(self.flaw(self.at, "the end of the index".to_owned(), format!("{extra} bytes more")))
            }
        }
    }
}
