//! A slice of what `just simulate` explores, and that its checkers see.

use std::collections::BTreeSet;

use engine::types::Outcome::{
    self, ChainFull, ChangePending, FingerprintTaken, MayNotSettle, MoreThanReserved, NotEmpty, NotGuardian,
    NotInForce, NotReserved, OtherOwner, OtherTerms, UnknownChange, UnknownFingerprint,
};
use engine::types::Refusal;

use super::{Rule, Run, Scenario, SetAside, simulate};

fn run(validators: usize, seed: u64) -> Run {
    Run { seed, validators, ..Run::default() }
}

/// What chance has brought about in some seeds.
#[derive(Default)]
struct Seen {
    arrived: usize,
    came_back: usize,
    rekeyed: usize,
    recovered: usize,
    set_aside: SetAside,
    verdicts: BTreeSet<u8>,
}

impl Seen {
    /// What else tests want to see of it.
    fn missing(&self) -> Option<String> {
        let SetAside { paid, given_back, timed_out, .. } = self.set_aside;
        let SetAside { taken, withdrawn, offers_timed_out, refunded, .. } = self.set_aside;
        let enough = [
            paid > 30 && given_back > 10 && timed_out > 30,
            taken > 5 && withdrawn > 5 && offers_timed_out > 5 && refunded > 10,
            self.arrived > 100 && self.came_back > 5,
            self.rekeyed > 40 && self.recovered > 2,
        ];
        if enough.contains(&false) {
            let Self { arrived, came_back, rekeyed, recovered, set_aside, .. } = self;
            return Some(format!(
                "{set_aside:?}; {arrived} payments arrived, {came_back} came back; {rekeyed} got other keys, \
                 {recovered} by a recovery"
            ));
        }
        let of_fingerprints =
            [FingerprintTaken, UnknownFingerprint, OtherOwner, NotInForce, ChainFull].map(Outcome::code);
        let of_changes = [ChangePending, UnknownChange, NotGuardian, NotEmpty].map(Outcome::code);
        let of_reservations = [NotReserved, MayNotSettle, MoreThanReserved, OtherTerms].map(Outcome::code);
        let refusals =
            [Refusal::OtherKind, Refusal::AccountClosed, Refusal::WrongKeyVersion].map(Refusal::code);
        let expected = of_fingerprints.into_iter().chain(of_changes).chain(of_reservations).chain(refusals);
        not_told(expected, &self.verdicts)
    }
}

/// The codes that no client was told.
fn not_told(expected: impl Iterator<Item = u8>, told: &BTreeSet<u8>) -> Option<String> {
    let missing: Vec<u8> = expected.filter(|code| !told.contains(code)).collect();
    (!missing.is_empty()).then(|| format!("nobody was told {missing:?}"))
}

fn clean(validators: usize, seed: u64, seen: &mut Seen) {
    let report = simulate(&run(validators, seed));
    assert!(report.violations.is_empty(), "seed {seed} of {validators}: {:?}", report.violations);
    assert!(report.heights > 0 && report.submitted > 0, "seed {seed} of {validators} did nothing");
    (seen.arrived, seen.came_back) = (seen.arrived + report.crossed.0, seen.came_back + report.crossed.1);
    (seen.rekeyed, seen.recovered) = (seen.rekeyed + report.replaced.0, seen.recovered + report.replaced.1);
    seen.verdicts.extend(report.verdicts.into_keys());
    seen.set_aside += report.set_aside;
}

/// Twelve seeds, and more until chance has brought about everything once.
#[test]
fn nothing_goes_wrong_with_four() {
    let mut seen = Seen::default();
    for seed in 0.. {
        clean(4, seed, &mut seen);
        match seen.missing() {
            None if seed >= 11 => break,
            missing => assert!(seed < 48, "in {seed} seeds: {missing:?}"),
        }
    }
}

#[test]
fn nothing_goes_wrong_with_seven() {
    (0..2).for_each(|seed| clean(7, seed, &mut Seen::default()));
}

#[test]
fn nothing_goes_wrong_with_one() {
    (0..4).for_each(|seed| clean(1, seed, &mut Seen::default()));
}

#[test]
fn administrators_decide_about_chains() {
    use Outcome::{
        ApprovedAlready, ChainIdTaken, OtherAdministrators, OtherChainState, ProposalDecided,
        ProposalExpired, UnknownProposal,
    };
    let outcomes = [
        ApprovedAlready,
        ChainIdTaken,
        OtherAdministrators,
        OtherChainState,
        ProposalDecided,
        ProposalExpired,
        UnknownProposal,
        Outcome::RoleNotHeld,
        Outcome::ChainPaused,
    ];
    let refusals = [Refusal::ChainPaused, Refusal::WrongChain, Refusal::UnknownCreditChain];
    let (mut created, mut paused, mut on_created, mut on_paused) = (0, 0, 0, 0);
    let (mut verdicts, mut governed) = (BTreeSet::new(), 0);
    // Until chance has brought about everything once.
    for seed in 0.. {
        let report = simulate(&run(4, seed));
        if !report.plan.contains("governed: ByChance") {
            continue;
        }
        assert!(report.violations.is_empty(), "seed {seed}: {:?}", report.violations);
        governed += 1;
        (created, paused) = (created + report.decided.0, paused + report.decided.1);
        (on_created, on_paused) = (on_created + report.on_decided.0, on_paused + report.on_decided.1);
        verdicts.extend(report.verdicts.into_keys());
        let enough = governed > 3 && created > governed && paused > 5 && on_created > 60 && on_paused > 0;
        let expected = outcomes.map(Outcome::code).into_iter().chain(refusals.map(Refusal::code));
        let missing = not_told(expected, &verdicts);
        if enough && missing.is_none() {
            break;
        }
        let counts = (governed, created, paused, on_created, on_paused);
        assert!(seed < 80, "in {seed} seeds: {counts:?}, {missing:?}");
    }
}

