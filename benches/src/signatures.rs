//! Signature contests: batches of distinct keys over 200-byte messages, singles, and signing.

use crate::contest::{Contestant, Outcome, run};
use commonware_codec::{DecodeExt as _, FixedSize as _};
use commonware_cryptography_curve25519::signing as commonware;
use ed25519_dalek::Signer as _;
use kernels::ed25519::{
    Backend, DecodedEntry, DecodedKey, Entry, SignRequest, SigningKey, sign_batch_on,
    verify_batch_decoded_on, verify_batch_on, verify_lanes_on, verify_on,
};
use std::{hint::black_box, time::Duration};

mod rivals;

/// Bytes of a signed message, as in the figures that the libraries publish.
const MESSAGE_BYTES: usize = 200;

/// Signatures by distinct keys, for us and for the libraries (commonware frames its messages with a namespace, so it
/// gets signatures of its own over a message that makes the hashed bytes as long).
pub struct Field {
    messages: Vec<Vec<u8>>,
    keys: Vec<[u8; 32]>,
    signatures: Vec<[u8; 64]>,
    signing: Vec<SigningKey>,
    framed: Vec<(commonware::VerifyingKey, commonware::Signature)>,
}

fn seed(n: usize) -> [u8; 32] {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&(n as u64).to_le_bytes());
    seed
}

