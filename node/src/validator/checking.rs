//! Who checks signatures: this validator's CPU, a device beside it, and which of the other validators use one.
//!
//! A device that gives a wrong verdict takes this validator out of voting at once, and into a new start: there the CPU
//! checks again whatever a device may have accepted ([`recheck`](super::recheck)), before the validator takes part in
//! anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
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
    trust: Arc<Trust>,
    /// Why no device is used although one is configured: one was caught before this start.
    out_since_before: Option<String>,
    /// From how many signatures on the device gets a part; 0 if it never does.
    batch_from: AtomicUsize,
    desk: OnceLock<Arc<Desk>>,
    others: Mutex<BTreeSet<ValidatorIndex>>,
}

/// Whether what a device has accepted counts. The threads of the desk share it, and may outlive [`Checking`].
#[derive(Debug)]
struct Trust {
    record: Mutex<Record>,
    was_caught: AtomicBool,
    /// Final heights below this one are checked by the CPU, or no device was used for them. `u64::MAX` if no device
    /// was ever used.
    unchecked_from: AtomicU64,
}

impl Trust {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device was caught. That is on the disk before anything follows from it.
    fn caught(&self, why: &str) {
        self.was_caught.store(true, Relaxed);
        tracing::error!(
            "the device that checks signatures was caught with a wrong verdict: {why}. This validator does not vote. It \
             starts again, and the CPU checks again what the device may have accepted"
        );
        let mut record = self.record();
        if let Err(error) = record.caught(why) {
            let file = record.file().display();
            fatal(format!(
                "a device was caught with a wrong verdict ({why}), and that cannot be noted: {error}. Before the next start set \
                 verify = \"cpu\", and write {file} by hand: {{\"format\": \"millrace/device/1\", \"since\": {}, \"distrust\": \
                 {{\"why\": \"caught\", \"checked_again\": false}}}}",
                self.unchecked_from.load(Relaxed)
            ));
        }
    }
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
        let unchecked_from = AtomicU64::new(record.since().unwrap_or(u64::MAX));
        let trust = Trust { record: Mutex::new(record), was_caught: AtomicBool::new(false), unchecked_from };
        Self {
            policy,
            trust: Arc::new(trust),
            out_since_before: out,
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
        self.trust.was_caught.load(Relaxed)
    }

    /// The first final height that the CPU has still to check, because a device may have accepted its signatures.
    pub fn unchecked_from(&self) -> u64 {
        self.trust.unchecked_from.load(Relaxed)
    }

    /// The CPU has checked this height, the first that it had to. With `is_noted` the progress is written down now.
    pub fn checked(&self, height: u64, is_noted: bool) {
        self.trust.unchecked_from.store(height + 1, Relaxed);
        if is_noted {
            self.note_checked();
        }
    }

    /// Writes down how far the CPU is. Without it the next start checks more than it would have to.
    pub fn note_checked(&self) {
        let from = self.unchecked_from();
        if from != u64::MAX
            && let Err(error) = self.trust.record().checked_below(from)
        {
            tracing::warn!(
                "how far the CPU has checked what a device accepted cannot be written down: {error}"
            );
        }
    }

    /// From how many signatures on a device gets a part here; 0 if none does.
    pub fn batch_from(&self) -> usize {
        let is_there = self.desk.get().is_some_and(|desk| desk.is_in_service());
        if is_there { self.batch_from.load(Relaxed) } else { 0 }
    }

    /// Another validator says whether it uses a device, or is gone.
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

    /// Why the configured device does not check signatures, for the alarm `device_out`.
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
    checking.trust.record().used_from(next.0)?;
    let from = checking.trust.record().since().unwrap_or(next.0);
    checking.trust.unchecked_from.store(from, Relaxed);
    // This program, also when its file was replaced since.
    let program = PathBuf::from("/proc/self/exe");
    let (cpu, data) = (calibration.signature(), config.data.clone());
    // What is shared owns the desk, and with it the hooks. What must not be lost they own themselves.
    let (told, measured, trust) = (Arc::downgrade(shared), Arc::downgrade(shared), checking.trust.clone());
    let hooks = Hooks {
        in_service: Box::new(move |times| {
            if let Some(shared) = measured.upgrade() {
                // One that gets nothing of any round need not be waited for.
                let from = times.batch_from.map_or(0, |packets| packets as usize);
                let from = if from > BATCH_PACKETS_MAX { 0 } else { from };
                shared.checking.batch_from.store(from, Relaxed);
            }
            in_service(&calibration, times, &data);
        }),
        caught: Box::new(move |why| {
            trust.caught(why);
            if let Some(shared) = told.upgrade() {
                // What waits may have been accepted by it.
                shared.mempools.pause();
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
