use proptest::prelude::*;

use super::super::tests::{Case, SEED};
use super::super::verify_groups_on;
use super::*;

/// The verdicts of these cases in these groups, and what they cost.
fn judge(backend: Backend, cases: &[Case], groups: &[Group]) -> (Vec<bool>, Effort) {
    let items: Vec<_> = cases.iter().map(Case::item).collect();
    let mut verdicts = vec![false; cases.len()];
    let effort = verify_groups_on(backend, &items, groups, SEED, &mut verdicts);
    (verdicts, effort)
}

/// `size` cases, forged where `bad` says so. Few keys, since signing is the slow part here.
fn cases(size: usize, bad: impl Fn(usize) -> bool) -> Vec<Case> {
    let known: Vec<_> = (0..8).map(|n| (Case::good(n), Case::forged(n))).collect();
    (0..size)
        .map(|i| &known[i % 8])
        .enumerate()
        .map(|(i, (good, forged))| if bad(i) { forged } else { good }.clone())
        .collect()
}

fn shared(count: usize, entries: usize) -> Vec<Group> {
    vec![Group { entries, company: Company::Shared }; count]
}

#[test]
fn one_bad_source_costs_the_others_one_sum_more_at_most() {
    for bad in [1, 8, 64, 512] {
        let cases = cases(4096, |i| (1024..1536).contains(&i) && i % (512 / bad) == 0);
        for backend in Backend::all() {
            let (verdicts, effort) = judge(backend, &cases, &shared(8, 512));
            assert_eq!(verdicts.iter().filter(|good| !**good).count(), bad, "{backend}");
            // Twice everybody, and within the bad one no more than its search may cost; those after it are left over.
            assert!(effort.combined <= 4096 + 1536 + 2 * 512, "{backend}, {bad} bad: {effort:?}");
            assert!(effort.alone <= 512, "{backend}, {bad} bad: {effort:?}");
            let one = effort.alone < 128 && effort.combined <= 4096 + 1536 + 512;
            assert!(bad > 1 || one, "{backend}: {effort:?}");
        }
    }
}

#[test]
fn many_bad_sources_cost_a_bounded_search_each() {
    for bad in [8, 64, 512] {
        let cases = cases(4096, |i| i % (4096 / bad) == 5);
        for backend in Backend::all() {
            let (verdicts, effort) = judge(backend, &cases, &shared(256, 16));
            assert_eq!(verdicts.iter().filter(|good| !**good).count(), bad, "{backend}");
            let bundles = 16.min(bad) as u64 * 256;
            assert!(effort.combined <= 2 * 4096 + 2 * bundles, "{backend}, {bad} bad: {effort:?}");
            assert!(effort.alone <= bundles, "{backend}, {bad} bad: {effort:?}");
        }
    }
}

#[test]
fn what_is_kept_apart_costs_the_others_nothing() {
    let cases = cases(1536, |i| i >= 1024 && i % 3 == 0);
    for (company, alone, combined) in [(Company::Alone, 512, 1024), (Company::Apart, 512, 1024 + 3 * 512)] {
        let mut groups = shared(2, 512);
        groups.push(Group { entries: 512, company });
        for backend in Backend::all() {
            let (verdicts, effort) = judge(backend, &cases, &groups);
            assert!((0..1536).all(|i| verdicts[i] == (i < 1024 || i % 3 != 0)), "{backend}");
            assert!(effort.alone <= alone && effort.combined <= combined, "{backend}: {effort:?}");
        }
    }
}

#[test]
fn encodings_that_are_refused_spoil_no_sum() {
    let mut cases = cases(300, |_| false);
    // An s above the order; an R and a key that encode no point.
    cases[7].signature[32..].fill(0xff);
    let no_point =
        (0..=255).map(|byte| [byte; 32]).find(|key| !super::super::DecodedKey::new(key).is_valid()).unwrap();
    cases[100].signature[..32].copy_from_slice(&no_point);
    cases[299].key = no_point;
    for backend in Backend::all() {
        let (verdicts, effort) = judge(backend, &cases, &shared(3, 100));
        assert!((0..300).all(|i| verdicts[i] != [7, 100, 299].contains(&i)), "{backend}");
        assert_eq!(effort, Effort { combined: 300, alone: 0 }, "{backend}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// For any groups and any bad entries, verdicts are those of each entry alone, and nothing costs too much.
    #[test]
    fn groups_never_change_a_verdict(
        sizes in proptest::collection::vec((0..400_usize, 0..4_u8), 1..12),
        bad in proptest::collection::vec(any::<u16>(), 0..20),
    ) {
        let company = |kind| match kind {
            0 => Company::Apart,
            1 => Company::Alone,
            _ => Company::Shared,
        };
        let groups: Vec<_> =
            sizes.iter().map(|(entries, kind)| Group { entries: *entries, company: company(*kind) }).collect();
        let total: usize = sizes.iter().map(|(entries, _)| entries).sum();
        let is_bad = |i: usize| bad.iter().any(|at| usize::from(*at) % total.max(1) == i);
        let cases = cases(total, is_bad);
        let (verdicts, effort) = judge(Backend::best(), &cases, &groups);
        prop_assert!((0..total).all(|i| verdicts[i] != is_bad(i)));
        prop_assert!(effort.combined <= 4 * total as u64 && effort.alone <= total as u64);
    }
}
