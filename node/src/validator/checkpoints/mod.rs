//! The files of checkpoints, and the thread that writes them.
//!
//! ```text
//! query thread ── captured between two heights ──▶ checkpoints thread ── slowly ──▶ checkpoint.new ── synced, renamed ──▶
//!                 (pages are copied when they change)     │                         0000000000000812.checkpoint
//!                                                         └─ read back; then the journal is pruned, and old files go
//! ```
//!
//! Peers that cannot catch up by blocks read the files ([`served`]) and write what they fetch ([`fetched`]).
//!
//! A file has its name only once it is whole and durable. The last two are kept, and those that an audit and later ones
//! need. A checkpoint that cannot be written is a warning: the journal has everything that it would have had.

mod archived;
mod fetched;
mod pace;
mod served;
mod taker;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam::channel::Receiver;
use engine::limits::PUBLIC_KEY_BYTES;
use engine::replica::{Checkpoint, CheckpointError, CheckpointMark, Input, RetentionPlan, ValidatorId};
use engine::store::{Position, remove_file};
use engine::sync::StateWork;
use engine::types::{Digest, Height};
use net::LogLimit;

use self::archived::Bound;
pub use self::archived::tell_archive;
pub use self::fetched::WHOLE;
use self::fetched::{Fetching, Outcome};
pub use self::pace::{PIECE_BYTES, Pace};
use self::pace::{PacedReader, PacedWriter};
pub use self::served::ServedStates;
pub use self::taker::CheckpointTaker;
use super::fatal::fatal;
use super::shared::Shared;
use crate::disk::{free_bytes, put_in_place};

const SUFFIX: &str = ".checkpoint";
const UNFINISHED: &str = "checkpoint.new";
/// How the name of one ends that was set aside.
pub const ASIDE: &str = "unfit";
/// Bytes of the disk that a checkpoint leaves to the journal.
const ROOM_LEFT_BYTES: u64 = 256 << 20;

/// How often one thing is said that goes on.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Limits a line of the log that is about one thing.
pub fn line_limit() -> LogLimit<()> {
    LogLimit::new(SAY_EVERY, 1)
}

/// Work for the thread of checkpoints.
pub enum CheckpointWork {
    /// Write this one.
    Captured(Box<Checkpoint>),
    /// Keep what is fetched of a state.
    State(StateWork),
}

/// The directory of a validator's checkpoints.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    network: Digest,
    validator: [u8; PUBLIC_KEY_BYTES],
}

