//! Whole validators on one thread: replicas and committers over real journals, messages in queues, and a script that
//! asks what consensus would ask.

mod as_of;
mod catching_up;
mod chains;
mod checkpoints;
mod feed;
mod followers;
pub(super) mod founded;
mod losses;
mod older_copies;
mod rig;
mod states;
mod world;

use super::*;
use crate::limits::ROOT_LAG_MAX;
use crate::roots::{ChainEntry, StateRoot};
use crate::store::Log;
use crate::types::{Digest, Epoch, Head, Height, Refusal, Sequence, ValidatorIndex, Verdict};
use crate::wire::{Block, Header, Notice, PeerMessage};
use rig::{CONNECTION, Rig, options};

fn notice(tag: u64, verdict: Verdict) -> (u64, Notice) {
    (CONNECTION, Notice { tag, verdict })
}

const BUSY: Verdict = Verdict::Refused(Refusal::Busy);

fn offences(rig: &Rig, node: usize) -> Vec<(u16, Offence)> {
    let offence = |observation: &Observation| match observation {
        Observation::Offence(peer, offence) => Some((peer.0, *offence)),
        _ => None,
    };
    rig.nodes[node].world.observed.iter().filter_map(offence).collect()
}

#[test]
fn a_transaction_goes_from_a_mempool_to_a_block_and_its_client_is_told() {
    let mut rig = Rig::new(4);
    rig.offer(0, 1, 0).unwrap();
    rig.offer(0, 2, 0).unwrap();
    rig.advance(100);
    assert_eq!(rig.held(0), vec![rig.nodes[0].replica.own_head; 4], "everybody holds the batches");
    let first = rig.order(1, 1, rig.network());
    assert_eq!(rig.block(1, &first).cut()[0].sequence, Sequence(2), "one at once, one when that was held");
    rig.advance(30);
    let told = [notice(1 << 8, Verdict::Committed), notice(2 << 8, Verdict::Committed)];
    assert_eq!(rig.nodes[0].world.notices, told);
    let roots: Vec<_> = rig.nodes.iter().map(|node| node.world.roots.clone()).collect();
    assert!(roots.iter().all(|root| root.len() == 1 && *root == roots[0]), "{roots:?}");
    for node in &rig.nodes {
        assert_eq!(node.replica.committed(), Height(1));
        assert_eq!((node.mempool().slots().pending(1), node.mempool().slots().pending(2)), (0, 0));
        assert_eq!(node.world.halted, None);
        assert!(node.replica.streams.iter().all(|stream| stream.is_empty()), "what is ordered is not kept");
    }
    assert!(rig.nodes[1..].iter().all(|node| node.world.notices.is_empty()));
    assert!((0..4).all(|node| offences(&rig, node).is_empty()));

    let second = rig.order(2, 2, first);
    let root = roots[0][0].1;
    assert_eq!(rig.block(1, &second).header().roots, [root], "the next block carries the root");
}

#[test]
fn transactions_of_all_validators_are_ordered_by_one_block_and_each_client_hears_of_its_own() {
    let mut rig = Rig::new(4);
    for node in 0..4 {
        rig.offer(node, node as u64, 0).unwrap();
        // Spends what it does not have.
        rig.offer_amount(node, node as u64, 1, u64::MAX).unwrap();
    }
    rig.advance(100);
    let digest = rig.order(3, 1, rig.network());
    assert!(rig.block(0, &digest).cut().iter().all(|head| !head.is_none()));
    rig.advance(40);
    for node in 0..4 {
        let sender = node as u64;
        let failed = Verdict::Failed(crate::types::Outcome::InsufficientBalance);
        let expected = [notice(sender << 8, Verdict::Committed), notice(sender << 8 | 1, failed)];
        assert_eq!(rig.nodes[node].world.notices, expected);
    }
}

#[test]
fn an_idle_leader_proposes_an_empty_block_after_a_while() {
    let mut rig = Rig::new(4);
    let started = rig.now;
    let digest = rig.propose(0, 1, rig.network());
    assert!(rig.now - started >= rig.settings(0).idle_interval);
    assert!(rig.block(0, &digest).cut().iter().all(Head::is_none));
}

