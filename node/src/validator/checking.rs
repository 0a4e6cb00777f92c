//! Who checks signatures: this validator's CPU, a device beside it, and which of the other validators use one.
//!
//! A device that gives a wrong verdict takes this validator out of voting at once, and into a new start: there the CPU
//! checks again whatever a device may have accepted ([`recheck`](super::recheck)), before the validator takes part in
//! anything.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use engine::limits::BATCH_PACKETS_MAX;
use engine::types::{Height, ValidatorIndex};
use engine::verify::Verifier;
use engine::wire::answers::{Severity, SignaturesAnswer};

use super::clock::Clock;
use super::counters::Counters;
use super::fatal::fatal;
use super::shared::Shared;
use crate::config::Config;
use crate::device::{Calibration, Desk, DeviceTimes, Hooks, Policy, Record, Standing};

/// Who checks signatures.
#[derive(Debug)]
pub struct Checking {
    policy: Policy,
    record: Mutex<Record>,
    /// Why no device is used although one is to be.
    out_since_before: Option<String>,
    was_caught: AtomicBool,
    /// From how many signatures on the device is worth its while; 0 if it is not.
    batch_from: AtomicUsize,
    desk: OnceLock<Arc<Desk>>,
    others: Mutex<BTreeSet<ValidatorIndex>>,
}

impl Checking {
    /// As it is configured, and as the data directory allows.
    pub fn new(policy: Policy, record: Record) -> Self {
        let out = record.distrust().filter(|_| policy != Policy::Cpu).map(|distrust| {
            format!(
                "it was caught with a wrong verdict ({}). Once its driver or the device is replaced, remove {}",
                distrust.why,
                record.file().display()
            )
        });
        if let Some(why) = &out {
            tracing::warn!("no device checks signatures, because {why}: the CPU checks all");
        }
        Self {
            policy,
            record: Mutex::new(record),
            out_since_before: out,
            was_caught: AtomicBool::new(false),
            batch_from: AtomicUsize::new(0),
            desk: OnceLock::new(),
            others: Mutex::default(),
        }
    }

    /// Whether a device may accept signatures here.
    pub fn by_device(&self) -> bool {
        self.policy != Policy::Cpu && self.out_since_before.is_none()
    }

    /// Whether a device was caught, and what it accepted is not checked again yet.
    pub fn withholds_votes(&self) -> bool {
        self.was_caught.load(Relaxed)
    }

    /// From how many signatures on a device is worth its while here; 0 if none is.
    pub fn batch_from(&self) -> usize {
        self.batch_from.load(Relaxed)
    }

    /// Another validator says how it checks signatures, or is gone.
    pub fn heard(&self, from: ValidatorIndex, by_device: bool) {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if by_device {
            others.insert(from);
        } else {
            others.remove(&from);
        }
    }

