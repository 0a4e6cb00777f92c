//! Whether money that is set aside goes only where it was set aside for, once and in its time; and whether swaps are
//! whole: who pays the price of an offer gets what was offered, or the price back.
//!
//! Nothing here asks the definition of execution, so a mistake that it shares with the executor is seen. That nothing
//! is set aside, settled or taken by transactions on a chain that rests is seen by [`Decisions`](crate::decisions).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use engine::execute::{Crossing, Delivered, Delivery, Delta, Leg, Row};
use engine::types::{
    AccountId, Action, ChainId, ChainStatus, ChainTime, Command, Content, Height, Outcome, Purpose,
    Reservation, ReservationId, Settle, Take, Terms, Transaction, TransactionId,
};

use crate::flows::Flows;

/// By so much a block lets a reservation grow older at most, in milliseconds.
const STEP_MS: u64 = 1_000;

type Key = (ChainId, ReservationId);

/// What a block has changed of the reservations that the table of a chain has: those that came, and those that are no
/// longer there.
pub(crate) type Rows = Vec<(ReservationId, Option<Reservation>)>;

/// How often money was set aside, and what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAside {
    /// Reservations for a payment.
    pub reserved: usize,
    /// Those that were paid in part or in full.
    pub paid: usize,
    /// Those that were given back.
    pub given_back: usize,
    /// Those whose time was over.
    pub timed_out: usize,
    /// Offers.
    pub offered: usize,
    /// Those that were taken, and the price arrived.
    pub taken: usize,
    /// Those that were withdrawn.
    pub withdrawn: usize,
    /// Those whose time was over.
    pub offers_timed_out: usize,
    /// Prices that came back.
    pub refunded: usize,
}

/// What several runs have counted together.
impl AddAssign for SetAside {
    fn add_assign(&mut self, other: Self) {
        self.reserved += other.reserved;
        self.paid += other.paid;
        self.given_back += other.given_back;
        self.timed_out += other.timed_out;
        self.offered += other.offered;
        self.taken += other.taken;
        self.withdrawn += other.withdrawn;
        self.offers_timed_out += other.offers_timed_out;
        self.refunded += other.refunded;
    }
}

/// Money that is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    amount: u64,
    purpose: Purpose,
    /// How long it may be open, in milliseconds.
    lasts_ms: u64,
    /// How long it has been open: time in which its chain rests does not count, nor more than a step for a block.
    age_ms: u64,
    /// The time of the block up to which that is counted.
    counted_ms: u64,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Paid,
    GivenBack,
    Taken,
    TimedOut,
}

/// What transactions that were executed have set aside, settled and taken.
#[derive(Debug, Default)]
pub(crate) struct Reserved {
    open: BTreeMap<Key, Open>,
    ended: BTreeMap<Key, (End, Height)>,
    /// Those that a transaction or time has changed in this height, and whether they were open before.
    touched: BTreeMap<Key, bool>,
    /// Transactions that have paid a price.
    takes: BTreeSet<TransactionId>,
    /// What must come of them next, and in which height.
    coming: BTreeMap<TransactionId, (Delivery, Height)>,
    pub(crate) flows: Flows,
    pub(crate) counts: SetAside,
}

impl Reserved {
    /// A chain begins a height that nobody has executed before: reservations whose time is over end.
    pub(crate) fn begin(&mut self, chain: ChainId, status: Option<ChainStatus>, at: ChainTime) {
        if status == Some(ChainStatus::Paused) {
            return;
        }
        let mut over = Vec::new();
        for (key, of) in self.open.iter_mut().filter(|((of, _), _)| *of == chain) {
            of.age_ms += at.time_ms.saturating_sub(of.counted_ms).min(STEP_MS);
            of.counted_ms = at.time_ms;
            over.extend((of.age_ms >= of.lasts_ms).then_some(*key));
        }
        over.into_iter().for_each(|key| self.end(key, (End::TimedOut, None), at.height));
    }

