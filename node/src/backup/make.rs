//! Makes a backup of a data directory whose validator may run.
//!
//! The log writes a sector once, in order, and says in each which ones before it are durable. What stands below the end
//! that a reader has found is whole and stays as it is, until its segment is used again. So the journal is copied up to
//! such an end, and read back. Where segments were used again meanwhile, all is done anew.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use engine::store::{Lock, Log, LogKind, Position, Repaired, StoreError};
use engine::types::{Digest, Height};

use super::error::BackupError;
use super::manifest::{BackedUp, Manifest, copy};
use super::unfinished;
use crate::device;
use crate::disk::{lies_within, put_in_place, sync_directory};
use crate::validator::checkpoints::Directory;

/// How often it is begun anew where the journal is pruned meanwhile.
const ATTEMPTS: u32 = 5;
/// How much of a file and its copy is compared at once.
const COMPARED_BYTES: usize = 1 << 16;
/// The pause before that.
const PAUSE: Duration = Duration::from_millis(500);

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// What is in it.
    pub manifest: Manifest,
    /// Records of the journal that were read back.
    pub records: u64,
}

/// Makes a backup of a data directory at a place where nothing is. `told` hears how many bytes are copied.
///
/// # Errors
/// [`BackupError`]; nothing is left then.
pub fn backup(data: &Path, to: &Path, told: &mut dyn FnMut(u64)) -> Result<Backup, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    if lies_within(to, data) {
        return Err(BackupError::InsideData(to.to_owned()));
    }
    let place = unfinished(to);
    for attempt in 1.. {
        remove(&place)?;
        let made = attempt_once(data, &place, told).and_then(|made| {
            put_in_place(&place, to).map_err(BackupError::io("naming", to))?;
            Ok(made)
        });
        match made {
            Err(error) if attempt < ATTEMPTS && may_have_been_pruned(&error) => std::thread::sleep(PAUSE),
            Err(error) => {
                remove(&place)?;
                return Err(error);
            }
            made => return made,
        }
    }
    unreachable!("the last attempt returns")
}

/// What may be another thing when it is tried again.
fn may_have_been_pruned(error: &BackupError) -> bool {
    match error {
        BackupError::Journal(error) => !matches!(error, StoreError::NoLog { .. } | StoreError::Format { .. }),
        BackupError::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        BackupError::SourceDamaged { .. } | BackupError::Changed(_) | BackupError::NoCheckpoint(_) => true,
        _ => false,
    }
}

fn attempt_once(data: &Path, place: &Path, told: &mut dyn FnMut(u64)) -> Result<Backup, BackupError> {
    let from = data.join("journal");
    let (identity, _) = Log::inspect(&from, Lock::None)?;
    let of = (Digest(identity.owner.network), identity.owner.validator);
    if identity.owner.log != LogKind::Journal {
        return Err(StoreError::NoLog { path: from }.into());
    }
    let mut copying = Copying { data, place, files: Vec::new(), copied: 0, told };
    for directory in ["journal", "checkpoints"] {
        let directory = place.join(directory);
        fs::create_dir_all(&directory).map_err(BackupError::io("making", &directory))?;
    }
    // The checkpoints first: what they need of the journal is then in what is copied after them.
    let heights = Directory::of(&data.join("checkpoints"), of.0, of.1).newest_first();
    for height in heights.unwrap_or_default() {
        copying.checkpoint(&Directory::of(Path::new("checkpoints"), of.0, of.1).file(height))?;
    }
    copying.whole(Path::new("journal/identity"))?;
    // That a device was caught is not forgotten by a restored validator.
    if data.join(device::RECORD_FILE).exists() {
        copying.whole(Path::new(device::RECORD_FILE))?;
    }
    let (identity, replay) = Log::inspect(&from, Lock::None)?;
    let (first, end, bytes) = (replay.first().raw(), replay.end().raw(), identity.segment_bytes);
    let mut at = first / bytes * bytes;
    while at < end {
        let (file, _) = replay.locate(Position::from_raw(at));
        let name = file.strip_prefix(data).map_err(|_| BackupError::NoBackup(file.clone()))?;
        copying.part(name, (end - at).min(bytes), bytes)?;
        at += bytes;
    }
    // They are read in the place of what has rotted.
    for Repaired { file, .. } in replay.repairs() {
        let name = file.strip_prefix(data).map_err(|_| BackupError::NoBackup(file.clone()))?;
        copying.whole(name)?;
    }
    let files = copying.files;
    let (records, checkpoint) =
        read_back(place, of, end).map_err(|error| error_about_source(error, (place, data)))?;
    let manifest = Manifest::new((of.0, Digest(of.1)), checkpoint, end - first, files);
    for directory in [place.join("journal"), place.join("checkpoints")] {
        sync(&directory)?;
    }
    manifest.write(place)?;
    Ok(Backup { manifest, records })
}

