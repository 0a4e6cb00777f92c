//! Money that is set aside, one block a second, executed both ways.

mod swaps;

use proptest::prelude::*;

use crate::execute::StateWriter;
use crate::execute::oracle::Oracle;
use crate::execute::tests::{any_transfer, both, command, governed, transfer};
use crate::limits::{LOCK_WINDOW_SECONDS_MAX, MEMO_BYTES_MAX, RELEASES_MAX, RESERVATIONS_MAX};
use crate::types::*;

fn envelope(like: &Transfer) -> Envelope {
    let Transfer { chain, key_version, reference, debit: signer, nonce, expiry, .. } = *like;
    Envelope { chain, key_version, reference, signer, nonce, expiry }
}

fn unsigned(_: &[u8]) -> [u8; 64] {
    [0; 64]
}

pub(crate) fn reserve_as(like: &Transfer, (payee, settler): (u64, u64), seconds: u32) -> Transaction {
    let (payee, settler) = (AccountId(payee), AccountId(settler));
    let reserve =
        Reserve { envelope: envelope(like), amount: like.amount, seconds, payee, settler, memo: b"rent" };
    reserve.sign(&Digest::default(), unsigned).unwrap()
}

pub(crate) fn settle_as(like: &Transfer, (payer, nonce): (u64, u64), payee: u64) -> Transaction {
    let (reservation, payee) = (ReservationId { payer: AccountId(payer), nonce }, AccountId(payee));
    let settle = Settle { envelope: envelope(like), reservation, payee, amount: like.amount, memo: b"" };
    settle.sign(&Digest::default(), unsigned).unwrap()
}

pub(crate) fn offer_as(like: &Transfer, price: Price, seconds: u32) -> Transaction {
    let offer = Offer { envelope: envelope(like), amount: like.amount, seconds, price, memo: b"" };
    offer.sign(&Digest::default(), unsigned).unwrap()
}

pub(crate) fn take_as(like: &Transfer, chain: u32, credit: u64, terms: Terms) -> Transaction {
    let (chain, credit) = (ChainId(chain), AccountId(credit));
    let take = Take { envelope: envelope(like), chain, terms, price: like.amount, credit, memo: b"" };
    take.sign(&Digest::default(), unsigned).unwrap()
}

/// Reservations that often fit their settlements: for a [`governed`] chain with eight accounts.
pub(crate) fn any_reservation() -> impl Strategy<Value = Transaction> + Clone {
    let like = (any_transfer(), 0..24_u64, 1..60_u64).prop_map(|(like, nonce, amount)| Transfer {
        debit: AccountId(like.debit.0 % 5),
        nonce,
        amount,
        ..like
    });
    // Mostly for the same account, so that who settles names the right one.
    let payee = || prop_oneof![8 => Just(1_u64), 3 => 0..5_u64, 1 => 0..10_u64];
    let accounts = (payee(), 0..5_u64);
    let reserve = (like.clone(), accounts.clone(), 1..6_u32)
        .prop_map(|(like, accounts, seconds)| reserve_as(&like, accounts, seconds));
    let amount = prop_oneof![2 => 0..60_u64, 1 => Just(0)];
    let settle = (like.clone(), 0..5_u64, 0..24_u64, amount, payee()).prop_map(
        |(like, payer, nonce, amount, payee)| settle_as(&Transfer { amount, ..like }, (payer, nonce), payee),
    );
    // There is no other chain.
    let offer = like.prop_map(|like| {
        offer_as(&like, Price { chain: ChainId(8), amount: 1, to: AccountId(0), taker: None }, 3)
    });
    prop_oneof![6 => reserve, 8 => settle, 1 => offer]
}

/// A chain that is executed both ways, block by block.
struct Chain {
    genesis: ChainGenesis,
    writer: StateWriter,
    oracle: Oracle,
    nonces: std::collections::BTreeMap<u64, u64>,
}

use Outcome::*;

impl Chain {
    /// Four accounts with 100 each; account 2 is the freezer.
    fn new() -> Self {
        Self::with(&[100; 4])
    }

    fn with(balances: &[u64]) -> Self {
        let genesis = governed(balances);
        let oracle = Oracle::genesis(&genesis, std::slice::from_ref(&genesis));
        Self { writer: StateWriter::genesis(&genesis), genesis, oracle, nonces: Default::default() }
    }

    /// The fields of the next transaction of an account.
    fn like(&mut self, debit: u64, amount: u64) -> Transfer {
        let nonce = self.nonces.entry(debit).or_default();
        *nonce += 1;
        transfer(debit, 0, amount, *nonce - 1)
    }

    /// Account 0 sets so much aside for account 1; account 3 settles.
    fn reserve(&mut self, amount: u64, seconds: u32) -> (Transaction, u64) {
        let like = self.like(0, amount);
        (reserve_as(&like, (1, 3), seconds), like.nonce)
    }

    fn settle(&mut self, by: u64, nonce: u64, amount: u64) -> Transaction {
        settle_as(&self.like(by, amount), (0, nonce), 1)
    }

