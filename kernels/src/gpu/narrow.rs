//! Ed25519 with twenty limbs of 13 bits, in nothing but 32-bit arithmetic. `narrow/README.md` has layout and bounds.

use super::program::{Text, halves, limbs};
use crate::ed25519::numbers;
use crate::sha2::constants::{ROUND_512, START_512};
use curve25519_dalek::scalar::Scalar;

#[cfg(test)]
mod tests;

/// Limbs of an element.
pub(super) const LIMBS: usize = 20;
/// Bits of each.
const BITS: u32 = 13;
/// Multiples of a point from zero on: one for each hexadecimal digit.
pub(super) const MULTIPLES: usize = 16;

/// The columns of a product of f and g, or of the square of f, as WGSL.
fn columns(square: bool) -> String {
    let term = |i: usize, j: usize| match (square, i == j) {
        (false, _) => format!("f[{i}] * g[{j}]"),
        (true, true) => format!("f[{i}] * f[{i}]"),
        (true, false) => format!("f2[{i}] * f[{j}]"),
    };
    let column = |k: usize| {
        let first = k.saturating_sub(LIMBS - 1);
        let pairs = (first..=k.min(LIMBS - 1)).map(|i| (i, k - i)).filter(|(i, j)| !square || i <= j);
        pairs.map(|(i, j)| term(i, j)).collect::<Vec<_>>().join("\n        + ")
    };
    (0..2 * LIMBS - 1).map(column).collect::<Vec<_>>().join(",\n        ")
}

/// The field alone.
pub(super) fn field() -> String {
    include_str!("narrow/field.wgsl")
        .replace("//@products", &columns(false))
        .replace("//@squares", &columns(true))
}

/// What the combination uses too: all but tables and the ladder.
pub(super) fn common() -> String {
    [
        include_str!("narrow/bindings.wgsl"),
        &field(),
        include_str!("narrow/point.wgsl"),
        include_str!("narrow/decode.wgsl"),
        include_str!("narrow/scalar.wgsl"),
        include_str!("narrow/challenge.wgsl"),
    ]
    .concat()
}

/// A number as limbs.
pub(super) fn element(number: &[u8; 32]) -> Vec<u32> {
    limbs(number, [BITS; LIMBS])
}

/// All of it.
pub(super) fn text() -> Text {
    let source = common() + include_str!("narrow/table.wgsl") + include_str!("narrow/ladder.wgsl");
    let mut constants = Vec::new();
    for number in [numbers::d(), numbers::d2(), numbers::sqrt_m1(), numbers::order()] {
        constants.extend(element(&number));
    }
    // 2^(13j) mod L, for the forty digits of a digest.
    let mut power = Scalar::ONE;
    for _ in 0..2 * LIMBS {
        constants.extend(element(power.as_bytes()));
        power *= Scalar::from(1u32 << BITS);
    }
    constants.extend(halves(&START_512).chain(halves(&ROUND_512)));
    let mut two = [0; 32];
    two[0] = 2;
    for multiple in numbers::base_multiples(MULTIPLES) {
        for number in [&multiple.minus, &multiple.plus, &two, &multiple.t2d] {
            constants.extend(element(number));
        }
    }
    let row = 4 * LIMBS;
    Text { source, constants, point: 2 * LIMBS as u32 + 1, slot: (MULTIPLES * row + 1) as u32 }
}
