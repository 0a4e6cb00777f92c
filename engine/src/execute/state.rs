//! The accounts of a chain: an array with one cache line for each, and beside it their keys as points.
//!
//! Accounts that are opened later stand in segments that are added at the end, so nothing moves under a reader. Readers
//! see them when the block that opened them is executed: as many as [`ChainState::accounts`] says, and for a batch as
//! many as there were at the height that its author names, so that all validators judge it alike.

use std::collections::BTreeMap;
use std::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{PoisonError, RwLock};

use kernels::ed25519::DecodedKey;

use super::segments::Segments;
use super::{Balance, ChainRules, ReplayWindow, Table, prefetch};
use crate::limits::{DECODED_KEYS_MAX, PUBLIC_KEY_BYTES};
use crate::types::{
    AccountFlags, AccountId, AccountRecord, Asset, ChainGenesis, ChainId, ChainKind, ChainStatus, Charter,
    FIRST_KEY_VERSION, Height, OWN_CHAIN_KEY, OldKey, OwnRow, Roles, record_key,
};

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
    pub flags: AccountFlags,
}

impl AccountState {
    /// A new account.
    pub fn opened(key: [u8; 32]) -> Self {
        Self {
            key,
            key_version: FIRST_KEY_VERSION,
            balance: 0,
            window: ReplayWindow::default(),
            flags: AccountFlags::OPEN,
        }
    }
}

/// Exactly one cache line, so that everything about an account costs one miss. The key is the first one that the
/// account had, written before the account can be seen; the version is that of the present one, which stands beside the
/// cells if it is a later one.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Cell {
    key: [AtomicU64; 4],
    key_version: AtomicU32,
    flags: AtomicU32,
    balance: AtomicU64,
    base: AtomicU64,
    used: AtomicU64,
}

const _: () = assert!(size_of::<Cell>() == 64);

/// A key that an account had or has, after its first one.
#[derive(Clone, Copy, Debug)]
struct LaterKey {
    key: [u8; PUBLIC_KEY_BYTES],
    /// The height that gave it.
    since: Height,
}

/// A public key of an account, lent by its [`ChainState`].
#[derive(Clone, Copy, Debug)]
pub struct AccountKey<'a> {
    /// The bytes.
    pub encoded: [u8; PUBLIC_KEY_BYTES],
    /// The point: of the first key of an account of the genesis, in a chain that began with at most
    /// [`DECODED_KEYS_MAX`].
    pub decoded: Option<&'a DecodedKey>,
    /// The version.
    pub version: u32,
}

/// How many accounts a chain had after which height. What a batch was judged by stays known, however old it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// How many it began with.
    pub beginning: u64,
    /// The heights that opened others, ascending, and how many there were then.
    pub since: Vec<(Height, u64)>,
}

impl Growth {
    /// Those with which a chain begins.
    pub fn of(beginning: u64) -> Self {
        Self { beginning, since: Vec::new() }
    }

    /// How many there were after a height.
    pub fn at(&self, height: Height) -> u64 {
        let later = self.since.partition_point(|(at, _)| *at <= height);
        later.checked_sub(1).map_or(self.beginning, |last| self.since[last].1)
    }

    /// The same up to a height, as if nothing had been executed above it.
    #[must_use]
    pub fn until(&self, height: Height) -> Self {
        let later = self.since.partition_point(|(at, _)| *at <= height);
        Self { beginning: self.beginning, since: self.since[..later].to_vec() }
    }
}

/// The accounts of a chain. Written by its one [`StateWriter`](super::StateWriter); others read it as advice, since the
/// fields of an account are loaded one by one and a block may be executing.
#[derive(Debug)]
pub struct ChainState {
    rules: ChainRules,
    /// Who may order what now.
    roles: RwLock<Roles>,
    /// Whether it takes new work: a [`ChainStatus`].
    status: AtomicU8,
    /// The accounts that there were when this was made: at the beginning of the chain, or at a checkpoint.
    cells: Box<[Cell]>,
    /// One for each of the first of those, or none at all.
    decoded: Box<[DecodedKey]>,
    /// The later keys of all accounts that have had more than one, by account and version.
    later_keys: RwLock<BTreeMap<(u64, u32), LaterKey>>,
    /// The accounts that were opened since.
    opened: Segments<Cell>,
    /// How many accounts can be seen.
    accounts: AtomicU64,
    /// How many accounts the chain began with.
    beginning: u64,
    growth: RwLock<Growth>,
}

