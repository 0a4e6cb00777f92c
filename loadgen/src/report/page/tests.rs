use super::super::{BenchReport, StageLatency, ValidatorFigures};
use super::figures::curve;
use super::{data_url, percentile_log, render};
use crate::outcome::Percentile;
use crate::session::SecondRow;
use crate::validity::{Finding, Judged, Rule, Verdict};

const SECTIONS: [&str; 12] = [
    "number",
    "conditions",
    "ceiling",
    "rate",
    "latency",
    "distribution",
    "stages",
    "queues",
    "resources",
    "audit",
    "manifest",
    "data",
];
const HOSTILE: &str = "</style><script>alert(1)</script>\"' <&>";

fn log() -> Vec<Percentile> {
    let of = |percent, latency_us, count| Percentile { percent, latency_us, count };
    vec![
        of(0.0, 9_000, 1),
        of(50.0, 12_000, 600),
        of(75.0, 11_000, 750),
        of(99.9, 90_000, 999),
        of(100.0, 400_000, 1_000),
    ]
}

fn full() -> BenchReport {
    let mut report = BenchReport { schema: 1, offered: 1_000, accepted: 1_000, ..BenchReport::default() };
    report.latency_percentiles = log();
    report.stages_us.ordered = StageLatency { p50: 20_000, p99: 90_000 };
    report.seconds = (1..=5)
        .map(|n| SecondRow {
            offered: 100,
            committed: 90 + n,
            rejected: 1,
            latency_us_p50: 5_000 * n,
            latency_us_p99: 9_000 * n,
            waiting: Some(n),
            ..SecondRow::default()
        })
        .collect();
    let threads = [("verify".to_owned(), 2.5), ("io".to_owned(), 0.5)].into();
    report.validators = vec![ValidatorFigures {
        cpu_us_per_tx: 3.5,
        resident_bytes_max: 5 << 20,
        threads_us_per_tx: threads,
    }];
    report
}

fn place(page: &str, id: &str) -> usize {
    page.find(&format!("<section id=\"{id}\"")).unwrap_or_else(|| panic!("{id}: {page}"))
}

#[test]
fn every_part_is_there_in_its_order_and_validity_is_before_all() {
    let page = render(&full());
    let places: Vec<usize> = SECTIONS.iter().map(|id| place(&page, id)).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(page.find("NOT JUDGED: no rule was looked at").is_some_and(|at| at < places[0]));
    // Rates, latencies, the distribution, stages, queues and CPU, each wide and narrow, and each says what it shows.
    assert_eq!(page.matches("<svg").count(), 12);
    assert_eq!(page.matches("role=\"img\"").count(), 12);
    assert_eq!(page.matches("<figure").count(), page.matches("class=\"says\"").count());
    assert_eq!(page.matches("<table").count(), page.matches("<caption").count());
}

#[test]
fn a_report_that_lacks_all_that_can_be_lacking_still_says_so() {
    let page = render(&BenchReport::default());
    assert!(SECTIONS.iter().all(|id| place(&page, id) > 0));
    for says in [
        "The generator&#39;s ceiling was not measured",
        "The report has no seconds",
        "The report has no percentiles",
        "The times of the stages are not known",
        "The command line is not known",
        "commit not known",
    ] {
        let plain = says.replace("&#39;", "'");
        assert!(page.contains(says) || page.contains(&plain), "{says}: {page}");
    }
    assert!(!page.contains("<svg") && !page.contains("NaN"), "{page}");
}

#[test]
fn hostile_words_are_words_wherever_they_stand() {
    let mut report = full();
    let words = || HOSTILE.to_owned();
    report.validity.verdict = Verdict::Invalid;
    report.validity.file_system = Some(words());
    let (rule, finding) = (Rule::FileSystem, Finding::Fails);
    report.validity.rules = vec![Judged { rule, finding, measured: None, bar: None, says: words() }];
    (report.machine.cpu, report.machine.system) = (words(), words());
    report.machine.extensions = vec![words()];
    (report.config.rate, report.config.workload, report.config.storage) = (words(), words(), words());
    report.config.verify = words();
    (report.build.version, report.build.commit) = (words(), Some(words()));
    (report.manifest.command, report.manifest.rustc) = (Some(words()), Some(words()));
    (report.manifest.binary_sha256, report.manifest.ended) = (Some(words()), Some(words()));
    report.rejected.insert(words(), 1);
    report.failed.insert(words(), 1);
    report.ended_early = Some(words());
    report.validators[0].threads_us_per_tx.insert(words(), 9.0);
    let page = render(&report);
    assert!(!page.contains("<script") && !page.contains("<&>"), "{page}");
    assert_eq!(page.matches("</style>").count(), 1);
    assert!(page.matches("&lt;script").count() >= 15);
    assert!(!page.contains("aria-label=\"</"), "{page}");
}

#[test]
fn the_curve_of_the_latencies_only_rises() {
    let points = curve(&log());
    assert_eq!(points.len(), 5);
    assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1), "{points:?}");
    assert!(points.iter().all(|(x, y)| x.is_finite() && y.is_finite()));
    // The last one is at as many nines as a thousand transactions can tell apart.
    assert!((points[4].1 - 3.0).abs() < 1e-9 && (points[1].1 - 0.301).abs() < 1e-3, "{points:?}");
    assert!(curve(&[]).is_empty());
}

#[test]
fn the_page_carries_its_raw_data() {
    let report = full();
    let page = render(&report);
    let log = percentile_log(&report.latency_percentiles);
    for (kind, text) in
        [("application/json", report.to_json()), ("text/csv", report.csv()), ("text/plain", log.clone())]
    {
        assert!(page.contains(&data_url(kind, &text)), "{kind}");
    }
    assert!(page.contains(&report.csv()));
    assert_eq!(
        log.lines().nth(3),
        Some("       12000.000 0.500000000000        600           2.00"),
        "{log}"
    );
    assert!(log.contains("Infinity") && log.ends_with("Total count    =         1000]\n"), "{log}");
}

#[test]
fn a_run_of_a_day_is_a_page_that_can_be_opened() {
    let mut report = full();
    report.seconds = (0..86_400).map(|n| SecondRow { committed: n % 7, ..SecondRow::default() }).collect();
    let page = render(&report);
    let drawings: usize = page.split("<svg").skip(1).filter_map(|rest| rest.find("</svg>")).sum();
    assert!(drawings < 200_000, "{drawings} bytes");
    assert!(page.contains("Each point is the mean of 216 s."));
}
