//! Who is at fault when a combination fails: by group first, so that a bad group costs the others one sum more at most.
//!
//! ```text
//! shared groups   A A B C C C D   ── one sum vanishes ──▶ all good
//!                       │ it does not
//!                 A A │ B │ C C C │ D      a sum for each bundle of groups; the last is what the others leave
//!                           │ does not vanish
//!                       C C │ C            halves, at borders of groups where there are any: the right one is what
//!                         │                the left one leaves
//!                        eight lanes       where halves are small, or where the search has cost enough
//! ```
//!
//! Invariants, with `n` entries in a call and `b` in its bad bundles: `combined <= 2n + 2b`, `alone <= b`, if nobody
//! asked for more; an entry of a good bundle is summed up at most twice, however many bad ones there are.

use super::{
    BATCH_MAX, Backend, Item,
    combination::{Coefficients, Combination, Scratch},
    each_in_lanes,
    msm::Sum,
};
use std::ops::Range;

/// Small groups are bundled until they have so many entries: smaller sums cost more for each entry.
const BUNDLE_MIN: usize = 256;
/// How often, on average, an entry of a bad bundle is summed up again before the rest is judged one by one: that costs
/// about four sums and finds any number of bad entries.
const SUMS_MAX: usize = 2;

/// With whom a group is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// In one combination with other groups.
    Shared,
    /// In a combination of its own: it is expected to be good, but has disappointed before.
    Apart,
    /// Each entry by itself: many are expected to be bad.
    Alone,
}

/// Entries that stand together, and whose faults should cost nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// How many; they follow those of the group before.
    pub entries: usize,
    /// With whom they are checked.
    pub company: Company,
}

/// What verdicts have cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Entries that combinations have summed up, each as often as it was in one.
    pub combined: u64,
    /// Entries that were judged one by one.
    pub alone: u64,
}

/// One call for verdicts.
pub(super) struct Search<'s> {
    pub(super) backend: Backend,
    pub(super) coefficients: Coefficients,
    pub(super) scratch: &'s mut Scratch,
    pub(super) effort: Effort,
}

impl Search<'_> {
    /// A verdict for each entry of all groups.
    pub(super) fn groups(&mut self, entries: &[Item<'_>], groups: &[Group], verdicts: &mut [bool]) {
        let (mut shared, mut places, mut borders) = (Vec::new(), Vec::new(), Vec::new());
        let mut start = 0;
        for group in groups {
            let range = start..start + group.entries;
            start = range.end;
            let (entries, verdicts) = (&entries[range.clone()], &mut verdicts[range.clone()]);
            match group.company {
                Company::Shared => {
                    shared.extend_from_slice(entries);
                    places.extend(range);
                    borders.push(shared.len());
                }
                Company::Apart => self.together(entries, &[], verdicts),
                Company::Alone => self.each(entries, verdicts),
            }
        }
        let mut judged = vec![false; shared.len()];
        self.together(&shared, &borders, &mut judged);
        for (place, verdict) in places.into_iter().zip(judged) {
            verdicts[place] = verdict;
        }
    }

    /// A verdict for each entry, by combinations of at most [`BATCH_MAX`]. `borders` are the ends of groups, ascending.
    pub(super) fn together(&mut self, entries: &[Item<'_>], borders: &[usize], verdicts: &mut [bool]) {
        // Equal parts: a small rest would be dear.
        let parts = entries.len().div_ceil(BATCH_MAX).max(1);
        let size = entries.len().div_ceil(parts).max(1);
        let mut start = 0;
        for (entries, verdicts) in entries.chunks(size).zip(verdicts.chunks_mut(size)) {
            let inside = |border: &usize| (start + 1..start + size).contains(border);
            let borders: Vec<usize> = borders.iter().filter(|b| inside(b)).map(|b| b - start).collect();
            self.part(entries, &borders, verdicts);
            start += size;
        }
    }

    fn part(&mut self, entries: &[Item<'_>], borders: &[usize], verdicts: &mut [bool]) {
        let n = entries.len();
        if n < self.backend.crossovers().combination {
            return self.each(entries, verdicts);
        }
        let Self { backend, coefficients, scratch, effort } = self;
        let combination = Combination::prepare(*backend, entries, coefficients, scratch);
        let mut part = Part { backend: *backend, entries, borders, combination, effort, verdicts };
        let mut rest = part.sum(0..n);
        let mut start = 0;
        while !rest.vanishes {
            let end = borders.iter().copied().find(|b| *b >= start + BUNDLE_MIN).unwrap_or(n);
            let bundle = if end < n { part.sum(start..end) } else { rest };
            if bundle.vanishes {
                part.accept(start..end);
            } else {
                let mut budget = SUMS_MAX * (end - start);
                part.split(start..end, bundle, &mut budget);
            }
            if end == n {
                return;
            }
            rest = part.combination.without(&rest, &bundle);
            start = end;
        }
        part.accept(start..n);
    }

    /// A verdict for each entry, without randomness.
    fn each(&mut self, entries: &[Item<'_>], verdicts: &mut [bool]) {
        each(self.backend, entries, verdicts, &mut self.effort);
    }
}

/// At most [`BATCH_MAX`] entries, ready to be summed up.
struct Part<'a, 's> {
    backend: Backend,
    entries: &'a [Item<'a>],
    borders: &'a [usize],
    combination: Combination<'a, 's>,
    effort: &'a mut Effort,
    verdicts: &'a mut [bool],
}

impl Part<'_, '_> {
    fn sum(&mut self, range: Range<usize>) -> Sum {
        self.effort.combined += range.len() as u64;
        self.combination.sum(range)
    }

    /// The sum of `range` vanishes: what was in it is good.
    fn accept(&mut self, range: Range<usize>) {
        self.verdicts[range.clone()].copy_from_slice(&self.combination.acceptable()[range]);
    }

    /// The sum of `range` does not vanish: at least one is bad.
    fn split(&mut self, range: Range<usize>, sum: Sum, budget: &mut usize) {
        let middle = self.middle(&range);
        let cost = middle - range.start;
        if range.len() < self.backend.crossovers().combination || *budget < cost {
            let (entries, verdicts) = (&self.entries[range.clone()], &mut self.verdicts[range]);
            return each(self.backend, entries, verdicts, self.effort);
        }
        *budget -= cost;
        let left = self.sum(range.start..middle);
        let right = self.combination.without(&sum, &left);
        for (range, sum) in [(range.start..middle, left), (middle..range.end, right)] {
            if sum.vanishes {
                self.accept(range);
            } else {
                self.split(range, sum, budget);
            }
        }
    }

    /// The border inside `range` that is nearest to its middle, or the middle.
    fn middle(&self, range: &Range<usize>) -> usize {
        let middle = range.start + range.len() / 2;
        let inside = self.borders.iter().copied().filter(|b| (range.start + 1..range.end).contains(b));
        inside.min_by_key(|b| b.abs_diff(middle)).unwrap_or(middle)
    }
}

pub(super) fn each(backend: Backend, entries: &[Item<'_>], verdicts: &mut [bool], effort: &mut Effort) {
    effort.alone += entries.len() as u64;
    if entries.len() < backend.crossovers().lanes {
        for (entry, verdict) in entries.iter().zip(verdicts) {
            *verdict = backend.single(entry);
        }
    } else {
        each_in_lanes(backend, entries, verdicts);
    }
}

#[cfg(test)]
mod tests;
