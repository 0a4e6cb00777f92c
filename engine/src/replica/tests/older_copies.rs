//! Whole directories that were put back: others tell, before the first vote and the first batch.

use bytes::Bytes;

use super::losses::seal_own;
use super::world::FORGOTTEN;
use super::*;

/// A start that finds nothing wrong.
const AGAIN: Losses = Losses { stream_lost: false, votes_forgotten: false, hears_others: true };

fn begun(rig: &Rig, node: usize) -> (bool, bool) {
    (rig.nodes[node].replica.is_hearing(), rig.nodes[node].world.has_begun)
}

/// Validator 3 has lost its disk and finds a copy of its first start: it is not connected.
fn put_back(rig: &mut Rig) {
    rig.restart(3, AGAIN, true);
}

#[test]
fn a_quorum_is_heard_before_the_first_vote_and_the_first_batch() {
    let mut rig = Rig::new(4);
    put_back(&mut rig);
    rig.advance(2_000);
    assert_eq!(begun(&rig, 3), (true, false));
    rig.connect(3, 0);
    rig.offer(3, 1, 0).unwrap();
    rig.advance(2_000);
    assert_eq!(begun(&rig, 3), (true, false), "one other is too few");
    assert_eq!(rig.nodes[3].replica.own_head, Head::NONE, "it takes transactions and seals none");
    rig.connect(3, 1);
    rig.advance(200);
    assert_eq!(begun(&rig, 3), (false, true));
    assert_eq!(rig.nodes[3].replica.own_head.sequence, Sequence(1));
    assert!(
        !rig.nodes[3].world.votes_forgotten
            && rig.nodes[3].world.observed.iter().all(|of| *of != Observation::OlderCopy)
    );
}

#[test]
fn one_vote_that_is_not_remembered_is_enough() {
    let mut rig = Rig::new(4);
    rig.nodes[1].world.votes_seen.insert(ValidatorIndex(3), FORGOTTEN.into());
    rig.nodes[0].world.votes_seen.insert(ValidatorIndex(3), b"remembered"[..].into());
    put_back(&mut rig);
    rig.connect(3, 0);
    assert_eq!(begun(&rig, 3), (true, false));
    rig.connect(3, 1);
    let node = &rig.nodes[3];
    assert!(node.world.votes_forgotten && node.world.observed.contains(&Observation::OlderCopy));
    assert!(node.replica.is_rejoining() && node.replica.is_learning(), "both rules for lost logs apply");
    rig.connect(3, 2);
    rig.advance(4_000);
    assert_eq!(begun(&rig, 3), (false, false));
    // Something is final above every view that the others were in.
    let digest = rig.propose(0, 100, rig.network());
    rig.finalize_at(0..4, 100, digest);
    assert!(rig.nodes[3].world.has_begun);
    assert_eq!(rig.nodes[3].world.floor.as_ref().unwrap().view(), 100);
}

#[test]
fn a_batch_that_is_not_remembered_is_as_good_as_a_vote() {
    let mut rig = Rig::new(4);
    seal_own(&mut rig, 2, 60);
    rig.restart(0, AGAIN, true);
    rig.connect(0, 1);
    rig.connect(0, 2);
    rig.advance(500);
    let node = &rig.nodes[0];
    assert!(node.world.votes_forgotten && node.replica.is_rejoining() && !node.world.has_begun);
    rig.connect(0, 3);
    rig.advance(1_000);
    assert_eq!(rig.nodes[0].replica.own_head.sequence, Sequence(2), "its stream is known again");
}

