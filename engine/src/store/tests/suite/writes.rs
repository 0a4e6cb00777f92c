//! What is written, and does not arrive as it was.

use super::*;

/// So many bytes of the sectors of a group, in 512s, that arrive before the power goes.
const TORN: [&[usize]; 7] = [&[], &[8], &[3], &[0, 8], &[8, 3], &[3, 8], &[8, 8]];

fn at(write: u64, wrong: Wrong) -> Faults {
    Faults { writes: [(write, wrong)].into(), ..Faults::default() }
}

/// A log is filled over a disk of each backend on which the write of one record goes wrong.
fn each(wrongs: &[Wrong], records: &[usize], check: impl Fn(&Home, Life, Option<StoreError>, &str)) {
    let writes = writes();
    for (wrong, record) in wrongs.iter().flat_map(|wrong| records.iter().map(move |record| (wrong, *record)))
    {
        for home in Home::all() {
            let mut life = home.open(at(writes[record], wrong.clone())).unwrap();
            let failure = life.fill(0..12);
            check(&home, life, failure, &format!("{wrong:?} of record {record}"));
        }
    }
}

#[test]
fn a_torn_write_costs_nothing_that_was_acknowledged() {
    let wrongs = TORN.map(|arrived| Wrong::Cut(arrived.to_vec()));
    each(&wrongs, &[0, 1, 4, 5, 9], |home, life, failure, what| {
        assert!(failure.is_some(), "{what}");
        let end = life.judge(&home.replayed().unwrap(), what);
        // The next life goes on from there, and its next one finds both.
        let mut next = home.open(Faults::default()).unwrap();
        assert_eq!(next.fill(50..54), None, "{what}");
        drop(next);
        assert_eq!(home.replayed().unwrap().len() as u64, end + 4, "{what}");
    });
}

#[test]
fn a_write_or_sync_that_fails_ends_the_log_for_good() {
    let eio = [Wrong::Short(0, libc::EIO), Wrong::Short(1, libc::EIO), Wrong::Unsynced(libc::EIO)];
    let full = [Wrong::Short(0, libc::ENOSPC), Wrong::Short(1, libc::ENOSPC)];
    for (wrongs, is_full) in [(&eio[..], false), (&full[..], true)] {
        each(wrongs, &[0, 1, 5, 8], |home, mut life, failure, what| {
            let failure = failure.unwrap_or_else(|| panic!("{what} is not told"));
            assert_eq!(matches!(failure, StoreError::NoSpace { .. }), is_full, "{what}: {failure}");
            assert_eq!(matches!(failure, StoreError::Failed { .. }), !is_full, "{what}: {failure}");
            // The disk is well again, but what it holds is unknown.
            life.faulty.set(Faults::default());
            let writes = life.faulty.writes();
            assert_eq!(life.append(40), Err(failure.clone()), "{what}");
            life.log.settle();
            assert_eq!((life.faulty.writes(), life.log.failure()), (writes, Some(failure)), "{what}");
            for (record, position) in &life.history[..life.acknowledged() as usize] {
                assert_eq!(
                    life.log.read(*position).unwrap().bytes,
                    content(*record, length(*record)),
                    "{what}"
                );
            }
            life.judge(&home.replayed().unwrap(), what);
        });
    }
}

#[test]
fn nothing_is_acknowledged_before_all_that_is_below_it() {
    each(&[Wrong::Late], &[0, 2, 5], |home, life, failure, what| {
        assert_eq!((failure, life.acknowledged()), (None, 12), "{what}: late is not lost");
        assert_eq!(life.judge(&home.replayed().unwrap(), what), 12);
    });
    // Two records whose writes follow each other: between others a segment ends.
    let writes = writes();
    let follows = |record: &usize| writes[*record] == writes[*record - 1] + 1;
    let younger = (2..12).find(|record| follows(record) && follows(&(record - 1))).unwrap();
    let older = younger - 1;
    for home in Home::all() {
        let mut life = home.open(at(writes[older], Wrong::Late)).unwrap();
        assert_eq!(life.fill(0..older as u64), None);
        life.append(older as u64).unwrap();
        life.append(younger as u64).unwrap();
        assert_eq!(life.faulty.writes(), writes[younger] + 1, "both are submitted");
        // The younger one is done.
        life.log.complete();
        assert_eq!(life.acknowledged(), older as u64);
        life.faulty.power_off();
        life.log.settle();
        assert_eq!(life.acknowledged(), older as u64);
        assert_eq!(life.judge(&home.replayed().unwrap(), "the older one never arrived"), older as u64);
    }
}

