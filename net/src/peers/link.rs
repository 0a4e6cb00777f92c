//! The life of a link: calling, accepting, setting the streams up, serving, ending.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, ConnectionError, Endpoint, Incoming, RecvStream, SendStream};
use rustls::pki_types::{CertificateDer, UnixTime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Channel, Mesh, OpenMesh, Peer, PeerEvent, handshakes_max};
use crate::errors::{LinkError, SendError};
use crate::frame::FrameReader;
use crate::identity::Fingerprint;
use crate::metrics::Metrics;
use crate::network::Flow;
use crate::outbox::{Drain, Outbox};
use crate::tls::{SERVER_NAME, check_validity};
use crate::transport::{Accepting, close, closing_words, tls_alert};

/// A handshake and the opening of the streams must be done by then.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// The same for the calling side: mostly short, so that a peer that has just started is found soon,
/// with a long one among them for a slow path or a busy machine.
const CALL_LIMITS_MS: [u64; 4] = [400, 400, 400, 2_000];
/// Pauses between calls; the last one from then on.
const PAUSES_MS: [u64; 5] = [20, 50, 100, 200, 200];
/// How often certificates of live links are looked at again.
const VALIDITY_PERIOD: Duration = Duration::from_secs(2);

/// The established state of a link.
pub(super) struct Up {
    connection: Connection,
    outboxes: Vec<Outbox>,
}

impl Up {
    pub(super) fn push(&self, channel: usize, bytes: Bytes) -> Result<(), SendError> {
        self.outboxes.get(channel).ok_or(SendError::Unknown)?.push(bytes)
    }

    pub(super) fn used(&self, channel: usize) -> usize {
        self.outboxes.get(channel).map_or(0, |outbox| outbox.room().used())
    }

    pub(super) fn cut(&self, reason: &str) {
        self.connection.close(close::REFUSED.into(), reason.as_bytes());
    }
}

/// A peer, connected or not.
pub(super) struct Link {
    pub(super) peer: Peer,
    up: Mutex<Option<Arc<Up>>>,
    /// The latest connection; whoever replaces it closes it.
    latest: Mutex<Option<Connection>>,
    /// Held by the connection that is being served, so that events of two never mix.
    turn: tokio::sync::Mutex<()>,
}

impl Link {
    pub(super) fn new(peer: Peer) -> Self {
        Self { peer, up: Mutex::default(), latest: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    pub(super) fn up(&self) -> Option<Arc<Up>> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_up(&self, up: Option<Arc<Up>>) {
        *self.up.lock().unwrap_or_else(PoisonError::into_inner) = up;
    }

    /// Makes `connection` the one that counts.
    fn replace(&self, connection: &Connection) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = latest.replace(connection.clone()) {
            old.close(close::REPLACED.into(), b"replaced by a newer connection");
        }
    }
}

/// The streams of a connection, both directions, by channel.
struct Opened {
    out: Vec<SendStream>,
    into: Vec<RecvStream>,
}

impl Mesh {
    /// Starts accepting and calling.
    pub(crate) fn run(self: Arc<Self>, open: OpenMesh) {
        for (peer, config) in open.calling {
            tokio::spawn(self.clone().call_for_ever(open.endpoint.clone(), peer, config));
        }
        tokio::spawn(self.accept_for_ever(open.endpoint, open.accepting));
    }

