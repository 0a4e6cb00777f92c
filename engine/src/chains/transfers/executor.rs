//! What transactions do with the money of a chain.

use std::sync::Arc;

use super::super::accounts::{freeze, open};
use crate::execute::{Book, Leg, PREFETCH_AHEAD};
use crate::types::{AccountId, Action, ChainKind, Command, Content, Outcome, PacketRun, Payments};

/// One transaction of the account at `signer`, whose nonce is spent.
#[inline]
pub(super) fn execute(book: &mut Book, signer: usize, run: PacketRun<'_>) -> Outcome {
    if run.is_command() || run.is_envelope() {
        return seldom(book, signer, run);
    }
    let state = &**book.state();
    let payer = state.mutable(signer);
    if payer.frozen.debit() {
        return Outcome::DebitFrozen;
    }
    let amount = run.amount();
    if run.is_cross() {
        let Some(other) = book.neighbour(run.credit_chain()) else { return Outcome::UnknownCreditChain };
        if other.kind != ChainKind::Transfers {
            return Outcome::OtherKind;
        }
        if other.asset != state.asset() {
            return Outcome::OtherAsset;
        }
        let Some(left) = payer.balance.checked_sub(amount) else { return Outcome::InsufficientBalance };
        state.set_balance(signer, left);
        return Outcome::Sent;
    }
    let Some(credit) = book.index(run.credit()) else { return Outcome::UnknownCredit };
    if state.frozen_at(credit).credit() {
        return Outcome::CreditFrozen;
    }
    let Some(payer_balance) = payer.balance.checked_sub(amount) else { return Outcome::InsufficientBalance };
    if signer == credit {
        return Outcome::Applied;
    }
    let payee = state.mutable(credit);
    let Some(payee_balance) = payee.balance.checked_add(amount) else { return Outcome::CreditOverflow };
    state.set_balance(signer, payer_balance);
    state.set_balance(credit, payee_balance);
    book.touch(credit, payee);
    Outcome::Applied
}

/// Everything but a transfer.
#[cold]
fn seldom(book: &mut Book, signer: usize, run: PacketRun<'_>) -> Outcome {
    match run.content() {
        Ok(Content::Command(command)) => order(book, &command, signer),
        Ok(Content::Linked(linked)) => pay_all(book, linked.payments, signer),
        Ok(Content::Opening(opening)) => open(book, &opening, signer),
        Ok(Content::Attest(_) | Content::Revoke(_)) => Outcome::OtherKind,
        Ok(Content::Transfer(_)) | Err(_) => unreachable!("a verified batch has transactions of known kinds"),
    }
}

/// What the account at `authority` orders.
fn order(book: &mut Book, command: &Command, authority: usize) -> Outcome {
    if let Action::Freeze { account, frozen } = command.action {
        return freeze(book, command.authority, account, frozen);
    }
    let state = Arc::clone(book.state());
    let (roles, before) = (state.roles(), state.mutable(authority));
    if roles.issuer != Some(command.authority) {
        return Outcome::RoleNotHeld;
    }
    if before.frozen.debit() {
        return Outcome::DebitFrozen;
    }
    match command.action {
        Action::Freeze { .. } => unreachable!("it is ordered above"),
        Action::Issue { to, amount } => {
            let Some(index) = book.index(to) else { return Outcome::UnknownCredit };
            let payee = state.mutable(index);
            if payee.frozen.credit() {
                return Outcome::CreditFrozen;
            }
            let Some(issuance) = book.issuance().issue(amount, roles.issuance_cap) else {
                return Outcome::IssuanceCap;
            };
            let Some(balance) = payee.balance.checked_add(amount) else { return Outcome::CreditOverflow };
            book.touch(index, payee);
            state.set_balance(index, balance);
            book.set_issuance(issuance);
        }
        Action::Burn { amount } => {
            let Some(balance) = before.balance.checked_sub(amount) else {
                return Outcome::InsufficientBalance;
            };
            let Some(issuance) = book.issuance().burn(amount) else { return Outcome::IssuanceCap };
            state.set_balance(authority, balance);
            book.set_issuance(issuance);
        }
    }
    Outcome::Applied
}

/// The payments of the account at `debit`, all or none.
fn pay_all(book: &mut Book, payments: Payments<'_>, debit: usize) -> Outcome {
    let state = Arc::clone(book.state());
    if state.frozen_at(debit).debit() {
        return Outcome::DebitFrozen;
    }
    for (at, payment) in payments.iter().enumerate() {
        if let Some(coming) = payments.get(at + PREFETCH_AHEAD) {
            state.prefetch(coming.to);
        }
        match book.index(payment.to) {
            None => return Outcome::UnknownCredit,
            Some(index) if state.frozen_at(index).credit() => return Outcome::CreditFrozen,
            Some(_) => {}
        }
    }
    let payer = state.mutable(debit).balance;
    let left = u64::try_from(payments.total()).ok().and_then(|total| payer.checked_sub(total));
    let Some(left) = left else { return Outcome::InsufficientBalance };
    state.set_balance(debit, left);
    for (made, payment) in payments.iter().enumerate() {
        let index = book.index(payment.to).expect("looked at above");
        let payee = state.mutable(index);
        let Some(balance) = payee.balance.checked_add(payment.amount) else {
            // Those who were paid give it back, so nobody was paid.
            for payment in payments.iter().take(made) {
                let index = book.index(payment.to).expect("it was paid");
                state.set_balance(index, state.mutable(index).balance - payment.amount);
            }
            state.set_balance(debit, payer);
            return Outcome::CreditOverflow;
        };
        book.touch(index, payee);
        state.set_balance(index, balance);
    }
    Outcome::Applied
}

/// What came from another chain. A refund succeeds always: the payer's account exists, what comes back is taken also by
/// a frozen one, and all that an asset has fits into 64 bits.
pub(super) fn credit(book: &mut Book, leg: Leg, to: AccountId, amount: u64) -> Result<(), Outcome> {
    let index = book.index(to).ok_or(Outcome::UnknownCredit)?;
    let before = book.state().mutable(index);
    if leg == Leg::Credit && before.frozen.credit() {
        return Err(Outcome::CreditFrozen);
    }
    let balance = before.balance.checked_add(amount).ok_or(Outcome::CreditOverflow)?;
    book.touch(index, before);
    book.state().set_balance(index, balance);
    Ok(())
}