/// Its copy is so old that its stream lies far above the window, and one of the two that it hears names nothing.
#[test]
fn a_batch_far_above_the_window_shows_as_well_that_the_copy_is_older() {
    let mut rig = Rig::new(4);
    let mut parent = rig.network();
    for view in 1..=8 {
        for nonce in 0..40 {
            rig.offer(0, 1, (view - 1) * 40 + nonce).unwrap();
            rig.advance(60);
        }
        parent = rig.order(1, view, parent);
    }
    assert!(rig.nodes[0].replica.own_head.sequence.0 > crate::limits::STREAM_BATCHES_MAX as u64);
    rig.restart(0, AGAIN, true);
    rig.link = Box::new(|from, to, message| {
        let brings = matches!(message, PeerMessage::BlocksReply(_) | PeerMessage::Block(_));
        let names = matches!(message, PeerMessage::Status { .. } | PeerMessage::Holding(_));
        to != 0 || !(brings || from == 2 && names)
    });
    rig.connect(0, 1);
    rig.connect(0, 2);
    let far_behind = PeerMessage::Status {
        epoch: Epoch(0),
        finalized: Height(0),
        committed: Height(0),
        kept_from: Height(1),
        view: 1,
        yours: Head::NONE,
    };
    rig.deliver(2, 0, far_behind);
    rig.advance(2_000);
    assert!(rig.nodes[0].world.votes_forgotten && !rig.nodes[0].world.has_begun);
}

#[test]
fn a_head_that_nobody_has_keeps_nobody_away() {
    let mut rig = Rig::new(4);
    put_back(&mut rig);
    rig.isolate(0);
    let fabricated = Head { sequence: Sequence(3), digest: Digest([9; 32]) };
    rig.connect(3, 1);
    let lie = PeerMessage::Status {
        epoch: Epoch(0),
        finalized: Height(0),
        committed: Height(0),
        kept_from: Height(1),
        view: 1,
        yours: fabricated,
    };
    rig.deliver(2, 3, lie);
    rig.deliver(2, 3, PeerMessage::LastVote(b"remembered"[..].into()));
    rig.advance(2_000);
    assert_eq!(begun(&rig, 3), (true, false), "it is looked for");
    rig.advance(2_000);
    assert_eq!(begun(&rig, 3), (false, true));
    assert!(!rig.nodes[3].world.votes_forgotten);
}

/// Two that name something that is missing cannot both lie. What they have received is not served any more.
#[test]
fn what_more_than_f_have_named_is_believed() {
    let mut rig = Rig::new(4);
    put_back(&mut rig);
    for peer in [1, 2] {
        rig.isolate(peer);
        let named = Head { sequence: Sequence(3), digest: Digest([9; 32]) };
        let (finalized, committed, kept_from) = (Height(0), Height(0), Height(1));
        let status =
            PeerMessage::Status { epoch: Epoch(0), finalized, committed, kept_from, view: 1, yours: named };
        rig.deliver(peer, 3, status);
        rig.deliver(peer, 3, PeerMessage::LastVote(Bytes::new()));
    }
    rig.advance(2_000);
    assert_eq!(begun(&rig, 3), (true, false), "it is looked for");
    rig.advance(2_000);
    assert_eq!(begun(&rig, 3), (false, false));
    assert!(rig.nodes[3].world.votes_forgotten && rig.nodes[3].replica.is_learning());
}

/// It knows that it has lost its stream, and not yet that its votes are older, too.
#[test]
fn a_batch_that_comes_while_the_stream_is_learnt_is_evidence_as_well() {
    let mut rig = Rig::new(4);
    seal_own(&mut rig, 2, 60);
    rig.restart(0, Losses { stream_lost: true, ..AGAIN }, true);
    (1..4).for_each(|peer| rig.connect(0, peer));
    rig.advance(500);
    let node = &rig.nodes[0];
    assert!(node.world.votes_forgotten && !node.world.has_begun && node.replica.is_rejoining());
}

#[test]
fn what_is_shown_later_changes_nothing() {
    let mut rig = Rig::new(4);
    rig.advance(10);
    rig.deliver(1, 3, PeerMessage::LastVote(FORGOTTEN.into()));
    assert!(!rig.nodes[3].world.votes_forgotten && !rig.nodes[3].replica.is_rejoining());
}
