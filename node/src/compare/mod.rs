//! `millrace compare`: two builds or settings, run in turns on one machine.
//!
//! ```text
//! sides A and B, the order of the runs, the figure that decides ── all fixed before the first run
//!    └─> bench ── bench ── bench ── … each a process of its own, each audited ─> pairs ─> ratios ─> the answer
//! ```
//!
//! Invariant: no run is left out and none is added. A run that fails ends the comparison without an answer.

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use indicatif::HumanDuration;
use loadgen::statistics::{Comparison, Side, order};

use crate::bench::{Interrupt, random_seed};
use crate::cli::{CompareArgs, Output};

mod report;
mod runs;

use report::{Compared, Runs};
use runs::Program;

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
    let (begin, mut runs) = (Instant::now(), Runs::new(order.clone()));
    for (number, side) in (1..).zip(&order) {
        let program = if *side == Side::A { &a } else { &b };
        let result = program.run(&interrupt);
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
        let left = begin.elapsed().mul_f64((order.len() - number) as f64 / number as f64);
        println!(
            "{number:>4} of {} {}  {run}  about {} left",
            order.len(),
            letter(*side),
            HumanDuration(left)
        );
        runs.push(run);
    }
    let compared = Compared::all(&runs);
    let answer = Compared::answer(&compared, args.figure, args.effect / 100.0)?;
    for figure in &compared {
        println!("{figure}");
    }
    println!("B is {} by {}", in_words(answer), args.figure.title());
    json.map(|json| json.write(&runs.to_json(args, seed, &compared, Some(answer)))).transpose()?;
    Ok(true)
}

fn in_words(answer: Comparison) -> &'static str {
    match answer {
        Comparison::Better => "better than A",
        Comparison::Worse => "worse than A",
        Comparison::CannotTell => "neither better nor worse than A, as far as these runs can tell,",
    }
}

fn letter(side: Side) -> char {
    match side {
        Side::A => 'A',
        Side::B => 'B',
    }
}

#[cfg(test)]
mod tests;
