//! The offline audit: what one validator's files say, believed only where it can be proved.
//!
//! ```text
//! journal ── waves of records ── checks (all cores): encodings, signatures, certificates
//!                                  └─ chronicle (in order): links, replay by the slow oracle, roots, supply
//! vote log ── every sector's checksum
//! ```
//!
//! An [`Archive`] comes before the journal, in the same waves: then the audit goes from the genesis to the archive's
//! end, and on with the journal from there.
//!
//! The first thing that is wrong ends the audit and is reported with file and offset. An [`Auditor`] keeps what it
//! has checked, so that the next directory of the same network costs only what is different in it.
//!
//! Validators change with epochs. Who validates in which one is what the oracle makes of the decisions, and each epoch
//! must end with the block that carries the state root of the deciding height.
//!
//! How a record is encoded is the [`JournalFormat`]'s business and what finalizes a block the [`FinalityCheck`]'s; the
//! rules speak of [`Entry`] values. What a block does is computed by [`OracleLedger`](crate::roots::OracleLedger),
//! a second executor with second trees, which does not call those whose results it judges.
//!
//! Invariant: a report without a finding means that every block above `audited_above` and up to `height` is finalized
//! by a quorum, holds only transactions signed by the owners of their debit accounts, and leads from the genesis (or,
//! where the journal was pruned, from the state that a checkpoint has, under a state root that final blocks carry) to
//! `state_root` by the oracle's own execution.

mod archive;
mod checks;
mod chronicle;
mod directory;
mod epochs;
mod finding;
mod records;
mod report;
mod start;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

pub use self::archive::Archive;
use self::archive::{Archived, Journal, Source};
use self::chronicle::Chronicle;
pub use self::finding::{Finding, FindingKind, Wrong};
pub use self::records::{
    BaseChain, BaseCheckpoint, BaseHandover, Committed, CommittedChain, Entry, FinalBlock, FinalityCheck,
    JournalFormat,
};
pub use self::report::{AuditReport, Supply};
use crate::limits::PUBLIC_KEY_BYTES;
use crate::store::{LogKind, Record, StoreError};
use crate::types::{
    Digest, Epoch, Genesis, Head, Height, Members, Outcome, PacketRun, Support, Transaction, TransactionId,
};
use crate::wire::{Batch, Block};

/// Told of every transaction of every committed block that holds, once it has its final outcome: height, packet,
/// outcome. A payment to another chain has it when it is credited, or back at the payer.
pub type Visitor<'v> = dyn FnMut(Height, PacketRun<'_>, Outcome) + 'v;

/// Payments between chains that are not decided yet: at most what two blocks sent.
#[derive(Debug, Default)]
struct InFlight {
    /// What the last block sent.
    sent: BTreeMap<TransactionId, Transaction>,
    /// What could not be credited in the last block, and why.
    returned: BTreeMap<TransactionId, (Transaction, Outcome)>,
}

/// Why there is no audit at all.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The directory cannot be read, or is not one of this network's.
    #[error("{}: {source}", directory.display())]
    Store {
        /// The directory.
        directory: PathBuf,
        /// What the log said.
        source: StoreError,
    },
}

/// Audits directories of one network.
pub struct Auditor {
    genesis: Arc<Genesis>,
    support: Support,
    seed: [u8; 32],
    format: Box<dyn JournalFormat>,
    finality: Box<dyn FinalityCheck>,
    chronicle: Chronicle,
    /// The digests of blocks of earlier chronicles, which began elsewhere.
    earlier: BTreeMap<Height, Digest>,
    /// Batches whose signatures are good: 32 bytes for each batch on the disks of all directories, at least one batch
    /// in 4,096 transactions.
    good: BTreeSet<Digest>,
}

impl fmt::Debug for Auditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auditor").field("network", self.genesis.network()).finish_non_exhaustive()
    }
}

