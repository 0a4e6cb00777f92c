//! Eight lanes of AVX-512 with IFMA: one 512-bit vector for each limb.
//!
//! `vpmadd52{lo,hi}` add the low or the high 52 bits of a 52×52-bit product to a 64-bit lane. With limbs of 51 bits
//! the high part of `aᵢbⱼ` weighs 2 · 2^(51(i+j+1)), so high parts are summed on their own and doubled.

use super::{ENTRIES, Field, LANES, LIMB_BITS, LIMB_MASK, LaneLimbs, Limbs, LookUp, Row, Work, times_p};
use crate::cpu::{Avx512, transpose_8x8};
use std::arch::x86_64::*;

/// Every limb of eight elements.
#[derive(Clone, Copy)]
pub(crate) struct Fe([__m512i; 5]);

/// Above a tight element in every limb.
const TWO_P: Limbs = times_p(2);
/// Above an uncarried element in every limb: see `fold`.
const MANY_P: Limbs = times_p(345);

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn enter<W: Work>(work: W, field: Avx512) -> W::Output {
    work.run(field)
}

/// A block of code that uses the token's instructions.
///
/// Every use stands in a method that takes `Avx512` by value, and that token exists only where `detect` found the
/// features; the pointers in `gather`, `scatter`, `load` and `store` come from references to at least as many bytes.
macro_rules! simd {
    ($body:block) => {
        // SAFETY: see above: the caller holds the token, and pointers come from references.
        unsafe { $body }
    };
}

impl Avx512 {
    #[inline(always)]
    fn set(self, limb: i64) -> __m512i {
        simd!({ _mm512_set1_epi64(limb) })
    }

    /// Limbs below 1100 · 2⁵¹ become tight: what exceeds 51 bits (below 1100) moves up, 19-fold (below 2¹⁵) from the
    /// top to the bottom. `madd52lo` does the 19-fold addition.
    #[inline(always)]
    fn carry(self, a: [__m512i; 5]) -> Fe {
        simd!({
            let mask = self.set(LIMB_MASK as i64);
            let (mut high, mut low) = (a, a);
            for i in 0..5 {
                high[i] = _mm512_srli_epi64::<LIMB_BITS>(a[i]);
                low[i] = _mm512_and_si512(a[i], mask);
            }
            Fe([
                _mm512_madd52lo_epu64(low[0], high[4], self.set(19)),
                _mm512_add_epi64(low[1], high[0]),
                _mm512_add_epi64(low[2], high[1]),
                _mm512_add_epi64(low[3], high[2]),
                _mm512_add_epi64(low[4], high[3]),
            ])
        })
    }

    /// Columns 0..=9 of a product, folded at 2²⁵⁵ = 19: uncarried, which here means limbs of at most 345 · 2⁵¹ − 6,555.
    ///
    /// A low part is below 2⁵² and a high part, of tight times loose, below 2⁵¹ + 2¹⁵; doubled, below 2⁵² + 2¹⁶. Limb k
    /// takes k + 1 low and k high parts and 19 times 4 − k low and 5 − k high ones: most for k = 0, where that is below
    /// 172 · 2⁵² + 95 · 2¹⁶. Three of those are below 1100 · 2⁵¹, which `carry` takes.
    #[inline(always)]
    fn fold(self, c: [__m512i; 10]) -> Fe {
        let nineteen = self.set(19);
        let mut limbs = [c[0], c[1], c[2], c[3], c[4]];
        for (limb, high) in limbs.iter_mut().zip(&c[5..]) {
            *limb = simd!({ _mm512_add_epi64(*limb, _mm512_mullo_epi64(*high, nineteen)) });
        }
        Fe(limbs)
    }

    /// The representative below p of an uncarried element. As in the portable backend: tight values are below 2p, and
    /// the carry out of value + 19 tells whether to subtract p.
    #[inline(always)]
    fn canonical(self, a: Fe) -> Fe {
        simd!({
            let mask = self.set(LIMB_MASK as i64);
            let nineteen = self.set(19);
            let mut limbs = self.carry(a.0).0;
            let mut q = nineteen;
            for limb in limbs {
                q = _mm512_srli_epi64::<LIMB_BITS>(_mm512_add_epi64(limb, q));
            }
            let mut over = _mm512_mullo_epi64(q, nineteen);
            for limb in &mut limbs {
                over = _mm512_add_epi64(over, *limb);
                *limb = _mm512_and_si512(over, mask);
                over = _mm512_srli_epi64::<LIMB_BITS>(over);
            }
            Fe(limbs)
        })
    }
}

