//! The definition of money that is set aside, in the plainest words.

use std::collections::BTreeSet;

use crate::execute::Crossing;
use crate::execute::oracle::{About, Fault, Fields, Oracle, UNKNOWN_ROW};
use crate::limits::{CHAIN_RESERVATIONS_MAX, RELEASES_MAX, RESERVATIONS_MAX};
use crate::types::{
    AccountId, ChainId, ChainKind, ChainStatus, ChainTime, Effect, Offer, Outcome, Reserve, Settle, Take,
    Terms,
};

/// Money that an account has set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlainReservation {
    amount: u64,
    due_ms: u64,
    purpose: PlainPurpose,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PlainPurpose {
    /// For the payee, as much as the settler says.
    Payment { payee: u64, settler: u64 },
    /// For who pays so much to this account of another chain.
    Swap { chain: u32, price: u64, to: u64, taker: Option<u64> },
}

impl PlainReservation {
    /// How much.
    pub(crate) fn amount(&self) -> u64 {
        self.amount
    }

    /// When its payer has it back, by the lock clock.
    pub(crate) fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// amount | due | 1 | payee | settler, or: amount | due | 2 | chain | price | to | 1 with a taker | taker
    fn value(&self) -> Vec<u8> {
        let mut value = self.amount.to_le_bytes().to_vec();
        value.extend(self.due_ms.to_le_bytes());
        match self.purpose {
            PlainPurpose::Payment { payee, settler } => {
                value.push(1);
                value.extend((payee as u32).to_le_bytes());
                value.extend((settler as u32).to_le_bytes());
            }
            PlainPurpose::Swap { chain, price, to, taker } => {
                value.push(2);
                value.extend(chain.to_le_bytes());
                value.extend(price.to_le_bytes());
                value.extend((to as u32).to_le_bytes());
                value.push(u8::from(taker.is_some()));
                value.extend((taker.unwrap_or(0) as u32).to_le_bytes());
            }
        }
        value
    }
}

impl PlainReservation {
    fn read(value: &[u8]) -> Option<Self> {
        let mut fields = Fields(value);
        let (amount, due_ms) = (fields.number()?, fields.number()?);
        let purpose = match fields.byte()? {
            1 => PlainPurpose::Payment { payee: fields.small()?.into(), settler: fields.small()?.into() },
            2 => {
                let (chain, price, to) = (fields.small()?, fields.number()?, fields.small()?);
                let (has_taker, taker) = (fields.byte()? == 1, fields.small()?);
                let taker = has_taker.then_some(taker.into());
                PlainPurpose::Swap { chain, price, to: to.into(), taker }
            }
            _ => return None,
        };
        let reservation = Self { amount, due_ms, purpose };
        (reservation.value() == value).then_some(reservation)
    }
}

/// Reads a row that only chains with money have: an open reservation.
pub(in crate::chains::transfers) fn restore(
    oracle: &mut Oracle,
    about: &About,
    value: &[u8],
) -> Result<(), Fault> {
    let About::Own(7, payer, nonce) = *about else { return Err(UNKNOWN_ROW) };
    let reservation = PlainReservation::read(value).ok_or("is not a reservation")?;
    let payer = u64::from(payer);
    oracle.named(payer)?;
    // An offer names accounts of another chain.
    if let PlainPurpose::Payment { payee, settler } = reservation.purpose {
        oracle.named(payee)?;
        oracle.named(settler)?;
    }
    oracle.reservations.insert((payer, nonce), reservation);
    Ok(())
}

/// 16 zeros | 7 | 3 zeros | account | nonce
fn row_key((payer, nonce): (u64, u64)) -> [u8; 32] {
    let mut key = [0; 32];
    key[16] = 7;
    key[20..24].copy_from_slice(&(payer as u32).to_be_bytes());
    key[24..].copy_from_slice(&nonce.to_be_bytes());
    key
}

pub(super) fn reserve(oracle: &mut Oracle, at: ChainTime, of: &Reserve<'_>) -> Result<(), Outcome> {
    oracle.accounts[of.envelope.signer.0 as usize].may_pay()?;
    oracle.accounts.get(of.payee.0 as usize).ok_or(Outcome::UnknownCredit)?.may_receive()?;
    if oracle.accounts.get(of.settler.0 as usize).ok_or(Outcome::UnknownCredit)?.closed {
        return Err(Outcome::CreditClosed);
    }
    let purpose = PlainPurpose::Payment { payee: of.payee.0, settler: of.settler.0 };
    set_aside(oracle, at, (of.envelope.signer.0, of.envelope.nonce), (of.amount, of.seconds, purpose))
}

pub(super) fn offer(oracle: &mut Oracle, at: ChainTime, of: &Offer<'_>) -> Result<(), Outcome> {
    oracle.accounts[of.envelope.signer.0 as usize].may_pay()?;
    has_money(oracle, of.price.chain)?;
    let purpose = PlainPurpose::Swap {
        chain: of.price.chain.0,
        price: of.price.amount,
        to: of.price.to.0,
        taker: of.price.taker.map(|taker| taker.0),
    };
    set_aside(oracle, at, (of.envelope.signer.0, of.envelope.nonce), (of.amount, of.seconds, purpose))
}

