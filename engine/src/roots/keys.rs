//! Which accounts of a chain have a key.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use crate::limits::PUBLIC_KEY_BYTES;
use crate::types::AccountId;

/// Accounts by a hash of their keys: about 10 bytes each, whatever keys they have, and however many share one. The hash
/// has a secret, so nobody can choose keys that lie together; who asks compares the keys.
#[derive(Debug)]
pub(super) struct KeyIndex {
    secret: RandomState,
    accounts: BTreeSet<(u32, u32)>,
}

impl KeyIndex {
    /// Of accounts with the ids 0, 1, ….
    pub(super) fn new<'a>(keys: impl Iterator<Item = &'a [u8; PUBLIC_KEY_BYTES]>) -> Self {
        let secret = RandomState::new();
        let entry = |(id, key): (usize, _)| (hash(&secret, key), id as u32);
        let accounts = keys.enumerate().map(entry).collect();
        Self { secret, accounts }
    }

    /// An account has this key.
    pub(super) fn add(&mut self, key: &[u8; PUBLIC_KEY_BYTES], account: AccountId) {
        self.accounts.insert((hash(&self.secret, key), account.0 as u32));
    }

    /// It has it no longer.
    pub(super) fn remove(&mut self, key: &[u8; PUBLIC_KEY_BYTES], account: AccountId) {
        self.accounts.remove(&(hash(&self.secret, key), account.0 as u32));
    }

    /// The accounts from `from` on that may have a key, ascending: all that have it, and rarely another one.
    pub(super) fn find(
        &self,
        key: &[u8; PUBLIC_KEY_BYTES],
        from: AccountId,
    ) -> impl Iterator<Item = AccountId> {
        let hash = hash(&self.secret, key);
        let first = u32::try_from(from.0).ok();
        let found = first.map(|first| self.accounts.range((hash, first)..=(hash, u32::MAX)));
        found.into_iter().flatten().map(|(_, account)| AccountId(u64::from(*account)))
    }
}

fn hash(secret: &RandomState, key: &[u8; PUBLIC_KEY_BYTES]) -> u32 {
    secret.hash_one(key) as u32
}
