//! Frames between machines over QUIC. This crate moves opaque byte frames between validators, and
//! between clients and a validator; it does not look into frames.
//!
//! ```text
//!   validator 0                                     validator 1
//!   ┌──────────────┐  one QUIC connection a pair   ┌──────────────┐
//!   │ send(1, ch,  │  (mutual TLS 1.3, both sides  │ PeerEvent::  │
//!   │      bytes) ─┼─► pinned by fingerprint),   ──┼─► Message    │
//!   │              │  one one-way stream a channel │              │
//!   └──────▲───────┘                               └──────────────┘
//!          │ ClientEvent::Frame / Client::send
//!   ┌──────┴───────┐  another port, the validator alone shows a certificate,
//!   │ Connection   │  one two-way stream a client
//!   └──────────────┘
//! ```
//!
//! All of a validator's sockets are served by one thread ([`Network`]) with one runtime. The
//! handlers run on it, so they hand over and return.
//!
//! Invariants, for every peer, channel and client alike:
//!
//! - `queued + written but not yet acknowledged <= queue_bytes` on the way out,
//! - `delivered but not yet released <= inbound_bytes` on the way in (a [`Permit`] travels with each
//!   frame; while it is held its bytes are not read again from that stream),
//! - `frame length <= frame_bytes_max`, checked before a buffer is allocated,
//! - frames of one channel arrive in the order of `send`, or the connection is closed; frames sent while
//!   no connection is up are refused, never kept for later,
//! - at most one connection is used per pair of validators,
//! - bytes of the queues of all clients together `<= queue_bytes_total`,
//! - `clients introduced <= connections_max`, `clients whose first frame has not come <= strangers_max`,
//!   `handshakes of strangers on the peer port <= 64`; a peer's address has places of its own,
//! - names are looked up at every attempt to connect, each on a thread of its own, never on the network thread; each
//!   holds at most one such thread,
//! - what others can cause is logged through a [`LogLimit`], so that the log does not fill the disk.

mod address;
mod client_connection;
mod clients;
mod clock;
mod endpoints;
mod errors;
mod frame;
mod identity;
mod log_limit;
mod metrics;
mod network;
mod outbox;
mod peers;
mod places;
mod socket;
#[cfg(test)]
mod testing;
mod tls;
mod transport;

pub use address::{Address, AddressError, Host, Names};
pub use client_connection::{
    BlockingConnection, ClientConnection, ClientReceiver, ClientSender, ConnectOptions,
};
pub use clients::{Admission, Client, ClientEvent, ClientSettings, HELLO_BYTES_MAX};
pub use errors::{ConfigError, ConnectError, IdentityError, LinkError, NetError, SendError};
pub use frame::{FRAME_OVERHEAD, Frame, Permit};
pub use identity::{Fingerprint, Identity};
pub use log_limit::LogLimit;
pub use metrics::{Metrics, Snapshot};
pub use network::{Flow, Network, Settings};
pub use peers::{Channel, LinkState, OnFull, Peer, PeerEvent, PeerNetwork, PeerSettings};
pub use socket::bind;
pub use tls::{CLIENT_PROTOCOLS, PEER_PROTOCOLS};
