//! What the checker must see, and what it must let pass.

use engine::types::Price;

use super::*;
use crate::environment::{Environment, Signer};

/// The chain of what is set aside.
const A: ChainId = ChainId(1);
/// The chain of prices.
const B: ChainId = ChainId(2);
/// Who sets aside, who is paid, and who settles.
const PAYER: u64 = 3;
const PAYEE: u64 = 4;
const SETTLER: u64 = 5;
/// Who takes an offer, and the account on the same chain that the price is for.
const TAKER: u64 = 6;
const TO: u64 = 7;
/// The account that gets what is offered.
const CREDIT: u64 = 8;
/// What is set aside: so much for so many seconds, with this nonce, in height 1.
const AMOUNT: u64 = 50;
const SECONDS: u32 = 3;
const NONCE: u64 = 9;
const PRICE: u64 = 20;

fn environment() -> Environment {
    Environment::of_four(2, false, false)
}

fn id() -> ReservationId {
    ReservationId { payer: AccountId(PAYER), nonce: NONCE }
}

fn reserve() -> Transaction {
    environment().reserve((A.0, Signer::first(PAYER)), (AMOUNT, SECONDS), (PAYEE, SETTLER), NONCE)
}

fn offer(taker: Option<u64>) -> Transaction {
    let price = Price { chain: B, amount: PRICE, to: AccountId(TO), taker: taker.map(AccountId) };
    environment().offer((A.0, Signer::first(PAYER)), (AMOUNT, 2 * SECONDS), price, NONCE)
}

fn settle(by: u64, amount: u64) -> Transaction {
    environment().settle((A.0, Signer::first(by)), id(), (PAYEE, amount), 0)
}

fn withdraw(by: u64, amount: u64) -> Transaction {
    environment().settle((A.0, Signer::first(by)), id(), (PAYER, amount), 0)
}

fn take(by: u64, amount: u64, to: u64, price: u64) -> Transaction {
    let terms = Terms { offer: id(), amount, to: AccountId(to) };
    environment().take((B.0, Signer::first(by)), (A.0, terms), (price, CREDIT), 0)
}

/// What a take hands to another chain.
fn delivery(transaction: &Transaction) -> Delivery {
    let Ok(Content::Take(of)) = transaction.run().content() else { panic!("it is a take") };
    let crossing = Crossing {
        transaction: transaction.id(&environment().network()),
        source: of.envelope.chain,
        payer: of.envelope.signer,
        destination: of.chain,
        payee: of.credit,
        amount: of.price,
    };
    Delivery { leg: Leg::Take(of.terms), crossing }
}

/// A checker, and how high it is: a second lies between two heights.
struct Run {
    reserved: Reserved,
    height: u64,
    status: ChainStatus,
}

impl Run {
    /// In height 1 this is set aside, and height 2 has begun.
    fn after(transaction: &Transaction) -> Self {
        let mut run = Self { reserved: Reserved::default(), height: 0, status: ChainStatus::Active };
        run.begin();
        assert_eq!(run.executes(transaction, Outcome::Applied), Ok(()));
        assert_eq!(run.ends(&run.opened()), Ok(()));
        run.begin();
        run
    }

    fn at(&self) -> ChainTime {
        ChainTime::new(Height(self.height), 500_000 + self.height * 1_000)
    }

    fn begin(&mut self) {
        self.height += 1;
        let at = self.at();
        self.reserved.begin(A, Some(self.status), at);
        self.reserved.begin(B, Some(ChainStatus::Active), at);
    }

    fn executes(&mut self, transaction: &Transaction, outcome: Outcome) -> Result<(), String> {
        let (id, at) = (transaction.id(&environment().network()), self.at());
        self.reserved.executed((id, transaction), outcome, at)
    }

    fn comes(&mut self, chain: ChainId, delivery: Delivery, outcome: Outcome) -> Result<(), String> {
        let status = if chain == A { self.status } else { ChainStatus::Active };
        let came = Delivered { delivery, outcome };
        self.reserved.arrived(chain, Some(status), &came, Height(self.height))
    }

    /// What a table that has what is open here would have got.
    fn opened(&self) -> Rows {
        let row = |of: &Open| Reservation { amount: of.amount, due_ms: 0, purpose: of.purpose };
        self.reserved.open.iter().map(|((_, id), of)| (*id, Some(row(of)))).collect()
    }

