use super::{ChainClients, ClientAccount, Does, Drawn, Workload, parse_reference, reference};
use crate::plan::{LoadError, Share, Traffic};
use engine::types::{ChainId, ChainKind, Height};

fn clients(chain: u32, accounts: usize, spendable: u64) -> ChainClients {
    let account = ClientAccount { next_nonce: 5, spendable, key_version: 1 };
    ChainClients { chain: ChainId(chain), kind: ChainKind::Transfers, accounts: vec![account; accounts] }
}

fn workload(accounts: usize, lanes: usize, seed: u64) -> Workload {
    Workload::new(vec![clients(1, accounts, 1_000_000)], lanes, seed, Height(99)).unwrap()
}

#[test]
fn every_account_keeps_to_its_lane_with_contiguous_nonces() {
    let (accounts, lanes) = (103, 4);
    let mut workload = workload(accounts, lanes, 1);
    let mut next = vec![5u64; accounts];
    for k in 0..20_000 {
        let lane = k % lanes;
        let Drawn { transfer, .. } = workload.next(lane).unwrap();
        let debit = transfer.debit.0 as usize;
        assert_eq!(debit % lanes, lane);
        assert_eq!(transfer.nonce, next[debit]);
        next[debit] += 1;
        assert_ne!(transfer.debit, transfer.credit);
        assert!((transfer.credit.0 as usize) < accounts);
        assert!(transfer.amount > 0);
        assert_eq!(parse_reference(&transfer.reference), (lane, (k / lanes) as u64));
        assert_eq!(transfer.expiry, Height(99));
    }
    // Uniform: with about 194 expected each, none is left out and none is twice as busy.
    assert!(next.iter().all(|n| (5 + 100..5 + 300).contains(n)), "{next:?}");
}

#[test]
fn the_last_account_is_reached_and_the_credits_spread() {
    let mut workload = workload(5, 2, 3);
    let mut debits = [0; 5];
    let mut credits = [0; 5];
    for k in 0..1_000 {
        let Drawn { transfer, .. } = workload.next(k % 2).unwrap();
        debits[transfer.debit.0 as usize] += 1;
        credits[transfer.credit.0 as usize] += 1;
    }
    assert!(debits.iter().chain(&credits).all(|n| *n > 100), "{debits:?} {credits:?}");
}

#[test]
fn no_account_spends_more_than_it_started_with_and_then_the_load_ends_loudly() {
    let mut workload = Workload::new(vec![clients(1, 6, 1_000)], 3, 7, Height(9)).unwrap();
    let mut spent = [0u64; 6];
    let error = loop {
        match workload.next(0) {
            Ok(Drawn { transfer, .. }) => spent[transfer.debit.0 as usize] += transfer.amount,
            Err(error) => break error,
        }
    };
    assert_eq!(spent, [1_000, 0, 0, 1_000, 0, 0]);
    assert!(matches!(error, LoadError::Exhausted { lane: 0, chain: ChainId(1) }));
    assert!(workload.next(1).is_ok());
}

#[test]
fn the_same_seed_gives_the_same_transfers() {
    let draw = |seed| {
        let mut w = workload(50, 2, seed);
        (0..100).map(|k| w.next(k % 2).unwrap().transfer).collect::<Vec<_>>()
    };
    assert_eq!(draw(4), draw(4));
    assert_ne!(draw(4), draw(5));
}

#[test]
fn all_chains_are_used() {
    let chains = vec![clients(1, 8, 10_000), clients(7, 8, 10_000)];
    let mut workload = Workload::new(chains, 4, 2, Height(9)).unwrap();
    let mut seen = [0; 2];
    for k in 0..200 {
        let Drawn { chain: at, transfer, .. } = workload.next(k % 4).unwrap();
        assert_eq!(transfer.chain, ChainId([1, 7][at]));
        seen[at] += 1;
    }
    assert!(seen.iter().all(|n| *n > 60), "{seen:?}");
}

