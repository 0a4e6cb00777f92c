//! For simulators: the shipped log code on a disk in memory, turned by hand, never by a thread.
//!
//! ```text
//!  append ─▶ group ── submit() ──▶ unsynced sectors ── complete() ──▶ durable sectors ─▶ callbacks
//!                                        │                                  │
//!                                  kept, lost or torn in a crash      stay, unless they rot
//! ```
//!
//! `SimulatedLog` is `Log` without its thread: the simulator decides when a group goes to the disk and when its sync
//! returns, and puts as much virtual time between the two as it likes. `SimulatedDisk` promises the least that a real
//! disk promises: a synced sector stays; of the unsynced ones any may have arrived, whole or torn; names of segments
//! are durable when the call that made them returns.
//!
//! Invariants:
//! - the same calls with the same fates give the same bytes: there is no clock, no thread and no chance in here;
//! - a disk takes memory only for sectors that were written, at most twice the log's size; a log takes three groups, so
//!   a simulator with many of them sets small `group_bytes` and `segment_bytes` (a record must fit into each);
//! - opening a log, and a crash, end the life of the log that was open before: it can neither read nor write any more.

mod disk;
mod handle;
mod log;

pub use disk::{Fate, Faults, SimulatedDisk};
pub use log::SimulatedLog;
