//! Everybody finalizes the same, and the same seed gives the same run.

use commonware_codec::{Copying, DecodeExt as _};

use super::{
    cluster::{Cluster, NETWORK, keys, simulate, simulate_with},
    validator::Behaviour,
};
use crate::{CertificateError, StartError, StopReason, Verifier, committee::PublicKey};

fn agrees(validators: usize, views: u64) {
    simulate(validators, async |cluster| {
        cluster.start_all();
        cluster.wait_past(views).await;
        assert_all_well(cluster, views);
    });
}

fn assert_all_well(cluster: &Cluster, views: u64) {
    cluster.assert_agreement();
    for (index, validator) in &cluster.running {
        assert_eq!(usize::from(validator.handle.me()), *index);
        assert_eq!(validator.handle.stop_reason(), None);
        let counters = validator.handle.counters();
        assert!(counters.finalized_view > views && counters.finalized > 0 && counters.store_syncs > 0);
        assert!(counters.view > counters.finalized_view);
        assert_eq!((counters.faults, counters.dropped_invalid, counters.dropped_blocked), (0, 0, 0));
        assert_eq!(validator.application.lock().faults, []);
    }
}

#[test]
fn one_validator_finalizes_alone() {
    agrees(1, 50);
}

#[test]
fn four_validators_agree() {
    agrees(4, 40);
}

#[test]
fn seven_validators_agree() {
    agrees(7, 20);
}

#[test]
fn eight_validators_agree() {
    agrees(8, 10);
}

#[test]
fn sixteen_validators_agree() {
    agrees(16, 6);
}

/// All events of a run with a crash and a restart in the middle.
fn run(seed: u64) -> Vec<String> {
    simulate_with(seed, 4, async |cluster| {
        cluster.start_all();
        cluster.wait_past(8).await;
        cluster.crash(2);
        cluster.wait_past(16).await;
        cluster.start(2);
        cluster.wait_past(30).await;
        assert!(cluster.last(2) > 30);
        cluster.assert_agreement();
        cluster.pace.events()
    })
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let events = run(1);
    assert!(events.len() > 500, "{} events", events.len());
    let first_difference = run(1).iter().zip(&events).position(|(second, first)| second != first);
    assert_eq!(first_difference, None);
    assert_ne!(run(2), events);
}

#[test]
fn leaders_rotate_as_the_verifier_says() {
    simulate(4, async |cluster| {
        cluster.start_all();
        cluster.wait_past(12).await;
        let verifier = cluster.verifier();
        for view in 1..12 {
            for (index, validator) in &cluster.running {
                let leads = usize::from(verifier.leader(view)) == *index;
                assert_eq!(validator.application.lock().proposed.contains(&view), leads, "view {view}");
            }
        }
    });
}

#[test]
fn a_leader_that_is_away_or_declines_is_skipped() {
    simulate(4, async |cluster| {
        for validator in 0..3 {
            let behaviour = if validator == 1 { Behaviour::Declines } else { Behaviour::Honest };
            cluster.start_as(validator, behaviour);
        }
        cluster.wait_past(16).await;
        cluster.assert_agreement();
        assert!(cluster.running.values().all(|validator| validator.handle.counters().nullified > 0));
    });
}

#[test]
fn a_certificate_proves_only_what_it_says() {
    let finalization = simulate(4, async |cluster| {
        cluster.start_all();
        cluster.wait_past(3).await;
        cluster.application(0).lock().finalized.values().next().unwrap().clone()
    });
    let verifier = Verifier::new(&NETWORK, 0, &keys(4)).unwrap();
    assert_eq!(verifier.verify(finalization.certificate()).unwrap(), finalization);
    let certificate = finalization.clone().into_certificate();
    assert_eq!(certificate, finalization.certificate());

    for byte in 0..certificate.len() {
        let mut mutated = certificate.clone();
        mutated[byte] ^= 1;
        assert!(verifier.verify(&mutated).is_err(), "byte {byte} may be changed");
    }
    for len in 0..certificate.len() {
        assert_eq!(verifier.verify(&certificate[..len]), Err(CertificateError::Malformed));
    }
    let longer = [&certificate[..], &[0]].concat();
    assert_eq!(verifier.verify(&longer), Err(CertificateError::Malformed));

    let elsewhere = Verifier::new(&[8; 32], 0, &keys(4)).unwrap();
    assert_eq!(elsewhere.verify(&certificate), Err(CertificateError::BadSignature));
    let mut others = keys(5);
    others.remove(0);
    let others = Verifier::new(&NETWORK, 0, &others).unwrap();
    assert_eq!(others.verify(&certificate), Err(CertificateError::BadSignature));
    let more = Verifier::new(&NETWORK, 0, &keys(7)).unwrap();
    assert!(more.verify(&certificate).is_err());
}

