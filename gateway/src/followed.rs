//! A file of the gateway that others change while it runs: read again when it has changed, and looked at once a second.
//! While others can read or change a file, or it cannot be read, everybody in it is refused. The log says what is wrong
//! with the file; once that is mended, the file counts again within a second.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::tokens::TokenError;

/// How often it is looked whether the file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// After this time an error that is still the same is said again.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// What the text of a file says; there is none if there is no file.
type Parse<T> = fn(&Path, Option<&str>) -> Result<T, TokenError>;

/// What a file says, as it is now.
#[derive(Debug)]
pub struct Followed<T> {
    file: PathBuf,
    parse: Parse<T>,
    state: Mutex<State<T>>,
}

#[derive(Debug, Default)]
struct State<T> {
    /// When it was looked last, on a clock that only goes forward.
    looked: Option<Duration>,
    /// What the file was like when it was read; none if it could not be used, so that it is read again.
    seen: Option<Seen>,
    /// The last error, and when it was said.
    said: Option<(Duration, String)>,
    says: T,
}

/// What a file is like: as long as this is the same, so is what it says, and who may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    place: (u64, u64),
    length: u64,
    mode: u32,
    modified: (i64, i64),
    /// Also changed by `chmod`, and by one who sets the time of change back.
    changed: (i64, i64),
}

impl Seen {
    fn of(metadata: &Metadata) -> Self {
        Self {
            place: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            mode: metadata.mode(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl<T: Default> Followed<T> {
    /// Follows a file.
    ///
    /// # Errors
    /// [`TokenError`]: it cannot be used.
    pub fn open(file: &Path, parse: Parse<T>) -> Result<Self, TokenError> {
        parse(file, private_text(file)?.as_deref())?;
        Ok(Self { file: file.to_owned(), parse, state: Mutex::default() })
    }

    /// What it says at `now`, a clock that only goes forward.
    pub fn says<R>(&self, now: Duration, read: impl FnOnce(&T) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.is_none_or(|looked| now >= looked + LOOK_EVERY) {
            state.looked = Some(now);
            self.look(&mut state, now);
        }
        read(&state.says)
    }

    fn look(&self, state: &mut State<T>, now: Duration) {
        match self.changed(state.seen) {
            Ok(None) => {}
            Ok(Some((seen, says))) => (state.seen, state.said, state.says) = (seen, None, says),
            Err(error) => {
                (state.seen, state.says) = (None, T::default());
                let words = error.to_string();
                let is_said = |(when, last): &(Duration, String)| *last == words && now < *when + SAY_AGAIN;
                if !state.said.as_ref().is_some_and(is_said) {
                    tracing::error!(
                        "everybody in this file is refused: mend the file, and it is read again within a second: {words}"
                    );
                    state.said = Some((now, words));
                }
            }
        }
    }

    /// What the file says, if it is not as it was seen.
    fn changed(&self, before: Option<Seen>) -> Result<Option<(Option<Seen>, T)>, TokenError> {
        let Some(opened) = opened(&self.file)? else {
            return (self.parse)(&self.file, None).map(|says| Some((None, says)));
        };
        let seen = Some(Seen::of(&opened.1));
        if seen == before {
            return Ok(None);
        }
        let text = text_of(&self.file, opened)?;
        (self.parse)(&self.file, Some(&text)).map(|says| Some((seen, says)))
    }
}

/// The text of a file that is for its owner alone; none if there is no file.
///
/// # Errors
/// [`TokenError::Io`], [`TokenError::Mode`]; [`TokenError::Content`]: it is too long.
pub fn private_text(file: &Path) -> Result<Option<String>, TokenError> {
    opened(file)?.map(|opened| text_of(file, opened)).transpose()
}

/// A file, and what that file is like: what is judged is what is read, though another one takes its place meanwhile.
fn opened(file: &Path) -> Result<Option<(File, Metadata)>, TokenError> {
    let io = |source| TokenError::Io { file: file.to_owned(), source };
    let opened = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io)?,
    };
    let metadata = opened.metadata().map_err(io)?;
    Ok(Some((opened, metadata)))
}

fn text_of(file: &Path, (opened, metadata): (File, Metadata)) -> Result<String, TokenError> {
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenError::Mode { file: file.to_owned(), mode });
    }
    let mut text = String::new();
    let read = opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|source| TokenError::Io { file: file.to_owned(), source })?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let problem = format!("it is longer than {FILE_BYTES_MAX} bytes");
        return Err(TokenError::Content { file: file.to_owned(), what: "one of ours", problem });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use super::*;

    fn says(followed: &Followed<String>, second: u64) -> String {
        followed.says(Duration::from_secs(second), String::clone)
    }

    fn place(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        (directory, file)
    }

    #[test]
    fn an_error_that_passes_leaves_nothing_behind() {
        static FAILS: AtomicBool = AtomicBool::new(false);
        fn parse(file: &Path, text: Option<&str>) -> Result<String, TokenError> {
            match FAILS.load(SeqCst) {
                true => Err(TokenError::Io { file: file.to_owned(), source: io::ErrorKind::Other.into() }),
                false => Ok(text.unwrap_or("none").to_owned()),
            }
        }
        let (_directory, file) = place("one");
        let followed = Followed::open(&file, parse).unwrap();
        FAILS.store(true, SeqCst);
        assert_eq!(says(&followed, 0), "", "what cannot be read lets nobody in");
        FAILS.store(false, SeqCst);
        // Nobody has touched the file.
        assert_eq!(says(&followed, 1), "one");
        fs::remove_file(&file).unwrap();
        assert_eq!(says(&followed, 2), "none");
    }

    #[test]
    fn who_may_read_the_file_counts_as_well_as_what_it_says() {
        fn parse(_: &Path, text: Option<&str>) -> Result<String, TokenError> {
            Ok(text.unwrap_or("none").to_owned())
        }
        let (_directory, file) = place("one");
        let followed = Followed::open(&file, parse).unwrap();
        assert_eq!(says(&followed, 0), "one");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(says(&followed, 1), "", "others can read it now");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(says(&followed, 2), "one", "chmod mends it");
        fs::write(&file, vec![b'x'; FILE_BYTES_MAX as usize + 1]).unwrap();
        assert_eq!(says(&followed, 3), "", "it is too long");
        assert!(matches!(private_text(&file), Err(TokenError::Content { .. })));
    }
}
