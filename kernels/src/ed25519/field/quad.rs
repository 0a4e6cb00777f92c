//! Four lanes in the 256-bit half of AVX-512 with IFMA, for a signature that comes alone: the four coordinates of one
//! point stand side by side, and two encodings decompress with the latency of narrow vectors.
//!
//! As a [`Field`] it fills four of the eight lanes; the other four read as zero. What a product has before its carry is
//! a type of its own, [`Wide`], because formulas on one point shuffle, add and subtract products, and carry only then.

use super::{Field, LANES, LIMB_BITS, LIMB_MASK, LaneLimbs, Limbs, Row, Work, portable::canonical, times_p};
use crate::cpu::Avx512;
use std::arch::x86_64::*;

/// The backend: AVX-512, of which it uses the 256-bit forms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quad(pub(crate) Avx512);

/// Every limb of four elements, tight or loose as [`Field`] says. Only a [`Quad`] makes one, so to hold one proves the
/// features too.
#[derive(Clone, Copy)]
pub(crate) struct Fe([__m256i; 5]);

/// Limbs below 2⁶³. Products are below 300 · 2⁵² < 2⁶⁰·³ ([`Fe::product`]).
#[derive(Clone, Copy)]
pub(crate) struct Wide([__m256i; 5]);

/// 2p and 1024p, limb by limb; the latter exceeds any product's limb.
const TWO_P: Limbs = times_p(2);
const MANY_P: Limbs = times_p(1024);

/// Lanes in a vector.
const WIDTH: usize = 4;

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn enter<W: Work>(work: W, field: Quad) -> W::Output {
    work.run(field)
}

/// A block of code that uses the token's instructions.
///
/// Every use stands in a function that has a `Quad`, an `Fe` or a `Wide`, each of which exists only where `detect`
/// found the features; pointers come from references to at least as many bytes.
macro_rules! simd {
    ($body:block) => {
        // SAFETY: see above: the caller holds the proof, and pointers come from references.
        unsafe { $body }
    };
}

impl Fe {
    /// The whole product, folded at 2²⁵⁵ = 19. Loose operands: a column is at most 5 low parts and 5 doubled high
    /// parts, below 15 · 2⁵², and a folded limb below 20 times that. High columns come first, so that their fold
    /// overlaps the rest.
    #[inline(always)]
    pub(crate) fn product(self, other: Self) -> Wide {
        let (a, b) = (self.0, other.0);
        simd!({
            let zero = _mm256_setzero_si256();
            let (mut low, mut high, mut out) = ([zero; 10], [zero; 10], [zero; 5]);
            for upper in [true, false] {
                for i in 0..5 {
                    for j in 0..5 {
                        if (i + j + 1 >= 5) == upper {
                            high[i + j + 1] = _mm256_madd52hi_epu64(high[i + j + 1], a[i], b[j]);
                        }
                        if (i + j >= 5) == upper {
                            low[i + j] = _mm256_madd52lo_epu64(low[i + j], a[i], b[j]);
                        }
                    }
                }
                for (k, out) in out.iter_mut().enumerate() {
                    let at = if upper { k + 5 } else { k };
                    let column = _mm256_add_epi64(low[at], _mm256_add_epi64(high[at], high[at]));
                    *out = if upper {
                        _mm256_mullo_epi64(column, _mm256_set1_epi64x(19))
                    } else {
                        _mm256_add_epi64(*out, column)
                    };
                }
            }
            Wide(out)
        })
    }

    /// [`Fe::product`] with itself. Cross products count twice and high parts weigh twice, so a column is
    /// once + 2 · twice + 4 · four times, with the same bound.
    #[inline(always)]
    pub(crate) fn squared(self) -> Wide {
        let a = self.0;
        simd!({
            let zero = _mm256_setzero_si256();
            let (mut once, mut twice, mut four, mut out) = ([zero; 10], [zero; 10], [zero; 10], [zero; 5]);
            for upper in [true, false] {
                for i in 0..5 {
                    if (2 * i >= 5) == upper {
                        once[2 * i] = _mm256_madd52lo_epu64(once[2 * i], a[i], a[i]);
                    }
                    if (2 * i + 1 >= 5) == upper {
                        twice[2 * i + 1] = _mm256_madd52hi_epu64(twice[2 * i + 1], a[i], a[i]);
                    }
                    for j in i + 1..5 {
                        if (i + j >= 5) == upper {
                            twice[i + j] = _mm256_madd52lo_epu64(twice[i + j], a[i], a[j]);
                        }
                        if (i + j + 1 >= 5) == upper {
                            four[i + j + 1] = _mm256_madd52hi_epu64(four[i + j + 1], a[i], a[j]);
                        }
                    }
                }
                for (k, out) in out.iter_mut().enumerate() {
                    let at = if upper { k + 5 } else { k };
                    let doubled = _mm256_add_epi64(twice[at], twice[at]);
                    let column = _mm256_add_epi64(
                        _mm256_add_epi64(once[at], doubled),
                        _mm256_slli_epi64::<2>(four[at]),
                    );
                    *out = if upper {
                        _mm256_mullo_epi64(column, _mm256_set1_epi64x(19))
                    } else {
                        _mm256_add_epi64(*out, column)
                    };
                }
            }
            Wide(out)
        })
    }

