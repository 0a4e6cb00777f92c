//! Ed25519 with ten limbs of 26 and 25 bits and products of 64 bits. `wide/README.md` has layout and bounds.

use super::program::{Text, halves, limbs};
use crate::ed25519::numbers;
use crate::sha2::constants::{ROUND_512, START_512};

#[cfg(test)]
mod tests;

/// Limbs of an element.
const LIMBS: usize = 10;
/// Multiples of B from zero on: one for each byte of s.
const MULTIPLES: usize = 256;

/// Bits of each limb.
fn bits() -> impl Iterator<Item = u32> {
    (0..LIMBS).map(|limb| 26 - limb as u32 % 2)
}

/// The columns of a product of f and g, or of the square of f, as WGSL: limb i times limb j counts double where both
/// are odd (their 25 bits fall one short of their place), and 19-fold where it wraps.
fn columns(square: bool) -> String {
    let g = if square { "f" } else { "g" };
    let term = |i: usize, j: usize| {
        let twice = u32::from(square && i != j) + u32::from(i % 2 == 1 && j % 2 == 1);
        let left = ["f", "f2", "f4"][twice as usize];
        let right = if i + j >= LIMBS { "19" } else { "" };
        format!("u64({left}[{i}]) * u64({g}{right}[{j}])")
    };
    let column = |k: usize| {
        let pairs = (0..LIMBS).map(|i| (i, (k + LIMBS - i) % LIMBS)).filter(|(i, j)| !square || i <= j);
        pairs.map(|(i, j)| term(i, j)).collect::<Vec<_>>().join("\n        + ")
    };
    (0..LIMBS).map(column).collect::<Vec<_>>().join(",\n        ")
}

/// The field alone.
pub(super) fn field() -> String {
    include_str!("wide/field.wgsl")
        .replace("//@products", &columns(false))
        .replace("//@squares", &columns(true))
}

/// All of it.
pub(super) fn text() -> Text {
    let source = [
        include_str!("wide/bindings.wgsl"),
        &field(),
        include_str!("wide/point.wgsl"),
        include_str!("wide/decode.wgsl"),
        include_str!("wide/table.wgsl"),
        include_str!("wide/ladder.wgsl"),
        include_str!("wide/challenge.wgsl"),
    ]
    .concat();
    let mut constants = limbs(&numbers::d(), bits());
    constants.extend(limbs(&numbers::sqrt_m1(), bits()));
    constants.extend(limbs(&numbers::order(), [32; 8]));
    constants.extend(halves(&START_512).chain(halves(&ROUND_512)));
    for multiple in numbers::base_multiples(MULTIPLES) {
        constants.extend(limbs(&multiple.x, bits()).into_iter().chain(limbs(&multiple.y, bits())));
    }
    Text { source, constants, point: 2 * LIMBS as u32 + 1, slot: 9 * 3 * LIMBS as u32 + 1 }
}
