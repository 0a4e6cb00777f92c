//! From a journal to a validator that can go on.
//!
//! ```text
//!   batch record ───────────▶ kept until a block orders it
//!   block record ───────────▶ kept until a block of its height is committed: it may have been voted for (R11)
//!   committed block record ─▶ digests of its batches followed down to the cut below, executed, roots compared
//!   what is left ───────────▶ batches that are durable and not ordered, whose signatures are checked again;
//!                             blocks that are durable and not final
//! ```
//!
//! What a finalized cut names needs no second check of its signatures: f+1 honest validators checked them before they
//! voted, and the digests lead from the cut to every byte. Digests, roots and certificates are checked again, those of
//! accounts and tables once for many heights, since only what was recorded leads to the last of them. The last
//! blocks may have no certificate, where a crash came between them and the record of the descendant that proves them;
//! they were written only after that proof was seen, and the next finalized block must descend from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::committer::ROOTS_KEPT;
use super::{
    Boot, Boots, CommittedBlock, Epochs, Handover, HandoverError, KIND_BATCH, KIND_BLOCK, KIND_BOOT,
    KIND_COMMITTED, KIND_STATE, RecordError, Schedule,
};
use crate::execute::Delta;
use crate::ingress::Source;
use crate::limits::PACKET_BYTES;
use crate::order::{
    Divergence, Finality, FinalityVerifier, NextMembers, Position as ChainPosition, Quotas, Roots,
};
use crate::roots::{Executed, Ledger, StateMismatch, StateRoot};
use crate::store::{Position, Replay, StoreError};
use crate::types::{BatchId, Digest, Genesis, Head, Height, Support, UnsupportedRules, ValidatorIndex};
use crate::verify::{BatchFault, Checked, Job, Verified, Verifier};
use crate::wire::{Batch, Block, WireError};

/// Why a journal cannot be continued.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record of a kind that this version does not write.
    #[error("the journal holds a record of unknown kind {0}; it was written by a newer version of millrace")]
    UnknownKind(u8),
    /// A record cannot be read.
    #[error("a record cannot be read: {0}")]
    Record(#[from] RecordError),
    /// A batch or block cannot be read.
    #[error("a batch or block of the journal cannot be read: {0}")]
    Wire(#[from] WireError),
    /// A block does not follow the one before.
    #[error("the block at height {found} does not follow the block at height {last}")]
    Broken {
        /// The record's height.
        found: Height,
        /// The height before.
        last: Height,
    },
    /// The journal does not have the height of the checkpoint.
    #[error("it does not have height {0}, at which the checkpoint was taken")]
    HeightMissing(Height),
    /// The journal has the height of the checkpoint in another place, or another block there: it is another journal.
    #[error("it has another record of height {height}, at byte {}: the checkpoint is of another journal", position.raw())]
    OtherJournal {
        /// The height.
        height: Height,
        /// Where it stands.
        position: Position,
    },
    /// A certificate is not good.
    #[error("the finalization certificate of height {0} is not valid")]
    Certificate(Height),
    /// The last block of an epoch does not hand over to validators that were decided.
    #[error("height {height} does not hand over to the validators of the next epoch: {error}")]
    Handover {
        /// The height.
        height: Height,
        /// Why not.
        error: HandoverError,
    },
    /// The next epoch has rules that this program does not run. All before it is as it should be.
    #[error(transparent)]
    Rules(UnsupportedRules),
    /// A batch that a block orders is not there, or its body is not the one that its digest names.
    #[error(
        "the block at height {height} orders {head} of validator {author}, which the journal does not hold whole"
    )]
    MissingBatch {
        /// The height.
        height: Height,
        /// The author.
        author: ValidatorIndex,
        /// The batch.
        head: Head,
    },
    /// A batch stands before the record of the height by whose accounts it was judged.
    #[error(
        "{batch} names height {as_of} and stands behind height {last}: the journal has lost what it was judged by"
    )]
    Early {
        /// The batch.
        batch: BatchId,
        /// The height that it names.
        as_of: Height,
        /// The height before it in the journal.
        last: Height,
    },
    /// A block carries a root that is not ours.
    #[error(transparent)]
    Root(#[from] Divergence),
    /// The record of a block has other entries of chains than lead to its state root.
    #[error("what the record of height {0} says of the chains does not lead to its state root")]
    Entries(Height),
    /// Executing blocks gave another state than was recorded.
    #[error(
        "executing the heights up to {height} again gives the state root {now}, but {recorded} is recorded"
    )]
    Diverged {
        /// The height at which it was noticed. What went wrong is in this height or in one of up to 1,023 before it.
        height: Height,
        /// What was recorded.
        recorded: Digest,
        /// What came out now.
        now: Digest,
    },
}

