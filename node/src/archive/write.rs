//! Writing a file of an archive: aside, synced, and only then under its name.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::types::{Digest, Height, PacketRun};
use engine::wire::Batch;
use kernels::sha2::sha256;

use super::error::ArchiveError;
use super::format::{Entry, FRAME_BYTES, FileHeader, FrameEntry, HEADER_BYTES, ID_BYTES, Index};
use super::journal::Tip;
use super::name_of;
use crate::disk::put_in_place;

/// The name of a file that is not whole yet.
const UNFINISHED: &str = "next.new";
/// Signatures and digests do not shrink, and the rest shrinks at the first level already.
const LEVEL: i32 = 3;

/// A height that is proved to be final.
#[derive(Debug)]
pub(super) struct Proven {
    /// Where it leads to.
    pub tip: Tip,
    /// The record of the block, without places of batches.
    pub record: Vec<u8>,
    pub batches: Vec<Batch>,
}

/// A file that is being written.
pub(super) struct FileWriter {
    directory: PathBuf,
    file: File,
    header: FileHeader,
    frames: Vec<FrameEntry>,
    /// The frame that is being filled, uncompressed, and its first height.
    frame: Vec<u8>,
    frame_first: Height,
    next: Height,
    ids: Vec<[u8; ID_BYTES]>,
    /// Where the last height leads to; none before there is one.
    last: Option<Tip>,
    /// Uncompressed bytes so far.
    bytes: u64,
}

/// A file that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// The heights.
    pub first: Height,
    /// The last one.
    pub last: Height,
    /// The bytes of the file.
    pub bytes: u64,
    /// Uncompressed bytes of what is in it.
    pub plain_bytes: u64,
}

impl FileWriter {
    /// Begins a file. What an earlier process left unfinished is replaced.
    pub fn begin(directory: &Path, header: FileHeader) -> Result<Self, ArchiveError> {
        let path = directory.join(UNFINISHED);
        let mut file = File::create(&path).map_err(ArchiveError::io("creating", &path))?;
        file.write_all(&header.encode()).map_err(ArchiveError::io("writing", &path))?;
        Ok(Self {
            directory: directory.to_owned(),
            file,
            header,
            frames: Vec::new(),
            frame: Vec::new(),
            frame_first: header.first,
            next: header.first,
            ids: Vec::new(),
            last: None,
            bytes: 0,
        })
    }

    /// Uncompressed bytes so far.
    pub fn plain_bytes(&self) -> u64 {
        self.bytes + self.frame.len() as u64
    }

    /// Adds the next height.
    ///
    /// # Panics
    /// It is another height.
    pub fn add(&mut self, proven: Proven) -> Result<(), ArchiveError> {
        assert_eq!(proven.tip.height, self.next, "heights without gaps, each once");
        self.next = proven.tip.height.next();
        let batches: Vec<&[u8]> = proven.batches.iter().map(|batch| &batch.bytes()[..]).collect();
        Entry::write(&proven.record, &batches, &mut self.frame);
        let network = &self.header.network;
        let runs = proven.batches.iter().flat_map(|batch| PacketRun::all(batch.packets()));
        self.ids.extend(runs.map(|run| *run.id(network).0.first_chunk().expect("an id is longer")));
        self.last = Some(proven.tip);
        if self.frame.len() >= FRAME_BYTES { self.end_frame() } else { Ok(()) }
    }

    fn end_frame(&mut self) -> Result<(), ArchiveError> {
        let path = self.directory.join(UNFINISHED);
        let compressed =
            zstd::bulk::compress(&self.frame, LEVEL).map_err(ArchiveError::io("compressing for", &path))?;
        self.file.write_all(&compressed).map_err(ArchiveError::io("writing", &path))?;
        self.frames.push(FrameEntry {
            first: self.frame_first,
            bytes: compressed.len() as u32,
            plain_bytes: self.frame.len() as u32,
            digest: Digest(sha256(&compressed)),
        });
        self.bytes += self.frame.len() as u64;
        self.frame.clear();
        self.frame_first = self.next;
        Ok(())
    }

    /// Ends the file, makes it durable and gives it its name. It has at least one height.
    pub fn finish(mut self) -> Result<Written, ArchiveError> {
        if !self.frame.is_empty() {
            self.end_frame()?;
        }
        let path = self.directory.join(UNFINISHED);
        self.ids.sort_unstable();
        let ids = self.ids.as_flattened();
        let Tip { height: last, digest: block, cut, members } = self.last.expect("it has a height");
        let members = Arc::unwrap_or_clone(members);
        let index = Index {
            frames: self.frames,
            ids: self.ids.len() as u64,
            ids_digest: Digest(sha256(ids)),
            last,
            block,
            cut,
            members,
        };
        let header: [u8; HEADER_BYTES] = self.header.encode();
        let written = self.file.write_all(ids).and_then(|()| self.file.write_all(&index.encode(&header)));
        let synced = written.and_then(|()| self.file.sync_all()).and_then(|()| self.file.metadata());
        let bytes = synced.map_err(ArchiveError::io("writing", &path))?.len();
        let first = self.header.first;
        put_in_place(&path, &self.directory.join(name_of(first, last)))
            .map_err(ArchiveError::io("naming", &path))?;
        Ok(Written { first, last, bytes, plain_bytes: self.bytes })
    }
}

/// Writes a small file so that either the old or the new one is there, whatever happens.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), ArchiveError> {
    let unfinished = path.with_extension("new");
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        put_in_place(&unfinished, path)
    };
    write().map_err(ArchiveError::io("writing", path))
}
