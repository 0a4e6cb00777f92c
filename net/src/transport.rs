//! How QUIC is tuned, and how its ends are put together.
//!
//! CPU per byte is what counts here: four validators share two cores. On loopback a datagram may be as
//! large as an IP packet, which makes one system call, one AEAD call and one acknowledgement of what
//! would be 45 on an Ethernet path; there segmentation offload does the same for the system calls.
//! Measured on the two-core machine, busy with other work, with `examples/loopback.rs`, both ends: 0.8 ns a byte with
//! datagrams of 64 KiB, 1.3 with 6.5 KiB and offload, 1.9 with 16 KiB. Cubic, NewReno and BBR are within
//! the noise of each other there, since socket buffers of 4 MiB let nothing be dropped; so it is Cubic.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ConnectionError, ConnectionIdGenerator, EndpointConfig, MtuDiscoveryConfig, TransportConfig, VarInt,
};
use quinn_proto::HashedConnectionIdGenerator;
use rustls::Error;

use crate::identity::Identity;
use crate::tls::NO_PROTOCOL;

/// What a frame of loopback, which has 65,536 bytes, carries over IPv6. Over IPv4 it would be 19 bytes more.
pub(crate) const LOOPBACK_MTU: u16 = (65_536 - 40 - 8) as u16;
/// The most that UDP over IPv4 carries, and that the kernel takes of several datagrams at once.
pub(crate) const AT_ONCE_MAX: u16 = 65_507;
/// Upper end of the search on a real path: what a frame of 9,000 bytes carries over IPv4. Over IPv6 it is 20 bytes
/// less, which the search finds, as it finds the 1,472 or 1,452 of an Ethernet without such frames.
pub(crate) const NETWORK_MTU: u16 = 9_000 - 20 - 8;
/// Any path carries this much.
const SMALLEST_MTU: u16 = 1_200;

/// A silent peer is given up after this. Generous, because a busy machine may leave a validator
/// without CPU for seconds; a restarted peer is noticed at once by its stateless reset.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// First guess of the round trip, so that a lost first datagram is repeated after 150 ms, not 1 s.
const INITIAL_RTT: Duration = Duration::from_millis(50);

/// How many bytes of one stream may be on their way or wait to be read.
pub(crate) const STREAM_WINDOW: usize = 2 << 20;
/// Calls that wait to be looked at, with early datagrams of so many bytes each and together; each is
/// looked at as soon as the network thread turns to it.
const INCOMING_MAX: usize = 1_024;
const INCOMING_BYTES: u64 = 16 << 10;
const INCOMING_BYTES_TOTAL: u64 = 4 << 20;

/// Reasons for closing, as the other side sees them beside the text.
pub(crate) mod close {
    pub(crate) const STOPPING: u32 = 0;
    pub(crate) const REPLACED: u32 = 1;
    pub(crate) const VIOLATION: u32 = 2;
    pub(crate) const REFUSED: u32 = 3;
    pub(crate) const STALLED: u32 = 4;
    /// Two processes use one identity; the one that hears this waits longer each time.
    pub(crate) const DUPLICATE: u32 = 6;
    /// Nothing is wanted of this identity for a while.
    pub(crate) const EXCLUDED: u32 = 7;
}

/// What the streams of a connection need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Streams {
    /// One-way streams that the other side may open.
    pub(crate) uni: u32,
    /// Two-way streams that the other side may open.
    pub(crate) bi: u32,
    /// Bytes that we may have written and not seen acknowledged. Larger than all queues together, or
    /// a full bulk channel would keep an urgent one from writing.
    pub(crate) send_window: u64,
    /// Bytes that the other side may have sent and we not read, of all streams together.
    pub(crate) receive_window: usize,
}

/// One address of each kind.
const A_LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const A_NETWORK: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn transport(streams: Streams, remote: IpAddr) -> Arc<TransportConfig> {
    let loopback = is_loopback(remote);
    let mtu_max = if loopback { LOOPBACK_MTU } else { NETWORK_MTU };
    let mut search = MtuDiscoveryConfig::default();
    search.upper_bound(mtu_max);
    let mut congestion = CubicConfig::default();
    congestion.initial_window(if loopback { 1 << 20 } else { 64 << 10 });
    let mut config = TransportConfig::default();
    config
        .max_concurrent_uni_streams(VarInt::from_u32(streams.uni))
        .max_concurrent_bidi_streams(VarInt::from_u32(streams.bi))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW as u32))
        .receive_window(window(streams.receive_window))
        .send_window(streams.send_window)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IDLE_TIMEOUT.try_into().expect("ten seconds fit into a VarInt")))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(INITIAL_RTT)
        .initial_mtu(if loopback { LOOPBACK_MTU } else { SMALLEST_MTU })
        .min_mtu(SMALLEST_MTU)
        .mtu_discovery_config(Some(search))
        .enable_segmentation_offload(!loopback)
        .congestion_controller_factory(Arc::new(congestion));
    Arc::new(config)
}

/// Bytes as QUIC counts them.
pub(crate) fn window(bytes: usize) -> VarInt {
    VarInt::from_u32(u32::try_from(bytes).expect("windows are far below 2^32"))
}

