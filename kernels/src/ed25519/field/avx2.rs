//! Eight lanes of AVX2 with FMA: two 256-bit vectors of doubles for each limb.
//!
//! AVX2 multiplies 32-bit integers at most, but 53-bit doubles, and FMA shows the whole of a product (Emmart, *A Study
//! of High Performance Multiple Precision Arithmetic on GPUs*, 2018). So limbs are **signed integers held as doubles**.
//! For
//! |ab| ≤ 2¹⁰² and C = 1½ · 2¹⁰³, where neighbouring doubles are 2⁵¹ apart:
//!
//! ```text
//! high = ab + C             one FMA: ab is rounded to h · 2⁵¹; high lies in [2¹⁰³, 2¹⁰⁴] and its bits are C's plus h
//! rest = (C + M) − high     exact: M − h · 2⁵¹ with M = 1½ · 2⁵², a multiple of 2⁵¹ below 2¹⁰³
//! low  = ab + rest          one FMA, exact: M + (ab − h · 2⁵¹) lies in [2⁵², 2⁵³] and its bits are M's plus the difference
//! ```
//!
//! With limbs of 51 bits `low` belongs to column i + j, and h to column i + j + 1, undoubled. Columns are summed as
//! 64-bit integers, bits and all; what C and M bring to a column is known and subtracted where the column starts. That
//! is five instructions a product, 125 in all; ten limbs of 25½ bits take 200 (`vpmuludq` and `vpaddq`).
//!
//! Bounds, which here are the meaning of what [`Field`] calls
//!
//! - **tight**: |limb| ≤ 2⁵⁰ + 2¹². What a carry leaves.
//! - **loose**: |limb| ≤ 3 · (2⁵⁰ + 2¹²): three tight ones added up, or the 51 unsigned bits and a little of a [`Row`].
//!   So tight times loose is at most 3 · (2⁵⁰ + 2¹²)² < 3.01 · 2¹⁰⁰ < 2¹⁰².
//!
//! Rounding must be to nearest: the mode that Rust programs run in, and that foreign code has to restore.

use super::{ENTRIES, Field, LANES, LIMB_BITS, LIMB_MASK, LaneLimbs, Limbs, LookUp, Row, Work, portable};
use crate::cpu::{Avx2, transpose_4x4};
use std::arch::{asm, x86_64::*};

/// Lanes in a vector.
const WIDTH: usize = 4;
/// Vectors for eight lanes.
const HALVES: usize = LANES / WIDTH;

/// The limbs of four elements.
type Half = [__m256d; 5];

/// Every limb of eight elements.
#[derive(Clone, Copy)]
pub(crate) struct Fe([Half; HALVES]);

/// 2⁵¹.
const RADIX: f64 = (1u64 << LIMB_BITS) as f64;
/// M: doubles from 2⁵² to 2⁵³ are 1 apart.
const M: f64 = 3.0 * RADIX;
/// C: doubles from 2¹⁰³ to 2¹⁰⁴ are 2⁵¹ apart.
const C: f64 = M * RADIX;
/// 2⁵², to whose bits an integer below it can be added.
const INTEGERS: f64 = 2.0 * RADIX;
/// p, limb by limb: exceeds the size of any tight limb.
const P: Limbs = [LIMB_MASK - 18, LIMB_MASK, LIMB_MASK, LIMB_MASK, LIMB_MASK];

/// What is added to a folded column v, |v| < 2⁵⁸, for it to be positive and its low 51 bits to mean −2⁵⁰ ..< 2⁵⁰.
const LIFT: u64 = (CARRY_LIFT << LIMB_BITS) + (1 << (LIMB_BITS - 1));
/// What that adds to the carry.
const CARRY_LIFT: u64 = 1 << 8;

