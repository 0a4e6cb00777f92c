//! Consistency proofs (RFC 9162, 2.1.4): a tree of `old` leaves is the beginning of a tree of `new` leaves.

use super::{Hash, empty_root, node_hash, root, split};
#[cfg(not(feature = "std"))]
use alloc::vec::Vec;

/// Proof that the first `old_size` leaves of the new tree are the old tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// Leaves of the old tree.
    pub old_size: u64,
    /// Leaves of the new tree.
    pub new_size: u64,
    /// The nodes of RFC 9162, in its order.
    pub path: Vec<Hash>,
}

/// The proof that the tree over `leaves[..old_size]` is the beginning of the tree over `leaves`, or `None` where
/// there are not so many leaves.
#[must_use]
pub fn prove_consistency(leaves: &[Hash], old_size: u64) -> Option<ConsistencyProof> {
    let new_size = leaves.len() as u64;
    if old_size > new_size {
        return None;
    }
    let mut path = Vec::new();
    if old_size > 0 {
        subproof(leaves, old_size, true, &mut path);
    }
    Some(ConsistencyProof { old_size, new_size, path })
}

/// `whole` says that the subtree asked about is one whose root the verifier already knows.
fn subproof(leaves: &[Hash], old: u64, whole: bool, path: &mut Vec<Hash>) {
    let size = leaves.len() as u64;
    if old == size {
        if !whole {
            path.push(root(leaves));
        }
        return;
    }
    let k = split(size);
    let (left, right) = leaves.split_at(k as usize);
    if old <= k {
        subproof(left, old, whole, path);
        path.push(root(right));
    } else {
        subproof(right, old - k, false, path);
        path.push(root(left));
    }
}

/// Whether `proof` shows that the tree under `old_root` is the beginning of the tree under `new_root`.
#[must_use]
pub fn verify_consistency(old_root: &Hash, new_root: &Hash, proof: &ConsistencyProof) -> bool {
    let ConsistencyProof { old_size, new_size, ref path } = *proof;
    if old_size > new_size {
        return false;
    }
    if old_size == new_size {
        return path.is_empty() && old_root == new_root;
    }
    if old_size == 0 {
        return path.is_empty() && *old_root == empty_root();
    }
    let mut nodes = path.iter();
    let mut rebuilt = rebuild(old_size, new_size, Some(*old_root), &mut nodes);
    matches!(rebuilt.take(), Some((old, new)) if nodes.next().is_none() && old == *old_root && new == *new_root)
}

/// Both roots of a subtree of `size` leaves whose first `old` leaves belong to the old tree, from the proof's nodes.
/// `known` is the old root while the subtree still starts at the old tree's first leaf.
fn rebuild(
    old: u64,
    size: u64,
    known: Option<Hash>,
    nodes: &mut core::slice::Iter<'_, Hash>,
) -> Option<(Hash, Hash)> {
    if old == size {
        let node = match known {
            Some(root) => root,
            None => *nodes.next()?,
        };
        return Some((node, node));
    }
    let k = split(size);
    if old <= k {
        let (old_left, new_left) = rebuild(old, k, known, nodes)?;
        let right = nodes.next()?;
        Some((old_left, node_hash(&new_left, right)))
    } else {
        let (old_right, new_right) = rebuild(old - k, size - k, None, nodes)?;
        let left = nodes.next()?;
        Some((node_hash(left, &old_right), node_hash(left, &new_right)))
    }
}
