//! The table of a chain: rows by key, for what is not an account.
//!
//! ```text
//! place   0            1           2           3            in the order of registration; nothing is ever taken out
//! key     00..         7f..        1c..        e2..
//! next    1c..         e2..        7f..        00..         the next higher key, or zero: a list in the order of keys
//! value   -            ..          ..          ..
//! ```
//!
//! The row of key zero is there from the beginning in each chain whose kind has a table. So for each key that is not
//! there, exactly one row shows it: its key is lower, and its next one higher or zero. That is an *indexed Merkle tree*
//! once the rows are leaves.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use crate::chains::{Rules, of_kind};
use crate::types::ChainKind;

/// A key; the zero key is that of the first row.
pub type Key = [u8; 32];

const FIRST_KEY: Key = [0; 32];

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: Key,
    /// The next higher key of the table, or zero.
    pub next: Key,
    /// What the kind of the chain keeps there. Shared with those who read the table.
    pub value: Arc<[u8]>,
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

/// The rows, and how to find one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    rows: Vec<Row>,
    places: BTreeMap<Key, u32>,
}

impl Table {
    /// The table of a chain whose kind has one, without anything in it.
    pub fn empty() -> Self {
        let first = Row { key: FIRST_KEY, next: FIRST_KEY, value: Arc::default() };
        Self { rows: vec![first], places: BTreeMap::from([(FIRST_KEY, 0)]) }
    }

    /// The table of a chain of this kind at its beginning.
    pub fn of_kind(kind: ChainKind) -> Self {
        of_kind!(kind, Kind => Kind::table())
    }

    /// The rows of a table, in their order. Those who read them from outside compare the root with the network's before
    /// relying on them.
    pub fn restore(rows: Vec<Row>) -> Self {
        let places = rows.iter().zip(0..).map(|(row, place)| (row.key, place)).collect();
        Self { rows, places }
    }

    /// How many rows, the first one included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row: the kind of the chain has no table.
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
    pub fn get(&self, key: &Key) -> Option<&Arc<[u8]>> {
        self.places.get(key).map(|place| &self.rows[*place as usize].value)
    }

    /// The place of the row that says what there is of a key: its own, or the one that shows that there is none.
    pub fn witness(&self, key: &Key) -> Option<u32> {
        self.places.range::<Key, _>(..=key).next_back().map(|(_, place)| *place)
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
                    self.places.insert(after.key, *place);
                    self.rows.push(after.clone());
                }
            }
        }
    }

    fn undo(&mut self, changes: &[RowChange]) {
        for RowChange { place, before, after } in changes.iter().rev() {
            assert_eq!(self.row(*place), Some(after), "row {place} is not as the delta left it");
            self.put_back(*place, before.clone());
        }
    }

    fn put_back(&mut self, place: u32, before: Option<Row>) {
        match before {
            Some(row) => self.rows[place as usize] = row,
            None => {
                let row = self.rows.pop().expect("it was made");
                assert_eq!(self.rows.len(), place as usize, "rows are taken back from the last one on");
                self.places.remove(&row.key);
            }
        }
    }
}

/// A table that remembers what a block, and what a transaction of it, has changed.
#[derive(Debug)]
pub(crate) struct TableWriter {
    table: Table,
    /// The rows that the block has touched, as they were before it.
    block: BTreeMap<u32, Option<Row>>,
    /// What the transaction has touched, each time as it was then.
    transaction: Vec<(u32, Option<Row>)>,
}

impl TableWriter {
    pub(super) fn new(table: Table) -> Self {
        Self { table, block: BTreeMap::new(), transaction: Vec::new() }
    }

    /// The rows as they are now.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// A new row.
    ///
    /// # Panics
    /// There is one with this key; or the chain's kind has no table.
    pub(crate) fn insert(&mut self, key: Key, value: Arc<[u8]>) {
        let before = self.table.witness(&key).expect("the kind of this chain has a table");
        let place = self.table.rows.len() as u32;
        self.note(before);
        self.note(place);
        let next = std::mem::replace(&mut self.table.rows[before as usize].next, key);
        self.table.rows.push(Row { key, next, value });
        let was_there = self.table.places.insert(key, place).is_some();
        assert!(!was_there, "a key has one row");
    }

    /// Another value for a key.
    ///
    /// # Panics
    /// There is no row with this key.
    pub(crate) fn set(&mut self, key: &Key, value: Arc<[u8]>) {
        let place = self.table.places[key];
        self.note(place);
        self.table.rows[place as usize].value = value;
    }

    fn note(&mut self, place: u32) {
        let before = self.table.row(place).cloned();
        self.block.entry(place).or_insert_with(|| before.clone());
        self.transaction.push((place, before));
    }

    /// The transaction has done what it says.
    pub(crate) fn keep(&mut self) {
        self.transaction.clear();
    }

    /// The transaction fails: everything is as it was before it.
    pub(crate) fn take_back(&mut self) {
        // A place that was touched twice gets its oldest row last.
        while let Some((place, before)) = self.transaction.pop() {
            self.table.put_back(place, before);
        }
    }

    /// The rows that differ from before the block, ascending; forgets them.
    pub(super) fn drain(&mut self) -> Vec<RowChange> {
        debug_assert!(self.transaction.is_empty(), "each transaction keeps or takes back");
        let touched = std::mem::take(&mut self.block).into_iter();
        let change = |(place, before): (u32, Option<Row>)| {
            // A row that was made and taken back is not there.
            let after = self.table.row(place)?.clone();
            (before.as_ref() != Some(&after)).then_some(RowChange { place, before, after })
        };
        touched.filter_map(change).collect()
    }

    pub(super) fn undo(&mut self, changes: &[RowChange]) {
        self.table.undo(changes);
    }
}

/// Whether a row shows that there is none with this key.
pub fn shows_absence(row: (&Key, &Key), key: &Key) -> bool {
    let (own, next) = row;
    own < key && (key < next || *next == FIRST_KEY)
}

impl Table {
    /// Whether the list of keys is in order: the definition of a table, for tests and restored rows.
    pub fn is_in_order(&self) -> bool {
        let next = |key: &Key| {
            self.places.range::<Key, _>((Excluded(key), Unbounded)).next().map_or(FIRST_KEY, |at| *at.0)
        };
        self.places.len() == self.rows.len() && self.rows.iter().all(|row| row.next == next(&row.key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(byte: u8) -> Arc<[u8]> {
        Arc::from([byte])
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
                            None => writer.insert(key, value(to)),
                            Some(_) => writer.set(&key, value(to)),
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
                writer.table.follow(&changes);
                for key in 1..40 {
                    let key = [key; 32];
                    let witness = reader.row(reader.witness(&key).unwrap()).unwrap();
                    let there = reader.get(&key).is_some();
                    prop_assert_eq!(there, witness.key == key);
                    prop_assert_eq!(!there, shows_absence((&witness.key, &witness.next), &key));
                }
            }
        }
    }
}