/// What a journal amounts to.
pub struct Recovered {
    /// The last committed block.
    pub head: ChainPosition,
    /// The roots of `head.roots_next..=head.height`, for the tree.
    pub uncarried: Vec<(Height, Digest)>,
    /// Batches that are durable and not ordered, by author and sequence.
    pub unordered: Vec<(Verified<Batch>, Position)>,
    /// Durable and not ordered, too, with a signature of a transaction that the CPU refuses: they are left out.
    pub refused: Vec<BatchId>,
    /// Blocks that are durable and not committed.
    pub blocks: Vec<(Block, Position)>,
    /// Where the last record stands: whatever is appended from now on stands behind it.
    pub last: Position,
    /// The last certificate, if there is any.
    pub finality: Option<Finality>,
    /// Whether the next height has payments between chains to execute, whatever else it has.
    pub in_flight: bool,
    /// The quotas of the chains, as far as they are decided.
    pub quotas: Quotas,
    /// The epochs up to that of the next block.
    pub epochs: Epochs,
    /// Who validates in the epoch after it, if that is decided.
    pub next_members: NextMembers,
    /// The starts that the journal remembers, and whether it says that it has lost something.
    pub boots: Boots,
    /// When the next checkpoint is due.
    pub schedule: Schedule,
}

/// Where a recovery begins: at the genesis, or at a checkpoint.
pub struct Start {
    pub(super) ledger: Ledger,
    pub(super) head: ChainPosition,
    pub(super) roots: Roots,
    pub(super) quotas: Quotas,
    pub(super) epochs: Epochs,
    pub(super) next_members: NextMembers,
    /// The roots of `head.roots_next..=head.height`.
    pub(super) recorded: BTreeMap<Height, Digest>,
    pub(super) finality: Option<Finality>,
    pub(super) boots: Boots,
    pub(super) schedule: Schedule,
    /// Where the record of the height must stand; none at the genesis.
    pub(super) position: Option<Position>,
}

impl Start {
    /// At the genesis, with the whole journal, in a program that runs these rules.
    #[must_use]
    pub fn genesis(genesis: &Genesis, support: Support, schedule: Schedule) -> Self {
        Self {
            ledger: Ledger::genesis(genesis),
            head: ChainPosition::genesis(*genesis.network(), genesis.validators().len()),
            roots: Roots::default(),
            quotas: Quotas::genesis(genesis),
            epochs: Epochs::genesis(genesis, support),
            next_members: NextMembers::default(),
            recorded: BTreeMap::new(),
            finality: None,
            boots: Boots::default(),
            schedule,
            position: None,
        }
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The block that was executed last is the last of its epoch: the next one begins, in which streams and views begin
    /// anew.
    pub(super) fn hand_over(
        &mut self,
        block: Block,
        certificate: Vec<u8>,
        certificates: &(impl FinalityVerifier + ?Sized),
    ) -> Result<(), HandoverError> {
        let handover = Handover { members: self.ledger.members(), block, certificate };
        self.epochs.begin(handover, certificates)?;
        self.head = self.head.clone().in_next_epoch(self.epochs.members().list.len());
        // Consensus begins anew, from the root of the epoch.
        (self.next_members, self.finality) = (NextMembers::default(), None);
        Ok(())
    }
}

/// How far a recovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The height that was executed last.
    pub height: Height,
    /// Where its record stands.
    pub position: Position,
}

