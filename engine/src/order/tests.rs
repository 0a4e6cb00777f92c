use std::collections::BTreeMap;

use super::judge::Wait;
use super::*;
use crate::availability::Available;
use crate::limits::{BLOCK_TRANSACTIONS_MAX, ROOT_LAG_MAX};
use crate::types::{BatchId, ChainId, Digest, Height, Sequence, ValidatorIndex};
use crate::wire::{Batch, Block, Certificate, Header};

type Pool = BTreeMap<BatchId, Available<Batch>>;

const NETWORK: Digest = Digest([42; 32]);
const CHAIN: ChainId = ChainId(1);
const A: ValidatorIndex = ValidatorIndex(0);
const B: ValidatorIndex = ValidatorIndex(1);
const STREAMS: [(ChainId, ValidatorIndex); 2] = [(CHAIN, A), (CHAIN, B)];

/// Certificates of this test are "view (8 bytes) | digest"; an even first byte of the view is required to keep bad ones apart.
struct Plain;

impl FinalityVerifier for Plain {
    fn verify(&self, certificate: &[u8]) -> Option<Finality> {
        let (view, digest) = certificate.split_first_chunk::<8>()?;
        Some(Finality { view: u64::from_le_bytes(*view), digest: Digest(digest.try_into().ok()?) })
    }
}

fn certify(block: &Block) -> Vec<u8> {
    [&block.header().view.to_le_bytes()[..], &block.digest().0].concat()
}

fn certificate(author: ValidatorIndex, sequence: u64, transactions: u32) -> Certificate {
    let batch = BatchId { chain: CHAIN, author, sequence: Sequence(sequence) };
    Certificate::new(batch, Digest([sequence as u8; 32]), transactions, vec![(A, [0; 64])]).unwrap()
}

fn available(certificates: &[Certificate]) -> Pool {
    certificates
        .iter()
        .map(|certificate| (certificate.batch(), Available::assume(certificate.clone())))
        .collect()
}

fn proposal(view: u64, parent: Digest) -> Proposal {
    Proposal { view, leader: A, parent }
}

fn tree() -> BlockTree {
    BlockTree::new(Position::genesis(NETWORK))
}

/// Proposes on `parent` and inserts.
fn extend(tree: &mut BlockTree, view: u64, parent: Digest, pool: &Pool) -> Block {
    let block = tree.propose(&proposal(view, parent), view, &STREAMS, |batch| pool.get(batch)).unwrap();
    assert_eq!(tree.insert(block.clone()), Insert::Added);
    block
}

fn sequences(block: &Block) -> Vec<(u16, u64)> {
    block.certificates().iter().map(|c| (c.batch().author.0, c.batch().sequence.0)).collect()
}

#[test]
fn a_proposal_takes_contiguous_batches_of_every_stream_and_its_child_goes_on() {
    let mut tree = tree();
    let mut pool =
        available(&[certificate(A, 1, 5), certificate(A, 3, 5), certificate(B, 1, 5), certificate(B, 2, 5)]);
    let first = extend(&mut tree, 1, NETWORK, &pool);
    assert_eq!(sequences(&first), [(0, 1), (1, 1), (1, 2)], "A's sequence 2 is missing, so 3 waits");
    pool.extend(available(&[certificate(A, 2, 5)]));
    let second = extend(&mut tree, 2, *first.digest(), &pool);
    assert_eq!(sequences(&second), [(0, 2), (0, 3)]);
}

#[test]
fn a_full_block_takes_from_every_stream() {
    let mut tree = tree();
    let many: Vec<_> = (1..=40)
        .flat_map(|sequence| [certificate(A, sequence, 4096), certificate(B, sequence, 4096)])
        .collect();
    let block = extend(&mut tree, 1, NETWORK, &available(&many));
    assert_eq!(block.transactions(), BLOCK_TRANSACTIONS_MAX as u64);
    assert_eq!(sequences(&block).iter().filter(|(author, _)| *author == 1).count(), 8);
}

#[test]
fn what_is_proposed_is_valid() {
    let mut tree = tree();
    let pool = available(&[certificate(A, 1, 5), certificate(B, 1, 5)]);
    let block = extend(&mut tree, 1, NETWORK, &pool);
    assert_eq!(tree.judge(block.digest(), &proposal(1, NETWORK), |_| true), Judgement::Valid);
    let flaw = Flaw::Certificate(certificate(A, 1, 5).batch());
    assert_eq!(tree.judge(block.digest(), &proposal(1, NETWORK), |_| false), Judgement::Invalid(flaw));
}

