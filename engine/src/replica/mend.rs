//! What a rotten stretch of the journal held, put together again from what is left and from what others have.
//!
//! ```text
//!        from ▓▓▓▓▓▓▓▓ until
//!   ──batch─┬─▓▓▓▓▓▓▓▓──┬───────record 9────checkpoint──▶
//!           │           └ what can be read there: copied
//!           ├ a block's record of this stretch: as f+1 others have it, under the digest that the next block names
//!           └ a batch of this stretch that a block orders: from anybody, by the digest that its block names
//! ```
//!
//! Only what stands below the newest checkpoint is put together. Everything there is ordered or of no use any more, so
//! what is left out (proposals, batches that no block took) is not missed: no start reads it from that checkpoint,
//! and one that has to begin at an older one executes what is ordered. Above it may stand a batch or a proposal that
//! only this validator knows it has sent (R5, R11), and no other can say so.
//!
//! What others say is checked as far as anything here says what it must be. Digests say it of blocks and batches, the
//! state root of what a block made of each chain. For the rest (which transactions failed, what took effect by itself)
//! f+1 others must say the same. Certificates may differ; one that does not hold is left out, since the record of a
//! later block proves the same.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use kernels::ed25519;
use thiserror::Error;

use super::{
    Boot, Boots, CheckpointMark, CommittedBlock, Epochs, JournalReader, KIND_BATCH, KIND_BOOT,
    KIND_COMMITTED, ReadError,
};
use crate::limits::{CHECKPOINT_EVERY_HEIGHTS, ROOT_LAG_MAX};
use crate::order::FinalityVerifier;
use crate::roots::StateRoot;
use crate::store::{Position, Record, Records, Repair, Rot};
use crate::types::{Digest, Height, ValidatorIndex};
use crate::wire::{Batch, Block};

/// So many heights behind a stretch are looked through for batches that stand in it. One that is not ordered within two
/// checkpoints is written once more, elsewhere, so it is not looked for at its old place.
const BEHIND_HEIGHTS: u64 = 3 * CHECKPOINT_EVERY_HEIGHTS;

/// Those who have the same blocks.
pub trait Others {
    /// Asks one after the other for what their journals have of a height: the record of the block where `place` is 0,
    /// else that batch of it. `take` is told each answer, and says whether it is enough. Nothing in them is believed.
    fn ask(&mut self, height: Height, place: u32, take: &mut dyn FnMut(ValidatorIndex, &Bytes) -> bool);

    /// Called before each height that is read: the host rests here. False where it is to stop.
    fn goes_on(&mut self) -> bool;
}

/// Why a stretch cannot be put together now.
#[derive(Debug, Error)]
pub enum MendError {
    /// What stands there may be known to nobody else.
    #[error("it is above the newest checkpoint: it can be repaired once a later one is written")]
    Unsettled,
    /// The record of the height at which the journal was pruned.
    #[error(
        "it has the record of height {0}, with which the journal begins: it goes when the journal is pruned again"
    )]
    Base(Height),
    /// Too few others have it.
    #[error("too few connected validators have all of height {0}, or they do not agree")]
    Unanswered(Height),
    /// The host is to stop.
    #[error("the validator is stopping")]
    Stopped,
    /// More batches have lost their place than a repair has places for.
    #[error("more batches than one repair can have are lost")]
    Crowded,
    /// Its blocks order more bytes than a repair may have.
    #[error("its blocks order batches of more than {} MiB, which is more than one repair may have", .0 >> 20)]
    TooLarge(usize),
    /// Something else that is needed cannot be read.
    #[error("what is beside it cannot be read either: {0}")]
    Read(#[from] ReadError),
}

/// Puts together what one validator's journal has lost.
pub struct Mender<'a, R> {
    /// What is left.
    pub reader: JournalReader<'a, R>,
    /// Checks finalization certificates.
    pub certificates: &'a dyn FinalityVerifier,
    /// The epochs, whose validators are the authors.
    pub epochs: &'a Epochs,
    /// How many others must say the same: f+1.
    pub agree: usize,
    /// The newest checkpoint.
    pub settled: CheckpointMark,
    /// The starts that the journal remembers now.
    pub boots: Boots,
    /// Bytes of batches that one repair may have, which is put together in memory. A stretch is at most a segment; the
    /// blocks that have lost their records in it may order batches that stand elsewhere.
    pub room: usize,
}

/// A block of the stretch.
struct Found {
    record: CommittedBlock,
    block: Block,
    kind: u8,
    /// Whether the record says where its batches stand.
    is_whole: bool,
}

/// The blocks of a stretch.
type Known = BTreeMap<Height, Found>;

/// A record with its place in the order of the replay.
type Placed = ((Position, bool), Record);

