//! What was durable and is changed behind the log's back is found, named and never cut off.

use super::rig::recovered;
use super::*;
use crate::store::sector::SECTOR_BYTES;

const TINY: u64 = 4 * 4096;

fn tiny() -> Options {
    Options { segment_bytes: TINY, group_bytes: 2 * 4096, ..small() }
}

/// A log at rest: everything durable and marked. The disk and what it replays to.
fn at_rest(records: u64) -> (SimulatedDisk, Vec<Record>) {
    let (mut rig, _) = recovered(&SimulatedDisk::new(), &tiny(), Faults::default()).unwrap();
    for number in 0..records {
        // Leaves out the lengths beyond this log's groups.
        rig.append([0, 1, 2, 5, 9, 11, 3][number as usize % 7]).unwrap();
        if number % 2 == 0 {
            rig.settle_group();
        }
    }
    rig.settle();
    let disk = rig.disk.copy();
    let (_, records) = recovered(&disk, &tiny(), Faults::default()).unwrap();
    (disk, records)
}

/// Every sector that was written.
fn contents(disk: &SimulatedDisk) -> Vec<((u64, u64), [u8; SECTOR_BYTES])> {
    let read = |(segment, sector)| {
        let mut copied = [0; SECTOR_BYTES];
        assert!(disk.damage(segment, sector, |bytes| copied = *bytes));
        ((segment, sector), copied)
    };
    disk.written().into_iter().map(read).collect()
}

/// Either nothing is missing or the damage is named, and whatever was there still is.
fn check(disk: &SimulatedDisk, records: &[Record], (segment, sector): (u64, u64), what: &str) -> bool {
    let disk = disk.copy();
    let before = contents(&disk);
    let outcome = SimulatedLog::open(&disk, &tiny())
        .and_then(|(_, replay)| replay.collect::<Result<Vec<Record>, StoreError>>());
    assert_eq!(contents(&disk), before, "{what}: opening changed the disk");
    match outcome {
        Ok(found) => {
            assert_eq!(found, records, "{what} went unnoticed");
            false
        }
        Err(StoreError::Corrupt { path, offset, .. }) => {
            assert_eq!(path.to_str().unwrap(), format!("/simulated/{segment}"), "{what}");
            assert_eq!(offset, sector * 4096, "{what}");
            true
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

#[test]
fn every_byte_of_a_small_log() {
    let (disk, records) = at_rest(7);
    assert_eq!(records.len(), 7);
    let written = disk.written();
    let mut found = 0;
    for (segment, sector) in &written {
        for at in 0..SECTOR_BYTES {
            let flip = |bytes: &mut [u8; SECTOR_BYTES]| bytes[at] ^= 1 << (at % 8);
            assert!(disk.damage(*segment, *sector, flip));
            let what = format!("a flip in {segment} at {sector} + {at}");
            found += usize::from(check(&disk, &records, (*segment, *sector), &what));
            assert!(disk.damage(*segment, *sector, flip));
        }
    }
    // All sectors ever written but the last: that is a mark, and losing it loses nothing.
    assert!(written.len() > 6, "{written:?} is no log to speak of");
    assert_eq!(found, SECTOR_BYTES * (written.len() - 1));
}

#[test]
fn lost_misdirected_and_swapped_sectors() {
    let (disk, records) = at_rest(40);
    let sectors = contents(&disk);
    let mut found = 0;
    for (at, (place, _)) in sectors.iter().enumerate() {
        let lost = disk.copy();
        assert!(lost.damage(place.0, place.1, |bytes| bytes.fill(0)));
        found += usize::from(check(&lost, &records, *place, &format!("zeros at {place:?}")));
        let (other, bytes) = &sectors[(at + 5) % sectors.len()];
        let misdirected = disk.copy();
        assert!(misdirected.damage(place.0, place.1, |there| *there = *bytes));
        check(&misdirected, &records, *place, &format!("{other:?} at {place:?}"));
    }
    assert!(found > sectors.len() / 2, "{found} of {}", sectors.len());
}

#[test]
fn a_read_finds_the_rot_too() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), Options { backend: Backend::Portable, ..small() }).unwrap();
    let position = log.append(1, &[&content(1, 9000)]).unwrap();
    log.wait_durable(position).unwrap();
    let path = directory.path().join(format!("{:016x}.segment", 0));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    match log.read(position) {
        Err(StoreError::Corrupt { path: named, offset, .. }) => assert_eq!((named, offset), (path, 4096)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_byte_of_the_identity() {
    let directory = tempfile::tempdir().unwrap();
    drop(Log::open(directory.path(), small()).unwrap());
    let path = directory.path().join("identity");
    let good = std::fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        std::fs::write(&path, &bad).unwrap();
        assert!(matches!(Log::open(directory.path(), small()), Err(StoreError::Corrupt { .. })), "byte {at}");
    }
    // The formats before had 64 bytes, with their number in the same place.
    let older = [&good[..8], &2_u32.to_le_bytes(), &good[12..64]].concat();
    std::fs::write(&path, &older).unwrap();
    let refused = Log::open(directory.path(), small());
    assert!(matches!(refused, Err(StoreError::Format { found: 2, .. })));
    std::fs::write(&path, &good[..20]).unwrap();
    assert!(matches!(Log::open(directory.path(), small()), Err(StoreError::Corrupt { .. })));
    std::fs::write(&path, &good).unwrap();
    assert!(Log::open(directory.path(), small()).is_ok());
}
