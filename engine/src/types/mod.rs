//! The words of the ledger as types: ids, digests, the packet of a transaction, outcomes and refusals, the genesis.
//!
//! ```text
//! Packet (128 bytes as received) ── content() ──▶ Transfer or Command (its fields)
//!    └─ message(network) = network id || body      what is signed, and what the transaction id hashes
//! ```
//!
//! Invariants: a newtype never converts into another one silently; a `Genesis` that exists is valid, and its network id
//! is the hash of its header; a transaction id never depends on the signature.

mod command;
mod digest;
mod genesis;
mod ids;
mod packet;
mod verdict;

pub use command::{Action, Command, Frozen};
pub use digest::{Digest, TransactionId};
pub use genesis::{
    AccountGenesis, ChainGenesis, ChainKind, CryptoSuite, GENESIS_KEY_VERSION, Genesis, GenesisError,
    Issuance, Roles, ValidatorGenesis, quorum,
};
pub use ids::{AccountId, Asset, BatchId, ChainId, Head, Height, NoAsset, Sequence, ValidatorIndex};
pub use packet::{
    BURN_KIND, CROSS_TRANSFER_KIND, Content, FREEZE_KIND, ISSUE_KIND, Malformed, Packet, PacketSlab,
    TRANSFER_KIND, Transaction, Transfer,
};
pub use verdict::{Outcome, Refusal, UnknownCode, Verdict};

#[cfg(test)]
mod tests;
