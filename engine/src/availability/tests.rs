//! A stream against a naive model, and the requests of a validator that lacks something.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::fetch::{FORGET_AFTER, RETRY_AFTER};
use super::*;
use crate::limits::{STREAM_BATCHES_MAX, VALIDATORS_MAX};
use crate::types::{ChainId, Digest, Epoch, Head, Height, Packet, Sequence, ValidatorIndex};
use crate::verify::Verified;
use crate::wire::{Batch, BatchSection};

const ME: ValidatorIndex = ValidatorIndex(0);
const AUTHOR: ValidatorIndex = ValidatorIndex(1);
const VALIDATORS: usize = 4;
const QUORUM: usize = 3;

/// The author's next batch, of so many packets; another `salt` gives another batch.
pub(crate) fn batch_after(
    author: ValidatorIndex,
    previous: &Head,
    transactions: usize,
    salt: u8,
) -> Verified<Batch> {
    let packets = vec![Packet([salt; 128]); transactions];
    let sections = [BatchSection { chain: ChainId(0), packets: transactions as u32 }];
    let network = Digest([0x42; 32]);
    Verified::assumed(Batch::seal(
        &network,
        (Epoch(0), author),
        previous,
        Height(0),
        &sections,
        packets.iter(),
        |_| [0; 64],
    ))
}

/// Batches one after the other.
fn chain(previous: Head, count: usize, salt: u8) -> Vec<Verified<Batch>> {
    let next = |at: &mut Head| {
        let batch = batch_after(AUTHOR, at, 1 + at.sequence.0 as usize % 3, salt);
        *at = batch.head();
        Some(batch)
    };
    std::iter::repeat_n((), count).scan(previous, |at, ()| next(at)).collect()
}

fn stream() -> Stream {
    Stream::new(Head::NONE, VALIDATORS, usize::MAX)
}

fn take_in(stream: &mut Stream, batches: &[Verified<Batch>]) {
    for batch in batches {
        assert!(stream.insert(batch.clone(), true));
        stream.durable(batch.digest());
    }
}

/// Every batch that the author ever made, and what is known of them: sets and walks, nothing clever.
struct Model {
    all: Vec<Verified<Batch>>,
    present: BTreeSet<Digest>,
    durable: BTreeSet<Digest>,
    /// What was here and lies above the cut on a branch that it has left.
    left: BTreeSet<Digest>,
    cut: Head,
    pushed: Option<Head>,
    told: Vec<Head>,
    resolved: Vec<Head>,
}

impl Model {
    fn new(all: Vec<Verified<Batch>>) -> Self {
        let (present, durable, left) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (told, resolved) = (vec![Head::NONE; VALIDATORS], vec![Head::NONE; VALIDATORS]);
        Self { all, present, durable, left, cut: Head::NONE, pushed: None, told, resolved }
    }

    fn batch(&self, digest: &Digest) -> Option<&Verified<Batch>> {
        self.all.iter().find(|batch| batch.digest() == digest)
    }

    /// The heads from `head` (included) down to the beginning of the stream.
    fn down(&self, head: Head) -> Vec<Head> {
        let mut heads = vec![head];
        while let Some(batch) = self.batch(&heads.last().unwrap().digest) {
            heads.push(batch.previous());
        }
        heads
    }

    fn extends(&self, head: Head, from: Head) -> bool {
        self.down(head).contains(&from)
    }

    /// What lies above `from` up to `head`, highest first.
    fn above(&self, head: Head, from: Head) -> Vec<Head> {
        self.down(head).into_iter().take_while(|at| at.sequence > from.sequence).collect()
    }

    fn is_whole(&self, head: Head, from: Head, among: &BTreeSet<Digest>) -> bool {
        self.extends(head, from) && self.above(head, from).iter().all(|at| among.contains(&at.digest))
    }

    fn path(&self, from: Head, to: Head) -> Result<Vec<Head>, Gap> {
        let mut above = self.above(to, from);
        if let Some(missing) = above.iter().find(|at| !self.present.contains(&at.digest)) {
            return Err(if self.left.contains(&missing.digest) {
                Gap::Leaves
            } else {
                Gap::Missing(*missing)
            });
        }
        above.reverse();
        if self.extends(to, from) { Ok(above) } else { Err(Gap::Leaves) }
    }