    fn order(&mut self, by: u64, action: Action) -> Transaction {
        let nonce = self.like(by, 0).nonce;
        command(by, action, nonce).sign(&Digest::default(), |_| [0; 64]).run().transaction().unwrap()
    }

    fn freeze(&mut self, account: u64, frozen: Frozen) {
        let freeze = self.order(2, Action::Freeze { account: AccountId(account), frozen });
        self.block(&[(freeze, Applied)]);
    }

    fn block(&mut self, transactions: &[(Transaction, Outcome)]) {
        let packets: Vec<_> = transactions.iter().flat_map(|(one, _)| one.run().packets()).copied().collect();
        let delta = both(&mut self.writer, &mut self.oracle, &packets);
        self.oracle.go_on_restored(std::slice::from_ref(&self.genesis), &self.writer);
        let expected: Vec<_> = transactions.iter().map(|(_, outcome)| *outcome).collect();
        assert_eq!(delta.outcomes(), expected, "at height {}", delta.height());
    }

    fn balance(&self, account: u64) -> u64 {
        self.writer.state().account(AccountId(account)).unwrap().balance
    }

    fn balances(&self) -> [u64; 4] {
        [0, 1, 2, 3].map(|id| self.balance(id))
    }
}

#[test]
fn what_is_set_aside_is_paid_once_in_full_or_in_part() {
    let mut chain = Chain::new();
    let ((all, first), (part, second)) = (chain.reserve(30, 60), chain.reserve(40, 60));
    let (too_much, _) = chain.reserve(31, 60);
    let spends = chain.like(0, 31).sign(&Digest::default(), unsigned).run().transaction().unwrap();
    chain.block(&[
        (all, Applied),
        (part, Applied),
        (too_much, InsufficientBalance),
        (spends, InsufficientBalance),
    ]);
    assert_eq!(chain.balances(), [30, 100, 100, 100]);
    let (more, paid) = (chain.settle(3, first, 31), chain.settle(3, first, 30));
    let (again, in_part) = (chain.settle(3, first, 30), chain.settle(3, second, 15));
    chain.block(&[(more, MoreThanReserved), (paid, Applied), (again, NotReserved), (in_part, Applied)]);
    assert_eq!(chain.balances(), [55, 145, 100, 100]);
    // Nothing is left, so the clock stands still, and the place in the table is free again.
    assert_eq!(chain.writer.table().vacancies(), 2);
    let (third, _) = chain.reserve(1, 1);
    chain.block(&[(third, Applied)]);
    assert_eq!(chain.writer.table().vacancies(), 1);
}

#[test]
fn only_the_settler_pays_and_the_payee_can_do_without() {
    let mut chain = Chain::new();
    let ((of_settler, first), (of_payee, second)) = (chain.reserve(30, 60), chain.reserve(40, 60));
    let all = [
        (of_settler, Applied),
        (of_payee, Applied),
        (chain.settle(0, first, 0), MayNotSettle),
        (chain.settle(1, first, 30), MayNotSettle),
        (chain.settle(2, first, 0), MayNotSettle),
        // What is signed says whom it is for.
        (settle_as(&chain.like(3, 30), (0, first), 2), OtherTerms),
        (chain.settle(3, first, 0), Applied),
        (chain.settle(1, second, 0), Applied),
        (chain.settle(3, 99, 0), NotReserved),
        (settle_as(&chain.like(3, 0), (77, 0), 1), NotReserved),
    ];
    chain.block(&all);
    assert_eq!(chain.balances(), [100; 4]);
}

#[test]
fn when_the_time_is_over_the_payer_has_it_back() {
    let mut chain = Chain::new();
    let (reserve, nonce) = chain.reserve(30, 2);
    chain.block(&[(reserve, Applied)]);
    chain.block(&[]);
    assert_eq!(chain.balances()[0], 70);
    // It ends before anything else of the block.
    let late = chain.settle(3, nonce, 30);
    chain.block(&[(late, NotReserved)]);
    assert_eq!(chain.balances(), [100; 4]);
}

#[test]
fn more_than_a_block_gives_back_waits_and_cannot_be_settled() {
    let mut chain = Chain::with(&[2_000; 5]);
    let blocks = (RESERVATIONS_MAX / 64) as u32;
    for block in 0..blocks {
        // All are due at the same moment.
        let reserve =
            |chain: &mut Chain, payer| reserve_as(&chain.like(payer, 1), (1, 3), 1 + blocks - block);
        let all: Vec<_> = (0..320).map(|at| (reserve(&mut chain, at % 5), Applied)).collect();
        chain.block(&all);
    }
    let one_more = reserve_as(&chain.like(0, 1), (1, 3), 9);
    chain.block(&[(one_more, ReservationsFull)]);
    assert_eq!(chain.writer.table().vacancies(), 0);
    let of_the_last = settle_as(&chain.like(3, 1), (4, u64::from(blocks) * 64 - 1), 1);
    chain.block(&[(of_the_last, NotReserved)]);
    assert_eq!(chain.writer.table().vacancies(), RELEASES_MAX);
    assert_eq!(chain.balance(4), 2_000 - 1_024);
    chain.block(&[]);
    assert_eq!(chain.writer.table().vacancies(), 5 * RESERVATIONS_MAX);
    assert_eq!(chain.balance(4), 2_000);
}

