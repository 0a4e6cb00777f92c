//! Keys that prove nothing: under them one signature fits every message.

/// The encodings of the points whose order divides 8, with the sign bit cleared; the last two are not canonical.
const ENCODINGS: [[u8; 32]; 7] = [
    of(0x00, 0x00, 0x00),
    of(0x01, 0x00, 0x00),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    of(0xec, 0xff, 0x7f),
    of(0xed, 0xff, 0x7f),
    of(0xee, 0xff, 0x7f),
];

const fn of(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// Whether a public key is the encoding of a point of small order. ZIP-215 accepts such keys, and with one anybody can
/// sign anything: a signature by it shows nothing of who made it.
#[must_use]
pub fn is_small_order(key: &[u8; 32]) -> bool {
    let mut unsigned = *key;
    unsigned[31] &= 0x7f;
    ENCODINGS.contains(&unsigned)
}

// Two attributes: the lints do not see a test in `all(test, ..)`.
#[cfg(test)]
#[cfg(feature = "std")]
mod tests {
    use curve25519_dalek::edwards::CompressedEdwardsY;

    use super::*;
    use crate::ed25519::{SigningKey, verify};

    #[test]
    fn it_is_what_another_library_calls_small_order() {
        for encoding in ENCODINGS {
            for sign in [0, 0x80] {
                let mut key = encoding;
                key[31] |= sign;
                assert!(is_small_order(&key));
                // A sign of zero is refused by some libraries; where it is read, the order is small.
                if let Some(point) = CompressedEdwardsY(key).decompress() {
                    assert!(point.is_small_order(), "{key:02x?}");
                }
            }
        }
        for torsion in curve25519_dalek::constants::EIGHT_TORSION {
            assert!(is_small_order(&torsion.compress().0));
        }
        for seed in 0..50 {
            assert!(!is_small_order(&SigningKey::from_seed([seed; 32]).public_key()));
        }
    }

    #[test]
    fn one_signature_fits_every_message_under_such_a_key() {
        let mut signature = [0; 64];
        signature[0] = 1;
        let mut key = [0; 32];
        key[0] = 1;
        assert!(verify(&key, b"one", &signature) && verify(&key, b"another", &signature));
    }
}
