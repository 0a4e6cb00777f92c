//! A tree over a dense array that is updated in place, level by level.
//!
//! ```text
//! levels[2]  [ r ]                  update([(1, x), (4, y)]):  dirty 1 4 → 0 2 → 0 1 → 0
//! levels[1]  [ a  b  h4 ]           each dirty parent is hashed once, whatever the number of its dirty children
//! levels[0]  [ h0 h1 h2 h3 h4 ]
//! ```

use super::{Hash, InclusionProof, empty_root, node_hashes_on, parents};
use crate::sha2::{Backend, best_sha256};

/// How many pairs are brought together before they are hashed: a few kilobytes, which stay in the L1 cache.
const GATHER: usize = 256;

/// An updatable RFC 9162 tree over leaf hashes; the leaf's index is its address.
#[derive(Clone, Debug)]
pub struct ArrayTree {
    /// `levels[0]` are the leaves; each next level has `ceil(len / 2)` nodes; the last has one. Empty for no leaves.
    levels: Vec<Vec<Hash>>,
}

impl ArrayTree {
    /// The tree over `leaves` (leaf hashes).
    #[must_use]
    pub fn new(leaves: Vec<Hash>) -> Self {
        if leaves.is_empty() {
            return Self { levels: Vec::new() };
        }
        let mut levels = vec![leaves];
        while let Some(top) = levels.last().filter(|top| top.len() > 1) {
            levels.push(parents(top));
        }
        Self { levels }
    }

    /// How many leaves there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// Whether there is no leaf.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// The leaf hash at `index`.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Option<&Hash> {
        self.levels.first()?.get(usize::try_from(index).ok()?)
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.levels.last().map_or_else(empty_root, |top| top[0])
    }

    /// Replaces leaves and re-hashes what stands above them.
    ///
    /// # Panics
    ///
    /// If the changes are not strictly ascending by index, or name a leaf that does not exist: both are the caller's.
    pub fn update(&mut self, changes: &[(u64, Hash)]) {
        self.update_on(best_sha256(), changes);
    }

    /// [`ArrayTree::update`] on a chosen backend, for comparisons.
    ///
    /// # Panics
    ///
    /// If the changes are not strictly ascending by index, or name a leaf that does not exist: both are the caller's.
    pub fn update_on(&mut self, backend: Backend, changes: &[(u64, Hash)]) {
        assert!(changes.is_sorted_by(|a, b| a.0 < b.0), "changes ascend strictly");
        let Some(&(last, _)) = changes.last() else { return };
        assert!(last < self.len() as u64, "leaf {last} of {}", self.len());
        for (index, leaf) in changes {
            self.levels[0][*index as usize] = *leaf;
        }
        let mut dirty: Vec<usize> = changes.iter().map(|(index, _)| *index as usize / 2).collect();
        let (mut pairs, mut hashes) = (Vec::new(), Vec::new());
        for height in 1..self.levels.len() {
            dirty.dedup();
            let (below, above) = self.levels.split_at_mut(height);
            let (children, lone) = below[height - 1].as_chunks::<2>();
            let nodes = &mut above[0];
            // Only the last dirty place can be that of a lone right node.
            if let (Some(lone), Some(_)) = (lone.first(), dirty.last().filter(|at| **at == children.len())) {
                nodes[children.len()] = *lone;
            }
            let paired = &dirty[..dirty.partition_point(|at| *at < children.len())];
            for places in paired.chunks(GATHER) {
                pairs.clear();
                pairs.extend(places.iter().map(|at| children[*at]));
                hashes.resize(pairs.len(), [0; 32]);
                node_hashes_on(backend, &pairs, &mut hashes);
                for (at, hash) in places.iter().zip(&hashes) {
                    nodes[*at] = *hash;
                }
            }
            for at in &mut dirty {
                *at /= 2;
            }
        }
    }

    /// Adds leaves behind the last one. It costs by how many are added, and not by how many there are.
    pub fn append(&mut self, leaves: &[Hash]) {
        if leaves.is_empty() {
            return;
        }
        if self.levels.is_empty() {
            self.levels.push(Vec::new());
        }
        // The first node of a level that is not as it was.
        let mut first = self.levels[0].len();
        self.levels[0].extend_from_slice(leaves);
        let mut height = 0;
        while self.levels[height].len() > 1 {
            first /= 2;
            let above = parents(&self.levels[height][2 * first..]);
            height += 1;
            match self.levels.get_mut(height) {
                None => self.levels.push(above),
                Some(level) => {
                    level.truncate(first);
                    level.extend(above);
                }
            }
        }
    }

    /// Takes away every leaf from `len` on.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len() {
            return;
        }
        self.levels[0].truncate(len);
        let mut height = 0;
        while self.levels[height].len() > 1 {
            let below = &self.levels[height];
            let last = (below.len() - 1) / 2;
            // Only the last node of a level can have had more below it.
            let node = parents(&below[2 * last..]);
            height += 1;
            self.levels[height].truncate(last);
            self.levels[height].extend(node);
        }
        self.levels.truncate(if len == 0 { 0 } else { height + 1 });
    }

    /// The inclusion proof of the leaf at `index`, or `None` where there is none.
    #[must_use]
    pub fn prove(&self, index: u64) -> Option<InclusionProof> {
        let mut at = usize::try_from(index).ok().filter(|at| *at < self.len())?;
        let mut path = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            if level.len() > 1 {
                path.extend(level.get(at ^ 1));
            }
            at /= 2;
        }
        Some(InclusionProof { index, size: self.len() as u64, path })
    }
}
