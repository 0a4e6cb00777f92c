use super::{Audit, BenchReport, StageLatency, Style, duration, grouped, named};
use crate::ceiling::Ceiling;
use crate::outcome::LostConnection;
use crate::session::SecondRow;
use crate::validity::{Finding, Judged, Rule, Validity, Verdict};
use engine::types::Refusal;
use serde_json::Value;

fn sample() -> BenchReport {
    let mut report =
        BenchReport { schema: 1, offered: 1_234_567, committed: 1_200_000, ..Default::default() };
    report.config.validators = 4;
    report.config.seconds = 3;
    report.config.rate = "max".into();
    report.machine.cpu =
        "A processor whose maker has given it a name that is far too long for one line <&>".into();
    report.rejected = named(&[(Refusal::SenderFull, 12)]);
    report.tps.committed = 80_000.4;
    report.latency_us.p99 = 345_678;
    report.stages_us.ordered = StageLatency { p50: 20_000, p99: 90_000 };
    report.seconds = [70_000, 90_000, 0]
        .map(|committed| SecondRow { committed, latency_us_p50: 5, ..SecondRow::default() })
        .to_vec();
    report.validity = invalid();
    report.audit.signatures_verified_per_validator = vec![5, 6, 7, 8];
    report.lost_connections =
        vec![LostConnection { lane: 2, reason: "gone".into(), times: 1, came_back: false }];
    report
}

fn invalid() -> Validity {
    let rule = |rule, finding, measured, says: &str| Judged {
        rule,
        finding,
        measured,
        bar: Some(0.01),
        says: says.into(),
    };
    let ceiling = Ceiling { tps: 700_000.0, generator_cpu_us_per_tx: Some(1.2), ..Ceiling::default() };
    Validity {
        verdict: Verdict::Invalid,
        estimate: true,
        rules: vec![
            rule(Rule::LateSends, Finding::Fails, Some(0.12), "12 % of the sends over 10 ms late <&>"),
            rule(Rule::Steal, Finding::NotJudged, None, "nobody knows"),
        ],
        ceiling: Some(ceiling),
        file_system: Some("ext4".into()),
    }
}

#[test]
fn validity_is_the_first_line_of_the_text_and_of_the_page_and_an_object_of_the_json() {
    let report = sample();
    let line = "INVALID, AN ESTIMATE (the rate was found, not configured): 12 % of the sends over 10 ms";
    for style in [Style::Plain, Style::Colour] {
        let text = report.text(style);
        assert!(text.starts_with(line), "{text}");
        for says in [
            "✘ 12 % of the sends",
            "? nobody knows",
            "ceiling 700,000 a second",
            "1.20 µs the generator, unknown the null sink",
        ] {
            assert!(text.contains(says), "{says}: {text}");
        }
    }
    let page = super::page::render(&report);
    let (_, body) = page.split_once("<body>").unwrap();
    assert!(body.trim_start().starts_with(&format!("<p class=\"bad\"><strong>{line}")), "{body}");
    assert!(!body.contains("<&>"), "{body}");
    let value: Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(value["validity"]["verdict"], "invalid");
    assert_eq!(value["validity"]["rules"][0]["rule"], "late_sends");
    assert_eq!(value["validity"]["rules"][0]["finding"], "fails");
    assert_eq!(value["validity"]["rules"][0]["measured"], 0.12);
    assert_eq!(value["validity"]["ceiling"]["tps"], 700_000.0);
    assert!(value["validity"]["ceiling"]["sink_cpu_us_per_tx"].is_null(), "not measured is not zero");
}

#[test]
fn a_report_of_before_there_was_validity_is_not_judged() {
    let mut value = serde_json::to_value(sample()).unwrap();
    value.as_object_mut().unwrap().remove("validity");
    let generator = value["generator"].as_object_mut().unwrap();
    generator.remove("send_delay_us");
    generator.remove("steal_share");
    let report = serde_json::from_value::<BenchReport>(value).unwrap();
    assert_eq!(report.validity.verdict, Verdict::NotJudged);
    assert!(report.text(Style::Plain).starts_with("NOT JUDGED: no rule was looked at\n"));
}

