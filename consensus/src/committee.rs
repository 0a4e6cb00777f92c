//! Who takes part, and how our numbering maps to simplex's.
//!
//! ```text
//!   validator index (order of the genesis)  <->  participant (order of the public keys)
//! ```
//!
//! Simplex sorts its participants by public key; everything outside this crate counts validators in the order in
//! which the caller listed them. The two meet only here.

use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::{
    simplex::{
        elector::{Config as _, Elector as _, RoundRobin, RoundRobinElector},
        scheme::ed25519::Scheme,
    },
    types::{Epoch, Round, View},
};
use commonware_cryptography::{
    Sha256, ed25519, sha256,
    transcript::{Transcript, Version},
};
use commonware_utils::{Participant, TryFromIterator as _, ordered::Set};
use rand_core_commonware::CryptoRng;

use crate::{StartError, store::record::Identity};

/// A new leader in each view, in the order of the public keys. With leaders that stay, one local time-out would
/// withhold finalize votes for a whole term, and a slow leader would stay for it.
pub(crate) type Rotation = RoundRobin;

pub(crate) type Digest = sha256::Digest;
pub(crate) type PublicKey = ed25519::PublicKey;

/// The most validators that one committee may have.
pub(crate) const VALIDATORS_MAX: usize = 1024;

/// The validators of one epoch.
#[derive(Debug)]
pub(crate) struct Committee {
    epoch: Epoch,
    participants: Set<PublicKey>,
    rotation: RoundRobinElector<Scheme>,
    keys: Vec<PublicKey>,
    validators: Vec<u16>,
    namespace: Vec<u8>,
}

impl Committee {
    pub(crate) fn new(network: &[u8; 32], epoch: u64, validators: &[[u8; 32]]) -> Result<Self, StartError> {
        if validators.is_empty() || validators.len() > VALIDATORS_MAX {
            return Err(StartError::CommitteeSize { validators: validators.len(), max: VALIDATORS_MAX });
        }
        let keys = validators
            .iter()
            .enumerate()
            .map(|(index, bytes)| {
                PublicKey::decode(Copying(bytes)).map_err(|_| StartError::InvalidKey { validator: index })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let participants = Set::try_from_iter(keys.iter().cloned()).map_err(|_| StartError::DuplicateKey)?;
        let validators = participants
            .iter()
            .map(|key| {
                let index =
                    keys.iter().position(|other| other == key).expect("the set was built from the list");
                u16::try_from(index).expect("bounded by VALIDATORS_MAX")
            })
            .collect();
        let mut namespace = b"millrace/consensus/1/".to_vec();
        namespace.extend_from_slice(network);
        let rotation = Rotation::default().build(&participants);
        let epoch = Epoch::new(epoch);
        Ok(Self { epoch, participants, rotation, keys, validators, namespace })
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn key(&self, validator: u16) -> Option<&PublicKey> {
        self.keys.get(usize::from(validator))
    }

    pub(crate) fn validator(&self, key: &PublicKey) -> Option<u16> {
        self.participants.position(key).map(|position| self.validators[position])
    }

    pub(crate) fn validator_of(&self, participant: Participant) -> Option<u16> {
        self.validators.get(usize::try_from(participant.get()).ok()?).copied()
    }

    pub(crate) fn leader(&self, view: u64) -> u16 {
        let leader = self.rotation.elect(Round::new(self.epoch, View::new(view)), ());
        self.validator_of(leader).expect("leaders are elected from the committee")
    }

    /// The random weights with which the signatures in `checked` are added up before they are checked as one.
    ///
    /// They are drawn from all that is checked, so nobody can choose signatures to suit them, and every run draws
    /// the same.
    pub(crate) fn weights(&self, checked: &[u8]) -> impl CryptoRng + use<> {
        let mut transcript = Transcript::new(b"millrace/consensus/weights", Version::V1);
        transcript.commit(&self.namespace[..]);
        transcript.commit(&self.epoch.get().to_le_bytes()[..]);
        for key in &self.keys {
            transcript.commit(key.as_ref());
        }
        transcript.commit(checked).noise(b"weights")
    }

    pub(crate) fn verifier(&self) -> Scheme {
        Scheme::verifier(&self.namespace, self.participants.clone())
    }

    pub(crate) fn signer(&self, key: ed25519::PrivateKey) -> Option<Scheme> {
        Scheme::signer(&self.namespace, self.participants.clone(), key)
    }

    /// What the records of one validator in one network are stamped with.
    pub(crate) fn identity(&self, me: u16) -> Identity {
        use commonware_cryptography::Hasher as _;
        let keys: Vec<&[u8]> = self.keys.iter().map(|key| key.as_ref()).collect();
        Identity {
            validator: Sha256::hash(&[&self.namespace, keys[usize::from(me)]]).0,
            committee: Sha256::hash(&keys).0,
            epoch: self.epoch.get(),
        }
    }
}
