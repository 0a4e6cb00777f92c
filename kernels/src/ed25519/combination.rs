//! The random linear combination: `[8]( Σ zᵢRᵢ + Σ (zᵢkᵢ)Aᵢ − (Σ zᵢsᵢ)B ) = 0` with a 128-bit `zᵢ` for each entry.
//!
//! If every entry satisfies the single equation the sum does; if one does not, the sum vanishes for at most one
//! in 2¹²⁸ choices of its `z`.

use super::{Entry, single};
use curve25519_dalek::{
    constants::ED25519_BASEPOINT_POINT,
    edwards::EdwardsPoint,
    scalar::Scalar,
    traits::{IsIdentity as _, VartimeMultiscalarMul as _},
};

/// A stream of 128-bit coefficients: SHA-512 of the seed and a counter, four to a digest.
pub(super) struct Coefficients {
    seed: [u8; 32],
    counter: u64,
    digest: [u8; 64],
    used: usize,
}

impl Coefficients {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0, digest: [0; 64], used: 4 }
    }

    fn next(&mut self) -> Scalar {
        if self.used == 4 {
            self.digest = crate::sha2::sha512_parts(&[&self.seed, &self.counter.to_le_bytes()]);
            self.counter += 1;
            self.used = 0;
        }
        let (chunks, _) = self.digest.as_chunks::<16>();
        let z = u128::from_le_bytes(chunks[self.used]);
        self.used += 1;
        Scalar::from(z)
    }
}

/// Whether every encoding in `entries` is acceptable and the combined equation holds.
pub(super) fn holds(entries: &[Entry<'_>], coefficients: &mut Coefficients) -> bool {
    let mut scalars = Vec::with_capacity(2 * entries.len() + 1);
    let mut points = Vec::with_capacity(2 * entries.len() + 1);
    let mut base = Scalar::ZERO;
    for entry in entries {
        let (Some(s), Some(a), Some(r)) = (
            single::s_scalar(entry.signature),
            single::decompress(entry.key),
            single::decompress(single::r_bytes(entry.signature)),
        ) else {
            return false;
        };
        let z = coefficients.next();
        base -= z * s;
        scalars.push(z);
        points.push(r);
        scalars.push(z * single::challenge(entry));
        points.push(a);
    }
    scalars.push(base);
    points.push(ED25519_BASEPOINT_POINT);
    EdwardsPoint::vartime_multiscalar_mul(scalars, points).mul_by_cofactor().is_identity()
}
