//! From which number of entries on one way of checking signatures is faster than another, and how that is measured.
//!
//! No verdict depends on these numbers.

use super::{Backend, Effort, Entry, Item, SigningKey, combination_holds_on, search};
use std::time::Duration;

/// From which number of entries on one way of checking signatures is faster than another on a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossovers {
    /// Entries from which on eight lanes at a time are faster than single verification; `usize::MAX` if never.
    pub lanes: usize,
    /// Entries from which on a combination is faster than verdicts one by one.
    pub combination: usize,
}

/// Sizes at which the combination is tried.
const SIZES: [usize; 10] = [16, 24, 32, 40, 48, 64, 96, 128, 192, 256];
/// Runs of each measurement. The shortest counts, because disturbances only make a run longer.
const RUNS: usize = 5;
/// Entries that fill the lanes.
const LANES: usize = 8;

impl Crossovers {
    /// The smallest that [`Crossovers::measure`] finds.
    pub const LEAST: Self = Self { lanes: 1, combination: SIZES[0] };
    /// The largest combination that it finds. For lanes there is no bound: where they never pay, it finds
    /// [`usize::MAX`].
    pub const COMBINATION_MOST: usize = SIZES[SIZES.len() - 1];

    /// Measures them on this CPU, in a fraction of a second. `now` is the time since some fixed point.
    #[must_use]
    pub fn measure(backend: Backend, mut now: impl FnMut() -> Duration) -> Self {
        let keys: Vec<SigningKey> = (1..=LANES as u8).map(|seed| SigningKey::from_seed([seed; 32])).collect();
        let signed: Vec<_> = (0..Self::COMBINATION_MOST)
            .map(|number| {
                let (key, message) = (&keys[number % keys.len()], [number as u8; 96]);
                (key.public_key(), message, key.sign(&message))
            })
            .collect();
        let entries: Vec<Entry<'_>> =
            signed.iter().map(|(key, message, signature)| Entry { key, message, signature }).collect();
        let items: Vec<Item<'_>> = entries.iter().map(Item::from).collect();
        let mut verdicts = vec![false; items.len()];
        let mut shortest = |work: &mut dyn FnMut()| {
            let times = (0..RUNS).map(|_| {
                let begun = now();
                work();
                now().saturating_sub(begun)
            });
            times.min().expect("at least one run")
        };
        let mut each = |lanes, count: usize| {
            let backend = backend.with(Self { lanes, ..backend.crossovers() });
            let (items, verdicts) = (&items[..count], &mut verdicts[..count]);
            shortest(&mut || search::each(backend, items, verdicts, &mut Effort::default()))
        };
        let (alone, together) = (each(usize::MAX, LANES), each(1, LANES));
        let lanes = match together.as_nanos() * LANES as u128 {
            nanos if together < alone => nanos.div_ceil(alone.as_nanos().max(1)) as usize,
            _ => usize::MAX,
        };
        let one_by_one = SIZES.map(|size| each(lanes, size));
        let combined = SIZES.map(|size| {
            shortest(&mut || {
                assert!(combination_holds_on(backend, &entries[..size], [7; 32]), "all are good")
            })
        });
        let pays = one_by_one.iter().zip(&combined).position(|(one_by_one, combined)| combined < one_by_one);
        Self { lanes: lanes.max(1), combination: pays.map_or(Self::COMBINATION_MOST, |at| SIZES[at]) }
    }
}

#[cfg(test)]
mod tests;
