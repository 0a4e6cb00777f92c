//! Proofs that a client checks with nothing but a state root.

use kernels::merkle::{InclusionProof, leaf_hash, verify_inclusion};
use serde::{Deserialize, Serialize};

use super::rows::row_leaf;
use super::state_root::height_leaf;
use super::transactions::transaction_leaf;
use super::{ACCOUNT_LEAF_BYTES, ChainEntry, StateRoot, account_leaf};
use crate::execute::{AccountState, ReplayWindow, Row, shows_absence};
use crate::types::{AccountFlags, AccountId, ChainId, Digest, Height, Outcome, TransactionId};

/// The way from a leaf to a root (RFC 9162, 2.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// The place of the leaf.
    pub index: u64,
    /// How many leaves the tree has.
    pub size: u64,
    /// The siblings, lowest first.
    pub siblings: Vec<Digest>,
}

impl From<InclusionProof> for Path {
    fn from(proof: InclusionProof) -> Self {
        Self { index: proof.index, size: proof.size, siblings: proof.path.into_iter().map(Digest).collect() }
    }
}

impl Path {
    /// The siblings as bytes, lowest first.
    pub fn hashes(&self) -> Vec<[u8; 32]> {
        self.siblings.iter().map(|sibling| sibling.0).collect()
    }

    fn leads(&self, leaf: &[u8], root: &Digest) -> bool {
        let proof = InclusionProof { index: self.index, size: self.size, path: self.hashes() };
        verify_inclusion(&root.0, &leaf_hash(leaf), &proof)
    }
}

/// Where a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The height is not the first leaf under the state root.
    #[error("the height does not lead to the state root")]
    Height,
    /// The entry of the chain is not under the state root.
    #[error("the entry of the chain does not lead to the state root")]
    Chain,
    /// The account, transaction or row is not under the root of its chain.
    #[error("the leaf does not lead to the root of its chain's entry")]
    Leaf,
}

/// That a state root says something of a chain at a height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainEntryProof {
    /// The height of the state root.
    pub height: Height,
    /// The way of the height to the state root.
    pub height_path: Path,
    /// What the state root says of the chain.
    pub entry: ChainEntry,
    /// The way of the entry to the state root.
    pub entry_path: Path,
}

impl ChainEntryProof {
    pub(super) fn new(root: &StateRoot, chain: ChainId) -> Option<Self> {
        let (entry, entry_path) = root.prove(chain)?;
        Some(Self { height: root.height(), height_path: root.prove_height(), entry, entry_path })
    }

    /// Whether the state root says so.
    pub fn verify(&self, state_root: &Digest) -> Result<(), ProofError> {
        let size = self.height_path.size;
        let chains =
            usize::try_from(size).ok().and_then(|size| size.checked_sub(1)).ok_or(ProofError::Height)?;
        let leaf = height_leaf(self.height, chains);
        if self.height_path.index != 0 || !self.height_path.leads(&leaf, state_root) {
            return Err(ProofError::Height);
        }
        let among_them = self.entry_path.index > 0 && self.entry_path.size == size;
        if !among_them || !self.entry_path.leads(&self.entry.leaf(), state_root) {
            return Err(ProofError::Chain);
        }
        Ok(())
    }
}

/// That an account is what it is after a height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountProof {
    /// The account.
    pub account: AccountId,
    /// Its current key, as hexadecimal text.
    pub key: Digest,
    /// The version of the key.
    pub key_version: u32,
    /// What it holds.
    pub balance: u64,
    /// The lowest nonce that may still be unused.
    pub window_base: u64,
    /// Which of the 64 nonces from there on are used.
    pub window_used: u64,
    /// Which ways it is closed to money.
    pub flags: AccountFlags,
    /// The way of the account to the accounts root of its chain.
    pub path: Path,
    /// The chain under the state root.
    pub chain: ChainEntryProof,
}

