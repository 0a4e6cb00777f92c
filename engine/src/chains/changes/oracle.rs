//! The definition of how accounts change, in the plainest words. It keeps and writes out for itself what the executor
//! asks [`AccountRecord`](crate::types::AccountRecord) for.

mod restore;

use std::collections::BTreeMap;

pub(crate) use self::restore::{restore_clock, restore_keys, restore_old_key, restore_record};

use crate::chains::transfers::release_plainly;
use crate::execute::oracle::{Account, Oracle};
use crate::limits::{CHANGES_MAX, ROWS_MAX};
use crate::types::{
    AccountId, ChainTime, ChangeKind, Effect, Height, Outcome, Protect, Recover, Registrar, Rekey,
};

type Key = [u8; 32];

/// Who can give an account another key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct PlainSafeguards {
    recovery_key: Option<Key>,
    threshold: u8,
    guardians: Vec<u64>,
}

/// What a change does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PlainChange {
    Key(Key),
    Safeguards(PlainSafeguards),
    Close,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct PlainPending {
    change: PlainChange,
    by_recovery: bool,
    begun: u64,
    due_ms: u64,
}

/// What a chain keeps of an account beside its leaf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlainRecord {
    changes: u64,
    key_since: u64,
    safeguards: PlainSafeguards,
    pending: Option<PlainPending>,
    /// By the place of the guardian: until when it counts, and for which key.
    approvals: BTreeMap<u8, (u64, Key)>,
}

impl PlainSafeguards {
    /// threshold | guardians | 1 with a recovery key | recovery key | accounts
    fn value(&self) -> Vec<u8> {
        let mut value =
            vec![self.threshold, self.guardians.len() as u8, u8::from(self.recovery_key.is_some())];
        value.extend(self.recovery_key.iter().flatten());
        value.extend(self.guardians.iter().flat_map(|guardian| guardian.to_le_bytes()));
        value
    }
}

impl PlainRecord {
    pub(crate) fn key_since(&self) -> u64 {
        self.key_since
    }

    /// changes | key since | safeguards | pending | how many approvals | approvals
    fn value(&self) -> Vec<u8> {
        let mut value = [self.changes.to_le_bytes(), self.key_since.to_le_bytes()].concat();
        value.extend(self.safeguards.value());
        match &self.pending {
            None => value.push(0),
            Some(pending) => {
                let (code, what) = match &pending.change {
                    PlainChange::Key(key) => (1, key.to_vec()),
                    PlainChange::Safeguards(safeguards) => (2, safeguards.value()),
                    PlainChange::Close => (3, Vec::new()),
                };
                value.extend([code, u8::from(pending.by_recovery)]);
                value.extend(pending.begun.to_le_bytes());
                value.extend(pending.due_ms.to_le_bytes());
                value.extend(what);
            }
        }
        value.push(self.approvals.len() as u8);
        for (guardian, (until, key)) in &self.approvals {
            value.push(*guardian);
            value.extend(until.to_le_bytes());
            value.extend(key);
        }
        value
    }
}

/// 16 zero bytes, then what it is a row of: the record of an account (1), a key that it had (2), or the clock (3).
fn row_key(what: u8, version: u32, account: u64) -> Key {
    let mut key = [0; 32];
    key[16] = what;
    key[20..24].copy_from_slice(&version.to_be_bytes());
    key[24..32].copy_from_slice(&account.to_be_bytes());
    key
}

/// The record of an account has changed.
fn write(oracle: &mut Oracle, account: AccountId) {
    let value = oracle.accounts[account.0 as usize].record.value();
    oracle.table.put(row_key(1, 0, account.0), value);
}

/// What the clock of lock windows shows, and the time of the block that has set it.
fn set_clock(oracle: &mut Oracle, now_ms: u64, block_ms: u64) {
    oracle.clock = (now_ms, block_ms);
    let value = [now_ms.to_le_bytes(), block_ms.to_le_bytes()].concat();
    oracle.table.put(row_key(3, 0, 0), value);
}

