//! Orders opaque 32-byte payloads among a fixed set of validators.
//!
//! ```text
//!            Application (the caller's)                    peers
//!   propose / verify / relay ^  | replies, any thread        ^ |
//!   finalized / fault / stopped |                  Transport | | Inbound
//!            +------------------v----------------------------|-v-------+
//!            | simplex: voter, batcher, resolver  (thread "consensus") |
//!            +------------------|--------------------------------------+
//!                               v blobs: in memory, every mutation a record
//!                            Store (the caller's append-only log)
//! ```
//!
//! The engine is `commonware-consensus` simplex with Ed25519 votes and round-robin leaders, in one concrete
//! instantiation: all its generics are compiled here, once. This crate adds what surrounds it: a transport, a
//! group-committing storage with replay and compaction, a plain callback interface, and a [`Verifier`] of
//! finalization certificates that needs no runtime.
//!
//! Invariants:
//! - A vote leaves this process only after the record that remembers it is durable. When the store cannot promise
//!   that any more, the engine stops ([`Application::stopped`]) and never votes again in this run.
//! - A validator restarted from its replayed [`Store`] never votes twice. One restarted from an *empty* store may,
//!   because it has forgotten: never delete the records while the validator is a member.
//! - Every signature binds the network id, so nothing said in one network counts in another.
//! - Everything that comes from a peer is bounded before it is queued: its size, and how many messages wait.
//!
//! Only stable parts of commonware are used; the continuous integration proves it with
//! `RUSTFLAGS="--cfg commonware_stability_BETA" cargo check -p consensus`.

mod committee;
mod config;
mod application;
mod transport;
mod store;
mod halt;
mod context;
mod adapter;
mod certificate;
mod engine;

pub use application::{Application, Fault, FaultKind, Finalization, ProposalContext, Reply};
pub use certificate::{CertificateError, Evidence, Finalized, Verifier};
pub use config::{Config, StartError, Timing};
pub use engine::{Counters, Handle, Wiring, start};
pub use halt::StopReason;
pub use store::{RECORD_BYTES_MAX, Replay, ReplayError, Store, SyncDone};
pub use transport::{Channel, Inbound, Inbox, Recipients, Transport, inbound};

/// What is ordered: a digest of something only the application understands.
pub type Payload = [u8; 32];

#[cfg(test)]
mod tests;
