//! The consent of those who are to be members.
//!
//! ```text
//! consent   place in the new set (2) | height (8) | signature (64) of
//!           "millrace/consent" || network id || epoch of the new set (8) || its digest (32) || height (8)
//! ```
//!
//! It says that the member is alive at that height and ready to validate with the others of that set. So a change can
//! be refused whose new set could not go on.

use kernels::ed25519;

use super::{Digest, Epoch, Height, Members, ValidatorIndex};
use crate::limits::SIGNATURE_BYTES;

const CONSENT_DOMAIN: &[u8; 16] = b"millrace/consent";

/// A member of a set that is to be says that it is alive and ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Its place in the new set.
    pub place: ValidatorIndex,
    /// The height at which it said so.
    pub height: Height,
    /// Its signature, under the key with which it votes, of the [message](Self::message).
    pub signature: [u8; SIGNATURE_BYTES],
}

impl Consent {
    /// Bytes of the [message](Self::message).
    pub const MESSAGE_BYTES: usize = CONSENT_DOMAIN.len() + 32 + 8 + 32 + 8;

    /// What a member signs: the network, the new set (its epoch and its [digest](Members::digest)) and the height.
    pub fn message(network: &Digest, set: (Epoch, &Digest), height: Height) -> [u8; Self::MESSAGE_BYTES] {
        let mut message = [0; Self::MESSAGE_BYTES];
        let (epoch, digest) = set;
        let parts =
            [&CONSENT_DOMAIN[..], &network.0, &epoch.0.to_le_bytes(), &digest.0, &height.0.to_le_bytes()];
        let mut left = &mut message[..];
        for part in parts {
            let (to, rest) = left.split_at_mut(part.len());
            to.copy_from_slice(part);
            left = rest;
        }
        message
    }

    /// Whether the member at its place of this set, whose digest is `digest`, has signed it.
    pub fn is_signed(&self, network: &Digest, set: &Members, digest: &Digest) -> bool {
        let message = Self::message(network, (set.epoch, digest), self.height);
        let member = set.get(self.place);
        member.is_some_and(|member| ed25519::verify(&member.public_key, &message, &self.signature))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::members::tests::{key, members};
    use super::*;

    /// The consent of the member with this number, at this place of a set.
    pub(crate) fn consent(
        network: &Digest,
        set: &Members,
        (number, place): (u8, u16),
        height: u64,
    ) -> Consent {
        let message = Consent::message(network, (set.epoch, &set.digest()), Height(height));
        Consent {
            place: ValidatorIndex(place),
            height: Height(height),
            signature: key(number).sign(&message),
        }
    }

    #[test]
    fn a_consent_is_to_one_set_of_one_network_at_one_height() {
        let (network, set) = (Digest([7; 32]), members(&[1, 2]));
        let good = consent(&network, &set, (2, 1), 50);
        assert!(good.is_signed(&network, &set, &set.digest()));
        let signed = |of: Consent, network: Digest, set: &Members| of.is_signed(&network, set, &set.digest());
        assert!(!signed(Consent { place: ValidatorIndex(0), ..good }, network, &set));
        assert!(!signed(Consent { place: ValidatorIndex(2), ..good }, network, &set), "nobody is there");
        assert!(!signed(Consent { height: Height(51), ..good }, network, &set));
        assert!(!signed(good, Digest([8; 32]), &set));
        assert!(!signed(good, network, &Members { epoch: Epoch(4), ..set.clone() }));
        assert!(!signed(good, network, &members(&[3, 2])));
    }
}
