use std::sync::mpsc;

use super::*;

fn fill(log: &Log, numbers: std::ops::Range<u64>) -> Vec<Position> {
    numbers.map(|number| log.append(number as u8, &[&content(number, length(number))]).unwrap()).collect()
}

fn check(replay: Replay, numbers: std::ops::Range<u64>) {
    let records: Vec<Record> = replay.map(Result::unwrap).collect();
    assert_eq!(records.len() as u64, numbers.end - numbers.start);
    for (record, number) in records.iter().zip(numbers) {
        assert_eq!(record.kind, number as u8);
        assert_eq!(record.bytes, content(number, length(number)), "record {number}");
    }
}

fn both() -> [Backend; 2] {
    [Backend::Auto, Backend::Portable]
}

#[test]
fn what_is_durable_is_replayed_and_read_whatever_the_backends() {
    for first in both() {
        for second in both() {
            let directory = tempfile::tempdir().unwrap();
            let options = |backend| Options { backend, ..small() };
            let (log, replay) = Log::open(directory.path(), options(first)).unwrap();
            check(replay, 0..0);
            let positions = fill(&log, 0..40);
            let durable = log.wait_durable(positions[39]).unwrap();
            assert!(positions.iter().all(|position| durable.covers(*position)));
            drop(log);
            let (log, replay) = Log::open(directory.path(), options(second)).unwrap();
            check(replay, 0..40);
            fill(&log, 40..80);
            for (number, position) in positions.iter().enumerate() {
                assert_eq!(log.read(*position).unwrap().bytes, content(number as u64, length(number as u64)));
            }
            drop(log);
            let (identity, replay) = Log::inspect(directory.path(), Lock::Shared).unwrap();
            assert_eq!(identity.incarnation, 2);
            check(replay, 0..80);
        }
    }
}

#[test]
fn the_options_choose_the_backend() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), Options { backend: Backend::Portable, ..small() }).unwrap();
    assert_eq!(log.metrics().backend, "portable");
    assert!(log.fallback().is_none(), "it was asked for");
    drop(log);
    // Where io_uring is missing the forced choice is an error that says so, and the automatic one still works.
    match Log::open(directory.path(), Options { backend: Backend::Uring, ..small() }) {
        Ok((log, _)) => assert_eq!(log.metrics().backend, "uring"),
        Err(StoreError::UringUnavailable { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    let (log, _) = Log::open(directory.path(), small()).unwrap();
    assert_eq!(log.fallback().is_some(), log.metrics().backend == "portable");
}

#[test]
fn many_threads_append_and_each_hears_of_its_record() {
    for backend in both() {
        let directory = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(directory.path(), Options { backend, ..small() }).unwrap();
        let log = Arc::new(log);
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (log, sender) = (&log, sender.clone());
                scope.spawn(move || {
                    for number in thread * 100..thread * 100 + 50 {
                        let position = log
                            .append(1, &[&number.to_le_bytes(), &content(number, length(number))])
                            .unwrap();
                        let sender = sender.clone();
                        log.on_durable(
                            position,
                            Box::new(move |outcome| {
                                sender.send((position, outcome.unwrap().covers(position))).unwrap()
                            }),
                        );
                    }
                });
            }
        });
        drop(sender);
        let heard: Vec<(Position, bool)> = receiver.iter().take(200).collect();
        assert_eq!(heard.len(), 200);
        assert!(heard.iter().all(|(_, covered)| *covered));
        let mut last = [None; 4];
        drop(log);
        let (_, replay) = Log::open(directory.path(), small()).unwrap();
        let mut count = 0;
        for record in replay.map(Result::unwrap) {
            let number = u64::from_le_bytes(record.bytes[..8].try_into().unwrap());
            assert_eq!(record.bytes[8..], content(number, length(number)));
            // What one thread appended keeps its order.
            let slot = &mut last[(number / 100) as usize];
            assert!(slot.replace(number) < Some(number));
            count += 1;
        }
        assert_eq!(count, 200);
    }
}

