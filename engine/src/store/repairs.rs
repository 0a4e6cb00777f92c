//! What was rotten in a log, and is read from files beside its segments.
//!
//! ```text
//!   ─group─┬──────── group ────────┬─group─    0000000000c0ffee.repair: | head | places | records | SHA-256 |
//!          └ from ▓▓ rot     until ┘           read instead of everything from `from` to `until`
//! ```
//!
//! Behind a sector that cannot be read nothing says where the next record begins, up to the next group. So a repair has
//! all records of such a stretch that are still of use, also those that could be read. It has them in the order in
//! which they are replayed. Some have a place that the log never gave out ([`Position::beside`]): what their old place
//! was is lost with the record that named it.
//!
//! ```text
//!  0       8        12        44          76    77     85      93      97
//!  | magic | format | network | validator | log | from | until | count | position, kind, length, CRC ... | records | digest |
//! ```
//!
//! Invariants: the segments are never changed; a file has its name once it is whole and durable, and one that is not
//! whole counts for nothing; stretches do not overlap (a wider one replaces those within it), and none goes on into
//! another segment, which bounds a file and what is held of it in memory; what a repair says is for its author to
//! prove.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::files::sync_directory;
use super::names::remove_file;
use super::owner::Owner;
use super::position::Position;
use super::replay::Record;
use super::sector::{u32_at, u64_at};

const SUFFIX: &str = ".repair";
const UNFINISHED: &str = "repair.new";
const MAGIC: [u8; 8] = *b"millrfix";
const FORMAT: u32 = 1;
const HEAD_BYTES: usize = 97;
const PLACE_BYTES: usize = 17;
const DIGEST_BYTES: usize = 32;
/// Bytes that are read of a file at a time.
const PIECE_BYTES: usize = 1 << 20;

/// What is to be read instead of a stretch of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The first record that is lost, or the sector at which it may begin.
    pub from: Position,
    /// Where the log can be read again.
    pub until: Position,
    /// The records, in the order in which they are replayed.
    pub records: Vec<Record>,
}

/// A repair that is beside a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Its file.
    pub file: PathBuf,
    /// From where on the log is not read.
    pub from: Position,
    /// Up to where.
    pub until: Position,
    /// How many records are read instead.
    pub records: usize,
}

/// One record of a repair's file.
#[derive(Debug)]
struct Place {
    position: Position,
    kind: u8,
    offset: u64,
    length: usize,
    checksum: u32,
}

/// A repair's file, checked when it was found.
#[derive(Debug)]
pub(super) struct Known {
    path: PathBuf,
    pub(super) from: Position,
    pub(super) until: Position,
    places: Vec<Place>,
}

/// All repairs of one log, ascending. Those who replay it and those who read single records share them.
#[derive(Debug)]
pub(super) struct Repairs {
    /// None on a simulated disk, which has none.
    directory: Option<PathBuf>,
    known: RwLock<Vec<Arc<Known>>>,
    /// Files that are not whole, each with what is wrong.
    spoiled: Vec<(PathBuf, String)>,
}

