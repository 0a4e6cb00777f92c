//! The accounts of a chain: an array with one cache line for each, and beside it their keys as points.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use kernels::ed25519::DecodedKey;

use super::{Balance, ReplayWindow};
use crate::limits::{DECODED_KEYS_MAX, PUBLIC_KEY_BYTES};
use crate::types::{AccountId, Asset, ChainGenesis, ChainId, Frozen, GENESIS_KEY_VERSION, Genesis, Roles};

/// How many keys are decoded at once: enough for full lanes, few enough to need little memory on the way.
const DECODED_AT_ONCE: usize = 4096;

/// One account, whole: what a leaf of the accounts tree says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// The current public key.
    pub key: [u8; 32],
    /// The version of the key.
    pub key_version: u32,
    /// What it holds.
    pub balance: u64,
    /// The nonces it has used.
    pub window: ReplayWindow,
    /// Which ways it is closed to money.
    pub frozen: Frozen,
}

/// Exactly one cache line, so that everything about an account costs one miss. No transaction changes a key yet, so the
/// key is plain and can be lent to the signature check without a copy.
#[derive(Debug)]
#[repr(C, align(64))]
struct Cell {
    key: [u8; 32],
    key_version: u32,
    frozen: AtomicU32,
    balance: AtomicU64,
    base: AtomicU64,
    used: AtomicU64,
}

const _: () = assert!(size_of::<Cell>() == 64);

/// The public key of an account, lent by its [`ChainState`].
#[derive(Clone, Copy, Debug)]
pub struct AccountKey<'a> {
    /// The bytes.
    pub encoded: &'a [u8; PUBLIC_KEY_BYTES],
    /// The point, in a chain of at most [`DECODED_KEYS_MAX`] accounts.
    pub decoded: Option<&'a DecodedKey>,
    /// The version.
    pub version: u32,
}

/// The accounts of a chain. Written by its one [`StateWriter`](super::StateWriter); others read it as advice, since the
/// fields of an account are loaded one by one and a block may be executing.
#[derive(Debug)]
pub struct ChainState {
    chain: ChainId,
    asset: Asset,
    roles: Roles,
    cells: Box<[Cell]>,
    /// One for each account, or none at all.
    decoded: Box<[DecodedKey]>,
}

impl ChainState {
    pub(super) fn new(
        chain: ChainId,
        asset: Asset,
        roles: Roles,
        accounts: impl Iterator<Item = AccountState>,
    ) -> Self {
        let cell = |account: AccountState| Cell {
            key: account.key,
            key_version: account.key_version,
            frozen: account.frozen.bits().into(),
            balance: account.balance.into(),
            base: account.window.base.into(),
            used: account.window.used.into(),
        };
        let cells: Box<[Cell]> = accounts.map(cell).collect();
        let decoded = match cells.len() {
            0..=DECODED_KEYS_MAX => cells.chunks(DECODED_AT_ONCE).flat_map(decode).collect(),
            _ => Box::default(),
        };
        Self { chain, asset, roles, cells, decoded }
    }

    /// Which chain.
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// What its balances are balances of.
    pub fn asset(&self) -> Asset {
        self.asset
    }

    /// Who may order what.
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// How many accounts; their ids are `0..accounts`.
    pub fn accounts(&self) -> u64 {
        self.cells.len() as u64
    }

    /// The place of an account in the array, if there is such an account.
    #[inline]
    pub fn index(&self, account: AccountId) -> Option<usize> {
        usize::try_from(account.0).ok().filter(|index| *index < self.cells.len())
    }

