//! Validators that forgot their votes, and those that have none.

use super::{
    cluster::{Cluster, simulate},
    validator::MemoryStore,
};
use crate::Replay;

/// The highest view that a quorum of validators but 3 names.
fn view_of_the_others(cluster: &Cluster) -> u64 {
    (0..3).map(|validator| cluster.running[&validator].handle.view()).max().unwrap()
}

#[test]
fn a_validator_that_forgot_its_votes_comes_back_from_a_floor() {
    simulate(4, async |cluster| {
        cluster.start_all();
        cluster.wait_past(10).await;
        cluster.crash(3);
        cluster.stores[3] = MemoryStore::new(cluster.pace.clone());
        assert!(cluster.stores[3].crash().is_empty() && Replay::new().is_empty());
        let safe = view_of_the_others(cluster) + 2;
        cluster.wait(0, "a floor", |seen| seen.last() >= safe).await;
        let floor = cluster.application(0).lock().finalized.values().next_back().unwrap().clone();

        cluster.network.forget_votes(3);
        cluster.config.floor = Some(floor.clone());
        cluster.start(3);
        assert!(cluster.running[&3].handle.view() > floor.view());
        cluster.wait(3, "the floor", |seen| seen.finalized.values().next() == Some(&floor)).await;
        // Without validator 0 nothing is finalized any more unless 3 votes.
        cluster.crash(0);
        cluster.wait_past(cluster.last(1) + 5).await;
        assert!(cluster.network.lowest_vote(3).is_some_and(|lowest| lowest > floor.view()));

        // The floor is in the records: the next start need not name it.
        cluster.config.floor = None;
        cluster.crash(3);
        assert!(cluster.stores[3].crash().highest_view() > floor.view());
        cluster.start(3);
        cluster.wait_past(cluster.last(1) + 5).await;
        assert!(cluster.network.lowest_vote(3).is_some_and(|lowest| lowest > floor.view()));
        cluster.assert_agreement();
    });
}

#[test]
fn a_floor_below_what_the_records_know_is_ignored() {
    simulate(4, async |cluster| {
        cluster.start_all();
        cluster.wait_past(10).await;
        let low = cluster.application(0).lock().finalized.values().next().unwrap().clone();
        cluster.crash(3);
        cluster.config.floor = Some(low);
        cluster.start(3);
        cluster.wait_past(cluster.last(0) + 10).await;
        cluster.assert_agreement();
    });
}

#[test]
fn the_records_tell_how_far_a_validator_has_voted() {
    simulate(4, async |cluster| {
        cluster.start_all();
        cluster.wait_past(7).await;
        let view = cluster.running[&2].handle.view();
        cluster.crash(2);
        let replay = cluster.stores[2].crash();
        assert!(!replay.is_empty());
        // The view just entered may have no record yet, but a vote in it would be one.
        assert!(replay.highest_view() == view || replay.highest_view() + 1 == view);
        let voted = (1..=view).rev().find(|view| cluster.network.votes(2, *view) != Default::default());
        assert!(voted.is_some_and(|voted| replay.highest_view() >= voted));
        let highest = replay.highest_view();
        cluster.start(2);
        assert!(cluster.running[&2].handle.view() >= highest, "known before the records are read");
    });
}

#[test]
fn a_follower_signs_nothing_and_sees_everything() {
    simulate(4, async |cluster| {
        for validator in 0..3 {
            cluster.start(validator);
        }
        cluster.config.votes = false;
        cluster.start(3);
        cluster.wait_past(10).await;
        assert_eq!(cluster.network.lowest_vote(3), None);
        let seen = cluster.application(3).lock();
        assert!(seen.proposed.is_empty() && !seen.certified.is_empty());
        drop(seen);
        cluster.assert_agreement();
    });
}
