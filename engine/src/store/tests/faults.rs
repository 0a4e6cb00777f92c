//! Writes that fail, and what is said and done about it.

use std::io;
use std::sync::Mutex;

use super::rig::{Rig, judge, recovered};
use super::*;

/// Appends until the log refuses, then has it turn until nothing is in flight.
fn until_failure(rig: &mut Rig) -> StoreError {
    for number in 0..200 {
        match rig.append(number) {
            Ok(_) => rig.turn(),
            Err(failure) => {
                rig.settle();
                return failure;
            }
        }
    }
    panic!("no write failed");
}

#[test]
fn a_failed_write_stops_the_log_for_good() {
    for reordering in [false, true] {
        for ticket in 0..12 {
            let faults =
                Faults { write: Some((ticket, io::ErrorKind::Other)), reordering, ..Faults::default() };
            let (mut rig, _) = recovered(&SimulatedDisk::new(), &small(), faults).unwrap();
            let failure = until_failure(&mut rig);
            assert!(matches!(failure, StoreError::Failed { .. }), "{failure}");
            assert_eq!(rig.log.failure(), Some(failure.clone()));
            let syncs = rig.log.metrics().syncs;
            assert!(syncs <= ticket, "a sync behind the failed one was counted");
            // The disk works again, but what it holds is unknown: the log stays stopped.
            rig.disk.set_faults(Faults::default());
            let operations = rig.disk.operations();
            assert_eq!(rig.append(7), Err(failure.clone()));
            rig.settle();
            assert_eq!(rig.disk.operations(), operations, "nothing is written after a failure");
            assert_eq!(rig.log.metrics().syncs, syncs);
            // Whatever part of it arrived, the next life has what was acknowledged and nothing half-written.
            let life = rig.end();
            for fate in [Fate::Kept, Fate::Lost, Fate::Torn(512)] {
                let disk = life.cut(operations, || fate);
                let (_, records) = recovered(&disk, &small(), Faults::default()).unwrap();
                judge(&records, &life.history, life.acknowledged_after(operations), 0).unwrap();
            }
        }
    }
}

#[test]
fn those_who_wait_hear_of_the_failure() {
    let faults = Faults { write: Some((1, io::ErrorKind::Other)), ..Faults::default() };
    let (mut rig, _) = recovered(&SimulatedDisk::new(), &small(), faults).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    for number in 0..3 {
        let position = rig.append(number).unwrap();
        let heard = Arc::clone(&heard);
        rig.log.on_durable(
            position,
            Box::new(move |outcome| heard.lock().unwrap().push((number, outcome.is_ok()))),
        );
        if number == 0 {
            rig.settle_group();
        }
    }
    rig.settle();
    assert_eq!(*heard.lock().unwrap(), [(0, true), (1, false), (2, false)]);
    let late = Arc::clone(&heard);
    let after = Position::from_raw(1 << 30);
    rig.log.on_durable(after, Box::new(move |outcome| late.lock().unwrap().push((9, outcome.is_ok()))));
    assert_eq!(heard.lock().unwrap().last(), Some(&(9, false)));
    assert!(matches!(rig.log.log.wait_durable(after), Err(StoreError::Failed { .. })));
}

#[test]
fn a_full_disk_makes_the_log_read_only() {
    for by_write in [false, true] {
        let faults = match by_write {
            true => Faults { write: Some((5, io::ErrorKind::StorageFull)), ..Faults::default() },
            false => Faults::default(),
        };
        let (mut rig, _) = recovered(&SimulatedDisk::new(), &small(), faults).unwrap();
        let first = rig.append(2).unwrap();
        rig.settle_group();
        if !by_write {
            rig.disk.set_faults(Faults { creations: Some(io::ErrorKind::StorageFull), ..Faults::default() });
        }
        let failure = until_failure(&mut rig);
        assert!(matches!(failure, StoreError::NoSpace { .. }), "{failure}");
        assert_eq!(rig.log.read(first).unwrap().bytes, content(2, length(2)));
        let life = rig.end();
        for fate in [Fate::Kept, Fate::Lost, Fate::Torn(1024)] {
            let disk = life.cut(life.moments.len(), || fate);
            let (mut rig, records) = recovered(&disk, &small(), Faults::default()).unwrap();
            let (_, end) = judge(&records, &life.history, life.acknowledged_after(usize::MAX), 0).unwrap();
            // With space again the next life goes on.
            rig.resume(life.history[..end as usize].to_vec(), 0);
            rig.append(500).unwrap();
            rig.settle();
            let (_, again) = recovered(&rig.disk, &small(), Faults::default()).unwrap();
            assert_eq!(again.len(), records.len() + 1);
        }
    }
}

#[test]
fn the_past_is_not_recycled_under_a_replay() {
    let (mut rig, _) = recovered(&SimulatedDisk::new(), &small(), Faults::default()).unwrap();
    for number in 0..60 {
        rig.append(number).unwrap();
    }
    rig.settle();
    let (log, replay) = SimulatedLog::open(&rig.disk, &small()).unwrap();
    let before = rig.disk.segments().len();
    log.release(log.next());
    log.settle();
    assert_eq!(rig.disk.segments().len(), before);
    assert_eq!(replay.map(Result::unwrap).count(), 60);
    // The replay is gone: the next group that says what is released frees it.
    log.append(1, &[&[0; 9000]]).unwrap();
    log.settle();
    log.release(log.next());
    log.settle();
    assert!(rig.disk.segments().len() < before, "{} of {before}", rig.disk.segments().len());
}
