//! Signatures on a GPU, in a process of its own.
//!
//! ```text
//!  verify threads ──▶ Desk ──▶ slot in shared memory ──▶ child: driver, double check ──▶ opinions in the slot
//!        ▲             │ pace: how many it gets                │ line: which slot, how it went
//!        │             ▼                                       ▼
//!        └── accepted, or left to the CPU ◀── guard: known entries, a sample ◀── Desk
//! ```
//!
//! The driver of a GPU can crash, hang, or write where it should not. So it runs in a child process that shares nothing
//! with the validator but a stretch of memory and a socket. If the child ends, the validator loses a device, no more.
//! What the child accepts has passed two ways of checking in different arithmetic (`kernels::gpu::DoubleCheck`). It
//! counts only if the guard here finds nothing wrong with the batch (ADR 29 to 31). The CPU decides everything else.
//!
//! Invariants:
//!
//! - A slot is taken by one batch, until the child has answered for it or is dead; an answer of another generation is
//!   dropped.
//! - No verify thread waits longer than [`pace::PATIENCE_MAX`].
//! - A device that was caught with a wrong verdict is used no more, in this process and in the next
//!   ([`record::Record`]).

mod calibration;
mod child;
mod desk;
mod guard;
mod lines;
mod pace;
mod record;
mod shared_memory;
mod slot;
mod worker;

pub use calibration::{Calibration, Cpu, DeviceTimes};
pub use desk::{Desk, Hooks, Standing};
pub use pace::Policy;
pub use record::{Distrust, FILE as RECORD_FILE, Record, RecordError};
pub use worker::run as work;