    /// The key of an account.
    #[inline]
    pub fn key(&self, account: AccountId) -> Option<AccountKey<'_>> {
        self.index(account).map(|index| {
            let Cell { key, key_version, .. } = &self.cells[index];
            AccountKey { encoded: key, decoded: self.decoded.get(index), version: *key_version }
        })
    }

    /// The replay window of an account.
    #[inline]
    pub fn window(&self, account: AccountId) -> Option<ReplayWindow> {
        self.index(account).map(|index| self.mutable(index).window)
    }

    /// Which ways an account is closed to money.
    #[inline]
    pub fn frozen(&self, account: AccountId) -> Option<Frozen> {
        self.index(account).map(|index| self.frozen_at(index))
    }

    /// An account, whole. Exact only while nothing executes.
    pub fn account(&self, account: AccountId) -> Option<AccountState> {
        self.index(account).map(|index| self.at(index))
    }

    /// The sum of all balances. Exact only while nothing executes.
    pub fn supply(&self) -> u128 {
        self.cells.iter().map(|cell| u128::from(cell.balance.load(Relaxed))).sum()
    }

    /// Asks the processor for the line of an account that will be needed soon.
    #[inline]
    pub fn prefetch(&self, account: AccountId) {
        #[cfg(target_arch = "x86_64")]
        if let Some(index) = self.index(account) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: SSE is part of x86-64, and a prefetch of any address has no effect but on the cache; this one
            // lies inside `cells`.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(&self.cells[index]).cast()) }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = account;
    }

    pub(crate) fn at(&self, index: usize) -> AccountState {
        let Balance { balance, window, frozen } = self.mutable(index);
        let Cell { key, key_version, .. } = self.cells[index];
        AccountState { key, key_version, balance, window, frozen }
    }

    #[inline]
    pub(super) fn key_version(&self, index: usize) -> u32 {
        self.cells[index].key_version
    }

    #[inline]
    pub(super) fn mutable(&self, index: usize) -> Balance {
        let cell = &self.cells[index];
        let window = ReplayWindow { base: cell.base.load(Relaxed), used: cell.used.load(Relaxed) };
        Balance { balance: cell.balance.load(Relaxed), window, frozen: self.frozen_at(index) }
    }

    #[inline]
    pub(super) fn frozen_at(&self, index: usize) -> Frozen {
        Frozen::from_bits(self.cells[index].frozen.load(Relaxed))
    }

    #[inline]
    pub(super) fn set_frozen(&self, index: usize, frozen: Frozen) {
        self.cells[index].frozen.store(frozen.bits(), Relaxed);
    }

    #[inline]
    pub(super) fn set_balance(&self, index: usize, balance: u64) {
        self.cells[index].balance.store(balance, Relaxed);
    }

    #[inline]
    pub(super) fn set_window(&self, index: usize, window: ReplayWindow) {
        self.cells[index].base.store(window.base, Relaxed);
        self.cells[index].used.store(window.used, Relaxed);
    }
}

fn decode(cells: &[Cell]) -> Vec<DecodedKey> {
    let keys: Vec<_> = cells.iter().map(|cell| cell.key).collect();
    DecodedKey::many(&keys)
}

impl ChainGenesis {
    /// The accounts as they are before the first block.
    pub fn account_states(&self) -> impl ExactSizeIterator<Item = AccountState> {
        self.accounts.iter().map(|account| AccountState {
            key: account.public_key,
            key_version: GENESIS_KEY_VERSION,
            balance: account.balance,
            window: ReplayWindow::default(),
            frozen: Frozen::NONE,
        })
    }
}

/// The states of all chains of a network, for readers.
#[derive(Clone, Debug)]
pub struct Chains(Arc<[Arc<ChainState>]>);

impl Chains {
    /// From the states, one for each chain, ascending by id.
    pub fn new(states: impl IntoIterator<Item = Arc<ChainState>>) -> Self {
        let states: Arc<[_]> = states.into_iter().collect();
        assert!(states.is_sorted_by(|a, b| a.chain < b.chain), "chains ascend");
        Self(states)
    }

    /// The state of a chain.
    #[inline]
    pub fn get(&self, chain: ChainId) -> Option<&ChainState> {
        self.position(chain).map(|at| &*self.0[at])
    }

    /// The place of a chain among all, as in [`Genesis::chains`].
    #[inline]
    pub fn position(&self, chain: ChainId) -> Option<usize> {
        match &*self.0 {
            [only] => (only.chain == chain).then_some(0),
            all => all.binary_search_by_key(&chain, |state| state.chain).ok(),
        }
    }

    /// All chains, ascending by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<ChainState>> {
        self.0.iter()
    }
}

impl From<&Genesis> for Chains {
    /// States of their own, which nobody writes: for tools that check signatures against the first keys.
    fn from(genesis: &Genesis) -> Self {
        let state = |chain: &ChainGenesis| {
            let accounts = chain.account_states();
            Arc::new(ChainState::new(chain.id, chain.asset, chain.roles, accounts))
        };
        Self::new(genesis.chains().iter().map(state))
    }
}
