//! The bounds of the README that are not narrow's, and the places that the shaders count on. What the sums are is
//! tested beside the programs: `../tests.rs`.

use super::*;

/// The largest digit.
const DIGIT: u64 = (1 << 13) - 1;

#[test]
fn products_modulo_l_fit() {
    // Twenty products and what the column before hands on; a digit, one of the constant and a carry.
    let column = LIMBS as u64 * DIGIT * DIGIT;
    assert!(column + (column >> 12) <= u64::from(u32::MAX));
    // L − 888…8 is below 2^252, so z is below 2^253 like k, and forty digits of 13 bits hold their product.
    assert_eq!(groups::unbias()[31], 0x0f);
}

#[test]
fn constants_and_tables_are_as_long_as_the_shaders_think() {
    let Text { source, constants, point, slot } = text();
    assert_eq!((constants.len(), point, slot), (2356 + 16 * 40, 41, 720));
    for line in
        ["const UNBIAS = 2336u;", "const MULTIPLES = 2356u;", "const ROWS = 360u;", "const COLUMNS = 32u;"]
    {
        assert!(source.contains(line), "{line}");
    }
    assert_eq!(narrow::text().constants.len(), 2336);
}
