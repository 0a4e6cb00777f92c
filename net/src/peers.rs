//! The mesh of validators: one connection a pair, one one-way stream a channel and direction.
//!
//! ```text
//!             lower index                         higher index
//!   settings ─► dialer (for ever) ── mutual TLS ──► acceptor ─► whose fingerprint is it?
//!                       └────────► link ◄─────────────┘
//!                 outboxes ─► streams ─► readers ─► handler
//! ```
//!
//! Who calls: the validator with the lower index calls the one with the higher, so that a pair cannot
//! end up with two connections. A call in the other direction is refused. When the caller restarts, its
//! new connection replaces the old one (which its old process has left behind); when the called one
//! restarts, its first answer to the old connection is a stateless reset and the caller calls again.
//! Both sides count a link as up only when all streams of the other side have opened, which the called
//! side does only for a certificate that it accepts.

mod link;

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use bytes::Bytes;
use quinn::{Endpoint, TokioRuntime};

use crate::errors::{ConfigError, NetError, SendError};
use crate::frame::{Frame, cost};
use crate::identity::{Fingerprint, Identity};
use crate::metrics::Metrics;
use crate::network::Flow;
use crate::tls::{self, PEER_PROTOCOL, Pins};
use crate::transport::{self, Accepting, ConnectionIds, STREAM_WINDOW, Streams};
use link::Link;

/// The most that one peer can make us hold: delivered frames and bytes that wait in windows.
const PEER_BYTES_MAX: usize = 64 << 20;
const CHANNELS_MAX: usize = 64;

/// What happens to a frame that finds its queue full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// It is dropped and counted; `send` succeeds. For traffic that is repeated anyway. The same holds
    /// while the peer is not connected.
    Drop,
    /// `send` fails and the caller decides.
    Refuse,
}

/// One kind of traffic between validators. All validators must have the same list.
#[derive(Debug, Clone)]
pub struct Channel {
    /// For errors and logs.
    pub name: &'static str,
    /// Of two channels with frames to send, the one with the higher priority goes first.
    pub priority: i32,
    /// The longest frame.
    pub frame_bytes_max: usize,
    /// Bound of what waits or is unacknowledged, for each peer.
    pub queue_bytes: usize,
    /// Bound of what is delivered and not released, for each peer.
    pub inbound_bytes: usize,
    /// What happens beyond `queue_bytes`.
    pub on_full: OnFull,
}

/// Another validator.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its index in the validator set.
    pub index: u16,
    /// Its peer port.
    pub address: SocketAddr,
    /// SHA-256 of its certificate.
    pub fingerprint: Fingerprint,
}

/// The port for peers and who they are.
#[derive(Debug)]
pub struct PeerSettings {
    /// Our own index.
    pub me: u16,
    /// From [`bind`](crate::bind).
    pub socket: UdpSocket,
    /// All other validators.
    pub peers: Vec<Peer>,
    /// The channels; their positions are their numbers.
    pub channels: Vec<Channel>,
}

/// What happens on the mesh. For each peer: Connected, then its messages, then Disconnected.
#[derive(Debug)]
pub enum PeerEvent {
    /// The link is up in both directions.
    Connected {
        /// Who.
        peer: u16,
    },
    /// A frame arrived.
    Message {
        /// Who sent it.
        from: u16,
        /// Position of the channel in the settings.
        channel: usize,
        /// The content, with its permit.
        frame: Frame,
    },
    /// The link is down. Whatever was queued for it is gone.
    Disconnected {
        /// Who.
        peer: u16,
        /// Why, in words.
        reason: String,
    },
}

pub(crate) type PeerHandler = Box<dyn Fn(PeerEvent) -> Flow + Send + Sync>;

/// The way to the peers; cheap to clone, for any thread.
#[derive(Clone)]
pub struct PeerNetwork(Arc<Mesh>);

impl PeerNetwork {
    pub(crate) fn new(mesh: Arc<Mesh>) -> Self {
        Self(mesh)
    }

    /// Queues a frame for one peer.
    pub fn send(&self, to: u16, channel: usize, bytes: Bytes) -> Result<(), SendError> {
        let mesh = &self.0;
        let settings = mesh.channels.get(channel).ok_or(SendError::Unknown)?;
        let link = mesh.links.get(&to).ok_or(SendError::Unknown)?;
        let length = bytes.len() as u64;
        let result = match link.up() {
            Some(up) => up.push(channel, bytes),
            None => Err(SendError::NotConnected),
        };
        match result {
            Ok(()) => {
                mesh.metrics.peer_frames_sent.add(1);
                mesh.metrics.peer_bytes_sent.add(length);
            }
            Err(SendError::Full) => mesh.metrics.peer_frames_full.add(1),
            Err(SendError::NotConnected) => mesh.metrics.peer_frames_unconnected.add(1),
            Err(_) => {}
        }
        match (result, settings.on_full) {
            (Err(SendError::Full | SendError::NotConnected), OnFull::Drop) => Ok(()),
            (result, _) => result,
        }
    }

    /// Queues a frame for every peer; the answers, one for each.
    pub fn broadcast(&self, channel: usize, bytes: &Bytes) -> Vec<(u16, Result<(), SendError>)> {
        let peers = self.0.links.keys();
        peers.map(|peer| (*peer, self.send(*peer, channel, bytes.clone()))).collect()
    }

