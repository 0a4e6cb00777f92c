//! Validators that fetch a state, because nobody keeps the blocks any more that they need.

use std::fs;

use crate::recovery::{store, with_checkpoints};
use crate::testbed::{Testbed, wait};
use loadgen::Start;
use loadgen::outcome::LoadOutcome;

/// The first height that a validator keeps, if it answers.
fn kept_from(testbed: &Testbed, index: usize) -> Option<u64> {
    Some(testbed.try_client(index)?.status().ok()?.value.kept_from.0)
}

fn committed(testbed: &Testbed, index: usize) -> Option<u64> {
    Some(testbed.try_client(index)?.status().ok()?.as_of.height.0)
}

fn said(testbed: &Testbed, index: usize) -> String {
    fs::read_to_string(testbed.network.members[index].log_file()).unwrap()
}

/// Load on some until none of them keeps a height.
fn until_pruned_above(testbed: &Testbed, of: &[usize], height: u64, told: &mut Vec<LoadOutcome>) {
    while of.iter().any(|index| kept_from(testbed, *index).unwrap() <= height + 1) {
        let start = if told.is_empty() { Start::Fresh } else { Start::Resume };
        told.push(testbed.load(of, 1_000.0, 3, start));
    }
}

/// One that was away, is killed while it fetches, and comes back; then one that has lost its disk, under load.
#[test]
fn where_nobody_keeps_the_blocks_a_state_is_fetched() {
    let mut testbed = with_checkpoints(4_000, 64);
    let members = testbed.network.members.clone();
    members.iter().for_each(|member| store(member, "segment_mib = 4\nkeep_heights = 1100"));
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    let mut told = vec![testbed.load(&[0, 1, 2, 3], 300.0, 2, Start::Fresh)];
    testbed.settle();
    testbed.stop(3);
    let left_at = testbed.height(0);
    until_pruned_above(&testbed, &[0, 1, 2], left_at, &mut told);
    testbed.spawn(3);
    wait("it fetches a state", || said(&testbed, 3).contains("it fetches the state of a later height"));
    testbed.kill(3);
    testbed.spawn(3);
    let goal = testbed.height(0);
    wait("it has caught up", || committed(&testbed, 3) >= Some(goal));
    assert!(kept_from(&testbed, 3).unwrap() > left_at + 1, "what was committed meanwhile is not there");
    assert!(said(&testbed, 3).contains("going on from a state that was fetched"));
    // It takes part again: with another one gone, a quorum needs it.
    testbed.kill(0);
    told.push(testbed.load(&[3], 100.0, 2, Start::Resume));
    assert!(told.last().unwrap().tally().applied() > 0, "{:?}", told.last().unwrap().tally());
    testbed.spawn(0);
    testbed.ready();

    // The disk of another one is lost, and it comes back under load.
    testbed.kill(2);
    fs::remove_dir_all(members[2].data()).unwrap();
    until_pruned_above(&testbed, &[0, 1, 3], 2, &mut told);
    let plan = testbed.plan(&[0, 1, 3], 300.0, 30, Start::Resume);
    let load = std::thread::spawn(move || loadgen::run(&plan, &mut loadgen::progress::Silent).unwrap());
    testbed.spawn(2);
    let goal = testbed.height(0);
    wait("the one without a disk has caught up", || committed(&testbed, 2) >= Some(goal));
    let outcome = load.join().unwrap();
    assert_eq!(outcome.lost, []);
    assert_eq!(outcome.tally().timed_out, 0, "{:?}", outcome.tally());
    told.push(outcome);
    // Once something is final above every view that it may have voted in, it votes again.
    wait("it votes again", || said(&testbed, 2).contains("taking part in consensus again"));
    testbed.kill(1);
    told.push(testbed.load(&[2], 100.0, 2, Start::Resume));
    assert!(told.last().unwrap().tally().applied() > 0, "{:?}", told.last().unwrap().tally());
    testbed.spawn(1);
    testbed.ready();
    testbed.settle();
    testbed.all_alive();
    testbed.stop_all();
    let from = testbed.audit(&told.iter().collect::<Vec<_>>());
    assert!(from.iter().all(|from| from.0 > 0), "{from:?}");
}