impl Field for Avx512 {
    type Fe = Fe;

    #[inline(always)]
    fn enter<W: Work>(self, work: W) -> W::Output {
        // SAFETY: `self` proves the features.
        unsafe { enter(work, self) }
    }

    #[inline(always)]
    fn splat(self, limbs: &Limbs) -> Fe {
        let mut out = [self.set(0); 5];
        for (to, limb) in out.iter_mut().zip(limbs) {
            *to = self.set(*limb as i64);
        }
        Fe(out)
    }

    #[inline(always)]
    fn load(self, limbs: &LaneLimbs) -> Fe {
        let mut out = [self.set(0); 5];
        for (to, limb) in out.iter_mut().zip(limbs) {
            *to = simd!({ _mm512_loadu_epi64(limb.as_ptr().cast()) });
        }
        Fe(out)
    }

    #[cfg(test)]
    #[inline(always)]
    fn store(self, a: Fe) -> LaneLimbs {
        let mut out = [[0; LANES]; 5];
        for (to, limb) in out.iter_mut().zip(a.0) {
            simd!({ _mm512_storeu_epi64(to.as_mut_ptr().cast(), limb) });
        }
        out
    }

    #[inline(always)]
    fn add(self, a: Fe, b: Fe) -> Fe {
        let mut c = a.0;
        for (a, b) in c.iter_mut().zip(b.0) {
            *a = simd!({ _mm512_add_epi64(*a, b) });
        }
        self.carry(c)
    }

    #[inline(always)]
    fn sub(self, a: Fe, b: Fe) -> Fe {
        // Limbs of b are at most those of 345p, so nothing goes below zero; with a of twice 344 · 2⁵¹ and a little, the
        // sum is below 1100 · 2⁵¹.
        let mut c = a.0;
        for ((c, b), many_p) in c.iter_mut().zip(b.0).zip(MANY_P) {
            *c = simd!({ _mm512_add_epi64(*c, _mm512_sub_epi64(self.set(many_p as i64), b)) });
        }
        self.carry(c)
    }

    #[inline(always)]
    fn twice(self, a: Fe) -> Fe {
        let mut c = a.0;
        for a in &mut c {
            *a = simd!({ _mm512_add_epi64(*a, *a) });
        }
        Fe(c)
    }

    #[inline(always)]
    fn mul(self, a: Fe, b: Fe) -> Fe {
        self.carried(self.product(a, b))
    }

    #[inline(always)]
    fn square(self, a: Fe) -> Fe {
        self.carried(self.square_product(a))
    }

    #[inline(always)]
    fn carried(self, a: Fe) -> Fe {
        self.carry(a.0)
    }

    #[inline(always)]
    fn product(self, a: Fe, b: Fe) -> Fe {
        let (a, b) = (a.0, b.0);
        let zero = self.set(0);
        let mut c = [zero; 10];
        for i in 0..5 {
            for j in 0..5 {
                c[i + j + 1] = simd!({ _mm512_madd52hi_epu64(c[i + j + 1], a[i], b[j]) });
            }
        }
        for column in &mut c {
            *column = simd!({ _mm512_add_epi64(*column, *column) });
        }
        for i in 0..5 {
            for j in 0..5 {
                c[i + j] = simd!({ _mm512_madd52lo_epu64(c[i + j], a[i], b[j]) });
            }
        }
        self.fold(c)
    }

    #[inline(always)]
    fn square_product(self, a: Fe) -> Fe {
        let a = a.0;
        let zero = self.set(0);
        // Cross products count twice; high parts weigh twice: 2(2·cross_hi + cross_lo + square_hi) + square_lo.
        let mut c = [zero; 10];
        for i in 0..5 {
            for j in i + 1..5 {
                c[i + j + 1] = simd!({ _mm512_madd52hi_epu64(c[i + j + 1], a[i], a[j]) });
            }
        }
        for column in &mut c {
            *column = simd!({ _mm512_add_epi64(*column, *column) });
        }
        for i in 0..5 {
            c[2 * i + 1] = simd!({ _mm512_madd52hi_epu64(c[2 * i + 1], a[i], a[i]) });
            for j in i + 1..5 {
                c[i + j] = simd!({ _mm512_madd52lo_epu64(c[i + j], a[i], a[j]) });
            }
        }
        for column in &mut c {
            *column = simd!({ _mm512_add_epi64(*column, *column) });
        }
        for i in 0..5 {
            c[2 * i] = simd!({ _mm512_madd52lo_epu64(c[2 * i], a[i], a[i]) });
        }
        self.fold(c)
    }