/// One mutation per header field: each is refused, and for its own reason.
#[test]
fn every_field_of_the_header_is_judged() {
    let mut tree = tree();
    let first = extend(&mut tree, 4, NETWORK, &available(&[certificate(A, 1, 5)]));
    tree.executed(Height(1), Digest([1; 32]));
    let pool = available(&[certificate(B, 1, 5)]);
    let good = tree.propose(&proposal(5, *first.digest()), 9, &STREAMS, |batch| pool.get(batch)).unwrap();
    assert_eq!(good.header().roots, [Digest([1; 32])]);
    let check = |change: &dyn Fn(&mut Header), certificates: Vec<Certificate>| {
        let mut tree = BlockTree::new(Position::genesis(NETWORK));
        tree.insert(first.clone());
        tree.executed(Height(1), Digest([1; 32]));
        let mut header = good.header().clone();
        change(&mut header);
        let block = Block::build(header, certificates).unwrap();
        assert_eq!(tree.insert(block.clone()), Insert::Added);
        tree.judge(block.digest(), &proposal(5, *first.digest()), |_| true)
    };
    let certificates = || good.certificates().to_vec();
    assert_eq!(check(&|_| {}, certificates()), Judgement::Valid);
    let flaw = |judgement| match judgement {
        Judgement::Invalid(flaw) => flaw,
        other => panic!("{other:?}"),
    };
    assert!(matches!(flaw(check(&|h| h.height = Height(3), certificates())), Flaw::Height { .. }));
    assert!(matches!(flaw(check(&|h| h.view = 6, certificates())), Flaw::View { found: 6, expected: 5 }));
    assert!(matches!(flaw(check(&|h| h.parent = NETWORK, certificates())), Flaw::Parent));
    assert!(matches!(flaw(check(&|h| h.proposer = B, certificates())), Flaw::Proposer { .. }));
    assert!(matches!(flaw(check(&|h| h.time_ms = 0, certificates())), Flaw::Time));
    let no_roots = |h: &mut Header| {
        h.roots.clear();
        h.roots_first = Height(2);
    };
    assert!(matches!(flaw(check(&no_roots, certificates())), Flaw::RootsFirst { .. }));
    assert!(matches!(flaw(check(&|h| h.roots[0] = Digest([2; 32]), certificates())), Flaw::Root(_)));
    assert!(
        matches!(flaw(check(&|_| {}, vec![certificate(A, 1, 5)])), Flaw::Sequence { .. }),
        "ordered already"
    );
    assert!(matches!(flaw(check(&|_| {}, vec![certificate(A, 3, 5)])), Flaw::Sequence { .. }), "a gap");
    let gap = vec![certificate(B, 1, 5), certificate(B, 3, 5)];
    assert!(matches!(flaw(check(&|_| {}, gap)), Flaw::Sequence { .. }), "a gap inside the block");
}

#[test]
fn what_may_still_arrive_is_waited_for() {
    let mut tree = tree();
    let unknown = Digest([9; 32]);
    assert_eq!(tree.judge(&unknown, &proposal(1, NETWORK), |_| true), Judgement::Wait(Wait::Block(unknown)));
    let block = extend(&mut tree, 1, NETWORK, &BTreeMap::new());
    let mut header = block.header().clone();
    header.view = 2;
    header.height = Height(2);
    header.parent = *block.digest();
    header.roots = vec![Digest([1; 32])];
    let child = Block::build(header, vec![]).unwrap();
    tree.insert(child.clone());
    let on_block = proposal(2, *block.digest());
    assert_eq!(tree.judge(child.digest(), &on_block, |_| true), Judgement::Wait(Wait::Executed(Height(1))));
    tree.executed(Height(1), Digest([1; 32]));
    assert_eq!(tree.judge(child.digest(), &on_block, |_| true), Judgement::Valid);
}

#[test]
fn a_finalized_block_brings_its_ancestors_each_once_in_order() {
    let mut tree = tree();
    let mut blocks = Vec::new();
    let mut parent = NETWORK;
    for view in 1..=4 {
        blocks.push(extend(&mut tree, view, parent, &BTreeMap::new()));
        parent = *blocks.last().unwrap().digest();
    }
    let out = tree.finalize(&certify(&blocks[2]), &Plain).unwrap();
    let heights: Vec<_> = out.iter().map(|f| (f.value().height().0, f.certificate().is_empty())).collect();
    assert_eq!(heights, [(1, true), (2, true), (3, false)]);
    assert_eq!(tree.finalize(&certify(&blocks[2]), &Plain), Ok(vec![]), "again");
    assert_eq!(tree.finalize(&certify(&blocks[1]), &Plain), Ok(vec![]), "an ancestor");
    assert_eq!(tree.finalize(&certify(&blocks[3]), &Plain).unwrap().len(), 1);
    assert_eq!(tree.head().height, Height(4));
}

