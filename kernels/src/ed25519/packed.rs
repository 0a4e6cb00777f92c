//! One point with its coordinates side by side in four lanes: X, Y, Z, T.
//!
//! The formulas of Hisil, Wong, Carter and Dawson (2008) for four processors: an addition is two vector
//! multiplications, a doubling a squaring and a multiplication, and between them a few shuffles and one carry. For one
//! signature alone; where there are eight, [`super::point`] does eight points for little more.

use super::{
    field::{
        Field, LaneLimbs, Limbs, Row,
        quad::{Fe, Quad, Wide},
    },
    point::{D2, ONE},
};

/// A point: X, Y, Z, T. Not carried.
#[derive(Clone, Copy)]
pub(super) struct Packed(Wide);

/// A point prepared for addition: Y − X, Y + X, 2dT, 2Z. Tight.
#[derive(Clone, Copy)]
pub(super) struct Prepared(Fe);

/// The four lanes' limbs as [`Field::load`] wants them.
fn side_by_side(lanes: [&Limbs; 4]) -> LaneLimbs {
    let mut out = LaneLimbs::default();
    for (l, limbs) in lanes.into_iter().enumerate() {
        for (to, limb) in out.iter_mut().zip(limbs) {
            to[l] = *limb;
        }
    }
    out
}

const ZERO: Limbs = [0; 5];
const TWO: Limbs = [2, 0, 0, 0, 0];

/// The `vpermq` immediate that puts lanes a, b, c, d into lanes 0, 1, 2, 3.
const fn order(a: i32, b: i32, c: i32, d: i32) -> i32 {
    a | b << 2 | c << 4 | d << 6
}

impl Prepared {
    /// From a row of y + x, y − x, 2dxy.
    #[inline(always)]
    pub(super) fn from_row(f: Quad, row: &Row) -> Self {
        let part = |at: usize| -> &Limbs { row.0[at..].first_chunk().expect("a row has fifteen limbs") };
        Self(f.load(&side_by_side([part(5), part(0), part(10), &TWO])))
    }

    /// Minus the point, if `negative`. Loose.
    #[inline(always)]
    fn opposite(self, negative: bool) -> Fe {
        self.0.opposite(negative)
    }
}

impl Packed {
    #[inline(always)]
    pub(super) fn identity(f: Quad) -> Self {
        Self(f.load(&side_by_side([&ZERO, &ONE, &ONE, &ZERO])).widen())
    }

    /// Y − X, X + Y, T, Z.
    #[inline(always)]
    fn differences(self) -> Fe {
        // Y X T Z, and to the first two −X Y.
        self.0.swap().add::<0b0011>(self.0.negate::<0b0001>()).carry()
    }

    #[inline(always)]
    pub(super) fn prepare(self, f: Quad) -> Prepared {
        let factors = f.load(&side_by_side([&ONE, &ONE, &D2, &TWO]));
        Prepared(self.differences().product(factors).carry())
    }

    /// Plus or, if `negative`, minus a point.
    #[inline(always)]
    pub(super) fn add(self, q: &Prepared, negative: bool) -> Self {
        let products = self.differences().product(q.opposite(negative)); // A B C D
        // B A D C and −A B −C D: E = B − A, H = B + A, F = D − C, G = D + C.
        let ehfg = products.swap().add::<0b1111>(products.negate::<0b0101>()).carry();
        let efgh = [ehfg.permute::<{ order(0, 1, 2, 0) }>(), ehfg.permute::<{ order(2, 3, 3, 1) }>()];
        Self(efgh[0].product(efgh[1])) // EF HG FG EH
    }

    #[inline(always)]
    pub(super) fn double(self) -> Self {
        // X Y Z X and 0 0 0 Y.
        let sides = self.0.pick::<0b1111, { order(0, 1, 2, 0) }>();
        let sides = sides.add::<0b1111>(self.0.pick::<0b1000, { order(0, 0, 0, 1) }>());
        let squares = sides.carry().squared(); // A = X², B = Y², Z², K = (X + Y)²
        // E = A + B − K, G = A − B, F = A − B + 2Z², H = A + B: all four with the opposite of their usual sign, which
        // leaves their products.
        let plus = squares.pick::<0b1111, { order(0, 0, 0, 0) }>();
        let plus = plus.add::<0b1111>(squares.pick::<0b1101, { order(1, 0, 2, 1) }>());
        let plus = plus.add::<0b1111>(squares.pick::<0b0100, { order(0, 0, 2, 0) }>());
        let minus = squares.pick::<0b0111, { order(3, 1, 1, 0) }>().negate::<0b0111>();
        let egfh = plus.add::<0b1111>(minus).carry();
        Self(egfh.permute::<{ order(0, 1, 2, 0) }>().product(egfh.permute::<{ order(2, 3, 1, 3) }>())) // EF GH FG EH
    }

    /// Whether eight times the point is the identity.
    #[inline(always)]
    pub(super) fn is_torsion(self, f: Quad) -> bool {
        let eight = self.double().double().double();
        // X, and Y − Z beside it.
        let x = eight.0.carry();
        let z = x.permute::<{ order(0, 2, 2, 3) }>();
        let difference = f.select(0b0001, x, f.sub(x, z));
        f.zero_lanes(difference) & 0b0011 == 0b0011
    }
}
