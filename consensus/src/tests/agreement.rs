//! Everybody finalizes the same.

use commonware_codec::{Copying, DecodeExt as _};

use super::cluster::{Behaviour, Cluster, NETWORK, keys};
use crate::{CertificateError, StartError, StopReason, Verifier, committee::PublicKey};

fn agrees(validators: usize, views: u64) {
    let cluster = Cluster::started(validators);
    cluster.wait_past(views);
    cluster.assert_agreement();
    for (index, validator) in &cluster.running {
        assert_eq!(usize::from(validator.handle.me()), *index);
        assert_eq!(validator.handle.stop_reason(), None);
        let counters = validator.handle.counters();
        assert!(counters.finalized_view > views && counters.finalized > 0 && counters.store_syncs > 0);
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

#[test]
fn a_leader_that_is_away_or_declines_is_skipped() {
    let mut cluster = Cluster::new(4);
    for validator in 0..3 {
        cluster.start_as(validator, if validator == 1 { Behaviour::Declines } else { Behaviour::Honest });
    }
    cluster.wait_past(16);
    cluster.assert_agreement();
    assert!(cluster.running.values().all(|validator| validator.handle.counters().nullified > 0));
}

#[test]
fn a_certificate_proves_only_what_it_says() {
    let cluster = Cluster::started(4);
    cluster.wait_past(3);
    let finalization = cluster.application(0).lock().finalized.values().next().unwrap().clone();
    let certificate = finalization.certificate;
    let verifier = cluster.verifier();
    assert_eq!(verifier.verify(&certificate).unwrap().payload, finalization.payload);

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

    let elsewhere = Verifier::new(&[8; 32], &keys(4)).unwrap();
    assert_eq!(elsewhere.verify(&certificate), Err(CertificateError::BadSignature));
    let mut others = keys(5);
    others.remove(0);
    let others = Verifier::new(&NETWORK, &others).unwrap();
    assert_eq!(others.verify(&certificate), Err(CertificateError::BadSignature));
    let more = Verifier::new(&NETWORK, &keys(7)).unwrap();
    assert!(more.verify(&certificate).is_err());
}

#[test]
fn the_order_in_which_validators_are_listed_is_theirs() {
    // Simplex sorts by key; a list that is not sorted must still name the right validators.
    let listed = keys(16);
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    assert_ne!(listed, sorted, "the test's keys must not be sorted by chance");
    let committee = crate::committee::Committee::new(&NETWORK, &listed).unwrap();
    for index in 0..16 {
        assert_eq!(committee.validator(committee.key(index).unwrap()), Some(index));
    }
}

#[test]
fn contradictory_configurations_are_refused() {
    let cluster = Cluster::new(4);
    let refused = |change: &dyn Fn(&mut crate::Config)| {
        let mut cluster = Cluster::new(4);
        change(&mut cluster.config);
        let replay = crate::Replay::new();
        cluster.try_start(0, Behaviour::Honest, replay).map(|validator| validator.handle.stop()).unwrap_err()
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
    crate::Timing::default().check().unwrap();
    assert!(!format!("{:?}", cluster.config).contains("seed"), "secrets are not printed");
}

#[test]
fn a_stopped_engine_says_that_it_was_asked_to() {
    let mut cluster = Cluster::started(1);
    cluster.wait_past(1);
    let application = cluster.running[&0].application.clone();
    cluster.stop(0);
    assert_eq!(application.lock().stopped, [StopReason::Requested]);
}
