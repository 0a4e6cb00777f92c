//! From points to encodings, with one inversion for many vectors of points (Montgomery's trick).
//!
//! The Z of a secret multiple tells about the scalar, so it must not show: inversion is a fixed chain of
//! multiplications, the products before it are in a fixed order, and Z is never zero on this curve, so nothing branches
//! on it. Only the quotients X/Z and Y/Z leave, and those are the public point.

use super::{
    field::{Field, LANES, Row, portable::canonical},
    point::{Extended, IDENTITY_ROW},
    power::invert,
};

/// Vectors of points that share an inversion at most.
pub(super) const VECTORS: usize = 16;

/// Encodes `points`, lane by lane.
#[inline(always)]
pub(super) fn encode<F: Field>(f: F, points: &[Extended<F>], out: &mut [[[u8; 32]; LANES]]) {
    assert!(points.len() == out.len() && points.len() <= VECTORS);
    let Some((first, rest)) = points.split_first() else { return };
    // products[i] = Z₀ · … · Zᵢ
    let mut products = [f.carried(first.z); VECTORS];
    for (i, point) in rest.iter().enumerate() {
        products[i + 1] = f.mul(products[i], f.carried(point.z));
    }
    let mut inverse = invert(f, products[points.len() - 1]);
    for i in (1..points.len()).rev() {
        out[i] = quotients(f, &points[i], f.mul(inverse, products[i - 1]));
        inverse = f.mul(inverse, f.carried(points[i].z));
    }
    out[0] = quotients(f, first, inverse);
}

/// y = Y/Z with the parity of x = X/Z as the topmost bit.
#[inline(always)]
fn quotients<F: Field>(f: F, point: &Extended<F>, inverse: F::Fe) -> [[u8; 32]; LANES] {
    let (x, y) = (f.mul(f.carried(point.x), inverse), f.mul(f.carried(point.y), inverse));
    let mut rows = [IDENTITY_ROW; LANES];
    f.scatter([x, y, y], rows.each_mut());
    let mut out = [[0; 32]; LANES];
    for (bytes, Row(row)) in out.iter_mut().zip(&rows) {
        let (limbs, _) = row.as_chunks::<5>();
        let (x, y) = (canonical(&limbs[0]), canonical(&limbs[1]));
        let words = [
            y[0] | y[1] << 51,
            y[1] >> 13 | y[2] << 38,
            y[2] >> 26 | y[3] << 25,
            y[3] >> 39 | y[4] << 12 | x[0] << 63,
        ];
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *chunk = word.to_le_bytes();
        }
    }
    out
}