/// One directory on its way through the audit.
struct Walk {
    report: AuditReport,
    /// The public key of the validator whose journal it is.
    validator_key: Option<[u8; PUBLIC_KEY_BYTES]>,
    /// Batches that no block has ordered yet.
    waiting: BTreeMap<Digest, Batch>,
    /// The epoch of the next block, and how far each author's stream is taken in it.
    epoch: Epoch,
    cut: Vec<Head>,
    in_flight: InFlight,
    uncertified: u64,
    /// The first height whose state root no block carries that is proved to be final.
    roots_final: Height,
    /// Records up to this height are skipped: that of the checkpoint, or the last one of the archive.
    skip_to: Height,
}

/// An entry that is right in itself.
enum Checked {
    Batch(Batch),
    /// A batch of accounts that an earlier block of the same wave may open: it is checked behind that.
    Late(Batch, [u8; 32]),
    Block(Box<Committed>),
    /// A block of an epoch that an earlier block of the same wave may begin: it is checked behind that.
    LateBlock(Box<Committed>),
    /// Something that proves nothing by itself.
    Other,
}

impl Auditor {
    /// An auditor that has seen nothing yet, and goes no further than its rules. `seed` must be unpredictable to those
    /// who wrote the files: take it from the operating system.
    pub fn new(
        (genesis, support): (Arc<Genesis>, Support),
        seed: [u8; 32],
        format: Box<dyn JournalFormat>,
        finality: Box<dyn FinalityCheck>,
    ) -> Self {
        let chronicle = Chronicle::new(&genesis);
        let (earlier, good) = (BTreeMap::new(), BTreeSet::new());
        Self { genesis, support, seed, format, finality, chronicle, earlier, good }
    }

    /// Audits one data directory. `progress` is told how many journal bytes of how many have been read; `visit`
    /// of every transaction of every block, in the order of execution.
    ///
    /// # Errors
    /// [`AuditError`] where there is nothing to audit; what is wrong *in* the files is in the report.
    pub fn audit(
        &mut self,
        directory: &Path,
        progress: &dyn Fn(u64, u64),
        visit: &mut Visitor<'_>,
    ) -> Result<AuditReport, AuditError> {
        let mut walk = Walk::new(directory, &self.genesis);
        let finding = self.directory(directory, &mut walk, progress, visit)?;
        Ok(self.reported(walk, finding))
    }

    /// Audits an archive from the genesis on, or from the state from which the network was rebuilt, and behind it the
    /// data directory whose journal goes on from there, if one is named. `progress` is told of both, one after the
    /// other.
    ///
    /// # Errors
    /// As [`Self::audit`].
    pub fn audit_archive(
        &mut self,
        (archive, at): (&mut dyn Archive, &Path),
        directory: Option<&Path>,
        progress: &dyn Fn(u64, u64),
        visit: &mut Visitor<'_>,
    ) -> Result<AuditReport, AuditError> {
        let mut walk = Walk::new(directory.unwrap_or(at), &self.genesis);
        walk.report.archived_to = Some(Height(0));
        if let Some(begins) = self.genesis.origin().map(|origin| origin.height) {
            let base = self.format.origin_state(at);
            let begun = base.and_then(|base| match base.record.height == begins {
                true => self.start_at_checkpoint(&base, &mut walk),
                false => Err(start::other_origin(&base, begins)),
            });
            if let Err(finding) = begun {
                return Ok(self.reported(walk, Some(finding)));
            }
        } else if self.chronicle.base().0 > 0 {
            self.replace_chronicle(Chronicle::new(&self.genesis));
        }
        let mut finding = self.read(&mut Archived(archive), &mut walk, progress, visit)?;
        walk.report.archived_to = Some(walk.report.height);
        walk.skip_to = walk.report.height;
        if let Some(directory) = directory.filter(|_| finding.is_none()) {
            finding = self.directory(directory, &mut walk, progress, visit)?;
        }
        Ok(self.reported(walk, finding))
    }

