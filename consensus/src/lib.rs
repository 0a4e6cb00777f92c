//! Orders opaque 32-byte payloads among a fixed set of validators.
//!
//! ```text
//!            Application (the caller's)                    peers
//!   propose / verify / certify  | replies, any thread        ^ |
//!   relay / finalized / fault ^ |                  Transport | | Inbound
//!            +----------------|-v----------------------------|-v-------+
//!            | simplex: voter, batcher, resolver                       |
//!            |   start: on a thread "consensus"                        |
//!            |   spawn: tasks of any commonware runtime                |
//!            +------------------|--------------------------------------+
//!                               v blobs: in memory, every mutation a record
//!                            Store (the caller's append-only log)
//! ```
//!
//! The engine is `commonware-consensus` simplex with Ed25519 votes and a new leader in each view. This crate adds what
//! surrounds it: a transport, a group-committing storage with replay and compaction, a plain callback interface, and
//! a [`Verifier`] of finalization certificates that needs no runtime. Time, tasks and randomness come from the runtime
//! and from nowhere else, so a cluster on commonware's deterministic runtime is one thread and a seed.
//!
//! Invariants:
//! - A vote leaves this process only after the record that remembers it is durable. When the store cannot promise
//!   that any more, the engine stops ([`Application::stopped`]) and never votes again in this run.
//! - A validator restarted from its replayed [`Store`] never votes twice. One restarted from an *empty* store may,
//!   because it has forgotten, unless it starts from a [floor](Config::floor) above all its votes.
//!   One whose store was put back is given away by votes that others hold and its [`Memory`] lacks.
//! - A [`Finalization`] exists only if a quorum's signatures under it were checked.
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
mod votes;
mod engine;
mod handle;

pub use application::{Application, Fault, FaultKind, ProposalContext, Reply};
pub use certificate::{CertificateError, Evidence, Finalization, Verifier};
pub use config::{Config, StartError, Timing};
pub use context::Runtime;
pub use engine::{Wiring, spawn, start};
pub use halt::StopReason;
pub use handle::{Counters, Handle};
pub use store::{RECORD_BYTES_MAX, Replay, ReplayError, Store, SyncDone};
pub use transport::{Channel, Inbound, Inbox, Recipients, Transport, inbound, message_bytes_max};
pub use votes::{Memory, VOTE_BYTES_MAX};

/// What is ordered: a digest of something only the application understands.
pub type Payload = [u8; 32];

/// The epoch of a network's first validators.
pub const FIRST_EPOCH: u64 = 0;

#[cfg(test)]
mod tests;
