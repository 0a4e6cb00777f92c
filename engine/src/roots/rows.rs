//! The tree over the table of a chain: an indexed Merkle tree, since each leaf has its key and the next higher one.

use kernels::merkle::{ArrayTree, leaf_hash};

use super::Path;
use crate::execute::{Delta, Key, Row, Table};
use crate::types::Digest;

/// The leaf of a row: key, next key, value.
pub(super) fn row_leaf(key: &Key, next: &Key, value: &[u8]) -> Vec<u8> {
    [&key[..], next, value].concat()
}

/// The tree over the places of one chain's table, as they are after the last delta that was folded in.
#[derive(Clone, Debug)]
pub struct TableTree {
    tree: ArrayTree,
}

impl TableTree {
    /// The tree over a table.
    pub fn of(table: &Table) -> Self {
        let leaf = |slot: &Option<Row>| leaf_hash(slot.as_ref().map_or(&[], Row::leaf));
        Self { tree: ArrayTree::new(table.slots().iter().map(leaf).collect()) }
    }

    /// Folds in what a block changed.
    pub fn fold(&mut self, delta: &Delta) {
        self.update(delta.rows().iter().map(|change| (change.place, change.leaf())));
    }

    /// Replaces the leaves of places, which ascend strictly, and adds those of new ones.
    pub(super) fn update<'a>(&mut self, leaves: impl Iterator<Item = (u32, &'a [u8])>) {
        let leaves = leaves.map(|(place, leaf)| (u64::from(place), leaf_hash(leaf)));
        let (old, new): (Vec<_>, Vec<_>) = leaves.partition(|(place, _)| *place < self.tree.len() as u64);
        self.tree.update(&old);
        let new: Vec<_> = new.into_iter().map(|(_, hash)| hash).collect();
        self.tree.append(&new);
    }

    /// The root.
    pub fn root(&self) -> Digest {
        Digest(self.tree.root())
    }

    /// The path from a row to the root.
    pub fn prove(&self, place: u32) -> Option<Path> {
        self.tree.prove(u64::from(place)).map(Path::from)
    }
}
