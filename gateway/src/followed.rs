//! A file of the gateway that others change while it runs: read again when it has changed, and looked at once a second.
//! A file that others can read or change, or that cannot be read, says nothing.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::tokens::TokenError;

/// How often it is looked whether the file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// How the text of a file becomes what it says.
type Load<T> = fn(&Path) -> Result<T, TokenError>;

/// What a file says, as it is now.
#[derive(Debug)]
pub struct Followed<T> {
    file: PathBuf,
    load: Load<T>,
    state: Mutex<State<T>>,
}

#[derive(Debug, Default)]
struct State<T> {
    /// When it was looked last, on a clock that only goes forward.
    looked: Option<Duration>,
    /// What the file was like then: its number, length and time of change.
    seen: Option<(u64, u64, i64, i64)>,
    says: T,
}

impl<T: Default> Followed<T> {
    /// Follows a file.
    ///
    /// # Errors
    /// [`TokenError`]: it cannot be used.
    pub fn open(file: &Path, load: Load<T>) -> Result<Self, TokenError> {
        load(file)?;
        Ok(Self { file: file.to_owned(), load, state: Mutex::default() })
    }

    /// What it says at `now`, a clock that only goes forward.
    pub fn says<R>(&self, now: Duration, read: impl FnOnce(&T) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.is_none_or(|looked| now >= looked + LOOK_EVERY) {
            state.looked = Some(now);
            self.look(&mut state);
        }
        read(&state.says)
    }

    fn look(&self, state: &mut State<T>) {
        let seen = fs::metadata(&self.file).ok().map(|of| (of.ino(), of.len(), of.mtime(), of.mtime_nsec()));
        if seen.is_some() && seen == state.seen {
            return;
        }
        state.seen = seen;
        state.says = (self.load)(&self.file).unwrap_or_else(|error| {
            tracing::error!("nobody is let in by this until it is mended: {error}");
            T::default()
        });
    }
}

/// The text of a file that is for its owner alone; none if there is no file.
///
/// # Errors
/// [`TokenError::Io`], [`TokenError::Mode`]; [`TokenError::Content`]: it is too long.
pub fn private_text(file: &Path) -> Result<Option<String>, TokenError> {
    let io = |source| TokenError::Io { file: file.to_owned(), source };
    let metadata = match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(io)?,
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenError::Mode { file: file.to_owned(), mode });
    }
    if metadata.len() > FILE_BYTES_MAX {
        let problem = format!("it is longer than {FILE_BYTES_MAX} bytes");
        return Err(TokenError::Content { file: file.to_owned(), what: "one of ours", problem });
    }
    fs::read_to_string(file).map(Some).map_err(io)
}