    fn directory(
        &mut self,
        directory: &Path,
        walk: &mut Walk,
        progress: &dyn Fn(u64, u64),
        visit: &mut Visitor<'_>,
    ) -> Result<Option<Finding>, AuditError> {
        match self.journal(directory, walk, progress, visit)? {
            None => self.consensus_log(directory, walk),
            found => Ok(found),
        }
    }

    /// The members of an epoch that a directory has reached.
    fn members_of(&self, epoch: Epoch) -> &Members {
        self.chronicle.members_of(epoch).expect("what leads to it was replayed")
    }

    fn reported(&self, walk: Walk, finding: Option<Finding>) -> AuditReport {
        let mut report = walk.report;
        report.batches_unordered += walk.waiting.len() as u64;
        report.epochs = walk.epoch.0 + 1;
        let members = self.chronicle.members_of(walk.epoch);
        let key = walk.validator_key.zip(members);
        report.validator = key.and_then(|(key, members)| members.place_of(&key));
        report.heights_without_certificate = walk.uncertified;
        report.ok = finding.is_none();
        report.finding = finding;
        report
    }

    fn journal(
        &mut self,
        directory: &Path,
        walk: &mut Walk,
        progress: &dyn Fn(u64, u64),
        visit: &mut Visitor<'_>,
    ) -> Result<Option<Finding>, AuditError> {
        let data = directory;
        let directory = data.join("journal");
        let (owner, mut replay) = match directory::open(&directory, &self.genesis, (LogKind::Journal, None))?
        {
            Ok(opened) => opened,
            Err(finding) => return Ok(Some(finding)),
        };
        walk.validator_key = Some(owner.validator);
        let begun = match walk.report.archived_to {
            Some(height) if height.0 > 0 => {
                self.continue_after_archive(data, &owner, &mut replay, height, walk)
            }
            _ => self.start(data, &owner, &mut replay, walk),
        };
        if let Err(finding) = begun {
            return Ok(Some(finding));
        }
        let found = self.read(&mut Journal { replay, directory }, walk, progress, visit)?;
        Ok(found.or_else(|| self.check_base_is_final(walk, data)))
    }

    /// Reads all records from a source, and looks at the money at their end.
    fn read(
        &mut self,
        source: &mut dyn Source,
        walk: &mut Walk,
        progress: &dyn Fn(u64, u64),
        visit: &mut Visitor<'_>,
    ) -> Result<Option<Finding>, AuditError> {
        loop {
            let end = source.end().raw();
            let (wave, damage) = source.wave()?;
            if wave.is_empty() && damage.is_none() {
                return Ok(self.supply(walk, source));
            }
            let positions: Vec<_> = wave.iter().map(|record| (record.position, record.bytes.len())).collect();
            for (checked, (position, length)) in self.check(wave, walk).into_iter().zip(positions) {
                walk.report.records += 1;
                walk.report.record_bytes += length as u64;
                if let Err(wrong) = checked.and_then(|checked| self.accept(checked, walk, visit)) {
                    let (file, offset) = source.locate(position);
                    return Ok(Some(wrong.at(file, offset)));
                }
                progress((position.raw() + length as u64).min(end), end);
            }
            if damage.is_some() {
                return Ok(damage);
            }
        }
    }

    /// Whether no other block of the same height is known.
    fn is_no_fork(&self, block: &Block) -> Result<(), Wrong> {
        let height = block.height();
        let known = self.chronicle.chapter(height).map(|chapter| chapter.digest);
        let known = known.or_else(|| self.earlier.get(&height).copied());
        match known.filter(|known| known != block.digest()) {
            None => Ok(()),
            Some(known) => {
                let (what, expected) =
                    (format!("the block at height {height}"), format!("{known}, as in another directory"));
                Err(Wrong::fork(what, expected, block.digest()))
            }
        }
    }

