//! What the checker must see, and what it must let pass.

use engine::execute::{Crossing, Delivery};
use engine::roots::Ledger;
use engine::types::{Council, TransactionId};

use super::*;
use crate::environment::{DECIDING, Environment, Signer, roles_of};

const NEW: u32 = 2;

fn environment() -> Environment {
    Environment::of_four(1, false, true)
}

fn create() -> Decision {
    Decision::Create(environment().new_chain(NEW, ChainKind::Transfers))
}

/// The first administrator proposes, for these administrators and until that time.
fn proposal(terms: (u64, u64), decision: &Decision) -> Transaction {
    environment().propose(Signer::first(0), terms, (decision, &[0]), 0)
}

fn approval(by: u64, of: &Transaction, administrators: u64) -> Transaction {
    let Ok(Content::Propose(propose)) = of.run().content() else { panic!("it is a proposal") };
    environment().approve(Signer::first(by), (propose.proposal(), &[0]), administrators, 0)
}

fn at(height: u64) -> ChainTime {
    ChainTime::new(Height(height), height * 1_000)
}

/// All heights before one begin, and it.
fn begin(decisions: &mut Decisions, height: u64) {
    (1..=height).for_each(|height| decisions.begin(Height(height)));
}

/// Two administrators decide this at a height.
fn decide(decisions: &mut Decisions, decision: &Decision, height: u64) {
    let proposed = proposal((decisions.version, u64::MAX - height), decision);
    assert_eq!(decisions.applied(&proposed, at(height)), Ok(()));
    assert_eq!(decisions.applied(&approval(1, &proposed, decisions.version), at(height)), Ok(()));
}

fn entries() -> Vec<ChainEntry> {
    Ledger::genesis(&environment().genesis).state_root().entries().to_vec()
}

fn pays(chain: u32, to: Option<u32>) -> Transaction {
    environment().transfer((chain, to), (Signer::first(3), 4), 1, 0, u64::MAX)
}

#[test]
fn a_chain_that_is_there_too_soon_or_too_late_is_seen() {
    let mut decisions = Decisions::new(&environment().genesis);
    let (before, mut after) = (entries(), entries());
    after.push(ChainEntry { chain: ChainId(NEW), ..*before.last().unwrap() });
    assert_eq!(decisions.differ(Height(1), &before), None);
    assert!(decisions.differ(Height(1), &after).is_some(), "nobody has decided it");
    let proposed = proposal((1, u64::MAX), &create());
    assert_eq!(decisions.applied(&proposed, at(3)), Ok(()));
    assert_eq!(decisions.next_effect(), None, "one is not enough");
    assert_eq!(decisions.applied(&approval(1, &proposed, 1), at(5)), Ok(()));
    assert_eq!(decisions.next_effect(), Some(Height(5 + LAG)));
    begin(&mut decisions, 6 + LAG);
    for (height, found, others) in [(4 + LAG, &before, &after), (5 + LAG, &after, &before)] {
        assert_eq!(decisions.differ(Height(height), found), None);
        assert!(decisions.differ(Height(height), others).is_some(), "height {height}");
    }
    assert_eq!((decisions.last_effect(), decisions.effects, decisions.came), (Height(5 + LAG), 1, (1, 0)));
    // Of another kind, and resting.
    for wrong in [
        ChainEntry { kind: ChainKind::Attestations, ..*after.last().unwrap() },
        ChainEntry { status: ChainStatus::Paused, ..*after.last().unwrap() },
    ] {
        *after.last_mut().unwrap() = wrong;
        assert!(decisions.differ(Height(6 + LAG), &after).is_some(), "{wrong:?}");
    }
}

#[test]
fn who_must_not_decide_is_seen() {
    let pause = Decision::Pause(ChainId(1));
    let proposed = proposal((1, 5_000), &pause);
    let after = |transactions: &[Transaction], height: u64| {
        let mut decisions = Decisions::new(&environment().genesis);
        assert_eq!(decisions.applied(&proposed, at(1)), Ok(()));
        transactions.iter().try_for_each(|one| decisions.applied(one, at(height)))
    };
    let other = proposal((1, 6_000), &pause);
    assert_eq!(after(&[approval(1, &proposed, 1)], 5), Ok(()));
    assert!(after(&[approval(0, &proposed, 1)], 5).is_err(), "twice by one");
    assert!(after(&[approval(3, &proposed, 1)], 5).is_err(), "no administrator");
    assert!(after(&[approval(1, &proposed, 2)], 5).is_err(), "of administrators that there are not");
    assert!(after(&[approval(1, &other, 1)], 5).is_err(), "nobody has proposed that");
    assert!(after(&[approval(1, &proposed, 1)], 6).is_err(), "too late");
    assert!(after(&[approval(1, &proposed, 1), approval(2, &proposed, 1)], 5).is_err(), "decided already");
    assert!(after(std::slice::from_ref(&proposed), 5).is_err(), "proposed again");
    let twice = [approval(1, &proposed, 1), other.clone(), approval(1, &other, 1)];
    assert!(after(&twice, 5).is_err(), "the chain rests already");
    for impossible in [
        Decision::Create(environment().new_chain(1, ChainKind::Transfers)),
        Decision::Resume(ChainId(1)),
        Decision::Close(ChainId(9)),
        Decision::Pause(ChainId(DECIDING)),
    ] {
        let other = proposal((1, u64::MAX), &impossible);
        assert!(after(&[other.clone(), approval(1, &other, 1)], 5).is_err(), "{impossible:?}");
    }
}

