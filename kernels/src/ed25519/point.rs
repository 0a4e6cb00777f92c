//! Points of −x² + y² = 1 + dx²y², eight at a time, written once for every backend.
//!
//! Extended coordinates of Hisil, Wong, Carter and Dawson (2008): x = X/Z, y = Y/Z, XY = ZT. Their addition is
//! complete on this curve (−1 is a square, d is not), so no case is special: small order, doubling, identity.

use super::field::{Field, LANES, Limbs, LookUp, Row};

/// d of the curve equation.
pub(super) const D: Limbs =
    [0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff];
/// 2d.
pub(super) const D2: Limbs =
    [0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff];
/// 1/d.
const D_INVERSE: Limbs = [0xf276cdc9f843, 0x3084f2a85c4bc, 0x6e73d982d775a, 0x721958b108a66, 0x40907ed214d5c];
/// The number one.
pub(super) const ONE: Limbs = [1, 0, 0, 0, 0];

/// The identity as a [`Niels`] row: (1, 1, 0).
pub(super) const IDENTITY_ROW: Row = Row::new(ONE, ONE, [0; 5]);
/// The basepoint as a [`Niels`] row.
pub(super) const BASEPOINT_ROW: Row = Row::new(
    [0x493c6f58c3b85, 0xdf7181c325f7, 0xf50b0b3e4cb7, 0x5329385a44c32, 0x7cf9d3a33d4b],
    [0x3905d740913e, 0xba2817d673a2, 0x23e2827f4e67c, 0x133d2e0c21a34, 0x44fd2f9298f81],
    [0x11205877aaa68, 0x479955893d579, 0x50d66309b67a0, 0x2d42d0dbee5ee, 0x6f117b689f0c6],
);

/// Affine points prepared for addition: y + x, y − x, 2dxy. As gathered, or tight.
#[derive(Clone, Copy)]
pub(super) struct Niels<F: Field> {
    plus: F::Fe,
    minus: F::Fe,
    t2d: F::Fe,
}

impl<F: Field> Niels<F> {
    /// From affine coordinates, tight.
    #[inline(always)]
    pub(super) fn from_affine(f: F, x: F::Fe, y: F::Fe) -> Self {
        Self { plus: f.add(y, x), minus: f.sub(y, x), t2d: f.mul(f.mul(x, y), f.splat(&D2)) }
    }

    #[inline(always)]
    pub(super) fn gather(f: F, rows: [&Row; LANES]) -> Self {
        let [plus, minus, t2d] = f.gather(rows);
        Self { plus, minus, t2d }
    }

    /// The entries that the lanes' indices, which may be secret, name.
    #[inline(always)]
    pub(super) fn look_up(f: F, table: &LookUp, index: &[u64; LANES]) -> Self {
        let [plus, minus, t2d] = f.look_up(table, index);
        Self { plus, minus, t2d }
    }

    #[inline(always)]
    pub(super) fn scatter(self, f: F, rows: [&mut Row; LANES]) {
        f.scatter([self.plus, self.minus, self.t2d], rows);
    }

    /// Minus the point in the lanes of `lanes`.
    #[inline(always)]
    pub(super) fn negate_where(self, f: F, lanes: u8) -> Self {
        Self {
            plus: f.select(lanes, self.minus, self.plus),
            minus: f.select(lanes, self.plus, self.minus),
            t2d: f.negate_where(lanes, self.t2d),
        }
    }
}

/// Where the four elements of an [`Extended`] or a [`Prepared`] point wait in memory.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Stored([Row; 2]);

impl Stored {
    /// The identity in extended coordinates.
    pub(super) const IDENTITY: Self = Self::new([0; 5], ONE, ONE, [0; 5]);
    /// The identity prepared.
    pub(super) const IDENTITY_PREPARED: Self = Self::new(ONE, ONE, [0; 5], [2, 0, 0, 0, 0]);