#[test]
fn certify_stays_open_until_the_block_and_its_bodies_are_durable() {
    let mut rig = Rig::new(4);
    rig.nodes[2].syncs = false;
    rig.offer(0, 1, 0).unwrap();
    rig.advance(30);
    assert_eq!(rig.nodes[2].world.kinds(), [KIND_BATCH]);
    assert_eq!(rig.nodes[2].replica.streams[0].held(), Head::NONE, "nobody is told what is not durable");
    let digest = rig.propose(1, 1, rig.network());
    let votes = rig.verify(1, 1, rig.network(), digest);
    assert_eq!(rig.answer(2, votes[2]), Some(Answer::Vote(true)), "a vote to notarize needs the bodies only");
    let votes = rig.certify(1, digest);
    for node in [0, 1, 3] {
        assert_eq!(rig.answer(node, votes[node]), Some(Answer::Vote(true)));
    }
    assert_eq!(rig.nodes[2].world.kinds(), [KIND_BATCH, KIND_BLOCK]);
    rig.advance(3_000);
    assert_eq!(rig.answer(2, votes[2]), None, "not durable, however long it takes");
    rig.sync(2, 1);
    assert_eq!(rig.answer(2, votes[2]), None, "the body is, the block is not");
    rig.sync(2, 1);
    assert_eq!(rig.answer(2, votes[2]), Some(Answer::Vote(true)));
}

#[test]
fn a_reply_that_is_late_is_not_given_and_the_block_can_be_certified_all_the_same() {
    let mut rig = Rig::new(4);
    rig.isolate(3);
    rig.offer(0, 1, 0).unwrap();
    rig.advance(30);
    let digest = rig.propose(1, 1, rig.network());
    let votes = rig.verify(1, 1, rig.network(), digest);
    let patience = rig.settings(3).verify_patience.as_millis() as u64;
    rig.advance(patience - 10);
    assert_eq!(rig.answer(3, votes[3]), None);
    rig.advance(20);
    assert_eq!(rig.answer(3, votes[3]), Some(Answer::Decline), "never a no for what is missing");
    let votes = rig.certify(1, digest);
    rig.advance(1_000);
    assert_eq!(rig.answer(3, votes[3]), None);
    rig.heal();
    rig.advance(2_000);
    assert_eq!(rig.answer(3, votes[3]), Some(Answer::Vote(true)), "block and body were fetched");
    assert!((0..4).all(|node| offences(&rig, node).is_empty()));
}

#[test]
fn missing_ancestors_are_fetched_though_nothing_is_final() {
    let mut rig = Rig::new(4);
    rig.isolate(3);
    let mut parent = rig.network();
    for view in 1..=3 {
        rig.offer(0, 1, view).unwrap();
        rig.advance(30);
        let digest = rig.propose(1, view, parent);
        let votes = rig.verify(view, 1, parent, digest);
        assert_eq!(rig.answer(2, votes[2]), Some(Answer::Vote(true)));
        let votes = rig.certify_at(0..3, view, digest);
        assert!(votes.iter().enumerate().all(|(node, vote)| rig.answer(node, *vote).is_some()));
        parent = digest;
    }
    rig.heal();
    let vote = rig.certify_at(3..4, 3, parent)[0];
    assert_eq!(rig.answer(3, vote), None);
    rig.advance(3_000);
    assert_eq!(rig.answer(3, vote), Some(Answer::Vote(true)));
    assert_eq!(rig.nodes[3].replica.finalized(), Height(0));
    let count = |kind| rig.nodes[3].world.written.iter().filter(|(of, _)| *of == kind).count();
    assert_eq!((count(KIND_BLOCK), count(KIND_BATCH)), (3, 3), "all of it is in the journal, once");
}

