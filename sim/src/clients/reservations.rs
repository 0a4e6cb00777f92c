//! What clients set aside, settle, offer and take; also twice, too much, too late, or what is for others.

use std::collections::BTreeMap;

use engine::types::{
    AccountId, ChainId, ChainKind, Price, Purpose, Reservation, ReservationId, Terms, Transaction,
};

use super::{Account, Clients, Known};
use crate::environment::{BALANCE, Environment, FOUNDERS, Signer};

/// Every reservation that the ledger of some validator had, with its chain, and whether it is open.
pub(super) type Learnt = BTreeMap<(u32, ReservationId), (Reservation, bool)>;

/// A chain that no network has.
const NOWHERE: u32 = 99;

impl Clients {
    /// The ledger of some validator has this reservation, or has it no longer.
    pub(crate) fn learn_reservation(&mut self, chain: u32, id: ReservationId, found: Option<Reservation>) {
        match found {
            // One that executes later than others does not open it again.
            Some(found) => _ = self.reservations.entry((chain, id)).or_insert((found, true)),
            None => {
                if let Some((_, open)) = self.reservations.get_mut(&(chain, id)) {
                    *open = false;
                }
            }
        }
    }

    /// Something about money that is set aside, or is to be.
    pub(super) fn set_aside(&mut self, environment: &Environment, chain: Known) -> (Account, Transaction) {
        match self.chance.below(20) {
            0..=3 => self.reserve(environment, chain),
            4..=8 => self.settle(environment, chain),
            9..=12 => self.offer(environment, chain),
            13..=14 => self.withdraw(environment, chain),
            _ => self.take(environment, chain),
        }
    }

    /// One of these, mostly an open one, and at times the one whose time is over next.
    fn learnt(&mut self, is: impl Fn(u32, &Purpose) -> bool) -> Option<(u32, ReservationId, Reservation)> {
        let open = !self.chance.permille(80);
        let learnt = self
            .reservations
            .iter()
            .filter(|((chain, _), (of, is_open))| *is_open == open && is(*chain, &of.purpose));
        let learnt: Vec<_> = learnt.map(|((chain, id), (of, _))| (*chain, *id, *of)).collect();
        match learnt.iter().min_by_key(|(_, _, of)| of.due_ms) {
            Some(next) if open && self.chance.permille(150) => Some(*next),
            Some(_) => Some(self.chance.of(&learnt)),
            None => None,
        }
    }

    /// An account of a chain, at times one that was opened.
    fn somebody(&mut self, chain: Known) -> u64 {
        let opened: Vec<u64> = self.opened_on(chain.id).collect();
        match opened.is_empty() || !self.chance.permille(150) {
            true => self.chance.within(0..chain.accounts),
            false => self.chance.of(&opened),
        }
    }

    fn known(&self, chain: u32) -> Known {
        let unknown = Known { id: chain, kind: ChainKind::Transfers, accounts: FOUNDERS };
        self.chains.iter().find(|known| known.id == chain).copied().unwrap_or(unknown)
    }

    /// What is set aside, and for how many seconds.
    fn sum(&mut self) -> (u64, u32) {
        let chance = &mut self.chance;
        let amount = if chance.permille(60) { chance.within(1..BALANCE * 2) } else { chance.within(1..60) };
        (amount, chance.of(&[1, 1, 2, 3, 5, 5, 10, 10]))
    }

    /// Signs with the next nonce of an account.
    fn says(
        &mut self,
        (chain, account): Account,
        transaction: impl FnOnce((u32, Signer), u64) -> Transaction,
    ) -> (Account, Transaction) {
        let by = self.signer((chain, account));
        let nonce = self.nonces.entry((chain, account)).or_default();
        let said = ((chain, account), transaction((chain, by), *nonce));
        *nonce += 1;
        self.transactions.push(said.clone());
        said
    }

    fn reserve(&mut self, environment: &Environment, chain: Known) -> (Account, Transaction) {
        let (payer, payee, settler) = (self.somebody(chain), self.somebody(chain), self.somebody(chain));
        // Payees often settle themselves, and some accounts are not there.
        let settler = self.chance.of(&[payee, payer, settler, settler]);
        let payee = if self.chance.permille(30) { payee + 100 } else { payee };
        let sum = self.sum();
        self.says((chain.id, payer), |by, nonce| environment.reserve(by, sum, (payee, settler), nonce))
    }

