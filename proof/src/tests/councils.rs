//! Proofs of who decides, and of what was proposed and decided.

use std::string::ToString as _;
use std::vec::Vec;

use engine::limits::DECISION_LAG;
use engine::types::{
    ADMINISTRATORS_KEY as ENGINE_KEY, AccountId, Asset, ChainId, ChainKind as EngineKind,
    Council as EngineCouncil, CryptoSuite, Decision as EngineDecision, Height, MemberChange as EngineChange,
    NewChain as EngineNewChain, ProposalRecord, Roles as EngineRoles,
};
use proptest::prelude::*;

use super::check;
use super::members::{new_member, same_member};
use super::network::{GOVERNANCE, Network, propose};
use crate::*;

fn network() -> Network {
    Network::new("councils", 4, &[(3, 5), (GOVERNANCE, 3)])
}

fn said(network: &mut Network, key: Digest) -> Result<Statement, ProofError> {
    let open = network.row_of(GOVERNANCE, key);
    let proof = network.close(open, 0);
    check(network, &proof)
}

/// The name that a decision has when it is proposed here.
fn name(decision: &EngineDecision) -> Digest {
    propose(&decision.encode(), 0).proposal().0
}

fn others() -> EngineCouncil {
    EngineCouncil { threshold: 2, accounts: [0, 2].map(AccountId).into() }
}

fn new_chain() -> EngineNewChain {
    let roles = EngineRoles { issuer: Some(AccountId(0)), issuance_cap: 9, ..EngineRoles::default() };
    EngineNewChain {
        id: ChainId(41),
        kind: EngineKind::Transfers,
        suite: CryptoSuite::Ed25519,
        asset: Asset::UNIT,
        roles,
        founders: [[7; 32], [8; 32]].into(),
    }
}

fn decisions() -> [EngineDecision; 9] {
    [
        EngineDecision::Create(new_chain()),
        EngineDecision::Pause(ChainId(3)),
        EngineDecision::Resume(ChainId(3)),
        EngineDecision::Close(ChainId(3)),
        EngineDecision::Roles(ChainId(3), EngineRoles::default()),
        EngineDecision::Administrators(others()),
        EngineDecision::Members(EngineChange::Add(new_member())),
        EngineDecision::Members(EngineChange::Remove { key: [2; 32], below_four: true }),
        EngineDecision::Members(EngineChange::Replace([3; 32], new_member())),
    ]
}

#[test]
fn who_decides_is_as_in_the_genesis_until_others_take_their_places() {
    assert_eq!(ADMINISTRATORS_KEY, ENGINE_KEY);
    let mut network = network();
    network.block(&[]);
    let first = said(&mut network, ADMINISTRATORS_KEY).unwrap();
    let council = Council { threshold: 1, accounts: [0, 1, 2].into() };
    assert_eq!(first.fact, Fact::Administrators(Administrators { version: 1, council }));
    assert!(
        first
            .to_string()
            .ends_with("3 accounts of chain 40 decided, 1 of whom must approve (version 1 of them)"),
        "{first}"
    );

    let packets = network.decide(&EngineDecision::Administrators(others()), 0);
    network.block(&packets);
    for _ in 0..DECISION_LAG {
        network.block(&[]);
    }
    let council = Council { threshold: 2, accounts: [0, 2].into() };
    let fact = Fact::Administrators(Administrators { version: 2, council });
    assert_eq!(said(&mut network, ADMINISTRATORS_KEY).unwrap().fact, fact);
    // Who makes an entry up has no genesis behind it: chain 3 is of another kind there.
    let mut forged = network.row_of(GOVERNANCE, ADMINISTRATORS_KEY);
    forged.entry.chain = 3;
    let genesis = Genesis::decode(network.genesis.header()).unwrap();
    let row = Row { key: [0; 32], next: [0; 32], value: Vec::new() };
    let said = crate::verify::said_of(&ADMINISTRATORS_KEY, &row, &forged.entry, &genesis);
    assert_eq!(said, Err(ProofError::OtherRow));
    // A chain with money has no administrators.
    let open = network.row_of(3, ADMINISTRATORS_KEY);
    let elsewhere = network.close(open, 0);
    let what = "administrators";
    assert_eq!(check(&network, &elsewhere), Err(ProofError::NoSuchRows { chain: 3, what }));
}

#[test]
fn a_proposal_is_proved_with_its_approvals_and_its_height_and_that_there_is_none() {
    let mut network = network();
    let [create, pause, ..] = decisions();
    let packets = network.decide(&pause, 0);
    network.block(&packets);
    let found = said(&mut network, name(&pause)).unwrap();
    let proposal = Proposal {
        administrators: 1,
        until_ms: u64::MAX,
        approvals: [1].into(),
        decided: Some((1, 1 + DECISION_LAG)),
        decision: Decision::Pause(3),
    };
    assert_eq!(found.fact, Fact::Proposal { id: name(&pause), proposal: Some(proposal) });
    let words = std::format!(
        ", to pause chain 3, was decided (decision 1) and takes effect at height {}",
        1 + DECISION_LAG
    );
    assert!(found.to_string().ends_with(&words), "{found}");
    let none = said(&mut network, name(&create)).unwrap();
    assert_eq!(none.fact, Fact::Proposal { id: name(&create), proposal: None });
    assert!(none.to_string().contains("there was no proposal "), "{none}");
}

