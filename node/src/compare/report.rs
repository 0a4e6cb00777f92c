//! What the runs of a comparison come to.

use std::fmt;

use anyhow::{Context as _, Result};
use loadgen::report::Machine;
use loadgen::statistics::{Comparison, Good, Interval, Side, pairs, ratio};
use serde::Serialize;

use super::runs::Run;
use crate::cli::{CompareArgs, Figure};

/// Version of the JSON's shape.
const SCHEMA: u32 = 1;

impl Figure {
    /// All of them, in the order in which they are printed.
    const ALL: [Self; 4] = [Self::Rate, Self::P50, Self::P99, Self::Cpu];

    /// For a person.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Rate => "committed transactions a second",
            Self::P50 => "p50 of the latency",
            Self::P99 => "p99 of the latency",
            Self::Cpu => "CPU a transaction and validator",
        }
    }

    /// For a program: the name that the figure has in the report of a run.
    fn name(self) -> &'static str {
        match self {
            Self::Rate => "tps_committed",
            Self::P50 => "latency_us_p50",
            Self::P99 => "latency_us_p99",
            Self::Cpu => "cpu_us_per_tx_per_validator",
        }
    }

    fn good(self) -> Good {
        match self {
            Self::Rate => Good::More,
            Self::P50 | Self::P99 | Self::Cpu => Good::Less,
        }
    }

    fn of(self, run: &Run) -> f64 {
        match self {
            Self::Rate => run.tps_committed,
            Self::P50 => run.latency_us_p50,
            Self::P99 => run.latency_us_p99,
            Self::Cpu => run.cpu_us_per_tx_per_validator,
        }
    }
}

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
