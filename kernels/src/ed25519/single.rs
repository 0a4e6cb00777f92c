//! One signature at a time: the plain reading of ZIP-215, and the definition that every other path must match; `quad`
//! is the fast one.

#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(super) mod quad;

use super::Entry;
use curve25519_dalek::{
    edwards::{CompressedEdwardsY, EdwardsPoint},
    scalar::Scalar,
    traits::IsIdentity as _,
};

/// `k = SHA-512(R ‖ A ‖ M) mod L`.
fn challenge(entry: &Entry<'_>) -> Scalar {
    let digest = crate::sha2::sha512_parts(&[r_bytes(entry.signature), entry.key, entry.message]);
    Scalar::from_bytes_mod_order_wide(&digest)
}

/// The encoded `R`.
pub(super) fn r_bytes(signature: &[u8; 64]) -> &[u8; 32] {
    signature.first_chunk().expect("64 bytes begin with 32 bytes")
}

/// The bytes of `s`.
pub(super) fn s_bytes(signature: &[u8; 64]) -> &[u8; 32] {
    signature.last_chunk().expect("64 bytes end with 32 bytes")
}

/// `s`, if it is below `L`.
fn s_scalar(signature: &[u8; 64]) -> Option<Scalar> {
    Scalar::from_canonical_bytes(*s_bytes(signature)).into()
}

/// The point that `bytes` encodes, canonically or not.
fn decompress(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    CompressedEdwardsY(*bytes).decompress()
}

pub(super) fn verify(entry: &Entry<'_>) -> bool {
    let (Some(s), Some(a), Some(r)) =
        (s_scalar(entry.signature), decompress(entry.key), decompress(r_bytes(entry.signature)))
    else {
        return false;
    };
    let k = challenge(entry);
    let expected_r = EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &-a, &s);
    (expected_r - r).mul_by_cofactor().is_identity()
}
