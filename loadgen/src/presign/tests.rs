use super::Presigner;
use crate::client_keys::ClientSeed;
use crate::plan::{LoadError, Traffic};
use crate::pool::Pool;
use crate::workload::{ChainClients, ClientAccount, Workload, parse_reference};
use engine::types::{
    ChainId, ChainKind, Content, Data, Digest, Height, Packet, PacketRun, possession_message,
};
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn every_packet_carries_a_valid_signature_for_its_network_and_lane_order() {
    let (seed, network) = (ClientSeed([1; 32]), Digest([2; 32]));
    let account = ClientAccount { next_nonce: 0, spendable: 1_000_000, key_version: 1 };
    let shape = [(ChainId(1), 40), (ChainId(2), 40)];
    let chains = shape
        .map(|(chain, n)| ChainClients {
            chain,
            kind: ChainKind::Transfers,
            accounts: vec![account; n as usize],
        })
        .to_vec();
    let workload = Workload::new(chains, 3, 11, Height(50)).unwrap();
    let mut presigner = Presigner::new(network, &seed, &shape, workload);
    let done = AtomicU64::new(0);
    for stage in 0..2 {
        let lanes = presigner.sign(300, &done).unwrap();
        assert_eq!(lanes.len(), 3);
        for (lane, bytes) in lanes.iter().enumerate() {
            let packets = Packet::slice(bytes);
            assert_eq!(packets.len(), 300);
            for (k, packet) in packets.iter().enumerate() {
                let transfer = packet.run().transfer().unwrap();
                assert_eq!(parse_reference(&transfer.reference), (lane, stage * 300 + k as u64));
                let key = seed.signing_key(transfer.chain, transfer.debit).public_key();
                assert!(kernels::ed25519::verify(&key, &packet.message(&network), packet.signature()));
                assert!(!kernels::ed25519::verify(
                    &key,
                    &packet.message(&Digest([3; 32])),
                    packet.signature()
                ));
            }
        }
    }
    assert_eq!(done.load(Ordering::Relaxed), 2 * 3 * 300);
}

#[test]
fn linked_transfers_are_signed_whole_and_spend_what_they_pay() {
    let (seed, network) = (ClientSeed([1; 32]), Digest([2; 32]));
    let account = ClientAccount { next_nonce: 0, spendable: 60, key_version: 1 };
    let chains =
        vec![ChainClients { chain: ChainId(1), kind: ChainKind::Transfers, accounts: vec![account; 40] }];
    let workload = Workload::new(chains, 2, 11, Height(50)).unwrap().linked(20);
    let mut presigner = Presigner::new(network, &seed, &[(ChainId(1), 40)], workload);
    assert_eq!(presigner.sizes().packets(1), 1 + 3, "4 and 320 bytes");
    let done = AtomicU64::new(0);
    for (lane, bytes) in presigner.sign(60, &done).unwrap().iter().enumerate() {
        let runs: Vec<_> = PacketRun::all(Packet::slice(bytes)).collect();
        assert_eq!(runs.len(), 60);
        for (number, run) in runs.into_iter().enumerate() {
            let Ok(Content::Linked(linked)) = run.content() else { panic!("they are linked") };
            assert_eq!((linked.payments.count(), linked.payments.total()), (20, 20));
            assert_eq!(parse_reference(&linked.reference), (lane, number as u64));
            let key = seed.signing_key(linked.chain, linked.debit).public_key();
            assert!(kernels::ed25519::verify(&key, &run.message(&network), run.first().signature()));
        }
    }
    // Each account had enough for three, and has none left.
    assert!(matches!(presigner.sign(1, &done), Err(LoadError::Exhausted { .. })));
}

#[test]
fn opened_accounts_have_keys_of_their_own_that_have_signed() {
    let (seed, network) = (ClientSeed([1; 32]), Digest([2; 32]));
    let account = ClientAccount { next_nonce: 0, spendable: 0, key_version: 1 };
    let kind = ChainKind::Transfers;
    let chains = vec![ChainClients { chain: ChainId(1), kind, accounts: vec![account; 40] }];
    let workload = Workload::new(chains, 2, 11, Height(50)).unwrap().of(Traffic::Open, 0).unwrap().opening(7);
    let mut presigner = Presigner::new(network, &seed, &[(ChainId(1), 40)], workload);
    let mut pool = Pool::new(2, presigner.sizes());
    pool.add(presigner.sign(30, &AtomicU64::new(0)).unwrap(), 30);
    let mut keys = std::collections::BTreeSet::new();
    for (lane, number) in (0..2).flat_map(|lane| (0..30).map(move |number| (lane, number))) {
        let run = pool.transaction(lane, number).unwrap();
        assert_eq!(parse_reference(&run.reference()), (lane, number));
        let Ok(Content::Opening(opening)) = run.content() else { panic!("it opens accounts") };
        assert_eq!(opening.accounts.count(), 7);
        for of in opening.accounts.iter() {
            let message = possession_message(&network, opening.chain, opening.registrar, of.key);
            assert!(kernels::ed25519::verify(of.key, &message, of.possession));
            assert!(keys.insert(*of.key), "each account has another key");
        }
        let key = seed.signing_key(run.chain(), run.debit()).public_key();
        assert!(kernels::ed25519::verify(&key, &run.message(&network), run.first().signature()));
    }
    assert_eq!(keys.len(), 420);
}

#[test]
fn mixed_traffic_lies_as_its_sizes_say_and_each_signature_is_good() {
    let (seed, network) = (ClientSeed([1; 32]), Digest([2; 32]));
    let account = ClientAccount { next_nonce: 0, spendable: 60_000, key_version: 1 };
    let of = |chain, kind| ChainClients { chain: ChainId(chain), kind, accounts: vec![account; 40] };
    let chains = vec![of(1, ChainKind::Transfers), of(2, ChainKind::Attestations)];
    let workload = Workload::new(chains, 2, 11, Height(50)).unwrap().of(Traffic::Mixed, 300).unwrap();
    let shape = [(ChainId(1), 40), (ChainId(2), 40)];
    let mut presigner = Presigner::new(network, &seed, &shape, workload);
    let done = AtomicU64::new(0);
    let mut pool = Pool::new(2, presigner.sizes());
    for per_lane in [60, 20] {
        pool.add(presigner.sign(per_lane, &done).unwrap(), per_lane as u64);
    }
    assert_eq!(done.load(Ordering::Relaxed), 160);
    for (lane, number) in (0..2).flat_map(|lane| (0..80).map(move |number| (lane, number))) {
        let run = pool.transaction(lane, number).unwrap();
        assert_eq!(parse_reference(&run.reference()), (lane, number));
        match run.content().unwrap() {
            Content::Transfer(_) => assert_eq!(number % 2, 0),
            Content::Attest(attest) => {
                let one = attest.registrations.iter().next().unwrap();
                assert_eq!((number % 2, attest.registrations.count()), (1, 1));
                assert!(
                    matches!(one.data, Data::Inline(data) if data.len() == 300 && data[..32] == one.fingerprint.0)
                );
            }
            other => panic!("{other:?}"),
        }
        let key = seed.signing_key(run.chain(), run.debit()).public_key();
        assert!(kernels::ed25519::verify(&key, &run.message(&network), run.first().signature()));
    }
}
