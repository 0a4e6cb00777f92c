//! Proofs from the genesis over changes of the validators.

use std::string::ToString as _;
use std::vec::Vec;

use engine::types::{
    Consent, Consents, Decision as EngineDecision, Member as EngineMember, MemberChange as EngineChange,
    Members as EngineMembers, Membership, RULES_FIRST, RulesVersion, ValidatorIndex,
};
use proptest::prelude::*;

use super::check;
use super::members::same_member;
use super::network::{GOVERNANCE, Network, account_key, propose, validator_key};
use crate::epoch::EPOCH_CHANGES_BYTES_MAX;
use crate::*;

fn member(number: u64) -> EngineMember {
    EngineMember {
        name: std::format!("validator-{number}"),
        public_key: validator_key(number).public_key(),
        certificate_fingerprint: [100 + number as u8; 32],
        peer_address: std::format!("10.0.0.{number}:7000"),
        client_address: std::format!("10.0.0.{number}:7001"),
    }
}

/// The validators of some epoch.
pub fn any_set() -> impl Strategy<Value = MemberSet> {
    (any::<u64>(), 1_u64..5).prop_map(|(epoch, count)| {
        let list = (1..=count).map(member).collect();
        let set = EngineMembers { epoch: engine::types::Epoch(epoch), rules: RULES_FIRST, list };
        MemberSet::decode(&set.encode()).unwrap()
    })
}

impl Network {
    /// The next block decides that members change so, with the consents of all that then are, and the one after it is
    /// the last one of its epoch.
    fn change(&mut self, change: EngineChange) {
        let (set, height) = (self.ledger.members().after(&change).unwrap(), self.ledger.height());
        let message = Consent::message(self.genesis.network(), (set.epoch, set.rules, &set.digest()), height);
        let key = |public: &[u8; 32]| (0..128).map(validator_key).find(|key| key.public_key() == *public);
        let consent = |(place, public): (u16, [u8; 32])| Consent {
            place: ValidatorIndex(place),
            height,
            signature: key(&public).unwrap().sign(&message),
        };
        let consents = Consents::encode((0..).zip(set.keys()).map(consent).collect());
        let encoded = EngineDecision::Members(change).encode();
        let consents = Consents::read(&consents).unwrap();
        let propose = engine::types::Propose { consents, ..propose(&encoded, set.epoch.0 - 1) };
        let signed = propose.sign(self.genesis.network(), |message| account_key(1).sign(message)).unwrap();
        self.block(signed.run().packets());
        assert_eq!(self.ledger.members(), set);
        self.block(&[]);
    }
}

/// A network of four, in which the fifth and the sixth validator come, and the second one leaves.
pub fn changed(changes: usize) -> Network {
    let mut network = Network::with_membership("lives", 4, &[(3, 5), (GOVERNANCE, 3)], Membership::Decided);
    network.block(&[]);
    let [first, second] = [0, 1].map(|place| network.ledger.members().list[place].public_key);
    let gone = EngineChange::Remove { key: second, below_four: false };
    let all = [EngineChange::Add(member(4)), EngineChange::Replace(first, member(5)), gone];
    all.into_iter().take(changes).for_each(|change| network.change(change));
    network
}

/// A proof of an account of it.
pub fn proof(network: &mut Network) -> Proof {
    let open = network.account(3, 2);
    network.close(open, 1)
}

#[test]
fn a_proof_leads_from_the_genesis_over_each_change_of_the_validators() {
    for (changes, validators) in [(0, 4), (1, 5), (2, 5), (3, 4)] {
        let mut network = changed(changes);
        let proof = proof(&mut network);
        let said = check(&network, &proof).unwrap();
        assert_eq!((said.epoch, said.validators), (changes as u64, validators));
        assert_eq!(said.signed, validators - (validators - 1) / 3);
        assert!(matches!(&said.fact, Fact::Account(account) if account.id == 2));
        assert_eq!(Proof::decode(&proof.encode().unwrap()), Ok(proof));
    }
    // What was so before a change, under a header behind it.
    let mut network = changed(0);
    let open = network.account(3, 2);
    network.change(EngineChange::Add(member(4)));
    let proof = network.close(open, 5);
    assert_eq!(check(&network, &proof).map(|said| (said.height, said.epoch)), Ok((1, 1)));
}

#[test]
fn no_byte_of_a_change_can_be_another_one() {
    let mut network = changed(2);
    let proof = proof(&mut network);
    let bytes = proof.encode().unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(verify(&changed, network.genesis.header()).is_err(), "byte {at}");
    }
}

