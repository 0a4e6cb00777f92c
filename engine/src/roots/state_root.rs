//! The state root: one digest for everything that a height did and left behind.

use serde::{Deserialize, Serialize};

use super::Path;
use crate::types::{Asset, ChainId, ChainKind, ChainStatus, Digest, Height, Issuance};

/// Bytes of [`ChainEntry::leaf`].
pub const CHAIN_ENTRY_BYTES: usize = SUMS_AT + 2 * 8;
const TREES_AT: usize = 4 + 2 + 1 + 16;
const SUMS_AT: usize = TREES_AT + 5 * (32 + 8);

/// What a state root says of one chain. An entry by itself is a claim; under a [`StateRoot`] it is a fact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEntry {
    /// The chain.
    pub chain: ChainId,
    /// What it does.
    pub kind: ChainKind,
    /// Whether it takes new work.
    pub status: ChainStatus,
    /// What its balances are balances of; zeros where its kind has none.
    pub asset: Asset,
    /// The root of the block's transactions on this chain.
    pub transactions_root: Digest,
    /// How many transactions the block has on this chain.
    pub transactions: u64,
    /// The root of the chain's accounts after the block.
    pub accounts_root: Digest,
    /// How many accounts the chain has after the block.
    pub accounts: u64,
    /// The root of what the chain sends to other chains in the block.
    pub outbox_root: Digest,
    /// How many deliveries it sends.
    pub outbox: u64,
    /// The root of what came to the chain from others.
    pub inbox_root: Digest,
    /// How many deliveries came.
    pub inbox: u64,
    /// The root of the chain's table after the block.
    pub table_root: Digest,
    /// How many rows the table has after the block.
    pub rows: u64,
    /// What has been issued and burned on the chain since the beginning.
    #[serde(flatten)]
    pub issuance: Issuance,
}

impl ChainEntry {
    /// The chain, its kind, status and asset, then root and size of the trees of transactions, accounts, outbox, inbox
    /// and table, then issued and burned: what the tree over chains hashes.
    pub fn leaf(&self) -> [u8; CHAIN_ENTRY_BYTES] {
        let mut leaf = [0; CHAIN_ENTRY_BYTES];
        leaf[..4].copy_from_slice(&self.chain.0.to_le_bytes());
        leaf[4..6].copy_from_slice(&(self.kind as u16).to_le_bytes());
        leaf[6] = self.status as u8;
        leaf[7..TREES_AT].copy_from_slice(&self.asset.0);
        let trees = [
            (&self.transactions_root, self.transactions),
            (&self.accounts_root, self.accounts),
            (&self.outbox_root, self.outbox),
            (&self.inbox_root, self.inbox),
            (&self.table_root, self.rows),
        ];
        for (place, (root, size)) in leaf[TREES_AT..SUMS_AT].chunks_exact_mut(40).zip(trees) {
            place[..32].copy_from_slice(&root.0);
            place[32..].copy_from_slice(&size.to_le_bytes());
        }
        leaf[SUMS_AT..SUMS_AT + 8].copy_from_slice(&self.issuance.issued.to_le_bytes());
        leaf[SUMS_AT + 8..].copy_from_slice(&self.issuance.burned.to_le_bytes());
        leaf
    }

    /// The inverse of [`Self::leaf`]; `None` where kind or status are none that there are.
    pub fn parse(leaf: &[u8; CHAIN_ENTRY_BYTES]) -> Option<Self> {
        let number = |at: usize| {
            u64::from_le_bytes(*leaf[at..].first_chunk().expect("sizes and sums lie inside the leaf"))
        };
        let tree = |place: usize| {
            let at = TREES_AT + place * 40;
            let root = Digest(*leaf[at..].first_chunk().expect("a root lies inside the leaf"));
            (root, number(at + 32))
        };
        let (transactions_root, transactions) = tree(0);
        let (accounts_root, accounts) = tree(1);
        let (outbox_root, outbox) = tree(2);
        let (inbox_root, inbox) = tree(3);
        let (table_root, rows) = tree(4);
        let chain = ChainId(u32::from_le_bytes(*leaf.first_chunk().expect("the chain is first")));
        Some(Self {
            chain,
            kind: ChainKind::of(u16::from_le_bytes([leaf[4], leaf[5]]))?,
            status: ChainStatus::of(leaf[6])?,
            asset: Asset(*leaf[7..].first_chunk().expect("the asset lies inside the leaf")),
            transactions_root,
            transactions,
            accounts_root,
            accounts,
            outbox_root,
            outbox,
            inbox_root,
            inbox,
            table_root,
            rows,
            issuance: Issuance { issued: number(SUMS_AT), burned: number(SUMS_AT + 8) },
        })
    }
}

/// The first leaf of a state root: the height (8) and how many chains follow (4).
pub(super) fn height_leaf(height: Height, chains: usize) -> [u8; 12] {
    let mut leaf = [0; 12];
    leaf[..8].copy_from_slice(&height.0.to_le_bytes());
    leaf[8..].copy_from_slice(&(chains as u32).to_le_bytes());
    leaf
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
    pub(crate) fn new(height: Height, entries: Vec<ChainEntry>) -> Self {
        assert!(entries.is_sorted_by(|a, b| a.chain < b.chain), "chains ascend");
        let height_leaf = kernels::merkle::leaf_hash(&height_leaf(height, entries.len()));
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
