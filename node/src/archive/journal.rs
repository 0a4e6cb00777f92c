//! The heights of a validator's journal, one after the other, each proved to be final before it is given out.
//!
//! The last block of an epoch has a certificate of its own, and its record has the members whose digest its header has:
//! so each set of validators vouches for the next one, and no execution is needed to know them.
//!
//! The journal may be written meanwhile, and its oldest segments may be used again under the reader. What then looks
//! like damage is read again; where it was released indeed, the next height is missing, and that is said.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use consensus::Verifier;
use engine::replica::{CommittedBlock, KIND_BATCH, KIND_COMMITTED};
use engine::roots::StateRoot;
use engine::store::{Lock, Log, LogKind, Owner, Position, Record, Replay};
use engine::types::{Digest, Epoch, Genesis, Head, Height, Members, ValidatorIndex};
use engine::wire::{Batch, Block};

use super::error::{ArchiveError, Unsound};
use super::write::Proven;
use crate::validator::committed::entries_of;
use crate::validator::ordering;

/// How often the journal is opened again without a new height before it counts as damaged.
const ATTEMPTS: u32 = 8;
/// The pause before that: a segment is taken into use again within a few milliseconds.
const PAUSE: Duration = Duration::from_millis(50);

/// Records after which a reader that finds nothing lets its caller look around: it may have much to skip.
const RECORDS: usize = 256;

/// What a reader has found.
#[derive(Debug)]
pub(super) enum Step {
    /// The next height that is proved to be final.
    Height(Proven),
    /// Nothing among some records. There may be more.
    More,
    /// There is none yet.
    End,
}

/// The end of what was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tip {
    pub height: Height,
    pub digest: Digest,
    /// How far each stream of the epoch of the next height is taken, and who validates in it.
    pub cut: Vec<Head>,
    pub members: Arc<Members>,
}

impl Tip {
    /// Before the first height.
    pub fn genesis(genesis: &Genesis) -> Self {
        let (height, digest) = genesis.first_parent();
        let members = Members::of_genesis(genesis);
        let cut = vec![Head::NONE; members.list.len()];
        Self { height, digest, cut, members: Arc::new(members) }
    }

    /// Behind a block, whose record names the members of the next epoch if it is the last one of its own.
    fn behind(&self, block: &Block, next: Option<Members>) -> Self {
        let cut = block.cut_after(next.as_ref());
        let members = next.map_or_else(|| Arc::clone(&self.members), Arc::new);
        Self { height: block.height(), digest: *block.digest(), cut, members }
    }

    fn is_above(&self, batch: &Batch) -> bool {
        let author = usize::from(batch.id().author.0);
        batch.epoch() == self.members.epoch
            && self.cut.get(author).is_some_and(|head| batch.id().sequence > head.sequence)
    }
}

/// Reads a journal without its lock, and writes nothing.
pub(super) struct Heights {
    journal: PathBuf,
    network: Digest,
    /// Checks certificates of this epoch.
    verifier: (Epoch, Verifier),
    validator: [u8; 32],
    replay: Replay,
    /// Batches that no block has ordered yet.
    waiting: BTreeMap<Digest, (Batch, Position)>,
    /// The last height that was read, and the last that was given out.
    read: Tip,
    given: Tip,
    /// State roots that no header has carried yet, as far as this reader has seen them.
    roots: BTreeMap<Height, Digest>,
    /// Heights above the last certificate, each with the first position that it needs; then those that are proved.
    unproven: Vec<(Proven, Position)>,
    proven: VecDeque<Proven>,
    /// Where the record of the last height with a certificate stands; 0 before there is one.
    at: Position,
    /// Whether it began where an earlier process had come to.
    is_hinted: bool,
    failures: u32,
}

impl Heights {
    /// Reads the journal in a data directory behind `tip`, from a position on that an earlier process has recorded for
    /// the journal of a validator. `verifier` is that of the members of `tip`.
    pub fn open(
        data: &Path,
        network: &Digest,
        verifier: Verifier,
        tip: Tip,
        read_to: Option<([u8; 32], Position)>,
    ) -> Result<Self, ArchiveError> {
        let journal = data.join("journal");
        let (validator, replay) = inspect(&journal, network)?;
        let mut heights = Self {
            journal,
            network: *network,
            verifier: (tip.members.epoch, verifier),
            validator,
            replay,
            waiting: BTreeMap::new(),
            read: tip.clone(),
            given: tip,
            roots: BTreeMap::new(),
            unproven: Vec::new(),
            proven: VecDeque::new(),
            at: Position::from_raw(0),
            is_hinted: false,
            failures: 0,
        };
        heights.seek(read_to.filter(|(of, _)| *of == validator).map(|(_, position)| position));
        Ok(heights)
    }

