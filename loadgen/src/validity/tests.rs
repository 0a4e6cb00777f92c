use super::*;

/// A run that breaks no rule.
fn good() -> Facts {
    let disk = Disk { file_system: "ext4".into(), in_memory: Some(false), sync_us_p50: Ok(800.0) };
    Facts {
        rate: Some(1_000.0),
        ended_early: None,
        late_sends: 0.001,
        sent_tps: 1_000.0,
        driven_tps: 1_000.0,
        steal_share: Some(0.0),
        ceiling: Ok(ceiling(20_000.0, true)),
        disk: Ok(disk),
    }
}

fn ceiling(tps: f64, at_least: bool) -> Ceiling {
    Ceiling { tps, at_least, seconds: 3, ..Ceiling::default() }
}

fn spoiled(spoil: impl FnOnce(&mut Facts)) -> Validity {
    let mut facts = good();
    spoil(&mut facts);
    Validity::judge(&facts).audited(true, 0)
}

fn disk(spoil: impl FnOnce(&mut Disk)) -> Validity {
    spoiled(|facts| spoil(facts.disk.as_mut().unwrap()))
}

/// What was found of a rule; all others hold.
#[track_caller]
fn alone(validity: &Validity, rule: Rule) -> Finding {
    let others = validity.rules.iter().filter(|judged| judged.rule != rule);
    assert!(others.clone().count() == 6 && others.clone().all(|one| one.finding == Finding::Holds));
    validity.rules.iter().find(|judged| judged.rule == rule).unwrap().finding
}

#[test]
fn a_run_that_breaks_no_rule_is_valid() {
    let validity = Validity::judge(&good()).audited(true, 0);
    assert_eq!((validity.verdict, validity.estimate), (Verdict::Valid, false), "{validity:?}");
    assert_eq!(validity.line(), "VALID: every rule that applies holds");
    assert!(validity.rules.iter().all(|rule| rule.finding == Finding::Holds), "{validity:?}");
}

#[test]
fn each_rule_holds_at_its_bar_and_fails_beyond_it() {
    type Set = fn(&mut Facts, f64);
    // Below, at and above the bar, in the direction of what is bad.
    let rules: [(Rule, Set, [f64; 3]); 5] = [
        (Rule::LateSends, |f, x| f.late_sends = x, [0.009_9, 0.01, 0.010_1]),
        (Rule::Offered, |f, x| f.sent_tps = x, [991.0, 990.0, 989.9]),
        (Rule::Ceiling, |f, x| f.ceiling = Ok(ceiling(1_000.0 / x, false)), [0.79, 0.8, 0.801]),
        (Rule::Steal, |f, x| f.steal_share = Some(x), [0.019, 0.02, 0.020_1]),
        (Rule::Sync, |f, x| f.disk.as_mut().unwrap().sync_us_p50 = Ok(x), [5.1, 5.0, 4.9]),
    ];
    for (rule, set, values) in rules {
        for (value, finding) in values.into_iter().zip([Finding::Holds, Finding::Holds, Finding::Fails]) {
            let validity = spoiled(|facts| set(facts, value));
            assert_eq!(alone(&validity, rule), finding, "{rule:?} at {value}");
            let verdict = if finding == Finding::Fails { Verdict::Invalid } else { Verdict::Valid };
            assert_eq!(validity.verdict, verdict, "{rule:?} at {value}");
        }
    }
}

#[test]
fn data_in_memory_is_invalid_however_long_its_syncs_take() {
    let validity = disk(|disk| (disk.file_system, disk.in_memory) = ("tmpfs".into(), Some(true)));
    assert_eq!(alone(&validity, Rule::FileSystem), Finding::Fails);
    assert_eq!(validity.line(), "INVALID: the data lies on tmpfs, in memory");
}