#[test]
fn finalized_blocks_whose_bodies_are_missing_are_executed_when_they_have_been_fetched() {
    let mut rig = Rig::new(4);
    rig.isolate(3);
    let mut parent = rig.network();
    for view in 1..=3 {
        rig.offer(0, 1, view).unwrap();
        rig.advance(30);
        parent = rig.order_at(0..3, 1, view, parent);
        rig.advance(20);
    }
    rig.finalize_at(3..4, 3, parent);
    assert_eq!(rig.nodes[3].replica.finalized(), Height(0));
    rig.heal();
    rig.advance(5_000);
    assert_eq!(rig.nodes[3].replica.committed(), Height(3), "from the others' journals");
    assert_eq!(rig.nodes[3].world.roots, rig.nodes[0].world.roots);
}

/// It takes no more finalizations, so nothing would ever take out of its tree what it fetched.
#[test]
fn where_too_many_final_blocks_wait_no_others_are_fetched_to_be_certified() {
    let mut rig = Rig::new(4);
    rig.isolate(3);
    let (mut parent, mut last) = (rig.network(), rig.network());
    for view in 1..=2 {
        rig.offer(0, 1, view).unwrap();
        rig.advance(30);
        (last, parent) = (parent, rig.order_at(0..3, 1, view, parent));
        rig.advance(20);
    }
    // The first block is known to be final here, and its body is missing.
    let block = rig.nodes[0].world.journal();
    let reader = JournalReader { records: block.0, index: block.1, network: &rig.network() };
    let first = reader.block(Height(1)).unwrap().1;
    assert_eq!(*first.digest(), last);
    let replica = &mut rig.nodes[3].replica;
    replica.tree.insert(first, true);
    rig.finalize_at(3..4, 1, last);
    for (waiting, fetched) in [(1_024, false), (1, true)] {
        let replica = &mut rig.nodes[3].replica;
        let waits = replica.finalized[0].clone();
        replica.finalized.resize(waiting, waits);
        // What was asked while it was to be judged.
        replica.judging.clear();
        replica.fetches.arrived(&parent);
        rig.certify_at(3..4, 2, parent);
        let wanted = rig.nodes[3].replica.fetches.wanted(&parent).is_some();
        assert_eq!(wanted, fetched, "with {waiting} that wait");
    }
}

#[test]
fn one_that_was_away_for_long_catches_up_in_ranges() {
    let mut rig = Rig::new(4);
    rig.isolate(3);
    let mut parent = rig.network();
    for view in 1..=40 {
        if view % 8 == 0 {
            rig.offer(0, 1, view).unwrap();
        }
        rig.advance(15);
        parent = rig.order_at(0..3, 1, view, parent);
    }
    rig.advance(1_000);
    rig.heal();
    rig.advance(5_000);
    assert_eq!(rig.nodes[3].replica.committed(), Height(40));
    assert_eq!(rig.nodes[3].world.roots, rig.nodes[0].world.roots);
    assert!((0..4).all(|node| offences(&rig, node).is_empty()));
}

#[test]
fn a_batch_that_a_stranger_pushes_unasked_is_an_offence() {
    let mut rig = Rig::new(4);
    let batch = rig.seal(0, Head::NONE, 1, 0);
    let message = PeerMessage::Batch(batch.bytes().clone());
    rig.deliver(2, 1, message.clone());
    rig.settle();
    assert_eq!(offences(&rig, 1), [(2, Offence::Unwanted)]);
    assert!(rig.nodes[1].replica.streams[0].is_empty());
    rig.deliver(0, 1, message.clone());
    rig.settle();
    assert_eq!(rig.nodes[1].replica.streams[0].held(), batch.head(), "from its author it is welcome");
    rig.deliver(2, 1, message);
    assert_eq!(offences(&rig, 1).len(), 1, "an answer that comes late is no offence");
}