    const fn new(a: Limbs, b: Limbs, c: Limbs, d: Limbs) -> Self {
        Self([Row::new(a, b, c), Row::new(d, [0; 5], [0; 5])])
    }

    #[inline(always)]
    fn gather<F: Field>(f: F, stored: [&Self; LANES]) -> [F::Fe; 4] {
        let (mut first, mut last) = ([&stored[0].0[0]; LANES], [&stored[0].0[1]; LANES]);
        for (l, Self(rows)) in stored.into_iter().enumerate() {
            (first[l], last[l]) = (&rows[0], &rows[1]);
        }
        let [a, b, c] = f.gather(first);
        let [d, _, _] = f.gather(last);
        [a, b, c, d]
    }

    #[inline(always)]
    fn scatter<F: Field>(f: F, [a, b, c, d]: [F::Fe; 4], mut stored: [&mut Self; LANES]) {
        f.scatter([a, b, c], stored.each_mut().map(|to| &mut to.0[0]));
        f.scatter([d, d, d], stored.map(|to| &mut to.0[1]));
    }
}

/// Points prepared for addition: Y + X, Y − X, 2dT, 2Z. As gathered, or tight.
#[derive(Clone, Copy)]
pub(super) struct Prepared<F: Field> {
    affine: Niels<F>,
    z2: F::Fe,
}

impl<F: Field> Prepared<F> {
    #[inline(always)]
    pub(super) fn gather(f: F, stored: [&Stored; LANES]) -> Self {
        let [plus, minus, t2d, z2] = Stored::gather(f, stored);
        Self { affine: Niels { plus, minus, t2d }, z2 }
    }

    #[inline(always)]
    pub(super) fn scatter(self, f: F, stored: [&mut Stored; LANES]) {
        let Niels { plus, minus, t2d } = self.affine;
        Stored::scatter(f, [plus, minus, t2d, self.z2], stored);
    }

    /// Minus the point in the lanes of `lanes`.
    #[inline(always)]
    pub(super) fn negate_where(self, f: F, lanes: u8) -> Self {
        Self { affine: self.affine.negate_where(f, lanes), ..self }
    }
}

/// Eight points in extended coordinates: X, Y and Z uncarried, T tight.
#[derive(Clone, Copy)]
pub(super) struct Extended<F: Field> {
    pub(super) x: F::Fe,
    pub(super) y: F::Fe,
    pub(super) z: F::Fe,
    pub(super) t: F::Fe,
}

impl<F: Field> Extended<F> {
    /// The identity in every lane.
    #[inline(always)]
    pub(super) fn identity(f: F) -> Self {
        let (zero, one) = (f.splat(&[0; 5]), f.splat(&ONE));
        Self { x: zero, y: one, z: one, t: zero }
    }

    /// The point itself: (2x, 2y, 2, 2xy).
    #[inline(always)]
    pub(super) fn from_niels(f: F, q: Niels<F>) -> Self {
        Self {
            x: f.sub(q.plus, q.minus),
            y: f.add(q.plus, q.minus),
            z: f.splat(&[2, 0, 0, 0, 0]),
            t: f.mul(f.splat(&D_INVERSE), q.t2d),
        }
    }

    #[inline(always)]
    pub(super) fn prepare(self, f: F) -> Prepared<F> {
        let (plus, minus) = (f.add(self.y, self.x), f.sub(self.y, self.x));
        let t2d = f.mul(self.t, f.splat(&D2));
        Prepared { affine: Niels { plus, minus, t2d }, z2: f.add(self.z, self.z) }
    }

    /// Seven multiplications.
    #[inline(always)]
    pub(super) fn add_niels(self, f: F, q: Niels<F>) -> Self {
        self.add_scaled(f, q, f.twice(self.z))
    }

    /// Eight multiplications.
    #[inline(always)]
    pub(super) fn add_prepared(self, f: F, q: Prepared<F>) -> Self {
        self.add_scaled(f, q.affine, f.product(f.carried(self.z), q.z2))
    }

