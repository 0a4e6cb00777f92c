//! What the ledger must be, by replaying it with the slow oracle: shared by all directories of one network.
//!
//! ```text
//! block h of the first directory   ── oracle ──> Chapter h: roots, outcomes, delta digest
//! block h of the other directories ── same digest? ──> the same chapter, or a fork
//! ```
//!
//! A block's digest covers its parent and, through its cut, every byte of its batches. So blocks with one digest have
//! one past and one result, and each is executed once, however many directories hold it.
//!
//! Where a journal was pruned, the oracle begins with a checkpoint, whose accounts and rows must have the state root
//! that the network had. That root is in the record of the height, and later headers, which are final, must carry it.

use std::collections::BTreeMap;

use kernels::merkle::{ArrayTree, Frontier, leaf_hash};

use super::epochs::Epochs;
use super::records::{BaseCheckpoint, Committed, CommittedChain};
use super::{InFlight, Supply, Wrong};
use crate::execute::Growth;
use crate::execute::oracle::OracleOutcome;
use crate::limits::{BLOCK_BATCHES_MAX, BLOCK_PACKETS_MAX, PACKET_BYTES, ROOT_LAG_MAX};
use crate::roots::{ChainEntry, OracleLedger, PlainState};
use crate::types::{
    Asset, ChainGenesis, ChainId, Digest, Effect, Epoch, FIRST_KEY_VERSION, Genesis, Head, Height, Members,
    Outcome, Packet, PacketRun, TransactionId,
};
use crate::wire::{Batch, Block};

/// What a height did.
pub(super) struct Chapter {
    pub digest: Digest,
    pub state_root: Digest,
    pub delta_digest: Digest,
    /// What a record must say of each chain.
    chains: Vec<CommittedChain>,
    /// Who validates from the next height on, if the block is the last one of its epoch.
    next: Option<Members>,
    view: u64,
    time_ms: u64,
}

impl Chapter {
    /// Transactions of the block, failed ones included.
    pub(super) fn transactions(&self) -> u64 {
        self.chains.iter().map(|chain| chain.entry.transactions).sum()
    }

    /// Compares what a record says of the block's execution with what the oracle made of it.
    pub(super) fn compare(&self, record: &Committed) -> Result<(), Wrong> {
        let what = |part: &str| format!("{part} recorded at height {}", record.height);
        if record.chains.len() != self.chains.len() {
            let expected = format!("{} chains", self.chains.len());
            return Err(Wrong::new(what("the chains"), expected, record.chains.len()));
        }
        for (of_record, ours) in record.chains.iter().zip(&self.chains) {
            let CommittedChain { entry, failures, returned, effects } = ours;
            let part = |part: &str| what(&format!("{part} of chain {}", entry.chain));
            let recorded = &of_record.entry;
            if recorded.chain != entry.chain {
                let expected = format!("chain {}", entry.chain);
                return Err(Wrong::new(part("the place"), expected, recorded.chain));
            }
            if recorded.transactions != entry.transactions {
                let expected = entry.transactions.to_string();
                return Err(Wrong::new(part("the number of transactions"), expected, recorded.transactions));
            }
            if of_record.failures != *failures {
                let text = |list: &[(u32, Outcome)]| format!("{} that failed: {list:?}", list.len());
                return Err(Wrong::new(part("the outcomes"), text(failures), text(&of_record.failures)));
            }
            if of_record.returned != *returned {
                let text =
                    |list: &[(TransactionId, Outcome)]| format!("{} that went back: {list:?}", list.len());
                let what = part("the payments from other chains");
                return Err(Wrong::new(what, text(returned), text(&of_record.returned)));
            }
            if of_record.effects != *effects {
                let text = |list: &[Effect]| format!("{}: {list:?}", list.len());
                let what = part("what took effect by itself");
                return Err(Wrong::new(what, text(effects), text(&of_record.effects)));
            }
            if recorded.transactions_root != entry.transactions_root {
                let (expected, found) = (entry.transactions_root, recorded.transactions_root);
                return Err(Wrong::root(part("the transactions root"), expected, found));
            }
            if recorded.accounts_root != entry.accounts_root {
                let (expected, found) = (entry.accounts_root, recorded.accounts_root);
                return Err(Wrong::root(part("the accounts root"), expected, found));
            }
            if recorded != entry {
                return Err(Wrong::new(part("the entry"), format!("{entry:?}"), format!("{recorded:?}")));
            }
        }
        if record.members != self.next {
            let text = |members: &Option<Members>| match members {
                None => "none".to_owned(),
                Some(of) => format!(
                    "{} members of epoch {}, with the digest {}",
                    of.list.len(),
                    of.epoch,
                    of.digest()
                ),
            };
            return Err(Wrong::new(what("the next members"), text(&self.next), text(&record.members)));
        }
        if record.state_root != self.state_root {
            return Err(Wrong::root(what("the state root"), self.state_root, record.state_root));
        }
        if record.delta_digest != self.delta_digest {
            return Err(Wrong::root(what("the delta digest"), self.delta_digest, record.delta_digest));
        }
        Ok(())
    }