#[test]
fn too_few_accounts_are_refused() {
    for (accounts, lanes) in [(3, 4), (1, 1), (0, 1), (8, 0)] {
        let refused = Workload::new(vec![clients(1, accounts, 10)], lanes, 0, Height(1));
        assert!(matches!(refused, Err(LoadError::Plan(_))), "{accounts} accounts, {lanes} lanes");
    }
}

#[test]
fn a_reference_names_its_submission() {
    assert_eq!(parse_reference(&reference(65_535, u64::MAX - 3)), (65_535, u64::MAX - 3));
}

#[test]
fn a_share_of_the_transfers_goes_to_accounts_of_other_chains() {
    let chains = || vec![clients(1, 50, 1_000_000), clients(4, 20, 1_000_000), clients(9, 90, 1_000_000)];
    let mut workload = Workload::new(chains(), 2, 3, Height(9)).unwrap().crossing(30);
    let mut crossing = 0;
    let mut next = std::collections::BTreeMap::new();
    for k in 0..10_000 {
        let Drawn { transfer, .. } = workload.next(k % 2).unwrap();
        let nonce = next.entry((transfer.chain, transfer.debit)).or_insert(5);
        assert_eq!(transfer.nonce, *nonce);
        *nonce += 1;
        if let Some(other) = transfer.credit_chain {
            assert_ne!(other, transfer.chain);
            let accounts =
                [(1, 50), (4, 20), (9, 90)].into_iter().find(|(chain, _)| *chain == other.0).unwrap().1;
            assert!(transfer.credit.0 < accounts);
            crossing += 1;
        }
    }
    assert!((2_800..3_200).contains(&crossing), "{crossing}");
}

#[test]
fn linked_transfers_pay_so_many_others_one_each() {
    let mut workload = workload(103, 4, 1).linked(50);
    for k in 0..200 {
        let Drawn { transfer, does, .. } = workload.next(k % 4).unwrap();
        let Does::PaysAll(payees) = does else { panic!("{does:?}") };
        assert_eq!((transfer.amount, payees.len(), transfer.credit_chain), (50, 50, None));
        assert!(payees.iter().all(|payee| payee.0 < 103 && *payee != transfer.debit));
    }
    // It has what it started with, and each pays its own share of it.
    let mut poor = Workload::new(vec![clients(1, 4, 99)], 1, 1, Height(9)).unwrap().linked(50);
    assert_eq!((0..4).filter(|_| poor.next(0).is_ok()).count(), 4);
    assert!(poor.next(0).is_err());
}

/// Clients of a chain that takes fingerprints.
fn owners(chain: u32, accounts: usize) -> ChainClients {
    ChainClients { kind: ChainKind::Attestations, ..clients(chain, accounts, 0) }
}

#[test]
fn each_fingerprint_is_new_and_the_nonces_of_its_owner_are_contiguous() {
    let mut workload = Workload::new(vec![owners(1, 9), owners(4, 7)], 2, 3, Height(9))
        .unwrap()
        .of(Traffic::Attest, 40)
        .unwrap();
    assert_eq!((workload.sizes().period(), workload.sizes().packets(1)), (1, 2), "82 bytes");
    let (mut seen, mut next) = (std::collections::BTreeSet::new(), std::collections::BTreeMap::new());
    for k in 0..5_000 {
        let Drawn { transfer, does, .. } = workload.next(k % 2).unwrap();
        let Does::Attests(fingerprint, 40) = does else { panic!("{does:?}") };
        assert!(seen.insert(fingerprint));
        let nonce = next.entry((transfer.chain, transfer.debit)).or_insert(5);
        assert_eq!((transfer.nonce, transfer.debit.0 as usize % 2), (*nonce, k % 2));
        *nonce += 1;
    }
    assert_eq!(next.len(), 16, "everybody registers");
}

