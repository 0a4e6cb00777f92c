//! Offers and who takes them, on two chains of different assets, executed both ways.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{offer_as, settle_as, take_as, unsigned};
use crate::execute::tests::{chain_of, command, transfer};
use crate::execute::{Delivered, Leg};
use crate::roots::tests::batch;
use crate::roots::tests::restored::restored;
use crate::roots::{CommittedView, Executed, Ledger, OracleLedger};
use crate::types::Outcome::*;
use crate::types::*;

/// The chain of the offers, and that of the prices.
const A: u32 = 7;
const B: u32 = 8;
/// The chain of the same asset as B.
const C: u32 = 9;

/// Accounts of each chain: 0 offers, 1 takes, 2 freezes, 3 has nothing to do.
fn genesis() -> Genesis {
    let chain = |id: u32, balances: &[u64]| ChainGenesis {
        id: ChainId(id),
        asset: if id == A { Asset::UNIT } else { Asset(*b"another asset   ") },
        roles: Roles {
            freezer: Some(AccountId(2)),
            windows: LockWindows { rekey_seconds: 1, recovery_seconds: 2 },
            ..Roles::default()
        },
        ..chain_of(balances)
    };
    let chains = vec![chain(A, &[100, 0, 0, 0]), chain(B, &[0, 100, 0, 50]), chain(C, &[0, 100, 0, 0])];
    let validator =
        ValidatorGenesis { name: "one".into(), public_key: [1; 32], certificate_fingerprint: [2; 32] };
    Genesis::new("swaps".into(), vec![validator], chains).unwrap()
}

/// The chains, by the fast ledger and by the definition, a second a height.
struct Network {
    genesis: Genesis,
    ledger: Ledger,
    oracle: OracleLedger,
    view: CommittedView,
    nonces: BTreeMap<(u32, u64), u64>,
}

impl Network {
    fn new() -> Self {
        let genesis = genesis();
        let (ledger, oracle) = (Ledger::genesis(&genesis), OracleLedger::genesis(&genesis));
        let view = CommittedView::genesis(&genesis, ledger.state_root().clone());
        Self { genesis, ledger, oracle, view, nonces: BTreeMap::new() }
    }

    /// The fields of the next transaction of an account.
    fn like(&mut self, (chain, debit): (u32, u64), amount: u64) -> Transfer {
        let nonce = self.nonces.entry((chain, debit)).or_default();
        *nonce += 1;
        Transfer { chain: ChainId(chain), ..transfer(debit, 0, amount, *nonce - 1) }
    }

    /// Account 0 of A offers 60 for 30 on B, to account 0 there.
    fn offer(&mut self, seconds: u32) -> (Transaction, u64) {
        let like = self.like((A, 0), 60);
        (offer_as(&like, price(None), seconds), like.nonce)
    }

    /// Account 1 of B takes it for account 1 of A.
    fn take(&mut self, nonce: u64) -> Transaction {
        take_as(&self.like((B, 1), 30), A, 1, terms(nonce))
    }

    fn freeze(&mut self, chain: u32, account: u64, frozen: Frozen) -> Transaction {
        let like = self.like((chain, 2), 0);
        let action = Action::Freeze { account: AccountId(account), frozen };
        let order = Command { chain: like.chain, ..command(2, action, like.nonce) };
        order.sign(&Digest::default(), unsigned).run().transaction().unwrap()
    }

    /// The outcomes of the transactions, which ascend by chain.
    fn height(&mut self, transactions: &[Transaction]) -> Vec<Outcome> {
        let executed = self.execute(transactions);
        executed.deltas.iter().flat_map(|delta| delta.outcomes()).copied().collect()
    }

    fn execute(&mut self, transactions: &[Transaction]) -> Executed {
        let height = self.ledger.height().next();
        let packets: Vec<_> = transactions.iter().flat_map(|one| one.run().packets()).copied().collect();
        let at = ChainTime::new(height, height.0 * 1_000);
        let batches: Vec<_> = (!packets.is_empty()).then(|| batch(1, &packets)).into_iter().collect();
        let executed = self.ledger.execute(at, &batches);
        let of = |chain| PacketRun::all(&packets).filter(|run| run.chain() == chain).collect();
        let expected = self.oracle.execute(at, of);
        for (delta, expected) in executed.deltas.iter().zip(&expected.outcomes) {
            assert_eq!(delta.outcomes(), expected.outcomes);
            assert_eq!(delta.effects(), expected.effects);
            assert_eq!((delta.inbox(), delta.outbox()), (&expected.inbox[..], &expected.outbox[..]));
        }
        assert_eq!(*executed.state_root.digest(), expected.state_root);
        let digests: Vec<_> = executed.deltas.iter().map(|delta| delta.digest().0).collect();
        assert_eq!(kernels::sha2::sha256(digests.as_flattened()), expected.delta_digest.0);
        self.oracle = restored(&self.genesis, &self.ledger, &executed, &self.oracle);
        self.conserves();
        self.view.commit(&executed.deltas, executed.state_root.clone());
        for key in (0..3).filter_map(|nonce| ReservationId { payer: AccountId(0), nonce }.key()) {
            let proof = self.ledger.prove_row(ChainId(A), &key).unwrap();
            assert_eq!(proof.verify(executed.state_root.digest()), Ok(()));
            assert_eq!(self.view.prove_row(ChainId(A), &key), Some(proof));
        }
        executed
    }

