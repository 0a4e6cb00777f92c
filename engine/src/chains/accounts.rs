//! What chains of every kind have: accounts, which are opened and frozen.

use std::sync::Arc;

use crate::execute::{Book, ChainState};
use crate::types::{AccountId, Frozen, Opening, Outcome, Refusal};

/// New accounts, all or none.
pub(super) fn open(book: &mut Book, opening: &Opening<'_>, registrar: usize) -> Outcome {
    let roles = book.state().roles();
    if !roles.registrar.is(opening.registrar) {
        return Outcome::RoleNotHeld;
    }
    if book.state().frozen_at(registrar).debit() {
        return Outcome::DebitFrozen;
    }
    if book.accounts() + opening.accounts.count() as u64 > roles.accounts_cap {
        return Outcome::AccountsCap;
    }
    book.open(opening.accounts.iter().map(|account| account.key));
    Outcome::Applied
}

/// The flags of an account, as its freezer orders. A freezer that is frozen itself can still order, or nobody could
/// ever unfreeze it.
pub(super) fn freeze(book: &mut Book, by: AccountId, account: AccountId, frozen: Frozen) -> Outcome {
    let state = Arc::clone(book.state());
    if state.roles().freezer != Some(by) {
        return Outcome::RoleNotHeld;
    }
    let Some(index) = book.index(account) else { return Outcome::UnknownCredit };
    book.touch(index, state.mutable(index));
    state.set_frozen(index, frozen);
    Outcome::Applied
}

pub(super) fn judge_opening(state: &ChainState, opening: &Opening<'_>) -> Result<(), Refusal> {
    state.roles().registrar.is(opening.registrar).then_some(()).ok_or(Refusal::RoleNotHeld)
}

pub(super) fn judge_freeze(state: &ChainState, by: AccountId, account: AccountId) -> Result<(), Refusal> {
    if state.roles().freezer != Some(by) {
        return Err(Refusal::RoleNotHeld);
    }
    state.index(account).map(|_| ()).ok_or(Refusal::UnknownAccount)
}

/// What is frozen now would most probably fail. Execution decides.
pub(super) fn refuse_frozen(
    state: &ChainState,
    account: AccountId,
    way: fn(Frozen) -> bool,
) -> Result<(), Refusal> {
    match state.frozen(account).ok_or(Refusal::UnknownAccount)? {
        frozen if way(frozen) => Err(Refusal::Frozen),
        _ => Ok(()),
    }
}