impl Known {
    /// Everything before the records.
    fn head(owner: &Owner, repair: &Repair) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&owner.network);
        bytes.extend_from_slice(&owner.validator);
        bytes.push(owner.log.code());
        bytes.extend_from_slice(&repair.from.raw().to_le_bytes());
        bytes.extend_from_slice(&repair.until.raw().to_le_bytes());
        bytes.extend_from_slice(&(repair.records.len() as u32).to_le_bytes());
        for Record { position, kind, bytes: record } in &repair.records {
            bytes.extend_from_slice(&position.raw().to_le_bytes());
            bytes.push(*kind);
            bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
        }
        bytes
    }

    /// Writes a file, durably.
    fn write(path: &Path, owner: &Owner, repair: &Repair) -> io::Result<()> {
        let (mut file, mut hasher) = (BufWriter::new(File::create(path)?), Sha256::new());
        let records = repair.records.iter().map(|record| &record.bytes[..]);
        for part in std::iter::once(&Self::head(owner, repair)[..]).chain(records) {
            hasher.update(part);
            file.write_all(part)?;
        }
        file.write_all(&hasher.finalize())?;
        file.into_inner()?.sync_all()
    }

    /// Reads and checks every byte of a file, a piece at a time; what is wrong otherwise.
    fn load(path: &Path, owner: &Owner) -> Result<Self, String> {
        let in_words = |error: io::Error| error.to_string();
        let mut file = File::open(path).map_err(in_words)?;
        let bytes = file.metadata().map_err(in_words)?.len();
        let length = bytes.checked_sub(DIGEST_BYTES as u64).filter(|length| *length >= HEAD_BYTES as u64);
        let length = length.ok_or("it ends too early")?;
        let mut hasher = Sha256::new();
        let mut piece = vec![0; PIECE_BYTES.min(length as usize)];
        let mut left = length;
        while left > 0 {
            let piece = &mut piece[..PIECE_BYTES.min(left as usize)];
            file.read_exact(piece).map_err(in_words)?;
            hasher.update(&*piece);
            left -= piece.len() as u64;
        }
        let mut digest = [0; DIGEST_BYTES];
        file.read_exact(&mut digest).map_err(in_words)?;
        if hasher.finalize()[..] != digest {
            return Err("its digest does not hold".into());
        }
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(&mut head, 0).map_err(in_words)?;
        if head[..8] != MAGIC || u32_at(&head, 8) != FORMAT {
            return Err("it is of another format".into());
        }
        if head[12..44] != owner.network || head[44..76] != owner.validator || head[76] != owner.log.code() {
            return Err("it is of another log".into());
        }
        let [from, until] = [77, 85].map(|at| Position::from_raw(u64_at(&head, at)));
        let count = u32_at(&head, 93) as usize;
        let records = count.checked_mul(PLACE_BYTES).and_then(|bytes| bytes.checked_add(HEAD_BYTES));
        let records = records.map(|at| at as u64).filter(|at| *at <= length);
        let mut offset = records.ok_or("it has too few records")?;
        let mut table = vec![0; count * PLACE_BYTES];
        file.read_exact_at(&mut table, HEAD_BYTES as u64).map_err(in_words)?;
        let mut places = Vec::with_capacity(count);
        for place in table.chunks_exact(PLACE_BYTES) {
            let (length, checksum) = (u32_at(place, 9) as usize, u32_at(place, 13));
            let position = Position::from_raw(u64_at(place, 0));
            places.push(Place { position, kind: place[8], offset, length, checksum });
            offset = offset.checked_add(length as u64).ok_or("its records are too long")?;
        }
        if offset != length || from >= until {
            return Err("its parts do not fit together".into());
        }
        Ok(Self { path: path.to_owned(), from, until, places })
    }

    /// The record of a number, in the order of the replay; none behind the last.
    pub(super) fn record(&self, number: usize) -> Option<Result<Record, StoreError>> {
        self.places.get(number).map(|place| {
            let mut bytes = vec![0; place.length];
            // Not kept open: a disk that dies may have thousands of them.
            File::open(&self.path)
                .and_then(|file| file.read_exact_at(&mut bytes, place.offset))
                .map_err(|error| StoreError::io("reading", &self.path, &error))?;
            let found = crc32fast::hash(&bytes);
            match found == place.checksum {
                true => Ok(Record { position: place.position, kind: place.kind, bytes }),
                false => Err(StoreError::Corrupt {
                    path: self.path.clone(),
                    offset: place.offset,
                    expected: format!("bytes with checksum {:08x}", place.checksum),
                    found: format!("bytes with checksum {found:08x}"),
                }),
            }
        })
    }

    fn number_of(&self, position: Position) -> Option<usize> {
        self.places.iter().position(|place| place.position == position)
    }

    fn info(&self) -> Repaired {
        let Self { path, from, until, places, .. } = self;
        Repaired { file: path.clone(), from: *from, until: *until, records: places.len() }
    }
}

impl Repairs {
    /// For a disk without files.
    pub(super) fn none() -> Arc<Self> {
        Arc::new(Self { directory: None, known: RwLock::default(), spoiled: Vec::new() })
    }

