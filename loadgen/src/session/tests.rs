use super::{Session, SessionConfig};
use crate::schedule::Schedule;
use engine::types::{Outcome, Refusal, Verdict};

const SECOND: u64 = 1_000_000;

fn session(lanes: usize, per_lane: u64, timeout_us: u64) -> Session {
    let mut session = Session::new(SessionConfig { lanes, timeout_us, busy_retry_us: None });
    session.add_ready(per_lane);
    session
}

#[test]
fn due_packets_are_dealt_to_the_lanes_in_turn_and_leave_in_runs() {
    let mut session = session(3, 100, SECOND);
    let mut schedule = Schedule::new(0, 1_000.0);
    session.schedule(&mut schedule, 9_500); // numbers 0..=9
    assert_eq!(session.take_due(0, 100), 0..4);
    assert_eq!(session.take_due(1, 2), 0..2);
    assert_eq!(session.take_due(1, 2), 2..3);
    assert_eq!(session.take_due(2, 100), 0..3);
    assert_eq!(session.take_due(2, 100), 3..3);
    session.schedule(&mut schedule, 12_500);
    assert_eq!(session.take_due(0, 100), 4..5);
    assert_eq!(session.in_flight(), 13);
}

#[test]
fn a_stalled_server_is_felt_by_everything_that_was_due_during_the_stall() {
    // 1,000 a second for 4 seconds; the server says nothing for the first two, then answers at once.
    let mut session = session(1, 10_000, 10 * SECOND);
    session.open_window(0, 4);
    let mut schedule = Schedule::new(0, 1_000.0);
    let mut held = Vec::new();
    for now in (0..4 * SECOND).step_by(1_000) {
        session.schedule(&mut schedule, now);
        held.extend(session.take_due(0, u64::MAX));
        if now >= 2 * SECOND {
            for tag in held.drain(..) {
                session.notice(0, tag, Verdict::Committed, now);
            }
        }
    }
    session.close();
    let window = session.window().unwrap();
    assert_eq!(window.tally.offered, 4_000);
    assert_eq!(window.tally.committed, 4_000);
    let latency = window.latency_us();
    // Half of all clients met the stall; their latencies fall evenly from two seconds to none.
    assert!(latency.max() >= 2 * SECOND - 5_000);
    let quarter = latency.value_at_quantile(0.75);
    assert!((950_000..1_050_000).contains(&quarter), "a quarter waited longer than a second: {quarter}");
    assert!(latency.value_at_quantile(0.45) < 5_000);
    let rows = session.seconds();
    assert_eq!(rows.iter().map(|r| r.committed).collect::<Vec<_>>(), [0, 0, 3_000, 1_000]);
    assert!(rows.iter().all(|r| r.offered == 1_000));
    // What waits is seen before the last millisecond's are added.
    let waiting: Vec<_> = rows.iter().map(|r| r.waiting.unwrap()).collect();
    assert!(
        waiting[0].abs_diff(1_000) < 3 && waiting[1].abs_diff(2_000) < 3 && waiting[2..] == [0, 0],
        "{waiting:?}"
    );
    assert!((450_000..550_000).contains(&rows[2].latency_us_p50), "{rows:?}");
}

