//! Audits of journals that were pruned, which begin at a checkpoint.

use std::path::PathBuf;

use super::*;
use crate::audit::{Archive, BaseChain, BaseCheckpoint};
use crate::store::{Position, Record};

/// Blocks before and behind the checkpoint of height 2, with money between the chains in flight at it; and that
/// checkpoint. Behind it stands a batch that names height 1.
fn scene() -> (Scene, BaseCheckpoint) {
    let mut scene = Scene::new();
    let first = scene.batch(&[scene.transfer(1, 10, 0), scene.transfer(2, 20, 0)]);
    scene.commit(&[first], |_| {});
    let second = scene.batch(&[scene.crossing(3, 4, 0), scene.crossing(4, ACCOUNTS + 5, 0)]);
    scene.commit(&[second], |_| {});
    let base = base(&scene);
    let third = scene.batch_as_of(&[scene.transfer(1, 5, 1)], 1);
    scene.commit(&[third], |_| {});
    let fourth = scene.batch_as_of(&[scene.transfer(2, 5, 1)], 2);
    scene.commit(&[fourth], |_| {});
    (scene, base)
}

pub(super) fn base(scene: &Scene) -> BaseCheckpoint {
    let record = scene.entries.iter().rev().find_map(|entry| match entry {
        Entry::Committed(record) => Some((**record).clone()),
        _ => None,
    });
    let (states, record) = (scene.ledger.states(), record.unwrap());
    let chain = |((entry, table), outbox): ((&CommittedChain, &crate::execute::Table), &Vec<_>)| {
        let state = states.get(entry.entry.chain).unwrap();
        BaseChain {
            growth: state.growth_until(record.height),
            accounts: (0..state.accounts()).map(|id| state.account(AccountId(id)).unwrap()).collect(),
            rows: table.slots().iter().map(|slot| slot.as_ref().map(|row| row.leaf().to_vec())).collect(),
            outbox: outbox.clone(),
        }
    };
    let chains = record.chains.iter().zip(scene.ledger.tables()).zip(&scene.outboxes).map(chain).collect();
    let (file, replay_from) = (PathBuf::from("checkpoint"), Position::from_raw(0));
    let (roots, handovers) = (scene.roots.clone(), Vec::new());
    BaseCheckpoint { file, replay_from, roots, handovers, chains, record }
}

/// Writes the journal as one that was pruned before its entry `from`.
pub(super) fn write_pruned(scene: &Scene, base: &BaseCheckpoint, from: usize) -> BaseCheckpoint {
    let [journal, votes] = ["journal", "consensus"].map(|log| scene.directory.path().join(log));
    let owner = |kind| Owner {
        network: scene.genesis.network().0,
        validator: scene.genesis.validators()[0].public_key,
        log: kind,
    };
    let options = |kind| Options {
        backend: Backend::Portable,
        segment_bytes: 8 << 10,
        reserve_segments: 0,
        ..Options::new(owner(kind))
    };
    drop(Log::open(&votes, options(LogKind::Votes)).unwrap());
    let (log, replay) = Log::open(&journal, options(LogKind::Journal)).unwrap();
    drop(replay);
    let mut positions = Vec::new();
    for number in 0..scene.entries.len() as u16 {
        positions.push(log.append(7, &[&number.to_le_bytes()]).unwrap());
        log.wait_durable(positions[positions.len() - 1]).unwrap();
    }
    log.release(positions[from]);
    drop(log);
    assert!(!journal.join("0000000000000000.segment").exists(), "it is pruned");
    BaseCheckpoint { replay_from: positions[from], ..base.clone() }
}

/// Where the entry of a height's record is.
pub(super) fn record_of(scene: &Scene, height: u64) -> usize {
    let is_it = |entry: &Entry| matches!(entry, Entry::Committed(record) if record.height.0 == height);
    scene.entries.iter().position(is_it).unwrap()
}

pub(super) fn audited(scene: &Scene, base: impl Into<Option<BaseCheckpoint>>) -> AuditReport {
    let format = Box::new(Numbered(scene.entries.clone(), base.into()));
    let mut auditor =
        Auditor::new((Arc::clone(&scene.genesis), Support::OURS), [3; 32], format, Box::new(Trusting));
    auditor.audit(scene.directory.path(), &|_, _| {}, &mut |_, _, _| {}).unwrap()
}

#[test]
fn what_stands_behind_a_checkpoint_is_audited_from_it() {
    let (scene, base) = scene();
    let base = write_pruned(&scene, &base, record_of(&scene, 2));
    let report = audited(&scene, base);
    assert!(report.ok, "{:?}", report.finding);
    assert_eq!((report.audited_above, report.height), (Height(2), Height(4)));
    assert_eq!((report.kept_from, report.has_not_begun()), (Some(Height(2)), false));
    assert_eq!(report.state_root, scene.roots[3]);
    assert_eq!((report.transactions, report.applied, report.batches), (2, 2, 2), "of what was audited");
    let supply = &report.supply[0];
    assert_eq!(supply.found(), supply.expected(), "all the money of the genesis is there");
}