    /// The height ends with these changes in the table of the first chain.
    fn ends(&mut self, rows: &Rows) -> Result<(), String> {
        let height = Height(self.height);
        self.reserved.compare(A, rows, height)?;
        self.reserved.compare(B, &Rows::new(), height)?;
        self.reserved.whole(height)
    }

    /// A take leaves its chain, and the next height has begun.
    fn sends(&mut self, transaction: &Transaction) -> Delivery {
        assert_eq!(self.executes(transaction, Outcome::Sent), Ok(()));
        assert_eq!(self.ends(&Rows::new()), Ok(()));
        self.begin();
        delivery(transaction)
    }
}

#[test]
fn a_reservation_is_settled_once_by_its_settler_and_with_no_more_than_it_has() {
    let applies = |by, amount| Run::after(&reserve()).executes(&settle(by, amount), Outcome::Applied);
    assert_eq!(applies(SETTLER, AMOUNT), Ok(()));
    assert_eq!(applies(SETTLER, 0), Ok(()));
    assert_eq!(applies(PAYEE, 0), Ok(()));
    for (by, amount) in [(SETTLER, AMOUNT + 1), (PAYEE, 1), (PAYER, 0), (PAYER, 1), (TAKER, 0)] {
        assert!(applies(by, amount).is_err(), "account {by} settles with {amount}");
    }
    let mut run = Run::after(&reserve());
    assert_eq!(run.executes(&settle(SETTLER, 1), Outcome::Applied), Ok(()));
    assert!(run.executes(&settle(SETTLER, 1), Outcome::Applied).is_err(), "settled twice");
    assert_eq!(run.executes(&settle(SETTLER, 1), Outcome::NotReserved), Ok(()));
    assert!(run.executes(&reserve(), Outcome::Applied).is_err(), "set aside again");
}

#[test]
fn a_settlement_that_is_refused_for_nothing_is_seen() {
    let fails = |by, amount, outcome| Run::after(&reserve()).executes(&settle(by, amount), outcome);
    assert!(fails(SETTLER, 1, Outcome::NotReserved).is_err());
    assert!(fails(SETTLER, 1, Outcome::MayNotSettle).is_err());
    assert!(fails(SETTLER, AMOUNT, Outcome::MoreThanReserved).is_err());
    assert_eq!(fails(SETTLER, AMOUNT + 1, Outcome::MoreThanReserved), Ok(()));
    assert_eq!(fails(TAKER, 1, Outcome::MayNotSettle), Ok(()));
    assert!(fails(SETTLER, 1, Outcome::OtherTerms).is_err());
    let other = Run::after(&reserve()).executes(&withdraw(SETTLER, 1), Outcome::Applied);
    assert!(other.is_err(), "for another account than it was made for");
    assert_eq!(fails(SETTLER, 1, Outcome::CreditFrozen), Ok(()));
}

#[test]
fn a_reservation_ends_when_its_time_is_over_and_not_before() {
    let gone = vec![(id(), None)];
    let mut run = Run::after(&reserve());
    assert!(run.ends(&gone).is_err(), "it ends after a second of three");
    let mut run = Run::after(&reserve());
    for _ in 0..2 {
        assert_eq!(run.ends(&Rows::new()), Ok(()));
        run.begin();
    }
    assert!(
        run.executes(&settle(SETTLER, 1), Outcome::Applied).is_err(),
        "it is settled when its time is over"
    );
    assert!(run.ends(&Rows::new()).is_err(), "it does not end");
    assert_eq!(run.reserved.counts.timed_out, 1);

    // While the chain rests, time does not count, and afterwards no more than a step of it.
    let mut run = Run::after(&reserve());
    run.status = ChainStatus::Paused;
    for _ in 0..5 {
        assert_eq!(run.ends(&Rows::new()), Ok(()));
        run.begin();
    }
    run.status = ChainStatus::Active;
    assert_eq!(run.ends(&Rows::new()), Ok(()));
    run.begin();
    assert_eq!(run.executes(&settle(SETTLER, 1), Outcome::Applied), Ok(()));
    assert_eq!(run.ends(&gone), Ok(()));
}

