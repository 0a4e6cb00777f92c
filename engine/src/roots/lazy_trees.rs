//! The two trees of a chain, which may be behind its state: leaves that have changed are remembered, and hashed when
//! somebody needs a root or a path. A leaf that ten blocks have changed is hashed once, and so is what is above it.

use super::{AccountTree, Path, TableTree};
use crate::execute::{AccountState, Delta, Row, Table};
use crate::types::{AccountId, Digest};

/// Which leaves of a tree are out of date: a list without repetition, and a bit for each place that is in it.
#[derive(Clone, Debug, Default)]
struct Changed {
    places: Vec<u32>,
    bits: Vec<u64>,
}

impl Changed {
    fn note(&mut self, place: u32) {
        let (word, bit) = (place as usize / 64, 1 << (place % 64));
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        if self.bits[word] & bit == 0 {
            self.bits[word] |= bit;
            self.places.push(place);
        }
    }

    /// The places, ascending; forgets them.
    fn take(&mut self) -> Vec<u32> {
        let mut places = std::mem::take(&mut self.places);
        places.sort_unstable();
        for place in &places {
            self.bits[*place as usize / 64] = 0;
        }
        places
    }
}

/// The trees over the accounts and the table of one chain.
#[derive(Clone, Debug)]
pub(super) struct LazyTrees {
    accounts: AccountTree,
    changed: Changed,
    rows: TableTree,
    changed_rows: Changed,
}

impl LazyTrees {
    /// The trees over what a chain has.
    pub(super) fn of(accounts: impl ExactSizeIterator<Item = AccountState>, table: &Table) -> Self {
        let (accounts, rows) = (AccountTree::new(accounts), TableTree::of(table));
        Self { accounts, changed: Changed::default(), rows, changed_rows: Changed::default() }
    }

    /// Remembers what a block changed. New leaves are added at once.
    pub(super) fn note(&mut self, delta: &Delta) {
        self.accounts.open(delta.opened());
        for change in delta.changes() {
            self.changed.note(change.account.0 as u32);
        }
        let (new, old): (Vec<_>, Vec<_>) = delta.rows().iter().partition(|row| row.is_new);
        self.rows.update(new.iter().map(|row| (row.place, row.leaf())));
        old.iter().for_each(|row| self.changed_rows.note(row.place));
    }

    /// Brings the tree over the accounts up to date: `account` is what is at a place now.
    pub(super) fn fold_accounts(&mut self, account: impl Fn(usize) -> AccountState) {
        let places = self.changed.take();
        self.accounts.update(places.iter().map(|at| (AccountId(u64::from(*at)), account(*at as usize))));
    }

    /// The same with the tree over the table.
    pub(super) fn fold_rows(&mut self, table: &Table) {
        let leaf = |place: u32| (place, table.row(place).map_or(&[][..], Row::leaf));
        self.rows.update(self.changed_rows.take().into_iter().map(leaf));
    }

    /// The roots of the accounts and of the table, as of when each was brought up to date.
    pub(super) fn roots(&self) -> (Digest, Digest) {
        (self.accounts.root(), self.rows.root())
    }

    /// The path from an account to the root.
    pub(super) fn prove_account(&self, account: AccountId) -> Option<Path> {
        debug_assert!(self.changed.places.is_empty(), "a path of a tree that is up to date");
        self.accounts.prove(account)
    }

    /// The path from a place of the table to the root.
    pub(super) fn prove_row(&self, place: u32) -> Option<Path> {
        debug_assert!(self.changed_rows.places.is_empty(), "a path of a tree that is up to date");
        self.rows.prove(place)
    }

    /// Folds in what a block changed; `account` is what is at a place now.
    pub(super) fn fold(&mut self, delta: &Delta, account: impl Fn(usize) -> AccountState, table: &Table) {
        if self.changed.places.is_empty() && self.changed_rows.places.is_empty() {
            // The changes of one block ascend as they are.
            self.accounts.fold(delta, account);
            return self.rows.fold(delta);
        }
        self.note(delta);
        self.fold_accounts(account);
        self.fold_rows(table);
    }
}