/// The changes that are due take effect, the one that is due longest first.
pub(crate) fn settle_plainly(oracle: &mut Oracle, at: ChainTime) {
    if !oracle.is_waiting() {
        return;
    }
    let passed = at.time_ms.saturating_sub(oracle.clock.1).min(1_000);
    set_clock(oracle, oracle.clock.0 + passed, at.time_ms);
    let mut due = Vec::new();
    for AccountId(id) in oracle.changing.iter().copied() {
        if let Some(pending) = &oracle.accounts[id as usize].record.pending
            && pending.due_ms <= oracle.clock.0
            && pending.begun + 3 <= at.height.0
        {
            due.push((pending.due_ms, id));
        }
    }
    due.sort_unstable();
    for (_, id) in due.into_iter().take(CHANGES_MAX) {
        let account = &mut oracle.accounts[id as usize];
        let pending = account.record.pending.take().expect("it was found");
        oracle.changing.remove(&AccountId(id));
        let (of, change) = (AccountId(id), account.record.changes);
        let what = match &pending.change {
            PlainChange::Key(_) => ChangeKind::Key,
            PlainChange::Safeguards(_) => ChangeKind::Safeguards,
            PlainChange::Close => ChangeKind::Closing,
        };
        if account.debit_frozen && !pending.by_recovery {
            account.closing = false;
            oracle.effects.push(Effect::Changed { account: of, change, what, stands: false });
            write(oracle, AccountId(id));
            continue;
        }
        account.record.approvals.clear();
        match pending.change {
            PlainChange::Key(key) => {
                let mut old = account.key.to_vec();
                old.extend(account.record.key_since.to_le_bytes());
                old.extend(at.height.0.to_le_bytes());
                let row = row_key(2, account.key_version, id);
                account.former_keys.push((account.key, Height(account.record.key_since)));
                account.key = key;
                account.key_version += 1;
                account.record.key_since = at.height.0;
                oracle.keys.push((AccountId(id), key));
                oracle.table.put(row, old);
            }
            PlainChange::Safeguards(safeguards) => account.record.safeguards = safeguards,
            PlainChange::Close => {
                account.closing = false;
                account.closed = account.balance == 0;
            }
        }
        let stands = what != ChangeKind::Closing || account.closed;
        oracle.effects.push(Effect::Changed { account: of, change, what, stands });
        write(oracle, AccountId(id));
    }
    release_plainly(oracle);
}

fn nothing_pending(account: &Account) -> Result<(), Outcome> {
    match account.record.pending {
        Some(_) => Err(Outcome::ChangePending),
        None => Ok(()),
    }
}

fn room(oracle: &Oracle) -> Result<(), Outcome> {
    if oracle.has_room() { Ok(()) } else { Err(Outcome::ChainFull) }
}

impl Oracle {
    /// Whether three more rows, and one for each change in its lock window, fit into the table.
    pub(crate) fn has_room(&self) -> bool {
        (self.table.slots().len() + self.changing.len() + 3) as u64 <= ROWS_MAX
    }

    /// Whether a change is in its lock window, or a reservation open.
    fn is_waiting(&self) -> bool {
        !self.changing.is_empty() || !self.reservations.is_empty()
    }

    /// What the clock shows when what begins now has waited for so many seconds. If nothing waits, it begins to run.
    pub(crate) fn due_after(&mut self, at: ChainTime, seconds: u32) -> u64 {
        if !self.is_waiting() {
            set_clock(self, self.clock.0.max(at.time_ms), at.time_ms);
        }
        self.clock.0.saturating_add(u64::from(seconds) * 1_000)
    }

    /// The accounts with a change in its lock window.
    pub(crate) fn pending(&self) -> impl Iterator<Item = AccountId> {
        self.changing.iter().copied()
    }

    pub(crate) fn rekey(&mut self, at: ChainTime, of: &Rekey<'_>) -> Result<(), Outcome> {
        let account = &self.accounts[of.account.0 as usize];
        account.may_pay()?;
        nothing_pending(account)?;
        let seconds = self.is.roles.windows.rekey_seconds;
        begin(self, at, of.account, (PlainChange::Key(*of.key), false, seconds))
    }

    pub(crate) fn protect(&mut self, at: ChainTime, of: &Protect<'_>) -> Result<(), Outcome> {
        self.accounts[of.account.0 as usize].may_pay()?;
        let asked = of.safeguards.get();
        let guardians: Vec<u64> = asked.guardians.iter().map(|guardian| guardian.0).collect();
        for guardian in &guardians {
            let guardian = self.accounts.get(*guardian as usize).ok_or(Outcome::UnknownCredit)?;
            if guardian.closed {
                return Err(Outcome::CreditClosed);
            }
        }
        let safeguards =
            PlainSafeguards { recovery_key: asked.recovery_key, threshold: asked.threshold, guardians };
        nothing_pending(&self.accounts[of.account.0 as usize])?;
        let record = &self.accounts[of.account.0 as usize].record;
        let are_some = record.safeguards.recovery_key.is_some() || !record.safeguards.guardians.is_empty();
        let windows = self.is.roles.windows;
        let seconds = if are_some { windows.recovery_seconds } else { windows.rekey_seconds };
        begin(self, at, of.account, (PlainChange::Safeguards(safeguards), false, seconds))
    }

