//! What was lost: a stream, votes, or a branch of the own stream.

use std::time::Duration;

use super::*;
use crate::limits::STREAM_BATCHES_MAX;
use crate::verify::Verified;
use crate::wire::PeerVersion;

/// A start that found this.
pub fn lost(stream_lost: bool, votes_forgotten: bool) -> Losses {
    Losses { stream_lost, votes_forgotten, hears_others: false }
}

/// Validator 0 seals so many batches, one every `ms`, and the head is given back.
pub fn seal_own(rig: &mut Rig, batches: u64, ms: u64) -> Head {
    for nonce in 0..batches {
        rig.offer(0, 1, nonce).unwrap();
        rig.advance(ms);
    }
    let head = rig.nodes[0].replica.own_head;
    assert_eq!(head.sequence, Sequence(batches));
    head
}

/// Validator 0 hears nobody and seals so many batches. Meanwhile the network orders one that another copy of it has
/// sealed, and at last validator 0 hears of that. The block is given back.
fn lose_a_branch(rig: &mut Rig, batches: u64, meanwhile: impl FnOnce(&mut Rig, Head)) -> Digest {
    rig.isolate(0);
    let own = seal_own(rig, batches, 300);
    meanwhile(rig, own);
    let other = rig.seal(0, Head::NONE, 2, 0);
    (1..4).for_each(|peer| rig.deliver(0, peer, PeerMessage::Batch(other.bytes().clone())));
    rig.settle();
    rig.advance(30);
    let digest = rig.order_at(1..4, 1, 1, rig.network());
    assert_eq!(rig.block(1, &digest).cut()[0], other.head());
    rig.heal();
    rig.finalize_at(0..1, 1, digest);
    rig.advance(3_000);
    digest
}

#[test]
fn an_own_batch_that_lost_against_another_branch_is_told_busy_by_its_digest_and_sealing_goes_on() {
    let mut rig = Rig::new(4);
    // Two batches that nobody else ever sees.
    let digest = lose_a_branch(&mut rig, 2, |rig, _| {
        assert_eq!(rig.nodes[0].mempool().slots().pending(1), 2);
    });
    assert_eq!(rig.nodes[0].replica.committed(), Height(1));
    let mut told = rig.nodes[0].world.notices.clone();
    told.sort_by_key(|(_, notice)| notice.tag);
    assert_eq!(
        told,
        [notice(1 << 8, BUSY), notice(1 << 8 | 1, BUSY)],
        "its sequence is committed, its digest is not"
    );
    assert_eq!(rig.nodes[0].mempool().slots().pending(1), 0);

    rig.offer(0, 1, 0).unwrap();
    rig.advance(50);
    let own = &rig.nodes[0].replica.own_head;
    assert_eq!(own.sequence, Sequence(2));
    let digest = rig.order(2, 2, digest);
    assert_eq!(
        rig.block(1, &digest).cut()[0].sequence,
        Sequence(2),
        "the stream goes on behind what is final"
    );
    rig.advance(30);
    assert_eq!(rig.nodes[0].world.notices.last(), Some(&notice(1 << 8, Verdict::Committed)));
}

#[test]
fn an_author_without_its_stream_is_busy_until_it_has_learnt_it_from_the_others() {
    let mut rig = Rig::new(4);
    let head = seal_own(&mut rig, 3, 60);
    rig.restart(0, lost(true, false), true);
    assert!(rig.nodes[0].replica.is_learning());
    assert_eq!(rig.offer(0, 1, 3), Err(Refusal::Busy));
    rig.connect(0, 1);
    rig.connect(0, 2);
    rig.advance(2_000);
    assert!(rig.nodes[0].replica.is_learning(), "2f+1 others have to be heard");
    rig.connect(0, 3);
    rig.advance(2_000);
    assert!(!rig.nodes[0].replica.is_learning());
    assert!(rig.nodes[0].world.observed.contains(&Observation::StreamLearnt(head)));
    rig.offer(0, 1, 3).unwrap();
    rig.advance(60);
    let own = rig.nodes[0].replica.own_head;
    assert_eq!(own.sequence, Sequence(4));
    assert_eq!(rig.held(0), [own; 4], "it goes on behind the third and contradicts nothing");
}

