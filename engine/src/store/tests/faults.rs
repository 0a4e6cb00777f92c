//! Writes that fail, and what is said and done about it.

use std::io;
use std::sync::Mutex;

use super::rig::{Rig, judge, recovered};
use super::*;
use crate::store::memory::{Fate, Faults, Image, crash};
use crate::store::pump::Turn;

/// Appends until the log refuses, then has it turn until nothing is in flight.
fn until_failure(rig: &mut Rig) -> StoreError {
    for number in 0..200 {
        match rig.append(number) {
            Ok(_) => drop(rig.turn()),
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
    for reorder in [false, true] {
        for ticket in 0..12 {
            let faults = Faults { write: Some((ticket, io::ErrorKind::Other)), reorder, ..Faults::default() };
            let (mut rig, _) = recovered(&Image::new(), 1, &small(), faults).unwrap();
            let failure = until_failure(&mut rig);
            assert!(matches!(failure, StoreError::Failed { .. }), "{failure}");
            assert_eq!(rig.log.failure(), Some(failure.clone()));
            let syncs = rig.log.metrics().syncs;
            assert!(syncs <= ticket, "a sync behind the failed one was counted");
            // The disk works again, but nobody knows what it holds: the log stays stopped.
            rig.memory.set_faults(Faults::default());
            let operations = rig.memory.trace().len();
            assert_eq!(rig.append(7), Err(failure.clone()));
            rig.settle();
            assert_eq!(rig.memory.trace().len(), operations, "nothing is written after a failure");
            assert_eq!(rig.log.metrics().syncs, syncs);
            // Whatever part of it arrived, the next life has what was acknowledged and nothing half-written.
            let life = rig.end();
            for fate in [Fate::Kept, Fate::Lost, Fate::Torn(512)] {
                let image = crash(&life.start, &life.trace, false, || fate);
                let (_, records) = recovered(&image, 2, &small(), Faults::default()).unwrap();
                judge(&records, &life.history, life.acknowledged_after(operations), 0).unwrap();
            }
        }
    }
}

#[test]
fn those_who_wait_hear_of_the_failure() {
    let faults = Faults { write: Some((1, io::ErrorKind::Other)), ..Faults::default() };
    let (mut rig, _) = recovered(&Image::new(), 1, &small(), faults).unwrap();
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
    assert!(matches!(rig.log.wait_durable(after), Err(StoreError::Failed { .. })));
}

#[test]
fn a_full_disk_makes_the_log_read_only() {
    for by_write in [false, true] {
        let faults = match by_write {
            true => Faults { write: Some((5, io::ErrorKind::StorageFull)), ..Faults::default() },
            false => Faults::default(),
        };
        let (mut rig, _) = recovered(&Image::new(), 1, &small(), faults).unwrap();
        let first = rig.append(2).unwrap();
        rig.settle_group();
        if !by_write {
            rig.memory.set_faults(Faults { full: true, ..Faults::default() });
        }
        let failure = until_failure(&mut rig);
        assert!(matches!(failure, StoreError::NoSpace { .. }), "{failure}");
        assert_eq!(rig.log.read(first).unwrap().bytes, content(2, length(2)));
        let life = rig.end();
        for fate in [Fate::Kept, Fate::Lost, Fate::Torn(1024)] {
            let image = crash(&life.start, &life.trace, false, || fate);
            let (mut rig, records) = recovered(&image, 2, &small(), Faults::default()).unwrap();
            let (_, end) = judge(&records, &life.history, life.acknowledged_after(usize::MAX), 0).unwrap();
            // With space again the next life goes on.
            rig.resume(life.history[..end as usize].to_vec(), 0);
            rig.append(500).unwrap();
            rig.settle();
            let (_, again) = recovered(&rig.memory.image(), 3, &small(), Faults::default()).unwrap();
            assert_eq!(again.len(), records.len() + 1);
        }
    }
}

#[test]
fn the_past_is_not_recycled_under_a_replay() {
    let (mut rig, _) = recovered(&Image::new(), 1, &small(), Faults::default()).unwrap();
    for number in 0..60 {
        rig.append(number).unwrap();
    }
    rig.settle();
    let memory = rig.memory.clone();
    let identity = Identity { owner: OWNER, segment_bytes: small().segment_bytes, incarnation: 2 };
    let (log, replay, mut pump) = Log::assemble(Arc::new(memory.clone()), identity, &small(), false).unwrap();
    let before = memory.image().len();
    log.release(log.next());
    for _ in 0..20 {
        assert_ne!(pump.turn(), Turn::Stopped);
    }
    assert_eq!(memory.image().len(), before);
    assert_eq!(replay.map(Result::unwrap).count(), 60);
    // The replay is gone: the next group that says what is released frees it.
    log.shared.offer(&mut log.shared.lock(), 1, &[&[0; 9000]]).unwrap().unwrap();
    for _ in 0..20 {
        pump.turn();
    }
    log.release(log.next());
    for _ in 0..20 {
        pump.turn();
    }
    assert!(memory.image().len() < before, "{} of {before}", memory.image().len());
}
