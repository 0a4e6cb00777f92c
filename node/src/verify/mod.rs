//! The offline audit: what one validator's files say, believed only where it can be proved.
//!
//! ```text
//! journal ── waves of records ── checks (all cores): encodings, signatures, certificates
//!                                  └─ chronicle (in order): links, replay by the slow oracle, roots, supply
//! consensus log ── every sector's checksum
//! ```
//!
//! The first thing that is wrong ends the audit and is reported with file and offset. An [`Auditor`] keeps what it
//! has checked, so that the next directory of the same network costs only what is different in it.
//!
//! Invariant: a report without a finding means that every block up to `height` is finalized by a quorum, holds only
//! transactions signed by the owners of their debit accounts, and leads from the genesis to `state_root` by the
//! oracle's own execution.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::limits::BATCH_BYTES_MAX;
use engine::store::{Lock, Log, Record, Replay, StoreError};
use engine::types::{BatchId, Digest, Genesis, Height, Outcome, Packet};
use engine::wire::Batch;
use rayon::prelude::*;

use crate::validator::journal::{ChainRecord, KIND_BATCH, KIND_COMMITTED};

mod checks;
mod chronicle;
mod finding;
mod report;
#[cfg(test)]
mod tests;

use chronicle::{Chapter, Chronicle};
use finding::Wrong;
pub use finding::{Finding, FindingKind};
pub use report::{AuditReport, Supply};

/// Record bytes that are read before they are checked together.
const WAVE_BYTES: usize = 32 * BATCH_BYTES_MAX;

/// Told of every transaction of every committed block that holds: height, packet, outcome.
pub type Visitor<'v> = dyn FnMut(Height, &Packet, Outcome) + 'v;

/// Why there is no audit at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The directory cannot be read, or is not one of this network's.
    #[error("{}: {source}", directory.display())]
    Store {
        /// The directory.
        directory: PathBuf,
        /// What the log said.
        source: StoreError,
    },
    /// The genesis' validators cannot form a committee.
    #[error("the genesis' validators cannot form a committee: {0}")]
    Committee(String),
    /// The operating system gave no randomness for the signature checks.
    #[error("no randomness: {0}")]
    Randomness(io::Error),
}

/// Audits directories of one network.
pub struct Auditor {
    genesis: Arc<Genesis>,
    finality: consensus::Verifier,
    chronicle: Chronicle,
    /// Batches whose signatures are good.
    good: BTreeSet<Digest>,
    /// Acknowledgement signatures of each replayed height.
    acknowledgements: BTreeMap<Height, u64>,
}

/// One directory on its way through the audit.
struct Walk {
    report: AuditReport,
    /// Batches that no block has ordered yet.
    waiting: BTreeMap<(BatchId, Digest), Batch>,
    uncertified: u64,
}

enum Checked {
    Batch(Result<checks::CheckedBatch, Wrong>),
    Block(Result<Box<checks::CheckedBlock>, Wrong>),
    Unknown(u8),
}

impl Auditor {
    /// An auditor that has seen nothing yet.
    ///
    /// # Errors
    /// [`VerifyError::Committee`].
    pub fn new(genesis: Arc<Genesis>) -> Result<Self, VerifyError> {
        let keys: Vec<[u8; 32]> = genesis.validators().iter().map(|v| v.public_key).collect();
        let finality = consensus::Verifier::new(&genesis.network().0, &keys)
            .map_err(|error| VerifyError::Committee(error.to_string()))?;
        let chronicle = Chronicle::new(&genesis);
        Ok(Self { genesis, finality, chronicle, good: BTreeSet::new(), acknowledgements: BTreeMap::new() })
    }

    /// Audits one data directory. `progress` is told how many journal bytes of how many have been read; `visit`
    /// of every transaction of every block, in the order of execution.
    ///
    /// # Errors
    /// [`VerifyError`] where there is nothing to audit; what is wrong *in* the files is in the report.
    pub fn audit(
        &mut self,
        directory: &Path,
        progress: &dyn Fn(u64, u64),
        visit: &mut Visitor<'_>,
    ) -> Result<AuditReport, VerifyError> {
        let mut walk = Walk::new(directory, &self.genesis);
        let finding = match self.journal(directory, &mut walk, progress, visit)? {
            None => self.consensus_log(directory, &mut walk)?,
            found => found,
        };
        let mut report = walk.report;
        report.batches_unordered = walk.waiting.len() as u64;
        report.heights_without_certificate = walk.uncertified;
        report.ok = finding.is_none();
        report.finding = finding;
        Ok(report)
    }

