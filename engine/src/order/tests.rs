use proptest::prelude::*;

use super::*;
use crate::availability::Stream;
use crate::availability::tests::batch_after;
use crate::limits::*;
use crate::types::{Digest, Epoch, Head, Height, Sequence, ValidatorIndex};
use crate::verify::Verified;
use crate::wire::{Batch, Block, Header};

const NETWORK: Digest = Digest([42; 32]);
const A: ValidatorIndex = ValidatorIndex(0);
const B: ValidatorIndex = ValidatorIndex(1);
/// A voter's clock: far above the times of these blocks, which are their views.
const CLOCK: u64 = 1_000_000;

/// Evidence as consensus hands it on; the certificate is "view (8 bytes) | digest".
fn finality(block: &Block) -> Finality {
    let (view, digest) = (block.header().view, *block.digest());
    let certificate = [&view.to_le_bytes()[..], &digest.0].concat();
    Finality::handed_on(FinalityEvidence {
        epoch: block.header().epoch,
        view,
        digest,
        certificate: &certificate,
    })
}

fn proposal(view: u64, parent: Digest) -> Proposal {
    Proposal { view, leader: A, parent }
}

fn tree() -> BlockTree {
    BlockTree::new(Position::genesis(NETWORK, 2), Quotas::default(), NextMembers::default())
}

fn streams() -> Vec<Stream> {
    (0..2).map(|_| Stream::new(Head::NONE, 2, usize::MAX)).collect()
}

fn take_in(stream: &mut Stream, batch: Verified<Batch>) -> Head {
    let head = batch.head();
    stream.insert(batch, true);
    stream.durable(&head.digest);
    head
}

/// The author's next batches are here, of so many transactions each.
fn push(streams: &mut [Stream], author: ValidatorIndex, transactions: &[usize]) -> Head {
    let stream = &mut streams[usize::from(author.0)];
    for count in transactions {
        let batch = batch_after(author, &stream.held(), *count, 0);
        take_in(stream, batch);
    }
    stream.held()
}

/// Proposes on `parent` all that is here, and inserts it.
fn extend(tree: &mut BlockTree, view: u64, parent: Digest, streams: &[Stream]) -> Block {
    let held = |author: ValidatorIndex, _: &Position| streams[usize::from(author.0)].held();
    let block = tree.propose(&proposal(view, parent), view, streams, held).unwrap();
    assert_eq!(tree.insert(block.clone(), false), Insert::Added);
    block
}

fn sequences(block: &Block) -> Vec<u64> {
    block.cut().iter().map(|head| head.sequence.0).collect()
}

fn header_on(parent: &Position, view: u64) -> Header {
    Header {
        epoch: Epoch(0),
        height: parent.height.next(),
        view,
        parent: parent.digest,
        proposer: A,
        time_ms: parent.time_ms,
        roots_first: parent.roots_next,
        next_members: Digest::default(),
        roots: vec![],
        cut: parent.cut.clone(),
        log: parent.log.clone(),
    }
}

#[test]
fn a_proposal_takes_what_is_ready_and_its_child_goes_on() {
    let (mut tree, mut streams) = (tree(), streams());
    push(&mut streams, A, &[5]);
    push(&mut streams, B, &[5, 5]);
    let first = extend(&mut tree, 1, NETWORK, &streams);
    assert_eq!(sequences(&first), [1, 2]);
    push(&mut streams, A, &[5, 5]);
    let second = extend(&mut tree, 2, *first.digest(), &streams);
    assert_eq!(sequences(&second), [3, 2]);
    let unknown = Digest([9; 32]);
    let error = tree.propose(&proposal(3, unknown), 3, &streams, |_, parent| parent.head(A));
    assert_eq!(error, Err(ProposeError::Unknown(unknown)));
}

