//! `kernels bench --crossover`: from which size of a batch on is the GPU faster than the CPU?
//!
//! Every way gets the same signatures, by as many keys, as bytes in memory, and gives verdicts in memory. *Fresh*
//! keys are decoded with every batch; *known* ones were decoded before, on the CPU, or have their tables on the
//! device. It has room for as many as a batch has claims: where there are more, they are fresh again.

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kernels::ed25519::{DecodedEntry, DecodedKey, Entry, verify_batch, verify_batch_decoded};
use kernels::gpu::{Capacity, Claim, Program, Taken, Verifier};
use rayon::prelude::*;
use serde_json::json;

use super::curve::{Curve, svg};
use super::gpu::{self, PATIENCE, Way};
use super::measure::{MESSAGE_BYTES, Signed, try_best};
use crate::cli::print_json;

/// The smallest batch of the curve.
const SMALLEST: usize = 64;
/// Shorter calls are repeated for that long.
const ROUND: Duration = Duration::from_millis(60);
const ROUNDS: usize = 3;
/// A call that takes that long is not repeated.
const LONG: Duration = Duration::from_secs(2);

/// Measures the curve, prints it, and writes `crossover.csv` and `crossover.svg` into the directory.
///
/// # Errors
/// There is no GPU, it fails or gives a wrong verdict, or a file cannot be written.
pub fn crossover(directory: &Path, batch_max: usize, as_json: bool) -> Result<bool> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let device = gpu::open()?;
    let info = device.info().clone();
    let sizes: Vec<usize> = std::iter::successors(Some(SMALLEST), |size| Some(2 * size))
        .take_while(|size| *size <= batch_max)
        .collect();
    let most = sizes.last().copied().unwrap_or(SMALLEST);
    let signed = Signed::new(most);
    let entries = signed.entries();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let say = |line: &str| {
        if !as_json {
            println!("{line}");
        }
    };
    say(&format!("gpu: {info}"));
    say(&format!("cpu: {}, {cores} cores", kernels::ed25519::Backend::best()));
    say(&format!("signatures a second, messages of {MESSAGE_BYTES} bytes, a key each"));

    let mut curves = cpu_curves(&entries, &sizes, cores);
    for curve in &curves {
        say(&curve.line());
    }
    let claims: Vec<Claim> = entries.iter().map(Claim::from).collect();
    for mut way in gpu::ways(device)? {
        for fresh in [true, false] {
            let name = format!("gpu, {}, {} keys", way.name(), if fresh { "fresh" } else { "known" });
            let curve = Curve::measured(name, &sizes, |size| gpu_figure(&mut way, &claims[..size], fresh))?;
            say(&curve.line());
            curves.push(curve);
        }
    }
    let shares = shares(&claims)?;
    for share in &shares {
        say(&share.line());
    }
    let overtaken: Vec<_> =
        curves.iter().filter(|curve| curve.is_gpu()).map(|gpu| (gpu, gpu.overtakes(&curves))).collect();
    for (gpu, from) in &overtaken {
        let verdict = from.map_or("never faster than all cores of the CPU".to_owned(), |from| {
            format!("faster than all cores of the CPU from {from} a batch on")
        });
        say(&format!("{}: {verdict}", gpu.name));
    }
    for (name, text) in [("crossover.csv", csv(&curves)), ("crossover.svg", svg(&info.name, &curves))] {
        let file = directory.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        say(&format!("wrote {}", file.display()));
    }
    if as_json {
        let from: serde_json::Map<_, _> =
            overtaken.iter().map(|(gpu, from)| (gpu.name.clone(), json!(from))).collect();
        let curves: serde_json::Map<_, _> =
            curves.iter().map(|curve| (curve.name.clone(), json!(curve.points))).collect();
        return print_json(&json!({
            "unit": "signatures a second",
            "message_bytes": MESSAGE_BYTES,
            "cores": cores,
            "gpu": gpu::about(&Ok(info)),
            "curves": curves,
            "shares_us": shares.iter().map(Share::json).collect::<Vec<_>>(),
            "faster_than_all_cores_from": from,
        }));
    }
    Ok(true)
}

