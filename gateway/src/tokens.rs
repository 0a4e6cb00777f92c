//! Tokens: who may do what. A token is 256 bits of chance, shown once; the file has its SHA-256, a scope and an end.
//!
//! ```text
//! millrace token new ─▶ token (printed once)     tokens.toml (mode 0600): name, hash, scopes, expires
//! Authorization: Bearer mr_… ── SHA-256 ─▶ looked up in the file, which is read again when it has changed
//! ```
//!
//! A token is looked up by its hash, so the time that this takes says nothing of a token that is not in the file. While
//! others can read the file, or it cannot be read, every token is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kernels::sha2::sha256;
use serde::{Deserialize, Serialize};

use crate::followed::{Followed, private_text};

/// What a token begins with, so that a leaked one is recognised.
pub const PREFIX: &str = "mr_";
/// The only version of the file so far.
const VERSION: u32 = 1;
/// What the file is called in messages.
const WHAT: &str = "a file of tokens";

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Ask.
    Read,
    /// Submit transactions.
    Submit,
    /// Read the metrics.
    Metrics,
    /// Administer, at the listener for that alone.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Submit, Self::Metrics, Self::Admin];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.word() == text);
        found.ok_or_else(|| "write read, submit, metrics or admin".to_owned())
    }
}

/// Scopes, as a set of bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether it has one.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().fold(0, |all, scope| all | 1 << scope as u8))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> =
            Scope::ALL.into_iter().filter(|scope| self.has(*scope)).map(Scope::word).collect();
        f.pad(&if words.is_empty() { "nothing".to_owned() } else { words.join(", ") })
    }
}

/// A token in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// A name for people, once in the file.
    pub name: String,
    /// SHA-256 of the token, 64 hexadecimal digits.
    #[serde(with = "hex")]
    pub hash: [u8; 32],
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it ends, in seconds since the Unix epoch.
    pub expires: u64,
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenFile {
    millrace_tokens: u32,
    /// The tokens.
    #[serde(default, rename = "token")]
    pub tokens: Vec<Listed>,
}

/// Why a file of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The operating system refused.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// Others could read or change it.
    #[error("{}: its mode is {mode:04o}, so others can read or change it: chmod 600 it", file.display())]
    Mode {
        /// The file.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is something else, or damaged.
    #[error("{}: not {what}: {problem}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What it should be.
        what: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The name is taken.
    #[error("{}: there is a token {name:?} already; revoke it first, or take another name", file.display())]
    Taken {
        /// The file.
        file: PathBuf,
        /// The name.
        name: String,
    },
    /// There is no such token.
    #[error("{}: there is no token {name:?}; `millrace token list` shows them", file.display())]
    Unknown {
        /// The file.
        file: PathBuf,
        /// The name.
        name: String,
    },
}

fn beside(file: &Path, what: &str) -> PathBuf {
    let mut name = file.to_owned().into_os_string();
    name.push(format!(".{what}"));
    PathBuf::from(name)
}