    /// Bytes that wait for a peer or are not acknowledged by it yet; 0 where it is not connected.
    pub fn queued_bytes(&self, to: u16, channel: usize) -> usize {
        let link = self.0.links.get(&to).and_then(Link::up);
        link.map_or(0, |up| up.used(channel))
    }

    /// Peers that are connected now.
    pub fn connected(&self) -> Vec<u16> {
        let links = self.0.links.iter();
        links.filter(|(_, link)| link.up().is_some()).map(|(peer, _)| *peer).collect()
    }

    /// Cuts the present connection to a peer; it will be tried again.
    pub fn cut(&self, peer: u16, reason: &str) {
        if let Some(up) = self.0.links.get(&peer).and_then(Link::up) {
            up.cut(reason);
        }
    }
}

/// The mesh of one validator.
pub(crate) struct Mesh {
    me: u16,
    channels: Vec<Channel>,
    links: BTreeMap<u16, Link>,
    handler: PeerHandler,
    metrics: Arc<Metrics>,
}

/// What only the network thread needs.
pub(crate) struct OpenMesh {
    pub(crate) endpoint: Endpoint,
    accepting: Accepting,
    calling: Vec<(u16, quinn::ClientConfig)>,
}

impl Mesh {
    /// Opens the port; must be called inside the runtime.
    pub(crate) fn open(
        settings: PeerSettings,
        identity: &Identity,
        handler: PeerHandler,
        metrics: Arc<Metrics>,
    ) -> Result<(Arc<Self>, OpenMesh), NetError> {
        check(&settings)?;
        let PeerSettings { me, socket, peers, channels } = settings;
        let streams = Streams {
            uni: channels.len() as u32,
            bi: 0,
            send_window: channels.iter().map(|channel| 2 * channel.queue_bytes as u64).sum(),
        };
        let pins = Pins::new(peers.iter().map(|peer| peer.fingerprint).collect());
        let accepting = Accepting::new(
            tls::server(identity, PEER_PROTOCOL, Some(pins))?,
            streams,
            handshakes_max(peers.len()),
        )?;
        let calling = peers
            .iter()
            .filter(|peer| peer.index > me)
            .map(|peer| {
                let pins = Pins::new(vec![peer.fingerprint]);
                let tls = tls::client(pins, PEER_PROTOCOL, Some(identity))?;
                Ok((peer.index, transport::calling(tls, streams, peer.address)?))
            })
            .collect::<Result<_, NetError>>()?;
        let ids = ConnectionIds::new(identity, "peers").generator();
        let socket = crate::socket::wrap(socket, Some(ids), metrics.clone()).map_err(NetError::Thread)?;
        let endpoint = Endpoint::new_with_abstract_socket(
            transport::endpoint(Some((identity, "peers"))),
            Some(accepting.any()),
            socket,
            Arc::new(TokioRuntime),
        )
        .map_err(NetError::Thread)?;
        let mesh = Self {
            me,
            channels,
            links: peers.into_iter().map(|peer| (peer.index, Link::new(peer))).collect(),
            handler,
            metrics,
        };
        let open = OpenMesh { endpoint, accepting, calling };
        Ok((Arc::new(mesh), open))
    }

    /// Whether anything is queued or unacknowledged.
    pub(crate) fn unsent(&self) -> bool {
        let mut ups = self.links.values().filter_map(Link::up);
        ups.any(|up| (0..self.channels.len()).any(|channel| up.used(channel) > 0))
    }

    fn peer_of(&self, fingerprint: Fingerprint) -> Option<u16> {
        let mut links = self.links.iter();
        links.find(|(_, link)| link.peer.fingerprint == fingerprint).map(|(peer, _)| *peer)
    }
}

/// Handshakes that may be under way at the same time.
fn handshakes_max(peers: usize) -> usize {
    16 + 2 * peers
}

fn check(settings: &PeerSettings) -> Result<(), ConfigError> {
    let count = settings.channels.len();
    if count == 0 || count > CHANNELS_MAX {
        return Err(ConfigError::ChannelCount(count));
    }
    for channel in &settings.channels {
        for budget in [channel.queue_bytes, channel.inbound_bytes] {
            if budget < cost(channel.frame_bytes_max) {
                return Err(ConfigError::BudgetBelowFrame {
                    name: channel.name,
                    budget,
                    frame: cost(channel.frame_bytes_max),
                });
            }
        }
    }
    let inbound: usize = settings.channels.iter().map(|channel| channel.inbound_bytes).sum();
    let bytes = inbound + count * STREAM_WINDOW;
    if bytes > PEER_BYTES_MAX {
        let bound = PEER_BYTES_MAX;
        return Err(ConfigError::PeerBudget { bytes, bound });
    }
    for (position, peer) in settings.peers.iter().enumerate() {
        let earlier = &settings.peers[..position];
        if peer.index == settings.me || earlier.iter().any(|other| other.index == peer.index) {
            return Err(ConfigError::RepeatedPeer(peer.index));
        }
        if let Some(other) = earlier.iter().find(|other| other.fingerprint == peer.fingerprint) {
            return Err(ConfigError::RepeatedFingerprint(other.index, peer.index));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
