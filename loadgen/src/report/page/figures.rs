//! The figures of the page: rates, latencies, stages, queues and resources, each as a chart with its words.

use super::super::chart::{Axis, Line, Unit, bars, lines};
use super::super::{BenchReport, Percentile, ValidatorFigures, duration, grouped};
use super::{UNKNOWN, facts, rate, section};
use crate::session::SecondRow;
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Classes of the style sheet: a line or an area has the same one in every chart that shows it.
const OFFERED: usize = 2;
const BLUE: usize = 3;
const ORANGE: usize = 4;
const RED: usize = 5;
const PURPLE: usize = 6;
/// The classes of the parts of a stack, one after the other.
const PARTS: [usize; 8] = [3, 4, 7, 6, 8, 5, 9, 2];

/// More seconds than this are gathered, so that a page of a long run stays small.
const POINTS_MAX: usize = 400;
/// Bars of validators, at most. All are in the table.
const BARS_MAX: usize = 16;

pub(super) fn render(report: &BenchReport) -> Markup {
    html! {
        (section("rate", "Rate over time", rates(report)))
        (section("latency", "Latency over time", latency(report)))
        (section("distribution", "Latency of all transactions", distribution(report)))
        (section("stages", "Where the time went", stages(report)))
        (section("queues", "What waits", queues(report)))
        (section("resources", "What it took", resources(report)))
    }
}

/// A chart with its title, its legend and what it says.
fn figure(title: &str, legend: &[(usize, &str)], says: &str, chart: Markup) -> Markup {
    html! {
        figure {
            figcaption {
                strong { (title) }
                @if legend.len() > 1 { ul.legend { @for (class, name) in legend {
                    li { span class={ "key k" (class) } aria-hidden="true" {} (name) }
                } } }
            }
            (chart)
            p.says { (says) }
        }
    }
}

fn nothing(what: &str) -> Markup {
    html! { p.soft { (what) } }
}

/// Seconds, gathered where they are too many: at the middle of each stretch what a stretch has.
fn over_time(rows: &[SecondRow], of: impl Fn(&[SecondRow]) -> Option<f64>) -> Vec<(f64, f64)> {
    let step = step(rows);
    let stretches = rows.chunks(step).enumerate();
    stretches
        .filter_map(|(at, stretch)| {
            let middle = (at * step) as f64 + stretch.len() as f64 / 2.0;
            Some((middle, of(stretch)?))
        })
        .collect()
}

/// Seconds of a stretch.
fn step(rows: &[SecondRow]) -> usize {
    rows.len().div_ceil(POINTS_MAX).max(1)
}

fn time(rows: &[SecondRow]) -> Axis {
    Axis::between(Unit::Seconds, 0.0, rows.len() as f64)
}

fn most(lines: &[Line]) -> f64 {
    lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value).fold(0.0, f64::max)
}

fn rates(report: &BenchReport) -> Markup {
    let rows = &report.seconds;
    if rows.is_empty() {
        return nothing("The report has no seconds.");
    }
    type Field = fn(&SecondRow) -> u64;
    let all: [(usize, &str, Field, bool); 5] = [
        (OFFERED, "offered", |row| row.offered, true),
        (BLUE, "committed", |row| row.committed, true),
        (RED, "failed", |row| row.failed, false),
        (ORANGE, "rejected", |row| row.rejected, false),
        (PURPLE, "timed out", |row| row.timed_out, false),
    ];
    let (mut legend, mut drawn) = (Vec::new(), Vec::new());
    for (class, name, field, always) in all {
        if always || rows.iter().any(|row| field(row) > 0) {
            let mean = |rows: &[SecondRow]| rows.iter().map(field).sum::<u64>() as f64 / rows.len() as f64;
            legend.push((class, name));
            drawn.push(Line { class, points: over_time(rows, |rows| Some(mean(rows))) });
        }
    }
    let tps = &report.tps;
    let mut says = format!(
        "Offered {} a second, committed {} a second: {} in the best second, {} in the worst.",
        rate(tps.offered),
        rate(tps.committed),
        rate(tps.peak_second),
        rate(tps.lowest_second)
    );
    let (failed, rejected): (u64, u64) = (report.failed.values().sum(), report.rejected.values().sum());
    if failed + rejected + report.timed_out == 0 {
        says.push_str(" Nothing failed, was rejected or timed out.");
    } else {
        says.push_str(&format!(
            " {} failed, {} were rejected, {} timed out.",
            grouped(failed),
            grouped(rejected),
            grouped(report.timed_out)
        ));
    }
    if step(rows) > 1 {
        says.push_str(&format!(" Each point is the mean of {} s.", step(rows)));
    }
    let chart = lines(&says, time(rows), Axis::up_to(Unit::Count, most(&drawn)), &drawn);
    html! {
        (figure("Transactions a second", &legend, &says, chart))
        (fates(report))
    }
}

