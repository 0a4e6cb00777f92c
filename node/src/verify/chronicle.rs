//! What the ledger must be, by replaying it with the slow oracle: shared by all directories of one network.
//!
//! ```text
//! block h of the first directory   ── oracle ──> Chapter h: roots, outcomes, delta digest
//! block h of the other directories ── same digest? ──> the same chapter, or a fork
//! ```
//!
//! A block's digest commits to its parent and, through its certificates, to every byte of its batches: blocks with
//! one digest have one past and one result, so each is executed once however many directories hold it.

use std::collections::{BTreeMap, BTreeSet};

use engine::execute::AccountState;
use engine::limits::ROOT_LAG_MAX;
use engine::roots::{ChainEntry, OracleLedger};
use engine::types::{
    AccountId, BatchId, ChainId, Digest, Genesis, Height, Outcome, Packet, Sequence, ValidatorIndex,
};
use engine::wire::{Batch, Block, Writer};

use super::{Visitor, Wrong};

/// What a height did.
pub(super) struct Chapter {
    pub digest: Digest,
    pub state_root: Digest,
    pub delta_digest: Digest,
    pub entries: Vec<ChainEntry>,
    /// By chain of the genesis: the transactions that did not apply, by place.
    pub failures: Vec<Vec<(u32, Outcome)>>,
    view: u64,
    time_ms: u64,
}

impl Chapter {
    /// Transactions of the block, failed ones included.
    pub(super) fn transactions(&self) -> u64 {
        self.entries.iter().map(|entry| entry.transactions).sum()
    }

    /// Tells of every transaction, given the block's batches in the order of its certificates.
    pub(super) fn tell(&self, height: Height, batches: &[Batch], visit: &mut Visitor<'_>) {
        for (entry, failures) in self.entries.iter().zip(&self.failures) {
            let mine = batches.iter().filter(|batch| batch.id().chain == entry.chain);
            let mut failed = failures.iter().peekable();
            for (place, packet) in (0..).zip(mine.flat_map(Batch::packets)) {
                let failure = failed.next_if(|(at, _)| *at == place);
                visit(height, packet, failure.map_or(Outcome::Applied, |(_, outcome)| *outcome));
            }
        }
    }
}

/// The replayed heights, from 1 without gaps.
pub(super) struct Chronicle {
    network: Digest,
    oracle: OracleLedger,
    chapters: Vec<Chapter>,
    /// The first height whose state root no header has carried yet.
    roots_next: Height,
    next: BTreeMap<(ChainId, ValidatorIndex), Sequence>,
}

