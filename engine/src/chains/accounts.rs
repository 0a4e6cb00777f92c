//! What chains of every kind have: accounts, which are opened and frozen, and whose keys change.

use std::sync::Arc;

use super::changes::{cancel, close, protect, recover, rekey};
use crate::execute::{Book, ChainState};
use crate::types::{
    AccountFlags, AccountId, Action, ChainTime, Command, Content, Frozen, Opening, Outcome, Refusal,
};

/// What a transaction does that chains of every kind know; `None` if it is another one.
pub(super) fn execute(
    book: &mut Book,
    at: ChainTime,
    signer: usize,
    content: &Content<'_>,
) -> Option<Outcome> {
    let done = match content {
        Content::Opening(opening) => open(book, opening, signer),
        Content::Command(Command { authority, action, .. }) => match *action {
            Action::Freeze { account, frozen } => freeze(book, *authority, account, frozen),
            Action::Close => close(book, at, signer, *authority),
            Action::Cancel { change } => cancel(book, signer, (*authority, change)),
            Action::Issue { .. } | Action::Burn { .. } => return None,
        },
        Content::Rekey(of) => rekey(book, at, signer, of),
        Content::Protect(of) => protect(book, at, signer, of),
        Content::Recover(of) => recover(book, at, signer, of),
        Content::Transfer(_)
        | Content::Linked(_)
        | Content::Attest(_)
        | Content::Revoke(_)
        | Content::Propose(_)
        | Content::Approve(_)
        | Content::Reserve(_)
        | Content::Settle(_)
        | Content::Offer(_)
        | Content::Take(_) => return None,
    };
    Some(done.err().unwrap_or(Outcome::Applied))
}

/// Why it would fail, as far as that is cheap to see; `None` if it is another one.
pub(super) fn judge(state: &ChainState, content: &Content<'_>) -> Option<Result<(), Refusal>> {
    Some(match content {
        Content::Opening(opening) => judge_opening(state, opening),
        Content::Command(Command { authority, action, .. }) => match *action {
            Action::Freeze { account, .. } => judge_freeze(state, *authority, account),
            Action::Close => refuse(state, *authority, AccountFlags::debit),
            Action::Cancel { .. } => refuse(state, *authority, |of| of.with_closing(false).debit()),
            Action::Issue { .. } | Action::Burn { .. } => return None,
        },
        Content::Rekey(of) => refuse(state, of.account, AccountFlags::debit),
        Content::Protect(of) => refuse(state, of.account, AccountFlags::debit),
        Content::Recover(of) => refuse(state, of.signer, AccountFlags::debit)
            .and_then(|()| state.index(of.account).map(|_| ()).ok_or(Refusal::UnknownAccount)),
        Content::Transfer(_)
        | Content::Linked(_)
        | Content::Attest(_)
        | Content::Revoke(_)
        | Content::Propose(_)
        | Content::Approve(_)
        | Content::Reserve(_)
        | Content::Settle(_)
        | Content::Offer(_)
        | Content::Take(_) => return None,
    })
}

/// New accounts, all or none.
fn open(book: &mut Book, opening: &Opening<'_>, registrar: usize) -> Result<(), Outcome> {
    let roles = book.state().roles();
    if !roles.registrar.is(opening.registrar) {
        return Err(Outcome::RoleNotHeld);
    }
    book.state().flags_at(registrar).debit()?;
    if book.accounts() + opening.accounts.count() as u64 > roles.accounts_cap {
        return Err(Outcome::AccountsCap);
    }
    book.open(opening.accounts.iter().map(|account| account.key));
    Ok(())
}

/// The flags of an account, as its freezer orders. A freezer that is frozen itself can still order, or nobody could
/// ever unfreeze it.
fn freeze(book: &mut Book, by: AccountId, account: AccountId, frozen: Frozen) -> Result<(), Outcome> {
    let state = Arc::clone(book.state());
    if state.roles().freezer != Some(by) {
        return Err(Outcome::RoleNotHeld);
    }
    let index = book.index(account).ok_or(Outcome::UnknownCredit)?;
    let before = state.mutable(index);
    if before.flags.is_closed() {
        return Err(Outcome::CreditClosed);
    }
    book.touch(index, before);
    state.set_flags(index, before.flags.with_frozen(frozen));
    Ok(())
}

fn judge_opening(state: &ChainState, opening: &Opening<'_>) -> Result<(), Refusal> {
    state.roles().registrar.is(opening.registrar).then_some(()).ok_or(Refusal::RoleNotHeld)
}

fn judge_freeze(state: &ChainState, by: AccountId, account: AccountId) -> Result<(), Refusal> {
    if state.roles().freezer != Some(by) {
        return Err(Refusal::RoleNotHeld);
    }
    state.index(account).map(|_| ()).ok_or(Refusal::UnknownAccount)
}

/// What is frozen or closed now would most probably fail. Execution decides.
pub(super) fn refuse(
    state: &ChainState,
    account: AccountId,
    way: fn(AccountFlags) -> Result<(), Outcome>,
) -> Result<(), Refusal> {
    way(state.flags(account).ok_or(Refusal::UnknownAccount)?).map_err(|reason| match reason {
        Outcome::DebitClosed | Outcome::CreditClosed => Refusal::AccountClosed,
        _ => Refusal::Frozen,
    })
}
