//! One running validator: the wiring of [`crate::topology`], made real.
//!
//! ```text
//!   run: open logs ─▶ recover ─▶ bind ports ─▶ start network, consensus, threads ─▶ wait for a signal ─▶ stop
//! ```
//!
//! Everything below is a thread or what threads share; none of it outlives [`run`].

pub mod counters;
pub mod journal;
pub mod ordering;
pub mod peers;

mod clients;
mod clock;
mod core;
mod events;
mod executor;
mod fatal;
mod hints;
mod index;
mod queries;
mod recovery;
mod report;
mod server;
mod start;
mod verifier;

pub use fatal::EXIT_FATAL;
pub use start::run;