impl Chronicle {
    /// The beginning of a network.
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self {
            network: *genesis.network(),
            oracle: OracleLedger::genesis(genesis),
            chapters: Vec::new(),
            roots_next: Height(1),
            next: BTreeMap::new(),
        }
    }

    /// The chapter of a height that has been replayed.
    pub(super) fn chapter(&self, height: Height) -> Option<&Chapter> {
        self.chapters.get(usize::try_from(height.0.checked_sub(1)?).ok()?)
    }

    /// Whether the block with this digest has been replayed at this height.
    pub(super) fn knows(&self, height: Height, digest: &Digest) -> bool {
        self.chapter(height).is_some_and(|chapter| chapter.digest == *digest)
    }

    /// The sum of all balances of each chain after the last replayed height.
    pub(super) fn supply(&self) -> Vec<(ChainId, u128)> {
        self.oracle.oracles().map(|(chain, oracle)| (chain, oracle.balances())).collect()
    }

    /// Replays the block after `parent`, the height before it in the same directory, or finds it replayed already.
    /// `batches` are those of its certificates, in their order.
    pub(super) fn read(&mut self, block: &Block, batches: &[Batch]) -> Result<&Chapter, Wrong> {
        let height = block.height();
        if self.chapter(height).is_none() {
            self.follows(block)?;
            let chapter = self.execute(block, batches);
            self.roots_next.0 += block.header().roots.len() as u64;
            for certificate in block.certificates() {
                let BatchId { chain, author, sequence } = certificate.batch();
                self.next.insert((chain, author), sequence.next());
            }
            self.chapters.push(chapter);
        }
        let chapter = self.chapter(height).expect("replayed now or before");
        if chapter.digest != *block.digest() {
            return Err(Wrong::fork(
                format!("the block at height {height}"),
                format!("{}, as in another directory", chapter.digest),
                block.digest(),
            ));
        }
        Ok(chapter)
    }

    /// Whether a block that was never seen may stand above the last chapter.
    fn follows(&self, block: &Block) -> Result<(), Wrong> {
        let header = block.header();
        let what = format!("the block at height {}", header.height);
        let wrong = |expected: String, found: String| Err(Wrong::new(&what, expected, found));
        let (parent, view, time_ms) = match self.chapters.last() {
            Some(chapter) => (chapter.digest, chapter.view, chapter.time_ms),
            None => (self.network, 0, 0),
        };
        if header.parent != parent {
            return wrong(format!("the parent {parent}"), format!("the parent {}", header.parent));
        }
        if header.view <= view {
            return wrong(format!("a view above {view}"), format!("view {}", header.view));
        }
        if header.time_ms < time_ms {
            return wrong(format!("a time from {time_ms} on"), format!("time {}", header.time_ms));
        }
        if header.roots_first != self.roots_next {
            let expected = format!("state roots from height {} on", self.roots_next);
            return wrong(expected, format!("from height {} on", header.roots_first));
        }
        for (height, root) in (header.roots_first.0..).map(Height).zip(&header.roots) {
            let ours = self.chapter(height).map(|chapter| chapter.state_root);
            if ours != Some(*root) {
                let expected = ours.map_or("no root yet".to_owned(), |ours| ours.to_string());
                return wrong(format!("at height {height} the state root {expected}"), root.to_string());
            }
        }
        let carried = header.roots_first.0 + header.roots.len() as u64 - 1;
        if header.height.0 - carried > ROOT_LAG_MAX {
            let expected = format!("the state roots up to height {}", header.height.0 - ROOT_LAG_MAX);
            return wrong(expected, format!("those up to height {carried}"));
        }
        for certificate in block.certificates() {
            let BatchId { chain, author, sequence } = certificate.batch();
            // Several batches of one stream in one block follow each other.
            let in_block = block.certificates_of(chain).iter().map(|other| other.batch());
            let before = in_block.filter(|other| other.author == author && other.sequence < sequence).count();
            let next = self.next.get(&(chain, author)).map_or(1, |next| next.0) + before as u64;
            if sequence.0 != next {
                let expected = format!("sequence {next} of author {author} on chain {chain}");
                return wrong(expected, format!("sequence {sequence}"));
            }
        }
        Ok(())
    }

    fn execute(&mut self, block: &Block, batches: &[Batch]) -> Chapter {
        let height = block.height();
        let packets = |chain: ChainId| -> Vec<&Packet> {
            batches.iter().filter(|batch| batch.id().chain == chain).flat_map(Batch::packets).collect()
        };
        let before: Vec<_> = self
            .oracle
            .oracles()
            .map(|(chain, oracle)| {
                let packets = packets(chain);
                let named: BTreeSet<AccountId> =
                    packets.iter().flat_map(|packet| [packet.debit(), packet.credit()]).collect();
                named.into_iter().filter_map(|id| Some((id, oracle.account_state(id)?))).collect::<Vec<_>>()
            })
            .collect();
        let executed = self.oracle.execute(height, packets);
        let mut deltas = Vec::new();
        let mut failures = Vec::new();
        for (((chain, oracle), outcomes), before) in
            self.oracle.oracles().zip(&executed.outcomes).zip(&before)
        {
            let changes: Vec<(AccountId, AccountState)> = before
                .iter()
                .filter_map(|(id, before)| {
                    Some((*id, oracle.account_state(*id)?)).filter(|(_, after)| after != before)
                })
                .collect();
            deltas.push(delta_digest(chain, height, outcomes, &changes));
            let failed = (0..).zip(outcomes).filter(|(_, outcome)| **outcome != Outcome::Applied);
            failures.push(failed.map(|(place, outcome)| (place, *outcome)).collect());
        }
        let header = block.header();
        Chapter {
            digest: *block.digest(),
            state_root: *executed.state_root.digest(),
            delta_digest: combined(&deltas),
            entries: executed.state_root.entries().to_vec(),
            failures,
            view: header.view,
            time_ms: header.time_ms,
        }
    }
}

/// What [`engine::execute::Delta::digest`] says of one chain, from the oracle's side.
fn delta_digest(
    chain: ChainId,
    height: Height,
    outcomes: &[Outcome],
    changes: &[(AccountId, AccountState)],
) -> Digest {
    let mut writer = Writer::new();
    writer.u32(chain.0).u64(height.0).count(outcomes.len());
    for outcome in outcomes {
        writer.u8(outcome.code());
    }
    writer.count(changes.len());
    for (account, after) in changes {
        writer.u64(account.0).u64(after.balance).u64(after.window.base).u64(after.window.used);
    }
    Digest(kernels::sha2::sha256(&writer.finish()))
}

/// The delta digests of all chains as one.
fn combined(deltas: &[Digest]) -> Digest {
    let parts: Vec<&[u8]> = deltas.iter().map(|digest| digest.0.as_slice()).collect();
    Digest(kernels::sha2::sha256_parts(&parts))
}