#[test]
fn a_whole_journal_and_one_that_was_pruned_are_compared_in_either_order() {
    let ((cut, base), (whole, _)) = (scene(), scene());
    let base = write_pruned(&cut, &base, record_of(&cut, 2));
    whole.write();
    let mut forked = Scene::new();
    let other = forked.batch(&[forked.transfer(1, 11, 0)]);
    forked.commit(&[other], |_| {});
    forked.commit(&[], |_| {});
    forked.commit(&[], |_| {});
    forked.write();
    // The three journals have numbers in one list.
    let audit = |scenes: [&Scene; 2]| {
        let mut found = Vec::new();
        let mut auditor = scenes[0].auditor();
        for scene in scenes {
            auditor.format = Box::new(Numbered(scene.entries.clone(), Some(base.clone())));
            let report = auditor.audit(scene.directory.path(), &|_, _| {}, &mut |_, _, _| {}).unwrap();
            found.push(report.finding.map(|finding| finding.kind));
        }
        found
    };
    assert_eq!(audit([&whole, &cut]), [None, None]);
    assert_eq!(audit([&cut, &whole]), [None, None]);
    assert_eq!(audit([&cut, &forked])[1], Some(FindingKind::Fork));
    assert_eq!(audit([&forked, &cut])[1], Some(FindingKind::Fork));
}

#[test]
fn a_checkpoint_that_is_not_what_the_network_had_is_found() {
    type Spoil = fn(&mut BaseCheckpoint);
    let spoils: [(&str, Spoil); 7] = [
        ("the state of the checkpoint", |base| base.chains[0].accounts[1].balance += 1),
        ("the state of the checkpoint", |base| base.chains[0].outbox.clear()),
        ("the state of the checkpoint", |base| base.record.state_root.0[0] ^= 1),
        ("the chains of the checkpoint", |base| drop(base.chains.pop())),
        ("the roots of the checkpoint", |base| base.roots.truncate(1)),
        ("where the journal is read from", |base| base.replay_from = Position::from_raw(u64::MAX / 2)),
        ("the block at height 2", |base| base.record.certificate[9] ^= 1),
    ];
    let (scene, base) = scene();
    let good = write_pruned(&scene, &base, record_of(&scene, 2));
    for (what, spoil) in spoils {
        let mut spoilt = good.clone();
        spoil(&mut spoilt);
        let finding = audited(&scene, spoilt).finding.expect(what);
        assert!(finding.what.contains(what), "{what}: {finding}");
        assert_eq!(finding.file, PathBuf::from("checkpoint"));
    }
    // Another state with all its roots: it is the network's only if a final block carries that.
    let mut early = good.clone();
    early.roots[0].0[0] ^= 1;
    assert!(audited(&scene, early).ok, "that root was carried before");
    let mut alone = Scene::new();
    (0..4).for_each(|_| alone.commit(&[], |_| {}));
    let base = self::base(&alone);
    alone.entries.push(Entry::Boot);
    let base = write_pruned(&alone, &base, record_of(&alone, 4));
    let finding = audited(&alone, base).finding.unwrap();
    assert!(finding.what.contains("with whose checkpoint the audit began"), "{finding}");
    // Nor is it enough that blocks carry it which nobody has finalized.
    let mut invented = Scene::new();
    (0..4).for_each(|_| invented.commit(&[], |_| {}));
    let base = self::base(&invented);
    (0..3).for_each(|_| invented.commit(&[], |record| record.certificate.clear()));
    let base = write_pruned(&invented, &base, record_of(&invented, 4));
    let finding = audited(&invented, base).finding.unwrap();
    assert!(finding.what.contains("with whose checkpoint the audit began"), "{finding}");
}

#[test]
fn a_gap_behind_a_checkpoint_is_found() {
    let (mut scene, base) = scene();
    scene.entries.remove(record_of(&scene, 3));
    let base = write_pruned(&scene, &base, record_of(&scene, 2));
    let finding = audited(&scene, base).finding.unwrap();
    assert_eq!((finding.expected.as_str(), finding.found.as_str()), ("height 3", "4"));
}

#[test]
fn without_a_checkpoint_it_is_said_from_which_height_on_the_journal_is_kept() {
    let (scene, base) = scene();
    write_pruned(&scene, &base, record_of(&scene, 3) - 1);
    let report = audited(&scene, None);
    assert_eq!(report.finding.as_ref().unwrap().what, "the checkpoint");
    assert_eq!((report.kept_from, report.has_not_begun()), (Some(Height(3)), true));
    assert_eq!((report.audited_above, report.height), (Height(2), Height(2)), "no block was audited");
}

/// Nothing of such a journal may be gone yet, and it has not begun at the genesis.
#[test]
fn a_journal_that_goes_on_from_a_fetched_state_is_audited_from_there() {
    let (mut scene, base) = scene();
    scene.entries.drain(..=record_of(&scene, 2));
    scene.entries.splice(0..0, [Entry::Boot, Entry::Fetched]);
    scene.write();
    let journal = scene.directory.path().join("journal");
    let first = Log::inspect(&journal, crate::store::Lock::None).unwrap().1.next().unwrap().unwrap();
    let base = BaseCheckpoint { replay_from: first.position, ..base };
    let report = audited(&scene, base);
    assert!(report.ok, "{:?}", report.finding);
    assert_eq!((report.audited_above, report.height), (Height(2), Height(4)));
    let report = audited(&scene, None);
    assert_eq!(report.finding.as_ref().unwrap().what, "the checkpoint");
    assert_eq!((report.kept_from, report.has_not_begun()), (Some(Height(3)), true));
}