/// Where columns start: minus what the bits of C and M bring with each product, and [`LIFT`] in the five low columns.
const fn start(square: bool) -> [i64; 10] {
    let mut start = [LIFT as i64, LIFT as i64, LIFT as i64, LIFT as i64, LIFT as i64, 0, 0, 0, 0, 0];
    let mut pair = 0;
    while pair < 25 {
        let (i, j) = (pair / 5, pair % 5);
        if !square || i <= j {
            start[i + j] = start[i + j].wrapping_sub(M.to_bits() as i64);
            start[i + j + 1] = start[i + j + 1].wrapping_sub(C.to_bits() as i64);
        }
        pair += 1;
    }
    start
}

#[target_feature(enable = "avx2,fma")]
fn enter<W: Work>(work: W, field: Avx2) -> W::Output {
    work.run(field)
}

/// Adds the low part of ab to `column` and the high part to `next`. Needs |ab| ≤ 2¹⁰².
///
/// One block of assembly, because the optimiser tears intrinsics apart: it computes all fifty parts of a product first,
/// keeps them on the stack and sums them up afterwards.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_product(column: &mut __m256i, next: &mut __m256i, a: __m256d, b: __m256d) {
    let (c, c_and_m) = (_mm256_set1_pd(C), _mm256_set1_pd(C + M));
    // SAFETY: arithmetic on registers alone, with instructions that this function may use.
    unsafe {
        asm!(
            "vmovapd {high}, {c}",
            "vfmadd231pd {high}, {a}, {b}",
            "vsubpd {low}, {c_and_m}, {high}",
            "vfmadd231pd {low}, {a}, {b}",
            "vpaddq {next}, {next}, {high}",
            "vpaddq {column}, {column}, {low}",
            a = in(ymm_reg) a,
            b = in(ymm_reg) b,
            c = in(ymm_reg) c,
            c_and_m = in(ymm_reg) c_and_m,
            high = out(ymm_reg) _,
            low = out(ymm_reg) _,
            next = inout(ymm_reg) *next,
            column = inout(ymm_reg) *column,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
}

/// A call, since a product fills all sixteen registers anyway, and those of one addition inlined overflow the cache of
/// decoded instructions.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn mul(f: Avx2, a: &Fe, b: &Fe) -> Fe {
    Fe([f.mul_half(a.0[0], b.0[0]), f.mul_half(a.0[1], b.0[1])])
}

/// As [`mul`].
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn square(f: Avx2, a: &Fe) -> Fe {
    Fe([f.square_half(a.0[0]), f.square_half(a.0[1])])
}

/// A block of code that uses the token's instructions.
///
/// Every use stands in a method that takes `Avx2` by value, and that token exists only where `detect` found the
/// features; pointers come from references to at least as many bytes.
macro_rules! simd {
    ($body:block) => {
        // SAFETY: see above: the caller holds the token, and pointers come from references.
        unsafe { $body }
    };
}

impl Avx2 {
    #[inline(always)]
    fn set(self, value: f64) -> __m256d {
        simd!({ _mm256_set1_pd(value) })
    }

    #[inline(always)]
    fn set_bits(self, value: u64) -> __m256i {
        simd!({ _mm256_set1_epi64x(value as i64) })
    }

    /// Adds up one column, which has come to `column` before: the sum, and to what the next column has come, from
    /// `next`. Needs |ab| ≤ 2¹⁰² for each pair.
    #[inline(always)]
    fn column<const N: usize>(
        self,
        column: __m256i,
        next: i64,
        pairs: [(__m256d, __m256d); N],
    ) -> (__m256i, __m256i) {
        let (mut column, mut next) = (column, self.set_bits(next as u64));
        for (a, b) in pairs {
            simd!({ add_product(&mut column, &mut next, a, b) });
        }
        (column, next)
    }

