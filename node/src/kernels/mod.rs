//! `millrace kernels`: are the kernels right on this machine, and how fast are they?
//!
//! ```text
//! check: vectors (one JSON object a line) ── every path of every backend ──> the same verdict, or exit code 1
//! bench: every operation, repeated until it takes long enough to be timed; the best of several rounds
//! ```
//!
//! Invariant: a file passes only if all paths agree on every vector, whether or not there is an expectation.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use kernels::check::{PathReport, parse, run};
use kernels::ed25519::Backend;
use serde_json::{Value, json};

use crate::cli::print_json;

mod measure;

pub use measure::bench;

/// How many wrong vectors of one path are named.
const NAMED: usize = 5;

/// Runs vectors through every path of every backend, or of one; `false` if any verdict is wrong.
///
/// # Errors
/// The file cannot be read, or a line is no vector.
pub fn check(file: &Path, only: Option<Backend>, as_json: bool) -> Result<bool> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let vectors = parse(&text).with_context(|| file.display().to_string())?;
    if vectors.is_empty() {
        bail!("{}: there is no vector in this file", file.display());
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::other).context("no randomness")?;
    let backends = only.map_or_else(Backend::all, |backend| vec![backend]);
    let report = run(&vectors, &backends, seed);
    if as_json {
        let path = |path: &PathReport| {
            json!({
                "backend": path.backend.to_string(),
                "path": path.path.to_string(),
                "accepted": path.accepted,
                "refused": path.rejected,
                "differs_from_single": path.disagreements,
                "not_as_expected": path.unmet,
            })
        };
        let paths: Vec<Value> = report.paths.iter().map(path).collect();
        print_json(&json!({ "vectors": vectors.len(), "paths": paths, "ok": report.ok() }))?;
        return Ok(report.ok());
    }
    println!("{} vectors", vectors.len());
    for path in &report.paths {
        let wrong = path.disagreements.len() + path.unmet.len();
        println!(
            "  {:<10} {:<12} {:>7} accepted {:>7} refused {:>7} wrong",
            path.backend, path.path, path.accepted, path.rejected, wrong
        );
        for (list, what) in
            [(&path.disagreements, "differs from the single path"), (&path.unmet, "is not as expected")]
        {
            for vector in list.iter().take(NAMED) {
                println!("      vector {} {what}", vector + 1);
            }
        }
    }
    Ok(report.ok())
}

#[cfg(test)]
mod tests;
