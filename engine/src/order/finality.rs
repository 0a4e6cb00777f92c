//! The evidence that a block is final.

use crate::types::Digest;

/// Checks finalization certificates; the node implements it over the consensus engine, whose certificates are opaque here.
pub trait FinalityVerifier {
    /// What the certificate finalizes, if it is good.
    fn verify(&self, certificate: &[u8]) -> Option<Finality>;
}

/// What a good certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finality {
    /// The view in which the block was proposed.
    pub view: u64,
    /// The digest of the block.
    pub digest: Digest,
}

/// Evidence that a value is final: it, or a descendant of it, has a finalization certificate that was checked here.
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

    /// The value and its certificate.
    pub fn into_parts(self) -> (T, Vec<u8>) {
        (self.value, self.certificate)
    }
}
