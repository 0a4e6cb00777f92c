//! Checkpoints: the state of all chains at a height, in one file, with the place from which a start replays the
//! journal.
//!
//! ```text
//! journal    ─batch─batch─record 7─batch─block─record 8─batch─batch─record 9─ ..
//!                            ▲            │
//! checkpoint of height 8     │    state after height 8, taken between two blocks
//!                            └─── replay from here: what height 8 has not ordered stands behind it
//! ```
//!
//! A checkpoint is believed as far as its own journal is, and no further: its chunks have digests, its accounts, tables
//! and deliveries must have the state root of the height, and the journal must have the record of that height with the
//! same block and root. One that does not fit is not used; the journal is read from an older one, or whole.
//!
//! When one is due is a function of the height and of the bytes of all batches up to it ([`Schedule`]), so validators
//! with the same settings take theirs at the same heights.

mod chunks;
mod fetched;
mod format;
mod retention;
mod schedule;
mod served;

use std::collections::{BTreeMap, VecDeque};
use std::io;

use thiserror::Error;

pub use self::fetched::FetchedState;
pub use self::retention::{CheckpointMark, Held, Retention, RetentionPlan};
pub use self::schedule::{CheckpointDue, Schedule};
pub use self::served::{ServedState, chunk_frame, chunk_position, is_chunk};
use super::committer::ROOTS_KEPT;
use super::index::Positions;
use super::recovery::Start;
use super::{
    Boots, CommittedBlock, Epochs, Evidence, HandoverError, JournalReader, ReadError, Recovered,
    RecoveryError,
};
use crate::execute::{
    AccountState, ChainRules, Chains, Delivery, Delta, Growth, Pages, Row, StateWriter, Table,
};
use crate::limits::PUBLIC_KEY_BYTES;
use crate::order::{FinalityVerifier, Position as ChainPosition, Quotas, Roots};
use crate::roots::{CommittedView, Ledger, RestoreError, StateRoot, TableTree, accounts_root};
use crate::store::{Position, Records, StoreError};
use crate::types::{
    ChainId, Charter, Digest, Genesis, Height, Members, OWN_CHAIN_KEY, Support, UnsupportedRules,
};
use crate::wire::Block;

/// Whose a checkpoint is: what one validator has written is nothing to another.
#[derive(Clone, Copy, Debug)]
pub struct ValidatorId<'a> {
    /// The network.
    pub network: &'a Digest,
    /// The validator's public key.
    pub validator: &'a [u8; PUBLIC_KEY_BYTES],
}

/// One chain at the height of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainCheckpoint {
    /// Which chain.
    pub chain: ChainId,
    /// How many accounts it had after which height.
    pub growth: Growth,
    /// Its accounts, by their ids.
    pub accounts: Pages<AccountState>,
    /// The slots of its table.
    pub slots: Pages<Option<Row>>,
    /// What it sent to other chains in the height.
    pub outbox: Vec<Delivery>,
}

/// What all validators have at a height: the same bytes at each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonState {
    /// The record of the height, without what differs between validators: certificate and places of batches.
    pub record: CommittedBlock,
    /// The bytes of all batches up to the height.
    pub ordered_bytes: u64,
    /// The state roots of the last heights up to this one.
    pub roots: Vec<Digest>,
    /// The quotas of the chains, as far as they are decided.
    pub quotas: Quotas,
    /// The epochs that were over before the height's own: the last block of each, and who validated after it.
    pub handovers: Vec<(Block, Members)>,
    /// The chains, ascending.
    pub chains: Vec<ChainCheckpoint>,
}

impl CommonState {
    /// What a recovery has come to, whose last height has this record and has sent so much to other chains. It is for a
    /// network that is [rebuilt](super::rebuild): it has neither earlier roots nor earlier epochs.
    #[must_use]
    pub fn recovered(
        record: CommittedBlock,
        recovered: &Recovered,
        (view, states): (&CommittedView, &Chains),
        outboxes: &BTreeMap<ChainId, Vec<Delivery>>,
    ) -> Self {
        let height = record.height;
        let record = CommittedBlock { certificate: Vec::new(), batches: Vec::new(), ..record };
        let chain = |(chain, accounts, slots)| ChainCheckpoint {
            chain,
            growth: states.get(chain).map(|state| state.growth_until(height)).unwrap_or_default(),
            accounts,
            slots,
            outbox: outboxes.get(&chain).cloned().unwrap_or_default(),
        };
        Self {
            ordered_bytes: recovered.schedule.ordered_bytes(),
            roots: vec![record.state_root],
            quotas: recovered.quotas.clone(),
            handovers: Vec::new(),
            chains: view.copy().map(chain).collect(),
            record,
        }
    }
}

