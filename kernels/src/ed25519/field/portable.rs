//! The plain backend: the specification that the others are compared with, and the path for every CPU.

use super::{Field, LANES, LIMB_BITS, LIMB_MASK, LaneLimbs, Limbs, Row, Work, times_p};
use std::hint::black_box;

/// Needs nothing of the CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

/// 2p, limb by limb.
const TWO_P: Limbs = times_p(2);
/// 4p, limb by limb.
const FOUR_P: Limbs = times_p(4);

/// Limbs below 2⁶¹ become tight: each hands what exceeds 51 bits (below 2¹⁰) to the next, and the topmost hands 19
/// times it (below 2¹⁵) to the lowest.
#[inline(always)]
fn carry(a: &Limbs) -> Limbs {
    let high = |i: usize| a[i] >> LIMB_BITS;
    let low = |i: usize| a[i] & LIMB_MASK;
    [low(0) + 19 * high(4), low(1) + high(0), low(2) + high(1), low(3) + high(2), low(4) + high(3)]
}

/// Limb by limb; no limb may fall below zero.
#[inline(always)]
fn minus(a: &Limbs, b: &Limbs) -> Limbs {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3], a[4] - b[4]]
}

/// Limb by limb.
#[inline(always)]
fn plus(a: &Limbs, b: &Limbs) -> Limbs {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4]]
}

#[inline(always)]
fn add(a: &Limbs, b: &Limbs) -> Limbs {
    carry(&plus(a, b))
}

#[inline(always)]
fn sub(a: &Limbs, b: &Limbs) -> Limbs {
    // Loose b < 4p limb by limb, so nothing goes below zero.
    carry(&plus(a, &minus(&FOUR_P, b)))
}

#[inline]
fn mul(a: &Limbs, b: &Limbs) -> Limbs {
    let m = |x: u64, y: u64| u128::from(x) * u128::from(y);
    // 2²⁵⁵ = 19: a product of limbs i + j >= 5 comes back 19-fold at i + j − 5. 19·2⁵² fits in 64 bits.
    let w = [0, 19 * b[1], 19 * b[2], 19 * b[3], 19 * b[4]];
    let c0 = m(a[0], b[0]) + m(a[1], w[4]) + m(a[2], w[3]) + m(a[3], w[2]) + m(a[4], w[1]);
    let c1 = m(a[0], b[1]) + m(a[1], b[0]) + m(a[2], w[4]) + m(a[3], w[3]) + m(a[4], w[2]);
    let c2 = m(a[0], b[2]) + m(a[1], b[1]) + m(a[2], b[0]) + m(a[3], w[4]) + m(a[4], w[3]);
    let c3 = m(a[0], b[3]) + m(a[1], b[2]) + m(a[2], b[1]) + m(a[3], b[0]) + m(a[4], w[4]);
    let c4 = m(a[0], b[4]) + m(a[1], b[3]) + m(a[2], b[2]) + m(a[3], b[1]) + m(a[4], b[0]);
    // Columns are below 77 · 2¹⁰⁴ < 2¹¹¹ and carries below 2⁶⁰; the last one times 19 is below 2⁶⁵ and kept wide.
    let low = |column: u128| column as u64 & LIMB_MASK;
    let c1 = c1 + (c0 >> LIMB_BITS);
    let c2 = c2 + (c1 >> LIMB_BITS);
    let c3 = c3 + (c2 >> LIMB_BITS);
    let c4 = c4 + (c3 >> LIMB_BITS);
    let c0 = u128::from(low(c0)) + 19 * (c4 >> LIMB_BITS);
    // What is left over c0 is below 2¹⁴.
    [low(c0), low(c1) + (c0 >> LIMB_BITS) as u64, low(c2), low(c3), low(c4)]
}

/// The representative below p of a loose element.
#[inline(always)]
pub(crate) fn canonical(a: &Limbs) -> Limbs {
    let mut limbs = carry(a);
    // Tight values are below 2p; q is 1 exactly when this one is at least p: 19 more then carries out of bit 255.
    let mut q = 19;
    for limb in limbs {
        q = (limb + q) >> LIMB_BITS;
    }
    let mut over = 19 * q;
    for limb in &mut limbs {
        over += *limb;
        *limb = over & LIMB_MASK;
        over >>= LIMB_BITS;
    }
    limbs
}

/// Eight elements, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fe([Limbs; LANES]);