impl Field {
    /// Signs `count` messages.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let messages: Vec<Vec<u8>> = (0..count).map(|n| vec![n as u8; MESSAGE_BYTES]).collect();
        let signing: Vec<_> = (0..count).map(|n| SigningKey::from_seed(seed(n))).collect();
        let keys = signing.iter().map(SigningKey::public_key).collect();
        let signatures = signing.iter().zip(&messages).map(|(key, message)| key.sign(message)).collect();
        let framed = (0..count)
            .map(|n| {
                let key = commonware::SigningKey::decode(seed(n).to_vec()).expect("any 32 bytes are a seed");
                let signature = key.sign(b"", &messages[n][1..]);
                let public =
                    commonware::VerifyingKey::decode(key.verifying_key().to_vec()).expect("32 bytes");
                assert_eq!(public.len(), commonware::VerifyingKey::SIZE);
                (public, signature)
            })
            .collect();
        Self { messages, keys, signatures, signing, framed }
    }

    fn entries(&self, count: usize) -> Vec<Entry<'_>> {
        (0..count)
            .map(|n| Entry { key: &self.keys[n], message: &self.messages[n], signature: &self.signatures[n] })
            .collect()
    }

    /// Does `work` for one signature after the other, round and round.
    fn around(&self, work: impl Fn(usize)) -> impl FnMut() {
        let (count, mut at) = (self.keys.len(), 0);
        move || {
            at = (at + 1) % count;
            work(at);
        }
    }

    /// `ed25519.batch.{count}`: distinct keys, nothing cached.
    #[must_use]
    pub fn batch(&self, count: usize, rounds: usize, turn: Duration) -> Outcome {
        let entries = self.entries(count);
        let mut contestants = all_good(count, |backend, verdicts| {
            verify_batch_on(backend, &entries, [3; 32], verdicts);
        });
        contestants.extend(self.batch_rivals(count));
        run(&format!("ed25519.batch.{count}"), count, rounds, turn, contestants)
    }

    /// `ed25519.batch_decoded.{count}`: the same with our keys decoded beforehand; the rivals decode.
    #[must_use]
    pub fn batch_decoded(&self, count: usize, rounds: usize, turn: Duration) -> Outcome {
        let keys = DecodedKey::many(&self.keys[..count]);
        let entries: Vec<_> = (0..count)
            .map(|n| DecodedEntry {
                key: &keys[n],
                message: &self.messages[n],
                signature: &self.signatures[n],
            })
            .collect();
        let mut contestants = all_good(count, |backend, verdicts| {
            verify_batch_decoded_on(backend, &entries, [3; 32], verdicts);
        });
        contestants.extend(self.batch_rivals(count));
        run(&format!("ed25519.batch_decoded.{count}"), count, rounds, turn, contestants)
    }

    /// `ed25519.lanes8`: eight independent verdicts, beside what the libraries take for a batch of eight.
    #[must_use]
    pub fn lanes8(&self, rounds: usize, turn: Duration) -> Outcome {
        let entries = self.entries(8);
        let mut contestants = all_good(8, |backend, verdicts| verify_lanes_on(backend, &entries, verdicts));
        contestants.extend(self.batch_rivals(8));
        run("ed25519.lanes8", 8, rounds, turn, contestants)
    }

    /// `ed25519.single`.
    #[must_use]
    pub fn single(&self, rounds: usize, turn: Duration) -> Outcome {
        let entries = self.entries(self.keys.len());
        let mut contestants: Vec<_> = Backend::all()
            .into_iter()
            .map(|backend| {
                let entries = &entries;
                Contestant::ours(
                    backend.name(),
                    self.around(move |at| assert!(verify_on(backend, &entries[at]))),
                )
            })
            .collect();
        contestants.extend(self.single_rivals());
        run("ed25519.single", 1, rounds, turn, contestants)
    }

    /// `ed25519.sign`: one signature at a time.
    #[must_use]
    pub fn sign(&self, rounds: usize, turn: Duration) -> Outcome {
        let dalek: Vec<_> =
            (0..self.keys.len()).map(|n| ed25519_dalek::SigningKey::from_bytes(&seed(n))).collect();
        let ours = |at: usize| assert_eq!(self.signing[at].sign(&self.messages[at]), self.signatures[at]);
        let theirs =
            |at: usize| assert_eq!(dalek[at].sign(&self.messages[at]).to_bytes(), self.signatures[at]);
        let contestants = vec![
            Contestant::ours(Backend::best().name(), self.around(ours)),
            Contestant::rival("dalek", self.around(theirs)),
        ];
        run("ed25519.sign", 1, rounds, turn, contestants)
    }

    /// `ed25519.sign8`: as many signatures at once as the generator signs between two looks at its clock.
    #[must_use]
    pub fn sign8(&self, rounds: usize, turn: Duration) -> Outcome {
        const COUNT: usize = 256;
        let requests: Vec<_> = self
            .signing
            .iter()
            .zip(&self.messages)
            .take(COUNT)
            .map(|(key, message)| SignRequest { key, message })
            .collect();
        let mut contestants = Vec::new();
        for backend in Backend::all() {
            let (requests, expected) = (&requests, &self.signatures[..COUNT]);
            let mut signatures = vec![[0; 64]; COUNT];
            contestants.push(Contestant::ours(backend.name(), move || {
                signatures.fill([0; 64]);
                sign_batch_on(backend, requests, &mut signatures);
                assert_eq!(signatures, expected);
            }));
        }
        let dalek: Vec<_> = (0..COUNT).map(|n| ed25519_dalek::SigningKey::from_bytes(&seed(n))).collect();
        contestants.push(Contestant::rival("dalek", move || {
            for (key, message) in dalek.iter().zip(&self.messages) {
                black_box(key.sign(message));
            }
        }));
        run("ed25519.sign8", COUNT, rounds, turn, contestants)
    }
}

/// Each of our backends, which by `check` gives `count` verdicts, all of them good.
fn all_good<'a>(count: usize, check: impl Fn(Backend, &mut [bool]) + Copy + 'a) -> Vec<Contestant<'a>> {
    let contestant = |backend: Backend| {
        let mut verdicts = vec![false; count];
        Contestant::ours(backend.name(), move || {
            verdicts.fill(false);
            check(backend, &mut verdicts);
            assert!(verdicts.iter().all(|verdict| *verdict));
        })
    };
    Backend::all().into_iter().map(contestant).collect()
}
