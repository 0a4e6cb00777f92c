//! Engines that crash, stay away and come back.

use super::cluster::{Behaviour, Cluster, keys};
use crate::{ReplayError, StartError};

#[test]
fn a_crashed_validator_comes_back_and_takes_part() {
    let mut cluster = Cluster::started(4);
    cluster.wait_past(10);
    cluster.stop(3);
    let away = cluster.last(0);
    cluster.wait_past(away + 10);
    cluster.start(3);
    cluster.wait_past(cluster.last(0) + 10);
    // Without validator 0 nothing is finalized any more unless 3 votes.
    cluster.stop(0);
    cluster.wait_past(cluster.last(1) + 5);
    cluster.assert_agreement();
}

#[test]
fn all_crash_at_once_again_and_again() {
    let mut cluster = Cluster::started(4);
    for _ in 0..4 {
        let reached = cluster.last(0);
        cluster.wait_past(reached + 5);
        let highest = cluster.last(0);
        for validator in 0..4 {
            cluster.stop(validator);
        }
        for validator in 0..4 {
            cluster.start(validator);
        }
        cluster.wait_past(highest);
    }
    cluster.assert_agreement();
}

#[test]
fn a_validator_that_was_away_for_long_jumps_to_the_others() {
    let mut cluster = Cluster::new(4);
    cluster.config.views_kept = 8;
    for validator in 0..3 {
        cluster.start(validator);
    }
    cluster.wait_past(60);
    cluster.start(3);
    let joined = cluster.last(0);
    cluster.wait_past(joined + 20);
    cluster.stop(1);
    cluster.wait_past(cluster.last(0) + 5);
    cluster.assert_agreement();
    assert!(cluster.application(3).lock().finalized.keys().next().is_some_and(|first| *first > 8));
}

#[test]
fn the_store_stays_small_over_thousands_of_views() {
    let mut cluster = Cluster::new(1);
    cluster.config.compact_after_bytes = 64 << 10;
    cluster.config.views_kept = 16;
    cluster.start(0);
    cluster.wait_past(2000);
    let counters = cluster.running[&0].handle.counters();
    cluster.stop(0);
    let (held, held_max) = {
        let log = cluster.stores[0].lock();
        (log.records.values().map(Vec::len).sum::<usize>(), log.bytes_held_max)
    };
    assert!(counters.compactions > 5, "{counters:?}");
    assert!(counters.live_bytes < 32 << 10, "{counters:?}");
    assert!(counters.store_bytes > 10 * held_max as u64, "{counters:?}, at most {held_max} bytes held");
    assert!(held_max < 256 << 10, "{held_max} bytes held, {held} at the end");
    cluster.start(0);
    cluster.wait_past(2100);
    assert!(cluster.application(0).lock().finalized.keys().next().is_some_and(|first| *first > 1900));
    cluster.assert_agreement();
}

#[test]
fn the_records_of_another_validator_or_network_are_refused() {
    let mut cluster = Cluster::started(4);
    cluster.wait_past(2);
    cluster.stop(0);
    let replay = || cluster.stores[0].crash();
    let refused =
        |result: Result<_, StartError>| matches!(result, Err(StartError::Replay(ReplayError::Foreign)));
    assert!(refused(cluster.try_start(1, Behaviour::Honest, replay())));
    let mut other = Cluster::new(4);
    other.config.network = [9; 32];
    assert!(refused(other.try_start(0, Behaviour::Honest, replay())));
    let mut other = Cluster::new(4);
    other.config.validators = keys(5);
    other.config.validators.remove(3);
    assert!(refused(other.try_start(0, Behaviour::Honest, replay())));
}

#[test]
fn an_engine_starts_from_every_prefix_of_its_records() {
    let mut cluster = Cluster::new(1);
    cluster.config.compact_after_bytes = 4 << 10;
    cluster.config.views_kept = 2;
    cluster.start(0);
    cluster.wait_past(4);
    cluster.stop(0);
    let records = std::mem::take(&mut cluster.stores[0].lock().records);
    let positions: Vec<u64> = records.keys().copied().take(60).collect();
    for end in positions {
        {
            let mut log = cluster.stores[0].lock();
            log.records =
                records.range(..end).map(|(position, record)| (*position, record.clone())).collect();
            (log.next, log.durable) = (end, end);
        }
        cluster.start(0);
        cluster.wait_past(5);
        cluster.stop(0);
    }
}
