//! Our reading of finalization certificates against that of the consensus engine.

use std::vec::Vec;

use consensus::Verifier;
use proptest::prelude::*;

use super::network::Network;
use crate::{Certificate, Genesis};

struct Both {
    genesis: Genesis,
    verifier: Verifier,
}

impl Both {
    fn new(network: &Network) -> Self {
        let keys: Vec<_> =
            network.genesis.validators().iter().map(|validator| validator.public_key).collect();
        let verifier = Verifier::new(&network.genesis.network().0, consensus::FIRST_EPOCH, &keys).unwrap();
        Self { genesis: Genesis::decode(network.genesis.header()).unwrap(), verifier }
    }

    /// Whether the certificate holds, which both must answer alike.
    fn holds(&self, bytes: &[u8]) -> bool {
        let keys: Vec<_> = self.genesis.validators.iter().map(|validator| validator.key).collect();
        let holds = |of: &Certificate| of.check(&self.genesis.network, 0, &keys).is_ok();
        let ours = Certificate::decode(bytes).ok().filter(holds);
        let theirs = self.verifier.verify(bytes).ok();
        assert_eq!(ours.is_some(), theirs.is_some(), "{bytes:02x?}\nours: {ours:?}\ntheirs: {theirs:?}");
        if let (Some(ours), Some(theirs)) = (&ours, theirs) {
            assert_eq!(ours.encode(), bytes);
            assert_eq!(
                (ours.view, ours.parent_view, ours.payload),
                (theirs.view(), theirs.parent_view(), theirs.payload())
            );
        }
        ours.is_some()
    }
}

fn network(validators: u64) -> Network {
    let mut network = Network::new("certificates", validators, &[(1, 1)]);
    for _ in 0..3 {
        network.block(&[]);
    }
    network
}

#[test]
fn both_accept_any_quorum_and_nothing_less() {
    for validators in (1..=10).chain([16, 17]) {
        let network = network(validators);
        let both = Both::new(&network);
        for signers in 1..=validators as usize {
            let certificate = network.certificate(2, signers);
            assert_eq!(both.holds(&certificate.encode()), signers >= network.genesis.quorum());
        }
    }
}

#[test]
fn both_refuse_every_changed_byte() {
    for validators in [1, 4, 9] {
        let network = network(validators);
        let both = Both::new(&network);
        let good = network.certificate(3, network.genesis.quorum()).encode();
        assert!(both.holds(&good));
        for at in 0..good.len() {
            // Every value of the bytes that are not inside a digest or a signature.
            let changes = if at < 3 || (35..48).contains(&at) { 1..=255 } else { 1..=3_u8 };
            for change in changes {
                let mut changed = good.clone();
                changed[at] ^= change;
                assert!(!both.holds(&changed), "byte {at} of {validators} validators");
            }
            assert!(!both.holds(&good[..at]));
        }
        assert!(!both.holds(&[&good[..], &[0]].concat()));
    }
}

#[test]
fn both_refuse_what_is_of_another_place() {
    let network = network(4);
    let both = Both::new(&network);
    let good = network.certificate(3, 3);
    let changes: [fn(&mut Certificate); 6] = [
        |c| c.epoch = 1,
        |c| c.parent_view = c.view,
        |c| c.view = u64::MAX,
        |c| c.signers.push(false),
        |c| c.signers = c.signers[..3].into(),
        |c| c.signatures.reverse(),
    ];
    for change in changes {
        let mut changed = good.clone();
        change(&mut changed);
        assert!(!both.holds(&changed.encode()));
    }
    let other = Both::new(&Network::new("another", 4, &[(1, 1)]));
    assert!(!other.holds(&good.encode()));
}

/// Keys and points of small order, canonically encoded or not: where rules for Ed25519 differ. By ZIP-215 these hold
/// for every message.
#[test]
fn both_take_the_points_on_which_rules_differ_alike() {
    // The identity; the same as y = p + 1; the same with the sign bit of x = 0; y = −1; a point of order 8.
    let identity = [&[1][..], &[0; 31]].concat();
    let above_p = [&[0xee][..], &[0xff; 30], &[0x7f]].concat();
    let signed_zero = [&[1][..], &[0; 30], &[0x80]].concat();
    let order_2 = [&[0xec][..], &[0xff; 30], &[0x7f]].concat();
    let order_8 = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ];
    let points: [[u8; 32]; 5] =
        [identity, above_p, signed_zero, order_2, order_8.to_vec()].map(|point| point.try_into().unwrap());
    // L, and 0: a signature with s = L is not canonical.
    let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let order: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&order[2 * at..2 * at + 2], 16).unwrap()).collect();
    let network = network(1);
    for key in points {
        let mut genesis = Genesis::decode(network.genesis.header()).unwrap();
        genesis.validators[0].key = key;
        let verifier = Verifier::new(&genesis.network, consensus::FIRST_EPOCH, &[key]).unwrap();
        let both = Both { genesis, verifier };
        for r in points {
            for (s, is_canonical) in [(&[0; 32][..], true), (&order, false)] {
                let mut certificate = network.certificate(2, 1);
                certificate.signatures[0] = [&r[..], s].concat().try_into().unwrap();
                assert_eq!(both.holds(&certificate.encode()), is_canonical, "{key:02x?} {r:02x?}");
            }
        }
    }
}

/// Small numbers, and those at the edges of their groups of seven bits.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..300_u64,
        (0..64_u32).prop_map(|bit| 1 << bit),
        (1..64_u32).prop_map(|bit| (1 << bit) - 1),
        Just(u64::MAX)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn both_read_the_same_numbers(view in number(), parent_view in number(), epoch in 0..2_u64) {
        let network = network(4);
        let both = Both::new(&network);
        let mut certificate = network.certificate(3, 3);
        (certificate.epoch, certificate.view, certificate.parent_view) = (epoch, view, parent_view);
        let certificate = network.signed(certificate);
        prop_assert_eq!(both.holds(&certificate.encode()), epoch == 0 && parent_view < view);
    }

    #[test]
    fn both_refuse_spliced_bytes(at in 0..300_usize, bytes in prop::collection::vec(any::<u8>(), 0..20), cut in 0..20_usize) {
        let network = network(4);
        let good = network.certificate(3, 3).encode();
        let at = at % good.len();
        let end = (at + cut).min(good.len());
        let spliced = [&good[..at], &bytes, &good[end..]].concat();
        prop_assert_eq!(Both::new(&network).holds(&spliced), spliced == good);
    }
}
