//! kill -9, as a power cut would: of one validator under load, and of all at once.

use crate::stage::{Stage, verdicts, wait};
use engine::types::Verdict;
use loadgen::Start;
use loadgen::progress::Silent;
use std::time::Duration;

/// Milliseconds after the start of the load; another one in each run.
fn a_moment() -> Duration {
    let mut random = [0; 2];
    getrandom::fill(&mut random).unwrap();
    Duration::from_millis(500 + u64::from(u16::from_le_bytes(random)) % 2_500)
}

#[test]
fn one_of_four_dies_under_load_and_comes_back() {
    let mut stage = Stage::up(4, 400);
    let plan = stage.plan(&[0, 1, 2], 300.0, 6, Start::Fresh);
    let moment = a_moment();
    let load = std::thread::spawn(move || loadgen::run(&plan, &mut Silent).unwrap());
    std::thread::sleep(moment);
    stage.kill(3);
    let killed_at = stage.height(0);
    std::thread::sleep(Duration::from_secs(1));
    stage.spawn(3);
    let outcome = load.join().unwrap();
    assert_eq!(outcome.lost, [], "killed after {moment:?}");
    assert_eq!(outcome.tally().timed_out, 0, "killed after {moment:?}");
    assert!(outcome.tally().committed > 0);

    stage.ready();
    let goal = stage.height(0);
    assert!(goal > killed_at, "the others went on");
    stage.wait_height(3, goal);

    // It takes part again: with another one gone, a quorum needs it.
    stage.kill(0);
    let through = stage.load(&[3], 100.0, 2, Start::Resume);
    assert!(through.tally().committed > 0 && through.tally().timed_out == 0, "{:?}", through.tally());
    stage.spawn(0);
    stage.ready();
    stage.settle();
    stage.stop_all();
    stage.audit(&[&outcome, &through]);
}

#[test]
fn all_four_die_at_once_and_nothing_acknowledged_is_missing() {
    let mut stage = Stage::up(4, 400);
    let plan = stage.plan(&[0, 1, 2, 3], 400.0, 5, Start::Fresh);
    let moment = a_moment();
    let load = std::thread::spawn(move || loadgen::run(&plan, &mut Silent).unwrap());
    std::thread::sleep(moment);
    (0..4).for_each(|index| stage.kill(index));
    let outcome = load.join().unwrap();
    assert_eq!(outcome.lost.len(), 4, "killed after {moment:?}");

    (0..4).for_each(|index| stage.spawn(index));
    stage.ready();
    // The network lives: new transfers are committed.
    let mut client = stage.client(1);
    let packet = stage.transfer(1, 60);
    assert_eq!(verdicts(&mut client, &[packet]), [Verdict::Committed], "killed after {moment:?}");
    stage.settle();
    stage.stop_all();
    stage.audit(&[&outcome]);
}

#[test]
fn a_validator_that_was_away_for_long_catches_up_by_blocks() {
    let mut stage = Stage::up(4, 400);
    stage.stop(2);
    let outcome = stage.load(&[0, 1, 3], 300.0, 5, Start::Fresh);
    let goal = stage.height(0);
    stage.spawn(2);
    stage.ready();
    stage.wait_height(2, goal);
    stage.stop_all();
    stage.audit(&[&outcome]);
}

#[test]
fn a_network_of_one_recovers_too() {
    let mut stage = Stage::up(1, 100);
    let outcome = stage.load(&[0], 200.0, 2, Start::Fresh);
    stage.kill(0);
    stage.spawn(0);
    stage.ready();
    let again = stage.load(&[0], 200.0, 1, Start::Resume);
    wait("a height", || stage.height(0) > 0);
    stage.stop_all();
    stage.audit(&[&outcome, &again]);
}