/// The roots of accounts and tables are compared with the recorded ones at every height that this divides, and at the
/// last one. With a million accounts this takes a third of the work of a comparison at each height.
const COMPARED_EVERY: u64 = 1024;

/// Executes a journal again, from the genesis or after a checkpoint.
pub struct Recovery<'a> {
    /// The network.
    pub genesis: &'a Arc<Genesis>,
    /// The rules that the program runs: a [`Start`] is made with them.
    pub support: Support,
    /// Checks finalization certificates.
    pub certificates: &'a dyn FinalityVerifier,
    /// Randomness for batched signature checks.
    pub seed: [u8; 32],
}

struct State {
    at: Start,
    /// The height of the checkpoint, until the journal has shown that it has that height.
    unseen: Option<Height>,
    batches: BTreeMap<Digest, (Batch, Position)>,
    blocks: BTreeMap<Digest, (Block, Position)>,
    last: Position,
}

impl Recovery<'_> {
    /// Executes the journal again after `start`. If that comes from a checkpoint, `replay` stands where the checkpoint
    /// says. Calls `executed` after each block with the result of its execution, before its accounts and tables are
    /// known to have the root that is recorded; an error from it ends the recovery.
    ///
    /// # Errors
    /// [`RecoveryError`]: the journal is damaged, belongs to something else, or does not continue the checkpoint;
    /// nothing has been changed.
    pub fn run<E: From<RecoveryError>>(
        &self,
        start: Start,
        replay: &mut Replay,
        executed: impl FnMut(Progress, &Executed) -> Result<(), E>,
    ) -> Result<(Recovered, Ledger, Roots), E> {
        self.run_until(Height(u64::MAX), start, replay, executed)
    }

    /// The same as if the journal ended with a height.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_until<E: From<RecoveryError>>(
        &self,
        until: Height,
        start: Start,
        replay: &mut Replay,
        mut executed: impl FnMut(Progress, &Executed) -> Result<(), E>,
    ) -> Result<(Recovered, Ledger, Roots), E> {
        let unseen = Some(start.head.height).filter(|height| height.0 > 0);
        let (batches, blocks, last) = (BTreeMap::new(), BTreeMap::new(), Position::from_raw(0));
        let mut state = State { at: start, unseen, batches, blocks, last };
        for record in replay {
            let record = record.map_err(RecoveryError::from)?;
            state.last = record.position;
            match record.kind {
                KIND_BATCH => {
                    let batch = Batch::decode(self.genesis.network(), record.bytes.into());
                    let batch = batch.map_err(RecoveryError::from)?;
                    if batch.as_of() > state.at.head.height {
                        let (batch, as_of, last) = (batch.id(), batch.as_of(), state.at.head.height);
                        return Err(RecoveryError::Early { batch, as_of, last }.into());
                    }
                    // What the checkpoint has ordered is of no use any more.
                    if state.is_above(&batch) {
                        state.batches.insert(*batch.digest(), (batch, record.position));
                    }
                }
                KIND_BLOCK => {
                    let block = Block::decode(&record.bytes).map_err(RecoveryError::from)?;
                    if block.height() > state.at.head.height {
                        state.blocks.insert(*block.digest(), (block, record.position));
                    }
                }
                KIND_COMMITTED => {
                    let committed = CommittedBlock::decode(&record.bytes).map_err(RecoveryError::from)?;
                    if committed.height > until {
                        break;
                    }
                    if state.unseen.is_some_and(|height| committed.height <= height) {
                        state.pass(&committed, record.position)?;
                        continue;
                    }
                    let done = self.block(&mut state, &committed)?;
                    executed(Progress { height: committed.height, position: record.position }, &done)?;
                }
                // One that is not that of the checkpoint was not gone on from.
                KIND_STATE if state.unseen.is_some() && state.at.position == Some(record.position) => {
                    let fetched = CommittedBlock::decode(&record.bytes).map_err(RecoveryError::from)?;
                    state.pass(&fetched, record.position)?;
                }
                KIND_STATE => {}
                KIND_BOOT => {
                    state.at.boots.note(Boot::decode(&record.bytes).map_err(RecoveryError::from)?);
                }
                unknown => return Err(RecoveryError::UnknownKind(unknown).into()),
            }
        }
        match state.unseen {
            Some(height) => Err(RecoveryError::HeightMissing(height).into()),
            None => {
                compare_trees(&mut state.at.ledger)?;
                Ok(self.finish(state))
            }
        }
    }

    fn finish(&self, state: State) -> (Recovered, Ledger, Roots) {
        let State { at: mut state, batches, blocks, last, .. } = state;
        let (unordered, refused) = self.check(&state, batches.into_values().collect());
        let recovered = Recovered {
            unordered,
            refused,
            uncarried: state.recorded.split_off(&state.head.roots_next).into_iter().collect(),
            blocks: blocks.into_values().collect(),
            last,
            head: state.head,
            finality: state.finality,
            in_flight: state.ledger.in_flight().next().is_some(),
            quotas: state.quotas,
            epochs: state.epochs,
            next_members: state.next_members,
            boots: state.boots,
            schedule: state.schedule,
        };
        (recovered, state.ledger, state.roots)
    }

    fn block(&self, state: &mut State, committed: &CommittedBlock) -> Result<Executed, RecoveryError> {
        let block = Block::decode(&committed.block)?;
        let height = block.height();
        if let Some(height) = state.unseen {
            // The next height comes, and that of the checkpoint did not.
            return Err(RecoveryError::HeightMissing(height));
        }
        let head = &state.at.head;
        let follows = height == head.height.next() && block.header().parent == head.digest;
        if !follows || block.header().epoch != head.epoch || block.cut().len() != head.cut.len() {
            return Err(RecoveryError::Broken { found: height, last: head.height });
        }
        if !committed.certificate.is_empty() {
            let finality = self.certificates.verify(&committed.certificate);
            let is_of_it =
                |of: &Finality| of.digest() == block.digest() && of.epoch() == block.header().epoch;
            let finality = finality.filter(is_of_it);
            state.at.finality = Some(finality.ok_or(RecoveryError::Certificate(height))?);
        }
        let batches = state.take_batches(&block)?;
        state.at.roots.compare(block.header())?;
        let entries = committed.chains.iter().map(|chain| chain.entry).collect();
        let recorded = StateRoot::recorded(height, entries, &committed.state_root);
        let recorded = recorded.ok_or(RecoveryError::Entries(height))?;
        let executed = state.at.ledger.execute_again(block.chain_time(), &batches, recorded);
        let executed = executed.map_err(|mismatch| diverged(height, committed.state_root, mismatch))?;
        if height.0.is_multiple_of(COMPARED_EVERY) {
            compare_trees(&mut state.at.ledger)?;
        }
        let at = &mut state.at;
        at.head = ChainPosition::of(&block);
        at.schedule.follow(height, bytes_of(&batches));
        at.quotas.follow(height, executed.deltas.iter().flat_map(Delta::decided));
        at.roots.executed(height, committed.state_root);
        at.roots.forget_below(Height(height.0.saturating_sub(ROOTS_KEPT)));
        at.recorded.insert(height, committed.state_root);
        at.recorded = at.recorded.split_off(&at.head.roots_next);
        if let Some(members) = executed.decided().members {
            at.next_members = NextMembers::decided(height, members.digest());
        }
        if block.next_members().is_some() {
            let certificate = committed.certificate.clone();
            at.hand_over(block, certificate, self.certificates).map_err(|error| match error {
                HandoverError::Rules(unsupported) => RecoveryError::Rules(unsupported),
                error => RecoveryError::Handover { height, error },
            })?;
            // Streams and views begin anew.
            state.batches.clear();
            state.blocks.clear();
            return Ok(executed);
        }
        let mut kept = std::mem::take(&mut state.batches);
        kept.retain(|_, (batch, _)| state.is_above(batch));
        state.batches = kept;
        state.blocks.retain(|_, (block, _)| block.height() > height);
        Ok(executed)
    }

    /// Earns the evidence for batches that no finalized cut names. One that does not earn it is left out: it is as if
    /// it had never been received. Those of them with a bad signature are named.
    fn check(
        &self,
        Start { ledger, head, epochs, .. }: &Start,
        batches: Vec<(Batch, Position)>,
    ) -> (Vec<(Verified<Batch>, Position)>, Vec<BatchId>) {
        let keys = epochs.members().keys();
        let authors = keys.len();
        let mut verifier =
            Verifier::new(*self.genesis.network(), ledger.states(), keys.into(), Arc::default());
        let mut batches: Vec<_> =
            batches.into_iter().filter(|(batch, _)| usize::from(batch.id().author.0) < authors).collect();
        batches.sort_by_key(|(batch, _)| (batch.id(), *batch.digest()));
        let jobs = batches.iter().map(|(batch, _)| Job::batch(Source::Own, batch.clone())).collect();
        let checked = verifier.check(head.height, jobs, self.seed);
        let (mut earned, mut refused) = (Vec::new(), Vec::new());
        for (checked, (batch, position)) in checked.into_iter().zip(batches) {
            match checked {
                Checked::Batch(Ok(verified)) => earned.push((verified, position)),
                Checked::Batch(Err(refusal)) if refusal.fault == BatchFault::BadSignature => {
                    refused.push(batch.id());
                }
                Checked::Batch(Err(_)) | Checked::Packets(_) => {}
            }
        }
        (earned, refused)
    }
}