/// What a start needs beside the journal from [`replay_from`](Self::replay_from) on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// What all validators have at the height.
    pub common: CommonState,
    /// What shows that it is the network's.
    pub evidence: Evidence,
    /// The starts that the journal remembers.
    pub boots: Boots,
    /// Where the journal is read from.
    pub replay_from: Position,
    /// Where the records of the heights up to this one stand.
    pub positions: Positions,
    /// In which blocks transactions probably are: a [`Hints`] table, or nothing.
    pub hints: Vec<u64>,
}

/// Why a file cannot be read, in the words of `verify` where it is cut off.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early".into(),
        _ => error.to_string(),
    }
}

/// Why a checkpoint cannot be used. The journal below it still can.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// It cannot be read, or is damaged.
    #[error("it cannot be read: {}", reason(.0))]
    Unreadable(#[from] io::Error),
    /// Its parts are none, or contradict each other.
    #[error("it is invalid: {0}")]
    Invalid(&'static str),
    /// Its validators do not follow from those of the genesis.
    #[error("its validators do not follow from those of the genesis: {0}")]
    Epochs(#[from] HandoverError),
    /// The last finalization beside it is invalid.
    #[error("the finalization beside it does not hold")]
    Certificate,
    /// It is not what the network had.
    #[error(transparent)]
    Ledger(#[from] RestoreError),
    /// The journal does not continue it.
    #[error("the journal does not continue it: {0}")]
    Journal(#[from] RecoveryError),
}

impl CheckpointError {
    /// Whether the evidence is to blame, and not the state beside it.
    #[must_use]
    pub fn is_of_evidence(&self) -> bool {
        matches!(self, Self::Epochs(HandoverError::Certificate) | Self::Certificate)
    }

    /// Whether it, or the journal behind it, is of rules that this program does not run. Then it is as good as ever.
    #[must_use]
    pub fn unsupported(&self) -> Option<UnsupportedRules> {
        match self {
            Self::Epochs(HandoverError::Rules(rules)) | Self::Journal(RecoveryError::Rules(rules)) => {
                Some(*rules)
            }
            _ => None,
        }
    }

    /// Whether the journal is another one than that of which the checkpoint was taken. What else is wrong with a
    /// journal is not the checkpoint's fault.
    #[must_use]
    pub fn is_of_another_journal(&self) -> bool {
        matches!(
            self,
            Self::Journal(
                RecoveryError::HeightMissing(_)
                    | RecoveryError::OtherJournal { .. }
                    | RecoveryError::Store(StoreError::NoRecord { .. })
            )
        )
    }
}

/// Why no checkpoint can be taken of a height. The next one is tried as usual.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Execution is so far behind finality that roots are not carried yet which are not kept any more.
    #[error(
        "blocks still have to carry the state root of height {uncarried}, and only those from {kept} on are kept"
    )]
    RootsTooOld {
        /// The first height whose root no block carries yet.
        uncarried: Height,
        /// The first height whose root is kept.
        kept: Height,
    },
}

/// What is restored from a checkpoint.
pub struct Restored {
    /// Where recovery begins.
    pub start: Start,
    /// Where the journal is read from.
    pub replay_from: Position,
    /// Where the records of the heights up to this one stand.
    pub positions: Positions,
    /// In which blocks transactions probably are.
    pub hints: Vec<u64>,
}

impl Checkpoint {
    /// The height.
    #[must_use]
    pub fn height(&self) -> Height {
        self.common.record.height
    }

    /// The state of the height, if that is what the network had.
    ///
    /// # Errors
    /// [`CheckpointError`]: nothing of it may be used.
    pub fn restore(
        self,
        (genesis, support): (&Genesis, Support),
        certificates: &dyn FinalityVerifier,
        schedule: Schedule,
    ) -> Result<Restored, CheckpointError> {
        let Self { common, evidence, boots, replay_from, positions, hints } = self;
        let CommonState { record, ordered_bytes, roots, quotas, handovers, chains } = common;
        let invalid = CheckpointError::Invalid;
        let block = Block::decode(&record.block).map_err(|_| invalid("its block cannot be decoded"))?;
        let height = record.height;
        let epochs = Epochs::restore((genesis, support), handovers, evidence.handovers, certificates)?;
        let is_of_epoch = epochs.present() == block.header().epoch;
        if block.height() != height || !is_of_epoch || block.cut().len() != epochs.members().list.len() {
            return Err(invalid("its block is of another height or network"));
        }
        if let Some(origin) = genesis.origin().filter(|origin| height <= origin.height) {
            let begins = (height, *block.digest(), record.state_root, quotas.digest());
            let is_plain = |of: &ChainCheckpoint| of.growth == Growth::of(of.accounts.len() as u64);
            let is_it = begins == (origin.height, origin.block, origin.state_root, origin.quotas)
                && (ordered_bytes, record.delta_digest) == (0, Digest::default())
                && chains.iter().all(is_plain);
            if !is_it {
                return Err(invalid("it is not the state from which the network was rebuilt"));
            }
        }
        if positions.last() != height
            || positions.records.is_empty()
            || roots.last() != Some(&record.state_root)
        {
            return Err(invalid("the positions or the roots end at another height"));
        }
        let finality = match evidence.last.is_empty() {
            true => None,
            false => Some(certificates.verify(&evidence.last).ok_or(CheckpointError::Certificate)?),
        };
        let head = ChainPosition::of(&block);
        let first = (height.0 + 1).checked_sub(roots.len() as u64).filter(|first| *first > 0);
        let first = first.ok_or(invalid("it has more roots than heights"))?;
        let by_height = || (first..).map(Height).zip(roots.iter().copied());
        let mut known = Roots::default();
        by_height().for_each(|(height, root)| known.executed(height, root));

        let entries: Vec<_> = record.chains.iter().map(|chain| chain.entry).collect();
        if entries.len() != chains.len() {
            return Err(invalid("it has other chains than its record"));
        }
        let root = StateRoot::recorded(height, entries.clone(), &record.state_root);
        let root = root.ok_or(CheckpointError::Ledger(RestoreError::StateRoot))?;
        let mut tables = Vec::new();
        for of in &chains {
            tables.push(
                Table::try_restore(of.slots.iter().cloned())
                    .ok_or(invalid("a key has two rows in a table"))?,
            );
        }
        // Nothing is made of accounts and rows that are not under the root.
        for ((of, table), entry) in chains.iter().zip(&tables).zip(root.entries()) {
            let accounts = (0..of.accounts.len()).map(|place| of.accounts[place]);
            let roots = (accounts_root(accounts), TableTree::of(table).root());
            if of.chain != entry.chain || roots != (entry.accounts_root, entry.table_root) {
                return Err(RestoreError::Accounts(of.chain).into());
            }
        }
        let mut writers = Vec::new();
        let mut outboxes = Vec::new();
        for ((of, table), entry) in chains.into_iter().zip(tables).zip(&entries) {
            let ChainCheckpoint { chain, growth, accounts, outbox, .. } = of;
            let is_plausible = growth.beginning <= accounts.len() as u64
                && growth.at(height) == accounts.len() as u64
                && growth.since.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1);
            if !is_plausible {
                return Err(invalid("how many accounts there were does not fit to the accounts"));
            }
            let rules = rules(genesis, chain, &table)
                .ok_or(invalid("a chain is neither in the genesis nor has a charter"))?;
            let states = accounts.iter().copied();
            writers.push(StateWriter::restore(rules, height, entry.issuance, states, Some(growth), table));
            outboxes.push(outbox);
        }
        let ledger = Ledger::restore(genesis, height, writers, entries, &outboxes, &record.state_root)?;
        let recorded = by_height().filter(|(height, _)| *height >= head.roots_next).collect();
        let position = positions.records.back().copied();
        let schedule = schedule.after(ordered_bytes);
        // One of an epoch that is over is nothing to begin from.
        let finality = finality.filter(|finality| finality.epoch() == epochs.present());
        let next_members = ledger.next_members(block.header().epoch);
        let roots = known;
        let mut start = Start {
            ledger,
            head,
            roots,
            quotas,
            epochs,
            next_members,
            recorded,
            finality,
            boots,
            schedule,
            position,
        };
        if block.next_members().is_some() {
            start.hand_over(block, evidence.last, certificates)?;
        }
        Ok(Restored { start, replay_from, positions, hints })
    }
}

