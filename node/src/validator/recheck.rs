//! The CPU checks again what is final and a device may have accepted: a little at a time while the validator runs, and
//! all of it at the start after a device was caught with a wrong verdict.
//!
//! ```text
//! running:     since ──▶ a block behind the head ──▶ good: since moves on          bad: evidence, and the validator stops
//! at a start:  since ──▶ … ──▶ head, on all cores, before the validator takes part in anything
//! ```
//!
//! How far it is stands in the data directory ([`Record`]), so a start that was interrupted goes on from there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Context as _;
use engine::execute::Chains;
use engine::ingress::Source;
use engine::replica::{BlockIndex, Epochs, JournalReader};
use engine::store::Log;
use engine::types::{Digest, Height, PacketRun};
use engine::verify::{BatchRefusal, Checked, Job, Verifier};
use engine::wire::Batch;
use rayon::prelude::*;

use super::fatal::fatal;
use super::orders::Orders;
use super::recover::{Resumed, Stopped};
use super::service::Progress;
use super::shared::Shared;
use crate::config::Config;
use crate::device::Record;
use crate::disk::replace_file;
use crate::machine::random;

/// The evidence of a forgery, in the data directory.
const EVIDENCE: &str = "forgery.json";
/// Its format.
const FORMAT: &str = "millrace/forgery/1";
/// Bytes of batches from which on no further block is read to be checked at once.
const BYTES_AT_ONCE: usize = 16 << 20;
/// Heights after which the progress is written down.
const NOTED_EVERY: u64 = 1_000;
/// Beside a running validator this takes one part of the time in so many, but no pause is longer than [`LOOK_EVERY`].
const SHARE: u32 = 5;
/// The longest pause, also where there is no next block yet: then it looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A transaction is final that the owner of its account has not signed. The validator must not go on.
#[derive(Debug, thiserror::Error)]
#[error(
    "a forged signature is final ({what}). The evidence is in {}. This validator does not go on from this data. Stop all \
     validators that use such a device, and decide which state the network goes on from: docs/GPU.md, \"After a wrong \
     verdict\", says how",
    .evidence.display()
)]
pub struct Forgery {
    what: String,
    evidence: PathBuf,
}

impl Forgery {
    /// Refuses a directory in which a forgery was found before.
    ///
    /// # Errors
    /// The evidence is there.
    pub fn look(data: &Path) -> Result<(), Self> {
        let evidence = data.join(EVIDENCE);
        match evidence.exists() {
            true => Err(Self { what: "found before".to_owned(), evidence }),
            false => Ok(()),
        }
    }

    /// Writes the evidence down: the batch, and the transaction that the CPU refuses.
    fn write(data: &Path, height: Height, batch: &Batch, refusal: &BatchRefusal) -> anyhow::Result<Self> {
        let transaction = PacketRun::all(batch.packets()).nth(refusal.position as usize);
        let packets = transaction.map(|run| {
            let bytes: Vec<u8> = run.packets().iter().flat_map(|packet| packet.0).collect();
            hex::encode(bytes)
        });
        let evidence = data.join(EVIDENCE);
        let content = serde_json::json!({
            "format": FORMAT,
            "height": height.0,
            "batch": {
                "author": batch.id().author.0,
                "sequence": batch.id().sequence.0,
                "digest": batch.digest(),
                "bytes": hex::encode(batch.bytes()),
            },
            "transaction": refusal.position,
            "packets": packets,
            "fault": refusal.fault.to_string(),
        });
        replace_file(&evidence, &serde_json::to_vec_pretty(&content)?).with_context(|| {
            format!("height {height}: {refusal}; the evidence of this forgery cannot be written")
        })?;
        Ok(Self { what: format!("height {height}: {refusal}"), evidence })
    }
}

/// What is needed to check final batches by the CPU.
struct Checker<'a> {
    network: &'a Digest,
    chains: Chains,
    epochs: &'a Epochs,
    /// The highest height that is executed.
    last: Height,
}

impl Checker<'_> {
    /// The first of these batches, of these heights, that the CPU refuses. Keys are those of the epochs and heights of
    /// the batches.
    fn first_bad<'b>(
        &self,
        batches: &'b [(Height, Batch)],
    ) -> anyhow::Result<Option<(&'b (Height, Batch), BatchRefusal)>> {
        let check = |found: &'b (Height, Batch)| -> anyhow::Result<Option<_>> {
            let (height, batch) = found;
            let members = self.epochs.of(batch.epoch());
            let members =
                members.with_context(|| format!("the epoch of a batch of height {height} is not known"))?;
            let (chains, keys) = (self.chains.clone(), members.keys().into());
            let mut verifier = Verifier::new(*self.network, chains, keys, Arc::default());
            let job = Job::batch(Source::Own, batch.clone());
            match verifier.check(self.last, vec![job], random()?).pop() {
                Some(Checked::Batch(Ok(_))) => Ok(None),
                Some(Checked::Batch(Err(refusal))) => Ok(Some((found, refusal))),
                Some(Checked::Packets(_)) | None => unreachable!("a batch gives a batch"),
            }
        };
        let bad: Vec<_> = batches.par_iter().map(check).collect::<anyhow::Result<_>>()?;
        Ok(bad.into_iter().flatten().next())
    }
}

