//! Sources that have sent bad signatures lately, and are therefore checked apart from the others.
//!
//! Time is counted in signatures: a suspect that has sent enough good ones is forgotten. The table is bounded; the
//! suspects whose last bad signature is oldest leave it first, and cost the others one more sum when they are bad
//! again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use kernels::ed25519::Company;

use super::Tally;
use crate::ingress::Source;

/// How many are remembered.
pub(super) const SUSPECTS_MAX: usize = 1024;
/// After so many good signatures in a row a source is no longer a suspect.
pub(super) const FORGIVEN_AFTER: u64 = 16_384;
/// One bad signature in fewer than so many: the search for it costs more than verdicts one by one.
const MANY_ONE_IN: u32 = 64;

#[derive(Debug)]
struct Suspect {
    company: Company,
    /// Good signatures since the last bad one.
    good: u64,
    /// Its place in `by_age`.
    age: u64,
}

#[derive(Debug, Default)]
struct Table {
    by_source: BTreeMap<Source, Suspect>,
    by_age: BTreeMap<u64, Source>,
    next_age: u64,
}

/// Shared by the verify threads.
#[derive(Debug, Default)]
pub(super) struct Suspects(Mutex<Table>);

impl Suspects {
    /// With whom this source's signatures are to be checked.
    pub(super) fn company(&self, source: Source) -> Company {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.by_source.get(&source).map_or(Company::Shared, |suspect| suspect.company)
    }

    /// Learns what this source's signatures of one round were.
    pub(super) fn note(&self, source: Source, tally: Tally) {
        let Tally { signatures, bad, .. } = tally;
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bad == 0 {
            return table.praise(source, signatures.into());
        }
        let many = bad.saturating_mul(MANY_ONE_IN) > signatures;
        table.forget(source);
        let age = table.next_age;
        table.next_age += 1;
        table.by_age.insert(age, source);
        let company = if many { Company::Alone } else { Company::Apart };
        table.by_source.insert(source, Suspect { company, good: 0, age });
        if table.by_source.len() > SUSPECTS_MAX
            && let Some((_, oldest)) = table.by_age.pop_first()
        {
            table.by_source.remove(&oldest);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(table.by_source.len(), table.by_age.len());
        table.by_source.len()
    }
}

impl Table {
    fn praise(&mut self, source: Source, signatures: u64) {
        if let Some(suspect) = self.by_source.get_mut(&source) {
            suspect.good += signatures;
            if suspect.good >= FORGIVEN_AFTER {
                self.forget(source);
            }
        }
    }

    fn forget(&mut self, source: Source) {
        if let Some(suspect) = self.by_source.remove(&source) {
            self.by_age.remove(&suspect.age);
        }
    }
}
