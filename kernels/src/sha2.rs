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

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod backend;
mod constants;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "there the sha2 crate does it all"))]
mod group;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "there the sha2 crate does it all"))]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod shani;
#[cfg(test)]
mod tests;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "there the sha2 crate does it all"))]
mod word;

pub use backend::Backend;
use group::Shape;

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

/// SHA-256 of many messages of `len` bytes each, lying back to back in `messages`.
///
/// # Panics
///
/// If `messages.len() != len * out.len()`: the caller owns both sizes.
pub fn sha256_many(messages: &[u8], len: usize, out: &mut [[u8; 32]]) {
    sha256_many_on(Backend::best_sha256(), messages, len, out);
}

/// [`sha256_many`] on a chosen backend, for comparisons.
///
/// # Panics
///
/// If `messages.len() != len * out.len()`: the caller owns both sizes.
pub fn sha256_many_on(backend: Backend, messages: &[u8], len: usize, out: &mut [[u8; 32]]) {
    prefixed_many(backend, &[], messages, len, out);
}

/// The backend for many SHA-256.
pub(crate) fn best_sha256() -> Backend {
    Backend::best_sha256()
}

/// Messages that are handed on at a time: whole vectors of every backend.
const HANDFUL: usize = 64;

/// [`sha256_many_on`] with `prefix` in front of every message.
pub(crate) fn prefixed_many(
    backend: Backend,
    prefix: &[u8],
    messages: &[u8],
    len: usize,
    out: &mut [[u8; 32]],
) {
    assert_eq!(messages.len(), len * out.len(), "one message of {len} bytes for each digest");
    let shape = Shape::new::<u32>(prefix, [len]);
    for (handful, out) in out.chunks_mut(HANDFUL).enumerate() {
        let messages = &messages[handful * HANDFUL * len..][..out.len() * len];
        let mut parts = [[&messages[..0]]; HANDFUL];
        for (i, parts) in parts[..out.len()].iter_mut().enumerate() {
            parts[0] = &messages[i * len..(i + 1) * len];
        }
        backend.sha256(&shape, &parts[..out.len()], out);
    }
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

/// SHA-512 of many messages, each given in parts; neighbours with parts of the same lengths go side by side.
/// Messages may be secret: no copy of them is made on the heap.
///
/// # Panics
///
/// If `messages` and `out` differ in length.
pub fn sha512_each<const PARTS: usize>(messages: &[[&[u8]; PARTS]], out: &mut [[u8; 64]]) {
    sha512_each_on(Backend::best_sha512(), messages, out);
}

/// [`sha512_each`] on a chosen backend, for comparisons.
///
/// # Panics
///
/// If `messages` and `out` differ in length.
pub fn sha512_each_on<const PARTS: usize>(
    backend: Backend,
    messages: &[[&[u8]; PARTS]],
    out: &mut [[u8; 64]],
) {
    assert_eq!(messages.len(), out.len(), "one digest for each message");
    let mut rest = (messages, out);
    while let Some(first) = rest.0.first() {
        let lens = first.map(<[u8]>::len);
        let same = rest.0.iter().take_while(|message| message.map(<[u8]>::len) == lens).count();
        let (messages, others) = rest.0.split_at(same);
        let (out, places) = rest.1.split_at_mut(same);
        backend.sha512(&Shape::new::<u64>(&[], lens), messages, out);
        rest = (others, places);
    }
}
