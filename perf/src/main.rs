//! Runs named scenarios of `millrace bench` and keeps their raw figures.
//!
//! ```text
//!   scenario ──> millrace bench --json FILE ──> perf/results/SCENARIO.json ──> one row of a table
//! ```
//!
//! A result is the unabridged JSON of the benchmark, named after its scenario and nothing else, so that
//! `git log -p perf/results` is the history of the figures. Invariant: a figure is recorded only if the
//! benchmark exited 0, that is, if its audit held.

mod scenarios;

use anyhow::{Context, bail};
use clap::Parser;
use loadgen::report::BenchReport;
use scenarios::{SCENARIOS, Scenario};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Run named scenarios of `millrace bench` and record their results.
#[derive(Debug, Parser)]
struct Arguments {
    /// Scenarios to run, or `all`. Without any, they are listed.
    scenarios: Vec<String>,
    /// Where the results go.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    results: PathBuf,
    /// The binary to measure; without it, `millrace` beside this one.
    #[arg(long)]
    millrace: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.scenarios.is_empty() {
        for scenario in SCENARIOS {
            println!("{:<12} {}", scenario.name, scenario.arguments.join(" "));
        }
        return Ok(());
    }
    let chosen = scenarios::choose(&arguments.scenarios)?;
    let millrace = match arguments.millrace {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("millrace"),
    };
    if !millrace.is_file() {
        bail!("{} is not there: run `cargo build --release` first", millrace.display());
    }
    std::fs::create_dir_all(&arguments.results)?;
    println!(
        "{:<12} {:>12} {:>10} {:>10} {:>12}  validity",
        "scenario", "committed/s", "p50 ms", "p99 ms", "CPU µs/tx"
    );
    for scenario in chosen {
        let report = run(scenario, &millrace, &arguments.results)?;
        println!("{}", row(scenario.name, &report));
    }
    Ok(())
}

fn run(scenario: &Scenario, millrace: &Path, results: &Path) -> anyhow::Result<BenchReport> {
    let fresh = results.join(format!(".{}.json", scenario.name));
    let status = Command::new(millrace)
        .arg("bench")
        .args(scenario.arguments)
        .arg("--json")
        .arg(&fresh)
        .stdout(std::process::Stdio::null())
        .status()
        .with_context(|| format!("cannot run {}", millrace.display()))?;
    if !status.success() {
        // The figures of a failed run are of no use, and must not be mistaken for others.
        let _ = std::fs::remove_file(&fresh);
        bail!("scenario {} failed: {status}", scenario.name);
    }
    let text = std::fs::read_to_string(&fresh)?;
    let report = serde_json::from_str(&text).with_context(|| format!("{} is no report", fresh.display()))?;
    std::fs::rename(&fresh, results.join(format!("{}.json", scenario.name)))?;
    Ok(report)
}

fn row(name: &str, report: &BenchReport) -> String {
    format!(
        "{name:<12} {:>12.0} {:>10.1} {:>10.1} {:>12.2}  {}{}",
        report.tps.committed,
        report.latency_us.p50 as f64 / 1e3,
        report.latency_us.p99 as f64 / 1e3,
        report.cpu_us_per_tx_per_validator,
        report.validity.verdict,
        if report.generator_saturated { "  (generator saturated)" } else { "" },
    )
}

#[cfg(test)]
mod tests;