impl ChainState {
    /// `table` has the keys that accounts had before their present ones.
    pub(super) fn new(
        rules: ChainRules,
        accounts: impl Iterator<Item = AccountState>,
        growth: Option<Growth>,
        table: &Table,
    ) -> Self {
        let mut later_keys = BTreeMap::new();
        let cell = |(id, account): (u64, AccountState)| {
            let cell = Cell {
                flags: account.flags.bits().into(),
                balance: account.balance.into(),
                base: account.window.base.into(),
                used: account.window.used.into(),
                ..Cell::default()
            };
            cell.set_first_key(&account.key, account.key_version);
            if account.key_version != FIRST_KEY_VERSION {
                let record = table.get(&record_key(AccountId(id))).and_then(AccountRecord::decode);
                let later = LaterKey { key: account.key, since: record.unwrap_or_default().key_since };
                later_keys.insert((id, account.key_version), later);
            }
            cell
        };
        let cells: Box<[Cell]> = (0..).zip(accounts).map(cell).collect();
        for row in table.rows() {
            let Some(OwnRow::OldKey(account, version)) = OwnRow::of(row.key()) else { continue };
            match (OldKey::decode(row.value()), cells.get(account.0 as usize)) {
                (Some(OldKey { key, .. }), Some(cell)) if version == FIRST_KEY_VERSION => {
                    cell.set_first_key(&key, cell.key_version.load(Relaxed));
                }
                (Some(OldKey { key, since, .. }), Some(_)) => {
                    later_keys.insert((account.0, version), LaterKey { key, since });
                }
                // Roots tell those who restore that these rows are not the network's.
                _ => {}
            }
        }
        let growth = growth.unwrap_or_else(|| Growth::of(cells.len() as u64));
        let beginning = growth.beginning;
        let first = &cells[..cells.len().min(beginning as usize)];
        let decoded = match first.len() {
            0..=DECODED_KEYS_MAX => first.chunks(DECODED_AT_ONCE).flat_map(decode).collect(),
            _ => Box::default(),
        };
        let accounts = AtomicU64::new(cells.len() as u64);
        let (opened, growth) = (Segments::new(), RwLock::new(growth));
        let later_keys = RwLock::new(later_keys);
        let record = table.get(&OWN_CHAIN_KEY).and_then(Charter::decode).unwrap_or(rules.charter);
        let (roles, status) = (RwLock::new(record.roles), AtomicU8::new(record.status as u8));
        Self { rules, roles, status, cells, decoded, later_keys, opened, accounts, beginning, growth }
    }

    /// Which chain.
    pub fn chain(&self) -> ChainId {
        self.rules.chain
    }

    /// What it does.
    pub fn kind(&self) -> ChainKind {
        self.rules.charter.kind
    }

    /// What its balances are balances of.
    pub fn asset(&self) -> Asset {
        self.rules.charter.asset
    }

    /// What it was at its beginning.
    pub(crate) fn beginning(&self) -> &Charter {
        &self.rules.charter
    }

