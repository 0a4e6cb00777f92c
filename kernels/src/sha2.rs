//! SHA-256 and SHA-512 (FIPS 180-4), for one message, for a message in parts, and for many messages of one length.
//!
//! ```text
//! sha256(m)   sha256_parts([a, b]) = sha256(a ‖ b)   sha256_many(m₀ ‖ m₁ ‖ …, len) = [sha256(m₀), sha256(m₁), …]
//! ```
//!
//! Single messages go through the `sha2` crate, which finds SHA-NI at run time by itself (its `asm` feature is gone
//! since 0.11; there is nothing to switch on). Many messages go side by side through AVX-512 lanes where the CPU has them:
//! sixteen of one length for SHA-256, eight of any lengths for SHA-512; elsewhere one by one. The digests are the same.

use ::sha2::Digest as _;

mod constants;
#[cfg(target_arch = "x86_64")]
mod lanes256;
#[cfg(target_arch = "x86_64")]
mod lanes512;
#[cfg(test)]
mod tests;

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
    prefixed_many([], messages, len, out);
}

/// [`sha256_many`] with `prefix` in front of every message.
pub(crate) fn prefixed_many<const PREFIX: usize>(
    prefix: [u8; PREFIX],
    messages: &[u8],
    len: usize,
    out: &mut [[u8; 32]],
) {
    assert_eq!(messages.len(), len * out.len(), "one message of {len} bytes for each digest");
    #[cfg(target_arch = "x86_64")]
    if out.len() >= LANES_CROSSOVER
        && let Some(token) = crate::cpu::Avx512::detect()
    {
        lanes256::digest_many(token, prefix, messages, len, out);
        return;
    }
    for (i, digest) in out.iter_mut().enumerate() {
        *digest = sha256_parts(&[&prefix, &messages[i * len..(i + 1) * len]]);
    }
}

/// Fewer messages than this leave too many of the sixteen lanes empty to beat SHA-NI.
#[cfg(target_arch = "x86_64")]
const LANES_CROSSOVER: usize = 7;

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

/// SHA-512 of many messages, each given in parts, eight side by side where the CPU can. Messages may be secret: no copy of
/// them stays in memory.
///
/// # Panics
///
/// If `messages` and `out` differ in length.
pub fn sha512_each<const PARTS: usize>(messages: &[[&[u8]; PARTS]], out: &mut [[u8; 64]]) {
    assert_eq!(messages.len(), out.len(), "one digest for each message");
    #[cfg(target_arch = "x86_64")]
    if let Some(token) = crate::cpu::Avx512::detect() {
        let mut staged = lanes512::Staged::default();
        for (messages, out) in messages.chunks(lanes512::LANES).zip(out.chunks_mut(lanes512::LANES)) {
            staged.stage(messages);
            out.copy_from_slice(&lanes512::digest(token, &staged)[..out.len()]);
        }
        return;
    }
    for (message, digest) in messages.iter().zip(out) {
        *digest = sha512_parts(message);
    }
}
