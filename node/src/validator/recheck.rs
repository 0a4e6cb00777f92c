//! After a device was caught with a wrong verdict: the CPU checks again whatever it may have accepted and is final.
//!
//! It is done at a start, before the validator takes part in anything. A crash in between changes nothing: what is
//! noted in the data directory has the next start do it again.

use std::path::Path;

use anyhow::{Context as _, bail};
use engine::ingress::Source;
use engine::replica::JournalReader;
use engine::store::Log;
use engine::types::{Height, PacketRun};
use engine::verify::{BatchRefusal, Checked, Job, Verifier};
use engine::wire::Batch;

use super::orders::Orders;
use super::recover::{Resumed, Stopped};
use super::service;
use super::start::random;
use crate::config::Config;
use crate::device::Record;
use crate::disk::replace_file;

/// The evidence of a forgery, in the data directory.
const EVIDENCE: &str = "forgery.json";
/// Its format.
const FORMAT: &str = "millrace/forgery/1";
/// How often it is said how far it is, in heights.
const PROGRESS_EVERY: u64 = 1_000;

/// Checks again what is to be checked again, and notes that it is done.
///
/// # Errors
/// A forgery is final: its evidence is written, and the validator must not go on. The journal cannot be read;
/// [`Stopped`].
pub fn recheck(
    config: &Config,
    orders: &Orders,
    journal: &Log,
    resumed: &Resumed,
    record: &mut Record,
) -> anyhow::Result<()> {
    let Some(distrust) = record.distrust().filter(|distrust| !distrust.checked_again) else { return Ok(()) };
    let Resumed { recovered, ledger, index, .. } = resumed;
    let (since, kept, last) = (record.since().unwrap_or(1), index.base().0 + 1, recovered.head.height.0);
    let first = since.max(kept);
    tracing::warn!(
        "a device was caught with a wrong verdict ({}): the CPU checks the signatures of heights {first} to {last} again",
        distrust.why
    );
    if since < kept {
        tracing::warn!(
            "the journal does not have heights {since} to {} any more: check them in an archive, with `millrace verify`",
            kept - 1
        );
    }
    let network = *config.genesis.network();
    let reader = JournalReader { records: journal, index, network: &network };
    for height in (first..=last).map(Height) {
        if orders.is_to_stop() {
            return Err(Stopped.into());
        }
        if height.0.is_multiple_of(PROGRESS_EVERY) {
            let text = format!("checking signatures again: height {height} of {last}");
            service::status(&text);
            tracing::info!("{text}");
        }
        let (committed, _) = reader.block(height)?;
        for batch in reader.batches(&committed)? {
            let members = recovered.epochs.of(batch.epoch());
            let members =
                members.with_context(|| format!("the epoch of a batch of height {height} is not known"))?;
            let (chains, keys) = (ledger.states(), members.keys().into());
            let mut verifier = Verifier::new(network, chains, keys, std::sync::Arc::default());
            let job = Job::batch(Source::Own, batch.clone());
            match verifier.check(recovered.head.height, vec![job], random()?).pop() {
                Some(Checked::Batch(Ok(_))) => {}
                Some(Checked::Batch(Err(refusal))) => forged(&config.data, height, &batch, &refusal)?,
                Some(Checked::Packets(_)) | None => unreachable!("a batch gives a batch"),
            }
        }
    }
    record.checked_again()?;
    tracing::warn!("the signatures of heights {first} to {last} are good; the device stays out of service");
    Ok(())
}

/// Writes down what shows that a forgery is final, and ends the validator.
fn forged(data: &Path, height: Height, batch: &Batch, refusal: &BatchRefusal) -> anyhow::Result<()> {
    let transaction = PacketRun::all(batch.packets()).nth(refusal.position as usize);
    let packets = transaction.map(|run| {
        let bytes: Vec<u8> = run.packets().iter().flat_map(|packet| packet.0).collect();
        hex::encode(bytes)
    });
    let file = data.join(EVIDENCE);
    let evidence = serde_json::json!({
        "format": FORMAT,
        "height": height.0,
        "batch": { "author": batch.id().author.0, "sequence": batch.id().sequence.0, "digest": batch.digest() },
        "transaction": refusal.position,
        "packets": packets,
        "fault": refusal.fault.to_string(),
    });
    replace_file(&file, &serde_json::to_vec_pretty(&evidence)?)
        .with_context(|| format!("the evidence of a forgery cannot be written to {}", file.display()))?;
    bail!(
        "a forgery is final at height {height}: {refusal}. The evidence is in {}. This validator stops, and will not start \
         again from this data: the consortium has to decide which state the network goes on from \
         (docs/guides/operators.md)",
        file.display()
    )
}

#[cfg(test)]
mod tests {
    use engine::types::{BatchId, Digest, Epoch, Head, Sequence, ValidatorIndex};
    use engine::verify::{BatchFault, Tally};

    use super::*;

    #[test]
    fn the_evidence_names_the_transaction_and_the_error_says_where_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let packet = engine::types::Packet([7; engine::limits::PACKET_BYTES]);
        let of = (Epoch(0), ValidatorIndex(2));
        let section = engine::wire::BatchSection { chain: engine::types::ChainId(1), packets: 1 };
        let network = Digest([1; 32]);
        let batch =
            Batch::seal(&network, of, &Head::NONE, Height(0), &[section], [&packet].into_iter(), |_| [0; 64]);
        let id = BatchId { author: ValidatorIndex(2), sequence: Sequence(1) };
        let refusal =
            BatchRefusal { batch: id, position: 0, fault: BatchFault::BadSignature, tally: Tally::default() };
        let error = forged(directory.path(), Height(9), &batch, &refusal).unwrap_err().to_string();
        let file = directory.path().join(EVIDENCE);
        assert!(
            error.contains("final at height 9") && error.contains(&file.display().to_string()),
            "{error}"
        );
        let evidence: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(evidence["packets"], hex::encode(packet.0));
        assert_eq!((&evidence["batch"]["author"], &evidence["height"]), (&2.into(), &9.into()));
        assert_eq!(evidence["fault"], "bad signature");
    }
}
