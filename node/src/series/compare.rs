//! `millrace compare`: two builds or settings, run in turns on one machine.
//!
//! ```text
//! sides A and B, the order of the runs, the figure that decides ── all fixed before the first run
//!    └─> bench ── bench ── bench ── … each a process of its own, each audited ─> pairs ─> ratios ─> the answer
//! ```
//!
//! Invariant: no run is left out and none is added. A run that fails ends the comparison without an answer.

use std::fmt;

use anyhow::{Context as _, Result, bail};
use indicatif::HumanDuration;
use loadgen::report::Machine;
use loadgen::statistics::{Comparison, Interval, Side, order, pairs, ratio};
use loadgen::validity::Verdict;
use serde::Serialize;

use crate::bench::{Interrupt, random_seed};
use crate::cli::{CompareArgs, Figure, Output};
use crate::validator::clock::Clock;

use super::figures::Run;
use super::program::{Place, Program};

/// Compares; `false` if a run has failed.
///
/// # Errors
/// A side that is no `millrace` or no options of `bench`; a file that cannot be written.
pub fn compare(args: &CompareArgs) -> Result<bool> {
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let program = |words: &str| Program::parse(words, &args.common);
    let (a, b) = (program(&args.a).context("A")?, program(&args.b).context("B")?);
    let seed = args.seed.map_or_else(random_seed, Ok)?;
    let interrupt = Interrupt::watch(|| {})?;

    let order = order(args.pairs, seed);
    println!("A: {a}\nB: {b}");
    println!(
        "{} runs in the order {} (seed {seed}); the figure that decides: {}; least effect of interest: {} %",
        order.len(),
        order.iter().map(|side| letter(*side)).collect::<String>(),
        args.figure.title(),
        args.effect
    );
    let (clock, mut runs) = (Clock::start(), Runs::new(order.clone()));
    for (number, side) in (1..).zip(&order) {
        let program = if *side == Side::A { &a } else { &b };
        let place = Place::of(args.data.as_deref(), number);
        let result = program.run_in(&place, false, &interrupt).and_then(|report| Run::of(&report));
        if interrupt.signal().is_some() {
            println!("stopped after {} of {} runs: there is no answer", runs.len(), order.len());
            if let Some(json) = json {
                json.write(&runs.to_json(args, seed, &[], None))?;
            }
            interrupt.end_if_asked();
            bail!("a signal has ended the comparison, and is gone");
        }
        let run = match result {
            Ok(run) => run,
            Err(error) => {
                eprintln!("run {number} of {} ({}) failed: {error:#}", order.len(), letter(*side));
                eprintln!("no run is left out, so there is no answer");
                return Ok(false);
            }
        };
        let left = clock.now().mul_f64((order.len() - number) as f64 / number as f64);
        println!(
            "{number:>4} of {} {}  {run}  about {} left",
            order.len(),
            letter(*side),
            HumanDuration(left)
        );
        runs.push(run);
    }
    println!("{}", runs.validity());
    let compared = Compared::all(&runs);
    let answer = Compared::answer(&compared, args.figure, args.effect / 100.0)?;
    for figure in &compared {
        println!("{figure}");
    }
    println!("{}", conclusion(answer, args.figure));
    json.map(|json| json.write(&runs.to_json(args, seed, &compared, Some(answer)))).transpose()?;
    Ok(true)
}

/// The answer.
fn conclusion(answer: Comparison, figure: Figure) -> String {
    match answer {
        Comparison::Better => format!("B is better than A by {}", figure.title()),
        Comparison::Worse => format!("B is worse than A by {}", figure.title()),
        Comparison::CannotTell => {
            format!("cannot tell whether B is better or worse than A by {}", figure.title())
        }
    }
}

fn letter(side: Side) -> char {
    match side {
        Side::A => 'A',
        Side::B => 'B',
    }
}

/// Version of the JSON's shape.
const SCHEMA: u32 = 1;

/// The runs so far, in their order.
#[derive(Debug)]
pub(super) struct Runs {
    order: Vec<Side>,
    runs: Vec<Run>,
}

impl Runs {
    pub(super) fn new(order: Vec<Side>) -> Self {
        Self { order, runs: Vec::new() }
    }

    pub(super) fn push(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// Whether the runs may be relied on, for a person.
    fn validity(&self) -> String {
        let not_valid = self.runs.iter().filter(|run| run.validity.verdict != Verdict::Valid);
        match not_valid.clone().next() {
            None => format!("{}: every run is", Verdict::Valid),
            Some(first) => format!(
                "{} of {} runs are not valid, and the answer is no better than they are; the first of them is {}",
                not_valid.count(),
                self.runs.len(),
                first.validity.line()
            ),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Everything, as JSON. Without an answer there is none in it.
    pub(super) fn to_json(
        &self,
        args: &CompareArgs,
        seed: u64,
        compared: &[Compared],
        answer: Option<Comparison>,
    ) -> String {
        #[derive(Serialize)]
        struct Report<'a> {
            schema: u32,
            machine: Machine,
            a: &'a str,
            b: &'a str,
            common: &'a [String],
            seed: u64,
            pairs: usize,
            figure: &'static str,
            effect_percent_min: f64,
            answer: Option<Comparison>,
            ratios: Vec<Ratio>,
            runs: Vec<OneRun<'a>>,
        }
        #[derive(Serialize)]
        struct Ratio {
            figure: &'static str,
            b_over_a: Option<Interval>,
        }
        #[derive(Serialize)]
        struct OneRun<'a> {
            side: Side,
            #[serde(flatten)]
            run: &'a Run,
        }
        let report = Report {
            schema: SCHEMA,
            machine: Machine::here(),
            a: &args.a,
            b: &args.b,
            common: &args.common,
            seed,
            pairs: args.pairs,
            figure: args.figure.name(),
            effect_percent_min: args.effect,
            answer,
            ratios: compared
                .iter()
                .map(|of| Ratio { figure: of.figure.name(), b_over_a: of.ratio })
                .collect(),
            runs: self.order.iter().zip(&self.runs).map(|(side, run)| OneRun { side: *side, run }).collect(),
        };
        serde_json::to_string_pretty(&report).expect("plain data becomes JSON")
    }
}

/// A figure of both sides.
#[derive(Debug)]
pub(super) struct Compared {
    figure: Figure,
    /// `None` where a run has no value above zero.
    ratio: Option<Interval>,
}

impl Compared {
    pub(super) fn all(runs: &Runs) -> Vec<Self> {
        Figure::ALL
            .into_iter()
            .map(|figure| {
                let values: Vec<f64> = runs.runs.iter().map(|run| figure.of(run)).collect();
                Self { figure, ratio: ratio(&pairs(&runs.order, &values)) }
            })
            .collect()
    }

    /// What the figure that decides says.
    ///
    /// # Errors
    /// A run has no value of it.
    pub(super) fn answer(all: &[Self], figure: Figure, effect_min: f64) -> Result<Comparison> {
        let ratio = all.iter().find(|of| of.figure == figure).and_then(|of| of.ratio.as_ref());
        let ratio = ratio.with_context(|| format!("a run has no value for {}", figure.title()))?;
        Ok(Comparison::of(ratio, figure.good(), effect_min))
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:<33}", self.figure.title())?;
        match &self.ratio {
            Some(Interval { low, estimate, high, confidence }) => {
                let percent = 100.0 * confidence;
                write!(f, "B/A {estimate:.3}  ({low:.3} to {high:.3} with {percent:.1} %)")
            }
            None => f.write_str("not measured in every run"),
        }
    }
}
