//! The port for clients: the validator shows its certificate, a client shows none. Each client has one
//! two-way stream of frames.
//!
//! A client can harm only itself: beyond `inbound_bytes` it is not read; what it does not read fills its
//! own queue, and while more than half of that is used nothing is read from it either, so that a client that is slow
//! is slowed down and not cut; when it takes nothing for `stalled_after` while frames wait, it is closed; a frame that
//! is too long closes it with a reason. The queues of all clients together have one more bound ([`crowd`]).
//!
//! ```text
//!   call ─► place for strangers ─► handshake ─► first frame, within hello_within ─► introduced
//!           (the oldest gives way)                          (connections_max, per address too; then the
//!                                                            longest idle gives way)
//! ```
//!
//! A connection whose first frame has not come is a *stranger*: it is not shown to the handler, has a place
//! of its own kind and little memory. So strangers, however many, keep neither a newcomer that sends its
//! first frame soon nor an introduced client out.

mod crowd;
mod port;

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::errors::SendError;
use crate::frame::Frame;
use crate::metrics::Metrics;
use crate::network::Flow;
use crate::outbox::{Outbox, Room};
use crowd::Crowd;

pub use port::HELLO_BYTES_MAX;
pub(crate) use port::Port;

/// The port for clients and its bounds.
#[derive(Debug)]
pub struct ClientSettings {
    /// From [`bind`](crate::bind), at least one.
    pub sockets: Vec<UdpSocket>,
    /// Introduced clients. A further one gets the place of the one that is idle longest at the address that holds
    /// most, or is refused where that would not be fair.
    pub connections_max: usize,
    /// Bounds for clients that are not known yet.
    pub admission: Admission,
    /// The longest frame that a client may send.
    pub inbound_frame_bytes_max: usize,
    /// The longest frame that a client may be sent.
    pub outbound_frame_bytes_max: usize,
    /// For each client, bound of what is delivered and not released.
    pub inbound_bytes: usize,
    /// For each client, bound of what waits or is unacknowledged.
    pub queue_bytes: usize,
    /// Bound of the same for all clients together. Above three quarters of it, clients for whom most waits are closed.
    pub queue_bytes_total: usize,
    /// A client that takes nothing for so long while frames wait is closed.
    pub stalled_after: Duration,
}

/// Bounds for clients that are not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// The first frame must have come so long after the call, or the connection is closed.
    pub hello_within: Duration,
    /// Connections whose first frame has not come, beside `connections_max`. When a further one comes,
    /// the oldest of the address that has most gives way.
    pub strangers_max: usize,
    /// Introduced clients from one address (of IPv6: from one /64 network).
    pub per_address_max: usize,
}

impl Default for Admission {
    /// 5 seconds, 128 strangers, 256 clients from one address.
    fn default() -> Self {
        Self { hello_within: Duration::from_secs(5), strangers_max: 128, per_address_max: 256 }
    }
}

/// What clients do. For each: Opened, then its frames, then Closed. A client is not heard of before its
/// first frame has come.
#[derive(Debug)]
pub enum ClientEvent {
    /// A client connected and sent its first frame, which follows.
    Opened(Client),
    /// A frame arrived.
    Frame {
        /// Who sent it.
        client: Client,
        /// The content, with its permit.
        frame: Frame,
    },
    /// A client is gone.
    Closed {
        /// The number of its connection.
        id: u64,
        /// Why, in words.
        reason: String,
    },
}

pub(crate) type ClientHandler = Box<dyn Fn(ClientEvent) -> Flow + Send + Sync>;

/// A connected client; cheap to clone, for any thread.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    id: u64,
    remote: SocketAddr,
    state: Mutex<State>,
    /// The bound of its queue, whose bytes count until they are written or dropped, also while it is being closed.
    room: Arc<Room>,
    /// Notified when the client is to be closed without writing what is queued.
    displaced: Notify,
    /// When something was last received from it or queued for it, in milliseconds of the clock.
    active_ms: AtomicU64,
    crowd: Weak<Crowd>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

enum State {
    Open(Outbox),
    /// What is queued is still written, then the connection is closed with these words.
    Closing(String),
    Gone,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Client({} at {})", self.0.id, self.0.remote)
    }
}

impl Client {
    fn new(
        id: u64,
        remote: SocketAddr,
        outbox: Outbox,
        crowd: Weak<Crowd>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let client = Self(Arc::new(Inner {
            id,
            remote,
            room: outbox.room().clone(),
            state: Mutex::new(State::Open(outbox)),
            displaced: Notify::new(),
            active_ms: AtomicU64::new(0),
            crowd,
            metrics,
            clock,
        }));
        client.active_at(clock.now());
        client
    }

    /// Never used twice while the validator runs.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Where it comes from.
    pub fn remote(&self) -> SocketAddr {
        self.0.remote
    }

    /// Queues a frame.
    ///
    /// # Errors
    /// [`SendError`]: nothing of it is sent.
    pub fn send(&self, bytes: Bytes) -> Result<(), SendError> {
        let length = bytes.len() as u64;
        let (result, crowded) = match &*self.state() {
            State::Open(outbox) => (outbox.push(bytes), outbox.is_crowded()),
            _ => (Err(SendError::NotConnected), false),
        };
        self.active_at(self.0.clock.now());
        if crowded && let Some(crowd) = self.0.crowd.upgrade() {
            crowd.relieve();
        }
        match result {
            Ok(()) => {
                self.0.metrics.client_frames_sent.add(1);
                self.0.metrics.client_bytes_sent.add(length);
            }
            Err(SendError::Full) => self.0.metrics.client_frames_full.add(1),
            Err(_) => {}
        }
        result
    }

    /// Bytes that wait or are not acknowledged yet.
    pub fn queued_bytes(&self) -> usize {
        self.0.room.used()
    }

    /// Writes what is queued, then closes with these words. Nothing more is read from it.
    pub fn close(&self, reason: impl Into<String>) {
        let mut state = self.state();
        if matches!(*state, State::Open(_)) {
            *state = State::Closing(reason.into());
        }
    }

    /// Closes at once with these words; what is queued is dropped.
    fn displace(&self, reason: &str) {
        self.close(reason);
        self.0.displaced.notify_one();
    }

    /// Why it is being closed.
    fn closing_words(&self) -> String {
        match &*self.state() {
            State::Closing(words) => words.clone(),
            State::Open(_) | State::Gone => String::new(),
        }
    }

    fn active_at(&self, now: Duration) {
        self.0.active_ms.store(now.as_millis() as u64, Relaxed);
    }

    fn last_active(&self) -> Duration {
        Duration::from_millis(self.0.active_ms.load(Relaxed))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> bool {
        matches!(*self.state(), State::Open(_))
    }
}

#[cfg(test)]
mod tests;
