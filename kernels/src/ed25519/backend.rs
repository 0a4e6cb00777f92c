//! Which arithmetic does the work, chosen at run time by what the CPU has.

use super::{Item, combination, field::portable::Portable, single};
#[cfg(any(test, target_arch = "x86_64"))]
use super::{field::LANES, lanes};
use std::fmt;

/// Fewer entries than this leave so many lanes empty that singles are faster: eight lanes take as long as six singles.
#[cfg(target_arch = "x86_64")]
const LANES_CROSSOVER: usize = 7;

/// An arithmetic that this CPU can run. The only way to one is through [`Backend::best`], [`Backend::all`] and
/// [`Backend::named`], so a value proves that the CPU has what it needs.
#[derive(Clone, Copy, Debug)]
pub struct Backend(pub(super) Kind);

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
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

    /// How many entries a batch needs for the combination to beat verdicts one by one. Measured on Zen 4; the portable
    /// lanes save nothing, so there the alternative is single verification.
    pub(super) fn crossover(self) -> usize {
        match self.0 {
            Kind::Portable(_) => 4,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => 16,
        }
    }

    /// A verdict for one entry alone.
    pub(super) fn single(self, entry: &Item<'_>) -> bool {
        match self.0 {
            Kind::Portable(_) => single::verify(entry),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(token) => single::quad::verify(token, entry),
        }
    }

    /// A verdict for each entry, without randomness.
    pub(super) fn each(self, entries: &[Item<'_>], verdicts: &mut [bool]) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(field) if entries.len() >= LANES_CROSSOVER => {
                for (entries, verdicts) in entries.chunks(LANES).zip(verdicts.chunks_mut(LANES)) {
                    lanes::verify(field, entries, verdicts);
                }
            }
            _ => {
                for (entry, verdict) in entries.iter().zip(verdicts) {
                    *verdict = self.single(entry);
                }
            }
        }
    }

    /// At most eight entries through the lanes, whatever pays.
    #[cfg(test)]
    pub(super) fn lanes(self, entries: &[Item<'_>], verdicts: &mut [bool]) {
        assert!(entries.len() <= LANES);
        match self.0 {
            Kind::Portable(field) => lanes::verify(field, entries, verdicts),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(field) => lanes::verify(field, entries, verdicts),
        }
    }

    pub(super) fn holds(
        self,
        entries: &[Item<'_>],
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
