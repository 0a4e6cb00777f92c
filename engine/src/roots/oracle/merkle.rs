//! The Merkle tree of RFC 9162, section 2.1.1, by plain recursion.
//!
//! ```text
//! MTH({})   = SHA-256()
//! MTH({d})  = SHA-256(0x00 | d)
//! MTH(D[n]) = SHA-256(0x01 | MTH(D[0:k]) | MTH(D[k:n]))      k: the largest power of two below n
//! ```
//!
//! [`MerkleTree`] is the same recursion with a memory: it keeps the hash of every subtree, so that a block costs the
//! paths that it touches and an audit of millions of transactions remains possible.

use sha2::{Digest as _, Sha256};

pub(super) type Hash = [u8; 32];

pub(super) fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

pub(super) fn leaf_hash(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The largest power of two below `n`, which is at least 2.
fn split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// The root over leaf hashes.
pub(super) fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// The hashes of all subtrees of a tree whose leaves change and whose size does not.
///
/// A subtree of `n` leaves is a run of `2n - 1` hashes: its own, the run of its left part, the run of its right part.
#[derive(Debug)]
pub(super) struct MerkleTree {
    hashes: Vec<Hash>,
}

impl MerkleTree {
    /// The tree over at least one leaf hash.
    pub(super) fn new(leaves: &[Hash]) -> Self {
        let mut hashes = vec![[0; 32]; leaves.len() * 2 - 1];
        build(&mut hashes, leaves);
        Self { hashes }
    }

    /// The root.
    pub(super) fn root(&self) -> Hash {
        self.hashes[0]
    }

    /// Replaces the leaf hashes at places that ascend strictly, and computes every subtree that holds one of them anew.
    pub(super) fn replace(&mut self, leaves: &[(usize, Hash)]) {
        replace(&mut self.hashes, 0, leaves);
    }
}

/// Parts the run of a subtree with several leaves into its own hash and the runs below it.
fn parts(run: &mut [Hash]) -> (&mut Hash, &mut [Hash], &mut [Hash]) {
    let left_leaves = split(run.len().div_ceil(2));
    let (own, below) = run.split_first_mut().expect("a subtree has leaves");
    let (left, right) = below.split_at_mut(left_leaves * 2 - 1);
    (own, left, right)
}

fn build(run: &mut [Hash], leaves: &[Hash]) {
    if let [leaf] = leaves {
        run[0] = *leaf;
        return;
    }
    let (left_leaves, right_leaves) = leaves.split_at(split(leaves.len()));
    let (own, left, right) = parts(run);
    build(left, left_leaves);
    build(right, right_leaves);
    *own = node_hash(&left[0], &right[0]);
}

/// `first` is the place of the subtree's first leaf in the whole tree.
fn replace(run: &mut [Hash], first: usize, leaves: &[(usize, Hash)]) {
    if leaves.is_empty() {
        return;
    }
    if let [own] = run {
        let [(place, leaf)] = leaves else { panic!("places ascend strictly") };
        assert_eq!(*place, first, "the tree has such a leaf");
        *own = *leaf;
        return;
    }
    let (own, left, right) = parts(run);
    let middle = first + left.len().div_ceil(2);
    let (left_leaves, right_leaves) = leaves.split_at(leaves.partition_point(|(place, _)| *place < middle));
    replace(left, first, left_leaves);
    replace(right, middle, right_leaves);
    *own = node_hash(&left[0], &right[0]);
}
