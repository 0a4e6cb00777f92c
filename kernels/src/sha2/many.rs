//! Many messages of one length, side by side on the backend of this CPU.

use super::{Backend, group::Shape};

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
