use std::collections::BTreeSet;

use bytes::Bytes;

use super::*;
use crate::types::{Epoch, Head};
use crate::wire::{Block, Header, PeerVersion};

const A: ValidatorIndex = ValidatorIndex(1);
const B: ValidatorIndex = ValidatorIndex(2);
const C: ValidatorIndex = ValidatorIndex(3);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn progress(head: u64) -> Progress {
    Progress { head: Height(head), digest: Digest([0; 32]), executed: Height(head) }
}

fn chain(from: u64, parent: Digest, count: usize) -> Vec<FinalizedBlock> {
    let mut parent = parent;
    (from..from + count as u64)
        .map(|height| {
            let header = Header {
                epoch: Epoch(0),
                height: Height(height),
                view: height,
                parent,
                proposer: A,
                time_ms: 0,
                roots_first: Height(1),
                next_members: Digest::default(),
                roots: vec![],
                cut: vec![Head::NONE],
                log: crate::wire::tests::log(height),
            };
            let block = Block::new(header).unwrap();
            parent = *block.digest();
            FinalizedBlock { block, finalization: Bytes::new() }
        })
        .collect()
}

fn certified(mut blocks: Vec<FinalizedBlock>) -> Vec<FinalizedBlock> {
    blocks.last_mut().unwrap().finalization = Bytes::from_static(b"certificate");
    blocks
}

/// Of four validators, one may lie; two say that they are far ahead.
fn lagging() -> CatchUp {
    let mut sync = CatchUp::new(1);
    for peer in [A, B] {
        sync.connected(peer, PeerVersion::LAST);
        sync.status(peer, (Height(100), Height(1)), ms(0)).unwrap();
    }
    sync
}

#[test]
fn a_small_lag_is_left_to_the_normal_course_until_the_head_stalls() {
    let mut sync = CatchUp::new(0);
    sync.connected(A, PeerVersion::LAST);
    sync.status(A, (Height(3), Height(1)), ms(0)).unwrap();
    assert_eq!(sync.poll(&progress(1), ms(0)), None);
    assert_eq!(sync.poll(&progress(2), ms(2_100)), None, "the head has moved");
    let asked = sync.poll(&progress(2), ms(2_100) + STALL_PATIENCE);
    assert_eq!(asked, Some((A, PeerMessage::FetchBlocks { from: Height(3), max: BLOCKS_REPLY_MAX as u32 })));
}

#[test]
fn one_that_follows_asks_for_every_block() {
    let mut sync = CatchUp::following(0);
    sync.connected(A, PeerVersion::LAST);
    sync.status(A, (Height(3), Height(1)), ms(0)).unwrap();
    assert_eq!(sync.poll(&progress(3), ms(0)), None);
    sync.status(A, (Height(4), Height(1)), ms(1)).unwrap();
    let asked = sync.poll(&progress(3), ms(1));
    assert_eq!(asked, Some((A, PeerMessage::FetchBlocks { from: Height(4), max: BLOCKS_REPLY_MAX as u32 })));
}

/// What a peer has said last may be older than the blocks that it gives.
#[test]
fn bodies_are_asked_of_who_keeps_all_of_their_heights_or_has_given_them() {
    let mut sync = CatchUp::new(0);
    for (peer, said) in [(A, (Height(9), Height(1))), (B, (Height(9), Height(5)))] {
        sync.connected(peer, PeerVersion::LAST);
        sync.status(peer, said, ms(0)).unwrap();
    }
    let asked = |sync: &mut CatchUp, from, to| -> Vec<_> {
        (0..2).map(|_| sync.peer_with(Height(from)..=Height(to), PeerVersion::FIRST, ms(0))).collect()
    };
    assert_eq!(asked(&mut sync, 4, 9), [Some(A); 2]);
    let mut both = asked(&mut sync, 5, 9);
    both.sort_unstable();
    assert_eq!(both, [Some(A), Some(B)]);
    sync.note_late(A, ms(0));
    assert_eq!(asked(&mut sync, 5, 9), [Some(B); 2]);
    assert_eq!(asked(&mut sync, 4, 9), [Some(A); 2], "there is no other");
    assert_eq!(asked(&mut sync, 5, 10), [None; 2]);
    sync.certified(B, Height(10));
    assert_eq!(asked(&mut sync, 5, 10), [Some(B); 2]);
    assert_eq!(sync.best(), Height(9), "what it has given does not count for what the network has");
    sync.connected(B, PeerVersion::LAST);
    assert_eq!(asked(&mut sync, 5, 10), [None; 2], "it may have lost everything since");
}

