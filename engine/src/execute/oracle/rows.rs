//! The definition of a table: which rows there are, in the order in which they were made.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

type Key = [u8; 32];

/// The values of a chain's table by their keys. Row 0 has the key zero and no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainTable {
    rows: Vec<(Key, Vec<u8>)>,
    places: BTreeMap<Key, usize>,
    /// The places that the height at hand has given another value.
    changed: BTreeSet<usize>,
}

impl PlainTable {
    pub(super) fn empty() -> Self {
        let places = BTreeMap::from([([0; 32], 0)]);
        Self { rows: vec![([0; 32], Vec::new())], places, changed: BTreeSet::new() }
    }

    /// Keys and values, in the order in which they were made.
    pub fn rows(&self) -> &[(Key, Vec<u8>)] {
        &self.rows
    }

    /// A new row, or another value for one.
    pub(crate) fn put(&mut self, key: Key, value: Vec<u8>) {
        let place = *self.places.entry(key).or_insert(self.rows.len());
        match self.rows.get_mut(place) {
            Some(row) => row.1 = value,
            None => self.rows.push((key, value)),
        }
        self.changed.insert(place);
    }

    /// Key, next higher key or zero, and value of a row.
    pub(crate) fn leaf(&self, place: usize) -> Vec<u8> {
        let (key, value) = &self.rows[place];
        let next = self.places.range::<Key, _>((Excluded(key), Unbounded)).next();
        [&key[..], next.map_or(&[0; 32], |(next, _)| next), value].concat()
    }

    /// The places of rows that the height at hand may have changed, ascending, and forgets them: those with another
    /// value, and the ones before them in the order of keys.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<usize> {
        let changed = std::mem::take(&mut self.changed);
        let before = |place: &usize| {
            self.places.range::<Key, _>(..self.rows[*place].0).next_back().map(|(_, place)| *place)
        };
        let before: Vec<usize> = changed.iter().filter_map(before).collect();
        changed.into_iter().chain(before).collect()
    }
}
