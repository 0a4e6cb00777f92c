//! The plain back-end: the specification that the others are compared with, and the path for every CPU.

use super::{Field, LANES, LIMB_BITS, LIMB_MASK, LaneLimbs, Limbs, Row, Work};

/// Needs nothing of the CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

/// 2p, limb by limb.
const TWO_P: Limbs =
    [0xf_ffff_ffff_ffda, 0xf_ffff_ffff_fffe, 0xf_ffff_ffff_fffe, 0xf_ffff_ffff_fffe, 0xf_ffff_ffff_fffe];

/// Limbs below 2⁶¹ become tight: each hands what exceeds 51 bits (below 2¹⁰) to the next, and the topmost hands 19
/// times it (below 2¹⁵) to the lowest.
fn carry(a: Limbs) -> Limbs {
    let high = a.map(|limb| limb >> LIMB_BITS);
    let low = a.map(|limb| limb & LIMB_MASK);
    [low[0] + 19 * high[4], low[1] + high[0], low[2] + high[1], low[3] + high[2], low[4] + high[3]]
}

fn add(a: Limbs, b: Limbs) -> Limbs {
    carry(std::array::from_fn(|i| a[i] + b[i]))
}

fn sub(a: Limbs, b: Limbs) -> Limbs {
    // Tight b < 2p limb by limb, so nothing goes below zero.
    carry(std::array::from_fn(|i| a[i] + TWO_P[i] - b[i]))
}

fn mul(a: Limbs, b: Limbs) -> Limbs {
    let m = |x: u64, y: u64| u128::from(x) * u128::from(y);
    // 2²⁵⁵ = 19: a product of limbs i + j >= 5 comes back 19-fold at i + j − 5. 19·2⁵² fits in 64 bits.
    let w = b.map(|limb| 19 * limb);
    let columns = [
        m(a[0], b[0]) + m(a[1], w[4]) + m(a[2], w[3]) + m(a[3], w[2]) + m(a[4], w[1]),
        m(a[0], b[1]) + m(a[1], b[0]) + m(a[2], w[4]) + m(a[3], w[3]) + m(a[4], w[2]),
        m(a[0], b[2]) + m(a[1], b[1]) + m(a[2], b[0]) + m(a[3], w[4]) + m(a[4], w[3]),
        m(a[0], b[3]) + m(a[1], b[2]) + m(a[2], b[1]) + m(a[3], b[0]) + m(a[4], w[4]),
        m(a[0], b[4]) + m(a[1], b[3]) + m(a[2], b[2]) + m(a[3], b[1]) + m(a[4], b[0]),
    ];
    // Columns are below 77 · 2¹⁰⁴ < 2¹¹¹, carries below 2⁶⁰, and the last one times 19 below 2⁶⁵: kept wide.
    let mut limbs = [0; 5];
    let mut over = 0u128;
    for (limb, column) in limbs.iter_mut().zip(columns) {
        let sum = column + over;
        *limb = sum as u64 & LIMB_MASK;
        over = sum >> LIMB_BITS;
    }
    let low = u128::from(limbs[0]) + 19 * over;
    limbs[0] = low as u64 & LIMB_MASK;
    // What is left is below 2¹⁴.
    limbs[1] += (low >> LIMB_BITS) as u64;
    limbs
}

/// The representative below p.
pub(crate) fn canonical(a: Limbs) -> Limbs {
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

/// One lane out of eight.
fn lane(a: &LaneLimbs, lane: usize) -> Limbs {
    a.map(|limb| limb[lane])
}

/// Applies `f` lane by lane.
fn each(f: impl Fn(usize) -> Limbs) -> LaneLimbs {
    let mut out = [[0; LANES]; 5];
    for l in 0..LANES {
        for (limb, value) in out.iter_mut().zip(f(l)) {
            limb[l] = value;
        }
    }
    out
}

/// The lanes for which `f` holds.
fn lanes(f: impl Fn(usize) -> bool) -> u8 {
    (0..LANES).fold(0, |set, l| set | u8::from(f(l)) << l)
}

impl Field for Portable {
    type Fe = LaneLimbs;

    fn enter<W: Work>(self, work: W) -> W::Output {
        work.run(self)
    }

    fn splat(self, limbs: &Limbs) -> LaneLimbs {
        limbs.map(|limb| [limb; LANES])
    }

    fn load(self, limbs: &LaneLimbs) -> LaneLimbs {
        *limbs
    }

    #[cfg(test)]
    fn store(self, a: LaneLimbs) -> LaneLimbs {
        a
    }

    fn add(self, a: LaneLimbs, b: LaneLimbs) -> LaneLimbs {
        each(|l| add(lane(&a, l), lane(&b, l)))
    }

    fn sub(self, a: LaneLimbs, b: LaneLimbs) -> LaneLimbs {
        each(|l| sub(lane(&a, l), lane(&b, l)))
    }

    fn mul(self, a: LaneLimbs, b: LaneLimbs) -> LaneLimbs {
        each(|l| mul(lane(&a, l), lane(&b, l)))
    }

    fn square(self, a: LaneLimbs) -> LaneLimbs {
        each(|l| mul(lane(&a, l), lane(&a, l)))
    }

    fn negate_where(self, lanes: u8, a: LaneLimbs) -> LaneLimbs {
        each(|l| {
            let value = lane(&a, l);
            if lanes >> l & 1 == 1 { std::array::from_fn(|i| TWO_P[i] - value[i]) } else { value }
        })
    }

    fn select(self, lanes: u8, yes: LaneLimbs, no: LaneLimbs) -> LaneLimbs {
        each(|l| lane(if lanes >> l & 1 == 1 { &yes } else { &no }, l))
    }

    fn zero_lanes(self, a: LaneLimbs) -> u8 {
        lanes(|l| canonical(lane(&a, l)) == [0; 5])
    }

    fn odd_lanes(self, a: LaneLimbs) -> u8 {
        lanes(|l| canonical(lane(&a, l))[0] & 1 == 1)
    }

    fn gather(self, rows: [&Row; LANES]) -> [LaneLimbs; 3] {
        [0, 5, 10].map(|at| each(|l| std::array::from_fn(|i| rows[l].0[at + i])))
    }

    fn scatter(self, elements: [LaneLimbs; 3], rows: &mut [Row; LANES]) {
        for (l, row) in rows.iter_mut().enumerate() {
            *row = Row::new(lane(&elements[0], l), lane(&elements[1], l), lane(&elements[2], l));
        }
    }

    fn prefetch(self, _row: &Row) {}
}
