use super::*;
use crate::report::GeneratorFigures;
use crate::validity::{Judged, Validity};

/// What a network that takes so many transactions a second, and a generator that offers so many, come to.
fn point(rate: f64, takes: f64, offers: f64) -> Point {
    // What a generator does not send in time is counted as offered all the same, and its latency runs from when it was
    // meant to leave.
    let (offered, late) = (rate, rate > offers);
    let committed = offered.min(takes).min(offers);
    let p99 = if committed < offered { 4_000_000 } else { 80_000 };
    Point {
        rate,
        seconds: 60,
        offered,
        committed,
        committed_share: 1.0,
        latency_us: Latency { p50: p99 / 2, p99, ..Latency::default() },
        backlog_growth: offered - committed,
        generator_is_the_limit: late,
        is_pushed_back: false,
        is_disturbed: false,
    }
}

fn search(start: f64, mut run: impl FnMut(Next) -> Point) -> (Found, Search) {
    let mut search = Search::new(Goal::default(), start);
    for _ in 0..200 {
        match search.next() {
            Next::Done(found) => return (found, search),
            next => search.tell(run(next)),
        }
    }
    panic!("a search ends: {:?}", search.points());
}

fn search_of(run: impl FnMut(Next) -> Point) -> (Found, Search) {
    search(1_000.0, run)
}

fn rate_of(next: Next) -> f64 {
    match next {
        Next::Probe { rate } | Next::Hold { rate, .. } => rate,
        Next::Done(_) => unreachable!(),
    }
}

#[test]
fn a_saturation_is_found_to_three_percent_from_any_start_and_held_three_times() {
    for takes in [15.0, 700.0, 48_000.0, 490_000.0] {
        for start in [10.0, 1_000.0, 2_000_000.0] {
            let mut holds = 0;
            let (found, search) = search(start, |next| {
                holds += u32::from(matches!(next, Next::Hold { .. }));
                point(rate_of(next), takes, f64::MAX)
            });
            let Found::Saturation(rate) = found else { panic!("{takes} from {start}: {found:?}") };
            assert!(rate <= takes && takes <= 1.03 * rate, "{takes} from {start}: {rate}");
            assert_eq!(holds, 3);
            assert!(search.points().len() < 40, "{} looks", search.points().len());
        }
    }
}

#[test]
fn a_rate_that_does_not_hold_for_long_is_lowered_and_held_from_the_beginning() {
    let mut holds = Vec::new();
    // For long, the network takes a tenth less.
    let (found, _) = search(1_000.0, |next| {
        let takes = match next {
            Next::Hold { number, rate } => {
                holds.push((number, rate <= 9_000.0));
                9_000.0
            }
            _ => 10_000.0,
        };
        point(rate_of(next), takes, f64::MAX)
    });
    let Found::Saturation(rate) = found else { panic!("{found:?}") };
    assert!((8_700.0..=9_000.0).contains(&rate), "{rate}");
    assert_eq!(holds[holds.len() - 3..], [(1, true), (2, true), (3, true)]);
    assert!(
        holds[..holds.len() - 3].iter().all(|(number, held)| (*number, *held) == (1, false)),
        "{holds:?}"
    );
    // The third time counts as much as the first.
    let mut numbers = Vec::new();
    let (found, _) = search(1_000.0, |next| {
        let Next::Hold { number, rate } = next else { return point(rate_of(next), 10_000.0, f64::MAX) };
        numbers.push(number);
        point(rate, if numbers.len() == 3 { 1.0 } else { 10_000.0 }, f64::MAX)
    });
    assert!(matches!(found, Found::Saturation(_)), "{found:?}");
    assert_eq!(numbers, [1, 2, 3, 1, 2, 3]);
}

#[test]
fn what_the_generator_could_not_offer_is_no_saturation() {
    let (found, _) = search(1_000.0, |next| point(rate_of(next), 1e9, 40_000.0));
    let Found::AtLeast(rate) = found else { panic!("{found:?}") };
    assert!((38_000.0..=40_000.0).contains(&rate), "{rate}");
}

#[test]
fn a_disturbed_run_is_run_again_and_says_nothing() {
    let mut runs = 0;
    let (found, search) = search(1_000.0, |next| {
        runs += 1;
        // Every third one, whatever else it would show.
        let is_disturbed = runs % 3 == 0;
        Point { is_disturbed, ..point(rate_of(next), if is_disturbed { 0.0 } else { 10_000.0 }, f64::MAX) }
    });
    let Found::Saturation(rate) = found else { panic!("{found:?}") };
    assert!((9_700.0..=10_000.0).contains(&rate), "{rate}");
    assert!(search.points().iter().any(|point| point.is_disturbed));
    let (found, search) =
        search_of(|next| Point { is_disturbed: true, ..point(rate_of(next), 1e9, f64::MAX) });
    assert_eq!((found, search.points().len()), (Found::Unsteady, 4));
}

