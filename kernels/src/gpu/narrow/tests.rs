//! The bounds of the README, computed: the largest value of every intermediate result.

use super::LIMBS;
use crate::gpu::Program;

const TIGHT: u64 = 8340;
const LOOSE: u64 = 24_722;
/// What fits a limb.
const LIMB: u64 = (1 << 13) - 1;
/// 64p.
const P64: [u64; LIMBS] = {
    let mut limbs = [16_382; LIMBS];
    limbs[0] = 15_168;
    limbs
};

/// The largest columns of a product whose limbs are at most these.
fn columns(f: u64, g: u64) -> [u64; 2 * LIMBS - 1] {
    let mut columns = [0; 2 * LIMBS - 1];
    for i in 0..LIMBS {
        for j in 0..LIMBS {
            columns[i + j] += f * g;
        }
    }
    columns
}

/// The largest limbs that `carry_columns` gives, with every sum in 32 bits.
fn carried(columns: &[u64; 2 * LIMBS - 1]) -> [u64; LIMBS] {
    let fits = |sum: u64| {
        assert!(u32::try_from(sum).is_ok(), "{sum:#x}");
        sum
    };
    let (low, high) = (|k: usize| fits(columns[k]).min(LIMB), |k: usize| columns[k] >> 13);
    let mut limbs = [LIMB; LIMBS];
    let mut t = fits(low(0) + 608 * (low(LIMBS) + high(LIMBS - 1)));
    for i in 1..LIMBS {
        let above = if i + 1 < LIMBS { low(i + LIMBS) + high(i + LIMBS - 1) } else { high(2 * LIMBS - 2) };
        t = fits((t >> 13) + low(i) + high(i - 1) + 608 * above);
    }
    t = fits(LIMB + 608 * (t >> 13));
    limbs[1] += t >> 13;
    limbs
}

/// The largest limbs that `carry` gives for limbs up to `most`.
fn carry(most: u64) -> u64 {
    let low = LIMB + 608 * (most >> 13);
    LIMB + (most >> 13) + (low >> 13)
}

#[test]
fn no_sum_of_a_product_overflows_and_the_result_is_tight() {
    for (f, g) in [(LOOSE, TIGHT), (TIGHT, TIGHT)] {
        assert!(carried(&columns(f, g)).into_iter().all(|limb| limb <= TIGHT));
    }
    assert_eq!(carried(&columns(LOOSE, TIGHT))[1], 8335);
    // Two loose factors would overflow.
    assert!(columns(LOOSE, LOOSE).into_iter().any(|column| u32::try_from(column).is_err()));
}

#[test]
fn carried_limbs_are_tight_and_differences_are_loose() {
    assert!(carry(0xffff) <= TIGHT);
    assert!(P64.into_iter().all(|limb| limb >= TIGHT && limb + TIGHT <= LOOSE));
    // 64p is a multiple of p: 2^261 - 64 * 19.
    let mut number = [0u64; LIMBS + 1];
    for (i, limb) in P64.into_iter().enumerate() {
        number[i] += limb;
        number[i + 1] = number[i] >> 13;
        number[i] &= LIMB;
    }
    let mut expected = [LIMB; LIMBS + 1];
    (expected[0], expected[LIMBS]) = (LIMB + 1 - 64 * 19, 1);
    assert_eq!(number, expected);
}

#[test]
fn the_challenge_fits() {
    // Forty digits times limbs, then q times a limb of L, and what the limb before lends.
    let column = 40 * LIMB * LIMB;
    assert!(column + (column >> 12) <= u64::from(u32::MAX));
    let q = (40u64 << 13) + 1;
    assert!(q * LIMB + 2 * q <= u64::from(u32::MAX));
}

#[test]
fn constants_and_tables_are_as_long_as_the_shaders_think() {
    let text = Program::Narrow.text();
    assert_eq!((text.constants.len(), text.point, text.slot), (1056 + 16 * 80, 41, 1281));
    assert!(text.source.contains("const BASE = 1056u;") && text.source.contains("const SLOT = 1281u;"));
}