/// What became of the transactions of the window.
fn fates(report: &BenchReport) -> Markup {
    let mut rows = vec![
        ("Offered".to_owned(), report.offered),
        ("Ended in a block".to_owned(), report.accepted),
        ("Without an answer in time".to_owned(), report.timed_out),
    ];
    let named = |kind: &str, of: &BTreeMap<String, u64>| -> Vec<_> {
        of.iter().map(|(name, n)| (format!("{kind}: {}", name.replace('_', " ")), *n)).collect()
    };
    rows.extend(named("Rejected", &report.rejected));
    rows.extend(named("In a block, but failed", &report.failed));
    let rows: Vec<(&str, String)> = rows.iter().map(|(name, n)| (name.as_str(), grouped(*n))).collect();
    facts("What became of the transactions of the window", &rows)
}

fn latency(report: &BenchReport) -> Markup {
    let rows = &report.seconds;
    if rows.iter().all(|row| row.latency_us_p99 == 0) {
        return nothing("The report has no latencies of single seconds.");
    }
    // Percentiles have no mean: of a stretch the worst second is drawn.
    let worst = |field: fn(&SecondRow) -> u64| {
        over_time(rows, |rows| rows.iter().map(field).max().filter(|us| *us > 0).map(|us| us as f64))
    };
    let drawn = [
        Line { class: ORANGE, points: worst(|row| row.latency_us_p99) },
        Line { class: BLUE, points: worst(|row| row.latency_us_p50) },
    ];
    let extreme = |field: fn(&SecondRow) -> u64| rows.iter().map(field).max().unwrap_or(0);
    let mut says = format!(
        "Of the commits of each second. The highest median of a second is {}, the highest p99 {}.",
        duration(extreme(|row| row.latency_us_p50)),
        duration(extreme(|row| row.latency_us_p99))
    );
    if step(rows) > 1 {
        says.push_str(&format!(" Each point is the worst of {} s.", step(rows)));
    }
    let chart = lines(&says, time(rows), Axis::up_to(Unit::Duration, most(&drawn)), &drawn);
    figure("Latency of committed transactions", &[(ORANGE, "p99"), (BLUE, "p50")], &says, chart)
}

/// The curve of the percentiles: logarithms of microseconds, and nines of the share that took at most as long.
pub(super) fn curve(percentiles: &[Percentile]) -> Vec<(f64, f64)> {
    let total = percentiles.last().map_or(0, |last| last.count);
    // All of them would be at an infinite number of nines.
    let end = (total as f64).log10().max(1.0);
    let (mut points, mut at) = (Vec::new(), (0.0f64, 0.0f64));
    for of in percentiles {
        let nines = -(1.0 - of.percent / 100.0).max(0.0).log10();
        at = (at.0.max((of.latency_us.max(1) as f64).log10()), at.1.max(nines.min(end)));
        points.push(at);
    }
    points
}