    /// It ends, and somebody is paid some or all of it.
    fn end(&mut self, key: Key, (end, paid): (End, Option<(AccountId, u64)>), height: Height) {
        let of = self.open.remove(&key).expect("what ends is open");
        let (payee, paid) = paid.unwrap_or((key.1.payer, 0));
        self.flows.gets(key.0, payee, paid);
        self.flows.gets(key.0, key.1.payer, of.amount - paid);
        self.touched.entry(key).or_insert(true);
        self.ended.insert(key, (end, height));
        let counts = &mut self.counts;
        match (end, of.purpose) {
            (End::Paid, _) => counts.paid += 1,
            (End::GivenBack, Purpose::Payment { .. }) => counts.given_back += 1,
            (End::GivenBack, Purpose::Swap(_)) => counts.withdrawn += 1,
            // It is counted when the price has arrived.
            (End::Taken, _) => {}
            (End::TimedOut, Purpose::Payment { .. }) => counts.timed_out += 1,
            (End::TimedOut, Purpose::Swap(_)) => counts.offers_timed_out += 1,
        }
    }

    /// Something came to a chain.
    ///
    /// # Errors
    /// It is part of a swap, and not what must come next of it, or not in this height; or an offer is taken that must
    /// not be, or not taken although nothing is wrong with what its taker says.
    pub(crate) fn arrived(
        &mut self,
        chain: ChainId,
        status: Option<ChainStatus>,
        came: &Delivered,
        height: Height,
    ) -> Result<(), String> {
        self.flows.arrived(chain, came);
        let Delivered { delivery, outcome } = *came;
        let (id, crossing) = (delivery.crossing.transaction, delivery.crossing);
        let swaps = matches!(delivery.leg, Leg::Take(_) | Leg::Swapped(_));
        if !swaps && !self.takes.contains(&id) {
            return Ok(());
        }
        let goes_to =
            if matches!(delivery.leg, Leg::Take(_)) { crossing.destination } else { crossing.source };
        let expected = self.coming.remove(&id);
        if expected != Some((delivery, height)) || chain != goes_to {
            return Err(format!(
                "{delivery:?} comes to chain {chain} at height {height}, and not {expected:?}"
            ));
        }
        let next = match delivery.leg {
            Leg::Take(terms) => self.taken((chain, status), (terms, crossing), outcome, height)?,
            _ if outcome != Outcome::Applied => {
                return Err(format!("{id:.16} ends at height {height} with: {outcome}"));
            }
            Leg::Swapped(_) => {
                self.counts.taken += 1;
                return Ok(());
            }
            _ => {
                self.counts.refunded += 1;
                return Ok(());
            }
        };
        self.coming.insert(id, (Delivery { leg: next, crossing }, height.next()));
        Ok(())
    }

    /// A price has come to the chain of an offer, which has decided: which way it goes on.
    fn taken(
        &mut self,
        (chain, status): (ChainId, Option<ChainStatus>),
        (terms, crossing): (Terms, Crossing),
        outcome: Outcome,
        height: Height,
    ) -> Result<Leg, String> {
        let key = (chain, terms.offer);
        let fits = self.fits(key, status, (terms, crossing));
        let seen_here = [
            Outcome::ChainPaused,
            Outcome::ChainClosed,
            Outcome::NotReserved,
            Outcome::OtherTerms,
            Outcome::MayNotSettle,
        ];
        match (fits, outcome) {
            (Ok((to, amount)), Outcome::Applied) => {
                self.end(key, (End::Taken, Some((crossing.payee, amount))), height);
                Ok(Leg::Swapped(to))
            }
            // An account may be closed to money, which is not known here.
            (Ok(_), other) if !seen_here.contains(&other) => Ok(Leg::Refund(other)),
            (Err(reason), found) if reason == found => Ok(Leg::Refund(reason)),
            (fits, found) => Err(format!(
                "{} is taken at height {height} with: {found}; as it was made: {fits:?}, ended: {:?}",
                named(&key),
                self.ended.get(&key)
            )),
        }
    }

