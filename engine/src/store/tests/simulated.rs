//! The simulated log as a simulator uses it.

use std::io;
use std::sync::Mutex;

use proptest::prelude::*;

use super::rig::Chance;
use super::*;

fn opened(disk: &SimulatedDisk) -> (SimulatedLog, Vec<Record>) {
    let (log, replay) = SimulatedLog::open(disk, &small()).unwrap();
    (log, replay.map(Result::unwrap).collect())
}

fn append(log: &SimulatedLog, number: u64) -> Position {
    log.append(number as u8, &[&content(number, length(number))]).unwrap()
}

fn numbers(records: &[Record]) -> Vec<u64> {
    let number = |record: &Record| {
        assert_eq!(record.bytes, content(record.kind.into(), length(record.kind.into())));
        record.kind.into()
    };
    records.iter().map(number).collect()
}

#[test]
fn time_passes_between_submission_and_durability() {
    let disk = SimulatedDisk::new();
    let (log, _) = opened(&disk);
    assert!(!log.submit(), "nothing was appended");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let first = append(&log, 1);
    let callback = Arc::clone(&heard);
    log.on_durable(first, Box::new(move |outcome| callback.lock().unwrap().push(outcome)));
    assert!(log.submit());
    let second = append(&log, 2);
    assert!(!log.durable().covers(first));
    assert_eq!(log.read(first), Err(StoreError::NotDurable { position: first.raw() }));
    assert!(heard.lock().unwrap().is_empty());
    let durable = log.complete();
    assert!(durable.covers(first) && !durable.covers(second));
    assert_eq!(*heard.lock().unwrap(), [Ok(durable)]);
    assert_eq!(Records::read(&log, first).unwrap().bytes, content(1, length(1)));
    // The second goes out; a completion with nothing in flight changes nothing.
    assert!(log.submit());
    assert!(log.complete().covers(second));
    assert_eq!(log.complete(), log.durable());
    assert_eq!((log.metrics().syncs, log.metrics().marks), (2, 0));
    // A rest writes one mark, and then there is nothing left to say.
    assert!(log.rest());
    log.complete();
    assert!(!log.rest());
    assert_eq!(log.metrics().marks, 1);
}

#[test]
fn an_append_without_room_turns_the_log_itself() {
    let disk = SimulatedDisk::new();
    let (log, _) = opened(&disk);
    let positions: Vec<Position> = (0..60).map(|number| append(&log, number)).collect();
    assert!(log.durable().covers(positions[40]));
    log.settle();
    assert!(!log.turn());
    assert!(log.durable().covers(positions[59]));
}

#[test]
fn a_power_cut_takes_what_was_not_synced_and_the_old_log_with_it() {
    for (fate, kept) in [(Fate::Kept, 2), (Fate::Lost, 1), (Fate::Torn(45), 1)] {
        let disk = SimulatedDisk::new();
        let (log, _) = opened(&disk);
        append(&log, 0);
        log.submit();
        log.complete();
        append(&log, 1);
        log.submit();
        append(&log, 2);
        disk.crash(|| fate);
        assert_eq!(disk.unsynced(), 0);
        let (next, records) = opened(&disk);
        assert_eq!(numbers(&records), (0..kept).collect::<Vec<_>>());
        // What the dead process still does reaches nothing.
        log.settle();
        assert!(matches!(log.failure(), Some(StoreError::Failed { .. })));
        append(&next, 3);
        next.settle();
        assert_eq!(opened(&disk).1.len() as u64, kept + 1);
    }
}

#[test]
fn a_killed_process_leaves_what_it_submitted() {
    let disk = SimulatedDisk::new();
    let (log, _) = opened(&disk);
    append(&log, 0);
    log.submit();
    append(&log, 1);
    drop(log);
    let (log, records) = opened(&disk);
    assert_eq!(numbers(&records), [0]);
    drop(log);
    // What was replayed was acted upon: it stays.
    disk.crash(|| Fate::Lost);
    assert_eq!(numbers(&opened(&disk).1), [0]);
}

