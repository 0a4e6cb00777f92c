//! Engines that crash, stay away and come back.

use super::{
    cluster::{keys, simulate},
    validator::Behaviour,
};
use crate::{ReplayError, StartError};

#[test]
fn a_crashed_validator_comes_back_and_takes_part() {
    simulate(4, async |cluster| {
        cluster.start_all();
        cluster.wait_past(10).await;
        cluster.crash(3);
        let away = cluster.last(0);
        cluster.wait_past(away + 10).await;
        cluster.start(3);
        cluster.wait_past(cluster.last(0) + 10).await;
        // Without validator 0 nothing is finalized any more unless 3 votes.
        cluster.crash(0);
        cluster.wait_past(cluster.last(1) + 5).await;
        cluster.assert_agreement();
    });
}

#[test]
fn all_crash_at_once_again_and_again() {
    simulate(4, async |cluster| {
        cluster.start_all();
        for round in 0..8 {
            let reached = cluster.last(0);
            cluster.wait_past(reached + 5).await;
            let highest = cluster.last(0);
            cluster.crash_all();
            let others = if round % 2 == 0 { Behaviour::ProposesOthers } else { Behaviour::Honest };
            cluster.start_all_as(others);
            cluster.wait_past(highest).await;
        }
        cluster.assert_agreement();
    });
}

#[test]
fn a_validator_that_was_away_for_long_jumps_to_the_others() {
    simulate(4, async |cluster| {
        cluster.config.views_kept = 8;
        for validator in 0..3 {
            cluster.start(validator);
        }
        cluster.wait_past(60).await;
        cluster.start(3);
        let joined = cluster.last(0);
        cluster.wait_past(joined + 20).await;
        cluster.crash(1);
        cluster.wait_past(cluster.last(0) + 5).await;
        cluster.assert_agreement();
        assert!(cluster.application(3).lock().finalized.keys().next().is_some_and(|first| *first > 8));
    });
}

#[test]
fn the_store_stays_small_over_thousands_of_views() {
    simulate(1, async |cluster| {
        cluster.config.compact_after_bytes = 64 << 10;
        cluster.config.views_kept = 16;
        cluster.start(0);
        cluster.wait_past(2000).await;
        let counters = cluster.running[&0].handle.counters();
        cluster.crash(0);
        let (held, held_max) = {
            let log = cluster.stores[0].lock();
            (log.records.values().map(Vec::len).sum::<usize>(), log.bytes_held_max)
        };
        assert!(counters.compactions > 5, "{counters:?}");
        assert!(counters.live_bytes < 32 << 10, "{counters:?}");
        assert!(counters.store_bytes > 10 * held_max as u64, "{counters:?}, at most {held_max} bytes held");
        assert!(held_max < 256 << 10, "{held_max} bytes held, {held} at the end");
        cluster.start(0);
        cluster.wait_past(2100).await;
        assert!(cluster.application(0).lock().finalized.keys().next().is_some_and(|first| *first > 1900));
        cluster.assert_agreement();
    });
}

#[test]
fn the_records_of_another_validator_or_network_are_refused() {
    simulate(4, async |cluster| {
        cluster.start_all();
        cluster.wait_past(2).await;
        cluster.crash(0);
        let refused =
            |result: Result<_, StartError>| matches!(result, Err(StartError::Replay(ReplayError::Foreign)));
        let replay = || cluster.stores[0].crash();
        assert!(refused(cluster.try_start(1, Behaviour::Honest, replay())));
        let replay = cluster.stores[0].crash();
        cluster.config.network = [9; 32];
        assert!(refused(cluster.try_start(0, Behaviour::Honest, replay)));
        let replay = cluster.stores[0].crash();
        cluster.config.network = super::cluster::NETWORK;
        cluster.config.validators = keys(5);
        cluster.config.validators.remove(3);
        assert!(refused(cluster.try_start(0, Behaviour::Honest, replay)));
    });
}

#[test]
fn an_engine_starts_from_every_prefix_of_its_records() {
    simulate(1, async |cluster| {
        cluster.config.compact_after_bytes = 4 << 10;
        cluster.config.views_kept = 2;
        cluster.start(0);
        cluster.wait_past(4).await;
        cluster.crash(0);
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
            cluster.wait_past(5).await;
            cluster.crash(0);
        }
    });
}
