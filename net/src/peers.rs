//! The mesh of validators: one connection a pair, one one-way stream a channel and direction.
//!
//! ```text
//!           lower fingerprint                     higher fingerprint
//!   settings ─► caller, again and again ── mutual TLS ──► acceptor ─► whose fingerprint? ─► gate
//!                       └────────► link ◄─────────────────────────────────────────────────────┘
//!                 outboxes ─► streams ─► readers ─► handler
//! ```
//!
//! Who calls: the validator with the lower fingerprint calls the one with the higher, so that a pair cannot
//! end up with two connections. (Indices change when members come and go, and two may not learn it at once.)
//! A call in the other direction is refused. When the caller restarts, its new connection replaces the old one
//! (which its old process has left behind); when the called one restarts, its first answer to the old
//! connection is a stateless reset and the caller calls again.
//! A peer's name is looked up at every call, and all addresses that it leads to are called in turn.
//! Both sides count a link as up only when all streams of the other side have opened, which the called
//! side does only for a certificate that it accepts.
//!
//! Two processes with one identity do not replace each other endlessly ([`gate`]): one is kept, the other
//! is refused and calls less and less often, `duplicate_identities` counts, one line names the cause. A
//! peer that misbehaves is excluded for a while ([`PeerNetwork::disconnect`]) and is told why.

mod calls;
mod gate;
mod link;

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::CertificateDer;

use crate::address::{Address, Names};
use crate::clock::Clock;
use crate::endpoints::Endpoints;
use crate::errors::{ConfigError, NetError, SendError};
use crate::frame::{Frame, cost};
use crate::identity::{Fingerprint, Identity};
use crate::log_limit::LogLimit;
use crate::metrics::Metrics;
use crate::network::Flow;
use crate::places::{Places, source};
use crate::tls::{self, PEER_PROTOCOLS, Pins};
use crate::transport::{Accepting, Calling, STREAM_WINDOW, Streams};
use link::Link;

/// The most that one peer can make us hold: delivered frames and bytes that wait in windows.
const PEER_BYTES_MAX: usize = 64 << 20;
const CHANNELS_MAX: usize = 64;
/// One line about a peer or a stranger in this time, for each kind of line.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Strangers that are named in the log one by one.
const STRANGERS_NAMED: usize = 16;

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
    /// Its peer port, as others reach it.
    pub address: Address,
    /// SHA-256 of its certificate.
    pub fingerprint: Fingerprint,
}

/// The port for peers and who they are.
#[derive(Debug)]
pub struct PeerSettings {
    /// Our own index.
    pub me: u16,
    /// Our own fingerprint, as all others know it: of two validators the one with the lower fingerprint calls.
    pub known_as: Fingerprint,
    /// From [`bind`](crate::bind), at least one.
    pub sockets: Vec<UdpSocket>,
    /// How the names of peers are looked up.
    pub names: Names,
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
        /// The peer's index.
        peer: u16,
        /// The version of the protocol that both speak: what the name of that one ends with.
        version: u16,
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
    /// The link is down. What was queued for it is gone.
    Disconnected {
        /// The peer's index.
        peer: u16,
        /// Why, in words.
        reason: String,
    },
}

pub(crate) type PeerHandler = Box<dyn Fn(PeerEvent) -> Flow + Send + Sync>;

/// The way to the peers; cheap to clone, for any thread.
#[derive(Clone)]
pub struct PeerNetwork(Arc<Mesh>);

/// How a link is. Counts begin with its present connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkState {
    /// The peer.
    pub peer: u16,
    /// Whether it is connected.
    pub connected: bool,
    /// UDP payload bytes sent to it.
    pub sent_bytes: u64,
    /// UDP payload bytes received from it.
    pub received_bytes: u64,
    /// The time of a round trip.
    pub round_trip: Duration,
    /// Packets that were lost on the way to it.
    pub lost_packets: u64,
    /// Bytes that wait for it, or are not acknowledged yet.
    pub queued_bytes: u64,
}

impl PeerNetwork {
    pub(crate) fn new(mesh: Arc<Mesh>) -> Self {
        Self(mesh)
    }

    /// Queues a frame for one peer.
    ///
    /// # Errors
    /// [`SendError::TooLarge`], [`SendError::Unknown`]; and where the channel refuses instead of dropping,
    /// [`SendError::Full`], [`SendError::NotConnected`].
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

