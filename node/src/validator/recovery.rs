//! From a journal to a validator that can go on.
//!
//! ```text
//!   batch record ──────────▶ kept until a block orders it
//!   committed block record ─▶ certificate checked, batches' signatures checked, executed, roots compared
//!   what is left ──────────▶ batches that are durable and not ordered: availability acknowledges them again
//! ```
//!
//! Nothing is believed because it is in a file: signatures, certificates and roots are checked again. The last blocks may
//! have no certificate yet, where a crash came between them and the record of the descendant that proves them; they were
//! written only after that proof was seen, and the next finalized block must descend from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::order::{FinalityVerifier, Position as ChainPosition, Roots};
use engine::roots::Ledger;
use engine::store::{Replay, StoreError};
use engine::types::{BatchId, Digest, Genesis, Height};
use engine::verify::{BatchRefusal, Checked, Job, Verified, Verifier};
use engine::wire::{Batch, Block, WireError};
use thiserror::Error;

use super::hints::Hints;
use super::index::JournalIndex;
use super::journal::{CommittedBlock, KIND_BATCH, KIND_COMMITTED, RecordError};
use super::ordering::Certificates;

/// How often a long recovery says how far it is, in blocks.
const PROGRESS_EVERY: u64 = 1_000;

/// Why a journal cannot be continued.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record of a kind that this version does not write.
    #[error("the journal holds a record of unknown kind {0}; it was written by a newer version of millrace")]
    UnknownKind(u8),
    /// A committed block's record cannot be read.
    #[error("the record of a committed block cannot be read: {0}")]
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
    /// A batch that a block orders is not there.
    #[error("the block at height {height} orders the batch {batch}, which the journal does not hold")]
    MissingBatch {
        /// The height.
        height: Height,
        /// The batch.
        batch: BatchId,
    },
    /// A signature is not good.
    #[error("{0}")]
    Signature(#[from] BatchRefusal),
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
    /// The state root that the genesis begins with.
    pub genesis_root: Digest,
    /// The state after the last committed block.
    pub ledger: Ledger,
    /// The last committed block.
    pub head: ChainPosition,
    /// The state roots that no block has carried yet, and older ones for comparison.
    pub roots: Roots,
    /// The roots of `head.roots_next..=head.height`, for the tree.
    pub uncarried: Vec<(Height, Digest)>,
    /// Batches that are durable and not ordered.
    pub unordered: Vec<Verified<Batch>>,
}

/// Reads a journal from its beginning and does everything again.
pub struct Recovery<'a> {
    /// The network.
    pub genesis: &'a Arc<Genesis>,
    /// Checks finalization certificates.
    pub certificates: &'a Certificates,
    /// Where records stand, to be filled.
    pub index: &'a JournalIndex,
    /// Where transactions are, to be filled.
    pub hints: &'a Hints,
    /// Randomness for batched signature checks.
    pub seed: [u8; 32],
}

struct State {
    ledger: Ledger,
    verifier: Verifier,
    head: ChainPosition,
    roots: Roots,
    recorded: BTreeMap<Height, Digest>,
    batches: BTreeMap<BatchId, Batch>,
}

impl Recovery<'_> {
    /// Does it.
    ///
    /// # Errors
    /// [`RecoveryError`]: the journal is damaged or belongs to something else; nothing has been changed.
    pub fn run(&self, replay: Replay) -> Result<Recovered, RecoveryError> {
        let ledger = Ledger::genesis(self.genesis);
        let genesis_root = *ledger.state_root().digest();
        let network = *self.genesis.network();
        let mut state = State {
            verifier: Verifier::new(network, ledger.states(), Arc::default()),
            ledger,
            head: ChainPosition::genesis(network),
            roots: Roots::default(),
            recorded: BTreeMap::new(),
            batches: BTreeMap::new(),
        };
        for record in replay {
            let record = record?;
            match record.kind {
                KIND_BATCH => {
                    let batch = Batch::decode(record.bytes.into())?;
                    self.index.batch(batch.id(), record.position);
                    state.batches.insert(batch.id(), batch);
                }
                KIND_COMMITTED => {
                    let committed = CommittedBlock::decode(&record.bytes)?;
                    self.index.block(committed.height, record.position);
                    self.block(&mut state, &committed)?;
                }
                unknown => return Err(RecoveryError::UnknownKind(unknown)),
            }
        }
        let head = state.head.clone();
        let unordered = std::mem::take(&mut state.batches);
        let unordered =
            unordered.into_values().filter(|b| b.id().sequence > head.ordered(b.id().chain, b.id().author));
        let unordered = self.check(&mut state.verifier, head.height, unordered.collect())?;
        let uncarried = state.recorded.split_off(&head.roots_next).into_iter().collect();
        Ok(Recovered { genesis_root, ledger: state.ledger, head, roots: state.roots, uncarried, unordered })
    }

    fn block(&self, state: &mut State, committed: &CommittedBlock) -> Result<(), RecoveryError> {
        let block = Block::decode(&committed.block)?;
        let height = block.height();
        if height != state.head.height.next() || block.header().parent != state.head.digest {
            return Err(RecoveryError::Broken { found: height, last: state.head.height });
        }
        if !committed.certificate.is_empty() {
            let finality = self.certificates.verify(&committed.certificate);
            finality
                .filter(|finality| finality.digest == *block.digest())
                .ok_or(RecoveryError::Certificate(height))?;
        }
        let ordered = block.certificates().iter().map(|certificate| {
            let found = state.batches.remove(&certificate.batch());
            found
                .filter(|batch| batch.digest() == certificate.digest())
                .ok_or(RecoveryError::MissingBatch { height, batch: certificate.batch() })
        });
        let ordered = ordered.collect::<Result<Vec<_>, _>>()?;
        let batches = self.check(&mut state.verifier, height, ordered)?;
        super::executor::check_roots(&state.roots, &block);
        let executed = state.ledger.execute(height, &batches);
        let now = *executed.state_root.digest();
        if now != committed.state_root {
            return Err(RecoveryError::Diverged { height, recorded: committed.state_root, now });
        }
        for (id, _) in executed.trees.iter().flat_map(|tree| tree.entries()) {
            self.hints.note(&id, height);
        }
        state.head = state.head.after(&block);
        state.roots.executed(height, now);
        state.roots.forget_below(Height(height.0.saturating_sub(super::executor::ROOTS_KEPT)));
        state.recorded.insert(height, now);
        state.recorded = state.recorded.split_off(&state.head.roots_next);
        if height.0.is_multiple_of(PROGRESS_EVERY) {
            tracing::info!(height = height.0, "replaying the journal");
        }
        Ok(())
    }

    fn check(
        &self,
        verifier: &mut Verifier,
        height: Height,
        batches: Vec<Batch>,
    ) -> Result<Vec<Verified<Batch>>, RecoveryError> {
        let seed = kernels::sha2::sha256_parts(&[&self.seed, &height.0.to_le_bytes()]);
        let jobs = batches.into_iter().map(Job::Batch).collect();
        let checked = verifier.check(height, jobs, seed).into_iter().map(|checked| match checked {
            Checked::Batch(verified) => verified.map_err(RecoveryError::Signature),
            Checked::Packets(_) => unreachable!("only batches were asked for"),
        });
        checked.collect()
    }
}
