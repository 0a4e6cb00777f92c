//! What was durable and is changed behind the log's back is found, named and never cut off.

use super::rig::recovered;
use super::*;
use crate::store::memory::{Faults, Image};

const TINY: u64 = 4 * 4096;

fn tiny() -> Options {
    Options { segment_bytes: TINY, group_bytes: 2 * 4096, ..small() }
}

/// A log at rest: everything durable and marked. The image and what it replays to.
fn at_rest(records: u64) -> (Image, Vec<Record>) {
    let (mut rig, _) = recovered(&Image::new(), 1, &tiny(), Faults::default()).unwrap();
    for number in 0..records {
        // Leaves out the lengths beyond this log's groups.
        rig.append([0, 1, 2, 5, 9, 11, 3][number as usize % 7]).unwrap();
        if number % 2 == 0 {
            rig.settle_group();
        }
    }
    rig.settle();
    let image = rig.memory.image();
    let (_, records) = recovered(&image, 2, &tiny(), Faults::default()).unwrap();
    (image, records)
}

/// Either nothing is missing or the damage is named.
fn check(image: &Image, records: &[Record], segment: u64, sector: usize, what: &str) -> bool {
    match recovered(image, 2, &tiny(), Faults::default()) {
        Ok((_, found)) => {
            assert_eq!(found, records, "{what} went unnoticed");
            false
        }
        Err(StoreError::Corrupt { path, offset, .. }) => {
            assert_eq!(path.to_str().unwrap(), format!("/memory/{segment}"), "{what}");
            assert_eq!(offset, sector as u64 * 4096, "{what}");
            true
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

#[test]
fn every_byte_of_a_small_log() {
    let (mut image, records) = at_rest(7);
    assert_eq!(records.len(), 7);
    let (mut found, mut tried) = (0, 0);
    for segment in image.keys().copied().collect::<Vec<_>>() {
        for at in 0..TINY as usize {
            let flip = 1 << (at % 8);
            image.get_mut(&segment).unwrap()[at] ^= flip;
            tried += 1;
            found += u32::from(check(
                &image,
                &records,
                segment,
                at / 4096,
                &format!("a flip in {segment} at {at}"),
            ));
            image.get_mut(&segment).unwrap()[at] ^= flip;
        }
    }
    // All sectors ever written but the last: that is a mark, and losing it loses nothing.
    let blank = image
        .values()
        .flat_map(|blocks| blocks.chunks(4096))
        .filter(|sector| sector.iter().all(|byte| *byte == 0));
    let written = tried - 4096 * blank.count() as u32;
    assert!(written >= 6 * 4096, "{written} bytes are no log to speak of");
    assert_eq!(found, written - 4096);
}

#[test]
fn lost_misdirected_and_swapped_sectors() {
    let (image, records) = at_rest(40);
    let sectors: Vec<(u64, usize)> =
        image.keys().flat_map(|segment| (0..4).map(move |index| (*segment, index))).collect();
    let read = |(segment, index): (u64, usize)| image[&segment][index * 4096..(index + 1) * 4096].to_vec();
    let write = |image: &mut Image, (segment, index): (u64, usize), bytes: &[u8]| {
        image.get_mut(&segment).unwrap()[index * 4096..(index + 1) * 4096].copy_from_slice(bytes);
    };
    let mut found = 0;
    for (at, place) in sectors.iter().enumerate() {
        let mut lost = image.clone();
        write(&mut lost, *place, &[0; 4096]);
        found += u32::from(check(&lost, &records, place.0, place.1, &format!("zeros at {place:?}")));
        let other = sectors[(at + 5) % sectors.len()];
        if read(other).iter().all(|byte| *byte == 0) {
            continue;
        }
        let mut misdirected = image.clone();
        write(&mut misdirected, *place, &read(other));
        check(&misdirected, &records, place.0, place.1, &format!("{other:?} at {place:?}"));
    }
    assert!(found as usize > sectors.len() / 2, "{found} of {}", sectors.len());
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
    std::fs::write(&path, &good[..20]).unwrap();
    assert!(matches!(Log::open(directory.path(), small()), Err(StoreError::Corrupt { .. })));
    std::fs::write(&path, &good).unwrap();
    assert!(Log::open(directory.path(), small()).is_ok());
}
