//! What rots, is lost or is overwritten while nobody writes: files are changed between two starts.

use super::faulty::{read, spoil};
use super::*;

/// Changes each sector of a log at rest, and has the error named by all who read it.
fn each(what: &str, change: impl Fn(&[Sector], usize, &mut Sector)) {
    for home in Home::all() {
        let mut life = home.open(Faults::default()).unwrap();
        assert_eq!(life.fill(0..12), None);
        life.log.settle();
        let places: Vec<(usize, Place)> =
            (0..12).flat_map(|record| life.places(record).into_iter().map(move |at| (record, at))).collect();
        let (disk, history) = (life.disk.clone(), life.history.clone());
        let sectors: Vec<Sector> = places.iter().map(|(_, place)| read(disk.as_ref(), *place)).collect();
        for (at, (record, place)) in places.iter().enumerate() {
            let (disk, _, _) = home.disk().unwrap();
            let what = format!("{} {what} at {place:?}", disk.name());
            spoil(disk.as_ref(), *place, |bytes| change(&sectors, at, bytes));
            let mut life = home.open(Faults::default()).unwrap();
            let error = life.replay().expect_err(&what);
            assert!(matches!(error, StoreError::Corrupt { .. }), "{what}: {error}");
            assert!(names(&error, disk.as_ref(), *place), "{what}: {error}");
            for (other, (number, position)) in history.iter().enumerate() {
                match life.log.read(*position) {
                    Ok(found) => {
                        assert!(other != *record, "{what}: believed");
                        assert_eq!(found.bytes, content(*number, length(*number)), "{what}");
                    }
                    Err(error) => assert!(other == *record && names(&error, disk.as_ref(), *place), "{what}"),
                }
            }
            let (disk, _, _) = home.disk().unwrap();
            spoil(disk.as_ref(), *place, |bytes| *bytes = sectors[at]);
        }
        let records = home.replayed().unwrap();
        assert_eq!(judge(&records, &history, 12, 0).unwrap(), (0, 12));
        // The last mark says of what is before it that it is durable, and nothing is lost with it.
        let (end, _) = home.open(Faults::default()).unwrap().log.next().split();
        let (disk, _, _) = home.disk().unwrap();
        spoil(disk.as_ref(), place(end - 1), |bytes| bytes.fill(0));
        assert_eq!(judge(&home.replayed().unwrap(), &history, 12, 0).unwrap(), (0, 12));
    }
}

#[test]
fn a_flipped_bit_of_any_sector_is_named() {
    for at in [0, 5, 12, 33, 34, 36, 40, 2_000, 4_095] {
        each(&format!("a bit of byte {at}"), |_, _, bytes| bytes[at] ^= 1 << (at % 8));
    }
}

#[test]
fn a_sector_that_was_lost_or_replaced_by_another_one_is_named() {
    each("zeros", |_, _, bytes| bytes.fill(0));
    each("the next one", |sectors, at, bytes| *bytes = sectors[(at + 1) % sectors.len()]);
    each("another one", |sectors, at, bytes| *bytes = sectors[(at + 5) % sectors.len()]);
}