    /// What arrived at a height without transactions.
    fn arrivals(&mut self) -> Vec<Delivered> {
        self.execute(&[]).deltas.iter().flat_map(|delta| delta.inbox()).copied().collect()
    }

    /// The sum of each asset is what the genesis gave.
    fn conserves(&self) {
        let mut sums = BTreeMap::from([(Asset::UNIT, 0), (Asset(*b"another asset   "), 0)]);
        let asset = |chain: ChainId| self.ledger.states().get(chain).unwrap().asset();
        for (chain, oracle) in self.oracle.oracles() {
            *sums.get_mut(&asset(chain)).unwrap() += oracle.balances() + oracle.reserved();
        }
        for crossing in self.ledger.in_flight().map(|one| one.crossing) {
            *sums.get_mut(&asset(crossing.source)).unwrap() += u128::from(crossing.amount);
        }
        assert_eq!(sums, BTreeMap::from([(Asset::UNIT, 100), (Asset(*b"another asset   "), 250)]));
    }

    fn balances(&self, chain: u32) -> Vec<u64> {
        let states = self.ledger.states();
        let state = states.get(ChainId(chain)).unwrap();
        (0..4).map(|id| state.account(AccountId(id)).unwrap().balance).collect()
    }
}

fn price(taker: Option<u64>) -> Price {
    Price { chain: ChainId(B), amount: 30, to: AccountId(0), taker: taker.map(AccountId) }
}

fn terms(nonce: u64) -> Terms {
    Terms { offer: ReservationId { payer: AccountId(0), nonce }, amount: 60, to: AccountId(0) }
}

#[test]
fn both_have_what_they_wanted_two_heights_after_the_price_was_paid() {
    let mut network = Network::new();
    let (offer, nonce) = network.offer(60);
    assert_eq!(network.height(&[offer]), [Applied]);
    let take = network.take(nonce);
    assert_eq!(network.height(&[take]), [Sent]);
    assert_eq!((network.balances(A), network.balances(B)), (vec![40, 0, 0, 0], vec![0, 70, 0, 50]));
    let [came] = network.arrivals()[..] else { panic!("the price comes") };
    assert_eq!((came.delivery.leg, came.outcome), (Leg::Take(terms(nonce)), Applied));
    assert_eq!((network.balances(A), network.balances(B)), (vec![40, 60, 0, 0], vec![0, 70, 0, 50]));
    let [came] = network.arrivals()[..] else { panic!("it goes on") };
    assert_eq!((came.delivery.leg, came.outcome), (Leg::Swapped(AccountId(0)), Applied));
    assert_eq!((network.balances(A), network.balances(B)), (vec![40, 60, 0, 0], vec![30, 70, 0, 50]));
    assert_eq!(network.arrivals(), []);
}

/// What a taker pays comes back, with the reason, and the offer stays.
fn refunded(network: &mut Network, reason: Outcome) {
    let before = network.balances(B)[1];
    let [came] = network.arrivals()[..] else { panic!("the price comes") };
    assert_eq!(came.outcome, reason);
    let [back] = network.arrivals()[..] else { panic!("it comes back") };
    assert_eq!((back.delivery.leg, back.outcome), (Leg::Refund(reason), Applied));
    assert_eq!(network.balances(B)[1], before + back.delivery.crossing.amount);
}

