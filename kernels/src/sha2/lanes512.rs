//! SHA-512 of eight messages at a time, one 64-bit lane of AVX-512 for each.
//!
//! Messages may differ in length: a lane whose message has ended keeps its state through a mask.

use super::constants::{ROUND_512, START_512};
use crate::cpu::{Avx512, transpose_8x8};
use std::arch::x86_64::*;
use zeroize::Zeroize as _;

/// Messages side by side.
pub(super) const LANES: usize = 8;
const BLOCK: usize = 128;

/// Padded messages, each in whole blocks, all in one buffer.
#[derive(Default)]
pub(super) struct Staged {
    bytes: Vec<u8>,
    stride: usize,
    blocks: [usize; LANES],
}

impl Staged {
    /// Lays out up to eight messages, each given in parts. Empty places get the empty message.
    pub(super) fn stage<const PARTS: usize>(&mut self, messages: &[[&[u8]; PARTS]]) {
        let len = |message: &[&[u8]; PARTS]| message.iter().map(|part| part.len()).sum::<usize>();
        self.blocks = [1; LANES];
        for (blocks, message) in self.blocks.iter_mut().zip(messages) {
            // One byte 0x80 and sixteen of length behind the message.
            *blocks = (len(message) + 17).div_ceil(BLOCK);
        }
        self.stride = self.blocks.iter().max().map_or(0, |most| most * BLOCK);
        // What an earlier message left behind the end of this one is hashed into no lane that is still live.
        if self.bytes.len() < self.stride * LANES {
            self.bytes.as_mut_slice().zeroize();
            self.bytes = vec![0; self.stride * LANES];
        }
        for (l, lane) in self.bytes.chunks_exact_mut(self.stride).take(LANES).enumerate() {
            let mut at = 0;
            for part in messages.get(l).into_iter().flatten() {
                lane[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
            let end = self.blocks[l] * BLOCK;
            lane[at] = 0x80;
            lane[at + 1..end - 8].fill(0);
            lane[end - 8..end].copy_from_slice(&(at as u64 * 8).to_be_bytes());
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.bytes.as_mut_slice().zeroize();
    }
}

/// The digests of what is staged.
pub(super) fn digest(token: Avx512, staged: &Staged) -> [[u8; 64]; LANES] {
    let mut out = [[0; 64]; LANES];
    // SAFETY: the token proves the features.
    unsafe { run(token, staged, &mut out) };
    out
}

/// xor of three, choice, majority: truth tables for `vpternlogq`.
const XOR3: i32 = 0x96;
const CHOOSE: i32 = 0xca;
const MAJORITY: i32 = 0xe8;

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn run(_: Avx512, staged: &Staged, out: &mut [[u8; 64]; LANES]) {
    let mut state = [splat(0); 8];
    for (state, start) in state.iter_mut().zip(START_512) {
        *state = splat(start as i64);
    }
    for block in 0..staged.stride / BLOCK {
        let live = (0..LANES).fold(0u8, |set, l| set | u8::from(block < staged.blocks[l]) << l);
        let mut w = load(staged, block);
        let mut s = state;
        for chunk in 0..5 {
            for i in 0..16 {
                if chunk > 0 {
                    let (a, b) = (w[(i + 1) % 16], w[(i + 14) % 16]);
                    let low = _mm512_ternarylogic_epi64::<XOR3>(
                        _mm512_ror_epi64::<1>(a),
                        _mm512_ror_epi64::<8>(a),
                        _mm512_srli_epi64::<7>(a),
                    );
                    let high = _mm512_ternarylogic_epi64::<XOR3>(
                        _mm512_ror_epi64::<19>(b),
                        _mm512_ror_epi64::<61>(b),
                        _mm512_srli_epi64::<6>(b),
                    );
                    w[i] = sum(sum(w[i], low), sum(w[(i + 9) % 16], high));
                }
                let [a, b, c, d, e, f, g, h] = s;
                let se = _mm512_ternarylogic_epi64::<XOR3>(
                    _mm512_ror_epi64::<14>(e),
                    _mm512_ror_epi64::<18>(e),
                    _mm512_ror_epi64::<41>(e),
                );
                let sa = _mm512_ternarylogic_epi64::<XOR3>(
                    _mm512_ror_epi64::<28>(a),
                    _mm512_ror_epi64::<34>(a),
                    _mm512_ror_epi64::<39>(a),
                );
                let kw = sum(splat(ROUND_512[chunk * 16 + i] as i64), w[i]);
                let t1 = sum(sum(h, kw), sum(se, _mm512_ternarylogic_epi64::<CHOOSE>(e, f, g)));
                let t2 = sum(sa, _mm512_ternarylogic_epi64::<MAJORITY>(a, b, c));
                s = [sum(t1, t2), a, b, c, sum(d, t1), e, f, g];
            }
        }
        for (state, s) in state.iter_mut().zip(s) {
            *state = _mm512_mask_add_epi64(*state, live, *state, s);
        }
    }
    let lanes = transpose_8x8(state);
    for (out, lane) in out.iter_mut().zip(lanes) {
        // SAFETY: `out` has the 64 bytes that are written.
        unsafe { _mm512_storeu_epi8(out.as_mut_ptr().cast(), swap(lane)) };
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn splat(word: i64) -> __m512i {
    _mm512_set1_epi64(word)
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn sum(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi64(a, b)
}

/// Reverses the bytes of each word.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn swap(a: __m512i) -> __m512i {
    let order = _mm512_set4_epi32(0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607);
    _mm512_shuffle_epi8(a, order)
}

/// Block number `block` of every lane: sixteen words, each word eight lanes wide.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn load(staged: &Staged, block: usize) -> [__m512i; 16] {
    let zero = splat(0);
    let (mut low, mut high) = ([zero; LANES], [zero; LANES]);
    for (l, lane) in staged.bytes.chunks_exact(staged.stride).take(LANES).enumerate() {
        let bytes = &lane[block * BLOCK..(block + 1) * BLOCK];
        // SAFETY: `bytes` is a whole block of 128 bytes.
        unsafe {
            low[l] = swap(_mm512_loadu_epi8(bytes[..64].as_ptr().cast()));
            high[l] = swap(_mm512_loadu_epi8(bytes[64..].as_ptr().cast()));
        }
    }
    let (low, high) = (transpose_8x8(low), transpose_8x8(high));
    let mut w = [zero; 16];
    w[..8].copy_from_slice(&low);
    w[8..].copy_from_slice(&high);
    w
}
