use bytes::Bytes;

use super::*;
use crate::wire::{Block, Header};

const A: ValidatorIndex = ValidatorIndex(1);
const B: ValidatorIndex = ValidatorIndex(2);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn progress(head: u64) -> Progress {
    Progress { head: Height(head), digest: Digest([0; 32]), executed: Height(head), missing: None }
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
                sections: vec![],
            };
            let block = Block::build(header, vec![]).unwrap();
            parent = *block.digest();
            FinalizedBlock { block, finalization: Bytes::new() }
        })
        .collect()
}

fn lagging() -> CatchUp {
    let mut sync = CatchUp::new();
    for peer in [A, B] {
        sync.connected(peer);
        sync.status(peer, Height(100)).unwrap();
    }
    sync
}

#[test]
fn a_small_lag_is_left_to_the_normal_course_until_the_head_stalls() {
    let mut sync = CatchUp::new();
    sync.connected(A);
    sync.status(A, Height(3)).unwrap();
    assert!(sync.poll(&progress(1), ms(0)).is_empty());
    assert!(sync.poll(&progress(2), ms(2_100)).is_empty(), "the head has moved");
    let asked = sync.poll(&progress(2), ms(2_100) + STALL_PATIENCE);
    assert_eq!(asked, [(A, PeerMessage::FetchBlocks { from: Height(3), max: BLOCKS_REPLY_MAX as u32 })]);
}

#[test]
fn a_range_is_asked_of_one_peer_and_after_the_time_out_of_another() {
    let mut sync = lagging();
    let first = sync.poll(&progress(10), ms(0));
    let [(first_peer, PeerMessage::FetchBlocks { from: Height(11), .. })] = first[..] else {
        panic!("{first:?}")
    };
    assert!(sync.poll(&progress(10), ms(1)).is_empty(), "one at a time");
    let second = sync.poll(&progress(10), ANSWER_TIMEOUT);
    assert_ne!(second[0].0, first_peer);
}

#[test]
fn a_reply_that_chains_is_taken_once() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0))[0];
    let blocks = chain(11, Digest([0; 32]), 3);
    assert_eq!(sync.reply(peer, blocks.clone(), &progress(10)), Ok(blocks.clone()));
    assert_eq!(sync.reply(peer, blocks, &progress(10)), Ok(vec![]), "not asked for");
}

#[test]
fn an_empty_reply_does_not_make_us_ask_faster() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0))[0];
    assert_eq!(sync.reply(peer, vec![], &progress(10)), Ok(vec![]));
    assert!(sync.poll(&progress(10), ms(1)).is_empty());
    let next = sync.poll(&progress(10), ANSWER_TIMEOUT);
    assert_ne!(next[0].0, peer, "another one's turn");
}

#[test]
fn a_reply_nobody_asked_for_is_ignored() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0))[0];
    let other = if peer == A { B } else { A };
    assert_eq!(sync.reply(other, chain(11, Digest([0; 32]), 1), &progress(10)), Ok(vec![]));
}

#[test]
fn a_liar_is_not_asked_again_until_it_reconnects() {
    let mut sync = lagging();
    let (liar, _) = sync.poll(&progress(10), ms(0))[0];
    let blocks = chain(11, Digest([9; 32]), 2);
    assert_eq!(sync.reply(liar, blocks, &progress(10)), Err(Misbehaviour::BrokenChain(Height(11))));
    for turn in 1..6 {
        let asked = sync.poll(&progress(10), ANSWER_TIMEOUT * turn * 2);
        assert!(asked.iter().all(|(peer, _)| *peer != liar), "{asked:?}");
    }
    sync.connected(liar);
    sync.status(liar, Height(200)).unwrap();
    assert_eq!(sync.best(), Height(200));
}

#[test]
fn a_gap_in_the_middle_of_a_reply_is_noticed() {
    let mut sync = lagging();
    let (peer, _) = sync.poll(&progress(10), ms(0))[0];
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
fn a_missing_body_is_asked_for_by_digest_after_a_little_patience() {
    let mut sync = lagging();
    let digest = Digest([7; 32]);
    let gap = Progress { missing: Some(digest), head: Height(100), executed: Height(100), digest };
    assert!(sync.poll(&gap, ms(0)).is_empty());
    let asked = sync.poll(&gap, GAP_PATIENCE);
    assert!(matches!(asked[..], [(_, PeerMessage::FetchBlock { digest: d })] if d == digest), "{asked:?}");
    let again = sync.poll(&gap, GAP_PATIENCE + ANSWER_TIMEOUT);
    assert_ne!(asked[0].0, again[0].0, "another peer");
    assert!(sync.block_arrived(&digest));
    assert!(!sync.block_arrived(&digest));
}

#[test]
fn blocks_are_not_fetched_faster_than_executed() {
    let mut sync = lagging();
    let behind = Progress { executed: Height(0), ..progress(BLOCKS_REPLY_MAX as u64) };
    sync.status(A, Height(1_000)).unwrap();
    assert!(sync.poll(&behind, ms(0)).is_empty());
    assert!(!sync.poll(&progress(BLOCKS_REPLY_MAX as u64), ms(1)).is_empty());
}
