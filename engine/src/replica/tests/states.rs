//! A validator that fetches a state, from the first question to the journal that goes on from there.

use std::io::Cursor;

use super::checkpoints::{bytes, of, recovery, rig, taken};
use super::rig::{Plain, schedule};
use super::*;
use crate::limits::STATE_CHUNK_BYTES;
use crate::store::Position;
use crate::sync::StateWork;
use crate::types::Support;
use crate::wire::StateOffer;

/// What peers asked this validator of its checkpoints.
fn asked(rig: &Rig, node: usize) -> Vec<StateRead> {
    let read = |work: &Work| match work {
        Work::ReadState(_, read) => Some(*read),
        _ => None,
    };
    rig.nodes[node].world.about_states.iter().filter_map(read).collect()
}

fn state_work(rig: &Rig, node: usize) -> Vec<StateWork> {
    let work = |work: &Work| match work {
        Work::State(work) => Some(work.clone()),
        _ => None,
    };
    rig.nodes[node].world.about_states.iter().filter_map(work).collect()
}

/// Three go on without the fourth; so many of them keep nothing below height 6.
fn left_behind(pruned: usize) -> Rig {
    let mut rig = Rig::new(4);
    rig.isolate(3);
    let mut parent = rig.network();
    for at in 1..=8_u64 {
        rig.offer(0, at % 8, at).unwrap();
        rig.advance(60);
        parent = rig.order_at(0..3, (at % 3) as usize, at, parent);
        rig.advance(40);
    }
    for node in 0..pruned {
        rig.nodes[node].world.journal().1.prune(Height(6));
    }
    rig.heal();
    rig
}

#[test]
fn a_state_is_looked_for_only_where_blocks_cannot_be_had() {
    let mut rig = left_behind(3);
    rig.advance(2_000);
    assert!((0..3).all(|node| asked(&rig, node).first() == Some(&StateRead::States)));
    assert_eq!(rig.nodes[3].replica.committed(), Height(0));

    // One that keeps them is enough, if it gives them.
    let mut rig = left_behind(2);
    rig.advance(15_000);
    assert_eq!(rig.nodes[3].replica.committed(), Height(8));
    assert_eq!(asked(&rig, 0), []);
}

#[test]
fn one_that_is_said_to_keep_the_blocks_and_gives_none_keeps_nobody_away() {
    let mut rig = left_behind(3);
    // It claims to keep everything, and all its answers are empty.
    let lie = PeerMessage::Status {
        epoch: Epoch(0),
        finalized: Height(8),
        committed: Height(8),
        kept_from: Height(1),
        view: 8,
        yours: Head::NONE,
    };
    for _ in 0..30 {
        rig.deliver(2, 3, lie.clone());
        rig.advance(500);
    }
    assert_eq!(asked(&rig, 0).first(), Some(&StateRead::States));
}

#[test]
fn a_state_comes_in_chunks_that_are_checked_and_written() {
    let donor = super::checkpoints::rig();
    let network = donor.network();
    let checkpoint = taken(&donor, 0).0.pop().unwrap();
    let file = bytes(&donor, &checkpoint);
    let served = ServedState::of(of(&network), &mut Cursor::new(&file)).unwrap();
    let offer = served.list.offer(&network);

    let mut rig = left_behind(3);
    rig.advance(13_000);
    let dishonest = StateOffer { digest: Digest([9; 32]), height: Height(99), ..offer };
    for peer in 0..3 {
        let offers = if peer == 2 { vec![dishonest] } else { vec![offer] };
        rig.deliver(peer, 3, PeerMessage::States(offers));
    }
    rig.advance(200);
    assert_eq!(state_work(&rig, 3), [StateWork::Begin(offer)], "two name it");
    let list = PeerMessage::ChunkList {
        height: offer.height,
        digests: served.list.digests.clone(),
        evidence: served.evidence.clone().into(),
    };
    let asked_list =
        (0..2).find(|node| asked(&rig, *node).last() == Some(&StateRead::ChunkList(offer.height)));
    rig.deliver(asked_list.unwrap(), 3, list);
    rig.advance(200);
    let wants = StateRead::Chunk(offer.height, 0);
    let asked_chunk = (0..2).find(|node| asked(&rig, *node).last() == Some(&wants)).unwrap();
    let wrong = PeerMessage::Chunk { height: offer.height, number: 0, bytes: vec![1; 7].into() };
    rig.deliver(asked_chunk, 3, wrong);
    assert_eq!(offences(&rig, 3), [(asked_chunk as u16, Offence::FalseState)]);
    rig.advance(200);
    let other = 1 - asked_chunk;
    assert_eq!(asked(&rig, other).last(), Some(&wants), "the other one is asked");
    let chunk = served.chunk(&mut Cursor::new(&file), 0).unwrap();
    rig.deliver(
        other,
        3,
        PeerMessage::Chunk { height: offer.height, number: 0, bytes: chunk.clone().into() },
    );
    rig.settle();
    let write = StateWork::Write { height: offer.height, number: 0, bytes: chunk.into() };
    assert!(state_work(&rig, 3).last() == Some(&write), "it is to be written");
    let now = rig.now();
    rig.nodes[3].input(Input::ChunkWritten(offer.height, 0), now);
    rig.nodes[3].work(now);
    let complete = StateWork::Complete { offer, evidence: served.evidence.into() };
    assert_eq!(state_work(&rig, 3).last(), Some(&complete));
}