    /// Nine multiplications.
    #[inline(always)]
    pub(super) fn add(self, f: F, q: Self) -> Self {
        let (plus, minus) = (f.add(q.y, q.x), f.sub(q.y, q.x));
        let t2d = f.mul(q.t, f.splat(&D2));
        let zz = f.product(f.carried(self.z), f.carried(q.z));
        self.add_scaled(f, Niels { plus, minus, t2d }, f.twice(zz))
    }

    /// The sum with a point whose Niels form is scaled by its Z′, where D = 2ZZ′.
    ///
    /// Each product stands before another that does not need it: the sums and carries that do, which leave the
    /// multiplier idle, then have company. So written, `avx512` also spills half as much.
    #[inline(always)]
    fn add_scaled(self, f: F, q: Niels<F>, d: F::Fe) -> Self {
        let c = f.product(self.t, q.t2d);
        let a = f.product(f.sub(self.y, self.x), q.minus);
        let b = f.product(f.add(self.y, self.x), q.plus);
        let (g, i) = (f.add(d, c), f.sub_loose(d, c));
        let (e, h) = (f.sub(b, a), f.add_loose(b, a));
        Self::from_factors(f, [e, g, h, i])
    }

    /// Minus the point in the lanes of `lanes`: −x, −t.
    #[inline(always)]
    pub(super) fn negate_where(self, f: F, lanes: u8) -> Self {
        let zero = f.splat(&[0; 5]);
        Self {
            x: f.select(lanes, f.sub(zero, self.x), self.x),
            t: f.select(lanes, f.sub(zero, self.t), self.t),
            ..self
        }
    }

    /// X = EF, Y = GH, Z = FG, T = EH, where F is the last. Of each pair the first is tight.
    #[inline(always)]
    fn from_factors(f: F, [e, g, h, i]: [F::Fe; 4]) -> Self {
        let z = f.product(g, i);
        let t = f.mul(e, h);
        Self { x: f.product(e, i), y: f.product(g, h), z, t }
    }

    /// Four squarings, and four multiplications of which one makes T.
    #[inline(always)]
    pub(super) fn double(self, f: F) -> Self {
        Self::from_factors(f, self.doubling(f))
    }

    /// Times 2^`times`, for `times` of at least one. Doubling does not read T, so only the last one makes it.
    #[inline(always)]
    pub(super) fn double_times(mut self, f: F, times: u32) -> Self {
        for _ in 1..times {
            let [e, g, h, i] = self.doubling(f);
            (self.x, self.y, self.z) = (f.product(e, i), f.product(g, h), f.product(g, i));
        }
        self.double(f)
    }

    /// E and G of the doubling formula, tight, and H and F, loose.
    #[inline(always)]
    fn doubling(self, f: F) -> [F::Fe; 4] {
        let square = |a| f.square_product(f.carried(a));
        let (a, b, zz) = (square(self.x), square(self.y), square(self.z));
        let h = f.add_loose(a, b);
        let e = f.sub(h, f.square_product(f.add(self.x, self.y)));
        let g = f.sub(a, b);
        let i = f.add_loose(f.twice(zz), g);
        [e, g, h, i]
    }

    /// The lanes in which eight times the point is the identity.
    #[inline(always)]
    pub(super) fn torsion_lanes(self, f: F) -> u8 {
        let eight = self.double_times(f, 3);
        f.zero_lanes(eight.x) & f.zero_lanes(f.sub(eight.y, eight.z))
    }

    #[inline(always)]
    pub(super) fn gather(f: F, stored: [&Stored; LANES]) -> Self {
        let [x, y, z, t] = Stored::gather(f, stored);
        Self { x, y, z, t }
    }

    #[inline(always)]
    pub(super) fn scatter(self, f: F, stored: [&mut Stored; LANES]) {
        Stored::scatter(f, [f.carried(self.x), f.carried(self.y), f.carried(self.z), self.t], stored);
    }
}