#[test]
fn a_report_becomes_a_point() {
    let rules = |rule| Validity {
        rules: vec![Judged { rule, finding: Finding::Fails, measured: None, bar: None, says: String::new() }],
        ..Validity::default()
    };
    let of = |rule| {
        let report = BenchReport {
            offered: 1_000,
            accepted: 999,
            failed: [("insufficient balance".to_owned(), 9)].into(),
            seconds: vec![SecondRow::default(); 7],
            validity: rules(rule),
            ..BenchReport::default()
        };
        Point::of(100.0, &report)
    };
    assert_eq!((of(Rule::FileSystem).committed_share, of(Rule::FileSystem).seconds), (0.99, 7));
    let flags = |rule| (of(rule).generator_is_the_limit, of(rule).is_pushed_back, of(rule).is_disturbed);
    assert_eq!(flags(Rule::FileSystem), (false, false, false));
    assert_eq!(flags(Rule::Steal), (false, false, true));
    assert_eq!(flags(Rule::Ceiling), (true, false, false));
    for rule in [Rule::LateSends, Rule::Offered] {
        assert_eq!(flags(rule), (false, true, false), "{rule:?}: the generator was in time");
    }
    let late = BenchReport {
        generator: GeneratorFigures { late_share: 0.011, ..GeneratorFigures::default() },
        validity: rules(Rule::LateSends),
        ..BenchReport::default()
    };
    let point = Point::of(100.0, &late);
    assert!(point.generator_is_the_limit && !point.is_pushed_back);
    assert!(Point::of(100.0, &BenchReport { contested: 1, ..BenchReport::default() }).is_disturbed);
}

#[test]
fn a_rate_that_has_no_room_bounds_the_search_and_is_the_generators_limit() {
    let mut search = Search::new(Goal::default(), 1_000.0);
    for _ in 0..200 {
        let rate = match search.next() {
            Next::Done(found) => {
                let Found::AtLeast(rate) = found else { panic!("{found:?}") };
                assert!((19_400.0..=20_000.0).contains(&rate), "{rate}");
                return;
            }
            next => rate_of(next),
        };
        match rate > 20_000.0 {
            true => search.cannot_offer(),
            false => search.tell(point(rate, 1e9, f64::MAX)),
        }
    }
    panic!("a search ends");
}

#[test]
fn a_network_that_holds_nothing_and_one_that_holds_nothing_for_long_are_said_to_be_so() {
    let (found, _) = search(1_000.0, |next| point(rate_of(next), 0.0, f64::MAX));
    assert!(matches!(found, Found::Below(rate) if rate < 20.0), "{found:?}");
    let (found, _) = search(1_000.0, |next| {
        let takes = if matches!(next, Next::Hold { .. }) { 0.0 } else { 10_000.0 };
        point(rate_of(next), takes, f64::MAX)
    });
    assert_eq!(found, Found::Unsteady);
}

#[test]
fn each_rule_is_broken_just_beyond_its_bound_and_not_at_it() {
    let (goal, good) = (Goal::default(), point(1_000.0, 1e9, f64::MAX));
    assert_eq!(good.broken(&goal), []);
    type Spoil = fn(&mut Point, f64);
    // At the bound, and beyond it.
    let rules: [(Broken, Spoil, f64, f64); 4] = [
        (Broken::NotOffered, |point, to| point.offered = to, 990.0, 989.9),
        (Broken::NotCommitted, |point, to| point.committed_share = to, 0.999, 0.998_999),
        (Broken::TooSlow, |point, to| point.latency_us.p99 = to as u64, 500_000.0, 500_001.0),
        (Broken::BacklogGrows, |point, to| point.backlog_growth = to, 5.0, 5.001),
    ];
    for (rule, spoil, at, beyond) in rules {
        let with = |value| {
            let mut point = good.clone();
            spoil(&mut point, value);
            point.broken(&goal)
        };
        assert_eq!(with(at), [], "{rule}");
        assert_eq!(with(beyond), [rule]);
    }
    let late = Point { generator_is_the_limit: true, ..good.clone() };
    assert_eq!(late.broken(&goal), [Broken::NotOffered]);
    assert_eq!(Point { is_disturbed: true, ..good.clone() }.broken(&goal), [Broken::Disturbed]);
    assert_eq!(Point { is_pushed_back: true, ..good.clone() }.broken(&goal), [Broken::PushedBack]);
    // In so few seconds a slope is chance.
    assert_eq!(Point { seconds: 29, backlog_growth: 900.0, ..good }.broken(&goal), []);
}

#[test]
fn work_that_waits_grows_where_less_comes_back_than_goes_out() {
    let rows = |back: fn(u64) -> u64| -> Vec<SecondRow> {
        let row = |second| SecondRow { offered: 1_000, committed: back(second), ..SecondRow::default() };
        (0..30).map(row).collect()
    };
    assert!((backlog_growth(&rows(|_| 980)) - 20.0).abs() < 1e-9);
    assert!(backlog_growth(&rows(|_| 1_000)).abs() < 1e-9);
    // One that comes and goes is none.
    assert!(backlog_growth(&rows(|second| if second % 2 == 0 { 900 } else { 1_100 })).abs() < 5.0);
    assert_eq!(backlog_growth(&rows(|_| 0)[..3]), 0.0);
    let mut ended = rows(|_| 0);
    for row in &mut ended {
        (row.failed, row.rejected, row.timed_out) = (500, 300, 200);
    }
    assert!(backlog_growth(&ended).abs() < 1e-9, "what has ended does not wait");
}
