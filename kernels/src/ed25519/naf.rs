//! Non-adjacent forms: few non-zero digits, each odd, for variable-time multiplication by public scalars.

/// Digits of a number below 2¹²⁸, which may carry into one place more.
pub(super) type Digits = [i8; 129];

/// `a` as Σ dᵢ·2ⁱ with dᵢ zero or odd, |dᵢ| < 2^(WIDTH − 1), and at most one of any WIDTH neighbours not zero.
pub(super) fn naf<const WIDTH: u32>(a: u128) -> Digits {
    const { assert!(WIDTH >= 2 && WIDTH <= 8) };
    let mut digits = [0; 129];
    let (mut rest, mut at) = (a, 0);
    while rest != 0 {
        let zeros = rest.trailing_zeros();
        (rest, at) = (rest >> zeros, at + zeros);
        let low = (rest & ((1 << WIDTH) - 1)) as i32;
        let digit = if low >> (WIDTH - 1) == 1 { low - (1 << WIDTH) } else { low };
        digits[at as usize] = digit as i8;
        // What remains is a multiple of 2^WIDTH; a negative digit carries one into it.
        (rest, at) = ((rest >> WIDTH) + u128::from(digit < 0), at + WIDTH);
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds_for<const WIDTH: u32>(a: u128) {
        let digits = naf::<WIDTH>(a);
        // The topmost digit carries beyond 128 bits, so the sum is taken modulo 2¹²⁸ and its range from the digit.
        let sum =
            digits.iter().rev().fold(0u128, |sum, d| sum.wrapping_mul(2).wrapping_add(*d as i128 as u128));
        assert_eq!(sum, a);
        assert!(digits[128] == 0 || a >> 127 == 1);
        assert!(
            digits.iter().all(|d| *d == 0 || d % 2 != 0 && u32::from(d.unsigned_abs()) < 1 << (WIDTH - 1))
        );
        let crowded = digits.windows(WIDTH as usize).any(|w| w.iter().filter(|d| **d != 0).count() > 1);
        assert!(!crowded, "{digits:?}");
    }

    #[test]
    fn forms_at_the_edges() {
        for a in [0, 1, 2, 127, 128, 129, 255, u128::MAX, u128::MAX - 1, 1 << 127, u128::MAX >> 1] {
            holds_for::<5>(a);
            holds_for::<8>(a);
        }
    }

    proptest! {
        #[test]
        fn forms_of_any_number(a in any::<u128>(), shift in 0u32..128) {
            holds_for::<5>(a >> shift);
            holds_for::<8>(a >> shift);
        }
    }
}