#[test]
fn every_offered_transaction_is_accepted_rejected_or_timed_out() {
    let mut session = session(4, 1_000, SECOND);
    let mut schedule = Schedule::new(0, 1_000.0);
    session.schedule(&mut schedule, 999_999);
    session.open_window(SECOND, 2);
    session.schedule(&mut schedule, 2_999_999);
    for lane in 0..4 {
        for tag in session.take_due(lane, u64::MAX) {
            let now = tag * 4_000 + 150_000;
            match tag % 5 {
                0 => session.notice(lane, tag, Verdict::Committed, now),
                1 => session.notice(lane, tag, Verdict::Refused(Refusal::Busy), now),
                2 => session.notice(lane, tag, Verdict::Failed(Outcome::InsufficientBalance), now),
                3 => session.notice(lane, tag, Verdict::Refused(Refusal::BadSignature), now),
                _ => {}
            }
        }
    }
    session.expire(10 * SECOND);
    session.close();
    let tally = session.window().unwrap().tally.clone();
    assert_eq!(tally.offered, 2_000);
    assert_eq!((tally.accepted, tally.rejected_total(), tally.timed_out), (800, 800, 400));
    assert_eq!(tally.failed, [(Outcome::InsufficientBalance, 400)]);
    assert_eq!(tally.rejected, [(Refusal::Busy, 400), (Refusal::BadSignature, 400)]);
    assert_eq!(session.in_flight(), 0);
    // By arrival: sent 150 ms before the start counts as committed inside, sent 150 ms before the end does not.
    assert_eq!(tally.committed, 400);
    // Three of five never committed: the median client waited until the time-out.
    let latency = session.window().unwrap().latency_us();
    assert_eq!(latency.len(), 2_000);
    assert!(latency.value_at_quantile(0.5) >= SECOND * 999 / 1_000);
    assert!(latency.value_at_quantile(0.19) < 151_000);
    let rows = session.seconds();
    assert_eq!(rows.iter().map(|r| r.offered).sum::<u64>(), 2_000);
}

#[test]
fn what_times_out_counts_as_failed_even_if_the_commit_comes_later() {
    let mut session = session(1, 10, SECOND);
    session.open_window(0, 5);
    session.schedule(&mut Schedule::new(0, 1_000.0), 1_500); // 0 and 1
    assert_eq!(session.take_due(0, 10), 0..2);
    session.notice(0, 0, Verdict::Committed, 2_000);
    session.expire(SECOND + 999);
    assert_eq!(session.in_flight(), 1, "due at 1 ms: one more microsecond to go");
    session.expire(SECOND + 1_000);
    assert_eq!(session.in_flight(), 0);
    session.notice(0, 1, Verdict::Committed, SECOND + 2_000);
    let tally = &session.window().unwrap().tally;
    assert_eq!((tally.accepted, tally.timed_out, tally.committed), (1, 1, 1));
    assert_eq!(session.late_commits(), 1);
    // The audit must still hold the network to what it said.
    assert!(session.acknowledged(0, 1));
    assert_eq!(session.acknowledgements().collect::<Vec<_>>(), [(0, 0), (0, 1)]);
}

#[test]
fn a_packet_that_timed_out_before_it_could_leave_is_not_sent_any_more() {
    let mut session = session(2, 10, 1_000);
    session.schedule(&mut Schedule::new(0, 1_000.0), 5_000); // 0..=5, three in each lane
    session.expire(3_500); // due at 0, 1 and 2 ms
    assert_eq!(session.take_due(0, 10), 2..3);
    assert_eq!(session.take_due(1, 10), 1..3);
}

#[test]
fn notices_that_make_no_sense_are_counted_and_change_nothing() {
    let mut session = session(2, 10, SECOND);
    session.open_window(0, 1);
    session.schedule(&mut Schedule::new(0, 1_000.0), 3_000);
    session.take_due(0, 1);
    session.notice(0, 1, Verdict::Committed, 10); // not sent yet
    session.notice(0, u64::MAX, Verdict::Committed, 10); // never signed
    session.notice(7, 0, Verdict::Committed, 10); // no such connection
    session.notice(0, 0, Verdict::Committed, 10);
    session.notice(0, 0, Verdict::Committed, 11); // a second time
    session.notice(0, 0, Verdict::Refused(Refusal::Busy), 12); // and a change of mind
    assert_eq!(session.strange_notices(), 5);
    assert_eq!(session.window().unwrap().tally.committed, 1);
    assert_eq!(session.window().unwrap().tally.rejected_total(), 0);
}

