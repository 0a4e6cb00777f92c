//! Numbers modulo L = 2²⁵² + c, the order of the basepoint, as little-endian words.
//!
//! `words`, `multiply`, `add`, `reduce`, `from_wide` and `multiply_add` neither branch on their operands nor index by
//! them, so they may be secret; the others are for public values.

use std::hint::black_box;

/// Four 64-bit words, below L unless said otherwise.
pub(super) type Words = [u64; 4];

/// L.
pub(super) const ORDER: Words = [0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0, 0x1000000000000000];
/// c = L − 2²⁵².
const C: [u64; 2] = [ORDER[0], ORDER[1]];

/// The words of 32 little-endian bytes.
pub(super) fn words(bytes: &[u8; 32]) -> Words {
    let mut out = [0; 4];
    for (word, chunk) in out.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*chunk);
    }
    out
}

/// Whether `a < L`, and so canonical.
pub(super) fn is_canonical(a: &Words) -> bool {
    a.iter().rev().lt(ORDER.iter().rev())
}

/// a + b, two's complement: what leaves the top is dropped.
pub(super) fn add_words<const N: usize>(a: &[u64; N], b: &[u64; N]) -> [u64; N] {
    let mut out = [0; N];
    let mut carry = false;
    for i in 0..N {
        (out[i], carry) = a[i].carrying_add(b[i], carry);
    }
    out
}

/// a − b, two's complement.
pub(super) fn sub_words<const N: usize>(a: &[u64; N], b: &[u64; N]) -> [u64; N] {
    let mut out = [0; N];
    let mut borrow = false;
    for i in 0..N {
        (out[i], borrow) = a[i].borrowing_sub(b[i], borrow);
    }
    out
}

/// The whole product. `OUT` must be `A + B`.
pub(super) fn multiply<const A: usize, const B: usize, const OUT: usize>(
    a: &[u64; A],
    b: &[u64; B],
) -> [u64; OUT] {
    const { assert!(OUT == A + B) };
    let mut out = [0; OUT];
    for i in 0..B {
        let mut carry = 0;
        for j in 0..A {
            (out[i + j], carry) = b[i].carrying_mul_add(a[j], out[i + j], carry);
        }
        out[i + A] = carry;
    }
    out
}

/// `value` in `N` words, shifted left.
const fn shifted<const N: usize>(value: Words, by: usize) -> [u64; N] {
    let mut out = [0; N];
    let mut i = 0;
    while i < 4 {
        let at = i + by / 64;
        out[at] |= value[i] << (by % 64);
        if !by.is_multiple_of(64) && at + 1 < N {
            out[at + 1] |= value[i] >> (64 - by % 64);
        }
        i += 1;
    }
    out
}

/// high · 2²⁵² + low ≡ low − high · c, plus a multiple of L that keeps it from falling below zero.
fn fold<const IN: usize, const HIGH: usize, const PRODUCT: usize, const OUT: usize>(
    a: &[u64; IN],
    offset: &[u64; OUT],
) -> [u64; OUT] {
    const { assert!(HIGH == IN - 3 && PRODUCT == HIGH + 2 && OUT <= PRODUCT) };
    let mut high = [0; HIGH];
    for (i, word) in high.iter_mut().enumerate() {
        *word = a[i + 3] >> 60 | a.get(i + 4).map_or(0, |next| next << 4);
    }
    let product: [u64; PRODUCT] = multiply(&high, &C);
    let mut subtrahend = [0; OUT];
    subtrahend.copy_from_slice(&product[..OUT]);
    let mut low = *offset;
    let mut carry = false;
    for i in 0..OUT {
        let word = match i {
            0..3 => a[i],
            3 => a[3] & (u64::MAX >> 4),
            _ => 0,
        };
        (low[i], carry) = low[i].carrying_add(word, carry);
    }
    sub_words(&low, &subtrahend)
}

/// `a` modulo L. Each fold takes about 127 bits off the top:
///
/// | from below | high · c below | offset at least that | result below |
/// |---|---|---|---|
/// | 2⁶⁴⁰ | 2⁵¹³ | L · 2²⁶¹ | 2⁵¹⁴ |
/// | 2⁵¹⁴ | 2³⁸⁷ | L · 2¹³⁵ | 2³⁸⁸ |
/// | 2³⁸⁸ | 2²⁶¹ | L · 2⁹ | 2²⁶² |
/// | 2²⁶² | 2¹³⁵ | none | 2²⁵², at least −2¹³⁵ |
pub(super) fn reduce(a: &[u64; 10]) -> Words {
    const FIRST: [u64; 9] = shifted(ORDER, 261);
    const SECOND: [u64; 7] = shifted(ORDER, 135);
    const THIRD: [u64; 5] = shifted(ORDER, 9);
    let a: [u64; 9] = fold::<10, 7, 9, 9>(a, &FIRST);
    let a: [u64; 7] = fold::<9, 6, 8, 7>(&a, &SECOND);
    let a: [u64; 5] = fold::<7, 4, 6, 5>(&a, &THIRD);
    let a: [u64; 4] = fold::<5, 2, 4, 4>(&a, &[0; 4]);
    lift(&a)
}