    /// Columns folded at 2²⁵⁵ = 19 and carried. A column is at most 5 low parts of up to 2⁵⁰ and 5 high parts of up to
    /// 1.51 · 2⁵⁰, 12.6 · 2⁵⁰ in all, and 20 times that is below 2⁵⁸.
    #[inline(always)]
    fn fold(self, columns: [__m256i; 10]) -> Half {
        simd!({
            let mask = self.set_bits(LIMB_MASK);
            let (mut carries, mut limbs) = ([self.set_bits(0); 5], [self.set_bits(0); 5]);
            for k in 0..5 {
                let high = columns[k + 5];
                let three = _mm256_add_epi64(high, _mm256_add_epi64(high, high));
                let nineteen = _mm256_add_epi64(three, _mm256_slli_epi64::<4>(high));
                let lifted = _mm256_add_epi64(columns[k], nineteen);
                carries[k] = _mm256_srli_epi64::<{ LIMB_BITS as i32 }>(lifted);
                limbs[k] = _mm256_and_si256(lifted, mask);
            }
            // Carries are below 2⁹, and 2⁸ of each is the lift; so the topmost brings at most 19 · 2⁸ < 2¹³ to the
            // lowest.
            let bottom = _mm256_mul_epu32(carries[4], self.set_bits(19));
            let incoming = [bottom, carries[0], carries[1], carries[2], carries[3]];
            let mut out = [self.set(0.0); 5];
            for k in 0..5 {
                let lift = (LIFT & LIMB_MASK) + if k == 0 { 19 * CARRY_LIFT } else { CARRY_LIFT };
                let integer = _mm256_or_si256(
                    _mm256_add_epi64(limbs[k], incoming[k]),
                    self.set_bits(INTEGERS.to_bits()),
                );
                out[k] = _mm256_sub_pd(_mm256_castsi256_pd(integer), self.set(INTEGERS + lift as f64));
            }
            out
        })
    }

    #[inline(always)]
    fn mul_half(self, [a0, a1, a2, a3, a4]: Half, [b0, b1, b2, b3, b4]: Half) -> Half {
        const START: [i64; 10] = start(false);
        let c0 = self.set_bits(START[0] as u64);
        let (c0, c1) = self.column(c0, START[1], [(a0, b0)]);
        let (c1, c2) = self.column(c1, START[2], [(a0, b1), (a1, b0)]);
        let (c2, c3) = self.column(c2, START[3], [(a0, b2), (a1, b1), (a2, b0)]);
        let (c3, c4) = self.column(c3, START[4], [(a0, b3), (a1, b2), (a2, b1), (a3, b0)]);
        let (c4, c5) = self.column(c4, START[5], [(a0, b4), (a1, b3), (a2, b2), (a3, b1), (a4, b0)]);
        let (c5, c6) = self.column(c5, START[6], [(a1, b4), (a2, b3), (a3, b2), (a4, b1)]);
        let (c6, c7) = self.column(c6, START[7], [(a2, b4), (a3, b3), (a4, b2)]);
        let (c7, c8) = self.column(c7, START[8], [(a3, b4), (a4, b3)]);
        let (c8, c9) = self.column(c8, START[9], [(a4, b4)]);
        self.fold([c0, c1, c2, c3, c4, c5, c6, c7, c8, c9])
    }

    /// Cross products are of twice a limb with another: 2 · (2⁵⁰ + 2¹²)² is below 2¹⁰².
    #[inline(always)]
    fn square_half(self, a: Half) -> Half {
        const START: [i64; 10] = start(true);
        let mut twice = a;
        for limb in &mut twice {
            *limb = simd!({ _mm256_add_pd(*limb, *limb) });
        }
        let ([a0, a1, a2, a3, a4], [d0, d1, d2, d3, _]) = (a, twice);
        let c0 = self.set_bits(START[0] as u64);
        let (c0, c1) = self.column(c0, START[1], [(a0, a0)]);
        let (c1, c2) = self.column(c1, START[2], [(d0, a1)]);
        let (c2, c3) = self.column(c2, START[3], [(d0, a2), (a1, a1)]);
        let (c3, c4) = self.column(c3, START[4], [(d0, a3), (d1, a2)]);
        let (c4, c5) = self.column(c4, START[5], [(d0, a4), (d1, a3), (a2, a2)]);
        let (c5, c6) = self.column(c5, START[6], [(d1, a4), (d2, a3)]);
        let (c6, c7) = self.column(c6, START[7], [(d2, a4), (a3, a3)]);
        let (c7, c8) = self.column(c7, START[8], [(d3, a4)]);
        let (c8, c9) = self.column(c8, START[9], [(a4, a4)]);
        self.fold([c0, c1, c2, c3, c4, c5, c6, c7, c8, c9])
    }