#[test]
fn a_bad_body_a_bad_signature_and_a_third_branch_are_offences_of_the_author() {
    let mut rig = Rig::new(4);
    let batch = rig.seal(0, Head::NONE, 1, 0);
    for at in [100, batch.bytes().len() - 1] {
        let mut bytes = batch.bytes().to_vec();
        bytes[at] ^= 1;
        rig.deliver(0, 1, PeerMessage::Batch(bytes.into()));
        rig.settle();
    }
    assert_eq!(offences(&rig, 1), [(0, Offence::BadBatch); 2]);
    for (nonce, contradictions) in [(0, 0), (1, 1), (2, 1)] {
        let branch = rig.seal(0, Head::NONE, 1, nonce);
        rig.deliver(0, 1, PeerMessage::Batch(branch.bytes().clone()));
        rig.settle();
        let found = |observation: &&Observation| matches!(observation, Observation::Contradiction { .. });
        assert_eq!(rig.nodes[1].world.observed.iter().filter(found).count(), contradictions);
    }
    assert_eq!(offences(&rig, 1)[2..], [(0, Offence::Equivocation)]);
    assert_eq!(rig.nodes[1].replica.streams[0].len(), 2);
    rig.deliver(2, 1, PeerMessage::Batch(vec![1; 60].into()));
    rig.deliver(2, 1, PeerMessage::Holding(vec![Head::NONE; 3]));
    assert_eq!(offences(&rig, 1)[3..], [(2, Offence::Malformed); 2]);
}

#[test]
fn a_liar_that_answers_with_a_wrong_body_costs_one_retry() {
    let mut rig = Rig::new(4);
    rig.isolate(3);
    rig.offer(0, 1, 0).unwrap();
    rig.advance(30);
    let digest = rig.propose(1, 1, rig.network());
    let head = rig.block(1, &digest).cut()[0];
    let block = rig.block(1, &digest).clone();
    rig.deliver(1, 3, PeerMessage::Block(block));
    let vote = rig.verify(1, 1, rig.network(), digest)[3];
    let mut bytes = rig.nodes[0].replica.streams[0].batch(&head.digest).unwrap().bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    rig.deliver(2, 3, PeerMessage::Batch(bytes.into()));
    rig.settle();
    assert_eq!(offences(&rig, 3), [(2, Offence::BadBatch)]);
    assert_eq!(rig.answer(3, vote), None);
    rig.heal();
    rig.advance(380);
    assert_eq!(rig.answer(3, vote), Some(Answer::Vote(true)));
}

/// A wrong copy has the right digest, and may wait for a verifier for long.
#[test]
fn a_wrong_copy_that_waits_for_a_verifier_keeps_no_right_one_out() {
    let mut rig = Rig::new(4);
    rig.isolate(3);
    rig.offer(0, 1, 0).unwrap();
    rig.advance(30);
    let digest = rig.propose(1, 1, rig.network());
    let head = rig.block(1, &digest).cut()[0];
    let block = rig.block(1, &digest);
    rig.deliver(1, 3, PeerMessage::Block(block));
    let vote = rig.verify(1, 1, rig.network(), digest)[3];
    let right = rig.nodes[0].replica.streams[0].batch(&head.digest).unwrap().bytes().clone();
    let mut wrong = right.to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    for _ in 0..3 {
        rig.deliver(2, 3, PeerMessage::Batch(wrong.clone().into()));
    }
    assert_eq!(rig.nodes[3].replica.checking[&head.digest].copies.len(), 1, "one copy of each peer");
    rig.deliver(1, 3, PeerMessage::Batch(right));
    rig.settle();
    assert_eq!(rig.answer(3, vote), Some(Answer::Vote(true)));
    assert_eq!(offences(&rig, 3), [(2, Offence::BadBatch)]);
    assert!(rig.nodes[3].replica.checking.is_empty());
}