#[test]
fn an_author_that_does_not_know_that_it_lost_its_stream_hears_it_from_its_peers() {
    let mut rig = Rig::new(4);
    let head = seal_own(&mut rig, 1, 60);
    rig.restart(0, Losses::default(), true);
    (1..4).for_each(|peer| rig.connect(0, peer));
    rig.advance(2_000);
    let observed = &rig.nodes[0].world.observed;
    assert!(
        observed.contains(&Observation::StreamLost) && observed.contains(&Observation::StreamLearnt(head))
    );
    assert_eq!(rig.nodes[0].replica.own_head, head);
}

/// What was sent before a crash may still be on its way to the disks of the others: nobody holds it yet.
#[test]
fn what_the_others_have_received_and_not_yet_written_belongs_to_a_lost_stream() {
    let mut rig = Rig::new(4);
    (1..4).for_each(|peer| rig.nodes[peer].syncs = false);
    let head = seal_own(&mut rig, 1, 60);
    assert_eq!(rig.held(0)[1..], [Head::NONE; 3]);
    rig.restart(0, lost(true, false), true);
    (1..4).for_each(|peer| rig.connect(0, peer));
    rig.advance(2_000);
    assert!(rig.nodes[0].world.observed.contains(&Observation::StreamLearnt(head)));
    rig.offer(0, 1, 1).unwrap();
    rig.advance(60);
    assert_eq!(rig.nodes[0].replica.own_head.sequence, Sequence(2), "it contradicts nothing");
}

/// The last batches of a stream come before the first: it is not learnt yet.
#[test]
fn a_stream_with_a_gap_is_not_learnt() {
    let mut rig = Rig::new(4);
    let head = seal_own(&mut rig, 3, 60);
    let (heads, batches): (Vec<Head>, Vec<PeerMessage>) = {
        let stream = &rig.nodes[1].replica.streams[0];
        let path = stream.path(&Head::NONE, &stream.held()).unwrap();
        path.into_iter().map(|batch| (batch.head(), PeerMessage::Batch(batch.bytes().clone()))).unzip()
    };
    rig.restart(0, lost(true, false), true);
    rig.isolate(0);
    (1..4).for_each(|peer| rig.connect(0, peer));
    for peer in 1..4 {
        rig.deliver(peer, 0, status(0, 1, head));
    }
    rig.advance(300);
    for part in [2, 1] {
        rig.deliver(1, 0, batches[part].clone());
        rig.advance(100);
        let replica = &rig.nodes[0].replica;
        assert!(replica.is_learning());
        let asked: Vec<bool> =
            heads.iter().map(|head| replica.fetches.wanted(&head.digest).is_some()).collect();
        let expected = [0, 1, 2].map(|at| at + 1 == part);
        assert_eq!(asked, expected, "what is missing is asked for, and not what is here");
    }
    rig.deliver(1, 0, batches[0].clone());
    rig.advance(100);
    assert_eq!((rig.nodes[0].replica.is_learning(), rig.nodes[0].replica.own_head), (false, head));
}

#[test]
fn a_batch_that_is_still_being_checked_was_received() {
    let mut rig = Rig::new(4);
    let batch = rig.seal(0, Head::NONE, 1, 0);
    rig.deliver(0, 1, PeerMessage::Batch(batch.bytes().clone()));
    let received = |rig: &Rig| rig.nodes[1].replica.received(ValidatorIndex(0));
    assert_eq!((received(&rig), rig.held(0)[1]), (batch.head(), Head::NONE));
    rig.nodes[1].syncs = false;
    rig.settle();
    assert!(rig.nodes[1].replica.checking.is_empty());
    assert_eq!((received(&rig), rig.held(0)[1]), (batch.head(), Head::NONE));
}

