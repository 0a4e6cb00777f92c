//! Applications that are late, and stores that fail.

use std::time::Duration;

use super::{cluster::simulate, validator::Behaviour};
use crate::StopReason;

#[test]
fn a_late_verdict_costs_only_one_vote() {
    simulate(4, async |cluster| {
        for validator in 0..4 {
            let behaviour = if validator == 2 { Behaviour::HoldsVerifications } else { Behaviour::Honest };
            cluster.start_as(validator, behaviour);
        }
        cluster.wait_past(20).await;
        // Most of the answers come long after their view.
        cluster.wait(2, "something to verify", |seen| !seen.held.is_empty()).await;
        let held = std::mem::take(&mut cluster.application(2).lock().held);
        assert!(held.iter().any(|reply| reply.is_abandoned()), "views went on without it");
        held.into_iter().for_each(|reply| reply.send(true));
        cluster.wait_past(cluster.last(0) + 5).await;
        cluster.assert_agreement();
    });
}

#[test]
fn no_vote_leaves_before_its_record_is_durable() {
    simulate(4, async |cluster| {
        cluster.stores[0].lock().stuck = true;
        cluster.start_all();
        for validator in 1..4 {
            cluster.wait(validator, "past view 12", |seen| seen.last() > 12).await;
        }
        assert_eq!(cluster.network.lowest_vote(0), None);
        assert!(cluster.network.lowest_vote(1).is_some());
        assert_eq!(cluster.running[&0].handle.stop_reason(), None, "slow is not broken");
        cluster.sleep(Duration::from_secs(5)).await;
        assert_eq!(cluster.network.lowest_vote(0), None);
    });
}

#[test]
fn a_refused_record_stops_the_engine() {
    simulate(1, async |cluster| {
        cluster.stores[0].lock().appends_left = Some(100);
        cluster.start(0);
        cluster.wait(0, "the end", |seen| !seen.stopped.is_empty()).await;
        let seen = cluster.application(0).lock();
        assert!(matches!(&seen.stopped[..], [StopReason::Storage(why)] if why.contains("no space left")));
        let message = seen.stopped[0].to_string();
        assert!(
            message.contains("no space left in the test") && message.contains("repair the storage"),
            "{message}"
        );
    });
}

#[test]
fn a_failed_sync_stops_the_engine_before_the_vote_leaves() {
    simulate(1, async |cluster| {
        cluster.stores[0].lock().syncs_left = Some(40);
        cluster.start(0);
        cluster.wait(0, "the end", |seen| !seen.stopped.is_empty()).await;
        {
            let seen = cluster.application(0).lock();
            assert!(
                matches!(&seen.stopped[..], [StopReason::Storage(why)] if why.contains("disk is broken"))
            );
            assert!(seen.last() > 0, "it worked before");
        }
        // With the disk repaired it goes on from what is durable.
        cluster.crash(0);
        cluster.stores[0].lock().syncs_left = None;
        cluster.start(0);
        cluster.wait_past(20).await;
        cluster.assert_agreement();
    });
}