/// A leader may name anybody as the proposer and any height, and have the block asked for by its digest.
#[test]
fn a_block_that_is_wrong_for_good_is_not_kept_though_it_was_asked_for() {
    let mut rig = Rig::new(4);
    for view in 1..200 {
        let header = Header {
            epoch: Epoch(0),
            height: Height(u64::MAX - 1),
            view,
            parent: rig.network(),
            proposer: ValidatorIndex(2),
            time_ms: 0,
            roots_first: Height(1),
            next_members: Digest::default(),
            roots: vec![],
            cut: vec![Head::NONE; 4],
            log: crate::wire::tests::log(u64::MAX - 1),
        };
        let block = Block::new(header).unwrap();
        let votes = rig.verify(view, 1, rig.network(), *block.digest());
        rig.deliver(1, 0, PeerMessage::Block(block));
        rig.settle();
        assert_eq!(rig.answer(0, votes[0]), Some(Answer::Vote(false)));
        assert!(rig.nodes[0].replica.tree.is_empty(), "view {view}");
    }
}

#[test]
fn a_block_of_another_proposer_is_an_offence_unless_it_ends_the_epoch() {
    for (next_members, seen) in [(Digest::default(), vec![(2, Offence::Unwanted)]), (Digest([7; 32]), vec![])]
    {
        let mut rig = Rig::new(4);
        let header = Header {
            epoch: Epoch(0),
            height: Height(1),
            view: 1,
            parent: rig.network(),
            proposer: ValidatorIndex(1),
            time_ms: 0,
            roots_first: Height(1),
            next_members,
            roots: vec![],
            cut: vec![Head::NONE; 4],
            log: crate::wire::tests::log(1),
        };
        rig.deliver(2, 0, PeerMessage::Block(Block::new(header).unwrap()));
        rig.settle();
        assert_eq!(offences(&rig, 0), seen);
        assert!(rig.nodes[0].replica.tree.is_empty());
    }
}

#[test]
fn a_late_author_is_taken_though_one_validator_is_silent() {
    let mut rig = Rig::new(4);
    rig.isolate(3);
    rig.nodes.iter_mut().for_each(|node| node.replica.late[0] = 8);
    rig.offer(0, 1, 0).unwrap();
    rig.advance(100);
    let digest = rig.propose(1, 1, rig.network());
    assert_eq!(rig.block(1, &digest).cut()[0].sequence, Sequence(1));
}

/// The digest of a batch says at which sequence it is.
#[test]
fn a_peer_that_says_that_it_holds_an_impossible_head_is_not_believed() {
    let mut rig = Rig::new(4);
    rig.isolate(1);
    rig.offer(0, 1, 0).unwrap();
    rig.advance(30);
    let own = rig.nodes[0].replica.own_head;
    let mut heads = vec![Head::NONE; 4];
    heads[0] = Head { sequence: Sequence(u64::MAX), digest: own.digest };
    rig.deliver(1, 0, PeerMessage::Holding(heads));
    rig.offer(0, 1, 1).unwrap();
    rig.advance(100);
    assert_eq!(rig.nodes[0].replica.pushes[1].told, Sequence(0));
    assert_eq!(rig.nodes[0].replica.own_head.sequence, Sequence(2));
}

