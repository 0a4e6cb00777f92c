//! Eight lanes of 32 bits, or four of 64, in AVX2.

use super::{group::Group, lanes::Lanes};
use crate::cpu::{Avx2, transpose_4x4};
use std::arch::x86_64::*;

/// A block of code that uses the token's instructions.
///
/// Every use stands in a method that takes `Avx2` by value, and that token exists only where `detect` found the
/// features; pointers come from references to at least as many bytes.
macro_rules! simd {
    ($body:expr) => {
        // SAFETY: see above: the caller holds the token.
        unsafe { $body }
    };
}

/// The arithmetic, which differs between the widths only in the names of the instructions. There is no rotation and no
/// three-way logic; with constant counts the compiler turns `srl` and `sll` into shifts by an immediate.
macro_rules! arithmetic {
    ($word:ty, $signed:ty, $count:literal, $splat:ident, $add:ident, $right:ident, $left:ident) => {
        type Vector = __m256i;
        const COUNT: usize = $count;

        #[inline(always)]
        fn splat(self, word: $word) -> __m256i {
            simd!($splat(word as $signed))
        }

        #[inline(always)]
        fn add(self, a: __m256i, b: __m256i) -> __m256i {
            simd!($add(a, b))
        }

        #[inline(always)]
        fn xor3(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
            simd!(_mm256_xor_si256(_mm256_xor_si256(a, b), c))
        }

        #[inline(always)]
        fn choose(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
            simd!(_mm256_xor_si256(_mm256_and_si256(_mm256_xor_si256(b, c), a), c))
        }

        // In the next round this b ⊕ c is a ⊕ b of now, which the compiler keeps.
        #[inline(always)]
        fn majority(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
            simd!(_mm256_xor_si256(_mm256_and_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(b, c)), b))
        }

        #[inline(always)]
        fn rotate<const N: i32>(self, a: __m256i) -> __m256i {
            let (right, left) = (N, <$word>::BITS as i32 - N);
            simd!(_mm256_or_si256($right(a, _mm_cvtsi32_si128(right)), $left(a, _mm_cvtsi32_si128(left))))
        }

        #[inline(always)]
        fn shift<const N: u32>(self, a: __m256i) -> __m256i {
            simd!($right(a, _mm_cvtsi32_si128(N as i32)))
        }
    };
}

impl Lanes<u32> for Avx2 {
    arithmetic!(u32, i32, 8, _mm256_set1_epi32, _mm256_add_epi32, _mm256_srl_epi32, _mm256_sll_epi32);

    #[inline(always)]
    fn load<const PARTS: usize>(
        self,
        group: &Group<'_, PARTS>,
        row: usize,
        first: usize,
        words: &mut [__m256i],
    ) {
        let halves = self.rows::<8, PARTS>(group, row, first, SWAP_32);
        for (rows, words) in halves.into_iter().zip(words.as_chunks_mut().0) {
            *words = simd!(transpose_8x8(rows));
        }
    }

    #[inline(always)]
    fn store(self, state: [__m256i; 8], out: &mut [[u8; 32]]) {
        for (out, row) in out.iter_mut().zip(simd!(transpose_8x8(state))) {
            simd!(_mm256_storeu_si256(out.as_mut_ptr().cast(), self.swap(row, SWAP_32)));
        }
    }
}

impl Lanes<u64> for Avx2 {
    arithmetic!(u64, i64, 4, _mm256_set1_epi64x, _mm256_add_epi64, _mm256_srl_epi64, _mm256_sll_epi64);

    #[inline(always)]
    fn load<const PARTS: usize>(
        self,
        group: &Group<'_, PARTS>,
        row: usize,
        first: usize,
        words: &mut [__m256i],
    ) {
        let halves = self.rows::<4, PARTS>(group, row, first, SWAP_64);
        for (rows, words) in halves.into_iter().zip(words.as_chunks_mut().0) {
            *words = simd!(transpose_4x4(rows));
        }
    }

    #[inline(always)]
    fn store(self, state: [__m256i; 8], out: &mut [[u8; 64]]) {
        for (half, words) in state.as_chunks::<4>().0.iter().enumerate() {
            for (out, row) in out.iter_mut().zip(simd!(transpose_4x4(*words))) {
                let out = &mut out[half * 32..half * 32 + 32];
                simd!(_mm256_storeu_si256(out.as_mut_ptr().cast(), self.swap(row, SWAP_64)));
            }
        }
    }
}

/// Places of the bytes of two or four words, each from its end.
type Swap = [i64; 2];
const SWAP_32: Swap = [0x0405_0607_0001_0203, 0x0c0d_0e0f_0809_0a0b];
const SWAP_64: Swap = [0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f];

impl Avx2 {
    #[inline(always)]
    fn swap(self, a: __m256i, [low, high]: Swap) -> __m256i {
        simd!(_mm256_shuffle_epi8(a, _mm256_setr_epi64x(low, high, low, high)))
    }

    /// The left and the right half of a row of each lane, the words as numbers.
    #[inline(always)]
    fn rows<const N: usize, const PARTS: usize>(
        self,
        group: &Group<'_, PARTS>,
        row: usize,
        first: usize,
        swap: Swap,
    ) -> [[__m256i; N]; 2] {
        let mut halves = [[simd!(_mm256_setzero_si256()); N]; 2];
        for l in 0..N {
            let bytes = group.bytes(row, first + l);
            for (half, bytes) in halves.iter_mut().zip(bytes.as_chunks::<32>().0) {
                half[l] = self.swap(simd!(_mm256_loadu_si256(bytes.as_ptr().cast())), swap);
            }
        }
        halves
    }
}

/// Rows to columns of an 8×8 block of 32-bit words: four rows at a time inside the halves, then the halves.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn transpose_8x8(r: [__m256i; 8]) -> [__m256i; 8] {
    let mut out = r;
    for i in 0..2 {
        // Rows 4i .. 4i + 4: columns 0 and 4, 1 and 5, 2 and 6, 3 and 7 in the halves.
        let [a, b, c, d] = [r[4 * i], r[4 * i + 1], r[4 * i + 2], r[4 * i + 3]];
        let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
        out[4 * i] = _mm256_unpacklo_epi64(ab, cd);
        out[4 * i + 1] = _mm256_unpackhi_epi64(ab, cd);
        let (ab, cd) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
        out[4 * i + 2] = _mm256_unpacklo_epi64(ab, cd);
        out[4 * i + 3] = _mm256_unpackhi_epi64(ab, cd);
    }
    let halves = out;
    for i in 0..4 {
        out[i] = _mm256_permute2x128_si256::<0x20>(halves[i], halves[4 + i]);
        out[4 + i] = _mm256_permute2x128_si256::<0x31>(halves[i], halves[4 + i]);
    }
    out
}
