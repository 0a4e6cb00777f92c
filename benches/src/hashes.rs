//! Hash contests: nodes, challenges, and the updatable tree.

use crate::contest::{Contestant, Outcome, run};
use kernels::{
    merkle::{ArrayTree, Hash, node_hash, node_hashes, root},
    sha2::{sha512, sha512_each},
};
use sha2::Digest as _;
use std::{hint::black_box, time::Duration};

/// What our hashes run on; they choose by themselves.
fn ours() -> &'static str {
    kernels::ed25519::Backend::best().name()
}

fn leaves(count: usize) -> Vec<Hash> {
    (0..count as u64).map(|n| kernels::sha2::sha256(&n.to_le_bytes())).collect()
}

/// `sha256.node`: RFC 9162 nodes, many at a time.
#[must_use]
pub fn node(rounds: usize, turn: Duration) -> Outcome {
    const COUNT: usize = 1024;
    let leaves = leaves(2 * COUNT);
    let pairs: &[[Hash; 2]] = leaves.as_chunks().0;
    let expected = node_hash(&pairs[7][0], &pairs[7][1]);
    let mut out = vec![[0; 32]; COUNT];
    let contestants = vec![
        Contestant::ours(ours(), || {
            node_hashes(pairs, &mut out);
            assert_eq!(out[7], expected);
        }),
        Contestant::rival("sha2", || {
            for pair in pairs {
                let mut bytes = [1; 65];
                bytes[1..].copy_from_slice(pair.as_flattened());
                black_box(sha2::Sha256::digest(bytes));
            }
        }),
    ];
    run("sha256.node", COUNT, rounds, turn, contestants)
}

/// `sha512.264`: messages of 264 bytes, many at a time.
#[must_use]
pub fn challenge(rounds: usize, turn: Duration) -> Outcome {
    const COUNT: usize = 512;
    let messages: Vec<[u8; 264]> = (0..COUNT).map(|n| [n as u8; 264]).collect();
    let parts: Vec<[&[u8]; 1]> = messages.iter().map(|message| [&message[..]]).collect();
    let mut out = vec![[0; 64]; COUNT];
    let expected = sha512(&messages[9]);
    let contestants = vec![
        Contestant::ours(ours(), || {
            sha512_each(&parts, &mut out);
            assert_eq!(out[9], expected);
        }),
        Contestant::rival("sha2", || {
            for message in &messages {
                black_box(sha2::Sha512::digest(message));
            }
        }),
    ];
    run("sha512.264", COUNT, rounds, turn, contestants)
}

/// `tree.update`: a million leaves, of which twenty thousand change; nanoseconds for each change.
#[must_use]
pub fn tree_update(rounds: usize, turn: Duration) -> Outcome {
    const LEAVES: usize = 1 << 20;
    const CHANGES: usize = 20_000;
    let mut plain = leaves(LEAVES);
    let mut tree = ArrayTree::new(plain.clone());
    let changes: Vec<(u64, Hash)> = (0..CHANGES as u64)
        .map(|n| (n * (LEAVES / CHANGES) as u64 + n * 7 % 50, kernels::sha2::sha256(&n.to_be_bytes())))
        .collect();
    for (at, hash) in &changes {
        plain[*at as usize] = *hash;
    }
    let expected = root(&plain);
    let contestants = vec![Contestant::ours(ours(), || {
        tree.update(&changes);
        assert_eq!(tree.root(), expected);
    })];
    run("tree.update", CHANGES, rounds, turn, contestants)
}