#[test]
fn refused_for_want_of_room_is_offered_again_with_its_first_intended_time() {
    let config = SessionConfig { lanes: 1, timeout_us: SECOND, busy_retry_us: Some(50_000) };
    let mut session = Session::new(config);
    session.add_ready(100);
    session.open_window(0, 1);
    session.schedule(&mut Schedule::new(0, 1_000.0), 9_000);
    assert_eq!(session.take_due(0, 100), 0..10);
    for tag in [2, 3, 4, 8] {
        session.notice(0, tag, Verdict::Refused(Refusal::Busy), 20_000);
    }
    assert_eq!(session.take_retry(69_999), None);
    assert_eq!(session.take_retry(70_000), Some((0, 2..5)));
    assert_eq!(session.take_retry(70_000), Some((0, 8..9)));
    assert_eq!(session.take_retry(70_000), None);
    session.notice(0, 3, Verdict::Committed, 100_000);
    assert_eq!(session.busy_retries(), 4);
    let window = session.window().unwrap();
    assert_eq!((window.tally.accepted, window.tally.rejected_total()), (1, 0));
    assert!(window.latency_us().max() >= 96_900, "from 3 ms, not from the second attempt");
    session.expire(2 * SECOND);
    assert_eq!(session.take_retry(3 * SECOND), None, "given up is given up");
}

#[test]
fn running_out_of_signed_packets_shows() {
    let mut session = session(2, 5, SECOND);
    let mut schedule = Schedule::new(0, 1_000.0);
    session.schedule(&mut schedule, 9_000);
    assert!(!session.starved());
    assert_eq!(session.unscheduled(), 0);
    session.schedule(&mut schedule, 10_000);
    assert!(session.starved());
    session.add_ready(5);
    assert!(!session.starved());
    assert_eq!(session.unscheduled(), 10);
}

#[test]
fn the_interval_for_the_controller_has_the_median_of_the_commits() {
    let mut session = session(1, 100, SECOND);
    session.schedule(&mut Schedule::new(0, 1e6), 20);
    session.take_due(0, 100);
    assert_eq!(session.take_interval(1).delay_us, None);
    for (tag, delay) in [(0, 10_000), (1, 20_000), (2, 90_000), (3, 30_000), (4, 200_000)] {
        session.notice(0, tag, Verdict::Committed, delay + tag);
    }
    session.notice(0, 5, Verdict::Refused(Refusal::Busy), 100);
    session.notice(0, 6, Verdict::Refused(Refusal::Replayed), 100);
    let seen = session.take_interval(200_000);
    assert_eq!((seen.answered, seen.busy, seen.length_us), (6, 1, 200_000));
    assert_eq!(seen.delay_us, Some(30_500));
    assert_eq!(session.take_interval(200_000).answered, 0);
}

#[test]
fn a_lane_that_is_there_again_is_offered_what_has_no_verdict_in_order() {
    let mut session = session(2, 100, SECOND);
    session.open_window(0, 10);
    session.schedule(&mut Schedule::new(0, 20.0), 450_000); // numbers 0..=9: five in each lane
    assert_eq!(session.take_due(1, 3), 0..3);
    session.notice(1, 1, Verdict::Committed, 100_000);
    // The rest of the lane waits in vain until it is given up.
    session.expire(3 * SECOND);
    session.schedule(&mut Schedule::new(3 * SECOND, 20.0), 3 * SECOND + 60_000); // one more in each lane
    assert_eq!(session.resume(1), [0..1, 2..5], "also what was given up: its nonces would be missing");
    assert_eq!(session.take_due(1, 9), 5..6, "and then what has come meanwhile");
    // What is heard of it late is a commit for the audit, and a time-out in the figures.
    session.notice(1, 0, Verdict::Committed, 4 * SECOND);
    assert_eq!((session.late_commits(), session.strange_notices()), (1, 0));
    assert!(session.acknowledged(1, 0));
}