    /// Tells of every transaction that has its final outcome in this height, given the block's batches by author and
    /// sequence. What is sent to another chain waits in `in_flight` until it is decided there.
    pub(super) fn tell(
        &self,
        network: &Digest,
        batches: &[Batch],
        in_flight: &mut InFlight,
        visit: &mut dyn FnMut(PacketRun<'_>, Outcome),
    ) {
        // What came back to a chain in the height before is refunded now; what was sent in it arrives now, or comes
        // back.
        for (transaction, reason) in std::mem::take(&mut in_flight.returned).values() {
            visit(transaction.run(), *reason);
        }
        let mut arriving = std::mem::take(&mut in_flight.sent);
        for (id, reason) in self.chains.iter().flat_map(|chain| &chain.returned) {
            // What was sent before the audit begins is not known: it is counted where it was sent.
            if let Some(transaction) = arriving.remove(id) {
                in_flight.returned.insert(*id, (transaction, *reason));
            }
        }
        for transaction in arriving.values() {
            visit(transaction.run(), Outcome::Applied);
        }
        for CommittedChain { entry, failures, .. } in &self.chains {
            let mine = batches.iter().map(|batch| batch.packets_of(entry.chain));
            let mut failed = failures.iter().peekable();
            for (place, run) in (0..).zip(mine.flat_map(PacketRun::all)) {
                let failure = failed.next_if(|(at, _)| *at == place);
                match failure.map_or_else(|| Outcome::success(&run), |(_, outcome)| *outcome) {
                    Outcome::Sent => {
                        let transaction = run.transaction().expect("a verified batch holds transactions");
                        in_flight.sent.insert(run.id(network), transaction);
                    }
                    outcome => visit(run, outcome),
                }
            }
        }
    }
}

/// The replayed heights, without gaps: from 1 on, or from the height of a checkpoint.
pub(super) struct Chronicle {
    network: Digest,
    /// What the genesis put on each of its chains: money, and accounts.
    genesis: BTreeMap<ChainId, (u64, u64)>,
    oracle: OracleLedger,
    /// The height of the checkpoint with which it begins; 0 if it begins with the genesis.
    base: Height,
    /// How many accounts each chain had at earlier heights, as the checkpoint says. Not under the state root: only used
    /// to know which accounts there were when a batch was signed.
    growth: BTreeMap<ChainId, Growth>,
    /// State roots below the first chapter that headers may still carry.
    earlier_roots: BTreeMap<Height, Digest>,
    chapters: Vec<Chapter>,
    /// Who validates since when, up to the next block.
    epochs: Epochs,
    /// The first height whose state root no header has carried yet.
    roots_next: Height,
    /// How far each author's stream is taken in the epoch of the next block.
    cut: Vec<Head>,
    /// The tree over the digests of all blocks up to the last replayed one, with the network id before them.
    log: Log,
}

/// A tree over the digests of headers: a whole one, or the frontier of one whose beginning is not here.
enum Log {
    Whole(ArrayTree),
    Frontier(Frontier),
}

impl Log {
    fn append(&mut self, digest: &Digest) {
        let leaf = leaf_hash(&digest.0);
        match self {
            Self::Whole(tree) => tree.append(&[leaf]),
            Self::Frontier(frontier) => frontier.append(leaf),
        }
    }