    fn settle(&mut self, environment: &Environment, chain: Known) -> (Account, Transaction) {
        let is_payment =
            |of: u32, purpose: &Purpose| of == chain.id && matches!(purpose, Purpose::Payment { .. });
        let Some((_, id, Reservation { amount, purpose: Purpose::Payment { payee, settler }, .. })) =
            self.learnt(is_payment)
        else {
            return self.reserve(environment, chain);
        };
        let stranger = self.somebody(chain);
        let part = self.chance.within(0..amount + 1);
        let named = if self.chance.permille(60) { stranger } else { payee.0 };
        let (by, paid) = match self.chance.below(12) {
            0 => (payee.0, 0),
            1 => (payee.0, part),
            2 => (id.payer.0, self.chance.of(&[0, part])),
            3 => (stranger, self.chance.of(&[0, part])),
            4 => (settler.0, amount + 1),
            5 => (settler.0, 0),
            6..=7 => (settler.0, amount),
            _ => (settler.0, part),
        };
        if self.chance.permille(150) {
            let again = self
                .says((chain.id, settler.0), |by, nonce| environment.settle(by, id, (named, part), nonce));
            self.rivals.push(again);
        }
        self.says((chain.id, by), |by, nonce| environment.settle(by, id, (named, paid), nonce))
    }

    fn offer(&mut self, environment: &Environment, chain: Known) -> (Account, Transaction) {
        let others: Vec<Known> = self.chains.iter().filter(|of| of.id != chain.id).copied().collect();
        let money: Vec<Known> = others.iter().filter(|of| of.kind == ChainKind::Transfers).copied().collect();
        let other = match self.chance.permille(60) {
            true => self.chance.of(&[others.as_slice(), &[self.known(NOWHERE)]].concat()),
            false if money.is_empty() => return self.settle(environment, chain),
            false => self.chance.of(&money),
        };
        let (payer, to, taker) = (self.somebody(chain), self.somebody(other), self.somebody(other));
        let to = if self.chance.permille(30) { to + 100 } else { to };
        let taker = self.chance.permille(400).then_some(AccountId(taker));
        let amount = self.chance.within(1..40);
        let price = Price { chain: ChainId(other.id), amount, to: AccountId(to), taker };
        let sum = self.sum();
        self.says((chain.id, payer), |by, nonce| environment.offer(by, sum, price, nonce))
    }

    fn withdraw(&mut self, environment: &Environment, chain: Known) -> (Account, Transaction) {
        let is_offer = |of: u32, purpose: &Purpose| of == chain.id && matches!(purpose, Purpose::Swap(_));
        let Some((_, id, Reservation { amount, .. })) = self.learnt(is_offer) else {
            return self.offer(environment, chain);
        };
        let stranger = self.somebody(chain);
        let (by, paid) = match self.chance.below(8) {
            0 => (stranger, 0),
            1 => (id.payer.0, amount),
            _ => (id.payer.0, 0),
        };
        let named = if self.chance.permille(60) { stranger } else { id.payer.0 };
        self.says((chain.id, by), |by, nonce| environment.settle(by, id, (named, paid), nonce))
    }

    /// An offer of another chain, which is to be paid on this one. At times somebody else wants it as well.
    fn take(&mut self, environment: &Environment, chain: Known) -> (Account, Transaction) {
        let is_for = |_: u32, purpose: &Purpose| match purpose {
            Purpose::Swap(price) => price.chain.0 == chain.id,
            Purpose::Payment { .. } => false,
        };
        let Some((of, offer, Reservation { amount, purpose: Purpose::Swap(price), .. })) =
            self.learnt(is_for)
        else {
            return self.offer(environment, chain);
        };
        let (stranger, credit) = (self.somebody(chain), self.somebody(self.known(of)));
        let credit = if self.chance.permille(40) { credit + 100 } else { credit };
        let taker = price.taker.map_or(stranger, |taker| taker.0);
        let right = Terms { offer, amount, to: price.to };
        if self.chance.permille(250) {
            let rival = match self.chance.below(3) {
                0 => self.says((of, offer.payer.0), |by, nonce| {
                    environment.settle(by, offer, (offer.payer.0, 0), nonce)
                }),
                _ => self.says((chain.id, stranger), |by, nonce| {
                    environment.take(by, (of, right), (price.amount, credit), nonce)
                }),
            };
            self.rivals.push(rival);
        }
        let (by, terms, paid) = match self.chance.below(14) {
            0 => (taker, Terms { amount: amount + 1, ..right }, price.amount),
            1 => (taker, Terms { to: AccountId((price.to.0 + 1) % chain.accounts), ..right }, price.amount),
            2 => (taker, right, price.amount + 1),
            3 => (stranger, right, price.amount),
            4 => {
                let offer = ReservationId { nonce: offer.nonce + 1, ..offer };
                (taker, Terms { offer, ..right }, price.amount)
            }
            _ => (taker, right, price.amount),
        };
        self.says((chain.id, by), |by, nonce| environment.take(by, (of, terms), (paid, credit), nonce))
    }
}
