//! A state that is fetched from other validators: its file while it comes, and how a start goes on from it.
//!
//! ```text
//! core ── begin, chunks ──▶ checkpoints thread ──▶ fetched.new ── complete, checked, synced, renamed ──▶ fetched.state
//!                                                                  the validator starts again ◀──┘          │
//! journal: state record ◀── recovered what it had ◀─────────────────────────────────────────────────────────┘
//!          └─ durable ──▶ checkpoint of that height ── read back by the start ──▶ what stands before is released
//! ```

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;

use anyhow::Context as _;
use engine::limits::STATE_CHUNK_BYTES;
use engine::replica::{
    Boot, Checkpoint, CheckpointError, CheckpointMark, FetchedState, KIND_BOOT, Recovered, chunk_frame,
    chunk_position,
};
use engine::store::{Log, Position, remove_file};
use engine::sync::StateWork;
use engine::types::{Genesis, Height, Support};
use engine::wire::StateOffer;

use super::{ASIDE, Directory, PIECE_BYTES, ROOM_LEFT_BYTES, UNFINISHED};
use crate::disk::{free_bytes, put_in_place};
use crate::validator::ordering::Certificates;

/// The name of a state that is not whole yet.
pub(super) const COMING: &str = "fetched.new";
/// The name of a state that was fetched whole.
pub const WHOLE: &str = "fetched.state";

/// What the replica is told, and what becomes of the validator.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet.
    Begun,
    /// This chunk is written.
    Written(Height, u32),
    /// The state of this height is whole: the validator goes on from there when it starts again.
    Whole(Height),
    /// The state of this height is here, and the evidence that came with it does not hold.
    WithoutEvidence(Height),
}

/// The state that is coming.
pub struct Fetching<'a> {
    files: &'a Directory,
    genesis: &'a Genesis,
    coming: Option<(StateOffer, File)>,
}

impl<'a> Fetching<'a> {
    pub(super) fn new(files: &'a Directory, genesis: &'a Genesis) -> Self {
        Self { files, genesis, coming: None }
    }

