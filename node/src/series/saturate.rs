//! `millrace bench --saturate` and `load --saturate`: the highest rate that holds, and the curve on the way to it.

use anyhow::{Context as _, Result, bail};
use loadgen::LoadError;
use loadgen::report::{BenchReport, Machine};
use loadgen::saturation::{Broken, Found, Goal, Next, Point, Search};
use loadgen::validity::Verdict;
use serde::Serialize;

use super::program::{Place, Program};
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
}

/// Searches with a network of its own for every run; `false` if nothing was found, or what was found is not valid.
///
/// # Errors
/// The options contradict each other; a run has failed; a file cannot be written.
pub fn saturate_bench(args: &BenchArgs) -> Result<bool> {
    bench::check(args)?;
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let interrupt = Interrupt::watch(|| {})?;
    let program = Program::this(&["--json", "--data", "--saturate", "--rate"])?;
    let mut number = 0;
    let run = |wanted: Wanted| {
        bench::check_room(args, wanted.rate, wanted.seconds)?;
        number += 1;
        let place = Place::of(args.data.as_deref(), number);
        let options = [format!("--rate={:.1}", wanted.rate), format!("--seconds={}", wanted.seconds)];
        let report = program.with(options).run_in(&place, args.keep, &interrupt)?;
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
    // The reports of the runs that have held so far, as the search counts them.
    let (mut search, mut held, mut failed) = (Search::new(goal, start), Vec::new(), false);
    let found = loop {
        let (rate, number) = match search.next() {
            Next::Done(found) => break Some(found),
            Next::Probe { rate } => (rate, None),
            Next::Hold { rate, number } => (rate, Some(number)),
        };
        let seconds = if number.is_some() { goal.hold_seconds } else { goal.probe_seconds };
        let report = run(Wanted { rate, seconds });
        if interrupt.signal().is_some() {
            break None;
        }
        let report = match report {
            Ok(report) => report,
            // The generator cannot, whatever the network could.
            Err(error) if matches!(error.downcast_ref(), Some(LoadError::NoRoom(_))) => {
                eprintln!("{error}");
                held.clear();
                search.cannot_offer();
                continue;
            }
            Err(error) => {
                eprintln!("a run at {rate:.0} a second failed: {error:#}");
                failed = true;
                break None;
            }
        };
        let point = Point::of(rate, &report);
        let broken = point.broken(&goal);
        eprintln!("{}", line(&point, &goal, number));
        if number.is_some() && broken.is_empty() {
            held.push(report);
        } else if !broken.contains(&Broken::Disturbed) {
            held.clear();
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
    Ok(!failed && matches!(found, Some(Found::Saturation(_))) && verdict != Verdict::Invalid)
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
            "no saturation: {} a second hold three times of three, and the generator could not offer more; {whether}",
            rate(of)
        ),
        Some(Found::Below(of)) => format!("no saturation: not even {} a second hold", rate(of)),
        Some(Found::Unsteady) => {
            "no saturation: rates that hold for a moment do not hold for long; is the machine quiet?"
                .to_owned()
        }
        None => "the search ended before anything was found".to_owned(),
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

    #[test]
    fn a_disturbed_run_neither_counts_nor_ends_the_row() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("found.json");
        let mut holds = 0;
        let run = |wanted: Wanted| {
            holds += u32::from(wanted.seconds == 60);
            let contested = u64::from(wanted.seconds == 60 && holds == 2);
            Ok(BenchReport { contested, ..report(wanted, Verdict::Valid) })
        };
        let output = Output::open(&file).unwrap();
        assert!(saturate(Rate::Max, Some(output), &Interrupt::default(), run).unwrap());
        let json: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!((holds, json["held"].as_array().unwrap().len()), (4, 3), "three have decided");
    }

    #[test]
    fn a_run_that_fails_ends_the_search_with_what_is_known_and_one_without_room_does_not() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("found.json");
        let search = |error: fn() -> anyhow::Error| {
            let run = |wanted: Wanted| match wanted.rate > 5_000.0 {
                true => Err(error()),
                false => Ok(report(wanted, Verdict::Valid)),
            };
            let output = Output::open(&file).unwrap();
            let is_good = saturate(Rate::Max, Some(output), &Interrupt::default(), run).unwrap();
            (is_good, serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()).unwrap())
        };
        let (is_good, json) = search(|| anyhow::anyhow!("a validator died"));
        assert!(
            !is_good && json["found"].is_null() && json["points"].as_array().unwrap().len() == 3,
            "{json}"
        );
        let (is_good, json) = search(|| LoadError::NoRoom("too much".into()).into());
        let rate = json["found"]["at_least"].as_f64().unwrap();
        assert!(!is_good && (4_800.0..=5_000.0).contains(&rate), "{json}");
    }

    fn search(verdict: impl Fn(u32) -> Verdict, to: &std::path::Path) -> (bool, Value, Vec<Wanted>) {
        let (asked, holds) = (Mutex::new(Vec::new()), std::cell::Cell::new(0));
        let run = |wanted: Wanted| {
            asked.lock().unwrap().push(wanted);
            holds.set(holds.get() + u32::from(wanted.seconds == 60));
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
        assert_eq!(asked[0], Wanted { rate: START, seconds: 10 });
        assert!(asked[asked.len() - 3..].iter().all(|wanted| wanted.seconds == 60));
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
        assert!(conclusion(None, Verdict::NotJudged, &[]).starts_with("the search ended"));
    }
}
