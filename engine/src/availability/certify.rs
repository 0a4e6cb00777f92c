//! Signatures of acknowledgements, alone and as certificates.

use std::marker::PhantomData;

use kernels::ed25519::{self, SigningKey};

use crate::types::{BatchId, Digest, Genesis, ValidatorIndex};
use crate::wire::{Acknowledgement, Batch, Certificate, acknowledgement_message};

/// Evidence that a quorum holds a batch durably and has checked every signature in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Available<T> {
    certificate: Certificate,
    of: PhantomData<T>,
}

impl Available<Batch> {
    fn new(certificate: Certificate) -> Self {
        Self { certificate, of: PhantomData }
    }

    /// The certificate that proves it to others.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// For tests of rooms that only pass evidence on.
    #[cfg(test)]
    pub(crate) fn assume(certificate: Certificate) -> Self {
        Self::new(certificate)
    }
}

/// Who may acknowledge, and this validator's own key.
#[derive(Debug)]
pub struct Committee {
    network: Digest,
    me: ValidatorIndex,
    key: SigningKey,
    validators: Vec<[u8; 32]>,
    quorum: usize,
    seed: [u8; 32],
}

impl Committee {
    /// The validators of `genesis`, of which this is number `me` with the key of `signing_seed`. `seed` must be
    /// unpredictable to others: it makes the coefficients of batched signature checks.
    #[must_use]
    pub fn new(genesis: &Genesis, me: ValidatorIndex, signing_seed: [u8; 32], seed: [u8; 32]) -> Self {
        Self {
            network: *genesis.network(),
            me,
            key: SigningKey::from_seed(signing_seed),
            validators: genesis.validators().iter().map(|validator| validator.public_key).collect(),
            quorum: genesis.quorum(),
            seed,
        }
    }

    /// This validator.
    #[must_use]
    pub fn me(&self) -> ValidatorIndex {
        self.me
    }

    /// How many acknowledgements make a certificate.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// All validators but this one.
    pub fn peers(&self) -> impl Iterator<Item = ValidatorIndex> + use<> {
        let me = self.me;
        (0..self.validators.len() as u16).map(ValidatorIndex).filter(move |peer| *peer != me)
    }

    /// Whether there is such a validator.
    #[must_use]
    pub fn contains(&self, validator: ValidatorIndex) -> bool {
        usize::from(validator.0) < self.validators.len()
    }

    /// This validator's acknowledgement.
    #[must_use]
    pub fn acknowledge(&self, batch: BatchId, digest: Digest) -> Acknowledgement {
        let signature = self.key.sign(&acknowledgement_message(&self.network, &batch, &digest));
        Acknowledgement { batch, digest, validator: self.me, signature }
    }

    /// Whether the signature of an acknowledgement is its validator's.
    #[must_use]
    pub fn check(&self, acknowledgement: &Acknowledgement) -> bool {
        let Acknowledgement { batch, digest, validator, signature } = acknowledgement;
        let message = acknowledgement_message(&self.network, batch, digest);
        let key = self.validators.get(usize::from(validator.0));
        key.is_some_and(|key| ed25519::verify(key, &message, signature))
    }

    /// Makes evidence of a certificate whose signers are a quorum of this network and whose signatures are all good.
    #[must_use]
    pub fn certify(&mut self, certificate: Certificate) -> Option<Available<Batch>> {
        if certificate.signers().len() < self.quorum {
            return None;
        }
        let message = acknowledgement_message(&self.network, &certificate.batch(), certificate.digest());
        let entries: Option<Vec<_>> = certificate
            .signers()
            .iter()
            .map(|(validator, signature)| {
                let key = self.validators.get(usize::from(validator.0))?;
                Some(ed25519::Entry { key, message: &message, signature })
            })
            .collect();
        let entries = entries?;
        let mut verdicts = vec![false; entries.len()];
        self.seed = kernels::sha2::sha256_parts(&[&self.seed, &certificate.digest().0]);
        ed25519::verify_batch(&entries, self.seed, &mut verdicts);
        verdicts.into_iter().all(|good| good).then(|| Available::new(certificate))
    }

    /// The evidence of acknowledgements that were checked one by one.
    pub(super) fn assemble(
        &self,
        batch: BatchId,
        digest: Digest,
        transactions: u32,
        signers: Vec<(ValidatorIndex, [u8; 64])>,
    ) -> Available<Batch> {
        assert!(signers.len() >= self.quorum, "a certificate needs a quorum");
        let certificate = Certificate::new(batch, digest, transactions, signers);
        Available::new(certificate.expect("ascending signers of a sealed batch make a certificate"))
    }
}
