//! Hash contests: nodes, challenges, and the updatable tree, on every backend of this machine.

use crate::contest::{Contestant, Outcome, run};
use commonware_cryptography::{Sha256, sha256};
use commonware_storage::{
    merkle::{Bagging::ForwardFold, Location, hasher::Standard, mem::Mem},
    mmr,
};
use kernels::{
    merkle::{ArrayTree, Hash, node_hash, node_hashes_on, root},
    sha2::{Backend, sha512, sha512_each_on},
};
use sha2::Digest as _;
use std::{cell::RefCell, hint::black_box, time::Duration};

fn leaves(count: usize) -> Vec<Hash> {
    (0..count as u64).map(|n| kernels::sha2::sha256(&n.to_le_bytes())).collect()
}

/// `sha256.node`: RFC 9162 nodes, many at a time. The rival finds its 65 bytes ready; ours come from the tree.
#[must_use]
pub fn node(rounds: usize, turn: Duration) -> Outcome {
    const COUNT: usize = 1024;
    let leaves = leaves(2 * COUNT);
    let pairs: &[[Hash; 2]] = leaves.as_chunks().0;
    let expected: Vec<_> = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
    let ready: Vec<[u8; 65]> = pairs
        .iter()
        .map(|pair| {
            let mut bytes = [1; 65];
            bytes[1..].copy_from_slice(pair.as_flattened());
            bytes
        })
        .collect();
    let mut contestants = Vec::new();
    for backend in Backend::all_sha256() {
        let expected = &expected;
        let mut out = vec![[0; 32]; COUNT];
        contestants.push(Contestant::ours(backend.name(), move || {
            out.fill([0; 32]);
            node_hashes_on(backend, pairs, &mut out);
            assert_eq!(&out, expected);
        }));
    }
    contestants.push(Contestant::rival("sha2", || {
        for bytes in &ready {
            black_box(sha2::Sha256::digest(bytes));
        }
    }));
    run("sha256.node", COUNT, rounds, turn, contestants)
}

/// `sha512.264`: messages of 264 bytes, many at a time.
#[must_use]
pub fn challenge(rounds: usize, turn: Duration) -> Outcome {
    const COUNT: usize = 512;
    let messages: Vec<[u8; 264]> = (0..COUNT).map(|n| [n as u8; 264]).collect();
    let parts: Vec<[&[u8]; 1]> = messages.iter().map(|message| [&message[..]]).collect();
    let expected: Vec<_> = messages.iter().map(|message| sha512(message)).collect();
    let mut contestants = Vec::new();
    for backend in Backend::all_sha512() {
        let (parts, expected) = (&parts, &expected);
        let mut out = vec![[0; 64]; COUNT];
        contestants.push(Contestant::ours(backend.name(), move || {
            out.fill([0; 64]);
            sha512_each_on(backend, parts, &mut out);
            assert_eq!(&out, expected);
        }));
    }
    contestants.push(Contestant::rival("sha2", || {
        for message in &messages {
            black_box(sha2::Sha512::digest(message));
        }
    }));
    run("sha512.264", COUNT, rounds, turn, contestants)
}

/// `tree.update`: a million leaves, of which twenty thousand change; nanoseconds for each change.
#[must_use]
pub fn tree_update(rounds: usize, turn: Duration) -> Outcome {
    const LEAVES: usize = 1 << 20;
    const CHANGES: usize = 20_000;
    let mut plain = leaves(LEAVES);
    let tree = RefCell::new(ArrayTree::new(plain.clone()));
    let changes: Vec<(u64, Hash)> = (0..CHANGES as u64)
        .map(|n| (n * (LEAVES / CHANGES) as u64 + n * 7 % 50, kernels::sha2::sha256(&n.to_be_bytes())))
        .collect();
    for (at, hash) in &changes {
        plain[*at as usize] = *hash;
    }
    let expected = root(&plain);
    let mut contestants = Vec::new();
    for backend in Backend::all_sha256() {
        let (tree, changes) = (&tree, &changes);
        contestants.push(Contestant::ours(backend.name(), move || {
            let mut tree = tree.borrow_mut();
            tree.update_on(backend, changes);
            assert_eq!(tree.root(), expected);
        }));
    }
    contestants.push(Contestant::rival("qmdb", mountain_range(&leaves(LEAVES), &changes)));
    run("tree.update", CHANGES, rounds, turn, contestants)
}

/// The tree under commonware's qmdb, in memory: a mountain range of the same leaves. It takes the changes as a batch,
/// re-hashes what stands above them level by level on this thread, is applied, and gives its root: what
/// [`ArrayTree::update`] does. qmdb's log, index and disk are left out, and so are its keys, which ours has no need of.
/// The rival's nodes also hash their position (8 bytes, no further block), and its batch could be dropped again.
fn mountain_range(leaves: &[Hash], changes: &[(u64, Hash)]) -> impl FnMut() + use<> {
    let hasher = Standard::<Sha256>::new(ForwardFold);
    let mut tree = Mem::<mmr::Family, sha256::Digest>::new();
    let leaves = leaves.iter().map(|leaf| sha256::Digest::from(*leaf));
    let grown = tree.new_batch().add_leaf_digests(leaves).merkleize(&tree, &hasher);
    tree.apply_batch(&grown).expect("the batch was made for this tree");
    let changes: Vec<_> =
        changes.iter().map(|(at, leaf)| (Location::new(*at), sha256::Digest::from(*leaf))).collect();
    let mut expected = None;
    move || {
        let batch = tree.new_batch().update_leaf_batched(&changes).expect("the leaves exist");
        let batch = batch.merkleize(&tree, &hasher);
        tree.apply_batch(&batch).expect("the batch was made for this tree");
        let root = tree.root(&hasher, 0).expect("all peaks are active");
        assert_eq!(*expected.get_or_insert(root), root);
    }
}