/// Whether accounts and tables are what is recorded of the last height.
fn compare_trees(ledger: &mut Ledger) -> Result<(), RecoveryError> {
    ledger
        .compare_trees()
        .map_err(|mismatch| diverged(ledger.height(), *ledger.state_root().digest(), mismatch))
}

fn diverged(height: Height, recorded: Digest, StateMismatch(now): StateMismatch) -> RecoveryError {
    RecoveryError::Diverged { height, recorded, now }
}

/// Bytes of the packets of batches: what [`Schedule`] counts.
pub(super) fn bytes_of(batches: &[Verified<Batch>]) -> u64 {
    batches.iter().map(|batch| (batch.packets().len() * PACKET_BYTES) as u64).sum()
}

impl State {
    /// Whether a batch is not ordered yet, or by an author whom the network does not have.
    fn is_above(&self, batch: &Batch) -> bool {
        let id = batch.id();
        batch.epoch() == self.at.head.epoch
            && self.at.head.cut.get(usize::from(id.author.0)).is_none_or(|cut| id.sequence > cut.sequence)
    }

    /// A record at or below the checkpoint: that of its own height must be the same.
    fn pass(&mut self, committed: &CommittedBlock, position: Position) -> Result<(), RecoveryError> {
        let height = committed.height;
        if self.unseen != Some(height) {
            return Ok(());
        }
        if self.at.position != Some(position) {
            return Err(RecoveryError::OtherJournal { height, position });
        }
        let block = Block::decode(&committed.block)?;
        let root = self.at.ledger.state_root().digest();
        if *block.digest() != self.at.head.digest || committed.state_root != *root {
            return Err(RecoveryError::OtherJournal { height, position });
        }
        self.unseen = None;
        Ok(())
    }

    /// The batches of a committed block, followed from its cut down to the one below by their digests.
    fn take_batches(&mut self, block: &Block) -> Result<Vec<Verified<Batch>>, RecoveryError> {
        let mut batches = Vec::new();
        for (author, (from, to)) in self.at.head.cut.iter().zip(block.cut()).enumerate() {
            let (first, mut at) = (batches.len(), *to);
            while at.sequence > from.sequence {
                let author = ValidatorIndex(author as u16);
                let missing = RecoveryError::MissingBatch { height: block.height(), author, head: at };
                let found = self.batches.remove(&at.digest).map(|(batch, _)| batch);
                let batch = found.filter(|batch| batch.id().author == author && batch.head() == at);
                let batch = batch.and_then(Verified::committed).ok_or(missing)?;
                at = batch.previous();
                batches.push(batch);
            }
            if at != *from {
                return Err(RecoveryError::Broken { found: block.height(), last: self.at.head.height });
            }
            batches[first..].reverse();
        }
        Ok(batches)
    }
}
