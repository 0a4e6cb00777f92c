//! The GPU as one more backend of `kernels check` and `kernels bench`.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kernels::check::{Report, Vector, run_gpu};
use kernels::gpu::{
    Capacity, Claim, Device, DeviceInfo, DoubleCheck, Judged, Opinion, Pending, Program, Refused, Rejection,
    TreeHasher, Verifier,
};
use kernels::merkle::{self, Hash};
use serde_json::{Value, json};

use super::KernelBackend;
use super::measure::{SIGNATURES, Signed, Table, try_best};
use crate::machine::random;

/// What it is called on the command line and in reports.
pub(super) const NAME: &str = "gpu";
/// Longer than a batch takes on the slowest device, and than a driver takes to compile on first use.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);
/// Entries of a batch that the CPU checks again.
const SAMPLES: usize = 1;
/// A software device needs longer for one call than a round of the CPU's kernels.
const ROUNDS: usize = 3;
/// Leaves of the tree that is measured.
const LEAVES: usize = 1 << 16;

/// The device that is to be used: the one that was named, or one of hardware if nothing was. Otherwise why there is
/// none.
///
/// # Errors
/// It was named and cannot be opened.
pub(super) fn wanted(only: Option<KernelBackend>) -> Result<Result<Device, String>> {
    Ok(match only {
        Some(KernelBackend::Gpu) => Ok(open()?),
        Some(KernelBackend::Cpu(_)) => Err("not asked".into()),
        None => match Device::open() {
            Ok(device) if device.info().is_software => {
                Err(format!("{} is a software device; --backend gpu uses it", device.info().name))
            }
            Ok(device) => Ok(device),
            Err(error) => Err(error.to_string()),
        },
    })
}

/// The best device, be it a software one.
///
/// # Errors
/// There is none, or it cannot be opened.
pub(super) fn open() -> Result<Device> {
    Device::open().context("the GPU cannot be used")
}

/// A device, or why there is none, in a line.
pub(super) fn line(about: &Result<DeviceInfo, String>) -> String {
    match about {
        Ok(info) => info.to_string(),
        Err(why) => format!("not used: {why}"),
    }
}

/// A device, or why there is none, as JSON.
pub(super) fn about(about: &Result<DeviceInfo, String>) -> Value {
    match about {
        Ok(info) => json!({
            "name": info.name,
            "software": info.is_software,
            "driver": info.driver,
            "driver_version": info.driver_version,
            "int64": info.has_int64,
            "subgroups": info.subgroups,
            "binding_bytes_max": info.binding_bytes_max,
            "workgroup_max": info.workgroup_max,
            "workgroups_max": info.workgroups_max,
        }),
        Err(why) => json!({ "not_used": why }),
    }
}

/// The programs that the device runs.
pub(super) fn programs(info: &DeviceInfo) -> Vec<Program> {
    Program::ALL.into_iter().filter(|program| info.has_int64 || *program != Program::Wide).collect()
}

/// Runs vectors through every program of the device.
///
/// # Errors
/// It fails, or a message is too long for it.
pub(super) fn check(device: Device, vectors: &[Vector]) -> Result<Report> {
    let programs = programs(device.info());
    let capacity = Capacity::default().within(device.info());
    let mut verifier = Verifier::new(device, &programs, capacity)?;
    Ok(run_gpu(vectors, &mut verifier, PATIENCE)?)
}

/// Measures signatures by each program and by both, and the nodes of a tree.
///
/// # Errors
/// The device fails, or gives a wrong result.
pub(super) fn bench(device: Device, table: &mut Table) -> Result<()> {
    let signed = Signed::new(SIGNATURES);
    let claims: Vec<Claim> = signed.entries().iter().map(Claim::from).collect();
    let tree = TreeHasher::new(open()?, LEAVES)?;
    let leaves: Vec<Hash> = (0..LEAVES as u64).map(|at| merkle::leaf_hash(&at.to_le_bytes())).collect();
    let root = merkle::root(&leaves);
    let mut ways = ways(device)?;
    for size in [64, 1024, SIGNATURES] {
        for way in &mut ways {
            let figure =
                try_best(Duration::ZERO, ROUNDS, &mut || way.verify(claims[..size].to_vec(), false))?;
            table.gpu_row(&format!("ed25519.{}.{size}", way.name()), figure / size as f64);
        }
    }
    let figure = try_best(Duration::ZERO, ROUNDS, &mut || {
        if tree.root(&leaves, PATIENCE)? == root { Ok(()) } else { bail!("the device computes a wrong root") }
    })?;
    table.gpu_row("sha256.tree", figure / (LEAVES - 1) as f64);
    Ok(())
}

