//! What transactions do with money that is set aside, and what becomes of it when its time is over.
//!
//! ```text
//! reserve ─▶ open ─┬─ settle, by the settler ─▶ the payee has a part or all of it, the payer the rest
//!                  ├─ settle with 0, by settler or payee ─▶ the payer has it
//!                  └─ time over ─▶ the payer has it
//! offer ───▶ open ─┬─ take, from another chain ─▶ the taker has it; the price goes on to the offerer's account there
//!                  ├─ settle with 0, by the payer ─▶ the payer has it
//!                  └─ time over ─▶ the payer has it
//! ```

use std::sync::Arc;

use crate::execute::{Book, Crossing, Neighbour};
use crate::types::{
    AccountId, ChainId, ChainKind, ChainStatus, ChainTime, Effect, Offer, Outcome, Purpose, Reservation,
    ReservationId, Reserve, Settle, Take, Terms,
};

/// The account at `payer` sets money aside for a payment.
pub(super) fn reserve(book: &mut Book, at: ChainTime, payer: usize, of: &Reserve<'_>) -> Result<(), Outcome> {
    book.state().flags_at(payer).debit()?;
    let payee = book.index(of.payee).ok_or(Outcome::UnknownCredit)?;
    book.state().flags_at(payee).credit()?;
    let settler = book.index(of.settler).ok_or(Outcome::UnknownCredit)?;
    if book.state().flags_at(settler).is_closed() {
        return Err(Outcome::CreditClosed);
    }
    let purpose = Purpose::Payment { payee: of.payee, settler: of.settler };
    set_aside(book, at, payer, (of.id(), of.amount, of.seconds, purpose))
}

/// The account at `payer` sets money aside for who pays a price on another chain.
pub(super) fn offer(book: &mut Book, at: ChainTime, payer: usize, of: &Offer<'_>) -> Result<(), Outcome> {
    book.state().flags_at(payer).debit()?;
    has_money(book, of.price.chain)?;
    set_aside(book, at, payer, (of.id(), of.amount, of.seconds, Purpose::Swap(of.price)))
}

fn set_aside(
    book: &mut Book,
    at: ChainTime,
    payer: usize,
    (id, amount, seconds, purpose): (ReservationId, u64, u32, Purpose),
) -> Result<(), Outcome> {
    book.may_reserve(id.payer)?;
    let left = book.state().mutable(payer).balance.checked_sub(amount).ok_or(Outcome::InsufficientBalance)?;
    book.state().set_balance(payer, left);
    let due_ms = book.due_after(at, seconds);
    book.reserve(id, &Reservation { amount, due_ms, purpose });
    Ok(())
}

/// What was set aside is paid or given back, as the account at `signer` says.
pub(super) fn settle(book: &mut Book, signer: usize, of: &Settle<'_>) -> Result<(), Outcome> {
    let state = Arc::clone(book.state());
    let (by, id, amount) = (of.envelope.signer, of.reservation, of.amount);
    state.flags_at(signer).debit()?;
    let found @ Reservation { amount: reserved, purpose, .. } = open(book, id)?;
    if of.payee != found.payee(id) {
        return Err(Outcome::OtherTerms);
    }
    match purpose {
        Purpose::Payment { settler, .. } if by == settler => {}
        Purpose::Payment { payee, .. } if by == payee && amount == 0 => {}
        Purpose::Swap(_) if by == id.payer && amount == 0 => {}
        _ => return Err(Outcome::MayNotSettle),
    }
    let rest = reserved.checked_sub(amount).ok_or(Outcome::MoreThanReserved)?;
    if let (Purpose::Payment { payee, .. }, 1..) = (purpose, amount) {
        let payer = book.index(id.payer).expect("who reserved is an account");
        state.flags_at(payer).debit()?;
        let index = book.index(payee).expect("who was to be paid is an account");
        state.flags_at(index).credit()?;
        credit(book, payee, amount);
    }
    credit(book, id.payer, rest);
    book.end(id);
    Ok(())
}

/// The account at `payer` pays the price of an offer on another chain, which decides.
pub(super) fn take(book: &mut Book, payer: usize, of: &Take<'_>) -> Result<(), Outcome> {
    let before = book.state().mutable(payer);
    before.flags.debit()?;
    has_money(book, of.chain)?;
    let to = book.index(of.terms.to).ok_or(Outcome::UnknownCredit)?;
    book.state().flags_at(to).credit()?;
    let left = before.balance.checked_sub(of.price).ok_or(Outcome::InsufficientBalance)?;
    book.state().set_balance(payer, left);
    Ok(())
}

/// The price of an offer of this chain has come: the account that the taker names has what was offered, or not.
pub(super) fn taken(book: &mut Book, crossing: &Crossing, terms: &Terms) -> Result<(), Outcome> {
    // Money that is set aside rests where the chain rests.
    match book.state().status() {
        ChainStatus::Active => {}
        ChainStatus::Paused => return Err(Outcome::ChainPaused),
        ChainStatus::Closed => return Err(Outcome::ChainClosed),
    }
    let offer = open(book, terms.offer)?;
    let Purpose::Swap(price) = offer.purpose else { return Err(Outcome::NotReserved) };
    let paid = (crossing.source, crossing.amount, terms.to, terms.amount);
    if paid != (price.chain, price.amount, price.to, offer.amount) {
        return Err(Outcome::OtherTerms);
    }
    if price.taker.is_some_and(|taker| taker != crossing.payer) {
        return Err(Outcome::MayNotSettle);
    }
    let payer = book.index(terms.offer.payer).expect("who reserved is an account");
    book.state().flags_at(payer).debit()?;
    let payee = book.index(crossing.payee).ok_or(Outcome::UnknownCredit)?;
    book.state().flags_at(payee).credit()?;
    credit(book, crossing.payee, offer.amount);
    book.end(terms.offer);
    Ok(())
}

/// The reservations whose time is over end, and their payers have the money back.
pub(in crate::chains) fn release(book: &mut Book, now_ms: u64) {
    for id in book.over(now_ms) {
        let Reservation { amount, .. } = book.end(id);
        credit(book, id.payer, amount);
        book.note(Effect::Released { payer: id.payer, nonce: id.nonce, amount });
    }
}

/// A reservation whose time is not over. More may be over than a block gives back.
fn open(book: &Book, id: ReservationId) -> Result<Reservation, Outcome> {
    let reservation = book.reservation(id).filter(|of| of.due_ms > book.clock().now_ms);
    reservation.ok_or(Outcome::NotReserved)
}

/// Another chain, if money can be sent there.
#[inline]
pub(super) fn has_money(book: &Book, chain: ChainId) -> Result<Neighbour, Outcome> {
    let other = book.neighbour(chain).ok_or(Outcome::UnknownCreditChain)?;
    (other.kind == ChainKind::Transfers).then_some(other).ok_or(Outcome::OtherKind)
}

/// An account has more. Its flags do not matter: it is paid what it was promised, or has back what it had set aside.
fn credit(book: &mut Book, to: AccountId, amount: u64) {
    let index = book.index(to).expect("it was looked at");
    let before = book.state().mutable(index);
    let balance = before.balance.checked_add(amount).expect("all money of an asset fits into 64 bits");
    book.touch(index, before);
    book.state().set_balance(index, balance);
}