#[test]
fn how_far_the_network_is_can_be_told_once_more_than_f_say_where_they_stand() {
    let mut sync = CatchUp::new(1);
    for peer in [A, B, C] {
        sync.connected(peer, PeerVersion::LAST);
    }
    sync.status(A, (Height(3), Height(1)), ms(0)).unwrap();
    assert!(!sync.hears(), "that one may lie");
    sync.status(B, (Height(0), Height(1)), ms(0)).unwrap();
    assert!(sync.hears());
    sync.disconnected(A);
    assert!(!sync.hears());
    sync.connected(A, PeerVersion::LAST);
    assert!(!sync.hears(), "it may have lost everything since");
    sync.status(C, (Height(2), Height(1)), ms(0)).unwrap();
    assert!(sync.hears());
}

/// It alone may have the last block of the epoch, which those who are left cannot finalize without it.
#[test]
fn one_that_is_in_a_later_epoch_is_asked_though_f_others_say_nothing_when_the_head_rests() {
    let mut sync = CatchUp::new(1);
    for peer in [A, B, C] {
        sync.connected(peer, PeerVersion::LAST);
        sync.status(peer, (Height(if peer == A { 3 } else { 2 }), Height(1)), ms(0)).unwrap();
    }
    assert_eq!(sync.poll(&progress(2), ms(0)), None);
    assert_eq!(sync.poll(&progress(2), ms(0) + STALL_PATIENCE), None, "f of them may lie");
    sync.beyond(A, true);
    let asked = sync.poll(&progress(2), ms(0) + STALL_PATIENCE);
    assert_eq!(asked, Some((A, PeerMessage::FetchBlocks { from: Height(3), max: BLOCKS_REPLY_MAX as u32 })));
}

#[test]
fn a_range_is_asked_of_one_peer_and_after_the_time_out_of_another() {
    let mut sync = lagging();
    let first = sync.poll(&progress(10), ms(0));
    let Some((first_peer, PeerMessage::FetchBlocks { from: Height(11), .. })) = first else {
        panic!("{first:?}")
    };
    assert_eq!(sync.poll(&progress(10), ms(1)), None, "one at a time");
    let (second_peer, _) = sync.poll(&progress(10), ANSWER_TIMEOUT).unwrap();
    assert_ne!(second_peer, first_peer);
}

#[test]
fn a_reply_that_chains_is_taken_once() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0)).unwrap();
    let blocks = certified(chain(11, Digest([0; 32]), 3));
    assert_eq!(sync.reply(peer, blocks.clone(), &progress(10), ms(1)), Ok(blocks.clone()));
    assert_eq!(sync.reply(peer, blocks, &progress(10), ms(1)), Ok(vec![]), "not asked for");
}

#[test]
fn what_lies_above_the_last_certificate_comes_out_with_the_next() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0)).unwrap();
    let mut blocks = chain(11, Digest([0; 32]), 6);
    blocks[1].finalization = Bytes::from_static(b"certificate");
    blocks[5].finalization = Bytes::from_static(b"certificate");
    let reply = sync.reply(peer, blocks[..4].to_vec(), &progress(10), ms(1));
    assert_eq!(reply, Ok(blocks[..2].to_vec()));
    let head = Progress { digest: *blocks[1].block.digest(), ..progress(12) };
    let (next, message) = sync.poll(&head, ms(2)).unwrap();
    assert_eq!(
        (next, message),
        (peer, PeerMessage::FetchBlocks { from: Height(15), max: BLOCKS_REPLY_MAX as u32 })
    );
    assert_eq!(sync.reply(peer, blocks[4..].to_vec(), &head, ms(3)), Ok(blocks[2..].to_vec()));
}

/// A liar sends made-up blocks one by one, always in time. It must not stay the only one that is asked.
#[test]
fn a_drip_of_blocks_without_a_certificate_ends_and_its_peer_has_to_wait() {
    let mut sync = lagging();
    let blocks = chain(11, Digest([0; 32]), 100);
    let (mut now, mut drops) = (ms(0), blocks.chunks(1));
    let (liar, _) = sync.poll(&progress(10), now).unwrap();
    let mut asked = liar;
    while asked == liar {
        now += ms(1_400);
        let drop = drops.next().expect("it was asked endlessly").to_vec();
        assert_eq!(sync.reply(liar, drop, &progress(10), now), Ok(vec![]));
        asked = sync.poll(&progress(10), now).unwrap().0;
    }
    assert!(now <= 4 * ANSWER_TIMEOUT, "{now:?}");
    // A new connection does not shorten the pause.
    sync.disconnected(liar);
    sync.connected(liar, PeerVersion::LAST);
    sync.status(liar, (Height(200), Height(1)), now).unwrap();
    let until = now + PAUSE_MIN;
    while now + ANSWER_TIMEOUT < until {
        now += ANSWER_TIMEOUT;
        if let Some((peer, _)) = sync.poll(&progress(10), now) {
            assert_ne!(peer, liar);
        }
    }
}