fn set_aside(
    oracle: &mut Oracle,
    at: ChainTime,
    name: (u64, u64),
    (amount, seconds, purpose): (u64, u32, PlainPurpose),
) -> Result<(), Outcome> {
    if oracle.reservations_of(AccountId(name.0)) >= RESERVATIONS_MAX {
        return Err(Outcome::ReservationsFull);
    }
    if oracle.reservations.len() >= CHAIN_RESERVATIONS_MAX || !oracle.has_room() {
        return Err(Outcome::ChainFull);
    }
    let payer = &mut oracle.accounts[name.0 as usize];
    if payer.balance < u128::from(amount) {
        return Err(Outcome::InsufficientBalance);
    }
    payer.balance -= u128::from(amount);
    let due_ms = oracle.due_after(at, seconds);
    let reservation = PlainReservation { amount, due_ms, purpose };
    oracle.table.put(row_key(name), reservation.value());
    oracle.reservations.insert(name, reservation);
    Ok(())
}

pub(super) fn settle(oracle: &mut Oracle, of: &Settle<'_>) -> Result<(), Outcome> {
    let (by, name) = (of.envelope.signer.0, (of.reservation.payer.0, of.reservation.nonce));
    oracle.accounts[by as usize].may_pay()?;
    let reservation = open(oracle, name)?;
    let for_whom = match reservation.purpose {
        PlainPurpose::Payment { payee, .. } => payee,
        PlainPurpose::Swap { .. } => name.0,
    };
    if of.payee.0 != for_whom {
        return Err(Outcome::OtherTerms);
    }
    match reservation.purpose {
        // The settler says how much; the payee can do without.
        PlainPurpose::Payment { payee, settler } => {
            if by != settler && !(by == payee && of.amount == 0) {
                return Err(Outcome::MayNotSettle);
            }
            if of.amount > reservation.amount {
                return Err(Outcome::MoreThanReserved);
            }
            if of.amount > 0 {
                oracle.accounts[name.0 as usize].may_pay()?;
                oracle.accounts[payee as usize].may_receive()?;
            }
            oracle.accounts[payee as usize].balance += u128::from(of.amount);
            oracle.accounts[name.0 as usize].balance += u128::from(reservation.amount - of.amount);
        }
        // An offer is only withdrawn.
        PlainPurpose::Swap { .. } => {
            if by != name.0 || of.amount > 0 {
                return Err(Outcome::MayNotSettle);
            }
            oracle.accounts[name.0 as usize].balance += u128::from(reservation.amount);
        }
    }
    end(oracle, name);
    Ok(())
}

pub(super) fn take(oracle: &mut Oracle, of: &Take<'_>) -> Result<(), Outcome> {
    oracle.accounts[of.envelope.signer.0 as usize].may_pay()?;
    has_money(oracle, of.chain)?;
    oracle.accounts.get(of.terms.to.0 as usize).ok_or(Outcome::UnknownCredit)?.may_receive()?;
    let payer = &mut oracle.accounts[of.envelope.signer.0 as usize];
    if payer.balance < u128::from(of.price) {
        return Err(Outcome::InsufficientBalance);
    }
    payer.balance -= u128::from(of.price);
    Ok(())
}

/// The price of an offer has come.
pub(super) fn taken(oracle: &mut Oracle, paid: &Crossing, terms: &Terms) -> Result<(), Outcome> {
    match oracle.is.status {
        ChainStatus::Active => {}
        ChainStatus::Paused => return Err(Outcome::ChainPaused),
        ChainStatus::Closed => return Err(Outcome::ChainClosed),
    }
    let name = (terms.offer.payer.0, terms.offer.nonce);
    let offer = open(oracle, name)?;
    let PlainPurpose::Swap { chain, price, to, taker } = offer.purpose else {
        return Err(Outcome::NotReserved);
    };
    if paid.source.0 != chain || paid.amount != price || terms.to.0 != to || terms.amount != offer.amount {
        return Err(Outcome::OtherTerms);
    }
    if taker.is_some() && taker != Some(paid.payer.0) {
        return Err(Outcome::MayNotSettle);
    }
    oracle.accounts[name.0 as usize].may_pay()?;
    oracle.accounts.get(paid.payee.0 as usize).ok_or(Outcome::UnknownCredit)?.may_receive()?;
    oracle.accounts[paid.payee.0 as usize].balance += u128::from(offer.amount);
    end(oracle, name);
    Ok(())
}

/// Who waited until the time was over has the money back, the one that is due longest first.
pub(crate) fn release_plainly(oracle: &mut Oracle) {
    let over = oracle.reservations.iter().filter(|(_, of)| of.due_ms <= oracle.clock.0);
    let over: BTreeSet<_> = over.map(|(name, of)| (of.due_ms, *name)).collect();
    for (_, name) in over.into_iter().take(RELEASES_MAX) {
        let amount = oracle.reservations[&name].amount;
        oracle.accounts[name.0 as usize].balance += u128::from(amount);
        oracle.effects.push(Effect::Released { payer: AccountId(name.0), nonce: name.1, amount });
        end(oracle, name);
    }
}

fn open(oracle: &Oracle, name: (u64, u64)) -> Result<PlainReservation, Outcome> {
    let found = oracle.reservations.get(&name).filter(|of| of.due_ms > oracle.clock.0);
    found.cloned().ok_or(Outcome::NotReserved)
}

fn end(oracle: &mut Oracle, name: (u64, u64)) {
    oracle.reservations.remove(&name);
    oracle.table.remove(&row_key(name));
}

fn has_money(oracle: &Oracle, chain: ChainId) -> Result<(), Outcome> {
    match oracle.others.get(&chain) {
        None => Err(Outcome::UnknownCreditChain),
        Some((ChainKind::Transfers, _)) => Ok(()),
        Some(_) => Err(Outcome::OtherKind),
    }
}