#[test]
fn the_order_in_which_validators_are_listed_is_theirs() {
    // Simplex sorts by key; a list that is not sorted must still name the right validators.
    let listed = keys(16);
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    assert_ne!(listed, sorted, "the test's keys must not be sorted by chance");
    let committee = crate::committee::Committee::new(&NETWORK, 0, &listed).unwrap();
    for index in 0..16 {
        assert_eq!(committee.validator(committee.key(index).unwrap()), Some(index));
    }
}

#[test]
fn contradictory_configurations_are_refused() {
    let elsewhere = {
        let mut config = crate::Config::new([8; 32], keys(4), [0; 32]);
        config.floor = Some(simulate(4, async |cluster| {
            cluster.start_all();
            cluster.wait_past(1).await;
            cluster.application(0).lock().finalized.values().next().unwrap().clone()
        }));
        config
    };
    let refused = |change: &dyn Fn(&mut crate::Config)| {
        simulate(4, async |cluster| {
            change(&mut cluster.config);
            let replay = crate::Replay::new();
            cluster
                .try_start(0, Behaviour::Honest, replay)
                .map(|validator| validator.handle.stop())
                .unwrap_err()
        })
    };
    assert!(matches!(refused(&|c| c.validators.clear()), StartError::CommitteeSize { validators: 0, .. }));
    assert!(matches!(refused(&|c| c.validators[1] = c.validators[0]), StartError::DuplicateKey));
    let invalid =
        (0..=255).map(|byte| [byte; 32]).find(|key| PublicKey::decode(Copying(key)).is_err()).unwrap();
    assert!(matches!(refused(&|c| c.validators[2] = invalid), StartError::InvalidKey { validator: 2 }));
    assert!(matches!(refused(&|c| c.validators = keys(5)[1..].to_vec()), StartError::NotAMember));
    assert!(matches!(refused(&|c| c.validators = keys(5)), StartError::InboxSize { inbox: 4, committee: 5 }));
    assert!(matches!(refused(&|c| c.timing.leader_timeout = Default::default()), StartError::Timing(_)));
    assert!(matches!(
        refused(&|c| c.timing.certification_timeout = c.timing.leader_timeout),
        StartError::Timing(_)
    ));
    assert!(matches!(refused(&|c| c.timing.skip_after = Some(c.timing.retry)), StartError::Timing(_)));
    assert!(matches!(refused(&|c| c.timing.fetch_timeout = Default::default()), StartError::Timing(_)));
    assert!(matches!(refused(&|c| c.views_kept = 0), StartError::ViewsKept));
    assert!(matches!(
        refused(&|c| (c.network, c.floor) = (elsewhere.network, elsewhere.floor.clone())),
        StartError::Floor(CertificateError::BadSignature)
    ));
    crate::Timing::default().check().unwrap();
    assert!(!format!("{elsewhere:?}").contains("seed"), "secrets are not printed");
}

#[test]
fn a_stopped_engine_says_that_it_was_asked_to_and_a_crashed_one_nothing() {
    simulate(2, async |cluster| {
        cluster.start_all();
        cluster.wait_past(1).await;
        let applications = [0, 1].map(|validator| cluster.running[&validator].application.clone());
        cluster.running.remove(&0).unwrap().handle.stop();
        cluster.crash(1);
        let events = cluster.pace.events();
        cluster.until("the end", || !applications[0].lock().stopped.is_empty()).await;
        cluster.sleep(super::cluster::TICK * 1000).await;
        assert_eq!(applications[0].lock().stopped, [StopReason::Requested]);
        assert_eq!(applications[1].lock().stopped, []);
        assert_eq!(cluster.pace.events(), events, "nothing is said or asked after the end");
    });
}
