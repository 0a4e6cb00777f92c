use super::{Audit, BenchReport, StageLatency, Style, duration, grouped, named};
use crate::ceiling::Ceiling;
use crate::outcome::LostConnection;
use crate::session::SecondRow;
use crate::validity::{Finding, Judged, Rule, Validity, Verdict};
use engine::types::Refusal;
use serde_json::Value;
use std::collections::BTreeSet;

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
    let first = body.split_once("<strong>").unwrap();
    assert!(!first.0.contains(char::is_uppercase) && first.1.starts_with(line), "{body}");
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
    for fetches in ["http:", "https:", "url(", "@import", "src=", "<link", "<script"] {
        assert!(!page.contains(fetches), "nothing is fetched and nothing runs: {fetches}");
    }
    assert!(page.contains("&lt;&amp;&gt;") && !page.contains("<&>"));
}

#[test]
fn numbers_read_well() {
    assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!([999, 1_500, 250_000, 2_000_000].map(duration), ["999 µs", "1.5 ms", "250 ms", "2.00 s"]);
}

/// How a value differs from a schema: the keys, and the kinds of the values. Every key must be in the schema.
fn differences(root: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let below = |schema: &Value, value: &Value, key: &str| {
        differences(root, schema, value, &format!("{place}/{key}"))
    };
    if let Some(name) = schema["$ref"].as_str() {
        return differences(root, root.pointer(&name[1..]).unwrap(), value, place);
    }
    if let Some(one) = schema["anyOf"].as_array() {
        let fits = one.iter().any(|schema| below(schema, value, "").is_empty());
        return if fits { vec![] } else { vec![format!("{place}: {value} is none of {one:?}")] };
    }
    let is_one = |wanted: &Value| wanted.as_array().is_some_and(|all| all.contains(value)) || wanted == value;
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let takes = |wanted: &Value| wanted == kind || (kind == "integer" && wanted == "number");
    let fits = match &schema["type"] {
        Value::Null => is_one(&schema["enum"]) || is_one(&schema["const"]),
        Value::Array(kinds) => kinds.iter().any(takes),
        wanted => takes(wanted),
    };
    if !fits {
        return vec![format!("{place}: {value} is not as in {schema}")];
    }
    let mut found = Vec::new();
    for item in value.as_array().into_iter().flatten() {
        found.extend(below(&schema["items"], item, "0"));
    }
    for (key, item) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(key).or(schema.get("additionalProperties")) {
            Some(schema) => found.extend(below(schema, item, key)),
            None => found.push(format!("{place}/{key}: the schema does not have it")),
        }
    }
    let properties = schema["properties"].as_object().into_iter().flat_map(|of| of.keys());
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // A report of this build has all keys, also those that older ones lack.
    let keys: BTreeSet<&str> = properties.map(String::as_str).chain(required).collect();
    let missing = keys.into_iter().filter(|key| value.get(key).is_none());
    found.extend(missing.map(|key| format!("{place}/{key}: the report does not have it")));
    found
}

#[test]
fn the_published_schema_has_every_key_of_a_report_with_its_kind_and_no_other() {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/bench.schema.json")).unwrap();
    let mut report = sample();
    report.validators = vec![super::ValidatorFigures::default()];
    report.validators[0].threads_us_per_tx.insert("verify".into(), 1.5);
    report.latency_percentiles = vec![crate::outcome::Percentile::default()];
    report.seconds[0].waiting = Some(5);
    report.faults = vec![super::FaultFigures { action: "kill".into(), ..super::FaultFigures::default() }];
    let of = |report: &BenchReport| serde_json::to_value(report).unwrap();
    let check = |value: &Value| differences(&schema, &schema, value, "");
    for report in [&report, &BenchReport { schema: 1, ..BenchReport::default() }] {
        assert_eq!(check(&of(report)), Vec::<String>::new());
    }
    let spoils: [fn(&mut Value); 5] = [
        |value| value["schema"] = 2.into(),
        |value| value["audit"]["missing"] = "none".into(),
        |value| value["seconds"][1]["more"] = 1.into(),
        |value| drop(value.as_object_mut().unwrap().remove("tps")),
        |value| value["validity"]["verdict"] = "fine".into(),
    ];
    for spoil in spoils {
        let mut value = of(&report);
        spoil(&mut value);
        assert_eq!(check(&value).len(), 1, "{:?}", check(&value));
    }
}