#[test]
fn a_released_past_is_recycled_and_the_rest_is_kept() {
    for backend in both() {
        let directory = tempfile::tempdir().unwrap();
        let (log, replay) = Log::open(directory.path(), Options { backend, ..small() }).unwrap();
        drop(replay);
        let mut positions = Vec::new();
        for round in 0..40 {
            positions.extend(fill(&log, round * 12..(round + 1) * 12));
            log.wait_durable(positions[positions.len() - 1]).unwrap();
            // The last two rounds stay.
            if round >= 2 {
                log.release(positions[((round - 1) * 12) as usize]);
            }
        }
        let metrics = log.metrics();
        assert!(metrics.recycled > 5, "{metrics:?}");
        assert!(metrics.segments < 20, "{metrics:?}");
        assert_eq!(log.read(positions[0]), Err(StoreError::Released { position: positions[0].raw() }));
        assert_eq!(log.read(positions[470]).unwrap().bytes, content(470, length(470)));
        drop(log);
        let (log, replay) = Log::open(directory.path(), small()).unwrap();
        let kept: Vec<Record> = replay.map(Result::unwrap).collect();
        let first = 480 - kept.len();
        assert!((400..=38 * 12).contains(&first), "{first}");
        for (record, number) in kept.iter().zip(first as u64..) {
            assert_eq!(
                (record.position, &record.bytes),
                (positions[number as usize], &content(number, length(number)))
            );
        }
        // Everything released: only the segment being written stays, and the log goes on.
        log.release(log.next());
        fill(&log, 480..500);
        drop(log);
        let (_, replay) = Log::open(directory.path(), small()).unwrap();
        assert_eq!(replay.map(Result::unwrap).last().unwrap().bytes, content(499, length(499)));
    }
}

#[test]
fn a_directory_in_use_is_refused_until_it_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), small()).unwrap();
    let in_use = StoreError::InUse { path: directory.path().to_path_buf() };
    assert_eq!(Log::open(directory.path(), small()).err(), Some(in_use.clone()));
    assert_eq!(Log::inspect(directory.path(), Lock::Shared).err(), Some(in_use));
    assert!(Log::inspect(directory.path(), Lock::None).is_ok());
    drop(log);
    let (_, audit) = Log::inspect(directory.path(), Lock::Shared).unwrap();
    assert!(matches!(Log::open(directory.path(), small()), Err(StoreError::InUse { .. })));
    drop(audit);
    assert!(Log::open(directory.path(), small()).is_ok());
}

#[test]
fn another_owner_s_directory_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), small()).unwrap();
    fill(&log, 0..5);
    drop(log);
    let before = std::fs::read(directory.path().join("identity")).unwrap();
    for (other, difference) in [
        (Owner { network: [1; 32], ..OWNER }, "belongs to another network"),
        (Owner { validator: [1; 32], ..OWNER }, "holds the journal of another validator"),
        (
            Owner { log: LogKind::Votes, ..OWNER },
            "holds the journal of a validator, where its vote log belongs",
        ),
    ] {
        let error = Log::open(directory.path(), Options { owner: other, ..small() }).err().unwrap();
        assert!(matches!(error, StoreError::ForeignOwner { .. }));
        assert!(error.to_string().contains(difference), "{error}");
    }
    let (identity, _) = Log::inspect(directory.path(), Lock::None).unwrap();
    assert_eq!(identity.owner, OWNER);
    assert_eq!(std::fs::read(directory.path().join("identity")).unwrap(), before);
    check(Log::open(directory.path(), small()).unwrap().1, 0..5);
}

#[test]
fn an_audit_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Log::inspect(directory.path(), Lock::Shared), Err(StoreError::NoLog { .. })));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    let (log, _) = Log::open(directory.path(), small()).unwrap();
    fill(&log, 0..30);
    drop(log);
    let snapshot = || {
        let mut files: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                (path.clone(), std::fs::read(&path).unwrap(), path.metadata().unwrap().modified().unwrap())
            })
            .collect();
        files.sort();
        files
    };
    let before = snapshot();
    check(Log::inspect(directory.path(), Lock::Shared).unwrap().1, 0..30);
    assert_eq!(snapshot(), before);
}