    fn journal(
        &mut self,
        directory: &Path,
        walk: &mut Walk,
        progress: &dyn Fn(u64, u64),
        visit: &mut Visitor<'_>,
    ) -> Result<Option<Finding>, VerifyError> {
        let mut replay = match open(&directory.join("journal"), &self.genesis)? {
            Ok(replay) => replay,
            Err(finding) => return Ok(Some(finding)),
        };
        let end = replay.end().raw();
        loop {
            let (wave, damage) = read_wave(&mut replay, &directory.join("journal"))?;
            if wave.is_empty() && damage.is_none() {
                return Ok(self.supply(walk, &replay));
            }
            let positions: Vec<_> = wave.iter().map(|record| (record.position, record.bytes.len())).collect();
            for (checked, (position, length)) in self.check(wave)?.into_iter().zip(positions) {
                walk.report.records += 1;
                walk.report.record_bytes += length as u64;
                if let Err(wrong) = self.accept(checked, walk, visit) {
                    let (file, offset) = replay.locate(position);
                    return Ok(Some(wrong.at(file, offset)));
                }
                progress(position.raw() + length as u64, end);
            }
            if damage.is_some() {
                return Ok(damage);
            }
        }
    }

    /// The checks that need nothing but the record, on all cores.
    fn check(&self, wave: Vec<Record>) -> Result<Vec<Checked>, VerifyError> {
        let (genesis, good, chronicle) = (&*self.genesis, &self.good, &self.chronicle);
        let finality = &self.finality;
        wave.into_par_iter()
            .map(|record| {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed)
                    .map_err(|error| VerifyError::Randomness(io::Error::other(error)))?;
                Ok(match record.kind {
                    KIND_BATCH => Checked::Batch(checks::batch(genesis, record.bytes, seed, |digest| {
                        good.contains(digest)
                    })),
                    KIND_COMMITTED => {
                        let known = |height, digest: &Digest| chronicle.knows(height, digest);
                        let checked = checks::block(genesis, finality, &record.bytes, seed, known);
                        Checked::Block(checked.map(Box::new))
                    }
                    kind => Checked::Unknown(kind),
                })
            })
            .collect()
    }

    /// The checks that need everything before the record.
    fn accept(&mut self, checked: Checked, walk: &mut Walk, visit: &mut Visitor<'_>) -> Result<(), Wrong> {
        match checked {
            Checked::Unknown(kind) => Err(Wrong::new("a record", "a batch or a committed block", kind)),
            Checked::Batch(checked) => {
                let checks::CheckedBatch { batch } = checked?;
                let signatures = u64::from(batch.transactions());
                self.good.insert(*batch.digest());
                walk.report.batches += 1;
                walk.report.signatures += signatures;
                walk.waiting.insert((batch.id(), *batch.digest()), batch);
                Ok(())
            }
            Checked::Block(checked) => self.accept_block(*checked?, walk, visit),
        }
    }

    fn accept_block(
        &mut self,
        checked: checks::CheckedBlock,
        walk: &mut Walk,
        visit: &mut Visitor<'_>,
    ) -> Result<(), Wrong> {
        let checks::CheckedBlock { record, block, acknowledgements } = checked;
        let height = block.height();
        let what = format!("the block at height {height}");
        if height.0 != walk.report.height.0 + 1 {
            return Err(Wrong::new(what, format!("height {}", walk.report.height.0 + 1), height));
        }
        let mut batches = Vec::with_capacity(block.certificates().len());
        for certificate in block.certificates() {
            let key = (certificate.batch(), *certificate.digest());
            let batch = walk.waiting.remove(&key).ok_or_else(|| {
                let expected = format!("the batch ({}) with digest {} before it", key.0, key.1);
                Wrong::new(&what, expected, "no such batch in the journal")
            })?;
            if batch.transactions() != certificate.transactions() {
                let expected = format!("a certificate for {} transactions", batch.transactions());
                return Err(Wrong::new(&what, expected, certificate.transactions()));
            }
            batches.push(batch);
        }
        if let Some(acknowledgements) = acknowledgements {
            self.acknowledgements.insert(height, acknowledgements);
        }
        let chapter = self.chronicle.read(&block, &batches)?;
        compare(&record.chains, record.state_root, record.delta_digest, chapter, height)?;
        chapter.tell(height, &batches, visit);
        walk.report.count(chapter);
        walk.report.height = height;
        walk.report.block = chapter.digest;
        walk.report.state_root = chapter.state_root;
        walk.report.acknowledgements += self.acknowledgements.get(&height).copied().unwrap_or(0);
        if record.certificate.is_empty() {
            walk.uncertified += 1;
        } else {
            walk.uncertified = 0;
            walk.report.finalizations += 1;
        }
        Ok(())
    }

    /// Compares the money with the genesis'. The oracle also asserts this after every block.
    fn supply(&self, walk: &mut Walk, replay: &Replay) -> Option<Finding> {
        let found = self.chronicle.supply();
        let genesis = self.genesis.chains().iter().map(|chain| u128::from(chain.supply().unwrap_or(0)));
        walk.report.supply = found
            .into_iter()
            .zip(genesis)
            .map(|((chain, found), genesis)| Supply { chain, genesis, found })
            .collect();
        let drifted = walk.report.supply.iter().find(|supply| supply.genesis != supply.found)?;
        let (file, offset) = replay.locate(replay.end());
        let (expected, found) = (drifted.genesis.to_string(), drifted.found.to_string());
        let what = format!("the sum of all balances of chain {}", drifted.chain);
        Some(Finding { kind: FindingKind::Supply, file, offset, what, expected, found })
    }

    fn consensus_log(&self, directory: &Path, walk: &mut Walk) -> Result<Option<Finding>, VerifyError> {
        let directory = directory.join("consensus");
        let mut replay = match open(&directory, &self.genesis)? {
            Ok(replay) => replay,
            Err(finding) => return Ok(Some(finding)),
        };
        loop {
            let (wave, damage) = read_wave(&mut replay, &directory)?;
            walk.report.consensus_records += wave.len() as u64;
            if wave.is_empty() || damage.is_some() {
                return Ok(damage);
            }
        }
    }
}