#[test]
fn a_head_that_is_not_here_or_on_another_branch_is_left_out() {
    let (mut tree, mut streams) = (tree(), streams());
    let held = push(&mut streams, A, &[5, 5]);
    let propose =
        |tree: &BlockTree, streams: &[Stream], head: Head| {
            tree.propose(&proposal(1, NETWORK), 1, streams, move |author, parent| {
                if author == A { head } else { parent.head(author) }
            })
        };
    let absent = Head { sequence: Sequence(3), digest: Digest([7; 32]) };
    assert_eq!(sequences(&propose(&tree, &streams, absent).unwrap()), [0, 0]);
    assert_eq!(sequences(&propose(&tree, &streams, held).unwrap()), [2, 0]);
    let first = extend(&mut tree, 1, NETWORK, &streams);
    let fork = take_in(&mut streams[0], batch_after(A, &Head::NONE, 5, 1));
    let fork = take_in(&mut streams[0], batch_after(A, &fork, 5, 1));
    let fork = take_in(&mut streams[0], batch_after(A, &fork, 5, 1));
    let child = tree.propose(&proposal(2, *first.digest()), 2, &streams, |author, parent| {
        if author == A { fork } else { parent.head(author) }
    });
    assert_eq!(child.unwrap().cut(), first.cut());
}

#[test]
fn a_full_block_takes_whole_batches_and_every_author_has_its_turn_to_be_first() {
    let (mut tree, mut streams) = (tree(), streams());
    push(&mut streams, A, &[4_000; 17]);
    push(&mut streams, B, &[4_000; 17]);
    let first = extend(&mut tree, 1, NETWORK, &streams);
    assert_eq!(sequences(&first), [0, 16], "16 x 4,000 transactions fit, 17 do not; B is first at height 1");
    push(&mut streams, B, &[4_000; 17]);
    let second = extend(&mut tree, 2, *first.digest(), &streams);
    assert_eq!(
        sequences(&second),
        [0, 32],
        "and once more at height 2: so each leader is met with each beginning"
    );
    let third = extend(&mut tree, 3, *second.digest(), &streams);
    assert_eq!(sequences(&third), [16, 32]);
}

#[test]
fn a_block_takes_no_more_batches_than_it_may() {
    let (mut tree, mut streams) = (tree(), streams());
    push(&mut streams, B, &[1; BLOCK_BATCHES_MAX + 2]);
    let first = extend(&mut tree, 1, NETWORK, &streams);
    assert_eq!(sequences(&first), [0, BLOCK_BATCHES_MAX as u64]);
    assert_eq!(tree.judge(first.digest(), &proposal(1, NETWORK), &streams, CLOCK), Judgement::Valid);
}

/// A first block in view 4 that takes A's first batch, and a good child in view 5 that takes B's and carries a root.
struct Family {
    first: Block,
    streams: Vec<Stream>,
    good: Block,
}

impl Family {
    fn new() -> Self {
        let (mut tree, mut streams) = (tree(), streams());
        push(&mut streams, A, &[5]);
        let first = extend(&mut tree, 4, NETWORK, &streams);
        tree.executed(Height(1), Digest([1; 32]));
        push(&mut streams, B, &[5]);
        let good = extend(&mut tree, 5, *first.digest(), &streams);
        assert_eq!((good.header().roots.as_slice(), sequences(&good)), (&[Digest([1; 32])][..], vec![1, 1]));
        Self { first, streams, good }
    }

    /// What a voter with all that is known says of the child with this change.
    fn judge(&self, change: impl Fn(&mut Header)) -> Judgement {
        let mut tree = tree();
        tree.insert(self.first.clone(), false);
        tree.executed(Height(1), Digest([1; 32]));
        let mut header = self.good.header().clone();
        change(&mut header);
        let block = Block::new(header).unwrap();
        assert_eq!(tree.insert(block.clone(), false), Insert::Added);
        tree.judge(block.digest(), &proposal(5, *self.first.digest()), &self.streams, CLOCK)
    }

    fn flaw(&self, change: impl Fn(&mut Header)) -> Flaw {
        match self.judge(change) {
            Judgement::Invalid(flaw) => flaw,
            other => panic!("{other:?}"),
        }
    }
}

