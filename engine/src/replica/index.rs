//! Where in the journal the committed blocks stand: eight bytes each, because heights have no gaps.
//!
//! A committed block's record says where its batches stand, so nothing else needs an index.

use std::sync::{PoisonError, RwLock};

use crate::store::Position;
use crate::types::Height;

/// Positions of the committed blocks' records. Written by the committer's host, read by queries and for peers.
#[derive(Debug, Default)]
pub struct BlockIndex {
    blocks: RwLock<Vec<Position>>,
}

impl BlockIndex {
    /// An index of the heights from 1 on whose records stand at these positions.
    #[must_use]
    pub fn restored(positions: Vec<Position>) -> Self {
        Self { blocks: RwLock::new(positions) }
    }

    /// Where the records up to a height stand, from height 1 on.
    #[must_use]
    pub fn until(&self, height: Height) -> Vec<Position> {
        let blocks = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
        blocks[..blocks.len().min(height.0 as usize)].to_vec()
    }

    /// The record of the next height stands at `position`, durably.
    ///
    /// # Panics
    /// `height` is not the next one.
    pub fn committed(&self, height: Height, position: Position) {
        let mut blocks = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(blocks.len() as u64 + 1, height.0, "blocks are committed in order, each once");
        blocks.push(position);
    }

    /// Where the record of a height stands.
    #[must_use]
    pub fn position(&self, height: Height) -> Option<Position> {
        let at = usize::try_from(height.0).ok()?.checked_sub(1)?;
        self.blocks.read().unwrap_or_else(PoisonError::into_inner).get(at).copied()
    }

    /// The last committed height.
    #[must_use]
    pub fn height(&self) -> Height {
        Height(self.blocks.read().unwrap_or_else(PoisonError::into_inner).len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_is_found_and_nothing_else() {
        let index = BlockIndex::default();
        index.committed(Height(1), Position::from_raw(7));
        assert_eq!(index.position(Height(1)), Some(Position::from_raw(7)));
        assert_eq!((index.position(Height(0)), index.position(Height(2))), (None, None));
        assert_eq!(index.height(), Height(1));
    }

    #[test]
    #[should_panic(expected = "in order")]
    fn a_height_is_committed_once() {
        let index = BlockIndex::default();
        index.committed(Height(1), Position::from_raw(7));
        index.committed(Height(1), Position::from_raw(9));
    }
}
