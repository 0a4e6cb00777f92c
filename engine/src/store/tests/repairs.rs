//! What is rotten is skipped with a name, and read from beside the log once it is known again.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

const SECTOR: usize = 4096;

/// A log of a few groups in several segments, at rest: its records.
fn at_rest(directory: &Path) -> Vec<Record> {
    let options = Options { backend: Backend::Portable, ..small() };
    let (log, _) = Log::open(directory, options.clone()).unwrap();
    for number in 0..24 {
        let position = log.append(number as u8, &[&content(number, length(number))]).unwrap();
        if number % 3 != 1 {
            log.wait_durable(position).unwrap();
        }
    }
    drop(log);
    replayed(directory)
}

fn replayed(directory: &Path) -> Vec<Record> {
    Log::inspect(directory, Lock::Shared).unwrap().1.map(Result::unwrap).collect()
}

/// All that can be read, and what cannot.
fn scrubbed(mut replay: Replay) -> (Vec<Record>, Vec<Rot>) {
    let (mut records, mut rots) = (Vec::new(), Vec::new());
    loop {
        match replay.next() {
            Some(Ok(record)) => records.push(record),
            Some(Err(_)) => rots.push(replay.skip_rot().unwrap()),
            None => return (records, rots),
        }
    }
}

fn inspect(directory: &Path) -> Replay {
    Log::inspect(directory, Lock::Shared).unwrap().1
}

fn open(directory: &Path) -> Log {
    Log::open(directory, Options { backend: Backend::Portable, ..small() }).unwrap().0
}

/// The file and the bytes of each segment that was written.
fn segments(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "segment")).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn within(records: &[Record], rot: &Rot) -> Vec<Record> {
    records.iter().filter(|record| (rot.from..rot.until).contains(&record.position)).cloned().collect()
}

fn places(records: &[Record]) -> Vec<Position> {
    records.iter().map(|record| record.position).collect()
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0x40;
    fs::write(file, bytes).unwrap();
}

