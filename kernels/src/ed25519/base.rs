//! Multiples of the basepoint for variable-time verification, made at first use.

use super::{DecodedKey, field::Row};
use curve25519_dalek::{EdwardsPoint, constants::ED25519_BASEPOINT_POINT};
use std::sync::LazyLock;

/// Bits of a signed digit whose size names a multiple.
pub(super) const BASE_WIDTH: u32 = 8;
/// 0, 1, … 128 times a point, as [`super::point::Niels`] rows: 16 KiB.
pub(super) type Multiples = [Row; 1 + (1 << (BASE_WIDTH - 1))];

/// Of B and of 2¹²⁸B: with both, half the doublings do for a whole scalar.
pub(super) static BASE: LazyLock<[Box<Multiples>; 2]> = LazyLock::new(|| {
    let high = (0..128).fold(ED25519_BASEPOINT_POINT, |point, _| point + point);
    [ED25519_BASEPOINT_POINT, high].map(|point| {
        let mut multiples = [EdwardsPoint::default(); size_of::<Multiples>() / size_of::<Row>()];
        for i in 1..multiples.len() {
            multiples[i] = multiples[i - 1] + point;
        }
        let encodings = EdwardsPoint::compress_batch(&multiples).map(|encoding| encoding.to_bytes());
        let rows: Vec<Row> = DecodedKey::many(&encodings).iter().map(|key| *key.row()).collect();
        rows.try_into().expect("a row for each multiple")
    })
});