#[test]
fn others_decide_from_their_height_on() {
    let mut decisions = Decisions::new(&environment().genesis);
    let council = Council { threshold: 1, accounts: vec![AccountId(0), AccountId(5)] };
    let open = proposal((1, 1), &Decision::Pause(ChainId(1)));
    decide(&mut decisions, &Decision::Administrators(council), 1);
    assert_eq!(decisions.applied(&proposal((1, u64::MAX), &create()), at(LAG)), Ok(()));
    begin(&mut decisions, 1 + LAG);
    assert!(decisions.applied(&open, at(1 + LAG)).is_err(), "of the version before");
    let waiting = proposal((1, u64::MAX), &create());
    assert!(decisions.applied(&approval(5, &waiting, 2), at(1 + LAG)).is_err(), "what is open is void");
    let now = proposal((2, u64::MAX), &Decision::Pause(ChainId(1)));
    assert_eq!(decisions.applied(&now, at(1 + LAG)), Ok(()));
    assert_eq!(decisions.next_effect(), Some(Height(1 + 2 * LAG)), "one is enough");
}

#[test]
fn what_applies_on_a_chain_that_does_not_take_it_is_seen() {
    let mut decisions = Decisions::new(&environment().genesis);
    let paused = Height(10 + LAG);
    decide(&mut decisions, &Decision::Pause(ChainId(1)), paused.0 - LAG);
    decide(&mut decisions, &create(), 20);
    begin(&mut decisions, 20 + LAG);
    assert_eq!(decisions.applied(&pays(1, None), at(paused.0 - 1)), Ok(()));
    assert!(decisions.applied(&pays(1, None), at(paused.0)).is_err(), "it rests");
    assert!(decisions.applied(&pays(NEW, None), at(19 + LAG)).is_err(), "it is not there");
    assert_eq!(decisions.applied(&pays(NEW, None), at(20 + LAG)), Ok(()));
    assert_eq!(decisions.on_created, 1);
    // A batch that names the height before cannot be judged.
    assert!(decisions.taken(ChainId(NEW), Height(19 + LAG), Height(21 + LAG)).is_err());
    assert_eq!(decisions.taken(ChainId(NEW), Height(20 + LAG), Height(21 + LAG)), Ok(()));
    assert!(decisions.taken(ChainId(NEW + 1), Height(20 + LAG), Height(21 + LAG)).is_err());
    decide(&mut decisions, &Decision::Close(ChainId(NEW)), 30);
    (21..=30).for_each(|height| decisions.begin(Height(height + LAG)));
    assert_eq!(decisions.applied(&pays(NEW, Some(1)), at(30 + LAG)), Ok(()), "money leaves");
    assert!(decisions.applied(&pays(NEW, None), at(30 + LAG)).is_err(), "it is closed");
    let crossing = Crossing {
        transaction: TransactionId([1; 32]),
        source: ChainId(1),
        payer: AccountId(3),
        destination: ChainId(NEW),
        payee: AccountId(4),
        amount: 1,
    };
    let credited = |leg| Delivered { delivery: Delivery { leg, crossing }, outcome: Outcome::Applied };
    let mut came = |chain, leg, height| decisions.arrived(ChainId(chain), &credited(leg), Height(height));
    assert_eq!(came(1, Leg::Credit, paused.0), Ok(()), "what rests takes what is in flight");
    assert_eq!(came(NEW, Leg::Credit, 29 + LAG), Ok(()));
    assert!(came(NEW, Leg::Credit, 30 + LAG).is_err(), "what is closed does not");
    assert_eq!(came(NEW, Leg::Refund(Outcome::CreditClosed), 30 + LAG), Ok(()));
    assert_eq!(decisions.on_paused, 1);
}

#[test]
fn states_with_other_roles_are_seen() {
    let mut decisions = Decisions::new(&environment().genesis);
    let states = Ledger::genesis(&environment().genesis).states();
    let roles = Roles { issuance_cap: 7, ..roles_of(ChainKind::Transfers, 12) };
    decide(&mut decisions, &Decision::Roles(ChainId(1), roles), 1);
    begin(&mut decisions, 1 + LAG);
    assert_eq!(decisions.states_differ(Height(LAG), &states), None);
    assert!(decisions.states_differ(Height(1 + LAG), &states).is_some());
}