/// What the file of a checkpoint has for peers, put together again as a validator does that fetches it.
fn fetched(rig: &Rig, checkpoint: &Checkpoint) -> (Vec<u8>, FetchedState) {
    let (network, file) = (rig.network(), bytes(rig, checkpoint));
    let served = ServedState::of(of(&network), &mut Cursor::new(&file)).unwrap();
    let mut written = Vec::new();
    for number in 0..served.list.digests.len() as u32 {
        assert_eq!(chunk_position(number), written.len() as u64);
        let chunk = served.chunk(&mut Cursor::new(&file), number).unwrap();
        assert!(is_chunk(number, &chunk, &served.list.digests[number as usize]));
        written.extend(chunk_frame(number, &chunk));
    }
    written.extend(FetchedState::tail(served.list.digests.len() as u32, &served.evidence));
    let fetched = FetchedState::read(&network, &written[..]).unwrap();
    (written, fetched)
}

#[test]
fn all_validators_have_the_same_bytes_and_each_can_be_given_them() {
    let rig = rig();
    let network = rig.network();
    let offers = |node: usize| -> Vec<StateOffer> {
        let (taken, _) = taken(&rig, node);
        let offer = |checkpoint: &Checkpoint| {
            let served = ServedState::of(of(&network), &mut Cursor::new(bytes(&rig, checkpoint))).unwrap();
            served.list.offer(&network)
        };
        taken.iter().map(offer).collect()
    };
    let of_the_first = offers(0);
    assert_eq!(of_the_first.iter().map(|offer| offer.height.0).collect::<Vec<_>>(), [3, 6]);
    assert!((1..4).all(|node| offers(node) == of_the_first));
    for checkpoint in taken(&rig, 0).0 {
        let (written, fetched) = fetched(&rig, &checkpoint);
        assert_eq!((&fetched.common, &fetched.evidence), (&checkpoint.common, &checkpoint.evidence));
        assert!(fetched.check((&rig.genesis, Support::OURS), &Plain).is_ok());
        for at in 0..written.len() {
            let mut bad = written.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(FetchedState::read(&network, &bad[..]).is_err(), "byte {at}");
        }
        for length in (0..written.len()).step_by(97).chain([written.len() - 1]) {
            assert!(FetchedState::read(&network, &written[..length]).is_err(), "the first {length} bytes");
        }
    }
}

#[test]
fn a_state_of_many_chunks_is_served_chunk_by_chunk() {
    let rig = rig();
    let network = rig.network();
    for (extra, chunks) in [(0, 1), (STATE_CHUNK_BYTES / 32, 2), (STATE_CHUNK_BYTES / 16 + 9, 3)] {
        let mut checkpoint = taken(&rig, 0).0.pop().unwrap();
        checkpoint.common.roots.extend(std::iter::repeat_n(Digest([3; 32]), extra));
        let (_, fetched) = fetched(&rig, &checkpoint);
        assert_eq!(fetched.common, checkpoint.common);
        let file = bytes(&rig, &checkpoint);
        let served = ServedState::of(of(&network), &mut Cursor::new(&file)).unwrap();
        assert_eq!(served.list.digests.len(), chunks);
        assert!(served.chunk(&mut Cursor::new(&file), chunks as u32).is_err(), "there is none");
        if chunks == 1 {
            // It has the record of the height, without which nothing is offered.
            continue;
        }
        let mut bad = file.clone();
        bad[200 + chunk_position(chunks as u32 - 1) as usize] ^= 1;
        let served = ServedState::of(of(&network), &mut Cursor::new(&bad)).unwrap();
        let whole = |number: u32| served.chunk(&mut Cursor::new(&bad), number).is_ok();
        assert_eq!((0..chunks as u32).filter(|number| !whole(*number)).count(), 1, "it is not given away");
    }
}