/// What a chain is at its beginning: as the genesis has it, or, of one that was created since, as its table says.
fn rules(genesis: &Genesis, chain: ChainId, table: &Table) -> Option<ChainRules> {
    if let Some(of_genesis) = genesis.chain(chain) {
        return Some(of_genesis.into());
    }
    let charter = table.get(&OWN_CHAIN_KEY).and_then(Charter::decode)?;
    Some(ChainRules { chain, charter })
}

/// What checkpoints take from the heights up to theirs, beside accounts and tables: it follows what is committed.
#[derive(Clone, Debug)]
pub struct Keeper {
    quotas: Quotas,
    roots: VecDeque<Digest>,
    /// The last certificate when it began: the journal may not go back to it.
    certificate: Vec<u8>,
    /// The epochs up to the present one.
    epochs: Epochs,
}

impl Keeper {
    /// Nothing is committed yet, in a program that runs these rules.
    #[must_use]
    pub fn genesis(genesis: &Genesis, support: Support) -> Self {
        Self {
            quotas: Quotas::genesis(genesis),
            roots: VecDeque::new(),
            certificate: Vec::new(),
            epochs: Epochs::genesis(genesis, support),
        }
    }

    /// What was recovered.
    #[must_use]
    pub fn new(recovered: &Recovered, roots: &Roots) -> Self {
        let end = recovered.head.height.next();
        let first = end.0.saturating_sub(ROOTS_KEPT).max(1);
        // All that lead up to the head: where a network was rebuilt there are none below.
        let known = (first..end.0).rev().map_while(|height| roots.get(Height(height)).copied());
        let mut roots: VecDeque<Digest> = known.collect();
        roots.make_contiguous().reverse();
        let finality = recovered.finality.as_ref();
        let certificate = finality.map(|finality| finality.certificate().to_vec()).unwrap_or_default();
        let (quotas, epochs) = (recovered.quotas.clone(), recovered.epochs.clone());
        Self { quotas, roots, certificate, epochs }
    }

