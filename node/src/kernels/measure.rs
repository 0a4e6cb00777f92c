//! Nanoseconds per operation, the best of several rounds: noise only ever adds.

use std::cell::RefCell;
use std::convert::Infallible;
use std::hint::black_box;
use std::io::{Write as _, stdout};
use std::time::{Duration, Instant};

use anyhow::Result;
use kernels::ed25519::{
    Backend, DecodedEntry, DecodedKey, Entry, SignRequest, SigningKey, sign_batch_on,
    verify_batch_decoded_on, verify_batch_on, verify_lanes_on, verify_on,
};
use kernels::merkle::{ArrayTree, Hash, node_hashes_on};
use kernels::sha2::{self, sha256, sha512_each_on};
use serde_json::{Map, Value, json};

use super::{KernelBackend, gpu};
use crate::cli::print_json;

/// Long enough that the clock's own cost vanishes.
const ROUND: Duration = Duration::from_millis(60);
const ROUNDS: usize = 5;
/// Bytes of a signed message, as in the published figures of the libraries.
pub(super) const MESSAGE_BYTES: usize = 200;
/// Signatures at hand, but for the crossover.
pub(super) const SIGNATURES: usize = 4096;
/// Signatures made, or hashes, between two looks at the clock.
const AT_ONCE: usize = 512;
/// Bytes that a challenge hashes with such a message.
const CHALLENGE_BYTES: usize = 64 + MESSAGE_BYTES;
/// Leaves of the tree, and how many of them change at once.
const LEAVES: usize = 1 << 20;
const CHANGES: usize = 20_000;

/// One backend's way to do an operation.
type Cell<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// Prints the time of every operation on every backend, or on one.
///
/// # Errors
/// The GPU was named and cannot be used, or fails.
pub fn bench(only: Option<KernelBackend>, as_json: bool) -> Result<bool> {
    let wanted = |name: &&str| match only {
        None => true,
        Some(KernelBackend::Cpu(backend)) => backend.name() == *name,
        Some(KernelBackend::Gpu) => false,
    };
    let device = gpu::wanted(only)?;
    let about = device.as_ref().map(|device| device.info().clone()).map_err(String::clone);
    // Whatever verifies hashes too.
    let names: Vec<_> =
        sha2::Backend::all_sha256().iter().map(|backend| backend.name()).filter(wanted).collect();
    let mut table = Table { names, operations: as_json.then(Map::new) };
    table.head();
    if !table.names.is_empty() {
        signatures(&mut table);
        hashes(&mut table);
    }
    table.say(&format!("gpu: {}", gpu::line(&about)));
    if let Ok(device) = device {
        gpu::bench(device, &mut table)?;
    }
    match table.operations {
        Some(operations) => print_json(&json!({
            "unit": "nanoseconds",
            "rounds": ROUNDS,
            "message_bytes": MESSAGE_BYTES,
            "gpu": gpu::about(&about),
            "operations": operations,
        })),
        None => Ok(true),
    }
}

/// The figures: printed as they come in, or gathered.
pub(super) struct Table {
    /// The backends, one a column.
    names: Vec<&'static str>,
    operations: Option<Map<String, Value>>,
}

impl Table {
    fn head(&self) {
        if self.operations.is_some() {
            return;
        }
        println!(
            "nanoseconds per operation, one thread, best of {ROUNDS} rounds, messages of {MESSAGE_BYTES} bytes"
        );
        print!("{:<28}", "");
        self.names.iter().for_each(|name| print!("{name:>11}"));
        println!();
    }

    /// Prints a line, unless figures are gathered.
    fn say(&self, line: &str) {
        if self.operations.is_none() {
            println!("{line}");
        }
    }

    /// Takes a figure of the GPU, in nanoseconds.
    pub(super) fn gpu_row(&mut self, op: &str, figure: f64) {
        if let Some(operations) = &mut self.operations {
            operations.insert(op.to_owned(), json!({ (gpu::NAME): figure }));
            return;
        }
        println!("  {op:<26}{figure:>11.1}");
    }

    /// Measures one operation.
    fn row(&mut self, op: &str, items: usize, mut cells: Vec<Cell<'_>>) {
        let mut measure = |name: &&str| {
            let cell = cells.iter_mut().find(|(backend, _)| backend == name);
            cell.map(|(_, work)| best(work) / items as f64)
        };
        if let Some(operations) = &mut self.operations {
            let measured = |name: &&'static str| Some(((*name).to_owned(), json!(measure(name)?)));
            let figures: Map<String, Value> = self.names.iter().filter_map(measured).collect();
            operations.insert(op.to_owned(), figures.into());
            return;
        }
        print!("  {op:<26}");
        for name in &self.names {
            match measure(name) {
                Some(figure) => print!("{figure:>11.1}"),
                None => print!("{:>11}", "-"),
            }
            // A terminal that is gone does not matter to the figures.
            let _ = stdout().flush();
        }
        println!();
    }
}