/// Adopts a state into the journal of a validator that stands at height 3, and starts from there.
#[test]
fn a_journal_goes_on_from_a_fetched_state_and_keeps_what_is_of_use() {
    let rig = rig();
    let (taken, _) = taken(&rig, 0);
    let (_, fetched) = fetched(&rig, &taken[1]);
    let directory = tempfile::tempdir().unwrap();
    let (log, mut empty) = Log::open(directory.path(), options()).unwrap();
    let start = Start::genesis(&rig.genesis, Support::OURS, schedule());
    let (mut recovered, ..) = recovery(&rig).run::<RecoveryError>(start, &mut empty, |_, _| Ok(())).unwrap();
    // What it knew before: all that the others had sealed, and a block above the state.
    let cut = Block::decode(&fetched.common.record.block).unwrap().cut()[1];
    let sealed = |previous: Head, nonce: u64, as_of: u64| {
        let batch = rig.seal_as_of(1, previous, 5, nonce, Height(as_of));
        (crate::verify::Verified::committed(batch).unwrap(), Position::from_raw(0))
    };
    let (ordered, open) = (sealed(Head::NONE, 61, 0), sealed(cut, 62, 0));
    recovered.unordered = vec![ordered, open.clone()];
    let block = crate::replica::tests::rig::Rig::block(&rig, 0, &rig.last_block(0));
    assert!(block.height() > fetched.height());
    recovered.blocks = vec![(block.clone(), Position::from_raw(0))];
    recovered.boots = Boots { begun: 5, done: 4, lost: true, counterpart_lost: true };
    let boots = recovered.boots;
    let before = log.append(KIND_BOOT, &[&Boot::nothing_new(boots).encode()]).unwrap();
    log.wait_durable(before).unwrap();
    let checkpoint = fetched.adopt(&recovered, |kind, parts| log.append(kind, parts)).unwrap();
    log.wait_durable(log.append(KIND_BOOT, &[&Boot::LEARNT.encode()]).unwrap()).unwrap();
    drop(log);

    let again = || Log::open(directory.path(), options()).unwrap();
    let (log, mut replay) = again();
    let (position, height) = (checkpoint.replay_from, checkpoint.height());
    log.release(position);
    assert!(
        log.released() > Position::from_raw(0) && log.released() <= position,
        "it shows that it was pruned"
    );
    let restored = checkpoint.clone().restore((&rig.genesis, Support::OURS), &Plain, schedule()).unwrap();
    assert_eq!(restored.positions.base, height, "nothing below it is here");
    replay.seek(position).unwrap();
    let (from_there, ledger, _) =
        recovery(&rig).run::<RecoveryError>(restored.start, &mut replay, |_, _| Ok(())).unwrap();
    assert_eq!(from_there.head.height, height);
    assert_eq!(*ledger.state_root().digest(), checkpoint.common.record.state_root);
    assert_eq!(
        from_there.boots,
        Boots { lost: false, counterpart_lost: false, ..boots },
        "and what came later"
    );
    assert_eq!(
        from_there.blocks.iter().map(|(block, _)| *block.digest()).collect::<Vec<_>>(),
        [*block.digest()]
    );
    let batches: Vec<Digest> = from_there.unordered.iter().map(|(batch, _)| *batch.digest()).collect();
    assert_eq!(batches, [*open.0.digest()], "what the state has ordered is of no use");
    let (index, network) = (BlockIndex::restored(restored.positions), rig.network());
    let reader = JournalReader { records: &log, index: &index, network: &network };
    assert_eq!(reader.block(height).unwrap().0.state_root, checkpoint.common.record.state_root);
    assert!(matches!(reader.block(Height(height.0 - 1)), Err(ReadError::BelowRetention { .. })));
    let record = reader.block(height).unwrap().0;
    assert!(
        matches!(reader.batches(&record), Err(ReadError::BelowRetention { .. })),
        "its batches are not here"
    );
    assert_eq!(reader.last_certificate(height).unwrap(), Vec::<u8>::new());
    assert_eq!(from_there.finality.unwrap().certificate(), checkpoint.evidence.last);
    drop((log, replay));

    // Without the checkpoint it is as if the state had never come.
    let (_log, mut replay) = again();
    let start = Start::genesis(&rig.genesis, Support::OURS, schedule());
    let (before, ..) = recovery(&rig).run::<RecoveryError>(start, &mut replay, |_, _| Ok(())).unwrap();
    assert_eq!(before.head.height, Height(0));
}

/// What it would skip may be nowhere else.
#[test]
fn one_that_is_to_keep_everything_fetches_no_state_once_it_has_something() {
    for (has_something, fetches) in [(false, true), (true, false)] {
        let mut rig = left_behind(3);
        let replica = &mut rig.nodes[3].replica;
        replica.settings.skips_blocks = !has_something;
        rig.advance(13_000);
        assert_eq!(!asked(&rig, 0).is_empty(), fetches);
        let told = |of: &Observation| matches!(of, Observation::BelowRetention { .. });
        assert!(rig.nodes[3].world.observed.iter().any(told), "it is said in any case");
    }
    let rig = Rig::new(4);
    assert!(rig.settings(0).skips_blocks, "there is nothing to skip yet");
}
