//! The way out of one channel: a queue bounded in bytes, from any thread, and the task that writes it
//! to a stream.
//!
//! A frame's reservation travels with its bytes into QUIC's send buffer and comes back only when the
//! other side has acknowledged them (the bytes own it, and QUIC drops them then). So the one bound of
//! the queue covers what waits, what is on its way and what is to be repeated.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use quinn::{SendStream, WriteError};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::errors::{LinkError, SendError};
use crate::frame::{LENGTH_BYTES, cost};

/// Frames up to this size are copied together: cheaper than one more piece in the send buffer.
const COPY_MAX: usize = 2 << 10;
/// Frames taken from the queue at once.
const TAKE: usize = 64;

struct Queued {
    bytes: Bytes,
    reserved: Reservation,
}

/// The bound of several queues together.
pub(crate) struct Total {
    budget: Arc<Semaphore>,
    bytes: usize,
}

impl Total {
    pub(crate) fn new(bytes: usize) -> Self {
        let bytes = bytes.min(Semaphore::MAX_PERMITS);
        Self { budget: Arc::new(Semaphore::new(bytes)), bytes }
    }

    /// Bytes that wait or are not acknowledged yet in all queues, overhead included.
    pub(crate) fn used(&self) -> usize {
        self.bytes - self.budget.available_permits()
    }

    /// Beyond this many bytes somebody has to give way, so that the others find room.
    pub(crate) fn mark(&self) -> usize {
        self.bytes / 4 * 3
    }

    fn take(&self, bytes: u32) -> Result<OwnedSemaphorePermit, SendError> {
        self.budget.clone().try_acquire_many_owned(bytes).map_err(|_| SendError::Full)
    }
}

/// The bound of a queue.
pub(crate) struct Room {
    budget: Arc<Semaphore>,
    queue_bytes: usize,
    freed: Notify,
}

impl Room {
    /// Bytes that wait or are not acknowledged yet, overhead included.
    pub(crate) fn used(&self) -> usize {
        self.queue_bytes - self.budget.available_permits()
    }

    /// Waits until no more than half of the queue is used.
    pub(crate) async fn half_free(&self) {
        loop {
            let freed = self.freed.notified();
            if 2 * self.used() <= self.queue_bytes {
                return;
            }
            freed.await;
        }
    }
}

/// Bytes of a queue, given back when dropped: first the permit, then the word that there is room.
struct Reservation {
    permit: OwnedSemaphorePermit,
    of_total: OwnedSemaphorePermit,
    _freed: Freed,
}

impl Reservation {
    fn merge(&mut self, other: Reservation) {
        self.permit.merge(other.permit);
        self.of_total.merge(other.of_total);
    }
}

struct Freed(Arc<Room>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.freed.notify_waiters();
    }
}

/// The sending end, for any thread.
pub(crate) struct Outbox {
    room: Arc<Room>,
    total: Arc<Total>,
    queue: UnboundedSender<Queued>,
    frame_bytes_max: usize,
}

impl Outbox {
    /// A queue and its other end.
    pub(crate) fn new(queue_bytes: usize, frame_bytes_max: usize) -> (Self, Drain) {
        Self::within(Arc::new(Total::new(usize::MAX)), queue_bytes, frame_bytes_max)
    }

    /// The same, with a bound that it shares with others.
    pub(crate) fn within(total: Arc<Total>, queue_bytes: usize, frame_bytes_max: usize) -> (Self, Drain) {
        let budget = Arc::new(Semaphore::new(queue_bytes));
        let room = Arc::new(Room { budget, queue_bytes, freed: Notify::new() });
        let (queue, drain) = mpsc::unbounded_channel();
        (Self { room, total, queue, frame_bytes_max }, Drain(drain))
    }

    /// Takes a frame, or says why not.
    pub(crate) fn push(&self, bytes: Bytes) -> Result<(), SendError> {
        let length = bytes.len();
        if length > self.frame_bytes_max {
            return Err(SendError::TooLarge { length, max: self.frame_bytes_max });
        }
        let cost = u32::try_from(cost(length)).expect("frame_bytes_max is far below 2^32");
        let permit = self.room.budget.clone().try_acquire_many_owned(cost).map_err(|_| SendError::Full)?;
        let of_total = self.total.take(cost)?;
        let reserved = Reservation { permit, of_total, _freed: Freed(self.room.clone()) };
        self.queue.send(Queued { bytes, reserved }).map_err(|_| SendError::NotConnected)
    }

    /// Whether the queues that share a bound hold more than they should together.
    pub(crate) fn is_crowded(&self) -> bool {
        self.total.used() > self.total.mark()
    }

    /// The queue's bound.
    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }
}

/// The receiving end of a queue.
pub(crate) struct Drain(UnboundedReceiver<Queued>);

impl Drain {
    /// Writes frames to the stream until the queue's sending end is dropped (then the stream is
    /// finished and handed back) or the connection fails. `stalled_after`: give up when frames wait
    /// for so long and the other side takes nothing.
    pub(crate) async fn run(
        mut self,
        mut stream: SendStream,
        stalled_after: Option<Duration>,
    ) -> Result<SendStream, LinkError> {
        let mut taken = Vec::with_capacity(TAKE);
        let mut chunks = Vec::with_capacity(2 * TAKE);
        while self.0.recv_many(&mut taken, TAKE).await > 0 {
            pack(&mut taken, &mut chunks);
            let mut rest = &mut chunks[..];
            while !rest.is_empty() {
                let write = stream.write_chunks(rest);
                let written = match stalled_after {
                    None => write.await,
                    Some(limit) => {
                        tokio::time::timeout(limit, write).await.map_err(|_| LinkError::Stalled(limit))?
                    }
                };
                rest = &mut rest[written.map_err(lost)?.chunks..];
            }
            chunks.clear();
        }
        // An error here means that the stream has ended already.
        let _ = stream.finish();
        Ok(stream)
    }
}

/// Lays frames out as few pieces: lengths and small frames together, large frames as they are.
fn pack(taken: &mut Vec<Queued>, chunks: &mut Vec<Bytes>) {
    let mut small = BytesMut::new();
    let mut small_reserved: Option<Reservation> = None;
    for Queued { bytes, reserved } in taken.drain(..) {
        small.reserve(LENGTH_BYTES);
        small.put_u32_le(bytes.len() as u32);
        if bytes.len() <= COPY_MAX {
            small.extend_from_slice(&bytes);
            match &mut small_reserved {
                Some(sum) => sum.merge(reserved),
                None => small_reserved = Some(reserved),
            }
        } else {
            chunks.push(hold(small.split().freeze(), small_reserved.take()));
            chunks.push(hold(bytes, Some(reserved)));
        }
    }
    if !small.is_empty() {
        chunks.push(hold(small.freeze(), small_reserved));
    }
}

/// Ties a reservation to bytes: both are released together.
fn hold(bytes: Bytes, reserved: Option<Reservation>) -> Bytes {
    struct Held(Bytes, #[expect(dead_code, reason = "held for its drop")] Reservation);
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    match reserved {
        Some(reserved) => Bytes::from_owner(Held(bytes, reserved)),
        None => bytes,
    }
}

fn lost(error: WriteError) -> LinkError {
    match error {
        WriteError::ConnectionLost(error) => LinkError::from(error),
        other => LinkError::Protocol(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
