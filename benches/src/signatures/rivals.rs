//! What the libraries do with the same signatures. Keys come as bytes, as ours do, where the library lets them.

use super::Field;
use crate::contest::Contestant;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use commonware_cryptography::{BatchEntry, BatchVerifier as _};
use commonware_cryptography_curve25519::signing as commonware;
use commonware_parallel::Sequential;
use commonware_utils::TestRng;
use ed25519_zebra as zebra;
use rand_core_zebra::{CryptoRng, Error, RngCore};

impl Field {
    /// The libraries that verify batches.
    pub(super) fn batch_rivals(&self, count: usize) -> Vec<Contestant<'_>> {
        vec![
            Contestant::rival("commonware", self.commonware_batch(count)),
            Contestant::rival("zebra", self.zebra_batch(count)),
        ]
    }

    fn commonware_batch(&self, count: usize) -> impl FnMut() + '_ {
        let mut rng = TestRng::new(7);
        let items: Vec<_> = self.framed[..count]
            .iter()
            .zip(&self.messages)
            .map(|((k, s), m)| (k.clone(), s.clone(), &m[1..]))
            .collect();
        move || {
            assert!(commonware::VerifyingKey::verify_batch(
                &mut rng,
                &items,
                |_, (public_key, signature, message)| BatchEntry {
                    namespace: b"",
                    message,
                    public_key,
                    signature
                },
                &Sequential,
            ));
        }
    }

    /// ZIP-215 like ours.
    fn zebra_batch(&self, count: usize) -> impl FnMut() + '_ {
        move || {
            let mut batch = zebra::batch::Verifier::new();
            for n in 0..count {
                let (key, signature) = (self.keys[n].into(), self.signatures[n].into());
                batch.queue((key, signature, &self.messages[n]));
            }
            assert!(batch.verify(Chance(7)).is_ok());
        }
    }

    /// Further libraries that verify one signature: aws-lc-rs has ring's interface, and no batches.
    pub(super) fn single_rivals(&self) -> [Contestant<'_>; 2] {
        let (mut a, mut b) = (0, 0);
        [
            Contestant::rival("zebra", move || {
                a = (a + 1) % self.keys.len();
                let key = zebra::VerificationKey::try_from(self.keys[a]).expect("our own keys are points");
                assert!(key.verify(&self.signatures[a].into(), &self.messages[a]).is_ok());
            }),
            Contestant::rival("aws-lc-rs", move || {
                b = (b + 1) % self.keys.len();
                let key = UnparsedPublicKey::new(&ED25519, &self.keys[b]);
                assert!(key.verify(&self.messages[b], &self.signatures[b]).is_ok());
            }),
        ]
    }
}

/// SplitMix64, for coefficients that nobody attacks here: what it costs counts for the rival.
struct Chance(u64);

impl RngCore for Chance {
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Chance {}