    /// The limbs in the first four lanes, zero in the others.
    #[inline(always)]
    fn limbs(self) -> LaneLimbs {
        let mut out = [[0; LANES]; 5];
        for (to, limb) in out.iter_mut().zip(self.0) {
            simd!({ _mm256_storeu_epi64(to[..WIDTH].as_mut_ptr().cast(), limb) });
        }
        out
    }

    /// As it is, but counted as wide.
    #[inline(always)]
    pub(crate) fn widen(self) -> Wide {
        Wide(self.0)
    }

    /// Lanes in another order: lane `i` of the result is lane `ORDER >> 2i & 3`.
    #[inline(always)]
    pub(crate) fn permute<const ORDER: i32>(self) -> Self {
        let mut out = self.0;
        for limb in &mut out {
            *limb = simd!({ _mm256_permute4x64_epi64::<ORDER>(*limb) });
        }
        Self(out)
    }

    /// If `negative`: lanes 0 and 1 exchanged, and lane 2 taken from 2p. Tight → loose.
    #[inline(always)]
    pub(crate) fn opposite(self, negative: bool) -> Self {
        let all = u8::from(negative).wrapping_neg();
        let mut out = self.0;
        for (limb, two_p) in out.iter_mut().zip(TWO_P) {
            *limb = simd!({
                let swapped = _mm256_mask_shuffle_epi32::<SWAP>(*limb, all & 0x0f, *limb);
                _mm256_mask_sub_epi64(swapped, all & 0b0100, _mm256_set1_epi64x(two_p as i64), swapped)
            });
        }
        Self(out)
    }
}

/// Neighbouring 64-bit lanes exchanged, for `vpshufd`.
const SWAP: i32 = 0b01_00_11_10;

impl Wide {
    /// Tight again: limbs hand at most 2¹² up, 19-fold from the top to the bottom.
    #[inline(always)]
    pub(crate) fn carry(self) -> Fe {
        let a = self.0;
        simd!({
            let mask = _mm256_set1_epi64x(LIMB_MASK as i64);
            let (mut high, mut low) = (a, a);
            for i in 0..5 {
                high[i] = _mm256_srli_epi64::<{ LIMB_BITS as i32 }>(a[i]);
                low[i] = _mm256_and_si256(a[i], mask);
            }
            Fe([
                _mm256_madd52lo_epu64(low[0], high[4], _mm256_set1_epi64x(19)),
                _mm256_add_epi64(low[1], high[0]),
                _mm256_add_epi64(low[2], high[1]),
                _mm256_add_epi64(low[3], high[2]),
                _mm256_add_epi64(low[4], high[3]),
            ])
        })
    }

    /// Neighbouring lanes exchanged.
    #[inline(always)]
    pub(crate) fn swap(self) -> Self {
        let mut out = self.0;
        for limb in &mut out {
            *limb = simd!({ _mm256_shuffle_epi32::<SWAP>(*limb) });
        }
        Self(out)
    }

    /// Lanes in the order that `ORDER` says, as in [`Fe::permute`], and zero outside the lanes of `LANES`.
    #[inline(always)]
    pub(crate) fn pick<const LANES: u8, const ORDER: i32>(self) -> Self {
        let mut out = self.0;
        for limb in &mut out {
            *limb = simd!({ _mm256_maskz_permutex_epi64::<ORDER>(LANES, *limb) });
        }
        Self(out)
    }

    /// 1024p minus the limbs in the lanes of `LANES`, of which none may exceed a product's.
    #[inline(always)]
    pub(crate) fn negate<const LANES: u8>(self) -> Self {
        let mut out = self.0;
        for (limb, many_p) in out.iter_mut().zip(MANY_P) {
            *limb = simd!({ _mm256_mask_sub_epi64(*limb, LANES, _mm256_set1_epi64x(many_p as i64), *limb) });
        }
        Self(out)
    }