#[test]
fn a_seed_is_a_run() {
    let (one, other) = (simulate(&run(4, 5)), simulate(&run(4, 5)));
    assert_eq!(one.digest, other.digest);
    assert_ne!(one.digest, simulate(&run(4, 6)).digest);
    let scenario = Scenario::named("chain_created");
    let scripted = || simulate(&Run { scenario, ..run(4, 1) });
    assert_eq!(scripted().digest, scripted().digest);
}

#[test]
fn every_rule_has_a_name_of_its_own() {
    let mut names: Vec<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert!(Rule::ALL.iter().all(|rule| Rule::named(rule.name()) == Some(*rule)));
    names.sort_unstable();
    names.dedup();
    assert!(names.len() == Rule::ALL.len() && names.len() >= 15);
}

#[test]
fn a_device_that_is_late_forgets_and_leaves_open_changes_no_verdict() {
    for seed in 0..4 {
        let report = simulate(&Run { devices: true, ..run(4, seed) });
        assert!(report.violations.is_empty(), "seed {seed}: {:?}", report.violations);
        assert!(report.heights > 5, "seed {seed}: {}", report.heights);
    }
}

/// The first seed of the first 400 in which the rule's own checker sees that it is broken.
fn found(rule: Rule) -> Option<u64> {
    let own = format!("s: {}", rule.checker());
    (0..400).find(|seed| {
        let report = simulate(&Run { broken: Some(rule), ..run(4, *seed) });
        report.violations.iter().any(|violation| violation.contains(&own))
    })
}

#[test]
fn broken_rules_are_found() {
    let rules = [
        Rule::EverythingExecuted,
        Rule::CheckpointsReachBack,
        Rule::JournalReachesBack,
        Rule::StatesAlike,
        Rule::RefusalsTrue,
        Rule::VotesDurable,
        Rule::CertifyWaits,
        Rule::CertificatesChecked,
        Rule::NoticesByDigest,
        Rule::MoneyConserved,
        Rule::FailuresSpend,
        Rule::CrossingsOnce,
        Rule::IssuesCounted,
        Rule::CrossingsAwaited,
        Rule::JudgedAsOf,
        Rule::FingerprintsOnce,
        Rule::KeysAwaited,
        Rule::DecisionsAwaited,
        Rule::ApprovalsOnce,
        Rule::PausesKept,
        Rule::PaymentsWhole,
        Rule::SettlementsOnce,
        Rule::ReservationsKept,
        Rule::TermsKept,
        Rule::SwapsWhole,
        Rule::TakenTold,
        Rule::EffectsOnce,
        Rule::AgreedSpoken,
        Rule::EpochsEnd,
        Rule::VerdictsKept,
    ];
    for rule in rules {
        assert!(found(rule).is_some(), "{} is broken and its checker does not see it", rule.name());
    }
}

/// The drawn faults show this one seldom.
#[test]
fn a_block_above_a_quota_that_is_voted_for_is_seen() {
    let scenario = Scenario::named("quota_exceeded");
    let broken = Some(Rule::QuotasKept);
    let report = simulate(&Run { scenario, broken, ..run(4, 0) });
    let seen = |violation: &String| violation.contains("s: quota: ");
    assert!(report.violations.iter().any(seen), "{:?}", report.violations);
}

#[test]
fn a_block_with_the_log_of_other_headers_that_is_voted_for_is_seen() {
    let scenario = Scenario::named("log_forged");
    let report = simulate(&Run { scenario, broken: Some(Rule::LogsCompared), ..run(4, 0) });
    let seen = |violation: &String| violation.contains("s: log: ");
    assert!(report.violations.iter().any(seen), "{:?}", report.violations);
}

#[test]
fn a_network_without_faults_has_a_cost() {
    let cost = simulate(&Run { cost: true, ..run(4, 0) }).cost.expect("it was counted");
    let bodies = cost.transactions * 3 * engine::limits::PACKET_BYTES as u64;
    assert!(cost.transactions > 1_000 && cost.bulk.bytes >= bodies / 2, "{cost:?}");
    assert!(cost.views >= cost.blocks && cost.latencies.is_sorted(), "{cost:?}");
}