#[test]
fn any_rotten_byte_costs_no_more_than_its_group_and_a_repair_gives_that_back() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let records = at_rest(directory);
    let all = segments(directory);
    let last = records.last().unwrap().position.raw() as usize;
    // The last two segments say where the log ends.
    let written = last / (8 * SECTOR) - 1;
    assert!(written >= 2);
    let mut seen = 0;
    for (file, bytes) in &all[..written] {
        for at in (0..bytes.len()).step_by(509) {
            flip(file, at);
            let (found, rots) = scrubbed(inspect(directory));
            if rots.is_empty() {
                // Behind the end of a segment nothing is read.
                assert!(found == records, "byte {at} of {}", file.display());
                fs::write(file, bytes).unwrap();
                continue;
            }
            let [rot] = &rots[..] else { panic!("{rots:?}") };
            seen += 1;
            let lost = within(&records, rot);
            let expected: Vec<_> = records.iter().filter(|record| !lost.contains(record)).cloned().collect();
            assert!(found == expected, "byte {at} of {}: {rot:?}", file.display());
            assert!(rot.until.raw() - rot.from.raw() <= 5 * SECTOR as u64, "{rot:?}");

            let log = open(directory);
            let repair = Repair { from: rot.from, until: rot.until, records: lost.clone() };
            let repaired = log.repair(&repair).unwrap();
            assert_eq!((repaired.records, log.repairs().len()), (lost.len(), 1));
            let read = |record: &Record| log.read(record.position).unwrap();
            assert!(records.iter().all(|record| read(record) == *record), "{repaired:?}");
            let (scrubbed, rots) = scrubbed(log.scrub());
            assert_eq!(rots, []);
            assert_eq!(places(&scrubbed), places(&records), "{repaired:?}");
            drop(log);
            assert!(replayed(directory) == records, "{repaired:?}");
            // A place that nobody needs any more is left out of a repair, and a checkpoint may name it.
            let mut replay = inspect(directory);
            replay.seek(Position::from_raw(rot.until.raw() - 1)).unwrap();
            let rest: Vec<Record> = replay.map(Result::unwrap).collect();
            let expected: Vec<Record> =
                records.iter().filter(|record| record.position >= rot.from).cloned().collect();
            assert_eq!(places(&rest), places(&expected), "{repaired:?}");
            for from in &lost {
                let mut replay = inspect(directory);
                replay.seek(from.position).unwrap();
                let rest: Vec<Record> = replay.map(Result::unwrap).collect();
                let expected: Vec<Record> =
                    records.iter().skip_while(|record| *record != from).cloned().collect();
                assert_eq!(places(&rest), places(&expected), "{repaired:?}");
            }
            assert_eq!(fs::read(file).unwrap().len(), bytes.len(), "the segment is as it was");
            fs::remove_file(repaired.file).unwrap();
            fs::write(file, bytes).unwrap();
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn a_running_log_finds_what_has_rotted_since_its_start() {
    let directory = tempfile::tempdir().unwrap();
    let records = at_rest(directory.path());
    let log = open(directory.path());
    assert!(scrubbed(log.scrub()) == (records.clone(), Vec::new()));
    flip(&segments(directory.path())[0].0, 3 * SECTOR + 99);
    let (found, rots) = scrubbed(log.scrub());
    assert_eq!(rots.len(), 1);
    assert!(found.len() < records.len());
    // Two rotten sectors of a group are one place.
    flip(&segments(directory.path())[0].0, 4 * SECTOR + 99);
    assert_eq!(scrubbed(log.scrub()).1.len(), 1);
}

/// Whatever a power cut leaves of the file, and whatever happens to it later: it is whole, or as if it were not there.
#[test]
fn a_repair_that_is_not_whole_counts_for_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let records = at_rest(directory);
    flip(&segments(directory)[0].0, 2 * SECTOR + 99);
    let (_, rots) = scrubbed(inspect(directory));
    let lost = within(&records, &rots[0]);
    let log = open(directory);
    let Repaired { file, .. } =
        log.repair(&Repair { from: rots[0].from, until: rots[0].until, records: lost }).unwrap();
    drop(log);
    let whole = fs::read(&file).unwrap();
    let counts_for_nothing = |what: &str| {
        let replay = inspect(directory);
        assert!(replay.repairs().is_empty(), "{what}");
        assert_eq!(scrubbed(replay).1, rots, "{what}");
    };
    for length in (0..whole.len()).step_by(101) {
        fs::write(&file, &whole[..length]).unwrap();
        counts_for_nothing("cut short");
        assert_eq!(inspect(directory).spoiled_repairs().len(), 1);
    }
    for at in (0..whole.len()).step_by(67) {
        fs::write(&file, &whole).unwrap();
        flip(&file, at);
        counts_for_nothing("flipped");
    }
    fs::write(&file, &whole).unwrap();
    fs::rename(&file, directory.join("repair.new")).unwrap();
    counts_for_nothing("before its name");
    assert!(inspect(directory).spoiled_repairs().is_empty());
    fs::rename(directory.join("repair.new"), &file).unwrap();
    assert!(replayed(directory) == records);
    // It goes with what it repairs; so does one of another log.
    let other = Options { owner: Owner { validator: [1; 32], ..OWNER }, ..small() };
    let elsewhere = tempfile::tempdir().unwrap();
    drop(Log::open(elsewhere.path(), other).unwrap());
    fs::copy(&file, elsewhere.path().join(file.file_name().unwrap())).unwrap();
    let (_, replay) = Log::inspect(elsewhere.path(), Lock::Shared).unwrap();
    assert!(replay.spoiled_repairs()[0].1.contains("another log"));
    let log = open(directory);
    log.release(rots[0].until);
    assert_eq!(log.repairs().len(), 1, "until the disk says that it is released");
    drop(log);
    assert!(!file.exists());
}

/// A disk may read a sector for which there is a repair already, and not those beside it.
#[test]
fn a_stretch_that_reaches_into_a_repair_takes_in_all_of_it_and_ends_where_one_begins() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let records = at_rest(directory);
    let (file, bytes) = segments(directory)[1].clone();
    // Of the sectors of the second segment those that begin a group.
    let begins = |sector: &u64| bytes[*sector as usize * SECTOR + 34] & 1 == 1;
    let groups: Vec<u64> = (0..8).filter(begins).collect();
    let [first, second, third, ..] = groups[..] else { panic!("{groups:?}") };
    let position = |sector: u64, at: u64| Position::from_raw((8 + sector) * SECTOR as u64 + at);
    let (begun, end) = (position(second, 0), position(8, 0));
    // It begins in the middle of a sector, where a record was lost, and goes on behind a group that can be read.
    for (from, expected) in
        [(position(second, 50), (position(first, 0), end)), (begun, (position(first, 0), begun))]
    {
        let repair = |from, until| {
            let records = within(&records, &Rot { from, until });
            Repair { from, until, records }
        };
        let log = open(directory);
        log.repair(&repair(from, end)).unwrap();
        [first, second].into_iter().for_each(|sector| flip(&file, sector as usize * SECTOR + 99));
        assert!(third < 8);
        let (_, rots) = scrubbed(log.scrub());
        let [Rot { from, until }] = rots[..] else { panic!("{rots:?}") };
        assert_eq!((from, until), expected);
        log.repair(&repair(from, until)).unwrap();
        let (found, rots) = scrubbed(log.scrub());
        assert_eq!((places(&found), rots), (places(&records), Vec::new()));
        log.repairs().iter().for_each(|repaired| fs::remove_file(&repaired.file).unwrap());
        drop(log);
        fs::write(&file, &bytes).unwrap();
    }
}