    fn root(&self) -> [u8; 32] {
        match self {
            Self::Whole(tree) => tree.root(),
            Self::Frontier(frontier) => frontier.root(),
        }
    }
}

/// Why nobody can have signed a transaction.
pub(super) enum NoKey {
    /// There is no such chain, or was none at that height.
    Chain,
    /// There is no such account.
    Account {
        /// How many there are.
        accounts: u64,
    },
    /// The account has never had a key of this version, or not yet.
    Version,
}

/// What the genesis put on each of its chains: money, and accounts.
fn of_genesis(genesis: &Genesis) -> BTreeMap<ChainId, (u64, u64)> {
    let of = |chain: &ChainGenesis| (chain.supply().unwrap_or(0), chain.accounts.len() as u64);
    genesis.chains().iter().map(|chain| (chain.id, of(chain))).collect()
}

impl Chronicle {
    /// The beginning of a network.
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self {
            network: *genesis.network(),
            genesis: of_genesis(genesis),
            oracle: OracleLedger::genesis(genesis),
            base: Height(0),
            growth: BTreeMap::new(),
            earlier_roots: BTreeMap::new(),
            chapters: Vec::new(),
            epochs: Epochs::genesis(genesis),
            roots_next: Height(1),
            cut: vec![Head::NONE; genesis.validators().len()],
            log: Log::Whole(ArrayTree::new(vec![leaf_hash(&genesis.network().0)])),
        }
    }

    /// The beginning with a checkpoint: with what its accounts and rows say, if they have the state root that its
    /// record names. `epochs` are those up to that of its block.
    pub(super) fn from_checkpoint(
        genesis: &Genesis,
        base: &BaseCheckpoint,
        mut epochs: Epochs,
    ) -> Result<Self, Wrong> {
        let BaseCheckpoint { record, roots, chains, .. } = base;
        let (height, header) = (record.height, record.block.header());
        let what = |part: &str| format!("{part} of the checkpoint of height {height}");
        if record.block.height() != height || header.roots_first.0 == 0 {
            return Err(Wrong::new(what("the block"), "the block of its record", record.block.height()));
        }
        let begins = (height, *record.block.digest(), record.state_root);
        let origin = genesis.origin().filter(|origin| height <= origin.height);
        if let Some(origin) = origin.filter(|of| begins != (of.height, of.block, of.state_root)) {
            let expected = format!("that of height {}, from which the network was rebuilt", origin.height);
            return Err(Wrong::new(what("the state root"), expected, record.state_root));
        }
        if chains.len() != record.chains.len() {
            return Err(Wrong::new(what("the chains"), record.chains.len().to_string(), chains.len()));
        }
        let states = chains.iter().zip(&record.chains).map(|(of, record)| PlainState {
            entry: record.entry,
            accounts: of.accounts.clone(),
            rows: of.rows.iter().map(Option::as_deref).collect(),
            outbox: &of.outbox,
        });
        let oracle = OracleLedger::restore(genesis, height, states, &record.state_root)
            .map_err(|error| Wrong::new(what("the state"), "the state that the network had", error))?;
        let decided = oracle.decided_members();
        let present = decided.as_ref().map_or(Epoch(0), |(at, set)| match *at < header.roots_first {
            true => set.epoch,
            false => Epoch(set.epoch.0.saturating_sub(1)),
        });
        let are_present = |(_, set): &(Height, Members)| set.epoch > present || set == epochs.members();
        let members = epochs.members();
        let are_those = members.epoch == present && decided.as_ref().is_none_or(are_present);
        if present != header.epoch || header.cut.len() != members.list.len() || !are_those {
            let expected = format!("those of epoch {present}, which its state has");
            let found = format!("{} of epoch {}", members.list.len(), members.epoch);
            return Err(Wrong::new(what("the validators"), expected, found));
        }
        let next = epochs.due(header, decided)?;
        let first = (height.0 + 1).checked_sub(roots.len() as u64).filter(|first| *first > 0);
        let first = first
            .filter(|_| roots.last() == Some(&record.state_root))
            .ok_or_else(|| Wrong::new(what("the roots"), "the last ones up to the height", roots.len()))?;
        let mut log = header.log.clone();
        log.append(leaf_hash(&record.block.digest().0));
        let growth =
            record.chains.iter().zip(chains).map(|(of, chain)| (of.entry.chain, chain.growth.clone()));
        let chapter = Chapter {
            digest: *record.block.digest(),
            state_root: record.state_root,
            delta_digest: record.delta_digest,
            chains: record.chains.clone(),
            next: next.clone(),
            view: header.view,
            time_ms: header.time_ms,
        };
        chapter.compare(record)?;
        let cut = record.block.cut_after(next.as_ref());
        if let Some(next) = next {
            epochs.begin(next);
        }
        Ok(Self {
            network: *genesis.network(),
            genesis: of_genesis(genesis),
            oracle,
            base: height,
            growth: growth.collect(),
            earlier_roots: (first..).map(Height).zip(roots.iter().copied()).collect(),
            chapters: vec![chapter],
            epochs,
            roots_next: Height(header.roots_first.0 + header.roots.len() as u64),
            cut,
            log: Log::Frontier(log),
        })
    }