#[test]
fn an_empty_reply_does_not_make_us_ask_faster() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0)).unwrap();
    assert_eq!(sync.reply(peer, vec![], &progress(10), ms(1)), Ok(vec![]));
    let (next, _) = sync.poll(&progress(10), ms(1)).unwrap();
    assert_ne!(next, peer, "another one's turn");
    assert_eq!(sync.reply(next, vec![], &progress(10), ms(2)), Ok(vec![]));
    assert_eq!(sync.poll(&progress(10), ANSWER_TIMEOUT), None, "not before one says again that it has it");
    sync.status(peer, (Height(100), Height(1)), ANSWER_TIMEOUT).unwrap();
    assert_eq!(sync.poll(&progress(10), ANSWER_TIMEOUT).unwrap().0, peer);
}

#[test]
fn a_reply_nobody_asked_for_is_ignored() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0)).unwrap();
    let other = if peer == A { B } else { A };
    assert_eq!(sync.reply(other, chain(11, Digest([0; 32]), 1), &progress(10), ms(1)), Ok(vec![]));
}

#[test]
fn where_all_are_slow_one_that_never_answers_has_no_turn() {
    let mut sync = lagging();
    let asked = |sync: &mut CatchUp, now| -> BTreeSet<ValidatorIndex> {
        let ask = |_| sync.peer_with(Height(11)..=Height(20), PeerVersion::LAST, now).unwrap();
        (0..8).map(ask).collect()
    };
    assert_eq!(asked(&mut sync, ms(0)), BTreeSet::from([A, B]), "in turns");
    sync.note_late(A, ms(0));
    assert_eq!(asked(&mut sync, ms(1)), BTreeSet::from([B]));
    // The other one was busy once; this one says nothing again and again.
    (0..3).for_each(|_| sync.note_late(A, ms(1)));
    sync.note_late(B, ms(1));
    assert_eq!(asked(&mut sync, ms(2)), BTreeSet::from([B]));
    (0..3).for_each(|_| sync.note_late(B, ms(2)));
    assert_eq!(asked(&mut sync, ms(3)), BTreeSet::from([A, B]), "they are equally slow");
    sync.note_in_time(A);
    assert_eq!(asked(&mut sync, ms(4)), BTreeSet::from([A]));
    // A pause ends, however long the other one's is.
    assert_eq!(asked(&mut sync, ms(3) + 8 * PAUSE_MIN), BTreeSet::from([A, B]));
}

#[test]
fn a_liar_is_not_asked_for_a_while_that_doubles() {
    let mut sync = lagging();
    sync.connected(C, PeerVersion::LAST);
    sync.status(C, (Height(100), Height(1)), ms(0)).unwrap();
    let mut now = ms(0);
    for strikes in 0..3 {
        let liar = loop {
            now += ANSWER_TIMEOUT;
            let (peer, _) = sync.poll(&progress(10), now).unwrap();
            if peer == A {
                break peer;
            }
        };
        let blocks = chain(11, Digest([9; 32]), 2);
        let error = Misbehaviour::BrokenChain(Height(11));
        assert_eq!(sync.reply(liar, blocks, &progress(10), now), Err(error));
        let until = now + PAUSE_MIN * (1 << strikes);
        while now + ANSWER_TIMEOUT < until {
            now += ANSWER_TIMEOUT;
            assert_ne!(sync.poll(&progress(10), now).unwrap().0, liar, "strike {strikes}");
        }
        now = until;
    }
}

#[test]
fn a_height_counts_when_more_than_the_faulty_claim_it() {
    let mut sync = CatchUp::new(1);
    for (peer, height) in [(A, 50), (B, 40), (C, u64::MAX)] {
        sync.connected(peer, PeerVersion::LAST);
        sync.status(peer, (Height(height), Height(1)), ms(0)).unwrap();
    }
    assert_eq!(sync.best(), Height(50), "one of the two that are there may lie, both do not");
    assert_eq!((sync.lag(Height(34)), sync.lag(Height(35))), (Some(LAG_MIN), None));
    sync.disconnected(A);
    assert_eq!(sync.best(), Height(40));
    sync.disconnected(B);
    assert_eq!(sync.best(), Height(0), "a liar alone moves nobody");
    assert_eq!(sync.poll(&progress(0), ms(0)), None);
}

#[test]
fn who_answers_with_too_much_is_not_asked_again() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0)).unwrap();
    let blocks = chain(11, Digest([0; 32]), BLOCKS_REPLY_MAX + 1);
    assert_eq!(
        sync.reply(peer, blocks, &progress(10), ms(1)),
        Err(Misbehaviour::TooMany(BLOCKS_REPLY_MAX + 1))
    );
    assert_eq!(sync.best(), Height(0));
}

