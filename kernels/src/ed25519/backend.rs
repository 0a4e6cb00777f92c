//! Which arithmetic does the work, chosen at run time by what the CPU has.

use super::{
    Crossovers, Item,
    field::{Field, Work, portable::Portable},
    single,
};
use std::fmt;

/// An arithmetic that this CPU can run. The only way to one is through [`Backend::best`], [`Backend::all`] and
/// [`Backend::named`], so a value proves that the CPU has what it needs.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    kind: Kind,
    crossovers: Crossovers,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(crate::cpu::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(crate::cpu::Avx512),
}

/// Names of all backends, the plainest first, whether or not this CPU can run them.
const NAMES: [&str; 3] = ["portable", "avx2", "avx512"];

/// A backend that this build does not know or this CPU cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// No backend has this name.
    #[error("there is no backend called {0:?} (there are: {names})", names = NAMES.join(", "))]
    Unknown(String),
    /// The CPU lacks its instructions.
    #[error("this CPU lacks the instructions of backend {0:?}")]
    Unsupported(String),
}

impl Backend {
    /// The fastest that this CPU can run.
    #[must_use]
    pub fn best() -> Self {
        let fastest = NAMES.into_iter().rev().find_map(|name| Self::named(name).ok());
        fastest.unwrap_or_else(|| Self::of(Kind::Portable(Portable)))
    }

    /// All that this CPU can run, the plainest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        NAMES.into_iter().filter_map(|name| Self::named(name).ok()).collect()
    }

    /// The backend called `name`.
    ///
    /// # Errors
    ///
    /// If there is none, or the CPU cannot run it.
    pub fn named(name: &str) -> Result<Self, BackendError> {
        let kind = match name {
            "portable" => Some(Kind::Portable(Portable)),
            #[cfg(target_arch = "x86_64")]
            "avx2" => crate::cpu::Avx2::detect().map(Kind::Avx2),
            #[cfg(target_arch = "x86_64")]
            "avx512" => crate::cpu::Avx512::detect().map(Kind::Avx512),
            name if NAMES.contains(&name) => None,
            _ => return Err(BackendError::Unknown(name.to_owned())),
        };
        kind.map(Self::of).ok_or_else(|| BackendError::Unsupported(name.to_owned()))
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.kind {
            Kind::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "avx512",
        }
    }

    /// Does `work` with this backend's instructions.
    pub(super) fn run<W: Work>(self, work: W) -> W::Output {
        match self.kind {
            Kind::Portable(field) => field.enter(work),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(field) => field.enter(work),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(field) => field.enter(work),
        }
    }

    /// With crossovers as Zen 4 has them.
    fn of(kind: Kind) -> Self {
        let (lanes, combination) = match kind {
            // Eight lanes one after the other save nothing.
            Kind::Portable(_) => (usize::MAX, 128),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => (3, 40),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => (5, 40),
        };
        Self { kind, crossovers: Crossovers { lanes, combination } }
    }

    /// From which sizes on it changes its way: those of Zen 4, if nothing else was [said](Self::with).
    #[must_use]
    pub fn crossovers(self) -> Crossovers {
        self.crossovers
    }

    /// The same arithmetic with other crossovers. No verdict changes. A combination has two entries at least.
    #[must_use]
    pub fn with(self, Crossovers { lanes, combination }: Crossovers) -> Self {
        Self { crossovers: Crossovers { lanes, combination: combination.max(2) }, ..self }
    }

    /// A verdict for one entry alone.
    pub(super) fn single(self, entry: &Item<'_>) -> bool {
        match self.kind {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(token) => single::quad::verify(token, entry),
            _ => single::verify(&entry.entry()),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
