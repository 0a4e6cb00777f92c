//! What a program needs that talks to a validator: connect, submit, be told, ask, and check what it was told.
//!
//! ```text
//! Client (blocking) ── one question at a time, answers checked ──┐
//!                                                               ├─ Connection: Hello ─▶ Welcome, then
//! Connection (inside a tokio runtime) ── Sender │ Receiver ─────┘    Submit, Query ─▶ ◀─ Notices, Answer
//! ```
//!
//! ```no_run
//! # fn example(address: &client::Address, fingerprint: client::Fingerprint, network: engine::types::Digest,
//! #     packet: engine::types::Packet) -> Result<(), client::ClientError> {
//! let mut client = client::Client::connect(address, fingerprint, network)?;
//! let tags = client.submit(&[packet])?;
//! for notice in client.notices(std::time::Duration::from_secs(10))? {
//!     assert!(tags.contains(&notice.tag));
//!     client.check(&packet.id(&network), notice.verdict)?;
//! }
//! # Ok(()) }
//! ```
//!
//! Invariants:
//! - a connection that exists leads to the validator whose certificate was asked for, of the network that was asked
//!   for, in this version of the protocol;
//! - every answer says which height it speaks of, and how far its validator knows that it is behind;
//! - what [`Client::account`], [`Client::attestation`], [`Client::transaction`], [`Client::proof`] and
//!   [`Client::block`] return is what was asked for, and its Merkle path leads to the state root that it names. Whether
//!   the network agrees on that root, only other validators can say. Of a [`Client::feed`] the bytes of each event are
//!   checked, and its place.

mod error;
mod answer;
mod connection;
mod blocking;
mod proofs;

pub use answer::{
    Answer, Feed, FoundAttestation, FoundBlock, FoundReservation, FoundTransaction, Happened, Occurrence,
    RawAnswer,
};
pub use blocking::{Client, LocalAnswers};
pub use connection::{Connection, Event, Receiver, Sender, Welcome};
pub use engine::wire::{
    ACCEPTED_SINCE, AsOf, BEHIND_MAX, Cursor, FeedQuery, Happening, NoCursor, Notice, PROTOCOL_VERSION,
    Query, Role, Standing, answers,
};
pub use error::ClientError;
pub use net::{Address, Fingerprint};