/// A digest can be asked for because a liar has named it, and then be answered by a batch that its author never signed.
#[test]
fn what_another_peer_sends_of_a_stream_was_not_received_before_it_is_checked() {
    let mut rig = Rig::new(4);
    let batch = rig.seal(0, Head::NONE, 1, 0);
    let now = rig.now();
    let replica = &mut rig.nodes[1].replica;
    replica.want_batch(ValidatorIndex(0), batch.head(), false, Vec::new(), Duration::ZERO, now);
    rig.deliver(2, 1, PeerMessage::Batch(batch.bytes().clone()));
    let received = |rig: &Rig| rig.nodes[1].replica.received(ValidatorIndex(0));
    assert_eq!((rig.nodes[1].replica.checking.len(), received(&rig)), (1, Head::NONE));
    rig.settle();
    assert_eq!(received(&rig), batch.head());
}

/// The journal is empty, the stream has more batches than a window, and what leads to them takes long.
#[test]
fn a_stream_far_beyond_the_window_is_learnt_when_catch_up_has_reached_it() {
    let mut rig = Rig::new(4);
    let (mut parent, mut nonce) = (rig.network(), 0);
    for view in 1..=8 {
        for _ in 0..40 {
            rig.offer(0, 1, nonce).unwrap();
            rig.advance(60);
            nonce += 1;
        }
        parent = rig.order(1, view, parent);
    }
    rig.advance(600);
    let head = rig.nodes[0].replica.own_head;
    assert!(head.sequence.0 > STREAM_BATCHES_MAX as u64 + 32);
    rig.restart(0, lost(true, false), true);
    (1..4).for_each(|peer| rig.connect(0, peer));
    rig.isolate(0);
    rig.advance(5_000);
    assert!(rig.nodes[0].replica.is_learning());
    rig.heal();
    rig.advance(10_000);
    let observed = &rig.nodes[0].world.observed;
    assert!(!rig.nodes[0].replica.is_learning() && observed.contains(&Observation::StreamLearnt(head)));
    assert_eq!(rig.nodes[0].replica.own_head, head);
}

/// A batch of its own that only one peer has, and that nobody names.
#[test]
fn an_own_batch_that_is_on_the_own_disk_is_not_contradicted() {
    let mut rig = Rig::new(4);
    let head = seal_own(&mut rig, 1, 60);
    let next = rig.seal(0, head, 2, 0);
    let now = rig.now();
    let replica = &mut rig.nodes[0].replica;
    replica.want_batch(ValidatorIndex(0), next.head(), false, Vec::new(), Duration::ZERO, now);
    rig.deliver(3, 0, PeerMessage::Batch(next.bytes().clone()));
    rig.settle();
    assert!(rig.nodes[0].replica.is_learning());
    rig.advance(2_000);
    assert!(rig.nodes[0].world.observed.contains(&Observation::StreamLearnt(next.head())));
    assert_eq!(rig.nodes[0].replica.own_head, next.head());
}

/// What has come is sealed behind only when it is on the own disk: a crash would forget it again.
#[test]
fn a_stream_is_learnt_when_what_came_is_durable() {
    let mut rig = Rig::new(4);
    let head = seal_own(&mut rig, 1, 60);
    rig.restart(0, lost(true, false), true);
    rig.nodes[0].syncs = false;
    (1..4).for_each(|peer| rig.connect(0, peer));
    rig.advance(5_000);
    assert_eq!(rig.nodes[0].replica.received(ValidatorIndex(0)), head);
    assert!(rig.nodes[0].replica.is_learning());
    rig.nodes[0].syncs = true;
    rig.advance(200);
    assert!(rig.nodes[0].world.observed.contains(&Observation::StreamLearnt(head)));
}

/// The time for the last named head runs from the last own batch on, however long the others took to come.
#[test]
fn a_head_that_one_has_named_is_looked_for_anew_when_another_own_batch_has_come() {
    let mut rig = Rig::new(4);
    let second = seal_own(&mut rig, 2, 60);
    let path: Vec<(Head, PeerMessage)> = {
        let stream = &rig.nodes[1].replica.streams[0];
        let path = stream.path(&Head::NONE, &stream.held()).unwrap();
        path.into_iter().map(|batch| (batch.head(), PeerMessage::Batch(batch.bytes().clone()))).collect()
    };
    rig.restart(0, lost(true, false), true);
    rig.isolate(0);
    (1..4).for_each(|peer| rig.connect(0, peer));
    for peer in 1..4 {
        rig.deliver(peer, 0, status(0, 1, if peer == 3 { second } else { path[0].0 }));
    }
    rig.advance(5_000);
    rig.deliver(1, 0, path[0].1.clone());
    rig.advance(2_800);
    assert!(rig.nodes[0].replica.is_learning(), "the second batch may still come");
    rig.deliver(1, 0, path[1].1.clone());
    rig.advance(200);
    assert!(rig.nodes[0].world.observed.contains(&Observation::StreamLearnt(second)));
}