#[test]
fn a_table_that_says_something_else_is_seen() {
    let mut run = Run::after(&reserve());
    let [(id, Some(row))] = run.opened()[..] else { panic!("one is open") };
    assert!(run.ends(&vec![(id, Some(Reservation { amount: 1, ..row }))]).is_err(), "it has another amount");
    assert_eq!(run.executes(&settle(SETTLER, 1), Outcome::Applied), Ok(()));
    assert!(run.ends(&Rows::new()).is_err(), "it is settled and does not end");
    let mut run = Run { reserved: Reserved::default(), height: 1, status: ChainStatus::Active };
    assert_eq!(run.executes(&reserve(), Outcome::Applied), Ok(()));
    assert!(run.ends(&Rows::new()).is_err(), "it is set aside, and the table has nothing");
}

#[test]
fn an_account_with_something_set_aside_does_not_close() {
    let close = environment().command(A.0, Signer::first(PAYER), Action::Close, 0);
    let mut run = Run::after(&reserve());
    assert_eq!(run.executes(&close, Outcome::NotEmpty), Ok(()));
    assert!(run.executes(&close, Outcome::Applied).is_err());
    assert_eq!(run.executes(&settle(SETTLER, 0), Outcome::Applied), Ok(()));
    assert_eq!(run.executes(&close, Outcome::Applied), Ok(()));
}

#[test]
fn an_offer_is_taken_once_on_its_own_terms_by_its_taker() {
    let decided = |taker, take: &Transaction, outcome| {
        let mut run = Run::after(&offer(taker));
        let came = run.sends(take);
        run.comes(A, came, outcome)
    };
    let right = take(TAKER, AMOUNT, TO, PRICE);
    for taker in [None, Some(TAKER)] {
        assert_eq!(decided(taker, &right, Outcome::Applied), Ok(()));
        assert_eq!(decided(taker, &right, Outcome::CreditFrozen), Ok(()));
        let own = [Outcome::NotReserved, Outcome::OtherTerms, Outcome::MayNotSettle, Outcome::ChainPaused];
        assert!(own.iter().all(|reason| decided(taker, &right, *reason).is_err()), "refused for nothing");
    }
    assert!(decided(Some(PAYEE), &right, Outcome::Applied).is_err(), "another takes it");
    assert_eq!(decided(Some(PAYEE), &right, Outcome::MayNotSettle), Ok(()));
    let others = [(AMOUNT - 1, TO, PRICE), (AMOUNT, TO + 1, PRICE), (AMOUNT, TO, PRICE - 1)];
    for (amount, to, price) in others {
        let other = take(TAKER, amount, to, price);
        assert!(decided(None, &other, Outcome::Applied).is_err(), "{amount} to {to} for {price}");
        assert_eq!(decided(None, &other, Outcome::OtherTerms), Ok(()));
    }
    let mut run = Run::after(&offer(None));
    let came = run.sends(&right);
    run.status = ChainStatus::Paused;
    assert!(run.comes(A, came, Outcome::Applied).is_err(), "its chain rests");

    let mut run = Run::after(&offer(None));
    let rival = take(PAYEE, AMOUNT, TO, PRICE);
    assert_eq!(run.executes(&rival, Outcome::Sent), Ok(()));
    let came = run.sends(&right);
    assert_eq!(run.comes(A, came, Outcome::Applied), Ok(()));
    assert!(run.comes(A, delivery(&rival), Outcome::Applied).is_err(), "it is taken twice");

    let mut run = Run::after(&reserve());
    let came = run.sends(&right);
    assert!(run.comes(A, came, Outcome::Applied).is_err(), "it is no offer");
}

#[test]
fn an_offer_is_withdrawn_by_who_made_it() {
    let applies = |by, amount| Run::after(&offer(None)).executes(&withdraw(by, amount), Outcome::Applied);
    assert_eq!(applies(PAYER, 0), Ok(()));
    assert!(applies(PAYER, AMOUNT).is_err() && applies(TAKER, 0).is_err());
}

