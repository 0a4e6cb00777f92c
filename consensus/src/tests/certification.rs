//! What simplex does about verification and certification, on which the ledger relies.

use std::time::Duration;

use super::{
    cluster::{Cluster, TICK, simulate},
    validator::Behaviour,
};

const ALL: [usize; 4] = [0, 1, 2, 3];

/// Answers every certification that a validator holds.
fn certify_held(cluster: &Cluster, validator: usize) {
    let held = std::mem::take(&mut cluster.application(validator).lock().held_certifications);
    held.into_values().for_each(|reply| reply.send(true));
}

/// Four validators, all of which are asked to certify view 1 and do not answer.
async fn all_hold_view_one(cluster: &mut Cluster) {
    cluster.start_all_as(Behaviour::HoldsCertificationsFrom(1));
    for validator in ALL {
        cluster.wait(validator, "asked", |seen| seen.held_certifications.contains_key(&1)).await;
    }
}

#[test]
fn the_leaders_own_proposals_are_certified_too() {
    simulate(1, async |cluster| {
        cluster.start(0);
        cluster.wait_past(20).await;
        let seen = cluster.application(0).lock();
        assert!(seen.proposed.len() > 20 && seen.verified.is_empty());
        assert_eq!(seen.certified[..20], seen.proposed[..20]);
    });
}

#[test]
fn a_dropped_verification_skips_the_view_and_does_not_block_its_certification() {
    simulate(4, async |cluster| {
        for validator in ALL {
            let behaviour = if validator == 2 { Behaviour::DropsVerifications } else { Behaviour::Honest };
            cluster.start_as(validator, behaviour);
        }
        cluster.wait_past(12).await;
        cluster.assert_agreement();
        let seen = cluster.application(2).lock();
        for view in seen.verified.iter().filter(|view| **view < 12) {
            let votes = cluster.network.votes(2, *view);
            assert!(votes.nullified && votes.notarized.is_empty() && votes.finalized.is_empty(), "{votes:?}");
        }
        let certified = seen.verified.iter().filter(|view| seen.certified.contains(view)).count();
        assert!(certified > 3, "asked to certify {certified} views that it did not verify");
    });
}

#[test]
fn nobody_votes_to_finalize_while_the_certification_is_pending() {
    simulate(4, async |cluster| {
        all_hold_view_one(cluster).await;
        cluster.sleep(cluster.config.timing.certification_timeout / 2).await;
        for validator in ALL {
            let votes = cluster.network.votes(validator, 1);
            assert!(votes.finalized.is_empty() && !votes.nullified, "{votes:?}");
            assert_eq!((cluster.last(validator), cluster.running[&validator].handle.view()), (0, 1));
        }
        ALL.into_iter().for_each(|validator| certify_held(cluster, validator));
        for validator in ALL {
            cluster.wait(validator, "view 1 final", |seen| seen.finalized.contains_key(&1)).await;
            assert!(!cluster.network.votes(validator, 1).nullified);
            assert!(cluster.running[&validator].handle.view() >= 2);
        }
        cluster.assert_agreement();
    });
}

#[test]
fn after_the_time_out_a_certification_is_still_wanted_but_brings_no_vote_to_finalize() {
    simulate(4, async |cluster| {
        all_hold_view_one(cluster).await;
        for validator in ALL {
            cluster.until("a skip", || cluster.running[&validator].handle.counters().nullified > 0).await;
            let seen = cluster.application(validator).lock();
            assert!(!seen.held_certifications[&1].is_abandoned(), "a skipped view is still to be certified");
        }
        let kept = cluster.application(3).lock().held_certifications.remove(&1).unwrap();
        while cluster.last(3) < 2 {
            ALL.into_iter().for_each(|validator| certify_held(cluster, validator));
            cluster.sleep(TICK).await;
        }
        for validator in ALL {
            let votes = cluster.network.votes(validator, 1);
            assert!(votes.nullified && votes.finalized.is_empty(), "{votes:?}");
        }
        assert!(kept.is_abandoned(), "a later finalization withdraws the question");
        assert!(cluster.application(0).lock().finalized.keys().all(|view| *view > 1));
        cluster.assert_agreement();
    });
}

#[test]
fn a_recorded_certification_is_not_asked_for_again_and_a_missing_one_is() {
    simulate(4, async |cluster| {
        cluster.network.lose_finalize_votes(true);
        cluster.start_all_as(Behaviour::HoldsCertificationsFrom(2));
        for validator in ALL {
            cluster.wait(validator, "asked", |seen| seen.held_certifications.contains_key(&2)).await;
            assert_eq!(cluster.application(validator).lock().certified, [1, 2]);
        }
        cluster.crash_all();
        cluster.network.lose_finalize_votes(false);
        cluster.start_all();
        cluster.wait_past(4).await;
        for validator in ALL {
            assert_eq!(cluster.application(validator).lock().certified[0], 2);
        }
        cluster.assert_agreement();
    });
}

#[test]
fn a_dropped_certification_is_not_asked_for_again_in_the_same_run() {
    simulate(4, async |cluster| {
        all_hold_view_one(cluster).await;
        for validator in ALL {
            cluster.application(validator).lock().held_certifications.clear();
        }
        cluster.sleep(Duration::from_secs(8)).await;
        for validator in ALL {
            let asked = cluster.application(validator).lock().certified.clone();
            assert_eq!(asked.iter().filter(|view| **view == 1).count(), 1);
        }
    });
}

#[test]
fn a_restarted_leader_keeps_to_what_it_voted_for() {
    simulate(4, async |cluster| {
        cluster.start_all();
        let leader = usize::from(cluster.verifier().leader(1));
        let network = cluster.network.clone();
        cluster.until("a vote", || !network.votes(leader, 1).notarized.is_empty()).await;
        cluster.crash_all();
        let voted = network.votes(leader, 1);
        cluster.start_all_as(Behaviour::ProposesOthers);
        cluster.wait_past(6).await;
        assert_eq!(network.votes(leader, 1).notarized, voted.notarized);
        assert!(!cluster.application(leader).lock().proposed.contains(&1));
        cluster.assert_agreement();
    });
}
