//! What can be said of one record by itself: these checks run on all cores.
//!
//! A batch: its author and its signature, its body, its chains, and every client's signature. A block: its finalization
//! certificate. Whether records belong together is the chronicle's question.

use kernels::ed25519::{Entry, verify_batch};

use super::chronicle::{Chronicle, NoKey};
use super::{Committed, FinalityCheck, Wrong};
use crate::types::{
    Content, Digest, Members, PacketRun, Support, new_key_message, possession_message, recovery_message,
};
use crate::wire::{Batch, Block};

/// Checks every signature in a batch of the epoch of these members, unless `known` says that these bytes have been
/// checked.
pub(super) fn batch(
    (members, support): (&Members, Support),
    chronicle: &Chronicle,
    batch: &Batch,
    seed: [u8; 32],
    known: impl Fn(&Digest) -> bool,
) -> Result<(), Wrong> {
    if known(batch.digest()) {
        return Ok(());
    }
    let what = format!("batch ({})", batch.id());
    runs(support, members, &what)?;
    let author = members.get(batch.id().author).ok_or_else(|| {
        let expected = format!("one of the {} validators of epoch {}", members.list.len(), members.epoch);
        Wrong::new(&what, expected, format!("validator {}", batch.id().author))
    })?;
    if !batch.body_matches() {
        return Err(Wrong::new(&what, "the body that its header names", "another body"));
    }
    let network = chronicle.network();
    let (mut messages, mut keys, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    let mut others = Vec::new();
    for (chain, packets) in batch.sections() {
        for (place, run) in PacketRun::all(packets).enumerate() {
            let what = || format!("transaction {place} on chain {chain} of {what}");
            if !run.is_transaction() {
                return Err(Wrong::new(what(), "a transaction of a known kind", "something else"));
            }
            if run.chain() != chain {
                return Err(Wrong::new(what(), format!("chain {chain}"), format!("chain {}", run.chain())));
            }
            let as_of = batch.as_of();
            let key = chronicle.key(run, as_of).map_err(|none| match none {
                NoKey::Chain => {
                    Wrong::new(what(), format!("a chain that there was as of height {as_of}"), chain)
                }
                NoKey::Account { accounts } => {
                    let expected = format!(
                        "an account below {accounts}, of which there were so many as of height {as_of}"
                    );
                    Wrong::new(what(), expected, run.debit())
                }
                NoKey::Version => {
                    let (account, version) = (run.debit(), run.key_version());
                    let expected =
                        format!("a key that account {account} had as of height {as_of}, or before");
                    Wrong::new(what(), expected, format!("key version {version}"))
                }
            })?;
            messages.push(run.message(network));
            keys.push(key);
            runs.push(run);
            let place = runs.len() - 1;
            others.extend(signed_beside(network, run).into_iter().map(|other| (other, place)));
        }
    }
    let signed = batch.message();
    let transactions = runs.iter().zip(&messages).zip(&keys);
    let entries: Vec<Entry<'_>> = transactions
        .map(|((run, message), key)| Entry { key, message, signature: run.signature() })
        .chain([Entry { key: &author.public_key, message: &signed, signature: batch.signature() }])
        .chain(others.iter().map(|(Beside { key, message, signature }, _)| Entry { key, message, signature }))
        .collect();
    let mut verdicts = vec![false; entries.len()];
    verify_batch(&entries, seed, &mut verdicts);
    let Some(place) = verdicts.iter().position(|good| !good) else { return Ok(()) };
    if let Some((beside, place)) = place.checked_sub(runs.len() + 1).and_then(|at| others.get(at)) {
        return Err(Wrong::new(
            format!("transaction {place} of {what}, id {}", runs[*place].id(network)),
            format!("a signature of the key {}", hex::encode(beside.key)),
            format!("the signature {}", hex::encode(beside.signature)),
        ));
    }
    let Some(run) = runs.get(place) else {
        let expected = format!("a signature of validator {}", batch.id().author);
        return Err(Wrong::new(what, expected, format!("the signature {}", hex::encode(batch.signature()))));
    };
    Err(Wrong::new(
        format!("transaction {place} of {what}, id {}", run.id(network)),
        format!("a signature of account {}", run.debit()),
        format!("the signature {}", hex::encode(run.signature())),
    ))
}

/// A signature in a transaction beside the one of its account.
struct Beside {
    key: [u8; 32],
    message: Vec<u8>,
    signature: [u8; 64],
}

/// New keys show that they are wanted, and a recovery key that it may give one.
fn signed_beside(network: &Digest, run: PacketRun<'_>) -> Vec<Beside> {
    let beside = |key: &[u8; 32], message: Vec<u8>, signature: &[u8; 64]| Beside {
        key: *key,
        message,
        signature: *signature,
    };
    let chain = run.chain();
    match run.content() {
        Ok(Content::Opening(opening)) => {
            let opened = opening.accounts.iter().map(|account| {
                let message = possession_message(network, chain, opening.registrar, account.key);
                beside(account.key, message.to_vec(), account.possession)
            });
            opened.collect()
        }
        Ok(Content::Rekey(of)) => {
            vec![beside(of.key, new_key_message(network, (chain, of.account), of.key), of.possession)]
        }
        Ok(Content::Recover(of)) => {
            let account = (chain, of.account);
            let new = beside(of.key, new_key_message(network, account, of.key), of.possession);
            let recovery = of.recovery.map(|(key, signature)| {
                beside(key, recovery_message(network, account, of.key, of.changes), signature)
            });
            std::iter::once(new).chain(recovery).collect()
        }
        _ => Vec::new(),
    }
}

/// Checks what a committed block of the epoch of these members says of itself, and its certificate. The last block of
/// an epoch is proposed again until it is final, and it has a certificate of its own, for nothing follows it in its
/// epoch.
pub(super) fn block(
    finality: &dyn FinalityCheck,
    (members, support): (&Members, Support),
    record: &Committed,
) -> Result<(), Wrong> {
    let block = &record.block;
    let what = format!("the block at height {}", record.height);
    runs(support, members, &what)?;
    if block.height() != record.height {
        let expected = format!("height {}, as its record says", record.height);
        return Err(Wrong::new(&what, expected, format!("height {}", block.height())));
    }
    let is_last = block.next_members().is_some();
    if record.certificate.is_empty() && is_last {
        let expected =
            format!("a finalization certificate, for it is the last one of epoch {}", members.epoch);
        return Err(Wrong::new(&what, expected, "none"));
    }
    if record.certificate.is_empty() {
        return Ok(());
    }
    let view = certified(finality, members, (block, &record.certificate))?;
    let proposed = block.header().view;
    if view != proposed && !(is_last && view > proposed) {
        let expected = format!("view {proposed}, as its header says");
        return Err(Wrong::new(&what, expected, format!("a certificate of view {view}")));
    }
    Ok(())
}

/// Whether this program runs the rules of an epoch, by which something of it is to be read.
fn runs(support: Support, members: &Members, what: &str) -> Result<(), Wrong> {
    support.check(members.epoch, members.rules).map_err(|unsupported| Wrong::rules(what, unsupported))
}

/// The view of a certificate, if it is one of these members for this block.
pub(super) fn certified(
    finality: &dyn FinalityCheck,
    members: &Members,
    (block, certificate): (&Block, &[u8]),
) -> Result<u64, Wrong> {
    let what = || format!("the block at height {}", block.height());
    let finalized = finality
        .check(members, certificate)
        .map_err(|error| Wrong::new(what(), "a finalization certificate of a quorum", error))?;
    if finalized.digest == *block.digest() {
        return Ok(finalized.view);
    }
    let found = format!("a certificate for {}", finalized.digest);
    Err(Wrong::new(what(), format!("a certificate for {}", block.digest()), found))
}
