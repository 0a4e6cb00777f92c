//! Those that are many heights behind.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::limits::STREAM_BATCHES_MAX;
use crate::wire::PeerVersion;

/// Three validators order a payment in each view; the fourth hears nothing of it. They may be left alone for good.
fn order_without_3(rig: &mut Rig, views: std::ops::RangeInclusive<u64>) {
    rig.isolate(3);
    for view in views {
        let leader = (view % 3) as usize;
        rig.offer(leader, view % 8, view / 8).unwrap();
        rig.advance(60);
        let parent = rig.last_block(0);
        rig.order_at(0..3, leader, view, parent);
    }
}

/// The fourth comes back, and the others notice it.
fn come_back(rig: &mut Rig) {
    rig.heal();
    let now = rig.now();
    for peer in 0..3 {
        rig.nodes[3].input(Input::Disconnected(ValidatorIndex(peer)), now);
        rig.nodes[usize::from(peer)].input(Input::Disconnected(ValidatorIndex(3)), now);
    }
    for peer in 0..3 {
        rig.connect(3, peer);
    }
}

fn count(rig: &mut Rig) -> Rc<RefCell<Vec<PeerMessage>>> {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&asked);
    rig.link = Box::new(move |from, _, message| {
        let asks = matches!(message, PeerMessage::FetchBodies { .. } | PeerMessage::FetchBatches { .. });
        if from == 3 && asks {
            seen.borrow_mut().push(message.clone());
        }
        true
    });
    asked
}

#[test]
fn bodies_of_many_heights_are_fetched_at_once_and_none_twice() {
    const HEIGHTS: u64 = 150;
    let mut rig = Rig::new(4);
    order_without_3(&mut rig, 1..=HEIGHTS);
    let asked = count(&mut rig);
    come_back(&mut rig);
    rig.advance(1_000);
    assert_eq!(rig.nodes[3].replica.committed(), Height(HEIGHTS));
    let asked = asked.borrow();
    let range = |message: &PeerMessage| match message {
        PeerMessage::FetchBodies { from, heights } => (from.0, from.0 + u64::from(*heights)),
        other => panic!("{other:?}"),
    };
    let ranges: Vec<_> = asked.iter().map(range).collect();
    assert!(ranges.len() <= 16, "{ranges:?}");
    assert_eq!((ranges[0].0, ranges.last().unwrap().1), (1, HEIGHTS + 1));
    assert!(ranges.windows(2).all(|two| two[0].1 == two[1].0), "{ranges:?}");
}

#[test]
fn bodies_that_do_not_come_are_asked_for_by_their_names() {
    let mut rig = Rig::new(4);
    order_without_3(&mut rig, 1..=60);
    // Nobody answers the first question; one of the three never does, and loses every third batch of its answers to the
    // others.
    let mut batches = 0;
    rig.link = Box::new(move |from, to, message| match message {
        PeerMessage::FetchBodies { from: first, .. } if first.0 == 1 || to == 1 => false,
        PeerMessage::Batch(_) if from != 1 => {
            batches += 1;
            batches % 3 != 0
        }
        _ => true,
    });
    come_back(&mut rig);
    rig.advance(8_000);
    assert_eq!(rig.nodes[3].replica.committed(), Height(60));
}

/// Of what the others hold at present nothing can be judged by one that is far behind. If it filled its room with that,
/// nothing would have room that comes next.
#[test]
fn one_that_is_far_behind_does_not_fetch_what_others_hold_now() {
    const BATCHES: u64 = STREAM_BATCHES_MAX as u64 + 40;
    let mut rig = Rig::new(4);
    order_without_3(&mut rig, 1..=3 * BATCHES);
    // The authors have sealed more, which nothing orders.
    for sender in 0..8 {
        rig.offer((sender % 3) as usize, sender, 3 * BATCHES / 8 + 1).unwrap();
        rig.advance(60);
    }
    let asked = count(&mut rig);
    // No blocks come: what is asked for comes from what others hold.
    let mut inner = std::mem::replace(&mut rig.link, Box::new(|_, _, _| true));
    rig.link = Box::new(move |from, to, message| {
        inner(from, to, message) && !matches!(message, PeerMessage::BlocksReply(_))
    });
    come_back(&mut rig);
    rig.advance(3_000);
    let above = asked.borrow();
    assert!(above.is_empty(), "{above:?}");

    rig.link = Box::new(|_, _, _| true);
    rig.advance(6_000);
    assert_eq!(rig.nodes[3].replica.committed(), Height(3 * BATCHES));
}

/// One leader has named a batch with a sequence that it does not have: nobody votes for that, and the true head is
/// final later.
#[test]
fn a_batch_that_was_named_falsely_before_is_taken_when_it_is_final() {
    let mut rig = Rig::new(4);
    rig.isolate(3);
    rig.offer(0, 1, 0).unwrap();
    rig.advance(60);
    let head = rig.held(0)[1];
    let falsely = Head { sequence: Sequence(head.sequence.0 + 1), ..head };
    rig.order_at(0..3, 1, 1, rig.network());
    come_back(&mut rig);
    for _ in 0..40 {
        let now = rig.now();
        let liar = vec![ValidatorIndex(2)];
        rig.nodes[3].replica.want_batch(ValidatorIndex(0), falsely, false, liar, Duration::ZERO, now);
        rig.advance(100);
    }
    assert_eq!(rig.nodes[3].replica.committed(), Height(1));
}

/// What is here already, and waits for what is executed, is not asked for, and its peer is not slow.
#[test]
fn bodies_that_are_here_are_not_fetched_again() {
    let mut rig = Rig::new(4);
    order_without_3(&mut rig, 1..=40);
    rig.nodes[3].executes = false;
    let asked = count(&mut rig);
    come_back(&mut rig);
    rig.advance(4_000);
    let before = asked.borrow().len();
    assert!((1..=6).contains(&before), "{:?}", asked.borrow());
    rig.nodes[3].executes = true;
    rig.advance(500);
    assert_eq!(rig.nodes[3].replica.committed(), Height(40));
    assert_eq!(asked.borrow().len(), before, "{:?}", asked.borrow());
}

/// A network of the last release goes on with one validator of this one, which sends nothing that the others cannot
/// read.
#[test]
fn peers_of_the_last_release_are_asked_in_their_own_words() {
    let mut rig = Rig::new(4);
    order_without_3(&mut rig, 1..=40);
    rig.version = PeerVersion::FIRST;
    let asked = count(&mut rig);
    come_back(&mut rig);
    rig.advance(6_000);
    assert_eq!(rig.nodes[3].replica.committed(), Height(40));
    let asked = asked.borrow();
    assert!(
        !asked.is_empty() && asked.iter().all(|message| message.since() <= PeerVersion::FIRST),
        "{asked:?}"
    );
}