    /// |limb| ≤ 2⁵³ becomes tight: what is a multiple of 2⁵¹, at most 4 of them, moves up, 19-fold from the top.
    #[inline(always)]
    fn carry(self, a: Fe) -> Fe {
        let mut out = a;
        for half in &mut out.0 {
            simd!({
                let c = self.set(C);
                let (mut high, mut low) = (*half, *half);
                for i in 0..5 {
                    high[i] = _mm256_sub_pd(_mm256_add_pd(half[i], c), c);
                    low[i] = _mm256_sub_pd(half[i], high[i]);
                }
                let once = self.set(1.0 / RADIX);
                *half = [
                    _mm256_fmadd_pd(high[4], self.set(19.0 / RADIX), low[0]),
                    _mm256_fmadd_pd(high[0], once, low[1]),
                    _mm256_fmadd_pd(high[1], once, low[2]),
                    _mm256_fmadd_pd(high[2], once, low[3]),
                    _mm256_fmadd_pd(high[3], once, low[4]),
                ];
            });
        }
        out
    }

    /// Integers below 2⁵² as doubles.
    #[inline(always)]
    fn doubles(self, limb: __m256i) -> __m256d {
        simd!({
            let integer = _mm256_or_si256(limb, self.set_bits(INTEGERS.to_bits()));
            _mm256_sub_pd(_mm256_castsi256_pd(integer), self.set(INTEGERS))
        })
    }

    /// Tight limbs as [`Row`]s have them: p is added, so that none is negative, and carried.
    #[inline(always)]
    fn unsigned(self, a: Half) -> [__m256i; 5] {
        simd!({
            let mask = self.set_bits(LIMB_MASK);
            let zero = self.set_bits(0);
            let (mut high, mut low) = ([zero; 5], [zero; 5]);
            for i in 0..5 {
                let sum = _mm256_add_pd(a[i], self.set(INTEGERS + P[i] as f64));
                let sum = _mm256_xor_si256(_mm256_castpd_si256(sum), self.set_bits(INTEGERS.to_bits()));
                high[i] = _mm256_srli_epi64::<{ LIMB_BITS as i32 }>(sum);
                low[i] = _mm256_and_si256(sum, mask);
            }
            [
                _mm256_add_epi64(low[0], _mm256_mul_epu32(high[4], self.set_bits(19))),
                _mm256_add_epi64(low[1], high[0]),
                _mm256_add_epi64(low[2], high[1]),
                _mm256_add_epi64(low[3], high[2]),
                _mm256_add_epi64(low[4], high[3]),
            ]
        })
    }

    /// Unsigned limbs, below 2⁵¹ + 2¹⁵ as those of a [`Row`].
    #[inline(always)]
    fn integers(self, a: Fe) -> LaneLimbs {
        let mut out = [[0; LANES]; 5];
        for (half, from) in a.0.into_iter().enumerate() {
            for (to, limb) in out.iter_mut().zip(self.unsigned(from)) {
                simd!({ _mm256_storeu_si256(to[half * WIDTH..][..WIDTH].as_mut_ptr().cast(), limb) });
            }
        }
        out
    }

    /// All ones in the lanes of `lanes`, zero in the others.
    #[inline(always)]
    fn masks(self, lanes: u8) -> [__m256d; HALVES] {
        let mut masks = [self.set(0.0); HALVES];
        for (half, mask) in masks.iter_mut().enumerate() {
            *mask = simd!({
                let first = 1 << (half * WIDTH);
                let bit = _mm256_setr_epi64x(first, 2 * first, 4 * first, 8 * first);
                let here = _mm256_and_si256(self.set_bits(lanes.into()), bit);
                _mm256_castsi256_pd(_mm256_cmpeq_epi64(here, bit))
            });
        }
        masks
    }

