//! The table of a chain: rows by key, for what is not an account.
//!
//! ```text
//! place   0            1           2           3            in the order of registration; nothing is ever taken out
//! key     00..         7f..        1c..        e2..
//! next    1c..         e2..        7f..        00..         the next higher key, or zero: a list in the order of keys
//! value   -            ..          ..          ..
//! ```
//!
//! The row of key zero is there from the beginning. So for each key that is not there, exactly one row shows it: its
//! key is lower, and its next one higher or zero. That is an *indexed Merkle tree* once the rows are leaves.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

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

/// A row, before and after a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// Its place.
    pub place: u32,
    /// Before the block; none where the block has made it.
    pub before: Option<Row>,
    /// After it; never the same as before.
    pub after: Row,
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
    rows: Vec<Row>,
    places: BTreeMap<Ordered, u32>,
    /// How many rows have keys of the ledger's own.
    own: usize,
}

impl Table {
    /// The table of a chain at its beginning: nothing is in it.
    pub fn empty() -> Self {
        Self::restore(vec![Row::new(&FIRST_KEY, &FIRST_KEY, &[])])
    }

    /// The rows of a table, in their order. Those who read them from outside compare the root with the network's before
    /// relying on them.
    pub fn restore(rows: Vec<Row>) -> Self {
        let places = rows.iter().zip(0..).map(|(row, place)| (row.key().into(), place)).collect();
        let own = rows.iter().filter(|row| row.is_own()).count();
        Self { rows, places, own }
    }

    /// How many rows, the first one included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many of them the kind of the chain has made: those without the ledger's own, whose keys are
    /// [reserved](Fingerprint::is_reserved).
    pub fn len_of_kind(&self) -> usize {
        self.rows.len() - self.own
    }

    /// Whether there is no row, not even the first one: it is the table of no chain.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row at a place.
    pub fn row(&self, place: u32) -> Option<&Row> {
        self.rows.get(place as usize)
    }

    /// All rows, in order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The value of a key.
    pub fn get(&self, key: &Key) -> Option<&[u8]> {
        self.places.get(&key.into()).map(|place| self.rows[*place as usize].value())
    }

    /// The place of the row that says what there is of a key: its own, or the one that shows that there is none.
    pub fn witness(&self, key: &Key) -> Option<u32> {
        self.places.range(..=Ordered::from(key)).next_back().map(|(_, place)| *place)
    }

    /// Follows what another table of the same rows did in a block.
    ///
    /// # Panics
    /// The changes do not follow the rows that there are.
    pub fn follow(&mut self, changes: &[RowChange]) {
        for RowChange { place, after, .. } in changes {
            match self.rows.get_mut(*place as usize) {
                Some(row) => *row = after.clone(),
                None => {
                    assert_eq!(*place as usize, self.rows.len(), "rows are made one after the other");
                    self.push(after.clone());
                }
            }
        }
    }

    fn push(&mut self, row: Row) {
        let was_there = self.places.insert(row.key().into(), self.rows.len() as u32).is_some();
        assert!(!was_there, "a key has one row");
        self.own += usize::from(row.is_own());
        self.rows.push(row);
    }

    fn put_back(&mut self, place: u32, before: Option<Row>) {
        match before {
            Some(row) => self.rows[place as usize] = row,
            None => {
                let row = self.rows.pop().expect("it was made");
                assert_eq!(self.rows.len(), place as usize, "rows are taken back from the last one on");
                self.places.remove(&row.key().into());
                self.own -= usize::from(row.is_own());
            }
        }
    }

    /// Whether the list of keys is in order: what makes rows a table.
    pub fn is_in_order(&self) -> bool {
        let next = |key: &Key| {
            let higher = self.places.range((Excluded(Ordered::from(key)), Unbounded)).next();
            higher.map_or(&FIRST_KEY, |(_, place)| self.rows[*place as usize].key())
        };
        self.places.len() == self.rows.len() && self.rows.iter().all(|row| row.next() == next(row.key()))
    }
}

/// A table that remembers what a block, and what a transaction of it, has changed.
#[derive(Debug)]
pub(crate) struct TableWriter {
    table: Table,
    /// How many rows there were before the block.
    rows_before: usize,
    /// Those of them that the block has touched, as they were before it.
    touched: BTreeMap<u32, Row>,
    /// What the transaction has done, to take it back: a new row, or one that was so.
    transaction: Vec<(u32, Option<Row>)>,
}

impl TableWriter {
    pub(super) fn new(table: Table) -> Self {
        let rows_before = table.len();
        Self { table, rows_before, touched: BTreeMap::new(), transaction: Vec::new() }
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
        let (row, place) = (&self.table.rows[before as usize], self.table.rows.len() as u32);
        let (new, changed) = (Row::new(key, row.next(), value), Row::new(row.key(), key, row.value()));
        self.replace(before, changed);
        self.transaction.push((place, None));
        self.table.push(new);
    }

    /// Another value for a key.
    ///
    /// # Panics
    /// There is no row with this key.
    pub(crate) fn set(&mut self, key: &Key, value: &[u8]) {
        let place = self.table.places[&key.into()];
        let row = &self.table.rows[place as usize];
        let changed = Row::new(row.key(), row.next(), value);
        self.replace(place, changed);
    }

    fn replace(&mut self, place: u32, row: Row) {
        let before = std::mem::replace(&mut self.table.rows[place as usize], row);
        if (place as usize) < self.rows_before {
            self.touched.entry(place).or_insert_with(|| before.clone());
        }
        self.transaction.push((place, Some(before)));
    }

    /// The transaction has done what it says.
    pub(crate) fn keep(&mut self) {
        self.transaction.clear();
    }

    /// The transaction fails: everything is as it was before it.
    pub(crate) fn take_back(&mut self) {
        // A row that was changed twice is the oldest one again.
        while let Some((place, before)) = self.transaction.pop() {
            self.table.put_back(place, before);
        }
    }

    /// The rows that differ from before the block, ascending; the next block begins.
    pub(super) fn drain(&mut self) -> Vec<RowChange> {
        debug_assert!(self.transaction.is_empty(), "each transaction keeps or takes back");
        let made = self.table.rows.len() - self.rows_before;
        let mut changes = Vec::with_capacity(self.touched.len() + made);
        for (place, before) in std::mem::take(&mut self.touched) {
            let after = &self.table.rows[place as usize];
            // Another one may say the same: it was changed and changed back.
            if *after != before {
                changes.push(RowChange { place, before: Some(before), after: after.clone() });
            }
        }
        let new = (self.rows_before as u32..).zip(&self.table.rows[self.rows_before..]);
        changes.extend(new.map(|(place, row)| RowChange { place, before: None, after: row.clone() }));
        self.rows_before = self.table.rows.len();
        changes
    }

    /// Takes back the last block, whose changes these are.
    pub(super) fn undo(&mut self, changes: &[RowChange]) {
        for RowChange { place, before, after } in changes.iter().rev() {
            assert_eq!(self.table.row(*place), Some(after), "row {place} is not as the delta left it");
            self.table.put_back(*place, before.clone());
        }
        self.rows_before = self.table.rows.len();
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
                        match writer.table().get(&key) {
                            None => writer.insert(writer.table().witness(&key).unwrap(), &key, &value(to)),
                            Some(_) => writer.set(&key, &value(to)),
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
                writer.rows_before = writer.table.len();
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
