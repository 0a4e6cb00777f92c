use super::Presigner;
use crate::client_keys::ClientSeed;
use crate::workload::{ChainClients, ClientAccount, Workload, parse_reference};
use engine::types::{ChainId, Digest, Height, Packet};
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn every_packet_carries_a_valid_signature_for_its_network_and_lane_order() {
    let (seed, network) = (ClientSeed([1; 32]), Digest([2; 32]));
    let account = ClientAccount { next_nonce: 0, spendable: 1_000_000, key_version: 1 };
    let shape = [(ChainId(1), 40), (ChainId(2), 40)];
    let chains = shape.map(|(chain, n)| ChainClients { chain, accounts: vec![account; n as usize] }).to_vec();
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
