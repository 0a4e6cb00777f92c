//! The CPU's part of a combination whose points a device adds: coefficients, scalars and the final test.
//!
//! The device may add wrongly. So the CPU takes nothing from it but encodings of points, and decodes them itself.

use super::{
    Backend, Signature,
    combination::Coefficients,
    decompress::Decompress,
    msm::{self, Msm},
    point,
    scalar::{self, Words},
    single,
};

/// What is subtracted from 128 uniform bits so that each of the 32 hexadecimal digits is signed: 888…8.
const BIAS: [u64; 2] = [0x8888_8888_8888_8888; 2];
/// The width of windows, in bits, for points with the coefficient one.
const WIDTH: u32 = 4;

/// `count` uniform numbers of 128 bits. The coefficient is each of them minus 888…8 (32 hexadecimal digits).
pub(crate) fn coefficients(seed: [u8; 32], count: usize) -> Vec<u128> {
    let mut taken = Vec::new();
    Coefficients::new(seed).take(count, &mut taken);
    taken.into_iter().map(i128::cast_unsigned).collect()
}

/// L − 888…8: added to a uniform number, it gives the coefficient modulo L.
pub(crate) fn unbias() -> [u8; 32] {
    scalar::bytes(&scalar::sub_words(&scalar::ORDER, &[BIAS[0], BIAS[1], 0, 0]))
}

/// The multiple of B that a group's sum should be, but for torsion: Σ zᵢsᵢ plus the check value. `None` if an `sᵢ` is
/// not below L: such a signature is invalid, and a sum does not show it.
///
/// At most 2³² entries: their products, each below 2³⁸¹, stay below 2⁵¹².
pub(crate) fn multiple<'a>(
    entries: impl IntoIterator<Item = (u128, &'a Signature)>,
    check: u128,
) -> Option<Words> {
    let (mut products, mut sum) = ([0u64; 8], [0u64; 8]);
    for (z, signature) in entries {
        let s = scalar::words(single::s_bytes(signature));
        if !scalar::is_canonical(&s) {
            return None;
        }
        let product: [u64; 6] = scalar::multiply(&s, &[z as u64, (z >> 64) as u64]);
        products = scalar::add_words(&products, &widened(&product));
        sum = scalar::add_words(&sum, &widened(&s));
    }
    let bias = scalar::multiply::<8, 2, 10>(&sum, &BIAS);
    let check = [check as u64, (check >> 64) as u64, 0, 0];
    let weighted = scalar::add(&scalar::reduce(&widened(&products)), &check);
    Some(scalar::add(&weighted, &scalar::negate(&scalar::reduce(&bias))))
}

/// Whether eight times the sum of the encoded points is eight times the sum of those multiples of B. `false` if one
/// encodes no point.
pub(crate) fn sums_hold(sums: &[[u8; 32]], multiples: &[Words]) -> bool {
    let backend = Backend::best();
    let encodings: Vec<&[u8; 32]> = sums.iter().collect();
    let mut rows = vec![point::IDENTITY_ROW; sums.len() + 2];
    rows[1] = point::BASEPOINT_ROW;
    let mut valid = vec![false; sums.len()];
    backend.run(Decompress { encodings: &encodings, rows: &mut rows[2..], valid: &mut valid });
    let base = multiples.iter().fold([0; 4], |sum, multiple| scalar::add(&sum, multiple));
    let mut scalars = vec![[1, 0, 0, 0]; sums.len() + 1];
    scalars[0] = scalar::negate(&base);
    let mut scratch = msm::Scratch::default();
    let sum = Msm { rows: &rows, scalars: &mut scalars, long: 1, width: WIDTH, scratch: &mut scratch };
    backend.run(sum).vanishes && !valid.contains(&false)
}

