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
//! voted, and the digests lead from the cut to every byte. Digests, roots and certificates are checked again. The last
//! blocks may have no certificate, where a crash came between them and the record of the descendant that proves them;
//! they were written only after that proof was seen, and the next finalized block must descend from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::committer::ROOTS_KEPT;
use super::{Boot, Boots, CommittedBlock, KIND_BATCH, KIND_BLOCK, KIND_BOOT, KIND_COMMITTED, RecordError};
use crate::execute::Delta;
use crate::ingress::Source;
use crate::order::{Divergence, Finality, FinalityVerifier, Position as ChainPosition, Quotas, Roots};
use crate::roots::{Executed, Ledger};
use crate::store::{Position, Replay, StoreError};
use crate::types::{BatchId, Digest, Genesis, Head, Height, ValidatorIndex};
use crate::verify::{Checked, Job, Verified, Verifier};
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
    /// A certificate is not good.
    #[error("the finalization certificate of height {0} is not valid")]
    Certificate(Height),
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
    /// Executing a block gave another state than was recorded.
    #[error("executing height {height} again gives the state root {now}, but {recorded} is recorded")]
    Diverged {
        /// The height.
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
    /// Blocks that are durable and not committed.
    pub blocks: Vec<Block>,
    /// The last certificate, if there is any.
    pub finality: Option<Finality>,
    /// Whether the next height has payments between chains to execute, whatever else it has.
    pub in_flight: bool,
    /// The quotas of the chains, as far as they are decided.
    pub quotas: Quotas,
    /// The starts that the journal remembers, and whether it says that it has lost something.
    pub boots: Boots,
}

/// How far a recovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The height that was executed last.
    pub height: Height,
    /// Where its record stands.
    pub position: Position,
}

/// Reads a journal from its beginning and executes it again.
pub struct Recovery<'a> {
    /// The network.
    pub genesis: &'a Arc<Genesis>,
    /// Checks finalization certificates.
    pub certificates: &'a dyn FinalityVerifier,
    /// Randomness for batched signature checks.
    pub seed: [u8; 32],
}

struct State {
    ledger: Ledger,
    head: ChainPosition,
    roots: Roots,
    quotas: Quotas,
    recorded: BTreeMap<Height, Digest>,
    batches: BTreeMap<Digest, (Batch, Position)>,
    blocks: BTreeMap<Digest, Block>,
    finality: Option<Finality>,
    boots: Boots,
}

