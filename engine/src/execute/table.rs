//! The table of a chain: rows by key, for what is not an account.
//!
//! ```text
//! place   0            1           2           3        4        a new row takes the lowest vacant place
//! key     00..         7f..        1c..                 e2..
//! next    1c..         e2..        7f..      (vacant)   00..     the next higher key, or zero: in the order of keys
//! value   -            ..          ..                   ..
//! ```
//!
//! The row of key zero is there from the beginning. So for each key that is not there, exactly one row shows it: its
//! key is lower, and its next one higher or zero. That is an *indexed Merkle tree* once the rows are leaves. A row that
//! is taken out leaves its place vacant: an empty leaf, which nobody can read as a row. So a table has as many places
//! as it ever had rows at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use super::Pages;
use crate::limits::ROW_VALUE_BYTES_MAX;
use crate::types::Fingerprint;

/// A key; the zero key is that of the first row.
pub type Key = [u8; 32];

const FIRST_KEY: Key = [0; 32];

/// One row: its key, the next higher key of the table or zero, and what the kind of the chain keeps there, one after
/// the other as its leaf has them. Those who read the table share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(Arc<[u8]>);

impl Row {
    /// A row.
    ///
    /// # Panics
    /// The value is longer than [`ROW_VALUE_BYTES_MAX`].
    pub fn new(key: &Key, next: &Key, value: &[u8]) -> Self {
        let mut bytes = [0; 64 + ROW_VALUE_BYTES_MAX];
        bytes[..32].copy_from_slice(key);
        bytes[32..64].copy_from_slice(next);
        bytes[64..64 + value.len()].copy_from_slice(value);
        Self(Arc::from(&bytes[..64 + value.len()]))
    }

    fn part(&self, at: usize) -> &Key {
        self.0[at..].first_chunk().expect("a row begins with two keys")
    }

    /// Its key.
    #[inline]
    pub fn key(&self) -> &Key {
        self.part(0)
    }

    /// The next higher key of the table, or zero.
    #[inline]
    pub fn next(&self) -> &Key {
        self.part(32)
    }

    /// What the kind of the chain keeps there.
    #[inline]
    pub fn value(&self) -> &[u8] {
        &self.0[64..]
    }

    fn is_own(&self) -> bool {
        Fingerprint(*self.key()).is_reserved()
    }

    /// Key, next key and value.
    pub fn leaf(&self) -> &[u8] {
        &self.0
    }
}

/// A place of a table, before and after a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// The place.
    pub place: u32,
    /// Whether the block has made the place; no row was there before.
    pub is_new: bool,
    /// The row before the block, if one was there.
    pub before: Option<Row>,
    /// The row after it, if one is there; another one than before, unless the place is new.
    pub after: Option<Row>,
}

impl RowChange {
    /// The leaf of the place after the block: empty where no row is.
    pub fn leaf(&self) -> &[u8] {
        self.after.as_ref().map_or(&[], Row::leaf)
    }
}

/// A key for the order of keys: four numbers are compared sooner than 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ordered([u64; 4]);

impl From<&Key> for Ordered {
    #[inline]
    fn from(key: &Key) -> Self {
        let words = key.as_chunks().0;
        Self(std::array::from_fn(|at| u64::from_be_bytes(words[at])))
    }
}

/// The rows, and how to find one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    slots: Pages<Option<Row>>,
    places: BTreeMap<Ordered, u32>,
    vacant: BTreeSet<u32>,
    /// How many rows have keys of the ledger's own.
    own: usize,
}

impl Table {
    /// The table of a chain at its beginning: nothing is in it.
    pub fn empty() -> Self {
        Self::restore([Some(Row::new(&FIRST_KEY, &FIRST_KEY, &[]))])
    }

    /// The places of a table, in their order. Those who read them from outside compare the root with the network's
    /// before relying on them.
    pub fn restore(slots: impl IntoIterator<Item = Option<Row>>) -> Self {
        Self::try_restore(slots).expect("a key has one row")
    }

