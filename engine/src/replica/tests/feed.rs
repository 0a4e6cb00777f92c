//! The feeds of two chains that pay each other, read from a validator's journal.

use super::super::{FeedBlocks, JournalReader};
use super::rig::{CHAIN, OTHER, Rig};
use super::*;
use crate::chains::transfers::tests::{offer_as, take_as};
use crate::execute::tests::transfer;
use crate::types::{
    AccountId, ChainId, Effect, Outcome, Packet, Price, ReservationId, Terms, Transfer, Verdict,
};
use crate::wire::answers::{FeedAnswer, FeedEvent, FeedItem};
use crate::wire::{Cursor, FeedQuery, Happening};

const SENT: Happening = Happening::Executed { outcome: Outcome::Sent };
const APPLIED: Happening = Happening::Executed { outcome: Outcome::Applied };
const REASON: Outcome = Outcome::UnknownCredit;

/// The place of an event, who paid, and what happened.
type Line = (&'static str, u64, Happening);

/// Two payments to the other chain, of which one comes back, one more a block later, and two within the chain.
fn rig() -> Rig {
    let mut rig = Rig::new(4);
    rig.offer_crossing(0, 1, 0, 5).unwrap();
    rig.offer_crossing(0, 2, 0, 1 << 20).unwrap();
    rig.offer(0, 3, 0).unwrap();
    rig.advance(100);
    let first = rig.order(1, 1, rig.network());
    rig.offer_crossing(0, 4, 0, 6).unwrap();
    rig.advance(100);
    let second = rig.order(2, 2, first);
    rig.offer(0, 1, 1).unwrap();
    rig.advance(100);
    let third = rig.order(3, 3, second);
    rig.order(0, 4, third);
    rig.advance(30);
    assert_eq!(rig.nodes[0].replica.committed(), Height(4));
    rig
}

fn everything(chain: ChainId) -> FeedQuery {
    FeedQuery { chain, from: Cursor::START, account: None, reference: None, max: 1_000 }
}

fn ask(rig: &Rig, query: &FeedQuery, blocks: &mut FeedBlocks, stops: bool) -> FeedAnswer {
    let (records, index) = rig.nodes[0].world.journal();
    let reader = JournalReader { records, index, network: &rig.network() };
    reader.feed(query, rig.nodes[0].replica.committed(), blocks, &|| stops).unwrap()
}

fn lines(answer: &FeedAnswer) -> Vec<(String, u64, Happening)> {
    let payer = |packet: &str| {
        let bytes = hex::decode(packet).unwrap();
        Packet::slice(&bytes)[0].debit().0
    };
    let line = |event: &FeedEvent| match &event.item {
        FeedItem::Transaction { happening, packet, .. } => (event.at.to_string(), payer(packet), *happening),
        FeedItem::Effect(effect) => panic!("nothing takes effect by itself here: {effect:?}"),
    };
    answer.events.iter().map(line).collect()
}

#[track_caller]
fn assert_lines(answer: &FeedAnswer, expected: &[Line]) {
    let expected: Vec<_> =
        expected.iter().map(|(at, payer, what)| ((*at).to_owned(), *payer, *what)).collect();
    assert_eq!(lines(answer), expected);
}

#[test]
fn a_feed_has_what_was_executed_and_what_came_from_other_chains_in_the_order_of_execution() {
    let rig = rig();
    let mut blocks = FeedBlocks::default();
    let here: [Line; 6] = [
        ("1.0", 1, SENT),
        ("1.1", 2, SENT),
        ("1.2", 3, APPLIED),
        ("2.0", 4, SENT),
        ("3.0", 2, Happening::Refunded { reason: REASON }),
        ("3.1", 1, APPLIED),
    ];
    let there: [Line; 3] = [
        ("2.0", 1, Happening::Credited),
        ("2.1", 2, Happening::NotCredited { reason: REASON }),
        ("3.0", 4, Happening::Credited),
    ];
    for (chain, expected) in [(CHAIN, &here[..]), (OTHER, &there[..])] {
        let all = ask(&rig, &everything(chain), &mut blocks, false);
        assert_lines(&all, expected);
        assert_eq!(all.next, Cursor::at(Height(5)), "the next height is not committed yet");
        // However it is cut into answers, it is the same.
        for max in 1..=6 {
            let (mut pieces, mut from) = (Vec::new(), Cursor::START);
            while from != all.next {
                let piece = ask(&rig, &FeedQuery { from, max, ..everything(chain) }, &mut blocks, false);
                assert!(piece.events.len() <= usize::from(max) && piece.next > from);
                pieces.extend(piece.events);
                from = piece.next;
            }
            assert_eq!(pieces, all.events, "{max} at a time");
        }
    }
}

/// Account 0 here offers; account 1 there takes, and account 2 there takes what is gone then.
#[test]
fn a_feed_has_both_ends_of_a_swap_and_its_taker_is_told_once() {
    let mut rig = Rig::new(4);
    let like = |chain, sender, amount| Transfer { chain, ..transfer(sender, 0, amount, 0) };
    let price = Price { chain: OTHER, amount: 30, to: AccountId(7), taker: None };
    rig.offer_unsigned(0, (0, 0), &offer_as(&like(CHAIN, 0, 60), price, 9)).unwrap();
    rig.advance(100);
    let first = rig.order(1, 1, rig.network());
    let offer = ReservationId { payer: AccountId(0), nonce: 0 };
    let terms = Terms { offer, amount: 60, to: AccountId(7) };
    for taker in [1, 2] {
        let take = take_as(&like(OTHER, taker, 30), CHAIN.0, 6, terms);
        rig.offer_unsigned(0, (taker, 0), &take).unwrap();
    }
    rig.advance(100);
    let second = rig.order(2, 2, first);
    let third = rig.order(3, 3, second);
    rig.order(0, 4, third);
    rig.advance(30);
    let mut blocks = FeedBlocks::default();
    assert_eq!(rig.nodes[0].replica.committed(), Height(4));
    let reason = Outcome::NotReserved;
    let here =
        [("1.0", 0, APPLIED), ("3.0", 1, Happening::Credited), ("3.1", 2, Happening::NotCredited { reason })];
    let there = [
        ("2.0", 1, SENT),
        ("2.1", 2, SENT),
        ("4.0", 1, Happening::Swapped),
        ("4.1", 2, Happening::Refunded { reason }),
    ];
    assert_lines(&ask(&rig, &everything(CHAIN), &mut blocks, false), &here);
    assert_lines(&ask(&rig, &everything(OTHER), &mut blocks, false), &there);
    let mut of = |chain, account| {
        ask(&rig, &FeedQuery { account: Some(AccountId(account)), ..everything(chain) }, &mut blocks, false)
    };
    // The account that was to be credited hears of both, who offered and who was to have the price of the swap alone.
    assert_lines(&of(CHAIN, 0), &here);
    assert_lines(&of(CHAIN, 6), &here[1..]);
    assert_lines(&of(OTHER, 7), &there[2..3]);
    assert_lines(&of(OTHER, 1), &[there[0], there[2]]);
    let mut told: Vec<_> = rig.nodes[0].world.notices.iter().map(|(_, notice)| notice.verdict).collect();
    told.sort_by_key(|verdict| verdict.code());
    assert_eq!(told, [Verdict::Committed, Verdict::Committed, Verdict::Failed(reason)]);
}

/// Accounts 0 and 1 offer, and nobody takes it.
#[test]
fn a_feed_has_what_takes_effect_by_itself_before_everything_else_of_its_height() {
    let mut rig = Rig::new(4);
    let price = Price { chain: OTHER, amount: 30, to: AccountId(7), taker: None };
    let like = |payer| Transfer { chain: CHAIN, ..transfer(payer, 0, 60 + payer, 0) };
    for payer in [0, 1] {
        rig.offer_unsigned(0, (payer, 0), &offer_as(&like(payer), price, 1)).unwrap();
    }
    let mut parent = rig.network();
    for view in 1..8 {
        rig.advance(500);
        if view == 4 {
            rig.offer(0, 3, 0).unwrap();
            rig.advance(100);
        }
        parent = rig.order((view % 4) as usize, view, parent);
    }
    rig.advance(30);
    let mut blocks = FeedBlocks::default();
    let answer = ask(&rig, &everything(CHAIN), &mut blocks, false);
    let released = |payer| Effect::Released { payer: AccountId(payer), nonce: 0, amount: 60 + payer };
    let effects: Vec<_> =
        answer.events.iter().filter(|event| matches!(event.item, FeedItem::Effect(_))).collect();
    let [first, second] = effects[..] else { panic!("{answer:?}") };
    assert_eq!([&first.item, &second.item], [0, 1].map(|payer| FeedItem::Effect(released(payer))).each_ref());
    assert_eq!((first.at.place, second.at), (0, Cursor { place: 1, ..first.at }));
    assert_eq!(answer.events.len(), 2 + 1 + 2);

    // One event an answer, each goes on behind the one before.
    let (mut query, mut one_by_one) = (FeedQuery { max: 1, ..everything(CHAIN) }, Vec::new());
    while query.from < answer.next {
        let part = ask(&rig, &query, &mut blocks, false);
        assert!(part.events.len() <= 1 && part.next > query.from);
        one_by_one.extend(part.events);
        query.from = part.next;
    }
    assert_eq!(one_by_one, answer.events);
    let mut of = |account: Option<u64>, reference| {
        let query = FeedQuery { account: account.map(AccountId), reference, ..everything(CHAIN) };
        ask(&rig, &query, &mut blocks, false).events
    };
    assert!(of(Some(1), None).iter().any(|event| event == second));
    assert!(!of(Some(1), None).iter().any(|event| event == first));
    assert!(!of(None, Some([0; 12])).iter().any(|event| matches!(event.item, FeedItem::Effect(_))));
}

#[test]
fn a_feed_can_be_that_of_one_account_or_reference() {
    let rig = rig();
    let mut blocks = FeedBlocks::default();
    let mut of = |chain, account| {
        ask(&rig, &FeedQuery { account: Some(AccountId(account)), ..everything(chain) }, &mut blocks, false)
    };
    // Each pays the account behind it.
    assert_lines(&of(CHAIN, 4), &[("1.2", 3, APPLIED), ("2.0", 4, SENT)]);
    let refunded = Happening::Refunded { reason: REASON };
    assert_lines(&of(CHAIN, 2), &[("1.1", 2, SENT), ("3.0", 2, refunded), ("3.1", 1, APPLIED)]);
    assert_lines(&of(OTHER, 6), &[("3.0", 4, Happening::Credited)]);
    assert_lines(&of(OTHER, 4), &[]);
    let mut with = |reference| ask(&rig, &FeedQuery { reference, ..everything(OTHER) }, &mut blocks, false);
    assert_eq!(with(Some([0; 12])).events.len(), 3);
    assert_eq!(with(Some([1; 12])).events.len(), 0);
}

#[test]
fn a_feed_ends_at_the_last_height_at_a_stop_and_after_so_many_heights() {
    let mut rig = rig();
    let mut blocks = FeedBlocks::default();
    let beyond = FeedQuery { from: Cursor { height: Height(9), place: 3 }, ..everything(CHAIN) };
    let answer = ask(&rig, &beyond, &mut blocks, false);
    assert_eq!((answer.events.len(), answer.next), (0, beyond.from));
    let past = FeedQuery { from: Cursor { height: Height(1), place: 77 }, ..everything(CHAIN) };
    assert_eq!(lines(&ask(&rig, &past, &mut blocks, false))[0].0, "2.0");
    let stopped = ask(&rig, &everything(CHAIN), &mut blocks, true);
    assert_eq!((stopped.events.len(), stopped.next), (0, Cursor::START));

    let mut parent = rig.last_block(0);
    for view in 5..=300 {
        parent = rig.order(view as usize % 4, view, parent);
    }
    rig.advance(30);
    let answer = ask(&rig, &everything(OTHER), &mut blocks, false);
    assert_eq!((answer.events.len(), answer.next), (3, Cursor::at(Height(257))));
    let rest = ask(&rig, &FeedQuery { from: answer.next, ..everything(OTHER) }, &mut blocks, false);
    assert_eq!((rest.events.len(), rest.next), (0, Cursor::at(Height(301))));
}

/// A quiet chain beside a busy one: what is read for it is that of all chains, and of the blocks before.
#[test]
fn a_question_ends_when_it_has_read_so_much_whatever_chain_it_asks_about() {
    let rig = rig();
    // Height 2 has one transaction, and is read with height 1, which has three; two of them arrive.
    for (max, ends) in [(1, 3), (6, 3), (7, 4)] {
        let mut blocks = FeedBlocks::bounded(max);
        let answer = ask(&rig, &everything(OTHER), &mut blocks, false);
        assert_eq!(answer.next, Cursor::at(Height(ends)), "{max}");
        let mut from = answer.next;
        while from < Cursor::at(Height(5)) {
            let next = ask(&rig, &FeedQuery { from, ..everything(OTHER) }, &mut blocks, false).next;
            assert!(next > from, "each question moves on");
            from = next;
        }
    }
}
