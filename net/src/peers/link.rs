//! The life of a link: admitting a connection, setting its streams up, serving, ending.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, RecvStream, SendStream};
use rustls::pki_types::{CertificateDer, UnixTime};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::gate::{Gate, Verdict};
use super::{Channel, Line, LinkState, Mesh, Peer, PeerEvent};
use crate::Address;
use crate::errors::{LinkError, SendError};
use crate::frame::FrameReader;
use crate::network::Flow;
use crate::outbox::{Drain, Outbox};
use crate::places::Places;
use crate::tls::{check_validity, is_about_dates, version_of};
use crate::transport::close;

/// Handshakes that may come from the address of one peer at the same time: the present call and one that
/// it has given up.
const CALLS_MAX: usize = 2;

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

    pub(super) fn state(&self) -> LinkState {
        let stats = self.connection.stats();
        LinkState {
            peer: 0,
            connected: true,
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            round_trip: stats.path.rtt,
            lost_packets: stats.path.lost_packets,
            queued_bytes: self.outboxes.iter().map(|outbox| outbox.room().used() as u64).sum(),
        }
    }

    pub(super) fn cut(&self, reason: &str) {
        self.connection.close(close::REFUSED.into(), reason.as_bytes());
    }
}

/// A peer, connected or not.
pub(super) struct Link {
    pub(super) peer: Peer,
    place: Mutex<Place>,
    /// It has another address, or its connection has ended.
    pub(super) is_sought: Notify,
    /// For handshakes that come from exactly this peer's address; no stranger can take them.
    pub(super) calls: Places,
    up: Mutex<Option<Arc<Up>>>,
    entry: Mutex<Entry>,
    /// Held by the connection that is being served, so that events of two never mix.
    turn: tokio::sync::Mutex<()>,
}

/// Where a peer is.
struct Place {
    /// What it is called at from now on.
    address: Address,
    /// Where that led when it was looked at last; nowhere before a name was looked up.
    leads_to: Vec<SocketAddr>,
}

impl Place {
    fn of(address: Address) -> Self {
        Self { leads_to: Vec::from_iter(address.socket()), address }
    }
}

/// The way in.
#[derive(Default)]
struct Entry {
    gate: Gate,
    /// The latest connection that was admitted; the one that replaces it closes it.
    latest: Option<Connection>,
}