/// `a`, two's complement, plus L where it is negative.
fn lift(a: &Words) -> Words {
    let mask = black_box(a[3] >> 63).wrapping_neg();
    add_words(a, &ORDER.map(|word| word & mask))
}

/// A number of 64 little-endian bytes modulo L.
pub(super) fn from_wide(bytes: &[u8; 64]) -> Words {
    let mut wide = [0; 10];
    for (word, chunk) in wide.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*chunk);
    }
    reduce(&wide)
}

/// The representative of canonical `a` that is nearest to zero, two's complement.
pub(super) fn centred(a: &Words) -> Words {
    const HALF: Words = [
        ORDER[0] >> 1 | ORDER[1] << 63,
        ORDER[1] >> 1 | ORDER[2] << 63,
        ORDER[2] >> 1 | ORDER[3] << 63,
        ORDER[3] >> 1,
    ];
    if a.iter().rev().gt(HALF.iter().rev()) { sub_words(a, &ORDER) } else { *a }
}

/// −a for canonical a.
pub(super) fn negate(a: &Words) -> Words {
    if *a == [0; 4] { *a } else { sub_words(&ORDER, a) }
}

/// a + b for canonical a and b.
pub(super) fn add(a: &Words, b: &Words) -> Words {
    // a + b − L is at least −L and below L.
    lift(&sub_words(&add_words(a, b), &ORDER))
}

/// a·b + c for canonical a, b and c.
pub(super) fn multiply_add(a: &Words, b: &Words, c: &Words) -> Words {
    let mut wide = [0; 10];
    wide[..8].copy_from_slice(&multiply::<4, 4, 8>(a, b));
    let mut carry = false;
    for (i, word) in wide.iter_mut().enumerate() {
        (*word, carry) = word.carrying_add(c.get(i).map_or(0, |word| *word), carry);
    }
    reduce(&wide)
}

/// The 32 little-endian bytes.
pub(super) fn bytes(a: &Words) -> [u8; 32] {
    let mut out = [0; 32];
    for (chunk, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(a) {
        *chunk = word.to_le_bytes();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::scalar::Scalar;
    use proptest::prelude::*;

    fn dalek(a: &[u64]) -> Scalar {
        let two_64 = Scalar::from(1u128 << 64);
        a.iter().rev().fold(Scalar::ZERO, |sum, word| sum * two_64 + Scalar::from(*word))
    }

    fn edgy() -> impl Strategy<Value = u64> {
        prop_oneof![4 => any::<u64>(), 1 => Just(0), 1 => Just(u64::MAX), 1 => Just(1 << 60), 1 => Just(ORDER[0])]
    }

    proptest! {
        #[test]
        fn reduction_agrees_with_dalek(a in proptest::array::uniform10(edgy())) {
            let reduced = reduce(&a);
            prop_assert!(is_canonical(&reduced));
            prop_assert_eq!(words(dalek(&a).as_bytes()), reduced);
            prop_assert_eq!(words((-dalek(&a)).as_bytes()), negate(&reduced));
        }

        #[test]
        fn products_and_sums_agree_with_dalek(a in proptest::array::uniform8(edgy()), z in proptest::array::uniform2(edgy())) {
            let product: [u64; 10] = multiply(&a, &z);
            prop_assert_eq!(words((dalek(&a) * dalek(&z)).as_bytes()), reduce(&product));
            let mut wide = [0; 10];
            wide[..8].copy_from_slice(&a);
            let x = reduce(&wide);
            let y = reduce(&product);
            prop_assert_eq!(words((dalek(&x) + dalek(&y)).as_bytes()), add(&x, &y));
            prop_assert_eq!((dalek(&x) * dalek(&y) + dalek(&x)).to_bytes(), bytes(&multiply_add(&x, &y, &x)));
        }
    }

    #[test]
    fn reduction_at_the_ends() {
        assert_eq!(reduce(&[0; 10]), [0; 4]);
        assert_eq!(words(dalek(&[u64::MAX; 10]).as_bytes()), reduce(&[u64::MAX; 10]));
        for shift in [0, 1, 8, 9, 63, 134, 135, 136, 200, 261, 262, 300, 380] {
            let multiple: [u64; 10] = shifted(ORDER, shift);
            assert_eq!(reduce(&multiple), [0; 4], "L << {shift}");
        }
        let most = sub_words(&ORDER, &[1, 0, 0, 0]);
        assert_eq!(add(&most, &[1, 0, 0, 0]), [0; 4]);
        assert_eq!(add(&most, &most), sub_words(&ORDER, &[2, 0, 0, 0]));
        assert_eq!(add(&[0; 4], &[0; 4]), [0; 4]);
        assert_eq!(multiply_add(&most, &most, &most), [0; 4]);
        assert!(!is_canonical(&ORDER));
        assert!(is_canonical(&most));
        assert!(!is_canonical(&[u64::MAX; 4]));
    }
}
