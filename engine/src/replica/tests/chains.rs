//! Several chains in one network.

use std::ops::Range;

use super::super::state::Own;
use super::rig::{CHAIN, OTHER, Rig};
use super::*;
use crate::mempool::Origin;
use crate::types::{AccountId, ChainId, Outcome, Quota, Transfer};
use crate::verify::Verified;

#[test]
fn who_pays_an_account_of_another_chain_is_told_when_the_money_arrives_or_comes_back() {
    let mut rig = Rig::new(4);
    rig.offer_crossing(0, 1, 0, 5).unwrap();
    rig.offer_crossing(0, 2, 0, 1 << 20).unwrap();
    rig.offer(0, 3, 0).unwrap();
    rig.advance(100);
    let first = rig.order(1, 1, rig.network());
    rig.advance(30);
    let within = notice(3 << 8, Verdict::Committed);
    assert_eq!(rig.nodes[0].world.notices, [within], "the others wait");
    // Nothing waits to be ordered, and a leader proposes all the same, long before it would out of idleness.
    let (idle, before) = (rig.settings(2).idle_interval, rig.now().monotonic);
    let second = rig.order(2, 2, first);
    assert!(rig.now().monotonic < before + idle / 2);
    rig.advance(30);
    let arrived = notice(1 << 8, Verdict::Committed);
    assert_eq!(rig.nodes[0].world.notices, [within, arrived]);
    let third = rig.order(3, 3, second);
    rig.advance(30);
    let returned = notice(2 << 8, Verdict::Failed(Outcome::UnknownCredit));
    assert_eq!(rig.nodes[0].world.notices, [within, arrived, returned]);
    assert_eq!(rig.block(0, &third).cut(), rig.block(0, &first).cut());
    let state = rig.nodes[0].committer.ledger().states();
    let balance = |chain, account| state.get(chain).unwrap().account(AccountId(account)).unwrap().balance;
    assert_eq!((balance(CHAIN, 1), balance(OTHER, 5), balance(CHAIN, 2)), (999, 1_001, 1_000));
    // With nothing in flight any more, the next leader waits as long as any idle one.
    let (idle, before) = (rig.settings(0).idle_interval, rig.now().monotonic);
    rig.order(0, 4, third);
    assert!(rig.now().monotonic >= before + idle);
}

/// What the first batches of a validator hold, of `places` each, when both mempools were filled with these nonces of
/// every account and the chain at `turn` begins.
fn batches(places: usize, turn: usize, nonces: [Range<u64>; 2]) -> Vec<Vec<(ChainId, usize)>> {
    let mut rig = Rig::new(4);
    let replica = &mut rig.nodes[0].replica;
    (replica.settings.batch_packets_max, replica.next_chain) = (places, turn);
    for (chain, nonces) in [CHAIN, OTHER].into_iter().zip(nonces) {
        rig.fill(0, chain, nonces);
    }
    rig.mempool_filled(0);
    let mut own: Vec<_> = rig.nodes[0].replica.own.values().collect();
    own.sort_by_key(|own| own.head.sequence);
    let sections = |own: &&Own| own.batch.sections().map(|(chain, packets)| (chain, packets.len())).collect();
    own.iter().map(sections).collect()
}

#[test]
fn a_chain_with_much_waiting_keeps_no_other_chain_waiting() {
    // Whichever chain a batch begins with, each is sure of half of it and gets what the other leaves.
    for turn in 0..2 {
        let batches = batches(24, turn, [0..6, 0..1]);
        assert_eq!(batches[0], [(CHAIN, 16), (OTHER, 8)], "turn {turn}");
        assert_eq!(batches[1], [(CHAIN, 24)], "turn {turn}");
    }
}

#[test]
fn what_does_not_divide_evenly_leaves_no_chain_out() {
    // Seven places for two floods: three are sure for each, and the seventh goes to the chain that begins.
    for turn in 0..2 {
        let first = &batches(7, turn, [0..2, 0..2])[0];
        assert_eq!(*first, [[(CHAIN, 4), (OTHER, 3)], [(CHAIN, 3), (OTHER, 4)]][turn]);
    }
}