#[test]
fn recovery_replays_the_journal_and_serves_what_is_not_final() {
    let mut rig = Rig::new(4);
    rig.offer(0, 1, 0).unwrap();
    rig.advance(30);
    let first = rig.order(1, 1, rig.network());
    rig.advance(30);
    rig.offer(0, 1, 1).unwrap();
    rig.offer(2, 2, 1).unwrap();
    rig.advance(30);
    let second = rig.propose(1, 2, first);
    let vote = rig.certify(2, second)[3];
    assert_eq!(rig.answer(3, vote), Some(Answer::Vote(true)));
    rig.offer(0, 1, 2).unwrap();
    rig.advance(60);
    let held = rig.nodes[3].replica.held();
    let root = rig.nodes[3].world.roots.clone();

    rig.isolate(3);
    rig.restart(3, Losses::default(), false);
    let node = &rig.nodes[3];
    assert_eq!((node.replica.finalized(), node.replica.committed()), (Height(1), Height(1)));
    assert_eq!(node.replica.held(), held, "what was told to be held is held");
    assert_eq!(node.recovered, root);
    let again = rig.certify_at(3..4, 2, second)[0];
    assert_eq!(rig.answer(3, again), Some(Answer::Vote(true)), "with nobody's help");
    let written = rig.nodes[3].world.written.len();
    assert_eq!(written, 0, "nothing is written twice");

    let head = rig.block(1, &second).cut()[0];
    rig.nodes[3].world.mail.clear();
    rig.deliver(2, 3, PeerMessage::FetchBlock { digest: second });
    let author = ValidatorIndex(0);
    rig.deliver(2, 3, PeerMessage::FetchBatches { author, above: Sequence(0), head });
    let now = rig.now();
    rig.nodes[3].work(now);
    let sent = |message: &PeerMessage| match message {
        PeerMessage::Block(block) => Some((2, *block.digest())),
        PeerMessage::Batch(bytes) => {
            Some((1, *crate::wire::Batch::decode(&rig.network(), bytes.clone()).unwrap().digest()))
        }
        _ => None,
    };
    let sent: Vec<_> = rig.nodes[3].world.mail.iter().filter_map(|(_, message)| sent(message)).collect();
    assert_eq!(sent[0], (2, second));
    assert_eq!(sent[1], (1, head.digest));
    assert_eq!(sent.len(), 3, "the ordered one is read from the journal");

    rig.heal();
    rig.finalize_at(0..4, 2, second);
    rig.advance(100);
    assert!(rig.nodes.iter().all(|node| node.replica.committed() == Height(2)));
    assert_eq!(rig.nodes[3].world.roots.last(), rig.nodes[0].world.roots.last());
}

#[test]
fn recovery_says_what_is_wrong_with_a_journal() {
    let mut rig = Rig::new(4);
    rig.offer(0, 1, 0).unwrap();
    rig.advance(30);
    rig.order(1, 1, rig.network());
    rig.advance(30);
    let good = rig.nodes[1].world.records();
    let recover = |records: &[(u8, Vec<u8>)]| {
        let directory = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(directory.path(), options()).unwrap();
        for (kind, bytes) in records {
            let position = log.append(*kind, &[bytes]).unwrap();
            log.wait_durable(position).unwrap();
        }
        drop(log);
        let (_log, replay) = Log::open(directory.path(), options()).unwrap();
        rig.recover(replay).map(|(recovered, ..)| recovered.head.height)
    };
    assert_eq!(recover(&good).unwrap(), Height(1));
    let kinds: Vec<_> = good.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [KIND_BATCH, KIND_BLOCK, KIND_COMMITTED]);

    assert!(matches!(recover(&good[1..]), Err(RecoveryError::MissingBatch { height: Height(1), .. })));
    let changed = |record: usize, change: &dyn Fn(&mut Vec<u8>)| {
        let mut records = good.clone();
        change(&mut records[record].1);
        recover(&records)
    };
    let body = changed(0, &|bytes| *bytes.last_mut().unwrap() ^= 1);
    assert!(matches!(body, Err(RecoveryError::MissingBatch { .. })), "a body that is not the digest's");
    let cut = changed(2, &|bytes| bytes.truncate(100));
    assert!(matches!(cut, Err(RecoveryError::Record(_))));
    let with = |change: &dyn Fn(&mut CommittedBlock)| {
        changed(2, &|bytes| {
            let mut committed = CommittedBlock::decode(bytes).unwrap();
            change(&mut committed);
            *bytes = committed.encode();
        })
    };
    assert!(matches!(with(&|record| record.state_root.0[0] ^= 1), Err(RecoveryError::Entries(Height(1)))));
    let claims = |change: &dyn Fn(&mut ChainEntry)| {
        with(&|record| {
            change(&mut record.chains[0].entry);
            let entries = record.chains.iter().map(|chain| chain.entry).collect();
            record.state_root = *StateRoot::new(record.height, entries).digest();
        })
    };
    let is_found = |result| matches!(result, Err(RecoveryError::Diverged { height: Height(1), .. }));
    assert!(
        is_found(claims(&|entry| entry.accounts_root.0[0] ^= 1))
            && is_found(claims(&|entry| entry.inbox += 1))
    );
    assert!(matches!(with(&|record| record.certificate[9] ^= 1), Err(RecoveryError::Certificate(Height(1)))));
    assert_eq!(with(&|record| record.certificate.clear()).unwrap(), Height(1));
    let twice = [&good[..], &good[2..]].concat();
    assert!(matches!(recover(&twice), Err(RecoveryError::Broken { .. })));
    // What a batch was judged by stands before it.
    let early = (KIND_BATCH, rig.seal_as_of(2, Head::NONE, 1, 0, Height(2)).bytes().to_vec());
    assert!(matches!(
        recover(&[&good[..], &[early]].concat()),
        Err(RecoveryError::Early { as_of: Height(2), last: Height(1), .. })
    ));
    let strange = [&good[..], &[(77, vec![])]].concat();
    assert!(matches!(recover(&strange), Err(RecoveryError::UnknownKind(77))));
}

