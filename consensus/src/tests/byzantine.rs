//! Peers that break the protocol.

use bytes::Bytes;
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_consensus::{
    Viewable as _,
    simplex::{
        scheme::ed25519::Scheme,
        types::{Notarize, Proposal, Vote},
    },
    types::{Epoch, Round, View},
};

use super::cluster::{Cluster, NETWORK, TICK, keys, private_key, simulate};
use crate::{
    CertificateError, Channel, Evidence, FaultKind, Verifier,
    committee::{Committee, Digest},
    inbound, message_bytes_max,
    transport::PEER_QUEUE,
};

/// Validator 3 is a puppet that votes for two payloads in every view that it hears of.
async fn equivocate(cluster: &Cluster) {
    let (way_in, mut inbox) = inbound(4);
    cluster.network.connect(3, way_in);
    let scheme = Committee::new(&NETWORK, 0, &keys(4)).unwrap().signer(private_key(3)).unwrap();
    let mut told = 0;
    while cluster.application(0).lock().faults.is_empty() {
        let Some((from, message)) = inbox.queues[0].recv().await else { return };
        inbox.shared.taken(from, Channel::Vote);
        let view = Vote::<Scheme, Digest>::decode(Copying(&message)).unwrap().view();
        if view.get() <= told {
            continue;
        }
        told = view.get();
        for payload in [[1; 32], [2; 32]] {
            let proposal =
                Proposal::new(Round::new(Epoch::zero(), view), View::new(told - 1), Digest::from(payload));
            let vote = Vote::<Scheme, Digest>::Notarize(Notarize::sign(&scheme, proposal).unwrap());
            cluster.network.deliver(3, 0, Channel::Vote, vote.encode());
        }
    }
}

#[test]
fn two_votes_in_one_view_are_proven() {
    simulate(4, async |cluster| {
        for validator in 0..3 {
            cluster.start(validator);
        }
        equivocate(cluster).await;
        cluster.wait(0, "evidence", |seen| seen.faults.iter().any(|fault| !fault.evidence.is_empty())).await;
        let faults = cluster.application(0).lock().faults.clone();
        let fault = faults.iter().find(|fault| fault.kind == FaultKind::ConflictingNotarize).unwrap();
        let proven =
            Evidence { validator: 3, kind: FaultKind::ConflictingNotarize, view: fault.view.unwrap() };
        assert_eq!(fault.validator, 3);

        let verifier = cluster.verifier();
        assert_eq!(verifier.check_evidence(&fault.evidence), Ok(proven));
        let elsewhere = Verifier::new(&[8; 32], 0, &keys(4)).unwrap();
        assert_eq!(elsewhere.check_evidence(&fault.evidence), Err(CertificateError::BadSignature));
        for byte in 0..fault.evidence.len() {
            let mut mutated = fault.evidence.clone();
            mutated[byte] ^= 1;
            assert!(verifier.check_evidence(&mutated).is_err(), "byte {byte} may be changed");
        }
        // The others do not need the puppet, and it is not listened to any more.
        cluster.wait_past(cluster.last(0) + 5).await;
        cluster.assert_agreement();
        assert!(!cluster.network.deliver(3, 0, Channel::Vote, Bytes::from_static(b"anything")));
        assert!(cluster.running[&0].handle.counters().dropped_blocked > 0);
    });
}

#[test]
fn garbage_blocks_its_sender_only() {
    simulate(4, async |cluster| {
        for validator in 0..3 {
            cluster.start(validator);
        }
        for channel in Channel::ALL {
            cluster.network.deliver(3, 0, channel, Bytes::from_static(&[0xee; 40]));
        }
        cluster.wait(0, "a report", |seen| !seen.faults.is_empty()).await;
        cluster.wait_past(cluster.last(0) + 5).await;
        let faults = cluster.application(0).lock().faults.clone();
        assert!(faults.iter().all(|fault| fault.validator == 3 && fault.kind == FaultKind::InvalidMessage));
        assert_eq!(faults.len(), 1, "told once for as long as it is blocked");
        cluster.assert_agreement();
    });
}

#[test]
fn a_peer_is_heard_again_after_its_time() {
    simulate(4, async |cluster| {
        cluster.config.timing.block_for = std::time::Duration::from_millis(50);
        for validator in 0..3 {
            cluster.start(validator);
        }
        for times in 1..=3 {
            // While it is blocked its garbage is dropped; as soon as it is heard again it is blocked again.
            while cluster.application(0).lock().faults.len() < times {
                cluster.network.deliver(3, 0, Channel::Vote, Bytes::from_static(&[0xee; 40]));
                cluster.sleep(TICK).await;
            }
        }
        cluster.wait_past(cluster.last(0) + 2).await;
    });
}

#[test]
fn queues_are_bounded_for_each_peer() {
    let (way_in, mut inbox) = inbound(4);
    let message = Bytes::from_static(b"vote");
    for _ in 0..PEER_QUEUE {
        assert!(way_in.deliver(1, Channel::Vote, message.clone()));
    }
    assert!(!way_in.deliver(1, Channel::Vote, message.clone()), "its share is full");
    assert!(way_in.deliver(1, Channel::Certificate, message.clone()), "another channel is not");
    assert!(way_in.deliver(2, Channel::Vote, message.clone()), "nor is another peer's share");
    let (from, _) = inbox.queues[0].try_recv().unwrap();
    inbox.shared.taken(from, Channel::Vote);
    assert!(way_in.deliver(1, Channel::Vote, message.clone()), "one was taken");

    assert!(!way_in.deliver(4, Channel::Vote, message), "nobody");
    assert!(!way_in.deliver(0, Channel::Vote, Bytes::new()), "nothing");
    let largest = message_bytes_max(4);
    assert!(way_in.deliver(0, Channel::Vote, Bytes::from(vec![0; largest])));
    assert!(!way_in.deliver(0, Channel::Vote, Bytes::from(vec![0; largest + 1])), "too long");
    assert!(largest < 2048, "{largest}");
    assert_eq!(Channel::from_number(2), Some(Channel::Resolver));
    assert_eq!(Channel::from_number(3), None);
}