    /// The height of the checkpoint with which it begins; 0 if it begins with the genesis.
    pub(super) fn base(&self) -> Height {
        self.base
    }

    /// The network.
    pub(super) fn network(&self) -> &Digest {
        &self.network
    }

    /// The validators of an epoch that has begun.
    pub(super) fn members_of(&self, epoch: Epoch) -> Option<&Members> {
        self.epochs.of(epoch)
    }

    /// The last height that has been replayed.
    pub(super) fn last(&self) -> Height {
        Height(self.base.0.max(1) - 1 + self.chapters.len() as u64)
    }

    /// The chapter of a height that has been replayed, or with which the replay began.
    pub(super) fn chapter(&self, height: Height) -> Option<&Chapter> {
        self.chapters.get(usize::try_from(height.0.checked_sub(self.base.0.max(1))?).ok()?)
    }

    /// The digests of all blocks that are known.
    pub(super) fn digests(&self) -> impl Iterator<Item = (Height, Digest)> {
        (self.base.0.max(1)..).map(Height).zip(self.chapters.iter().map(|chapter| chapter.digest))
    }

    /// Whether all that has been replayed says who the signers of a batch are: they are accounts of the genesis with
    /// their first keys, or the height that the batch names has been replayed.
    pub(super) fn knows_signers(&self, batch: &Batch) -> bool {
        let is_first = |(chain, packets): (ChainId, &[Packet])| {
            let first = self.genesis.get(&chain).map_or(0, |(_, accounts)| *accounts);
            PacketRun::all(packets).all(|run| run.debit().0 < first && run.key_version() == FIRST_KEY_VERSION)
        };
        batch.as_of() <= self.last() || batch.sections().all(is_first)
    }

    /// The key of this version of the account that signs, if it had one at a height that has been replayed, or before.
    pub(super) fn key(&self, run: PacketRun<'_>, as_of: Height) -> Result<[u8; 32], NoKey> {
        let (chain, account) = (run.chain(), run.debit());
        let found = self.oracle.oracles().enumerate().find(|(_, (of, _))| *of == chain);
        let (at, (_, oracle)) = found.ok_or(NoKey::Chain)?;
        let accounts = match self.chapter(as_of) {
            None if as_of.0 > 0 && as_of < self.base => {
                self.growth.get(&chain).map(|growth| growth.at(as_of))
            }
            None => self.genesis.get(&chain).map(|(_, accounts)| *accounts),
            Some(chapter) => chapter.chains.get(at).map(|chain| chain.entry.accounts),
        };
        let accounts = accounts.ok_or(NoKey::Chain)?;
        let known = oracle.accounts().get(usize::try_from(account.0).unwrap_or(usize::MAX));
        let known = known.filter(|_| account.0 < accounts).ok_or(NoKey::Account { accounts })?;
        let key = known.key_of(run.key_version()).filter(|(_, since)| *since <= as_of);
        key.map(|(key, _)| key).ok_or(NoKey::Version)
    }

    /// The money of each asset after the last replayed height.
    pub(super) fn supply(&self) -> Vec<Supply> {
        let mut supplies: BTreeMap<Asset, Supply> = BTreeMap::new();
        let with_money = self.oracle.oracles().filter(|(_, oracle)| oracle.asset() != Asset::NONE);
        for (chain, oracle) in with_money {
            let (asset, genesis) = (oracle.asset(), self.genesis.get(&chain).map_or(0, |(money, _)| *money));
            let supply = supplies.entry(asset).or_insert_with(|| Supply {
                asset: asset.to_string(),
                genesis: 0,
                balances: 0,
                reserved: 0,
                in_flight: 0,
                issued: 0,
                burned: 0,
            });
            supply.genesis += u128::from(genesis);
            supply.balances += oracle.balances();
            supply.reserved += oracle.reserved();
            supply.issued += u128::from(oracle.issuance().issued);
            supply.burned += u128::from(oracle.issuance().burned);
        }
        for crossing in self.oracle.in_flight().iter().map(|delivery| delivery.crossing) {
            let of = self.oracle.oracles().find(|(chain, _)| *chain == crossing.source);
            let supply = of.and_then(|(_, oracle)| supplies.get_mut(&oracle.asset()));
            supply.expect("only chains with money send").in_flight += u128::from(crossing.amount);
        }
        supplies.into_values().collect()
    }

