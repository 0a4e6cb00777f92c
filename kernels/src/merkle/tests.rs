use super::*;
use proptest::prelude::*;

/// The definition of RFC 9162, section 2.1.1, word for word in code.
fn slow_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            node_hash(&slow_root(&leaves[..k]), &slow_root(&leaves[k..]))
        }
    }
}

fn leaves(n: usize) -> Vec<Hash> {
    (0..n as u64).map(|i| leaf_hash(&i.to_le_bytes())).collect()
}

fn hex32(s: &str) -> Hash {
    hex::decode(s).unwrap().try_into().unwrap()
}

/// The test data that Certificate Transparency implementations share.
fn shared_leaves() -> [Hash; 8] {
    let data: [&[u8]; 8] = [
        b"",
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
    ];
    data.map(leaf_hash)
}

/// With its published roots.
#[test]
fn certificate_transparency_roots() {
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let hashes = shared_leaves();
    assert_eq!(empty_root(), hex32("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    for (i, expected) in roots.iter().enumerate() {
        assert_eq!(root(&hashes[..=i]), hex32(expected), "{} leaves", i + 1);
    }
}

/// With its published paths and proofs.
#[test]
fn certificate_transparency_proofs() {
    let leaves = shared_leaves();
    let inclusion: [(usize, u64, &[&str]); 5] = [
        (1, 0, &[]),
        (
            8,
            0,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            8,
            5,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (3, 2, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            5,
            1,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    for (size, index, path) in inclusion {
        let path: Vec<_> = path.iter().map(|node| hex32(node)).collect();
        let proof = InclusionProof { index, size: size as u64, path };
        assert_eq!(prove(&leaves[..size], index).as_ref(), Some(&proof));
        assert!(verify_inclusion(&root(&leaves[..size]), &leaves[index as usize], &proof));
    }
    let consistency: [(u64, usize, &[&str]); 4] = [
        (1, 1, &[]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    for (old_size, new, path) in consistency {
        let path: Vec<_> = path.iter().map(|node| hex32(node)).collect();
        let proof = ConsistencyProof { old_size, new_size: new as u64, path };
        assert_eq!(prove_consistency(&leaves[..new], old_size).as_ref(), Some(&proof));
        assert!(verify_consistency(&root(&leaves[..old_size as usize]), &root(&leaves[..new]), &proof));
    }
}

#[test]
fn many_leaves_and_nodes_are_each_of_them() {
    for n in [0usize, 1, 6, 7, 15, 16, 17, 33, 100] {
        for len in [0usize, 1, 33, 54, 55, 63, 64, 72, 120, 200] {
            let data: Vec<u8> = (0..n * len).map(|i| (i * 7 + i / 251) as u8).collect();
            let mut out = vec![[0; 32]; n];
            leaf_hashes(&data, len, &mut out);
            for (i, hash) in out.iter().enumerate() {
                assert_eq!(*hash, leaf_hash(&data[i * len..(i + 1) * len]));
            }
        }
        let pairs: Vec<[Hash; 2]> = leaves(2 * n).as_chunks().0.to_vec();
        let mut out = vec![[0; 32]; n];
        node_hashes(&pairs, &mut out);
        for (pair, hash) in pairs.iter().zip(&out) {
            assert_eq!(*hash, node_hash(&pair[0], &pair[1]));
        }
    }
}

#[test]
fn roots_follow_the_definition() {
    for n in 0..130 {
        let leaves = leaves(n);
        let expected = slow_root(&leaves);
        assert_eq!(root(&leaves), expected, "{n} leaves");
        assert_eq!(ArrayTree::new(leaves).root(), expected, "{n} leaves");
    }
}

#[test]
fn every_inclusion_proof_verifies_and_no_altered_one_does() {
    for n in 1..40 {
        let leaves = leaves(n);
        let (root, tree) = (root(&leaves), ArrayTree::new(leaves.clone()));
        for i in 0..n as u64 {
            let leaf = &leaves[i as usize];
            let proof = prove(&leaves, i).unwrap();
            assert_eq!(tree.prove(i).as_ref(), Some(&proof));
            assert!(verify_inclusion(&root, leaf, &proof));
            assert!(!verify_inclusion(&root, &leaf_hash(b"other"), &proof));
            assert!(!verify_inclusion(&leaf_hash(b"other"), leaf, &proof));
            for j in (0..n as u64).filter(|j| *j != i) {
                assert!(!verify_inclusion(&root, leaf, &InclusionProof { index: j, ..proof.clone() }));
            }
            let mut longer = proof.clone();
            longer.path.push([0; 32]);
            assert!(!verify_inclusion(&root, leaf, &longer));
            if !proof.path.is_empty() {
                let mut shorter = proof.clone();
                shorter.path.pop();
                assert!(!verify_inclusion(&root, leaf, &shorter));
                let mut flipped = proof.clone();
                flipped.path[0][31] ^= 1;
                assert!(!verify_inclusion(&root, leaf, &flipped));
            }
        }
        assert_eq!(prove(&leaves, n as u64), None);
        assert_eq!(tree.prove(n as u64), None);
        assert_eq!(tree.prove(u64::MAX), None);
    }
    let proof = InclusionProof { index: 0, size: 0, path: Vec::new() };
    assert!(!verify_inclusion(&empty_root(), &empty_root(), &proof));
    let huge = InclusionProof { index: u64::MAX - 1, size: u64::MAX, path: vec![[0; 32]; 70] };
    assert!(!verify_inclusion(&[0; 32], &[0; 32], &huge));
}

#[test]
fn consistency_proofs_hold_for_every_pair_of_sizes_and_for_nothing_else() {
    for new in 0..24usize {
        let leaves = leaves(new);
        let new_root = root(&leaves);
        for old in 0..=new {
            let old_root = root(&leaves[..old]);
            let proof = prove_consistency(&leaves, old as u64).unwrap();
            assert!(verify_consistency(&old_root, &new_root, &proof), "{old} in {new}");
            assert!(!verify_consistency(&leaf_hash(b"x"), &new_root, &proof));
            if old > 0 {
                assert!(!verify_consistency(&old_root, &leaf_hash(b"x"), &proof));
            }
            let mut longer = proof.clone();
            longer.path.push([0; 32]);
            assert!(!verify_consistency(&old_root, &new_root, &longer));
            for i in 0..proof.path.len() {
                let mut flipped = proof.clone();
                flipped.path[i][0] ^= 1;
                assert!(!verify_consistency(&old_root, &new_root, &flipped));
            }
        }
        assert_eq!(prove_consistency(&leaves, new as u64 + 1), None);
    }
    let backwards = ConsistencyProof { old_size: 2, new_size: 1, path: Vec::new() };
    assert!(!verify_consistency(&[0; 32], &[0; 32], &backwards));
    let huge = ConsistencyProof { old_size: u64::MAX - 1, new_size: u64::MAX, path: vec![[0; 32]; 70] };
    assert!(!verify_consistency(&[0; 32], &[0; 32], &huge));
}

/// The example of RFC 9162, section 2.1.5: seven leaves and the proofs between its sizes.
#[test]
fn rfc_9162_worked_example() {
    let d = leaves(7);
    let (a, b, c) = (d[0], d[1], d[2]);
    let g = node_hash(&a, &b);
    let h = node_hash(&c, &d[3]);
    let i = node_hash(&d[4], &d[5]);
    let k = node_hash(&g, &h);
    let l = node_hash(&i, &d[6]);
    assert_eq!(prove(&d, 0).unwrap().path, [b, h, l]);
    assert_eq!(prove(&d, 3).unwrap().path, [c, g, l]);
    assert_eq!(prove(&d, 4).unwrap().path, [d[5], d[6], k]);
    assert_eq!(prove(&d, 6).unwrap().path, [i, k]);
    assert_eq!(prove_consistency(&d, 3).unwrap().path, [c, d[3], g, l]);
    assert_eq!(prove_consistency(&d, 4).unwrap().path, [l]);
    assert_eq!(prove_consistency(&d, 6).unwrap().path, [i, d[6], k]);
}

#[test]
fn an_empty_tree_takes_no_change() {
    let mut tree = ArrayTree::new(Vec::new());
    assert!(tree.is_empty());
    tree.update(&[]);
    assert_eq!(tree.root(), empty_root());
    assert_eq!(tree.leaf(0), None);
}

#[test]
#[should_panic(expected = "leaf 3 of 3")]
fn a_change_beyond_the_end_is_the_callers_mistake() {
    ArrayTree::new(leaves(3)).update(&[(3, [0; 32])]);
}

#[test]
#[should_panic(expected = "ascend")]
fn changes_out_of_order_are_the_callers_mistake() {
    ArrayTree::new(leaves(3)).update(&[(2, [0; 32]), (1, [0; 32])]);
}

/// How the path of a proof can be bad.
#[derive(Clone, Copy, Debug)]
enum Flaw {
    Bit(proptest::sample::Index, u8),
    Missing(proptest::sample::Index),
    Twice(proptest::sample::Index),
    Swapped(proptest::sample::Index),
}

fn flaws() -> impl Strategy<Value = Flaw> {
    let place = any::<proptest::sample::Index>;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(place, bit)| Flaw::Bit(place, bit)),
        place().prop_map(Flaw::Missing),
        place().prop_map(Flaw::Twice),
        place().prop_map(Flaw::Swapped),
    ]
}

impl Flaw {
    /// The path with the flaw, if it is long enough to have it.
    fn of(self, path: &[Hash]) -> Option<Vec<Hash>> {
        let (place, most) = match self {
            Self::Bit(place, _) | Self::Missing(place) | Self::Twice(place) => (place, path.len()),
            Self::Swapped(place) => (place, path.len().saturating_sub(1)),
        };
        let at = (most > 0).then(|| place.index(most))?;
        let mut path = path.to_vec();
        match self {
            Self::Bit(_, bit) => path[at][usize::from(bit) / 8] ^= 1 << (bit % 8),
            Self::Missing(_) => drop(path.remove(at)),
            Self::Twice(_) => path.insert(at, path[at]),
            Self::Swapped(_) => path.swap(at, at + 1),
        }
        Some(path)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn updates_equal_rebuilding(
        n in 1usize..400,
        rounds in proptest::collection::vec(proptest::collection::btree_map(any::<u64>(), any::<[u8; 32]>(), 0..60), 1..4),
    ) {
        let mut plain = leaves(n);
        let mut tree = ArrayTree::new(plain.clone());
        for round in rounds {
            let changes: std::collections::BTreeMap<u64, Hash> =
                round.into_iter().map(|(i, h)| (i % n as u64, h)).collect();
            let changes: Vec<_> = changes.into_iter().collect();
            for (i, hash) in &changes {
                plain[*i as usize] = *hash;
            }
            tree.update(&changes);
            prop_assert_eq!(tree.root(), root(&plain));
            for i in [0, n as u64 / 2, n as u64 - 1] {
                let proof = tree.prove(i).unwrap();
                prop_assert!(verify_inclusion(&tree.root(), &plain[i as usize], &proof));
            }
        }
    }

    #[test]
    fn appending_and_truncating_equal_rebuilding(steps in proptest::collection::vec((any::<bool>(), 0usize..90), 1..12)) {
        let all = leaves(1_000);
        let (mut length, mut tree) = (0, ArrayTree::new(Vec::new()));
        for (grows, by) in steps {
            if grows {
                tree.append(&all[length..length + by]);
                length += by;
            } else {
                length = length.saturating_sub(by);
                tree.truncate(length);
            }
            prop_assert_eq!((tree.len(), tree.is_empty()), (length, length == 0));
            prop_assert_eq!(tree.root(), root(&all[..length]));
            for index in 0..length as u64 {
                prop_assert_eq!(tree.prove(index), prove(&all[..length], index));
            }
            if length > 0 {
                let mut changed = all[..length].to_vec();
                changed[length - 1] = [9; 32];
                let mut other = tree.clone();
                other.update(&[(length as u64 - 1, [9; 32])]);
                prop_assert_eq!(other.root(), root(&changed));
            }
        }
    }

    /// A proof of any tree holds, and none that differs from it in one respect does.
    #[test]
    fn only_the_true_inclusion_proof_holds(
        size in 1usize..600,
        at in any::<proptest::sample::Index>(),
        other in any::<proptest::sample::Index>(),
        flaw in flaws(),
    ) {
        let leaves = leaves(size);
        let (root, index) = (root(&leaves), at.index(size));
        let proof = prove(&leaves, index as u64).unwrap();
        prop_assert!(verify_inclusion(&root, &leaves[index], &proof));
        let other = other.index(size);
        if other != index {
            prop_assert!(!verify_inclusion(&root, &leaves[other], &proof));
            let elsewhere = InclusionProof { index: other as u64, ..proof.clone() };
            prop_assert!(!verify_inclusion(&root, &leaves[index], &elsewhere));
        }
        if let Some(path) = flaw.of(&proof.path) {
            let bad = InclusionProof { path, ..proof };
            prop_assert!(!verify_inclusion(&root, &leaves[index], &bad), "{:?}", flaw);
        }
    }

    #[test]
    fn only_the_true_consistency_proof_holds(
        new in 1usize..600,
        old in any::<proptest::sample::Index>(),
        flaw in flaws(),
    ) {
        let leaves = leaves(new);
        let old = 1 + old.index(new);
        let (old_root, new_root) = (root(&leaves[..old]), root(&leaves));
        let proof = prove_consistency(&leaves, old as u64).unwrap();
        prop_assert!(verify_consistency(&old_root, &new_root, &proof));
        if old < new {
            prop_assert!(!verify_consistency(&new_root, &old_root, &proof), "the other way round");
        }
        if let Some(path) = flaw.of(&proof.path) {
            let bad = ConsistencyProof { path, ..proof };
            prop_assert!(!verify_consistency(&old_root, &new_root, &bad), "{:?}", flaw);
        }
    }
}

#[test]
fn a_frontier_has_the_root_of_its_tree_and_proves_what_is_appended() {
    let leaves = leaves(70);
    let mut frontier = Frontier::default();
    for size in 0..=leaves.len() {
        assert_eq!((frontier.size(), frontier.root()), (size as u64, root(&leaves[..size])));
        assert_eq!(frontier.roots().len(), size.count_ones() as usize);
        assert_eq!(Frontier::new(size as u64, frontier.roots().to_vec()), Some(frontier.clone()));
        assert_eq!(Frontier::new(size as u64 + 1, frontier.roots().to_vec()).is_some(), {
            (size + 1).count_ones() == size.count_ones()
        });
        for end in size..=leaves.len() {
            assert_eq!(frontier.prove_next(&leaves[size..end]), prove(&leaves[..end], size as u64));
        }
        if let Some(leaf) = leaves.get(size) {
            frontier.append(*leaf);
        }
    }
}

#[test]
fn a_frontier_far_to_the_right_proves_what_follows() {
    for size in [1 << 40, (1 << 62) - 1, u64::MAX - 3] {
        let mut frontier = Frontier::new(size, leaves(size.count_ones() as usize)).unwrap();
        let later = leaves(3);
        let proofs: Vec<_> = (1..=3).map(|end| frontier.prove_next(&later[..end]).unwrap()).collect();
        for (leaf, proof) in later.iter().zip(proofs) {
            frontier.append(*leaf);
            assert!(
                verify_inclusion(&frontier.root(), &later[0], &proof),
                "{size} and {}",
                proof.size - size
            );
        }
    }
}
