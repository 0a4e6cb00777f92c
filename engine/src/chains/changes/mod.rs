//! Changes of accounts: other keys, other safeguards, and closing. Each waits in a lock window, in which the account's
//! own key can cancel it, and takes effect at the beginning of the first block that is late enough.
//!
//! ```text
//! rekey, close         own key                  ─┐ one at a time   ┌─ due ──▶ settle: another key, closed, ..
//! protect              own key                  ─┼────────────────▶│
//! recover              k of n guardians, or     ─┘ takes the place └─ cancel, by the own key; or dropped, frozen
//!                      the recovery key            of the first two
//! ```
//!
//! `docs/ACCOUNTS.md` has the rules.

mod oracle;

use std::sync::Arc;

pub(crate) use self::oracle::{
    PlainRecord, restore_clock, restore_keys, restore_old_key, restore_record, settle_plainly,
};

use super::transfers::release;
use crate::execute::Book;
use crate::types::{
    AccountFlags, AccountId, AccountRecord, Approval, ChainTime, Change, Effect, LockWindows, Outcome,
    Pending, Protect, Recover, Rekey,
};

/// For so many heights after an account has begun to close, a payment of its own may come back from another chain.
pub(crate) const SETTLED_AFTER: u64 = 3;

/// The changes that are due take effect, and reservations whose time is over end.
pub(crate) fn settle(book: &mut Book, at: ChainTime) {
    if !book.is_waiting() {
        return;
    }
    let clock = book.clock().at(at.time_ms);
    book.set_clock(clock);
    for account in book.due(clock.now_ms, at.height, SETTLED_AFTER) {
        let mut record = book.record(account);
        let pending = record.pending.take().expect("what is due is pending");
        let index = book.index(account).expect("an account that changes exists");
        let flags = book.state().flags_at(index);
        let what = pending.change.what();
        // While it is frozen its owner could not cancel: what its own key has begun does not take effect. What
        // guardians have said since counts on.
        let stands = if flags.frozen().debit() && !pending.by_recovery {
            set_flags(book, index, flags.with_closing(false));
            false
        } else {
            record.approvals.clear();
            match pending.change {
                Change::Key(key) => {
                    book.set_key(account, key, (record.key_since, at.height));
                    record.key_since = at.height;
                    true
                }
                Change::Safeguards(safeguards) => {
                    record.safeguards = safeguards;
                    true
                }
                Change::Close => close_for_good(book, index),
            }
        };
        book.set_record(account, &record);
        book.note(Effect::Changed { account, change: record.changes, what, stands });
    }
    release(book, clock.now_ms);
}

/// Whether it is closed: a refund may have come since it was empty, and then it stays open.
fn close_for_good(book: &mut Book, index: usize) -> bool {
    let before = book.state().mutable(index);
    let is_empty = before.balance == 0;
    let after = match is_empty {
        true => AccountFlags::CLOSED.with_frozen(before.flags.frozen()),
        false => before.flags.with_closing(false),
    };
    set_flags(book, index, after);
    is_empty
}

pub(super) fn rekey(book: &mut Book, at: ChainTime, signer: usize, rekey: &Rekey<'_>) -> Result<(), Outcome> {
    book.state().flags_at(signer).debit()?;
    let record = unchanging(book, rekey.account)?;
    let seconds = book.state().roles().windows.rekey_seconds;
    begin(book, at, rekey.account, record, (Change::Key(*rekey.key), false, seconds))
}

pub(super) fn protect(
    book: &mut Book,
    at: ChainTime,
    signer: usize,
    protect: &Protect<'_>,
) -> Result<(), Outcome> {
    book.state().flags_at(signer).debit()?;
    let safeguards = protect.safeguards.get();
    for guardian in &safeguards.guardians {
        let index = book.index(*guardian).ok_or(Outcome::UnknownCredit)?;
        if book.state().flags_at(index).is_closed() {
            return Err(Outcome::CreditClosed);
        }
    }
    let record = unchanging(book, protect.account)?;
    let LockWindows { rekey_seconds, recovery_seconds } = book.state().roles().windows;
    let seconds = if record.safeguards.is_none() { rekey_seconds } else { recovery_seconds };
    begin(book, at, protect.account, record, (Change::Safeguards(safeguards), false, seconds))
}