    /// Replays the block after `parent`, the height before it in the same directory, or finds it replayed already.
    /// `batches` are those of its cut, by author and sequence.
    pub(super) fn read(&mut self, block: &Block, batches: &[Batch]) -> Result<&Chapter, Wrong> {
        let height = block.height();
        if self.chapter(height).is_none() {
            self.follows(block)?;
            let next = self.epochs.due(block.header(), self.oracle.decided_members())?;
            self.cut = block.cut_after(next.as_ref());
            let chapter = self.execute(block, batches, next);
            self.roots_next.0 += block.header().roots.len() as u64;
            self.log.append(block.digest());
            if let Some(next) = &chapter.next {
                self.epochs.begin(next.clone());
            }
            self.chapters.push(chapter);
            self.check_bounds(block, batches)?;
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
            // Views begin anew with each epoch.
            Some(chapter) if chapter.next.is_some() => (chapter.digest, 0, chapter.time_ms),
            Some(chapter) => (chapter.digest, chapter.view, chapter.time_ms),
            None => (self.network, 0, 0),
        };
        if header.parent != parent {
            return wrong(format!("the parent {parent}"), format!("the parent {}", header.parent));
        }
        if header.log.root() != self.log.root() {
            let root = |root: [u8; 32]| format!("the log of earlier headers with the root {}", Digest(root));
            return wrong(root(self.log.root()), root(header.log.root()));
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
            let ours = ours.or_else(|| self.earlier_roots.get(&height).copied());
            if ours != Some(*root) {
                let expected = ours.map_or("no root yet".to_owned(), |ours| ours.to_string());
                return wrong(format!("at height {height} the state root {expected}"), root.to_string());
            }
        }
        let carried = (header.roots_first.0 + header.roots.len() as u64).saturating_sub(1);
        if header.cut.len() != self.cut.len() {
            return wrong(format!("a cut of {} streams", self.cut.len()), header.cut.len().to_string());
        }
        if header.cut != self.cut && header.height.0 - carried > ROOT_LAG_MAX {
            let expected = format!("the state roots up to height {}", header.height.0 - ROOT_LAG_MAX);
            return wrong(expected, format!("those up to height {carried}"));
        }
        Ok(())
    }

    /// Whether a block that was executed now takes no more than a block may, nor of a chain more than its quota, unless
    /// that is in one batch.
    fn check_bounds(&self, block: &Block, batches: &[Batch]) -> Result<(), Wrong> {
        let what = format!("the block at height {}", block.height());
        let packets: usize = batches.iter().map(|batch| batch.packets().len()).sum();
        if batches.len() > BLOCK_BATCHES_MAX || packets > BLOCK_PACKETS_MAX {
            let expected = format!("at most {BLOCK_BATCHES_MAX} batches with {BLOCK_PACKETS_MAX} packets");
            return Err(Wrong::new(what, expected, format!("{} with {packets}", batches.len())));
        }
        for (chain, oracle) in self.oracle.oracles() {
            let parts = batches.iter().map(|batch| batch.packets_of(chain).len() * PACKET_BYTES);
            let parts: Vec<usize> = parts.filter(|bytes| *bytes > 0).collect();
            let (bytes, quota) = (parts.iter().sum::<usize>(), oracle.quota());
            if parts.len() > 1 && bytes > quota as usize {
                let expected = format!("at most {quota} bytes of chain {chain}, which is its quota");
                return Err(Wrong::new(what, expected, format!("{bytes} bytes")));
            }
        }
        Ok(())
    }

    fn execute(&mut self, block: &Block, batches: &[Batch], next: Option<Members>) -> Chapter {
        let transactions = |chain: ChainId| -> Vec<PacketRun<'_>> {
            batches.iter().flat_map(|batch| PacketRun::all(batch.packets_of(chain))).collect()
        };
        let executed = self.oracle.execute(block.chain_time(), transactions);
        let chain = |(entry, of): (ChainEntry, OracleOutcome)| {
            let outcomes = (0..).zip(of.outcomes);
            let back = of.inbox.iter().filter(|came| came.outcome.is_failure());
            CommittedChain {
                entry,
                failures: outcomes.filter(|(_, outcome)| outcome.is_failure()).collect(),
                returned: back.map(|came| (came.delivery.crossing.transaction, came.outcome)).collect(),
                effects: of.effects,
            }
        };
        let header = block.header();
        Chapter {
            digest: *block.digest(),
            state_root: executed.state_root,
            delta_digest: executed.delta_digest,
            chains: executed.entries.into_iter().zip(executed.outcomes).map(chain).collect(),
            next,
            view: header.view,
            time_ms: header.time_ms,
        }
    }
}
