//! Files that results go to. Those of long runs are opened before the work begins, so no result is lost at its end, and
//! nothing is overwritten that is not an earlier result.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Where a result in JSON goes.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    /// Standard output if there is none.
    file: Option<File>,
    /// Whether there was nothing before: then nothing is left behind if there is no result.
    is_new: bool,
}

/// Why a file cannot take a result.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// It cannot be opened.
    #[error("{}: cannot be written, name another file: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// It is there, and no earlier result.
    #[error("{}: this file is there and holds no result, so it is not overwritten; name another file", .0.display())]
    Occupied(PathBuf),
    /// It is there.
    #[error("{}: this file is there and is not overwritten; name another file, or remove it", .0.display())]
    Exists(PathBuf),
}

impl Output {
    /// Opens a file for a result; `-` is standard output. Of regular files that are there only an earlier result is
    /// replaced, the report of a run or of an audit, and an empty one: `mktemp` makes such, and a run that was stopped
    /// before its result leaves one. Devices and pipes are written to.
    ///
    /// # Errors
    /// [`OutputError`].
    pub(crate) fn open(path: &Path) -> Result<Self, OutputError> {
        let failed = |source| OutputError::Io { path: path.to_owned(), source };
        if path == Path::new("-") {
            return Ok(Self { path: path.to_owned(), file: None, is_new: false });
        }
        let (file, is_new) = match File::create_new(path) {
            Ok(file) => (file, true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if std::fs::metadata(path).map_err(failed)?.is_file() && !is_result(path).map_err(failed)? {
                    return Err(OutputError::Occupied(path.to_owned()));
                }
                (OpenOptions::new().write(true).open(path).map_err(failed)?, false)
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { path: path.to_owned(), file: Some(file), is_new })
    }

    /// Writes the result.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(mut self, text: &str) -> Result<()> {
        let line = format!("{}\n", text.trim_end());
        let written = match &mut self.file {
            None => io::stdout().write_all(line.as_bytes()),
            Some(file) => {
                let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
                let emptied = if is_file { file.set_len(0) } else { Ok(()) };
                emptied.and_then(|()| file.write_all(line.as_bytes()))
            }
        };
        written.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.is_new = false;
        Ok(())
    }

    /// Whether the result goes to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        self.file.is_none()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_new {
            // It is empty; that it stays harms nobody.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether a file holds what such a file gets, the report of a run or of an audit; or nothing, which nobody loses.
/// A field that each kind of result has, beside its `schema`.
const RESULTS: [&str; 4] = ["committed", "ratios", "medians", "points"];

fn is_result(path: &Path) -> io::Result<bool> {
    let bytes = std::fs::read(path)?;
    let value: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    let has = |field: &str| value.as_ref().is_some_and(|value| value.get(field).is_some());
    Ok(bytes.is_empty()
        || (has("schema") && RESULTS.into_iter().any(has))
        || (has("directory") && has("state_root")))
}

/// Writes a new file, whole or not at all.
///
/// # Errors
/// [`OutputError`]: also where there is one.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    let failed = |source: io::Error| match source.kind() {
        ErrorKind::AlreadyExists => OutputError::Exists(path.to_owned()),
        _ => OutputError::Io { path: path.to_owned(), source },
    };
    let mut file = File::create_new(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| {
        // A part of it would only be in the way of the next attempt.
        let _ = std::fs::remove_file(path);
        failed(source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_earlier_result_is_overwritten_and_without_a_result_nothing_changes() {
        let directory = tempfile::tempdir().unwrap();
        let (file, key) = (directory.path().join("result.json"), directory.path().join("key.pem"));
        drop(Output::open(&file).unwrap());
        assert!(!file.exists(), "nothing is left where there is no result");
        let results = [r#"{"schema": 1, "committed": 1000}"#, r#"{"directory": "d", "state_root": ""}"#];
        for result in results {
            Output::open(&file).unwrap().write(result).unwrap();
            drop(Output::open(&file).unwrap());
            assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{result}\n"));
        }
        std::fs::write(&file, "").unwrap();
        Output::open(&file).unwrap().write(results[0]).unwrap();
        assert!(std::fs::read_to_string(&file).unwrap().contains("1000"), "an empty file takes a result");
        for other in ["-----BEGIN", r#"{"millrace_transaction": 1}"#, "{}"] {
            std::fs::write(&key, other).unwrap();
            assert!(matches!(Output::open(&key), Err(OutputError::Occupied(_))), "{other}");
            assert!(matches!(write_new(&key, b"proof"), Err(OutputError::Exists(_))));
            assert_eq!(std::fs::read_to_string(&key).unwrap(), other);
        }
        Output::open(Path::new("/dev/null")).unwrap().write("{}").unwrap();
        let nowhere = directory.path().join("no/such/result.json");
        assert!(matches!(Output::open(&nowhere), Err(OutputError::Io { .. })));
        assert!(matches!(write_new(&nowhere, b""), Err(OutputError::Io { .. })));
    }
}
