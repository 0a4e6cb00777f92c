//! Where in the journal batches and blocks stand: eight bytes each, because both are numbered without gaps.

use std::collections::BTreeMap;
use std::sync::RwLock;

use engine::store::Position;
use engine::types::{BatchId, ChainId, Height, ValidatorIndex};

/// The positions of a stream's batches by sequence, from 1; `None` where one is not here.
type StreamPositions = Vec<Option<Position>>;

/// Positions of the journal's records. Written by the core (batches) and the executor (blocks), read by queries and peers.
#[derive(Debug, Default)]
pub struct JournalIndex {
    batches: RwLock<BTreeMap<(ChainId, ValidatorIndex), StreamPositions>>,
    blocks: RwLock<Vec<Position>>,
}

impl JournalIndex {
    /// A batch stands at `position`. A batch written twice is found where it was written last.
    pub fn batch(&self, batch: BatchId, position: Position) {
        let mut batches = self.batches.write().expect("no panic while held");
        let stream = batches.entry((batch.chain, batch.author)).or_default();
        let at = batch.sequence.0 as usize - 1;
        if stream.len() <= at {
            stream.resize(at + 1, None);
        }
        stream[at] = Some(position);
    }

    /// The committed block of the next height stands at `position`.
    pub fn block(&self, height: Height, position: Position) {
        let mut blocks = self.blocks.write().expect("no panic while held");
        assert_eq!(blocks.len() as u64 + 1, height.0, "blocks are recorded in order, each once");
        blocks.push(position);
    }

    /// Where a batch stands.
    #[must_use]
    pub fn batch_position(&self, batch: &BatchId) -> Option<Position> {
        let batches = self.batches.read().expect("no panic while held");
        let at = usize::try_from(batch.sequence.0).ok()?.checked_sub(1)?;
        *batches.get(&(batch.chain, batch.author))?.get(at)?
    }

    /// Where the block of a height stands.
    #[must_use]
    pub fn block_position(&self, height: Height) -> Option<Position> {
        let at = usize::try_from(height.0).ok()?.checked_sub(1)?;
        self.blocks.read().expect("no panic while held").get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use engine::types::Sequence;

    use super::*;

    #[test]
    fn what_is_noted_is_found_and_nothing_else() {
        let index = JournalIndex::default();
        let id =
            |sequence| BatchId { chain: ChainId(1), author: ValidatorIndex(2), sequence: Sequence(sequence) };
        index.batch(id(3), Position::from_raw(300));
        index.batch(id(1), Position::from_raw(100));
        assert_eq!(index.batch_position(&id(3)), Some(Position::from_raw(300)));
        assert_eq!(index.batch_position(&id(2)), None, "a gap");
        assert_eq!(index.batch_position(&id(4)), None);
        assert_eq!(index.batch_position(&id(0)), None);
        index.block(Height(1), Position::from_raw(7));
        assert_eq!(index.block_position(Height(1)), Some(Position::from_raw(7)));
        assert_eq!((index.block_position(Height(0)), index.block_position(Height(2))), (None, None));
    }
}