#[test]
fn a_leader_does_not_propose_for_money_that_its_parent_may_have_delivered() {
    let mut rig = Rig::new(4);
    rig.offer_crossing(0, 1, 0, 5).unwrap();
    rig.advance(100);
    let first = rig.order(1, 1, rig.network());
    rig.advance(30);
    // The next block delivers. It is certified, and not final: whether anything is in flight after it is not known.
    let second = rig.propose(2, 2, first);
    rig.verify(2, 2, first, second);
    rig.certify(2, second);
    let (idle, before) = (rig.settings(3).idle_interval, rig.now().monotonic);
    rig.propose(3, 3, second);
    assert!(rig.now().monotonic >= before + idle, "it waits as long as any idle leader");
}

/// The same bytes at two validators: both seal them, and the first in the order of the block spends the nonce.
#[test]
fn who_was_replayed_is_handed_on_with_the_packet_and_not_told() {
    let mut rig = Rig::new(4);
    rig.offer(0, 1, 0).unwrap();
    rig.offer(1, 1, 0).unwrap();
    rig.offer(1, 2, 0).unwrap();
    rig.advance(100);
    rig.order(2, 1, rig.network());
    rig.advance(30);
    let verdicts = |node: usize| -> Vec<Verdict> {
        rig.nodes[node].world.notices.iter().map(|(_, notice)| notice.verdict).collect()
    };
    assert_eq!((verdicts(0), verdicts(1)), (vec![Verdict::Committed], vec![Verdict::Committed]));
    assert!(rig.nodes[0].world.repeated.is_empty());
    let [(origin, repeated)] = &rig.nodes[1].world.repeated[..] else { panic!("one was replayed") };
    let network = rig.network();
    assert_eq!(*repeated, super::founded::transfer(&network, 1, 0, 1).run().signed(&network));
    let told = rig.nodes[1].world.notices[0];
    assert_ne!((origin.connection, origin.tag), (told.0, told.1.tag), "each is answered once");
}

#[test]
fn an_envelope_larger_than_what_is_sealed_at_once_goes_through_and_its_client_is_told() {
    let mut rig = Rig::new(4);
    rig.nodes[0].replica.settings.batch_packets_max = 4;
    // 125 packets, between two transfers.
    rig.offer(0, 1, 0).unwrap();
    rig.offer_linked(0, 2, 0, &vec![(5, 1); 990]).unwrap();
    rig.offer(0, 3, 0).unwrap();
    rig.advance(100);
    let first = rig.order(1, 1, rig.network());
    rig.advance(30);
    rig.order(2, 2, first);
    rig.advance(30);
    let mut told = rig.nodes[0].world.notices.clone();
    told.sort_by_key(|(_, notice)| notice.tag);
    assert_eq!(told, [1, 2, 3].map(|sender| notice(sender << 8, Verdict::Committed)));
    for node in &rig.nodes {
        let state = node.committer.ledger().states();
        let balance = |account| state.get(CHAIN).unwrap().account(AccountId(account)).unwrap().balance;
        assert_eq!((balance(2), balance(5)), (11, 1_990), "account 1 has paid account 2");
    }
    // Its slot is free again.
    rig.offer_linked(0, 2, 64, &[(5, 1)]).unwrap();
}

#[test]
fn large_envelopes_leave_the_other_chain_its_part_whichever_begins() {
    for turn in 0..2 {
        let mut rig = Rig::new(4);
        let replica = &mut rig.nodes[0].replica;
        (replica.settings.batch_packets_max, replica.next_chain) = (256, turn);
        for nonce in 0..6 {
            // 100 packets each, of which two and a half would fit.
            let like =
                Transfer { chain: CHAIN, ..crate::execute::tests::transfer(1 + nonce % 2, 0, 0, nonce) };
            let large = crate::execute::tests::linked_as(&like, &vec![(2, 1); 791], b"");
            let large = Verified::assumed(large);
            rig.nodes[0].mempool().offer(large, Height(0), Origin::default()).unwrap();
        }
        rig.fill(0, OTHER, 0..5);
        rig.mempool_filled(0);
        let mut own: Vec<_> = rig.nodes[0].replica.own.values().collect();
        own.sort_by_key(|own| own.head.sequence);
        let sections: Vec<_> =
            own[0].batch.sections().map(|(chain, packets)| (chain, packets.len())).collect();
        assert_eq!(sections, [(CHAIN, 200), (OTHER, 40)], "turn {turn}");
    }
}