/// Applies `f` lane by lane.
#[inline(always)]
fn each(f: impl Fn(usize) -> Limbs) -> Fe {
    let mut out = [[0; 5]; LANES];
    for (l, limbs) in out.iter_mut().enumerate() {
        *limbs = f(l);
    }
    Fe(out)
}

/// The lanes for which `f` holds.
#[inline(always)]
fn lanes(f: impl Fn(usize) -> bool) -> u8 {
    let mut set = 0;
    for l in 0..LANES {
        set |= u8::from(f(l)) << l;
    }
    set
}

/// All ones for the lanes of the set, zero for the others. Opaque to the optimiser, which might otherwise find the
/// branches again that a mask avoids.
#[inline(always)]
fn masks(lanes: u8) -> [u64; LANES] {
    let mut masks = [0; LANES];
    for (l, mask) in masks.iter_mut().enumerate() {
        *mask = u64::from(lanes >> l & 1).wrapping_neg();
    }
    black_box(masks)
}

/// `yes` under a mask of ones, `no` under zero.
#[inline(always)]
fn choose(mask: u64, yes: &Limbs, no: &Limbs) -> Limbs {
    let mut out = *no;
    for (no, yes) in out.iter_mut().zip(yes) {
        *no ^= mask & (*no ^ yes);
    }
    out
}

impl Field for Portable {
    type Fe = Fe;

    #[inline(always)]
    fn enter<W: Work>(self, work: W) -> W::Output {
        work.run(self)
    }

    #[inline(always)]
    fn splat(self, limbs: &Limbs) -> Fe {
        Fe([*limbs; LANES])
    }

    #[inline(always)]
    fn load(self, limbs: &LaneLimbs) -> Fe {
        each(|l| [limbs[0][l], limbs[1][l], limbs[2][l], limbs[3][l], limbs[4][l]])
    }

    #[cfg(test)]
    fn store(self, a: Fe) -> LaneLimbs {
        std::array::from_fn(|limb| std::array::from_fn(|l| a.0[l][limb]))
    }

    #[inline(always)]
    fn add(self, a: Fe, b: Fe) -> Fe {
        each(|l| add(&a.0[l], &b.0[l]))
    }

    #[inline(always)]
    fn sub(self, a: Fe, b: Fe) -> Fe {
        each(|l| sub(&a.0[l], &b.0[l]))
    }

    #[inline(always)]
    fn twice(self, a: Fe) -> Fe {
        each(|l| plus(&a.0[l], &a.0[l]))
    }

    #[inline(always)]
    fn mul(self, a: Fe, b: Fe) -> Fe {
        each(|l| mul(&a.0[l], &b.0[l]))
    }

    #[inline(always)]
    fn square(self, a: Fe) -> Fe {
        each(|l| mul(&a.0[l], &a.0[l]))
    }

    #[inline(always)]
    fn negate_where(self, lanes: u8, a: Fe) -> Fe {
        let masks = masks(lanes);
        each(|l| choose(masks[l], &minus(&TWO_P, &a.0[l]), &a.0[l]))
    }

    #[inline(always)]
    fn select(self, lanes: u8, yes: Fe, no: Fe) -> Fe {
        let masks = masks(lanes);
        each(|l| choose(masks[l], &yes.0[l], &no.0[l]))
    }

    #[inline(always)]
    fn zero_lanes(self, a: Fe) -> u8 {
        lanes(|l| canonical(&a.0[l]) == [0; 5])
    }

    #[inline(always)]
    fn odd_lanes(self, a: Fe) -> u8 {
        lanes(|l| canonical(&a.0[l])[0] & 1 == 1)
    }

    #[inline(always)]
    fn gather(self, rows: [&Row; LANES]) -> [Fe; 3] {
        let part = |at: usize| {
            each(|l| {
                let row = &rows[l].0;
                [row[at], row[at + 1], row[at + 2], row[at + 3], row[at + 4]]
            })
        };
        [part(0), part(5), part(10)]
    }

    #[inline(always)]
    fn scatter(self, elements: [Fe; 3], rows: [&mut Row; LANES]) {
        for (l, row) in rows.into_iter().enumerate() {
            *row = Row::new(elements[0].0[l], elements[1].0[l], elements[2].0[l]);
        }
    }

    #[inline(always)]
    fn prefetch(self, _row: &Row) {}
}
