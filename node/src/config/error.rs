//! What can be wrong with a configuration, said so that the reader knows which file to open, which field to
//! look at, and what to write there.

use std::path::PathBuf;

use crate::cli::quoted;

/// A configuration that cannot be used. Every variant names the file; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read at all.
    #[error("{}: cannot read this file: {source}", file.display())]
    Unreadable {
        /// The file that was asked for.
        file: PathBuf,
        /// What the operating system answered.
        source: std::io::Error,
    },
    /// A directory, where one of its files is meant.
    #[error("{}: this is a directory; name the file: {}", file.display(), quoted(name))]
    Directory {
        /// The directory.
        file: PathBuf,
        /// The file that is probably meant.
        name: PathBuf,
    },
    /// The file is not TOML.
    #[error("{}: this is not valid TOML:\n{message}", file.display())]
    Syntax {
        /// The file with the mistake.
        file: PathBuf,
        /// The parser's own words, with line and column.
        message: String,
    },
    /// A field without which a validator cannot start.
    #[error("{}: the field `{field}` is missing; write {help}{}", file.display(), slip(misspelt.as_deref()))]
    Missing {
        /// The incomplete file.
        file: PathBuf,
        /// The field, with its section: `validator.index`.
        field: String,
        /// What belongs there.
        help: &'static str,
        /// A field of the same section that is much like it and that nobody reads.
        misspelt: Option<String>,
    },
    /// A field nobody reads: most often a misspelt one.
    #[error(
        "{}: the field `{field}` is unknown here{}; known are: {}",
        file.display(), meant(nearest.as_deref()), known.join(", ")
    )]
    Unknown {
        /// The file with the field.
        file: PathBuf,
        /// The field, with its section.
        field: String,
        /// The fields this section does have.
        known: Vec<String>,
        /// The one of them that is much like it.
        nearest: Option<String>,
    },
    /// A field with a value that cannot be meant.
    #[error("{}: the field `{field}` is {found}; write {help}", file.display())]
    Invalid {
        /// The file with the value.
        file: PathBuf,
        /// The field, with its section.
        field: String,
        /// The value as found.
        found: String,
        /// What belongs there.
        help: &'static str,
    },
    /// Two places that must agree and do not.
    #[error(transparent)]
    Contradiction(#[from] Box<Contradiction>),
    /// A secret that other users of the machine can read.
    #[error(
        "{}: this secret key can be read by others (mode {mode:04o}); run: chmod 600 {}{}",
        file.display(), quoted(file), on_request(*mode)
    )]
    Exposed {
        /// The key file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A binary or key file whose content is not what it must be.
    #[error("{}: {problem}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
}

fn slip(misspelt: Option<&str>) -> String {
    misspelt
        .map(|field| format!(". Is `{field}`, which is unknown there, a slip for it?"))
        .unwrap_or_default()
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(" (did you mean `{nearest}`?)")).unwrap_or_default()
}

/// Two places that must agree and do not.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: the field `{field}` says {says}, but {} says {other_says} in `{other_field}`: {help}",
    file.display(), other_file.display()
)]
pub struct Contradiction {
    /// The file with the first statement.
    pub file: PathBuf,
    /// The field of the first statement.
    pub field: String,
    /// What it says.
    pub says: String,
    /// The file with the second statement.
    pub other_file: PathBuf,
    /// The field of the second statement.
    pub other_field: String,
    /// What that one says.
    pub other_says: String,
    /// How to make them agree.
    pub help: &'static str,
}

/// What else can be done where only the group of a secret can read it.
fn on_request(mode: u32) -> &'static str {
    match mode & 0o037 {
        0 => {
            "; or, if it is a validator's key and its group is meant to read it, write group_may_read = true into the \
             section [identity] of its configuration"
        }
        _ => "",
    }
}
