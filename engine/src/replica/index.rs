//! Where in the journal the committed blocks stand: eight bytes each, because heights have no gaps.
//!
//! A committed block's record says where its batches stand, so nothing else needs an index. Where the journal was
//! pruned at a checkpoint, the index begins with the record of that height. This record is still there; its batches may
//! be gone.

use std::collections::VecDeque;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::store::Position;
use crate::types::Height;

/// Positions of the committed blocks' records. Written by the committer's host, read by queries and for peers.
#[derive(Debug, Default)]
pub struct BlockIndex(RwLock<Positions>);

/// Where the records of heights without gaps stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// The height of the checkpoint at which the journal was pruned; 0 where it never was.
    pub base: Height,
    /// From the base on, or from height 1.
    pub records: VecDeque<Position>,
}

impl Positions {
    /// The height of the first of them.
    #[must_use]
    pub fn first(&self) -> Height {
        Height(self.base.0.max(1))
    }

    /// The last height; 0 where there is none.
    #[must_use]
    pub fn last(&self) -> Height {
        Height((self.first().0 - 1).saturating_add(self.records.len() as u64))
    }

    fn of(&self, height: Height) -> Option<Position> {
        let at = height.0.checked_sub(self.first().0)?;
        self.records.get(usize::try_from(at).ok()?).copied()
    }
}

impl BlockIndex {
    /// An index of the heights whose records stand at these positions.
    #[must_use]
    pub fn restored(positions: Positions) -> Self {
        Self(RwLock::new(positions))
    }

    fn read(&self) -> RwLockReadGuard<'_, Positions> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the records up to a height stand.
    #[must_use]
    pub fn until(&self, height: Height) -> Positions {
        let all = self.read();
        let count = (height.0 + 1).saturating_sub(all.first().0).min(all.records.len() as u64) as usize;
        Positions { base: all.base, records: all.records.range(..count).copied().collect() }
    }

    /// The record of the next height stands at `position`, durably.
    ///
    /// # Panics
    /// `height` is not the next one.
    pub fn committed(&self, height: Height, position: Position) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(all.last().next(), height, "blocks are committed in order, each once");
        all.records.push_back(position);
    }

    /// The journal is pruned at the checkpoint of a committed height: what stands below is not looked for any more.
    pub fn prune(&self, base: Height) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if base > all.base && base <= all.last() {
            let gone = (base.0 - all.first().0) as usize;
            all.records.drain(..gone);
            all.base = base;
        }
    }

    /// What stands below a position of the journal was released: the same, where no checkpoint says at which height.
    pub fn prune_below(&self, released: Position) {
        let (first, gone) = {
            let all = self.read();
            (all.first(), all.records.partition_point(|position| *position < released))
        };
        if gone > 0 {
            self.prune(Height(first.0 + gone as u64));
        }
    }

    /// Where the record of a height stands.
    #[must_use]
    pub fn position(&self, height: Height) -> Option<Position> {
        self.read().of(height)
    }

    /// The first height whose record stands at a position or behind it; the next one where none does.
    #[must_use]
    pub fn first_from(&self, position: Position) -> Height {
        let all = self.read();
        let before = all.records.partition_point(|record| *record < position);
        Height(all.first().0 + before as u64)
    }

    /// The height at whose checkpoint the journal was pruned; 0 where it never was. Blocks above it are here with their
    /// batches, and of its own the record is.
    #[must_use]
    pub fn base(&self) -> Height {
        self.read().base
    }

    /// The first height that is here with its batches: 1 unless the journal was pruned.
    #[must_use]
    pub fn kept_from(&self) -> Height {
        self.base().next()
    }

    /// The last committed height.
    #[must_use]
    pub fn height(&self) -> Height {
        self.read().last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64) -> Position {
        Position::from_raw(position)
    }

    #[test]
    fn what_is_committed_is_found_and_nothing_else() {
        let index = BlockIndex::default();
        index.committed(Height(1), at(7));
        assert_eq!(index.position(Height(1)), Some(at(7)));
        assert_eq!((index.position(Height(0)), index.position(Height(2))), (None, None));
        assert_eq!((index.height(), index.base()), (Height(1), Height(0)));
    }

    #[test]
    fn what_was_pruned_is_not_found_and_the_rest_is() {
        let index = BlockIndex::default();
        (1..=9).for_each(|height| index.committed(Height(height), at(10 * height)));
        for (base, first) in [(1, 1), (4, 4), (3, 4), (9, 9), (10, 9)] {
            index.prune(Height(base));
            assert_eq!(index.base(), Height(first), "pruned at {base}");
            let found: Vec<_> = (0..=10).filter_map(|height| index.position(Height(height))).collect();
            assert_eq!(found, (first..=9).map(|height| at(10 * height)).collect::<Vec<_>>());
            assert_eq!(index.height(), Height(9));
        }
        index.committed(Height(10), at(100));
        let from = [89, 90, 91, 100, 101].map(|position| index.first_from(at(position)));
        assert_eq!(from, [9, 9, 10, 10, 11].map(Height));
        index.prune_below(at(90));
        assert_eq!(index.base(), Height(9), "its record is still there");
        let copy = index.until(Height(9));
        assert_eq!((copy.first(), copy.last(), copy.records.len()), (Height(9), Height(9), 1));
        assert_eq!(BlockIndex::restored(copy).position(Height(9)), Some(at(90)));
        assert!(index.until(Height(8)).records.is_empty());
    }

    #[test]
    #[should_panic(expected = "in order")]
    fn a_height_is_committed_once() {
        let index = BlockIndex::default();
        index.committed(Height(1), at(7));
        index.committed(Height(1), at(9));
    }
}
