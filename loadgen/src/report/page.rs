//! The page of `--report`: one file that can be published. No script, nothing fetched, all raw data inside.
//!
//! ```text
//!   BenchReport ──> validity, number, conditions, ceiling ──> figures over time ──> audit, manifest, raw data
//! ```
//!
//! Whether the figures may be relied on comes before the figures. What was not measured is said in place of a figure.

mod figures;

use super::table::plural;
use super::{Audit, BenchReport, FaultFigures, duration, grouped};
use crate::outcome::Percentile;
use crate::validity::{Finding, Judged, Rule, Verdict};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::fmt::Write;

const CSS: &str = include_str!("page/style.css");
const UNKNOWN: &str = "not known";

/// The page of a report.
pub(super) fn render(report: &BenchReport) -> String {
    let verdict = &report.validity.verdict;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (verdict) ": " (rate(report.tps.committed)) " transactions a second, Millrace" }
                style { (PreEscaped(CSS)) }
            }
            body {
                main {
                    (validity(report))
                    (number(report))
                    (conditions(report))
                    (ceiling(report))
                    (figures::render(report))
                    (faults(&report.faults))
                    (audit(&report.audit))
                    (manifest(report))
                    (data(report))
                }
                footer { "Millrace " (report.build.version) ". " (report.manifest.ended.as_deref().unwrap_or_default()) }
            }
        }
    }
    .into_string()
}

/// Part of the page, under a heading.
fn section(id: &str, title: &str, content: Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) }
            (content)
        }
    }
}

/// A table of names and values.
fn facts(caption: &str, rows: &[(&str, String)]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table.facts {
                caption { (caption) }
                @for (name, value) in rows {
                    tr { th scope="row" { (name) } td { (value) } }
                }
            }
        }
    }
}

fn validity(report: &BenchReport) -> Markup {
    let validity = &report.validity;
    let class = match validity.verdict {
        Verdict::Valid => "good",
        Verdict::Invalid => "bad",
        Verdict::NotJudged => "open",
    };
    html! {
        header.verdict.(class) {
            p { strong { (validity.line()) } }
        }
        h1 { "Millrace bench" }
        @if !validity.rules.is_empty() {
            div.scroll tabindex="0" role="region" aria-label="The rules of a valid run" {
                table.rules {
                    caption { "The rules of a valid run" }
                    thead { tr {
                        th scope="col" { "Rule" }
                        th scope="col" { "Found" }
                        th.number scope="col" { "Measured" }
                        th.number scope="col" { "Bar" }
                        th scope="col" { "In words" }
                    } }
                    tbody { @for judged in &validity.rules { (rule(judged)) } }
                }
            }
        }
    }
}

fn rule(judged: &Judged) -> Markup {
    let name = match judged.rule {
        Rule::LateSends => "Few sends are late",
        Rule::Offered => "The rate was offered",
        Rule::Ceiling => "Below the generator's ceiling",
        Rule::Steal => "The CPU was there",
        Rule::FileSystem => "The data is on a disk",
        Rule::Sync => "A sync reaches the disk",
        Rule::Audit => "The audit holds",
    };
    let (class, mark, found) = match judged.finding {
        Finding::Holds => ("good", "✔", "holds"),
        Finding::Fails => ("bad", "✘", "fails"),
        Finding::NotJudged => ("open", "?", "not judged"),
        Finding::DoesNotApply => ("", "–", "does not apply"),
    };
    let value = |value: f64| match judged.rule {
        Rule::Sync => duration(value.round() as u64),
        _ => percent(value),
    };
    let side = if matches!(judged.rule, Rule::Offered | Rule::Sync) { "at least " } else { "at most " };
    html! {
        tr {
            th scope="row" { (name) }
            td.(class) { span aria-hidden="true" { (mark) " " } (found) }
            td.number { (judged.measured.map_or("–".to_owned(), value)) }
            td.number { (judged.bar.map_or("–".to_owned(), |bar| format!("{side}{}", value(bar)))) }
            td { (judged.says) }
        }
    }
}

