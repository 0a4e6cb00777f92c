//! One set of validators after another.

use std::time::Duration;

use super::{
    cluster::{Cluster, NETWORK, simulate_with},
    validator::{Behaviour, is_last},
};
use crate::{CertificateError, Finalization, Payload, ReplayError, StartError, Verifier};

/// The last payload of an epoch, once each running validator knows it to be final.
async fn last_of(cluster: &Cluster) -> Payload {
    for validator in cluster.running.keys() {
        let what = "the end of the epoch";
        cluster
            .wait(*validator, what, |seen| seen.finalized.values().any(|found| is_last(&found.payload())))
            .await;
    }
    let seen = cluster.application(*cluster.running.keys().next().unwrap()).lock();
    seen.finalized.values().map(Finalization::payload).find(is_last).unwrap()
}

/// Nothing else becomes final after it, in however many views.
fn assert_ends_with(cluster: &Cluster, last: Payload) {
    for validator in cluster.running.values() {
        let seen = validator.application.lock();
        let mut after = seen.finalized.values().skip_while(|found| found.payload() != last);
        assert!(after.all(|found| found.payload() == last));
    }
    cluster.assert_agreement();
}

#[test]
fn an_epoch_ends_with_one_payload_and_the_next_extends_it_with_other_validators() {
    for seed in 0..12 {
        simulate_with(seed, 4, async |cluster| {
            cluster.start_all_as(Behaviour::EndsEpoch);
            let last = last_of(cluster).await;
            assert_ends_with(cluster, last);
            // 0 leaves and 4 comes, so the others are counted in another order. 3 notices last.
            let mut next = cluster.next_epoch(&[1, 2, 3, 4], last);
            [1, 2].into_iter().for_each(|validator| cluster.crash(validator));
            [0, 1, 3].into_iter().for_each(|index| next.start_as(index, Behaviour::EndsEpoch));
            next.wait_past(5).await;
            assert_ends_with(cluster, last);
            cluster.crash(3);
            next.start_as(2, Behaviour::EndsEpoch);
            // With one of the others gone, its vote is needed.
            next.crash(0);
            next.wait_past(next.last(1) + 5).await;
            next.start_as(0, Behaviour::EndsEpoch);
            let last = last_of(&next).await;
            assert_ends_with(&next, last);
        });
    }
}

#[test]
fn crashes_at_the_border_of_epochs_lose_nothing() {
    for seed in 0..12 {
        simulate_with(seed, 4, async |cluster| {
            cluster.start_all_as(Behaviour::EndsEpoch);
            // Some know the end and some do not, when all lose power.
            cluster.wait(0, "the end", |seen| seen.finalized.values().any(|f| is_last(&f.payload()))).await;
            cluster.crash_all();
            cluster.start_all_as(Behaviour::EndsEpoch);
            let last = last_of(cluster).await;
            assert_ends_with(cluster, last);
            cluster.crash_all();
            let mut next = cluster.next_epoch(&[0, 1, 2, 3], last);
            for round in 0..6 {
                next.start_all_as(Behaviour::EndsEpoch);
                next.sleep(Duration::from_millis(seed * 7 + round * 23)).await;
                next.assert_agreement();
                next.crash_all();
            }
            next.start_all_as(Behaviour::EndsEpoch);
            let last = last_of(&next).await;
            assert_ends_with(&next, last);
        });
    }
}

#[test]
fn what_is_said_in_one_epoch_counts_in_no_other() {
    simulate_with(1, 4, async |cluster| {
        cluster.start_all_as(Behaviour::EndsEpoch);
        let last = last_of(cluster).await;
        cluster.crash_all();
        let mut next = cluster.next_epoch(&[0, 1, 2, 3], last);
        next.start_all_as(Behaviour::EndsEpoch);
        next.wait_past(3).await;
        let second = next.application(0).lock().finalized.values().next().unwrap().clone();
        assert_eq!((second.epoch(), Finalization::epoch_of(second.certificate())), (1, Some(1)));
        assert_eq!(Finalization::epoch_of(&[]), None);
        assert_eq!(cluster.verifier().verify(second.certificate()), Err(CertificateError::OutOfPlace));
        let vote = next.network.last_vote(0, 3).unwrap();
        assert!(next.verifier().check_vote(3, &vote).is_ok());
        assert_eq!(cluster.verifier().check_vote(3, &vote), Err(CertificateError::OutOfPlace));
        let third = Verifier::new(&NETWORK, 2, &next.config.validators).unwrap();
        assert_eq!(third.verify(second.certificate()), Err(CertificateError::OutOfPlace));

        // Votes of the second epoch remember nothing of the first, and never serve to vote there.
        next.crash(3);
        let replay = next.stores[3].crash();
        assert_eq!(replay.epoch(), 1);
        assert_eq!((replay.memory(0), replay.memory(2)), Default::default());
        assert!(replay.memory(1).view() > 0 && !replay.memory(1).lacks(&vote, 3, &next.verifier()));
        let back = cluster.try_start(3, Behaviour::EndsEpoch, replay);
        let later = ReplayError::LaterEpoch { found: 1, expected: 0 };
        assert!(matches!(back, Err(StartError::Replay(error)) if error == later));
    });
}