    /// Three elements from their integer limbs.
    #[inline(always)]
    fn elements(self, words: &[[__m256i; 15]; HALVES]) -> [Fe; 3] {
        let mut out = [Fe([[self.set(0.0); 5]; HALVES]); 3];
        for (half, words) in words.iter().enumerate() {
            for (i, word) in words.iter().enumerate() {
                out[i / 5].0[half][i % 5] = self.doubles(*word);
            }
        }
        out
    }
}

impl Field for Avx2 {
    type Fe = Fe;

    #[inline(always)]
    fn enter<W: Work>(self, work: W) -> W::Output {
        // SAFETY: `self` proves the features.
        unsafe { enter(work, self) }
    }

    #[inline(always)]
    fn splat(self, limbs: &Limbs) -> Fe {
        let mut out = [self.set(0.0); 5];
        for (to, limb) in out.iter_mut().zip(limbs) {
            *to = self.set(*limb as f64);
        }
        self.carry(Fe([out; HALVES]))
    }

    #[inline(always)]
    fn load(self, limbs: &LaneLimbs) -> Fe {
        let mut out = [[self.set(0.0); 5]; HALVES];
        for (half, out) in out.iter_mut().enumerate() {
            for (to, limb) in out.iter_mut().zip(limbs) {
                *to = self
                    .doubles(simd!({ _mm256_loadu_si256(limb[half * WIDTH..][..WIDTH].as_ptr().cast()) }));
            }
        }
        self.carry(Fe(out))
    }

    #[cfg(test)]
    fn store(self, a: Fe) -> LaneLimbs {
        self.integers(a)
    }

    #[inline(always)]
    fn add(self, a: Fe, b: Fe) -> Fe {
        self.carry(self.add_loose(a, b))
    }

    #[inline(always)]
    fn sub(self, a: Fe, b: Fe) -> Fe {
        self.carry(self.sub_loose(a, b))
    }

    #[inline(always)]
    fn add_loose(self, a: Fe, b: Fe) -> Fe {
        let mut out = a;
        for (a, b) in out.0.as_flattened_mut().iter_mut().zip(b.0.as_flattened()) {
            *a = simd!({ _mm256_add_pd(*a, *b) });
        }
        out
    }

    #[inline(always)]
    fn sub_loose(self, a: Fe, b: Fe) -> Fe {
        let mut out = a;
        for (a, b) in out.0.as_flattened_mut().iter_mut().zip(b.0.as_flattened()) {
            *a = simd!({ _mm256_sub_pd(*a, *b) });
        }
        out
    }

    #[inline(always)]
    fn twice(self, a: Fe) -> Fe {
        self.add_loose(a, a)
    }

    #[inline(always)]
    fn mul(self, a: Fe, b: Fe) -> Fe {
        simd!({ mul(self, &a, &b) })
    }

    #[inline(always)]
    fn square(self, a: Fe) -> Fe {
        simd!({ square(self, &a) })
    }

    #[inline(always)]
    fn negate_where(self, lanes: u8, a: Fe) -> Fe {
        let mut out = a;
        for (half, mask) in out.0.iter_mut().zip(self.masks(lanes)) {
            for limb in half {
                *limb = simd!({ _mm256_xor_pd(*limb, _mm256_and_pd(mask, self.set(-0.0))) });
            }
        }
        out
    }

    #[inline(always)]
    fn select(self, lanes: u8, yes: Fe, no: Fe) -> Fe {
        let mut out = no;
        for ((half, yes), mask) in out.0.iter_mut().zip(yes.0).zip(self.masks(lanes)) {
            for (no, yes) in half.iter_mut().zip(yes) {
                *no = simd!({ _mm256_blendv_pd(*no, yes, mask) });
            }
        }
        out
    }

    #[inline(always)]
    fn zero_lanes(self, a: Fe) -> u8 {
        let (limbs, mut lanes) = (self.integers(self.carry(a)), 0);
        for l in 0..LANES {
            lanes |= u8::from(portable::canonical(&limbs.map(|limb| limb[l])) == [0; 5]) << l;
        }
        lanes
    }

