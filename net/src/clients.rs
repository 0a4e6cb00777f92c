//! The port for clients: the validator shows its certificate, a client shows none. Each client has one
//! two-way stream of frames.
//!
//! A client can harm only itself: beyond `inbound_bytes` it is not read; what it does not read fills its own queue, and
//! while more than half of that is used nothing is read from it either, so that a client that is slow is slowed down
//! and not cut; when it takes nothing for `stalled_after` while frames wait, it is closed; a frame that is too long
//! closes it with a reason; beyond `connections_max` it is refused.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream, TokioRuntime};
use tokio::sync::Semaphore;

use crate::errors::{ConfigError, LinkError, NetError, SendError};
use crate::frame::{Frame, FrameReader, cost};
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::network::Flow;
use crate::outbox::{Drain, Outbox, Room};
use crate::tls::{self, CLIENT_PROTOCOL};
use crate::transport::{self, Accepting, ConnectionIds, Streams, close, closing_words};

/// A client must have opened its stream by then.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// How long the last words to a client may take.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// The port for clients and its bounds.
#[derive(Debug)]
pub struct ClientSettings {
    /// From [`bind`](crate::bind).
    pub socket: UdpSocket,
    /// Further clients are refused.
    pub connections_max: usize,
    /// The longest frame that a client may send.
    pub inbound_frame_bytes_max: usize,
    /// The longest frame that a client may be sent.
    pub outbound_frame_bytes_max: usize,
    /// For each client, bound of what is delivered and not released.
    pub inbound_bytes: usize,
    /// For each client, bound of what waits or is unacknowledged.
    pub queue_bytes: usize,
    /// A client that takes nothing for so long while frames wait is closed.
    pub stalled_after: Duration,
}

/// What clients do. For each: Opened, then its frames, then Closed.
#[derive(Debug)]
pub enum ClientEvent {
    /// A client connected and opened its stream.
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
        /// Which.
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
    metrics: Arc<Metrics>,
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
    /// Never used twice while the validator runs.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Where it comes from.
    pub fn remote(&self) -> SocketAddr {
        self.0.remote
    }

    /// Queues a frame.
    pub fn send(&self, bytes: Bytes) -> Result<(), SendError> {
        let length = bytes.len() as u64;
        let result = match &*self.state() {
            State::Open(outbox) => outbox.push(bytes),
            _ => Err(SendError::NotConnected),
        };
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
        match &*self.state() {
            State::Open(outbox) => outbox.room().used(),
            _ => 0,
        }
    }

