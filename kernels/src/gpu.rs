//! Signatures in compute shaders, where the machine has a Vulkan driver. Nothing here decides alone.
//!
//! ```text
//!   Device ──▶ Verifier: submit, take ──▶ wide    ten limbs, 64-bit products, projective ──┐
//!                                     └─▶ narrow  twenty limbs, 32 bits, extended ─────────┴─▶ an opinion of each
//! ```
//!
//! Unlike the rest of the crate this talks to a driver, so it can fail: every error is a [`GpuError`], and no error says
//! anything about a signature. Waiting takes its time from the caller. Each program is a folder with its shaders, a page
//! on layout and bounds, and tests; its host code is the file beside it.
//!
//! Invariants:
//!
//! - On every input on which it answers, a program says what [`crate::ed25519::verify`] says. The tests hold it to that;
//!   nothing may rely on it: a formula or a driver may be wrong.
//! - Claims come back with every answer and every error.

mod claim;
mod device;
mod error;
mod narrow;
mod program;
mod upload;
mod verifier;
mod wide;
#[cfg(test)]
pub(crate) mod tests;

pub use claim::Claim;
pub use device::{Device, DeviceInfo};
pub use error::GpuError;
pub use program::Program;
pub use verifier::{Capacity, Refused, Rejection, Settled, Taken, Ticket, Verifier};
