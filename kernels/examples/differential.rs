//! A long-running search for an input on which two paths disagree.
//!
//! ```text
//! cargo run --release -p kernels --example differential -- [--seconds N] [--seed N]
//!
//! seed ─▶ cases: good signatures, damaged ones, edge encodings, keys and Rs with torsion
//!             ├─▶ every backend: one by one, eight at a time, in one batch, with decoded keys ──┐
//!             └─▶ ed25519-zebra ────────────────────────────────────────────────────────────────┴─▶ all alike?
//! ```
//!
//! Prints the seed, and every input that is judged differently as a line for `millrace kernels check`, with zebra's
//! verdict as the expectation; then it ends with 1. The same seed gives the same inputs. Batches are signed along the
//! way, on every backend, and compared with ed25519-dalek.

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
};
use ed25519_dalek::Signer as _;
use kernels::ed25519::{
    Backend, DecodedEntry, DecodedKey, Entry, PublicKey, SignRequest, Signature, SigningKey, sign_batch_on,
    verify_batch_decoded_on, verify_batch_on, verify_lanes_on, verify_on,
};
use std::{
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ a >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ b >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }

    fn message(&mut self) -> Vec<u8> {
        let len = self.below(300);
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn scalar(&mut self) -> Scalar {
        Scalar::from_bytes_mod_order_wide(&self.bytes())
    }

    fn torsion(&mut self) -> EdwardsPoint {
        EIGHT_TORSION[self.below(EIGHT_TORSION.len())]
    }

    /// Encodings that stand at an edge: small order, y from p on, y near zero, the sign of a zero x.
    fn edge_encoding(&mut self) -> [u8; 32] {
        let mut bytes = match self.below(3) {
            0 => self.torsion().compress().to_bytes(),
            1 => {
                let mut bytes = [0xff; 32];
                bytes[0] = 0xe8 + self.below(24) as u8;
                bytes
            }
            _ => {
                let mut bytes = [0; 32];
                bytes[0] = self.below(24) as u8;
                bytes
            }
        };
        bytes[31] = bytes[31] & 0x7f | (self.next() as u8 & 0x80);
        bytes
    }
}

/// One input.
struct Case {
    key: PublicKey,
    message: Vec<u8>,
    signature: Signature,
}

/// L, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

impl Case {
    fn good(chance: &mut Chance) -> Self {
        let (key, message) = (SigningKey::from_seed(chance.bytes()), chance.message());
        Self { key: key.public_key(), signature: key.sign(&message), message }
    }

    /// A = aB + torsion and R = rB + torsion with the s that fits: good, as the equation has its cofactor.
    fn with_torsion(chance: &mut Chance) -> Self {
        let (a, r, message) = (chance.scalar(), chance.scalar(), chance.message());
        let key = (ED25519_BASEPOINT_POINT * a + chance.torsion()).compress().to_bytes();
        let commitment = (ED25519_BASEPOINT_POINT * r + chance.torsion()).compress().to_bytes();
        let k = kernels::sha2::sha512_parts(&[&commitment, &key, &message]);
        let s = r + Scalar::from_bytes_mod_order_wide(&k) * a;
        Self { key, message, signature: joined(&commitment, s.as_bytes()) }
    }

    /// Both points of small order and s = 0, which is good, or s small, which is not.
    fn of_small_order(chance: &mut Chance) -> Self {
        let mut s = [0; 32];
        s[0] = u8::from(chance.below(4) == 0);
        let signature = joined(&chance.edge_encoding(), &s);
        Self { key: chance.edge_encoding(), message: chance.message(), signature }
    }

    fn damage(&mut self, chance: &mut Chance) {
        match chance.below(8) {
            0 => self.signature[chance.below(64)] ^= 1 << chance.below(8),
            1 => self.key[chance.below(32)] ^= 1 << chance.below(8),
            2 => self.message.push(chance.next() as u8),
            3 => self.signature[..32].copy_from_slice(&chance.edge_encoding()),
            4 => self.key = chance.edge_encoding(),
            5 => self.signature[..32].copy_from_slice(&chance.bytes::<32>()),
            6 => self.key = chance.bytes(),
            // The same residue again, s + L.
            _ => {
                let mut carry = 0;
                for (byte, order) in self.signature[32..].iter_mut().zip(ORDER) {
                    let sum = u16::from(*byte) + u16::from(order) + carry;
                    (*byte, carry) = (sum as u8, sum >> 8);
                }
            }
        }
    }

    fn drawn(chance: &mut Chance) -> Self {
        let mut case = match chance.below(6) {
            0 => Self::with_torsion(chance),
            1 => Self::of_small_order(chance),
            _ => Self::good(chance),
        };
        if chance.below(3) == 0 {
            case.damage(chance);
        }
        case
    }