    /// Who may order what.
    pub fn roles(&self) -> Roles {
        *self.roles.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it takes new work.
    #[inline]
    pub fn status(&self) -> ChainStatus {
        ChainStatus::of(self.status.load(Relaxed)).expect("only statuses are stored")
    }

    /// What administrators have decided is in effect, or, where that is taken back, no longer.
    pub(super) fn set_charter(&self, charter: &Charter) {
        *self.roles.write().unwrap_or_else(PoisonError::into_inner) = charter.roles;
        self.status.store(charter.status as u8, Relaxed);
    }

    /// How many accounts; their ids are `0..accounts`.
    #[inline]
    pub fn accounts(&self) -> u64 {
        // Acquire: what was written of an account before it could be seen is seen with it.
        self.accounts.load(Acquire)
    }

    /// How many accounts there were after a height. Of heights that are not executed here, it knows nothing yet.
    pub fn accounts_as_of(&self, height: Height) -> u64 {
        self.growth.read().unwrap_or_else(PoisonError::into_inner).at(height)
    }

    /// How many accounts there were up to a height.
    pub fn growth_until(&self, height: Height) -> Growth {
        self.growth.read().unwrap_or_else(PoisonError::into_inner).until(height)
    }

    /// Whether there was such an account after a height.
    #[inline]
    pub fn existed(&self, account: AccountId, height: Height) -> bool {
        account.0 < self.beginning || account.0 < self.accounts_as_of(height)
    }

    /// The place of an account in the array, if there is such an account.
    #[inline]
    pub fn index(&self, account: AccountId) -> Option<usize> {
        let index = usize::try_from(account.0).ok()?;
        (index < self.cells.len() || account.0 < self.accounts()).then_some(index)
    }

    /// The present key of an account.
    #[inline]
    pub fn key(&self, account: AccountId) -> Option<AccountKey<'_>> {
        self.index(account).map(|index| self.key_at(index))
    }

