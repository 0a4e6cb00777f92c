use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn one_line_an_interval_tells_how_many_were_held_back() {
    let mut limit = LogLimit::new(MINUTE, 4);
    assert_eq!(limit.admit("a", at(0)), Some(0));
    for second in 1..60 {
        assert_eq!(limit.admit("a", at(second)), None);
    }
    assert_eq!(limit.admit("a", at(60)), Some(59));
    assert_eq!(limit.admit("a", at(61)), None);
    assert_eq!(limit.admit("a", at(600)), Some(1));
}

#[test]
fn offenders_do_not_silence_each_other() {
    let mut limit = LogLimit::new(MINUTE, 4);
    assert_eq!(limit.admit("a", at(0)), Some(0));
    assert_eq!(limit.admit("a", at(1)), None);
    assert_eq!(limit.admit("b", at(1)), Some(0));
}

#[test]
fn a_million_offenders_write_no_more_than_the_limit() {
    let mut limit = LogLimit::new(MINUTE, 16);
    for minute in 0..10u64 {
        let lines =
            (0..100_000).filter(|offender| limit.admit((minute, *offender), at(60 * minute)).is_some());
        assert_eq!(lines.count(), 17, "minute {minute}");
    }
}

#[test]
fn a_clock_that_goes_back_holds_lines_back_and_nothing_worse() {
    let mut limit = LogLimit::new(MINUTE, 1);
    assert_eq!(limit.admit("a", at(100)), Some(0));
    assert_eq!(limit.admit("a", at(1)), None);
    assert_eq!(limit.admit("a", at(160)), Some(1));
}