fn widened<const IN: usize, const OUT: usize>(words: &[u64; IN]) -> [u64; OUT] {
    std::array::from_fn(|i| words.get(i).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::{EdwardsPoint, constants::EIGHT_TORSION, scalar::Scalar};

    fn point(multiple: &Scalar) -> EdwardsPoint {
        EdwardsPoint::mul_base(multiple)
    }

    fn signature(s: &Scalar) -> Signature {
        let mut signature = [7; 64];
        signature[32..].copy_from_slice(s.as_bytes());
        signature
    }

    /// Σ (Z − 888…8)s + check, as dalek computes it.
    fn expected(entries: &[(u128, Signature)], check: u128) -> Scalar {
        let bias = Scalar::from(0x8888_8888_8888_8888_8888_8888_8888_8888u128);
        let s =
            |signature: &Signature| Scalar::from_canonical_bytes(*signature.last_chunk().unwrap()).unwrap();
        entries
            .iter()
            .fold(Scalar::from(check), |sum, (z, signature)| sum + (Scalar::from(*z) - bias) * s(signature))
    }

    #[test]
    fn multiples_agree_with_dalek() {
        let largest = -Scalar::ONE;
        for count in [0, 1, 2, 31, 100] {
            let entries: Vec<_> = coefficients([count as u8; 32], count)
                .into_iter()
                .enumerate()
                .map(|(i, z)| {
                    let z = [0, u128::MAX, z, z][i % 4];
                    (z, signature(&[largest, largest, Scalar::ZERO, Scalar::from(z)][i / 4 % 4]))
                })
                .collect();
            for check in [0, 5, u128::MAX] {
                let multiple = multiple(entries.iter().map(|(z, s)| (*z, s)), check).unwrap();
                assert_eq!(scalar::bytes(&multiple), expected(&entries, check).to_bytes());
            }
        }
        let mut order = [0; 64];
        order[32..].copy_from_slice(&scalar::bytes(&scalar::ORDER));
        assert_eq!(multiple([(1, &order)], 0), None);
        assert_eq!(unbias(), (-Scalar::from(u128::from_le_bytes([0x88; 16]))).to_bytes());
    }

    #[test]
    fn coefficients_follow_from_the_seed_alone() {
        let (one, other) = (coefficients([1; 32], 9), coefficients([2; 32], 9));
        assert_eq!(one, coefficients([1; 32], 9));
        assert!(one.iter().all(|z| !other.contains(z)));
        let distinct: std::collections::BTreeSet<_> = one.iter().collect();
        assert_eq!(distinct.len(), 9);
    }

    #[test]
    fn sums_hold_but_for_torsion_and_for_nothing_else() {
        let scalars = [3u64, 1 << 40, 77].map(|n| Scalar::from(n) * Scalar::from(u128::MAX));
        let words = scalars.map(|scalar| scalar::words(scalar.as_bytes()));
        let encoded = |points: [EdwardsPoint; 3]| points.map(|point| point.compress().to_bytes());
        let points = scalars.map(|scalar| point(&scalar));
        assert!(sums_hold(&encoded(points), &words));
        assert!(sums_hold(&[], &[]));
        for torsion in EIGHT_TORSION {
            let mut shifted = points;
            shifted[1] += torsion;
            assert!(sums_hold(&encoded(shifted), &words));
            shifted[1] += point(&Scalar::ONE);
            assert!(!sums_hold(&encoded(shifted), &words));
        }
        // The identity, zeros, what encodes no point, and the sum of another group.
        let mut identity = [0; 32];
        identity[0] = 1;
        let no_point =
            (0..).map(|n| [n; 32]).find(|bytes| !crate::ed25519::DecodedKey::new(bytes).is_valid());
        for wrong in [identity, [0; 32], no_point.unwrap(), encoded(points)[0]] {
            let mut encodings = encoded(points);
            encodings[2] = wrong;
            assert!(!sums_hold(&encodings, &words));
            assert!(!sums_hold(&encodings[2..], &words[2..]));
        }
    }
}
