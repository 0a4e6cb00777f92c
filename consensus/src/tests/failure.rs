//! Applications that are late or broken, and stores that fail.

use super::cluster::{Behaviour, Cluster};
use crate::StopReason;

#[test]
fn a_late_verdict_costs_only_one_vote() {
    let mut cluster = Cluster::new(4);
    for validator in 0..4 {
        let behaviour = if validator == 2 { Behaviour::HoldsVerifications } else { Behaviour::Honest };
        cluster.start_as(validator, behaviour);
    }
    cluster.wait_past(20);
    // Answers from another thread, most of them long after their view.
    cluster.application(2).wait("something to verify", |seen| !seen.held.is_empty());
    let held = std::mem::take(&mut cluster.application(2).lock().held);
    assert!(held.iter().any(|reply| reply.is_abandoned()), "views went on without it");
    held.into_iter().for_each(|reply| reply.send(true));
    cluster.wait_past(cluster.last(0) + 5);
    cluster.assert_agreement();
}

#[test]
fn a_dropped_verdict_is_a_refusal() {
    let mut cluster = Cluster::new(4);
    for validator in 0..4 {
        let behaviour = if validator == 2 { Behaviour::DropsVerifications } else { Behaviour::Honest };
        cluster.start_as(validator, behaviour);
    }
    cluster.wait_past(12);
    cluster.assert_agreement();
}

#[test]
fn a_refused_record_stops_the_engine() {
    let cluster = &mut Cluster::new(1);
    cluster.stores[0].lock().appends_left = Some(100);
    cluster.start(0);
    cluster.application(0).wait("the end", |seen| !seen.stopped.is_empty());
    let seen = cluster.application(0).lock();
    assert!(matches!(&seen.stopped[..], [StopReason::Storage(why)] if why.contains("no space left")));
    let message = seen.stopped[0].to_string();
    assert!(
        message.contains("no space left in the test") && message.contains("repair the storage"),
        "{message}"
    );
}

#[test]
fn a_failed_sync_stops_the_engine_before_the_vote_leaves() {
    let mut cluster = Cluster::new(1);
    cluster.stores[0].lock().syncs_left = Some(40);
    cluster.start(0);
    cluster.application(0).wait("the end", |seen| !seen.stopped.is_empty());
    {
        let seen = cluster.application(0).lock();
        assert!(matches!(&seen.stopped[..], [StopReason::Storage(why)] if why.contains("disk is broken")));
        assert!(seen.last() > 0, "it worked before");
    }
    // With the disk repaired it goes on from what is durable.
    cluster.stop(0);
    cluster.stores[0].lock().syncs_left = None;
    cluster.start(0);
    cluster.wait_past(20);
    cluster.assert_agreement();
}

#[test]
fn a_panicking_application_stops_the_engine_and_is_told() {
    let mut cluster = Cluster::new(1);
    cluster.start_as(0, Behaviour::PanicsOnPropose);
    cluster.application(0).wait("the end", |seen| !seen.stopped.is_empty());
    let seen = cluster.application(0).lock();
    assert!(
        matches!(&seen.stopped[..], [StopReason::Panic(why)] if why.contains("asked to propose in view 1"))
    );
}
