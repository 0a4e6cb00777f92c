//! The Merkle tree of RFC 9162, section 2.1.1, by plain recursion.
//!
//! ```text
//! MTH({})   = SHA-256()
//! MTH({d})  = SHA-256(0x00 | d)
//! MTH(D[n]) = SHA-256(0x01 | MTH(D[0:k]) | MTH(D[k:n]))      k: the largest power of two below n
//! ```
//!
//! [`MerkleTree`] is the same recursion with a memory: it keeps the hash of every complete subtree, so that a block
//! costs the paths that it touches and an audit of millions of transactions remains possible.

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

/// The leaves, and the hash of each *complete* subtree: of 2^k leaves that begin at a multiple of 2^k. All others are
/// at the right edge, and are computed when the root is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MerkleTree {
    /// `complete[k][i]` is the subtree of the leaves from `i << k` to before `(i + 1) << k`.
    complete: Vec<Vec<Hash>>,
}

impl MerkleTree {
    /// The tree over leaf hashes.
    pub(super) fn new(leaves: &[Hash]) -> Self {
        let mut tree = Self::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree
    }

    /// How many leaves.
    pub(super) fn len(&self) -> usize {
        self.complete.first().map_or(0, Vec::len)
    }

    /// The leaf hash at a place.
    pub(super) fn leaf(&self, place: usize) -> Hash {
        self.complete[0][place]
    }

    /// One more leaf, behind the others.
    pub(super) fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for k in 0.. {
            if self.complete.len() == k {
                self.complete.push(Vec::new());
            }
            self.complete[k].push(hash);
            let [.., left, right] = self.complete[k][..] else { return };
            if self.complete[k].len() % 2 == 1 {
                return;
            }
            hash = node_hash(&left, &right);
        }
    }

    /// Replaces the leaf hashes at places that ascend strictly, and computes every complete subtree that holds one of
    /// them anew.
    pub(super) fn replace(&mut self, leaves: &[(usize, Hash)]) {
        for (place, leaf) in leaves {
            self.complete[0][*place] = *leaf;
        }
        let mut places: Vec<usize> = leaves.iter().map(|(place, _)| *place).collect();
        for k in 1..self.complete.len() {
            let (below, above) = self.complete.split_at_mut(k);
            let (children, nodes) = (&below[k - 1], &mut above[0]);
            places.iter_mut().for_each(|place| *place /= 2);
            places.dedup();
            places.retain(|place| *place < nodes.len());
            for place in &places {
                nodes[*place] = node_hash(&children[place * 2], &children[place * 2 + 1]);
            }
        }
    }

    /// The root.
    pub(super) fn root(&self) -> Hash {
        match self.len() {
            0 => sha256(&[]),
            n => self.subtree(0, n),
        }
    }

    fn subtree(&self, first: usize, n: usize) -> Hash {
        let k = n.trailing_zeros() as usize;
        if n.is_power_of_two() && first.is_multiple_of(n) {
            return self.complete[k][first >> k];
        }
        let left = split(n);
        node_hash(&self.subtree(first, left), &self.subtree(first + left, n - left))
    }
}