#[test]
fn what_a_failed_sync_left_in_the_page_cache_is_durable_once_it_is_replayed() {
    let disk = SimulatedDisk::new();
    let (log, _) = opened(&disk);
    append(&log, 0);
    log.settle();
    let lost = append(&log, 1);
    log.submit();
    disk.set_faults(Faults { syncs: Some(io::ErrorKind::Other), ..Faults::default() });
    assert!(!log.complete().covers(lost));
    assert!(matches!(log.failure(), Some(StoreError::Failed { .. })));
    drop(log);
    // Still broken: nothing is handed out that is not durable.
    assert!(matches!(SimulatedLog::open(&disk, &small()), Err(StoreError::Failed { .. })));
    // The page cache shows the record, and a sync alone would succeed without writing anything.
    disk.set_faults(Faults::default());
    let (log, records) = opened(&disk);
    assert_eq!(numbers(&records), [0, 1]);
    drop(log);
    disk.crash(|| Fate::Lost);
    assert_eq!(numbers(&opened(&disk).1), [0, 1]);
}

#[test]
fn a_segment_is_reused_only_once_its_release_is_durable() {
    let fates = |two: [Fate; 2]| {
        let mut fates = two.into_iter();
        move || fates.next().unwrap_or(Fate::Lost)
    };
    // One of these lengths leaves room for two sectors in the last segment.
    for groups in 24..32 {
        let disk = SimulatedDisk::new();
        let (log, _) = opened(&disk);
        let group = |log: &SimulatedLog, length: usize| {
            let position = log.append(1, &[&vec![7; length]]).unwrap();
            log.submit();
            position
        };
        let positions: Vec<Position> = (0..groups)
            .map(|_| {
                let position = group(&log, 1);
                log.complete();
                position
            })
            .collect();
        // The word of the release arrives, but behind a group that does not.
        group(&log, 1);
        log.release(positions[17]);
        group(&log, 1);
        disk.crash(fates([Fate::Lost, Fate::Kept]));
        // The next life writes over that word, and needs a segment before it has said it again.
        let (log, _) = opened(&disk);
        group(&log, 8000);
        group(&log, 1);
        disk.crash(fates([Fate::Lost, Fate::Torn(512)]));
        let (_, records) = opened(&disk);
        assert!(records[0].position <= positions[17]);
        assert_eq!(records[records.len() - 1].position, positions[groups - 1]);
    }
}

#[test]
fn a_lying_disk_loses_what_it_acknowledged() {
    let disk = SimulatedDisk::new();
    disk.set_faults(Faults::lying());
    let (log, _) = opened(&disk);
    let position = append(&log, 0);
    log.settle();
    assert!(log.durable().covers(position));
    disk.crash(|| Fate::Lost);
    assert_eq!(opened(&disk).1, []);
}

#[test]
fn an_older_copy_is_another_disk() {
    let disk = SimulatedDisk::new();
    let (log, _) = opened(&disk);
    append(&log, 0);
    log.settle();
    let older = disk.copy();
    append(&log, 1);
    log.settle();
    assert_eq!(numbers(&opened(&older).1), [0]);
    assert_eq!(numbers(&opened(&disk).1), [0, 1]);
}

#[test]
fn full_and_broken_disks_stop_the_log() {
    for (faults, full) in [(Faults::full(), true), (Faults::broken(), false)] {
        let disk = SimulatedDisk::new();
        let (log, _) = opened(&disk);
        let position = append(&log, 0);
        log.settle();
        disk.set_faults(faults);
        append(&log, 1);
        log.settle();
        let failure = log.failure().unwrap();
        assert_eq!(matches!(failure, StoreError::NoSpace { .. }), full, "{failure}");
        assert!(log.append(1, &[b"more"]).is_err());
        assert_eq!(log.read(position).unwrap().bytes, content(0, length(0)));
        assert!(SimulatedLog::open(&disk, &small()).is_err());
    }
}

#[test]
fn another_owner_s_disk_is_refused() {
    let disk = SimulatedDisk::new();
    let (log, _) = opened(&disk);
    let other = Options { owner: Owner { network: [1; 32], ..OWNER }, ..small() };
    assert!(matches!(SimulatedLog::open(&disk, &other), Err(StoreError::ForeignOwner { .. })));
    append(&log, 0);
    log.settle();
    assert_eq!(log.failure(), None, "a refused opening leaves the open log alone");
}

