//! Signatures of acknowledgements, alone and as certificates.

use std::marker::PhantomData;

use kernels::ed25519::{DecodedEntry, DecodedKey, SigningKey, verify_batch_decoded};

use crate::limits::SIGNATURE_BYTES;
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

/// A signature to check.
struct Signed<'a> {
    validator: ValidatorIndex,
    message: &'a [u8],
    signature: &'a [u8; SIGNATURE_BYTES],
}

/// Who may acknowledge, and this validator's own key.
#[derive(Debug)]
pub struct Committee {
    network: Digest,
    me: ValidatorIndex,
    key: SigningKey,
    validators: Vec<DecodedKey>,
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
            validators: genesis.validators().iter().map(|v| DecodedKey::new(&v.public_key)).collect(),
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

    /// For each acknowledgement, whether its signature is its validator's.
    #[must_use]
    pub fn check(&mut self, acknowledgements: &[Acknowledgement]) -> Vec<bool> {
        let message = |a: &Acknowledgement| acknowledgement_message(&self.network, &a.batch, &a.digest);
        let messages: Vec<_> = acknowledgements.iter().map(message).collect();
        let known: Vec<bool> = acknowledgements.iter().map(|a| self.contains(a.validator)).collect();
        let signed = acknowledgements.iter().zip(&messages).zip(&known).filter(|(_, known)| **known);
        let signed = signed.map(|((a, message), _)| Signed {
            validator: a.validator,
            message,
            signature: &a.signature,
        });
        let mut verdicts = self.verdicts(&signed.collect::<Vec<_>>()).into_iter();
        known.into_iter().map(|known| known && verdicts.next() == Some(true)).collect()
    }

    /// Makes evidence of each certificate whose signers are a quorum of this network and whose signatures are all good.
    #[must_use]
    pub fn certify(&mut self, certificates: Vec<Certificate>) -> Vec<Option<Available<Batch>>> {
        let message = |c: &Certificate| acknowledgement_message(&self.network, &c.batch(), c.digest());
        let messages: Vec<_> = certificates.iter().map(message).collect();
        let mut signed = Vec::new();
        let mut quorums = Vec::with_capacity(certificates.len());
        for (certificate, message) in certificates.iter().zip(&messages) {
            let signers = certificate.signers();
            let quorum =
                signers.len() >= self.quorum && signers.iter().all(|(signer, _)| self.contains(*signer));
            if quorum {
                let of = |(validator, signature)| Signed { validator, message, signature };
                signed.extend(signers.iter().map(|(validator, signature)| of((*validator, signature))));
            }
            quorums.push(quorum);
        }
        let verdicts = self.verdicts(&signed);
        let mut verdicts = verdicts.as_slice();
        let evidence = |(certificate, quorum): (Certificate, bool)| {
            let mine = quorum.then(|| verdicts.split_off(..certificate.signers().len()))??;
            mine.iter().all(|good| *good).then(|| Available::new(certificate))
        };
        certificates.into_iter().zip(quorums).map(evidence).collect()
    }

    /// [`Self::certify`] for one.
    #[must_use]
    pub fn certify_one(&mut self, certificate: Certificate) -> Option<Available<Batch>> {
        self.certify(vec![certificate]).pop()?
    }

    /// One round over all of them; every signer is a validator of this network.
    fn verdicts(&mut self, signed: &[Signed<'_>]) -> Vec<bool> {
        self.seed = kernels::sha2::sha256(&self.seed);
        let entries = signed.iter().map(|signed| DecodedEntry {
            key: &self.validators[usize::from(signed.validator.0)],
            message: signed.message,
            signature: signed.signature,
        });
        let entries: Vec<_> = entries.collect();
        let mut verdicts = vec![false; entries.len()];
        verify_batch_decoded(&entries, self.seed, &mut verdicts);
        verdicts
    }

    /// The evidence of acknowledgements that were checked as they came.
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