    /// The account that the price of an offer is for and how much is offered, if what its taker says fits.
    fn fits(
        &self,
        key: Key,
        status: Option<ChainStatus>,
        (terms, paid): (Terms, Crossing),
    ) -> Result<(AccountId, u64), Outcome> {
        match status {
            Some(ChainStatus::Paused) => return Err(Outcome::ChainPaused),
            Some(ChainStatus::Closed) => return Err(Outcome::ChainClosed),
            Some(ChainStatus::Active) | None => {}
        }
        let Some(Open { amount, purpose: Purpose::Swap(price), .. }) = self.open.get(&key) else {
            return Err(Outcome::NotReserved);
        };
        let same = paid.source == price.chain && paid.amount == price.amount;
        if !same || terms.to != price.to || terms.amount != *amount {
            return Err(Outcome::OtherTerms);
        }
        match price.taker {
            Some(taker) if taker != paid.payer => Err(Outcome::MayNotSettle),
            _ => Ok((price.to, *amount)),
        }
    }

    /// A transaction of the block was executed.
    ///
    /// # Errors
    /// It sets the same aside again, or settles what it must not, or is kept from what it may.
    pub(crate) fn executed(
        &mut self,
        (id, transaction): (TransactionId, &Transaction),
        outcome: Outcome,
        at: ChainTime,
    ) -> Result<(), String> {
        let Ok(content) = transaction.run().content() else { return Ok(()) };
        let applied = outcome == Outcome::Applied;
        if !outcome.is_failure() {
            self.flows.executed(&content);
        }
        match content {
            Content::Reserve(of) if applied => {
                let purpose = Purpose::Payment { payee: of.payee, settler: of.settler };
                self.counts.reserved += 1;
                self.set_aside((of.envelope.chain, of.id()), (of.amount, of.seconds, purpose), at)
            }
            Content::Offer(of) if applied => {
                self.counts.offered += 1;
                let purpose = Purpose::Swap(of.price);
                self.set_aside((of.envelope.chain, of.id()), (of.amount, of.seconds, purpose), at)
            }
            Content::Settle(of) => self.settled(&of, outcome, at.height),
            Content::Take(of) if outcome == Outcome::Sent => {
                self.paid(id, &of, at.height);
                Ok(())
            }
            Content::Take(_) if applied => Err(format!("the price of {id:.16} has not left its chain")),
            Content::Command(Command { chain, authority, action: Action::Close, .. }) if applied => {
                let mut keys = self.open.keys();
                match keys.find(|(of, reservation)| (*of, reservation.payer) == (chain, authority)) {
                    Some(key) => Err(format!("account {authority} closes, and {} is open", named(key))),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn set_aside(
        &mut self,
        key: Key,
        (amount, seconds, purpose): (u64, u32, Purpose),
        at: ChainTime,
    ) -> Result<(), String> {
        let lasts_ms = u64::from(seconds) * 1_000;
        let new = Open { amount, purpose, lasts_ms, age_ms: 0, counted_ms: at.time_ms };
        self.flows.pays(key.0, key.1.payer, amount);
        self.touched.entry(key).or_insert(false);
        let before = self.open.insert(key, new);
        match (before, self.ended.get(&key)) {
            (None, None) => Ok(()),
            before => Err(format!("{} is set aside again at height {}: {before:?}", named(&key), at.height)),
        }
    }

    /// A price leaves its chain.
    fn paid(&mut self, id: TransactionId, of: &Take<'_>, height: Height) {
        let crossing = Crossing {
            transaction: id,
            source: of.envelope.chain,
            payer: of.envelope.signer,
            destination: of.chain,
            payee: of.credit,
            amount: of.price,
        };
        self.takes.insert(id);
        self.coming.insert(id, (Delivery { leg: Leg::Take(of.terms), crossing }, height.next()));
    }

    fn settled(&mut self, of: &Settle<'_>, outcome: Outcome, height: Height) -> Result<(), String> {
        let key = (of.envelope.chain, of.reservation);
        let may = self.may_settle(key, of);
        let seen_here =
            [Outcome::NotReserved, Outcome::OtherTerms, Outcome::MayNotSettle, Outcome::MoreThanReserved];
        match (may, outcome) {
            (Ok(end), Outcome::Applied) => {
                self.end(key, end, height);
                Ok(())
            }
            // It did not come so far, or an account is closed to money.
            (_, other) if other != Outcome::Applied && !seen_here.contains(&other) => Ok(()),
            (Err(reason), found) if reason == found => Ok(()),
            (may, found) => Err(format!(
                "account {} settles {} with {} at height {height}: {found}; as it was made: {may:?}, ended: {:?}",
                of.envelope.signer,
                named(&key),
                of.amount,
                self.ended.get(&key)
            )),
        }
    }

    /// What becomes of a reservation by this, if its signer may do it.
    fn may_settle(&self, key: Key, of: &Settle<'_>) -> Result<(End, Option<(AccountId, u64)>), Outcome> {
        let Open { amount, purpose, .. } = self.open.get(&key).ok_or(Outcome::NotReserved)?;
        let by = of.envelope.signer;
        let (may, payee) = match purpose {
            Purpose::Payment { payee, settler } => {
                (by == *settler || (by == *payee && of.amount == 0), *payee)
            }
            Purpose::Swap(_) => (by == of.reservation.payer && of.amount == 0, of.reservation.payer),
        };
        match of.amount {
            _ if of.payee != payee => Err(Outcome::OtherTerms),
            _ if !may => Err(Outcome::MayNotSettle),
            0 => Ok((End::GivenBack, None)),
            paid if paid > *amount => Err(Outcome::MoreThanReserved),
            paid => Ok((End::Paid, Some((payee, paid)))),
        }
    }

    /// A chain has executed a height; these reservations came to its table, and left it.
    ///
    /// # Errors
    /// Others did by what was executed.
    pub(crate) fn compare(&mut self, chain: ChainId, rows: &Rows, height: Height) -> Result<(), String> {
        let first = ReservationId { payer: AccountId(0), nonce: 0 };
        let last = ReservationId { payer: AccountId(u64::MAX), nonce: u64::MAX };
        let touched: Vec<_> =
            self.touched.range((chain, first)..=(chain, last)).map(|(key, was)| (*key, *was)).collect();
        let mut expected = BTreeMap::new();
        for (key, was_open) in touched {
            self.touched.remove(&key);
            let is = self.open.get(&key).map(|of| (of.amount, of.purpose));
            if is.is_some() != was_open {
                expected.insert(key.1, is);
            }
        }
        let found: BTreeMap<_, _> =
            rows.iter().map(|(id, row)| (*id, row.map(|of| (of.amount, of.purpose)))).collect();
        let mut all = expected.keys().chain(found.keys());
        let Some(id) = all.find(|id| expected.get(id) != found.get(id)) else { return Ok(()) };
        let (expected, found) = (expected.get(id), found.get(id));
        Err(format!("{} becomes {found:?} at height {height}, and not {expected:?}", named(&(chain, *id))))
    }

    /// All chains have executed a height.
    ///
    /// # Errors
    /// Something of a swap should have come, and has not.
    pub(crate) fn whole(&mut self, height: Height) -> Result<(), String> {
        let late = self.coming.iter().find(|(_, (_, due))| *due <= height);
        let Some((id, (delivery, due))) = late.map(|(id, late)| (*id, *late)) else { return Ok(()) };
        self.coming.remove(&id);
        Err(format!("{delivery:?} should have come at height {due}, and has not at {height}"))
    }
}

/// What a block has changed of the reservations of a chain.
pub(crate) fn reservations(delta: &Delta) -> Rows {
    let said = |row: &Option<Row>| {
        let row = row.as_ref()?;
        Some((ReservationId::of(row.key())?, Reservation::decode(row.value())?))
    };
    let before: BTreeMap<_, _> = delta.rows().iter().filter_map(|change| said(&change.before)).collect();
    let after: BTreeMap<_, _> = delta.rows().iter().filter_map(|change| said(&change.after)).collect();
    let gone = before.keys().filter(|id| !after.contains_key(id)).map(|id| (*id, None));
    // A row that has another neighbour in the table says the same as before.
    let came = after.iter().filter(|(id, of)| before.get(id) != Some(of));
    gone.chain(came.map(|(id, of)| (*id, Some(*of)))).collect()
}

fn named((chain, id): &Key) -> String {
    format!("reservation {id} of chain {chain}")
}

#[cfg(test)]
mod tests;