/// One mutation for each field: each is refused, and for its own reason.
#[test]
fn every_field_of_the_header_is_judged() {
    let family = Family::new();
    assert_eq!(family.judge(|_| {}), Judgement::Valid);
    let parent = Height(1);
    let other_height = |h: &mut Header| (h.height, h.log) = (Height(3), crate::wire::tests::log(3));
    assert_eq!(family.flaw(other_height), Flaw::Height { found: Height(3), parent });
    assert_eq!(family.flaw(|h| h.view = 6), Flaw::View { found: 6, expected: 5 });
    assert_eq!(family.flaw(|h| h.parent = NETWORK), Flaw::Parent);
    assert_eq!(family.flaw(|h| h.proposer = B), Flaw::Proposer { found: B, expected: A });
    assert_eq!(family.flaw(|h| h.time_ms = 3), Flaw::Time);
    assert_eq!(family.flaw(|h| h.log = crate::wire::tests::log(2)), Flaw::Log);
    let no_roots = |h: &mut Header| (h.roots, h.roots_first) = (vec![], Height(2));
    assert_eq!(family.flaw(no_roots), Flaw::RootsFirst { found: Height(2), expected: Height(1) });
    let (ours, theirs) = (Digest([1; 32]), Digest([2; 32]));
    let divergence = Divergence { height: Height(1), block: Height(2), ours, theirs };
    assert_eq!(family.flaw(|h| h.roots[0] = theirs), Flaw::Root(divergence));
    assert_eq!(family.flaw(|h| h.cut.push(Head::NONE)), Flaw::CutLength(3));
    assert_eq!(family.flaw(|h| h.cut.truncate(1)), Flaw::CutLength(1));
    assert_eq!(family.judge(|h| h.roots.clear()), Judgement::Valid, "a root may come later");
}

#[test]
fn every_way_in_which_a_cut_can_leave_its_parents_is_a_flaw() {
    let mut family = Family::new();
    let other = take_in(&mut family.streams[0], batch_after(A, &Head::NONE, 5, 1));
    let above_other = take_in(&mut family.streams[0], batch_after(A, &other, 5, 1));
    let b1 = family.good.cut()[1];
    assert_eq!(family.flaw(|h| h.cut[0] = Head::NONE), Flaw::Cut(A), "goes back");
    assert_eq!(family.flaw(|h| h.cut[0] = other), Flaw::Cut(A), "another batch of the same sequence");
    assert_eq!(family.flaw(|h| h.cut[0] = above_other), Flaw::Cut(A), "another branch");
    let lie = Head { sequence: Sequence(2), ..b1 };
    assert_eq!(family.flaw(|h| h.cut[1] = lie), Flaw::Cut(B), "the sequence is not the digest's");
    let strange = Head { digest: family.good.cut()[0].digest, ..b1 };
    assert!(
        matches!(family.judge(|h| h.cut[1] = strange), Judgement::Wait(Wait::Batches(_))),
        "not in B's stream"
    );
}

#[test]
fn the_bounds_of_a_block_are_counted_in_what_the_voter_holds() {
    let mut family = Family::new();
    let far = |sequence: u64| Head { sequence: Sequence(sequence), digest: Digest([8; 32]) };
    let max = BLOCK_BATCHES_MAX as u64;
    assert_eq!(family.flaw(|h| h.cut[1] = far(max + 1)), Flaw::Batches(max + 1));
    assert!(matches!(family.judge(|h| h.cut[1] = far(max)), Judgement::Wait(Wait::Batches(_))));
    let end = |h: &mut Header| (h.cut[0], h.cut[1]) = (far(u64::MAX), far(u64::MAX));
    assert_eq!(family.flaw(end), Flaw::Batches(u64::MAX), "no sum overflows");

    let sixteen = push(&mut family.streams, A, &[4096; 16]);
    let with_sixteen = |h: &mut Header| h.cut = vec![sixteen, Head::NONE];
    assert_eq!(family.judge(with_sixteen), Judgement::Valid);
    let one_more = push(&mut family.streams, A, &[1]);
    let transactions = BLOCK_PACKETS_MAX as u64 + 1;
    assert_eq!(family.flaw(|h| h.cut = vec![one_more, Head::NONE]), Flaw::Packets(transactions));
    assert_eq!(
        family.flaw(|h| h.cut = vec![sixteen, h.cut[1]]),
        Flaw::Packets(transactions + 4),
        "over all authors"
    );
}