    /// The same, unless a key has two rows.
    pub fn try_restore(slots: impl IntoIterator<Item = Option<Row>>) -> Option<Self> {
        let mut table = Self::default();
        for (place, slot) in (0..).zip(slots) {
            table.slots.push(None);
            table.vacant.insert(place);
            if let Some(row) = slot {
                if table.places.contains_key(&row.key().into()) {
                    return None;
                }
                table.seat(place, row);
            }
        }
        Some(table)
    }

    /// How many places, that of the first row included.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many rows the kind of the chain has made: those without the ledger's own, whose keys are
    /// [reserved](Fingerprint::is_reserved).
    pub fn len_of_kind(&self) -> usize {
        self.slots.len() - self.vacant.len() - self.own
    }

    /// How many places no row has.
    pub fn vacancies(&self) -> usize {
        self.vacant.len()
    }

    /// Whether there is no row, not even the first one: it is the table of no chain.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The row at a place.
    pub fn row(&self, place: u32) -> Option<&Row> {
        self.slots.get(place as usize)?.as_ref()
    }

    /// All places, in order, each with the row that is there. A copy of them is taken at once.
    pub fn slots(&self) -> &Pages<Option<Row>> {
        &self.slots
    }

    /// All rows, in the order of their places.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.slots.iter().flatten()
    }

    /// The rows with keys from `first` to `last`, ascending.
    pub fn range(&self, first: &Key, last: &Key) -> impl DoubleEndedIterator<Item = &Row> {
        self.places.range(Ordered::from(first)..=Ordered::from(last)).map(|(_, place)| self.seated(*place))
    }

    /// The value of a key.
    pub fn get(&self, key: &Key) -> Option<&[u8]> {
        self.places.get(&key.into()).map(|place| self.seated(*place).value())
    }

    /// The place of the row that says what there is of a key: its own, or the one that shows that there is none.
    pub fn witness(&self, key: &Key) -> Option<u32> {
        self.places.range(..=Ordered::from(key)).next_back().map(|(_, place)| *place)
    }

    fn seated(&self, place: u32) -> &Row {
        self.slots[place as usize].as_ref().expect("a key leads to its row")
    }

    /// Follows what another table of the same rows did in a block.
    ///
    /// # Panics
    /// The changes do not follow the rows that there are.
    pub fn follow(&mut self, changes: &[RowChange]) {
        // A key may have moved to another place: first all leave, then all come.
        changes.iter().filter(|change| !change.is_new).for_each(|change| drop(self.unseat(change.place)));
        for RowChange { place, is_new, after, .. } in changes {
            if *is_new {
                assert_eq!(*place, self.make(), "places are made one after the other");
            }
            if let Some(row) = after {
                self.seat(*place, row.clone());
            }
        }
    }

    /// A new place, vacant.
    fn make(&mut self) -> u32 {
        let place = self.slots.len() as u32;
        self.slots.push(None);
        self.vacant.insert(place);
        place
    }

    /// Takes the last place away, and the row that is there.
    fn unmake(&mut self, place: u32) {
        self.unseat(place);
        self.vacant.remove(&place);
        self.slots.pop();
        assert_eq!(self.slots.len(), place as usize, "places are taken back from the last one on");
    }

    fn seat(&mut self, place: u32, row: Row) {
        assert!(self.vacant.remove(&place), "place {place} is taken");
        let was_there = self.places.insert(row.key().into(), place).is_some();
        assert!(!was_there, "a key has one row");
        self.own += usize::from(row.is_own());
        *self.slots.get_mut(place as usize).expect("a vacant place is one") = Some(row);
    }

    fn unseat(&mut self, place: u32) -> Option<Row> {
        let slot = self.slots.get_mut(place as usize).expect("a place that was made");
        let row = slot.take()?;
        self.places.remove(&row.key().into());
        self.own -= usize::from(row.is_own());
        self.vacant.insert(place);
        Some(row)
    }

    /// Another row with the same key.
    fn replace(&mut self, place: u32, row: Row) -> Row {
        let slot =
            self.slots.get_mut(place as usize).and_then(Option::as_mut).expect("only a row is replaced");
        debug_assert_eq!(slot.key(), row.key(), "the key stays");
        std::mem::replace(slot, row)
    }

    /// Whether the list of keys is in order: what makes rows a table.
    pub fn is_in_order(&self) -> bool {
        let next = |key: &Key| {
            let higher = self.places.range((Excluded(Ordered::from(key)), Unbounded)).next();
            higher.map_or(&FIRST_KEY, |(_, place)| self.seated(*place).key())
        };
        self.row(0).is_some_and(|first| *first.key() == FIRST_KEY)
            && self.rows().all(|row| row.next() == next(row.key()))
    }
}