    /// Goes on with another chronicle. What the one before knows of blocks is kept to be compared.
    fn replace_chronicle(&mut self, chronicle: Chronicle) {
        let before = std::mem::replace(&mut self.chronicle, chronicle);
        self.earlier.extend(before.digests());
    }

    /// The checks that need nothing but the record, on all cores. Records up to the height of the checkpoint, or to the
    /// last one of the archive, are skipped.
    fn check(&self, wave: Vec<Record>, walk: &Walk) -> Vec<Result<Checked, Wrong>> {
        let from = walk.skip_to;
        let is_below = |batch: &Batch| {
            let cut = walk.cut.get(usize::from(batch.id().author.0));
            let is_taken = || cut.is_some_and(|cut| batch.id().sequence <= cut.sequence);
            from.0 > 0 && (batch.epoch() < walk.epoch || (batch.epoch() == walk.epoch && is_taken()))
        };
        let known_batch = |digest: &Digest| self.good.contains(digest);
        let check = |record: Record| {
            let seed = kernels::sha2::sha256_parts(&[&self.seed, &record.position.raw().to_le_bytes()]);
            match self.format.read(record.kind, record.bytes)? {
                Entry::Batch(batch) if is_below(&batch) => Ok(Checked::Other),
                Entry::Committed(record) if record.height <= from => {
                    self.is_no_fork(&record.block).map(|()| Checked::Other)
                }
                Entry::Batch(batch) => match self.chronicle.members_of(batch.epoch()) {
                    Some(members) if self.chronicle.knows_signers(&batch) => {
                        checks::batch((members, self.support), &self.chronicle, &batch, seed, known_batch)?;
                        Ok(Checked::Batch(batch))
                    }
                    _ => Ok(Checked::Late(batch, seed)),
                },
                Entry::Committed(record) => match self.chronicle.members_of(record.block.header().epoch) {
                    None => Ok(Checked::LateBlock(record)),
                    Some(members) => {
                        checks::block(&*self.finality, (members, self.support), &record)?;
                        Ok(Checked::Block(record))
                    }
                },
                Entry::Block(_) | Entry::Boot | Entry::Fetched => Ok(Checked::Other),
            }
        };
        wave.into_par_iter().map(check).collect()
    }

    /// The checks that need everything before the record.
    fn accept(&mut self, checked: Checked, walk: &mut Walk, visit: &mut Visitor<'_>) -> Result<(), Wrong> {
        match checked {
            Checked::Late(batch, seed) => {
                walk.follows_its_height(&batch)?;
                let known_batch = |digest: &Digest| self.good.contains(digest);
                let members = (self.members_of(batch.epoch()), self.support);
                checks::batch(members, &self.chronicle, &batch, seed, known_batch)?;
                self.accept(Checked::Batch(batch), walk, visit)
            }
            Checked::Batch(batch) => {
                walk.follows_its_height(&batch)?;
                self.good.insert(*batch.digest());
                walk.report.batches += 1;
                let signatures = PacketRun::all(batch.packets()).map(|run| run.signatures() as u64);
                walk.report.signatures += signatures.sum::<u64>();
                walk.report.author_signatures += 1;
                if batch.epoch() == walk.epoch {
                    walk.waiting.insert(*batch.digest(), batch);
                } else {
                    walk.report.batches_unordered += 1;
                }
                Ok(())
            }
            Checked::Other => Ok(()),
            Checked::Block(checked) => self.accept_block(*checked, walk, visit),
            Checked::LateBlock(checked) => {
                walk.is_of_its_epoch(&checked.block)?;
                let members = (self.members_of(walk.epoch), self.support);
                checks::block(&*self.finality, members, &checked)?;
                self.accept_block(*checked, walk, visit)
            }
        }
    }

