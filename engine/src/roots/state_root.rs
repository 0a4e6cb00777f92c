//! The state root: one digest for everything that a height did and left behind.

use serde::{Deserialize, Serialize};

use super::Path;
use crate::types::{ChainId, Digest, Height};

/// What a state root says of one chain. An entry by itself is a claim; under a [`StateRoot`] it is a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEntry {
    /// The chain.
    pub chain: ChainId,
    /// The root of the block's transactions on this chain.
    pub transactions_root: Digest,
    /// The root of the chain's accounts after the block.
    pub accounts_root: Digest,
    /// How many transactions the block has on this chain.
    pub transactions: u64,
}

impl ChainEntry {
    pub(super) fn leaf(&self) -> [u8; 76] {
        let mut leaf = [0; 76];
        leaf[0..4].copy_from_slice(&self.chain.0.to_le_bytes());
        leaf[4..36].copy_from_slice(&self.transactions_root.0);
        leaf[36..68].copy_from_slice(&self.accounts_root.0);
        leaf[68..76].copy_from_slice(&self.transactions.to_le_bytes());
        leaf
    }
}

/// The root of a height over all chains. Evidence: only executing the height makes one, or a record
/// of it whose entries lead to the recorded digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRoot {
    height: Height,
    entries: Vec<ChainEntry>,
    leaves: Vec<[u8; 32]>,
    root: Digest,
}

impl StateRoot {
    pub(super) fn new(height: Height, entries: Vec<ChainEntry>) -> Self {
        assert!(entries.is_sorted_by(|a, b| a.chain < b.chain), "chains ascend");
        let height_leaf = kernels::merkle::leaf_hash(&height.0.to_le_bytes());
        let chain_leaves = entries.iter().map(|entry| kernels::merkle::leaf_hash(&entry.leaf()));
        let leaves: Vec<_> = std::iter::once(height_leaf).chain(chain_leaves).collect();
        let root = Digest(kernels::merkle::root(&leaves));
        Self { height, entries, leaves, root }
    }

    /// The root of a height as a journal recorded it: only if the entries do lead to the recorded digest.
    pub fn recorded(height: Height, entries: Vec<ChainEntry>, digest: &Digest) -> Option<Self> {
        let ascending = entries.is_sorted_by(|a, b| a.chain < b.chain);
        ascending.then(|| Self::new(height, entries)).filter(|rebuilt| rebuilt.root == *digest)
    }

    /// The height.
    pub fn height(&self) -> Height {
        self.height
    }

    /// The digest that later headers carry.
    pub fn digest(&self) -> &Digest {
        &self.root
    }

    /// What it says of each chain, ascending.
    pub fn entries(&self) -> &[ChainEntry] {
        &self.entries
    }

    /// The entry of a chain and its path to the root.
    pub fn prove(&self, chain: ChainId) -> Option<(ChainEntry, Path)> {
        let place = self.entries.binary_search_by_key(&chain, |entry| entry.chain).ok()?;
        let path = kernels::merkle::prove(&self.leaves, place as u64 + 1)?;
        Some((self.entries[place], path.into()))
    }

    /// The path of the height itself, which is the first leaf.
    pub fn prove_height(&self) -> Path {
        kernels::merkle::prove(&self.leaves, 0).expect("the height is always there").into()
    }
}
