//! What a state root says of one chain: the leaf of the chain's entry. Everything that knows the layout is here.

use crate::Digest;
use crate::codec::{FormError, Reader};
use crate::genesis::ChainKind;

/// Bytes of an entry, in its leaf and in a proof.
pub const ENTRY_BYTES: usize = SUMS_AT + 8 + 8;
const TREES_AT: usize = 4 + 2 + 1 + 16;
const SUMS_AT: usize = TREES_AT + 5 * (32 + 8);

/// What a state root says of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The chain.
    pub chain: u32,
    /// What it does.
    pub kind: ChainKind,
    /// Whether it takes new work.
    pub status: ChainStatus,
    /// What its balances are balances of; zeros where its kind has none.
    pub asset: [u8; 16],
    /// The tree over the block's transactions on this chain.
    pub transactions: Tree,
    /// The tree over the chain's accounts after the block.
    pub accounts: Tree,
    /// The tree over what the chain sends to other chains in the block.
    pub outbox: Tree,
    /// The tree over what came to the chain from others.
    pub inbox: Tree,
    /// The tree over the chain's table after the block.
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
        leaf[4..6].copy_from_slice(&self.kind.number().to_le_bytes());
        leaf[6] = self.status as u8;
        leaf[7..TREES_AT].copy_from_slice(&self.asset);
        let trees = [&self.transactions, &self.accounts, &self.outbox, &self.inbox, &self.table];
        for (place, Tree { root, size }) in leaf[TREES_AT..SUMS_AT].chunks_exact_mut(32 + 8).zip(trees) {
            place[..32].copy_from_slice(root);
            place[32..].copy_from_slice(&size.to_le_bytes());
        }
        leaf[SUMS_AT..SUMS_AT + 8].copy_from_slice(&self.issued.to_le_bytes());
        leaf[SUMS_AT + 8..].copy_from_slice(&self.burned.to_le_bytes());
        leaf
    }

    /// The inverse of [`Self::encode`].
    ///
    /// # Errors
    /// [`FormError`]: a kind or status that is unknown here.
    pub fn decode(leaf: &[u8; ENTRY_BYTES]) -> Result<Self, FormError> {
        Self::read(&mut Reader::new(leaf))
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(Self {
            chain: reader.u32("chain of the entry")?,
            kind: ChainKind::read(reader, "kind of the entry")?,
            status: ChainStatus::read(reader, "status of the entry")?,
            asset: reader.array("asset of the entry")?,
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

/// Whether a chain takes new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ChainStatus {
    /// It does.
    Active = 0,
    /// Administrators have paused it: every transaction fails until it is resumed.
    Paused = 1,
    /// They have closed it for good: money can only leave it.
    Closed = 2,
}

impl ChainStatus {
    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Closed => "closed",
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>, what: &'static str) -> Result<Self, FormError> {
        match reader.u8(what)? {
            0 => Ok(Self::Active),
            1 => Ok(Self::Paused),
            2 => Ok(Self::Closed),
            _ => Err(FormError::Invalid { what, reason: "it is unknown here" }),
        }
    }
}

/// Bytes of the first leaf of a state root.
pub(crate) const HEIGHT_BYTES: usize = 12;

/// The first leaf of a state root: the height, and how many chains follow.
pub(crate) fn height_leaf(height: u64, chains: u32) -> [u8; HEIGHT_BYTES] {
    let mut leaf = [0; HEIGHT_BYTES];
    let (of_height, of_chains) = leaf.split_at_mut(8);
    of_height.copy_from_slice(&height.to_le_bytes());
    of_chains.copy_from_slice(&chains.to_le_bytes());
    leaf
}