fn number(report: &BenchReport) -> Markup {
    let (latency, config) = (&report.latency_us, &report.config);
    let applied = report.accepted.saturating_sub(report.failed.values().sum());
    let committed = match report.offered {
        0 => UNKNOWN.to_owned(),
        offered => percent(applied as f64 / offered as f64),
    };
    let tiles = [
        ("offered a second", rate(report.tps.offered)),
        ("of these committed", committed),
        ("p50", duration(latency.p50)),
        ("p99", duration(latency.p99)),
        ("p99.9", duration(latency.p999)),
        ("longest", duration(latency.max)),
    ];
    let estimate = if report.validity.estimate { "An estimate: the rate was found. " } else { "" };
    let mut notes = Vec::new();
    if config.payments > 1 {
        let payments = rate(report.tps.committed * config.payments as f64);
        notes.push(format!(
            "Each transaction has {} payments: {payments} payments a second.",
            config.payments
        ));
    }
    if config.opened > 0 {
        let accounts = rate(report.tps.committed * config.opened as f64);
        notes.push(format!(
            "Each transaction opens {} accounts: {accounts} accounts a second.",
            config.opened
        ));
    }
    if let Some(why) = &report.ended_early {
        notes.push(format!("The run ended after {} s: {why}.", report.seconds.len()));
    }
    for lost in &report.lost_connections {
        let end = if lost.came_back { " and came back" } else { "" };
        notes.push(format!("Validator {} went away{end}: {}.", lost.lane, lost.reason));
    }
    if report.contested > 0 {
        notes.push(format!("{} transactions met others with their nonces.", grouped(report.contested)));
    }
    let content = html! {
        p.headline { span.big { (rate(report.tps.committed)) } " transactions committed a second" }
        p.soft { (estimate) "Latency is from the intended send to the committed notice. What did not commit is in it \
            as the time-out." }
        dl.tiles { @for (name, value) in tiles { div { dt { (name) } dd { (value) } } } }
        @if !notes.is_empty() { ul.notes { @for note in &notes { li { (note) } } } }
    };
    section("number", "The number", content)
}

fn conditions(report: &BenchReport) -> Markup {
    let (machine, config, build) = (&report.machine, &report.config, &report.build);
    let known = |text: &str| if text.is_empty() { UNKNOWN.to_owned() } else { text.to_owned() };
    let sync = report.validity.rules.iter().find(|judged| judged.rule == Rule::Sync);
    let sync = sync.and_then(|judged| judged.measured);
    let memory = machine.memory_bytes as f64 / (1u64 << 30) as f64;
    let network = format!(
        "{}, {}, {} on each",
        plural(config.validators, "validator"),
        plural(config.chains, "chain"),
        plural(config.accounts, "account")
    );
    let mut load =
        format!("{} for {} s at rate {}", known(&config.workload), config.seconds, known(&config.rate));
    for (is_there, words) in [
        (config.cross_chain_percent > 0.0, format!(", {} % across chains", config.cross_chain_percent)),
        (config.payments > 1, format!(", {} payments each", config.payments)),
        (config.opened > 0, format!(", {} accounts opened each", config.opened)),
        (config.data_bytes > 0, format!(", {} bytes of data each", config.data_bytes)),
    ] {
        load.push_str(if is_there { &words } else { "" });
    }
    let rows = [
        ("Machine", format!("{}, {}, {memory:.0} GiB", known(&machine.cpu), plural(machine.cores, "thread"))),
        ("System", known(&machine.system)),
        ("Build", format!("{} {}, {}", build.version, build.profile, commit(report))),
        ("Network", network),
        ("Load", load),
        ("Journals", known(&config.storage)),
        ("Signatures checked by", known(&config.verify)),
        ("File system", report.validity.file_system.clone().unwrap_or_else(|| UNKNOWN.to_owned())),
        ("Sync of 4 KiB, median", sync.map_or(UNKNOWN.to_owned(), |us| duration(us.round() as u64))),
    ];
    let content = html! {
        (facts("What ran where", &rows))
        @match &report.manifest.command {
            Some(command) => { p { "To repeat it, on such a machine, with this build:" } pre tabindex="0" { (command) } },
            None => p.soft { "The command line is not known." },
        }
    };
    section("conditions", "Conditions", content)
}

/// The commit, and whether more than it was built.
fn commit(report: &BenchReport) -> String {
    let Some(commit) = &report.build.commit else { return "commit not known".to_owned() };
    let dirty = match report.manifest.dirty {
        Some(true) => ", with changes that are in no commit",
        Some(false) => ", without other changes",
        None => "",
    };
    format!("commit {}{dirty}", commit.trim_end_matches("-dirty"))
}

fn ceiling(report: &BenchReport) -> Markup {
    let content = match report.validity.ceiling {
        None => html! { p.soft { "The generator's ceiling was not measured." } },
        Some(ceiling) => {
            let more = if ceiling.at_least { " or more" } else { "" };
            let cpu = |us: Option<f64>| us.map_or(UNKNOWN.to_owned(), |us| format!("{us:.2} µs"));
            let share = match ceiling.tps > 0.0 {
                true => percent(report.tps.committed / ceiling.tps),
                false => UNKNOWN.to_owned(),
            };
            let rows = [
                (
                    "Ceiling",
                    format!("{}{more} transactions a second, over {} s", rate(ceiling.tps), ceiling.seconds),
                ),
                ("This run committed", format!("{share} of it")),
                (
                    "CPU of the generator",
                    format!("{} for each transaction", cpu(ceiling.generator_cpu_us_per_tx)),
                ),
                ("CPU of the null sink", format!("{} for each transaction", cpu(ceiling.sink_cpu_us_per_tx))),
            ];
            facts("The same load against a null sink, which commits everything at once", &rows)
        }
    };
    section("ceiling", "What the generator can do alone", content)
}

