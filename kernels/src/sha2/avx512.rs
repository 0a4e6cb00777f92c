//! Sixteen lanes of 32 bits, or eight of 64, in AVX-512.

use super::{group::Group, lanes::Lanes};
use crate::cpu::{Avx512, transpose_8x8, transpose_quarters};
use std::arch::{asm, x86_64::*};

/// xor of three, choice, majority: truth tables for `vpternlog`.
const XOR3: i32 = 0x96;
const CHOOSE: i32 = 0xca;
const MAJORITY: i32 = 0xe8;

/// A block of code that uses the token's instructions.
///
/// Every use stands in a method that takes `Avx512` by value, and that token exists only where `detect` found the
/// features; pointers come from references to at least as many bytes, or say at their place why they may be used.
macro_rules! simd {
    ($body:expr) => {
        // SAFETY: see above: the caller holds the token.
        unsafe { $body }
    };
}

/// The arithmetic, which differs between the widths only in the names of the instructions.
macro_rules! arithmetic {
    ($word:ty, $signed:ty, $count:literal, $splat:ident, $add:ident, $logic:ident, $rotate:ident, $shift:ident) => {
        type Vector = __m512i;
        const COUNT: usize = $count;

        #[inline(always)]
        fn splat(self, word: $word) -> __m512i {
            simd!($splat(word as $signed))
        }

        #[inline(always)]
        fn add(self, a: __m512i, b: __m512i) -> __m512i {
            simd!($add(a, b))
        }

        #[inline(always)]
        fn xor3(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
            simd!($logic::<XOR3>(a, b, c))
        }

        #[inline(always)]
        fn choose(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
            simd!($logic::<CHOOSE>(a, b, c))
        }

        #[inline(always)]
        fn majority(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
            simd!($logic::<MAJORITY>(a, b, c))
        }

        #[inline(always)]
        fn settle(self, a: &mut __m512i, e: &mut __m512i) {
            simd!(settle(a, e));
        }

        #[inline(always)]
        fn rotate<const N: i32>(self, a: __m512i) -> __m512i {
            simd!($rotate::<N>(a))
        }

        #[inline(always)]
        fn shift<const N: u32>(self, a: __m512i) -> __m512i {
            simd!($shift::<N>(a))
        }
    };
}

impl Lanes<u32> for Avx512 {
    arithmetic!(
        u32,
        i32,
        16,
        _mm512_set1_epi32,
        _mm512_add_epi32,
        _mm512_ternarylogic_epi32,
        _mm512_ror_epi32,
        _mm512_srli_epi32
    );

    #[inline(always)]
    fn load<const PARTS: usize>(
        self,
        group: &Group<'_, PARTS>,
        row: usize,
        first: usize,
        words: &mut [__m512i],
    ) {
        let rows = self.rows::<16, PARTS>(group, row, first, SWAP_32);
        words.copy_from_slice(&simd!(transpose_16x16(rows)));
    }

    #[inline(always)]
    fn store(self, state: [__m512i; 8], out: &mut [[u8; 32]]) {
        let mut rows = [state[0]; 16];
        rows[..8].copy_from_slice(&state);
        for (out, row) in out.iter_mut().zip(simd!(transpose_16x16(rows))) {
            let digest = self.swap(row, SWAP_32);
            simd!(_mm256_storeu_epi8(out.as_mut_ptr().cast(), _mm512_castsi512_si256(digest)));
        }
    }
}

impl Lanes<u64> for Avx512 {
    arithmetic!(
        u64,
        i64,
        8,
        _mm512_set1_epi64,
        _mm512_add_epi64,
        _mm512_ternarylogic_epi64,
        _mm512_ror_epi64,
        _mm512_srli_epi64
    );

    #[inline(always)]
    fn load<const PARTS: usize>(
        self,
        group: &Group<'_, PARTS>,
        row: usize,
        first: usize,
        words: &mut [__m512i],
    ) {
        let rows = self.rows::<8, PARTS>(group, row, first, SWAP_64);
        words.copy_from_slice(&simd!(transpose_8x8(rows)));
    }

    #[inline(always)]
    fn store(self, state: [__m512i; 8], out: &mut [[u8; 64]]) {
        for (out, row) in out.iter_mut().zip(simd!(transpose_8x8(state))) {
            simd!(_mm512_storeu_epi8(out.as_mut_ptr().cast(), self.swap(row, SWAP_64)));
        }
    }
}

/// Places of the bytes of two or four words, each from its end, in the order that `_mm512_set4_epi32` takes.
type Swap = [i32; 4];
const SWAP_32: Swap = [0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203];
const SWAP_64: Swap = [0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607];

impl Avx512 {
    #[inline(always)]
    fn swap(self, a: __m512i, [d, c, b, e]: Swap) -> __m512i {
        simd!(_mm512_shuffle_epi8(a, _mm512_set4_epi32(d, c, b, e)))
    }

    /// A row of each lane, its words as numbers. (Loops, because the closures of `map` are not always inlined, and then
    /// every instruction becomes a call.)
    #[inline(always)]
    fn rows<const N: usize, const PARTS: usize>(
        self,
        group: &Group<'_, PARTS>,
        row: usize,
        first: usize,
        swap: Swap,
    ) -> [__m512i; N] {
        let row = group.row(row);
        let mut rows = [simd!(_mm512_loadu_epi8(row.fill.as_ptr().cast())); N];
        for (p, piece) in row.pieces.iter().enumerate() {
            if piece.mask == 0 {
                continue;
            }
            for (l, bytes) in rows.iter_mut().enumerate() {
                let from = group.message(first + l)[p].as_ptr().wrapping_add(piece.skip);
                // SAFETY: the caller holds the token; a masked load touches only the bytes whose bits are set, and
                // these are bytes of this part: `Piece` says so for messages of the shape, and `Group` holds no other.
                *bytes = unsafe { _mm512_mask_loadu_epi8(*bytes, piece.mask, from.cast()) };
            }
        }
        for bytes in &mut rows {
            *bytes = self.swap(*bytes, swap);
        }
        rows
    }
}

/// No instruction: but for all that the compiler knows, both vectors come out of it.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn settle(a: &mut __m512i, e: &mut __m512i) {
    // SAFETY: there is nothing but a comment in it.
    unsafe {
        asm!(
            "/* {0} {1} */",
            inout(zmm_reg) * a,
            inout(zmm_reg) * e,
            options(nomem, nostack, preserves_flags)
        )
    }
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