#[test]
fn a_lost_write_is_named_by_all_who_read_it() {
    each(&[Wrong::Lost], &[0, 3, 4, 7], |home, life, failure, what| {
        assert_eq!((failure, life.acknowledged()), (None, 12), "{what}: the disk said that all is well");
        let reads = life.history.iter().map(|(_, position)| life.log.read(*position));
        let lost: Vec<usize> = reads.enumerate().filter_map(|(at, read)| read.err().map(|_| at)).collect();
        let [record] = lost[..] else { panic!("{what}: {lost:?}") };
        let place = life.places(record)[0];
        let read = life.log.read(life.history[record].1).unwrap_err();
        assert!(
            matches!(read, StoreError::Corrupt { .. }) && names(&read, life.disk.as_ref(), place),
            "{what}: {read}"
        );
        life.log.settle();
        let replayed = home.replayed().unwrap_err();
        assert!(names(&replayed, life.disk.as_ref(), place), "{what}: {replayed}");
    });
    // Of the last group nothing on the disk speaks: what there is is a beginning.
    for home in Home::all() {
        let mut life = home.open(at(writes()[5], Wrong::Lost)).unwrap();
        assert_eq!(life.fill(0..6), None);
        assert_eq!(judge(&home.replayed().unwrap(), &life.history, 5, 0).unwrap(), (0, 5));
    }
}

/// A crash has cut off two groups, of which the second one had arrived. The next life writes both anew, and the second
/// write is lost: what stands there is whole, in its place, and of a life that is over.
#[test]
fn an_older_record_is_not_believed_in_the_place_of_a_lost_one() {
    for home in Home::all() {
        let mut first = home.open(at(writes()[2], Wrong::Late)).unwrap();
        assert_eq!(first.fill(0..2), None);
        first.append(7).unwrap();
        first.append(8).unwrap();
        first.log.complete();
        first.faulty.power_off();
        let (_, position) = first.history[3];
        drop(first);

        let mut second = home.open(at(1, Wrong::Lost)).unwrap();
        assert_eq!(second.replay().unwrap().len(), 2);
        assert_eq!(second.fill(13..16), None);
        assert_eq!(second.history[1].1, position, "where the older one stands");
        let place = place(position.split().0);
        let read = second.log.read(position).expect_err("an older record was believed");
        assert!(names(&read, second.disk.as_ref(), place), "{read}");
        second.log.settle();
        let replayed = home.replayed().unwrap_err();
        assert!(names(&replayed, second.disk.as_ref(), place), "{replayed}");
    }
}

#[test]
fn a_sync_that_lies_is_found_out_or_leaves_a_beginning() {
    for lies_from in [0, 5] {
        for home in Home::all() {
            let writes = (writes()[lies_from]..99).map(|write| (write, Wrong::Lied)).collect();
            let mut life = home.open(Faults { writes, ..Faults::default() }).unwrap();
            assert_eq!(life.fill(0..12), None);
            assert_eq!(life.acknowledged(), 12, "the disk said so");
            life.faulty.power_off();
            let before = lies_from as u64;
            assert_eq!(judge(&home.replayed().unwrap(), &life.history, before, 0).unwrap(), (0, before));
        }
    }
    // It lies once, and what is written behind that says what was durable.
    each(&[Wrong::Lied], &[0, 3, 7], |home, life, failure, what| {
        assert_eq!((failure, life.acknowledged()), (None, 12), "{what}");
        life.log.settle();
        life.faulty.power_off();
        let replayed = home.replayed().unwrap_err();
        let mut places = (0..12).flat_map(|record| life.places(record));
        assert!(places.any(|place| names(&replayed, life.disk.as_ref(), place)), "{what}: {replayed}");
    });
}

#[test]
fn a_misdirected_write_is_found_in_both_places() {
    let mut filled = Home::Memory(SimulatedDisk::new()).open(Faults::default()).unwrap();
    assert_eq!(filled.fill(0..12), None);
    for (from, to) in [(4, 0), (7, 2), (9, 5)] {
        for home in Home::all() {
            let hit = filled.places(to)[0];
            let mut life = home.open(at(writes()[from], Wrong::Misdirected(hit))).unwrap();
            assert_eq!(life.fill(0..12), None);
            let missed = life.places(from)[0];
            for (record, place) in [(to, hit), (from, missed)] {
                let read = life.log.read(life.history[record].1).unwrap_err();
                assert!(names(&read, life.disk.as_ref(), place), "{from} to {to}: {read}");
            }
            life.log.settle();
            let replayed = home.replayed().unwrap_err();
            assert!(names(&replayed, life.disk.as_ref(), hit), "{from} to {to}: {replayed}");
        }
    }
}

#[test]
fn a_segment_that_cannot_be_had_ends_the_log_and_one_that_cannot_be_removed_does_not() {
    for (code, is_full) in [(libc::ENOSPC, true), (libc::EIO, false)] {
        for home in Home::all() {
            let mut life = home.open(Faults::default()).unwrap();
            assert_eq!(life.fill(0..2), None);
            life.faulty.set(Faults { creations: Some(code), removals: Some(code), ..Faults::default() });
            let failure = life.fill(2..40).expect("there was no other segment");
            assert_eq!(matches!(failure, StoreError::NoSpace { .. }), is_full, "{failure}");
            let kept = life.judge(&home.replayed().unwrap(), "no segment");
            let mut next = home.open(Faults { removals: Some(code), ..Faults::default() }).unwrap();
            drop(next.replay.take());
            assert_eq!(next.fill(40..80), None, "with room again it goes on");
            let half = next.history[20].1;
            next.log.release(half);
            next.log.settle();
            assert_eq!(next.fill(80..90), None);
            let judged = judge(&home.replayed().unwrap(), &next.history, next.acknowledged(), 20);
            assert!(kept > 0 && judged.unwrap().0 <= 20);
        }
    }
}
