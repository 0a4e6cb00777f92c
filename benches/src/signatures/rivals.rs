//! What the libraries do with the same signatures. Keys come as bytes, as ours do, where the library lets them.

use super::Field;
use crate::contest::Contestant;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use commonware_cryptography::{BatchEntry, BatchVerifier as _};
use commonware_cryptography_curve25519::signing as commonware;
use commonware_parallel::Sequential;
use commonware_utils::TestRng;
use ed25519_dalek::Verifier as _;
use ed25519_zebra as zebra;
use rand_core_zebra::{CryptoRng, Error, RngCore};

impl Field {
    /// The libraries that verify batches.
    pub(super) fn batch_rivals(&self, count: usize) -> Vec<Contestant<'_>> {
        vec![
            Contestant::rival("commonware", self.commonware_batch(count)),
            Contestant::rival("zebra", self.zebra_batch(count)),
            Contestant::rival("dalek", self.dalek_batch(count)),
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

    /// Not ZIP-215, and its coefficients are the hash of the batch. On AVX2, where the CPU has it.
    fn dalek_batch(&self, count: usize) -> impl FnMut() + '_ {
        let messages: Vec<&[u8]> = self.messages[..count].iter().map(Vec::as_slice).collect();
        move || {
            let keys: Vec<_> = self.keys[..count].iter().map(dalek_key).collect();
            let signatures: Vec<_> =
                self.signatures[..count].iter().map(ed25519_dalek::Signature::from_bytes).collect();
            assert!(ed25519_dalek::verify_batch(&messages, &signatures, &keys).is_ok());
        }
    }

    /// The libraries that verify one signature: aws-lc-rs has ring's interface, and no batches. Of commonware and dalek
    /// the keys are ready, as their users keep them.
    pub(super) fn single_rivals(&self) -> Vec<Contestant<'_>> {
        let dalek: Vec<_> = self.keys.iter().map(dalek_key).collect();
        vec![
            Contestant::rival(
                "commonware",
                self.around(|at| {
                    let (key, signature) = &self.framed[at];
                    assert!(key.verify(b"", &self.messages[at][1..], signature));
                }),
            ),
            Contestant::rival(
                "dalek",
                self.around(move |at| {
                    let signature = ed25519_dalek::Signature::from_bytes(&self.signatures[at]);
                    assert!(dalek[at].verify(&self.messages[at], &signature).is_ok());
                }),
            ),
            Contestant::rival(
                "zebra",
                self.around(|at| {
                    let key =
                        zebra::VerificationKey::try_from(self.keys[at]).expect("our own keys are points");
                    assert!(key.verify(&self.signatures[at].into(), &self.messages[at]).is_ok());
                }),
            ),
            Contestant::rival(
                "aws-lc-rs",
                self.around(|at| {
                    let key = UnparsedPublicKey::new(&ED25519, &self.keys[at]);
                    assert!(key.verify(&self.messages[at], &self.signatures[at]).is_ok());
                }),
            ),
        ]
    }
}

fn dalek_key(bytes: &[u8; 32]) -> ed25519_dalek::VerifyingKey {
    ed25519_dalek::VerifyingKey::from_bytes(bytes).expect("our own keys are points")
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