    /// The key of this version, if the account had it at a height or before. That it was replaced since does not count:
    /// so what was admissible once stays so (R6). Whether there was such an account is
    /// [another question](Self::accounts_as_of).
    #[inline]
    pub fn key_as_of(&self, account: AccountId, version: u32, height: Height) -> Option<AccountKey<'_>> {
        let index = self.index(account)?;
        if version == FIRST_KEY_VERSION {
            return Some(self.first_key(index));
        }
        let later = self.later_key(index, version).filter(|later| later.since <= height)?;
        Some(AccountKey { encoded: later.key, decoded: None, version })
    }

    #[inline]
    fn first_key(&self, index: usize) -> AccountKey<'_> {
        let encoded = self.cell(index).first_key();
        AccountKey { encoded, decoded: self.decoded.get(index), version: FIRST_KEY_VERSION }
    }

    #[inline]
    pub(super) fn key_at(&self, index: usize) -> AccountKey<'_> {
        match self.key_version_at(index) {
            FIRST_KEY_VERSION => self.first_key(index),
            version => {
                let later = self.later_key(index, version).expect("each later version has a key");
                AccountKey { encoded: later.key, decoded: None, version }
            }
        }
    }

    #[cold]
    fn later_key(&self, index: usize, version: u32) -> Option<LaterKey> {
        let keys = self.later_keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(&(index as u64, version)).copied()
    }

    /// The account has another key from this height on, of the next version.
    pub(super) fn set_key(&self, index: usize, key: &[u8; PUBLIC_KEY_BYTES], since: Height) {
        let version = self.key_version_at(index) + 1;
        let mut keys = self.later_keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert((index as u64, version), LaterKey { key: *key, since });
        // Release: who sees the version finds its key.
        self.cell(index).key_version.store(version, Release);
    }

    /// The account has the key again that it had before its present one.
    pub(super) fn unset_key(&self, index: usize) {
        let version = self.key_version_at(index);
        self.cell(index).key_version.store(version - 1, Release);
        self.later_keys.write().unwrap_or_else(PoisonError::into_inner).remove(&(index as u64, version));
    }

    #[inline]
    fn cell(&self, index: usize) -> &Cell {
        let opened = || self.opened.get(index - self.cells.len());
        self.cells.get(index).or_else(opened).expect("an account that exists has a cell")
    }

    /// Writes the cell of an account that nobody can see yet.
    pub(super) fn open(&self, index: usize, key: &[u8; PUBLIC_KEY_BYTES]) {
        let cell = self.opened.make(index - self.cells.len());
        cell.set_first_key(key, FIRST_KEY_VERSION);
        cell.flags.store(0, Relaxed);
        cell.balance.store(0, Relaxed);
        cell.base.store(0, Relaxed);
        cell.used.store(0, Relaxed);
    }

    /// A height is executed that has opened accounts: there are so many now.
    pub(super) fn show(&self, height: Height, accounts: u64) {
        self.growth.write().unwrap_or_else(PoisonError::into_inner).since.push((height, accounts));
        self.accounts.store(accounts, Release);
    }

    /// The last height that opened accounts is taken back: there are so many as before it.
    pub(super) fn hide(&self, accounts: u64) {
        self.growth.write().unwrap_or_else(PoisonError::into_inner).since.pop();
        self.accounts.store(accounts, Release);
    }

    /// The replay window of an account.
    #[inline]
    pub fn window(&self, account: AccountId) -> Option<ReplayWindow> {
        self.index(account).map(|index| self.mutable(index).window)
    }

    /// Which ways an account is closed to money.
    #[inline]
    pub fn flags(&self, account: AccountId) -> Option<AccountFlags> {
        self.index(account).map(|index| self.flags_at(index))
    }

    /// An account, whole. Exact only while nothing executes.
    pub fn account(&self, account: AccountId) -> Option<AccountState> {
        self.index(account).map(|index| self.at(index))
    }

    /// The sum of all balances. Exact only while nothing executes.
    pub fn supply(&self) -> u128 {
        (0..self.accounts() as usize).map(|index| u128::from(self.mutable(index).balance)).sum()
    }

    /// Asks the processor for the line of an account that will be needed soon.
    #[inline]
    pub fn prefetch(&self, account: AccountId) {
        if let Some(index) = self.index(account) {
            prefetch(self.cell(index));
        }
    }

    pub(crate) fn at(&self, index: usize) -> AccountState {
        let Balance { balance, window, flags, .. } = self.mutable(index);
        let AccountKey { encoded: key, version: key_version, .. } = self.key_at(index);
        AccountState { key, key_version, balance, window, flags }
    }

    /// The version of the present key of an account.
    #[inline]
    pub fn key_version(&self, account: AccountId) -> Option<u32> {
        self.index(account).map(|index| self.key_version_at(index))
    }

    #[inline]
    pub(super) fn key_version_at(&self, index: usize) -> u32 {
        self.cell(index).key_version.load(Acquire)
    }

    #[inline]
    pub(crate) fn mutable(&self, index: usize) -> Balance {
        let cell = self.cell(index);
        let window = ReplayWindow { base: cell.base.load(Relaxed), used: cell.used.load(Relaxed) };
        let flags = AccountFlags::from_bits(cell.flags.load(Relaxed));
        let (balance, key_version) = (cell.balance.load(Relaxed), cell.key_version.load(Relaxed));
        Balance { balance, window, flags, key_version }
    }

    #[inline]
    pub(crate) fn flags_at(&self, index: usize) -> AccountFlags {
        AccountFlags::from_bits(self.cell(index).flags.load(Relaxed))
    }

    #[inline]
    pub(crate) fn set_flags(&self, index: usize, flags: AccountFlags) {
        self.cell(index).flags.store(flags.bits(), Relaxed);
    }

    #[inline]
    pub(crate) fn set_balance(&self, index: usize, balance: u64) {
        self.cell(index).balance.store(balance, Relaxed);
    }

    #[inline]
    pub(super) fn set_window(&self, index: usize, window: ReplayWindow) {
        self.cell(index).base.store(window.base, Relaxed);
        self.cell(index).used.store(window.used, Relaxed);
    }
}

impl Cell {
    #[inline]
    fn first_key(&self) -> [u8; PUBLIC_KEY_BYTES] {
        let mut key = [0; PUBLIC_KEY_BYTES];
        for (bytes, word) in key.as_chunks_mut().0.iter_mut().zip(&self.key) {
            *bytes = word.load(Relaxed).to_le_bytes();
        }
        key
    }

    /// Before anybody can see the account.
    fn set_first_key(&self, key: &[u8; PUBLIC_KEY_BYTES], version: u32) {
        for (word, bytes) in self.key.iter().zip(key.as_chunks().0) {
            word.store(u64::from_le_bytes(*bytes), Relaxed);
        }
        self.key_version.store(version, Relaxed);
    }
}

fn decode(cells: &[Cell]) -> Vec<DecodedKey> {
    let keys: Vec<_> = cells.iter().map(Cell::first_key).collect();
    DecodedKey::many(&keys)
}

impl ChainGenesis {
    /// The accounts as they are before the first block.
    pub fn account_states(&self) -> impl ExactSizeIterator<Item = AccountState> {
        self.accounts.iter().map(|account| AccountState {
            balance: account.balance,
            ..AccountState::opened(account.public_key)
        })
    }
}