    fn accept_block(
        &mut self,
        record: Committed,
        walk: &mut Walk,
        visit: &mut Visitor<'_>,
    ) -> Result<(), Wrong> {
        let (block, height) = (&record.block, record.height);
        let what = format!("the block at height {height}");
        if height.0 != walk.report.height.0 + 1 {
            return Err(Wrong::new(what, format!("height {}", walk.report.height.0 + 1), height));
        }
        self.is_no_fork(block)?;
        walk.is_of_its_epoch(block)?;
        let batches = walk.batches(block, &what)?;
        let chapter = self.chronicle.read(block, &batches)?;
        chapter.compare(&record)?;
        let report = &mut walk.report;
        chapter.tell(self.genesis.network(), &batches, &mut walk.in_flight, &mut |run, outcome| {
            report.count(run, outcome);
            visit(height, run, outcome);
        });
        report.transactions += chapter.transactions();
        walk.report.height = height;
        walk.report.block = chapter.digest;
        walk.report.state_root = chapter.state_root;
        walk.pass(block, &self.chronicle);
        if record.certificate.is_empty() {
            walk.uncertified += 1;
        } else {
            walk.uncertified = 0;
            walk.report.finalizations += 1;
            let header = block.header();
            walk.roots_final = Height(header.roots_first.0.saturating_add(header.roots.len() as u64));
        }
        Ok(())
    }

    /// The finding if no later block that is proved to be final carries the state root of the checkpoint with which the
    /// audit began.
    fn check_base_is_final(&self, walk: &Walk, data: &Path) -> Option<Finding> {
        let height = walk.report.audited_above;
        let is_named = self.genesis.origin().is_some_and(|origin| origin.height == height);
        if height.0 == 0 || walk.roots_final > height || is_named {
            return None;
        }
        let what = format!("the state root of height {height}, with whose checkpoint the audit began");
        let (expected, found) = ("a later block with a certificate that carries it", "none in the journal");
        Some(Wrong::new(what, expected, found).at(data.join("checkpoints"), 0))
    }

    /// Compares the money with the genesis'. The oracle also asserts this after every block.
    fn supply(&self, walk: &mut Walk, source: &dyn Source) -> Option<Finding> {
        walk.report.supply = self.chronicle.supply();
        let drifted = walk.report.supply.iter().find(|supply| supply.expected() != supply.found())?;
        let (file, offset) = source.locate(source.end());
        let (expected, found) = (drifted.expected().to_string(), drifted.found().to_string());
        let what = format!("the sum of all balances of asset {} and of what is in flight", drifted.asset);
        Some(Finding { kind: FindingKind::Supply, file, offset, what, expected, found })
    }

    fn consensus_log(&self, directory: &Path, walk: &mut Walk) -> Result<Option<Finding>, AuditError> {
        let directory = directory.join("consensus");
        let whose = (LogKind::Votes, walk.validator_key);
        let (_, mut replay) = match directory::open(&directory, &self.genesis, whose)? {
            Ok(opened) => opened,
            Err(finding) => return Ok(Some(finding)),
        };
        loop {
            let (wave, damage) = directory::read_wave(&mut replay, &directory)?;
            walk.report.consensus_records += wave.len() as u64;
            if wave.is_empty() || damage.is_some() {
                return Ok(damage);
            }
        }
    }
}

impl Walk {
    /// A block is of the epoch that the blocks before it lead to.
    fn is_of_its_epoch(&self, block: &Block) -> Result<(), Wrong> {
        match block.header().epoch {
            epoch if epoch == self.epoch => Ok(()),
            found => {
                let what = format!("the block at height {}", block.height());
                Err(Wrong::new(what, format!("epoch {}", self.epoch), format!("epoch {found}")))
            }
        }
    }

    /// Goes on behind a block. With the last one of an epoch the streams of the next one begin; batches that it has not
    /// ordered never will be.
    fn pass(&mut self, block: &Block, chronicle: &Chronicle) {
        let is_last = block.next_members().is_some();
        let next = is_last.then(|| chronicle.members_of(self.epoch.next()).expect("the block was replayed"));
        self.cut = block.cut_after(next);
        if let Some(next) = next {
            self.epoch = next.epoch;
            self.report.batches_unordered += self.waiting.len() as u64;
            self.waiting.clear();
        }
    }

