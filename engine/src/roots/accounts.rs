//! The tree over all accounts of a chain.

use kernels::merkle::ArrayTree;

use super::{Path, leaf_hashes};
use crate::execute::{AccountState, ChainState, Delta, ReplayWindow};
use crate::types::{AccountFlags, AccountId, Digest};

/// Bytes of the leaf of an account.
pub const ACCOUNT_LEAF_BYTES: usize = 8 + 32 + 4 + 8 + 8 + 8 + 4;

/// The leaf of an account: id, key, key version, balance, base and bits of the replay window, flags. A snapshot of a
/// chain is these, one after the other.
pub fn account_leaf(id: AccountId, account: &AccountState) -> [u8; ACCOUNT_LEAF_BYTES] {
    let mut leaf = [0; ACCOUNT_LEAF_BYTES];
    leaf[0..8].copy_from_slice(&id.0.to_le_bytes());
    leaf[8..40].copy_from_slice(&account.key);
    leaf[40..44].copy_from_slice(&account.key_version.to_le_bytes());
    leaf[44..52].copy_from_slice(&account.balance.to_le_bytes());
    leaf[52..60].copy_from_slice(&account.window.base.to_le_bytes());
    leaf[60..68].copy_from_slice(&account.window.used.to_le_bytes());
    leaf[68..72].copy_from_slice(&account.flags.bits().to_le_bytes());
    leaf
}

/// The inverse of [`account_leaf`]. Every leaf is the leaf of some account.
pub fn parse_account_leaf(leaf: &[u8; ACCOUNT_LEAF_BYTES]) -> (AccountId, AccountState) {
    let number =
        |at: usize| u64::from_le_bytes(*leaf[at..].first_chunk().expect("numbers lie inside a leaf"));
    let small = |at: usize| u32::from_le_bytes(*leaf[at..].first_chunk().expect("as they all do"));
    let account = AccountState {
        key: *leaf[8..].first_chunk().expect("the key lies inside a leaf"),
        key_version: small(40),
        balance: number(44),
        window: ReplayWindow { base: number(52), used: number(60) },
        flags: AccountFlags::from_bits(small(68)),
    };
    (AccountId(number(0)), account)
}

/// The root over accounts with the ids 0, 1, …, without a tree that is kept.
pub fn accounts_root(accounts: impl ExactSizeIterator<Item = AccountState>) -> Digest {
    Digest(kernels::merkle::root(&account_hashes(accounts)))
}

fn account_hashes(accounts: impl ExactSizeIterator<Item = AccountState>) -> Vec<[u8; 32]> {
    let leaf = |(id, account)| prefixed_leaf(AccountId(id as u64), &account);
    leaf_hashes(accounts.enumerate().map(leaf))
}

/// The tree over the accounts of one chain, as they are after the last delta that was folded in.
#[derive(Clone, Debug)]
pub struct AccountTree {
    tree: ArrayTree,
}

impl AccountTree {
    /// The tree over accounts with the ids 0, 1, ….
    pub fn new(accounts: impl ExactSizeIterator<Item = AccountState>) -> Self {
        Self { tree: ArrayTree::new(account_hashes(accounts)) }
    }

    /// The tree over a state. Nothing may execute meanwhile.
    pub fn of(state: &ChainState) -> Self {
        Self::new((0..state.accounts() as usize).map(|index| state.at(index)))
    }

    /// Folds in what the last block changed; `account` is what is at a place after it.
    pub fn fold(&mut self, delta: &Delta, account: impl Fn(usize) -> AccountState) {
        self.open(delta.opened());
        let leaf = |id: AccountId| (id, account(id.0 as usize));
        self.update(delta.changes().iter().map(|change| leaf(change.account)));
    }

    /// Adds the leaves of new accounts.
    pub(super) fn open(&mut self, keys: &[[u8; 32]]) {
        let first = self.tree.len() as u64;
        let leaf = |(id, key): (u64, &[u8; 32])| prefixed_leaf(AccountId(id), &AccountState::opened(*key));
        let leaves: Vec<_> = (first..).zip(keys).map(leaf).collect();
        self.tree.append(&leaf_hashes(leaves.into_iter()));
    }

    /// Replaces the leaves of accounts, which ascend strictly.
    pub(super) fn update(
        &mut self,
        accounts: impl ExactSizeIterator<Item = (AccountId, AccountState)> + Clone,
    ) {
        let hashes = leaf_hashes(accounts.clone().map(|(id, account)| prefixed_leaf(id, &account)));
        let changes: Vec<_> = accounts.map(|(id, _)| id.0).zip(hashes).collect();
        self.tree.update(&changes);
    }

    /// The root.
    pub fn root(&self) -> Digest {
        Digest(self.tree.root())
    }

    /// The path from an account to the root.
    pub fn prove(&self, account: AccountId) -> Option<Path> {
        self.tree.prove(account.0).map(Path::from)
    }
}

fn prefixed_leaf(id: AccountId, account: &AccountState) -> [u8; 1 + ACCOUNT_LEAF_BYTES] {
    let mut leaf = [0; 1 + ACCOUNT_LEAF_BYTES];
    leaf[1..].copy_from_slice(&account_leaf(id, account));
    leaf
}