#[test]
fn what_cannot_be_stored_or_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), small()).unwrap();
    let too_large = log.append(1, &[&vec![0; 3 * 4096]]);
    assert!(matches!(too_large, Err(StoreError::TooLarge { bytes: 12_288, .. })));
    let position = log.append(1, &[b"abc", b"def"]).unwrap();
    log.wait_durable(position).unwrap();
    assert_eq!(log.read(position).unwrap().bytes, b"abcdef");
    let off = Position::from_raw(position.raw() + 1);
    assert_eq!(log.read(off), Err(StoreError::NoRecord { position: off.raw() }));
    let far = Position::from_raw(1 << 40);
    assert_eq!(log.read(far), Err(StoreError::NotDurable { position: 1 << 40 }));
    for broken in [Options { segment_bytes: 5000, ..small() }, Options { group_bytes: 100, ..small() }] {
        assert!(matches!(Log::open(directory.path(), broken), Err(StoreError::Options { .. })));
    }
}

#[test]
fn a_lost_segment_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), small()).unwrap();
    fill(&log, 0..60);
    drop(log);
    let path = |segment: u64| directory.path().join(format!("{segment:016x}.segment"));
    for lost in [0, 1, 2] {
        let aside = directory.path().join("aside");
        std::fs::rename(path(lost), &aside).unwrap();
        assert!(
            matches!(Log::open(directory.path(), small()), Err(StoreError::MissingSegment { .. })),
            "{lost}"
        );
        std::fs::rename(&aside, path(lost)).unwrap();
    }
    // What a person has put beside them is not taken for one of them.
    std::fs::create_dir(directory.path().join("00.segment")).unwrap();
    std::fs::copy(path(1), directory.path().join("0F.segment")).unwrap();
    check(Log::open(directory.path(), small()).unwrap().1, 0..60);
}

/// An identity that is gone or that was put back must not ruin what is written behind it.
#[test]
fn a_missing_identity_is_refused_and_an_older_one_does_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("identity");
    let options = || Options { backend: Backend::Portable, ..small() };
    let write = |numbers: std::ops::Range<u64>| {
        let (log, replay) = Log::open(directory.path(), options()).unwrap();
        check(replay, 0..numbers.start);
        fill(&log, numbers);
    };
    write(0..4);
    let oldest = std::fs::read(&path).unwrap();
    (1..5).for_each(|life| write(life * 4..life * 4 + 4));

    let newest = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let missing = StoreError::MissingIdentity { path: path.clone() };
    assert_eq!(Log::open(directory.path(), options()).err(), Some(missing.clone()));
    assert_eq!(Log::inspect(directory.path(), Lock::Shared).err(), Some(missing));
    assert!(!path.exists(), "nothing is made up");

    std::fs::write(&path, &oldest).unwrap();
    write(20..24);
    write(24..28);
    check(Log::open(directory.path(), options()).unwrap().1, 0..28);
    assert!(std::fs::read(&path).unwrap() > newest, "the number of lives has gone on");
}

#[test]
fn the_identity_of_another_log_is_refused_before_anything_is_written() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, _) = Log::open(directory.path(), small()).unwrap();
    fill(&log, 0..12);
    drop(log);
    let smaller = Options { segment_bytes: 4 * 4096, ..small() };
    drop(Log::open(other.path(), smaller).unwrap());
    let path = directory.path().join("identity");
    let own = std::fs::read(&path).unwrap();
    std::fs::copy(other.path().join("identity"), &path).unwrap();
    assert!(matches!(Log::open(directory.path(), small()), Err(StoreError::OtherIdentity { .. })));
    let inspected = Log::inspect(directory.path(), Lock::Shared);
    assert!(matches!(inspected, Err(StoreError::OtherIdentity { .. })));
    std::fs::write(&path, own).unwrap();
    check(Log::open(directory.path(), small()).unwrap().1, 0..12);
}

#[test]
fn a_segment_that_was_cut_off_is_named_with_its_length() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options { backend: Backend::Portable, ..small() };
    let (log, _) = Log::open(directory.path(), options()).unwrap();
    fill(&log, 0..30);
    drop(log);
    let path = directory.path().join(format!("{:016x}.segment", 0));
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
    let short = StoreError::Short { path, expected: length, found: length / 2 };
    let read = Log::inspect(directory.path(), Lock::Shared)
        .and_then(|(_, replay)| replay.collect::<Result<Vec<_>, _>>());
    assert_eq!(read.err(), Some(short));
}

