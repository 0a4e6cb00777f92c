//! The files of checkpoints, and the thread that writes them.
//!
//! ```text
//! query thread ── captured between two heights ──▶ checkpoints thread ── slowly ──▶ checkpoint.new ── synced, renamed ──▶
//!                 (pages are copied when they change)                               0000000000000812.checkpoint
//! ```
//!
//! A file has its name only once it is whole and durable. The last two are kept. A checkpoint that cannot be written is
//! a warning: the journal has everything.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam::channel::{Receiver, Sender};
use engine::execute::{Chains, Delta};
use engine::replica::{CaptureError, Checkpoint, CheckpointError, JournalReader, Keeper};
use engine::roots::CommittedView;
use engine::store::{Position, remove_file};
use engine::types::{Digest, Height};

use super::clock::Clock;
use super::shared::Shared;

const SUFFIX: &str = ".checkpoint";
const UNFINISHED: &str = "checkpoint.new";
/// So many are kept: the newest may be one that cannot be used.
const KEPT: usize = 2;
/// Bytes that are written at a time.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes of the disk that a checkpoint leaves to the journal.
const ROOM_LEFT_BYTES: u64 = 256 << 20;
/// The thread rests so many times as long as it has worked, so that it takes a small part of a core and of the disk: all
/// validators write theirs at the same height, and some share a machine.
const RESTS: u32 = 15;

/// The directory of a validator's checkpoints.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    network: Digest,
}

impl Directory {
    /// The directory at a place, made if it is not there. What a crash left unfinished is removed.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn open(path: &Path, network: Digest) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let unfinished = path.join(UNFINISHED);
        if unfinished.exists() {
            remove_file(&unfinished).with_context(|| format!("cannot remove {}", unfinished.display()))?;
        }
        Ok(Self { path: path.to_owned(), network })
    }

    fn file(&self, height: Height) -> PathBuf {
        self.path.join(format!("{:016}{SUFFIX}", height.0))
    }

    /// The heights of which there is one, newest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn newest_first(&self) -> anyhow::Result<Vec<Height>> {
        let list = || -> io::Result<Vec<Height>> {
            let mut heights = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                let name = entry?.file_name();
                let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
                let height = number.and_then(|number| number.parse().ok()).map(Height);
                // A copy under another name is not one of these.
                heights.extend(height.filter(|height| self.file(*height).file_name() == Some(&*name)));
            }
            heights.sort_unstable_by(|a, b| b.cmp(a));
            Ok(heights)
        };
        list().with_context(|| format!("cannot read {}", self.path.display()))
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is damaged, of another network, or cannot be read.
    pub fn read(&self, height: Height) -> Result<Checkpoint, CheckpointError> {
        let file = BufReader::with_capacity(PIECE_BYTES, File::open(self.file(height))?);
        let checkpoint = Checkpoint::read(&self.network, file)?;
        match checkpoint.height() == height {
            true => Ok(checkpoint),
            false => Err(CheckpointError::Invalid("its name is that of another height")),
        }
    }

    /// Removes one that cannot be used.
    pub fn remove(&self, height: Height) {
        let file = self.file(height);
        if let Err(error) = remove_file(&file) {
            tracing::warn!("cannot remove {}: {error}", file.display());
        }
    }

    /// Writes what is captured until the sender is gone. While it does, it is busy.
    pub fn run(&self, captured: &Receiver<Checkpoint>, busy: &AtomicBool, shared: &Shared) {
        for checkpoint in captured {
            let height = checkpoint.height();
            let written = self.write(&checkpoint, &shared.clock, &|| shared.stopping.load(Relaxed));
            // Its pages are let go before the next one is captured.
            drop(checkpoint);
            busy.store(false, Relaxed);
            match written {
                Ok(bytes) => tracing::info!(height = height.0, bytes, "checkpoint"),
                Err(_) if shared.stopping.load(Relaxed) => return,
                Err(error) => tracing::warn!(
                    "the checkpoint of height {height} cannot be written ({error}); a start takes longer until one is"
                ),
            }
        }
    }

    /// Refuses to write where the journal would soon have no room.
    fn check_room(&self) -> io::Result<()> {
        let newest = self.newest_first().map_err(io::Error::other)?.first().map(|height| self.file(*height));
        let last = newest.and_then(|file| fs::metadata(file).ok()).map_or(0, |metadata| metadata.len());
        let (room, needed) = (free_bytes(&self.path)?, last + last / 4 + ROOM_LEFT_BYTES);
        match room < needed {
            true => Err(io::Error::new(
                ErrorKind::StorageFull,
                format!("{room} bytes are free, and {needed} are needed with what is left to the journal"),
            )),
            false => Ok(()),
        }
    }

    /// Writes one, slowly; its bytes.
    fn write(&self, checkpoint: &Checkpoint, clock: &Clock, stopping: &dyn Fn() -> bool) -> io::Result<u64> {
        self.check_room()?;
        let (unfinished, file) = (self.path.join(UNFINISHED), self.file(checkpoint.height()));
        let paced = Paced {
            file: File::create(&unfinished)?,
            piece: Vec::new(),
            clock,
            since: clock.now(),
            stopping,
        };
        let written = checkpoint.write(&self.network, paced).and_then(|paced| {
            paced.file.sync_all()?;
            paced.file.metadata()
        });
        let bytes = match written {
            Ok(metadata) => metadata.len(),
            Err(error) => {
                // A part of it helps nobody, and takes room.
                let _ = fs::remove_file(&unfinished);
                return Err(error);
            }
        };
        fs::rename(&unfinished, &file)?;
        File::open(&self.path)?.sync_all()?;
        let others = self.newest_first().map_err(io::Error::other)?.into_iter();
        let others = others.filter(|height| *height != checkpoint.height());
        others.skip(KEPT - 1).for_each(|height| self.remove(height));
        Ok(bytes)
    }
}

