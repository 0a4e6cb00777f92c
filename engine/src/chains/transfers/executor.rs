//! What transactions do with the money of a chain.

use std::sync::Arc;

use super::super::accounts;
use super::reservations;
use crate::execute::{Book, Delivery, Leg, PREFETCH_AHEAD};
use crate::types::{Action, ChainTime, Command, Content, Outcome, PacketRun, Payments};

/// One transaction of the account at `signer`, whose nonce is spent.
#[inline]
pub(super) fn execute(book: &mut Book, at: ChainTime, signer: usize, run: PacketRun<'_>) -> Outcome {
    if run.is_command() || run.is_envelope() {
        return seldom(book, at, signer, run);
    }
    let state = &**book.state();
    let payer = state.mutable(signer);
    if let Err(reason) = payer.flags.debit() {
        return reason;
    }
    let amount = run.amount();
    if run.is_cross() {
        let other = match reservations::has_money(book, run.credit_chain()) {
            Ok(other) => other,
            Err(reason) => return reason,
        };
        if other.asset != state.asset() {
            return Outcome::OtherAsset;
        }
        let Some(left) = payer.balance.checked_sub(amount) else { return Outcome::InsufficientBalance };
        state.set_balance(signer, left);
        return Outcome::Sent;
    }
    let Some(credit) = book.index(run.credit()) else { return Outcome::UnknownCredit };
    if let Err(reason) = state.flags_at(credit).credit() {
        return reason;
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
fn seldom(book: &mut Book, at: ChainTime, signer: usize, run: PacketRun<'_>) -> Outcome {
    let content = run.content().expect("a verified batch has transactions of known kinds");
    let applied = |done: Result<(), Outcome>| done.err().unwrap_or(Outcome::Applied);
    match &content {
        Content::Linked(linked) => pay_all(book, linked.payments, signer),
        Content::Reserve(of) => applied(reservations::reserve(book, at, signer, of)),
        Content::Settle(of) => applied(reservations::settle(book, signer, of)),
        Content::Offer(of) => applied(reservations::offer(book, at, signer, of)),
        Content::Take(of) => reservations::take(book, signer, of).err().unwrap_or(Outcome::Sent),
        _ => accounts::execute(book, at, signer, &content).unwrap_or_else(|| match &content {
            Content::Command(command) => change_issuance(book, command, signer),
            _ => Outcome::OtherKind,
        }),
    }
}

/// The account at `authority` issues or burns.
fn change_issuance(book: &mut Book, command: &Command, authority: usize) -> Outcome {
    let state = Arc::clone(book.state());
    let (roles, before) = (state.roles(), state.mutable(authority));
    if roles.issuer != Some(command.authority) {
        return Outcome::RoleNotHeld;
    }
    if let Err(reason) = before.flags.debit() {
        return reason;
    }
    match command.action {
        Action::Issue { to, amount } => {
            let Some(index) = book.index(to) else { return Outcome::UnknownCredit };
            let payee = state.mutable(index);
            if let Err(reason) = payee.flags.credit() {
                return reason;
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
        _ => unreachable!("the others are for chains of every kind"),
    }
    Outcome::Applied
}

/// The payments of the account at `debit`, all or none.
fn pay_all(book: &mut Book, payments: Payments<'_>, debit: usize) -> Outcome {
    let state = Arc::clone(book.state());
    if let Err(reason) = state.flags_at(debit).debit() {
        return reason;
    }
    for (at, payment) in payments.iter().enumerate() {
        if let Some(coming) = payments.get(at + PREFETCH_AHEAD) {
            state.prefetch(coming.to);
        }
        let Some(index) = book.index(payment.to) else { return Outcome::UnknownCredit };
        if let Err(reason) = state.flags_at(index).credit() {
            return reason;
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

/// What came from another chain. What comes back succeeds always: the account exists, what comes back is taken also by
/// a frozen one, and all that an asset has fits into 64 bits.
pub(super) fn receive(book: &mut Book, Delivery { leg, crossing }: &Delivery) -> Result<(), Outcome> {
    let to = match leg {
        Leg::Credit => crossing.payee,
        Leg::Refund(_) => crossing.payer,
        Leg::Swapped(to) => *to,
        Leg::Take(terms) => return reservations::taken(book, crossing, terms),
    };
    let index = book.index(to).ok_or(Outcome::UnknownCredit)?;
    let before = book.state().mutable(index);
    if *leg == Leg::Credit {
        before.flags.credit()?;
    }
    let balance = before.balance.checked_add(crossing.amount).ok_or(Outcome::CreditOverflow)?;
    book.touch(index, before);
    book.state().set_balance(index, balance);
    Ok(())
}
