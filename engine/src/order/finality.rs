//! The evidence that a block is final.

use std::sync::Arc;

use crate::types::{Digest, Epoch, Members, ValidatorIndex};

/// What consensus hands on when it has finalized something: the running engine has checked the certificate, or has just
/// made it. The node takes it from the engine's own type, which nothing else can make.
#[derive(Clone, Copy, Debug)]
pub struct FinalityEvidence<'a> {
    /// The epoch whose validators have finalized it.
    pub epoch: Epoch,
    /// The view in which the block was proposed last.
    pub view: u64,
    /// The digest of the block.
    pub digest: Digest,
    /// The certificate, for peers, clients and audits.
    pub certificate: &'a [u8],
}

/// What consensus can say of any view without taking part: whether a finalization certificate is good that comes from
/// elsewhere (from a peer that helps to catch up, or from a file), and who leads.
pub trait FinalityVerifier {
    /// What the certificate finalizes, if it is good, by the validators of its epoch.
    fn verify(&self, certificate: &[u8]) -> Option<Finality>;
    /// Whose turn it is to propose in `view` of an epoch that is known.
    fn leader(&self, epoch: Epoch, view: u64) -> ValidatorIndex;
    /// Knows these validators from now on. The caller has checked that those of the epoch before vouch for them.
    fn learn(&self, members: &Members);
}

impl<V: FinalityVerifier + ?Sized> FinalityVerifier for Arc<V> {
    fn verify(&self, certificate: &[u8]) -> Option<Finality> {
        (**self).verify(certificate)
    }

    fn leader(&self, epoch: Epoch, view: u64) -> ValidatorIndex {
        (**self).leader(epoch, view)
    }

    fn learn(&self, members: &Members) {
        (**self).learn(members);
    }
}

/// That a block is final, as consensus or a certificate said. Made from evidence or by a check, and by nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finality {
    epoch: Epoch,
    view: u64,
    digest: Digest,
    certificate: Vec<u8>,
}

impl Finality {
    /// What consensus handed on.
    #[must_use]
    pub fn handed_on(evidence: FinalityEvidence<'_>) -> Self {
        let FinalityEvidence { epoch, view, digest, certificate } = evidence;
        Self { epoch, view, digest, certificate: certificate.to_vec() }
    }

    /// The epoch whose validators have finalized it.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The view in which the block was proposed last.
    #[must_use]
    pub fn view(&self) -> u64 {
        self.view
    }

    /// The digest of the block.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }
}

/// Evidence that a value is final: it, or a descendant of it, was finalized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finalized<T> {
    value: T,
    certificate: Vec<u8>,
}

impl<T> Finalized<T> {
    pub(super) fn new(value: T, certificate: Vec<u8>) -> Self {
        Self { value, certificate }
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The certificate; empty where the value is final through a descendant.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }
}