    pub(crate) fn close(&mut self, at: ChainTime, id: AccountId) -> Result<(), Outcome> {
        let account = &self.accounts[id.0 as usize];
        account.may_pay()?;
        if self.is.roles.issuer == Some(id)
            || self.is.roles.freezer == Some(id)
            || self.is.roles.registrar == Registrar::Account(id)
            || self.governance.as_ref().is_some_and(|of| of.needs(id, at.height))
        {
            return Err(Outcome::RoleHeld);
        }
        if account.balance > 0 || self.reservations_of(id) > 0 {
            return Err(Outcome::NotEmpty);
        }
        nothing_pending(account)?;
        begin(self, at, id, (PlainChange::Close, false, self.is.roles.windows.rekey_seconds))?;
        self.accounts[id.0 as usize].closing = true;
        Ok(())
    }

    pub(crate) fn cancel(&mut self, id: AccountId, change: u64) -> Result<(), Outcome> {
        let account = &mut self.accounts[id.0 as usize];
        if account.closed {
            return Err(Outcome::DebitClosed);
        }
        if account.debit_frozen {
            return Err(Outcome::DebitFrozen);
        }
        if account.record.pending.is_none() || account.record.changes != change {
            return Err(Outcome::UnknownChange);
        }
        account.record.pending = None;
        account.closing = false;
        self.changing.remove(&id);
        write(self, id);
        Ok(())
    }

    pub(crate) fn recover(&mut self, at: ChainTime, of: &Recover<'_>) -> Result<(), Outcome> {
        self.accounts[of.signer.0 as usize].may_pay()?;
        let seconds = self.is.roles.windows.recovery_seconds;
        let account = self.accounts.get_mut(of.account.0 as usize).ok_or(Outcome::UnknownCredit)?;
        if account.closed {
            return Err(Outcome::CreditClosed);
        }
        let record = &mut account.record;
        if record.changes != of.changes {
            return Err(Outcome::UnknownChange);
        }
        let names_others =
            matches!(&record.pending, Some(PlainPending { change: PlainChange::Safeguards(_), .. }));
        if names_others && !account.debit_frozen {
            return Err(Outcome::ChangePending);
        }
        if let Some(PlainPending { change: PlainChange::Key(key), by_recovery: true, .. }) = &record.pending
            && key == of.key
        {
            return Err(Outcome::ChangePending);
        }
        if let Some((recovery_key, _)) = of.recovery {
            if record.safeguards.recovery_key != Some(*recovery_key) {
                return Err(Outcome::NotGuardian);
            }
        } else {
            let guardian = record.safeguards.guardians.iter().position(|guardian| *guardian == of.signer.0);
            let Some(guardian) = guardian else { return Err(Outcome::NotGuardian) };
            // Those that no longer count are forgotten when another one comes.
            record.approvals.retain(|_, (until, _)| *until >= at.time_ms);
            let until = at.time_ms.saturating_add(u64::from(seconds) * 1_000);
            record.approvals.insert(guardian as u8, (until, *of.key));
            let same = record.approvals.values().filter(|(_, key)| key == of.key).count();
            if same < usize::from(record.safeguards.threshold) {
                write(self, of.account);
                return Ok(());
            }
        }
        begin(self, at, of.account, (PlainChange::Key(*of.key), true, seconds))?;
        self.accounts[of.account.0 as usize].closing = false;
        Ok(())
    }
}

fn begin(
    oracle: &mut Oracle,
    at: ChainTime,
    id: AccountId,
    (change, by_recovery, seconds): (PlainChange, bool, u32),
) -> Result<(), Outcome> {
    room(oracle)?;
    let Height(begun) = at.height;
    let due_ms = oracle.due_after(at, seconds);
    let record = &mut oracle.accounts[id.0 as usize].record;
    record.changes += 1;
    record.approvals.clear();
    record.pending = Some(PlainPending { change, by_recovery, begun, due_ms });
    oracle.changing.insert(id);
    write(oracle, id);
    Ok(())
}
