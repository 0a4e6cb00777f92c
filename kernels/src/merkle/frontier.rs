//! Trees that only grow, of which only the frontier is kept.
//!
//! ```text
//!            n0..3                  5 leaves: the frontier is n0..3 and h4. With it the next leaf can be
//!           /     \                 appended and proved, and the root follows; the other nodes are forgotten.
//!         n01     n23      h4
//! ```

use super::{Hash, InclusionProof, empty_root, node_hash, root};
#[cfg(not(feature = "std"))]
use alloc::vec::Vec;

/// The roots of the perfect subtrees that a tree consists of, the largest first: one for each bit that is set in its
/// size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// The frontier of a tree of `size` leaves, or `None` where there are not as many roots as bits in the size.
    #[must_use]
    pub fn new(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its perfect subtrees, the largest first.
    #[must_use]
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Appends a leaf (a leaf hash).
    ///
    /// # Panics
    ///
    /// If the tree has 2^64 − 1 leaves already.
    pub fn append(&mut self, leaf: Hash) {
        let size = self.size.checked_add(1).expect("a tree has fewer than 2^64 leaves");
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.roots.pop().expect("one root for each bit of the size");
            node = node_hash(&left, &node);
        }
        self.roots.push(node);
        self.size = size;
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let smallest_first = self.roots.iter().rev().copied();
        smallest_first.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }

    /// The proof that the first of `later` (leaf hashes) stands next, in the tree that they are all appended to; `None`
    /// if there are none.
    #[must_use]
    pub fn prove_next(&self, later: &[Hash]) -> Option<InclusionProof> {
        let index = self.size;
        let size = index.checked_add(later.len() as u64)?;
        let (mut at, mut last) = (index, size.checked_sub(1).filter(|_| !later.is_empty())?);
        let mut left_roots = self.roots.iter().rev();
        let mut path = Vec::new();
        let mut level_leaves = 1_u64;
        while last > 0 {
            if at % 2 == 1 {
                // Its left neighbour is perfect and lies left of the leaf: the smallest that is left of the frontier.
                path.push(*left_roots.next()?);
            } else if at < last {
                let first = (at + 1) * level_leaves - index;
                let end = first.saturating_add(level_leaves).min(later.len() as u64);
                path.push(root(&later[first as usize..end as usize]));
            }
            at /= 2;
            last /= 2;
            level_leaves = level_leaves.saturating_mul(2);
        }
        Some(InclusionProof { index, size, path })
    }
}