/// At a start after a device was caught: checks what it may have accepted, and notes that it is done.
///
/// # Errors
/// [`Forgery`]; the journal cannot be read; [`Stopped`].
pub fn recheck(
    config: &Config,
    orders: &Orders,
    journal: &Log,
    resumed: &Resumed,
    record: &mut Record,
) -> anyhow::Result<()> {
    let Some(distrust) = record.distrust().filter(|distrust| !distrust.checked_again) else { return Ok(()) };
    let Resumed { recovered, ledger, index, .. } = resumed;
    let (since, kept, last) = (record.since().unwrap_or(1), index.base().0 + 1, recovered.head.height);
    let first = since.max(kept);
    tracing::warn!(
        "a device was caught with a wrong verdict ({}): the CPU checks the signatures of heights {first} to {last} again",
        distrust.why
    );
    if since < kept {
        tracing::error!(
            "the journal does not have heights {since} to {} any more: check them in an archive, with `millrace verify`",
            kept - 1
        );
    }
    let network = config.genesis.network();
    let checker = Checker { network, chains: ledger.states(), epochs: &recovered.epochs, last };
    let (mut progress, mut noted) = (Progress::new(), first);
    let mut next = first;
    while next <= last.0 {
        if orders.is_to_stop() {
            record.checked_below(next)?;
            return Err(Stopped.into());
        }
        progress.note(|| format!("checking signatures again: height {next} of {last}"));
        if next >= noted + NOTED_EVERY {
            noted = next;
            record.checked_below(next)?;
            tracing::info!("checking signatures again: height {next} of {last}");
        }
        let (batches, end) = some(journal, index, network, (next, last.0))?;
        if let Some(((height, batch), refusal)) = checker.first_bad(&batches)? {
            return Err(Forgery::write(&config.data, *height, batch, &refusal)?.into());
        }
        next = end;
    }
    record.checked_again()?;
    tracing::warn!("these signatures are good; the device stays out of service");
    Ok(())
}

/// The batches of some heights from `first` on, up to `last`, and the height behind them.
fn some(
    journal: &Log,
    index: &BlockIndex,
    network: &Digest,
    (first, last): (u64, u64),
) -> anyhow::Result<(Vec<(Height, Batch)>, u64)> {
    let reader = JournalReader { records: journal, index, network };
    let (mut batches, mut bytes, mut next) = (Vec::new(), 0, first);
    while next <= last && bytes < BYTES_AT_ONCE {
        let (committed, _) = reader.block(Height(next))?;
        let of_height = reader.batches(&committed)?;
        bytes += of_height.iter().map(|batch| batch.bytes().len()).sum::<usize>();
        batches.extend(of_height.into_iter().map(|batch| (Height(next), batch)));
        next += 1;
    }
    Ok((batches, next))
}

/// Follows the head while a device is used, and checks final blocks by the CPU in a part of the time. So little is left
/// to check if the device is caught. A forgery stops the validator.
pub fn follow(shared: &Shared, chains: &Chains, data: &Path) {
    let mut noted = 0;
    while !shared.stopping.load(Relaxed) {
        let (next, last) =
            (shared.checking.unchecked_from().max(shared.index.base().0 + 1), shared.index.height());
        if next > last.0 {
            std::thread::sleep(LOOK_EVERY);
            continue;
        }
        let begun = shared.clock.now();
        let network = shared.genesis.network();
        let checker = Checker { network, chains: chains.clone(), epochs: &shared.epochs, last };
        let found = some(&shared.journal, &shared.index, network, (next, next)).and_then(|(batches, _)| {
            let bad = checker.first_bad(&batches)?;
            bad.map(|((height, batch), refusal)| Forgery::write(data, *height, batch, &refusal)).transpose()
        });
        match found {
            Ok(None) => {
                let is_noted = next >= noted + NOTED_EVERY;
                if is_noted {
                    noted = next;
                }
                shared.checking.checked(next, is_noted);
            }
            Ok(Some(forgery)) => fatal(forgery.to_string()),
            // It may just have been pruned, or the scrubber repairs it.
            Err(error) => {
                tracing::debug!("height {next} cannot be checked by the CPU yet: {error:#}");
                std::thread::sleep(LOOK_EVERY);
            }
        }
        let rest = (SHARE - 1) * shared.clock.now().saturating_sub(begun);
        std::thread::sleep(rest.min(LOOK_EVERY));
    }
    shared.checking.note_checked();
}

#[cfg(test)]
mod tests;