    /// A batch is of an epoch that has begun, and is journaled behind the block of the height that it names.
    fn follows_its_height(&self, batch: &Batch) -> Result<(), Wrong> {
        if batch.epoch() > self.epoch {
            let what = format!("batch ({})", batch.id());
            let expected = format!("epoch {} or an earlier one", self.epoch);
            return Err(Wrong::new(what, expected, format!("epoch {}", batch.epoch())));
        }
        if batch.as_of() <= self.report.height {
            return Ok(());
        }
        let what = format!("batch ({})", batch.id());
        let expected = format!("a height up to {}, the last that is committed before it", self.report.height);
        Err(Wrong::new(what, expected, format!("as of height {}", batch.as_of())))
    }

    fn new(directory: &Path, genesis: &Genesis) -> Self {
        let report = AuditReport {
            directory: directory.to_owned(),
            network: *genesis.network(),
            validator: None,
            ok: false,
            audited_above: Height(0),
            archived_to: None,
            kept_from: None,
            height: Height(0),
            block: *genesis.network(),
            state_root: Digest::default(),
            epochs: 1,
            records: 0,
            record_bytes: 0,
            consensus_records: 0,
            batches: 0,
            batches_unordered: 0,
            transactions: 0,
            applied: 0,
            linked: 0,
            linked_payments: 0,
            opened: 0,
            attested: 0,
            revoked: 0,
            changes: 0,
            commands: 0,
            governance: 0,
            reserved: 0,
            settled: 0,
            swapped: 0,
            failed: BTreeMap::new(),
            crossed: 0,
            refunded: BTreeMap::new(),
            signatures: 0,
            author_signatures: 0,
            finalizations: 0,
            heights_without_certificate: 0,
            supply: Vec::new(),
            finding: None,
        };
        let cut = vec![Head::NONE; genesis.validators().len()];
        let (validator_key, waiting, in_flight) = (None, BTreeMap::new(), InFlight::default());
        let (roots_final, skip_to) = (Height(0), Height(0));
        let epoch = Epoch(0);
        Self { report, validator_key, waiting, epoch, cut, in_flight, uncertified: 0, roots_final, skip_to }
    }

    /// The batches of a block, by author and sequence, followed by their digests from its cut down to the one below.
    fn batches(&mut self, block: &Block, what: &str) -> Result<Vec<Batch>, Wrong> {
        if block.cut().len() != self.cut.len() {
            let expected = format!("a cut of {} streams", self.cut.len());
            return Err(Wrong::new(what, expected, block.cut().len()));
        }
        let mut batches = Vec::new();
        for (author, (from, to)) in self.cut.iter().zip(block.cut()).enumerate() {
            let (first, mut at) = (batches.len(), *to);
            while at.sequence > from.sequence {
                let expected = format!("the batch of validator {author} with {at} before it");
                let found = self.waiting.remove(&at.digest);
                let found =
                    found.filter(|batch| batch.head() == at && usize::from(batch.id().author.0) == author);
                let batch =
                    found.ok_or_else(|| Wrong::new(what, expected, "no such batch in the journal"))?;
                at = batch.previous();
                batches.push(batch);
            }
            if at != *from {
                let expected = format!("a stream of validator {author} that goes on from {from}");
                return Err(Wrong::new(what, expected, format!("one that goes on from {at}")));
            }
            batches[first..].reverse();
        }
        // What lies on branches that the cut has passed will never be ordered.
        let cut = block.cut();
        let above = |batch: &Batch| {
            cut.get(usize::from(batch.id().author.0)).is_none_or(|to| batch.id().sequence > to.sequence)
        };
        self.waiting.retain(|_, batch| above(batch));
        Ok(batches)
    }
}
