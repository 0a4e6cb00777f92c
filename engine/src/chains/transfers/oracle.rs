//! The definition of the kind, in the plainest words.

mod reserved;

use std::collections::BTreeMap;

pub(super) use self::reserved::restore;
pub(crate) use self::reserved::{PlainReservation, release_plainly};

use crate::execute::oracle::Oracle;
use crate::execute::{Crossing, Delivery, Leg};
use crate::types::{AccountId, Action, ChainId, ChainTime, Command, Content, Linked, Outcome, Transfer};

/// One transaction, once its nonce is spent.
pub(super) fn execute(oracle: &mut Oracle, at: ChainTime, content: &Content<'_>) -> Outcome {
    match content {
        Content::Transfer(of) => transfer(oracle, of),
        Content::Linked(of) => linked(oracle, of),
        Content::Reserve(of) => applied(reserved::reserve(oracle, at, of)),
        Content::Settle(of) => applied(reserved::settle(oracle, of)),
        Content::Offer(of) => applied(reserved::offer(oracle, at, of)),
        Content::Take(of) => match reserved::take(oracle, of) {
            Ok(()) => Outcome::Sent,
            Err(reason) => reason,
        },
        Content::Command(Command { authority, action: Action::Issue { to, amount }, .. }) => {
            issue(oracle, *authority, *to, *amount)
        }
        Content::Command(Command { authority, action: Action::Burn { amount }, .. }) => {
            burn(oracle, *authority, *amount)
        }
        _ => oracle.common(at, content).unwrap_or(Outcome::OtherKind),
    }
}

fn applied(done: Result<(), Outcome>) -> Outcome {
    match done {
        Ok(()) => Outcome::Applied,
        Err(reason) => reason,
    }
}

/// What came from another chain.
pub(super) fn deliver(oracle: &mut Oracle, delivery: &Delivery) -> Outcome {
    let Crossing { payer, payee, amount, .. } = delivery.crossing;
    let to = match delivery.leg {
        Leg::Credit => payee,
        Leg::Refund(_) => payer,
        Leg::Swapped(to) => to,
        Leg::Take(terms) => return applied(reserved::taken(oracle, &delivery.crossing, &terms)),
    };
    let Some(account) = oracle.accounts.get_mut(to.0 as usize) else { return Outcome::UnknownCredit };
    // What comes back is taken by a frozen or closing account, too.
    if let (Leg::Credit, Err(reason)) = (delivery.leg, account.may_receive()) {
        return reason;
    }
    if account.balance + u128::from(amount) > u128::from(u64::MAX) {
        return Outcome::CreditOverflow;
    }
    account.balance += u128::from(amount);
    Outcome::Applied
}

/// A payment, once the nonce is spent.
fn transfer(oracle: &mut Oracle, transfer: &Transfer) -> Outcome {
    let accounts = oracle.accounts.len() as u64;
    if let Err(reason) = oracle.accounts[transfer.debit.0 as usize].may_pay() {
        return reason;
    }
    if let Some(chain) = transfer.credit_chain {
        return send(oracle, transfer, chain);
    }
    if transfer.credit.0 >= accounts {
        return Outcome::UnknownCredit;
    }
    if let Err(reason) = oracle.accounts[transfer.credit.0 as usize].may_receive() {
        return reason;
    }
    let (debit, credit) = (transfer.debit.0 as usize, transfer.credit.0 as usize);
    let amount = u128::from(transfer.amount);
    if oracle.accounts[debit].balance < amount {
        return Outcome::InsufficientBalance;
    }
    if debit != credit && oracle.accounts[credit].balance + amount > u128::from(u64::MAX) {
        return Outcome::CreditOverflow;
    }
    oracle.accounts[debit].balance -= amount;
    oracle.accounts[credit].balance += amount;
    Outcome::Applied
}

/// The debit of a payment to another chain, once the nonce is spent.
fn send(oracle: &mut Oracle, transfer: &Transfer, to: ChainId) -> Outcome {
    let own = oracle.others[&oracle.chain()];
    match oracle.others.get(&to) {
        None => return Outcome::UnknownCreditChain,
        Some((kind, _)) if *kind != own.0 => return Outcome::OtherKind,
        Some((_, asset)) if *asset != own.1 => return Outcome::OtherAsset,
        Some(_) => {}
    }
    let payer = &mut oracle.accounts[transfer.debit.0 as usize];
    if payer.balance < u128::from(transfer.amount) {
        return Outcome::InsufficientBalance;
    }
    payer.balance -= u128::from(transfer.amount);
    Outcome::Sent
}

/// Payments of one payer, all or none, once the nonce is spent. They are made one after the other on a copy, which
/// counts only if none fails.
fn linked(oracle: &mut Oracle, linked: &Linked<'_>) -> Outcome {
    let payer = linked.debit.0 as usize;
    if let Err(reason) = oracle.accounts[payer].may_pay() {
        return reason;
    }
    for payment in linked.payments.iter() {
        let Some(payee) = oracle.accounts.get(payment.to.0 as usize) else { return Outcome::UnknownCredit };
        if let Err(reason) = payee.may_receive() {
            return reason;
        }
    }
    let total: u128 = linked.payments.iter().map(|payment| u128::from(payment.amount)).sum();
    if oracle.accounts[payer].balance < total {
        return Outcome::InsufficientBalance;
    }
    let mut balances: BTreeMap<usize, u128> = BTreeMap::new();
    balances.insert(payer, oracle.accounts[payer].balance - total);
    for payment in linked.payments.iter() {
        let payee = payment.to.0 as usize;
        let balance = balances.entry(payee).or_insert(oracle.accounts[payee].balance);
        *balance += u128::from(payment.amount);
        if *balance > u128::from(u64::MAX) {
            return Outcome::CreditOverflow;
        }
    }
    for (account, balance) in balances {
        oracle.accounts[account].balance = balance;
    }
    Outcome::Applied
}

/// New money, once the nonce is spent.
fn issue(oracle: &mut Oracle, by: AccountId, to: AccountId, amount: u64) -> Outcome {
    if oracle.is.roles.issuer != Some(by) {
        return Outcome::RoleNotHeld;
    }
    if let Err(reason) = oracle.accounts[by.0 as usize].may_pay() {
        return reason;
    }
    let Some(payee) = oracle.accounts.get_mut(to.0 as usize) else { return Outcome::UnknownCredit };
    if let Err(reason) = payee.may_receive() {
        return reason;
    }
    let (amount, issued, burned) = (u128::from(amount), oracle.issued, oracle.burned);
    let outstanding = issued + amount <= burned + u128::from(oracle.is.roles.issuance_cap);
    if !outstanding || issued + amount > u128::from(u64::MAX) {
        return Outcome::IssuanceCap;
    }
    if payee.balance + amount > u128::from(u64::MAX) {
        return Outcome::CreditOverflow;
    }
    payee.balance += amount;
    oracle.issued += amount;
    Outcome::Applied
}

/// Money ceases to exist, once the nonce is spent.
fn burn(oracle: &mut Oracle, by: AccountId, amount: u64) -> Outcome {
    if oracle.is.roles.issuer != Some(by) {
        return Outcome::RoleNotHeld;
    }
    let (own, amount) = (&mut oracle.accounts[by.0 as usize], u128::from(amount));
    if let Err(reason) = own.may_pay() {
        return reason;
    }
    if own.balance < amount {
        return Outcome::InsufficientBalance;
    }
    if oracle.burned + amount > u128::from(u64::MAX) {
        return Outcome::IssuanceCap;
    }
    own.balance -= amount;
    oracle.burned += amount;
    Outcome::Applied
}
