//! SHA-256 of two messages at a time with the CPU's own instructions, whose waits each fills for the other.

use super::{
    constants::{ROUND_256, START_256},
    group::Group,
};
use crate::cpu::ShaNi;
use std::arch::x86_64::*;

/// Messages side by side.
pub(super) const STREAMS: usize = 2;

/// State words in the order in which the instructions take them.
#[derive(Clone, Copy)]
struct State {
    abef: __m128i,
    cdgh: __m128i,
}

/// Digests of one or two messages.
pub(super) fn digest<const PARTS: usize>(token: ShaNi, group: &Group<'_, PARTS>, out: &mut [[u8; 32]]) {
    // SAFETY: the token proves the features.
    unsafe { run(token, group, out) }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn run<const PARTS: usize>(_: ShaNi, group: &Group<'_, PARTS>, out: &mut [[u8; 32]]) {
    let [a, b, c, d, e, f, g, h] = START_256.map(|word| word as i32);
    let start = State { abef: _mm_set_epi32(a, b, e, f), cdgh: _mm_set_epi32(c, d, g, h) };
    let mut states = [start; STREAMS];
    for row in 0..group.rows() {
        let before = states;
        let mut words = [load(&group.bytes(row, 0)), load(&group.bytes(row, 1))];
        for (at, constants) in ROUND_256.as_chunks::<4>().0.iter().enumerate() {
            let [k0, k1, k2, k3] = constants.map(|word| word as i32);
            let constants = _mm_set_epi32(k3, k2, k1, k0);
            for (state, words) in states.iter_mut().zip(&mut words) {
                if at >= 4 {
                    extend(words);
                }
                let sum = _mm_add_epi32(words[0], constants);
                state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, sum);
                state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, _mm_shuffle_epi32::<0x0e>(sum));
                words.rotate_left(1);
            }
        }
        for (state, before) in states.iter_mut().zip(before) {
            state.abef = _mm_add_epi32(state.abef, before.abef);
            state.cdgh = _mm_add_epi32(state.cdgh, before.cdgh);
        }
    }
    for (out, state) in out.iter_mut().zip(states) {
        store(state, out);
    }
}

/// Replaces the oldest four words, which come first, by the four that follow the newest.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn extend(words: &mut [__m128i; 4]) {
    let [w0, w1, w2, w3] = *words;
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8::<4>(w3, w2));
    words[0] = _mm_sha256msg2_epu32(sum, w3);
}

/// Reverses the bytes of each word.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn swap(a: __m128i) -> __m128i {
    _mm_shuffle_epi8(a, _mm_set_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203))
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load(bytes: &[u8; 64]) -> [__m128i; 4] {
    let mut words = [_mm_setzero_si128(); 4];
    for (words, bytes) in words.iter_mut().zip(bytes.as_chunks::<16>().0) {
        // SAFETY: `bytes` has the 16 bytes that are read.
        *words = swap(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) });
    }
    words
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn store(State { abef, cdgh }: State, out: &mut [u8; 32]) {
    // Words stand from the last to the first, in memory from the first to the last.
    let abcd = _mm_unpackhi_epi64(cdgh, abef);
    let efgh = _mm_unpacklo_epi64(cdgh, abef);
    for (out, words) in out.as_chunks_mut::<16>().0.iter_mut().zip([abcd, efgh]) {
        let bytes = swap(_mm_shuffle_epi32::<0x1b>(words));
        // SAFETY: `out` has the 16 bytes that are written.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), bytes) };
    }
}