    /// Queues a frame for every peer with an index below `end`; the answers, one for each.
    pub fn broadcast(&self, end: u16, channel: usize, bytes: &Bytes) -> Vec<(u16, Result<(), SendError>)> {
        let peers = self.0.links.range(..end).map(|(peer, _)| peer);
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

    /// How often a second process was met that uses the identity of a validator, by the index of that one: a peer, or
    /// this validator where a peer has refused it for that reason.
    pub fn duplicates(&self) -> BTreeMap<u16, u64> {
        self.0.duplicates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the link to each peer is now.
    pub fn links(&self) -> Vec<LinkState> {
        let all = self.0.links.iter();
        all.map(|(peer, link)| LinkState {
            peer: *peer,
            ..link.up().map(|up| up.state()).unwrap_or_default()
        })
        .collect()
    }

    /// From now on a peer is called at another address. A connection that stands is kept.
    pub fn set_address(&self, peer: u16, address: Address) {
        if let Some(link) = self.0.links.get(&peer) {
            link.set_address(address);
        }
    }

    /// Closes the present connection to a peer; it will be tried again.
    pub fn cut(&self, peer: u16, reason: &str) {
        if let Some(up) = self.0.links.get(&peer).and_then(Link::up) {
            up.cut(reason);
        }
    }

    /// Closes the connection of a peer that misbehaves and refuses this peer's identity for
    /// `exclusion`: its calls are refused and it is not called. The peer is told `reason`. Counted as
    /// `peers_excluded`. A second call replaces the first, so an `exclusion` of zero ends it.
    pub fn disconnect(&self, peer: u16, reason: &str, exclusion: Duration) {
        let mesh = &self.0;
        let Some(link) = mesh.links.get(&peer) else { return };
        mesh.metrics.peers_excluded.add(1);
        if let Some(suppressed) = mesh.may_log(Line::Excluded, peer) {
            tracing::warn!(peer, reason, ?exclusion, suppressed, "disconnected a peer that misbehaved");
        }
        link.exclude(mesh.clock.now() + exclusion, reason);
    }
}

/// The kinds of lines in the log that a peer can cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Connected,
    Disconnected,
    Unreachable,
    Unresolved,
    Duplicate,
    Excluded,
    Certificate,
}

/// What others can make this validator write to its log.
struct Lines {
    peers: LogLimit<(Line, u16)>,
    /// By address, for those whose identity is not known.
    strangers: LogLimit<IpAddr>,
}

/// The mesh of one validator.
pub(crate) struct Mesh {
    me: u16,
    known_as: Fingerprint,
    channels: Vec<Channel>,
    links: BTreeMap<u16, Link>,
    /// For handshakes that come from the address of no peer.
    strangers: Places,
    handler: PeerHandler,
    metrics: Arc<Metrics>,
    clock: Clock,
    lines: Mutex<Lines>,
    /// How often a second process was met that uses the identity of a validator, by that validator.
    duplicates: Mutex<BTreeMap<u16, u64>>,
}

/// What only the network thread needs.
pub(crate) struct OpenMesh {
    pub(crate) endpoints: Arc<Endpoints>,
    accepting: Accepting,
    calling: Vec<(u16, Calling)>,
    names: Names,
}

impl Mesh {
    /// Opens the port; must be called inside the runtime.
    pub(crate) fn open(
        settings: PeerSettings,
        identity: &Identity,
        handler: PeerHandler,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Result<(Arc<Self>, OpenMesh), NetError> {
        check(&settings)?;
        let PeerSettings { me, known_as, sockets, names, peers, channels } = settings;
        let streams = Streams {
            uni: channels.len() as u32,
            bi: 0,
            send_window: channels.iter().map(|channel| 2 * channel.queue_bytes as u64).sum(),
            receive_window: channels.len() * STREAM_WINDOW,
        };
        let pins = Pins::new(peers.iter().map(|peer| peer.fingerprint).collect());
        let accepting = Accepting::new(tls::server(identity, PEER_PROTOCOLS, Some(pins))?, streams)?;
        let calling = peers
            .iter()
            .filter(|peer| peer.fingerprint > known_as)
            .map(|peer| {
                let pins = Pins::new(vec![peer.fingerprint]);
                let tls = tls::client(pins, PEER_PROTOCOLS, Some(identity))?;
                Ok((peer.index, Calling::new(tls, streams)?))
            })
            .collect::<Result<_, NetError>>()?;
        let endpoints = Endpoints::open(sockets, (identity, "peers"), &accepting, &metrics)?;
        let lines = Lines {
            peers: LogLimit::new(LOG_INTERVAL, 7 * peers.len()),
            strangers: LogLimit::new(LOG_INTERVAL, STRANGERS_NAMED),
        };
        let mesh = Self {
            me,
            known_as,
            channels,
            links: peers.into_iter().map(|peer| (peer.index, Link::new(peer))).collect(),
            strangers: Places::new(calls::STRANGERS_MAX),
            handler,
            metrics,
            clock,
            lines: Mutex::new(lines),
            duplicates: Mutex::default(),
        };
        let open = OpenMesh { endpoints: Arc::new(endpoints), accepting, calling, names };
        Ok((Arc::new(mesh), open))
    }

    /// Whether anything is queued or unacknowledged.
    pub(crate) fn unsent(&self) -> bool {
        let mut ups = self.links.values().filter_map(Link::up);
        ups.any(|up| (0..self.channels.len()).any(|channel| up.used(channel) > 0))
    }

    fn count_duplicate(&self, of: u16) {
        self.metrics.duplicate_identities.add(1);
        *self.duplicates.lock().unwrap_or_else(PoisonError::into_inner).entry(of).or_default() += 1;
    }

    fn peer_of(&self, certificate: &CertificateDer<'_>) -> Option<u16> {
        let mut links = self.links.iter();
        links.find(|(_, link)| link.peer.fingerprint.means(certificate)).map(|(peer, _)| *peer)
    }

    /// Whether such a line about a peer may be written; if so, how many were held back before it.
    fn may_log(&self, line: Line, peer: u16) -> Option<u64> {
        self.lines().peers.admit((line, peer), self.clock.now())
    }

    /// The same for a caller that is not known.
    fn may_log_refusal(&self, address: IpAddr) -> Option<u64> {
        self.lines().strangers.admit(source(address), self.clock.now())
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