    /// The members that use a device, this one included, ascending.
    pub fn members_by_device(&self, me: ValidatorIndex, members: u16) -> Vec<u16> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let mut using: BTreeSet<u16> = others.iter().map(|of| of.0).collect();
        using.extend(self.by_device().then_some(me.0));
        using.into_iter().filter(|of| *of < members).collect()
    }

    /// What is wrong with the device that is to be used, if anything is.
    pub fn trouble(&self) -> Option<(Severity, String)> {
        if let Some(why) = &self.out_since_before {
            return Some((Severity::Critical, format!("no device checks signatures, because {why}")));
        }
        let desk = self.desk.get()?;
        if let Standing::Caught { why } = desk.standing().0 {
            return Some((Severity::Critical, format!("the device was caught with a wrong verdict: {why}")));
        }
        let why = desk.trouble()?;
        Some((Severity::Warning, format!("no device checks signatures ({why}): the CPU checks all")))
    }

    /// For the status.
    pub fn answer(&self, counters: &Counters) -> SignaturesAnswer {
        let device = self.desk.get().map(|desk| {
            let (standing, device) = desk.standing();
            counters.device_timeouts.store(desk.timeouts(), Relaxed);
            let device = device.unwrap_or_else(|| "a device".into());
            match standing {
                Standing::Starting => format!("{device}: starting"),
                Standing::Measuring => format!("{device}: being measured"),
                Standing::InService => format!("{device}: in service"),
                Standing::Resting { why } => format!("none: {why}"),
                Standing::Caught { why } => format!("none: caught with a wrong verdict ({why})"),
            }
        });
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        SignaturesAnswer {
            by: self.policy.word().to_owned(),
            device: device.or_else(|| self.out_since_before.as_ref().map(|why| format!("none: {why}"))),
            accepted_by_device: counters.signatures_by_device.load(Relaxed),
            others_by_device: others.iter().copied().collect(),
        }
    }

    /// Ends the device's child.
    pub fn stop(&self) {
        if let Some(desk) = self.desk.get() {
            desk.stop();
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device was caught. It is on the disk before anybody could start again without knowing.
    fn caught(&self, why: &str) {
        self.was_caught.store(true, Relaxed);
        tracing::error!(
            "the device that checks signatures was caught with a wrong verdict: {why}. This validator does not vote, starts \
             again, and has the CPU check again what the device may have accepted"
        );
        if let Err(error) = self.record().caught(why) {
            fatal(format!("that a device was caught with a wrong verdict cannot be noted: {error}"));
        }
    }
}

/// Gives a verifier what this machine was measured to do, and a device if there is to be one. The heights from
/// `next` on may then have signatures that the device has accepted.
///
/// # Errors
/// What is known of devices cannot be written, or a process of this program cannot be started.
pub fn equip(
    config: &Config,
    shared: &Arc<Shared>,
    verifier: Verifier,
    next: Height,
) -> anyhow::Result<Verifier> {
    let clock = shared.clock;
    let calibration = calibrated(config, clock);
    let verifier = verifier.on(calibration.backend());
    let checking = &shared.checking;
    if !checking.by_device() {
        return Ok(verifier);
    }
    checking.record().used_from(next.0)?;
    let program = std::env::current_exe().context("the program for the device's process")?;
    let (cpu, data) = (calibration.signature(), config.data.clone());
    // What is shared owns the desk, and with it the hooks.
    let (told, measured) = (Arc::downgrade(shared), Arc::downgrade(shared));
    let hooks = Hooks {
        in_service: Box::new(move |times| {
            if let Some(shared) = measured.upgrade() {
                // A device that is always later gets nothing, and need not be waited for.
                let from = times.batch_from.map_or(0, |packets| (packets as usize).min(BATCH_PACKETS_MAX));
                shared.checking.batch_from.store(from, Relaxed);
            }
            in_service(&calibration, times, &data);
        }),
        caught: Box::new(move |why| {
            if let Some(shared) = told.upgrade() {
                shared.checking.caught(why);
                shared.starts_again.store(true, Relaxed);
            }
        }),
    };
    let desk =
        Desk::start(checking.policy, cpu, clock, program, hooks).context("no thread for the device")?;
    let desk = Arc::new(desk);
    // Set once: each start has a `Checking` of its own.
    let _first = checking.desk.set(desk.clone());
    Ok(verifier.assisted_by(desk))
}

/// The CPU's part of what is measured.
fn calibrated(config: &Config, clock: Clock) -> Calibration {
    let (calibration, kept) = Calibration::of(&config.data, || clock.now());
    if let Err(error) = kept {
        tracing::warn!(
            "what this machine was measured to do cannot be kept: {error}; it is measured at each start"
        );
    }
    let cpu = &calibration.cpu;
    tracing::info!(
        backend = cpu.backend,
        lanes_from = cpu.lanes_from,
        combination_from = cpu.combination_from,
        signature_us = cpu.signature_ns as f64 / 1e3,
        "signatures on the CPU"
    );
    calibration
}

fn in_service(calibration: &Calibration, times: DeviceTimes, data: &Path) {
    let (batch, signature) =
        (Duration::from_micros(times.batch_us), Duration::from_nanos(times.signature_ns));
    tracing::info!(
        device = times.device,
        batch_us = batch.as_micros() as u64,
        signature_us = signature.as_nanos() as f64 / 1e3,
        batch_from = times.batch_from,
        "a device checks signatures, too"
    );
    if times.batch_from.is_none() {
        tracing::info!("the CPU is sooner with batches of every size: the device gets nothing");
    }
    let calibration = calibration.with_device(times);
    if let Err(error) = calibration.keep(data) {
        tracing::debug!("what the device was measured to do cannot be kept: {error}");
    }
}