/// A rig whose first chain may have 64 KiB of a block, which is 512 packets: 128 for each validator.
fn limited() -> Rig {
    Rig::with_quota(4, Quota::LEAST)
}

/// How many packets of a chain the own batches of a validator have that wait to be ordered.
fn unordered(rig: &Rig, node: usize, chain: ChainId) -> usize {
    rig.nodes[node].replica.own.values().map(|own| own.batch.packets_of(chain).len()).sum()
}

#[test]
fn a_chain_with_a_quota_is_sealed_as_far_as_a_block_takes_it_and_keeps_no_other_waiting() {
    let mut rig = limited();
    // 160 packets each.
    rig.fill(0, CHAIN, 0..20);
    rig.fill(0, OTHER, 0..20);
    rig.mempool_filled(0);
    rig.advance(100);
    assert_eq!((unordered(&rig, 0, CHAIN), unordered(&rig, 0, OTHER)), (128, 160));
    let deadline = rig.nodes[0].replica.seal_deadline();
    assert_eq!(deadline, None, "only a block helps what is left");
    // Whatever comes for the other chain goes on at once.
    rig.fill(0, OTHER, 20..22);
    rig.mempool_filled(0);
    rig.advance(100);
    assert_eq!((unordered(&rig, 0, CHAIN), unordered(&rig, 0, OTHER)), (128, 176));
    let first = rig.order(1, 1, rig.network());
    rig.advance(100);
    assert_eq!((unordered(&rig, 0, CHAIN), unordered(&rig, 0, OTHER)), (32, 0), "the rest");
    rig.order(2, 2, first);
    rig.advance(100);
    assert_eq!(unordered(&rig, 0, CHAIN), 0);
    assert_eq!(rig.nodes[0].mempool().len(), 0);
}

#[test]
fn no_batch_is_more_than_a_quota_by_itself() {
    let mut rig = limited();
    // 8 single packets, and an envelope of 508 that would fit into the part, but not into the quota with them.
    rig.fill(0, CHAIN, 0..1);
    rig.offer_linked(0, 2, 1, &vec![(5, 1); 1_000]).unwrap();
    rig.offer_linked(0, 2, 2, &vec![(5, 1); 1_000]).unwrap();
    let packets = |rig: &Rig| -> Vec<usize> {
        let mut own: Vec<_> = rig.nodes[0].replica.own.values().collect();
        own.sort_by_key(|own| own.head.sequence);
        own.iter().map(|own| own.batch.packets_of(CHAIN).len()).collect()
    };
    rig.advance(300);
    let mut parent = rig.network();
    for view in 1..=3 {
        assert!(packets(&rig).iter().all(|packets| *packets <= 512), "{:?}", packets(&rig));
        parent = rig.order(view as usize % 4, view, parent);
        rig.advance(300);
    }
    assert_eq!(rig.nodes[0].mempool().len(), 0);
}

#[test]
fn what_waits_for_a_quota_beyond_its_expiry_is_refused() {
    let mut rig = limited();
    rig.fill(0, CHAIN, 0..16);
    for sender in 0..4 {
        rig.offer(0, sender, 16).unwrap();
    }
    rig.mempool_filled(0);
    rig.advance(100);
    assert_eq!((unordered(&rig, 0, CHAIN), rig.nodes[0].mempool().len()), (128, 4));
    rig.nodes[0].replica.committed = Height(u64::MAX);
    rig.advance(200);
    assert_eq!(rig.nodes[0].mempool().len(), 0);
    let expired = Verdict::Refused(Refusal::Expired);
    let mut told = rig.nodes[0].world.notices.clone();
    told.sort_by_key(|(_, notice)| notice.tag);
    assert_eq!(told, [0, 1, 2, 3].map(|sender| notice(sender << 8 | 16, expired)));
}