    fn take(&mut self, batch: &Verified<Batch>, pushed: bool) -> bool {
        let taken = batch.id().sequence > self.cut.sequence
            && !self.left.contains(batch.digest())
            && self.present.insert(*batch.digest());
        if taken && pushed {
            self.pushed = Some(batch.head());
        }
        taken
    }

    fn finalize(&mut self, cut: Head) {
        self.cut = cut;
        let leaves = |digest: &Digest| {
            let here = |at: &&Head| self.present.contains(&at.digest) && at.sequence > cut.sequence;
            let down = self.down(self.batch(digest).unwrap().head());
            let lowest = down.iter().take_while(here).last();
            let below = lowest.map(|lowest| self.batch(&lowest.digest).unwrap().previous());
            below.is_none_or(|below| {
                (below.sequence == cut.sequence && below != cut) || self.left.contains(&below.digest)
            })
        };
        let gone: Vec<_> = self.present.iter().filter(|digest| leaves(digest)).copied().collect();
        for digest in gone {
            self.present.remove(&digest);
            self.durable.remove(&digest);
            self.left.insert(digest);
        }
        let above = |digest: &Digest| self.batch(digest).unwrap().id().sequence > cut.sequence;
        self.left = self.left.iter().filter(|digest| above(digest)).copied().collect();
        self.pushed = self.pushed.filter(|pushed| self.present.contains(&pushed.digest));
    }

    fn resolve(&mut self) {
        for (told, resolved) in self.told.iter().zip(&mut self.resolved) {
            if self.durable.contains(&told.digest) {
                *resolved = *told;
            }
        }
    }

