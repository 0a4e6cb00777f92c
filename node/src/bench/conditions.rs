//! What is looked at before a load, so that its figures can be judged: what the generator can do alone, and what the
//! data lies on.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use loadgen::ceiling::Ceiling;
use loadgen::outcome::LoadOutcome;
use loadgen::validity::{CEILING_SHARE_MAX, Disk, Facts, Validity};
use loadgen::{LoadError, LoadPlan, Rate};

use super::durability;
use super::figures::Usage;
use super::interrupt::Interrupt;
use super::watch::Watched;
use crate::cli::grouped;
use crate::machine;
use crate::sink::SinkProcess;

/// Memory of a signed transaction with its books, at least: a packet, and what `docs/BUDGET.md` says.
const TRANSACTION_BYTES: f64 = 137.0;

/// What is known before a load. What is not comes with the reason.
pub(super) struct Conditions {
    ceiling: Result<Ceiling, String>,
    disk: Result<Disk, String>,
}

impl Conditions {
    /// Measures the generator's ceiling for so many seconds, if it is to be, and looks at the directory of the data, if
    /// it is on this machine.
    pub(super) fn look(plan: &LoadPlan, seconds: u64, data: Option<&Path>, interrupt: &Interrupt) -> Self {
        let disk = match data {
            Some(directory) => durability::look(directory),
            None => Err("what the data of the validators lies on cannot be seen from here".to_owned()),
        };
        let ceiling = match seconds {
            0 => Err("the generator's ceiling was not measured: add --ceiling 3".to_owned()),
            _ => ceiling(plan, seconds, interrupt)
                .map_err(|error| format!("the ceiling of the generator could not be measured: {error:#}")),
        };
        if let (Ok(ceiling), Rate::Fixed(rate)) = (&ceiling, plan.rate)
            && let Some(warning) = beyond(ceiling, rate * plan.shape.peak(plan.seconds))
        {
            eprintln!("{warning}");
        }
        Self { ceiling, disk }
    }

    /// What a run under these conditions amounts to.
    pub(super) fn judge(&self, outcome: &LoadOutcome, plan: &LoadPlan) -> Validity {
        let driven = (plan.rate, plan.shape.peak(plan.seconds));
        Validity::judge(&Facts::of(outcome, driven, self.ceiling.clone(), self.disk.clone()))
    }
}

/// What is said before a load whose rate the generator cannot be trusted to offer.
fn beyond(ceiling: &Ceiling, rate: f64) -> Option<String> {
    let most = ceiling.tps * CEILING_SHARE_MAX;
    (!ceiling.at_least && rate > most).then(|| {
        format!(
            "the generator drove {} transactions a second at a null sink, so a run at {} would be invalid: offer at most \
             {}, or give the generator more of the machine",
            grouped(ceiling.tps as u64),
            grouped(rate as u64),
            grouped(most as u64)
        )
    })
}

/// Refuses a rate whose signed transactions do not fit into the memory; each takes so many bytes `beyond` those of a
/// transfer.
///
/// # Errors
/// [`LoadError::NoRoom`].
pub(super) fn check_memory(rate: crate::cli::Rate, seconds: u64, beyond: u64) -> Result<(), LoadError> {
    let available = machine::memory().map(|memory| memory.available);
    match (rate, available) {
        (crate::cli::Rate::Fixed(rate), Some(available)) => fits(rate, seconds, beyond, available),
        _ => Ok(()),
    }
}

fn fits(rate: f64, seconds: u64, beyond: u64, available: u64) -> Result<(), LoadError> {
    let needed = rate * seconds as f64 * (TRANSACTION_BYTES + beyond as f64);
    if needed <= available as f64 {
        return Ok(());
    }
    let gib = |bytes: f64| bytes / (1u64 << 30) as f64;
    Err(LoadError::NoRoom(format!(
        "{rate} transactions a second for {seconds} s are signed before they are sent and take {:.1} GiB of memory, of which \
         {:.1} GiB are free: lower --rate, or --seconds",
        gib(needed),
        gib(available as f64)
    )))
}

fn ceiling(plan: &LoadPlan, seconds: u64, interrupt: &Interrupt) -> anyhow::Result<Ceiling> {
    let executable = std::env::current_exe().context("cannot find this executable")?;
    let sink = SinkProcess::spawn(&executable, &plan.network, plan.endpoints.len())?;
    let plan = plan.against_sink(sink.network, sink.endpoints.clone(), seconds);
    if let (Rate::Fixed(rate), Some(memory)) = (plan.rate, machine::memory()) {
        fits(rate, seconds + plan.warm_up.as_secs(), plan.bytes_beyond(), memory.available)?;
    }
    eprintln!("what the load generator can do alone, against a null sink:");
    let mut used_us = Vec::new();
    let look = || used_us.push(Usage::of(sink.pid()).ok().map(|usage| usage.cpu_us));
    let outcome = loadgen::run(&plan, &mut Watched::new(interrupt.clone(), look))?;
    if let Some(why) = &outcome.ended_early {
        bail!("it ended early: {why}");
    }
    let sink_cpu = match used_us[..] {
        [Some(open), Some(close)] => Some(Duration::from_micros(close.saturating_sub(open))),
        _ => None,
    };
    let ceiling = Ceiling::of(&outcome, &plan, sink_cpu);
    let more = if ceiling.at_least { " or more" } else { "" };
    eprintln!("the generator's ceiling: {} a second{more}", grouped(ceiling.tps as u64));
    Ok(ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_beyond_the_ceiling_is_said_before_the_load() {
        let ceiling = |tps, at_least| Ceiling { tps, at_least, ..Ceiling::default() };
        assert_eq!(beyond(&ceiling(100_000.0, false), 80_000.0), None);
        let warning = beyond(&ceiling(100_000.0, false), 80_001.0).unwrap();
        assert!(warning.contains("100,000") && warning.contains("at most 80,000"), "{warning}");
        // It could do more, as far as is known.
        assert_eq!(beyond(&ceiling(100_000.0, true), 99_000.0), None);
    }

    #[test]
    fn a_rate_beyond_the_memory_is_refused_with_what_to_do() {
        assert!(fits(1_000.0, 10, 0, 1_370_000).is_ok());
        assert!(fits(1_000.0, 10, 100, 1_370_000).is_err());
        let error = fits(1_000.0, 10, 0, 1_369_999).unwrap_err();
        assert!(
            matches!(&error, LoadError::NoRoom(_)) && error.to_string().contains("lower --rate"),
            "{error}"
        );
    }
}