#[test]
fn a_stretch_ends_with_its_segment() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let records = at_rest(directory);
    for (file, bytes) in &segments(directory)[..3] {
        fs::write(file, vec![0x11; bytes.len()]).unwrap();
    }
    let segment = |number: u64| Position::from_raw(number * 8 * SECTOR as u64);
    let (found, rots) = scrubbed(inspect(directory));
    assert_eq!(rots, [0, 1, 2].map(|number| Rot { from: segment(number), until: segment(number + 1) }));
    let log = open(directory);
    for rot in rots {
        let records = within(&records, &rot);
        log.repair(&Repair { from: rot.from, until: rot.until, records }).unwrap();
    }
    drop(log);
    assert!(found.len() < records.len() && replayed(directory) == records);
}

#[test]
fn a_wider_repair_replaces_those_within_it_and_one_that_overlaps_in_part_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    at_rest(directory);
    let log = open(directory);
    let sector = |number: u64| Position::from_raw(number * SECTOR as u64);
    let repair = |from, until| Repair { from: sector(from), until: sector(until), records: Vec::new() };
    log.repair(&repair(3, 5)).unwrap();
    log.repair(&repair(6, 7)).unwrap();
    let inner = fs::read(&log.repairs()[0].file).unwrap();
    for (from, until) in [(2, 4), (4, 6), (5, 5)] {
        assert!(
            matches!(log.repair(&repair(from, until)), Err(StoreError::Options { .. })),
            "{from} {until}"
        );
    }
    let wider = log.repair(&repair(2, 7)).unwrap();
    assert_eq!(log.repairs(), std::slice::from_ref(&wider));
    drop(log);
    // A crash came before the inner one was removed.
    fs::write(directory.join(format!("{:016x}.repair", 3 * SECTOR)), inner).unwrap();
    assert_eq!(inspect(directory).repairs(), [wider]);
    // What lost its place has one of its own.
    let beside = Position::beside(sector(2), 3).unwrap();
    assert_eq!(Position::beside(sector(2), 1 << 17), None);
    assert_ne!(Position::beside(sector(2), (1 << 17) - 1), Position::beside(sector(3), 0));
    assert!(beside.is_beside() && !sector(2).is_beside());
    let (records, log) =
        (vec![Record { position: beside, kind: 7, bytes: b"found".to_vec() }], open(directory));
    log.repair(&Repair { from: sector(1), until: sector(7), records: records.clone() }).unwrap();
    assert_eq!(log.read(beside).unwrap(), records[0]);
    assert!(log.read(Position::beside(sector(2), 4).unwrap()).is_err());
}
