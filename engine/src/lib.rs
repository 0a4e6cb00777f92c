//! The ledger: everything that is true of money and of blocks, and nothing of networks.
//!
//! ```text
//! packet ─▶ ingress ─▶ verify ─▶ mempool ─▶ availability ─▶ order ─▶ execute ─▶ store ─▶ roots ─▶ receipts
//!           bytes      Verified             Head            Finalized Delta     Durable  StateRoot  Receipt
//! ```
//!
//! The rooms are listed in the order in which a transaction walks through them. Each hands on evidence that only it can
//! mint: the holder of a `Verified<Transaction>` need not check its signature, the holder of a `Receipt` may tell the
//! client *committed*. No evidence type can be deserialized; after a restart it is earned again.
//!
//! Invariants of the whole: `executed <= finalized <= proposed` in heights; the sum of all balances of a chain is the
//! supply of its genesis; every function of a block gives the same bytes on every validator.

// What everything speaks.
pub mod limits;
pub mod types;
pub mod wire;

// The rooms.
pub mod ingress;
pub mod verify;
pub mod mempool;
pub mod availability;
pub mod order;
pub mod execute;
pub mod chains;
pub mod roots;
pub mod store;
pub mod receipts;
pub mod sync;

// The rooms together.
pub mod replica;

// Beside the walk: the independent definition of what a validator's files must say.
pub mod audit;