#[test]
fn the_json_has_the_fields_of_schema_1_and_comes_back_unchanged() {
    let report = sample();
    let text = report.to_json();
    assert_eq!(serde_json::from_str::<BenchReport>(&text).unwrap(), report);
    let value: Value = serde_json::from_str(&text).unwrap();
    for path in [
        "/schema",
        "/machine/cpu",
        "/build/version",
        "/config/validators",
        "/offered",
        "/accepted",
        "/committed",
        "/timed_out",
        "/tps/offered",
        "/tps/committed",
        "/tps/peak_second",
        "/tps/lowest_second",
        "/latency_us/p50",
        "/latency_us/p90",
        "/latency_us/p99",
        "/latency_us/p999",
        "/latency_us/max",
        "/stages_us/ingress/p50",
        "/stages_us/verify/p99",
        "/stages_us/mempool/p50",
        "/stages_us/available/p50",
        "/stages_us/ordered/p50",
        "/stages_us/executed/p50",
        "/stages_us/durable/p50",
        "/stages_us/notified/p99",
        "/cpu_us_per_tx_per_validator",
        "/bytes_per_tx/wire",
        "/bytes_per_tx/disk",
        "/audit/acknowledged",
        "/audit/missing",
        "/audit/duplicated",
        "/audit/balance_drift",
        "/audit/forks",
        "/audit/attested",
        "/audit/attested_told",
        "/config/workload",
        "/config/data_bytes",
    ] {
        assert!(value.pointer(path).is_some_and(|v| v.is_number() || v.is_string()), "{path}");
    }
    assert_eq!(value.pointer("/rejected/sender_full"), Some(&12.into()));
    assert!(value["loadgen_cpu_us_per_tx"].is_null(), "not measured is not zero");
    for path in ["/generator_saturated", "/audit/roots_equal", "/audit/ok"] {
        assert!(value.pointer(path).is_some_and(Value::is_boolean), "{path}");
    }
    assert_eq!(value["audit"]["signatures_verified_per_validator"].as_array().map(Vec::len), Some(4));
}

#[test]
fn every_line_of_the_table_has_the_same_width() {
    let table = sample().table(Style::Plain);
    let widths: Vec<_> = table.lines().map(|l| l.chars().count()).collect();
    assert!(widths.iter().all(|w| *w == widths[0]), "{table}");
    assert!(table.contains("80,000") && table.contains("346 ms") && table.contains("sender full"), "{table}");
    assert!(table.contains("validator 2 went away: gone"));
    assert!(table.contains("▆█▁"), "{table}");
}

#[test]
fn colours_are_the_only_difference_between_the_styles() {
    let report = sample();
    let coloured = report.table(Style::Colour);
    assert!(coloured.contains('\x1b'));
    let plain: String = coloured.split('\x1b').enumerate().fold(String::new(), |text, (at, part)| {
        text + if at == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) }
    });
    assert_eq!(plain, report.table(Style::Plain));
}

#[test]
fn a_failed_audit_cannot_be_overlooked() {
    let mut report = sample();
    assert!(report.table(Style::Plain).contains("THE AUDIT DOES NOT HOLD"));
    report.audit.ok = true;
    assert!(report.table(Style::Plain).contains("nothing that clients were told is committed is lost"));
}

#[test]
fn a_disk_that_lacks_what_clients_were_told_breaks_its_word() {
    let good = Audit { attested_told: 5, attested: 6, ..Audit::default() };
    assert!(good.keeps_its_word(), "an answer can come too late");
    let spoiled: [fn(&mut Audit); 5] = [
        |a| a.attested = 4,
        |a| a.missing = 1,
        |a| a.duplicated = 1,
        |a| a.balance_drift = 1,
        |a| a.balance_drift = -1,
    ];
    for spoil in spoiled {
        let mut audit = good.clone();
        spoil(&mut audit);
        assert!(!audit.keeps_its_word(), "{audit:?}");
    }
}

#[test]
fn a_report_of_fingerprints_names_the_workload_its_data_and_how_many_are_registered() {
    let mut report = sample();
    let plain = report.table(Style::Plain);
    assert!(!plain.contains("of data with") && !plain.contains("fingerprints told"), "{plain}");
    report.config.workload = "attest".into();
    report.config.accounts = 16_777_216;
    report.config.data_bytes = 1_024;
    (report.audit.attested_told, report.audit.attested) = (436_607, 436_900);
    let table = report.table(Style::Plain);
    for text in [
        "· attest ",
        "1,024 bytes of data with each fingerprint",
        "436,607 fingerprints told registered · 436,900 registered",
    ] {
        assert!(table.contains(text), "{text}: {table}");
    }
}

#[test]
fn a_report_of_before_there_were_fingerprints_can_still_be_read() {
    let mut value = serde_json::to_value(sample()).unwrap();
    value["config"].as_object_mut().unwrap().remove("data_bytes");
    for field in ["attested_told", "attested"] {
        value["audit"].as_object_mut().unwrap().remove(field);
    }
    assert_eq!(serde_json::from_value::<BenchReport>(value).unwrap(), sample());
}

#[test]
fn the_directory_holds_a_page_that_needs_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let report = sample();
    report.write_dir(&directory.path().join("deep/er")).unwrap();
    let read = |name| std::fs::read_to_string(directory.path().join("deep/er").join(name)).unwrap();
    assert_eq!(read("report.json"), report.to_json());
    let csv = read("seconds.csv");
    assert_eq!(csv.lines().count(), 4);
    assert_eq!(csv.lines().nth(2), Some("1,0,90000,0,0,0,5,0"));
    let page = read("report.html");
    assert!(page.contains("<svg") && page.contains("80,000"));
    assert!(!page.contains("http") && !page.contains("<script"), "nothing is fetched and nothing runs");
    assert!(page.contains("&lt;&amp;&gt;") && !page.contains("<&>"));
}

#[test]
fn numbers_read_well() {
    assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!([999, 1_500, 250_000, 2_000_000].map(duration), ["999 µs", "1.5 ms", "250 ms", "2.00 s"]);
}