fn distribution(report: &BenchReport) -> Markup {
    let points = curve(&report.latency_percentiles);
    let (Some(first), Some(last)) = (points.first().copied(), points.last().copied()) else {
        return nothing("The report has no percentiles.");
    };
    let latency = &report.latency_us;
    let says = format!(
        "Half took at most {}, 90 % {}, 99 % {}, 99.9 % {}, all {}. Both axes are logarithmic: each nine of the share has \
         the same height.",
        duration(latency.p50),
        duration(latency.p90),
        duration(latency.p99),
        duration(latency.p999),
        duration(latency.max)
    );
    let x = Axis::between(Unit::LogDuration, first.0 - 0.05, last.0 + 0.1);
    let y = Axis::between(Unit::Nines, 0.0, last.1 + 0.1);
    let chart = lines(&says, x, y, &[Line { class: BLUE, points }]);
    let rows = [
        ("p50", duration(latency.p50)),
        ("p90", duration(latency.p90)),
        ("p99", duration(latency.p99)),
        ("p99.9", duration(latency.p999)),
        ("longest", duration(latency.max)),
    ];
    html! {
        (figure("Share of the transactions that took at most so long", &[], &says, chart))
        (facts("Latency of everything offered in the window", &rows))
    }
}

fn stages(report: &BenchReport) -> Markup {
    let rows = report.stages_us.rows();
    if rows.iter().all(|(_, stage)| stage.p99 == 0) {
        return nothing("The times of the stages are not known.");
    }
    let sum =
        |of: fn(&super::super::StageLatency) -> u64| rows.iter().map(|(_, stage)| of(stage)).sum::<u64>();
    let bar = |name: &str, of: fn(&super::super::StageLatency) -> u64| {
        let parts = PARTS.into_iter().zip(&rows).map(|(class, (_, stage))| (class, of(stage) as f64));
        (name.to_owned(), parts.collect())
    };
    let longest = rows.iter().max_by_key(|(_, stage)| stage.p50).map_or("", |(name, _)| name);
    let says = format!(
        "The medians add up to {}, of which \"{longest}\" is the largest; the 99th percentiles add up to {}. A sum of \
         percentiles is no percentile of the sum: the bars show proportions.",
        duration(sum(|stage| stage.p50)),
        duration(sum(|stage| stage.p99))
    );
    let all = [bar("p50", |stage| stage.p50), bar("p99", |stage| stage.p99)];
    html! {
        (figure("Time in each stage, stacked", &[], &says, bars(&says, Unit::Duration, &all)))
        div.scroll tabindex="0" role="region" aria-label="Time in each stage" {
            table {
                caption { "Time in each stage, in the order in which a transaction walks through them" }
                thead { tr { th scope="col" { "Stage" } th.number scope="col" { "p50" } th.number scope="col" { "p99" } } }
                tbody { @for (class, (name, stage)) in PARTS.into_iter().zip(&rows) {
                    tr {
                        th scope="row" { span class={ "key k" (class) } aria-hidden="true" {} (name) }
                        td.number { (duration(stage.p50)) }
                        td.number { (duration(stage.p99)) }
                    }
                } }
            }
        }
    }
}

fn queues(report: &BenchReport) -> Markup {
    let rows = &report.seconds;
    let last = |rows: &[SecondRow]| rows.iter().filter_map(|row| row.waiting).max().map(|n| n as f64);
    let points = over_time(rows, last);
    if points.is_empty() {
        return nothing("What waited in each second is not known.");
    }
    let values: Vec<u64> = rows.iter().filter_map(|row| row.waiting).collect();
    let says = format!(
        "Transactions that were due and had no verdict yet, at the end of each second: {} at first, {} at last, {} at most.",
        grouped(values.first().copied().unwrap_or(0)),
        grouped(values.last().copied().unwrap_or(0)),
        grouped(values.iter().copied().max().unwrap_or(0))
    );
    let drawn = [Line { class: BLUE, points }];
    let chart = lines(&says, time(rows), Axis::up_to(Unit::Count, most(&drawn)), &drawn);
    figure("Transactions without a verdict", &[], &says, chart)
}