#[test]
fn a_finalization_waits_for_missing_bodies() {
    let mut full = tree();
    let first = extend(&mut full, 1, NETWORK, &BTreeMap::new());
    let second = extend(&mut full, 2, *first.digest(), &BTreeMap::new());
    let mut tree = tree();
    assert_eq!(tree.finalize(&certify(&second), &Plain), Ok(vec![]));
    assert_eq!(tree.missing(), Some(*second.digest()));
    tree.insert(second.clone());
    assert_eq!(tree.drain(), Ok(vec![]));
    assert_eq!(tree.missing(), Some(*first.digest()));
    tree.insert(first);
    assert_eq!(tree.drain().unwrap().len(), 2);
    assert_eq!(tree.missing(), None);
}

#[test]
fn two_final_branches_are_a_fork() {
    let mut tree = tree();
    let first = extend(&mut tree, 1, NETWORK, &BTreeMap::new());
    let other = extend(&mut tree, 2, NETWORK, &BTreeMap::new());
    tree.finalize(&certify(&first), &Plain).unwrap();
    tree.insert(other.clone());
    let grandchild = Header { height: Height(2), parent: *other.digest(), view: 3, ..other.header().clone() };
    let grandchild = Block::build(grandchild, vec![]).unwrap();
    tree.insert(grandchild.clone());
    let fork = tree.finalize(&certify(&grandchild), &Plain);
    assert!(matches!(fork, Err(FinalizeError::Fork { .. })), "{fork:?}");
}

#[test]
fn a_bad_certificate_finalizes_nothing() {
    let mut tree = tree();
    extend(&mut tree, 1, NETWORK, &BTreeMap::new());
    assert_eq!(tree.finalize(b"short", &Plain), Err(FinalizeError::Certificate));
    assert_eq!(tree.head().height, Height(0));
}

#[test]
fn ordering_never_runs_further_ahead_of_execution_than_the_lag_allows() {
    let mut tree = tree();
    let mut parent = NETWORK;
    let mut view = 0;
    let error = loop {
        view += 1;
        match tree.propose(&proposal(view, parent), 0, &STREAMS, |_| None) {
            Ok(block) => {
                parent = *block.digest();
                tree.insert(block.clone());
                tree.finalize(&certify(&block), &Plain).unwrap();
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error, ProposeError::Behind(Height(1)));
    assert_eq!(tree.head().height, Height(ROOT_LAG_MAX));
    tree.executed(Height(1), Digest([1; 32]));
    let block = tree.propose(&proposal(view, parent), 0, &STREAMS, |_| None).unwrap();
    assert_eq!(block.header().roots, [Digest([1; 32])]);
}

#[test]
fn every_root_is_carried_exactly_once() {
    let mut tree = tree();
    let mut parent = NETWORK;
    let mut carried = Vec::new();
    for view in 1..=20_u64 {
        let block = extend(&mut tree, view, parent, &BTreeMap::new());
        carried.extend(block.header().roots.clone());
        parent = *block.digest();
        tree.finalize(&certify(&block), &Plain).unwrap();
        if view % 3 == 0 {
            for height in view - 2..=view {
                tree.executed(Height(height), Digest([height as u8; 32]));
            }
        }
    }
    let expected: Vec<_> = (1..=18).map(|height| Digest([height; 32])).collect();
    assert_eq!(carried, expected);
}

#[test]
fn a_flood_of_one_proposer_fills_its_own_share_only() {
    let mut tree = tree();
    let block = |view, proposer| {
        let header = Header {
            height: Height(1),
            view,
            parent: NETWORK,
            proposer,
            time_ms: 0,
            roots_first: Height(1),
            roots: vec![],
            sections: vec![],
        };
        Block::build(header, vec![]).unwrap()
    };
    let kept = (1..1_000).filter(|view| tree.insert(block(*view, A)) == Insert::Added).count();
    assert!(kept < 100, "{kept} kept");
    assert_eq!(tree.insert(block(1, B)), Insert::Added);
    assert_eq!(tree.insert(block(1, B)), Insert::Known);
}