    /// Whether the last height that was given out has a certificate, so that all up to it are proved without a later
    /// one.
    pub fn is_at_certificate(&self) -> bool {
        self.proven.is_empty()
    }

    /// The validator whose journal it is, and from where on it has to be read for what follows the last height with a
    /// certificate.
    pub fn read_to(&self) -> ([u8; 32], Position) {
        let waiting = self.waiting.values().map(|(_, position)| *position);
        let unproven = self.unproven.iter().map(|(_, position)| *position);
        (self.validator, waiting.chain(unproven).fold(self.at, Position::min))
    }

    /// Bytes of the journal, and how far they are read.
    pub fn progress(&self) -> (u64, u64) {
        let from = self.replay.first().raw();
        let upto = |position: Position| position.raw().saturating_sub(from);
        (upto(self.replay.next_position()), upto(self.replay.end()))
    }

    /// The next height that is proved to be final.
    pub fn next(&mut self) -> Result<Step, ArchiveError> {
        loop {
            let error = match self.step() {
                Ok(step) => {
                    if let Step::Height(Proven { tip, .. }) = &step {
                        self.given = tip.clone();
                        self.failures = 0;
                    }
                    return Ok(step);
                }
                Err(error) => error,
            };
            let from = match &error {
                // What was recorded may be of an earlier life of this journal.
                ArchiveError::Gap { .. } if self.is_hinted => None,
                ArchiveError::Journal(_) => Some(self.read_to().1),
                _ => return Err(error),
            };
            // A list of segments can be read while one of them gets another name.
            self.replay = loop {
                if self.failures == ATTEMPTS {
                    return Err(error);
                }
                self.failures += 1;
                std::thread::sleep(PAUSE);
                if let Ok((_, replay)) = inspect(&self.journal, &self.network) {
                    break replay;
                }
            };
            self.seek(from.filter(|from| from.raw() > 0));
        }
    }

    /// Begins again behind what was given out.
    fn seek(&mut self, from: Option<Position>) {
        self.waiting.clear();
        self.unproven.clear();
        self.read = self.given.clone();
        if let Some(last) = self.proven.back() {
            self.read = last.tip.clone();
        }
        self.roots.clear();
        self.is_hinted = from.is_some_and(|from| self.replay.seek(from).is_ok());
        if !self.is_hinted {
            self.replay.rewind();
        }
    }

    fn step(&mut self) -> Result<Step, ArchiveError> {
        for _ in 0..RECORDS {
            if let Some(proven) = self.proven.pop_front() {
                return Ok(Step::Height(proven));
            }
            let Some(Record { position, kind, bytes }) = self.record()? else { return Ok(Step::End) };
            match kind {
                KIND_BATCH => {
                    let batch = Batch::decode(&self.network, bytes.into())?;
                    if self.read.is_above(&batch) {
                        self.waiting.insert(*batch.digest(), (batch, position));
                    }
                }
                KIND_COMMITTED => self.block(CommittedBlock::decode(&bytes)?, position)?,
                // Proposals, starts, and the heights of states that were fetched: of these only the record is here.
                _ => {}
            }
        }
        Ok(Step::More)
    }

    fn record(&mut self) -> Result<Option<Record>, ArchiveError> {
        if let Some(record) = self.replay.next() {
            return Ok(Some(record?));
        }
        self.replay.look_further()?;
        Ok(self.replay.next().transpose()?)
    }

    fn block(&mut self, record: CommittedBlock, position: Position) -> Result<(), ArchiveError> {
        let (block, height) = (Block::decode(&record.block)?, record.height);
        let fork = |height, expected, found| {
            Err(ArchiveError::Fork { journal: self.journal.clone(), height, expected, found })
        };
        if height == self.read.height && *block.digest() != self.read.digest {
            return fork(height, self.read.digest, *block.digest());
        }
        if height <= self.read.height {
            return Ok(());
        }
        if height != self.read.height.next() {
            let (journal, archived) = (self.journal.clone(), self.read.height);
            return Err(ArchiveError::Gap { journal, archived, first: Some(height) });
        }
        if block.header().parent != self.read.digest {
            return fork(self.read.height, self.read.digest, block.header().parent);
        }
        self.check(&record, &block)?;
        let (batches, first) = self.batches(&block)?;
        let is_proof = !record.certificate.is_empty();
        self.read = self.read.behind(&block, record.members.clone());
        self.waiting.retain(|_, (batch, _)| self.read.is_above(batch));
        let record = CommittedBlock { batches: Vec::new(), ..record }.encode();
        let proven = Proven { tip: self.read.clone(), record, batches };
        self.unproven.push((proven, first.min(position)));
        if is_proof {
            self.proven.extend(self.unproven.drain(..).map(|(proven, _)| proven));
            self.at = position;
        }
        Ok(())
    }

