//! `millrace bench --saturate` and `load --saturate`: the highest rate that holds, and the curve on the way to it.

use anyhow::{Context as _, Result, bail};
use loadgen::report::{BenchReport, Machine};
use loadgen::saturation::{Found, Goal, Next, Point, Search};
use loadgen::validity::Verdict;
use serde::Serialize;

use super::program::Program;
use crate::bench::{self, Interrupt};
use crate::cli::{BenchArgs, Output, Rate, grouped};

/// Version of the JSON's shape.
const SCHEMA: u32 = 1;
/// Where a search begins if nothing is said, in transactions a second.
const START: f64 = 1_000.0;

/// A run that a search asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Wanted {
    /// Transactions a second.
    pub rate: f64,
    /// Length of the window.
    pub seconds: u64,
    /// Whether it is one of those that decide, and not a look.
    pub decides: bool,
}

/// Searches with a network of its own for every run; `false` if nothing was found, or what was found is not valid.
///
/// # Errors
/// The options contradict each other; a run has failed; a file cannot be written.
pub fn saturate_bench(args: &BenchArgs) -> Result<bool> {
    bench::check(args)?;
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let interrupt = Interrupt::watch(|| {})?;
    let program = Program::this(&["--json", "--data", "--saturate", "--rate", "--ceiling"])?;
    let mut number = 0;
    let run = |wanted: Wanted| {
        number += 1;
        let ceiling = if wanted.decides { args.ceiling } else { 0 };
        let mut options = vec![
            format!("--rate={:.1}", wanted.rate),
            format!("--seconds={}", wanted.seconds),
            format!("--ceiling={ceiling}"),
        ];
        let place = args.data.as_ref().map(|data| data.join(format!("run-{number:02}")));
        options.extend(place.map(|place| format!("--data={}", place.display())));
        let report = program.with(options).run(&interrupt)?;
        serde_json::from_value(report).context("the result of a run cannot be read")
    };
    saturate(args.rate, json, &interrupt, run)
}

/// Searches; `false` if nothing was found, or what was found is not valid.
///
/// # Errors
/// A run has failed, or a file cannot be written.
pub(crate) fn saturate(
    start: Rate,
    json: Option<Output>,
    interrupt: &Interrupt,
    mut run: impl FnMut(Wanted) -> Result<BenchReport>,
) -> Result<bool> {
    let goal = Goal::default();
    let start = match start {
        Rate::Max => START,
        Rate::Fixed(rate) => rate,
    };
    // The reports of the runs that decided, of those in a row that are there at the end.
    let (mut search, mut held) = (Search::new(goal, start), Vec::new());
    let found = loop {
        let (rate, number) = match search.next() {
            Next::Done(found) => break Some(found),
            Next::Probe { rate } => (rate, None),
            Next::Hold { rate, number } => (rate, Some(number)),
        };
        let decides = number.is_some();
        let seconds = if decides { goal.hold_seconds } else { goal.probe_seconds };
        let report = run(Wanted { rate, seconds, decides });
        if interrupt.signal().is_some() {
            break None;
        }
        let report = report?;
        let point = Point::of(rate, &report);
        eprintln!("{}", line(&point, &goal, number));
        match number {
            Some(_) if point.broken(&goal).is_empty() => held.push(report),
            _ => held.clear(),
        }
        search.tell(point);
    };
    let verdict = verdict(&held);
    if !json.as_ref().is_some_and(Output::is_stdout) {
        println!("{}", conclusion(found, verdict, &held));
        for point in by_rate(search.points()) {
            println!("{}", line(point, &goal, None));
        }
    }
    json.map(|json| json.write(&to_json(&goal, found, verdict, search.points(), &held))).transpose()?;
    if interrupt.signal().is_some() {
        interrupt.end_if_asked();
        bail!("a signal has ended the search, and is gone");
    }
    Ok(matches!(found, Some(Found::Saturation(_))) && verdict != Verdict::Invalid)
}

/// The curve: the points in the order of their rates.
fn by_rate(points: &[Point]) -> Vec<&Point> {
    let mut points: Vec<&Point> = points.iter().collect();
    points.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    points
}

/// Whether the runs that have decided may be relied on: the worst of their verdicts.
fn verdict(held: &[BenchReport]) -> Verdict {
    let is = |verdict| move |report: &BenchReport| report.validity.verdict == verdict;
    if held.iter().any(is(Verdict::Invalid)) {
        Verdict::Invalid
    } else if !held.is_empty() && held.iter().all(is(Verdict::Valid)) {
        Verdict::Valid
    } else {
        Verdict::NotJudged
    }
}