#[test]
fn a_swap_is_whole() {
    let right = take(TAKER, AMOUNT, TO, PRICE);
    let crossing = delivery(&right).crossing;
    let swapped = Delivery { leg: Leg::Swapped(AccountId(TO)), crossing };
    let refund = |reason| Delivery { leg: Leg::Refund(reason), crossing };
    // The offer was taken with this outcome, and the next height has begun.
    let decided = |outcome| {
        let mut run = Run::after(&offer(None));
        let came = run.sends(&right);
        assert_eq!(run.comes(A, came, outcome), Ok(()));
        let rows = if outcome == Outcome::Applied { vec![(id(), None)] } else { Rows::new() };
        assert_eq!(run.ends(&rows), Ok(()));
        run.begin();
        run
    };
    let ends =
        |mut run: Run, came| run.comes(B, came, Outcome::Applied).and_then(|()| run.ends(&Rows::new()));
    assert_eq!(ends(decided(Outcome::Applied), swapped), Ok(()));
    assert_eq!(ends(decided(Outcome::CreditFrozen), refund(Outcome::CreditFrozen)), Ok(()));
    let other = Delivery { leg: Leg::Swapped(AccountId(TO + 1)), crossing };
    let less = Delivery { crossing: Crossing { amount: PRICE - 1, ..crossing }, ..swapped };
    for wrong in [refund(Outcome::NotReserved), other, less, delivery(&right)] {
        assert!(ends(decided(Outcome::Applied), wrong).is_err(), "{wrong:?}");
    }
    for wrong in [swapped, refund(Outcome::NotReserved)] {
        assert!(ends(decided(Outcome::CreditFrozen), wrong).is_err(), "{wrong:?}");
    }
    assert!(decided(Outcome::Applied).ends(&Rows::new()).is_err(), "the price does not come");
    assert!(decided(Outcome::CreditFrozen).ends(&Rows::new()).is_err(), "it does not come back");
    assert!(decided(Outcome::Applied).comes(A, swapped, Outcome::Applied).is_err(), "it comes elsewhere");
    let mut run = decided(Outcome::Applied);
    assert!(run.comes(B, swapped, Outcome::CreditFrozen).is_err(), "it is not credited");
    let mut run = decided(Outcome::Applied);
    assert_eq!(run.comes(B, swapped, Outcome::Applied), Ok(()));
    assert!(run.comes(B, swapped, Outcome::Applied).is_err(), "it comes twice");
    assert!(run.comes(B, refund(Outcome::NotReserved), Outcome::Applied).is_err(), "and back as well");

    let mut run = Run::after(&offer(None));
    run.sends(&right);
    assert!(run.ends(&Rows::new()).is_err(), "the price does not arrive");
    let mut run = Run::after(&offer(None));
    assert!(run.comes(A, delivery(&right), Outcome::Applied).is_err(), "nobody has sent it");
}

#[test]
fn money_goes_to_those_for_whom_it_was_set_aside() {
    let moved = |run: &mut Run, moved: &[(u64, i128)]| {
        let moved = moved.iter().map(|(account, amount)| (AccountId(*account), *amount)).collect();
        run.reserved.flows.compare(A, &moved)
    };
    let settled = |amount, expected: &[(u64, i128)]| {
        let mut run = Run::after(&reserve());
        assert_eq!(moved(&mut run, &[(PAYER, -50)]), Ok(()));
        assert_eq!(run.executes(&settle(SETTLER, amount), Outcome::Applied), Ok(()));
        moved(&mut run, expected)
    };
    assert_eq!(settled(20, &[(PAYEE, 20), (PAYER, 30)]), Ok(()));
    assert_eq!(settled(AMOUNT, &[(PAYEE, 50)]), Ok(()));
    assert_eq!(settled(0, &[(PAYER, 50)]), Ok(()));
    assert!(settled(20, &[(SETTLER, 20), (PAYER, 30)]).is_err(), "the settler has it");
    assert!(settled(20, &[(PAYEE, 20)]).is_err(), "the rest is lost");

    let mut run = Run::after(&reserve());
    assert_eq!(moved(&mut run, &[(PAYER, -50)]), Ok(()));
    run.begin();
    run.begin();
    assert_eq!(moved(&mut run, &[(PAYER, 50)]), Ok(()), "its time is over");

    let right = take(TAKER, AMOUNT, TO, PRICE);
    let mut run = Run::after(&offer(None));
    assert_eq!(moved(&mut run, &[(PAYER, -50)]), Ok(()));
    let came = run.sends(&right);
    assert_eq!(run.comes(A, came, Outcome::Applied), Ok(()));
    assert_eq!(moved(&mut run, &[(CREDIT, 50)]), Ok(()));
}