#[test]
fn an_envelope_larger_than_a_validators_part_of_a_quota_goes_through() {
    let mut rig = limited();
    // 125 packets, of which the second begins when one of the 128 is left.
    rig.offer(0, 1, 0).unwrap();
    rig.offer(0, 1, 1).unwrap();
    for nonce in 0..2 {
        rig.offer_linked(0, 2, nonce, &vec![(5, 1); 495]).unwrap();
    }
    rig.advance(100);
    let mut parent = rig.network();
    for view in 1..=4 {
        parent = rig.order(view as usize % 4, view, parent);
        rig.advance(100);
    }
    let mut told = rig.nodes[0].world.notices.clone();
    told.sort_by_key(|(_, notice)| notice.tag);
    assert_eq!(told, [1 << 8, 1 << 8 | 1, 2 << 8, 2 << 8 | 1].map(|tag| notice(tag, Verdict::Committed)));
}

#[test]
fn where_more_than_f_are_overloaded_little_is_on_its_way_and_the_rest_waits_in_the_mempools() {
    let mut rig = Rig::new(4);
    rig.nodes[0].replica.settings.batch_packets_max = 100;
    rig.deliver(1, 0, PeerMessage::Overloaded);
    // One may be a liar: all is sealed, 512 packets.
    for nonces in [0..16, 16..32, 32..48, 48..64] {
        rig.fill(0, CHAIN, nonces);
        rig.mempool_filled(0);
        rig.advance(200);
        rig.deliver(1, 0, PeerMessage::Overloaded);
    }
    assert_eq!(unordered(&rig, 0, CHAIN), 512);
    rig.deliver(2, 0, PeerMessage::Overloaded);
    rig.fill(0, OTHER, 0..16);
    rig.mempool_filled(0);
    rig.advance(500);
    assert_eq!((unordered(&rig, 0, CHAIN), unordered(&rig, 0, OTHER)), (512, 0));
    assert_eq!(rig.nodes[0].replica.seal_deadline(), None, "no time helps");
    // They do not say it again.
    rig.advance(700);
    assert_eq!(unordered(&rig, 0, OTHER), 128);
}

#[test]
fn settings_that_change_while_it_runs_hold_from_then_on() {
    let mut rig = Rig::new(4);
    let settings = rig.settings(0).clone();
    let tuning = Tuning {
        batch_packets_max: 100_000,
        batch_delay: 3 * settings.batch_delay,
        view_interval: 3 * settings.view_interval,
        skips_blocks: false,
    };
    let now = rig.now();
    rig.nodes[0].input(Input::Tune(tuning), now);
    let tuned = rig.settings(0);
    assert_eq!(tuned.batch_packets_max, settings.batch_packets_limit, "never more than a batch may have");
    assert_eq!((tuned.batch_delay, tuned.view_interval), (tuning.batch_delay, tuning.view_interval));
    assert!(tuned.skips_blocks, "there is nothing to skip yet");
    rig.nodes[0].input(Input::Tune(Tuning { batch_packets_max: 4, ..tuning }), now);
    rig.fill(0, CHAIN, 0..1);
    rig.mempool_filled(0);
    let sealed = |own: &Own| own.batch.packets_of(CHAIN).len();
    assert!(unordered(&rig, 0, CHAIN) > 0);
    assert!(rig.nodes[0].replica.own.values().all(|own| sealed(own) <= 4));
    // The mempools of all chains, also of those to come.
    let mempools = &rig.nodes[0].replica.mempools;
    mempools.set_sender_cap(1);
    assert_eq!(rig.offer(0, 0, 1), Err(Refusal::SenderFull));
    let later = ChainId(99);
    rig.nodes[0].replica.mempools.add(later, 2);
    let later = rig.nodes[0].replica.mempools.get(later).unwrap();
    assert_eq!((later.slots().claim(0, 0), later.slots().claim(0, 1)), (Ok(()), Err(Refusal::SenderFull)));
}