#[test]
fn a_proposal_has_no_other_name() {
    let mut record = ProposalRecord {
        administrators: 1,
        until_ms: 5,
        approvals: Vec::new(),
        decided: None,
        decision: EngineDecision::Pause(ChainId(3)),
    };
    let (name, value) = (record.proposal().0, record.encode());
    assert!(Proposal::decode(&name, &value).is_ok());
    record.decision = EngineDecision::Close(ChainId(3));
    let reason = "its name is not the hash of what it says";
    assert_eq!(
        Proposal::decode(&name, &record.encode()),
        Err(FormError::Invalid { what: "proposal", reason })
    );
}

fn same_decision(ours: &Decision, theirs: &EngineDecision) -> bool {
    let same_council = |ours: &Council, theirs: &EngineCouncil| {
        ours.threshold == theirs.threshold
            && ours.accounts.iter().copied().eq(theirs.accounts.iter().map(|of| of.0))
    };
    match (ours, theirs) {
        (Decision::Create(ours), EngineDecision::Create(theirs)) => {
            (ours.id, ours.kind.name(), ours.asset) == (theirs.id.0, theirs.kind.name(), theirs.asset.0)
                && ours.founders == theirs.founders
                && ours.roles.issuance_cap == theirs.roles.issuance_cap
        }
        (Decision::Pause(ours), EngineDecision::Pause(theirs))
        | (Decision::Resume(ours), EngineDecision::Resume(theirs))
        | (Decision::Close(ours), EngineDecision::Close(theirs)) => *ours == theirs.0,
        (Decision::Roles(ours, roles), EngineDecision::Roles(theirs, of)) => {
            (*ours, roles.quota, roles.rekey_window) == (theirs.0, of.quota.0, of.windows.rekey_seconds)
        }
        (Decision::Administrators(ours), EngineDecision::Administrators(theirs)) => {
            same_council(ours, theirs)
        }
        (Decision::Members(ours), EngineDecision::Members(theirs)) => match (ours, theirs) {
            (MemberChange::Add(ours), EngineChange::Add(theirs)) => same_member(ours, theirs),
            (MemberChange::Replace(gone, ours), EngineChange::Replace(key, theirs)) => {
                gone == key && same_member(ours, theirs)
            }
            (MemberChange::Remove { key, below_four }, theirs) => {
                *theirs == EngineChange::Remove { key: *key, below_four: *below_four }
            }
            _ => false,
        },
        _ => false,
    }
}

proptest! {
    #[test]
    fn both_read_the_bytes_of_a_proposal_alike(
        which in 0..9_usize,
        numbers in any::<[u64; 2]>(),
        approvals in proptest::collection::vec(any::<u64>(), 0..=16),
        decided in any::<Option<[u64; 2]>>(),
        at in any::<prop::sample::Index>(),
        byte in 0..4_u8,
        changes in any::<bool>(),
    ) {
        let [administrators, until_ms] = numbers;
        let record = ProposalRecord {
            administrators,
            until_ms,
            approvals: approvals.into_iter().map(AccountId).collect(),
            decided: decided.map(|[number, height]| (number, Height(height))),
            decision: decisions()[which].clone(),
        };
        let mut value = record.encode();
        let at = at.index(value.len());
        if changes {
            value[at] = byte;
        }
        // What the engine refuses has no name. What it takes is read alike.
        let Some(theirs) = ProposalRecord::decode(&value) else {
            prop_assert!(changes);
            return Ok(());
        };
        let ours = Proposal::decode(&theirs.proposal().0, &value).unwrap();
        prop_assert!(same_decision(&ours.decision, &theirs.decision), "{ours:?}, {theirs:?}");
        prop_assert_eq!((ours.administrators, ours.until_ms), (theirs.administrators, theirs.until_ms));
        prop_assert_eq!(ours.decided, theirs.decided.map(|(number, height)| (number, height.0)));
        prop_assert!(ours.approvals.into_iter().eq(theirs.approvals.iter().map(|of| of.0)));
    }

    #[test]
    fn both_read_the_bytes_of_administrators_alike(at in 0..30_usize, byte in 0..4_u8) {
        let theirs = engine::types::Administrators { version: 3, council: others() };
        let mut value = theirs.encode();
        if let Some(place) = value.get_mut(at) {
            *place = byte;
        }
        match (Administrators::decode(&value), engine::types::Administrators::decode(&value)) {
            (Ok(ours), Some(theirs)) => {
                prop_assert_eq!(ours.version, theirs.version);
                prop_assert!(same_decision(
                    &Decision::Administrators(ours.council),
                    &EngineDecision::Administrators(theirs.council),
                ));
            }
            (Err(_), None) => {}
            (ours, theirs) => prop_assert!(false, "one takes what the other refuses: {ours:?}, {theirs:?}"),
        }
    }
}