    /// The sum in the lanes of `LANES`; no sum may reach 2⁶³.
    #[inline(always)]
    pub(crate) fn add<const LANES: u8>(self, other: Self) -> Self {
        let mut out = self.0;
        for (limb, other) in out.iter_mut().zip(other.0) {
            *limb = simd!({ _mm256_mask_add_epi64(*limb, LANES, *limb, other) });
        }
        Self(out)
    }
}

impl Field for Quad {
    type Fe = Fe;
    const LIVE: usize = WIDTH;

    #[inline(always)]
    fn enter<W: Work>(self, work: W) -> W::Output {
        // SAFETY: `self` proves the features.
        unsafe { enter(work, self) }
    }

    #[inline(always)]
    fn splat(self, limbs: &Limbs) -> Fe {
        let mut out = simd!({ [_mm256_setzero_si256(); 5] });
        for (to, limb) in out.iter_mut().zip(limbs) {
            *to = simd!({ _mm256_set1_epi64x(*limb as i64) });
        }
        Fe(out)
    }

    #[inline(always)]
    fn load(self, limbs: &LaneLimbs) -> Fe {
        let mut out = simd!({ [_mm256_setzero_si256(); 5] });
        for (to, limb) in out.iter_mut().zip(limbs) {
            *to = simd!({ _mm256_loadu_epi64(limb[..WIDTH].as_ptr().cast()) });
        }
        Fe(out)
    }

    #[cfg(test)]
    fn store(self, a: Fe) -> LaneLimbs {
        a.limbs()
    }

    #[inline(always)]
    fn add(self, a: Fe, b: Fe) -> Fe {
        a.widen().add::<0b1111>(b.widen()).carry()
    }

    #[inline(always)]
    fn sub(self, a: Fe, b: Fe) -> Fe {
        a.widen().add::<0b1111>(b.widen().negate::<0b1111>()).carry()
    }

    #[inline(always)]
    fn twice(self, a: Fe) -> Fe {
        self.add(a, a)
    }

    #[inline(always)]
    fn mul(self, a: Fe, b: Fe) -> Fe {
        a.product(b).carry()
    }

    #[inline(always)]
    fn square(self, a: Fe) -> Fe {
        a.squared().carry()
    }

    #[inline(always)]
    fn negate_where(self, lanes: u8, a: Fe) -> Fe {
        let mut out = a.0;
        for (limb, two_p) in out.iter_mut().zip(TWO_P) {
            *limb = simd!({ _mm256_mask_sub_epi64(*limb, lanes, _mm256_set1_epi64x(two_p as i64), *limb) });
        }
        Fe(out)
    }

    #[inline(always)]
    fn select(self, lanes: u8, yes: Fe, no: Fe) -> Fe {
        let mut out = no.0;
        for (no, yes) in out.iter_mut().zip(yes.0) {
            *no = simd!({ _mm256_mask_blend_epi64(lanes, *no, yes) });
        }
        Fe(out)
    }

    #[inline(always)]
    fn zero_lanes(self, a: Fe) -> u8 {
        let (limbs, mut lanes) = (a.limbs(), 0);
        for l in 0..WIDTH {
            lanes |= u8::from(canonical(&limbs.map(|limb| limb[l])) == [0; 5]) << l;
        }
        lanes
    }

    #[inline(always)]
    fn odd_lanes(self, a: Fe) -> u8 {
        let (limbs, mut lanes) = (a.limbs(), 0);
        for l in 0..WIDTH {
            lanes |= ((canonical(&limbs.map(|limb| limb[l]))[0] & 1) as u8) << l;
        }
        lanes
    }

    #[inline(always)]
    fn gather(self, rows: [&Row; LANES]) -> [Fe; 3] {
        let mut parts = [[[0; LANES]; 5]; 3];
        for (l, row) in rows.into_iter().enumerate().take(WIDTH) {
            for (limb, word) in parts.as_flattened_mut().iter_mut().zip(row.0) {
                limb[l] = word;
            }
        }
        let [a, b, c] = parts;
        [self.load(&a), self.load(&b), self.load(&c)]
    }

    #[inline(always)]
    fn scatter(self, elements: [Fe; 3], rows: [&mut Row; LANES]) {
        let [a, b, c] = elements;
        let parts = [a.limbs(), b.limbs(), c.limbs()];
        for (l, row) in rows.into_iter().enumerate() {
            for (word, limb) in row.0.iter_mut().zip(parts.as_flattened()) {
                *word = limb[l];
            }
            row.0[15] = 0;
        }
    }

    #[inline(always)]
    fn prefetch(self, _row: &Row) {}
}
