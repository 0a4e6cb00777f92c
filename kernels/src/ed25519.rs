//! Ed25519 as consensus needs it: the same verdict from everybody, on every input.
//!
//! ```text
//! entries ──▶ verify_batch ──▶ one random linear combination ── holds ──▶ all true
//!      │                                 │ fails                                (an encoding that is refused is in no
//! sum)      │                                 └──▶ by group, then by halves ──▶ eight independent lanes, or singles
//! ──▶ a verdict each      └ verify_groups: the same, and says what it cost
//!
//! requests ─▶ sign_batch ──▶ eight to a vector, the same bytes as one by one, in constant time
//! ```
//!
//! The accepted set is ZIP-215: `A` and `R` may be non-canonical encodings of curve points, `s < L`, and
//! `[8](sB − R − kA) = 0` with `k = SHA-512(R ‖ A ‖ M)` over the bytes as received.
//!
//! Invariants:
//!
//! - `verify_batch(e)[i] == verify(e[i])` for every `i`, except with probability 2⁻¹²⁸ over an unpredictable seed.
//! - A bad entry costs its neighbours time, never their verdict; those of other groups at most as much as the first
//!   sum.

#[cfg(feature = "std")]
mod all;
#[cfg(feature = "std")]
mod backend;
#[cfg(feature = "std")]
mod base;
#[cfg(feature = "std")]
mod comb;
#[cfg(feature = "std")]
mod combination;
#[cfg(feature = "std")]
mod crossovers;
#[cfg(feature = "std")]
mod decoded;
#[cfg(feature = "std")]
mod decompress;
#[cfg(feature = "std")]
mod encode;
#[cfg(feature = "std")]
mod field;
#[cfg(feature = "gpu")]
pub(crate) mod groups;
#[cfg(feature = "std")]
mod halve;
#[cfg(feature = "std")]
mod lanes;
#[cfg(feature = "std")]
mod msm;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod naf;
#[cfg(feature = "gpu")]
pub(crate) mod numbers;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod packed;
#[cfg(feature = "std")]
mod point;
#[cfg(feature = "std")]
mod power;
#[cfg(feature = "std")]
mod scalar;
#[cfg(feature = "std")]
mod search;
#[cfg(feature = "std")]
mod signing;
mod single;
mod small_order;
// Two attributes: the lints do not see a test in `all(test, ..)`.
#[cfg(test)]
#[cfg(feature = "std")]
pub(crate) mod tests;

#[cfg(feature = "std")]
pub(crate) use all::combination_holds_on;
#[cfg(feature = "std")]
pub use all::{
    BATCH_MAX, Item, verify_batch, verify_batch_on, verify_groups, verify_groups_on, verify_lanes_on,
    verify_on,
};
#[cfg(feature = "std")]
use all::{each_in_lanes, verify_items};
#[cfg(feature = "std")]
pub use backend::{Backend, BackendError};
#[cfg(feature = "std")]
pub use crossovers::Crossovers;
#[cfg(feature = "std")]
pub use decoded::{DecodedEntry, DecodedKey, verify_batch_decoded, verify_batch_decoded_on};
#[cfg(all(test, feature = "gpu"))]
pub(crate) use field::laws;
#[cfg(feature = "std")]
pub use search::{Company, Effort, Group};
#[cfg(feature = "std")]
pub use signing::{SignRequest, SigningKey, public_keys, public_keys_on, sign_batch, sign_batch_on};
pub use small_order::is_small_order;

/// The 32 bytes of an encoded public key; any bytes, checked on use.
pub type PublicKey = [u8; 32];
/// The 64 bytes `R ‖ s` of a signature; any bytes, checked on use.
pub type Signature = [u8; 64];

/// One signature to check.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The signer's encoded public key.
    pub key: &'a PublicKey,
    /// The signed bytes, exactly.
    pub message: &'a [u8],
    /// `R ‖ s`.
    pub signature: &'a Signature,
}

/// Whether `signature` is `key`'s signature over `message`, by ZIP-215.
#[must_use]
pub fn verify(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let entry = Entry { key, message, signature };
    #[cfg(feature = "std")]
    return verify_on(Backend::best(), &entry);
    #[cfg(not(feature = "std"))]
    single::verify(&entry)
}