/// One of four may lie about what it has received; two may not.
#[test]
fn a_head_that_nobody_has_is_looked_for_three_seconds_if_f_have_named_it_and_longer_if_more_have() {
    for (liars, learns) in [(1, true), (2, false)] {
        let mut rig = Rig::new(4);
        let head = seal_own(&mut rig, 1, 60);
        rig.restart(0, lost(true, false), false);
        rig.isolate(0);
        let invented = Head { sequence: Sequence(9), digest: Digest([9; 32]) };
        for peer in 1..4 {
            rig.deliver(peer, 0, status(0, 1, if peer <= liars { invented } else { head }));
        }
        rig.advance(2_800);
        assert!(rig.nodes[0].replica.is_learning());
        rig.advance(400);
        let observed = &rig.nodes[0].world.observed;
        assert_eq!(observed.contains(&Observation::StreamLearnt(head)), learns, "{liars} liars");
    }
}

/// Its own journal holds a branch that nobody else has seen; the others hold a longer one.
#[test]
fn a_lost_stream_goes_on_behind_the_highest_head_that_others_have_named() {
    let mut rig = Rig::new(4);
    rig.isolate(0);
    let unseen = seal_own(&mut rig, 1, 300);
    let first = rig.seal(0, Head::NONE, 2, 0);
    let second = rig.seal(0, first.head(), 2, 1);
    for batch in [&first, &second] {
        (1..4).for_each(|peer| rig.deliver(0, peer, PeerMessage::Batch(batch.bytes().clone())));
        rig.settle();
    }
    rig.heal();
    rig.restart(0, lost(true, false), false);
    rig.advance(2_000);
    assert!(rig.nodes[0].world.observed.contains(&Observation::StreamLearnt(second.head())));
    assert_eq!(rig.held(0), [second.head(); 4], "it reports the branch that it goes on with");
    for node in &rig.nodes[1..] {
        let seen = node.replica.streams[0].batch(&unseen.digest).is_some();
        assert!(!seen, "while it learns, it shows nobody what may have to be left");
    }
    rig.offer(0, 1, 7).unwrap();
    rig.advance(500);
    let own = rig.nodes[0].replica.own_head;
    assert_eq!((own.sequence, rig.held(0)), (Sequence(3), vec![own; 4]));
}

#[test]
fn a_loss_that_is_noticed_while_running_is_found_again_at_the_next_start() {
    let mut rig = Rig::new(4);
    let head = seal_own(&mut rig, 1, 60);
    rig.restart(0, Losses::default(), true);
    (1..3).for_each(|peer| rig.connect(0, peer));
    rig.advance(1_000);
    assert!(rig.nodes[0].replica.is_learning(), "two of three have answered");
    let told = |rig: &Rig| {
        let mut boots = Boots::default();
        let records = rig.nodes[0].world.records();
        let of_boots = records.iter().filter(|(kind, _)| *kind == KIND_BOOT);
        of_boots.for_each(|(_, bytes)| boots.note(Boot::decode(bytes).unwrap()));
        (boots.lost, records)
    };
    assert!(told(&rig).0);
    rig.connect(0, 3);
    rig.advance(1_000);
    let (lost, records) = told(&rig);
    assert!(!lost && rig.nodes[0].world.observed.contains(&Observation::StreamLearnt(head)));
    let kinds: Vec<u8> = records.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [KIND_BOOT, KIND_BATCH, KIND_BOOT]);
}

