//! What the rules of a chain may read and change while a block executes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reserved::Reserved;
use super::table::{Table, TableWriter};
use super::touched::Touched;
use super::{Balance, ChainState, Delivery, RowChange};
use crate::chains::governance::Governance;
use crate::limits::{CHAIN_RESERVATIONS_MAX, CHANGES_MAX, PUBLIC_KEY_BYTES, RESERVATIONS_MAX, ROWS_MAX};
use crate::types::{
    AccountId, AccountRecord, Asset, CLOCK_KEY, ChainGenesis, ChainId, ChainKind, ChainTime, Charter, Effect,
    FirstMembers, Height, Issuance, LockClock, OWN_CHAIN_KEY, OldKey, Outcome, OwnRow, Reservation,
    ReservationId, old_key_key, record_key,
};

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
    /// The accounts that the block at hand has given another key.
    pub(super) keys: Vec<(AccountId, [u8; PUBLIC_KEY_BYTES])>,
    /// What has taken effect by itself in the block at hand.
    pub(super) effects: Vec<Effect>,
    /// The changes in their lock windows: when they are due, of which account, and when they were begun.
    due: BTreeMap<(u64, AccountId), Height>,
    reserved: Reserved,
    /// What was decided about the chains of the network, if it is this one that decides.
    governance: Option<Box<Governance>>,
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
            keys: Vec::new(),
            effects: Vec::new(),
            due: table.rows().filter_map(|row| due(row.key(), row.value())).collect(),
            reserved: Reserved::of(&table),
            governance: None,
            outbox: Vec::new(),
            table: TableWriter::new(table),
        }
    }

    pub(super) fn meet(&mut self, neighbours: Neighbours) {
        debug_assert!(neighbours.is_sorted_by(|a, b| a.chain < b.chain), "chains ascend");
        self.neighbours = neighbours;
    }

    pub(super) fn govern(&mut self, chains: &[ChainGenesis], first: Option<FirstMembers>, height: Height) {
        if self.state.kind() == ChainKind::Governance {
            let mut governance = Governance::beginning(self.state.chain(), chains, first);
            governance.read(self.table(), height);
            self.governance = Some(Box::new(governance));
        }
    }

    /// What was decided about the chains of the network, if it is this one that decides.
    pub(crate) fn governance(&self) -> Option<&Governance> {
        self.governance.as_deref()
    }

    /// The same, to be changed together with the table.
    pub(crate) fn governance_mut(&mut self) -> Option<&mut Governance> {
        self.governance.as_deref_mut()
    }

    /// The table is that of an earlier height: what was decided is as it was then.
    pub(super) fn reconvene(&mut self, height: Height) {
        if let Some(mut governance) = self.governance.take() {
            governance.read(self.table(), height);
            self.governance = Some(governance);
        }
    }

    /// What the chain is, as it is in effect.
    pub(crate) fn charter(&self) -> Charter {
        let record = self.table().get(&OWN_CHAIN_KEY).map(Charter::decode);
        record.map_or(*self.state.beginning(), |record| {
            record.expect("the ledger's own rows are what they say")
        })
    }

    /// From now on it is that.
    pub(crate) fn set_charter(&mut self, record: &Charter) {
        self.state.set_charter(record);
        self.put(&OWN_CHAIN_KEY, &record.encode());
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

    /// What the chain keeps of an account beside its cell.
    pub(crate) fn record(&self, account: AccountId) -> AccountRecord {
        let record = self.table().get(&record_key(account)).map(AccountRecord::decode);
        record.map_or_else(AccountRecord::default, |record| {
            record.expect("the ledger's own rows are what they say")
        })
    }

    /// Keeps it. What the transaction has done so far with the table is kept with it.
    pub(crate) fn set_record(&mut self, account: AccountId, record: &AccountRecord) {
        let (key, value) = (record_key(account), record.encode());
        let before = self.table().get(&key).and_then(|before| due(&key, before));
        if let Some((place, _)) = before {
            self.due.remove(&place);
        }
        self.due.extend(due(&key, &value));
        self.put(&key, &value);
    }

    /// The account has another key from this height on, and had the present one since another.
    pub(crate) fn set_key(
        &mut self,
        account: AccountId,
        key: [u8; PUBLIC_KEY_BYTES],
        (since, until): (Height, Height),
    ) {
        let index = account.0 as usize;
        let present = self.state.key_at(index);
        let (version, old) = (present.version, OldKey { key: present.encoded, since, until });
        self.put(&old_key_key(account, version), &old.encode());
        self.touch(index, self.state.mutable(index));
        self.state.set_key(index, &key, until);
        self.keys.push((account, key));
    }

    /// Something takes effect by itself.
    pub(crate) fn note(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Another value for a key, or a new row. What the transaction has done so far with the table is kept with it.
    pub(crate) fn put(&mut self, key: &[u8; 32], value: &[u8]) {
        match self.table().get(key).is_some() {
            true => self.table.set(key, value),
            false => {
                let before = self.table().witness(key).expect("each chain has a table");
                self.table.insert(before, key, value);
            }
        }
        self.table.keep();
    }

    /// Takes out a row that is there. What the transaction has done so far with the table is kept with it.
    pub(crate) fn take_out(&mut self, key: &[u8; 32]) {
        self.table.remove(key);
        self.table.keep();
    }

    /// The accounts whose changes take effect at this height, the one that is due longest first.
    pub(crate) fn due(&self, now_ms: u64, height: Height, settled: u64) -> Vec<AccountId> {
        let until = (now_ms, AccountId(u64::MAX));
        let due = self.due.range(..=until).filter(|(_, begun)| begun.0 + settled <= height.0);
        due.map(|((_, account), _)| *account).take(CHANGES_MAX).collect()
    }

    /// Whether something waits for its time: a change in its lock window, or a reservation.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.due.is_empty() || self.reserved.len() > 0
    }

    /// An open reservation.
    pub(crate) fn reservation(&self, id: ReservationId) -> Option<Reservation> {
        let value = self.table().get(&id.key()?)?;
        Some(Reservation::decode(value).expect("the ledger's own rows are what they say"))
    }

    /// Whether an account may make one more.
    ///
    /// # Errors
    /// [`Outcome::ReservationsFull`], [`Outcome::ChainFull`].
    pub(crate) fn may_reserve(&self, payer: AccountId) -> Result<(), Outcome> {
        if self.reserved.count(payer) >= RESERVATIONS_MAX {
            return Err(Outcome::ReservationsFull);
        }
        let room = self.reserved.len() < CHAIN_RESERVATIONS_MAX && self.has_room();
        room.then_some(()).ok_or(Outcome::ChainFull)
    }

    /// How many open reservations an account has made.
    pub(crate) fn reservations_of(&self, payer: AccountId) -> usize {
        self.reserved.count(payer)
    }

    /// What all of them hold.
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved.amount()
    }

    /// Money is set aside.
    pub(crate) fn reserve(&mut self, id: ReservationId, reservation: &Reservation) {
        let key = id.key().expect("its payer is an account");
        self.put(&key, &reservation.encode());
        self.reserved.add(id, reservation);
    }

    /// It is no longer: what it was.
    pub(crate) fn end(&mut self, id: ReservationId) -> Reservation {
        let reservation = self.reservation(id).expect("what ends is open");
        self.reserved.remove(id, &reservation);
        self.take_out(&id.key().expect("its payer is an account"));
        reservation
    }

    /// The reservations whose time is over at this height, the one that is due longest first.
    pub(crate) fn over(&self, now_ms: u64) -> Vec<ReservationId> {
        self.reserved.due(now_ms)
    }

    /// The clock of the lock windows and of reservations.
    pub(crate) fn clock(&self) -> LockClock {
        let clock = self.table().get(&CLOCK_KEY).map(LockClock::decode);
        clock.map_or_else(LockClock::default, |clock| clock.expect("the ledger's own rows are what they say"))
    }

    /// What the clock shows when what begins now has waited for so many seconds. If nothing waits, it begins to run.
    pub(crate) fn due_after(&mut self, at: ChainTime, seconds: u32) -> u64 {
        if !self.is_waiting() {
            self.set_clock(self.clock().wound(at.time_ms));
        }
        self.clock().now_ms.saturating_add(u64::from(seconds) * 1_000)
    }

    pub(crate) fn set_clock(&mut self, clock: LockClock) {
        self.put(&CLOCK_KEY, &clock.encode());
    }

    /// Whether there is room for three more rows, and for what the changes in their lock windows need.
    pub(crate) fn has_room(&self) -> bool {
        self.has_room_for(3)
    }

    /// Whether there is room for so many more rows, and for what the changes in their lock windows need.
    pub(crate) fn has_room_for(&self, rows: usize) -> bool {
        (self.table().len() + self.due.len() + rows) as u64 <= ROWS_MAX
    }

    /// The table is as it was before a block that changed these rows.
    pub(super) fn undo_rows(&mut self, changes: &[RowChange]) {
        for after in changes.iter().filter_map(|change| change.after.as_ref()) {
            if *after.key() == OWN_CHAIN_KEY {
                self.state.set_charter(&self.charter());
            }
            self.reserved.remove_row(after);
            if let Some((place, _)) = due(after.key(), after.value()) {
                self.due.remove(&place);
            }
        }
        for before in changes.iter().filter_map(|change| change.before.as_ref()) {
            self.reserved.add_row(before);
            self.due.extend(due(before.key(), before.value()));
        }
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

/// What a row says of a change in its lock window, if it does.
fn due(key: &[u8; 32], value: &[u8]) -> Option<((u64, AccountId), Height)> {
    let Some(OwnRow::Record(account)) = OwnRow::of(key) else { return None };
    let pending = AccountRecord::decode(value)?.pending?;
    Some(((pending.due_ms, account), pending.begun))
}