#[test]
fn a_finalized_root_that_is_not_ours_stops_the_validator() {
    let mut rig = Rig::new(4);
    let first = rig.order(1, 1, rig.network());
    rig.advance(30);
    rig.nodes[2].replica.tree.executed(Height(1), Digest([7; 32]));
    let second = rig.propose(1, 2, first);
    let votes = rig.verify(2, 1, first, second);
    assert_eq!(rig.answer(2, votes[2]), Some(Answer::Vote(false)));
    assert_eq!(rig.answer(3, votes[3]), Some(Answer::Vote(true)));
    let refused =
        |observation: &Observation| matches!(observation, Observation::ProposalRefused { view: 2, .. });
    assert!(rig.nodes[2].world.observed.iter().any(refused));
}

#[test]
fn two_final_branches_stop_the_validator() {
    let mut rig = Rig::new(4);
    let first = rig.propose(1, 1, rig.network());
    let other = rig.propose(2, 2, rig.network());
    rig.finalize_at(0..1, 1, first);
    rig.finalize_at(0..1, 2, other);
    rig.advance(2_000);
    let halted = &rig.nodes[0].world.halted;
    assert!(matches!(halted, Some(Halt::Fork(_))), "{halted:?}");
    assert_eq!(rig.nodes[0].replica.deadline(), None);
}

#[test]
fn dispatch_never_runs_further_ahead_of_execution_than_the_lag() {
    let mut rig = Rig::new(4);
    rig.nodes[0].executes = false;
    let mut parent = rig.network();
    for view in 1..=ROOT_LAG_MAX + 6 {
        parent = rig.propose(1, view, parent);
        rig.finalize_at(0..4, view, parent);
    }
    let replica = &rig.nodes[0].replica;
    assert_eq!((replica.finalized(), replica.dispatched), (Height(ROOT_LAG_MAX + 6), Height(ROOT_LAG_MAX)));
    rig.nodes[0].executes = true;
    rig.advance(30);
    assert_eq!(rig.nodes[0].replica.committed(), Height(ROOT_LAG_MAX + 6));
}

#[test]
fn blocks_that_can_never_be_final_are_forgotten_though_nothing_is_executed() {
    let mut rig = Rig::new(4);
    rig.nodes[0].executes = false;
    let size = |rig: &Rig, name| {
        let sizes = rig.nodes[0].replica.sizes();
        sizes.into_iter().find_map(|(of, size)| (of == name).then_some(size)).unwrap()
    };
    let mut parent = rig.network();
    for height in 1..=ROOT_LAG_MAX + 6 {
        let view = 2 * height;
        let (dead, last) = (rig.propose(2, view - 1, parent), rig.propose(1, view, parent));
        for (view, block) in [(view - 1, dead), (view, last)] {
            let vote = rig.certify_at(0..1, view, block)[0];
            assert_eq!(rig.answer(0, vote), Some(Answer::Vote(true)), "it is in the journal");
        }
        parent = last;
        rig.finalize_at(0..4, view, parent);
        let bound = size(&rig, "blocks") + size(&rig, "undispatched");
        assert!(size(&rig, "journaled_blocks") <= bound, "at height {height}");
    }
    assert_eq!(size(&rig, "undispatched"), 6);
}
