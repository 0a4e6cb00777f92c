//! SHA-256 of sixteen messages of one length at a time, one 32-bit lane of AVX-512 for each.
//!
//! A message is a prefix byte or none, and bytes; the prefix spares Merkle leaves and nodes a copy.

use super::constants::{ROUND_256, START_256};
use crate::cpu::{Avx512, transpose_quarters};
use std::arch::x86_64::*;

/// Messages side by side.
pub(super) const LANES: usize = 16;
const BLOCK: usize = 64;

/// The digests of as many messages of `len` bytes as `out` has places, back to back in `messages`, each preceded by
/// `prefix`.
///
/// # Panics
///
/// If there are not exactly so many bytes.
pub(super) fn digest_many<const PREFIX: usize>(
    token: Avx512,
    prefix: [u8; PREFIX],
    messages: &[u8],
    len: usize,
    out: &mut [[u8; 32]],
) {
    assert_eq!(messages.len(), len * out.len(), "one message of {len} bytes for each digest");
    let mut staged = Staged::<PREFIX>::new(prefix, len);
    for (i, out) in out.chunks_mut(LANES).enumerate() {
        let from = i * LANES * len;
        staged.fill(&messages[from..from + out.len() * len]);
        let mut digests = [[0; 32]; LANES];
        // SAFETY: the token proves the features.
        unsafe { run(token, &staged.bytes, staged.stride, &mut digests) };
        out.copy_from_slice(&digests[..out.len()]);
    }
}

/// Sixteen padded messages of one length. Prefix and padding are written once.
struct Staged<const PREFIX: usize> {
    bytes: Vec<u8>,
    stride: usize,
    len: usize,
}

impl<const PREFIX: usize> Staged<PREFIX> {
    fn new(prefix: [u8; PREFIX], len: usize) -> Self {
        // One byte 0x80 and eight of length behind the message.
        let whole = PREFIX + len;
        let stride = (whole + 9).div_ceil(BLOCK) * BLOCK;
        let mut bytes = vec![0; stride * LANES];
        for lane in bytes.chunks_exact_mut(stride) {
            lane[..PREFIX].copy_from_slice(&prefix);
            lane[whole] = 0x80;
            lane[stride - 8..].copy_from_slice(&(whole as u64 * 8).to_be_bytes());
        }
        Self { bytes, stride, len }
    }

    fn fill(&mut self, messages: &[u8]) {
        if self.len > 0 {
            for (lane, message) in
                self.bytes.chunks_exact_mut(self.stride).zip(messages.chunks_exact(self.len))
            {
                lane[PREFIX..PREFIX + self.len].copy_from_slice(message);
            }
        }
    }
}

/// xor of three, choice, majority: truth tables for `vpternlogd`.
const XOR3: i32 = 0x96;
const CHOOSE: i32 = 0xca;
const MAJORITY: i32 = 0xe8;

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn run(_: Avx512, bytes: &[u8], stride: usize, out: &mut [[u8; 32]; LANES]) {
    let mut state = [_mm512_setzero_si512(); 8];
    for (state, start) in state.iter_mut().zip(START_256) {
        *state = _mm512_set1_epi32(start as i32);
    }
    for block in 0..stride / BLOCK {
        let mut w = load(bytes, stride, block);
        let mut s = state;
        // Rolled over chunks of sixteen rounds: unrolled fully it would leave the op cache.
        for chunk in ROUND_256.as_chunks::<16>().0 {
            for i in 0..16 {
                let [a, b, c, d, e, f, g, h] = s;
                let se = _mm512_ternarylogic_epi32::<XOR3>(
                    _mm512_ror_epi32::<6>(e),
                    _mm512_ror_epi32::<11>(e),
                    _mm512_ror_epi32::<25>(e),
                );
                let sa = _mm512_ternarylogic_epi32::<XOR3>(
                    _mm512_ror_epi32::<2>(a),
                    _mm512_ror_epi32::<13>(a),
                    _mm512_ror_epi32::<22>(a),
                );
                let kw = _mm512_add_epi32(_mm512_set1_epi32(chunk[i] as i32), w[i]);
                let choice = _mm512_ternarylogic_epi32::<CHOOSE>(e, f, g);
                let t1 = _mm512_add_epi32(_mm512_add_epi32(h, kw), _mm512_add_epi32(se, choice));
                let t2 = _mm512_add_epi32(sa, _mm512_ternarylogic_epi32::<MAJORITY>(a, b, c));
                s = [_mm512_add_epi32(t1, t2), a, b, c, _mm512_add_epi32(d, t1), e, f, g];
                // The word that takes this one's place sixteen rounds on; the last chunk's are not used.
                let (x, y) = (w[(i + 1) % 16], w[(i + 14) % 16]);
                let low = _mm512_ternarylogic_epi32::<XOR3>(
                    _mm512_ror_epi32::<7>(x),
                    _mm512_ror_epi32::<18>(x),
                    _mm512_srli_epi32::<3>(x),
                );
                let high = _mm512_ternarylogic_epi32::<XOR3>(
                    _mm512_ror_epi32::<17>(y),
                    _mm512_ror_epi32::<19>(y),
                    _mm512_srli_epi32::<10>(y),
                );
                w[i] = _mm512_add_epi32(_mm512_add_epi32(w[i], low), _mm512_add_epi32(w[(i + 9) % 16], high));
            }
        }
        for (state, s) in state.iter_mut().zip(s) {
            *state = _mm512_add_epi32(*state, s);
        }
    }
    store(state, out);
}

