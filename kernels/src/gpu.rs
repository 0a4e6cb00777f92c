//! Signatures and trees in compute shaders, where the machine has a Vulkan driver. Nothing here decides alone.
//!
//! ```text
//!   Device ──▶ Verifier: submit, take ──▶ wide         ten limbs, 64-bit products, projective: a verdict each
//!                    │                ├─▶ narrow       twenty limbs, 32 bits, extended: a verdict each
//!                    │                └─▶ combination  narrow's limbs, the CPU's coefficients: a point for 32 entries
//!                    │                                     │
//!                    └── DoubleCheck: wide and combination ┴──▶ accepted, or undecided: the CPU decides
//! ```
//!
//! Unlike the rest of the crate this talks to a driver, so it can fail: every error is a [`GpuError`], and no error
//! says anything about a signature. Waiting takes its time from the caller. Each program is a folder with its shaders,
//! a page on layout and bounds, and tests; its host code is the file beside it.
//!
//! Invariants:
//!
//! - On every input on which it answers, a program says what [`crate::ed25519::verify`] says. The tests hold it to
//!   that; nothing relies on it: see [`DoubleCheck`].
//! - Claims come back with every answer and every error.

mod claim;
mod clock;
pub mod combination;
mod device;
mod double_check;
mod error;
mod narrow;
mod program;
mod tree;
mod upload;
mod verifier;
mod wide;
#[cfg(test)]
pub(crate) mod tests;

pub use claim::Claim;
pub use device::{Device, DeviceInfo};
pub use double_check::{CANARIES, Disagreement, DoubleCheck, Judged, Opinion, Pending};
pub use error::GpuError;
pub use program::Program;
pub use tree::{RootCheck, TreeHasher};
pub use verifier::{Capacity, Refused, Rejection, Settled, Taken, Ticket, Verifier};