impl Directory {
    /// The directory at a place, made if it is not there. What a crash left unfinished is removed.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn open(path: &Path, network: Digest, validator: [u8; PUBLIC_KEY_BYTES]) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| match path.exists() && !path.is_dir() {
            true => format!(
                "{}: this is no directory, and the checkpoints of this validator belong into one of that name: move it away",
                path.display()
            ),
            false => format!("cannot make {}", path.display()),
        })?;
        for unfinished in [UNFINISHED, fetched::COMING].map(|name| path.join(name)) {
            if unfinished.exists() {
                remove_file(&unfinished)
                    .with_context(|| format!("cannot remove {}", unfinished.display()))?;
            }
        }
        Ok(Self::of(path, network, validator))
    }

    /// The same to read from: nothing is made or removed.
    #[must_use]
    pub fn of(path: &Path, network: Digest, validator: [u8; PUBLIC_KEY_BYTES]) -> Self {
        Self { path: path.to_owned(), network, validator }
    }

    fn of_validator(&self) -> ValidatorId<'_> {
        ValidatorId { network: &self.network, validator: &self.validator }
    }

    /// The path of the checkpoint of a height, whether or not the file exists.
    #[must_use]
    pub fn file(&self, height: Height) -> PathBuf {
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

    /// Reads one; `told` hears now and then how many bytes were read.
    ///
    /// # Errors
    /// It is damaged, of another network or validator, or cannot be read.
    pub fn read(&self, height: Height, told: &mut dyn FnMut(u64)) -> Result<Checkpoint, CheckpointError> {
        let file = Told { file: File::open(self.file(height))?, read: 0, told };
        let file = BufReader::with_capacity(PIECE_BYTES, file);
        let checkpoint = Checkpoint::read(self.of_validator(), file)?;
        match checkpoint.height() == height {
            true => Ok(checkpoint),
            false => Err(CheckpointError::Invalid("its name is that of another height")),
        }
    }

    /// The marks of the checkpoints, oldest first. Damaged ones are left out: a start reports them.
    ///
    /// # Errors
    /// The directory, or a file that is not damaged, cannot be read now.
    pub fn marks(&self) -> anyhow::Result<Vec<CheckpointMark>> {
        let mut marks = Vec::new();
        for height in self.newest_first()?.into_iter().rev() {
            match self.mark(height) {
                Ok(mark) => marks.push(mark),
                Err(error) if is_damage(&error) => {}
                Err(error) => {
                    let file = self.file(height);
                    return Err(error).with_context(|| format!("cannot read {}", file.display()));
                }
            }
        }
        Ok(marks)
    }

    /// The mark of one.
    fn mark(&self, height: Height) -> io::Result<CheckpointMark> {
        let mark = CheckpointMark::read(self.of_validator(), File::open(self.file(height))?)?;
        match mark.height == height {
            true => Ok(mark),
            false => Err(io::Error::new(ErrorKind::InvalidData, "its name is that of another height")),
        }
    }

    /// The mark of one of which every byte is as it was written. Nothing of it is kept in memory.
    ///
    /// # Errors
    /// It is damaged, of another network or validator, or cannot be read.
    pub fn whole(&self, height: Height) -> io::Result<CheckpointMark> {
        let mark = self.mark(height)?;
        let file = BufReader::with_capacity(PIECE_BYTES, File::open(self.file(height))?);
        Checkpoint::check_digests(file)?;
        Ok(mark)
    }

    /// Removes the checkpoints whose place in the journal was released, and returns the height of the oldest one that
    /// remains: there an audit can begin. 0 if nothing was released, or if none remains.
    ///
    /// # Errors
    /// As [`Self::marks`].
    pub fn remove_released(&self, released: Position) -> anyhow::Result<Height> {
        if released == Position::from_raw(0) {
            return Ok(Height(0));
        }
        let (gone, usable): (Vec<_>, Vec<_>) =
            self.marks()?.into_iter().partition(|mark| mark.replay_from < released);
        gone.iter().for_each(|mark| self.remove(mark.height));
        Ok(usable.first().map_or(Height(0), |mark| mark.height))
    }

    /// Gives one another name that cannot be used: it may be that of another validator, or the journal may be the wrong
    /// one. Nothing is deleted that somebody may need.
    pub fn set_aside(&self, height: Height) {
        let file = self.file(height);
        if let Err(error) = fs::rename(&file, file.with_extension(ASIDE)) {
            tracing::warn!("cannot rename {}: {error}", file.display());
        }
    }

    /// Removes one.
    pub fn remove(&self, height: Height) {
        let file = self.file(height);
        if let Err(error) = remove_file(&file) {
            tracing::warn!("cannot remove {}: {error}", file.display());
        }
    }

    /// Writes each captured checkpoint, reads it back and prunes the journal, and keeps what is fetched of a state,
    /// until the senders are gone. `busy` is cleared after each checkpoint; `tell` hands an input to the replica. One
    /// that is not written when the validator stops is left for the next start.
    pub fn run(
        &self,
        work: &Receiver<CheckpointWork>,
        (busy, tell): (&AtomicBool, &dyn Fn(Input)),
        shared: &Shared,
        archive: Option<&Path>,
    ) {
        let mut fetching = Fetching::new(self, &shared.genesis);
        let mut held_back = line_limit();
        for work in work {
            let checkpoint = match work {
                // The hints of a later height are as good, and are copied on this thread.
                CheckpointWork::Captured(checkpoint) => {
                    Checkpoint { hints: shared.hints.copy(), ..*checkpoint }
                }
                CheckpointWork::State(work) => {
                    fetch(&mut fetching, work, tell, shared);
                    continue;
                }
            };
            let height = checkpoint.height();
            let stopping = || shared.stopping.load(Relaxed);
            let written = self.write(&checkpoint, Pace::new(&shared.clock, &stopping));
            if written.is_err() && stopping() {
                shared.leave(checkpoint);
                continue;
            }
            // Its pages are let go before the next one is captured.
            drop(checkpoint);
            let good = written.and_then(|bytes| {
                tracing::info!(height = height.0, bytes, "checkpoint");
                self.read_back(height, Pace::new(&shared.clock, &stopping))
            });
            // Where there is no room for another, those that are there may let go what waits for the archive.
            let may_prune = match good {
                Ok(()) => true,
                Err(_) if stopping() => continue,
                Err(error) => {
                    tracing::warn!(
                        "the checkpoint of height {height} cannot be written and read back ({error}): make room on the \
                         disk, or replace it. The next start takes longer, and the journal is pruned only as far as older \
                         checkpoints allow"
                    );
                    // What cannot be read back counts for nothing.
                    if self.file(height).exists() {
                        self.remove(height);
                    }
                    error.kind() == ErrorKind::StorageFull
                }
            };
            if may_prune {
                self.prune(shared, (archive, &mut held_back)).unwrap_or_else(|error| {
                    tracing::warn!(
                        "the journal cannot be pruned at a checkpoint ({error}): look at data/checkpoints and the journal"
                    );
                });
            }
            busy.store(false, Relaxed);
        }
    }

    /// Prunes the journal at a checkpoint, where it is to be pruned, and removes those that nobody needs. Each was read
    /// back when it was written.
    fn prune(
        &self,
        shared: &Shared,
        (archive, held_back): (Option<&Path>, &mut LogLimit<()>),
    ) -> anyhow::Result<()> {
        let marks = self.marks()?;
        let now = shared.clock.now();
        let held = shared.held().heights(&marks, now);
        let (retention, base) = (shared.retention(), base_mark(shared, &marks));
        let plan = retention.plan(&base, &marks, &held);
        let wanted = retention.plan(&base, &marks, &BTreeSet::new()).prune_at;
        if wanted.map(|mark| mark.height) > plan.prune_at.map(|mark| mark.height)
            && let (Some(height), Some(suppressed)) = (held.first(), held_back.admit((), now))
        {
            tracing::info!(
                height = height.0,
                suppressed,
                "the journal is not pruned as far as it could be: a peer is fetching the checkpoint of this height"
            );
        }
        let RetentionPlan { kept, prune_at } = match archive {
            None => plan,
            Some(archive) => {
                let (network, free) = (shared.genesis.network(), free_bytes(&self.path)?);
                let bound = Bound { archive, network, free, needed: self.room_needed()? };
                bound.apply((retention, plan), (&base, &marks), held)
            }
        };
        if let Some(CheckpointMark { height, replay_from, .. }) = prune_at {
            // The index forgets these heights first, so that no reader is sent to a record that is being released.
            shared.index.prune(height);
            shared.journal.release(replay_from);
            tracing::info!(height = height.0, "the journal is pruned: what was committed below is not kept");
        }
        let unneeded = marks.iter().filter(|mark| !kept.contains(&mark.height));
        unneeded.for_each(|mark| self.remove(mark.height));
        Ok(())
    }

    /// Bytes of one; 0 where it is not there.
    #[must_use]
    pub fn bytes(&self, height: Height) -> u64 {
        fs::metadata(self.file(height)).map_or(0, |metadata| metadata.len())
    }

    /// Reads one from the disk, not from memory, and compares its digests.
    ///
    /// # Errors
    /// It is damaged or cannot be read, or the validator is stopping.
    pub fn read_back(&self, height: Height, pace: Pace<'_>) -> io::Result<()> {
        let file = File::open(self.file(height))?;
        // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call touches no memory of ours.
        let answer = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        match answer {
            0 => Checkpoint::check_digests(PacedReader::new(file, pace)),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// Bytes that must be free before the next one is written: it may be larger than the last, and leaves some.
    fn room_needed(&self) -> io::Result<u64> {
        let newest = self.newest_first().map_err(io::Error::other)?.first().copied();
        let last = newest.map_or(0, |height| self.bytes(height));
        Ok(last + last / 4 + ROOM_LEFT_BYTES)
    }

    /// Refuses to write where the journal would soon have no room.
    fn check_room(&self) -> io::Result<()> {
        let (room, needed) = (free_bytes(&self.path)?, self.room_needed()?);
        match room < needed {
            true => Err(io::Error::new(
                ErrorKind::StorageFull,
                format!("{room} bytes are free, and {needed} are needed with what is left to the journal"),
            )),
            false => Ok(()),
        }
    }

    /// Writes one, slowly; its bytes.
    fn write(&self, checkpoint: &Checkpoint, pace: Pace<'_>) -> io::Result<u64> {
        self.check_room()?;
        let unfinished = self.path.join(UNFINISHED);
        let paced = PacedWriter::new(File::create(&unfinished)?, pace);
        let written = checkpoint.write(self.of_validator(), paced).and_then(|paced| {
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
        self.name(&unfinished, checkpoint.height())?;
        Ok(bytes)
    }

    /// Gives a file that is whole and synced the name of the checkpoint of a height.
    fn name(&self, unfinished: &Path, height: Height) -> io::Result<()> {
        put_in_place(unfinished, &self.file(height))
    }
}

/// Keeps what is fetched of a state. When it is whole, the validator starts again.
fn fetch(fetching: &mut Fetching<'_>, work: StateWork, tell: &dyn Fn(Input), shared: &Shared) {
    let height = work.height();
    match fetching.take(work) {
        Ok(Outcome::Begun) => {}
        Ok(Outcome::Written(height, number)) => tell(Input::ChunkWritten(height, number)),
        Ok(Outcome::Whole(height)) => {
            tracing::info!(height = height.0, "a state is here: the validator starts again to go on from it");
            shared.starts_again.store(true, Relaxed);
        }
        Ok(Outcome::WithoutEvidence(height)) => tell(Input::EvidenceRefused(height)),
        Err(error) => {
            if let Some(unsupported) = error.downcast_ref().and_then(CheckpointError::unsupported) {
                fatal(format!("the state of height {height} is here, and cannot be used: {unsupported}"));
            }
            tracing::warn!(
                "the state of height {height} cannot be fetched ({error:#}): it is tried again later"
            );
            fetching.give_up();
            tell(Input::StateRefused(height));
        }
    }
}

/// A file whose reader is told of.
struct Told<'a> {
    file: File,
    read: u64,
    told: &'a mut dyn FnMut(u64),
}

impl io::Read for Told<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.read += count as u64;
        (self.told)(self.read);
        Ok(count)
    }
}

/// Where the journal begins. Where its first block cannot be read, its age is that of the oldest checkpoint.
fn base_mark(shared: &Shared, marks: &[CheckpointMark]) -> CheckpointMark {
    let base = shared.index.base();
    if let Some(mark) = marks.iter().find(|mark| mark.height == base) {
        return *mark;
    }
    let first = shared.reader().block(Height(base.0.max(1)));
    let oldest = marks.first().map_or(0, |mark| mark.time_ms);
    let time_ms = first.map_or(oldest, |(_, block)| block.header().time_ms);
    CheckpointMark { height: base, replay_from: shared.journal.released(), time_ms }
}

/// Whether bytes are not as they were written: trying again would give the same.
pub fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}

