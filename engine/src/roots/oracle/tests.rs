//! The oracle's tree against published roots, its own definition, the fast tree, and wrong trees.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

impl OracleLedger {
    /// Without what leaves no trace in a checkpoint and decides nothing: see [`Oracle::without_forgotten`].
    pub(crate) fn without_forgotten(&self) -> Self {
        let mut without_forgotten = self.clone();
        without_forgotten.chains.iter_mut().for_each(|chain| chain.oracle = chain.oracle.without_forgotten());
        without_forgotten
    }
}

/// The test data that Certificate Transparency implementations share, with its published roots.
#[test]
fn certificate_transparency_roots() {
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
    let leaves = data.map(leaf_hash);
    assert_eq!(hex::encode(root_of(&[])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (at, expected) in roots.iter().enumerate() {
        assert_eq!(hex::encode(root_of(&leaves[..=at])), *expected, "{} leaves", at + 1);
        assert_eq!(hex::encode(MerkleTree::new(&leaves[..=at]).root()), *expected, "{} leaves", at + 1);
    }
}

fn numbered(n: usize) -> Vec<Hash> {
    (0..n).map(|at| leaf_hash(&at.to_le_bytes())).collect()
}

/// Rounds of changes to a tree of `n` leaves: places ascend strictly in each.
fn rounds() -> impl Strategy<Value = (usize, Vec<Vec<(usize, Hash)>>)> {
    (1..70_usize, vec(vec((any::<prop::sample::Index>(), any::<Hash>()), 0..12), 1..6)).prop_map(
        |(n, rounds)| {
            let round = |round: Vec<(prop::sample::Index, Hash)>| {
                let places: std::collections::BTreeMap<_, _> =
                    round.into_iter().map(|(place, hash)| (place.index(n), hash)).collect();
                places.into_iter().collect()
            };
            (n, rounds.into_iter().map(round).collect())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_remembered_is_what_the_definition_says((n, rounds) in rounds()) {
        let mut leaves = numbered(n);
        let mut tree = MerkleTree::new(&leaves);
        for round in rounds {
            for (place, hash) in &round {
                leaves[*place] = *hash;
            }
            tree.replace(&round);
            prop_assert_eq!(tree.root(), root_of(&leaves));
        }
    }

    #[test]
    fn leaves_are_added_one_by_one((n, rounds) in rounds()) {
        let mut leaves = numbered(n);
        let mut tree = MerkleTree::new(&[]);
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        for (place, hash) in rounds.into_iter().flatten() {
            tree.replace(&[(place, hash)]);
            tree.push(hash);
            leaves[place] = hash;
            leaves.push(hash);
            prop_assert_eq!((tree.root(), tree.len()), (root_of(&leaves), leaves.len()));
        }
    }

    #[test]
    fn the_fast_tree_agrees_with_the_definition((n, rounds) in rounds()) {
        let mut ours = MerkleTree::new(&numbered(n));
        let mut fast = FastTree::new(numbered(n), Bug::None);
        prop_assert_eq!(fast.root(), ours.root());
        for round in rounds {
            ours.replace(&round);
            fast.update(&round);
            prop_assert_eq!(fast.root(), ours.root());
        }
    }
}

/// A mistake that a fast tree could have and that every root made with it would share.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    /// The last change of a round is not folded in.
    LosesLast,
    /// Leaves above the largest power of two are not hashed into the root again.
    ForgetsRightEdge,
    /// Two dirty children of one parent: the parent is hashed before the second has arrived.
    HashesParentEarly,
}

/// The fast tree, with a planted mistake.
struct FastTree {
    tree: kernels::merkle::ArrayTree,
    leaves: usize,
    bug: Bug,
}

impl FastTree {
    fn new(leaves: Vec<Hash>, bug: Bug) -> Self {
        Self { leaves: leaves.len(), tree: kernels::merkle::ArrayTree::new(leaves), bug }
    }

    fn update(&mut self, round: &[(usize, Hash)]) {
        let mut round: Vec<_> = round.iter().map(|(place, hash)| (*place as u64, *hash)).collect();
        match self.bug {
            Bug::None => {}
            Bug::LosesLast => drop(round.pop()),
            Bug::ForgetsRightEdge => {
                let edge = (self.leaves.next_power_of_two() / 2) as u64;
                round.retain(|(place, _)| *place < edge);
            }
            Bug::HashesParentEarly => round.dedup_by_key(|(place, _)| *place / 2),
        }
        self.tree.update(&round);
    }

    fn root(&self) -> Hash {
        self.tree.root()
    }
}

/// An oracle that used the fast tree would make the same mistake and agree. The definition does not.
#[test]
fn a_bug_planted_in_the_fast_tree_is_caught() {
    let run = |bug| {
        let (mut ours, mut fast) = (MerkleTree::new(&numbered(13)), FastTree::new(numbered(13), bug));
        let mut shared = FastTree::new(numbered(13), bug);
        let mut caught = false;
        for round in [&[(2, [7; 32]), (3, [8; 32])][..], &[(0, [9; 32]), (5, [1; 32]), (12, [2; 32])]] {
            ours.replace(round);
            fast.update(round);
            shared.update(round);
            assert_eq!(shared.root(), fast.root(), "who shares a mistake does not see it");
            caught |= fast.root() != ours.root();
        }
        caught
    };
    assert!(!run(Bug::None));
    for bug in [Bug::LosesLast, Bug::ForgetsRightEdge, Bug::HashesParentEarly] {
        assert!(run(bug), "{bug:?}");
    }
}

/// The audit is worth something only while the two sides share no code that computes.
#[test]
fn the_oracle_uses_nothing_of_what_it_checks() {
    let sources = [
        include_str!("../oracle.rs"),
        include_str!("merkle.rs"),
        include_str!("restore.rs"),
        include_str!("../../execute/oracle.rs"),
        include_str!("../../execute/oracle/fields.rs"),
        include_str!("../../execute/oracle/restore.rs"),
        include_str!("../../chains/attestations/oracle.rs"),
        include_str!("../../chains/changes/oracle.rs"),
        include_str!("../../chains/changes/oracle/restore.rs"),
        include_str!("../../chains/governance/oracle.rs"),
        include_str!("../../chains/governance/oracle/restore.rs"),
        include_str!("../../chains/transfers/oracle.rs"),
        include_str!("../../chains/transfers/oracle/reserved.rs"),
    ];
    let fast =
        ["kernels", "AccountTree", "TransactionTree", "StateRoot", "StateWriter", "ChainState", "::decode("];
    for source in sources {
        let source = source.replace("Outcome::OtherChainState", "");
        for fast in fast {
            assert!(!source.contains(fast), "an oracle names {fast}");
        }
    }
}

#[test]
#[should_panic(expected = "index out of bounds")]
fn a_leaf_that_does_not_exist_is_our_own_mistake() {
    MerkleTree::new(&numbered(5)).replace(&[(5, [0; 32])]);
}