#[test]
fn a_reply_that_comes_when_the_head_has_moved_is_left() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0)).unwrap();
    assert_eq!(sync.reply(peer, chain(11, Digest([0; 32]), 2), &progress(12), ms(1)), Ok(vec![]));
}

#[test]
fn a_gap_in_the_middle_of_a_reply_is_noticed() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0)).unwrap();
    let mut blocks = chain(11, Digest([0; 32]), 4);
    blocks.remove(2);
    assert_eq!(sync.reply(peer, blocks, &progress(10), ms(1)), Err(Misbehaviour::BrokenChain(Height(14))));
}

#[test]
fn a_height_that_goes_back_is_misbehaviour() {
    let mut sync = lagging();
    let error = Misbehaviour::HeightWentBack { from: Height(100), to: Height(99) };
    assert_eq!(sync.status(A, (Height(99), Height(1)), ms(0)), Err(error));
    sync.disconnected(B);
    assert_eq!(sync.best(), Height(0), "A is distrusted, B gone");
}

#[test]
fn blocks_are_not_fetched_faster_than_executed() {
    let mut sync = lagging();
    let behind = Progress { executed: Height(0), ..progress(BLOCKS_REPLY_MAX as u64) };
    sync.status(A, (Height(1_000), Height(1)), ms(0)).unwrap();
    assert_eq!(sync.poll(&behind, ms(0)), None);
    assert!(sync.poll(&progress(BLOCKS_REPLY_MAX as u64), ms(1)).is_some());
}

#[test]
fn a_peer_is_not_asked_for_what_it_does_not_keep() {
    let mut sync = CatchUp::new(1);
    for (peer, kept_from) in [(A, 40), (B, 11), (C, 12)] {
        sync.connected(peer, PeerVersion::LAST);
        sync.status(peer, (Height(100), Height(kept_from)), ms(0)).unwrap();
    }
    let asked = |sync: &mut CatchUp, at| sync.poll(&progress(10), ms(at)).map(|(peer, _)| peer);
    assert_eq!(sync.keepers(Height(11)), [B], "of whom bodies are asked first");
    assert_eq!(sync.keepers(Height(12)), [B, C]);
    assert_eq!(sync.keepers(Height(40)), [], "where all have it, the usual order is as good");
    assert_eq!(asked(&mut sync, 0), Some(B));
    assert_eq!(sync.below_retention(Height(11)), None);
    // It has pruned its journal in the meantime.
    assert_eq!(sync.reply(B, vec![], &progress(10), ms(1)), Ok(vec![]));
    assert_eq!(asked(&mut sync, 2), None, "nobody has it");
    sync.status(B, (Height(100), Height(30)), ms(3)).unwrap();
    assert_eq!(asked(&mut sync, 4), None, "nobody has it");
    assert_eq!(sync.below_retention(Height(11)), Some(Height(12)), "the operator must hear of that");
    assert_eq!(sync.below_retention(Height(12)), None);
    assert_eq!(sync.below_retention(Height(101)), None, "nobody has come so far");
    // One that says so alone may lie.
    sync.disconnected(A);
    sync.disconnected(C);
    assert_eq!(sync.below_retention(Height(11)), None);
    sync.connected(A, PeerVersion::LAST);
    sync.status(A, (Height(100), Height(5)), ms(1_700)).unwrap();
    assert_eq!(asked(&mut sync, 1_700), Some(A));
}

#[test]
fn blocks_without_a_certificate_and_then_nothing_are_no_reason_to_ask_on() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0)).unwrap();
    let mut blocks = chain(11, Digest([0; 32]), 4);
    blocks.iter_mut().for_each(|block| block.finalization = Bytes::new());
    assert_eq!(sync.reply(peer, blocks, &progress(10), ms(1)), Ok(vec![]));
    let more = PeerMessage::FetchBlocks { from: Height(15), max: BLOCKS_REPLY_MAX as u32 };
    assert_eq!(sync.poll(&progress(10), ms(2)), Some((peer, more)));
    assert_eq!(sync.reply(peer, vec![], &progress(10), ms(3)), Ok(vec![]));
    let (next, message) = sync.poll(&progress(10), ms(4)).unwrap();
    let again = PeerMessage::FetchBlocks { from: Height(11), max: BLOCKS_REPLY_MAX as u32 };
    assert!(next != peer && message == again, "another one, from the head on");
    assert_eq!(sync.reply(next, vec![], &progress(10), ms(5)), Ok(vec![]));
    assert_eq!(sync.poll(&progress(10), ms(6)), None, "not before one of them says where it stands");
}
