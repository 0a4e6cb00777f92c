//! A map of a data directory: which file has what, and what of it is rotten. It needs neither the genesis nor a secret,
//! and writes nothing.
//!
//! ```text
//!   0000000000000001.segment  [------##########RR######X#########..............]  heights 812 to 1,790
//!                              └ one cell for each 48th of the segment
//! ```
//!
//! A sector is rotten where its checksum does not hold, or where it is not the one that belongs there. Whether what is
//! whole is also right is for the audit to say.

mod picture;
#[cfg(test)]
mod tests;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use engine::replica::{CommittedBlock, KIND_BATCH, KIND_COMMITTED, KIND_STATE};
use engine::store::{Lock, Log, Record, Repaired, Replay, StoreError};
use engine::types::{Digest, Height};
use serde::Serialize;

use super::CheckpointFile;

const JOURNAL: &str = "journal";
/// Cells of the picture of a segment.
const CELLS: u64 = 48;

/// What is in a data directory.
#[derive(Debug, Serialize)]
pub struct Map {
    /// The directory.
    pub directory: PathBuf,
    /// Whether nothing was found that is rotten, missing or of no use, but for what was set aside.
    pub is_whole: bool,
    /// The journal and the vote log.
    pub logs: Vec<LogMap>,
    /// The checkpoints; none where the journal does not say of which network they have to be.
    pub checkpoints: Vec<CheckpointFile>,
}

/// What is in a log.
#[derive(Debug, Serialize)]
pub struct LogMap {
    /// "journal" or "vote log".
    pub log: &'static str,
    /// Why it cannot be read at all.
    pub problem: Option<String>,
    /// The public key of its validator, in hexadecimal.
    pub validator: Option<String>,
    /// Its segments, ascending.
    pub segments: Vec<SegmentMap>,
    /// Stretches that cannot be read.
    pub rot: Vec<RotMap>,
    /// Stretches that are read from files beside the segments.
    pub repairs: Vec<RepairMap>,
    /// Files of repairs that are not whole. They count for nothing.
    pub spoiled: Vec<SpoiledMap>,
}

/// What is in a segment.
#[derive(Debug, Serialize)]
pub struct SegmentMap {
    /// The file.
    pub file: PathBuf,
    /// Its first byte as the log counts them.
    pub begins_at: u64,
    /// Its bytes.
    pub bytes: u64,
    /// `#` records, `X` rot, `R` read from a repair, `-` released, `.` nothing yet.
    pub cells: String,
    /// Records that begin in it.
    pub records: u64,
    /// Batches among them.
    pub batches: u64,
    /// The first and the last committed height whose record is in it.
    pub heights: Option<(Height, Height)>,
}

/// A stretch of a log that cannot be read.
#[derive(Debug, Serialize)]
pub struct RotMap {
    /// The first byte of the log that is lost.
    pub from: u64,
    /// The first that can be read again.
    pub until: u64,
    /// The file in which it begins.
    pub file: PathBuf,
    /// The byte of the file from which on records are lost.
    pub offset: u64,
    /// What is wrong, in words.
    pub wrong: String,
}

/// A stretch that is read from another file.
#[derive(Debug, Serialize)]
pub struct RepairMap {
    /// The file that is read.
    pub file: PathBuf,
    /// The first byte of the log that is not read.
    pub from: u64,
    /// The first that is read again.
    pub until: u64,
    /// How many records are read instead.
    pub records: usize,
}

/// A repair that is not whole.
#[derive(Debug, Serialize)]
pub struct SpoiledMap {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it, in words.
    pub wrong: String,
}

impl Map {
    /// Reads every byte of a data directory that nobody writes. `progress` hears how many bytes of the logs are done,
    /// and of how many.
    ///
    /// # Errors
    /// [`StoreError::InUse`]: somebody writes it. All else that is wrong stands in the map.
    pub fn of(data: &Path, progress: &dyn Fn(u64, u64)) -> Result<Self, StoreError> {
        let (journal, network) = LogMap::of(JOURNAL, &data.join("journal"), progress)?;
        let (votes, _) = LogMap::of("vote log", &data.join("consensus"), progress)?;
        let checkpoints = network.map_or_else(Vec::new, |network| CheckpointFile::list(data, &network));
        let logs = vec![journal, votes];
        let is_whole = logs.iter().all(|log| log.rot.is_empty() && log.problem.is_none())
            && checkpoints.iter().all(|file| file.height.is_none() || file.set_aside || file.state.usable);
        Ok(Self { directory: data.to_owned(), is_whole, logs, checkpoints })
    }
}

