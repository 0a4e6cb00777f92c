//! What can be said of one journal record by itself: these checks run on all cores.
//!
//! A batch: its encoding, its chain and author, and every signature. A block: its encoding, the acknowledgements
//! under every batch certificate, and its finalization certificate. Whether records belong together is the
//! chronicle's question.

use bytes::Bytes;
use engine::types::{Digest, GENESIS_KEY_VERSION, Genesis, Height};
use engine::wire::{Batch, Block, Certificate, acknowledgement_message};
use kernels::ed25519::{Entry, verify_batch};

use super::Wrong;
use crate::validator::journal::CommittedBlock;

/// A batch record that is right in itself.
pub(super) struct CheckedBatch {
    pub batch: Batch,
}

/// A committed-block record that is right in itself.
pub(super) struct CheckedBlock {
    pub record: CommittedBlock,
    pub block: Block,
    /// Acknowledgement signatures that were checked; nothing where this block had been checked before.
    pub acknowledgements: Option<u64>,
}

/// Reads a batch and checks every signature in it, unless `known` says that these bytes have been checked.
pub(super) fn batch(
    genesis: &Genesis,
    bytes: Vec<u8>,
    seed: [u8; 32],
    known: impl Fn(&Digest) -> bool,
) -> Result<CheckedBatch, Wrong> {
    let batch = Batch::decode(Bytes::from(bytes))
        .map_err(|error| Wrong::new("a batch", "the encoding of a batch", error))?;
    if known(batch.digest()) {
        return Ok(CheckedBatch { batch });
    }
    let id = batch.id();
    let chain = genesis
        .chain(id.chain)
        .ok_or_else(|| Wrong::new(format!("batch ({id})"), "a chain of the genesis", id.chain))?;
    if genesis.validator(id.author).is_none() {
        return Err(Wrong::new(format!("batch ({id})"), "an author of the genesis", id.author));
    }
    let mut messages = Vec::with_capacity(batch.packets().len());
    let mut keys = Vec::with_capacity(batch.packets().len());
    for (place, packet) in batch.packets().iter().enumerate() {
        let what = || format!("transaction {place} of batch ({id})");
        if !packet.is_transfer() {
            return Err(Wrong::new(what(), "a transfer", "something else"));
        }
        if packet.chain() != id.chain {
            return Err(Wrong::new(
                what(),
                format!("chain {}", id.chain),
                format!("chain {}", packet.chain()),
            ));
        }
        let account = usize::try_from(packet.debit().0).ok().and_then(|at| chain.accounts.get(at));
        let account = account.ok_or_else(|| {
            let expected = format!("a debit account below {}", chain.accounts.len());
            Wrong::new(what(), expected, packet.debit())
        })?;
        if packet.key_version() != GENESIS_KEY_VERSION {
            let expected = format!("key version {GENESIS_KEY_VERSION}");
            return Err(Wrong::new(what(), expected, format!("key version {}", packet.key_version())));
        }
        messages.push(packet.message(genesis.network()));
        keys.push(&account.public_key);
    }
    let entries: Vec<Entry<'_>> = batch
        .packets()
        .iter()
        .zip(&messages)
        .zip(&keys)
        .map(|((packet, message), key)| Entry { key, message, signature: packet.signature() })
        .collect();
    let mut verdicts = vec![false; entries.len()];
    verify_batch(&entries, seed, &mut verdicts);
    if let Some(place) = verdicts.iter().position(|good| !good) {
        let packet = &batch.packets()[place];
        return Err(Wrong::new(
            format!("transaction {place} of batch ({id}), id {}", packet.id(genesis.network())),
            format!("a signature of account {}", packet.debit()),
            format!("the signature {}", hex::encode(packet.signature())),
        ));
    }
    drop(entries);
    Ok(CheckedBatch { batch })
}

/// Reads a committed block and checks everything in it that is signed.
pub(super) fn block(
    genesis: &Genesis,
    finality: &consensus::Verifier,
    bytes: &[u8],
    seed: [u8; 32],
    known: impl Fn(Height, &Digest) -> bool,
) -> Result<CheckedBlock, Wrong> {
    let record = CommittedBlock::decode(bytes)
        .map_err(|error| Wrong::new("a committed block", "the encoding of its record", error))?;
    let what = format!("the block at height {}", record.height);
    let block =
        Block::decode(&record.block).map_err(|error| Wrong::new(&what, "the encoding of a block", error))?;
    if block.height() != record.height {
        let expected = format!("height {}, as its record says", record.height);
        return Err(Wrong::new(&what, expected, format!("height {}", block.height())));
    }
    if !record.certificate.is_empty() {
        let finalized = finality
            .verify(&record.certificate)
            .map_err(|error| Wrong::new(&what, "a finalization certificate of a quorum", error))?;
        if finalized.payload != block.digest().0 {
            let found = format!("a certificate for {}", Digest(finalized.payload));
            return Err(Wrong::new(&what, format!("a certificate for {}", block.digest()), found));
        }
        if finalized.view != block.header().view {
            let expected = format!("view {}, as its header says", block.header().view);
            return Err(Wrong::new(&what, expected, format!("a certificate of view {}", finalized.view)));
        }
    }
    let acknowledgements = match known(block.height(), block.digest()) {
        true => None,
        false => Some(available(genesis, &block, seed)?),
    };
    Ok(CheckedBlock { record, block, acknowledgements })
}

/// Checks that a quorum has acknowledged every batch of a block; returns the number of signatures.
fn available(genesis: &Genesis, block: &Block, seed: [u8; 32]) -> Result<u64, Wrong> {
    let quorum = genesis.quorum();
    let what = |certificate: &Certificate| {
        format!(
            "the certificate of batch ({}) in the block at height {}",
            certificate.batch(),
            block.height()
        )
    };
    let mut messages = Vec::new();
    for certificate in block.certificates() {
        let signers = certificate.signers();
        if signers.len() < quorum {
            let expected = format!("{quorum} acknowledgements");
            return Err(Wrong::new(what(certificate), expected, signers.len()));
        }
        if let Some((stranger, _)) = signers.iter().find(|(signer, _)| genesis.validator(*signer).is_none()) {
            let expected = format!("validators below {}", genesis.validators().len());
            return Err(Wrong::new(what(certificate), expected, format!("validator {stranger}")));
        }
        messages.push(acknowledgement_message(genesis.network(), &certificate.batch(), certificate.digest()));
    }
    let mut owners = Vec::new();
    let mut entries = Vec::new();
    for (certificate, message) in block.certificates().iter().zip(&messages) {
        for (signer, signature) in certificate.signers() {
            let validator = genesis.validator(*signer).expect("strangers were refused above");
            owners.push((certificate, signer));
            entries.push(Entry { key: &validator.public_key, message, signature });
        }
    }
    let mut verdicts = vec![false; entries.len()];
    verify_batch(&entries, seed, &mut verdicts);
    match verdicts.iter().position(|good| !good) {
        None => Ok(entries.len() as u64),
        Some(at) => {
            let (certificate, signer) = owners[at];
            let expected = format!("an acknowledgement signed by validator {signer}");
            let found = format!("the signature {}", hex::encode(entries[at].signature));
            Err(Wrong::new(what(certificate), expected, found))
        }
    }
}
