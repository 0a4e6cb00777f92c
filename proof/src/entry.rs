//! What a state root says of one chain: the leaf of the chain's entry. Everything that knows the layout is here.

use crate::Digest;
use crate::codec::{FormError, Reader};
use crate::genesis::{Chain, Genesis};

/// Bytes of an entry, in its leaf and in a proof.
pub const ENTRY_BYTES: usize = 4 + 32 + 32 + 8;

/// What a state root says of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The chain.
    pub chain: u32,
    /// The root over the block's transactions on this chain.
    pub transactions_root: Digest,
    /// The root over the chain's accounts after the block.
    pub accounts_root: Digest,
    /// How many transactions the block has on this chain.
    pub transactions: u64,
}

impl Entry {
    /// The leaf.
    #[must_use]
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut leaf = [0; ENTRY_BYTES];
        leaf[0..4].copy_from_slice(&self.chain.to_le_bytes());
        leaf[4..36].copy_from_slice(&self.transactions_root);
        leaf[36..68].copy_from_slice(&self.accounts_root);
        leaf[68..76].copy_from_slice(&self.transactions.to_le_bytes());
        leaf
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(Self {
            chain: reader.u32("chain of the entry")?,
            transactions_root: reader.array("transactions root of the entry")?,
            accounts_root: reader.array("accounts root of the entry")?,
            transactions: reader.u64("number of transactions of the entry")?,
        })
    }

    /// How many accounts the tree under [`Self::accounts_root`] has. No transaction opens an account, so there are as
    /// many as in the beginning.
    pub(crate) fn accounts(&self, chain: &Chain) -> u64 {
        chain.accounts
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
