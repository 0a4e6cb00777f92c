//! The common part of a checkpoint's file, chunk by chunk: for peers that catch up by state.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use super::chunks::{ChunkReader, digest};
use super::format::{COMMON_AT, read_evidence};
use super::{CheckpointMark, ValidatorId};
use crate::limits::STATE_CHUNK_BYTES;
use crate::sync::ChunkList;
use crate::types::{Digest, Height};

/// Bytes of a whole chunk with its length and its digest.
const FRAME_BYTES: u64 = 4 + STATE_CHUNK_BYTES as u64 + 32;

/// What a file has for peers. Its chunks are read from the file when they are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedState {
    /// Its height, and the digests of its chunks.
    pub list: ChunkList,
    /// The [`Evidence`](crate::replica::Evidence) of the state, encoded.
    pub evidence: Vec<u8>,
}

impl ServedState {
    /// What a checkpoint's file has. The digests are those that it says; no chunk is read.
    ///
    /// # Errors
    /// It cannot be read, or is damaged, or is of another network or validator.
    pub fn of(of: ValidatorId<'_>, file: &mut (impl Read + Seek)) -> io::Result<Self> {
        let height = CheckpointMark::read(of, &mut *file)?.height;
        let mut digests = Vec::new();
        loop {
            let length = length_at(file, digests.len() as u64)?;
            let mut digest = [0; 32];
            if length == 0 {
                file.seek(SeekFrom::Current(32))?;
                break;
            }
            file.seek(SeekFrom::Current(i64::from(length)))?;
            file.read_exact(&mut digest)?;
            digests.push(Digest(digest));
            if (length as usize) < STATE_CHUNK_BYTES {
                // The one without bytes follows, and is shorter than where a whole one would stand.
                file.seek(SeekFrom::Current(4 + 32))?;
                break;
            }
        }
        let evidence = read_evidence(&mut ChunkReader::new(&mut *file))?;
        Ok(Self { list: ChunkList { height, digests }, evidence })
    }

    /// The bytes of a chunk, read from the file that [`Self::of`] has read.
    ///
    /// # Errors
    /// There is no such chunk, or it cannot be read, or it does not have its digest.
    pub fn chunk(&self, file: &mut (impl Read + Seek), number: u32) -> io::Result<Vec<u8>> {
        let wanted = self.list.digests.get(number as usize);
        let wanted =
            wanted.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "there is no such chunk"))?;
        let mut bytes = vec![0; length_at(file, u64::from(number))? as usize];
        file.read_exact(&mut bytes)?;
        match digest(u64::from(number), &bytes) == wanted.0 {
            true => Ok(bytes),
            false => Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("chunk {number} does not have its digest"),
            )),
        }
    }

    /// The height.
    #[must_use]
    pub fn height(&self) -> Height {
        self.list.height
    }
}

/// The length that stands at the beginning of a chunk; the file stands behind it then.
fn length_at(file: &mut (impl Read + Seek), number: u64) -> io::Result<u32> {
    let mut length = [0; 4];
    file.seek(SeekFrom::Start(COMMON_AT + number * FRAME_BYTES))?;
    file.read_exact(&mut length)?;
    match u32::from_le_bytes(length) {
        length if length as usize <= STATE_CHUNK_BYTES => Ok(length),
        _ => Err(io::Error::new(ErrorKind::InvalidData, "a chunk is longer than 1 MiB")),
    }
}

/// Whether bytes are the chunk of this number with this digest.
#[must_use]
pub fn is_chunk(number: u32, bytes: &[u8], wanted: &Digest) -> bool {
    !bytes.is_empty() && bytes.len() <= STATE_CHUNK_BYTES && digest(u64::from(number), bytes) == wanted.0
}

/// A chunk as it stands in a file of chunks; without bytes, the last one.
#[must_use]
pub fn chunk_frame(number: u32, bytes: &[u8]) -> Vec<u8> {
    let digest = digest(u64::from(number), bytes);
    [&(bytes.len() as u32).to_le_bytes()[..], bytes, &digest[..]].concat()
}

/// Where the frame of a chunk begins in a file of nothing but chunks.
#[must_use]
pub fn chunk_position(number: u32) -> u64 {
    u64::from(number) * FRAME_BYTES
}