    async fn call_for_ever(self: Arc<Self>, endpoint: Endpoint, peer: u16, config: quinn::ClientConfig) {
        let link = &self.links[&peer];
        let mut failures = 0;
        let mut told = String::new();
        loop {
            let limit = Duration::from_millis(CALL_LIMITS_MS[failures % CALL_LIMITS_MS.len()]);
            let call = async {
                let connecting = endpoint
                    .connect_with(config.clone(), link.peer.address, SERVER_NAME)
                    .map_err(|error| error.to_string())?;
                let connection = connecting.await.map_err(|error| closing_words(&error))?;
                let opened = open_streams(&connection, &self.channels).await;
                Ok((connection, opened.map_err(|error| error.to_string())?))
            };
            let called =
                tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err("no answer".to_owned()));
            match called {
                Ok((connection, opened)) => {
                    failures = 0;
                    told.clear();
                    self.serve(link, connection, opened).await;
                }
                Err(reason) => {
                    failures += 1;
                    if reason != told {
                        let address = link.peer.address;
                        tracing::info!(peer, %address, reason, "cannot reach a peer yet");
                        told = reason;
                    }
                }
            }
            let pause = PAUSES_MS[failures.min(PAUSES_MS.len() - 1)];
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn accept_for_ever(self: Arc<Self>, endpoint: Endpoint, accepting: Accepting) {
        let room = Arc::new(Semaphore::new(handshakes_max(self.links.len())));
        while let Some(incoming) = endpoint.accept().await {
            let Ok(place) = room.clone().try_acquire_owned() else {
                self.metrics.refused_limit.add(1);
                incoming.refuse();
                continue;
            };
            let (mesh, accepting) = (self.clone(), accepting.clone());
            tokio::spawn(async move {
                let accepted = mesh.accept(incoming, &accepting).await;
                drop(place);
                if let Some((peer, connection, opened)) = accepted {
                    mesh.serve(&mesh.links[&peer], connection, opened).await;
                }
            });
        }
    }

    /// Takes a call as far as a link that can be served; a refusal is counted and logged.
    async fn accept(&self, incoming: Incoming, accepting: &Accepting) -> Option<(u16, Connection, Opened)> {
        let remote = incoming.remote_address();
        let refused = |reason: &str| tracing::warn!(%remote, reason, "refused a peer");
        let handshake = async { incoming.accept_with(accepting.for_remote(remote))?.await };
        let connection = match tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                count_refusal(&self.metrics, &error);
                refused(&closing_words(&error));
                return None;
            }
            Err(_) => {
                self.metrics.refused_handshake.add(1);
                refused("the handshake took too long");
                return None;
            }
        };
        let certificate = certificate_of(&connection);
        let peer = certificate.and_then(|certificate| self.peer_of(Fingerprint::of(&certificate)));
        let Some(peer) = peer.filter(|peer| *peer < self.me) else {
            let reason = "the validator with the higher index is called, it does not call";
            self.metrics.refused_direction.add(1);
            refused(reason);
            connection.close(close::REFUSED.into(), reason.as_bytes());
            return None;
        };
        let opened = open_streams(&connection, &self.channels);
        match tokio::time::timeout(HANDSHAKE_LIMIT, opened).await {
            Ok(Ok(opened)) => Some((peer, connection, opened)),
            Ok(Err(error)) => {
                self.end(&connection, &error);
                refused(&error.to_string());
                None
            }
            Err(_) => {
                self.metrics.refused_handshake.add(1);
                connection.close(close::VIOLATION.into(), b"the streams were not opened in time");
                refused("the streams were not opened in time");
                None
            }
        }
    }

    /// Serves a link until it ends.
    async fn serve(self: &Arc<Self>, link: &Link, connection: Connection, opened: Opened) {
        link.replace(&connection);
        let _turn = link.turn.lock().await;
        let peer = link.peer.index;
        let mut tasks = JoinSet::new();
        let mut outboxes = Vec::with_capacity(self.channels.len());
        for (channel, stream) in self.channels.iter().zip(opened.out) {
            let (outbox, drain) = Outbox::new(channel.queue_bytes, channel.frame_bytes_max);
            outboxes.push(outbox);
            tasks.spawn(write(drain, stream));
        }
        link.set_up(Some(Arc::new(Up { connection: connection.clone(), outboxes })));
        self.metrics.peer_connected.add(1);
        tracing::info!(peer, remote = %connection.remote_address(), "connected");
        let greeted = (self.handler)(PeerEvent::Connected { peer });
        for (index, (channel, stream)) in self.channels.iter().zip(opened.into).enumerate() {
            let reader = FrameReader::new(stream, channel.inbound_bytes, channel.frame_bytes_max);
            tasks.spawn(self.clone().read(peer, index, reader));
        }

        let ended = match greeted {
            Flow::Close(words) => LinkError::Here(words),
            Flow::Continue => tokio::select! {
                error = connection.closed() => error.into(),
                Some(ended) = tasks.join_next() => match ended {
                    Ok(error) => error,
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                },
                error = expiry(&connection) => error,
            },
        };
        link.set_up(None);
        tasks.shutdown().await;
        self.end(&connection, &ended);
        self.metrics.peer_disconnected.add(1);
        let reason = ended.to_string();
        tracing::info!(peer, reason, "disconnected");
        // The connection is gone already; there is nothing left to close.
        let _ = (self.handler)(PeerEvent::Disconnected { peer, reason });
    }