    /// Writes what is queued, then closes with these words. Nothing more is read from it.
    pub fn close(&self, reason: impl Into<String>) {
        let mut state = self.state();
        if matches!(*state, State::Open(_)) {
            *state = State::Closing(reason.into());
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> bool {
        matches!(*self.state(), State::Open(_))
    }
}

/// The endpoint for clients.
pub(crate) struct Clients {
    endpoint: Endpoint,
    accepting: Accepting,
    inbound_frame_bytes_max: usize,
    outbound_frame_bytes_max: usize,
    inbound_bytes: usize,
    queue_bytes: usize,
    stalled_after: Duration,
    room: Arc<Semaphore>,
    connections_max: usize,
    open: Mutex<BTreeMap<u64, Client>>,
    handler: ClientHandler,
    metrics: Arc<Metrics>,
}

impl Clients {
    /// Opens the port; must be called inside the runtime.
    pub(crate) fn open(
        settings: ClientSettings,
        identity: &Identity,
        handler: ClientHandler,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, NetError> {
        if settings.connections_max == 0 {
            return Err(ConfigError::NoConnections.into());
        }
        for (budget, frame_bytes_max) in [
            (settings.inbound_bytes, settings.inbound_frame_bytes_max),
            (settings.queue_bytes, settings.outbound_frame_bytes_max),
        ] {
            let frame = cost(frame_bytes_max);
            if budget < frame {
                return Err(ConfigError::BudgetBelowFrame { name: "clients", budget, frame }.into());
            }
        }
        let streams = Streams { uni: 0, bi: 1, send_window: 2 * settings.queue_bytes as u64 };
        let accepting =
            Accepting::new(tls::server(identity, CLIENT_PROTOCOL, None)?, streams, settings.connections_max)?;
        let ids = ConnectionIds::new(identity, "clients").generator();
        let socket =
            crate::socket::wrap(settings.socket, Some(ids), metrics.clone()).map_err(NetError::Thread)?;
        let endpoint = Endpoint::new_with_abstract_socket(
            transport::endpoint(Some((identity, "clients"))),
            Some(accepting.any()),
            socket,
            Arc::new(TokioRuntime),
        )
        .map_err(NetError::Thread)?;
        Ok(Arc::new(Self {
            endpoint,
            accepting,
            inbound_frame_bytes_max: settings.inbound_frame_bytes_max,
            outbound_frame_bytes_max: settings.outbound_frame_bytes_max,
            inbound_bytes: settings.inbound_bytes,
            queue_bytes: settings.queue_bytes,
            stalled_after: settings.stalled_after,
            room: Arc::new(Semaphore::new(settings.connections_max)),
            connections_max: settings.connections_max,
            open: Mutex::default(),
            handler,
            metrics,
        }))
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether anything is queued or unacknowledged.
    pub(crate) fn unsent(&self) -> bool {
        self.registry().values().any(|client| client.queued_bytes() > 0)
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Client>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut id = 0;
        while let Some(incoming) = self.endpoint.accept().await {
            // Half full: whoever calls must first show that it can be reached where it says it is, so
            // that forged addresses cannot hold places.
            let busy = 2 * self.room.available_permits() < self.connections_max;
            if busy && incoming.may_retry() && !incoming.remote_address_validated() {
                // An error hands the call back where a retry is not possible; that was just checked.
                let _ = incoming.retry();
                continue;
            }
            let Ok(place) = self.room.clone().try_acquire_owned() else {
                self.metrics.refused_limit.add(1);
                incoming.refuse();
                continue;
            };
            id += 1;
            let clients = self.clone();
            tokio::spawn(async move {
                clients.serve(id, incoming).await;
                drop(place);
            });
        }
    }

    async fn serve(self: Arc<Self>, id: u64, incoming: Incoming) {
        let remote = incoming.remote_address();
        let accepting = self.accepting.for_remote(remote);
        let handshake = async { incoming.accept_with(accepting)?.await };
        let connection = match tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await {
            Ok(Ok(connection)) => connection,
            refused => {
                let reason = refused.map_or("it took too long".to_owned(), |result| {
                    result.map_or_else(|error| closing_words(&error), |_| String::new())
                });
                self.metrics.refused_handshake.add(1);
                tracing::debug!(%remote, reason, "the handshake of a client failed");
                return;
            }
        };
        let Ok(Ok((out, into))) = tokio::time::timeout(HANDSHAKE_LIMIT, connection.accept_bi()).await else {
            self.metrics.refused_handshake.add(1);
            connection.close(close::VIOLATION.into(), b"no stream was opened in time");
            return;
        };
        let (outbox, drain) = Outbox::new(self.queue_bytes, self.outbound_frame_bytes_max);
        let room = outbox.room().clone();
        let client = Client(Arc::new(Inner {
            id,
            remote,
            state: Mutex::new(State::Open(outbox)),
            metrics: self.metrics.clone(),
        }));
        self.registry().insert(id, client.clone());
        self.metrics.client_connected.add(1);
        let ended = self.exchange(&client, &connection, (drain, out), (room, into)).await;
        *client.state() = State::Gone;
        self.registry().remove(&id);
        self.metrics.client_disconnected.add(1);
        let reason = self.end(&connection, &ended);
        tracing::debug!(id, %remote, reason, "a client is gone");
        // The connection is gone already; there is nothing left to close.
        let _ = (self.handler)(ClientEvent::Closed { id, reason });
    }

    async fn exchange(
        &self,
        client: &Client,
        connection: &Connection,
        (drain, out): (Drain, SendStream),
        (room, into): (Arc<Room>, RecvStream),
    ) -> LinkError {
        if let Flow::Close(words) = (self.handler)(ClientEvent::Opened(client.clone())) {
            client.close(words);
        }
        let write = async {
            match drain.run(out, Some(self.stalled_after)).await {
                Ok(out) => {
                    // Closing drops what is not yet acknowledged.
                    let _ = tokio::time::timeout(FAREWELL_LIMIT, out.stopped()).await;
                    match &*client.state() {
                        State::Closing(words) => LinkError::Here(words.clone()),
                        _ => LinkError::Here(String::new()),
                    }
                }
                Err(error) => error,
            }
        };
        let read = async {
            let mut reader = FrameReader::new(into, self.inbound_bytes, self.inbound_frame_bytes_max);
            loop {
                room.half_free().await;
                let frame = match reader.next().await {
                    Ok(Some(frame)) => frame,
                    Ok(None) => return LinkError::Closed("the client has ended".to_owned()),
                    Err(error) => return error,
                };
                if !client.is_open() {
                    // Closing: the writer has the last word.
                    std::future::pending::<()>().await;
                }
                self.metrics.client_frames_received.add(1);
                self.metrics.client_bytes_received.add(frame.len() as u64);
                let event = ClientEvent::Frame { client: client.clone(), frame };
                if let Flow::Close(words) = (self.handler)(event) {
                    client.close(words);
                }
            }
        };
        tokio::select! {
            error = connection.closed() => error.into(),
            error = write => error,
            error = read => error,
        }
    }

    /// Closes a connection as its end demands, counts, and says why in words.
    fn end(&self, connection: &Connection, error: &LinkError) -> String {
        let (code, words) = match error {
            LinkError::Oversized { .. } | LinkError::Protocol(_) => {
                self.metrics.client_violations.add(1);
                (close::VIOLATION, error.to_string())
            }
            LinkError::Stalled(_) => {
                self.metrics.client_stalled.add(1);
                (close::STALLED, error.to_string())
            }
            LinkError::Here(words) => (close::REFUSED, words.clone()),
            LinkError::Closed(_) | LinkError::Lost(_) => (close::STOPPING, error.to_string()),
        };
        connection.close(code.into(), words.as_bytes());
        words
    }
}

#[cfg(test)]
mod tests;
