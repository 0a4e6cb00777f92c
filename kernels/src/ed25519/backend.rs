//! Which arithmetic does the work, chosen at run time by what the CPU has.

use super::{Entry, combination, field::portable::Portable};
use std::fmt;

/// An arithmetic that this CPU can run. The only way to one is through [`Backend::best`], [`Backend::all`] and
/// [`Backend::named`], so a value proves that the CPU has what it needs.
#[derive(Clone, Copy, Debug)]
pub struct Backend(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx512(crate::cpu::Avx512),
}

/// A back-end that this build does not know or this CPU cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// No back-end has this name.
    #[error("there is no back-end called {0:?} (there are: portable, avx512)")]
    Unknown(String),
    /// The CPU lacks its instructions.
    #[error("this CPU lacks the instructions of back-end {0:?}")]
    Unsupported(String),
}

impl Backend {
    /// The fastest that this CPU can run.
    #[must_use]
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = crate::cpu::Avx512::detect() {
            return Self(Kind::Avx512(token));
        }
        Self(Kind::Portable(Portable))
    }

    /// All that this CPU can run, the plainest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        ["portable", "avx512"].into_iter().filter_map(|name| Self::named(name).ok()).collect()
    }

    /// The back-end called `name`.
    ///
    /// # Errors
    ///
    /// If there is none, or the CPU cannot run it.
    pub fn named(name: &str) -> Result<Self, BackendError> {
        match name {
            "portable" => Ok(Self(Kind::Portable(Portable))),
            #[cfg(target_arch = "x86_64")]
            "avx512" => crate::cpu::Avx512::detect()
                .map(|token| Self(Kind::Avx512(token)))
                .ok_or_else(|| BackendError::Unsupported(name.to_owned())),
            #[cfg(not(target_arch = "x86_64"))]
            "avx512" => Err(BackendError::Unsupported(name.to_owned())),
            _ => Err(BackendError::Unknown(name.to_owned())),
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "avx512",
        }
    }

    pub(super) fn holds(
        self,
        entries: &[Entry<'_>],
        coefficients: &mut combination::Coefficients,
        scratch: &mut combination::Scratch,
    ) -> bool {
        match self.0 {
            Kind::Portable(field) => combination::holds(field, entries, coefficients, scratch),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(field) => combination::holds(field, entries, coefficients, scratch),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
