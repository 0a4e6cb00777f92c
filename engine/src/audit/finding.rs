//! What an audit can find, and where.

use std::fmt::{self, Display};
use std::path::PathBuf;

use serde::Serialize;

use crate::types::{RULES_FIRST, UnsupportedRules};

/// What kind of promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A file does not read back as it was written.
    Damage,
    /// Something recorded is not what it must be.
    Wrong,
    /// Two directories hold different blocks at one height, both with certificates.
    Fork,
    /// A recorded root is not the oracle's.
    Root,
    /// Money was made or destroyed.
    Supply,
    /// From there on the network has rules that this program does not run: nothing is known to be wrong.
    Rules,
}

/// The first thing that is wrong in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of promise is broken.
    pub kind: FindingKind,
    /// The file.
    pub file: PathBuf,
    /// Where in the file: the damaged sector, or the first byte of the record that is wrong.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

/// What a check found, before it is known where that stands.
#[derive(Debug)]
pub struct Wrong {
    kind: FindingKind,
    what: String,
    expected: String,
    found: String,
}

impl Wrong {
    /// Something that is not what it must be.
    pub fn new(what: impl Into<String>, expected: impl Into<String>, found: impl Display) -> Self {
        let (what, expected, found) = (what.into(), expected.into(), found.to_string());
        Self { kind: FindingKind::Wrong, what, expected, found }
    }

    pub(super) fn fork(what: impl Into<String>, expected: impl Into<String>, found: impl Display) -> Self {
        Self { kind: FindingKind::Fork, ..Self::new(what, expected, found) }
    }

    pub(super) fn root(what: impl Into<String>, expected: impl Display, found: impl Display) -> Self {
        Self { kind: FindingKind::Root, ..Self::new(what, expected.to_string(), found) }
    }

    pub(super) fn rules(what: impl Into<String>, unsupported: UnsupportedRules) -> Self {
        let UnsupportedRules { epoch, needed, last } = unsupported;
        let found = format!("rules {needed} of epoch {epoch}: audit it with a release that runs them");
        Self { kind: FindingKind::Rules, ..Self::new(what, format!("rules {RULES_FIRST} to {last}"), found) }
    }

    /// The same, with its place.
    pub(super) fn at(self, file: PathBuf, offset: u64) -> Finding {
        let Self { kind, what, expected, found } = self;
        Finding { kind, file, offset, what, expected, found }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FindingKind::Damage => "damaged file",
            FindingKind::Wrong => "wrong record",
            FindingKind::Fork => "fork",
            FindingKind::Root => "wrong root",
            FindingKind::Supply => "wrong supply",
            FindingKind::Rules => "rules of a later release",
        };
        writeln!(f, "{kind}: {}", self.what)?;
        writeln!(f, "  file      {}", self.file.display())?;
        writeln!(f, "  offset    {}", self.offset)?;
        writeln!(f, "  expected  {}", self.expected)?;
        write!(f, "  found     {}", self.found)
    }
}
