//! Each scenario with a few seeds.

use super::Scenario;
use crate::{Run, simulate};

fn clean(name: &str, seeds: std::ops::Range<u64>) {
    let scenario = Scenario::named(name).expect("it exists");
    let (tried, mut missed) = (seeds.end - seeds.start, 0);
    for seed in seeds {
        let run = Run { seed, validators: scenario.validators, scenario: Some(scenario), ..Run::default() };
        let report = simulate(&run);
        // Some situations need luck, and the traffic that a seed draws is different with each change of the simulator.
        let is_missed = |violation: &String| violation.contains("scenario: step");
        let (not_come, wrong): (Vec<_>, Vec<_>) = report.violations.iter().partition(|one| is_missed(one));
        assert!(wrong.is_empty(), "{name}, seed {seed}: {wrong:?}");
        missed += u64::from(!not_come.is_empty());
    }
    assert!(2 * missed < tried, "{name} came about with {} of {tried} seeds", tried - missed);
}

macro_rules! scenarios {
    ($($name:ident: $seeds:expr,)*) => {
        $(#[test]
        fn $name() {
            clean(stringify!($name), $seeds);
        })*

        #[test]
        fn every_scenario_is_tested() {
            let tested = [$(stringify!($name)),*];
            assert!(Scenario::ALL.iter().all(|scenario| tested.contains(&scenario.name)));
        }
    };
}

scenarios! {
    head_in_memory: 0..5,
    head_certified_once: 0..5,
    finalize_votes_lost: 0..5,
    root_lag: 0..1,
    split_branches: 0..1,
    lost_disk: 0..3,
    last_batch_at_a_liar: 0..5,
    shown_to_few: 0..3,
    leader_nullifies: 0..5,
    leader_equivocates: 0..5,
    parent_without_bodies: 0..5,
    restart_certified: 0..5,
    votes_wiped: 0..5,
    directory_put_back: 0..5,
    bodies_just_late: 3..8,
    quota_exceeded: 0..3,
    log_forged: 0..3,
    key_replaced: 0..5,
    all_replaced: 0..2,
    rules_activated: 0..6,
    chain_created: 0..5,
    sixteen_steady: 0..1,
}