impl Walk {
    fn new(directory: &Path, genesis: &Genesis) -> Self {
        let report = AuditReport {
            directory: directory.to_owned(),
            network: *genesis.network(),
            ok: false,
            height: Height(0),
            block: *genesis.network(),
            state_root: Digest::default(),
            records: 0,
            record_bytes: 0,
            consensus_records: 0,
            batches: 0,
            batches_unordered: 0,
            transactions: 0,
            applied: 0,
            failed: BTreeMap::new(),
            signatures: 0,
            acknowledgements: 0,
            finalizations: 0,
            heights_without_certificate: 0,
            supply: Vec::new(),
            finding: None,
        };
        Self { report, waiting: BTreeMap::new(), uncertified: 0 }
    }
}

/// Compares what a record says of a block's execution with what the oracle made of it.
fn compare(
    chains: &[ChainRecord],
    state_root: Digest,
    delta_digest: Digest,
    chapter: &Chapter,
    height: Height,
) -> Result<(), Wrong> {
    let what = |part: &str| format!("{part} recorded at height {height}");
    if chains.len() != chapter.entries.len() {
        let expected = format!("{} chains", chapter.entries.len());
        return Err(Wrong::new(what("the chains"), expected, chains.len()));
    }
    for ((recorded, entry), failures) in chains.iter().zip(&chapter.entries).zip(&chapter.failures) {
        let part = |part: &str| what(&format!("{part} of chain {}", entry.chain));
        if recorded.chain != entry.chain {
            let expected = format!("chain {}", entry.chain);
            return Err(Wrong::new(part("the place"), expected, recorded.chain));
        }
        if recorded.transactions != entry.transactions {
            let expected = entry.transactions.to_string();
            return Err(Wrong::new(part("the number of transactions"), expected, recorded.transactions));
        }
        if recorded.failures != *failures {
            let text = |list: &[(u32, Outcome)]| format!("{} that did not apply: {list:?}", list.len());
            return Err(Wrong::new(part("the outcomes"), text(failures), text(&recorded.failures)));
        }
        if recorded.transactions_root != entry.transactions_root {
            let (expected, found) = (entry.transactions_root, recorded.transactions_root);
            return Err(Wrong::root(part("the transactions root"), expected, found));
        }
        if recorded.accounts_root != entry.accounts_root {
            return Err(Wrong::root(part("the accounts root"), entry.accounts_root, recorded.accounts_root));
        }
    }
    if state_root != chapter.state_root {
        return Err(Wrong::root(what("the state root"), chapter.state_root, state_root));
    }
    if delta_digest != chapter.delta_digest {
        return Err(Wrong::root(what("the delta digest"), chapter.delta_digest, delta_digest));
    }
    Ok(())
}

/// Opens a log for reading. Damage is a finding; anything else means that there is nothing to audit.
fn open(directory: &Path, genesis: &Genesis) -> Result<Result<Replay, Finding>, VerifyError> {
    match Log::inspect(directory, Some(genesis.network().0), Lock::Shared) {
        Ok((_, replay)) => Ok(Ok(replay)),
        Err(error) => damage(error, directory).map(Err),
    }
}

/// Reads records until there is enough to keep all cores busy.
fn read_wave(replay: &mut Replay, directory: &Path) -> Result<(Vec<Record>, Option<Finding>), VerifyError> {
    let mut wave = Vec::new();
    let mut bytes = 0;
    while bytes < WAVE_BYTES {
        match replay.next() {
            None => break,
            Some(Ok(record)) => {
                bytes += record.bytes.len();
                wave.push(record);
            }
            Some(Err(error)) => return Ok((wave, Some(damage(error, directory)?))),
        }
    }
    Ok((wave, None))
}

fn damage(error: StoreError, directory: &Path) -> Result<Finding, VerifyError> {
    match error {
        StoreError::Corrupt { path, offset, expected, found } => Ok(Finding {
            kind: FindingKind::Damage,
            file: path,
            offset,
            what: "a sector of the log".into(),
            expected,
            found,
        }),
        StoreError::MissingSegment { path } => Ok(Finding {
            kind: FindingKind::Damage,
            file: path,
            offset: 0,
            what: "a segment of the log".into(),
            expected: "the file".into(),
            found: "no such file".into(),
        }),
        source => Err(VerifyError::Store { directory: directory.to_owned(), source }),
    }
}
