//! `millrace kernels`: are the kernels right on this machine, and how fast are they?
//!
//! ```text
//! check: vectors (one JSON object a line) ── every path of every backend ──> the same verdict, or exit code 1
//! bench: every operation, repeated until it takes long enough to be timed; the best of several rounds
//! bench --crossover: signatures in batches of growing size, on the CPU and on the GPU
//! ```
//!
//! Invariant: a file passes only if all paths agree on every vector, whether or not there is an expectation.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use kernels::check::{PathReport, parse, run};
use kernels::ed25519::{Backend, BackendError};
use serde_json::{Value, json};

use crate::cli::print_json;

mod crossover;
mod curve;
mod gpu;
mod measure;

pub use crossover::crossover;
pub use measure::bench;

/// A backend that can be named on the command line.
#[derive(Clone, Copy, Debug)]
pub enum KernelBackend {
    /// One of the CPU's.
    Cpu(Backend),
    /// The GPU, or a software device in its place.
    Gpu,
}

impl KernelBackend {
    /// The backend called `name`.
    ///
    /// # Errors
    /// If there is none, or this CPU cannot run it. Whether there is a GPU is seen when it is opened.
    pub fn named(name: &str) -> Result<Self, BackendError> {
        match name {
            gpu::NAME => Ok(Self::Gpu),
            name => Backend::named(name).map(Self::Cpu),
        }
    }
}

/// How many wrong vectors of one path are named.
const NAMED: usize = 5;

/// Runs vectors through every path of every backend, or of one; `false` if any verdict is wrong.
///
/// # Errors
/// The file cannot be read, a line is no vector, or the GPU was named and cannot be used.
pub fn check(file: &Path, only: Option<KernelBackend>, as_json: bool) -> Result<bool> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let vectors = parse(&text).with_context(|| file.display().to_string())?;
    if vectors.is_empty() {
        bail!("{}: there is no vector in this file", file.display());
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::other).context("no randomness")?;
    let backends = match only {
        None => Backend::all(),
        Some(KernelBackend::Cpu(backend)) => vec![backend],
        Some(KernelBackend::Gpu) => Vec::new(),
    };
    let mut report = run(&vectors, &backends, seed);
    let device = gpu::wanted(only)?;
    let about = device.as_ref().map(|device| device.info().clone()).map_err(String::clone);
    if let Ok(device) = device {
        report.paths.extend(gpu::check(device, &vectors)?.paths);
    }
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
        let gpu = gpu::about(&about);
        print_json(&json!({ "vectors": vectors.len(), "paths": paths, "gpu": gpu, "ok": report.ok() }))?;
        return Ok(report.ok());
    }
    println!("{} vectors", vectors.len());
    println!("gpu: {}", gpu::line(&about));
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
