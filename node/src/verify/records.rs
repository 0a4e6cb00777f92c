//! The validator's journal, for the auditor.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use engine::audit::{
    BaseChain, BaseCheckpoint, BaseHandover, Committed, CommittedChain, Entry, Finding, FindingKind,
    JournalFormat, Wrong,
};
use engine::replica::{
    Boot, ChainRecord, CommittedBlock, CommonState, Evidence, FetchedState, KIND_BATCH, KIND_BLOCK,
    KIND_BOOT, KIND_COMMITTED, KIND_STATE,
};
use engine::store::{Owner, Position};
use engine::types::Digest;
use engine::wire::{Batch, Block};

use crate::network::STATE_FILE;
use crate::validator::checkpoints::Directory;

/// Reads what [`engine::replica`] writes, in this network.
pub(super) struct Records(pub Digest);

impl JournalFormat for Records {
    fn base_checkpoint(
        &self,
        data: &Path,
        owner: &Owner,
        first: Position,
    ) -> Result<Box<BaseCheckpoint>, Finding> {
        let directory = data.join("checkpoints");
        let damage = |file: PathBuf, expected: &str, found: String| Finding {
            kind: FindingKind::Damage,
            file,
            offset: 0,
            what: "the checkpoint at which the journal was pruned".into(),
            expected: expected.into(),
            found,
        };
        let files = Directory::of(&directory, self.0, owner.validator);
        let marks =
            files.marks().map_err(|error| damage(directory.clone(), "files", format!("{error:#}")))?;
        let oldest = marks.iter().find(|mark| mark.replay_from >= first);
        let oldest =
            oldest.ok_or_else(|| damage(directory.clone(), "a file", "none that can be used".into()))?;
        let file = files.file(oldest.height);
        let whole = |error: String| damage(file.clone(), "a whole checkpoint", error);
        let checkpoint = files.read(oldest.height, &mut |_| {}).map_err(|error| whole(error.to_string()))?;
        let base =
            base_of_checkpoint(&file, (checkpoint.common, checkpoint.evidence), checkpoint.replay_from);
        base.map_err(|error| whole(error.to_owned()))
    }

    fn origin_state(&self, archive: &Path) -> Result<Box<BaseCheckpoint>, Finding> {
        let file = archive.join(STATE_FILE);
        let damage = |found: String| Finding {
            kind: FindingKind::Damage,
            file: file.clone(),
            offset: 0,
            what: "the state from which the network was rebuilt".into(),
            expected: "the file that `millrace network rebuild` has made beside genesis.toml".into(),
            found,
        };
        let read = File::open(&file).and_then(|from| FetchedState::read(&self.0, BufReader::new(from)));
        let FetchedState { common, evidence } = read.map_err(|error| damage(error.to_string()))?;
        let base = base_of_checkpoint(&file, (common, evidence), Position::from_raw(0));
        base.map_err(|error| damage(error.to_owned()))
    }

    fn read(&self, kind: u8, bytes: Vec<u8>) -> Result<Entry, Wrong> {
        match kind {
            KIND_BATCH => Batch::decode(&self.0, bytes.into())
                .map(Entry::Batch)
                .map_err(|error| Wrong::new("a batch", "the encoding of a batch", error)),
            KIND_COMMITTED => committed(&bytes).map(|block| Entry::Committed(Box::new(block))),
            KIND_BLOCK => Block::decode(&bytes)
                .map(Entry::Block)
                .map_err(|error| Wrong::new("a proposed block", "the encoding of a block", error)),
            // What follows begins with a checkpoint, and the audit with that.
            KIND_STATE => committed(&bytes).map(|_| Entry::Fetched),
            KIND_BOOT => Boot::decode(&bytes)
                .map(|_| Entry::Boot)
                .map_err(|error| Wrong::new("a start", "the encoding of its record", error)),
            kind => Err(Wrong::new("a record", "a batch, a block, a committed block or a start", kind)),
        }
    }
}

/// What a checkpoint of this file says, for the auditor.
fn base_of_checkpoint(
    file: &Path,
    (common, evidence): (CommonState, Evidence),
    replay_from: Position,
) -> Result<Box<BaseCheckpoint>, &'static str> {
    let record = committed(&common.record.encode());
    let mut record = record.map_err(|_| "the block in its record cannot be read")?;
    if record.block.next_members().is_some() {
        record.certificate = evidence.last;
    }
    if common.handovers.len() != evidence.handovers.len() {
        return Err("the last blocks of epochs, and not a certificate for each");
    }
    let handovers = common.handovers.into_iter().zip(evidence.handovers);
    let handovers = handovers
        .map(|((block, members), certificate)| BaseHandover { block, certificate, members })
        .collect();
    let chains = common.chains.into_iter().map(|of| BaseChain {
        growth: of.growth,
        accounts: of.accounts.iter().copied().collect(),
        rows: of.slots.iter().map(|slot| slot.as_ref().map(|row| row.leaf().to_vec())).collect(),
        outbox: of.outbox,
    });
    let (file, chains, roots) = (file.to_owned(), chains.collect(), common.roots);
    Ok(Box::new(BaseCheckpoint { file, replay_from, record, handovers, roots, chains }))
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
        members: record.members,
        state_root: record.state_root,
        delta_digest: record.delta_digest,
        chains: record.chains.into_iter().map(chain).collect(),
    })
}

fn chain(record: ChainRecord) -> CommittedChain {
    let ChainRecord { entry, failures, returned, effects } = record;
    CommittedChain { entry, failures, returned, effects }
}
