//! SHA-256 and SHA-512 (FIPS 180-4), for one message, for a message in parts, and for many messages of one length.
//!
//! ```text
//! sha256(m)   sha256_parts([a, b]) = sha256(a ‖ b)   sha256_many(m₀ ‖ m₁ ‖ …, len) = [sha256(m₀), sha256(m₁), …]
//! ```
//!
//! Single messages go through the `sha2` crate, which finds the CPU's instructions at run time by itself. Many messages
//! of one length go side by side, as the backend of this CPU has it:
//!
//! ```text
//! messages ──▶ Shape: which bytes come from where ──▶ Backend ─┬─▶ lanes (AVX-512, AVX2): words of many messages a vector
//!              (prefix, parts, padding)                         ├─▶ shani: two messages at a time
//!                                                              └─▶ the sha2 crate
//! ```
//!
//! The digests are the same. No message is copied to the heap, so that secret ones may be hashed.

use ::sha2::Digest as _;

#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod avx2;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod avx512;
#[cfg(feature = "std")]
mod backend;
#[cfg(feature = "std")]
pub(crate) mod constants;
#[cfg(feature = "std")]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "there the sha2 crate does it all"))]
mod group;
#[cfg(feature = "std")]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "there the sha2 crate does it all"))]
mod lanes;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod shani;
#[cfg(feature = "std")]
mod many;
// Two attributes: the lints do not see a test in `all(test, ..)`.
#[cfg(test)]
#[cfg(feature = "std")]
mod tests;
#[cfg(feature = "std")]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "there the sha2 crate does it all"))]
mod word;

#[cfg(feature = "std")]
pub use backend::Backend;
#[cfg(feature = "std")]
pub(crate) use many::{best_sha256, prefixed_many};
#[cfg(feature = "std")]
pub use many::{sha256_many, sha256_many_on, sha512_each, sha512_each_on};

/// SHA-256 of one message.
#[must_use]
pub fn sha256(message: &[u8]) -> [u8; 32] {
    ::sha2::Sha256::digest(message).into()
}

/// SHA-256 of the concatenation of `parts`, without concatenating them.
#[must_use]
pub fn sha256_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = ::sha2::Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// SHA-512 of one message.
#[must_use]
pub fn sha512(message: &[u8]) -> [u8; 64] {
    ::sha2::Sha512::digest(message).into()
}

/// SHA-512 of the concatenation of `parts`, without concatenating them.
#[must_use]
pub fn sha512_parts(parts: &[&[u8]]) -> [u8; 64] {
    let mut hasher = ::sha2::Sha512::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
