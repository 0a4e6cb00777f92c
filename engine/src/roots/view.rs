//! The accounts and tables at the last committed height, for readers.
//!
//! A view is a second copy of the accounts and their tree, owned by the thread that answers queries, so that a query
//! never waits for execution nor execution for a query. Deltas are applied as they are committed, which costs a write
//! for each changed account and row; the trees are brought up to date only when somebody asks, but for the leaves of
//! new accounts and rows. So neither a block nor a question costs by how many there are.

use super::keys::KeyIndex;
use super::proof::{AccountProof, ChainEntryProof, RowProof};
use super::{AccountTree, ChainEntry, StateRoot, TableTree};
use crate::execute::{AccountState, Balance, Delta, Key, Pages, Row, Table};
use crate::limits::PUBLIC_KEY_BYTES;
use crate::types::{AccountId, ChainGenesis, ChainId, Genesis, Height};

#[derive(Debug)]
struct ChainView {
    chain: ChainId,
    accounts: Pages<AccountState>,
    tree: AccountTree,
    keys: KeyIndex,
    changed: Changed,
    table: Table,
    rows: TableTree,
    changed_rows: Changed,
}

/// Which leaves of a tree are out of date: a list without repetition, and a bit for each place that is in it.
#[derive(Debug, Default)]
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
        let view =
            |chain: &ChainGenesis| ChainView::new(chain.id, chain.account_states().collect(), Table::empty());
        Self { chains: genesis.chains().iter().map(view).collect(), root }
    }

    /// The view of a height that was restored: the accounts and the table of each chain, ascending.
    #[must_use]
    pub fn restore(
        chains: impl IntoIterator<Item = (ChainId, Pages<AccountState>, Table)>,
        root: StateRoot,
    ) -> Self {
        let view = |(chain, accounts, table)| ChainView::new(chain, accounts, table);
        Self { chains: chains.into_iter().map(view).collect(), root }
    }

    /// Whether all accounts and tables have the roots that the state root says.
    ///
    /// # Errors
    /// The first chain that has not.
    pub fn check(&self) -> Result<(), ChainId> {
        for view in &self.chains {
            let entry = self.root.entries().iter().find(|entry| entry.chain == view.chain);
            let is_it = |entry: &ChainEntry| {
                (view.tree.root(), view.rows.root()) == (entry.accounts_root, entry.table_root)
            };
            if !entry.is_some_and(is_it) {
                return Err(view.chain);
            }
        }
        Ok(())
    }

    /// Accounts and places of the tables, ascending by chain: as they are now, whatever is committed later.
    pub fn copy(&self) -> impl Iterator<Item = (ChainId, Pages<AccountState>, Pages<Option<Row>>)> {
        self.chains.iter().map(|view| (view.chain, view.accounts.clone(), view.table.slots().clone()))
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

    /// The next height is committed: what it changed on each chain, ascending, and its state root.
    ///
    /// # Panics
    /// The deltas are not those of the next height.
    pub fn commit(&mut self, deltas: &[Delta], root: StateRoot) {
        assert_eq!(root.height(), self.height().next(), "heights are committed one after the other");
        // Those that are behind the others are created in this height.
        for delta in &deltas[self.chains.len()..] {
            self.chains.push(ChainView::new(delta.chain(), Pages::default(), Table::empty()));
        }
        for (view, delta) in self.chains.iter_mut().zip(deltas) {
            assert_eq!(view.chain, delta.chain(), "one delta for each chain, in its order");
            for (account, key) in (view.accounts.len() as u64..).map(AccountId).zip(delta.opened()) {
                view.keys.add(key, account);
            }
            view.accounts.extend(delta.opened().iter().copied().map(AccountState::opened));
            view.tree.open(delta.opened());
            for change in delta.changes() {
                let place = change.account.0 as usize;
                let account = view.accounts.get_mut(place).expect("a delta names accounts that there are");
                let Balance { balance, window, flags, key_version } = change.after;
                *account = AccountState { balance, window, flags, key_version, key: account.key };
                view.changed.note(change.account.0 as u32);
            }
            for (account, key) in delta.keys() {
                let place = account.0 as usize;
                let of = view.accounts.get_mut(place).expect("a delta names accounts that there are");
                view.keys.remove(&of.key, *account);
                view.keys.add(key, *account);
                of.key = *key;
            }
            view.table.follow(delta.rows());
            let (new, old): (Vec<_>, Vec<_>) = delta.rows().iter().partition(|row| row.is_new);
            view.rows.update(new.iter().map(|row| (row.place, row.leaf())));
            old.iter().for_each(|row| view.changed_rows.note(row.place));
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

    /// The accounts of a chain from `from` on that have a public key, ascending; none where there is no such chain.
    pub fn accounts_of(
        &self,
        chain: ChainId,
        key: &[u8; PUBLIC_KEY_BYTES],
        from: AccountId,
    ) -> impl Iterator<Item = AccountId> {
        let view = self.chains.iter().find(|view| view.chain == chain);
        view.into_iter().flat_map(move |view| {
            let found = view.keys.find(key, from);
            found.filter(move |account| view.accounts[account.0 as usize].key == *key)
        })
    }

    /// What the table of a chain says of a key, with its proof under the state root of the committed height.
    pub fn prove_row(&mut self, chain: ChainId, key: &Key) -> Option<RowProof> {
        let entry = ChainEntryProof::new(&self.root, chain)?;
        let view = self.chains.iter_mut().find(|view| view.chain == chain)?;
        view.fold_rows();
        let place = view.table.witness(key)?;
        Some(RowProof::new(view.table.row(place)?, view.rows.prove(place)?, entry))
    }
}

impl ChainView {
    fn new(chain: ChainId, accounts: Pages<AccountState>, table: Table) -> Self {
        let tree = AccountTree::new((0..accounts.len()).map(|place| accounts[place]));
        Self {
            chain,
            keys: KeyIndex::new(accounts.iter().map(|account| &account.key)),
            accounts,
            tree,
            changed: Changed::default(),
            rows: TableTree::of(&table),
            table,
            changed_rows: Changed::default(),
        }
    }

    fn fold(&mut self) {
        let accounts = &self.accounts;
        let leaf = |index: &u32| (AccountId(u64::from(*index)), accounts[*index as usize]);
        self.tree.update(self.changed.take().iter().map(leaf));
    }

    fn fold_rows(&mut self) {
        let leaf = |place: u32| (place, self.table.row(place).map_or(&[][..], Row::leaf));
        self.rows.update(self.changed_rows.take().into_iter().map(leaf));
    }
}
