//! The network under adversaries: what is checked without sockets, real disks and clocks.
//!
//! ```text
//!   seed ─▶ Plan: who lies, what breaks when ─▶ World ─▶ Checks ─▶ Report
//!                                                ├─ n whole validators: replica, committer, verifier, logs, consensus
//!                                                ├─ links, disks, clocks, clients
//!                                                └─ one queue of events in virtual time, one thread
//! ```
//!
//! [`simulate`] runs whole validators as they are shipped: `engine::replica` and `consensus` on commonware's
//! deterministic runtime, with disks, links and clocks of its own. A seed is a run: the same seed gives the same trace,
//! so a failure is a seed. A [`Rule`] can be broken on purpose, to see that a checker finds it.
//!
//! [`model`] explores every state of a small abstract network and so checks the rules of voting and fetching
//! themselves, without the code that implements them.
//!
//! What is simplified: the disks' syncs end in the order in which they began; a process that is paused finds its
//! consensus engine's timers on time, but nothing leaves or reaches it; signatures are real.

pub mod model;

mod administrators;
mod bell;
mod byzantine;
mod chance;
mod checkpoints;
mod checks;
mod clients;
mod decisions;
mod device;
mod described;
mod disks;
mod drive;
mod engines;
mod environment;
mod evidence;
mod faults;
mod fingerprints;
mod finish;
mod flows;
mod held;
mod host;
mod keys;
mod learnt;
mod links;
mod meter;
mod moments;
mod observed;
mod oversize;
mod pace;
mod pause;
mod reserved;
mod rules;
mod run;
mod scenarios;
mod schedule;
mod script;
mod seats;
mod serve;
mod states;
mod trace;
mod validator;
mod world;

pub use meter::{Cost, Traffic};
pub use reserved::SetAside;
pub use rules::Rule;
pub use run::{Report, Run, simulate};
pub use scenarios::Scenario;

#[cfg(test)]
mod tests;
