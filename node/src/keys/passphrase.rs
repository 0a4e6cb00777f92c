//! Where a passphrase comes from, and that its memory is wiped.

use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::KeyError;
use crate::cli::PassphraseArgs;
use crate::config::Readers;

/// The longest passphrase, in bytes. OpenSSL reads at most 1,023 from a file.
pub const BYTES_MAX: usize = 1_023;

/// A passphrase as it is used: bytes, most often UTF-8.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// A passphrase of 1 to [`BYTES_MAX`] bytes; `from` says where it is, for the message.
    ///
    /// # Errors
    /// [`KeyError::Length`].
    pub fn new(bytes: Zeroizing<Vec<u8>>, from: &str) -> Result<Self, KeyError> {
        match bytes.len() {
            1..=BYTES_MAX => Ok(Self(bytes)),
            length => Err(KeyError::Length { from: from.to_owned(), bytes: length }),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// Where to look for a passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// The terminal, if there is one.
    Terminal,
}

impl Source {
    /// What was typed.
    #[must_use]
    pub fn of(args: &PassphraseArgs) -> Self {
        match (&args.passphrase_file, &args.passphrase_env) {
            (Some(file), _) => Self::File(file.clone()),
            (None, Some(name)) => Self::Variable(name.clone()),
            (None, None) => Self::Terminal,
        }
    }

    /// The passphrase of a key file that exists.
    ///
    /// # Errors
    /// [`KeyError`]: it is not there, is empty or too long, or its file can be read by others.
    pub fn passphrase(&self, key_file: &Path) -> Result<Passphrase, KeyError> {
        match self {
            Self::File(file) => from_file(file),
            Self::Variable(name) => {
                let value = std::env::var_os(name).ok_or_else(|| KeyError::NoVariable(name.clone()))?;
                Passphrase::new(Zeroizing::new(OsString::into_vec(value)), &format!("in {name}"))
            }
            Self::Terminal => ask(key_file, &format!("passphrase of {}: ", key_file.display())),
        }
    }

    /// The passphrase for a key file that is to be made. A person types it twice.
    ///
    /// # Errors
    /// As [`Self::passphrase`]; [`KeyError::Differ`].
    pub fn new_passphrase(&self, key_file: &Path) -> Result<Passphrase, KeyError> {
        let first = self.passphrase(key_file)?;
        if *self == Self::Terminal && *first.0 != *ask(key_file, "the same once more: ")?.0 {
            return Err(KeyError::Differ);
        }
        Ok(first)
    }
}

/// Asks the person at the terminal. Without one, nothing waits: a script must not hang.
fn ask(key_file: &Path, prompt: &str) -> Result<Passphrase, KeyError> {
    if !std::io::stdin().is_terminal() {
        return Err(KeyError::NoPassphrase(key_file.to_owned()));
    }
    let typed = rpassword::prompt_password(prompt).map_err(KeyError::Terminal)?;
    Passphrase::new(Zeroizing::new(typed.into_bytes()), "that was typed")
}

/// The first line of a file, without its end. A pipe has no readers but its own, so only a file's mode is looked at.
fn from_file(file: &Path) -> Result<Passphrase, KeyError> {
    let io = |source| KeyError::Io { file: file.to_owned(), source };
    let opened = File::open(file).map_err(io)?;
    refuse_exposed(&opened, file)?;
    // One allocation, so that no copy of the text stays behind. Two bytes more: the end of the line, in either form.
    let mut text = Zeroizing::new(Vec::with_capacity(2 * BYTES_MAX));
    opened.take(BYTES_MAX as u64 + 2).read_to_end(&mut text).map_err(io)?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Passphrase::new(Zeroizing::new(line.to_vec()), &format!("in {}", file.display()))
}

/// Refuses a secret that other users of the machine can read.
pub(super) fn refuse_exposed(opened: &File, file: &Path) -> Result<(), KeyError> {
    let metadata = opened.metadata().map_err(|source| KeyError::Io { file: file.to_owned(), source })?;
    match Readers::Owner.exposed(&metadata).filter(|_| metadata.is_file()) {
        Some(mode) => Err(KeyError::Exposed { file: file.to_owned(), mode }),
        None => Ok(()),
    }
}