#[test]
fn what_is_not_known_is_not_judged_and_says_why() {
    let unknown: [(Rule, Validity, &str); 6] = [
        (Rule::FileSystem, disk(|d| (d.file_system, d.in_memory) = ("overlayfs".into(), None)), "overlayfs"),
        (Rule::Steal, spoiled(|f| f.steal_share = None), "stolen"),
        (Rule::Ceiling, spoiled(|f| f.ceiling = Err("--ceiling 0".into())), "--ceiling 0"),
        (Rule::Ceiling, spoiled(|f| f.ceiling = Ok(ceiling(0.0, false))), "answered nothing"),
        // A ceiling that could be higher shows nothing of a rate that is close to it.
        (Rule::Ceiling, spoiled(|f| f.ceiling = Ok(ceiling(1_100.0, true))), "ran out"),
        (Rule::Sync, disk(|disk| disk.sync_us_p50 = Err("no room".into())), "no room"),
    ];
    for (rule, validity, says) in unknown {
        assert_eq!(alone(&validity, rule), Finding::NotJudged, "{says}");
        assert_eq!(validity.verdict, Verdict::NotJudged, "{says}");
        let line = validity.line();
        assert!(line.starts_with("NOT JUDGED: ") && line.contains(says), "{line}");
    }
    let elsewhere = spoiled(|facts| facts.disk = Err("the disks are elsewhere".into()));
    assert_eq!(elsewhere.line(), "NOT JUDGED: the disks are elsewhere");
}

#[test]
fn a_broken_rule_makes_a_run_invalid_whatever_is_not_known_and_each_is_named() {
    let validity = spoiled(|facts| {
        (facts.late_sends, facts.steal_share) = (0.123, Some(0.05));
        facts.ceiling = Err("no ceiling".into());
    });
    assert_eq!(validity.verdict, Verdict::Invalid);
    assert_eq!(
        validity.line(),
        "INVALID: 12.3 % of the sends over 10 ms late (at most 1 %); 5 % of the CPU time stolen (at most 2 %)"
    );
}

#[test]
fn a_rate_that_was_found_is_an_estimate_and_cannot_be_missed() {
    let validity = spoiled(|facts| (facts.rate, facts.sent_tps) = (None, 5.0));
    assert_eq!(alone(&validity, Rule::Offered), Finding::DoesNotApply);
    assert_eq!((validity.verdict, validity.estimate), (Verdict::Valid, true));
    assert!(validity.line().starts_with("VALID, AN ESTIMATE"), "{}", validity.line());
    let invalid = spoiled(|facts| (facts.rate, facts.late_sends) = (None, 0.5));
    assert!(invalid.line().starts_with("INVALID, AN ESTIMATE"), "{}", invalid.line());
}

#[test]
fn no_run_is_valid_that_was_not_audited_or_whose_audit_fails() {
    let judged = Validity::judge(&good());
    assert_eq!(judged.line(), "NOT JUDGED: the files were not audited");
    let audited = |holds, died| judged.clone().audited(holds, died).line();
    assert_eq!(audited(false, 0), "INVALID: the audit does not hold");
    assert_eq!(audited(true, 1), "INVALID: a validator died");
    assert_eq!(
        judged.clone().audited(false, 0).audited(true, 0).verdict,
        Verdict::Valid,
        "the last one counts"
    );
}

#[test]
fn the_ceiling_is_held_against_the_peak_of_a_shape() {
    let facts = Facts { driven_tps: 17_000.0, ..good() };
    let mut facts = Facts { ceiling: Ok(ceiling(20_000.0, false)), ..facts };
    assert_eq!(alone(&Validity::judge(&facts).audited(true, 0), Rule::Ceiling), Finding::Fails);
    facts.driven_tps = 16_000.0;
    assert_eq!(alone(&Validity::judge(&facts).audited(true, 0), Rule::Ceiling), Finding::Holds);
}

#[test]
fn a_run_that_ended_early_is_not_judged_by_what_it_had_so_far() {
    let validity = spoiled(|facts| {
        (facts.ended_early, facts.late_sends) = (Some("it was stopped".into()), 0.9);
    });
    assert_eq!(validity.line(), "NOT JUDGED: the run ended early: it was stopped");
}

#[test]
fn a_report_without_a_word_on_it_is_not_valid() {
    assert_eq!(Validity::default().line(), "NOT JUDGED: no rule was looked at");
}

#[test]
fn shares_read_well() {
    let shown = [0.0, 0.01, 0.0101, 0.7999, 1.0].map(percent);
    assert_eq!(shown, ["0 %", "1 %", "1.01 %", "79.99 %", "100 %"]);
    for (us, says) in [(4.26, "takes 4.3 µs,"), (3_980.6, "takes 4.0 ms,")] {
        let validity = disk(|disk| disk.sync_us_p50 = Ok(us));
        assert!(validity.rules[5].says.contains(says), "{validity:?}");
    }
}
