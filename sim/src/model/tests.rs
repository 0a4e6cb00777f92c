use super::*;

/// Switches one rule off and searches for a state in which `property` fails. The trace must contain these words, in
/// this order.
fn breaks(rule: Rule, property: Property, told: &[&str]) {
    let found = match explore(Rules::without(rule), &[property]) {
        Ok(report) => panic!("no counterexample without {rule:?} in {report:?}"),
        Err(found) => found,
    };
    let trace = found.to_string();
    println!("without {rule:?}:\n{trace}\n");
    assert_eq!(found.property, property);
    let mut rest = trace.as_str();
    for words in told {
        let Some(at) = rest.find(words) else { panic!("the trace does not go on with {words:?}:\n{trace}") };
        rest = &rest[at + words.len()..];
    }
}

#[test]
fn every_reachable_state_is_safe_and_recovers() {
    match explore(Rules::ALL, &Property::ALL) {
        Ok(report) => assert_eq!(report, Report { states: 1_684_448, depth: 19, further_views_max: 1 }),
        Err(found) => panic!("{found}"),
    }
}

#[test]
fn a_vote_without_its_block_stops_the_network() {
    let told = ["votes to finalize it", "all validators lose power", "cannot certify P1"];
    breaks(Rule::CertifyWaitsForJournal, Property::NeverStuck, &told);
}

#[test]
fn without_the_journal_a_finalized_block_has_too_few_holders() {
    breaks(Rule::CertifyWaitsForJournal, Property::Held, &["votes to finalize it", "votes to finalize it"]);
}

#[test]
fn a_withheld_ancestor_stops_the_network() {
    breaks(Rule::FetchUnfinalizedAncestors, Property::NeverStuck, &["falls silent", "cannot certify P1"]);
}

#[test]
fn blocks_that_are_not_served_after_a_restart_stop_the_network() {
    breaks(
        Rule::ServeAfterRestart,
        Property::NeverStuck,
        &["all validators lose power", "cannot certify P1"],
    );
}

#[test]
fn a_dropped_certify_stops_the_network() {
    breaks(Rule::CertifyStaysPending, Property::NeverStuck, &["gives up certifying it", "cannot certify P1"]);
}

#[test]
fn certificates_that_stay_at_one_validator_stop_the_network() {
    breaks(Rule::CertificatesTravel, Property::NeverStuck, &["waits in view 1", "waits in view"]);
}

#[test]
fn finalizing_after_nullifying_forks() {
    breaks(
        Rule::NullifyBarsFinalize,
        Property::Agreement,
        &["votes to nullify view 1", "votes to finalize it"],
    );
}

#[test]
fn nullifying_after_finalizing_forks() {
    breaks(
        Rule::FinalizeBarsNullify,
        Property::Agreement,
        &["votes to finalize it", "votes to nullify view 1"],
    );
}

#[test]
fn two_notarizations_in_one_view_stop_the_network() {
    breaks(
        Rule::OneVoteInAView,
        Property::NeverStuck,
        &["validator 3 falls silent", "has voted to finalize Q1", "has voted to finalize P1"],
    );
}

#[test]
fn forgotten_votes_fork() {
    breaks(Rule::VotesAreDurable, Property::Agreement, &["loses its vote log"]);
}

#[test]
fn an_uncertified_parent_forks() {
    breaks(Rule::ParentIsCertified, Property::Agreement, &["a child of P1", "Q1"]);
}

#[test]
fn skipping_a_view_that_is_not_nullified_forks() {
    breaks(Rule::SkippedViewsAreNullified, Property::Agreement, &["P1", "P2"]);
}

/// Neither rule is needed for a property of this model. A vote to notarize without the body only wastes its view, and a
/// notarization of a child already means that f + 1 honest validators have certified the parent.
#[test]
#[ignore = "two more searches of half a minute; run by hand when a rule changes"]
fn rules_that_safety_and_recovery_do_not_need() {
    for rule in [Rule::VerifyWaitsForBodies, Rule::CertifyWaitsForAncestors] {
        match explore(Rules::without(rule), &Property::ALL) {
            Ok(report) => println!("without {rule:?}: {report:?}"),
            Err(found) => panic!("without {rule:?}:\n{found}"),
        }
    }
}
