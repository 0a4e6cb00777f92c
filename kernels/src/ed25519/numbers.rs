//! Numbers of the curve as 32 little-endian bytes: shaders have limbs of other shapes.

use super::{
    DecodedKey, decompress,
    field::{LIMB_BITS, Limbs, portable::canonical},
    point, scalar,
};
use curve25519_dalek::{EdwardsPoint, constants::ED25519_BASEPOINT_POINT};

/// A number below p.
type Number = [u8; 32];

/// p = 2²⁵⁵ − 19.
const P: scalar::Words = [u64::MAX - 18, u64::MAX, u64::MAX, u64::MAX >> 1];

/// d of the curve equation.
pub(crate) fn d() -> Number {
    bytes(&point::D)
}

/// 2d.
pub(crate) fn d2() -> Number {
    bytes(&point::D2)
}

/// √−1.
pub(crate) fn sqrt_m1() -> Number {
    bytes(&decompress::SQRT_M1)
}

/// L, the order of the basepoint.
pub(crate) fn order() -> Number {
    scalar::bytes(&scalar::ORDER)
}

/// An affine point.
pub(crate) struct Affine {
    pub(crate) x: Number,
    pub(crate) y: Number,
    /// y − x.
    pub(crate) minus: Number,
    /// y + x.
    pub(crate) plus: Number,
    /// 2dxy.
    pub(crate) t2d: Number,
}

/// 0, B, 2B … (`count` − 1)·B.
pub(crate) fn base_multiples(count: usize) -> Vec<Affine> {
    let following = |point: &EdwardsPoint| Some(point + ED25519_BASEPOINT_POINT);
    let multiples = std::iter::successors(Some(EdwardsPoint::default()), following).take(count);
    let encodings: Vec<_> = multiples.map(|multiple| multiple.compress().to_bytes()).collect();
    let affine = |key: &DecodedKey| {
        let part = |at: usize| bytes(key.row().0[at..].first_chunk().expect("a row has fifteen limbs"));
        let [plus, minus, t2d] = [0, 5, 10].map(part);
        let [high, low] = [plus, minus].map(|bytes| scalar::words(&bytes));
        let x = half(scalar::sub_words(&scalar::add_words(&high, &P), &low));
        let y = half(scalar::add_words(&high, &low));
        Affine { x, y, minus, plus, t2d }
    };
    DecodedKey::many(&encodings).iter().map(affine).collect()
}

/// Half of a number below 2p, modulo p.
fn half(number: scalar::Words) -> Number {
    let below = if number.iter().rev().ge(P.iter().rev()) { scalar::sub_words(&number, &P) } else { number };
    // p is odd, and p more is below 2²⁵⁶.
    let even = if below[0] & 1 == 1 { scalar::add_words(&below, &P) } else { below };
    let shifted = std::array::from_fn(|i| even[i] >> 1 | even.get(i + 1).map_or(0, |next| next << 63));
    scalar::bytes(&shifted)
}

fn bytes(limbs: &Limbs) -> Number {
    let mut words = [0; 4];
    for (i, limb) in canonical(limbs).into_iter().enumerate() {
        let bit = i * LIMB_BITS as usize;
        words[bit / 64] |= limb << (bit % 64);
        if bit % 64 + LIMB_BITS as usize > 64 {
            words[bit / 64 + 1] |= limb >> (64 - bit % 64);
        }
    }
    scalar::bytes(&words)
}
