//! What a state root says of one chain: the leaf of the chain's entry. Everything that knows the layout is here.

use crate::Digest;
use crate::codec::{FormError, Reader};
use crate::genesis::{Chain, Genesis};

/// Bytes of an entry, in its leaf and in a proof.
pub const ENTRY_BYTES: usize = SUMS_AT + 8 + 8;
const SUMS_AT: usize = 4 + 5 * (32 + 8);

/// What a state root says of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The chain.
    pub chain: u32,
    /// The tree over the block's transactions on this chain.
    pub transactions: Tree,
    /// The tree over the chain's accounts after the block.
    pub accounts: Tree,
    /// The tree over what the chain sends to other chains in the block.
    pub outbox: Tree,
    /// The tree over what came to the chain from others.
    pub inbox: Tree,
    /// The tree over the chain's table after the block; empty where its kind has none.
    pub table: Tree,
    /// What has been issued on the chain since the beginning.
    pub issued: u64,
    /// What has been burned there.
    pub burned: u64,
}

/// Root and size of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The root.
    pub root: Digest,
    /// How many leaves it has.
    pub size: u64,
}

impl Tree {
    fn read(reader: &mut Reader<'_>, what: &'static str) -> Result<Self, FormError> {
        Ok(Self { root: reader.array(what)?, size: reader.u64(what)? })
    }
}

impl Entry {
    /// The leaf.
    #[must_use]
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut leaf = [0; ENTRY_BYTES];
        leaf[..4].copy_from_slice(&self.chain.to_le_bytes());
        let trees = [&self.transactions, &self.accounts, &self.outbox, &self.inbox, &self.table];
        for (place, Tree { root, size }) in leaf[4..SUMS_AT].chunks_exact_mut(32 + 8).zip(trees) {
            place[..32].copy_from_slice(root);
            place[32..].copy_from_slice(&size.to_le_bytes());
        }
        leaf[SUMS_AT..SUMS_AT + 8].copy_from_slice(&self.issued.to_le_bytes());
        leaf[SUMS_AT + 8..].copy_from_slice(&self.burned.to_le_bytes());
        leaf
    }

    /// The inverse of [`Self::encode`]. Every leaf is the leaf of some entry.
    #[must_use]
    pub fn decode(leaf: &[u8; ENTRY_BYTES]) -> Self {
        Self::read(&mut Reader::new(leaf)).expect("a leaf has every field of an entry")
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(Self {
            chain: reader.u32("chain of the entry")?,
            transactions: Tree::read(reader, "transactions of the entry")?,
            accounts: Tree::read(reader, "accounts of the entry")?,
            outbox: Tree::read(reader, "outbox of the entry")?,
            inbox: Tree::read(reader, "inbox of the entry")?,
            table: Tree::read(reader, "table of the entry")?,
            issued: reader.u64("issued of the entry")?,
            burned: reader.u64("burned of the entry")?,
        })
    }
}

/// How many leaves a state root is over: the height, and an entry for each chain. No transaction opens a chain.
pub(crate) fn leaves(genesis: &Genesis) -> u64 {
    genesis.chains.len() as u64 + 1
}

/// The place of a chain among the leaves, and what the genesis says of it.
pub(crate) fn place(genesis: &Genesis, chain: u32) -> Option<(u64, &Chain)> {
    let at = genesis.chains.binary_search_by_key(&chain, |chain| chain.id).ok()?;
    Some((at as u64 + 1, genesis.chains.get(at)?))
}
