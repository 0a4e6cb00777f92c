//! What a vote to finalize promises, looked up on the disk: block, unfinalized ancestors and bodies are durable there.

use std::collections::{BTreeMap, BTreeSet};

use engine::replica::{KIND_BATCH, KIND_BLOCK};
use engine::store::simulated::{Fate, SimulatedDisk, SimulatedLog};
use engine::store::{LogKind, StoreError};
use engine::types::{Digest, Head};
use engine::wire::{Batch, Block};

use crate::disks::options;
use crate::rules::Rule;
use crate::world::World;

/// One vote in so many is looked up: reading a whole disk is slow.
const ONE_IN: u64 = 8;

/// What would be found if the power went now.
struct Found {
    blocks: BTreeSet<Digest>,
    /// Batches, and the head before each.
    batches: BTreeMap<Digest, Head>,
}

impl Found {
    fn on(disk: &SimulatedDisk, network: &Digest) -> Result<Self, StoreError> {
        let disk = disk.copy();
        disk.crash(|| Fate::Lost);
        let (_log, records) = SimulatedLog::open(&disk, &options(network.0, LogKind::Journal))?;
        let mut found = Self { blocks: BTreeSet::new(), batches: BTreeMap::new() };
        for record in records {
            let record = record?;
            if record.kind == KIND_BLOCK {
                found.blocks.extend(Block::decode(&record.bytes).ok().map(|block| *block.digest()));
            } else if record.kind == KIND_BATCH
                && let Ok(batch) = Batch::decode(network, record.bytes.to_vec().into())
            {
                found.batches.insert(*batch.digest(), batch.previous());
            }
        }
        Ok(found)
    }

    /// The first batch of `(from, to]` that is not there.
    fn gap(&self, from: &Head, to: &Head) -> Option<Head> {
        let mut head = *to;
        while head.sequence > from.sequence {
            let Some(previous) = self.batches.get(&head.digest) else { return Some(head) };
            head = *previous;
        }
        None
    }
}

impl World {
    /// An honest validator votes to finalize.
    pub(crate) fn check_held(&mut self, node: usize, view: u64, digest: &Digest) {
        let sampled = (view + node as u64).is_multiple_of(ONE_IN);
        let seldom = self.script.is_empty() || self.plan.fast;
        if !sampled && seldom && self.rule != Some(Rule::CertifyWaits) {
            return;
        }
        let Some(running) = &self.nodes[node].running else { return };
        let finalized = running.replica.finalized();
        let mut branch = Vec::new();
        let mut next = self.blocks.get(digest);
        // A block that nobody has sent, or whose end of the branch nobody has sent, cannot be followed.
        let base = loop {
            let Some(block) = next else { return };
            if block.height() <= finalized {
                break block;
            }
            branch.push(block);
            if block.height().0 == 1 {
                return;
            }
            next = self.blocks.get(&block.header().parent);
        };
        let Some(top) = branch.first() else { return };
        let what = match Found::on(&self.nodes[node].disks.journal, &self.environment.network()) {
            Err(error) => Some(error.to_string()),
            Ok(found) => {
                let block = branch.iter().find(|block| !found.blocks.contains(block.digest()));
                let block = block.map(|block| format!("the block at height {} is", block.height()));
                // Streams begin anew in each epoch.
                let begins = vec![Head::NONE; top.cut().len()];
                let is_same = base.header().epoch == top.header().epoch;
                let mut heads = if is_same { base.cut() } else { &begins[..] }.iter().zip(top.cut());
                block.or_else(|| {
                    let gap = heads.find_map(|(from, to)| found.gap(from, to))?;
                    Some(format!("batch {:.12} is", gap.digest))
                })
            }
        };
        if let Some(what) = what {
            let what = format!("held: v{node} votes to finalize view {view}, and {what} not on its disk");
            self.checks.violation(self.now, what);
        }
    }
}
