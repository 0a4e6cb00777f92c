//! Frames: a length of four bytes, little-endian, then so many bytes.
//!
//! The reader reserves the frame's bytes in a budget before it allocates, and hands the reservation on
//! as a [`Permit`]. While the budget is used up it does not read, QUIC's window closes, and the sender
//! has to wait: a slow reader slows its sender down, and nothing piles up in between.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use quinn::{ReadError, RecvStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::errors::LinkError;
use crate::transport::closing_words;

/// What a frame counts for in budgets and queues beside its bytes, so that empty frames are not free.
pub const FRAME_OVERHEAD: usize = 64;

pub(crate) const LENGTH_BYTES: usize = 4;
/// Chunks taken from a stream at once; each is at most one datagram.
const CHUNKS: usize = 8;

/// A frame that arrived, with the reservation of its bytes.
#[derive(Debug)]
pub struct Frame {
    /// The content.
    pub bytes: Bytes,
    /// Gives the bytes back to the sender's budget when dropped. Keep it as long as the bytes.
    pub permit: Permit,
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A reservation in the inbound budget of one sender.
#[derive(Debug)]
pub struct Permit(OwnedSemaphorePermit);

impl Permit {
    /// Bytes reserved, overhead included.
    pub fn bytes(&self) -> usize {
        self.0.num_permits()
    }
}

/// What a frame costs in a budget.
pub(crate) fn cost(length: usize) -> usize {
    length + FRAME_OVERHEAD
}

/// Reads frames from one stream.
pub(crate) struct FrameReader {
    stream: RecvStream,
    budget: Arc<Semaphore>,
    frame_bytes_max: usize,
    read: VecDeque<Bytes>,
}

impl FrameReader {
    pub(crate) fn new(stream: RecvStream, inbound_bytes: usize, frame_bytes_max: usize) -> Self {
        Self {
            stream,
            budget: Arc::new(Semaphore::new(inbound_bytes)),
            frame_bytes_max,
            read: VecDeque::new(),
        }
    }

    /// Allows frames of another length from now on.
    pub(crate) fn allow(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// The next frame; `None` where the sender ended the stream between two frames.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, LinkError> {
        let mut length = [0u8; LENGTH_BYTES];
        let got = self.fill(&mut length[..]).await?;
        if got == 0 {
            return Ok(None);
        }
        let length = u32::from_le_bytes(length) as usize;
        if got < LENGTH_BYTES {
            return Err(ended_inside());
        }
        if length > self.frame_bytes_max {
            return Err(LinkError::Oversized { length, max: self.frame_bytes_max });
        }
        let permit = reserve(&self.budget, cost(length)).await;
        let mut bytes = BytesMut::with_capacity(length);
        while bytes.len() < length {
            let Some(chunk) = self.chunk().await? else {
                return Err(ended_inside());
            };
            let take = chunk.len().min(length - bytes.len());
            bytes.extend_from_slice(&chunk[..take]);
            self.consume(take);
        }
        Ok(Some(Frame { bytes: bytes.freeze(), permit: Permit(permit) }))
    }

    /// Fills `out` as far as the stream goes.
    async fn fill(&mut self, out: &mut [u8]) -> Result<usize, LinkError> {
        let mut filled = 0;
        while filled < out.len() {
            let Some(chunk) = self.chunk().await? else {
                break;
            };
            let take = chunk.len().min(out.len() - filled);
            out[filled..filled + take].copy_from_slice(&chunk[..take]);
            self.consume(take);
            filled += take;
        }
        Ok(filled)
    }

    /// The unread bytes at the front, fetched from the stream where there are none.
    async fn chunk(&mut self) -> Result<Option<&Bytes>, LinkError> {
        if self.read.is_empty() {
            let mut chunks = [const { Bytes::new() }; CHUNKS];
            let Some(count) = self.stream.read_chunks(&mut chunks).await.map_err(lost)? else {
                return Ok(None);
            };
            self.read.extend(chunks.into_iter().take(count));
        }
        Ok(self.read.front())
    }

    fn consume(&mut self, count: usize) {
        if let Some(front) = self.read.front_mut() {
            front.advance(count);
            if front.is_empty() {
                self.read.pop_front();
            }
        }
    }
}

async fn reserve(budget: &Arc<Semaphore>, bytes: usize) -> OwnedSemaphorePermit {
    let bytes = u32::try_from(bytes).expect("a frame's length was read from 32 bits and checked");
    budget.clone().acquire_many_owned(bytes).await.expect("an inbound budget is never closed")
}

fn ended_inside() -> LinkError {
    LinkError::Protocol("the stream ended inside a frame".to_owned())
}

fn lost(error: ReadError) -> LinkError {
    match error {
        ReadError::ConnectionLost(error) => LinkError::from(error),
        other => LinkError::Protocol(other.to_string()),
    }
}

impl From<quinn::ConnectionError> for LinkError {
    fn from(error: quinn::ConnectionError) -> Self {
        let words = closing_words(&error);
        match error {
            quinn::ConnectionError::ApplicationClosed(_) => Self::Closed(words),
            quinn::ConnectionError::LocallyClosed => Self::Here(words),
            _ => Self::Lost(words),
        }
    }
}