    fn entry(&self) -> Entry<'_> {
        Entry { key: &self.key, message: &self.message, signature: &self.signature }
    }

    fn by_zebra(&self) -> bool {
        let signature = ed25519_zebra::Signature::from(self.signature);
        ed25519_zebra::VerificationKey::try_from(self.key)
            .is_ok_and(|key| key.verify(&signature, &self.message).is_ok())
    }
}

fn joined(r: &[u8; 32], s: &[u8; 32]) -> Signature {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(r);
    signature[32..].copy_from_slice(s);
    signature
}

/// The verdicts of every path of one backend, each with its name.
fn paths(backend: Backend, cases: &[Case], seed: [u8; 32]) -> Vec<(&'static str, Vec<bool>)> {
    let entries: Vec<_> = cases.iter().map(Case::entry).collect();
    let single = entries.iter().map(|entry| verify_on(backend, entry)).collect();
    let mut eights = vec![false; cases.len()];
    verify_lanes_on(backend, &entries, &mut eights);
    let mut batch = vec![false; cases.len()];
    verify_batch_on(backend, &entries, seed, &mut batch);
    let keys: Vec<_> = cases.iter().map(|case| case.key).collect();
    let keys = DecodedKey::many(&keys);
    let decoded: Vec<_> = cases
        .iter()
        .zip(&keys)
        .map(|(case, key)| DecodedEntry { key, message: &case.message, signature: &case.signature })
        .collect();
    let mut with_decoded = vec![false; cases.len()];
    verify_batch_decoded_on(backend, &decoded, seed, &mut with_decoded);
    vec![("single", single), ("eights", eights), ("batch", batch), ("decoded", with_decoded)]
}

/// How many of `cases` are good, if all paths agree with zebra; prints those on which they do not.
fn agree(cases: &[Case], seed: [u8; 32]) -> Option<usize> {
    let expected: Vec<_> = cases.iter().map(Case::by_zebra).collect();
    let mut all = true;
    for backend in Backend::all() {
        for (path, verdicts) in paths(backend, cases, seed) {
            for ((case, expected), verdict) in cases.iter().zip(&expected).zip(&verdicts) {
                if verdict != expected {
                    all = false;
                    eprintln!("{path} on {backend} says {verdict}:");
                    let Case { key, message, signature } = case;
                    let line = serde_json::json!({
                        "key": hex::encode(key), "msg": hex::encode(message), "sig": hex::encode(signature), "expect": expected,
                    });
                    println!("{line}");
                }
            }
        }
    }
    all.then(|| expected.iter().filter(|good| **good).count())
}

/// Whether every backend signs like dalek.
fn sign(chance: &mut Chance) -> bool {
    let count = chance.below(40);
    let jobs: Vec<([u8; 32], Vec<u8>)> = (0..count).map(|_| (chance.bytes(), chance.message())).collect();
    let keys: Vec<_> = jobs.iter().map(|(seed, _)| SigningKey::from_seed(*seed)).collect();
    let requests: Vec<_> =
        keys.iter().zip(&jobs).map(|(key, (_, message))| SignRequest { key, message }).collect();
    let expected: Vec<Signature> = jobs
        .iter()
        .map(|(seed, message)| ed25519_dalek::SigningKey::from_bytes(seed).sign(message).to_bytes())
        .collect();
    let mut all = true;
    for backend in Backend::all() {
        let mut signatures = vec![[0; 64]; count];
        sign_batch_on(backend, &requests, &mut signatures);
        for i in (0..count).filter(|i| signatures[*i] != expected[*i]) {
            all = false;
            let (seed, message) = &jobs[i];
            eprintln!(
                "{backend} signs differently: seed {}, message {}",
                hex::encode(seed),
                hex::encode(message)
            );
        }
    }
    all
}

#[allow(
    clippy::disallowed_methods,
    reason = "how long to search is asked in seconds, and a new search wants a new seed"
)]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut seconds = 60;
    let mut seed =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    for pair in arguments.chunks(2) {
        match (pair[0].as_str(), pair.get(1).and_then(|value| value.parse().ok())) {
            ("--seconds", Some(value)) => seconds = value,
            ("--seed", Some(value)) => seed = value,
            _ => {
                eprintln!("usage: differential [--seconds N] [--seed N]");
                return ExitCode::from(2);
            }
        }
    }
    eprintln!("seed {seed}, for {seconds} seconds");
    let mut chance = Chance(seed);
    let (start, mut batches, mut inputs, mut good) = (Instant::now(), 0u64, 0, 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        let count = 1 + chance.below(64);
        let cases: Vec<_> = (0..count).map(|_| Case::drawn(&mut chance)).collect();
        let (judged, signed) = (agree(&cases, chance.bytes()), sign(&mut chance));
        let (Some(judged), true) = (judged, signed) else {
            eprintln!("batch {batches} of seed {seed} is judged or signed differently");
            return ExitCode::FAILURE;
        };
        (batches, inputs, good) = (batches + 1, inputs + count, good + judged);
    }
    eprintln!("{inputs} inputs in {batches} batches, {good} of them good: every path agrees");
    ExitCode::SUCCESS
}