    async fn read(self: Arc<Self>, from: u16, channel: usize, mut reader: FrameReader) -> LinkError {
        loop {
            match reader.next().await {
                Ok(Some(frame)) => {
                    self.metrics.peer_frames_received.add(1);
                    self.metrics.peer_bytes_received.add(frame.len() as u64);
                    let message = PeerEvent::Message { from, channel, frame };
                    if let Flow::Close(words) = (self.handler)(message) {
                        return LinkError::Here(words);
                    }
                }
                Ok(None) => return LinkError::Protocol("a channel was ended".to_owned()),
                Err(error) => return error,
            }
        }
    }

    /// Closes a connection as its end demands, and counts.
    fn end(&self, connection: &Connection, error: &LinkError) {
        let (code, words) = match error {
            LinkError::Oversized { .. } | LinkError::Protocol(_) => {
                self.metrics.peer_violations.add(1);
                (close::VIOLATION, error.to_string())
            }
            LinkError::Here(words) => (close::REFUSED, words.clone()),
            LinkError::Closed(_) | LinkError::Lost(_) | LinkError::Stalled(_) => {
                (close::STOPPING, error.to_string())
            }
        };
        connection.close(code.into(), words.as_bytes());
    }
}

async fn write(drain: Drain, stream: SendStream) -> LinkError {
    match drain.run(stream, None).await {
        Ok(_) => LinkError::Here("the link was taken down".to_owned()),
        Err(error) => error,
    }
}

/// Ends when the certificate of the other side is no longer valid.
async fn expiry(connection: &Connection) -> LinkError {
    let mut period = tokio::time::interval(VALIDITY_PERIOD);
    loop {
        period.tick().await;
        let valid =
            certificate_of(connection).ok_or_else(|| "no certificate".to_owned()).and_then(|certificate| {
                check_validity(&certificate, UnixTime::now()).map_err(|error| error.to_string())
            });
        if let Err(problem) = valid {
            connection.close(close::EXPIRED.into(), problem.as_bytes());
            return LinkError::Here(problem);
        }
    }
}

/// Opens our streams, each with its channel's number as its first byte, and waits for theirs.
async fn open_streams(connection: &Connection, channels: &[Channel]) -> Result<Opened, LinkError> {
    let mut out = Vec::with_capacity(channels.len());
    for (index, channel) in channels.iter().enumerate() {
        let mut stream = connection.open_uni().await?;
        let number = [index as u8];
        let written = stream.set_priority(channel.priority).map_err(|error| error.to_string());
        written.map_err(LinkError::Protocol)?;
        stream.write_all(&number).await.map_err(|error| LinkError::Lost(error.to_string()))?;
        out.push(stream);
    }
    let mut into: Vec<Option<RecvStream>> = channels.iter().map(|_| None).collect();
    for _ in channels {
        let mut stream = connection.accept_uni().await?;
        let mut number = [0u8];
        let read = stream.read_exact(&mut number).await;
        read.map_err(|error| LinkError::Lost(error.to_string()))?;
        match into.get_mut(number[0] as usize) {
            Some(place @ None) => *place = Some(stream),
            _ => {
                let problem = format!("channel {} is unknown or open already", number[0]);
                return Err(LinkError::Protocol(problem));
            }
        }
    }
    let into = into.into_iter().flatten().collect();
    Ok(Opened { out, into })
}

fn certificate_of(connection: &Connection) -> Option<CertificateDer<'static>> {
    let identity: Box<dyn Any> = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    chain.into_iter().next()
}

/// Which counter a failed handshake belongs to, by the alert of TLS (RFC 8446, section 6).
fn count_refusal(metrics: &Metrics, error: &ConnectionError) {
    const CERTIFICATE_EXPIRED: u64 = 45;
    const UNKNOWN_CA: u64 = 48;
    const CERTIFICATE_REQUIRED: u64 = 116;
    let counter = match tls_alert(error) {
        Some(UNKNOWN_CA) => &metrics.refused_unknown,
        Some(CERTIFICATE_EXPIRED) => &metrics.refused_expired,
        Some(CERTIFICATE_REQUIRED) => &metrics.refused_no_certificate,
        _ => &metrics.refused_handshake,
    };
    counter.add(1);
}