impl Link {
    pub(super) fn new(peer: Peer) -> Self {
        Self {
            place: Mutex::new(Place::of(peer.address.clone())),
            is_sought: Notify::new(),
            peer,
            calls: Places::new(CALLS_MAX),
            up: Mutex::default(),
            entry: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is called at.
    pub(super) fn address(&self) -> Address {
        self.place().address.clone()
    }

    /// One that is the same leads where it did.
    pub(super) fn set_address(&self, address: Address) {
        let mut place = self.place();
        if place.address != address {
            *place = Place::of(address);
            self.is_sought.notify_one();
        }
    }

    /// Where `address` leads now, if it still is that of the peer: a lookup may end after another one was set.
    pub(super) fn found(&self, address: &Address, leads_to: &[SocketAddr]) {
        let mut place = self.place();
        if place.address == *address {
            place.leads_to = leads_to.to_vec();
        }
    }

    /// Whether a caller has exactly an address of this peer; a socket for both families shows IPv4 addresses inside
    /// IPv6 ones.
    pub(super) fn is_at(&self, remote: SocketAddr) -> bool {
        let is_same = |own: &SocketAddr| {
            own.port() == remote.port() && own.ip().to_canonical() == remote.ip().to_canonical()
        };
        self.place().leads_to.iter().any(is_same)
    }

    pub(super) fn up(&self) -> Option<Arc<Up>> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_up(&self, up: Option<Arc<Up>>) {
        let has_ended = up.is_none();
        *self.up.lock().unwrap_or_else(PoisonError::into_inner) = up;
        if has_ended {
            self.is_sought.notify_one();
        }
    }

    fn entry(&self) -> MutexGuard<'_, Entry> {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `connection` the one that counts, if it may be.
    pub(super) fn admit(&self, connection: &Connection, now: Duration) -> Verdict {
        let mut entry = self.entry();
        let living = entry.latest.as_ref().is_some_and(|latest| latest.close_reason().is_none());
        let verdict = entry.gate.judge(living, now);
        if verdict == Verdict::Admit
            && let Some(old) = entry.latest.replace(connection.clone())
        {
            old.close(close::REPLACED.into(), b"replaced by a newer connection");
        }
        verdict
    }

    /// Wants nothing of this peer before `until`, and tells it why.
    pub(super) fn exclude(&self, until: Duration, words: &str) {
        let mut entry = self.entry();
        entry.gate.exclude(until, words);
        if let Some(latest) = entry.latest.take() {
            latest.close(close::EXCLUDED.into(), words.as_bytes());
        }
    }

    /// Until when nothing is wanted of this peer, and why.
    pub(super) fn excluded(&self, now: Duration) -> Option<(Duration, String)> {
        self.entry().gate.excluded(now)
    }
}

/// The streams of a connection, both directions, by channel.
pub(super) struct Opened {
    out: Vec<SendStream>,
    into: Vec<RecvStream>,
}

impl Mesh {
    /// Serves a link until it ends.
    pub(super) async fn serve(self: &Arc<Self>, link: &Link, connection: Connection, opened: Opened) {
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
        if let Some(suppressed) = self.may_log(Line::Connected, peer) {
            tracing::info!(peer, remote = %connection.remote_address(), suppressed, "peer connected");
        }
        self.look_at_dates(peer, &connection);
        let greeted =
            (self.handler)(PeerEvent::Connected { peer, version: version_of(&protocol(&connection)) });
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
            },
        };
        link.set_up(None);
        tasks.shutdown().await;
        self.end(&connection, &ended);
        self.metrics.peer_disconnected.add(1);
        let reason = match link.excluded(self.clock.now()) {
            Some((_, words)) => LinkError::Here(words).to_string(),
            None => ended.to_string(),
        };
        if let Some(suppressed) = self.may_log(Line::Disconnected, peer) {
            tracing::info!(peer, reason, suppressed, "peer disconnected");
        }
        // The connection is gone already; there is nothing left to close.
        let _ = (self.handler)(PeerEvent::Disconnected { peer, reason });
    }

    /// Says where a member's certificate has ended, or has not begun. It is a member nevertheless.
    fn look_at_dates(&self, peer: u16, connection: &Connection) {
        let checked = certificate_of(connection).map(|shown| check_validity(&shown, UnixTime::now()));
        // What else is odd about a certificate that only its key speaks for is of no interest.
        if let Some(Err(problem)) = checked
            && is_about_dates(&problem)
            && let Some(suppressed) = self.may_log(Line::Certificate, peer)
        {
            tracing::warn!(
                peer,
                suppressed,
                "the certificate of a peer is not valid ({problem}): it is connected nevertheless, because its key is that \
                 of a validator. Its operator should renew it, or look at the clocks"
            );
        }
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
    pub(super) fn end(&self, connection: &Connection, error: &LinkError) {
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

/// Opens our streams, each with its channel's number as its first byte, and waits for theirs.
pub(super) async fn open_streams(connection: &Connection, channels: &[Channel]) -> Result<Opened, LinkError> {
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

/// The name of the protocol that was agreed in the handshake.
fn protocol(connection: &Connection) -> Vec<u8> {
    let agreed: Option<Box<dyn Any>> = connection.handshake_data();
    let agreed = agreed.and_then(|agreed| agreed.downcast::<HandshakeData>().ok());
    agreed.and_then(|agreed| agreed.protocol).unwrap_or_default()
}

pub(super) fn certificate_of(connection: &Connection) -> Option<CertificateDer<'static>> {
    let identity: Box<dyn Any> = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    chain.into_iter().next()
}
