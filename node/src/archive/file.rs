//! A closed file of an archive, read: nothing is returned whose digest was not compared.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use engine::types::{Digest, Height, TransactionId};
use kernels::sha2::sha256;

use super::error::{ArchiveError, Flaw};
use super::format::{Entry, FileHeader, HEADER_BYTES, ID_BYTES, Index, TRAILER_BYTES};

/// An open file, with its header and its index.
#[derive(Debug)]
pub struct ArchiveFile {
    file: File,
    path: PathBuf,
    pub(super) header: FileHeader,
    pub(super) index: Index,
}

impl ArchiveFile {
    /// Opens a file whose name says these heights.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] and [`ArchiveError::Damaged`].
    pub fn open(path: &Path, (first, last): (Height, Height)) -> Result<Self, ArchiveError> {
        let reading = || ArchiveError::io("reading", path);
        let file = File::open(path).map_err(ArchiveError::io("opening", path))?;
        let length = file.metadata().map_err(reading())?.len();
        let flaw = |offset, expected: &str, found: String| Flaw {
            path: path.to_owned(),
            offset,
            expected: expected.to_owned(),
            found,
        };
        if length < (HEADER_BYTES + TRAILER_BYTES) as u64 {
            return Err(flaw(length, "a header and a trailer", format!("{length} bytes")).into());
        }
        let (mut header, mut trailer) = ([0; HEADER_BYTES], [0; TRAILER_BYTES]);
        file.read_exact_at(&mut header, 0).map_err(reading())?;
        file.read_exact_at(&mut trailer, length - TRAILER_BYTES as u64).map_err(reading())?;
        let bytes = Index::bytes_before(&trailer, length, path)? as usize + TRAILER_BYTES;
        let index_at = length - bytes as u64;
        let mut end = vec![0; bytes];
        file.read_exact_at(&mut end, index_at).map_err(reading())?;
        let index = Index::decode(&header, &end, (index_at, path))?;
        let header = FileHeader::decode(&header, path)?;
        let parts = index.frames_end().saturating_add(index.ids * ID_BYTES as u64);
        if parts != index_at {
            return Err(
                flaw(index_at, "the index behind frames and ids", format!("these end at {parts}")).into()
            );
        }
        if (header.first, index.last) != (first, last) {
            let found = format!("heights {} to {}", header.first, index.last);
            return Err(flaw(0, "the heights of its name", found).into());
        }
        Ok(Self { file, path: path.to_owned(), header, index })
    }

    /// The network.
    pub fn network(&self) -> &Digest {
        &self.header.network
    }

    /// The digest of the block before the first, and of the last block.
    pub fn links(&self) -> (Digest, Digest) {
        (self.header.parent, self.index.block)
    }

    /// How many frames it has.
    pub(super) fn frames(&self) -> usize {
        self.index.frames.len()
    }

    /// Where a frame begins in the file.
    pub(super) fn offset_of(&self, height: Height) -> u64 {
        self.index.frame_of(height).map_or(0, |(_, offset, _)| offset)
    }

    /// The heights of a frame, the first of them first.
    pub(super) fn frame(&self, place: usize) -> Result<(Height, Vec<Entry>), ArchiveError> {
        let entry = self.index.frames[place];
        let (_, offset, end) = self.index.frame_of(entry.first).expect("it is one of the index");
        let flaw =
            |expected: String, found: String| Flaw { path: self.path.clone(), offset, expected, found };
        let bytes = self.part(offset, u64::from(entry.bytes), &entry.digest, "a frame")?;
        let plain = zstd::bulk::decompress(&bytes, entry.plain_bytes as usize)
            .map_err(|error| flaw("a compressed frame".to_owned(), error.to_string()))?;
        if plain.len() != entry.plain_bytes as usize {
            let expected = format!("a frame of {} bytes uncompressed", entry.plain_bytes);
            return Err(flaw(expected, plain.len().to_string()).into());
        }
        let heights = end.0 - entry.first.0;
        Ok((entry.first, Entry::read_all(&plain, heights, (offset, &self.path))?))
    }

    /// The frame that has a height.
    pub(super) fn frame_of(&self, height: Height) -> Result<(Height, Vec<Entry>), ArchiveError> {
        let (place, ..) = self.index.frame_of(height).expect("the caller has looked at the heights");
        self.frame(place)
    }

    /// Whether it may have a transaction: it has one whose id begins alike.
    pub(super) fn may_have(&self, id: &TransactionId) -> Result<bool, ArchiveError> {
        let table = self.ids()?;
        let (ids, _) = table.as_chunks::<ID_BYTES>();
        Ok(ids.binary_search_by(|entry| entry.as_slice().cmp(&id.0[..ID_BYTES])).is_ok())
    }

    fn ids(&self) -> Result<Vec<u8>, ArchiveError> {
        let length = self.index.ids * ID_BYTES as u64;
        self.part(self.index.frames_end(), length, &self.index.ids_digest, "the ids of transactions")
    }

    /// Compares the digest of every byte.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn check(&self) -> Result<(), ArchiveError> {
        (0..self.frames()).try_for_each(|place| self.frame(place).map(drop))?;
        self.ids().map(drop)
    }

    fn part(&self, offset: u64, length: u64, digest: &Digest, what: &str) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, offset).map_err(ArchiveError::io("reading", &self.path))?;
        let computed = Digest(sha256(&bytes));
        match computed == *digest {
            true => Ok(bytes),
            false => {
                let (expected, found) = (format!("{what} with the SHA-256 {digest}"), computed.to_string());
                Err(Flaw { path: self.path.clone(), offset, expected, found }.into())
            }
        }
    }
}
