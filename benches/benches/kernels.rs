//! `cargo bench -p benches`: our best backends alone, under the names that the contests have.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kernels::{
    ed25519::{DecodedEntry, DecodedKey, Entry, SigningKey, verify, verify_batch, verify_batch_decoded},
    merkle::{ArrayTree, Hash, node_hash, node_hashes, root},
    sha2::{sha256, sha512, sha512_each},
};
use std::{hint::black_box, time::Duration};

/// Signatures of distinct keys over messages of 200 bytes.
struct Signed {
    signing: Vec<SigningKey>,
    keys: Vec<[u8; 32]>,
    messages: Vec<[u8; 200]>,
    signatures: Vec<[u8; 64]>,
}

impl Signed {
    fn new(count: usize) -> Self {
        let signing: Vec<_> = (0..count).map(|n| SigningKey::from_seed(sha256(&n.to_le_bytes()))).collect();
        let messages: Vec<_> = (0..count).map(|n| [n as u8; 200]).collect();
        let signatures = signing.iter().zip(&messages).map(|(key, message)| key.sign(message)).collect();
        Self { keys: signing.iter().map(SigningKey::public_key).collect(), signing, messages, signatures }
    }

    fn entry(&self, n: usize) -> Entry<'_> {
        Entry { key: &self.keys[n], message: &self.messages[n], signature: &self.signatures[n] }
    }
}

fn signatures(c: &mut Criterion) {
    let signed = Signed::new(4096);
    let mut group = c.benchmark_group("ed25519");
    let decoded = DecodedKey::many(&signed.keys);
    for count in [8, 64, 256, 1024, 4096] {
        let entries: Vec<_> = (0..count).map(|n| signed.entry(n)).collect();
        let mut verdicts = vec![false; count];
        verify_batch(&entries, [3; 32], &mut verdicts);
        assert!(verdicts.iter().all(|verdict| *verdict), "all are good");
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("batch.{count}"), |b| {
            b.iter(|| verify_batch(black_box(&entries), [3; 32], &mut verdicts));
        });
    }
    for count in [256, 4096] {
        let entries: Vec<_> = (0..count)
            .map(|n| DecodedEntry {
                key: &decoded[n],
                message: &signed.messages[n],
                signature: &signed.signatures[n],
            })
            .collect();
        let mut verdicts = vec![false; count];
        verify_batch_decoded(&entries, [3; 32], &mut verdicts);
        assert!(verdicts.iter().all(|verdict| *verdict), "all are good");
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("batch_decoded.{count}"), |b| {
            b.iter(|| verify_batch_decoded(black_box(&entries), [3; 32], &mut verdicts));
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("single", |b| {
        b.iter(|| assert!(verify(&signed.keys[0], black_box(&signed.messages[0]), &signed.signatures[0])));
    });
    group.bench_function("sign", |b| b.iter(|| signed.signing[0].sign(black_box(&signed.messages[0]))));
}

fn hashes(c: &mut Criterion) {
    const COUNT: usize = 1024;
    let leaves: Vec<Hash> = (0..1u64 << 20).map(|n| sha256(&n.to_le_bytes())).collect();
    let pairs: &[[Hash; 2]] = leaves[..2 * COUNT].as_chunks().0;
    let mut nodes = vec![[0; 32]; COUNT];
    node_hashes(pairs, &mut nodes);
    assert!(
        pairs.iter().zip(&nodes).all(|([left, right], node)| *node == node_hash(left, right)),
        "each its own"
    );
    let mut group = c.benchmark_group("hashes");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("sha256.node", |b| b.iter(|| node_hashes(black_box(pairs), &mut nodes)));

    let messages = vec![[7; 264]; COUNT];
    let parts: Vec<[&[u8]; 1]> = messages.iter().map(|message| [&message[..]]).collect();
    let mut digests = vec![[0; 64]; COUNT];
    sha512_each(&parts, &mut digests);
    assert!(digests.iter().all(|digest| *digest == sha512(&messages[0])), "all messages are the same");
    group.bench_function("sha512.264", |b| b.iter(|| sha512_each(black_box(&parts), &mut digests)));

    let changes: Vec<(u64, Hash)> = (0..20_000).map(|n| (n * 52, leaves[n as usize])).collect();
    let mut tree = ArrayTree::new(leaves.clone());
    tree.update(&changes);
    let mut changed = leaves.clone();
    for (at, leaf) in &changes {
        changed[*at as usize] = *leaf;
    }
    assert_eq!(tree.root(), root(&changed), "as if built anew");
    group.throughput(Throughput::Elements(changes.len() as u64));
    group.bench_function("tree.update", |b| b.iter(|| tree.update(black_box(&changes))));
}

criterion_group! {
    name = kernels;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = signatures, hashes
}
criterion_main!(kernels);
