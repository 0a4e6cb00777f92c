//! Truth about bytes: signatures, hashes and Merkle trees. No I/O, no policy, no clock, no chance of its own. Only
//! `gpu` talks to a driver; what to make of its opinions, and when to wait, is for its callers to say.
//!
//! ```text
//!    verify, verify_batch, verify_batch_decoded, SigningKey      root, prove, ArrayTree       run (vectors, all paths)
//!                         │                                              │                            │
//!                      ed25519 ───▶ sha2 ◀──────────────────────────── merkle         check ──▶ ed25519, every backend
//!                         │           │
//!                         └── cpu ◀───┘      tokens: what this CPU can run, found at run time
//! ```
//!
//! Invariants, which the tests hold against every path:
//!
//! - A verdict is a function of (key, message, signature) alone: single and batched verification, whatever
//!   the backend and whatever shares the batch, answer alike. Validators that disagree fork.
//! - The accepted set is that of ZIP-215: cofactored equation, `s < L`, non-canonical encodings of points accepted,
//!   and the bytes hashed are the bytes received.
//! - Randomness comes in as an argument. Nothing here panics on any input bytes.
//!
//! `cargo run --release -p kernels --example differential -- --seconds 600` looks for inputs on which paths differ.
//!
//! Without the feature `std` this is a crate for those who only check: `sha2::sha256`, `ed25519::verify`, and roots and
//! proofs of `merkle`, each on its plain path, with `alloc` and nothing else of the system.

#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(not(feature = "std"))]
extern crate alloc;

#[cfg(feature = "std")]
pub mod check;
#[cfg(feature = "std")]
mod cpu;
pub mod ed25519;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod merkle;
pub mod sha2;
