//! The command line of `millrace compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Find out whether one build or one setting is faster than another.
///
/// Runs `bench` for both, again and again, in blocks of four: A B B A or B A A B,
/// drawn by a seed, so that a machine that slowly changes favours neither. From the
/// pairs follows the ratio B/A with a 95 % interval (Hodges and Lehmann), and one of
/// three answers: better, worse, cannot tell. B is called better or worse only where
/// the whole interval lies on one side of 1 and the ratio is beyond the least effect
/// of interest. Pairs, figure and least effect are fixed before the first run, and no
/// run is left out. All runs must pass their audit.
///
/// A and B are each the path of a `millrace`, options of `bench` for this one, or
/// both, in quotes. What both have in common stands behind `--`.
///
/// Examples:
///   millrace compare /tmp/before/millrace /tmp/after/millrace
///   millrace compare '--storage portable' '--storage uring' -- --seconds 10
///   millrace compare '' '--set batch_delay_ms=20' --figure p99 -- --rate 20000
///   millrace compare /tmp/a/millrace /tmp/b/millrace --pairs 16 --json pairs.json
///
/// Exit codes: 0 there is an answer, also where it is "cannot tell"; 1 a run failed;
/// 2 for wrong usage; 130, 143 stopped: what was measured is printed, and no answer.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct CompareArgs {
    /// What there was: a `millrace`, options of `bench`, or both.
    #[arg(allow_hyphen_values = true)]
    pub a: String,
    /// What may be better, likewise.
    #[arg(allow_hyphen_values = true)]
    pub b: String,
    /// How many pairs of runs; an even number.
    #[arg(long, default_value_t = 8, value_parser = parse_pairs)]
    pub pairs: usize,
    /// The figure that decides. The others are printed beside it.
    #[arg(long, value_enum, default_value_t = Figure::Rate)]
    pub figure: Figure,
    /// The least difference that is of interest, in percent.
    #[arg(long, default_value_t = 2.0, value_name = "PERCENT", value_parser = parse_effect)]
    pub effect: f64,
    /// Draws the order of the runs; without one, another order each time. It is printed.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Make the networks in this directory, one after the other, instead of in a temporary one. It should lie on a
    /// disk.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Write all pairs and what follows from them as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Options of `bench` for both.
    #[arg(last = true)]
    pub common: Vec<String>,
}

/// A figure of a benchmark that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Figure {
    /// Committed transactions a second.
    Rate,
    /// The median latency.
    P50,
    /// The 99th percentile of the latency.
    P99,
    /// CPU time for each transaction and validator.
    Cpu,
}

fn parse_pairs(text: &str) -> Result<usize, String> {
    use loadgen::statistics::{PAIRS_MAX, PAIRS_MIN};
    match text.parse() {
        Ok(pairs) if (PAIRS_MIN..=PAIRS_MAX).contains(&pairs) && pairs % 2 == 0 => Ok(pairs),
        _ => Err(format!("write an even number from {PAIRS_MIN} to {PAIRS_MAX}")),
    }
}

fn parse_effect(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("write a number of percent, from 0 to 100".into()),
    }
}