/// Whether a checkpoint is of no use, whatever the journal is.
pub fn is_unusable(error: &CheckpointError) -> bool {
    match error {
        CheckpointError::Unreadable(error) => is_damage(error),
        CheckpointError::Invalid(_)
        | CheckpointError::Epochs(_)
        | CheckpointError::Certificate
        | CheckpointError::Ledger(_) => true,
        CheckpointError::Journal(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_their_names_and_what_is_unfinished_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(UNFINISHED), "half").unwrap();
        let files = Directory::open(directory.path(), Digest::default(), [7; PUBLIC_KEY_BYTES]).unwrap();
        assert_eq!(files.newest_first().unwrap(), []);
        assert!(!directory.path().join(UNFINISHED).exists());
        for height in [7, 30, 812] {
            fs::write(files.file(Height(height)), "a checkpoint").unwrap();
        }
        assert_eq!(files.newest_first().unwrap(), [812, 30, 7].map(Height));
        assert_eq!(files.marks().unwrap(), [], "none of these can be read");
        assert!(files.read(Height(30), &mut |_| {}).is_err_and(|error| is_unusable(&error)));
        files.remove(Height(30));
        assert_eq!(files.newest_first().unwrap(), [812, 7].map(Height));
        assert!(
            !files.read(Height(30), &mut |_| {}).is_err_and(|error| is_unusable(&error)),
            "what is not there is not damaged"
        );
    }
}
