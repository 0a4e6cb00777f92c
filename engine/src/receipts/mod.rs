//! Receipts: the right to tell a client *committed*.
//!
//! ```text
//! &Durable (the log synced the record of the height) ─┐
//!                                                     ├─▶ Receipt(height) ─▶ NoticeBook ─▶ one list a connection
//! &StateRoot (the height was executed)  ──────────────┘                         ▲
//!                                               refusals need no receipt ───────┘
//! ```
//!
//! Invariants: a verdict `Committed` or `Failed` enters a [`NoticeBook`] only with the [`Receipt`] of its height; a
//! receipt exists only if the record of the height lies below what is durable. `notified <= durable <= executed` in
//! heights.

mod notices;
mod receipt;

pub use notices::NoticeBook;
pub use receipt::Receipt;

#[cfg(test)]
mod tests;