/// The first line: what was found, and whether it may be relied on.
fn conclusion(found: Option<Found>, verdict: Verdict, held: &[BenchReport]) -> String {
    let blamed = held.iter().find(|report| report.validity.verdict == verdict && verdict != Verdict::Valid);
    let whether = blamed.map_or(verdict.to_string(), |report| report.validity.line());
    let rate = |rate: f64| grouped(rate as u64);
    match found {
        Some(Found::Saturation(of)) => {
            format!("saturation: {} transactions a second, held three times of three; {whether}", rate(of))
        }
        Some(Found::AtLeast(of)) => format!(
            "no saturation: {} a second hold three times of three, and more the generator could not offer; {whether}",
            rate(of)
        ),
        Some(Found::Below(of)) => format!("no saturation: not even {} a second hold", rate(of)),
        Some(Found::Unsteady) => {
            "no saturation: rates that hold for a moment do not hold for long; is the machine quiet?"
                .to_owned()
        }
        None => "stopped before anything was found".to_owned(),
    }
}

/// A point for a person.
fn line(point: &Point, goal: &Goal, hold: Option<u32>) -> String {
    let broken = point.broken(goal);
    let broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
    let ms = |us: u64| us / 1_000;
    let verdict = if broken.is_empty() { "holds".to_owned() } else { broken.join(", ") };
    let hold = hold.map_or(String::new(), |number| format!(" ({number} of {})", goal.holds));
    format!(
        "{:>12}/s for {:>2} s  committed {:>10}/s  p50 {:>5} ms  p99 {:>5} ms  {verdict}{hold}",
        grouped(point.rate as u64),
        point.seconds,
        grouped(point.committed as u64),
        ms(point.latency_us.p50),
        ms(point.latency_us.p99)
    )
}

fn to_json(
    goal: &Goal,
    found: Option<Found>,
    verdict: Verdict,
    points: &[Point],
    held: &[BenchReport],
) -> String {
    #[derive(Serialize)]
    struct Report<'a> {
        schema: u32,
        machine: Machine,
        verdict: Verdict,
        found: Option<Found>,
        goal: &'a Goal,
        /// In the order in which they were run.
        points: &'a [Point],
        held: &'a [BenchReport],
    }
    let report = Report { schema: SCHEMA, machine: Machine::here(), verdict, found, goal, points, held };
    serde_json::to_string_pretty(&report).expect("plain data becomes JSON")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use loadgen::outcome::Latency;
    use loadgen::report::Tps;
    use loadgen::validity::Validity;
    use serde_json::Value;

    use super::*;

    /// The report of a network that takes 10,000 a second.
    fn report(wanted: Wanted, verdict: Verdict) -> BenchReport {
        let p99 = if wanted.rate > 10_000.0 { 900_000 } else { 50_000 };
        BenchReport {
            offered: 1_000,
            accepted: 1_000,
            tps: Tps { offered: wanted.rate, committed: wanted.rate.min(10_000.0), ..Tps::default() },
            latency_us: Latency { p50: 10_000, p99, ..Latency::default() },
            validity: Validity { verdict, ..Validity::default() },
            ..BenchReport::default()
        }
    }

    fn search(verdict: impl Fn(u32) -> Verdict, to: &std::path::Path) -> (bool, Value, Vec<Wanted>) {
        let (asked, holds) = (Mutex::new(Vec::new()), std::cell::Cell::new(0));
        let run = |wanted: Wanted| {
            asked.lock().unwrap().push(wanted);
            holds.set(holds.get() + u32::from(wanted.decides));
            Ok(report(wanted, verdict(holds.get())))
        };
        let output = Output::open(to).unwrap();
        let is_good = saturate(Rate::Max, Some(output), &Interrupt::default(), run).unwrap();
        let json = serde_json::from_slice(&std::fs::read(to).unwrap()).unwrap();
        (is_good, json, asked.into_inner().unwrap())
    }

    #[test]
    fn the_search_is_run_and_told_with_its_curve() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("found.json");
        let (is_good, json, asked) = search(|_| Verdict::Valid, &file);
        let rate = json["found"]["saturation"].as_f64().unwrap();
        assert!(is_good && (9_700.0..=10_000.0).contains(&rate), "{json}");
        assert_eq!(asked[0], Wanted { rate: START, seconds: 10, decides: false });
        assert!(asked[asked.len() - 3..].iter().all(|wanted| wanted.decides && wanted.seconds == 60));
        assert_eq!(json["points"].as_array().unwrap().len(), asked.len());
        assert_eq!((json["held"].as_array().unwrap().len(), &json["verdict"]), (3, &"valid".into()));
        // One of the three that decide is not valid: nor is what was found. An earlier result is replaced.
        let (is_good, json, _) =
            search(|hold| if hold == 2 { Verdict::Invalid } else { Verdict::Valid }, &file);
        assert_eq!((is_good, &json["verdict"]), (false, &"invalid".into()));
    }

    #[test]
    fn what_was_not_found_is_not_called_a_saturation() {
        let said = |found| conclusion(Some(found), Verdict::Valid, &[]);
        assert!(said(Found::Saturation(48_000.4)).starts_with("saturation: 48,000 transactions a second"));
        for found in [Found::AtLeast(5.0), Found::Below(5.0), Found::Unsteady] {
            assert!(said(found).starts_with("no saturation"), "{}", said(found));
        }
        assert!(conclusion(None, Verdict::NotJudged, &[]).starts_with("stopped"));
    }
}