    /// Does what the replica wants done.
    ///
    /// # Errors
    /// The disk is full or fails, or the state is none: it is to be fetched anew, or another one.
    pub(super) fn take(&mut self, work: StateWork) -> anyhow::Result<Outcome> {
        match work {
            StateWork::Begin(offer) => self.begin(offer).map(|()| Outcome::Begun),
            StateWork::Write { height, number, bytes } => {
                let (_, file) = self.of(height)?;
                file.write_all_at(&chunk_frame(number, &bytes), chunk_position(number))
                    .context("a chunk cannot be written")?;
                Ok(Outcome::Written(height, number))
            }
            StateWork::Complete { offer, evidence } => {
                let (_, file) = self.of(offer.height)?;
                let chunks = file.metadata()?.len();
                match self.complete(offer, &evidence, file) {
                    Ok(()) => {
                        self.coming = None;
                        Ok(Outcome::Whole(offer.height))
                    }
                    Err(error) if error.downcast_ref().is_some_and(CheckpointError::is_of_evidence) => {
                        tracing::warn!(
                            height = offer.height.0,
                            "{error:#}: another validator is asked for what shows that the state is the network's"
                        );
                        file.set_len(chunks).context("the evidence cannot be removed again")?;
                        Ok(Outcome::WithoutEvidence(offer.height))
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// What there is of a state is of no use, and takes room.
    pub(super) fn give_up(&mut self) {
        self.coming = None;
        let path = self.files.path.join(COMING);
        if path.exists()
            && let Err(error) = remove_file(&path)
        {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    }

    fn of(&self, height: Height) -> anyhow::Result<&(StateOffer, File)> {
        let coming = self.coming.as_ref().filter(|(offer, _)| offer.height == height);
        coming.with_context(|| format!("the state of height {height} is not being fetched"))
    }

    fn begin(&mut self, offer: StateOffer) -> anyhow::Result<()> {
        self.give_up();
        let path = self.files.path.join(COMING);
        // It is copied into a checkpoint of this validator.
        let needed = 2 * u64::from(offer.chunks) * STATE_CHUNK_BYTES as u64 + ROOM_LEFT_BYTES;
        let room = free_bytes(&self.files.path)?;
        anyhow::ensure!(
            room >= needed,
            "{room} bytes are free, and {needed} are needed: make room on the disk"
        );
        let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        tracing::info!(
            height = offer.height.0,
            mib = offer.chunks,
            "no validator keeps the blocks that this one needs: it fetches the state of a later height"
        );
        self.coming = Some((offer, file));
        Ok(())
    }

    fn complete(&self, offer: StateOffer, evidence: &[u8], file: &File) -> anyhow::Result<()> {
        let (coming, whole) = (self.files.path.join(COMING), self.files.path.join(WHOLE));
        let end = file.metadata()?.len();
        file.write_all_at(&FetchedState::tail(offer.chunks, evidence), end)?;
        file.sync_all().context("the state cannot be synced")?;
        let state = read(&coming, self.genesis)?;
        anyhow::ensure!(
            state.height() == offer.height,
            "it is the state of height {}, not of height {}",
            state.height(),
            offer.height
        );
        match check(&state, self.genesis) {
            // Nothing is wrong with it. A release that runs its rules goes on from it, without fetching it again.
            Err(error) if !is_unsupported(&error) => Err(error),
            checked => {
                put_in_place(&coming, &whole).context("the state cannot be renamed")?;
                checked
            }
        }
    }
}

fn read(path: &std::path::Path, genesis: &Genesis) -> anyhow::Result<FetchedState> {
    let file = BufReader::with_capacity(PIECE_BYTES, File::open(path)?);
    Ok(FetchedState::read(genesis.network(), file)?)
}

/// Whether it is a state that this network may have.
fn check(state: &FetchedState, genesis: &Genesis) -> anyhow::Result<()> {
    let certificates = Certificates::new(genesis).context("the genesis has an invalid key")?;
    let checked: Result<_, CheckpointError> = state.check((genesis, Support::OURS), &certificates);
    checked.map(drop).map_err(Into::into)
}

/// Whether it has rules that this program does not run.
fn is_unsupported(error: &anyhow::Error) -> bool {
    error.downcast_ref().and_then(CheckpointError::unsupported).is_some()
}

impl Directory {
    /// The state that was fetched whole, if it is above a height.
    ///
    /// # Errors
    /// It cannot be read now.
    pub fn fetched_above(&self, height: Height, genesis: &Genesis) -> anyhow::Result<Option<FetchedState>> {
        let path = self.path.join(WHOLE);
        let state = match read(&path, genesis) {
            Err(error)
                if error
                    .downcast_ref()
                    .is_some_and(|error: &io::Error| error.kind() == ErrorKind::NotFound) =>
            {
                return Ok(None);
            }
            other => other,
        };
        let state = state.and_then(|state| match check(&state, genesis) {
            Err(error) if !is_unsupported(&error) => Err(error),
            // A start says what it lacks.
            _ => Ok(state),
        });
        match state {
            Ok(state) if state.height() > height => Ok(Some(state)),
            // The blocks could be had after all.
            Ok(_) => {
                self.forget_fetched();
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(
                    "the state that was fetched cannot be used ({error:#}): {} is set aside, and another one is fetched",
                    path.display()
                );
                fs::rename(&path, path.with_extension(ASIDE))
                    .with_context(|| format!("cannot rename {}", path.display()))?;
                Ok(None)
            }
        }
    }

    /// Puts a fetched state into the journal, and writes the checkpoint from which the next start goes on. What the
    /// journal had before still counts until that is durable.
    ///
    /// # Errors
    /// The journal or the disk fails.
    pub fn adopt(&self, state: FetchedState, recovered: &Recovered, journal: &Log) -> anyhow::Result<()> {
        let (from, to) = (recovered.head.height.0, state.height().0);
        let (room, needed) =
            (free_bytes(&self.path)?, fs::metadata(self.path.join(WHOLE))?.len() + ROOM_LEFT_BYTES);
        anyhow::ensure!(
            room >= needed,
            "{room} bytes are free, and {needed} are needed: make room on the disk"
        );
        let before = journal.append(KIND_BOOT, &[&Boot::nothing_new(recovered.boots).encode()])?;
        journal.wait_durable(before)?;
        let mut last = before;
        let append = |kind, parts: &[&[u8]]| {
            last = journal.append(kind, parts)?;
            Ok(last)
        };
        let checkpoint = state.adopt(recovered, append)?;
        journal.wait_durable(last)?;
        self.write_at_once(&checkpoint).context("the checkpoint of a fetched state cannot be written")?;
        self.forget_fetched();
        tracing::info!(from, to, "going on from a state that was fetched: no block up to there is kept here");
        Ok(())
    }

    /// What stands before the state with which the journal goes on is of no use, nor are the checkpoints before it.
    ///
    /// # Errors
    /// The checkpoints cannot be read now.
    pub fn release_before(&self, base: Height, journal: &Log) -> anyhow::Result<()> {
        let begins = |marks: Vec<CheckpointMark>| -> Option<Position> {
            marks.iter().find(|mark| mark.height == base).map(|mark| mark.replay_from)
        };
        if let Some(begins) = begins(self.marks()?).filter(|begins| *begins > journal.released()) {
            journal.release(begins);
            self.remove_released(begins)?;
        }
        Ok(())
    }

    fn forget_fetched(&self) {
        let path = self.path.join(WHOLE);
        if let Err(error) = remove_file(&path) {
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    }

    fn write_at_once(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let unfinished = self.path.join(UNFINISHED);
        let file = BufWriter::with_capacity(PIECE_BYTES, File::create(&unfinished)?);
        let mut file = checkpoint.write(self.of_validator(), file)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        self.name(&unfinished, checkpoint.height())
    }
}