#[test]
fn an_offer_is_taken_once_and_on_its_own_terms() {
    let mut network = Network::new();
    let (offer, nonce) = network.offer(60);
    network.height(&[offer]);
    let pays = |network: &mut Network, chain, price, credit, terms| {
        let take = take_as(&network.like((chain, 1), price), A, credit, terms);
        assert_eq!(network.height(&[take]), [Sent]);
    };
    let good = terms(nonce);
    for (chain, price, credit, terms, reason) in [
        (B, 29, 1, good, OtherTerms),
        (B, 31, 1, good, OtherTerms),
        (B, 30, 1, Terms { amount: 61, ..good }, OtherTerms),
        (B, 30, 1, Terms { to: AccountId(3), ..good }, OtherTerms),
        (B, 30, 1, terms(nonce + 1), NotReserved),
        (B, 30, 99, good, UnknownCredit),
    ] {
        pays(&mut network, chain, price, credit, terms);
        refunded(&mut network, reason);
    }
    // The same price on another chain of the same asset is not what was asked for.
    let take = take_as(&network.like((C, 1), 30), A, 1, good);
    assert_eq!(network.height(&[take]), [Sent]);
    assert_eq!(network.arrivals()[0].outcome, OtherTerms);
    network.arrivals();
    // Two at once: the first has it.
    let all = [network.take(nonce), network.take(nonce)];
    assert_eq!(network.height(&all), [Sent, Sent]);
    assert_eq!(
        network.arrivals().iter().map(|came| came.outcome).collect::<Vec<_>>(),
        [Applied, NotReserved]
    );
    network.arrivals();
    assert_eq!((network.balances(A), network.balances(B)), (vec![40, 60, 0, 0], vec![30, 70, 0, 50]));
}

#[test]
fn an_offer_for_one_taker_is_for_no_other() {
    let mut network = Network::new();
    let like = network.like((A, 0), 60);
    let offer = offer_as(&like, price(Some(3)), 60);
    network.height(&[offer]);
    let take = network.take(like.nonce);
    network.height(&[take]);
    refunded(&mut network, MayNotSettle);
    let take = take_as(&network.like((B, 3), 30), A, 1, terms(like.nonce));
    network.height(&[take]);
    assert_eq!(network.arrivals()[0].outcome, Applied);
}

#[test]
fn who_offers_can_withdraw_and_the_time_ends_it() {
    let mut network = Network::new();
    let ((offer, first), (other, _)) = (network.offer(60), network.offer(2));
    // The other exceeds what there is.
    assert_eq!(network.height(&[offer, other]), [Applied, InsufficientBalance]);
    let paid = settle_as(&network.like((A, 0), 1), (0, first), 0);
    let stranger = settle_as(&network.like((A, 1), 0), (0, first), 0);
    let withdrawn = settle_as(&network.like((A, 0), 0), (0, first), 0);
    let all = [paid, stranger, withdrawn, network.take(first)];
    assert_eq!(network.height(&all), [MayNotSettle, MayNotSettle, Applied, Sent]);
    refunded(&mut network, NotReserved);
    let (offer, nonce) = network.offer(1);
    let take = network.take(nonce);
    assert_eq!(network.height(&[offer, take]), [Applied, Sent]);
    // Its time is over at the height at which the price comes, before that comes.
    refunded(&mut network, NotReserved);
    assert_eq!((network.balances(A), network.balances(B)), (vec![100, 0, 0, 0], vec![0, 100, 0, 50]));
}

#[test]
fn who_is_frozen_swaps_nothing_and_what_is_decided_arrives() {
    let mut network = Network::new();
    let (offer, nonce) = network.offer(60);
    let freeze = network.freeze(A, 0, Frozen::DEBIT);
    assert_eq!(network.height(&[offer, freeze]), [Applied, Applied]);
    let take = network.take(nonce);
    network.height(&[take]);
    refunded(&mut network, DebitFrozen);
    let (thaw, frozen) = (network.freeze(A, 0, Frozen::NONE), network.freeze(B, 0, Frozen::CREDIT));
    let take = network.take(nonce);
    assert_eq!(network.height(&[thaw, frozen, take]), [Applied, Applied, CreditFrozen]);
    let (thaw, take) = (network.freeze(B, 0, Frozen::NONE), network.take(nonce));
    assert_eq!(network.height(&[thaw, take]), [Applied, Sent]);
    // Who was to have the price is frozen while it is under way, and the taker is, too.
    let frozen = [network.freeze(B, 0, Frozen::BOTH), network.freeze(B, 1, Frozen::BOTH)];
    let executed = network.execute(&frozen);
    assert_eq!(executed.deltas[0].inbox()[0].outcome, Applied);
    assert_eq!(network.arrivals()[0].outcome, Applied);
    assert_eq!((network.balances(A), network.balances(B)), (vec![40, 60, 0, 0], vec![30, 70, 0, 50]));
}