/// Configurations for accepting, one for each kind of path.
#[derive(Debug, Clone)]
pub(crate) struct Accepting {
    loopback: Arc<quinn::ServerConfig>,
    network: Arc<quinn::ServerConfig>,
}

impl Accepting {
    pub(crate) fn new(tls: rustls::ServerConfig, streams: Streams) -> Result<Self, Error> {
        let crypto = Arc::new(QuicServerConfig::try_from(tls).map_err(no_suite)?);
        let config = |remote: IpAddr| {
            let mut config = quinn::ServerConfig::with_crypto(crypto.clone());
            config
                .transport_config(transport(streams, remote))
                .migration(false)
                .max_incoming(INCOMING_MAX)
                .incoming_buffer_size(INCOMING_BYTES)
                .incoming_buffer_size_total(INCOMING_BYTES_TOTAL);
            Arc::new(config)
        };
        Ok(Self { loopback: config(A_LOOPBACK), network: config(A_NETWORK) })
    }

    pub(crate) fn for_remote(&self, remote: SocketAddr) -> Arc<quinn::ServerConfig> {
        if is_loopback(remote.ip()) { self.loopback.clone() } else { self.network.clone() }
    }

    pub(crate) fn any(&self) -> quinn::ServerConfig {
        (*self.network).clone()
    }
}

/// Configurations for calling, one for each kind of path.
#[derive(Debug, Clone)]
pub(crate) struct Calling {
    loopback: quinn::ClientConfig,
    network: quinn::ClientConfig,
}

impl Calling {
    pub(crate) fn new(tls: rustls::ClientConfig, streams: Streams) -> Result<Self, Error> {
        let crypto = Arc::new(QuicClientConfig::try_from(tls).map_err(no_suite)?);
        let config = |remote: IpAddr| {
            let mut config = quinn::ClientConfig::new(crypto.clone());
            config.transport_config(transport(streams, remote));
            config
        };
        Ok(Self { loopback: config(A_LOOPBACK), network: config(A_NETWORK) })
    }

    pub(crate) fn for_remote(&self, remote: SocketAddr) -> quinn::ClientConfig {
        if is_loopback(remote.ip()) { self.loopback.clone() } else { self.network.clone() }
    }
}

fn no_suite(problem: quinn::crypto::rustls::NoInitialCipherSuite) -> Error {
    Error::General(problem.to_string())
}

/// Connection ids that a restarted process still recognizes as its own, so that it can tell a peer at
/// once that their connection is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionIds(u64);

impl ConnectionIds {
    pub(crate) fn new(identity: &Identity, purpose: &str) -> Self {
        let secret = identity.derive(&format!("{purpose} connection ids"));
        let (first, _) = secret.split_first_chunk().expect("32 bytes hold 8");
        Self(u64::from_le_bytes(*first))
    }

    pub(crate) fn generator(self) -> Box<dyn ConnectionIdGenerator> {
        Box::new(HashedConnectionIdGenerator::from_key(self.0))
    }
}

/// The part of the configuration that is common to a whole socket.
pub(crate) fn endpoint(identity: Option<(&Identity, &str)>) -> EndpointConfig {
    let mut config = match identity {
        Some((identity, purpose)) => {
            let ids = ConnectionIds::new(identity, purpose);
            let secret = identity.derive(&format!("{purpose} stateless resets"));
            let mut config =
                EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_slice())));
            config.cid_generator(move || ids.generator());
            config
        }
        None => EndpointConfig::default(),
    };
    config.max_udp_payload_size(u16::MAX - 8).expect("65,527 is the largest value that QUIC allows");
    config
}

/// What the other side, or we, said when the connection ended.
pub(crate) fn closing_words(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) => String::from_utf8_lossy(&close.reason).into_owned(),
        ConnectionError::ConnectionClosed(_) if tls_alert(error) == Some(UNKNOWN_CA) => format!(
            "the other side does not know this validator's certificate ({error}). Where this one only follows, or is to be \
             admitted: is its [[observer]] section in the node.toml there, and was that read again (SIGHUP)?"
        ),
        ConnectionError::TransportError(_) if tls_alert(error) == Some(UNKNOWN_CA) => format!(
            "no member and no [[observer]] section of this node.toml has the certificate of the other side ({error}). \
             To let it in, add its section and send SIGHUP"
        ),
        other => other.to_string(),
    }
}

/// The alert about a certificate that is not on the list of the side that checks it.
pub(crate) const UNKNOWN_CA: u64 = 48;

/// The same of a handshake in which this side has offered these protocols.
pub(crate) fn handshake_words(error: &ConnectionError, offered: &[&[u8]]) -> String {
    if tls_alert(error) != Some(NO_PROTOCOL) {
        return closing_words(error);
    }
    let offered: Vec<_> = offered.iter().map(|name| String::from_utf8_lossy(name)).collect();
    format!(
        "the other side speaks none of the protocols of this release ({}): the two releases are too far apart. Upgrade \
         the older side one release at a time",
        offered.join(", ")
    )
}

/// The TLS alert that ended a handshake, whichever side raised it.
pub(crate) fn tls_alert(error: &ConnectionError) -> Option<u64> {
    let code = match error {
        ConnectionError::TransportError(error) => u64::from(error.code),
        ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
        _ => return None,
    };
    (0x100..0x200).contains(&code).then(|| code - 0x100)
}

#[cfg(test)]
mod tests;
