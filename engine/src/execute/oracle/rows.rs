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

    /// The table of leaves by their places, with none where nothing is.
    ///
    /// # Errors
    /// The first place at which no table has such a leaf, and why.
    pub(super) fn restore(rows: &[Option<&[u8]>]) -> Result<Self, (usize, &'static str)> {
        let (slots, places) = (Vec::with_capacity(rows.len()), BTreeMap::new());
        let mut table = Self { slots, places, empty: BTreeSet::new(), changed: BTreeSet::new() };
        for (place, row) in rows.iter().enumerate() {
            let Some(row) = row else {
                table.slots.push(None);
                table.empty.insert(place);
                continue;
            };
            let two_keys: Option<(&Key, &Key)> =
                row.first_chunk().zip(row.get(32..).and_then(<[u8]>::first_chunk));
            let (key, _) = two_keys.ok_or((place, "is shorter than two keys"))?;
            if table.places.insert(*key, place).is_some() {
                return Err((place, "has the key of another one"));
            }
            table.slots.push(Some((*key, row[64..].to_vec())));
        }
        if table.slots.first() != Some(&Some(([0; 32], Vec::new()))) {
            return Err((0, "is not the one with the key zero and no value"));
        }
        let is_next = |(place, row): &(usize, &Option<&[u8]>)| table.leaf(*place) == row.unwrap_or_default();
        match rows.iter().enumerate().find(|row| !is_next(row)) {
            None => Ok(table),
            Some((place, _)) => Err((place, "does not name the next higher key")),
        }
    }

    /// Keys and values by their places; none where nothing is.
    pub fn slots(&self) -> &[Option<(Key, Vec<u8>)>] {
        &self.slots
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &Key) -> Option<&[u8]> {
        let slot = self.slots.get(*self.places.get(key)?)?;
        slot.as_ref().map(|(_, value)| &value[..])
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
