//! The accounts and tables at the last committed height, for readers.
//!
//! A view is a second copy of the accounts and their tree, owned by the thread that answers queries, so that a query
//! never waits for execution nor execution for a query. Deltas are applied as they are committed, which costs a write
//! for each changed account; the tree is brought up to date only when somebody asks.

use super::proof::{AccountProof, ChainEntryProof, RowProof};
use super::{AccountTree, StateRoot, TableTree};
use crate::execute::{AccountState, Balance, Delta, Key, Table};
use crate::types::{AccountId, ChainId, Genesis, Height};

#[derive(Debug)]
struct ChainView {
    chain: ChainId,
    accounts: Vec<AccountState>,
    tree: AccountTree,
    /// Accounts that differ from their leaf: a list without repetition, and a bit for each account that is in it.
    changed: Vec<u32>,
    is_changed: Vec<u64>,
    table: Table,
    rows: TableTree,
    /// Rows that differ from their leaf, at times more than once. New ones have none yet.
    changed_rows: Vec<u32>,
}

/// The accounts and tables of all chains at a committed height.
#[derive(Debug)]
pub struct CommittedView {
    chains: Vec<ChainView>,
    root: StateRoot,
}

impl CommittedView {
    /// The view of the genesis, whose state root is `root`.
    #[must_use]
    pub fn genesis(genesis: &Genesis, root: StateRoot) -> Self {
        let view = |chain: &crate::types::ChainGenesis| {
            let accounts: Vec<AccountState> = chain.account_states().collect();
            let tree = AccountTree::new(accounts.iter().copied());
            let is_changed = vec![0; accounts.len().div_ceil(64)];
            let table = Table::of_kind(chain.kind);
            ChainView {
                chain: chain.id,
                accounts,
                tree,
                changed: Vec::new(),
                is_changed,
                rows: TableTree::of(&table),
                table,
                changed_rows: Vec::new(),
            }
        };
        Self { chains: genesis.chains().iter().map(view).collect(), root }
    }

    /// The committed height.
    #[must_use]
    pub fn height(&self) -> Height {
        self.root.height()
    }

    /// The state root of the committed height.
    #[must_use]
    pub fn state_root(&self) -> &StateRoot {
        &self.root
    }

    /// The next height is committed: what it changed on each chain, in the order of the genesis, and its state root.
    ///
    /// # Panics
    /// The deltas are not those of the next height.
    pub fn commit(&mut self, deltas: &[Delta], root: StateRoot) {
        assert_eq!(root.height(), self.height().next(), "heights are committed one after the other");
        for (view, delta) in self.chains.iter_mut().zip(deltas) {
            assert_eq!(view.chain, delta.chain(), "one delta for each chain, in its order");
            view.accounts.extend(delta.opened().iter().copied().map(AccountState::opened));
            view.tree.open(delta.opened());
            view.is_changed.resize(view.accounts.len().div_ceil(64), 0);
            for change in delta.changes() {
                let index = change.account.0 as usize;
                let account = &mut view.accounts[index];
                let Balance { balance, window, frozen } = change.after;
                *account = AccountState { balance, window, frozen, ..*account };
                let (word, bit) = (&mut view.is_changed[index / 64], 1 << (index % 64));
                if *word & bit == 0 {
                    *word |= bit;
                    view.changed.push(index as u32);
                }
            }
            view.table.follow(delta.rows());
            view.changed_rows
                .extend(delta.rows().iter().filter(|row| row.before.is_some()).map(|row| row.place));
            if view.changed_rows.len() > view.table.len() {
                view.sort_changed_rows();
            }
        }
        self.root = root;
    }

    /// An account with its proof under the state root of the committed height.
    pub fn prove(&mut self, chain: ChainId, account: AccountId) -> Option<AccountProof> {
        let entry = ChainEntryProof::new(&self.root, chain)?;
        let view = self.chains.iter_mut().find(|view| view.chain == chain)?;
        view.fold();
        let state = view.accounts.get(usize::try_from(account.0).ok()?)?;
        Some(AccountProof::new(account, state, view.tree.prove(account)?, entry))
    }

    /// What the table of a chain says of a key, with its proof under the state root of the committed height. `None`
    /// where the chain has no table.
    pub fn prove_row(&mut self, chain: ChainId, key: &Key) -> Option<RowProof> {
        let entry = ChainEntryProof::new(&self.root, chain)?;
        let view = self.chains.iter_mut().find(|view| view.chain == chain)?;
        view.fold_rows();
        let place = view.table.witness(key)?;
        Some(RowProof::new(view.table.row(place)?, view.rows.prove(place)?, entry))
    }
}

impl ChainView {
    fn fold(&mut self) {
        self.changed.sort_unstable();
        let accounts = &self.accounts;
        let leaf = |index: &u32| (AccountId(u64::from(*index)), accounts[*index as usize]);
        self.tree.update(self.changed.iter().map(leaf));
        for index in self.changed.drain(..) {
            self.is_changed[index as usize / 64] = 0;
        }
    }

    /// Each once, ascending.
    fn sort_changed_rows(&mut self) {
        self.changed_rows.sort_unstable();
        self.changed_rows.dedup();
    }

    fn fold_rows(&mut self) {
        self.sort_changed_rows();
        let (table, leaves) = (&self.table, self.rows.len());
        // A row that is new has no leaf that could differ, however often it has changed.
        let old = self.changed_rows.drain(..).filter(|place| *place < leaves);
        let places = old.chain(leaves..table.len() as u32);
        self.rows.update(places.map(|place| (place, table.row(place).expect("rows are never taken out"))));
    }
}