#[test]
fn mixed_traffic_alternates_and_each_part_keeps_to_its_chains() {
    let chains = vec![clients(1, 20, 1_000_000), owners(2, 20), clients(3, 20, 1_000_000), owners(4, 20)];
    let mut workload =
        Workload::new(chains, 2, 3, Height(9)).unwrap().of(Traffic::Mixed, 0).unwrap().crossing(50);
    assert_eq!((workload.sizes().period(), workload.sizes().packets(2)), (2, 3));
    let mut of = std::collections::BTreeMap::new();
    for k in 0..4_000 {
        let Drawn { transfer, does, .. } = workload.next(k % 2).unwrap();
        assert_eq!(matches!(does, Does::Attests(..)), k / 2 % 2 == 1);
        assert_eq!(matches!(does, Does::Attests(..)), transfer.chain.0 % 2 == 0);
        assert!(transfer.credit_chain.is_none_or(|other| other.0 % 2 == 1 && other != transfer.chain));
        *of.entry(transfer.chain.0).or_insert(0) += 1;
    }
    assert!(of.values().all(|count| (900..1_100).contains(count)), "{of:?}");
}

#[test]
fn each_chain_gets_the_same_share_of_mixed_traffic_however_many_of_a_kind_there_are() {
    let pays = |chain| clients(chain, 20, 1_000_000);
    let owns = |chain| owners(chain, 20);
    for (chains, period, packets) in [
        (vec![pays(1), owns(2)], 2, 3),
        (vec![pays(1), owns(2), pays(3)], 3, 4),
        (vec![pays(1), pays(2), pays(3), owns(4)], 4, 5),
        (vec![pays(1), owns(2), owns(3), pays(4), owns(5), owns(6)], 3, 5),
    ] {
        let count = chains.len();
        let mut workload = Workload::new(chains, 2, 3, Height(9)).unwrap().of(Traffic::Mixed, 0).unwrap();
        let sizes = workload.sizes();
        assert_eq!((sizes.period(), sizes.packets(sizes.period())), (period, packets));
        let mut of = std::collections::BTreeMap::new();
        for k in 0..count * 1_000 {
            *of.entry(workload.next(k % 2).unwrap().transfer.chain).or_insert(0) += 1;
        }
        assert_eq!(of.len(), count);
        assert!(of.values().all(|share| (900..1_100).contains(share)), "{of:?}");
    }
}

#[test]
fn traffic_without_a_chain_for_it_is_refused() {
    for (chains, traffic) in [
        (vec![clients(1, 20, 10)], Traffic::Attest),
        (vec![clients(1, 20, 10)], Traffic::Mixed),
        (vec![owners(1, 20)], Traffic::Mixed),
        (vec![owners(1, 20)], Traffic::Transfer),
    ] {
        let workload = Workload::new(chains, 2, 3, Height(9)).unwrap();
        assert!(matches!(workload.of(traffic, 0), Err(LoadError::Plan(_))), "{traffic:?}");
    }
}

#[test]
fn shares_are_disjoint_and_together_all() {
    let (accounts, mut paid) = (101, [0; 101]);
    for (number, lanes) in [(1, 4), (2, 3), (3, 2)] {
        let share = Share::new(number, 3).unwrap();
        let mut workload = workload(accounts, lanes, 1).sharing(share).unwrap();
        let mut mine = [false; 101];
        for k in 0..5_000 {
            let Drawn { transfer, .. } = workload.next(k % lanes).unwrap();
            let debit = transfer.debit.0;
            assert!(share.accounts(accounts as u64).contains(&debit));
            assert_eq!((debit - share.accounts(accounts as u64).start) as usize % lanes, k % lanes);
            mine[debit as usize] = true;
        }
        paid.iter_mut().zip(mine).for_each(|(paid, mine)| *paid += usize::from(mine));
    }
    assert_eq!(paid, [1; 101]);
    assert_eq!((Share::new(0, 2), Share::new(3, 2), Share::new(1, 0)), (None, None, None));
    let few = workload(5, 3, 1).sharing(Share::new(2, 3).unwrap());
    assert!(matches!(few, Err(LoadError::Plan(words)) if words.contains("too small")));
}
