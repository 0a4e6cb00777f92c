//! R6: a batch is judged by the accounts of a height, and waits until that is executed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::losses::lost;
use super::rig::CHAIN;
use super::*;
use crate::limits::BATCH_HEADER_BYTES;
use crate::types::Transfer;
use crate::wire::Batch;

/// A network in which everybody but validator 3 has executed a block, and validator 0 has sealed two batches: the one
/// that the block takes, and one as of its height.
fn ahead() -> (Rig, Digest, [Batch; 2]) {
    let mut rig = Rig::new(4);
    rig.isolate(3);
    let own = |rig: &Rig| {
        let replica = &rig.nodes[0].replica;
        replica.streams[0].batch(&replica.own_head.digest).cloned().unwrap().into_inner()
    };
    rig.offer(0, 1, 0).unwrap();
    rig.advance(30);
    let first = own(&rig);
    let block = rig.order_at(0..3, 1, 1, rig.network());
    rig.advance(100);
    assert_eq!(rig.nodes[0].replica.committed(), Height(1));
    rig.offer(0, 2, 0).unwrap();
    rig.advance(60);
    let second = own(&rig);
    assert_eq!((first.as_of(), second.as_of()), (Height(0), Height(1)));
    assert_eq!(second.previous(), first.head());
    (rig, block, [first, second])
}

fn early(replica: &Replica) -> usize {
    replica.early.iter().map(BTreeMap::len).sum()
}

fn deliver(rig: &mut Rig, batch: &Batch) {
    rig.deliver(0, 3, PeerMessage::Batch(batch.bytes().clone()));
    rig.settle();
    rig.advance(10);
}

#[test]
fn a_batch_waits_for_the_height_that_it_names_and_counts_as_received() {
    let (mut rig, block, [first, second]) = ahead();
    deliver(&mut rig, &first);
    deliver(&mut rig, &second);
    let late = &rig.nodes[3].replica;
    assert!(late.streams[0].batch(&first.head().digest).is_some());
    assert!(late.streams[0].batch(&second.head().digest).is_none(), "its accounts are not known here");
    assert_eq!((early(late), late.received(ValidatorIndex(0))), (1, second.head()));
    // It comes again, and is kept once.
    deliver(&mut rig, &second);
    assert_eq!(early(&rig.nodes[3].replica), 1);
    rig.heal();
    rig.finalize_at(3..4, 1, block);
    rig.advance(2_000);
    let late = &rig.nodes[3].replica;
    assert_eq!(late.executed, Height(1));
    assert!(late.streams[0].is_durable(&second.head().digest));
    assert!(early(late) == 0 && late.checking.is_empty());
}

#[test]
fn a_height_that_never_comes_stops_its_author_alone() {
    let mut rig = Rig::new(4);
    let liar = rig.seal_as_of(2, Head::NONE, 1, 0, Height(u64::MAX));
    (0..4).filter(|peer| *peer != 2).for_each(|peer| {
        rig.deliver(2, peer, PeerMessage::Batch(liar.bytes().clone()));
    });
    rig.advance(30);
    assert_eq!(early(&rig.nodes[0].replica), 1);
    // Nobody holds it, so no block takes it; the others go on.
    rig.offer(0, 1, 0).unwrap();
    rig.advance(60);
    let block = rig.order(1, 1, rig.network());
    rig.advance(30);
    assert_eq!(rig.block(0, &block).cut()[2], Head::NONE);
    assert_eq!(rig.nodes[0].replica.committed(), Height(1));
    // The author comes to reason on another branch: what waited for nothing goes.
    let honest = rig.seal_as_of(2, Head::NONE, 3, 0, Height(1));
    (0..4).filter(|peer| *peer != 2).for_each(|peer| {
        rig.deliver(2, peer, PeerMessage::Batch(honest.bytes().clone()));
    });
    rig.advance(60);
    let block = rig.order_at(0..2, 1, 2, block);
    rig.advance(200);
    assert_eq!(rig.block(0, &block).cut()[2], honest.head());
    let replica = &rig.nodes[0].replica;
    assert!(early(replica) == 0 && replica.checking.is_empty());
}

/// Anybody can write a height into a header.
#[test]
fn what_its_author_has_not_signed_does_not_wait() {
    let mut rig = Rig::new(4);
    let batch = rig.seal_as_of(2, Head::NONE, 1, 0, Height(u64::MAX));
    let mut forged = batch.bytes().to_vec();
    forged[BATCH_HEADER_BYTES - 1] ^= 1;
    rig.deliver(2, 0, PeerMessage::Batch(forged.into()));
    rig.settle();
    assert_eq!(offences(&rig, 0), [(2, Offence::BadBatch)]);
    let replica = &rig.nodes[0].replica;
    assert!(early(replica) == 0 && replica.checking.is_empty());
}

/// The only peer that has it could not judge it yet, and its author, which has forgotten it, cannot either.
#[test]
fn an_own_batch_that_waits_for_its_height_is_not_contradicted() {
    let mut rig = Rig::new(4);
    let sealed = rig.seal_as_of(0, Head::NONE, 1, 0, Height(2));
    rig.deliver(0, 1, PeerMessage::Batch(sealed.bytes().clone()));
    rig.settle();
    assert_eq!(rig.nodes[1].replica.received(ValidatorIndex(0)), sealed.head());
    rig.restart(0, lost(true, false), true);
    (1..4).for_each(|peer| rig.connect(0, peer));
    rig.advance(10_000);
    let learner = &rig.nodes[0].replica;
    assert!(learner.is_learning(), "what it has signed is here, and cannot be judged yet");
    assert_eq!(learner.early_of(ValidatorIndex(0)).map(Batch::head).collect::<Vec<_>>(), [sealed.head()]);
    let first = rig.order(1, 1, rig.network());
    rig.advance(30);
    rig.order(2, 2, first);
    rig.advance(3_000);
    assert!(rig.nodes[0].world.observed.contains(&Observation::StreamLearnt(sealed.head())));
    assert_eq!(rig.nodes[0].replica.own_head, sealed.head());
}