#[test]
fn what_buys_nothing_where_it_is_paid_never_leaves() {
    let mut network = Network::new();
    let at = |network: &mut Network, price, chain, to| {
        let terms = Terms { to: AccountId(to), ..terms(0) };
        take_as(&network.like((B, 1), price), chain, 1, terms)
    };
    let all = [at(&mut network, 101, A, 0), at(&mut network, 1, 77, 0), at(&mut network, 1, A, 99)];
    assert_eq!(network.height(&all), [InsufficientBalance, UnknownCreditChain, UnknownCredit]);
    let elsewhere = Price { chain: ChainId(77), ..price(None) };
    let offer = offer_as(&network.like((A, 0), 1), elsewhere, 9);
    assert_eq!(network.height(&[offer]), [UnknownCreditChain]);
    assert_eq!(network.arrivals(), []);
}

/// An account to which a price is on its way cannot be closed under it: that takes longer.
#[test]
fn the_price_arrives_at_an_account_that_closes() {
    let mut network = Network::new();
    let (offer, nonce) = network.offer(60);
    network.height(&[offer]);
    let take = network.take(nonce);
    let like = network.like((B, 0), 0);
    let close = Command { chain: like.chain, ..command(0, Action::Close, like.nonce) };
    let close = close.sign(&Digest::default(), unsigned).run().transaction().unwrap();
    assert_eq!(network.height(&[take, close]), [Sent, Applied]);
    (0..6).for_each(|_| drop(network.arrivals()));
    assert_eq!(network.balances(B), [30, 70, 0, 50]);
    assert!(!network.ledger.states().get(ChainId(B)).unwrap().flags(AccountId(0)).unwrap().is_closed());
}

/// Every sequence of a few things over four heights: whatever is done, each swap is whole or did not happen.
#[test]
fn in_every_small_history_both_or_neither() {
    const CHOICES: u64 = 7;
    for history in 0..CHOICES.pow(4) {
        let mut network = Network::new();
        let (mut gave, mut paid) = (0, 0);
        for step in 0..8 {
            let choice = if step < 4 { history / CHOICES.pow(step) % CHOICES } else { 0 };
            let offer = |network: &mut Network, seconds| {
                let like = network.like((A, 0), 30);
                offer_as(&like, price(None), seconds)
            };
            let take = |network: &mut Network, nonce| {
                take_as(&network.like((B, 1), 30), A, 1, Terms { amount: 30, ..terms(nonce) })
            };
            let transactions = match choice {
                1 => vec![offer(&mut network, 1)],
                2 => vec![offer(&mut network, 3)],
                3 => vec![take(&mut network, 0)],
                4 => vec![take(&mut network, 1)],
                5 => vec![settle_as(&network.like((A, 0), 0), (0, 0), 0)],
                6 => vec![network.freeze(A, 0, if history % 2 == 0 { Frozen::DEBIT } else { Frozen::NONE })],
                _ => vec![],
            };
            let executed = network.execute(&transactions);
            let arrived = executed.deltas.iter().flat_map(|delta| delta.inbox());
            for Delivered { delivery, outcome } in arrived {
                match delivery.leg {
                    Leg::Take(_) if *outcome == Applied => gave += 1,
                    Leg::Swapped(_) => paid += 1,
                    _ => {}
                }
            }
        }
        assert_eq!(gave, paid, "history {history}");
        let (a, b) = (network.balances(A), network.balances(B));
        assert_eq!((a[0], a[1]), (100 - 30 * gave, 30 * gave), "history {history}");
        assert_eq!((b[0], b[1]), (30 * paid, 100 - 30 * paid), "history {history}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Offers, takes and settlements that often fit each other, with payments and freezes between them.
    #[test]
    fn the_definition_agrees(heights in vec(vec((0..6_u8, 0..4_u64, 0..3_u64, 1..4_u64), 0..8), 1..10)) {
        let mut network = Network::new();
        for height in heights {
            let mut transactions = Vec::new();
            for (what, account, other, amount) in height {
                let price = Price { amount: amount * 5, taker: (other == 2).then_some(AccountId(1)), ..price(None) };
                let say = |amount| Terms { offer: ReservationId { payer: AccountId(0), nonce: other }, amount, to: AccountId(0) };
                transactions.push(match what {
                    0 => offer_as(&network.like((A, 0), 10), price, amount as u32),
                    1 | 2 => take_as(&network.like((B, 1 + 2 * (account & 1)), amount * 5), A, account, say(10)),
                    3 => settle_as(&network.like((A, account), 0), (0, other), if amount > 2 { account } else { 0 }),
                    4 => network.freeze(if other == 0 { A } else { B }, account, Frozen::from_bits(amount as u32)),
                    _ => super::reserve_as(&network.like((A, 0), amount), (account, other), amount as u32),
                });
            }
            transactions.sort_by_key(|one| one.chain());
            network.execute(&transactions);
        }
    }
}
