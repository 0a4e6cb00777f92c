//! Merkle trees in the shape of RFC 9162: any Certificate Transparency library can check our proofs.
//!
//! ```text
//!                 root                     leaf_hash(d)    = SHA-256(0x00 ‖ d)
//!               /      \                   node_hash(l, r) = SHA-256(0x01 ‖ l ‖ r)
//!            n01        n2..6              root of nothing = SHA-256("")
//!           /   \      /     \
//!          h0   h1   n23    n45    h6      a tree of n leaves splits at the largest power of two below n;
//!                   /  \    / \    │       level by level that means: pair neighbours, promote a lone right one
//!                  h2  h3  h4 h5   h6
//! ```
//!
//! Everything here takes leaf *hashes*, so the caller decides what a leaf is and hashes it once.
//!
//! Invariants: `prove(h, i)` verifies under `root(h)` for `h[i]` and for nothing else; `ArrayTree` equals `root` after
//! any sequence of updates, and `Frontier` after any sequence of appends.

#[cfg(feature = "std")]
mod array_tree;
mod consistency;
mod frontier;
mod inclusion;
// Two attributes: the lints do not see a test in `all(test, ..)`.
#[cfg(test)]
#[cfg(feature = "std")]
mod tests;

#[cfg(feature = "std")]
pub use array_tree::ArrayTree;
pub use consistency::{ConsistencyProof, prove_consistency, verify_consistency};
pub use frontier::Frontier;
pub use inclusion::{InclusionProof, prove, verify_inclusion};

#[cfg(feature = "std")]
use crate::sha2::{Backend, best_sha256, prefixed_many};
use crate::sha2::{sha256, sha256_parts};
#[cfg(not(feature = "std"))]
use alloc::vec::Vec;

/// A node or leaf of a tree.
pub type Hash = [u8; 32];

/// The hash of a leaf: SHA-256 of a zero byte and the data.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    sha256_parts(&[&[0], data])
}

/// The hash of an inner node: SHA-256 of a one byte and both children.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    sha256(&bytes)
}

/// The root of the tree with no leaves.
#[must_use]
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// The root of the tree over `leaves` (leaf hashes).
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    if leaves.is_empty() {
        return empty_root();
    }
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = parents(&level);
    }
    level[0]
}

/// The hashes of many leaves of `len` bytes each, lying back to back in `data`.
///
/// # Panics
///
/// If `data.len() != len * out.len()`.
#[cfg(feature = "std")]
pub fn leaf_hashes(data: &[u8], len: usize, out: &mut [Hash]) {
    prefixed_many(best_sha256(), &[0], data, len, out);
}

/// The hashes of many nodes, each of a left and a right child.
///
/// # Panics
///
/// If there are not as many children as places.
#[cfg(feature = "std")]
pub fn node_hashes(children: &[[Hash; 2]], out: &mut [Hash]) {
    node_hashes_on(best_sha256(), children, out);
}

/// [`node_hashes`] on a chosen backend, for comparisons.
///
/// # Panics
///
/// If there are not as many children as places.
#[cfg(feature = "std")]
pub fn node_hashes_on(backend: Backend, children: &[[Hash; 2]], out: &mut [Hash]) {
    prefixed_many(backend, &[1], children.as_flattened().as_flattened(), 64, out);
}

/// The level above `level`: neighbours paired, a lone right node promoted.
fn parents(level: &[Hash]) -> Vec<Hash> {
    let (pairs, lone) = level.as_chunks::<2>();
    #[cfg(feature = "std")]
    let mut above = {
        let mut above = vec![[0; 32]; pairs.len()];
        node_hashes(pairs, &mut above);
        above
    };
    #[cfg(not(feature = "std"))]
    let mut above: Vec<Hash> = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
    above.extend_from_slice(lone);
    above
}

/// The size of the left subtree of a tree of `size >= 2` leaves: the largest power of two below `size`.
fn split(size: u64) -> u64 {
    debug_assert!(size >= 2);
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}
