//! Checkpoints of real journals: recovery from each leads to where the whole journal leads, and no changed byte is
//! used.

use std::io::{Cursor, ErrorKind};

use super::rig::{ACCOUNTS, Plain, schedule};
use super::*;
use crate::roots::{CommittedView, Ledger};
use crate::store::{Position, Replay};
use crate::types::Support;

/// Blocks with payments within and between the chains, and what is sealed and not ordered.
pub(super) fn rig() -> Rig {
    let mut rig = Rig::new(4);
    let mut parent = rig.network();
    for at in 1..=8_u64 {
        for node in 0..3 {
            let sender = (at * 3 + node as u64) % ACCOUNTS;
            let offered = match node {
                0 => rig.offer(node, sender, at),
                _ => rig.offer_crossing(node, sender, at, at % ACCOUNTS),
            };
            offered.unwrap();
        }
        rig.advance(60);
        parent = rig.order((at % 4) as usize, at, parent);
        rig.advance(40);
    }
    // What is sealed and not ordered.
    rig.offer(1, 5, 60).unwrap();
    rig.advance(60);
    rig
}

pub(super) fn replay(rig: &Rig, node: usize) -> Replay {
    let directory = rig.nodes[node].directory();
    Log::inspect(directory, crate::store::Lock::None).unwrap().1
}

pub(super) fn recovery(rig: &Rig) -> Recovery<'_> {
    Recovery { genesis: &rig.genesis, support: Support::OURS, certificates: &Plain, seed: [3; 32] }
}

/// The checkpoint of each height at which one was due, and what the whole journal amounts to.
pub(super) fn taken(rig: &Rig, node: usize) -> (Vec<Checkpoint>, (Recovered, Ledger)) {
    let (log, index) = rig.nodes[node].world.journal();
    let network = rig.network();
    let reader = JournalReader { records: log, index, network: &network };
    let start = Start::genesis(&rig.genesis, Support::OURS, schedule());
    let mut view = CommittedView::genesis(&rig.genesis, start.ledger().state_root().clone());
    let states = rig.nodes[node].committer.ledger().states();
    let mut keeper = Keeper::genesis(&rig.genesis, Support::OURS);
    let due = &rig.nodes[node].world.due;
    let (mut taken, boots) = (Vec::new(), Boots { begun: 4, done: 3, lost: true, counterpart_lost: false });
    let (recovered, ledger, _) = recovery(rig)
        .run::<RecoveryError>(start, &mut replay(rig, node), |progress, executed| {
            keeper.commit(&executed.deltas, &executed.state_root);
            view.commit(&executed.deltas, executed.state_root.clone());
            for (_, due) in due.iter().filter(|(height, _)| *height == progress.height) {
                let state = (&view, &executed.deltas[..], &states);
                taken.push(keeper.capture(state, &reader, (*due, boots)).unwrap());
            }
            Ok(())
        })
        .unwrap();
    (taken, (recovered, ledger))
}

pub(super) fn of(network: &Digest) -> ValidatorId<'_> {
    ValidatorId { network, validator: &[7; 32] }
}

pub(super) fn bytes(rig: &Rig, checkpoint: &Checkpoint) -> Vec<u8> {
    checkpoint.write(of(&rig.network()), Vec::new()).unwrap()
}

