//! What is read, and does not come as it is.

use super::*;

/// A log of each backend with twelve records in several segments, at rest or killed; its history and its sectors.
fn each(is_at_rest: bool, check: impl Fn(&Home, &Life, &[Place])) {
    for home in Home::all() {
        let mut life = home.open(Faults::default()).unwrap();
        assert_eq!(life.fill(0..12), None);
        if is_at_rest {
            life.log.settle();
        }
        let places: Vec<Place> = (0..12).flat_map(|record| life.places(record)).collect();
        check(&home, &life, &places);
    }
}

fn reading(place: Place, wrong: Read, times: u32) -> Faults {
    Faults { reads: [(place, (wrong, times))].into(), ..Faults::default() }
}

/// All that can be read, and how much cannot.
fn skipping(mut replay: Replay) -> (Vec<Record>, Vec<StoreError>) {
    let (mut records, mut errors) = (Vec::new(), Vec::new());
    while let Some(record) = replay.next() {
        match record {
            Ok(record) => records.push(record),
            Err(error) => {
                errors.push(error);
                replay.skip_rot().unwrap();
            }
        }
    }
    (records, errors)
}

#[test]
fn a_sector_that_cannot_be_read_is_named_and_skipped_also_in_the_last_segments() {
    each(true, |home, written, places| {
        for place in places {
            let all = home.replayed().unwrap().len();
            let life = home.open(reading(*place, Read::Fails(libc::EIO), u32::MAX));
            let mut life =
                life.unwrap_or_else(|error| panic!("{place:?} keeps the log from being opened: {error}"));
            let error = life.replay().unwrap_err();
            assert!(matches!(error, StoreError::Unreadable { .. }), "{error}");
            assert!(names(&error, life.disk.as_ref(), *place), "{place:?}: {error}");
            let (found, errors) = skipping(life.log.log.scrub());
            assert_eq!(errors, [error], "{place:?}");
            assert_eq!(found.len(), all - 1, "{place:?}: it costs the record that it has");
            let reads = written.history.iter().filter(|(_, position)| life.log.read(*position).is_err());
            assert_eq!(reads.count(), 1, "{place:?}");
            // What is written behind it would leave the other places further up than the last segments.
            if *place == places[places.len() - 1] {
                assert_eq!(life.fill(40..42), None, "the log goes on");
            }
        }
    });
}

#[test]
fn a_disk_that_fails_once_costs_nothing() {
    for wrong in [Read::Fails(libc::EIO), Read::From((0, 0))] {
        each(false, |home, written, places| {
            for place in &places[1..] {
                // Once while the end is looked for, and once in the replay.
                for times in 1..3 {
                    let mut life = home.open(reading(*place, wrong, times)).unwrap();
                    let replayed = life.replay().or_else(|_| home.replayed()).unwrap();
                    let what = format!("{wrong:?} for {place:?}, {times} times");
                    assert_eq!(written.judge(&replayed, &what), 12, "{what}");
                }
            }
        });
    }
}

/// Where the log seems to end, a sector that cannot be read may have been acknowledged: nothing is written over it.
#[test]
fn a_log_is_not_continued_over_a_sector_that_cannot_be_read() {
    each(false, |home, written, places| {
        let last = places[places.len() - 1];
        let error =
            home.open(reading(last, Read::Fails(libc::EIO), u32::MAX)).err().expect("it was continued");
        assert!(names(&error, written.disk.as_ref(), last), "{error}");
        assert_eq!(written.judge(&home.replayed().unwrap(), "it can be read again"), 12);
    });
    // Behind the end nothing is.
    each(true, |home, written, _| {
        let (end, _) = written.log.next().split();
        let mut life = home.open(reading(place(end + 1), Read::Fails(libc::EIO), u32::MAX)).unwrap();
        assert_eq!(written.judge(&life.replay().unwrap(), "behind the end"), 12);
        assert_eq!(life.fill(12..13), None);
    });
}

#[test]
fn a_disk_that_can_hardly_be_read_is_not_tried_for_hours() {
    let options = Options { segment_bytes: 1024 * SECTOR_BYTES as u64, ..tiny() };
    let disk = SimulatedDisk::new();
    let (log, _) = SimulatedLog::open(&disk, &options).unwrap();
    log.append(1, &[b"one"]).unwrap();
    log.settle();
    drop(log);
    let (handle, identity) = disk.open(&options).unwrap();
    let fails = (0..1024).map(|sector| ((0, sector), (Read::Fails(libc::EIO), 1_000))).collect();
    let faulty = Faulty::new(Arc::new(handle), Faults { reads: fails, ..Faults::default() });
    let opened = SimulatedLog::over((Arc::new(faulty.clone()), Repairs::none()), identity, &options);
    assert!(matches!(opened.err(), Some(StoreError::Unreadable { .. })));
    assert!(faulty.reads() < 300, "{} reads were tried", faulty.reads());
}

#[test]
fn a_misdirected_read_is_not_believed() {
    each(true, |home, written, places| {
        for (at, place) in places.iter().enumerate() {
            let other = places[(at + 3) % places.len()];
            let mut life = home.open(reading(*place, Read::From(other), u32::MAX)).unwrap();
            let error = life.replay().unwrap_err();
            assert!(names(&error, life.disk.as_ref(), *place), "{other:?} for {place:?}: {error}");
            let wrong = written.history.iter().filter(|(number, position)| {
                let read = life.log.read(*position);
                read.is_ok_and(|record| record.bytes != content(*number, length(*number)))
            });
            assert_eq!(wrong.count(), 0, "{other:?} for {place:?} was believed");
        }
    });
}