/// One peer is too few to believe that something is missing, but what is final, or signed by oneself, is true.
#[test]
fn an_own_batch_that_a_validator_does_not_know_makes_it_learn_its_stream() {
    let mut rig = Rig::new(4);
    seal_own(&mut rig, 1, 60);
    let digest = rig.order(1, 1, rig.network());
    rig.restart(0, Losses::default(), true);
    rig.connect(0, 1);
    rig.finalize_at(0..1, 1, digest);
    rig.advance(1_000);
    let node = &rig.nodes[0];
    assert_eq!(node.replica.committed(), Height(1));
    assert!(node.world.observed.contains(&Observation::StreamLost) && node.replica.is_learning());
}

/// Pushes are repeated from what a peer holds now.
#[test]
fn a_peer_that_comes_back_with_less_is_sent_again_what_it_did_not_get() {
    let mut rig = Rig::new(4);
    let head = seal_own(&mut rig, 3, 60);
    rig.restart(1, lost(true, false), true);
    rig.isolate(2);
    rig.isolate(3);
    let now = rig.now();
    rig.nodes[0].input(Input::Connected(ValidatorIndex(1), PeerVersion::LAST), now);
    rig.deliver(1, 0, status(0, 1, Head::NONE));
    rig.deliver(1, 0, PeerMessage::Holding(vec![Head::NONE; 4]));
    assert!(rig.nodes[0].world.mail.iter().any(|(_, message)| matches!(message, PeerMessage::Batch(_))));
    rig.nodes[0].world.mail.clear();
    rig.nodes[1].input(Input::Connected(ValidatorIndex(0), PeerVersion::LAST), now);
    rig.nodes[1].world.mail.clear();
    rig.advance(1_500);
    assert_eq!(rig.held(0)[1], head);
}

/// The others held the branch that has lost. Of the one that follows they hold nothing, and it must be sent to them.
#[test]
fn what_others_held_of_a_branch_that_lost_does_not_count_for_the_next() {
    let mut rig = Rig::new(4);
    lose_a_branch(&mut rig, 3, |rig, lost| {
        for peer in 1..4 {
            rig.deliver(peer, 0, PeerMessage::Holding(vec![lost, Head::NONE, Head::NONE, Head::NONE]));
        }
        assert_eq!(rig.nodes[0].replica.own_available, lost);
    });

    rig.offer(0, 1, 0).unwrap();
    rig.advance(1_500);
    let own = rig.nodes[0].replica.own_head;
    assert_eq!(own.sequence, Sequence(2));
    assert_eq!(rig.held(0), [own; 4], "everybody has been sent what follows");
}

/// Where a peer says that it stands.
fn status(height: u64, view: u64, yours: Head) -> PeerMessage {
    PeerMessage::Status {
        epoch: Epoch(0),
        finalized: Height(height),
        committed: Height(height),
        kept_from: Height(1),
        view,
        yours,
    }
}

#[test]
fn one_that_forgot_its_votes_rejoins_two_views_above_the_others() {
    let mut rig = Rig::new(4);
    let first = rig.order(1, 5, rig.network());
    rig.restart(3, lost(false, true), false);
    for peer in 0..3 {
        rig.deliver(peer, 3, status(1, 5, Head::NONE));
    }
    let mut parent = first;
    for (view, rejoins) in [(6, false), (7, true)] {
        parent = rig.order_at(0..3, 1, view, parent);
        rig.finalize_at(3..4, view, parent);
        assert_eq!(
            (!rig.nodes[3].replica.is_rejoining(), rig.nodes[3].world.floor.is_some()),
            (rejoins, rejoins)
        );
    }
    assert_eq!(rig.nodes[3].world.floor.as_ref().unwrap().view(), 7);
}

#[test]
fn two_answers_are_too_few_to_rejoin() {
    let mut rig = Rig::new(4);
    rig.restart(3, lost(false, true), true);
    for (peer, view) in [(0, 5), (1, 6), (1, 7)] {
        rig.deliver(peer, 3, status(0, view, Head::NONE));
    }
    let digest = rig.propose(0, 100, rig.network());
    rig.finalize_at(3..4, 100, digest);
    assert!(rig.nodes[3].replica.is_rejoining());
    rig.deliver(2, 3, status(0, 99, Head::NONE));
    rig.finalize_at(3..4, 100, digest);
    assert!(
        rig.nodes[3].replica.is_rejoining(),
        "a third says that it was in view 99: 100 is not far enough"
    );
    rig.finalize_at(3..4, 101, digest);
    assert!(!rig.nodes[3].replica.is_rejoining());
}

