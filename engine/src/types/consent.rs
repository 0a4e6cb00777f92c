//! The consent of those who are to be members.
//!
//! ```text
//! consent   place in the new set (2) | height (8) | signature (64) of
//!           "millrace/consent" || network id || epoch of the new set (8) || its digest (32) || height (8) ||
//!           its rules (2), if they are not the first ones
//! consents  how many (1) | consents.., their places ascend
//! ```
//!
//! It says that the member is alive at that height and ready to validate with the others of that set, by those rules.
//! So a change can be refused whose new set could not go on. The digest covers the rules already; that the message
//! names them lets a member refuse rules that it does not run without knowing the set.

use kernels::ed25519;

use super::record::take;
use super::transaction::Malformed;
use super::{Digest, Epoch, Height, Members, RULES_FIRST, RulesVersion, ValidatorIndex};
use crate::limits::{SIGNATURE_BYTES, VALIDATORS_MAX};

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
    /// Bytes of the encoding.
    pub const BYTES: usize = 2 + 8 + SIGNATURE_BYTES;

    /// What a member signs: the network, the new set (its epoch, its rules and its [digest](Members::digest)) and the
    /// height.
    pub fn message(network: &Digest, set: (Epoch, RulesVersion, &Digest), height: Height) -> Vec<u8> {
        let (epoch, rules, digest) = set;
        let rules = (rules != RULES_FIRST).then_some(rules.0.to_le_bytes());
        let parts = [
            &CONSENT_DOMAIN[..],
            &network.0,
            &epoch.0.to_le_bytes(),
            &digest.0,
            &height.0.to_le_bytes(),
            rules.as_ref().map_or(&[], |rules| &rules[..]),
        ];
        parts.concat()
    }

    /// Whether the member at its place of this set, whose digest is `digest`, has signed it.
    pub fn is_signed(&self, network: &Digest, set: &Members, digest: &Digest) -> bool {
        let message = Self::message(network, (set.epoch, set.rules, digest), self.height);
        let member = set.get(self.place);
        member.is_some_and(|member| ed25519::verify(&member.public_key, &message, &self.signature))
    }
}

/// Consents in their encoding, in an envelope: at most [`VALIDATORS_MAX`], and no place twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consents<'a>(&'a [u8]);

impl<'a> Consents<'a> {
    /// Nobody's.
    pub const NONE: Self = Self(&[]);

    /// The bytes of an envelope for these, in the order of their places.
    pub fn encode(mut consents: Vec<Consent>) -> Vec<u8> {
        consents.sort_by_key(|consent| consent.place);
        let mut bytes = vec![consents.len() as u8];
        for Consent { place, height, signature } in consents {
            bytes.extend(place.0.to_le_bytes());
            bytes.extend(height.0.to_le_bytes());
            bytes.extend(signature);
        }
        bytes
    }

    /// Those that [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`]: too many, a place twice, or something behind them.
    pub fn read(mut bytes: &'a [u8]) -> Result<Self, Malformed> {
        let consents = Self::take(&mut bytes)?;
        bytes.is_empty().then_some(consents).ok_or(Malformed)
    }

    /// Takes them from the front of a payload.
    pub(super) fn take(payload: &mut &'a [u8]) -> Result<Self, Malformed> {
        let [count] = take(payload).ok_or(Malformed)?;
        if usize::from(count) > VALIDATORS_MAX {
            return Err(Malformed);
        }
        let length = usize::from(count) * Consent::BYTES;
        let (consents, rest) = payload.split_at_checked(length).ok_or(Malformed)?;
        *payload = rest;
        let consents = Self(consents);
        let ascend = consents.iter().is_sorted_by(|a, b| a.place < b.place);
        ascend.then_some(consents).ok_or(Malformed)
    }

    /// The bytes in an envelope.
    pub(super) fn bytes(self) -> Vec<u8> {
        [&[(self.0.len() / Consent::BYTES) as u8], self.0].concat()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, in the order of their places.
    pub fn iter(self) -> impl Iterator<Item = Consent> + 'a {
        let (consents, _) = self.0.as_chunks::<{ Consent::BYTES }>();
        consents.iter().map(|bytes| {
            let (place, rest) = bytes.split_first_chunk().expect("a consent begins with a place");
            let (height, signature) = rest.split_first_chunk().expect("then a height");
            Consent {
                place: ValidatorIndex(u16::from_le_bytes(*place)),
                height: Height(u64::from_le_bytes(*height)),
                signature: *signature.first_chunk().expect("then a signature"),
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::RULES_TRIAL;
    use super::super::members::tests::{key, members};
    use super::*;

    /// The consent of the member with this number, at this place of a set.
    pub(crate) fn consent(
        network: &Digest,
        set: &Members,
        (number, place): (u8, u16),
        height: u64,
    ) -> Consent {
        let message = Consent::message(network, (set.epoch, set.rules, &set.digest()), Height(height));
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
        // Who consents names the rules apart from the digest.
        let (later, digest) = (Members { rules: RULES_TRIAL, ..set.clone() }, set.digest());
        assert!(!good.is_signed(&network, &later, &digest));
        assert!(consent(&network, &later, (2, 1), 50).is_signed(&network, &later, &later.digest()));
    }

    proptest! {
        #[test]
        fn bytes_that_are_consents_are_their_encoding(
            places in proptest::collection::btree_set(0..200_u16, 0..6), height in any::<u64>(), more in any::<u8>(),
            noise in vec(0..3_u8, 0..160),
        ) {
            let one = |place: &u16| Consent {
                place: ValidatorIndex(*place), height: Height(height), signature: [*place as u8; SIGNATURE_BYTES],
            };
            let all: Vec<_> = places.iter().map(one).collect();
            let bytes = Consents::encode(all.iter().rev().copied().collect());
            let read = Consents::read(&bytes).unwrap();
            prop_assert!(read.iter().eq(all.iter().copied()));
            prop_assert_eq!((read.bytes(), read.is_empty()), (bytes.clone(), all.is_empty()));
            let longer = [&bytes[..], &[more]].concat();
            prop_assert_eq!(Consents::read(&longer), Err(Malformed));
            prop_assert_eq!(Consents::read(&bytes[..bytes.len() - 1]), Err(Malformed));
            if let Some(first) = all.first() {
                let twice = Consents::encode(all.iter().chain([first]).copied().collect());
                prop_assert_eq!(Consents::read(&twice), Err(Malformed));
            }
            if let Ok(read) = Consents::read(&noise) {
                prop_assert_eq!(read.bytes(), noise);
            }
        }
    }
}
