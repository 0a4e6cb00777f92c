//! Inclusion proofs (RFC 9162, 2.1.3).

use super::{Hash, node_hash, parents};
#[cfg(not(feature = "std"))]
use alloc::vec::Vec;

/// Proof that a leaf stands at `index` in a tree of `size` leaves: the siblings from the leaf up to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The leaf's place, from zero.
    pub index: u64,
    /// How many leaves the tree has.
    pub size: u64,
    /// The siblings, lowest first; a level on which the node is promoted has none.
    pub path: Vec<Hash>,
}

/// The proof for `leaves[index]`, or `None` where there is no such leaf.
#[must_use]
pub fn prove(leaves: &[Hash], index: u64) -> Option<InclusionProof> {
    let mut at = usize::try_from(index).ok().filter(|at| *at < leaves.len())?;
    let mut path = Vec::new();
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        path.extend(level.get(at ^ 1));
        level = parents(&level);
        at /= 2;
    }
    Some(InclusionProof { index, size: leaves.len() as u64, path })
}

/// Whether `proof` shows that `leaf` (a leaf hash) stands at `proof.index` under `root`.
#[must_use]
pub fn verify_inclusion(root: &Hash, leaf: &Hash, proof: &InclusionProof) -> bool {
    if proof.index >= proof.size {
        return false;
    }
    // `at` and `last` are the places of our node and of the last node on the current level.
    let (mut at, mut last) = (proof.index, proof.size - 1);
    let mut hash = *leaf;
    let mut siblings = proof.path.iter();
    while last > 0 {
        if at % 2 == 1 {
            let Some(left) = siblings.next() else { return false };
            hash = node_hash(left, &hash);
        } else if at < last {
            let Some(right) = siblings.next() else { return false };
            hash = node_hash(&hash, right);
        }
        at /= 2;
        last /= 2;
    }
    siblings.next().is_none() && hash == *root
}
