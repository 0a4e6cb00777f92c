//! What the rules of a chain may read and change while a block executes.

use std::sync::Arc;

use super::table::{Table, TableWriter};
use super::touched::Touched;
use super::{Balance, ChainState, Delivery};
use crate::limits::PUBLIC_KEY_BYTES;
use crate::types::{AccountId, Asset, ChainGenesis, ChainId, ChainKind, Issuance};

/// What an executor knows of another chain, and of its own: whether money may be sent there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The chain.
    pub chain: ChainId,
    /// What it does.
    pub kind: ChainKind,
    /// What its balances are balances of.
    pub asset: Asset,
}

impl From<&ChainGenesis> for Neighbour {
    fn from(chain: &ChainGenesis) -> Self {
        Self { chain: chain.id, kind: chain.kind, asset: chain.asset }
    }
}

impl From<&ChainState> for Neighbour {
    fn from(state: &ChainState) -> Self {
        Self { chain: state.chain(), kind: state.kind(), asset: state.asset() }
    }
}

/// All chains of the network, ascending. An executor knows no more of other chains.
pub type Neighbours = Arc<[Neighbour]>;

/// The state of a chain in the hands of its executor.
#[derive(Debug)]
pub(crate) struct Book {
    state: Arc<ChainState>,
    neighbours: Neighbours,
    issuance: Issuance,
    /// How many accounts there are, those included that the block at hand has opened.
    accounts: u64,
    pub(super) opened: Vec<[u8; PUBLIC_KEY_BYTES]>,
    pub(super) touched: Touched,
    pub(super) outbox: Vec<Delivery>,
    pub(super) table: TableWriter,
}

impl Book {
    pub(super) fn new(state: Arc<ChainState>, issuance: Issuance, table: Table) -> Self {
        let accounts = state.accounts();
        Self {
            touched: Touched::new(accounts as usize),
            state,
            neighbours: Arc::default(),
            issuance,
            accounts,
            opened: Vec::new(),
            outbox: Vec::new(),
            table: TableWriter::new(table),
        }
    }

    pub(super) fn meet(&mut self, neighbours: Neighbours) {
        debug_assert!(neighbours.is_sorted_by(|a, b| a.chain < b.chain), "chains ascend");
        self.neighbours = neighbours;
    }

    /// The accounts of the chain. Before the balance, window or flags of one are changed, it is [touched](Self::touch).
    #[inline]
    pub(crate) fn state(&self) -> &Arc<ChainState> {
        &self.state
    }

    /// Another chain, or this one.
    #[inline]
    pub(crate) fn neighbour(&self, chain: ChainId) -> Option<Neighbour> {
        let at = self.neighbours.binary_search_by_key(&chain, |other| other.chain).ok()?;
        Some(self.neighbours[at])
    }

    /// What has been issued and burned since the beginning.
    pub(crate) fn issuance(&self) -> Issuance {
        self.issuance
    }

    pub(crate) fn set_issuance(&mut self, issuance: Issuance) {
        self.issuance = issuance;
    }

    /// How many accounts there are, those included that the block at hand has opened.
    pub(crate) fn accounts(&self) -> u64 {
        self.accounts
    }

    /// The place of an account in the array, if there is such an account.
    #[inline]
    pub(crate) fn index(&self, account: AccountId) -> Option<usize> {
        (account.0 < self.accounts).then_some(account.0 as usize)
    }

    /// Remembers how an account was before the block.
    #[inline]
    pub(crate) fn touch(&mut self, index: usize, before: Balance) {
        self.touched.note(index, before);
    }

    /// New accounts with the next ids.
    pub(crate) fn open<'a>(&mut self, keys: impl ExactSizeIterator<Item = &'a [u8; PUBLIC_KEY_BYTES]>) {
        let accounts = self.accounts + keys.len() as u64;
        self.touched.grow(accounts as usize);
        for (index, key) in (self.accounts as usize..).zip(keys) {
            self.state.open(index, key);
            self.opened.push(*key);
        }
        self.accounts = accounts;
    }

    pub(super) fn close_opened(&mut self, accounts: u64) {
        self.accounts -= accounts;
    }

    /// The table of the chain.
    pub(crate) fn table(&self) -> &Table {
        self.table.table()
    }

    /// The table of the chain, to be changed. Each transaction that changes it [keeps](TableWriter::keep) what it did
    /// or [takes it back](TableWriter::take_back).
    pub(crate) fn table_mut(&mut self) -> &mut TableWriter {
        &mut self.table
    }
}