/// A table that remembers what a block, and what a transaction of it, has changed.
#[derive(Debug)]
pub(crate) struct TableWriter {
    table: Table,
    /// How many places there were before the block.
    places_before: u32,
    /// Those of them that the block has touched, as they were before it.
    touched: BTreeMap<u32, Option<Row>>,
    /// What the transaction has done, to take it back.
    transaction: Vec<Step>,
}

/// One thing that was done with a table.
#[derive(Debug)]
enum Step {
    /// A place was made, and has a row.
    Made(u32),
    /// A row has taken a vacant place.
    Seated(u32),
    /// A row has left its place.
    Unseated(u32, Row),
    /// A row was so before.
    Replaced(u32, Row),
}

impl TableWriter {
    pub(super) fn new(table: Table) -> Self {
        let places_before = table.len() as u32;
        Self { table, places_before, touched: BTreeMap::new(), transaction: Vec::new() }
    }

    /// The rows as they are now.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// A new row, behind the one that shows that there is none with this key: its [witness](Table::witness).
    ///
    /// # Panics
    /// There is one with this key.
    pub(crate) fn insert(&mut self, before: u32, key: &Key, value: &[u8]) {
        let row = self.table.seated(before);
        let (new, changed) = (Row::new(key, row.next(), value), Row::new(row.key(), key, row.value()));
        self.replace(before, changed);
        let (place, step) = match self.table.vacant.first() {
            Some(place) => (*place, Step::Seated(*place)),
            None => {
                let place = self.table.make();
                (place, Step::Made(place))
            }
        };
        self.touch(place, None);
        self.transaction.push(step);
        self.table.seat(place, new);
    }

    /// Takes a row out.
    ///
    /// # Panics
    /// There is no row with this key, or it is the first one.
    pub(crate) fn remove(&mut self, key: &Key) {
        assert_ne!(*key, FIRST_KEY, "the first row stays");
        let place = self.table.places[&key.into()];
        let (_, before) =
            self.table.places.range(..Ordered::from(key)).next_back().expect("it is not the first");
        let (before, next) = (*before, *self.table.seated(place).next());
        let row = self.table.seated(before);
        let changed = Row::new(row.key(), &next, row.value());
        self.replace(before, changed);
        let row = self.table.unseat(place).expect("a key leads to its row");
        self.touch(place, Some(&row));
        self.transaction.push(Step::Unseated(place, row));
    }

    /// Another value for a key.
    ///
    /// # Panics
    /// There is no row with this key.
    pub(crate) fn set(&mut self, key: &Key, value: &[u8]) {
        let place = self.table.places[&key.into()];
        let row = self.table.seated(place);
        let changed = Row::new(row.key(), row.next(), value);
        self.replace(place, changed);
    }

    fn replace(&mut self, place: u32, row: Row) {
        let before = self.table.replace(place, row);
        self.touch(place, Some(&before));
        self.transaction.push(Step::Replaced(place, before));
    }

    /// Remembers what was at a place before the block.
    fn touch(&mut self, place: u32, before: Option<&Row>) {
        if place < self.places_before {
            self.touched.entry(place).or_insert_with(|| before.cloned());
        }
    }

    /// The transaction has done what it says.
    pub(crate) fn keep(&mut self) {
        self.transaction.clear();
    }