#[test]
fn what_still_waits_from_the_connection_before_is_asked_for_again_and_is_no_sign_of_others() {
    let pending = Verdict::Refused(Refusal::DuplicatePending);
    let mut session = session(1, 100, 100 * SECOND);
    session.open_window(0, 10);
    session.schedule(&mut Schedule::new(0, 10.0), 250_000);
    assert_eq!(session.take_due(0, 9), 0..3);
    session.notice(0, 2, pending, SECOND);
    assert_eq!(session.contested(), 1, "nobody has offered it before");
    assert_eq!(session.resume(0), vec![0..2]);
    session.notice(0, 0, pending, 2 * SECOND);
    assert_eq!(session.take_retry(2 * SECOND), None);
    assert_eq!(session.take_retry(3 * SECOND), Some((0, 0..1)));
    session.notice(0, 0, Verdict::Committed, 3 * SECOND);
    assert_eq!((session.contested(), session.in_flight()), (1, 1));
    // The validator has executed it, but has no room yet to look up how.
    for refusal in [Refusal::Replayed, Refusal::Expired] {
        session.notice(0, 1, Verdict::Refused(refusal), 3 * SECOND);
        assert_eq!(session.take_retry(4 * SECOND), Some((0, 1..2)));
    }
    session.notice(0, 1, Verdict::Committed, 4 * SECOND);
    assert_eq!((session.contested(), session.in_flight()), (1, 0));
    assert!(session.acknowledged(0, 1));
}

#[test]
fn a_window_that_ends_early_counts_what_it_had() {
    for (withdrawn, offered, timed_out) in [(true, 10, 0), (false, 30, 20)] {
        let mut session = session(1, 100, 100 * SECOND);
        session.open_window(0, 600);
        session.schedule(&mut Schedule::new(0, 10.0), 3 * SECOND - 1); // 30 of them
        assert_eq!(session.take_due(0, 20), 0..20);
        (0..10).for_each(|tag| session.notice(0, tag, Verdict::Committed, SECOND));
        session.end_window(3 * SECOND - 1);
        match withdrawn {
            true => session.withdraw(),
            false => session.give_up(3 * SECOND - 1),
        }
        session.close();
        let window = session.window().unwrap();
        assert_eq!((window.seconds(), session.seconds().len(), session.in_flight()), (3, 3, 0));
        assert!((window.length() - 3.0).abs() < 1e-5, "{}", window.length());
        let tally = &window.tally;
        assert_eq!((tally.offered, tally.accepted, tally.timed_out), (offered, 10, timed_out));
    }
}

#[test]
fn a_send_is_late_from_its_intended_instant_and_one_that_never_left_is_late_too() {
    let mut session = session(2, 100, SECOND);
    let mut schedule = Schedule::new(0, 100.0);
    session.schedule(&mut schedule, SECOND - 1); // numbers 0..=99, one in 10 ms
    let warm_up = session.take_due(0, u64::MAX);
    session.open_window(SECOND, 1);
    // What was meant to leave before the window is not judged; that it left in the window is counted.
    session.left(0, warm_up, SECOND + 1);
    assert_eq!(session.window().unwrap().sends.left(), 50);
    session.schedule(&mut schedule, 2 * SECOND - 1); // numbers 100..=199
    let all = [0, 1].map(|lane| session.take_due(lane, u64::MAX));
    // Lane 1 takes nothing of the last window but its first ten.
    let from = |lane: usize, tag: u64| SECOND + (2 * tag + lane as u64 - 100) * 10_000;
    for tag in 50..100 {
        session.left(0, tag..tag + 1, from(0, tag) + 10_000 + u64::from(tag >= 90));
    }
    for tag in 50..59 {
        session.left(1, tag..tag + 1, from(1, tag));
    }
    session.left(1, 59..60, 2 * SECOND);
    assert_eq!((all[0].end, all[1].end), (100, 100));
    let window = session.window().unwrap();
    // In time: 40 of lane 0 at 10 ms, and 9 of lane 1. Ten are 1 us too late, one is much too late, 40 have never left.
    assert_eq!(window.tally.offered, 100);
    assert!((window.sends.late_share(window.tally.offered) - 0.51).abs() < 1e-9);
    assert_eq!(window.sends.left(), 50 + 50 + 9, "one left after the end");
    let delay = window.sends.delay();
    // Number 119 was meant to leave at 1.19 s.
    assert!((9_990..=10_010).contains(&delay.p50) && (809_000..=811_000).contains(&delay.max), "{delay:?}");
}