#[test]
fn a_long_life_takes_little_memory() {
    let disk = SimulatedDisk::new();
    let options = Options { segment_bytes: 1 << 20, ..small() };
    let (log, replay) = SimulatedLog::open(&disk, &options).unwrap();
    drop(replay);
    for number in 0..4000 {
        let position = append(&log, number % 200);
        if number % 16 == 0 {
            log.settle();
            log.release(position);
        }
    }
    assert!(log.metrics().written_bytes > 10 << 20);
    assert!(log.metrics().recycled > 3);
    assert!(disk.memory_bytes() < 5 << 20, "{}", disk.memory_bytes());
}

/// What a simulator does to a log.
#[derive(Debug, Clone)]
enum Act {
    Append,
    Submit,
    Complete,
    Rest,
    /// Gives up so many 256ths of what is durable.
    Release(u8),
    /// Syncs fail, or lie no more.
    Faulty(bool),
    /// The process dies; with a seed the power fails too.
    Die(Option<u64>),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Append),
        4 => Just(Act::Submit),
        4 => Just(Act::Complete),
        1 => Just(Act::Rest),
        1 => any::<u8>().prop_map(Act::Release),
        1 => any::<bool>().prop_map(Act::Faulty),
        1 => any::<Option<u64>>().prop_map(Act::Die),
    ]
}

/// What the log's user knows.
#[derive(Default)]
struct Promises {
    appended: Vec<(Position, u64)>,
    /// So many of them are durable: acknowledged, or replayed.
    durable: usize,
    released: usize,
}

impl Promises {
    /// A replay is a run of what was appended that leaves out only what was released and what was never promised.
    fn check(&mut self, records: &[Record]) {
        let first = match records.first() {
            Some(record) => self.appended.iter().position(|(position, _)| *position == record.position),
            None => Some(self.released),
        };
        let first = first.expect("the first record was appended");
        assert!(first <= self.released, "record {first} is the first, {} were released", self.released);
        for (record, (position, number)) in records.iter().zip(&self.appended[first..]) {
            assert_eq!(record.position, *position);
            assert_eq!(record.bytes, content(*number, length(*number)));
        }
        let end = first + records.len();
        assert!(end >= self.durable, "{} records were durable, {end} came back", self.durable);
        assert!(end <= self.appended.len(), "more records than were appended");
        self.appended.truncate(end);
        self.durable = end;
    }
}

fn simulate(acts: Vec<Act>) {
    let disk = SimulatedDisk::new();
    let mut promises = Promises::default();
    let (mut log, _) = opened(&disk);
    for (number, act) in acts.into_iter().chain([Act::Die(Some(1))]).enumerate() {
        let number = number as u64;
        match act {
            Act::Append => {
                let bytes = content(number, length(number));
                // After a failure it is refused.
                promises.appended.extend(log.append(1, &[&bytes]).ok().map(|position| (position, number)));
            }
            Act::Submit => drop(log.submit()),
            Act::Complete => drop(log.complete()),
            Act::Rest => drop(log.rest()),
            Act::Release(part) => {
                let index = promises.durable * usize::from(part) / 256;
                if let Some((position, _)) = promises.appended.get(index) {
                    log.release(*position);
                    promises.released = promises.released.max(index);
                }
            }
            Act::Faulty(is_faulty) => {
                let syncs = is_faulty.then_some(io::ErrorKind::Other);
                disk.set_faults(Faults { syncs, ..Faults::default() });
            }
            Act::Die(power) => {
                if let Some(seed) = power {
                    let mut chance = Chance::new(seed);
                    disk.crash(|| match chance.below(3) {
                        0 => Fate::Kept,
                        1 => Fate::Lost,
                        _ => Fate::Torn(512 * chance.below(8) as usize),
                    });
                }
                let reopened = SimulatedLog::open(&disk, &small());
                let (next, replay) = reopened.unwrap_or_else(|_| {
                    disk.set_faults(Faults::default());
                    SimulatedLog::open(&disk, &small()).expect("a disk without faults can be opened")
                });
                log = next;
                promises.check(&replay.map(Result::unwrap).collect::<Vec<_>>());
            }
        }
        let durable = log.durable();
        let count = promises.appended.partition_point(|(position, _)| durable.covers(*position));
        promises.durable = promises.durable.max(count);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_replay_has_everything_that_was_acknowledged(acts in prop::collection::vec(act(), 0..250)) {
        simulate(acts);
    }
}