    /// The next height is committed, with what it changed on each chain and its state root.
    pub fn commit(&mut self, deltas: &[Delta], root: &StateRoot) {
        self.quotas.follow(root.height(), deltas.iter().flat_map(Delta::decided));
        if self.roots.len() as u64 == ROOTS_KEPT {
            self.roots.pop_front();
        }
        self.roots.push_back(*root.digest());
    }

    /// The checkpoint of the height that was committed last, which changed this on each chain. Accounts and tables
    /// are shared, and copied page by page when they change.
    ///
    /// The hints are left empty: the host adds them.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub fn capture<R: Records>(
        &self,
        (view, deltas, states): (&CommittedView, &[Delta], &Chains),
        journal: &JournalReader<'_, R>,
        (due, boots): (CheckpointDue, Boots),
    ) -> Result<Checkpoint, CaptureError> {
        let CheckpointDue { replay_from, ordered_bytes, .. } = due;
        let height = view.height();
        let (record, block) = journal.block(height)?;
        let record = CommittedBlock { certificate: Vec::new(), batches: Vec::new(), ..record };
        let first = Height(height.0 + 1 - self.roots.len() as u64);
        let uncarried = ChainPosition::of(&block).roots_next;
        if uncarried < first {
            return Err(CaptureError::RootsTooOld { uncarried, kept: first });
        }
        let certificate = match journal.last_certificate(height)? {
            none if none.is_empty() => self.certificate.clone(),
            last => last,
        };
        let chain = |((chain, accounts, slots), delta): (_, &Delta)| ChainCheckpoint {
            chain,
            growth: states.get(chain).map(|state| state.growth_until(height)).unwrap_or_default(),
            accounts,
            slots,
            outbox: delta.outbox().to_vec(),
        };
        let roots = self.roots.iter().copied().collect();
        let chains = view.copy().zip(deltas).map(chain).collect();
        let over = self.epochs.handovers();
        let handovers = over.iter().map(|over| (over.block.clone(), over.members.clone())).collect();
        let evidence = Evidence {
            handovers: over.iter().map(|over| over.certificate.clone()).collect(),
            last: certificate,
        };
        let quotas = self.quotas.clone();
        let common = CommonState { record, ordered_bytes, roots, quotas, handovers, chains };
        let positions = journal.index.until(height);
        Ok(Checkpoint { common, evidence, boots, replay_from, positions, hints: Vec::new() })
    }
}