    /// What can be said of a record without executing it.
    fn check(&mut self, record: &CommittedBlock, block: &Block) -> Result<(), ArchiveError> {
        let height = record.height;
        let unsound = |what| Err(ArchiveError::Unsound { journal: self.journal.clone(), height, what });
        let (epoch, found) = (self.read.members.epoch, block.header().epoch);
        if found != epoch {
            return unsound(Unsound::Epoch { expected: epoch, found });
        }
        if block.height() != height || block.cut().len() != self.read.cut.len() {
            return unsound(Unsound::Cut);
        }
        let follows = record.members.as_ref().is_none_or(|members| members.epoch == epoch.next());
        if !record.hands_over_as(block) || !follows {
            return unsound(Unsound::Members);
        }
        if record.certificate.is_empty() && record.members.is_some() {
            let reason = "the last block of an epoch must have one, and has none".to_owned();
            return unsound(Unsound::Certificate(reason));
        }
        if !record.certificate.is_empty() {
            if self.verifier.0 != epoch {
                match ordering::verifier(&self.network, &self.read.members) {
                    Ok(verifier) => self.verifier = (epoch, verifier),
                    Err(error) => return unsound(Unsound::Certificate(error.to_string())),
                }
            }
            match self.verifier.1.verify(&record.certificate) {
                Ok(finalized) if finalized.payload() == block.digest().0 => {}
                Ok(_) => return unsound(Unsound::Certificate("it is one for another block".to_owned())),
                Err(error) => return unsound(Unsound::Certificate(error.to_string())),
            }
        }
        if StateRoot::recorded(height, entries_of(record), &record.state_root).is_none() {
            return unsound(Unsound::StateRoot(record.state_root));
        }
        let header = block.header();
        for (of, root) in (header.roots_first.0..).map(Height).zip(&header.roots) {
            if self.roots.get(&of).is_some_and(|ours| ours != root) {
                return unsound(Unsound::StateRoot(*root));
            }
        }
        self.roots = self.roots.split_off(&Height(header.roots_first.0 + header.roots.len() as u64));
        self.roots.insert(height, record.state_root);
        Ok(())
    }

    /// The batches of a block, by author and sequence, and where the first of them stands.
    fn batches(&mut self, block: &Block) -> Result<(Vec<Batch>, Position), ArchiveError> {
        let (height, journal) = (block.height(), &self.journal);
        let unsound = |what| ArchiveError::Unsound { journal: journal.clone(), height, what };
        let (mut batches, mut earliest) = (Vec::new(), Position::from_raw(u64::MAX));
        for (author, (from, to)) in self.read.cut.iter().zip(block.cut()).enumerate() {
            let (first, mut at) = (batches.len(), *to);
            while at.sequence > from.sequence {
                let Some((batch, position)) = self.waiting.remove(&at.digest) else {
                    let (journal, archived) = (journal.clone(), self.read.height);
                    return Err(ArchiveError::Gap { journal, archived, first: None });
                };
                if batch.head() != at || usize::from(batch.id().author.0) != author {
                    return Err(unsound(Unsound::Cut));
                }
                if !batch.body_matches() {
                    return Err(unsound(Unsound::Body(ValidatorIndex(author as u16))));
                }
                at = batch.previous();
                earliest = earliest.min(position);
                batches.push(batch);
            }
            if at != *from {
                return Err(unsound(Unsound::Cut));
            }
            batches[first..].reverse();
        }
        Ok((batches, earliest))
    }
}

/// Opens a journal of the network without its lock.
fn inspect(journal: &Path, network: &Digest) -> Result<([u8; 32], Replay), ArchiveError> {
    let (identity, replay) = Log::inspect(journal, Lock::None)?;
    let owner = Owner { network: network.0, log: LogKind::Journal, ..identity.owner };
    identity.belongs_to(&owner, journal)?;
    Ok((identity.owner.validator, replay))
}