fn signatures(table: &mut Table) {
    let signed = Signed::new(SIGNATURES);
    let entries = signed.entries();
    for size in [8, 64, 256, 1024, 4096] {
        let entries = &entries[..size];
        table.row(
            &format!("ed25519.batch.{size}"),
            size,
            verifying(size, |backend, verdicts| {
                verify_batch_on(backend, entries, [7; 32], verdicts);
            }),
        );
    }
    let keys = DecodedKey::many(&signed.public);
    for size in [256, 4096] {
        let entries: Vec<_> = (entries.iter().zip(&keys).take(size))
            .map(|(Entry { message, signature, .. }, key)| DecodedEntry { key, message, signature })
            .collect();
        table.row(
            &format!("ed25519.batch_decoded.{size}"),
            size,
            verifying(size, |backend, verdicts| {
                verify_batch_decoded_on(backend, &entries, [7; 32], verdicts);
            }),
        );
    }
    table.row(
        "ed25519.lanes8",
        8,
        verifying(8, |backend, verdicts| {
            verify_lanes_on(backend, &entries[..8], verdicts);
        }),
    );
    table.row(
        "ed25519.single",
        1,
        verifying(1, |backend, verdicts| {
            verdicts[0] = verify_on(backend, &entries[0]);
        }),
    );
    let requests: Vec<_> = (signed.keys.iter().zip(&signed.messages).take(AT_ONCE))
        .map(|(key, message)| SignRequest { key, message })
        .collect();
    let signing = |backend: Backend| -> Cell<'_> {
        let (requests, mut made) = (&requests, vec![[0; 64]; AT_ONCE]);
        (backend.name(), Box::new(move || sign_batch_on(backend, requests, black_box(&mut made))))
    };
    table.row("ed25519.sign8", AT_ONCE, Backend::all().into_iter().map(signing).collect());
}

fn hashes(table: &mut Table) {
    let leaves: Vec<Hash> = (0..LEAVES as u64).map(|at| sha256(&at.to_le_bytes())).collect();
    let pairs = leaves.as_chunks::<2>().0;
    let nodes = |backend: sha2::Backend| -> Cell<'_> {
        let mut out = vec![[0; 32]; AT_ONCE];
        (backend.name(), Box::new(move || node_hashes_on(backend, &pairs[..AT_ONCE], black_box(&mut out))))
    };
    table.row("sha256.node", AT_ONCE, sha2::Backend::all_sha256().into_iter().map(nodes).collect());
    let messages: Vec<_> = (0..AT_ONCE).map(|at| [at as u8; CHALLENGE_BYTES]).collect();
    let parts: Vec<[&[u8]; 1]> = messages.iter().map(|message| [&message[..]]).collect();
    let challenges = |backend: sha2::Backend| -> Cell<'_> {
        let (parts, mut out) = (&parts, vec![[0; 64]; AT_ONCE]);
        (backend.name(), Box::new(move || sha512_each_on(backend, parts, black_box(&mut out))))
    };
    let op = format!("sha512.{CHALLENGE_BYTES}");
    table.row(&op, AT_ONCE, sha2::Backend::all_sha512().into_iter().map(challenges).collect());
    let changes: Vec<_> = (0..CHANGES).map(|at| ((at * LEAVES / CHANGES) as u64, leaves[at])).collect();
    let tree = RefCell::new(ArrayTree::new(leaves));
    let updates = |backend: sha2::Backend| -> Cell<'_> {
        let (tree, changes) = (&tree, &changes);
        (backend.name(), Box::new(move || tree.borrow_mut().update_on(backend, changes)))
    };
    table.row("tree.update", CHANGES, sha2::Backend::all_sha256().into_iter().map(updates).collect());
}

/// A cell for each backend that judges `size` good signatures.
fn verifying<'a>(size: usize, judge: impl Fn(Backend, &mut [bool]) + Copy + 'a) -> Vec<Cell<'a>> {
    let cell = |backend: Backend| -> Cell<'a> {
        let mut verdicts = vec![false; size];
        (
            backend.name(),
            Box::new(move || {
                verdicts.fill(false);
                judge(backend, &mut verdicts);
                assert!(verdicts.iter().all(|good| *good), "all of them are good");
            }),
        )
    };
    Backend::all().into_iter().map(cell).collect()
}

/// Nanoseconds that a call takes.
fn best(work: &mut dyn FnMut()) -> f64 {
    let mut endless = || {
        work();
        Ok::<_, Infallible>(())
    };
    let Ok(best) = try_best(ROUND, ROUNDS, &mut endless);
    best
}

/// Nanoseconds that a call takes: the best of some rounds, each of at least one call and as long as `round`.
///
/// # Errors
/// The first call that fails ends it.
#[allow(clippy::disallowed_methods, reason = "a benchmark is where a clock is read")]
pub(super) fn try_best<E>(
    round: Duration,
    rounds: usize,
    work: &mut dyn FnMut() -> Result<(), E>,
) -> Result<f64, E> {
    let mut best = f64::INFINITY;
    for _ in 0..rounds {
        let (start, mut calls) = (Instant::now(), 0_u32);
        while calls == 0 || start.elapsed() < round {
            work()?;
            calls += 1;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    Ok(best)
}

/// Signatures to check, by as many keys.
pub(super) struct Signed {
    keys: Vec<SigningKey>,
    public: Vec<[u8; 32]>,
    messages: Vec<[u8; MESSAGE_BYTES]>,
    signatures: Vec<[u8; 64]>,
}

impl Signed {
    /// So many, by as many keys.
    pub(super) fn new(count: usize) -> Self {
        let seed = |at: usize| sha256(&at.to_le_bytes());
        let keys: Vec<SigningKey> = (0..count).map(|at| SigningKey::from_seed(seed(at))).collect();
        let messages: Vec<_> = (0..count).map(|at| [at as u8; MESSAGE_BYTES]).collect();
        let public = keys.iter().map(SigningKey::public_key).collect();
        let requests: Vec<_> =
            keys.iter().zip(&messages).map(|(key, message)| SignRequest { key, message }).collect();
        let mut signatures = vec![[0; 64]; count];
        sign_batch_on(Backend::best(), &requests, &mut signatures);
        Self { keys, public, messages, signatures }
    }

    /// Each as it is checked.
    pub(super) fn entries(&self) -> Vec<Entry<'_>> {
        let signed = self.public.iter().zip(&self.messages).zip(&self.signatures);
        signed.map(|((key, message), signature)| Entry { key, message, signature }).collect()
    }
}
