//! Files that results go to. They are opened before the work begins, so no result is lost at its end, and nothing is
//! overwritten that is not a result.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
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
    #[error("{}: cannot be written: {source}; name another file", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// It is there, and no earlier result.
    #[error("{}: this file is there and is not JSON, so it is not overwritten; name another file", .0.display())]
    Occupied(PathBuf),
    /// It is there.
    #[error("{}: this file is there and is not overwritten; name another file, or remove it", .0.display())]
    Exists(PathBuf),
}

impl Output {
    /// Opens a file for a result; `-` is standard output. An earlier result is replaced, and nothing else.
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
                let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
                let mut first = [0];
                let read = file.read(&mut first).map_err(failed)?;
                if read > 0 && first != *b"{" {
                    return Err(OutputError::Occupied(path.to_owned()));
                }
                (file, false)
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
                file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(line.as_bytes()))
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

/// Writes a new file.
///
/// # Errors
/// [`OutputError`]: also where there is one.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    File::create_new(path).and_then(|mut file| file.write_all(bytes)).map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => OutputError::Exists(path.to_owned()),
        _ => OutputError::Io { path: path.to_owned(), source },
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
        Output::open(&file).unwrap().write("{\"long\": true}").unwrap();
        drop(Output::open(&file).unwrap());
        Output::open(&file).unwrap().write("{}").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}\n");
        std::fs::write(&key, "-----BEGIN").unwrap();
        assert!(matches!(Output::open(&key), Err(OutputError::Occupied(_))));
        assert!(matches!(write_new(&key, b"proof"), Err(OutputError::Exists(_))));
        assert_eq!(std::fs::read_to_string(&key).unwrap(), "-----BEGIN");
        let nowhere = directory.path().join("no/such/result.json");
        assert!(matches!(Output::open(&nowhere), Err(OutputError::Io { .. })));
        assert!(matches!(write_new(&nowhere, b""), Err(OutputError::Io { .. })));
    }
}