#[test]
fn each_way_in_which_a_change_can_be_wrong_has_its_own_error() {
    let mut network = changed(2);
    let good = proof(&mut network);
    let with = |change: &dyn Fn(&mut Vec<EpochChange>)| {
        let mut proof = good.clone();
        change(&mut proof.epoch_changes);
        check(&network, &proof).unwrap_err()
    };
    let wrong = |epoch, error| ProofError::EpochChange { epoch, error };
    use EpochChangeError as E;
    assert_eq!(with(&|of| drop(of.pop())), ProofError::FinalEpoch { found: 2, changes: 1 });
    assert_eq!(with(&|of| of.clear()), ProofError::FinalEpoch { found: 2, changes: 0 });
    assert_eq!(with(&|of| drop(of.remove(0))), wrong(0, E::Epoch(1)));
    assert_eq!(with(&|of| of.swap(0, 1)), wrong(0, E::Epoch(1)));
    assert_eq!(with(&|of| of.insert(1, of[0].clone())), wrong(1, E::Epoch(0)));
    let first = good.epoch_changes[0].header.height;
    let lower = |of: &mut Vec<EpochChange>| {
        let header = &mut of[1].header;
        (header.height, header.roots_first, header.roots.size) = (first, 0, 0);
    };
    assert_eq!(with(&lower), wrong(1, E::Height(first)));
    assert_eq!(with(&|of| of[1].members.epoch = 7), wrong(1, E::MembersEpoch(7)));
    assert_eq!(with(&|of| of[1].members.members.swap(0, 1)), wrong(1, E::Members));
    assert_eq!(with(&|of| of[0].members = of[1].members.clone()), wrong(0, E::MembersEpoch(2)));
    assert_eq!(with(&|of| of[0].header.next_members = [8; 32]), wrong(0, E::Members));
    assert_eq!(with(&|of| of[0].header.time_ms += 1), wrong(0, E::OtherBlock));
    assert_eq!(with(&|of| of[0].certificate = of[1].certificate.clone()), wrong(0, E::OtherBlock));
    let certificate = |change: &dyn Fn(&mut Certificate)| {
        let mut certificate = Certificate::decode(&good.epoch_changes[1].certificate).unwrap();
        change(&mut certificate);
        match with(&|of| of[1].certificate = certificate.encode()) {
            ProofError::EpochChange { epoch: 1, error: E::Certificate(error) } => error,
            error => panic!("{error}"),
        }
    };
    assert_eq!(certificate(&|of| of.epoch = 0), CertificateError::Epoch { found: 0, expected: 1 });
    assert!(matches!(certificate(&|of| of.signatures.truncate(1)), CertificateError::Form(_)));
    assert!(matches!(certificate(&|of| of.signatures.swap(0, 1)), CertificateError::Signature { .. }));
    // The validators of the first epoch cannot end the second one.
    let of_four = certificate(&|of| {
        of.signers.truncate(4);
        of.signatures.truncate(of.signers.iter().filter(|signed| **signed).count());
    });
    assert_eq!(of_four, CertificateError::Committee { found: 4, validators: 5 });
    // A network whose validators stay has no changes.
    let mut fixed = Network::new("fixed", 1, &[(3, 5)]);
    fixed.block(&[]);
    let mut proof = proof(&mut fixed);
    proof.epoch_changes = good.epoch_changes;
    assert_eq!(check(&fixed, &proof), Err(ProofError::FixedMembers));
    let words = wrong(1, E::Members).to_string();
    assert!(
        words.starts_with("the end of epoch 1 does not hold: the members that follow are others"),
        "{words}"
    );
}

#[test]
fn changes_are_bounded_in_number_and_bytes() {
    let mut network = changed(1);
    let good = proof(&mut network);
    let with = |changes: Vec<EpochChange>| Proof { epoch_changes: changes, ..good.clone() }.encode();
    let many = std::vec![good.epoch_changes[0].clone(); EPOCH_CHANGES_MAX + 1];
    let (what, count, max) = ("epoch changes", EPOCH_CHANGES_MAX + 1, EPOCH_CHANGES_MAX);
    assert_eq!(with(many), Err(FormError::TooMany { what, count, max }));
    let mut large = good.epoch_changes[0].clone();
    large.certificate = std::vec![0; CERTIFICATE_BYTES_MAX];
    let Err(FormError::TooMany { what: "bytes of epoch changes", count, max }) =
        with(std::vec![large; EPOCH_CHANGES_MAX])
    else {
        panic!("these have more than 16 MiB")
    };
    assert!(count > max && max == EPOCH_CHANGES_BYTES_MAX);
    let mut bytes = good.encode().unwrap();
    bytes[48..50].copy_from_slice(&[0xff; 2]);
    let error = verify(&bytes, network.genesis.header()).unwrap_err();
    assert!(matches!(error, ProofError::Form(FormError::TooMany { what: "epoch changes", .. })), "{error}");
}

/// The figures of `docs/PROOFS.md`.
#[test]
fn a_change_has_the_size_that_is_documented() {
    let size = |validators: u64| {
        let list = (10..10 + validators).map(member).collect();
        let members = EngineMembers { epoch: engine::types::Epoch(9), rules: RULES_FIRST, list }.encode();
        let quorum = (validators - (validators - 1) / 3) as usize;
        let certificate = Certificate {
            epoch: 8,
            view: 1 << 20,
            parent_view: (1 << 20) - 1,
            payload: [1; 32],
            signers: (0..validators as usize).map(|place| place < quorum).collect(),
            signatures: std::vec![[5; 64]; quorum],
        };
        HEADER_BYTES + 2 + certificate.encode().len() + 2 + members.len()
    };
    assert_eq!((size(4), size(16)), (891, 2_688));
}

proptest! {
    /// What one of both takes for a set, the other one does, too, but for keys under which everything is signed.
    #[test]
    fn both_read_the_bytes_of_a_set_alike(
        count in 1_u64..5,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let list = (1..=count).map(member).collect();
        let rules = RulesVersion(1 + u16::from(cut));
        let mut bytes = EngineMembers { epoch: engine::types::Epoch(3), rules, list }.encode();
        let at = at.index(bytes.len());
        match cut {
            true => bytes.truncate(at),
            false => bytes[at] = byte,
        }
        match (MemberSet::decode(&bytes), EngineMembers::decode(&bytes)) {
            (Ok(ours), Some(theirs)) => {
                prop_assert_eq!((ours.epoch, ours.rules, ours.digest()), (theirs.epoch.0, theirs.rules.0, theirs.digest().0));
                prop_assert_eq!(ours.encode(), bytes);
                prop_assert!(ours.members.iter().zip(&theirs.list).all(|(ours, theirs)| same_member(ours, theirs)));
                prop_assert_eq!(ours.keys(), theirs.keys());
            }
            (Ok(_), None) | (Err(_), Some(_)) => prop_assert!(false, "they differ"),
            (Err(_), None) => {}
        }
    }
}
