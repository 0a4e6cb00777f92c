//! Our trees against a Certificate Transparency library that we did not write.

use std::vec::Vec;

use ct_merkle::InclusionProof;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use engine::execute::AccountState;
use engine::roots::{AccountTree, account_leaf};
use engine::types::AccountId;
use kernels::merkle::{leaf_hash, prove, root, verify_inclusion};
use sha2::Sha256;

#[test]
fn both_make_the_same_roots_and_paths_and_take_each_others() {
    for size in (1..40).chain([64, 65, 127, 128, 129, 300]) {
        let leaves: Vec<Vec<u8>> = (0..size).map(|leaf: u64| leaf.to_le_bytes().repeat(9)).collect();
        let hashes: Vec<_> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        leaves.iter().for_each(|leaf| theirs.push(leaf.clone()));
        let ours = root(&hashes);
        assert_eq!(theirs.root().as_bytes()[..], ours);
        for (at, leaf) in leaves.iter().enumerate() {
            let mut path = prove(&hashes, at as u64).unwrap();
            let their_path = theirs.prove_inclusion(at);
            assert_eq!(path.path.as_flattened(), their_path.as_bytes());
            assert!(verify_inclusion(&ours, &hashes[at], &path));
            let as_theirs = InclusionProof::from_bytes(path.path.as_flattened().to_vec());
            theirs.root().verify_inclusion(leaf, at as u64, &as_theirs).unwrap();
            path.index ^= 1;
            assert!(!verify_inclusion(&ours, &hashes[at], &path));
        }
    }
}

#[test]
fn a_transparency_log_over_accounts_has_the_root_of_the_ledger() {
    let account = |number: u64| AccountState {
        key: [number as u8; 32],
        key_version: 1,
        balance: number * number,
        window: Default::default(),
        flags: Default::default(),
    };
    let tree = AccountTree::new((0..77_usize).map(|number| account(number as u64)));
    let mut log = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    (0..77).for_each(|number| log.push(account_leaf(AccountId(number), &account(number)).to_vec()));
    assert_eq!(log.root().as_bytes()[..], tree.root().0);
}
