//! What can be said of one record by itself: these checks run on all cores.
//!
//! A batch: its author and its signature, its body, its chains, and every client's signature. A block: its finalization
//! certificate. Whether records belong together is the chronicle's question.

use kernels::ed25519::{Entry, verify_batch};

use super::chronicle::Chronicle;
use super::{Committed, FinalityCheck, Wrong};
use crate::types::{Content, Digest, FIRST_KEY_VERSION, Genesis, PacketRun, possession_message};
use crate::wire::Batch;

/// Checks every signature in a batch, unless `known` says that these bytes have been checked.
pub(super) fn batch(
    genesis: &Genesis,
    chronicle: &Chronicle,
    batch: &Batch,
    seed: [u8; 32],
    known: impl Fn(&Digest) -> bool,
) -> Result<(), Wrong> {
    if known(batch.digest()) {
        return Ok(());
    }
    let what = format!("batch ({})", batch.id());
    let author = genesis.validator(batch.id().author);
    let author = author.ok_or_else(|| Wrong::new(&what, "an author of the genesis", batch.id().author))?;
    if !batch.body_matches() {
        return Err(Wrong::new(&what, "the body that its header names", "another body"));
    }
    let (mut messages, mut keys, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    let mut possessions = Vec::new();
    for (chain, packets) in batch.sections() {
        genesis.chain(chain).ok_or_else(|| Wrong::new(&what, "a chain of the genesis", chain))?;
        for (place, run) in PacketRun::all(packets).enumerate() {
            let what = || format!("transaction {place} on chain {chain} of {what}");
            if !run.is_transaction() {
                return Err(Wrong::new(what(), "a transaction of a known kind", "something else"));
            }
            if run.chain() != chain {
                return Err(Wrong::new(what(), format!("chain {chain}"), format!("chain {}", run.chain())));
            }
            let key = chronicle.key(chain, run.debit(), batch.as_of()).map_err(|accounts| {
                let expected = format!(
                    "an account below {accounts}, of which there were so many as of height {}",
                    batch.as_of()
                );
                Wrong::new(what(), expected, run.debit())
            })?;
            if run.key_version() != FIRST_KEY_VERSION {
                let expected = format!("key version {FIRST_KEY_VERSION}");
                return Err(Wrong::new(what(), expected, format!("key version {}", run.key_version())));
            }
            messages.push(run.message(genesis.network()));
            keys.push(key);
            runs.push(run);
            if let Ok(Content::Opening(opening)) = run.content() {
                for account in opening.accounts.iter() {
                    let message = possession_message(genesis.network(), chain, run.debit(), account.key);
                    possessions.push((message, account, runs.len() - 1));
                }
            }
        }
    }
    let signed = batch.message();
    let transactions = runs.iter().zip(&messages).zip(&keys);
    let entries: Vec<Entry<'_>> = transactions
        .map(|((run, message), key)| Entry { key, message, signature: run.signature() })
        .chain([Entry { key: &author.public_key, message: &signed, signature: batch.signature() }])
        .chain(possessions.iter().map(|(message, account, _)| Entry {
            key: account.key,
            message,
            signature: account.possession,
        }))
        .collect();
    let mut verdicts = vec![false; entries.len()];
    verify_batch(&entries, seed, &mut verdicts);
    let Some(place) = verdicts.iter().position(|good| !good) else { return Ok(()) };
    if let Some((_, account, place)) = place.checked_sub(runs.len() + 1).and_then(|at| possessions.get(at)) {
        return Err(Wrong::new(
            format!("transaction {place} of {what}, id {}", runs[*place].id(genesis.network())),
            format!("a signature of the new key {}", hex::encode(account.key)),
            format!("the signature {}", hex::encode(account.possession)),
        ));
    }
    let Some(run) = runs.get(place) else {
        let expected = format!("a signature of validator {}", batch.id().author);
        return Err(Wrong::new(what, expected, format!("the signature {}", hex::encode(batch.signature()))));
    };
    Err(Wrong::new(
        format!("transaction {place} of {what}, id {}", run.id(genesis.network())),
        format!("a signature of account {}", run.debit()),
        format!("the signature {}", hex::encode(run.signature())),
    ))
}

/// Checks what a committed block says of itself, and its certificate.
pub(super) fn block(finality: &dyn FinalityCheck, record: &Committed) -> Result<(), Wrong> {
    let block = &record.block;
    let what = format!("the block at height {}", record.height);
    if block.height() != record.height {
        let expected = format!("height {}, as its record says", record.height);
        return Err(Wrong::new(&what, expected, format!("height {}", block.height())));
    }
    if record.certificate.is_empty() {
        return Ok(());
    }
    let finalized = finality
        .check(&record.certificate)
        .map_err(|error| Wrong::new(&what, "a finalization certificate of a quorum", error))?;
    if finalized.digest != *block.digest() {
        let found = format!("a certificate for {}", finalized.digest);
        return Err(Wrong::new(&what, format!("a certificate for {}", block.digest()), found));
    }
    if finalized.view != block.header().view {
        let expected = format!("view {}, as its header says", block.header().view);
        return Err(Wrong::new(&what, expected, format!("a certificate of view {}", finalized.view)));
    }
    Ok(())
}