#[test]
fn what_may_still_arrive_is_waited_for() {
    let family = Family::new();
    let (first, good) = (&family.first, &family.good);
    let on_first = proposal(5, *first.digest());
    let mut tree = tree();
    let judge =
        |tree: &BlockTree, streams: &[Stream], clock| tree.judge(good.digest(), &on_first, streams, clock);
    assert_eq!(judge(&tree, &streams(), CLOCK), Judgement::Wait(Wait::Block(*good.digest())));
    tree.insert(good.clone(), false);
    assert_eq!(judge(&tree, &streams(), CLOCK), Judgement::Wait(Wait::Block(*first.digest())));
    tree.insert(first.clone(), false);
    assert_eq!(judge(&tree, &streams(), CLOCK), Judgement::Wait(Wait::Executed(Height(1))));
    tree.executed(Height(1), Digest([1; 32]));
    let missing = vec![(B, good.cut()[1])];
    assert_eq!(judge(&tree, &streams(), CLOCK), Judgement::Wait(Wait::Batches(missing)));
    assert_eq!(judge(&tree, &family.streams, CLOCK), Judgement::Valid);
}

#[test]
fn a_time_ahead_of_the_voters_clock_waits_for_it_unless_the_parent_has_it_already() {
    let tree_with = |time_ms| {
        let mut tree = tree();
        let block = Block::new(Header { time_ms, ..header_on(tree.head(), 1) }).unwrap();
        tree.insert(block.clone(), false);
        (tree, block)
    };
    let (mut tree, block) = tree_with(5_000);
    let judge = |tree: &BlockTree, block: &Block, clock| {
        let header = block.header();
        tree.judge(block.digest(), &proposal(header.view, header.parent), &streams(), clock)
    };
    assert_eq!(judge(&tree, &block, 5_000 - TIME_AHEAD_MAX_MS), Judgement::Valid);
    assert_eq!(judge(&tree, &block, 4_999 - TIME_AHEAD_MAX_MS), Judgement::Wait(Wait::Time));
    let child = Block::new(header_on(&Position::of(&block), 2)).unwrap();
    tree.insert(child.clone(), false);
    assert_eq!(judge(&tree, &child, 0), Judgement::Valid, "it does not move the chain's time");
}

