//! A scalar as a quotient of two of half its size: k = v/u mod L with u and v below 2¹²⁷.
//!
//! Then u·(sB − R − kA) = (us)B − uR − vA, and 128 doublings do for all terms what takes 253 otherwise (Antipa, Brown,
//! Gallant, Lambert, Struik, Vanstone: *Accelerated verification of ECDSA signatures*, 2005). Euclid's algorithm on (L,
//! k), stopped halfway, finds u and v; Lehmer's variant takes most quotients from the leading 64 bits. Variable time.

use super::scalar::{ORDER, Words, sub_words};

/// u and v with v = u·k mod L, 0 < |u| < 2¹²⁷ and 0 ≤ v < 2¹²⁷.
pub(super) struct Halves {
    pub(super) u: i128,
    pub(super) v: u128,
}

/// A remainder r and its coefficient t: r = t·k mod L.
#[derive(Clone, Copy)]
struct Pair {
    r: Words,
    t: i128,
}

impl Pair {
    fn bits(&self) -> u32 {
        (0..4).rev().find(|i| self.r[*i] != 0).map_or(0, |i| 64 * i as u32 + 64 - self.r[i].leading_zeros())
    }

    /// The 64 bits from `shift` on; bits above the top are zero.
    fn top(&self, shift: u32) -> u64 {
        let (word, bit) = (shift as usize / 64, shift % 64);
        let next = self.r.get(word + 1).map_or(0, |next| *next);
        self.r[word] >> bit | next << 1 << (63 - bit)
    }

    /// 2^`by` times the pair, of which no bit may leave.
    fn shifted(&self, by: u32) -> Self {
        let (words, bits) = (by as usize / 64, by % 64);
        let mut r = [0; 4];
        for (i, word) in r.iter_mut().enumerate().skip(words) {
            let below = if i > words { self.r[i - words - 1] >> 1 >> (63 - bits) } else { 0 };
            *word = self.r[i - words] << bits | below;
        }
        Self { r, t: self.t << by }
    }

    /// a·self − b·other, which must not be negative.
    fn combine(&self, a: u64, other: &Self, b: u64) -> Self {
        // What the products lose above 256 bits cancels too.
        let times = |words: &Words, by: u64| {
            let (mut product, mut carry) = ([0; 4], 0);
            for (to, word) in product.iter_mut().zip(words) {
                (*to, carry) = word.carrying_mul(by, carry);
            }
            product
        };
        let r = sub_words(&times(&self.r, a), &times(&other.r, b));
        // |t| stays below 2¹²⁷, so what the products lose above 128 bits cancels.
        let t = self.t.wrapping_mul(i128::from(a)).wrapping_sub(other.t.wrapping_mul(i128::from(b)));
        Self { r, t }
    }
}

/// Halves canonical `k`.
///
/// The coefficients of the two pairs have opposite signs and r₀·|t₁| + r₁·|t₀| = L, at the start and after every step
/// that subtracts a multiple of one pair from the other and leaves both remainders non-negative, whether or not the
/// multiple is the largest. So when one remainder falls below 2¹²⁷ while the other has not, its coefficient is below
/// L/2¹²⁷ < 2¹²⁶.
pub(super) fn halve(k: &Words) -> Halves {
    let mut pairs = [Pair { r: ORDER, t: 0 }, Pair { r: *k, t: 1 }];
    loop {
        if let Some(pair) = pairs.iter().find(|pair| pair.bits() <= 127) {
            return Halves { u: pair.t, v: u128::from(pair.r[0]) | u128::from(pair.r[1]) << 64 };
        }
        pairs = step(pairs);
    }
}

/// Several quotients if the leading bits show them, at least one otherwise. Both remainders have at least 128 bits.
#[inline]
fn step(pairs: [Pair; 2]) -> [Pair; 2] {
    let shift = pairs[0].bits().max(pairs[1].bits()) - 64;
    let [first, second] = pairs.map(|pair| pair.top(shift));
    // The leading parts x = a·first − b·second and y = d·second − c·first differ from the true remainders over 2^shift
    // by less than a, b, c, d, which are below 2³¹ while x and y are at least 2³³. Then true remainders stay positive,
    // and at least 2¹²⁷.
    let least = if shift > 64 { 1 << (128 - shift.min(95)) } else { u64::MAX };
    let (mut x, mut y) = (first, second);
    let (mut a, mut b, mut c, mut d) = (1, 0, 0, 1);
    while x >= least && y >= least {
        let q = x / y;
        if x - q * y < least {
            break;
        }
        (x, a, b) = (x - q * y, a + q * c, b + q * d);
        let q = y / x;
        if y - q * x < least {
            break;
        }
        (y, c, d) = (y - q * x, c + q * a, d + q * b);
    }
    if b != 0 || c != 0 {
        return [pairs[0].combine(a, &pairs[1], b), pairs[1].combine(d, &pairs[0], c)];
    }
    // A large quotient, or nearly done: the larger minus the smaller shifted as far as it goes.
    let [mut large, mut small] = pairs;
    if is_less(&large.r, &small.r) {
        std::mem::swap(&mut large, &mut small);
    }
    let by = large.bits() - small.bits();
    let mut multiple = small.shifted(by);
    if is_less(&large.r, &multiple.r) {
        multiple = small.shifted(by - 1);
    }
    [large.combine(1, &multiple, 1), small]
}

fn is_less(a: &Words, b: &Words) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ed25519::scalar::{multiply, reduce, words};
    use curve25519_dalek::Scalar;
    use proptest::prelude::*;

    fn holds_for(k: &Words) {
        let Halves { u, v } = halve(k);
        assert!(u != 0 && u.unsigned_abs() < 1 << 127 && v < 1 << 127, "{k:x?}: {u:x} and {v:x}");
        let size = u.unsigned_abs();
        let mut wide = [0; 10];
        wide[..6].copy_from_slice(&multiply::<4, 2, 6>(k, &[size as u64, (size >> 64) as u64]));
        let product = Scalar::from_bytes_mod_order(crate::ed25519::scalar::bytes(&reduce(&wide)));
        assert_eq!(if u < 0 { -product } else { product }, Scalar::from(v), "{k:x?}");
    }

    /// Small scalars and their inverses, powers of two and their neighbours: the largest quotients there are.
    #[test]
    fn halves_at_the_edges() {
        let mut power = Scalar::ONE;
        for _ in 0..256 {
            for k in [power, power - Scalar::ONE, power + Scalar::ONE] {
                for k in [k, -k, k.invert(), -k.invert(), k * Scalar::from(3u8).invert()] {
                    holds_for(&words(k.as_bytes()));
                }
            }
            power += power;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn halves_of_any_scalar(wide in any::<[u8; 32]>(), from in 0usize..32) {
            let mut bytes = [0; 32];
            bytes[..32 - from].copy_from_slice(&wide[from..]);
            holds_for(&words(Scalar::from_bytes_mod_order(bytes).as_bytes()));
        }
    }
}
