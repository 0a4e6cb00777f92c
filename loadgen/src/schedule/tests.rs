use super::Schedule;

fn drain(schedule: &mut Schedule, now_us: u64) -> Vec<u64> {
    std::iter::from_fn(|| schedule.pop_due(now_us)).collect()
}

#[test]
fn a_constant_rate_keeps_its_spacing_without_drift() {
    // 3 a second does not divide a second into whole microseconds: the fraction must be carried.
    let mut schedule = Schedule::new(0, 3.0);
    let due = drain(&mut schedule, 1_000_000_001);
    assert_eq!(due.len(), 3_001);
    assert_eq!(due[1], 333_333);
    assert!(due[3_000].abs_diff(1_000_000_000) <= 1);
}

#[test]
fn a_late_caller_gets_everything_that_was_due_with_its_original_times() {
    let mut schedule = Schedule::new(500, 1_000.0);
    assert!(drain(&mut schedule, 499).is_empty());
    let late = drain(&mut schedule, 500 + 10_000);
    assert_eq!(late, (0..=10).map(|k| 500 + k * 1_000).collect::<Vec<_>>());
}

#[test]
fn a_change_of_rate_touches_only_the_future() {
    let mut schedule = Schedule::new(0, 1_000.0);
    assert_eq!(drain(&mut schedule, 2_000), vec![0, 1_000, 2_000]);
    schedule.set_rate(10_000.0, 2_000);
    assert_eq!(drain(&mut schedule, 2_300), vec![2_100, 2_200, 2_300]);
}

#[test]
fn leaving_a_very_low_rate_does_not_wait_out_its_gap() {
    let mut schedule = Schedule::new(0, 0.1);
    assert_eq!(drain(&mut schedule, 0), vec![0]);
    schedule.set_rate(1_000.0, 5_000);
    assert_eq!(drain(&mut schedule, 7_000), vec![6_000, 7_000]);
}