/// A way to have a device check signatures.
pub(super) enum Way {
    /// By one program.
    Single(Verifier),
    /// As a node does it: both programs, canaries and a sample.
    Double(DoubleCheck),
}

/// All ways of the device. Each has a device of its own, opened anew but for the first.
///
/// # Errors
/// The device fails.
pub(super) fn ways(device: Device) -> Result<Vec<Way>> {
    let programs = programs(device.info());
    let capacity = Capacity::default().within(device.info());
    let mut first = Some(device);
    let mut next = || first.take().map_or_else(open, Ok);
    let mut ways = Vec::new();
    for program in &programs {
        ways.push(Way::Single(Verifier::new(next()?, &[*program], capacity)?));
    }
    if programs.len() == Program::ALL.len() {
        ways.push(Way::Double(DoubleCheck::new(next()?, capacity)?));
    }
    Ok(ways)
}

impl Way {
    /// What it is called in reports.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Single(verifier) => verifier.programs()[0].name(),
            Self::Double(_) => "double",
        }
    }

    /// Checks good signatures, from bytes in memory to verdicts in memory, and whether all are accepted. With `fresh`
    /// the tables of keys are made anew.
    ///
    /// # Errors
    /// The device fails, or does not accept all of them.
    pub(super) fn verify(&mut self, claims: Vec<Claim>, fresh: bool) -> Result<()> {
        let count = claims.len();
        let accepted = match self {
            Self::Single(verifier) => {
                if fresh {
                    verifier.forget_keys();
                }
                let verdicts = verifier.verify(claims, PATIENCE)?;
                verdicts[0].1.iter().filter(|accepted| **accepted).count()
            }
            Self::Double(check) => {
                if fresh {
                    check.forget_keys();
                }
                double(check, claims)?
            }
        };
        if accepted == count {
            Ok(())
        } else {
            bail!("the device accepts {accepted} of {count} good signatures")
        }
    }
}

/// How many of the claims the double check accepts: several batches in flight.
fn double(check: &mut DoubleCheck, claims: Vec<Claim>) -> Result<usize> {
    let mut flying: std::collections::VecDeque<Pending> = std::collections::VecDeque::new();
    let mut accepted = 0;
    let mut land = |check: &mut DoubleCheck, pending: Pending| -> Result<()> {
        // Drawn when the verdicts are in.
        let mut drawn = Ok([0; 32]);
        let judged = check.take(pending, PATIENCE, SAMPLES, || {
            drawn = random();
            drawn.as_ref().copied().unwrap_or_default()
        });
        drawn?;
        match judged {
            Judged::Settled { opinions, .. } => {
                accepted += opinions.iter().filter(|opinion| **opinion == Opinion::Accepted).count();
                Ok(())
            }
            Judged::Pending(_) => bail!("the device does not answer within {PATIENCE:?}"),
            Judged::Failed { error, .. } => Err(error.into()),
            Judged::Distrusted { why, .. } => Err(why.into()),
        }
    };
    for mut batch in check.capacity().split(claims) {
        loop {
            match check.submit(batch, random()?) {
                Ok(pending) => break flying.push_back(pending),
                Err(Rejection { reason: Refused::Full(_), claims }) if !flying.is_empty() => batch = claims,
                Err(Rejection { reason, .. }) => return Err(reason.into()),
            }
            if let Some(pending) = flying.pop_front() {
                land(check, pending)?;
            }
        }
    }
    while let Some(pending) = flying.pop_front() {
        land(check, pending)?;
    }
    Ok(accepted)
}
