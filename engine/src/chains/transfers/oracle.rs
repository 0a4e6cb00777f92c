//! The definition of the kind, in the plainest words.

use std::collections::BTreeMap;

use crate::execute::oracle::Oracle;
use crate::execute::{Crossing, Delivery, Leg};
use crate::types::{Action, ChainId, Command, Content, Linked, Outcome, Transfer};

/// One transaction, once its nonce is spent.
pub(super) fn execute(oracle: &mut Oracle, content: &Content<'_>) -> Outcome {
    match content {
        Content::Transfer(of) => transfer(oracle, of),
        Content::Command(of) => command(oracle, of),
        Content::Linked(of) => linked(oracle, of),
        Content::Opening(of) => oracle.open(of),
        Content::Attest(_) | Content::Revoke(_) => Outcome::OtherKind,
    }
}

/// What came from another chain.
pub(super) fn deliver(oracle: &mut Oracle, delivery: &Delivery) -> Outcome {
    let Crossing { payer, payee, amount, .. } = delivery.crossing;
    let to = match delivery.leg {
        Leg::Credit => payee,
        Leg::Refund(_) => payer,
    };
    let Some(account) = oracle.accounts.get_mut(to.0 as usize) else { return Outcome::UnknownCredit };
    // What comes back is taken by a frozen account, too.
    if account.credit_frozen && delivery.leg == Leg::Credit {
        return Outcome::CreditFrozen;
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
    if oracle.accounts[transfer.debit.0 as usize].debit_frozen {
        return Outcome::DebitFrozen;
    }
    if let Some(chain) = transfer.credit_chain {
        return send(oracle, transfer, chain);
    }
    if transfer.credit.0 >= accounts {
        return Outcome::UnknownCredit;
    }
    if oracle.accounts[transfer.credit.0 as usize].credit_frozen {
        return Outcome::CreditFrozen;
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
    if oracle.accounts[payer].debit_frozen {
        return Outcome::DebitFrozen;
    }
    for payment in linked.payments.iter() {
        match oracle.accounts.get(payment.to.0 as usize) {
            None => return Outcome::UnknownCredit,
            Some(payee) if payee.credit_frozen => return Outcome::CreditFrozen,
            Some(_) => {}
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

/// What an authority orders, once the nonce is spent.
fn command(oracle: &mut Oracle, command: &Command) -> Outcome {
    let by = command.authority;
    if let Action::Freeze { account, frozen } = command.action {
        return oracle.freeze(by, account, frozen);
    }
    if oracle.roles.issuer != Some(by) {
        return Outcome::RoleNotHeld;
    }
    let (issued, burned, frozen) =
        (oracle.issued, oracle.burned, oracle.accounts[by.0 as usize].debit_frozen);
    match command.action {
        Action::Issue { to, amount } => {
            if frozen {
                return Outcome::DebitFrozen;
            }
            let Some(payee) = oracle.accounts.get_mut(to.0 as usize) else { return Outcome::UnknownCredit };
            if payee.credit_frozen {
                return Outcome::CreditFrozen;
            }
            let amount = u128::from(amount);
            let outstanding = issued + amount <= burned + u128::from(oracle.roles.issuance_cap);
            if !outstanding || issued + amount > u128::from(u64::MAX) {
                return Outcome::IssuanceCap;
            }
            if payee.balance + amount > u128::from(u64::MAX) {
                return Outcome::CreditOverflow;
            }
            payee.balance += amount;
            oracle.issued += amount;
        }
        Action::Burn { amount } => {
            if frozen {
                return Outcome::DebitFrozen;
            }
            let (own, amount) = (&mut oracle.accounts[by.0 as usize], u128::from(amount));
            if own.balance < amount {
                return Outcome::InsufficientBalance;
            }
            if burned + amount > u128::from(u64::MAX) {
                return Outcome::IssuanceCap;
            }
            own.balance -= amount;
            oracle.burned += amount;
        }
        Action::Freeze { .. } => unreachable!("it is ordered above"),
    }
    Outcome::Applied
}