impl<R: Records> Mender<'_, R> {
    /// Puts stretches together, each by itself, the last one first: a block says what the one below it must be. `keep`
    /// is told of each, and puts a repair beside the journal before the next one is begun: only one of them is in
    /// memory, and what one has lost another one may say.
    pub fn mend(
        &self,
        rots: &[Rot],
        others: &mut dyn Others,
        keep: &mut dyn FnMut(&Rot, Result<Repair, MendError>),
    ) {
        for rot in rots.iter().rev() {
            let mended = self.one(rot, others);
            let is_stopped = matches!(mended, Err(MendError::Stopped));
            keep(rot, mended);
            if is_stopped {
                return;
            }
        }
    }

    fn one(&self, rot: &Rot, others: &mut dyn Others) -> Result<Repair, MendError> {
        if rot.until > self.settled.replay_from {
            return Err(MendError::Unsettled);
        }
        let mut known = Known::new();
        for height in self.heights(rot).rev().map(Height) {
            if !others.goes_on() {
                return Err(MendError::Stopped);
            }
            let found = self.found(height, &known, others)?;
            known.insert(height, found);
        }
        self.stretch(rot, &known, others)
    }

    /// The heights whose records stand in a stretch.
    fn heights(&self, rot: &Rot) -> Range<u64> {
        let [first, behind] = [rot.from, rot.until].map(|position| self.reader.index.first_from(position));
        first.0..behind.0
    }

    fn stretch(&self, rot: &Rot, known: &Known, others: &mut dyn Others) -> Result<Repair, MendError> {
        let (index, of_stretch) = (self.reader.index, self.heights(rot));
        // The starts are not looked for: what they amount to is known.
        let Boots { begun, done, lost, counterpart_lost } = self.boots;
        let boot = Boot { number: begun, done: begun == done, lost, counterpart_lost };
        let mut beside = (0..).map_while(|number| Position::beside(rot.from, number));
        let mut next = || beside.next().ok_or(MendError::Crowded);
        let mut bytes = 0;
        let boot = Record { position: next()?, kind: KIND_BOOT, bytes: boot.encode().to_vec() };
        let mut records: Vec<Placed> = vec![((rot.from, false), boot)];
        let within = |position: &Position| (rot.from..rot.until).contains(position);
        let last = self.settled.height.0.min(of_stretch.end.saturating_add(BEHIND_HEIGHTS));
        for height in (of_stretch.start..=last).map(Height) {
            if !others.goes_on() {
                return Err(MendError::Stopped);
            }
            let outside;
            let found = match known.get(&height) {
                Some(found) => found,
                None => {
                    let (record, block) = self.reader.block(height)?;
                    outside = Found { record, block, kind: KIND_COMMITTED, is_whole: true };
                    &outside
                }
            };
            let of_stretch = of_stretch.contains(&height.0);
            let at = index.position(height).ok_or(ReadError::Damaged(height))?;
            let is_lost = |place: &Position| within(place) || (of_stretch && place.is_beside());
            let mut record = found.record.clone();
            let is_base = height <= index.base();
            let is_without = of_stretch && !found.is_whole;
            if !is_base && (is_without || record.batches.iter().any(is_lost)) {
                let batches = self.batches(found, known, others)?;
                let mut places = Vec::new();
                for (number, batch) in batches.into_iter().enumerate() {
                    let old = found.record.batches.get(number).copied().filter(|place| !place.is_beside());
                    let place = old.map_or_else(&mut next, Ok)?;
                    if old.is_none_or(|old| within(&old)) {
                        bytes += batch.bytes().len();
                        if bytes > self.room {
                            return Err(MendError::TooLarge(self.room));
                        }
                        let key = if old.is_some() { (place, true) } else { (at, false) };
                        let bytes = batch.bytes().to_vec();
                        records.push((key, Record { position: place, kind: KIND_BATCH, bytes }));
                    }
                    places.push(place);
                }
                record.batches = places;
            }
            if of_stretch {
                records.push(((at, true), Record { position: at, kind: found.kind, bytes: record.encode() }));
            }
        }
        // What has lost its place comes right before the block that orders it; no order of their own is changed.
        records.sort_by_key(|(key, _)| *key);
        let records = records.into_iter().map(|(_, record)| record).collect();
        Ok(Repair { from: rot.from, until: rot.until, records })
    }

    /// The block of a height of a stretch, where all later ones are known.
    fn found(&self, height: Height, later: &Known, others: &mut dyn Others) -> Result<Found, MendError> {
        match self.reader.block(height) {
            Ok((record, block)) => {
                let position = self.reader.index.position(height).ok_or(ReadError::Damaged(height))?;
                let kind = self.reader.records.read(position).map_err(ReadError::from)?.kind;
                Ok(Found { record, block, kind, is_whole: true })
            }
            Err(error @ (ReadError::NotCommitted(..) | ReadError::BelowRetention { .. })) => {
                Err(error.into())
            }
            Err(_) if height <= self.reader.index.base() => Err(MendError::Base(height)),
            Err(_) => self.fetched(height, later, others),
        }
    }

    fn fetched(&self, height: Height, later: &Known, others: &mut dyn Others) -> Result<Found, MendError> {
        let next = self.block(height.next(), later)?;
        let (digest, root) = (next.header().parent, self.carried_root(height, later));
        let check = |bytes: &Bytes| {
            let record = CommittedBlock::decode(bytes).ok()?;
            let block = Block::decode(&record.block).ok()?;
            let entries = record.chains.iter().map(|chain| chain.entry).collect();
            let is_it = record.height == height
                && record.hands_over_as(&block)
                && *block.digest() == digest
                && root.is_none_or(|root| root == record.state_root)
                && StateRoot::recorded(height, entries, &record.state_root).is_some();
            is_it.then_some((record, block))
        };
        let (mut said, mut certificate) = (BTreeMap::<Vec<u8>, Vec<ValidatorIndex>>::new(), Vec::new());
        let mut agreed = None;
        others.ask(height, 0, &mut |from, bytes| {
            let Some((record, block)) = check(bytes) else { return false };
            let proof = self.certificates.verify(&record.certificate);
            if proof.is_some_and(|proof| *proof.digest() == digest) {
                certificate.clone_from(&record.certificate);
            }
            let record = CommittedBlock { certificate: Vec::new(), batches: Vec::new(), ..record };
            let by = said.entry(record.encode()).or_default();
            if !by.contains(&from) {
                by.push(from);
            }
            if by.len() >= self.agree {
                agreed = Some((record, block));
            }
            agreed.is_some()
        });
        let Some((record, block)) = agreed else {
            return Err(if others.goes_on() { MendError::Unanswered(height) } else { MendError::Stopped });
        };
        let record = CommittedBlock { certificate, ..record };
        Ok(Found { record, block, kind: KIND_COMMITTED, is_whole: false })
    }

    fn block(&self, height: Height, known: &Known) -> Result<Block, MendError> {
        match known.get(&height) {
            Some(found) => Ok(found.block.clone()),
            None => Ok(self.reader.block(height)?.1),
        }
    }

    /// The state root of a height as a later block carries it, if one that can be read does already.
    fn carried_root(&self, height: Height, later: &Known) -> Option<Digest> {
        let last = self.settled.height.0.min(height.0 + 2 * ROOT_LAG_MAX);
        for at in (height.0 + 1..=last).map(Height) {
            let block = self.block(at, later).ok()?;
            let header = block.header();
            let number = height.0.checked_sub(header.roots_first.0);
            let root = number.and_then(|number| header.roots.get(usize::try_from(number).ok()?));
            if let Some(root) = root {
                return Some(*root);
            }
        }
        None
    }

    /// The batches of a block, by author and sequence, followed by their digests from its cut down to the one below.
    fn batches(&self, of: &Found, known: &Known, others: &mut dyn Others) -> Result<Vec<Batch>, MendError> {
        let Found { record, block, .. } = of;
        let height = block.height();
        let below = match height.0 {
            1 => None,
            // It may stand in a stretch that is mended later.
            above => Some(match known.get(&Height(above - 1)) {
                Some(found) => found.block.clone(),
                None => self.found(Height(above - 1), known, others)?.block,
            }),
        };
        let before = block.cut_before(below.as_ref());
        let mut batches = Vec::new();
        for (author, (from, to)) in before.iter().zip(block.cut()).enumerate() {
            let (first, mut at) = (batches.len(), *to);
            while at.sequence > from.sequence {
                let place = first + (at.sequence.0 - from.sequence.0) as usize - 1;
                let decode = |bytes: Bytes| {
                    let batch = Batch::decode(self.reader.network, bytes).ok()?;
                    let is_it = batch.head() == at
                        && usize::from(batch.id().author.0) == author
                        && batch.body_matches();
                    is_it.then_some(batch)
                };
                let here = record.batches.get(place).and_then(|at| self.reader.records.read(*at).ok());
                let mut batch = here.and_then(|record| decode(record.bytes.into()));
                if batch.is_none() {
                    // No digest covers the signature.
                    let is_signed = |batch: &Batch| {
                        let members = self.epochs.of(batch.epoch());
                        let author = members.and_then(|members| members.get(batch.id().author));
                        author.is_some_and(|author| {
                            ed25519::verify(&author.public_key, &batch.message(), batch.signature())
                        })
                    };
                    others.ask(height, place as u32 + 1, &mut |_, bytes| {
                        batch = decode(bytes.clone()).filter(is_signed);
                        batch.is_some()
                    });
                }
                let batch = batch.ok_or(MendError::Unanswered(height))?;
                at = batch.previous();
                batches.push(batch);
            }
            batches[first..].reverse();
        }
        Ok(batches)
    }
}

#[cfg(test)]
mod tests;