/// What was done to validators on purpose; nothing where nothing was.
fn faults(faults: &[FaultFigures]) -> Markup {
    if faults.is_empty() {
        return html! {};
    }
    let content = html! {
        table {
            caption { "What was done on purpose, and how long it was felt" }
            thead { tr {
                th.number scope="col" { "At second" }
                th scope="col" { "What" }
                th scope="col" { "As usual again" }
            } }
            tbody { @for fault in faults { tr {
                td.number { (fault.second) }
                td { (fault.action) " validator " (fault.validator) }
                td { (fault.felt()) }
            } } }
        }
    };
    section("faults", "Faults on a schedule", content)
}

fn audit(audit: &Audit) -> Markup {
    let list = |of: &[u64]| of.iter().map(|n| grouped(*n)).collect::<Vec<_>>().join(", ");
    let mut rows = vec![
        ("Told committed", grouped(audit.acknowledged)),
        ("Missing", grouped(audit.missing)),
        ("Applied more than once", grouped(audit.duplicated)),
        ("Balance drift", audit.balance_drift.to_string()),
        ("Forks", grouped(audit.forks)),
        ("State roots", if audit.roots_equal { "equal" } else { "different" }.to_owned()),
        ("Signatures checked, by validator", list(&audit.signatures_verified_per_validator)),
    ];
    if audit.signatures_by_device_per_validator.iter().any(|n| *n > 0) {
        rows.push(("Accepted by a device", list(&audit.signatures_by_device_per_validator)));
    }
    if audit.attested_told > 0 {
        let (found, told) = (grouped(audit.attested), grouped(audit.attested_told));
        rows.push(("Fingerprints", format!("{found} registered, {told} told registered")));
    }
    let content = html! {
        @if audit.ok {
            p.good { "✔ The audit holds: nothing that clients were told is committed is lost." }
        } @else {
            p.bad { "✘ The audit does not hold, so the figures above are worth nothing." }
        }
        (facts("From the files on disk, after all validators had stopped", &rows))
    };
    section("audit", "Audit", content)
}

fn manifest(report: &BenchReport) -> Markup {
    let (manifest, machine) = (&report.manifest, &report.machine);
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    let rows = [
        ("SHA-256 of the executable", known(&manifest.binary_sha256)),
        ("Commit", known(&report.build.commit)),
        (
            "Changes in no commit",
            manifest.dirty.map_or(UNKNOWN, |dirty| if dirty { "yes" } else { "no" }).to_owned(),
        ),
        ("Compiler", known(&manifest.rustc)),
        ("Kernel", machine.system.clone()),
        ("Processor", machine.cpu.clone()),
        ("Extensions", machine.extensions.join(", ")),
        ("Memory", format!("{} bytes", grouped(machine.memory_bytes))),
        ("Ended", known(&manifest.ended)),
        ("Schema of the JSON", format!("{} (docs/bench.schema.json)", report.schema)),
    ];
    section("manifest", "Manifest", facts("What exactly ran", &rows))
}

fn data(report: &BenchReport) -> Markup {
    let (csv, log, json) = (report.csv(), percentile_log(&report.latency_percentiles), report.to_json());
    let files = [
        ("report.json", "application/json", &json),
        ("seconds.csv", "text/csv", &csv),
        ("latency.hgrm", "text/plain", &log),
    ];
    let content = html! {
        p { "These files are inside this page." }
        ul.files {
            @for (name, kind, text) in files {
                li { a download=(name) href=(data_url(kind, text)) { (name) } " " span.soft { (text.len() / 1024 + 1) " KiB" } }
            }
        }
        details { summary { "Every second, as CSV" } pre tabindex="0" { (csv) } }
        details { summary { "Latency in microseconds, as a percentile log of HDR histogram" } pre tabindex="0" { (log) } }
    };
    section("data", "Raw data", content)
}

/// A file inside the page.
fn data_url(kind: &str, text: &str) -> String {
    format!("data:{kind};charset=utf-8;base64,{}", BASE64_STANDARD.encode(text))
}

/// The percentiles in the form that the tools of HDR histogram read.
fn percentile_log(percentiles: &[Percentile]) -> String {
    let mut text =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    for of in percentiles {
        let quantile = of.percent / 100.0;
        let rest = 1.0 / (1.0 - quantile);
        let rest = if rest.is_finite() { format!("{rest:.2}") } else { "Infinity".to_owned() };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:>12}.000 {quantile:.12} {:>10} {rest:>14}", of.latency_us, of.count);
    }
    let (max, count) = percentiles.last().map_or((0, 0), |last| (last.latency_us, last.count));
    let _ = writeln!(text, "#[Max     = {max:>12}.000, Total count    = {count:>12}]");
    text
}

fn rate(tps: f64) -> String {
    grouped(tps.round() as u64)
}

/// A share in percent, without zeros at its end.
fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests;