/// The same error about the file that was copied, if that is wrong as well.
fn error_about_source(error: BackupError, (place, data): (&Path, &Path)) -> BackupError {
    let source = |file: &Path| file.strip_prefix(place).map(|name| data.join(name)).ok();
    let (copied, what) = match &error {
        BackupError::BackupDamaged { file, what } => (file, what.clone()),
        BackupError::Journal(StoreError::Corrupt { path, offset, expected, found }) => {
            (path, format!("damaged at byte {offset}: expected {expected}, found {found}"))
        }
        BackupError::NoCheckpoint(directory) => {
            let directory = source(directory);
            return directory.map_or(error, BackupError::NoCheckpoint);
        }
        _ => return error,
    };
    match source(copied) {
        None => error,
        Some(file) if is_same(copied, &file) => BackupError::SourceDamaged { file, what },
        Some(file) => BackupError::Changed(file),
    }
}

/// Whether a file begins as its copy does, as far as they go together.
fn is_same(copy: &Path, file: &Path) -> bool {
    let (Ok(mut copy), Ok(mut file)) = (fs::File::open(copy), fs::File::open(file)) else { return false };
    let (mut ours, mut theirs) = (vec![0; COMPARED_BYTES], vec![0; COMPARED_BYTES]);
    loop {
        let Ok(read) = copy.read(&mut ours) else { return false };
        if read == 0 {
            return true;
        }
        if file.read_exact(&mut theirs[..read]).is_err() || ours[..read] != theirs[..read] {
            return false;
        }
    }
}

/// Reads a copy: every record up to the end, and every checkpoint, of which one must go with it. Nothing of them is
/// kept in memory.
fn read_back(
    place: &Path,
    (network, validator): (Digest, [u8; 32]),
    end: u64,
) -> Result<(u64, Option<Height>), BackupError> {
    let journal = place.join("journal");
    let (_, mut replay) = Log::inspect(&journal, Lock::None)?;
    if replay.end().raw() < end {
        let what = format!("its journal ends at {}, and {end} bytes were copied", replay.end().raw());
        return Err(BackupError::BackupDamaged { file: journal, what });
    }
    let directory = place.join("checkpoints");
    let files = Directory::of(&directory, network, validator);
    let mut newest = None;
    for height in files.newest_first().unwrap_or_default() {
        let damaged = |what: String| BackupError::BackupDamaged { file: files.file(height), what };
        let checkpoint = files.whole(height).map_err(|error| damaged(error.to_string()))?;
        if newest.is_none() && checkpoint.replay_from >= replay.released() {
            replay.seek(checkpoint.replay_from).map_err(|error| damaged(error.to_string()))?;
            newest = Some(height);
        }
    }
    if newest.is_none() && replay.released() > Position::from_raw(0) {
        return Err(BackupError::NoCheckpoint(directory));
    }
    replay.rewind();
    let mut records = 0;
    for record in replay {
        record?;
        records += 1;
    }
    Ok((records, newest))
}

/// Copies files from a data directory, and notes them.
struct Copying<'a> {
    data: &'a Path,
    place: &'a Path,
    files: Vec<BackedUp>,
    copied: u64,
    told: &'a mut dyn FnMut(u64),
}

impl Copying<'_> {
    /// A file that nobody changes while it has this name. One that is gone was not needed any more.
    fn checkpoint(&mut self, name: &Path) -> Result<(), BackupError> {
        match self.whole(name) {
            Err(BackupError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
            copied => copied,
        }
    }

    fn whole(&mut self, name: &Path) -> Result<(), BackupError> {
        let from = self.data.join(name);
        let bytes = fs::metadata(&from).map_err(BackupError::io("looking at", &from))?.len();
        self.part(name, bytes, bytes)
    }

    /// The first bytes of a file, and zeros up to a length.
    fn part(&mut self, name: &Path, bytes: u64, length: u64) -> Result<(), BackupError> {
        let sha256 = copy(&self.data.join(name), &self.place.join(name), bytes, length)?;
        self.files.push(BackedUp { path: name.to_owned(), bytes: length, sha256 });
        self.copied += bytes;
        (self.told)(self.copied);
        Ok(())
    }
}

/// Removes what an earlier attempt has left.
pub(super) fn remove(place: &Path) -> Result<(), BackupError> {
    match place.exists() {
        true => fs::remove_dir_all(place).map_err(BackupError::io("removing", place)),
        false => Ok(()),
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync(directory: &Path) -> Result<(), BackupError> {
    sync_directory(directory).map_err(BackupError::io("syncing", directory))
}