proptest! {
    /// Whatever a voter lacks of a good proposal, it never calls it wrong; and it votes when everything is here.
    #[test]
    fn what_is_missing_is_never_a_flaw(
        sizes in proptest::collection::vec((0..2_u16, 1..4_usize), 1..12),
        order in Just((0..32_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let (mut leader, mut all) = (tree(), streams());
        let mut parent = NETWORK;
        let mut blocks = Vec::new();
        for (view, (author, size)) in (1..).zip(sizes) {
            push(&mut all, ValidatorIndex(author), &[size]);
            let block = extend(&mut leader, view, parent, &all);
            parent = *block.digest();
            leader.executed(block.height(), Digest([view as u8; 32]));
            blocks.push(block);
        }
        let last = blocks.last().unwrap().clone();
        let proposal = proposal(last.header().view, last.header().parent);

        let (mut voter, mut here, mut executed) = (tree(), streams(), 0);
        let batches: Vec<_> = all.iter().flat_map(|stream| stream.path(&Head::NONE, &stream.held()).unwrap()).collect();
        let steps = blocks.len() + batches.len() + blocks.len();
        let mut seen = std::collections::BTreeSet::new();
        for step in order.into_iter().filter(|step| *step < steps).chain(0..steps) {
            if !seen.insert(step) {
                continue;
            }
            let judged = voter.judge(last.digest(), &proposal, &here, CLOCK);
            prop_assert!(!matches!(judged, Judgement::Invalid(_)), "{judged:?}");
            if let Some(block) = blocks.get(step) {
                voter.insert(block.clone(), true);
            } else if let Some(batch) = batches.get(step - blocks.len()) {
                take_in(&mut here[usize::from(batch.id().author.0)], (*batch).clone());
            } else {
                executed += 1;
                voter.executed(Height(executed), Digest([executed as u8; 32]));
            }
        }
        prop_assert_eq!(voter.judge(last.digest(), &proposal, &here, CLOCK), Judgement::Valid);
    }
}

#[test]
fn under_root_lag_a_block_takes_nothing_and_an_empty_cut_is_always_allowed() {
    let (mut tree, mut streams) = (tree(), streams());
    let mut parent = NETWORK;
    for view in 1..=3 * ROOT_LAG_MAX {
        push(&mut streams, A, &[1]);
        // An endless branch without execution: finality alone moves on.
        let block = extend(&mut tree, view, parent, &streams);
        assert_eq!(sequences(&block)[0], view.min(ROOT_LAG_MAX));
        assert_eq!(tree.judge(block.digest(), &proposal(view, parent), &streams, CLOCK), Judgement::Valid);
        parent = *block.digest();
        tree.finalize(finality(&block)).unwrap();
    }
    let view = 3 * ROOT_LAG_MAX + 1;
    let greedy = |tree: &mut BlockTree, roots: Vec<Digest>| {
        let position = tree.head().clone();
        let cut = vec![streams[0].held(), Head::NONE];
        let block = Block::new(Header { roots, cut, ..header_on(&position, view) }).unwrap();
        tree.insert(block.clone(), true);
        tree.judge(block.digest(), &proposal(view, parent), &streams, CLOCK)
    };
    assert_eq!(greedy(&mut tree, vec![]), Judgement::Invalid(Flaw::RootLag));
    let roots: Vec<_> = (1..=view).map(|height| Digest([height as u8; 32])).collect();
    for height in 1..view {
        tree.executed(Height(height), roots[height as usize - 1]);
    }
    let once = roots[..BLOCK_ROOTS_MAX].to_vec();
    assert_eq!(greedy(&mut tree, once), Judgement::Invalid(Flaw::RootLag), "64 roots are not enough yet");
    let held = |author: ValidatorIndex, _: &Position| streams[usize::from(author.0)].held();
    for at in 0..3 {
        let block = tree.propose(&proposal(view + at, parent), 0, &streams, held).unwrap();
        let moved = block.cut()[0].sequence.0 > ROOT_LAG_MAX;
        assert_eq!(moved, at == 2, "each block carries 64 roots, and the third is near enough");
        parent = *block.digest();
        tree.insert(block.clone(), true);
        tree.finalize(finality(&block)).unwrap();
    }
}

#[test]
fn a_finalized_block_brings_its_ancestors_each_once_in_order() {
    let mut tree = tree();
    let mut blocks = Vec::new();
    let mut parent = NETWORK;
    for view in 1..=4 {
        blocks.push(extend(&mut tree, view, parent, &streams()));
        parent = *blocks.last().unwrap().digest();
    }
    let out = tree.finalize(finality(&blocks[2])).unwrap();
    let heights: Vec<_> = out.iter().map(|f| (f.value().height().0, f.certificate().is_empty())).collect();
    assert_eq!(heights, [(1, true), (2, true), (3, false)]);
    assert_eq!(tree.finalize(finality(&blocks[2])), Ok(vec![]), "again");
    assert_eq!(tree.finalize(finality(&blocks[1])), Ok(vec![]), "an ancestor");
    assert_eq!(tree.finalize(finality(&blocks[3])).unwrap().len(), 1);
    assert_eq!((tree.head().height, tree.len()), (Height(4), 0));
}

#[test]
fn a_finalization_waits_for_missing_blocks() {
    let mut full = tree();
    let first = extend(&mut full, 1, NETWORK, &streams());
    let second = extend(&mut full, 2, *first.digest(), &streams());
    let third = extend(&mut full, 3, *second.digest(), &streams());
    let mut tree = tree();
    assert_eq!(tree.finalize(finality(&third)), Ok(vec![]));
    assert_eq!(tree.finalize(finality(&second)), Ok(vec![]));
    assert_eq!(tree.missing(), Some(*second.digest()), "the lowest view first");
    tree.insert(second, true);
    assert_eq!(tree.drain(), Ok(vec![]));
    assert_eq!(tree.missing(), Some(*first.digest()));
    tree.insert(first, true);
    let certified: Vec<_> = tree.drain().unwrap().iter().map(|f| !f.certificate().is_empty()).collect();
    assert_eq!(certified, [false, true]);
    assert_eq!(tree.missing(), Some(*third.digest()));
    tree.insert(third, true);
    assert_eq!(tree.drain().unwrap().len(), 1);
    assert_eq!(tree.missing(), None);
}

#[test]
fn two_final_branches_are_a_fork() {
    let mut tree = tree();
    let first = extend(&mut tree, 1, NETWORK, &streams());
    let other = extend(&mut tree, 2, NETWORK, &streams());
    let grandchild = extend(&mut tree, 3, *other.digest(), &streams());
    tree.finalize(finality(&first)).unwrap();
    let fork = tree.finalize(finality(&grandchild));
    let expected = FinalizeError::Fork { finalized: *grandchild.digest(), head: *first.digest() };
    assert_eq!(fork, Err(expected));
}

#[test]
fn a_second_final_block_of_the_heads_own_height_is_a_fork() {
    let mut tree = tree();
    let first = extend(&mut tree, 1, NETWORK, &streams());
    let other = extend(&mut tree, 2, NETWORK, &streams());
    tree.finalize(finality(&first)).unwrap();
    assert_eq!(tree.finalize(finality(&other)), Ok(vec![]), "its block is forgotten: it has to be fetched");
    assert_eq!(tree.missing(), Some(*other.digest()));
    tree.insert(other.clone(), true);
    let expected = FinalizeError::Fork { finalized: *other.digest(), head: *first.digest() };
    assert_eq!(tree.drain(), Err(expected));
}

#[test]
fn every_root_is_carried_exactly_once() {
    let mut tree = tree();
    let mut parent = NETWORK;
    let mut carried = Vec::new();
    for view in 1..=20_u64 {
        let block = extend(&mut tree, view, parent, &streams());
        carried.extend(block.header().roots.clone());
        parent = *block.digest();
        tree.finalize(finality(&block)).unwrap();
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
fn a_branch_is_durable_when_each_of_its_blocks_is() {
    let mut tree = tree();
    let first = extend(&mut tree, 1, NETWORK, &streams());
    let second = extend(&mut tree, 2, *first.digest(), &streams());
    tree.durable(second.digest());
    assert!(!tree.is_branch_durable(second.digest()));
    tree.durable(first.digest());
    assert!(tree.is_branch_durable(second.digest()));
    assert!(!tree.is_branch_durable(&Digest([9; 32])));
    assert_eq!(tree.branch(&Digest([9; 32])), Err(Digest([9; 32])));
    tree.finalize(finality(&first)).unwrap();
    assert!(tree.is_branch_durable(second.digest()));
    assert_eq!(tree.branch(second.digest()).unwrap().len(), 1);
}

#[test]
fn a_flood_of_one_proposer_fills_its_own_share_only() {
    let mut tree = tree();
    let block = |view, proposer| {
        let header = header_on(&Position::genesis(NETWORK, 2), view);
        Block::new(Header { proposer, ..header }).unwrap()
    };
    let kept = (1..1_000).filter(|view| tree.insert(block(*view, A), false) == Insert::Added).count();
    assert_eq!((kept, tree.len()), (64, 64));
    assert_eq!(tree.insert(block(999, A), false), Insert::Full);
    assert_eq!(tree.insert(block(999, A), true), Insert::Added, "asked for by its digest");
    assert_eq!(tree.insert(block(1, B), false), Insert::Added);
    assert_eq!(tree.insert(block(1, B), false), Insert::Known);
    tree.finalize(finality(&block(1, B))).unwrap();
    assert!(tree.is_empty());
    assert_eq!(tree.insert(block(2, B), false), Insert::Old);
}

#[test]
fn blocks_that_were_asked_for_fill_nobodys_share() {
    let mut tree = tree();
    let parent = tree.head().clone();
    for view in 1..200 {
        let log = crate::wire::tests::log(1_000);
        let header = Header { height: Height(1_000), log, ..header_on(&parent, view) };
        assert_eq!(tree.insert(Block::new(header).unwrap(), true), Insert::Added);
    }
    let pushed = Block::new(header_on(&parent, 200)).unwrap();
    assert_eq!(tree.insert(pushed, false), Insert::Added);
}

#[test]
fn what_is_not_final_at_a_final_view_is_forgotten() {
    let (mut tree, streams) = (tree(), streams());
    let first = extend(&mut tree, 1, NETWORK, &streams);
    let parent = tree.head().clone();
    for (view, height) in [(1, 50), (2, 60), (9, 70)] {
        let log = crate::wire::tests::log(height);
        let header = Header { height: Height(height), log, ..header_on(&parent, view) };
        tree.insert(Block::new(header).unwrap(), true);
    }
    let second = extend(&mut tree, 2, *first.digest(), &streams);
    assert_eq!(tree.finalize(finality(&second)).unwrap().len(), 2);
    assert_eq!(tree.len(), 1, "only the one of a view that may still come");
}

/// The tree and streams of two validators, and a certified block that is the last of its epoch: it carries the root of
/// height 1, in which other members were decided.
fn last_of_its_epoch() -> (BlockTree, Vec<Stream>, Block) {
    let (mut tree, streams) = (tree(), streams());
    let first = extend(&mut tree, 1, NETWORK, &streams);
    tree.finalize(finality(&first)).unwrap();
    let early = extend(&mut tree, 2, *first.digest(), &streams);
    assert_eq!(early.next_members(), None, "its root is not carried");
    tree.executed(Height(1), Digest([1; 32]));
    tree.decided_members(Height(1), Digest([9; 32]));
    let last = extend(&mut tree, 3, *first.digest(), &streams);
    (tree, streams, last)
}

#[test]
fn the_block_that_carries_the_root_of_the_decision_names_the_next_members() {
    let (tree, streams, last) = last_of_its_epoch();
    assert_eq!(last.next_members(), Some(&Digest([9; 32])));
    let parent = tree.head().clone();
    let judge = |block: &Block| {
        let mut tree = BlockTree::new(parent.clone(), Quotas::default(), NextMembers::default());
        tree.executed(Height(1), Digest([1; 32]));
        tree.decided_members(Height(1), Digest([9; 32]));
        tree.insert(block.clone(), true);
        let proposal = proposal(block.header().view, block.header().parent);
        tree.judge(block.digest(), &proposal, &streams, CLOCK)
    };
    assert_eq!(judge(&last), Judgement::Valid);
    let with = |next_members, roots: &[Digest]| {
        let header = last.header().clone();
        Block::new(Header { next_members, roots: roots.to_vec(), ..header }).unwrap()
    };
    let root = [Digest([1; 32])];
    let flaw = Judgement::Invalid(Flaw::NextMembers);
    assert_eq!(judge(&with(Digest::default(), &root)), flaw, "it hides that the epoch ends");
    assert_eq!(judge(&with(Digest([8; 32]), &root)), flaw, "it names others");
    assert_eq!(
        judge(&with(Digest([9; 32]), &[])),
        flaw,
        "who votes for it may not have executed the decision"
    );
    assert_eq!(judge(&with(Digest::default(), &[])), Judgement::Valid);
}

#[test]
fn after_the_last_block_of_an_epoch_only_that_block_is_proposed_again() {
    let (mut tree, streams, last) = last_of_its_epoch();
    let position = tree.position(last.digest()).unwrap();
    assert!(position.ends_epoch);
    let child = Block::new(header_on(&position, 4)).unwrap();
    tree.insert(child.clone(), false);
    let again = proposal(4, *last.digest());
    assert_eq!(tree.judge(child.digest(), &again, &streams, CLOCK), Judgement::Invalid(Flaw::AfterLast));
    assert_eq!(tree.judge(last.digest(), &again, &streams, CLOCK), Judgement::Valid);
    let unknown = proposal(4, Digest([7; 32]));
    assert_eq!(
        tree.judge(last.digest(), &unknown, &streams, CLOCK),
        Judgement::Wait(Wait::Block(Digest([7; 32])))
    );

    // It becomes final in the view in which it was proposed last.
    let certificate = b"view 4".to_vec();
    let (epoch, digest) = (Epoch(0), *last.digest());
    let final_at =
        |view| Finality::handed_on(FinalityEvidence { epoch, view, digest, certificate: &certificate });
    let finalized = tree.finalize(final_at(4)).unwrap();
    let [finalized] = &finalized[..] else { panic!("{finalized:?}") };
    assert_eq!((finalized.value(), finalized.certificate()), (&last, &certificate[..]));
    assert_eq!(tree.finalize(final_at(5)), Ok(vec![]), "once is enough");
    let begins = tree.head().clone().in_next_epoch(3);
    assert_eq!((begins.epoch, begins.view, begins.ends_epoch), (Epoch(1), 0, false));
    assert_eq!(
        (begins.height, begins.digest, begins.cut),
        (last.height(), *last.digest(), vec![Head::NONE; 3])
    );
}
