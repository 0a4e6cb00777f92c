//! Validators and attackers for the tests: real sockets on 127.0.0.1, and waiting for events, never for
//! time.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quinn::{Connection, ConnectionError, Endpoint, TokioRuntime};
use quinn_proto::DatagramEvent;
use tokio::runtime::Runtime;

use crate::tls::{self, CLIENT_PROTOCOLS, PEER_PROTOCOLS, Pins, SERVER_NAME};
use crate::transport::{self, Calling, Streams};
use crate::*;

/// So long that only a real hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn local() -> UdpSocket {
    socket("127.0.0.1:0")
}

/// A socket at an address.
pub(crate) fn socket(address: &str) -> UdpSocket {
    bind(&[address.parse().unwrap()]).unwrap().remove(0)
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Waits for an event that `wanted` maps to something; the others are thrown away.
pub(crate) fn wait<E: std::fmt::Debug, T>(events: &Receiver<E>, mut wanted: impl FnMut(E) -> Option<T>) -> T {
    loop {
        let event = events.recv_timeout(PATIENCE).expect("the event comes");
        if let Some(found) = wanted(event) {
            return found;
        }
    }
}

/// Waits for a counter or another state that has no event.
pub(crate) fn until(mut reached: impl FnMut() -> bool) {
    let mut patience = PATIENCE.as_millis();
    while !reached() {
        assert!(patience > 0, "the state is reached");
        patience -= 1;
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) const URGENT: usize = 0;
pub(crate) const BULK: usize = 1;

pub(crate) fn channels() -> Vec<Channel> {
    let channel = |name, priority, frame_bytes_max, bytes| Channel {
        name,
        priority,
        frame_bytes_max,
        queue_bytes: bytes,
        inbound_bytes: bytes,
        on_full: OnFull::Refuse,
    };
    vec![channel("urgent", 1, 64 << 10, 1 << 20), channel("bulk", 0, 600 << 10, 4 << 20)]
}

/// A network that is not running yet: identities and ports of `n` validators.
pub(crate) struct Plan {
    pub(crate) identities: Vec<Identity>,
    pub(crate) addresses: Vec<SocketAddr>,
    sockets: Vec<Option<UdpSocket>>,
}

pub(crate) struct Node {
    pub(crate) network: Network,
    pub(crate) events: Receiver<PeerEvent>,
}

impl Plan {
    pub(crate) fn new(n: usize) -> Self {
        let generate = |index| Identity::generate(&format!("validator-{index}")).unwrap();
        Self::with(n, generate)
    }

    pub(crate) fn with(n: usize, identity: impl FnMut(usize) -> Identity) -> Self {
        let sockets: Vec<_> = (0..n).map(|_| local()).collect();
        // So that the validator with the lower index calls.
        let mut identities: Vec<Identity> = (0..n).map(identity).collect();
        identities.sort_by_key(Identity::fingerprint);
        Self {
            identities,
            addresses: sockets.iter().map(|socket| socket.local_addr().unwrap()).collect(),
            sockets: sockets.into_iter().map(Some).collect(),
        }
    }

    pub(crate) fn peers_of(&self, me: usize) -> Vec<Peer> {
        let others = (0..self.identities.len()).filter(|index| *index != me);
        others
            .map(|index| Peer {
                index: index as u16,
                address: self.addresses[index].into(),
                fingerprint: self.identities[index].fingerprint(),
            })
            .collect()
    }

    /// The socket of one validator, bound again where it was given away before.
    pub(crate) fn socket(&mut self, me: usize) -> UdpSocket {
        let address = self.addresses[me];
        self.sockets[me].take().unwrap_or_else(|| socket(&address.to_string()))
    }

    pub(crate) fn start(&mut self, me: usize) -> Node {
        let socket = self.socket(me);
        self.start_at(me, socket)
    }

    /// Starts validator `me` at a port that the others may not know.
    pub(crate) fn start_at(&self, me: usize, socket: UdpSocket) -> Node {
        let (sender, events) = mpsc::channel();
        let settings = Settings {
            thread_name: format!("net-{me}"),
            identity: self.identities[me].clone(),
            peers: Some(PeerSettings {
                me: me as u16,
                known_as: self.identities[me].fingerprint(),
                sockets: vec![socket],
                names: Names::default(),
                peers: self.peers_of(me),
                channels: channels(),
            }),
            clients: None,
        };
        let on_peer = move |event| {
            // The test may have seen enough and be gone.
            let _ = sender.send(event);
            Flow::Continue
        };
        let network = Network::start(settings, on_peer, |_| Flow::Continue).unwrap();
        Node { network, events }
    }
}

impl Node {
    pub(crate) fn peers(&self) -> PeerNetwork {
        self.network.peers().unwrap()
    }

    /// Waits until all of these are connected.
    pub(crate) fn wait_connected(&self, peers: &[u16]) {
        let mut missing: Vec<u16> = peers.to_vec();
        wait(&self.events, |event| {
            if let PeerEvent::Connected { peer, .. } = event {
                missing.retain(|other| *other != peer);
            }
            missing.is_empty().then_some(())
        });
    }

    /// Sends as soon as this side of the link is up too.
    pub(crate) fn deliver(&self, to: u16, bytes: &'static [u8]) {
        let peers = self.peers();
        until(|| match peers.send(to, URGENT, Bytes::from_static(bytes)) {
            Ok(()) => true,
            Err(SendError::NotConnected) => false,
            Err(other) => panic!("{other}"),
        });
    }

    pub(crate) fn wait_disconnected(&self, from: u16) -> String {
        wait(&self.events, |event| match event {
            PeerEvent::Disconnected { peer, reason } if peer == from => Some(reason),
            _ => None,
        })
    }

    pub(crate) fn wait_message(&self) -> (u16, usize, Frame) {
        wait(&self.events, |event| match event {
            PeerEvent::Message { from, channel, frame } => Some((from, channel, frame)),
            _ => None,
        })
    }
}

/// A QUIC end under the test's control, for what an honest one would not do.
pub(crate) struct Attacker {
    pub(crate) endpoint: Endpoint,
}

const STREAMS: Streams = Streams { uni: 8, bi: 8, send_window: 8 << 20, receive_window: 8 << 20 };

impl Attacker {
    /// Must be called inside a runtime.
    pub(crate) fn new() -> Self {
        Self::at("127.0.0.1")
    }

    /// The same from another address of this host.
    pub(crate) fn at(address: &str) -> Self {
        let socket = socket(&format!("{address}:0"));
        let endpoint =
            Endpoint::new(transport::endpoint(None), None, socket, std::sync::Arc::new(TokioRuntime));
        Self { endpoint: endpoint.unwrap() }
    }

    pub(crate) async fn call_peer(
        &self,
        address: SocketAddr,
        expected: Fingerprint,
        identity: Option<&Identity>,
    ) -> Result<Connection, ConnectionError> {
        let tls = tls::client(Pins::new(vec![expected]), PEER_PROTOCOLS, identity).unwrap();
        self.call(address, tls).await
    }

    pub(crate) async fn call_client(
        &self,
        address: SocketAddr,
        expected: Fingerprint,
    ) -> Result<Connection, ConnectionError> {
        let tls = tls::client(Pins::new(vec![expected]), CLIENT_PROTOCOLS, None).unwrap();
        self.call(address, tls).await
    }

    async fn call(
        &self,
        address: SocketAddr,
        tls: rustls::ClientConfig,
    ) -> Result<Connection, ConnectionError> {
        let config = Calling::new(tls, STREAMS).unwrap().for_remote(address);
        self.endpoint.connect_with(config, address, SERVER_NAME).unwrap().await
    }
}

/// Datagrams that are not QUIC, are nearly QUIC, or belong to no connection.
pub(crate) fn throw_garbage(at: SocketAddr) -> u64 {
    let socket = local();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for length in (1..1400).step_by(7) {
        let datagram: Vec<u8> = (0..length)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        socket.send_to(&datagram, at).unwrap();
    }
    // An Initial of the right version, with nonsense for the rest.
    let mut initial = vec![0u8; 1200];
    initial[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
    socket.send_to(&initial, at).unwrap();
    200
}

/// Calls a peer port, shows that its address is its own where it is asked to, and then falls silent.
pub(crate) struct HalfHandshakes {
    target: SocketAddr,
    config: quinn::ClientConfig,
    /// One for each call, so that answers to an earlier one do not come in between; kept for a while,
    /// since a closed port would be an answer too.
    sockets: VecDeque<UdpSocket>,
}

#[allow(clippy::disallowed_methods, reason = "quinn-proto takes the real clock as an argument")]
impl HalfHandshakes {
    const SOCKETS_MAX: usize = 256;

    pub(crate) fn new(target: SocketAddr) -> Self {
        let tls = tls::client(Pins::new(vec![]), PEER_PROTOCOLS, None).unwrap();
        let config = Calling::new(tls, STREAMS).unwrap().for_remote(target);
        Self { target, config, sockets: VecDeque::new() }
    }

    /// One more.
    pub(crate) fn start(&mut self) {
        let socket = local();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut endpoint = quinn_proto::Endpoint::new(Arc::new(transport::endpoint(None)), None, false, None);
        let config = self.config.clone();
        let (_, mut connection) = endpoint.connect(Instant::now(), config, self.target, SERVER_NAME).unwrap();
        let send = |connection: &mut quinn_proto::Connection| {
            let mut datagram = Vec::new();
            if let Some(transmit) = connection.poll_transmit(Instant::now(), 1, &mut datagram) {
                socket.send_to(&datagram[..transmit.size], self.target).unwrap();
            }
        };
        send(&mut connection);
        let mut buffer = vec![0; 1 << 16];
        // Only a Retry packet (RFC 9000, section 17.2.5) is answered.
        if let Ok((length, from)) = socket.recv_from(&mut buffer)
            && buffer[0] & 0xf0 == 0xf0
        {
            let datagram = BytesMut::from(&buffer[..length]);
            let event = endpoint.handle(Instant::now(), from, None, None, datagram, &mut Vec::new());
            if let Some(DatagramEvent::ConnectionEvent(_, event)) = event {
                connection.handle_event(event);
                send(&mut connection);
            }
        }
        self.sockets.push_back(socket);
        if self.sockets.len() > Self::SOCKETS_MAX {
            self.sockets.pop_front();
        }
    }
}

/// Counts the lines that an operator's log would get from this thread.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<AtomicUsize>);

impl Lines {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _span: &tracing::span::Id, _values: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}

    fn event(&self, _event: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _span: &tracing::span::Id) {}

    fn exit(&self, _span: &tracing::span::Id) {}
}