impl Recovery<'_> {
    /// Reads the whole journal, over `ledger` at the genesis. Calls `executed` after each block with the result of its
    /// execution; an error from it ends the recovery.
    ///
    /// # Errors
    /// [`RecoveryError`]: the journal is damaged or belongs to something else; nothing has been changed.
    pub fn run<E: From<RecoveryError>>(
        &self,
        ledger: Ledger,
        replay: Replay,
        mut executed: impl FnMut(Progress, &Executed) -> Result<(), E>,
    ) -> Result<(Recovered, Ledger, Roots), E> {
        let mut state = State {
            ledger,
            head: ChainPosition::genesis(*self.genesis.network(), self.genesis.validators().len()),
            roots: Roots::default(),
            quotas: Quotas::genesis(self.genesis),
            recorded: BTreeMap::new(),
            batches: BTreeMap::new(),
            blocks: BTreeMap::new(),
            finality: None,
            boots: Boots::default(),
        };
        for record in replay {
            let record = record.map_err(RecoveryError::from)?;
            match record.kind {
                KIND_BATCH => {
                    let batch = Batch::decode(self.genesis.network(), record.bytes.into());
                    let batch = batch.map_err(RecoveryError::from)?;
                    if batch.as_of() > state.head.height {
                        let (batch, as_of, last) = (batch.id(), batch.as_of(), state.head.height);
                        return Err(RecoveryError::Early { batch, as_of, last }.into());
                    }
                    state.batches.insert(*batch.digest(), (batch, record.position));
                }
                KIND_BLOCK => {
                    let block = Block::decode(&record.bytes).map_err(RecoveryError::from)?;
                    state.blocks.insert(*block.digest(), block);
                }
                KIND_COMMITTED => {
                    let committed = CommittedBlock::decode(&record.bytes).map_err(RecoveryError::from)?;
                    let done = self.block(&mut state, &committed)?;
                    executed(Progress { height: committed.height, position: record.position }, &done)?;
                }
                KIND_BOOT => {
                    state.boots.note(Boot::decode(&record.bytes).map_err(RecoveryError::from)?);
                }
                unknown => return Err(RecoveryError::UnknownKind(unknown).into()),
            }
        }
        Ok(self.finish(state))
    }

    fn finish(&self, mut state: State) -> (Recovered, Ledger, Roots) {
        let unordered = std::mem::take(&mut state.batches).into_values();
        let recovered = Recovered {
            unordered: self.check(&state.ledger, state.head.height, unordered.collect()),
            uncarried: state.recorded.split_off(&state.head.roots_next).into_iter().collect(),
            blocks: state.blocks.into_values().collect(),
            head: state.head,
            finality: state.finality,
            in_flight: state.ledger.in_flight().next().is_some(),
            quotas: state.quotas,
            boots: state.boots,
        };
        (recovered, state.ledger, state.roots)
    }

    fn block(&self, state: &mut State, committed: &CommittedBlock) -> Result<Executed, RecoveryError> {
        let block = Block::decode(&committed.block)?;
        let height = block.height();
        let follows = height == state.head.height.next() && block.header().parent == state.head.digest;
        if !follows || block.cut().len() != state.head.cut.len() {
            return Err(RecoveryError::Broken { found: height, last: state.head.height });
        }
        if !committed.certificate.is_empty() {
            let finality = self.certificates.verify(&committed.certificate);
            let finality = finality.filter(|finality| finality.digest() == block.digest());
            state.finality = Some(finality.ok_or(RecoveryError::Certificate(height))?);
        }
        let batches = state.take_batches(&block)?;
        state.roots.compare(block.header())?;
        let executed = state.ledger.execute(block.chain_time(), &batches);
        let now = *executed.state_root.digest();
        if now != committed.state_root {
            return Err(RecoveryError::Diverged { height, recorded: committed.state_root, now });
        }
        state.head = ChainPosition::of(&block);
        let cut = &state.head.cut;
        let above = |batch: &Batch| batch.id().sequence > cut[usize::from(batch.id().author.0)].sequence;
        state.batches.retain(|_, (batch, _)| above(batch));
        state.blocks.retain(|_, block| block.height() > height);
        state.quotas.follow(height, executed.deltas.iter().flat_map(Delta::decided));
        state.roots.executed(height, now);
        state.roots.forget_below(Height(height.0.saturating_sub(ROOTS_KEPT)));
        state.recorded.insert(height, now);
        state.recorded = state.recorded.split_off(&state.head.roots_next);
        Ok(executed)
    }

    /// Earns the evidence for batches that no finalized cut names. One that does not earn it is left out: it is as if
    /// it had never been received.
    fn check(
        &self,
        ledger: &Ledger,
        height: Height,
        batches: Vec<(Batch, Position)>,
    ) -> Vec<(Verified<Batch>, Position)> {
        let keys = self.genesis.validators().iter().map(|validator| validator.public_key).collect();
        let mut verifier = Verifier::new(*self.genesis.network(), ledger.states(), keys, Arc::default());
        let authors = self.genesis.validators().len();
        let mut batches: Vec<_> =
            batches.into_iter().filter(|(batch, _)| usize::from(batch.id().author.0) < authors).collect();
        batches.sort_by_key(|(batch, _)| (batch.id(), *batch.digest()));
        let jobs = batches.iter().map(|(batch, _)| Job::batch(Source::Own, batch.clone())).collect();
        let checked = verifier.check(height, jobs, self.seed);
        let earned = checked.into_iter().zip(batches).filter_map(|(checked, (_, position))| match checked {
            Checked::Batch(Ok(batch)) => Some((batch, position)),
            Checked::Batch(Err(_)) | Checked::Packets(_) => None,
        });
        earned.collect()
    }
}

impl State {
    /// The batches of a committed block, followed from its cut down to the one below by their digests.
    fn take_batches(&mut self, block: &Block) -> Result<Vec<Verified<Batch>>, RecoveryError> {
        let mut batches = Vec::new();
        for (author, (from, to)) in self.head.cut.iter().zip(block.cut()).enumerate() {
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
                return Err(RecoveryError::Broken { found: block.height(), last: self.head.height });
            }
            batches[first..].reverse();
        }
        Ok(batches)
    }
}
