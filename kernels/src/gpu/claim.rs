//! What a device is asked.

use crate::ed25519::{Entry, PublicKey, Signature};

/// One signature to check. It owns its bytes, since the device reads them after the call that handed them over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The signer's encoded public key.
    pub key: PublicKey,
    /// `R ‖ s`.
    pub signature: Signature,
    /// The signed bytes, exactly.
    pub message: Vec<u8>,
}

impl Claim {
    /// What the CPU is asked in its place.
    #[must_use]
    pub fn entry(&self) -> Entry<'_> {
        let Self { key, signature, message } = self;
        Entry { key, message, signature }
    }
}

impl From<&Entry<'_>> for Claim {
    fn from(entry: &Entry<'_>) -> Self {
        Self { key: *entry.key, signature: *entry.signature, message: entry.message.to_vec() }
    }
}
