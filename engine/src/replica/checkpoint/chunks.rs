//! Bytes in chunks, each with its digest: a chunk is checked before any byte of it is used. All but the last two are as
//! long as a chunk may be.
//!
//! ```text
//! chunk = bytes of it (4) | the bytes, 1 MiB at most | SHA-256 of its number (8) and the bytes
//! the last chunk has no bytes
//! ```

use std::io::{self, ErrorKind, Read, Write};

use kernels::sha2::sha256_parts;

use crate::limits::STATE_CHUNK_BYTES;

/// The digest of a chunk.
pub(super) fn digest(number: u64, bytes: &[u8]) -> [u8; 32] {
    sha256_parts(&[&number.to_le_bytes(), bytes])
}

/// Cuts what is written into chunks.
pub(super) struct ChunkWriter<W> {
    to: W,
    chunk: Vec<u8>,
    number: u64,
}

impl<W: Write> ChunkWriter<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, chunk: Vec::with_capacity(STATE_CHUNK_BYTES), number: 0 }
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        self.to.write_all(&(self.chunk.len() as u32).to_le_bytes())?;
        self.to.write_all(&self.chunk)?;
        self.to.write_all(&digest(self.number, &self.chunk))?;
        self.number += 1;
        self.chunk.clear();
        Ok(())
    }

    /// Writes the last chunk.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if !self.chunk.is_empty() {
            self.end_chunk()?;
        }
        self.end_chunk()?;
        self.to.flush()?;
        Ok(self.to)
    }
}

impl<W: Write> Write for ChunkWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(STATE_CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        if self.chunk.len() == STATE_CHUNK_BYTES {
            self.end_chunk()?;
        }
        Ok(count)
    }

    /// Chunks are cut by their size alone.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts chunks together again.
pub(super) struct ChunkReader<R> {
    from: R,
    chunk: Vec<u8>,
    at: usize,
    number: u64,
    ended: bool,
}

impl<R: Read> ChunkReader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, chunk: Vec::new(), at: 0, number: 0, ended: false }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > STATE_CHUNK_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "a chunk is longer than 1 MiB"));
        }
        self.chunk.resize(length, 0);
        self.from.read_exact(&mut self.chunk)?;
        let mut found = [0; 32];
        self.from.read_exact(&mut found)?;
        if found != digest(self.number, &self.chunk) {
            let why = format!("chunk {} does not have its digest", self.number);
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        (self.at, self.ended) = (0, length == 0);
        self.number += 1;
        Ok(())
    }

    /// Checks that nothing is left, neither in the chunk nor another chunk, and gives back what stands behind them.
    pub(super) fn end(mut self) -> io::Result<R> {
        if self.at == self.chunk.len() && !self.ended {
            self.next_chunk()?;
        }
        match self.ended {
            true => Ok(self.from),
            false => Err(io::Error::new(
                ErrorKind::InvalidData,
                "there are bytes after the last that belong there",
            )),
        }
    }

    /// The same where nothing may stand behind the last chunk.
    pub(super) fn finish(self) -> io::Result<()> {
        match self.end()?.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(io::Error::new(ErrorKind::InvalidData, "there are bytes after the last chunk")),
        }
    }
}

impl<R: Read> Read for ChunkReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() && !self.ended {
            self.next_chunk()?;
        }
        let left = &self.chunk[self.at..];
        let count = left.len().min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        self.at += count;
        Ok(count)
    }
}
