use super::*;

const START: Duration = Duration::from_secs(1000);
const CLIENT: Source = Source::Connection(7);

fn tally(signatures: u32, bad: u32) -> Tally {
    Tally { signatures, bad, refused: bad }
}

/// Good signatures beside a bad one in the same transaction speak for nobody, and one mistake cuts nobody off.
#[test]
fn what_stands_beside_a_bad_signature_does_not_hide_it() {
    let offenders = Offenders::default();
    let openings = |refused: u32| Tally { signatures: 681 * refused, bad: 681 * refused, refused };
    assert_eq!(offenders.note(CLIENT, openings(1), START), Judgement { bad: 1, ..Judgement::default() });
    assert_eq!(offenders.note(CLIENT, openings(63), START), Judgement { bad: 64, ..Judgement::default() });
    assert_eq!(offenders.note(CLIENT, openings(1), START), Judgement { say: true, cut: true, bad: 65 });
}

#[test]
fn many_bad_signatures_are_said_once_and_cut_once() {
    let offenders = Offenders::default();
    assert_eq!(offenders.note(CLIENT, tally(64, 64), START), Judgement { bad: 64, ..Judgement::default() });
    assert_eq!(offenders.note(CLIENT, tally(1, 1), START), Judgement { say: true, cut: true, bad: 65 });
    let again = offenders.note(CLIENT, tally(4096, 4096), START);
    assert_eq!(again, Judgement { say: false, cut: false, bad: 65 + 4096 });
    let other = offenders.note(Source::Connection(8), tally(4096, 4096), START);
    assert_eq!(other, Judgement { say: true, cut: true, bad: 4096 });
}

#[test]
fn one_that_is_mostly_good_is_said_and_not_cut_until_it_no_longer_is() {
    let offenders = Offenders::default();
    assert_eq!(offenders.note(CLIENT, tally(200, 100), START), Judgement { say: true, cut: false, bad: 100 });
    assert_eq!(offenders.note(CLIENT, tally(50, 0), START), Judgement { say: false, cut: false, bad: 100 });
    assert_eq!(offenders.note(CLIENT, tally(100, 100), START), Judgement { say: false, cut: true, bad: 200 });
}

#[test]
fn every_interval_starts_anew() {
    let offenders = Offenders::default();
    offenders.note(CLIENT, tally(60, 60), START);
    let later = START + INTERVAL - Duration::from_micros(1);
    assert!(offenders.note(CLIENT, tally(5, 5), later).cut);
    let next = START + INTERVAL;
    assert!(!offenders.note(CLIENT, tally(60, 60), next).cut);
    assert_eq!(offenders.note(CLIENT, tally(60, 60), next), Judgement { say: true, cut: true, bad: 120 });
}

#[test]
fn the_good_take_no_room_and_the_bad_a_bounded_one() {
    let offenders = Offenders::default();
    let counted = || offenders.0.lock().unwrap().by_source.len();
    for connection in 0..2 * OFFENDERS_MAX as u64 {
        offenders.note(Source::Connection(connection), tally(10, 0), START);
    }
    assert_eq!(counted(), 0);
    for connection in 0..2 * OFFENDERS_MAX as u64 {
        offenders.note(Source::Connection(connection), tally(10, 1), START);
    }
    assert_eq!(counted(), OFFENDERS_MAX);
}