fn resources(report: &BenchReport) -> Markup {
    let validators = &report.validators;
    let cpu =
        |us: Option<f64>| us.map_or(UNKNOWN.to_owned(), |us| format!("{us:.2} µs for each transaction"));
    let is_known = !validators.is_empty();
    let bytes =
        |n: f64| if is_known { format!("{n:.0} bytes for each transaction") } else { UNKNOWN.to_owned() };
    let mean = is_known.then_some(report.cpu_us_per_tx_per_validator);
    let rows = [
        ("CPU of a validator, mean", cpu(mean)),
        ("CPU of the generator", cpu(report.loadgen_cpu_us_per_tx)),
        ("On the wire, all validators", bytes(report.bytes_per_tx.wire)),
        ("On disk, all validators", bytes(report.bytes_per_tx.disk)),
        (
            "Memory of a validator, at most",
            validators
                .iter()
                .map(|of| of.resident_bytes_max)
                .max()
                .map_or(UNKNOWN.to_owned(), |bytes| format!("{} MiB", grouped(bytes >> 20))),
        ),
    ];
    html! {
        (facts("Cost of a committed transaction", &rows))
        @if is_known { (by_validator(validators)) }
    }
}

fn by_validator(validators: &[ValidatorFigures]) -> Markup {
    let mut groups: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, us) in validators.iter().flat_map(|of| &of.threads_us_per_tx) {
        *groups.entry(name).or_default() += us / validators.len() as f64;
    }
    let mut groups: Vec<(&str, f64)> = groups.into_iter().filter(|(_, us)| *us > 0.0).collect();
    groups.sort_by(|one, other| other.1.total_cmp(&one.1));
    // The last class is of all groups that are too small, and of threads that have ended.
    let [shown @ .., others] = PARTS;
    let shown: Vec<(usize, &str, f64)> =
        shown.into_iter().zip(&groups).map(|(class, (name, us))| (class, *name, *us)).collect();
    let rest = |of: &ValidatorFigures| {
        let named = shown.iter().filter_map(|(_, name, _)| of.threads_us_per_tx.get(*name)).sum::<f64>();
        (of.cpu_us_per_tx - named).max(0.0)
    };
    let bar = |(at, of): (usize, &ValidatorFigures)| {
        let part = |(class, name, _): &(usize, &str, f64)| {
            (*class, of.threads_us_per_tx.get(*name).copied().unwrap_or(0.0))
        };
        (format!("validator {at}"), shown.iter().map(part).chain([(others, rest(of))]).collect())
    };
    let all: Vec<_> = validators.iter().enumerate().take(BARS_MAX).map(bar).collect();
    let by_cpu = || validators.iter().map(|of| of.cpu_us_per_tx);
    let (least, most) = (by_cpu().fold(f64::INFINITY, f64::min), by_cpu().fold(0.0, f64::max));
    let span = match validators.len() {
        1 => format!("{most:.2} µs"),
        n => format!("On {n} validators, from {least:.2} to {most:.2} µs"),
    };
    let largest = shown.first().map_or("none", |(_, name, _)| *name);
    let says = format!(
        "{span} of CPU for each committed transaction of the network. The largest group of threads is \"{largest}\"."
    );
    let mean_rest = validators.iter().map(rest).sum::<f64>() / validators.len() as f64;
    let rows = shown.iter().copied().chain([(others, "all others", mean_rest)]);
    html! {
        (figure("CPU of each validator by group of threads", &[], &says, bars(&says, Unit::Cpu, &all)))
        div.scroll tabindex="0" role="region" aria-label="CPU by group of threads" {
            table {
                caption { "CPU by group of threads, mean of the validators" }
                thead { tr { th scope="col" { "Threads" } th.number scope="col" { "for each transaction" } } }
                tbody { @for (class, name, us) in rows {
                    tr {
                        th scope="row" { span class={ "key k" (class) } aria-hidden="true" {} (name) }
                        td.number { (format!("{us:.2} µs")) }
                    }
                } }
            }
        }
        div.scroll tabindex="0" role="region" aria-label="Each validator" {
            table {
                caption { "Each validator" }
                thead { tr {
                    th scope="col" { "Validator" }
                    th.number scope="col" { "CPU for each transaction" }
                    th.number scope="col" { "Memory at most" }
                } }
                tbody { @for (at, of) in validators.iter().enumerate() {
                    tr {
                        th scope="row" { (at) }
                        td.number { (format!("{:.2} µs", of.cpu_us_per_tx)) }
                        td.number { (grouped(of.resident_bytes_max >> 20)) " MiB" }
                    }
                } }
            }
        }
    }
}