    fn quorum_head(&mut self, from: Head, without: Option<ValidatorIndex>) -> Head {
        self.resolve();
        let holds = |validator: usize, head: Head| {
            let resolved = self.resolved[validator];
            validator != usize::from(ME.0)
                && without != Some(ValidatorIndex(validator as u16))
                && self.extends(resolved, head)
                && self.above(resolved, head).iter().all(|at| self.present.contains(&at.digest))
        };
        let mine = usize::from(without != Some(ME));
        let counts = |head: &Head| {
            let holders = (0..VALIDATORS).filter(|validator| holds(*validator, *head)).count();
            holders + mine >= QUORUM && self.is_whole(*head, from, &self.durable)
        };
        let heads = self.all.iter().map(|batch| batch.head()).filter(|head| head.sequence > from.sequence);
        heads.filter(counts).max_by_key(|head| head.sequence).unwrap_or(from)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take { batch: prop::sample::Index, pushed: bool },
    Durable(prop::sample::Index),
    Told { by: u16, batch: prop::sample::Index },
    Lie { by: u16, sequence: u64 },
    Finalize(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (index(), any::<bool>()).prop_map(|(batch, pushed)| Step::Take { batch, pushed }),
        6 => index().prop_map(Step::Durable),
        5 => (0..VALIDATORS as u16, index()).prop_map(|(by, batch)| Step::Told { by, batch }),
        1 => (0..VALIDATORS as u16, 0..12_u64).prop_map(|(by, sequence)| Step::Lie { by, sequence }),
        1 => index().prop_map(Step::Finalize),
    ]
}

/// Two branches: the second leaves the first somewhere, or there is none.
fn branches() -> impl Strategy<Value = Vec<Verified<Batch>>> {
    (1..9_usize, 0..8_usize, 0..7_usize).prop_map(|(first, fork, second)| {
        let first = chain(Head::NONE, first, 0);
        let fork = match fork.min(first.len()) {
            0 => Head::NONE,
            fork => first[fork - 1].head(),
        };
        [first, chain(fork, second, 1)].concat()
    })
}

fn agree(stream: &mut Stream, model: &mut Model) -> Result<(), TestCaseError> {
    let bytes: usize = model.present.iter().map(|digest| model.batch(digest).unwrap().bytes().len()).sum();
    prop_assert_eq!((stream.len(), stream.bytes(), stream.cut()), (model.present.len(), bytes, model.cut));
    let heads: Vec<Head> = model.all.iter().map(|batch| batch.head()).collect();
    for head in &heads {
        prop_assert_eq!(stream.batch(&head.digest).is_some(), model.present.contains(&head.digest));
        prop_assert_eq!(stream.is_durable(&head.digest), model.durable.contains(&head.digest));
    }
    let froms: Vec<Head> =
        heads.iter().copied().filter(|head| head.sequence >= model.cut.sequence).chain([model.cut]).collect();
    for from in &froms {
        for to in &heads {
            let path = stream.path(from, to).map(|path| path.iter().map(|batch| batch.head()).collect());
            prop_assert_eq!(path, model.path(*from, *to), "from {:?} to {:?}", from, to);
        }
    }

    let held = stream.held();
    prop_assert!(model.is_whole(held, model.cut, &model.durable), "{held:?} is not held from the cut on");
    let further = heads.iter().find(|head| {
        model.durable.contains(&head.digest) && model.batch(&head.digest).unwrap().previous() == held
    });
    prop_assert_eq!(further, None, "the held head could be higher");
    if let Some(pushed) = model.pushed.filter(|pushed| model.is_whole(*pushed, model.cut, &model.durable)) {
        prop_assert!(model.extends(held, pushed), "of two branches the one that was pushed last is reported");
    }
    for from in [model.cut, held] {
        for without in [None, Some(ME), Some(AUTHOR)] {
            prop_assert_eq!(stream.quorum_head(&from, QUORUM, ME, without), model.quorum_head(from, without));
        }
    }
    let whole = heads.iter().filter(|head| {
        head.sequence > model.cut.sequence && model.is_whole(**head, model.cut, &model.present)
    });
    let received = whole.copied().max().unwrap_or(model.cut);
    prop_assert_eq!(stream.received(|_| false), received);
    let known = |head: &Head| model.present.contains(&head.digest) || model.left.contains(&head.digest);
    for witnesses in 0..=VALIDATORS + 1 {
        let mut ahead: Vec<Head> =
            model.told.iter().copied().filter(|told| told.sequence > held.sequence).collect();
        ahead.sort();
        match stream.lacking(witnesses) {
            Some(head) => {
                prop_assert!(!known(&head) && model.told.contains(&head));
                prop_assert!(ahead.iter().filter(|told| **told >= head).count() >= witnesses);
                prop_assert!(ahead.iter().filter(|told| **told > head).count() < witnesses);
            }
            None => prop_assert!(
                witnesses == 0 || ahead.len() < witnesses || known(&ahead[ahead.len() - witnesses])
            ),
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_stream_is_the_model(all in branches(), steps in vec(step(), 0..60)) {
        let (mut stream, mut model) = (stream(), Model::new(all));
        for step in steps {
            match step {
                Step::Take { batch, pushed } => {
                    let batch = batch.get(&model.all).clone();
                    let pushed = pushed && !model.present.contains(batch.digest());
                    prop_assert_eq!(stream.insert(batch.clone(), pushed), model.take(&batch, pushed));
                }
                Step::Durable(batch) => {
                    let digest = *batch.get(&model.all).digest();
                    let before = stream.held();
                    let moved = stream.durable(&digest);
                    prop_assert_eq!(moved, stream.held() != before);
                    if model.present.contains(&digest) {
                        model.durable.insert(digest);
                    }
                }
                Step::Told { by, batch } => {
                    let head = batch.get(&model.all).head();
                    stream.told(ValidatorIndex(by), head);
                    model.told[usize::from(by)] = head;
                    model.resolve();
                }
                Step::Lie { by, sequence } => {
                    let head = Head { sequence: Sequence(sequence), digest: Digest([0xEE; 32]) };
                    stream.told(ValidatorIndex(by), head);
                    model.told[usize::from(by)] = head;
                }
                Step::Finalize(batch) => {
                    let cut = batch.get(&model.all).head();
                    if cut.sequence > model.cut.sequence && model.extends(cut, model.cut) {
                        stream.finalize(cut);
                        model.finalize(cut);
                    }
                }
            }
            agree(&mut stream, &mut model)?;
        }
    }

    /// In whatever order batches arrive and become durable, all of them are held in the end.
    #[test]
    fn order_of_arrival_does_not_matter(
        (count, arrival, durability) in (1..30_usize).prop_flat_map(|count| {
            let order = || Just((0..count).collect::<Vec<_>>()).prop_shuffle();
            (Just(count), order(), order())
        })
    ) {
        let batches = chain(Head::NONE, count, 0);
        let mut stream = stream();
        for at in arrival {
            prop_assert!(stream.insert(batches[at].clone(), true));
        }
        prop_assert_eq!(stream.held(), Head::NONE, "nothing is held before it is durable");
        let mut durable = BTreeSet::new();
        for at in durability {
            stream.durable(batches[at].digest());
            durable.insert(at);
            let contiguous = (0..count).take_while(|at| durable.contains(at)).count();
            prop_assert_eq!(stream.held().sequence, Sequence(contiguous as u64));
        }
        prop_assert_eq!(stream.path(&Head::NONE, &stream.held()).unwrap().len(), count);
    }
}

#[test]
fn a_branch_that_the_cut_has_left_is_neither_missing_nor_taken_again() {
    let mut stream = stream();
    let (first, second) = (chain(Head::NONE, 2, 0), chain(Head::NONE, 4, 1));
    take_in(&mut stream, &first);
    take_in(&mut stream, &second);
    let lost = second[3].head();
    (2..4).for_each(|by| stream.told(ValidatorIndex(by), lost));
    stream.finalize(first[1].head());
    assert_eq!((stream.len(), stream.lacking(2)), (0, None));
    assert_eq!(stream.path(&stream.cut(), &lost), Err(Gap::Leaves));
    assert!(!stream.insert(second[3].clone(), false) && stream.is_empty());
    assert_eq!(stream.may_push(&second[3], |_| true), Err(Refused::Known));
}

#[test]
fn a_branch_that_the_cut_leaves_goes_whole_however_long_it_is() {
    let mut stream = stream();
    let (first, second) = (chain(Head::NONE, 1, 0), chain(Head::NONE, 2 * STREAM_BATCHES_MAX + 3, 1));
    second.iter().for_each(|batch| assert!(stream.insert(batch.clone(), false)));
    take_in(&mut stream, &first);
    stream.finalize(first[0].head());
    assert_eq!((stream.len(), stream.bytes()), (0, 0));
}

#[test]
fn a_head_leads_to_what_follows_it_on_its_branch() {
    let mut stream = stream();
    let (first, second) = (chain(Head::NONE, 3, 0), chain(Head::NONE, 3, 1));
    take_in(&mut stream, &first);
    take_in(&mut stream, &second[..2]);
    let (from, to) = (first[0].head(), first[2].head());
    assert!(stream.leads_to(&from, &to) && stream.leads_to(&Head::NONE, &to) && stream.leads_to(&to, &to));
    assert!(!stream.leads_to(&to, &from), "it goes back");
    assert!(!stream.leads_to(&second[0].head(), &to), "another branch");
    assert!(!stream.leads_to(&second[0].head(), &second[2].head()), "the last batch is not here");
    assert!(!stream.leads_to(&from, &Head { sequence: Sequence(9), ..to }), "no such head");
}

#[test]
fn the_branch_that_is_favoured_is_held_though_the_other_was_pushed_last() {
    let mut stream = stream();
    let (first, second) = (chain(Head::NONE, 3, 0), chain(Head::NONE, 2, 1));
    take_in(&mut stream, &first);
    take_in(&mut stream, &second);
    assert_eq!(stream.held(), second[1].head());
    stream.favour(first[2].head());
    assert_eq!(stream.held(), first[2].head());
    for (again, held) in [(&first[0], &first[2]), (&second[0], &second[1]), (&first[2], &first[2])] {
        stream.pushed_again(again.head());
        assert_eq!(stream.held(), held.head(), "what the author sends again of the other branch counts");
    }
}

#[test]
fn a_batch_whose_predecessor_is_missing_counts_as_received_while_that_is_being_checked() {
    let mut stream = stream();
    let batches = chain(Head::NONE, 3, 0);
    take_in(&mut stream, &[batches[0].clone()]);
    assert!(stream.insert(batches[2].clone(), true));
    assert_eq!(stream.received(|_| false), batches[0].head());
    assert_eq!(stream.received(|digest| digest == batches[1].digest()), batches[2].head());
}

#[test]
fn two_branches_are_kept_and_the_third_is_refused_unless_it_was_asked_for() {
    let mut stream = stream();
    let first = chain(Head::NONE, 4, 0);
    take_in(&mut stream, &first);
    let second = chain(first[1].head(), 3, 1);
    assert_eq!(stream.may_push(&second[0], |_| true), Ok(()));
    assert!(stream.contradicts(&second[0]));
    assert!(!stream.contradicts(&second[1]));
    take_in(&mut stream, &second[..1]);
    assert_eq!(stream.may_push(&second[1], |_| true), Ok(()), "the second branch goes on");
    take_in(&mut stream, &second[1..]);
    assert_eq!(stream.may_push(&chain(first[3].head(), 1, 0)[0], |_| true), Ok(()), "and so does the first");
    for from in [&Head::NONE, &first[1].head(), &first[2].head(), &second[1].head()] {
        let third = batch_after(AUTHOR, from, 1, 2);
        assert_eq!(stream.may_push(&third, |_| true), Err(Refused::Branch), "{from:?}");
    }
    let third = batch_after(AUTHOR, &first[1].head(), 1, 2);
    assert!(stream.insert(third.clone(), false), "what was asked for by its digest is taken");
    stream.durable(third.digest());
    assert_eq!(stream.held(), second[2].head());
}

#[test]
fn the_losing_branch_is_forgotten_and_its_place_is_free_again() {
    let mut stream = stream();
    let first = chain(Head::NONE, 6, 0);
    let second = chain(first[1].head(), 9, 1);
    take_in(&mut stream, &first);
    take_in(&mut stream, &second);
    assert_eq!((stream.len(), stream.held()), (15, second[8].head()));
    stream.finalize(first[2].head());
    let left: usize = first[3..].iter().map(|batch| batch.bytes().len()).sum();
    assert_eq!((stream.len(), stream.bytes(), stream.held()), (3, left, first[5].head()));
    assert!(!stream.insert(first[0].clone(), false), "below the cut");
    assert_eq!(stream.may_push(&second[0], |_| true), Err(Refused::Known), "of a sequence that is finalized");
    let fork = batch_after(AUTHOR, &first[3].head(), 1, 3);
    assert_eq!(
        stream.may_push(&fork, |_| true),
        Ok(()),
        "a new contradiction above the cut has a branch again"
    );
    stream.finalize(first[5].head());
    assert_eq!((stream.len(), stream.bytes(), stream.held()), (0, 0, first[5].head()));
    stream.finalize(first[4].head());
    assert_eq!(stream.cut(), first[5].head(), "a cut never goes back");
}

#[test]
fn a_cut_beyond_what_is_here_leaves_an_empty_stream_there() {
    let mut stream = stream();
    let batches = chain(Head::NONE, 9, 0);
    take_in(&mut stream, &batches[..3]);
    take_in(&mut stream, &batches[7..]);
    stream.finalize(batches[5].head());
    assert_eq!((stream.len(), stream.held()), (2, batches[5].head()), "what may follow it is kept");
    take_in(&mut stream, &batches[6..7]);
    assert_eq!(stream.held(), batches[8].head());
}

#[test]
fn what_an_author_pushes_is_bounded_in_batches_and_bytes() {
    let batches = chain(Head::NONE, STREAM_BATCHES_MAX + 2, 0);
    let mut stream = stream();
    let (inside, outside) = (&batches[STREAM_BATCHES_MAX - 1], &batches[STREAM_BATCHES_MAX]);
    assert_eq!(stream.may_push(inside, |_| true), Ok(()));
    assert_eq!(stream.may_push(outside, |_| true), Err(Refused::Window));
    take_in(&mut stream, &batches[..1]);
    assert_eq!(stream.may_push(&batches[0], |_| true), Err(Refused::Known));
    assert_eq!(
        stream.may_push(outside, |_| true),
        Err(Refused::Window),
        "the window moves with the cut only"
    );
    stream.finalize(batches[0].head());
    assert_eq!(stream.may_push(outside, |_| true), Ok(()));

    let bytes = batches[0].bytes().len() + batches[1].bytes().len();
    let mut narrow = Stream::new(Head::NONE, VALIDATORS, bytes);
    take_in(&mut narrow, &batches[..1]);
    assert_eq!(narrow.may_push(&batches[1], |_| true), Ok(()));
    assert_eq!(narrow.may_push(&batches[2], |_| true), Err(Refused::Window), "larger than what is left");
    take_in(&mut narrow, &batches[1..2]);
    assert_eq!(narrow.may_push(&batches[2], |_| true), Err(Refused::Window));
    narrow.finalize(batches[1].head());
    assert_eq!(narrow.may_push(&batches[2], |_| true), Ok(()));
}

#[test]
fn what_a_stranger_or_a_past_validator_tells_counts_for_nothing() {
    let mut stream = stream();
    let batches = chain(Head::NONE, 2, 0);
    take_in(&mut stream, &batches);
    stream.told(ValidatorIndex(9), batches[1].head());
    assert_eq!(stream.told_by(ValidatorIndex(9)), Head::NONE);
    let lie = Head { sequence: Sequence(1), digest: *batches[1].digest() };
    for validator in 1..4 {
        stream.told(ValidatorIndex(validator), lie);
    }
    let head = stream.quorum_head(&Head::NONE, QUORUM, ME, None);
    assert_eq!(head, Head::NONE, "a sequence that is not the digest's");
}

const WANTED: Wanted = Wanted::Block;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn peers(count: u16) -> Vec<ValidatorIndex> {
    (1..=count).map(ValidatorIndex).collect()
}

/// Wants it again and again, as open questions do, and says who was asked in each round.
fn rounds(
    fetches: &mut Fetches,
    digest: Digest,
    peers: &[ValidatorIndex],
    count: u32,
) -> Vec<Vec<ValidatorIndex>> {
    let round = |at: u32| {
        let now = RETRY_AFTER * at;
        fetches.want(digest, WANTED, || unreachable!("it is wanted already"), ms(0), now);
        fetches.poll(peers, |_| false, now).into_iter().map(|ask| ask.to).collect()
    };
    (0..count).map(round).collect()
}

#[test]
fn what_is_wanted_is_asked_of_those_who_probably_have_it_and_at_last_of_everybody() {
    for count in [1, 3, 6, 15, 63, VALIDATORS_MAX as u16 - 1] {
        let (mut fetches, digest) = (Fetches::new(), Digest([count as u8; 32]));
        let peers = peers(count);
        let best = ValidatorIndex(count.div_ceil(2));
        let stranger = ValidatorIndex(500);
        fetches.want(digest, WANTED, || vec![stranger, best], ms(0), ms(0));
        let rounds = rounds(&mut fetches, digest, &peers, 12);
        assert_eq!(rounds[0], [best], "one at first, and of those who are connected");
        for (attempt, asked) in rounds.iter().enumerate() {
            let distinct: BTreeSet<_> = asked.iter().collect();
            assert_eq!((asked.len(), distinct.len()), ((1 << attempt.min(4)).min(peers.len()), asked.len()));
        }
        let all: BTreeSet<_> = rounds.iter().flatten().copied().collect();
        assert_eq!(all, peers.into_iter().collect(), "everybody, of {count} peers");
    }
}

#[test]
fn a_liar_costs_one_retry() {
    let (mut fetches, digest) = (Fetches::new(), Digest([1; 32]));
    let liar = ValidatorIndex(2);
    fetches.want(digest, WANTED, || vec![liar], ms(0), ms(0));
    let asked = fetches.poll(&peers(3), |_| false, ms(0));
    assert_eq!(asked, [Ask { to: liar, digest, wanted: WANTED }]);
    assert!(fetches.poll(&peers(3), |_| false, RETRY_AFTER - ms(1)).is_empty());
    assert_eq!(fetches.deadline(), Some(RETRY_AFTER));
    let asked = fetches.poll(&peers(3), |_| false, RETRY_AFTER);
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|ask| ask.to != liar), "others are asked now: {asked:?}");
}

#[test]
fn what_has_come_and_is_being_checked_is_asked_for_later_and_of_one_peer_at_a_time() {
    let (mut fetches, digest) = (Fetches::new(), Digest([1; 32]));
    fetches.want(digest, WANTED, Vec::new, ms(0), ms(0));
    assert_eq!(fetches.poll(&peers(9), |_| false, ms(0)).len(), 1);
    // Checks take as long as they take; a copy may be wrong, so others are asked in the end.
    let mut asked = BTreeSet::new();
    for at in (100..=9_000).step_by(100).map(ms) {
        fetches.want(digest, WANTED, Vec::new, ms(0), at);
        for ask in fetches.poll(&peers(9), |coming| *coming == digest, at) {
            assert!(asked.insert(ask.to), "one after the other");
        }
    }
    assert_eq!(asked.len(), 6);
    // It was wrong.
    fetches.want(digest, WANTED, Vec::new, ms(0), ms(9_300));
    assert!(fetches.poll(&peers(9), |_| false, ms(9_300)).len() > 1);
}

#[test]
fn what_is_probably_on_its_way_is_waited_for_and_what_has_arrived_is_not_asked_for() {
    let (mut fetches, digest) = (Fetches::new(), Digest([1; 32]));
    fetches.want(digest, WANTED, Vec::new, ms(100), ms(0));
    assert!(fetches.wanted(&digest).is_some() && fetches.poll(&peers(3), |_| false, ms(99)).is_empty());
    fetches.want(digest, WANTED, Vec::new, ms(100), ms(90));
    assert_eq!(fetches.deadline(), Some(ms(100)), "wanting it again does not put it off");
    assert_eq!(fetches.poll(&peers(3), |_| false, ms(100)).len(), 1);
    fetches.arrived(&digest);
    assert!(fetches.wanted(&digest).is_none() && fetches.is_empty());
    assert!(fetches.poll(&peers(3), |_| false, ms(1_000)).is_empty());
}

#[test]
fn what_was_wanted_for_a_vote_is_wanted_for_a_final_block_later() {
    let head = Head { sequence: Sequence(9), digest: Digest([9; 32]) };
    let wanted = |above, finalized| Wanted::Batches {
        author: ValidatorIndex(0),
        above: Sequence(above),
        head,
        finalized,
    };
    let mut fetches = Fetches::new();
    fetches.want(head.digest, wanted(5, false), Vec::new, ms(0), ms(0));
    fetches.want(head.digest, wanted(3, true), Vec::new, ms(0), ms(0));
    assert_eq!(fetches.wanted(&head.digest), Some(wanted(3, true)));
    fetches.want(head.digest, wanted(5, false), Vec::new, ms(0), ms(0));
    assert_eq!(fetches.wanted(&head.digest), Some(wanted(3, true)), "and stays so");
}

#[test]
fn what_nobody_wants_any_more_is_forgotten() {
    let mut fetches = Fetches::new();
    let (old, kept) = (Digest([1; 32]), Digest([2; 32]));
    fetches.want(old, WANTED, Vec::new, ms(0), ms(0));
    fetches.want(kept, WANTED, Vec::new, ms(0), ms(0));
    fetches.want(kept, WANTED, Vec::new, ms(0), ms(1));
    fetches.poll(&peers(1), |_| false, FORGET_AFTER - ms(1));
    assert_eq!(fetches.len(), 2);
    fetches.poll(&peers(1), |_| false, FORGET_AFTER);
    assert!(fetches.wanted(&old).is_none() && fetches.wanted(&kept).is_some());
    fetches.poll(&peers(1), |_| false, FORGET_AFTER + ms(1));
    assert!(fetches.is_empty());
    assert_eq!(fetches.deadline(), None);
}

#[test]
fn nobody_connected_is_nobody_asked() {
    let (mut fetches, digest) = (Fetches::new(), Digest([1; 32]));
    fetches.want(digest, WANTED, || vec![ValidatorIndex(1)], ms(0), ms(0));
    assert!(fetches.poll(&[], |_| false, ms(0)).is_empty());
    assert_eq!(fetches.poll(&peers(1), |_| false, RETRY_AFTER).len(), 1);
}

/// A liar names the digest of a batch with a sequence that it does not have, or as another author's.
#[test]
fn a_digest_that_a_liar_names_with_another_head_keeps_nobody_from_the_true_one() {
    let digest = Digest([9; 32]);
    let head = |sequence| Head { sequence: Sequence(sequence), digest };
    let wanted = |author, sequence, finalized| Wanted::Batches {
        author: ValidatorIndex(author),
        above: Sequence(0),
        head: head(sequence),
        finalized,
    };
    let mut fetches = Fetches::new();
    fetches.want(digest, wanted(0, 6, false), Vec::new, ms(0), ms(0));
    fetches.want(digest, wanted(1, 5, false), Vec::new, ms(0), ms(0));
    fetches.want(digest, Wanted::Block, Vec::new, ms(0), ms(0));
    fetches.want(digest, wanted(0, 5, true), Vec::new, ms(0), ms(0));
    assert_eq!(fetches.wanted_batches(ValidatorIndex(0), &head(5)), Some(wanted(0, 5, true)));
    let asked = fetches.poll(&peers(1), |_| false, ms(0));
    assert!(asked.iter().any(|ask| ask.wanted == wanted(0, 5, true)) && asked.len() == 4);
    fetches.arrived(&digest);
    assert!(fetches.is_empty());
}
