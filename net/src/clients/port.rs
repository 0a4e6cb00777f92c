//! The endpoint for clients: calls, strangers, introduction, exchange.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use quinn::{Connection, Endpoint, Incoming, SendStream};

use super::crowd::Crowd;
use super::{Admission, Client, ClientEvent, ClientHandler, ClientSettings, State};
use crate::clock::Clock;
use crate::endpoints::Endpoints;
use crate::errors::{ConfigError, LinkError, NetError};
use crate::frame::{Frame, FrameReader, cost};
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::network::Flow;
use crate::outbox::{Drain, Outbox, Room};
use crate::places::{Place, Places};
use crate::tls::{self, CLIENT_PROTOCOLS};
use crate::transport::{Accepting, STREAM_WINDOW, Streams, close, handshake_words, window};

/// The longest first frame of a client.
pub const HELLO_BYTES_MAX: usize = 4 << 10;
/// What a stranger can make us hold: its first frame and what follows it at once.
const STRANGER_WINDOW: usize = 64 << 10;
const _: () = assert!(HELLO_BYTES_MAX < STRANGER_WINDOW);
/// How long the last words to a client may take.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// The endpoint for clients.
pub(crate) struct Port {
    endpoints: Arc<Endpoints>,
    accepting: Accepting,
    /// The number of the next connection.
    next_id: AtomicU64,
    settings: Bounds,
    strangers: Places,
    crowd: Arc<Crowd>,
    handler: ClientHandler,
    metrics: Arc<Metrics>,
    clock: Clock,
}

/// The settings without the socket.
struct Bounds {
    connections_max: usize,
    admission: Admission,
    inbound_frame_bytes_max: usize,
    outbound_frame_bytes_max: usize,
    inbound_bytes: usize,
    queue_bytes: usize,
    queue_bytes_total: usize,
    stalled_after: Duration,
}

/// The first frame of a client, and the streams that it came on.
struct Greeting {
    first: Frame,
    reader: FrameReader,
    out: SendStream,
}

