//! The accounts and tables at the last committed height, for readers.
//!
//! A view is a second copy of the accounts and their tree, owned by the thread that answers queries, so that a query
//! never waits for execution nor execution for a query. Deltas are applied as they are committed, which costs a write
//! for each changed account and row; the trees are brought up to date only when somebody asks, but for the leaves of
//! new accounts and rows. So neither a block nor a question costs by how many there are.

use super::keys::KeyIndex;
use super::lazy_trees::LazyTrees;
use super::proof::{AccountProof, ChainEntryProof, RowProof};
use super::{Ledger, StateRoot};
use crate::execute::{AccountState, Balance, ChainState, Delta, Key, PREFETCH_AHEAD, Pages, Row, Table};
use crate::limits::PUBLIC_KEY_BYTES;
use crate::types::{AccountId, ChainGenesis, ChainId, Genesis, Height};

#[derive(Debug)]
struct ChainView {
    chain: ChainId,
    accounts: Pages<AccountState>,
    keys: KeyIndex,
    table: Table,
    trees: LazyTrees,
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

    /// The view of the last executed height of a ledger, all of whose trees are up to date.
    #[must_use]
    pub fn of(ledger: &Ledger) -> Self {
        let chain = |(state, table, trees): (&ChainState, &Table, &LazyTrees)| {
            let accounts: Pages<_> = (0..state.accounts() as usize).map(|place| state.at(place)).collect();
            ChainView {
                chain: state.chain(),
                keys: KeyIndex::new(accounts.iter().map(|account| &account.key)),
                accounts,
                table: table.clone(),
                trees: trees.clone(),
            }
        };
        Self { chains: ledger.chain_parts().map(chain).collect(), root: ledger.state_root().clone() }
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
            for (at, change) in delta.changes().iter().enumerate() {
                if let Some(coming) = delta.changes().get(at + PREFETCH_AHEAD) {
                    view.accounts.prefetch(coming.account.0 as usize);
                }
                let place = change.account.0 as usize;
                let account = view.accounts.get_mut(place).expect("a delta names accounts that there are");
                let Balance { balance, window, flags, key_version } = change.after;
                *account = AccountState { balance, window, flags, key_version, key: account.key };
            }
            for (account, key) in delta.keys() {
                let place = account.0 as usize;
                let of = view.accounts.get_mut(place).expect("a delta names accounts that there are");
                view.keys.remove(&of.key, *account);
                view.keys.add(key, *account);
                of.key = *key;
            }
            view.table.follow(delta.rows());
            view.trees.note(delta);
        }
        self.root = root;
    }

    /// An account with its proof under the state root of the committed height.
    pub fn prove(&mut self, chain: ChainId, account: AccountId) -> Option<AccountProof> {
        let entry = ChainEntryProof::new(&self.root, chain)?;
        let view = self.chains.iter_mut().find(|view| view.chain == chain)?;
        view.trees.fold_accounts(|place| view.accounts[place]);
        let state = view.accounts.get(usize::try_from(account.0).ok()?)?;
        Some(AccountProof::new(account, state, view.trees.prove_account(account)?, entry))
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
        view.trees.fold_rows(&view.table);
        let place = view.table.witness(key)?;
        Some(RowProof::new(view.table.row(place)?, view.trees.prove_row(place)?, entry))
    }
}

impl ChainView {
    fn new(chain: ChainId, accounts: Pages<AccountState>, table: Table) -> Self {
        let trees = LazyTrees::of((0..accounts.len()).map(|place| accounts[place]), &table);
        Self {
            chain,
            keys: KeyIndex::new(accounts.iter().map(|account| &account.key)),
            accounts,
            table,
            trees,
        }
    }
}
