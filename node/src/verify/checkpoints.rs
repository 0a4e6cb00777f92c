//! The checkpoints of a data directory, each with what is wrong with it.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::{fmt, iter};

use engine::audit::AuditReport;
use engine::replica::{Checkpoint, CheckpointMark, FetchedState, ValidatorId};
use engine::store::{Lock, Log, Position};
use engine::types::{Digest, Height};
use serde::Serialize;

use crate::archive::ArchivedFile;
use crate::cli::grouped;
use crate::validator::checkpoints::{ASIDE, WHOLE};

/// An audit, with the checkpoints of the directory and the files of the archive.
#[derive(Debug, Serialize)]
pub struct Audit<'a> {
    /// The audit.
    #[serde(flatten)]
    pub report: &'a AuditReport,
    /// The checkpoints.
    pub checkpoints: &'a [CheckpointFile],
    /// The files of the archive, if one was audited.
    pub archive: Option<&'a [ArchivedFile]>,
}

/// A file in the directory of checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckpointFile {
    /// The file.
    pub file: PathBuf,
    /// The height that its name says.
    pub height: Option<Height>,
    /// Whether a start set it aside.
    pub set_aside: bool,
    /// What can be done with it.
    #[serde(flatten)]
    pub state: State,
}

/// What can be done with a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// Whether a start can use it, as far as the file itself and its place in the journal tell.
    pub usable: bool,
    /// What is wrong with it.
    pub wrong: Option<String>,
}

impl State {
    const USABLE: Self = Self { usable: true, wrong: None };

    fn unusable(wrong: impl Into<String>) -> Self {
        Self { usable: false, wrong: Some(wrong.into()) }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wrong {
            None => f.write_str("whole"),
            Some(wrong) if self.usable => write!(f, "whole, but {wrong}"),
            Some(wrong) => write!(f, "cannot be used: {wrong}"),
        }
    }
}

/// Whose journal stands beside the checkpoints, and where it begins.
struct Journal<'a> {
    network: &'a Digest,
    /// None where that cannot be read; the audit says why.
    of: Option<([u8; 32], Position)>,
}

impl CheckpointFile {
    /// All of a data directory, by their names. Every byte of each is read.
    #[must_use]
    pub fn list(data: &Path, network: &Digest) -> Vec<Self> {
        let opened = Log::inspect(&data.join("journal"), Lock::Shared);
        let of = opened.ok().map(|(identity, replay)| (identity.owner.validator, replay.released()));
        let journal = Journal { network, of };
        let directory = data.join("checkpoints");
        let read = |error| {
            let state = State::unusable(format!("the directory cannot be read: {error}"));
            Self { file: directory.clone(), height: None, set_aside: false, state }
        };
        let mut files = match fs::read_dir(&directory).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries.into_iter().map(|entry| journal.describe(entry.path())).collect(),
            // One that has none yet.
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => iter::once(read(error)).collect(),
        };
        files.sort_by(|a: &Self, b| a.file.cmp(&b.file));
        files
    }

    /// What it is, in front of its state.
    pub(super) fn label(&self) -> String {
        match self.height {
            Some(height) if self.set_aside => format!("set aside, of height {}", grouped(height.0)),
            Some(height) => format!("checkpoint of height {}", grouped(height.0)),
            None => self.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }
}

impl Journal<'_> {
    fn describe(&self, file: PathBuf) -> CheckpointFile {
        let extension = file.extension().unwrap_or_default();
        let set_aside = extension == ASIDE;
        let number = file.file_stem().and_then(|stem| stem.to_str()).filter(|stem| stem.len() == 16);
        let number = number.filter(|_| set_aside || extension == "checkpoint");
        let height = number.and_then(|number| number.parse().ok()).map(Height);
        let state = match height {
            Some(height) => {
                let state = self.state(&file, height).unwrap_or_else(|error| State::unusable(words(&error)));
                match (set_aside, &state.wrong) {
                    (true, None) => State::unusable("its name says so, and nothing else"),
                    _ => state,
                }
            }
            None if file.ends_with(WHOLE) => self.fetched(&file),
            None if file.file_stem() == Path::new(WHOLE).file_stem() && set_aside => {
                State::unusable("a start set it aside; it can be deleted")
            }
            None if extension == "new" => State::unusable("it was not finished"),
            None => State::unusable("it is not named as a checkpoint is"),
        };
        CheckpointFile { file, height, set_aside, state }
    }

    /// A state that was fetched from others.
    fn fetched(&self, file: &Path) -> State {
        let read =
            File::open(file).map(BufReader::new).and_then(|file| FetchedState::read(self.network, file));
        match read {
            Ok(_) => State { usable: true, wrong: Some("only the next start goes on from it".into()) },
            Err(error) => State::unusable(words(&error)),
        }
    }

    fn state(&self, file: &Path, height: Height) -> io::Result<State> {
        let open = || File::open(file).map(BufReader::new);
        Checkpoint::check_digests(open()?)?;
        let Some((validator, first)) = &self.of else {
            return Ok(State { usable: true, wrong: Some("whose the journal is cannot be read".into()) });
        };
        let mark = CheckpointMark::read(ValidatorId { network: self.network, validator }, open()?)?;
        Ok(match mark {
            mark if mark.height != height => {
                State::unusable(format!("its name is that of another height than {}", mark.height))
            }
            mark if mark.replay_from < *first => State::unusable("the journal no longer has what follows it"),
            _ => State::USABLE,
        })
    }
}

/// Why a file cannot be read.
fn words(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "it ends too early".into(),
        ErrorKind::InvalidData if error.to_string().starts_with("it is of another") => error.to_string(),
        ErrorKind::InvalidData => format!("it is damaged: {error}"),
        _ => error.to_string(),
    }
}