impl Port {
    /// Opens the port; must be called inside the runtime.
    pub(crate) fn open(
        settings: ClientSettings,
        identity: &Identity,
        handler: ClientHandler,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Result<Arc<Self>, NetError> {
        let ClientSettings { sockets, connections_max, admission, .. } = settings;
        let bounds = Bounds {
            connections_max,
            admission,
            inbound_frame_bytes_max: settings.inbound_frame_bytes_max,
            outbound_frame_bytes_max: settings.outbound_frame_bytes_max,
            inbound_bytes: settings.inbound_bytes,
            queue_bytes: settings.queue_bytes,
            queue_bytes_total: settings.queue_bytes_total,
            stalled_after: settings.stalled_after,
        };
        bounds.check()?;
        let streams = Streams {
            uni: 0,
            bi: 1,
            send_window: 2 * bounds.queue_bytes as u64,
            receive_window: STRANGER_WINDOW,
        };
        let accepting = Accepting::new(tls::server(identity, CLIENT_PROTOCOLS, None)?, streams)?;
        let endpoints = Arc::new(Endpoints::open(sockets, (identity, "clients"), &accepting, &metrics)?);
        let strangers = Places::new(admission.strangers_max);
        let (per_address_max, queue_bytes_total) = (admission.per_address_max, bounds.queue_bytes_total);
        let crowd =
            Arc::new(Crowd::new(connections_max, per_address_max, queue_bytes_total, metrics.clone()));
        let settings = bounds;
        let next_id = AtomicU64::new(1);
        Ok(Arc::new(Self {
            endpoints,
            accepting,
            next_id,
            settings,
            strangers,
            crowd,
            handler,
            metrics,
            clock,
        }))
    }

    pub(crate) fn endpoints(&self) -> &Arc<Endpoints> {
        &self.endpoints
    }

    /// Whether anything is queued or unacknowledged.
    pub(crate) fn unsent(&self) -> bool {
        self.crowd.unsent()
    }

    /// Starts accepting.
    pub(crate) fn run(self: Arc<Self>) {
        for endpoint in self.endpoints.listening() {
            tokio::spawn(self.clone().keep_accepting(endpoint.clone()));
        }
    }

    /// Accepts until the endpoint is closed.
    async fn keep_accepting(self: Arc<Self>, endpoint: Endpoint) {
        while let Some(incoming) = endpoint.accept().await {
            // A caller must first show that it can be reached where it says it is, so that forged
            // addresses cannot hold places; while few are taken this costs more than it saves.
            let busy = 2 * self.strangers.used() >= self.settings.admission.strangers_max;
            if busy && !incoming.remote_address_validated() {
                self.metrics.handshakes_retried.add(1);
                // An address that is not validated can always be asked to show that it is its own.
                let _ = incoming.retry();
                continue;
            }
            if !self.crowd.has_place(incoming.remote_address().ip(), self.clock.now()) {
                self.metrics.refused_limit.add(1);
                incoming.refuse();
                continue;
            }
            let Some(place) = self.strangers.take(incoming.remote_address().ip(), self.clock.now()) else {
                self.metrics.handshakes_ignored.add(1);
                incoming.ignore();
                continue;
            };
            let id = self.next_id.fetch_add(1, Relaxed);
            tokio::spawn(self.clone().serve(id, incoming, place));
        }
    }

    async fn serve(self: Arc<Self>, id: u64, incoming: Incoming, place: Place) {
        let remote = incoming.remote_address();
        let Some((connection, greeting)) = self.greet(incoming, place).await else { return };
        let (queue_bytes, frame_bytes_max) =
            (self.settings.queue_bytes, self.settings.outbound_frame_bytes_max);
        let (outbox, drain) = Outbox::within(self.crowd.queues().clone(), queue_bytes, frame_bytes_max);
        let room = outbox.room().clone();
        let crowd = Arc::downgrade(&self.crowd);
        let client = Client::new(id, remote, outbox, crowd, self.metrics.clone(), self.clock);
        if let Err(words) = self.crowd.introduce(&client, self.clock.now()) {
            tracing::debug!(%remote, words, "refused a client");
            self.end(&connection, &LinkError::Here(words));
            return;
        }
        connection.set_receive_window(window(STREAM_WINDOW));
        self.metrics.client_connected.add(1);
        let ended = self.exchange(&client, &connection, greeting, (drain, room)).await;
        *client.state() = State::Gone;
        self.crowd.forget(&client);
        self.metrics.client_disconnected.add(1);
        let reason = self.end(&connection, &ended);
        tracing::debug!(id, %remote, reason, "a client is gone");
        // The connection is gone already; there is nothing left to close.
        let _ = (self.handler)(ClientEvent::Closed { id, reason });
    }

    /// From the call to the first frame; `None` where it does not come.
    async fn greet(&self, incoming: Incoming, mut place: Place) -> Option<(Connection, Greeting)> {
        let remote = incoming.remote_address();
        let mut given_up = pin!(self.given_up(&mut place));
        let handshake = async { incoming.accept_with(self.accepting.for_remote(remote))?.await };
        let connected = tokio::select! {
            connected = handshake => connected.map_err(|error| {
                self.metrics.refused_handshake.add(1);
                handshake_words(&error, CLIENT_PROTOCOLS)
            }),
            words = &mut given_up => Err(words),
        };
        let connection = match connected {
            Ok(connection) => connection,
            Err(reason) => {
                tracing::debug!(%remote, reason, "the handshake of a client failed");
                return None;
            }
        };
        let greeting = tokio::select! {
            greeting = self.first_frame(&connection) => greeting,
            words = &mut given_up => Err(LinkError::Here(words)),
        };
        match greeting {
            Ok(greeting) => Some((connection, greeting)),
            Err(error) => {
                let reason = self.end(&connection, &error);
                tracing::debug!(%remote, reason, "a client went before its first frame");
                None
            }
        }
    }

    /// Resolves when a stranger has had its time or has lost its place, with the words for it.
    async fn given_up(&self, place: &mut Place) -> String {
        let limit = self.settings.admission.hello_within;
        tokio::select! {
            () = tokio::time::sleep(limit) => {
                self.metrics.client_silent.add(1);
                format!("your first frame did not come within {limit:?}")
            }
            () = place.displaced() => {
                self.metrics.client_displaced.add(1);
                "too many connections wait to send their first frame: your place was given to a newer one".to_owned()
            }
        }
    }

    async fn first_frame(&self, connection: &Connection) -> Result<Greeting, LinkError> {
        let (out, into) = connection.accept_bi().await?;
        let frame_bytes_max = self.settings.inbound_frame_bytes_max;
        let mut reader =
            FrameReader::new(into, self.settings.inbound_bytes, frame_bytes_max.min(HELLO_BYTES_MAX));
        let first = reader.next().await?;
        reader.allow(frame_bytes_max);
        let first = first.ok_or_else(|| LinkError::Closed("the client has ended".to_owned()))?;
        Ok(Greeting { first, reader, out })
    }

    async fn exchange(
        &self,
        client: &Client,
        connection: &Connection,
        Greeting { first, mut reader, out }: Greeting,
        (drain, room): (Drain, Arc<Room>),
    ) -> LinkError {
        if let Flow::Close(words) = (self.handler)(ClientEvent::Opened(client.clone())) {
            client.close(words);
        }
        let write = async {
            match drain.run(out, Some(self.settings.stalled_after)).await {
                Ok(out) => {
                    // Closing drops what is not yet acknowledged.
                    let _ = tokio::time::timeout(FAREWELL_LIMIT, out.stopped()).await;
                    LinkError::Here(client.closing_words())
                }
                Err(error) => error,
            }
        };
        let read = async {
            let mut frame = first;
            loop {
                if !client.is_open() {
                    // Closing: the writer has the last word.
                    std::future::pending::<()>().await;
                }
                client.active_at(self.clock.now());
                self.metrics.client_frames_received.add(1);
                self.metrics.client_bytes_received.add(frame.len() as u64);
                let event = ClientEvent::Frame { client: client.clone(), frame };
                if let Flow::Close(words) = (self.handler)(event) {
                    client.close(words);
                }
                room.half_free().await;
                frame = match reader.next().await {
                    Ok(Some(frame)) => frame,
                    Ok(None) => return LinkError::Closed("the client has ended".to_owned()),
                    Err(error) => return error,
                };
            }
        };
        tokio::select! {
            error = connection.closed() => error.into(),
            () = client.0.displaced.notified() => LinkError::Here(client.closing_words()),
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

impl Bounds {
    fn check(&self) -> Result<(), ConfigError> {
        let Admission { strangers_max, per_address_max, .. } = self.admission;
        if self.connections_max == 0 || strangers_max == 0 || per_address_max == 0 {
            return Err(ConfigError::NoConnections);
        }
        for (budget, frame_bytes_max) in [
            (self.inbound_bytes, self.inbound_frame_bytes_max),
            (self.queue_bytes, self.outbound_frame_bytes_max),
            (self.queue_bytes_total, self.outbound_frame_bytes_max),
        ] {
            let frame = cost(frame_bytes_max);
            if budget < frame {
                return Err(ConfigError::BudgetBelowFrame { name: "clients", budget, frame });
            }
        }
        Ok(())
    }
}