impl LogMap {
    /// The map of a log, and of which network it is.
    fn of(
        log: &'static str,
        directory: &Path,
        progress: &dyn Fn(u64, u64),
    ) -> Result<(Self, Option<Digest>), StoreError> {
        let mut map = Self {
            log,
            problem: None,
            validator: None,
            segments: Vec::new(),
            rot: Vec::new(),
            repairs: Vec::new(),
            spoiled: Vec::new(),
        };
        let (identity, mut replay) = match Log::inspect(directory, Lock::Shared) {
            Ok(opened) => opened,
            Err(error @ StoreError::InUse { .. }) => return Err(error),
            Err(error) => {
                map.problem = Some(error.to_string());
                return Ok((map, None));
            }
        };
        map.validator = Some(hex::encode(identity.owner.validator));
        let segment_bytes = identity.segment_bytes;
        map.segments = segments(directory, segment_bytes);
        let repair = |of: Repaired| RepairMap {
            file: of.file,
            from: of.from.raw(),
            until: of.until.raw(),
            records: of.records,
        };
        map.repairs = replay.repairs().into_iter().map(repair).collect();
        let spoiled =
            |(file, wrong): &(PathBuf, String)| SpoiledMap { file: file.clone(), wrong: wrong.clone() };
        map.spoiled = replay.spoiled_repairs().iter().map(spoiled).collect();
        let mut painted = map.read(&mut replay, progress);
        painted.push((0..replay.released().raw(), '-'));
        painted.extend(map.repairs.iter().map(|repair| (repair.from..repair.until, 'R')));
        painted.extend(map.rot.iter().map(|rot| (rot.from..rot.until, 'X')));
        for segment in &mut map.segments {
            segment.cells = cells(segment.begins_at..segment.begins_at + segment_bytes, &painted);
        }
        Ok((map, Some(Digest(identity.owner.network))))
    }

    /// Reads all records, notes what they are and what cannot be read; the stretches that have records.
    fn read(&mut self, replay: &mut Replay, progress: &dyn Fn(u64, u64)) -> Vec<(Range<u64>, char)> {
        let first = replay.first().raw();
        let of = replay.end().raw().saturating_sub(first);
        let mut painted: Vec<(Range<u64>, char)> = Vec::new();
        loop {
            match replay.next() {
                None => return painted,
                Some(Ok(record)) => {
                    let from = record.position.raw();
                    let until = replay.next_position().raw();
                    match painted.last_mut().filter(|(last, _)| last.end == from) {
                        Some((last, _)) => last.end = until,
                        None => painted.push((from..until, '#')),
                    }
                    self.note(&record);
                    progress(until.saturating_sub(first), of);
                }
                Some(Err(error)) => {
                    let Some(rot) = replay.skip_rot() else { return painted };
                    let (file, offset) = replay.locate(rot.from);
                    let (from, until) = (rot.from.raw(), rot.until.raw());
                    self.rot.push(RotMap { from, until, file, offset, wrong: error.to_string() });
                }
            }
        }
    }

    fn note(&mut self, record: &Record) {
        let at = record.position.raw();
        let after = self.segments.partition_point(|segment| segment.begins_at <= at);
        let Some(segment) = after.checked_sub(1).and_then(|at| self.segments.get_mut(at)) else { return };
        // What has lost its place stands in no segment.
        if record.position.is_beside() {
            return;
        }
        segment.records += 1;
        match record.kind {
            KIND_BATCH if self.log == JOURNAL => segment.batches += 1,
            KIND_COMMITTED | KIND_STATE if self.log == JOURNAL => {
                if let Ok(block) = CommittedBlock::decode(&record.bytes) {
                    let first = segment.heights.map_or(block.height, |(first, _)| first);
                    segment.heights = Some((first, block.height));
                }
            }
            _ => {}
        }
    }
}

/// The segments of a log by their names, ascending.
fn segments(directory: &Path, segment_bytes: u64) -> Vec<SegmentMap> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let segment = |file: PathBuf| {
        let number = file.file_name()?.to_str()?.strip_suffix(".segment")?;
        let begins_at = u64::from_str_radix(number, 16).ok()?.checked_mul(segment_bytes)?;
        let bytes = fs::metadata(&file).map_or(0, |metadata| metadata.len());
        Some(SegmentMap {
            file,
            begins_at,
            bytes,
            cells: String::new(),
            records: 0,
            batches: 0,
            heights: None,
        })
    };
    let mut all: Vec<_> = entries.flatten().filter_map(|entry| segment(entry.path())).collect();
    all.sort_by_key(|segment| segment.begins_at);
    all
}

/// The picture of a segment; what was painted last is seen.
fn cells(segment: Range<u64>, painted: &[(Range<u64>, char)]) -> String {
    let bytes = segment.end - segment.start;
    let mut cells = vec!['.'; CELLS as usize];
    for (stretch, with) in painted {
        let (from, until) = (stretch.start.max(segment.start), stretch.end.min(segment.end));
        if from < until {
            let cell = |byte: u64| ((byte - segment.start) * CELLS / bytes) as usize;
            cells[cell(from)..=cell(until - 1)].fill(*with);
        }
    }
    cells.into_iter().collect()
}
