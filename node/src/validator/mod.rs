//! One running validator: threads that drive an [`engine::replica`], and what they share.
//!
//! ```text
//!  clients ─▶ net ──ingress──▶ verify-N ──mempool──▶ core ◀──questions, answers── consensus ─▶ consensus-log
//!             ▲ │                 ▲ └───verdicts────▶│ ▲
//!             │ └──peers' messages─────────────────▶ │ └──executed, committed── executor ──deltas──▶ query
//!      peers ◀┴─ batches, holdings, blocks ──────────┤                            ▲   │
//!             └──────── server ◀─── requests ────────┤──finalized blocks──────────┘   │
//!                                                    └──batches, blocks──▶ journal ◀──┘
//! ```
//!
//! | thread | work | its queue, and what happens when that is full |
//! |---|---|---|
//! | `net` | QUIC to peers and clients | bytes for each peer and client; a sender that is ahead is slowed down |
//! | `verify-N` | refusals, signatures, admission to the mempool | a queue for each client (*Busy*) and peer (dropped, sent again) |
//! | `core` | the replica: sealing, streams, voting, catch-up | bounded by what its senders may have on their way |
//! | `executor` | the committer: execution, roots, receipts | at most `ROOT_LAG_MAX` blocks |
//! | `journal` | batches, blocks and committed blocks to disk | appending waits: the back-pressure of the disk |
//! | `consensus`, `consensus-log` | simplex; votes to disk | a share for each peer; what exceeds it is dropped |
//! | `server` | batches and blocks from the journal, for peers that catch up | a few requests for each peer; dropped, asked again |
//! | `query` | what clients ask, from journal and committed view | 256 questions of each client, in turns; *try again* |
//! | `signals` | what the operator asks for | the order of a stop ends the process if the others are too slow |
//! | `scrubber` | reads everything on the disk, slowly, and repairs the journal | answers of peers to one question; dropped |
//! | `gateway` | HTTP, at a lower priority, if it is configured | its own bounds; it cannot end the validator |
//! | `checkpoints` | what the query thread has captured, to disk, slowly | one; the next one is left out |
//! | `device`, `device-lines` | the child with a GPU's driver, if one is configured | three batches; the CPU checks the rest |
//! | `recheck` | final signatures that a device may have accepted, by the CPU | none: it reads the journal |
//!
//! Every thread parks when it has nothing to do: with more validators than cores, a spinning consumer takes its time
//! from the producer that it waits for. None of them outlives [`run`].

pub mod counters;
pub mod ordering;
pub mod peers;

mod alarms;
mod caller;
mod catch_up;
mod checking;
pub(crate) mod certificate;
pub(crate) mod checkpoints;
mod clients;
pub(crate) mod committed;
pub(crate) mod clock;
mod core;
mod damage;
mod events;
mod executor;
mod fatal;
mod fetched_epochs;
mod memory;
mod neighbour;
mod orders;
mod queries;
mod questions;
mod report;
mod room;
mod rules;
mod scrub;
mod offenders;
mod peer_scores;
mod place;
mod reader;
mod recheck;
mod recover;
mod rehearsal;
mod reload;
pub(crate) mod search;
mod seat;
mod service;
pub(crate) mod sessions;
mod shared;
mod start;
mod storage;
mod turns;
mod verifier;

pub use fatal::EXIT_FATAL;
pub use fetched_epochs::EPOCHS_FILE;
pub use recheck::Forgery;
pub use rehearsal::{Rehearsal, rehearse};
pub use start::run;
pub(crate) use start::{VOTE_SEGMENT_BYTES, client_settings};
