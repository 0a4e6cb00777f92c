//! One encoding for what is signed, sent and stored.
//!
//! ```text
//! batch        160-byte header | sections | 128-byte packets      digest = SHA-256 of network, header and sections
//! block        80-byte header | roots | heads                     digest = SHA-256 of all of it
//! frame        kind byte | payload                                client and peer protocols
//! ```
//!
//! Invariants: integers are little-endian; a value has exactly one encoding and an encoding exactly one value; a
//! decoder checks a length against its limit *and* against the bytes that are there before it allocates; nothing may
//! trail. What decodes is well-formed, not true: signatures, roots and balances are the business of later rooms.

pub mod answers;
mod batch;
mod block;
mod client;
mod codec;
mod feed;
mod genesis;
mod peer;
mod standing;

pub use batch::{BATCH_MESSAGE_BYTES, Batch, BatchSection};
pub use block::{Block, BlockError, Header};
pub use client::{
    ACCEPTED_SINCE, AsOf, BEHIND_MAX, ClientFrame, Notice, PROTOCOL_VERSION, PROTOCOL_VERSION_FIRST, Query,
    STANDING_SINCE, ServerFrame, version_for,
};
pub use codec::{Reader, WireError, Writer};
pub use feed::{Cursor, FeedQuery, Happening, NoCursor};
pub use peer::{FinalizedBlock, PeerMessage, PeerVersion, StateOffer};
pub use standing::{Role, Standing};

#[cfg(test)]
pub(crate) mod tests;
