//! `millrace bench --repeat N`: the same run N times, and what the runs say together.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use loadgen::statistics::{Interval, median};
use loadgen::validity::Verdict;
use serde::Serialize;
use serde_json::Value;

use super::figures::Run;
use super::program::{Place, Program};
use crate::bench::{self, Interrupt};
use crate::cli::{BenchArgs, Figure, Output};

/// Version of the JSON's shape.
const SCHEMA: u32 = 1;

/// Runs it; `false` if a run has failed.
///
/// # Errors
/// The options contradict each other; a file cannot be written.
pub fn repeat(args: &BenchArgs) -> Result<bool> {
    bench::check(args)?;
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let interrupt = Interrupt::watch(|| {})?;
    let program = Program::this(&["--json", "--report", "--data", "--repeat"])?;
    let (mut runs, mut reports, mut failed) = (Vec::new(), Vec::new(), false);
    for number in 1..=args.repeat {
        let place = Place::of(args.data.as_deref(), number);
        let report = args
            .report
            .as_ref()
            .map(|of| format!("--report={}", of.join(format!("run-{number:02}")).display()));
        let result = program.with(report).run_in(&place, args.keep, &interrupt);
        let result = result.and_then(|report| Ok((Run::of(&report)?, report)));
        let stopped = interrupt.signal().is_some();
        match result {
            Ok((run, report)) => {
                eprintln!("{number:>4} of {}  {run}  {}", args.repeat, run.validity.verdict);
                runs.push(run);
                reports.push(report);
            }
            Err(_) if stopped => {}
            Err(error) => {
                eprintln!("run {number} of {} failed: {error:#}", args.repeat);
                failed = true;
            }
        }
        if stopped || failed {
            break;
        }
    }
    let medians = medians(&runs);
    if !json.as_ref().is_some_and(Output::is_stdout) {
        print!("{}", text(args.repeat, &runs, &medians));
    }
    json.map(|json| json.write(&to_json(&reports, &medians))).transpose()?;
    if interrupt.signal().is_some() {
        interrupt.end_if_asked();
        bail!("a signal has ended the runs, and is gone");
    }
    Ok(!failed)
}

/// The medians of what was run; of fewer runs than have an interval, none.
fn medians(runs: &[Run]) -> Vec<(Figure, Interval)> {
    let of = |figure: Figure| {
        let values: Vec<f64> = runs.iter().map(|run| figure.of(run)).collect();
        median(&values).map(|median| (figure, median))
    };
    Figure::ALL.into_iter().filter_map(of).collect()
}

/// What is printed: first whether the runs may be relied on.
fn text(wanted: usize, runs: &[Run], medians: &[(Figure, Interval)]) -> String {
    let mut text = String::new();
    let invalid: Vec<usize> =
        (1..).zip(runs).filter(|(_, run)| run.validity.verdict != Verdict::Valid).map(|(at, _)| at).collect();
    // Writing to a string does not fail.
    let _ = match invalid.first() {
        None if runs.is_empty() => writeln!(text, "{}: no run has ended", Verdict::NotJudged),
        None => writeln!(text, "{}: every run is", Verdict::Valid),
        Some(first) => {
            let validity = &runs[first - 1].validity;
            let is_invalid = runs.iter().any(|run| run.validity.verdict == Verdict::Invalid);
            let verdict = if is_invalid { Verdict::Invalid } else { Verdict::NotJudged };
            writeln!(
                text,
                "{verdict}: {} of {} runs are not valid; run {first} is {}",
                invalid.len(),
                runs.len(),
                validity.line()
            )
        }
    };
    if runs.len() < wanted {
        let _ = writeln!(text, "stopped after {} of {wanted} runs", runs.len());
    }
    for (figure, Interval { low, estimate, high, confidence }) in medians {
        let (title, percent) = (figure.title(), 100.0 * confidence);
        let _ = writeln!(
            text,
            "  {title:<33}  median {estimate:.2} {unit}  ({low:.2} to {high:.2} with {percent:.1} %)",
            unit = figure.unit()
        );
    }
    if medians.is_empty() {
        let _ = writeln!(text, "  of so few runs the median has no interval");
    }
    text
}

fn to_json(reports: &[Value], medians: &[(Figure, Interval)]) -> String {
    #[derive(Serialize)]
    struct Report<'a> {
        schema: u32,
        medians: Vec<OneMedian>,
        runs: &'a [Value],
    }
    #[derive(Serialize)]
    struct OneMedian {
        figure: &'static str,
        median: Interval,
    }
    let one = |(figure, median): &(Figure, Interval)| OneMedian { figure: figure.name(), median: *median };
    let report = Report { schema: SCHEMA, medians: medians.iter().map(one).collect(), runs: reports };
    serde_json::to_string_pretty(&report).expect("plain data becomes JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(tps: f64, verdict: &str) -> (Run, Value) {
        let report = json!({
            "audit": { "ok": true },
            "tps": { "committed": tps },
            "latency_us": { "p50": 1_000, "p99": 9_000 },
            "cpu_us_per_tx_per_validator": 2.5,
            "validity": { "verdict": verdict, "estimate": false, "rules": [], "ceiling": null, "file_system": null },
        });
        (Run::of(&report).unwrap(), report)
    }

    #[test]
    fn six_runs_have_medians_and_five_have_none() {
        let (runs, reports): (Vec<_>, Vec<_>) = (1..=6).map(|of| run(f64::from(of), "valid")).unzip();
        let medians = medians(&runs);
        let said = text(6, &runs, &medians);
        assert!(said.starts_with("VALID: every run is\n"), "{said}");
        assert!(said.contains("median 3.50 a second  (1.00 to 6.00 with 96.9 %)"), "{said}");
        let json: Value = serde_json::from_str(&to_json(&reports, &medians)).unwrap();
        assert_eq!(json["medians"][0]["figure"], "tps_committed");
        assert_eq!(json["runs"].as_array().unwrap().len(), 6);
        let said = text(6, &runs[..5], &super::medians(&runs[..5]));
        assert!(said.contains("stopped after 5 of 6") && said.contains("no interval"), "{said}");
    }

    #[test]
    fn one_run_that_is_not_valid_is_said_before_the_figures() {
        let mut runs: Vec<Run> = (1..=6).map(|of| run(f64::from(of), "valid").0).collect();
        runs[2] = run(3.0, "invalid").0;
        let said = text(6, &runs, &medians(&runs));
        assert!(said.starts_with("INVALID: 1 of 6 runs are not valid; run 3 is INVALID"), "{said}");
        // A `millrace` that says nothing of it has not judged it.
        let mut report = run(3.0, "valid").1;
        report.as_object_mut().unwrap().remove("validity");
        assert_eq!(Run::of(&report).unwrap().validity.verdict, Verdict::NotJudged);
    }
}
