//! The validator's journal, for the auditor.

use engine::audit::{Committed, CommittedChain, Entry, JournalFormat, Wrong};
use engine::replica::{Boot, ChainRecord, CommittedBlock, KIND_BATCH, KIND_BLOCK, KIND_BOOT, KIND_COMMITTED};
use engine::types::Digest;
use engine::wire::{Batch, Block};

/// Reads what [`engine::replica`] writes, in this network.
pub(super) struct Records(pub Digest);

impl JournalFormat for Records {
    fn read(&self, kind: u8, bytes: Vec<u8>) -> Result<Entry, Wrong> {
        match kind {
            KIND_BATCH => Batch::decode(&self.0, bytes.into())
                .map(Entry::Batch)
                .map_err(|error| Wrong::new("a batch", "the encoding of a batch", error)),
            KIND_COMMITTED => committed(&bytes).map(|block| Entry::Committed(Box::new(block))),
            KIND_BLOCK => Block::decode(&bytes)
                .map(Entry::Block)
                .map_err(|error| Wrong::new("a proposed block", "the encoding of a block", error)),
            KIND_BOOT => Boot::decode(&bytes)
                .map(|_| Entry::Boot)
                .map_err(|error| Wrong::new("a start", "the encoding of its record", error)),
            kind => Err(Wrong::new("a record", "a batch, a block, a committed block or a start", kind)),
        }
    }
}

fn committed(bytes: &[u8]) -> Result<Committed, Wrong> {
    let record = CommittedBlock::decode(bytes)
        .map_err(|error| Wrong::new("a committed block", "the encoding of its record", error))?;
    let block = Block::decode(&record.block).map_err(|error| {
        Wrong::new(format!("the block at height {}", record.height), "the encoding of a block", error)
    })?;
    Ok(Committed {
        height: record.height,
        block,
        certificate: record.certificate,
        state_root: record.state_root,
        delta_digest: record.delta_digest,
        chains: record.chains.into_iter().map(chain).collect(),
    })
}

fn chain(record: ChainRecord) -> CommittedChain {
    let ChainRecord { entry, failures, returned, effects } = record;
    CommittedChain { entry, failures, returned, effects }
}