/// Bytes that are free on the disk of a directory.
fn free_bytes(directory: &Path) -> io::Result<u64> {
    let path = CString::new(directory.as_os_str().as_bytes())?;
    // SAFETY: a statvfs is plain numbers, for which zeros are values; `path` ends with a zero byte and outlives the call,
    // and `found` is a valid place for the answer.
    let (found, answer) = unsafe {
        let mut found: libc::statvfs = std::mem::zeroed();
        let answer = libc::statvfs(path.as_ptr(), &raw mut found);
        (found, answer)
    };
    match answer {
        0 => Ok(found.f_bavail.saturating_mul(found.f_frsize)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether trying again would give the same.
pub fn is_unusable(error: &CheckpointError) -> bool {
    match error {
        CheckpointError::Unreadable(error) => {
            matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
        }
        CheckpointError::Invalid(_) | CheckpointError::Ledger(_) => true,
        CheckpointError::Journal(_) => error.is_of_another_journal(),
    }
}

/// A file that is written piece by piece, with rests.
struct Paced<'a> {
    file: File,
    piece: Vec<u8>,
    clock: &'a Clock,
    /// When the work on the present piece began.
    since: Duration,
    stopping: &'a dyn Fn() -> bool,
}

impl Write for Paced<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
            let worked = self.clock.now().saturating_sub(self.since);
            std::thread::sleep((worked * RESTS).min(Duration::from_secs(1)));
            self.since = self.clock.now();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if (self.stopping)() {
            // Not *interrupted*: that would be tried again.
            return Err(io::Error::other("the validator is stopping"));
        }
        self.file.write_all(&self.piece)?;
        self.piece.clear();
        // What waits for the disk is little at any time: the journal's syncs wait behind it.
        self.file.sync_data()
    }
}

/// What the query thread has to take checkpoints.
pub struct Taking {
    pub keeper: Keeper,
    pub states: Chains,
    pub files: Sender<Checkpoint>,
    /// Whether one is being written: no other one is captured then, so that pages are kept at most twice.
    pub busy: Arc<AtomicBool>,
}

impl Taking {
    /// The height of the view is committed; where a checkpoint is due, it is captured and handed on.
    pub fn committed(
        &mut self,
        view: &CommittedView,
        deltas: &[Delta],
        due: Option<Position>,
        shared: &Shared,
    ) {
        self.keeper.commit(deltas, view.state_root());
        let Some(replay_from) = due else { return };
        if self.busy.load(Relaxed) {
            let height = view.height().0;
            return tracing::warn!(height, "no checkpoint: the last one is still being written");
        }
        let journal = JournalReader {
            records: &*shared.journal,
            index: &shared.index,
            network: shared.genesis.network(),
        };
        match self.keeper.capture((view, deltas, &self.states), &journal, (replay_from, shared.boots())) {
            Ok(checkpoint) => {
                let checkpoint = Checkpoint { hints: shared.hints.copy(), ..checkpoint };
                self.busy.store(true, Relaxed);
                // A thread that is gone is stopping.
                let _stopping = self.files.send(checkpoint);
            }
            Err(CaptureError::Read(error)) => shared.damage.note(&error, shared.clock.now()),
            Err(error @ CaptureError::RootsTooOld { .. }) => {
                tracing::warn!(height = view.height().0, "no checkpoint: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of several pieces, or what became of it.
    fn written(directory: &Path, stopping: &dyn Fn() -> bool) -> io::Result<u64> {
        let (file, clock) = (File::create(directory.join(UNFINISHED))?, Clock::start());
        let mut paced = Paced { file, piece: Vec::new(), clock: &clock, since: clock.now(), stopping };
        for _ in 0..3 * PIECE_BYTES / 1_000 {
            paced.write_all(&[7; 1_000])?;
        }
        paced.flush()?;
        Ok(paced.file.metadata()?.len())
    }

    #[test]
    fn a_file_is_written_whole_or_given_up_when_the_validator_stops() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(written(directory.path(), &|| false).unwrap(), (3 * PIECE_BYTES / 1_000 * 1_000) as u64);
        assert!(written(directory.path(), &|| true).is_err());
        // Such a file is none, and is gone after the next start.
        let files = Directory::open(directory.path(), Digest::default()).unwrap();
        assert_eq!(files.newest_first().unwrap(), []);
        assert!(!directory.path().join(UNFINISHED).exists());
        for height in [7, 30, 812] {
            fs::write(files.file(Height(height)), "a checkpoint").unwrap();
        }
        assert_eq!(files.newest_first().unwrap(), [812, 30, 7].map(Height));
        assert!(files.read(Height(30)).is_err_and(|error| is_unusable(&error)));
        files.remove(Height(30));
        assert_eq!(files.newest_first().unwrap(), [812, 7].map(Height));
        assert!(
            !files.read(Height(30)).is_err_and(|error| is_unusable(&error)),
            "what is not there is not damaged"
        );
    }
}