#[test]
fn freezing_stops_payments_and_nothing_else() {
    let mut chain = Chain::new();
    let ((reserve, nonce), (other, back)) = (chain.reserve(30, 4), chain.reserve(20, 60));
    chain.block(&[(reserve, Applied), (other, Applied)]);
    chain.freeze(0, Frozen::DEBIT);
    let (paid, given_back) = (chain.settle(3, nonce, 1), chain.settle(3, back, 0));
    let (more, _) = chain.reserve(1, 4);
    chain.block(&[(paid, DebitFrozen), (given_back, Applied), (more, DebitFrozen)]);
    assert_eq!(chain.balances(), [70, 100, 100, 100]);
    chain.freeze(0, Frozen::CREDIT);
    chain.freeze(1, Frozen::CREDIT);
    // Height 5: its time is over, and a frozen account takes what comes back.
    assert_eq!(chain.balances(), [100; 4]);
    let (unpayable, _) = chain.reserve(1, 4);
    chain.block(&[(unpayable, CreditFrozen)]);
}

#[test]
fn an_account_with_an_open_reservation_is_not_closed() {
    let mut chain = Chain::new();
    let (all, nonce) = chain.reserve(100, 60);
    let close = chain.order(0, Action::Close);
    chain.block(&[(all, Applied), (close, NotEmpty)]);
    let (paid, close) = (chain.settle(3, nonce, 100), chain.order(0, Action::Close));
    chain.block(&[(paid, Applied), (close, Applied)]);
    (0..4).for_each(|_| chain.block(&[]));
    let flags = chain.writer.state().account(AccountId(0)).unwrap().flags;
    assert!(flags.is_closed());
    // Nothing is set aside for a closed account, nor for it to settle.
    let (payee, settler) = (chain.like(1, 5), chain.like(1, 5));
    let all =
        [(reserve_as(&payee, (0, 1), 9), CreditClosed), (reserve_as(&settler, (2, 0), 9), CreditClosed)];
    chain.block(&all);
    let unknown = reserve_as(&chain.like(1, 5), (2, 99), 9);
    chain.block(&[(unknown, UnknownCredit)]);
}

#[test]
fn nothing_for_no_time_or_for_too_long_is_malformed() {
    let like = transfer(0, 0, 1, 0);
    let reserve = |amount, seconds, payee, memo: &[u8]| {
        let (payee, settler) = (AccountId(payee), AccountId(1));
        let reserve = Reserve { envelope: envelope(&like), amount, seconds, payee, settler, memo };
        reserve.sign(&Digest::default(), unsigned).map(|transaction| transaction.run().packets().len())
    };
    assert_eq!(reserve(1, 1, 1, b""), Ok(2));
    assert_eq!(reserve(1, LOCK_WINDOW_SECONDS_MAX, ACCOUNT_MAX, &[7; MEMO_BYTES_MAX]), Ok(4));
    assert_eq!(reserve(0, 1, 1, b""), Err(Malformed));
    assert_eq!(reserve(1, 0, 1, b""), Err(Malformed));
    assert_eq!(reserve(1, LOCK_WINDOW_SECONDS_MAX + 1, 1, b""), Err(Malformed));
    assert_eq!(reserve(1, 1, ACCOUNT_MAX + 1, b""), Err(Malformed));
    assert_eq!(reserve(1, 1, 1, &[7; MEMO_BYTES_MAX + 1]), Err(Malformed));
    let price = Price { chain: ChainId(8), amount: 1, to: AccountId(2), taker: Some(AccountId(3)) };
    let offer = |price| {
        let offer = Offer { envelope: envelope(&like), amount: 1, seconds: 1, price, memo: b"" };
        offer.sign(&Digest::default(), unsigned).is_ok()
    };
    assert!(offer(price));
    assert!(!offer(Price { chain: like.chain, ..price }), "a swap is between two chains");
    assert!(!offer(Price { amount: 0, ..price }));
    let terms = Terms { offer: ReservationId { payer: AccountId(0), nonce: 0 }, amount: 1, to: AccountId(2) };
    let take = |chain, price, terms| {
        let credit = AccountId(1);
        let take = Take { envelope: envelope(&like), chain, terms, price, credit, memo: b"" };
        take.sign(&Digest::default(), unsigned).is_ok()
    };
    assert!(take(ChainId(8), 1, terms));
    assert!(!take(like.chain, 1, terms));
    assert!(!take(ChainId(8), 0, terms));
    assert!(!take(ChainId(8), 1, Terms { amount: 0, ..terms }));
}
