//! Signing, RFC 8032: deterministic, in constant time with regard to the secret.

mod batch;
mod public;

pub use batch::{SignRequest, sign_batch, sign_batch_on};
pub use public::{public_keys, public_keys_on};

use super::{PublicKey, Signature};
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use std::fmt;
use zeroize::Zeroize as _;

/// A signing key, kept expanded so that a signature costs no hash of the seed. Wiped when dropped.
pub struct SigningKey {
    expanded: ExpandedSecretKey,
    public: ed25519_dalek::VerifyingKey,
}

impl SigningKey {
    /// The key that RFC 8032 derives from a 32-byte seed. The copy of the seed that comes in is wiped.
    #[must_use]
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let expanded = ExpandedSecretKey::from(&seed);
        seed.zeroize();
        let public = ed25519_dalek::VerifyingKey::from(&expanded);
        Self { expanded, public }
    }

    /// The encoded public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public.to_bytes()
    }

    /// Signs `message`, byte for byte as RFC 8032 says.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        raw_sign::<::sha2::Sha512>(&self.expanded, message, &self.public).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    /// Shows the public half only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public.to_bytes()).finish_non_exhaustive()
    }
}