/// It was not known to have lost anything: it stops sealing before it contradicts what it has signed.
#[test]
fn an_own_batch_that_waits_for_its_height_shows_that_the_stream_is_lost() {
    let mut rig = Rig::new(4);
    let sealed = rig.seal_as_of(0, Head::NONE, 1, 0, Height(2));
    let now = rig.now();
    let replica = &mut rig.nodes[0].replica;
    replica.want_batch(ValidatorIndex(0), sealed.head(), false, Vec::new(), Duration::ZERO, now);
    rig.deliver(3, 0, PeerMessage::Batch(sealed.bytes().clone()));
    rig.settle();
    assert!(rig.nodes[0].replica.is_learning());
    rig.advance(10_000);
    assert!(rig.nodes[0].replica.is_learning());
}

/// Catch-up fetches ahead of what is executed: each batch once.
#[test]
fn what_waits_is_not_asked_for_again_and_kept_once() {
    let (mut rig, _, [first, second]) = ahead();
    deliver(&mut rig, &first);
    let now = rig.now();
    let late = &mut rig.nodes[3].replica;
    late.want_batch(ValidatorIndex(0), second.head(), true, Vec::new(), Duration::ZERO, now);
    for peer in [1, 2] {
        rig.deliver(peer, 3, PeerMessage::Batch(second.bytes().clone()));
    }
    rig.settle();
    let now = rig.now();
    let late = &mut rig.nodes[3].replica;
    late.want_batch(ValidatorIndex(0), second.head(), true, Vec::new(), Duration::ZERO, now);
    assert_eq!(early(late), 1);
    assert_eq!(late.fetches.wanted(&second.head().digest), None);
    assert!(offences(&rig, 3).is_empty());
}

/// A body that is not the sealed one is found before anything waits, and a client's bad signature when it is judged.
#[test]
fn a_bad_batch_that_waits_is_held_against_its_author() {
    let mut rig = Rig::new(4);
    let good = rig.seal_as_of(2, Head::NONE, 1, 0, Height(1));
    let mut bytes = good.bytes().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    rig.deliver(2, 0, PeerMessage::Batch(bytes.into()));
    rig.settle();
    assert_eq!(offences(&rig, 0), [(2, Offence::BadBatch)]);
    assert_eq!(early(&rig.nodes[0].replica), 0);
    let transfer = Transfer { chain: CHAIN, ..crate::execute::tests::transfer(1, 2, 1, 0) };
    let unsigned = transfer.sign(&rig.network(), |_| [0; 64]);
    let forged = rig.seal_packet(2, Head::NONE, Height(1), &unsigned);
    rig.deliver(2, 0, PeerMessage::Batch(forged.bytes().clone()));
    rig.settle();
    assert_eq!((offences(&rig, 0).len(), early(&rig.nodes[0].replica)), (1, 1));
    rig.order(1, 1, rig.network());
    rig.advance(100);
    assert_eq!(offences(&rig, 0), [(2, Offence::BadBatch); 2]);
    let replica = &rig.nodes[0].replica;
    assert!(early(replica) == 0 && replica.checking.is_empty());
    assert_eq!(replica.streams[2].held(), Head::NONE);
}

/// As many wait as may be with the verifiers, and of an author that contradicts itself one branch.
#[test]
fn an_author_has_its_share_of_what_waits_and_one_branch() {
    let mut rig = Rig::new(4);
    let push = |rig: &mut Rig, batch: &Batch| {
        rig.deliver(2, 0, PeerMessage::Batch(batch.bytes().clone()));
        rig.settle();
    };
    let mut head = Head::NONE;
    for nonce in 0..70 {
        let batch = rig.seal_as_of(2, head, 1, nonce, Height(1));
        head = batch.head();
        push(&mut rig, &batch);
        let other = rig.seal_as_of(2, batch.previous(), 3, nonce, Height(1));
        push(&mut rig, &other);
    }
    let replica = &rig.nodes[0].replica;
    assert_eq!((early(replica), replica.checking.len()), (64, 64));
    rig.order(1, 1, rig.network());
    rig.advance(100);
    let replica = &rig.nodes[0].replica;
    assert_eq!((early(replica), replica.streams[2].held().sequence), (0, Sequence(64)));
    assert!(offences(&rig, 0).is_empty());
}

/// What peers hold far above what is executed must not keep it from what comes next.
#[test]
fn one_that_was_away_asks_for_each_batch_about_once() {
    const HEIGHTS: u64 = 150;
    let mut rig = Rig::new(4);
    rig.isolate(3);
    let mut parent = rig.network();
    for height in 1..=HEIGHTS {
        rig.offer(0, 1, height - 1).unwrap();
        rig.advance(30);
        parent = rig.order_at(0..3, 1, height, parent);
        rig.advance(30);
    }
    assert_eq!(rig.nodes[0].replica.committed(), Height(HEIGHTS));
    rig.heal();
    let before = rig.nodes[3].world.observed.len();
    rig.advance(20_000);
    assert_eq!(rig.nodes[3].replica.executed, Height(HEIGHTS));
    let observed = &rig.nodes[3].world.observed[before..];
    let fetched = observed.iter().filter(|observed| **observed == Observation::Fetched).count();
    assert!(fetched < 2 * HEIGHTS as usize, "{fetched} requests for {HEIGHTS} batches");
}