    #[inline(always)]
    fn negate_where(self, lanes: u8, a: Fe) -> Fe {
        let mut c = a.0;
        for (c, two_p) in c.iter_mut().zip(TWO_P) {
            *c = simd!({ _mm512_mask_sub_epi64(*c, lanes, self.set(two_p as i64), *c) });
        }
        Fe(c)
    }

    #[inline(always)]
    fn select(self, lanes: u8, yes: Fe, no: Fe) -> Fe {
        let mut out = no.0;
        for (no, yes) in out.iter_mut().zip(yes.0) {
            *no = simd!({ _mm512_mask_blend_epi64(lanes, *no, yes) });
        }
        Fe(out)
    }

    #[inline(always)]
    fn zero_lanes(self, a: Fe) -> u8 {
        let [a, b, c, d, e] = self.canonical(a).0;
        simd!({
            let any = _mm512_or_si512(_mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d)), e);
            _mm512_testn_epi64_mask(any, any)
        })
    }

    #[inline(always)]
    fn odd_lanes(self, a: Fe) -> u8 {
        let a = self.canonical(a).0;
        simd!({ _mm512_test_epi64_mask(a[0], self.set(1)) })
    }

    #[inline(always)]
    fn gather(self, rows: [&Row; LANES]) -> [Fe; 3] {
        let mut low = [self.set(0); LANES];
        let mut high = low;
        for (i, row) in rows.into_iter().enumerate() {
            simd!({
                low[i] = _mm512_loadu_epi64(row.0[..8].as_ptr().cast());
                high[i] = _mm512_loadu_epi64(row.0[8..].as_ptr().cast());
            });
        }
        let (l, h) = simd!({ (transpose_8x8(low), transpose_8x8(high)) });
        [
            Fe([l[0], l[1], l[2], l[3], l[4]]),
            Fe([l[5], l[6], l[7], h[0], h[1]]),
            Fe([h[2], h[3], h[4], h[5], h[6]]),
        ]
    }

    #[inline(always)]
    fn scatter(self, elements: [Fe; 3], rows: [&mut Row; LANES]) {
        let [Fe(a), Fe(b), Fe(c)] = elements;
        let low = simd!({ transpose_8x8([a[0], a[1], a[2], a[3], a[4], b[0], b[1], b[2]]) });
        let high = simd!({ transpose_8x8([b[3], b[4], c[0], c[1], c[2], c[3], c[4], self.set(0)]) });
        for (row, (low, high)) in rows.into_iter().zip(low.into_iter().zip(high)) {
            simd!({
                _mm512_storeu_epi64(row.0[..8].as_mut_ptr().cast(), low);
                _mm512_storeu_epi64(row.0[8..].as_mut_ptr().cast(), high);
            });
        }
    }

    /// A permutation of registers by the lanes' indices finds sixteen entries at once: `vpermi2q` takes as long for one
    /// index as for another, and the loads are of the whole table. Of several sixteens, masks keep one.
    #[inline(always)]
    fn look_up(self, table: &LookUp, index: &[u64; LANES]) -> [Fe; 3] {
        const SIXTEENS: usize = ENTRIES / 16;
        let mut found = [self.set(0); 15];
        simd!({
            let index = _mm512_loadu_epi64(index.as_ptr().cast());
            let sixteen = _mm512_srli_epi64::<4>(index);
            for (found, word) in found.iter_mut().zip(&table.0) {
                for (i, entries) in word.as_chunks::<16>().0.iter().enumerate().take(SIXTEENS) {
                    let low = _mm512_loadu_epi64(entries[..8].as_ptr().cast());
                    let high = _mm512_loadu_epi64(entries[8..].as_ptr().cast());
                    let here = _mm512_permutex2var_epi64(low, index, high);
                    let lanes = _mm512_cmpeq_epi64_mask(sixteen, self.set(i as i64));
                    *found = _mm512_mask_blend_epi64(lanes, *found, here);
                }
            }
        });
        let [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p] = found;
        [Fe([a, b, c, d, e]), Fe([g, h, i, j, k]), Fe([l, m, n, o, p])]
    }

    #[inline(always)]
    fn prefetch(self, row: &Row) {
        simd!({
            _mm_prefetch::<_MM_HINT_T0>(row.0[..8].as_ptr().cast());
            _mm_prefetch::<_MM_HINT_T0>(row.0[8..].as_ptr().cast());
        });
    }
}