pub(super) fn close(
    book: &mut Book,
    at: ChainTime,
    signer: usize,
    account: AccountId,
) -> Result<(), Outcome> {
    let state = Arc::clone(book.state());
    let flags = state.flags_at(signer);
    flags.debit()?;
    if state.roles().are_held_by(account) || book.governance().is_some_and(|of| of.needs(account)) {
        return Err(Outcome::RoleHeld);
    }
    if state.mutable(signer).balance > 0 || book.reservations_of(account) > 0 {
        return Err(Outcome::NotEmpty);
    }
    let record = unchanging(book, account)?;
    begin(book, at, account, record, (Change::Close, false, state.roles().windows.rekey_seconds))?;
    set_flags(book, signer, flags.with_closing(true));
    Ok(())
}

pub(super) fn cancel(
    book: &mut Book,
    signer: usize,
    (account, change): (AccountId, u64),
) -> Result<(), Outcome> {
    let flags = book.state().flags_at(signer);
    // A closing account can say that it stays; a thief of the key of a frozen one cannot keep its owner out.
    flags.with_closing(false).debit()?;
    let mut record = book.record(account);
    if record.changes != change || record.pending.take().is_none() {
        return Err(Outcome::UnknownChange);
    }
    set_flags(book, signer, flags.with_closing(false));
    book.set_record(account, &record);
    Ok(())
}

pub(super) fn recover(
    book: &mut Book,
    at: ChainTime,
    signer: usize,
    recover: &Recover<'_>,
) -> Result<(), Outcome> {
    let Recover { account, signer: by, changes, key, recovery, .. } = *recover;
    let state = Arc::clone(book.state());
    state.flags_at(signer).debit()?;
    let index = book.index(account).ok_or(Outcome::UnknownCredit)?;
    let flags = state.flags_at(index);
    if flags.is_closed() {
        return Err(Outcome::CreditClosed);
    }
    let mut record = book.record(account);
    if record.changes != changes {
        return Err(Outcome::UnknownChange);
    }
    // Who has lost a recovery key, or the trust in guardians, can name others. A thief of the account's own key, who
    // could hold up its guardians with that, is stopped by the freezer.
    let renames = matches!(&record.pending, Some(Pending { change: Change::Safeguards(_), .. }));
    // Who helps twice does not begin the window anew.
    let same = Change::Key(*key);
    let again = record.pending.as_ref().is_some_and(|pending| pending.by_recovery && pending.change == same);
    if again || (renames && !flags.frozen().debit()) {
        return Err(Outcome::ChangePending);
    }
    let seconds = state.roles().windows.recovery_seconds;
    let safeguards = &record.safeguards;
    let enough = match recovery {
        Some((recovery_key, _)) => {
            (safeguards.recovery_key == Some(*recovery_key)).then_some(true).ok_or(Outcome::NotGuardian)?
        }
        None => {
            let guardian = safeguards.guardians.iter().position(|guardian| *guardian == by);
            let guardian = guardian.ok_or(Outcome::NotGuardian)? as u8;
            record.approvals.retain(|other| other.guardian != guardian && other.until_ms >= at.time_ms);
            record.approvals.push(Approval { guardian, until_ms: at.after(seconds), key: *key });
            record.approvals.sort_by_key(|approval| approval.guardian);
            let same = record.approvals.iter().filter(|approval| approval.key == *key).count();
            same >= usize::from(record.safeguards.threshold)
        }
    };
    if !enough {
        book.set_record(account, &record);
        return Ok(());
    }
    begin(book, at, account, record, (Change::Key(*key), true, seconds))?;
    if flags.is_closing() {
        set_flags(book, index, flags.with_closing(false));
    }
    Ok(())
}

/// The record of an account without a change in its lock window.
fn unchanging(book: &Book, account: AccountId) -> Result<AccountRecord, Outcome> {
    let record = book.record(account);
    if record.pending.is_some() { Err(Outcome::ChangePending) } else { Ok(record) }
}

/// A change begins its lock window, and takes the place of another one.
fn begin(
    book: &mut Book,
    at: ChainTime,
    account: AccountId,
    mut record: AccountRecord,
    (change, by_recovery, seconds): (Change, bool, u32),
) -> Result<(), Outcome> {
    room(book)?;
    let due_ms = book.due_after(at, seconds);
    record.changes += 1;
    record.approvals.clear();
    record.pending = Some(Pending { change, by_recovery, begun: at.height, due_ms });
    book.set_record(account, &record);
    Ok(())
}

fn room(book: &Book) -> Result<(), Outcome> {
    if book.has_room() { Ok(()) } else { Err(Outcome::ChainFull) }
}

fn set_flags(book: &mut Book, index: usize, flags: AccountFlags) {
    book.touch(index, book.state().mutable(index));
    book.state().set_flags(index, flags);
}

#[cfg(test)]
pub(crate) mod tests;
