//! Proofs of what a chain is: by the genesis, or as administrators have decided since.

use std::string::ToString as _;
use std::vec::Vec;

use engine::limits::DECISION_LAG;
use engine::types::{
    AccountId, ChainId, Charter as EngineCharter, CryptoSuite, Decision, NewChain, OWN_CHAIN_KEY,
    Roles as EngineRoles,
};
use proptest::prelude::*;

use super::check;
use super::network::{GOVERNANCE, Network};
use crate::*;

/// A chain with money, and one that decides.
fn network() -> Network {
    Network::new("charters", 4, &[(3, 5), (GOVERNANCE, 3)])
}

fn created() -> NewChain {
    let (kind, suite, asset) = (
        engine::types::ChainKind::Transfers,
        CryptoSuite::Ed25519,
        engine::types::Asset(*b"EUR............."),
    );
    let roles = EngineRoles { issuer: Some(AccountId(0)), issuance_cap: 9, ..EngineRoles::default() };
    NewChain { id: ChainId(41), kind, suite, asset, roles, founders: [[7; 32], [8; 32]].into() }
}

/// Decides, and lets it take effect.
fn decided(decisions: &[Decision]) -> Network {
    let mut network = network();
    let packets: Vec<_> =
        (0..).zip(decisions).flat_map(|(nonce, decision)| network.decide(decision, nonce)).collect();
    network.block(&packets);
    for _ in 0..DECISION_LAG {
        network.block(&[]);
    }
    network
}

fn charter(network: &mut Network, chain: u32) -> Result<Statement, ProofError> {
    let open = network.row_of(chain, CHARTER_KEY);
    let proof = network.close(open, 0);
    check(network, &proof)
}

#[test]
fn a_chain_is_as_the_genesis_has_it_until_something_else_is_decided() {
    assert_eq!(CHARTER_KEY, OWN_CHAIN_KEY);
    let mut network = network();
    network.block(&[]);
    let said = charter(&mut network, 3).unwrap();
    let Fact::Charter(found) = said.fact else { panic!("a charter") };
    let genesis = Genesis::decode(network.genesis.header()).unwrap();
    assert_eq!((found.roles, found.supply), (genesis.chains[0].roles, 5_000));
    assert_eq!((found.status, found.since, found.proposal), (ChainStatus::Active, 0, None));
    assert!(said.to_string().ends_with(
        "chain 3 of the kind transfers was active; nothing decided about it has taken effect since the genesis"
    ));
    assert!(matches!(charter(&mut network, GOVERNANCE).unwrap().fact, Fact::Charter(_)));
}

#[test]
fn what_was_decided_is_proved_with_its_proposal_also_of_a_chain_that_no_genesis_has() {
    let decisions = [Decision::Create(created()), Decision::Pause(ChainId(3))];
    let mut network = decided(&decisions);
    let said = charter(&mut network, 41).unwrap();
    let Fact::Charter(found) = said.fact else { panic!("a charter") };
    assert_eq!((found.roles.issuer, found.cap_ever, found.supply), (Some(0), 9, 0));
    assert_eq!((found.since, found.asset, said.asset), (1 + DECISION_LAG, *b"EUR.............", found.asset));
    let row = network.ledger.prove_row(ChainId(41), &OWN_CHAIN_KEY).unwrap();
    let theirs = EngineCharter::decode(&row.value).unwrap();
    assert_eq!(found.proposal, Some(theirs.proposal.0));
    let said = charter(&mut network, 3).unwrap();
    assert_eq!(said.status, ChainStatus::Paused);
    assert!(said.to_string().contains("was paused; the last decision in effect is proposal "), "{said}");
    // An account of the created chain, which the genesis does not name.
    let open = network.account(41, 1);
    let proof = network.close(open, 0);
    let said = check(&network, &proof).unwrap();
    assert!(matches!(said.fact, Fact::Account(account) if account.key == [8; 32]));
    // The row of another chain says nothing of this one; and no chain is without a row that no genesis has.
    let mut other = network.row_of(3, CHARTER_KEY);
    other.claim = network.row_of(41, CHARTER_KEY).claim;
    let other = network.close(other, 0);
    assert_eq!(check(&network, &other), Err(ProofError::Leaf));
}

proptest! {
    #[test]
    fn both_read_the_bytes_of_a_charter_alike(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut value = EngineCharter::from(&created()).encode();
        let at = at.index(value.len());
        value[at] = byte;
        match (Charter::decode(&value), EngineCharter::decode(&value)) {
            (Ok(ours), Some(theirs)) => {
                prop_assert_eq!((ours.since, ours.supply, ours.cap_ever), (theirs.since.0, theirs.supply, theirs.cap_ever));
                prop_assert_eq!(ours.roles.quota, theirs.roles.quota.0);
                prop_assert_eq!(ours.roles.issuer, theirs.roles.issuer.map(|account| account.0));
                prop_assert_eq!((ours.kind.name(), ours.status.name()), (theirs.kind.name(), theirs.status.name()));
            }
            (Err(_), None) => {}
            (ours, theirs) => prop_assert!(false, "one takes what the other refuses: {:?} {:?}", ours, theirs),
        }
    }
}