/// The entries of a scene from its first one on, two at a time.
struct Shelf {
    next: u16,
    end: u16,
}

impl Archive for Shelf {
    fn read(&mut self) -> Result<Vec<Record>, Finding> {
        let numbers = self.next..self.end.min(self.next + 2);
        self.next = numbers.end;
        let record = |number: u16| Record {
            position: Position::from_raw(number.into()),
            kind: 7,
            bytes: number.to_le_bytes().into(),
        };
        Ok(numbers.map(record).collect())
    }

    fn locate(&self, position: Position) -> (PathBuf, u64) {
        (PathBuf::from("file of the archive"), position.raw())
    }

    fn end(&self) -> Position {
        Position::from_raw(self.end.into())
    }
}

/// An audit of an archive with so many entries of a scene, and of the scene's directory behind it.
fn audited_behind(
    scene: &Scene,
    entries: usize,
    base: impl Into<Option<BaseCheckpoint>>,
    directory: bool,
) -> AuditReport {
    let format = Box::new(Numbered(scene.entries.clone(), base.into()));
    let mut auditor =
        Auditor::new((Arc::clone(&scene.genesis), Support::OURS), [3; 32], format, Box::new(Trusting));
    let mut shelf = Shelf { next: 0, end: entries as u16 };
    let directory = directory.then(|| scene.directory.path());
    let archive = (&mut shelf as &mut dyn Archive, Path::new("archive"));
    auditor.audit_archive(archive, directory, &|_, _| {}, &mut |_, _, _| {}).unwrap()
}

#[test]
fn an_audit_goes_from_the_genesis_through_an_archive_and_on_with_the_journal() {
    let (scene, base) = scene();
    let behind = |height: u64| record_of(&scene, height) + 1;
    let base = write_pruned(&scene, &base, record_of(&scene, 2));
    for archived in 2..=4 {
        let report = audited_behind(&scene, behind(archived), base.clone(), true);
        assert!(report.ok, "{archived}: {:?}", report.finding);
        assert_eq!((report.archived_to, report.audited_above), (Some(Height(archived)), Height(0)));
        assert_eq!((report.height, report.state_root), (Height(4), scene.roots[3]));
        assert_eq!((report.transactions, report.crossed), (6, 1), "from the genesis on");
    }
    let alone = audited_behind(&scene, behind(3), None, false);
    assert!(alone.ok && !alone.has_not_begun(), "{:?}", alone.finding);
    assert_eq!((alone.height, alone.state_root), (Height(3), scene.roots[2]));
    // Height 2 is in the journal, but not its batches.
    let gap = audited_behind(&scene, behind(1), base.clone(), true);
    let finding = gap.finding.unwrap();
    assert!(finding.expected.contains("all from height 2 on"), "{finding}");
    assert_eq!((finding.found.as_str(), gap.height), ("all from height 3 on", Height(1)));
}

#[test]
fn what_is_wrong_in_an_archive_is_found_there_and_a_fork_behind_it() {
    let (mut scene, base) = scene();
    let at = record_of(&scene, 2);
    let Entry::Committed(record) = &mut scene.entries[at] else { panic!("a block") };
    record.state_root.0[0] ^= 1;
    let report = audited_behind(&scene, at + 1, base, false);
    let finding = report.finding.unwrap();
    assert_eq!((finding.kind, finding.offset), (FindingKind::Root, at as u64));
    assert_eq!(finding.file, PathBuf::from("file of the archive"));
    assert_eq!((report.archived_to, report.height), (Some(Height(1)), Height(1)));
    // The journal behind has other blocks, also where they are not read any more.
    let mut scene = Scene::new().told();
    let archived = scene.entries.len();
    let mut forked = Scene::new();
    let other = forked.batch(&[forked.transfer(1, 11, 0)]);
    forked.commit(&[other], |_| {});
    let first = scene.entries.len() as u16;
    scene.entries.extend(forked.entries.clone());
    for (log, kind) in [("journal", LogKind::Journal), ("consensus", LogKind::Votes)] {
        let validator = scene.genesis.validators()[0].public_key;
        let owner = Owner { network: scene.genesis.network().0, validator, log: kind };
        let options = Options { backend: Backend::Portable, segment_bytes: 8 << 20, ..Options::new(owner) };
        let (log, _) = Log::open(&scene.directory.path().join(log), options).unwrap();
        let numbers = if kind == LogKind::Journal { first..scene.entries.len() as u16 } else { 0..0 };
        for number in numbers {
            log.append(7, &[&number.to_le_bytes()]).unwrap();
        }
    }
    let finding = audited_behind(&scene, archived, None, true).finding.unwrap();
    assert_eq!(finding.kind, FindingKind::Fork, "{finding}");
}
