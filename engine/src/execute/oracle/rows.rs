//! The definition of a table: which rows there are, in the order in which they were made.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use crate::execute::Table;

type Key = [u8; 32];

/// The values of a chain's table by their keys. Place 0 has the key zero and no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainTable {
    slots: Vec<Option<(Key, Vec<u8>)>>,
    places: BTreeMap<Key, usize>,
    /// The places where nothing is.
    empty: BTreeSet<usize>,
    /// The places that the height at hand may have changed.
    changed: BTreeSet<usize>,
}

impl PlainTable {
    pub(super) fn empty() -> Self {
        let places = BTreeMap::from([([0; 32], 0)]);
        let (empty, changed) = (BTreeSet::new(), BTreeSet::new());
        Self { slots: vec![Some(([0; 32], Vec::new()))], places, empty, changed }
    }

    /// Keys and values by their places; none where nothing is.
    pub fn slots(&self) -> &[Option<(Key, Vec<u8>)>] {
        &self.slots
    }

    /// Whether a table says the same.
    pub fn agrees(&self, table: &Table) -> bool {
        let fast = table.slots().iter().map(|slot| slot.as_ref().map(|row| (row.key(), row.value())));
        fast.eq(self.slots.iter().map(|slot| slot.as_ref().map(|(key, value)| (key, &value[..]))))
    }

    /// A new row at the lowest place where nothing is, or another value for one.
    pub(crate) fn put(&mut self, key: Key, value: Vec<u8>) {
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None => self.empty.pop_first().unwrap_or(self.slots.len()),
        };
        if place == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[place] = Some((key, value));
        self.places.insert(key, place);
        self.changed.insert(place);
    }

    /// Nothing is there any more.
    pub(crate) fn remove(&mut self, key: &Key) {
        let place = self.places.remove(key).expect("only what is there is taken out");
        self.slots[place] = None;
        self.empty.insert(place);
        self.changed.insert(place);
        self.changed.extend(self.before(key));
    }

    /// The place of the next lower key.
    fn before(&self, key: &Key) -> Option<usize> {
        self.places.range::<Key, _>(..key).next_back().map(|(_, place)| *place)
    }

    /// Key, next higher key or zero, and value of a row; nothing where nothing is.
    pub(crate) fn leaf(&self, place: usize) -> Vec<u8> {
        let Some((key, value)) = &self.slots[place] else { return Vec::new() };
        let next = self.places.range::<Key, _>((Excluded(key), Unbounded)).next();
        [&key[..], next.map_or(&[0; 32], |(next, _)| next), value].concat()
    }

    /// The places that the height at hand may have changed, ascending, and forgets them: those with another value, and
    /// the ones before them in the order of keys.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<usize> {
        let changed = std::mem::take(&mut self.changed);
        let keys = changed.iter().filter_map(|place| self.slots[*place].as_ref());
        let before: Vec<usize> = keys.filter_map(|(key, _)| self.before(key)).collect();
        changed.into_iter().chain(before).collect()
    }
}
