//! Proofs of who validates, where administrators decide it.

use std::string::ToString as _;
use std::vec::Vec;

use engine::types::{
    Consent, Consents, Decision as EngineDecision, Epoch, Height, MEMBERS_KEY as ENGINE_KEY,
    Member as EngineMember, MemberChange as EngineChange, Members as EngineMembers,
    MembersRecord as EngineRecord, Membership, RulesVersion, ValidatorIndex,
};
use kernels::ed25519::SigningKey;
use proptest::prelude::*;

use super::check;
use super::network::{GOVERNANCE, Network, account_key, propose, validator_key};
use crate::*;

fn new_key() -> SigningKey {
    validator_key(77)
}

pub fn new_member() -> EngineMember {
    EngineMember {
        name: "new".into(),
        public_key: new_key().public_key(),
        certificate_fingerprint: [77; 32],
        peer_address: "new.example:7000".into(),
        client_address: "new.example:7001".into(),
    }
}

fn said(network: &mut Network, key: Digest) -> Result<Statement, ProofError> {
    let open = network.row_of(GOVERNANCE, key);
    let proof = network.close(open, 0);
    check(network, &proof)
}

#[test]
fn the_members_that_were_decided_are_proved_and_before_that_that_there_are_none() {
    assert_eq!(MEMBERS_KEY, ENGINE_KEY);
    for place in [0, 1, 127, 256] {
        assert_eq!(member_key(place), engine::types::member_key(ValidatorIndex(place)));
    }
    let chains = [(3, 5), (GOVERNANCE, 3)];
    let mut network = Network::with_membership("members", 1, &chains, Membership::Decided);
    network.block(&[]);
    let none = said(&mut network, MEMBERS_KEY).unwrap();
    assert_eq!(none.fact, Fact::Members(None));
    assert!(
        none.to_string().ends_with("no other members had been decided than those of the genesis"),
        "{none}"
    );
    let nobody = said(&mut network, member_key(1)).unwrap();
    assert_eq!(nobody.fact, Fact::Member { place: 1, member: None });

    let change = EngineChange::Add(new_member());
    let set = EngineMembers::of_genesis(&network.genesis).after(&change).unwrap();
    let message =
        Consent::message(network.genesis.network(), (set.epoch, set.rules, &set.digest()), Height(1));
    let consent = |(place, key): (u16, &SigningKey)| Consent {
        place: ValidatorIndex(place),
        height: Height(1),
        signature: key.sign(&message),
    };
    let consents = Consents::encode([(0, &network.validators[0]), (1, &new_key())].map(consent).into());
    let encoded = EngineDecision::Members(change).encode();
    let signed =
        engine::types::Propose { consents: Consents::read(&consents).unwrap(), ..propose(&encoded, 0) };
    let proposal = signed.proposal().0;
    let signed = signed.sign(network.genesis.network(), |message| account_key(1).sign(message)).unwrap();
    network.block(signed.run().packets());
    let decided = network.ledger.height().0;
    let found = said(&mut network, MEMBERS_KEY).unwrap();
    let digest = set.digest().0;
    let members = MembersRecord { epoch: 1, decided, count: 2, digest, proposal, rules: 1, rules_since: 0 };
    assert_eq!(found.fact, Fact::Members(Some(members)));
    assert!(
        found.to_string().contains("the members decided last were 2 for epoch 1 with rules 1, by proposal "),
        "{found}"
    );
    let found = said(&mut network, member_key(1)).unwrap();
    assert!(
        found.to_string().contains("the member decided for place 1 was \"new\" with the key "),
        "{found}"
    );
    let Fact::Member { place: 1, member: Some(member) } = found.fact else { panic!("{found}") };
    assert_eq!(member.validator.key, new_key().public_key());
    assert_eq!((&*member.peer_address, &*member.client_address), ("new.example:7000", "new.example:7001"));
    let nobody = said(&mut network, member_key(2)).unwrap();
    assert_eq!(nobody.fact, Fact::Member { place: 2, member: None });
    let found = said(&mut network, proposal).unwrap();
    let words =
        std::format!(", to add a validator, was decided (decision 1) at height {decided} for the next epoch");
    assert!(found.to_string().ends_with(&words), "{found}");
    // A chain with money has no members.
    for key in [MEMBERS_KEY, member_key(0)] {
        let open = network.row_of(3, key);
        let elsewhere = network.close(open, 0);
        let what = "members";
        assert_eq!(check(&network, &elsewhere), Err(ProofError::NoSuchRows { chain: 3, what }));
    }
}

pub fn same_member(ours: &Member, theirs: &EngineMember) -> bool {
    let Validator { name, key, certificate_fingerprint } = &ours.validator;
    (name, key, certificate_fingerprint)
        == (&theirs.name, &theirs.public_key, &theirs.certificate_fingerprint)
        && (&ours.peer_address, &ours.client_address) == (&theirs.peer_address, &theirs.client_address)
}

proptest! {
    #[test]
    fn both_read_the_bytes_of_members_alike(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let spoil = |mut value: Vec<u8>| {
            let at = at.index(value.len());
            match cut {
                true => value.truncate(at),
                false => value[at] = byte,
            }
            value
        };
        let value = spoil(new_member().encode());
        match (Member::decode(&value), EngineMember::decode(&value)) {
            (Ok(ours), Some(theirs)) => prop_assert!(same_member(&ours, &theirs), "{:?}, {:?}", ours, theirs),
            (_, None) => {}
            (ours, theirs) => prop_assert!(false, "{:?}, {:?}", ours, theirs),
        }
        let (decided, digest) = (Height(9), engine::types::Digest([3; 32]));
        // With later rules and without.
        let (rules, rules_since) = (RulesVersion(1 + u16::from(byte % 2)), Epoch(u64::from(byte % 2)));
        let record =
            EngineRecord { epoch: Epoch(1), decided, count: 4, digest, proposal: digest, rules, rules_since };
        let value = spoil(record.encode());
        match (MembersRecord::decode(&value), EngineRecord::decode(&value)) {
            (Ok(ours), Some(theirs)) => {
                prop_assert_eq!((ours.epoch, ours.decided, ours.count), (theirs.epoch.0, theirs.decided.0, theirs.count));
                prop_assert_eq!((ours.digest, ours.proposal), (theirs.digest.0, theirs.proposal.0));
                prop_assert_eq!((ours.rules, ours.rules_since), (theirs.rules.0, theirs.rules_since.0));
            }
            (Err(_), None) => {}
            (ours, theirs) => prop_assert!(false, "{:?}, {:?}", ours, theirs),
        }
    }
}