/// Reverses the bytes of each word.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn swap(a: __m512i) -> __m512i {
    let order = _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203);
    _mm512_shuffle_epi8(a, order)
}

/// Rows to columns of each of four 4×4 blocks of 32-bit words, which stand side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn transpose_in_quarters(r: [__m512i; 4]) -> [__m512i; 4] {
    let a = _mm512_unpacklo_epi32(r[0], r[1]);
    let b = _mm512_unpackhi_epi32(r[0], r[1]);
    let c = _mm512_unpacklo_epi32(r[2], r[3]);
    let d = _mm512_unpackhi_epi32(r[2], r[3]);
    [
        _mm512_unpacklo_epi64(a, c),
        _mm512_unpackhi_epi64(a, c),
        _mm512_unpacklo_epi64(b, d),
        _mm512_unpackhi_epi64(b, d),
    ]
}

/// Rows to columns of a 16×16 block of 32-bit words: first inside the quarters of four rows each, then the quarters.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn transpose_16x16(r: [__m512i; 16]) -> [__m512i; 16] {
    let mut blocks = [[_mm512_setzero_si512(); 4]; 4];
    for (block, rows) in blocks.iter_mut().zip(r.as_chunks::<4>().0) {
        *block = transpose_in_quarters(*rows);
    }
    let mut out = r;
    for i in 0..4 {
        // Column 4q + i of every row: quarter q of vector i of every block.
        let columns = transpose_quarters([blocks[0][i], blocks[1][i], blocks[2][i], blocks[3][i]]);
        for (q, column) in columns.into_iter().enumerate() {
            out[4 * q + i] = column;
        }
    }
    out
}

/// Block number `block` of every lane: sixteen words, each word sixteen lanes wide.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn load(bytes: &[u8], stride: usize, block: usize) -> [__m512i; 16] {
    let mut rows = [_mm512_setzero_si512(); LANES];
    for (row, lane) in rows.iter_mut().zip(bytes.chunks_exact(stride)) {
        let bytes = &lane[block * BLOCK..(block + 1) * BLOCK];
        // SAFETY: `bytes` is a whole block of 64 bytes.
        *row = swap(unsafe { _mm512_loadu_epi8(bytes.as_ptr().cast()) });
    }
    transpose_16x16(rows)
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn store(state: [__m512i; 8], out: &mut [[u8; 32]; LANES]) {
    let mut rows = [_mm512_setzero_si512(); LANES];
    rows[..8].copy_from_slice(&state);
    for (out, row) in out.iter_mut().zip(transpose_16x16(rows)) {
        // SAFETY: `out` has the 32 bytes that are written.
        unsafe { _mm256_storeu_epi8(out.as_mut_ptr().cast(), _mm512_castsi512_si256(swap(row))) };
    }
}
