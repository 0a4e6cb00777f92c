//! An archive as records, so that what reads a journal can read it: the place of a record is its height and number.

use std::sync::{Arc, Mutex, PoisonError};

use engine::replica::{BlockIndex, CommittedBlock, Handover, KIND_BATCH, KIND_COMMITTED, Positions};
use engine::store::{Position, Record, Records, StoreError};
use engine::types::{Digest, Epoch, Height, TransactionId};
use engine::wire::Block;

use super::error::ArchiveError;
use super::format::Entry;
use super::{Archive, ArchiveFile};

/// Places of one height: its block, and behind it its batches.
const PLACES: u32 = 16;

/// The place of a height's block (0) or of one of its batches (from 1).
pub(super) fn place_of(height: Height, number: usize) -> Position {
    Position::from_raw(height.0 << PLACES | number as u64)
}

/// The height of a place.
pub(super) fn height_of(position: Position) -> Height {
    Height(position.raw() >> PLACES)
}

/// The record of a block, as a journal of these places would have it.
pub(super) fn block_record(height: Height, entry: &Entry) -> Option<Record> {
    let mut block = CommittedBlock::decode(&entry.record).ok().filter(|block| block.height == height)?;
    block.batches = (1..=entry.batches.len()).map(|number| place_of(height, number)).collect();
    Some(Record { position: place_of(height, 0), kind: KIND_COMMITTED, bytes: block.encode() })
}

/// The block and its record, if it is the last one of its epoch.
fn last_of_epoch(entry: &Entry) -> Option<(Block, CommittedBlock)> {
    let record = CommittedBlock::decode(&entry.record).ok().filter(|record| record.members.is_some())?;
    Some((Block::decode(&record.block).ok()?, record))
}

/// The record of a batch.
pub(super) fn batch_record(height: Height, number: usize, bytes: Vec<u8>) -> Record {
    Record { position: place_of(height, number), kind: KIND_BATCH, bytes }
}

/// Frames that are kept uncompressed: a question mostly reads one height after the other.
const FRAMES_KEPT: usize = 4;

/// The heights of a frame.
type Frame = Arc<(Height, Vec<Entry>)>;

/// A file and the heights of its name.
type OpenFile = ((Height, Height), Arc<ArchiveFile>);

/// Reads single records of an archive.
#[derive(Debug)]
pub(super) struct ArchiveRecords {
    archive: Archive,
    network: Digest,
    /// The file that was opened last.
    file: Mutex<Option<OpenFile>>,
    frames: Mutex<Vec<Frame>>,
}

impl ArchiveRecords {
    pub fn new(archive: Archive, network: Digest) -> Self {
        Self { archive, network, file: Mutex::default(), frames: Mutex::default() }
    }

    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    pub fn network(&self) -> &Digest {
        &self.network
    }

    /// An index of these heights, as far as the archive goes.
    pub fn index(&self, from: Height, to: Height) -> BlockIndex {
        let (from, to) = (from.0.max(1), to.0.min(self.archive.last().0));
        // The batches of the base are not looked for.
        let base = Height(from - 1);
        let records = (base.0.max(1)..=to).map(|height| place_of(Height(height), 0)).collect();
        BlockIndex::restored(Positions { base, records })
    }

    /// The heights of the files that have a transaction whose id begins like this one.
    pub fn files_with(
        &self,
        id: &TransactionId,
    ) -> impl Iterator<Item = Result<(Height, Height), ArchiveError>> {
        self.archive.files.iter().filter_map(|heights| {
            let may_have = self.open(*heights).and_then(|file| file.may_have(id));
            may_have.map(|may| may.then_some(*heights)).transpose()
        })
    }

    /// How the epochs ended, from the first one on, as far as no file between is missing. Only files in which one did
    /// are read; the index of each says who validates behind it.
    pub fn ended_epochs(&self) -> Result<Vec<Handover>, ArchiveError> {
        let mut ended: Vec<Handover> = Vec::new();
        for heights in self.archive.files.iter().copied() {
            let file = self.open(heights)?;
            let present = Epoch(ended.len() as u64);
            if file.index.members.epoch == present {
                continue;
            }
            for place in 0..file.frames() {
                let (_, entries) = file.frame(place)?;
                for entry in entries {
                    let Some((block, record)) = last_of_epoch(&entry) else { continue };
                    if block.header().epoch != Epoch(ended.len() as u64) {
                        return Ok(ended);
                    }
                    let CommittedBlock { certificate, members: Some(members), .. } = record else { continue };
                    ended.push(Handover { block, certificate, members });
                }
            }
            if file.index.members.epoch != Epoch(ended.len() as u64) {
                return Ok(ended);
            }
        }
        Ok(ended)
    }

    fn open(&self, heights: (Height, Height)) -> Result<Arc<ArchiveFile>, ArchiveError> {
        let mut last = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = last.as_ref().filter(|(of, _)| *of == heights) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(self.archive.open_file(heights)?);
        let (expected, found) = (self.network, *file.network());
        if found != expected {
            let directory = self.archive.directory().to_owned();
            return Err(ArchiveError::OtherNetwork { directory, expected, found });
        }
        *last = Some((heights, Arc::clone(&file)));
        Ok(file)
    }

    /// The frame that has a height.
    fn frame(&self, height: Height) -> Result<Frame, ArchiveError> {
        let has = |frame: &Frame| frame.0 <= height && height.0 - frame.0.0 < frame.1.len() as u64;
        let kept = || self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(frame) = kept().iter().find(|frame| has(frame)) {
            return Ok(Arc::clone(frame));
        }
        let missing = || ArchiveError::FileMissing { directory: self.archive.directory().to_owned(), height };
        let heights = self.archive.file_of(height).ok_or_else(missing)?;
        let frame = Arc::new(self.open(heights)?.frame_of(height)?);
        let mut kept = kept();
        if kept.len() == FRAMES_KEPT {
            kept.remove(0);
        }
        kept.push(Arc::clone(&frame));
        Ok(frame)
    }

    fn find(&self, position: Position) -> Result<Option<Record>, ArchiveError> {
        let height = height_of(position);
        let frame = self.frame(height)?;
        let entry = &frame.1[(height.0 - frame.0.0) as usize];
        Ok(match (position.raw() - place_of(height, 0).raw()) as usize {
            0 => block_record(height, entry),
            number => entry.batches.get(number - 1).map(|batch| batch_record(height, number, batch.clone())),
        })
    }
}

impl Records for ArchiveRecords {
    fn read(&self, position: Position) -> Result<Record, StoreError> {
        let found = self.find(position).map_err(ArchiveError::into_store)?;
        found.ok_or(StoreError::NoRecord { position: position.raw() })
    }
}
