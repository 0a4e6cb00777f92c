use bytes::Bytes;

use super::*;
use crate::types::Head;
use crate::wire::{Block, Header};

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
                height: Height(height),
                view: height,
                parent,
                proposer: A,
                time_ms: 0,
                roots_first: Height(1),
                roots: vec![],
                cut: vec![Head::NONE],
            };
            let block = Block::new(header).unwrap();
            parent = *block.digest();
            FinalizedBlock { block, finalization: Bytes::new() }
        })
        .collect()
}

/// Of four validators, one may lie; two say that they are far ahead.
fn lagging() -> CatchUp {
    let mut sync = CatchUp::new(1);
    for peer in [A, B] {
        sync.connected(peer);
        sync.status(peer, Height(100)).unwrap();
    }
    sync
}

#[test]
fn a_small_lag_is_left_to_the_normal_course_until_the_head_stalls() {
    let mut sync = CatchUp::new(0);
    sync.connected(A);
    sync.status(A, Height(3)).unwrap();
    assert_eq!(sync.poll(&progress(1), ms(0)), None);
    assert_eq!(sync.poll(&progress(2), ms(2_100)), None, "the head has moved");
    let asked = sync.poll(&progress(2), ms(2_100) + STALL_PATIENCE);
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
    let blocks = chain(11, Digest([0; 32]), 3);
    assert_eq!(sync.reply(peer, blocks.clone(), &progress(10)), Ok(blocks.clone()));
    assert_eq!(sync.reply(peer, blocks, &progress(10)), Ok(vec![]), "not asked for");
}

#[test]
fn an_empty_reply_does_not_make_us_ask_faster() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0)).unwrap();
    assert_eq!(sync.reply(peer, vec![], &progress(10)), Ok(vec![]));
    assert_eq!(sync.poll(&progress(10), ms(1)), None);
    let (next, _) = sync.poll(&progress(10), ANSWER_TIMEOUT).unwrap();
    assert_ne!(next, peer, "another one's turn");
}

#[test]
fn a_reply_nobody_asked_for_is_ignored() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0)).unwrap();
    let other = if peer == A { B } else { A };
    assert_eq!(sync.reply(other, chain(11, Digest([0; 32]), 1), &progress(10)), Ok(vec![]));
}

#[test]
fn a_liar_is_not_asked_again_until_it_reconnects() {
    let mut sync = lagging();
    let (liar, _) = sync.poll(&progress(10), ms(0)).unwrap();
    let blocks = chain(11, Digest([9; 32]), 2);
    assert_eq!(sync.reply(liar, blocks, &progress(10)), Err(Misbehaviour::BrokenChain(Height(11))));
    sync.connected(C);
    sync.status(C, Height(100)).unwrap();
    for turn in 1..6 {
        let (peer, _) = sync.poll(&progress(10), ANSWER_TIMEOUT * turn * 2).unwrap();
        assert_ne!(peer, liar);
    }
    sync.connected(liar);
    sync.status(liar, Height(200)).unwrap();
    let asked = (6..9).map(|turn| sync.poll(&progress(10), ANSWER_TIMEOUT * turn * 2).unwrap().0);
    assert!(asked.collect::<Vec<_>>().contains(&liar), "it may have been repaired");
}

#[test]
fn a_height_counts_when_more_than_the_faulty_claim_it() {
    let mut sync = CatchUp::new(1);
    for (peer, height) in [(A, 50), (B, 40), (C, u64::MAX)] {
        sync.connected(peer);
        sync.status(peer, Height(height)).unwrap();
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
    assert_eq!(sync.reply(peer, blocks, &progress(10)), Err(Misbehaviour::TooMany(BLOCKS_REPLY_MAX + 1)));
    assert_eq!(sync.best(), Height(0));
}

#[test]
fn a_reply_that_comes_when_the_head_has_moved_is_left() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0)).unwrap();
    assert_eq!(sync.reply(peer, chain(11, Digest([0; 32]), 2), &progress(12)), Ok(vec![]));
}

#[test]
fn a_gap_in_the_middle_of_a_reply_is_noticed() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0)).unwrap();
    let mut blocks = chain(11, Digest([0; 32]), 4);
    blocks.remove(2);
    assert_eq!(sync.reply(peer, blocks, &progress(10)), Err(Misbehaviour::BrokenChain(Height(14))));
}

#[test]
fn a_height_that_goes_back_is_misbehaviour() {
    let mut sync = lagging();
    let error = Misbehaviour::HeightWentBack { from: Height(100), to: Height(99) };
    assert_eq!(sync.status(A, Height(99)), Err(error));
    sync.disconnected(B);
    assert_eq!(sync.best(), Height(0), "A is distrusted, B gone");
}

#[test]
fn blocks_are_not_fetched_faster_than_executed() {
    let mut sync = lagging();
    let behind = Progress { executed: Height(0), ..progress(BLOCKS_REPLY_MAX as u64) };
    sync.status(A, Height(1_000)).unwrap();
    assert_eq!(sync.poll(&behind, ms(0)), None);
    assert!(sync.poll(&progress(BLOCKS_REPLY_MAX as u64), ms(1)).is_some());
}