    /// Those in a log's directory.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(super) fn load(directory: &Path, owner: &Owner) -> Result<Arc<Self>, StoreError> {
        let list = || -> io::Result<Vec<PathBuf>> {
            let all = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
            let all = all.collect::<io::Result<Vec<_>>>()?;
            Ok(all.into_iter().filter(|path| path.to_string_lossy().ends_with(SUFFIX)).collect())
        };
        let files = list().map_err(|error| StoreError::io("listing", directory, &error))?;
        let (mut found, mut spoiled) = (Vec::new(), Vec::new());
        for path in files {
            match Known::load(&path, owner) {
                Ok(known) => found.push(Arc::new(known)),
                Err(wrong) => spoiled.push((path, wrong)),
            }
        }
        found.sort_by_key(|known| (known.from, std::cmp::Reverse(known.until)));
        let mut known: Vec<Arc<Known>> = Vec::new();
        // A wider one was written later, and a crash came before those within it were removed.
        for next in found {
            match known.last() {
                Some(last) if next.from < last.until && next.until > last.until => {
                    spoiled.push((next.path.clone(), "it overlaps another repair".into()));
                }
                Some(last) if next.from < last.until => {}
                _ => known.push(next),
            }
        }
        Ok(Arc::new(Self { directory: Some(directory.to_owned()), known: RwLock::new(known), spoiled }))
    }

    fn read<T>(&self, look: impl FnOnce(&[Arc<Known>]) -> T) -> T {
        look(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those that are beside the log, ascending.
    pub(super) fn list(&self) -> Vec<Repaired> {
        self.read(|known| known.iter().map(|known| known.info()).collect())
    }

    /// Files that are not whole, each with what is wrong.
    pub(super) fn spoiled(&self) -> &[(PathBuf, String)] {
        &self.spoiled
    }

    /// The repair that begins at a position.
    pub(super) fn beginning(&self, from: Position) -> Option<Arc<Known>> {
        self.read(|known| {
            let at = known.binary_search_by_key(&from, |known| known.from).ok()?;
            known.get(at).cloned()
        })
    }

    /// The repair that has a record of a position, and its number there.
    pub(super) fn with(&self, position: Position) -> Option<(Arc<Known>, usize)> {
        if position.is_beside() {
            let of = |known: &Arc<Known>| Some((known.clone(), known.number_of(position)?));
            return self.read(|known| known.iter().find_map(of));
        }
        let known = self.around(position)?;
        let number = known.number_of(position)?;
        Some((known, number))
    }

    /// The repair of the stretch in which a position of the log is.
    pub(super) fn around(&self, position: Position) -> Option<Arc<Known>> {
        self.read(|known| {
            let before = known.partition_point(|known| known.from <= position).checked_sub(1)?;
            known.get(before).filter(|known| position < known.until).cloned()
        })
    }

    /// Where a record is read from, for error reports.
    pub(super) fn locate(&self, position: Position) -> Option<(PathBuf, u64)> {
        self.with(position).map(|(known, number)| (known.path.clone(), known.places[number].offset))
    }

    /// Writes a repair, durably, and takes it into use.
    ///
    /// # Errors
    /// It cannot be written, or overlaps another one in part.
    pub(super) fn add(&self, owner: &Owner, repair: &Repair) -> Result<Repaired, StoreError> {
        let detail = |detail: &str| StoreError::Options { detail: detail.to_owned() };
        let directory = self.directory.as_ref().ok_or_else(|| detail("a simulated log has no repairs"))?;
        let stretch = repair.from..repair.until;
        let overlaps = |known: &Known| known.from < stretch.end && stretch.start < known.until;
        let is_within = |known: &Known| stretch.start <= known.from && known.until <= stretch.end;
        if stretch.is_empty()
            || self.read(|known| known.iter().any(|known| overlaps(known) && !is_within(known)))
        {
            return Err(detail("a repair must be of one stretch, and overlap no other"));
        }
        let (path, unfinished) = (Self::path(directory, &stretch), directory.join(UNFINISHED));
        let write = || {
            Known::write(&unfinished, owner, repair)?;
            fs::rename(&unfinished, &path)?;
            sync_directory(directory)
        };
        write().map_err(|error| {
            // A part of it helps nobody, and takes room.
            let _ = fs::remove_file(&unfinished);
            StoreError::writing(&path, &error)
        })?;
        // It is believed as any start would believe it.
        let added = Known::load(&path, owner).map(Arc::new).map_err(|wrong| StoreError::Failed {
            path: path.clone(),
            detail: format!("it does not read back as it was written: {wrong}"),
        })?;
        let info = added.info();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let replaced: Vec<_> = known.extract_if(.., |known| overlaps(known)).collect();
        let at = known.partition_point(|known| known.from < info.from);
        known.insert(at, added);
        drop(known);
        // One that cannot be removed is within a wider one, and counts for nothing.
        let gone = replaced.into_iter().filter(|known| known.path != path);
        gone.for_each(|known| drop(remove_file(&known.path)));
        Ok(info)
    }

    /// Removes those of what was released.
    pub(super) fn release_below(&self, released: Position) {
        if self.read(|known| known.iter().all(|known| known.until > released)) {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<_> = known.extract_if(.., |known| known.until <= released).collect();
        drop(known);
        // One that cannot be removed now is removed by another start: nothing reads it.
        gone.iter().for_each(|known| drop(remove_file(&known.path)));
    }

    fn path(directory: &Path, stretch: &Range<Position>) -> PathBuf {
        directory.join(format!("{:016x}{SUFFIX}", stretch.start.raw()))
    }
}