#[test]
fn recovery_from_each_checkpoint_leads_to_where_the_whole_journal_leads() {
    let rig = rig();
    let (taken, (whole, ledger)) = taken(&rig, 0);
    let heights: Vec<u64> = taken.iter().map(|checkpoint| checkpoint.height().0).collect();
    assert_eq!(heights, [3, 6], "as the schedule says");
    assert!(!whole.unordered.is_empty());
    for checkpoint in taken {
        let read = Checkpoint::read(of(&rig.network()), Cursor::new(bytes(&rig, &checkpoint))).unwrap();
        assert_eq!(read, checkpoint, "bytes say everything");
        assert!(checkpoint.common.chains.iter().any(|chain| !chain.outbox.is_empty()), "money is in flight");
        let restored = checkpoint.clone().restore((&rig.genesis, Support::OURS), &Plain, schedule()).unwrap();
        let Restored { start, replay_from, positions, .. } = restored;
        assert_eq!(BlockIndex::restored(positions).height(), checkpoint.height());
        let mut replay = replay(&rig, 0);
        replay.seek(replay_from).unwrap();
        let mut executed_again = 0;
        let (recovered, again, roots) = recovery(&rig)
            .run::<RecoveryError>(start, &mut replay, |_, _| {
                executed_again += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(executed_again, 8 - checkpoint.height().0, "only what is above it");
        assert_eq!(again.state_root(), ledger.state_root());
        assert_eq!((&recovered.head, &recovered.uncarried), (&whole.head, &whole.uncarried));
        assert_eq!((&recovered.finality, &recovered.blocks), (&whole.finality, &whole.blocks));
        assert_eq!((&recovered.quotas, recovered.schedule), (&whole.quotas, whole.schedule));
        assert_eq!(recovered.last, whole.last);
        let ids = |of: &Recovered| -> Vec<_> {
            of.unordered.iter().map(|(batch, position)| (*batch.digest(), *position)).collect()
        };
        assert_eq!(ids(&recovered), ids(&whole));
        assert_eq!(recovered.boots, checkpoint.boots, "no start stands behind it");
        assert!((1..=8).all(|height| roots.get(Height(height)).is_some()));
    }
}

#[test]
fn no_changed_byte_of_a_checkpoint_is_read() {
    let rig = rig();
    let (taken, _) = taken(&rig, 0);
    let good = bytes(&rig, &taken[0]);
    let read = |bytes: &[u8]| Checkpoint::read(of(&rig.network()), bytes);
    assert!(read(&good).is_ok());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(read(&bad).is_err(), "byte {at}");
    }
    for length in (0..good.len()).step_by(37).chain([good.len() - 1]) {
        assert!(read(&good[..length]).is_err(), "the first {length} bytes");
    }
    assert_eq!(read(&[&good[..], &[0]].concat()).unwrap_err().kind(), ErrorKind::InvalidData);
    let elsewhere = Checkpoint::read(of(&Digest([9; 32])), &good[..]).unwrap_err();
    assert!(elsewhere.to_string().contains("another network"), "{elsewhere}");
    let network = rig.network();
    let another = ValidatorId { validator: &[8; 32], ..of(&network) };
    let another = Checkpoint::read(another, &good[..]).unwrap_err();
    assert!(another.to_string().contains("another validator"), "{another}");
    // The last byte of the name of its format.
    for (digit, by) in [(b'9', "a newer release, in format 9"), (b'1', "an older release, in format 1")] {
        let mut other = good.clone();
        other[20] = digit;
        let error = read(&other).unwrap_err().to_string();
        assert!(error.contains(&format!("it was written by {by}; this one reads format 5")), "{error}");
    }
    // The beginning says what it is of, and the end that it is whole.
    let mark = CheckpointMark::read(of(&network), &good[..]).unwrap();
    assert_eq!((mark.height, mark.replay_from), (taken[0].height(), taken[0].replay_from));
    assert!(Checkpoint::check_digests(&good[..]).is_ok());
    assert!(
        Checkpoint::check_digests(&good[..good.len() - 1]).is_err()
            && Checkpoint::check_digests(&[&good[..], &[0]].concat()[..]).is_err()
    );
}

/// Whatever was made on purpose, with digests that fit: it is found out by roots, or by the journal.
#[test]
fn a_checkpoint_that_was_forged_is_not_used() {
    let rig = rig();
    let (taken, _) = taken(&rig, 0);
    let good = &taken[1];
    let with = |change: &dyn Fn(&mut Checkpoint)| {
        let mut forged = good.clone();
        change(&mut forged);
        let forged = Checkpoint::read(of(&rig.network()), &bytes(&rig, &forged)[..]).unwrap();
        let Restored { start, replay_from, .. } =
            forged.restore((&rig.genesis, Support::OURS), &Plain, schedule())?;
        let mut replay = replay(&rig, 0);
        replay.seek(replay_from).map_err(RecoveryError::from)?;
        recovery(&rig).run::<CheckpointError>(start, &mut replay, |_, _| Ok(())).map(|_| ())
    };
    assert!(with(&|_| {}).is_ok());
    let richer = |of: &mut Checkpoint| of.common.chains[0].accounts.get_mut(2).unwrap().balance += 1;
    assert!(matches!(with(&richer), Err(CheckpointError::Ledger(_))));
    let unsent = |of: &mut Checkpoint| of.common.chains.iter_mut().for_each(|chain| chain.outbox.clear());
    assert!(matches!(with(&unsent), Err(CheckpointError::Ledger(_))));
    let grown = |of: &mut Checkpoint| of.common.chains[0].growth.beginning -= 1;
    assert!(matches!(with(&grown), Err(CheckpointError::Invalid(_))));
    let twice = |of: &mut Checkpoint| {
        let row = of.common.chains[0].slots[0].clone();
        of.common.chains[0].slots.push(row);
    };
    assert!(matches!(with(&twice), Err(CheckpointError::Invalid("a key has two rows in a table"))));
    let fewer = |of: &mut Checkpoint| of.common.chains.truncate(1);
    assert!(matches!(with(&fewer), Err(CheckpointError::Invalid(_))));
    let early = |of: &mut Checkpoint| of.positions.records.truncate(of.positions.records.len() - 1);
    assert!(matches!(with(&early), Err(CheckpointError::Invalid(_))));
    let elsewhere = |of: &mut Checkpoint| {
        let last = of.positions.records.pop_back().unwrap();
        of.positions.records.push_back(crate::store::Position::from_raw(last.raw() + 1));
    };
    assert!(matches!(with(&elsewhere), Err(CheckpointError::Journal(RecoveryError::OtherJournal { .. }))));
    let no_certificate = |of: &mut Checkpoint| of.evidence.last.truncate(3);
    assert!(matches!(with(&no_certificate), Err(CheckpointError::Certificate)));
    // What it has ordered stands behind where it says that the journal is to be read from.
    let end = replay(&rig, 0).end();
    let late = |of: &mut Checkpoint| of.replay_from = rig.nodes[0].world.written.last().unwrap().1;
    assert!(matches!(with(&late), Err(CheckpointError::Journal(_))));
    let behind = |of: &mut Checkpoint| of.replay_from = end;
    assert!(matches!(with(&behind), Err(CheckpointError::Journal(RecoveryError::Store(_)))));
}

/// A batch that no block orders would keep the journal from ever being cut: it is written again.
#[test]
fn what_is_never_ordered_is_written_again_and_does_not_hold_the_journal_back() {
    let mut rig = Rig::new(4);
    let never = rig.seal(3, Head::NONE, 7, 1);
    rig.deliver(3, 0, PeerMessage::Batch(never.bytes().clone()));
    rig.settle();
    let copies = |rig: &Rig| -> Vec<Position> {
        let records = rig.nodes[0].world.records().into_iter().zip(&rig.nodes[0].world.written);
        let is_it = |(kind, bytes): &(u8, Vec<u8>)| *kind == KIND_BATCH && bytes[..] == never.bytes()[..];
        records.filter(|(record, _)| is_it(record)).map(|(_, (_, position))| *position).collect()
    };
    let first = copies(&rig)[0];
    let mut parent = rig.network();
    for at in 1..=9_u64 {
        rig.offer(0, at, at).unwrap();
        rig.advance(60);
        parent = rig.order(0, at, parent);
        rig.advance(40);
    }
    let due = &rig.nodes[0].world.due;
    assert_eq!(due.iter().map(|(height, _)| height.0).collect::<Vec<_>>(), [3, 6, 9]);
    let copies = copies(&rig);
    assert_eq!(copies.len(), 2, "once more, when the second checkpoint was due");
    let due: Vec<_> = due.iter().map(|(_, due)| due.replay_from).collect();
    assert!(due[0] <= first, "it has to be read");
    assert!(first < due[1] && due[1] <= copies[1] && due[2] <= copies[1], "only where it stands now");
    let (recovered, ..) = rig.recover(replay(&rig, 0)).unwrap();
    let unordered: Vec<_> = recovered.unordered.iter().map(|(batch, at)| (*batch.digest(), *at)).collect();
    assert_eq!(unordered, [(*never.digest(), copies[1])], "once, where it stands last");
}