impl AccountProof {
    pub(super) fn new(account: AccountId, state: &AccountState, path: Path, chain: ChainEntryProof) -> Self {
        Self {
            account,
            key: Digest(state.key),
            key_version: state.key_version,
            balance: state.balance,
            window_base: state.window.base,
            window_used: state.window.used,
            flags: state.flags,
            path,
            chain,
        }
    }

    /// The account that is proved.
    pub fn state(&self) -> AccountState {
        AccountState {
            key: self.key.0,
            key_version: self.key_version,
            balance: self.balance,
            window: ReplayWindow { base: self.window_base, used: self.window_used },
            flags: self.flags,
        }
    }

    /// The leaf of the account that is proved.
    pub fn leaf(&self) -> [u8; ACCOUNT_LEAF_BYTES] {
        account_leaf(self.account, &self.state())
    }

    /// Whether the account is so under the state root.
    pub fn verify(&self, state_root: &Digest) -> Result<(), ProofError> {
        self.chain.verify(state_root)?;
        let leads = self.path.index == self.account.0
            && self.path.size == self.chain.entry.accounts
            && self.path.leads(&self.leaf(), &self.chain.entry.accounts_root);
        leads.then_some(()).ok_or(ProofError::Leaf)
    }
}

/// What a chain's table says of a key after a height: its row, or the one that shows that there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowProof {
    /// The key of the row.
    pub key: Digest,
    /// The next higher key of the table, or zero.
    pub next: Digest,
    /// The value, in hexadecimal.
    #[serde(with = "hex::serde")]
    pub value: Vec<u8>,
    /// The way of the row to the table root of its chain.
    pub path: Path,
    /// The chain under the state root.
    pub chain: ChainEntryProof,
}

impl RowProof {
    pub(super) fn new(row: &Row, path: Path, chain: ChainEntryProof) -> Self {
        let (key, next, value) = (Digest(*row.key()), Digest(*row.next()), row.value().to_vec());
        Self { key, next, value, path, chain }
    }

    /// Whether the row is so under the state root.
    pub fn verify(&self, state_root: &Digest) -> Result<(), ProofError> {
        self.chain.verify(state_root)?;
        let leaf = row_leaf(&self.key.0, &self.next.0, &self.value);
        let leads =
            self.path.size == self.chain.entry.rows && self.path.leads(&leaf, &self.chain.entry.table_root);
        leads.then_some(()).ok_or(ProofError::Leaf)
    }

    /// What the row says of a key: its value, that there is none, or, as `None`, nothing.
    pub fn says(&self, key: &Digest) -> Option<Option<&[u8]>> {
        if self.key == *key {
            Some(Some(&self.value))
        } else {
            shows_absence((&self.key.0, &self.next.0), &key.0).then_some(None)
        }
    }
}

/// That a transaction is in a block, with an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionProof {
    /// The transaction.
    pub id: TransactionId,
    /// What became of it.
    pub outcome: Outcome,
    /// The way of the transaction to the transactions root of its chain.
    pub path: Path,
    /// The chain under the state root.
    pub chain: ChainEntryProof,
}

impl TransactionProof {
    /// The proof for the transaction at a place of the tree, if that tree is under this state root.
    pub fn new(
        root: &StateRoot,
        chain: ChainId,
        tree: &super::TransactionTree,
        place: usize,
    ) -> Option<Self> {
        let chain =
            ChainEntryProof::new(root, chain).filter(|proof| proof.entry.transactions_root == tree.root())?;
        let (id, _) = tree.entries().nth(place)?;
        let (outcome, path) = tree.prove(place)?;
        Some(Self { id, outcome, path, chain })
    }

    /// Whether the transaction is so under the state root.
    pub fn verify(&self, state_root: &Digest) -> Result<(), ProofError> {
        self.chain.verify(state_root)?;
        let leaf = transaction_leaf(&self.id.0, self.outcome);
        let leads = self.path.size == self.chain.entry.transactions
            && self.path.leads(&leaf, &self.chain.entry.transactions_root);
        leads.then_some(()).ok_or(ProofError::Leaf)
    }
}