/// The CPU with one core and with all of them, with fresh keys and with known ones.
fn cpu_curves(entries: &[Entry<'_>], sizes: &[usize], cores: usize) -> Vec<Curve> {
    let keys = DecodedKey::many(&entries.iter().map(|entry| *entry.key).collect::<Vec<_>>());
    let decoded: Vec<DecodedEntry<'_>> = (entries.iter().zip(&keys))
        .map(|(Entry { message, signature, .. }, key)| DecodedEntry { key, message, signature })
        .collect();
    let mut curves = Vec::new();
    for (cores, label) in [(1, "cpu, one core"), (cores, "cpu, all cores")] {
        for fresh in [true, false] {
            let name = format!("{label}, {} keys", if fresh { "fresh" } else { "known" });
            let curve = Curve::measured(name, sizes, |size| {
                try_best(ROUND, ROUNDS, &mut || {
                    let good = if fresh {
                        on_cores(cores, &entries[..size], |part, verdicts| {
                            verify_batch(part, [7; 32], verdicts)
                        })
                    } else {
                        on_cores(cores, &decoded[..size], |part, verdicts| {
                            verify_batch_decoded(part, [7; 32], verdicts);
                        })
                    };
                    if good { Ok(()) } else { bail!("the CPU refuses a good signature") }
                })
            });
            // The signatures were made just now.
            curves.push(curve.expect("good signatures are accepted"));
        }
    }
    curves
}

/// Whether all are good; each core has one part. Threads and their working memory are there before the first call.
fn on_cores<T: Sync>(cores: usize, entries: &[T], verify: impl Fn(&[T], &mut [bool]) + Sync) -> bool {
    let mut verdicts = vec![false; entries.len()];
    if cores == 1 {
        verify(entries, &mut verdicts);
    } else {
        let part = entries.len().div_ceil(cores);
        let parts = entries.par_chunks(part).zip(verdicts.par_chunks_mut(part));
        parts.for_each(|(entries, verdicts)| verify(entries, verdicts));
    }
    verdicts.iter().all(|good| *good)
}

/// Nanoseconds of a batch.
fn gpu_figure(way: &mut Way, claims: &[Claim], fresh: bool) -> Result<f64> {
    // The first call compiles what the driver has left, and makes the tables that later ones know.
    let first = try_best(Duration::ZERO, 1, &mut || way.verify(claims.to_vec(), fresh))?;
    if first > LONG.as_nanos() as f64 {
        return try_best(Duration::ZERO, 1, &mut || way.verify(claims.to_vec(), fresh));
    }
    try_best(Duration::ZERO, ROUNDS, &mut || way.verify(claims.to_vec(), fresh))
}

fn csv(curves: &[Curve]) -> String {
    let mut text = "way,batch,signatures_per_s\n".to_owned();
    for curve in curves {
        for (size, rate) in &curve.points {
            text += &format!("\"{}\",{size},{rate:.0}\n", curve.name);
        }
    }
    text
}

/// Where the time of one batch goes, in microseconds.
struct Share {
    program: Program,
    claims: usize,
    /// From submitting to having the verdicts.
    whole: f64,
    /// The same for a batch without claims: orders, waiting, reading back.
    dispatch: f64,
    /// Each kernel by the device's clock; zero where it has none.
    kernels: [f64; Program::KERNELS.len()],
}

impl Share {
    /// Packing by the host and the transfer: what is left.
    fn transfer(&self) -> f64 {
        (self.whole - self.dispatch - self.kernels.iter().sum::<f64>()).max(0.0)
    }

    fn line(&self) -> String {
        let Self { program, claims, whole, dispatch, kernels } = self;
        let kernels: Vec<String> =
            Program::KERNELS.iter().zip(kernels).map(|(name, us)| format!("{name} {us:.0}")).collect();
        let (name, transfer) = (program.name(), self.transfer());
        format!(
            "a batch of {claims} by {name} takes {whole:.0} us: {}, dispatch {dispatch:.0}, packing and transfer \
             {transfer:.0}",
            kernels.join(", ")
        )
    }

    fn json(&self) -> serde_json::Value {
        let Self { program, claims, whole, dispatch, kernels } = self;
        let named: serde_json::Map<_, _> =
            Program::KERNELS.iter().zip(kernels).map(|(name, us)| ((*name).to_owned(), json!(us))).collect();
        json!({
            "program": program.name(),
            "claims": claims,
            "whole": whole,
            "dispatch": dispatch,
            "kernels": named,
            "packing_and_transfer": self.transfer(),
        })
    }
}

/// Of one full batch by each program, with fresh keys.
fn shares(claims: &[Claim]) -> Result<Vec<Share>> {
    let info = gpu::open()?.info().clone();
    let capacity = Capacity::default().within(&info);
    let claims = &claims[..claims.len().min(capacity.claims)];
    let mut shares = Vec::new();
    let programs = gpu::programs(&info);
    for program in programs {
        let mut verifier = Verifier::new(gpu::open()?, &[program], capacity)?;
        let mut kernels = [0.0; Program::KERNELS.len()];
        let mut alone =
            |claims: &[Claim], kernels: Option<&mut [f64; Program::KERNELS.len()]>| -> Result<f64> {
                let mut times = Vec::new();
                let whole = try_best(Duration::ZERO, ROUNDS, &mut || {
                    verifier.forget_keys();
                    let ticket = verifier.submit(claims.to_vec()).map_err(|rejection| rejection.reason)?;
                    match verifier.take(ticket, PATIENCE) {
                        Taken::Settled(settled) => times = settled.times,
                        Taken::Failed { error, .. } => return Err(error.into()),
                        Taken::Pending(_) => bail!("the device does not answer within {PATIENCE:?}"),
                    }
                    Ok(())
                })?;
                if let (Some(kernels), Some((_, times))) = (kernels, times.first()) {
                    *kernels = times.map(|time| time.as_secs_f64() * 1e6);
                }
                Ok(whole / 1e3)
            };
        let dispatch = alone(&[], None)?;
        let whole = alone(claims, Some(&mut kernels))?;
        shares.push(Share { program, claims: claims.len(), whole, dispatch, kernels });
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_core_has_a_part_and_one_bad_verdict_is_seen() {
        for cores in 1..5 {
            let entries: Vec<usize> = (0..7).collect();
            let judge = |bad: usize| {
                on_cores(cores, &entries, |part, verdicts| {
                    verdicts.iter_mut().zip(part).for_each(|(verdict, entry)| *verdict = *entry != bad);
                })
            };
            assert!(judge(99));
            assert!((0..7).all(|bad| !judge(bad)));
        }
    }

    #[test]
    fn what_is_neither_kernels_nor_dispatch_is_transfer() {
        let mut share = Share {
            program: Program::Narrow,
            claims: 9,
            whole: 100.0,
            dispatch: 10.0,
            kernels: [1.0, 2.0, 3.0, 54.0],
        };
        assert!((share.transfer() - 30.0).abs() < 1e-9);
        assert!(share.line().contains("ladder 54, dispatch 10, packing and transfer 30"), "{}", share.line());
        // Two clocks can disagree.
        share.kernels[3] = 1000.0;
        assert!(share.transfer().abs() < 1e-9);
    }

    #[test]
    fn a_table_has_a_line_for_each_point() {
        let curve = Curve { name: "gpu, wide, fresh keys".into(), points: vec![(64, 1234.56), (128, 2.0)] };
        let lines = [
            "way,batch,signatures_per_s",
            "\"gpu, wide, fresh keys\",64,1235",
            "\"gpu, wide, fresh keys\",128,2",
            "",
        ];
        assert_eq!(csv(&[curve]), lines.join("\n"));
    }
}
