//! The tree over the table of a chain: an indexed Merkle tree, since each leaf has its key and the next higher one.

use kernels::merkle::{ArrayTree, leaf_hash};

use super::Path;
use crate::execute::{Delta, Key, Row, RowChange, Table};
use crate::types::Digest;

/// The leaf of a row: key, next key, value.
pub(super) fn row_leaf(key: &Key, next: &Key, value: &[u8]) -> Vec<u8> {
    [&key[..], next, value].concat()
}

fn hash(row: &Row) -> [u8; 32] {
    leaf_hash(row.leaf())
}

/// The tree over the rows of one chain, as they are after the last delta that was folded in.
#[derive(Debug)]
pub struct TableTree {
    tree: ArrayTree,
}

impl TableTree {
    /// The tree over a table.
    pub fn of(table: &Table) -> Self {
        Self { tree: ArrayTree::new(table.rows().iter().map(hash).collect()) }
    }

    /// Folds in what a block changed.
    pub fn fold(&mut self, delta: &Delta) {
        self.update(delta.rows().iter().map(|RowChange { place, after, .. }| (*place, after)));
    }

    /// Replaces the leaves of rows, which ascend strictly, and adds those of new ones.
    pub(super) fn update<'a>(&mut self, rows: impl Iterator<Item = (u32, &'a Row)>) {
        let rows = rows.map(|(place, row)| (u64::from(place), hash(row)));
        let (old, new): (Vec<_>, Vec<_>) = rows.partition(|(place, _)| *place < self.tree.len() as u64);
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