/// Makes it durable that a file is in its directory under its name.
pub(crate) fn sync_directory(file: &Path) -> io::Result<()> {
    let directory = file.parent().filter(|of| !of.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(directory)?.sync_all()
}

impl TokenFile {
    /// Reads a file; one that is not there has no tokens.
    ///
    /// # Errors
    /// [`TokenError`]: it cannot be read, others can read it, or it is something else.
    pub fn load(file: &Path) -> Result<Self, TokenError> {
        Self::parse(file, private_text(file)?.as_deref())
    }

    fn parse(file: &Path, text: Option<&str>) -> Result<Self, TokenError> {
        let wrong = |problem: String| TokenError::Content { file: file.to_owned(), what: WHAT, problem };
        let Some(text) = text else {
            return Ok(Self { millrace_tokens: VERSION, tokens: Vec::new() });
        };
        let read: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        match read.millrace_tokens {
            VERSION => Ok(read),
            other => Err(wrong(format!("it has version {other}, and this program reads version {VERSION}"))),
        }
    }

    /// Reads the file, changes it and writes it. Nobody else changes it meanwhile, in this process or in another one: a
    /// revocation must not be undone by somebody who has read the file before it.
    ///
    /// # Errors
    /// [`TokenError`]: it cannot be read or written, or what `change` says; then it is as it was.
    pub fn change<R>(
        file: &Path,
        change: impl FnOnce(&mut Self) -> Result<R, TokenError>,
    ) -> Result<R, TokenError> {
        // On file systems over the network a lock belongs to a process, so this one needs one of its own.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _ours = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let io = |source| TokenError::Io { file: file.to_owned(), source };
        // A file beside it: the file itself is replaced.
        let mut options = fs::OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(beside(file, "lock"));
        let lock = lock.map_err(io)?;
        lock.lock().map_err(io)?;
        let mut read = Self::load(file)?;
        let made = change(&mut read)?;
        read.save(file).map_err(io)?;
        Ok(made)
    }

    /// Writes the file: the old one is there, or this one.
    fn save(&self, file: &Path) -> io::Result<()> {
        let text = toml::to_string(self).expect("text, numbers and lists have a TOML form");
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(|error| io::Error::other(error.to_string()))?;
        let new = beside(file, &format!("{}.new", hex::encode(name)));
        let mut opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let written = io::Write::write_all(&mut opened, text.as_bytes()).and_then(|()| opened.sync_all());
        if let Err(error) = written.and_then(|()| fs::rename(&new, file)) {
            // What went wrong is said; a file that is left behind harms nobody.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        sync_directory(file)
    }

    /// Adds a token and says what it is: nothing else ever does.
    ///
    /// # Errors
    /// [`TokenError::Taken`]; [`TokenError::Io`]: the operating system gives no randomness.
    pub fn add(
        &mut self,
        file: &Path,
        name: &str,
        scopes: &[Scope],
        expires: u64,
    ) -> Result<String, TokenError> {
        if self.tokens.iter().any(|listed| listed.name == name) {
            return Err(TokenError::Taken { file: file.to_owned(), name: name.to_owned() });
        }
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| TokenError::Io {
            file: file.to_owned(),
            source: io::Error::other(error.to_string()),
        })?;
        let token = format!("{PREFIX}{}", hex::encode(secret));
        let (hash, scopes) = (sha256(token.as_bytes()), scopes.to_vec());
        self.tokens.push(Listed { name: name.to_owned(), hash, scopes, expires });
        Ok(token)
    }

    /// Takes a token out of the file.
    ///
    /// # Errors
    /// [`TokenError::Unknown`].
    pub fn revoke(&mut self, file: &Path, name: &str) -> Result<(), TokenError> {
        let before = self.tokens.len();
        self.tokens.retain(|listed| listed.name != name);
        match self.tokens.len() < before {
            true => Ok(()),
            false => Err(TokenError::Unknown { file: file.to_owned(), name: name.to_owned() }),
        }
    }
}

/// A token that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// When it ends, in seconds since the Unix epoch.
    pub expires: u64,
}

/// The tokens of a file, as it is now.
#[derive(Debug)]
pub struct Tokens(Followed<BTreeMap<[u8; 32], Bearer>>);

fn by_hash(file: &Path, text: Option<&str>) -> Result<BTreeMap<[u8; 32], Bearer>, TokenError> {
    let bearer = |Listed { name, hash, scopes, expires }| {
        (hash, Bearer { name, scopes: scopes.into_iter().collect(), expires })
    };
    Ok(TokenFile::parse(file, text)?.tokens.into_iter().map(bearer).collect())
}

impl Tokens {
    /// The tokens of a file.
    ///
    /// # Errors
    /// [`TokenError`]: it cannot be used.
    pub fn open(file: &Path) -> Result<Self, TokenError> {
        Followed::open(file, by_hash).map(Self)
    }

    /// The token with this SHA-256, if it is in the file and has not ended. `now` is a clock that only goes forward,
    /// `unix` the time in seconds since the Unix epoch.
    pub fn find_hash(&self, hash: &[u8; 32], now: Duration, unix: u64) -> Option<Bearer> {
        self.0.says(now, |by_hash| by_hash.get(hash).filter(|bearer| unix < bearer.expires).cloned())
    }
}

#[cfg(test)]
mod tests;