    #[inline(always)]
    fn odd_lanes(self, a: Fe) -> u8 {
        let (limbs, mut lanes) = (self.integers(self.carry(a)), 0);
        for l in 0..LANES {
            lanes |= ((portable::canonical(&limbs.map(|limb| limb[l]))[0] & 1) as u8) << l;
        }
        lanes
    }

    #[inline(always)]
    fn gather(self, rows: [&Row; LANES]) -> [Fe; 3] {
        let mut words = [[self.set_bits(0); 15]; HALVES];
        for (half, words) in words.iter_mut().enumerate() {
            for quarter in 0..4 {
                let mut block = [self.set_bits(0); WIDTH];
                for (l, block) in block.iter_mut().enumerate() {
                    let row = &rows[half * WIDTH + l].0[quarter * WIDTH..][..WIDTH];
                    *block = simd!({ _mm256_loadu_si256(row.as_ptr().cast()) });
                }
                let columns = simd!({ transpose_4x4(block) });
                for (to, column) in words[quarter * WIDTH..].iter_mut().zip(columns) {
                    *to = column;
                }
            }
        }
        self.elements(&words)
    }

    #[inline(always)]
    fn scatter(self, elements: [Fe; 3], rows: [&mut Row; LANES]) {
        for half in 0..HALVES {
            let mut words = [self.set_bits(0); 16];
            for (to, element) in words.as_chunks_mut::<5>().0.iter_mut().zip(elements) {
                *to = self.unsigned(element.0[half]);
            }
            for (quarter, block) in words.as_chunks::<WIDTH>().0.iter().enumerate() {
                for (l, part) in simd!({ transpose_4x4(*block) }).into_iter().enumerate() {
                    let row = &mut rows[half * WIDTH + l].0[quarter * WIDTH..][..WIDTH];
                    simd!({ _mm256_storeu_si256(row.as_mut_ptr().cast(), part) });
                }
            }
        }
    }

    /// A permutation of registers by the lanes' indices finds four entries at once: `vpermd` takes as long for one
    /// index as for another, and the loads are of the whole table. Of the fours, masks keep one.
    #[inline(always)]
    fn look_up(self, table: &LookUp, index: &[u64; LANES]) -> [Fe; 3] {
        let mut found = [[self.set_bits(0); 15]; HALVES];
        for (half, found) in found.iter_mut().enumerate() {
            simd!({
                let index = _mm256_loadu_si256(index[half * WIDTH..][..WIDTH].as_ptr().cast());
                let four = _mm256_srli_epi64::<2>(index);
                // A word is two of the permutation's: 2i and 2i + 1 for the lower two bits i of the index.
                let low = _mm256_slli_epi64::<1>(_mm256_and_si256(index, self.set_bits(WIDTH as u64 - 1)));
                let place = _mm256_or_si256(low, _mm256_slli_epi64::<32>(low));
                let place = _mm256_add_epi64(place, self.set_bits(1 << 32));
                for i in 0..ENTRIES / WIDTH {
                    let here = _mm256_cmpeq_epi64(four, self.set_bits(i as u64));
                    for (found, word) in found.iter_mut().zip(&table.0) {
                        let entries = _mm256_loadu_si256(word[i * WIDTH..][..WIDTH].as_ptr().cast());
                        let named = _mm256_permutevar8x32_epi32(entries, place);
                        *found = _mm256_or_si256(*found, _mm256_and_si256(named, here));
                    }
                }
            });
        }
        self.elements(&found)
    }

    #[inline(always)]
    fn prefetch(self, row: &Row) {
        simd!({
            _mm_prefetch::<_MM_HINT_T0>(row.0[..8].as_ptr().cast());
            _mm_prefetch::<_MM_HINT_T0>(row.0[8..].as_ptr().cast());
        });
    }
}

#[cfg(test)]
mod tests;
