//! Execution: one serial pass per chain over the transactions of a block, in the order of the block. What a transaction
//! does once its nonce is spent is for the [kind](crate::chains) of its chain to say.
//!
//! ```text
//! [Delivery]        ─┐
//! [Verified<Batch>] ─┴▶ StateWriter::execute(height) ──▶ Delta { outcomes, inbox, outbox, changes (before and after) }
//!                              │  one writer                     └─ undo(delta) takes it back
//!                              ▼
//!                     Arc<ChainState>  ◀── many advisory readers (verify: keys, replay windows)
//! ```
//!
//! State is an array: account ids are dense, so a look-up is an index, and an account is one cache line: key, key
//! version, balance, replay window. One serial pass with prefetch takes 50 to 80 ns for each transaction. A parallel
//! scheme such as Block-STM pays more than that for each transaction, to find out which of them conflict.
//!
//! Invariants, all asserted: a chain's balances grow by what its inbox brings less what its outbox takes, and by
//! nothing else; heights are executed one after the other without gaps; `outcomes.len() == number of transactions`;
//! undoing a delta restores every byte. [`oracle`] is the definition; the pass here is compared with it.

mod book;
mod crossing;
mod delta;
pub(crate) mod grown;
mod list;
pub mod oracle;
mod pages;
mod prefetch;
mod reserved;
pub(crate) mod segments;
mod state;
mod table;
mod touched;
mod window;
mod writer;

pub(crate) use book::Book;
pub use book::{Neighbour, Neighbours};
pub use crossing::{Crossing, DELIVERY_BYTES, Delivery, Leg, route};
pub use delta::{Balance, Change, Delivered, Delta};
pub use list::Chains;
pub use pages::Pages;
pub(crate) use prefetch::{PREFETCH_AHEAD, prefetch};
pub use state::{AccountKey, AccountState, ChainState, Growth};
pub use table::{Key, Row, RowChange, Table, shows_absence};
pub use window::{ReplayWindow, WindowRefusal};
pub use writer::{ChainRules, StateWriter};

#[cfg(test)]
pub(crate) mod tests;
