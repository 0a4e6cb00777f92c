//! What a validator's network, replica and logs are given, from its configuration.

use std::time::Duration;

use engine::limits::{CLIENT_FRAME_BYTES_MAX, SERVER_FRAME_BYTES_MAX};
use engine::replica::{Settings as ReplicaSettings, Tuning};
use engine::store::{Backend, LogKind, Options, Owner};
use net::{ClientSettings, PeerSettings, Settings};

use super::VOTE_SEGMENT_BYTES;
use crate::config::{Config, StorageBackend};
use crate::validator::seat::Seat;

/// Clients connected to one validator.
const CLIENTS_MAX: usize = 1_024;
/// Bytes that may wait for all clients together.
const CLIENT_QUEUES_BYTES_MAX: usize = 256 << 20;
/// How long a client may leave its full queue unread.
const CLIENT_STALL: Duration = Duration::from_secs(5);

pub(in crate::validator) fn network_settings(
    config: &Config,
    seat: &Seat,
    (peer_sockets, client_sockets): (Vec<std::net::UdpSocket>, Vec<std::net::UdpSocket>),
    channels: Vec<net::Channel>,
) -> Settings {
    Settings {
        thread_name: "net".to_owned(),
        identity: config.identity.clone(),
        peers: Some(PeerSettings {
            me: seat.me.0,
            known_as: seat.known_as(config),
            sockets: peer_sockets,
            names: net::Names::default(),
            peers: seat.peers(config),
            channels,
        }),
        clients: Some(client_settings(client_sockets)),
    }
}

/// The bounds of a port for clients, the same for a validator and for a null sink.
pub(crate) fn client_settings(sockets: Vec<std::net::UdpSocket>) -> ClientSettings {
    ClientSettings {
        sockets,
        connections_max: CLIENTS_MAX,
        admission: net::Admission::default(),
        inbound_frame_bytes_max: CLIENT_FRAME_BYTES_MAX,
        outbound_frame_bytes_max: SERVER_FRAME_BYTES_MAX,
        inbound_bytes: 8 << 20,
        queue_bytes: (8 << 20).max(2 * SERVER_FRAME_BYTES_MAX),
        queue_bytes_total: CLIENT_QUEUES_BYTES_MAX,
        stalled_after: CLIENT_STALL,
    }
}

pub(in crate::validator) fn replica_settings(config: &Config, seat: &Seat) -> ReplicaSettings {
    let validators = seat.validators();
    let settings = ReplicaSettings::new(seat.me, validators);
    let Tuning { batch_packets_max, batch_delay, view_interval, skips_blocks } = tuning(config, seat);
    ReplicaSettings {
        batch_packets_max,
        batch_delay,
        view_interval,
        skips_blocks,
        observers: seat.observers(config).count(),
        verify_patience: consensus::Timing::for_validators(validators).leader_timeout,
        ..settings
    }
}

/// Those of a replica's settings that may be changed while it runs.
pub(in crate::validator) fn tuning(config: &Config, seat: &Seat) -> Tuning {
    let default = ReplicaSettings::new(seat.me, seat.validators()).view_interval;
    Tuning {
        batch_packets_max: config.work.batch_packets_max,
        batch_delay: config.work.batch_delay,
        view_interval: config.work.block_interval.unwrap_or(default),
        // Who is to keep everything may be the last one that has it.
        skips_blocks: !config.retention.is_everything(),
    }
}

/// Bytes of clients' packets that may wait for a verifier.
pub(in crate::validator) fn ingress_bytes(config: &Config) -> usize {
    config.work.ingress_packets * engine::limits::PACKET_BYTES
}

pub(in crate::validator) fn options(config: &Config, log: LogKind) -> Options {
    let backend = match config.storage {
        StorageBackend::Auto => Backend::Auto,
        StorageBackend::Uring => Backend::Uring,
        StorageBackend::Portable => Backend::Portable,
    };
    let network = *config.genesis.network().as_bytes();
    let owner = Owner { network, validator: config.public_key(), log };
    Options { backend, segment_bytes: config.segment_bytes, ..Options::new(owner) }
}

pub(in crate::validator) fn vote_options(config: &Config) -> Options {
    Options { segment_bytes: VOTE_SEGMENT_BYTES, group_bytes: 1 << 20, ..options(config, LogKind::Votes) }
}
