//! One encoding for what is signed, sent and stored.
//!
//! ```text
//! batch        24-byte header | count x 128-byte packets          digest = SHA-256 of all of it
//! certificate  56-byte header | signers x (index, signature)
//! block        header | count | certificates                     digest = SHA-256 of the header
//! frame        kind byte | payload                                client and peer protocols
//! ```
//!
//! Invariants: integers are little-endian; a value has exactly one encoding and an encoding exactly one value; a decoder
//! checks a length against its limit *and* against the bytes that are there before it allocates; nothing may trail. What
//! decodes is well-formed, not true: signatures, roots and balances are the business of later rooms.

mod batch;
mod block;
mod certificate;
mod client;
mod codec;
mod genesis;
mod peer;

pub use batch::Batch;
pub use block::{Block, BlockError, Header, Section};
pub use certificate::{Acknowledgement, Certificate, CertificateError, acknowledgement_message};
pub use client::{ClientFrame, Notice, PROTOCOL_VERSION, Query, ServerFrame};
pub use codec::{Reader, WireError, Writer};
pub use peer::{FinalizedBlock, PeerMessage};

#[cfg(test)]
mod tests;
