//! Nanoseconds per operation, the best of several rounds: noise only ever adds.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use kernels::ed25519::{Backend, Entry, SigningKey, verify, verify_batch_on};
use kernels::{merkle, sha2};

/// Long enough that the clock's own cost vanishes.
const ROUND: Duration = Duration::from_millis(60);
const ROUNDS: usize = 5;
/// Length of a signed transfer: network id and body.
const MESSAGE_BYTES: usize = 96;

/// Prints the time of every operation.
///
/// # Errors
/// None today; commands share a signature.
pub fn bench() -> Result<bool> {
    println!("nanoseconds per operation, one thread, best of {ROUNDS} rounds");
    let signed = Signed::new(4096);
    row("ed25519 sign", per_operation(1, || signed.keys[0].sign(&signed.messages[0])));
    let first = signed.entry(0);
    row("ed25519 verify, single", per_operation(1, || verify(first.key, first.message, first.signature)));
    for backend in Backend::all() {
        for size in [8, 64, 256, 1024, 4096] {
            let entries: Vec<Entry<'_>> = (0..size).map(|at| signed.entry(at)).collect();
            let mut verdicts = vec![false; size];
            let ns = per_operation(size, || {
                verify_batch_on(backend, &entries, [7; 32], &mut verdicts);
                assert!(verdicts.iter().all(|good| *good), "all of them are good");
            });
            row(&format!("ed25519 verify, {backend}, batch of {size}"), ns);
        }
    }
    let nodes = vec![0x5a; 64 * 4096];
    let mut hashes = vec![[0; 32]; 4096];
    row("sha-256 of 64 bytes", per_operation(1, || sha2::sha256(&nodes[..64])));
    row(
        "sha-256 of 64 bytes, 4096 at once",
        per_operation(4096, || sha2::sha256_many(&nodes, 64, &mut hashes)),
    );
    row("sha-512 of 96 bytes", per_operation(1, || sha2::sha512(&nodes[..MESSAGE_BYTES])));
    row("merkle root, per leaf of 4096", per_operation(4096, || merkle::root(&hashes)));
    Ok(true)
}

/// Signatures to check.
struct Signed {
    keys: Vec<SigningKey>,
    public: Vec<[u8; 32]>,
    messages: Vec<[u8; MESSAGE_BYTES]>,
    signatures: Vec<[u8; 64]>,
}

impl Signed {
    fn new(count: usize) -> Self {
        let seed = |at: usize| sha2::sha256(&at.to_le_bytes());
        let keys: Vec<SigningKey> = (0..count).map(|at| SigningKey::from_seed(seed(at))).collect();
        let messages: Vec<[u8; MESSAGE_BYTES]> = (0..count).map(|at| [at as u8; MESSAGE_BYTES]).collect();
        let public = keys.iter().map(SigningKey::public_key).collect();
        let signatures = keys.iter().zip(&messages).map(|(key, message)| key.sign(message)).collect();
        Self { keys, public, messages, signatures }
    }

    fn entry(&self, at: usize) -> Entry<'_> {
        Entry { key: &self.public[at], message: &self.messages[at], signature: &self.signatures[at] }
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark is where a clock is read")]
fn per_operation<T>(operations: usize, mut run: impl FnMut() -> T) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (start, mut calls) = (Instant::now(), 0_u32);
        while start.elapsed() < ROUND {
            black_box(run());
            calls += 1;
        }
        let each = start.elapsed().as_nanos() as f64 / f64::from(calls);
        best = best.min(each / operations as f64);
    }
    best
}

fn row(name: &str, ns: f64) {
    println!("  {name:<42}{ns:>12.1}");
}
