//! The bounds of the README, computed: the largest value of every intermediate result.

use super::{LIMBS, bits};
use crate::gpu::Program;

/// The largest limbs of a k-loose element.
fn loose(k: u128) -> Vec<u128> {
    bits().map(|bits| k * ((1 << bits) + (1 << 17))).collect()
}

/// The largest columns of a product, with the factors in 32 bits.
fn columns(f: &[u128], g: &[u128]) -> Vec<u128> {
    let mut columns = vec![0; LIMBS];
    for (i, f) in f.iter().enumerate() {
        for (j, g) in g.iter().enumerate() {
            let left = f * if i % 2 == 1 && j % 2 == 1 { 2 } else { 1 };
            let right = g * if i + j >= LIMBS { 19 } else { 1 };
            assert!(left < 1 << 32 && right < 1 << 32);
            columns[(i + j) % LIMBS] += left * right;
        }
    }
    columns
}

/// The largest limbs that `carry_columns` gives, with every sum in 64 bits.
fn carried(columns: &[u128]) -> Vec<u128> {
    let mut limbs: Vec<u128> = bits().map(|bits| (1 << bits) - 1).collect();
    let mut over = 0;
    for (column, bits) in columns.iter().zip(bits()) {
        assert!(column + over < 1 << 64);
        over = (column + over) >> bits;
    }
    limbs[1] += (limbs[0] + 19 * over) >> 26;
    limbs
}

fn within(limbs: &[u128], bound: &[u128]) -> bool {
    limbs.iter().zip(bound).all(|(limb, bound)| limb <= bound)
}

#[test]
fn no_sum_of_a_product_overflows_and_the_result_is_tight() {
    for (f, g) in [(9, 3), (3, 3), (5, 1), (3, 2)] {
        let limbs = carried(&columns(&loose(f), &loose(g)));
        assert!(within(&limbs, &loose(1)) && limbs[1] - (1 << 25) < 1 << 13);
    }
    // What README calls the largest column: 2^63.73.
    let largest = columns(&loose(9), &loose(3)).into_iter().max().unwrap();
    assert!((1 << 63..15_300_000_000_000_000_000).contains(&largest));
}

#[test]
fn carried_limbs_are_tight_and_differences_are_loose() {
    let handed: Vec<u128> = loose(16).iter().zip(bits()).map(|(limb, bits)| limb >> bits).collect();
    let place = |i: usize| (1 << (26 - i % 2)) - 1;
    let limbs: Vec<u128> = (0..LIMBS)
        .map(|i| place(i) + handed[(i + LIMBS - 1) % LIMBS] * if i == 0 { 19 } else { 1 })
        .collect();
    assert!(within(&limbs, &loose(1)));
    // 2p limb by limb is at least a tight element, and at most two.
    let twice: Vec<u128> = (0..LIMBS).map(|i| 2 * place(i) - if i == 0 { 36 } else { 0 }).collect();
    assert!(within(&loose(1), &twice) && within(&twice, &loose(2)));
    assert!(loose(31).into_iter().all(|limb| limb < 1 << 32));
    // Doubled factors of a product and of a square.
    assert!(within(&loose(2 * 9), &loose(31)) && within(&loose(4 * 3), &loose(31)));
    let source = Program::Wide.text().source;
    for limb in &twice {
        assert!(source.contains(&format!("{limb:#x}u - g")), "{limb:#x}");
    }
}

#[test]
fn constants_and_tables_are_as_long_as_the_shaders_think() {
    let text = Program::Wide.text();
    assert_eq!((text.constants.len(), text.point, text.slot), (204 + 256 * 20, 21, 271));
    assert!(text.source.contains("const BASE = 204u;") && text.source.contains("const SLOT = 271u;"));
}
