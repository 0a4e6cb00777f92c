//! The validator as a value: inputs and time in, outputs out. No thread, no clock, no network, no process exit.
//!
//! ```text
//!   journal ─▶ Recovery ─▶ Recovered ─▶ (what a replica starts with)
//!   peers, verifiers, journal,      ┌──────────────── Replica ────────────────┐   send, append, answer, notify,
//!   consensus, committer ── Input ─▶│ sealing streams voting exchange rejoin  │─▶ hand on, observe, halt     (Ports)
//!                     and time      └─────────────────────────────────────────┘
//!   finalized blocks with bodies ──▶ Committer: execute ─▶ record ─▶ durable ─▶ receipts and notices
//! ```
//!
//! The node drives a replica with threads and sockets; the simulator drives many on one thread with queues and a
//! virtual clock. Both run this code. The protocol that it speaks is written down in `docs/PROTOCOL.md`; R1 to R14 in
//! comments are the rules there.
//!
//! Invariants, in heights: `committed <= executed <= dispatched <= finalized`. A block is dispatched when every body is
//! here, in the order of heights. What a metric says is never read back: [`Observation`]s only leave.

mod checkpoint;
mod committer;
mod epochs;
mod exchange;
mod feed;
mod fetching;
mod hints;
mod index;
mod input;
mod mend;
mod reader;
mod rebuild;
mod record;
mod recovery;
mod pace;
mod rejoin;
mod sealing;
mod state;
mod states;
mod streams;
mod voting;

pub use checkpoint::{
    CaptureError, ChainCheckpoint, Checkpoint, CheckpointDue, CheckpointError, CheckpointMark, CommonState,
    FetchedState, Held, Keeper, Restored, Retention, RetentionPlan, Schedule, ServedState, ValidatorId,
    chunk_frame, chunk_position, is_chunk,
};
pub use committer::{CommitPorts, Committer, CommitterEvent, Job, OwnBatch};
pub use epochs::{Epochs, EpochsError, Evidence, Handover, HandoverError};
pub use feed::FeedBlocks;
pub use hints::Hints;
pub use index::{BlockIndex, Positions};
pub use input::{
    Answer, Check, Halt, Input, Now, Observation, Offence, Ports, QuestionId, Read, Stage, StateRead, To,
    Tuning, Work,
};
pub use mend::{MendError, Mender, Others};
pub use reader::{JournalReader, ReadError};
pub use rebuild::{RebuildError, rebuild};
pub use record::{
    Boot, ChainRecord, CommittedBlock, KIND_BATCH, KIND_BLOCK, KIND_BOOT, KIND_COMMITTED, KIND_STATE,
    RecordError,
};
pub use recovery::{Progress, Recovered, Recovery, RecoveryError, Start};
pub use rejoin::{Boots, Losses, validators_known};
pub use state::{Replica, Settings};

#[cfg(test)]
mod tests;
