use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn judge(gate: &mut Gate, living: bool, seconds: u64) -> Verdict {
    gate.judge(living, at(seconds))
}

#[test]
fn two_processes_do_not_replace_each_other_endlessly() {
    let mut gate = Gate::default();
    assert_eq!(judge(&mut gate, false, 0), Verdict::Admit);
    for _ in 0..REPLACED_MAX {
        assert_eq!(judge(&mut gate, true, 1), Verdict::Admit);
    }
    assert_eq!(judge(&mut gate, true, 1), Verdict::Duplicate { first: true });
    // As long as the second process keeps trying, the first is kept, and it is said once.
    for minute in 1..100 {
        assert_eq!(judge(&mut gate, true, 60 * minute), Verdict::Duplicate { first: false });
    }
    // The first process ends.
    assert_eq!(judge(&mut gate, false, 6_000), Verdict::Admit);
    assert_eq!(judge(&mut gate, true, 6_001), Verdict::Admit);
}

#[test]
fn a_peer_that_restarts_now_and_then_replaces_its_old_connection() {
    let mut gate = Gate::default();
    for time in 0..100 {
        assert_eq!(judge(&mut gate, true, 11 * time), Verdict::Admit);
    }
}

#[test]
fn a_duplicate_that_gives_up_is_forgotten() {
    let mut gate = Gate::default();
    while judge(&mut gate, true, 0) == Verdict::Admit {}
    assert_eq!(judge(&mut gate, true, QUIET_FOR.as_secs()), Verdict::Admit);
}

#[test]
fn an_excluded_peer_is_refused_in_words_until_its_time_is_over() {
    let mut gate = Gate::default();
    gate.exclude(at(10), "it lied");
    for living in [false, true] {
        assert_eq!(judge(&mut gate, living, 9), Verdict::Excluded("it lied".to_owned()));
    }
    assert_eq!(judge(&mut gate, false, 10), Verdict::Admit);
    assert_eq!(gate.excluded(at(9)), None, "what is over is forgotten");
}

#[test]
fn a_refused_caller_waits_twice_as_long_each_time() {
    let pauses: Vec<u64> = (1..=8).map(|times| refused_pause(times).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(refused_pause(u32::MAX), REFUSED_PAUSE_MAX);
}