#[test]
fn two_logs_tell_what_one_of_them_has_lost() {
    let boots = |begun, done| Boots { begun, done, ..Boots::default() };
    let still_lost = |boots| Boots { lost: true, ..boots };
    let found_votes_lost = |boots| Boots { lost: true, counterpart_lost: true, ..boots };
    let losses =
        |stream_lost, votes_forgotten| Losses { hears_others: true, ..lost(stream_lost, votes_forgotten) };
    let cases = [
        (boots(0, 0), boots(0, 0), true, losses(false, false), "its first start"),
        (boots(0, 0), boots(0, 0), false, losses(true, true), "two lost logs"),
        (boots(5, 5), boots(5, 5), false, losses(false, false), "as it should be"),
        (
            boots(1, 0),
            still_lost(boots(0, 0)),
            false,
            losses(true, true),
            "a backup of the first start, restored without votes",
        ),
        (boots(5, 4), boots(4, 4), false, losses(false, false), "a crash before the votes had it"),
        (boots(5, 4), boots(5, 5), false, losses(false, false), "a crash before the journal was done"),
        (
            found_votes_lost(boots(1, 0)),
            boots(0, 0),
            false,
            losses(true, true),
            "two lost logs, and a crash before the votes had the start",
        ),
        (
            found_votes_lost(boots(1, 0)),
            boots(1, 1),
            false,
            losses(true, false),
            "the votes have the start, and were made good",
        ),
        (
            boots(4, 4),
            boots(5, 5),
            false,
            losses(true, true),
            "an old journal, beside votes that may be old, too",
        ),
        (boots(5, 5), boots(4, 4), false, losses(true, true), "old votes, likewise"),
        (
            still_lost(boots(6, 6)),
            boots(6, 6),
            false,
            losses(true, false),
            "started again before it had learnt",
        ),
        (
            boots(6, 6),
            still_lost(boots(6, 6)),
            false,
            losses(true, true),
            "started again before it had a floor",
        ),
        (
            boots(0, 0),
            boots(5, 5),
            true,
            losses(true, true),
            "an emptied journal, whatever the operator says",
        ),
        (boots(5, 5), boots(0, 0), true, losses(true, true), "emptied votes, whatever the operator says"),
    ];
    for (journal, votes, first, expected, why) in cases {
        assert_eq!(Losses::of(journal, votes, first, 4), expected, "{why}");
        let next = Losses::next_boot(journal, votes);
        assert!(next > journal.begun && next > votes.begun);
    }
    let emptied = Losses::of(boots(0, 0), boots(5, 5), false, 3);
    assert_eq!(emptied, losses(true, false), "three validators cannot do without the votes of one");
}

/// Own batches that lie where nothing can be ordered yet must not keep a validator from sealing: a liar could make
/// them.
#[test]
fn own_batches_off_the_path_do_not_keep_a_validator_from_sealing() {
    let mut rig = Rig::new(4);
    for place in 0..60 {
        let previous = Head { sequence: Sequence(100 + place), digest: Digest([9; 32]) };
        let stray = Verified::assumed(rig.seal(0, previous, 1, place));
        assert!(rig.nodes[0].replica.streams[0].insert(stray, false));
    }
    seal_own(&mut rig, 40, 300);
}

#[test]
fn what_is_on_its_way_above_a_gap_hides_nothing_of_the_gap() {
    let mut rig = Rig::new(4);
    let replica = &mut rig.nodes[0].replica;
    let (author, sequence) = (ValidatorIndex(1), Sequence(9));
    let copies = std::collections::BTreeSet::from([author]);
    let checking = super::super::state::Checking { author, sequence, copies, since: Duration::ZERO };
    replica.checking.insert(Digest([9; 32]), checking);
    let below = |sequence| {
        let head = Head { sequence: Sequence(sequence), digest: Digest([7; 32]) };
        replica.on_its_way_below(author, &head)
    };
    assert_eq!([12, 10].map(below), [Sequence(9); 2], "only what follows");
    assert_eq!([9, 5, 1].map(below), [Sequence(0); 3], "all that is missing");
}