/// From each record of several lives and segments, and from the beginning again.
#[test]
fn a_replay_goes_on_with_any_record_and_begins_again() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options { backend: Backend::Portable, ..small() };
    let mut positions = Vec::new();
    for life in 0..3 {
        let (log, _) = Log::open(directory.path(), options()).unwrap();
        positions.extend(fill(&log, life * 20..life * 20 + 20));
    }
    let (_, mut replay) = Log::inspect(directory.path(), Lock::Shared).unwrap();
    let all: Vec<Record> = replay.by_ref().map(Result::unwrap).collect();
    assert_eq!(all.len(), positions.len());
    for (place, position) in positions.iter().enumerate() {
        replay.seek(*position).unwrap();
        assert_eq!(replay.next_position(), *position);
        let rest: Vec<Record> = replay.by_ref().map(Result::unwrap).collect();
        assert_eq!(rest, all[place..], "record {place}");
    }
    replay.rewind();
    assert_eq!(replay.by_ref().map(Result::unwrap).collect::<Vec<_>>(), all);
    let behind = replay.end();
    assert!(matches!(replay.seek(behind), Err(StoreError::NoRecord { .. })));
    // Where no record begins, none is made up: what stands there is damage to who reads on.
    replay.seek(Position::from_raw(positions[7].raw() + 1)).unwrap();
    assert!(replay.next().is_some_and(|record| record.is_err()));
}

/// A reader of a log that another process writes: as an archiver is.
#[test]
fn a_reader_without_the_lock_sees_what_is_appended_meanwhile_and_what_was_released() {
    for backend in both() {
        let directory = tempfile::tempdir().unwrap();
        let options = || Options { backend, reserve_segments: 1, ..small() };
        let (mut log, _) = Log::open(directory.path(), options()).unwrap();
        let mut positions = fill(&log, 0..3);
        log.wait_durable(positions[2]).unwrap();
        let (_, mut reader) = Log::inspect(directory.path(), Lock::None).unwrap();
        let mut next = 0;
        for round in 1..30_u64 {
            reader.look_further().unwrap();
            for record in reader.by_ref().map(Result::unwrap) {
                assert_eq!(record.bytes, content(next, length(next)), "record {next}");
                next += 1;
            }
            assert_eq!(next, round * 3, "all that is durable");
            if round % 7 == 0 {
                // Another life of the log goes on behind it.
                drop(log);
                log = Log::open(directory.path(), options()).unwrap().0;
            }
            if round == 20 {
                log.release(positions[50]);
            }
            positions.extend(fill(&log, round * 3..round * 3 + 3));
            log.wait_durable(positions[positions.len() - 1]).unwrap();
        }
        assert!(reader.released() > Position::from_raw(0) && reader.first() <= reader.released());
        assert!(!directory.path().join("0000000000000000.segment").exists(), "its segments are used again");
        // One that has not looked for long is told that it has missed something, and not that there is nothing.
        for number in 90..200 {
            let position = log.append(0, &[&content(number, length(number))]).unwrap();
            log.wait_durable(position).unwrap();
            log.release(position);
        }
        let missed = reader.look_further();
        assert!(matches!(missed, Err(StoreError::Released { .. })), "{missed:?}");
    }
}

/// A reader at the end cannot tell a sector that is being written from one that is damaged, but the log that goes on
/// can.
#[test]
fn damage_where_a_reader_goes_on_is_not_taken_for_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), Options { backend: Backend::Portable, ..small() }).unwrap();
    let positions = fill(&log, 0..3);
    log.wait_durable(positions[2]).unwrap();
    let (_, mut reader) = Log::inspect(directory.path(), Lock::None).unwrap();
    assert_eq!(reader.by_ref().map(Result::unwrap).count(), 3);
    let (file, offset) = reader.locate(reader.end());
    let positions = fill(&log, 3..60);
    log.wait_durable(positions[56]).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[offset as usize + 100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let found = reader.look_further();
    assert!(matches!(&found, Err(StoreError::Corrupt { offset: at, .. }) if *at == offset), "{found:?}");
}