    /// The transaction fails: everything is as it was before it.
    pub(crate) fn take_back(&mut self) {
        while let Some(step) = self.transaction.pop() {
            match step {
                Step::Made(place) => self.table.unmake(place),
                Step::Seated(place) => drop(self.table.unseat(place)),
                Step::Unseated(place, row) => self.table.seat(place, row),
                Step::Replaced(place, before) => drop(self.table.replace(place, before)),
            }
        }
    }

    /// The places that differ from before the block, ascending; the next block begins.
    pub(super) fn drain(&mut self) -> Vec<RowChange> {
        debug_assert!(self.transaction.is_empty(), "each transaction keeps or takes back");
        let made = self.table.len() - self.places_before as usize;
        let mut changes = Vec::with_capacity(self.touched.len() + made);
        for (place, before) in std::mem::take(&mut self.touched) {
            let after = &self.table.slots[place as usize];
            // Another one may say the same: it was changed and changed back.
            if *after != before {
                changes.push(RowChange { place, is_new: false, before, after: after.clone() });
            }
        }
        let new = (self.places_before..).zip(self.table.slots.iter_from(self.places_before as usize));
        changes.extend(new.map(|(place, slot)| RowChange {
            place,
            is_new: true,
            before: None,
            after: slot.clone(),
        }));
        self.places_before = self.table.len() as u32;
        changes
    }

    /// Takes back the last block, whose changes these are.
    pub(super) fn undo(&mut self, changes: &[RowChange]) {
        for RowChange { place, is_new, after, .. } in changes.iter().rev() {
            assert_eq!(self.table.row(*place), after.as_ref(), "row {place} is not as the delta left it");
            match is_new {
                true => self.table.unmake(*place),
                false => drop(self.table.unseat(*place)),
            }
        }
        for RowChange { place, before, .. } in changes {
            if let Some(row) = before {
                self.table.seat(*place, row.clone());
            }
        }
        self.places_before = self.table.len() as u32;
    }
}

/// Whether a row shows that there is none with this key.
pub fn shows_absence(row: (&Key, &Key), key: &Key) -> bool {
    let (own, next) = row;
    own < key && (key < next || *next == FIRST_KEY)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(byte: u8) -> [u8; 1] {
        [byte]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_block_is_followed_and_taken_back(blocks in prop::collection::vec(
            prop::collection::vec((prop::collection::vec((1..40_u8, any::<u8>()), 1..5), any::<bool>()), 0..8), 1..6,
        )) {
            let mut writer = TableWriter::new(Table::empty());
            let mut reader = Table::empty();
            for block in blocks {
                let before = writer.table().clone();
                for (steps, keeps) in block {
                    let then = writer.table().clone();
                    for (key, to) in steps {
                        let key = [key; 32];
                        match (writer.table().get(&key), to % 3) {
                            (None, _) => writer.insert(writer.table().witness(&key).unwrap(), &key, &value(to)),
                            (Some(_), 0) => writer.remove(&key),
                            (Some(_), _) => writer.set(&key, &value(to)),
                        }
                    }
                    match keeps {
                        true => writer.keep(),
                        false => {
                            writer.take_back();
                            prop_assert_eq!(writer.table(), &then);
                        }
                    }
                }
                prop_assert!(writer.table().is_in_order());
                let changes = writer.drain();
                prop_assert!(changes.is_sorted_by(|a, b| a.place < b.place));
                reader.follow(&changes);
                prop_assert_eq!(writer.table(), &reader);
                writer.undo(&changes);
                prop_assert_eq!(writer.table(), &before);
                // As if the block came again.
                writer = TableWriter::new(before);
                writer.table.follow(&changes);
                writer.places_before = writer.table.len() as u32;
                prop_assert_eq!(&writer.table, &reader);
                prop_assert_eq!(&Table::restore(reader.slots().iter().cloned()), &reader);
                for key in 1..40 {
                    let key = [key; 32];
                    let witness = reader.row(reader.witness(&key).unwrap()).unwrap();
                    let there = reader.get(&key).is_some();
                    prop_assert_eq!(there, *witness.key() == key);
                    prop_assert_eq!(!there, shows_absence((witness.key(), witness.next()), &key));
                }
            }
        }
    }
}
