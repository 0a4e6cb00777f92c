//! The query thread: transactions, blocks and proofs, read from the journal. Accounts go on to the executor.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam::channel::{Receiver, Sender};
use engine::roots::{ChainEntry, StateRoot, TransactionProof, TransactionTree};
use engine::store::{Log, StoreError};
use engine::types::{BatchId, ChainId, Genesis, Height, Outcome, TransactionId, ValidatorIndex};
use engine::wire::{Batch, Block, Query};
use net::PeerNetwork;
use serde::Serialize;
use thiserror::Error;

use super::clients::Question;
use super::clock::Clock;
use super::executor::Work;
use super::hints::Hints;
use super::index::JournalIndex;
use super::journal::{ChainRecord, CommittedBlock};
use super::report::Report;
use crate::query::answers::{BlockAnswer, ErrorAnswer, ProofAnswer, StatusAnswer, TransactionAnswer};

/// Why the journal does not answer.
#[derive(Debug, Error)]
enum Unanswered {
    #[error("{0}")]
    NotFound(String),
    #[error("the journal cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error(
        "the journal's record of {0} cannot be understood; run `millrace verify` on this validator's directory"
    )]
    Damaged(String),
}

/// What the query thread works with.
pub struct QueryThread {
    /// The network.
    pub genesis: Arc<Genesis>,
    /// This validator.
    pub validator: ValidatorIndex,
    /// Time.
    pub clock: Clock,
    /// The journal.
    pub journal: Arc<Log>,
    /// Where its records are.
    pub index: Arc<JournalIndex>,
    /// Where transactions probably are.
    pub hints: Arc<Hints>,
    /// To the executor.
    pub executor: Sender<Work>,
    /// Everything that is counted.
    pub report: Report,
    /// Who is connected.
    pub peers: PeerNetwork,
}

/// A committed block with its batches, as the journal holds them.
struct Stored {
    record: CommittedBlock,
    block: Block,
}

impl QueryThread {
    /// Answers until everybody who may ask is gone.
    pub fn run(self, questions: &Receiver<(Question, Query)>) {
        for (question, query) in questions {
            match query {
                Query::Account { chain, account } => {
                    let _stopping = self.executor.send(Work::Account(question, chain, account));
                }
                Query::Transaction { chain, id } => answer(&question, self.transaction(chain, &id)),
                Query::Proof { chain, id } => answer(&question, self.proof(chain, &id)),
                Query::Block { height } => answer(&question, self.block_answer(height)),
                Query::Status => answer(&question, self.status()),
                Query::Counters => question.answer(&self.report.make()),
            }
        }
    }

    /// The committed height: an index entry exists from the append on, so durability is asked separately.
    fn committed(&self) -> Height {
        Height(self.report.counters.height.load(Relaxed))
    }

    fn stored(&self, height: Height) -> Result<Stored, Unanswered> {
        let committed = self.committed();
        let position =
            self.index.block_position(height).filter(|_| height <= committed).ok_or_else(|| {
                Unanswered::NotFound(format!(
                    "there is no committed block at height {height}; the last is {committed}"
                ))
            })?;
        let damaged = || Unanswered::Damaged(format!("height {height}"));
        let record = CommittedBlock::decode(&self.journal.read(position)?.bytes).map_err(|_| damaged())?;
        let block = Block::decode(&record.block).map_err(|_| damaged())?;
        Ok(Stored { record, block })
    }

    fn batch(&self, id: BatchId) -> Result<Batch, Unanswered> {
        let damaged = || Unanswered::Damaged(format!("batch {id}"));
        let position = self.index.batch_position(&id).ok_or_else(damaged)?;
        Batch::decode(self.journal.read(position)?.bytes.into()).map_err(|_| damaged())
    }

    /// Looks where the hint says, then backwards from the last block.
    fn find(&self, chain: Option<ChainId>, id: &TransactionId) -> Result<Found, Unanswered> {
        let committed = self.committed();
        let hint = self.hints.find(id, committed);
        let backwards = (1..=committed.0).rev().map(Height).filter(|height| Some(*height) != hint);
        for height in hint.into_iter().chain(backwards) {
            let stored = self.stored(height)?;
            if let Some(found) = self.find_in(stored, chain, id)? {
                return Ok(found);
            }
        }
        Err(Unanswered::NotFound(format!("no committed block has a transaction {id}")))
    }

    fn find_in(
        &self,
        stored: Stored,
        chain: Option<ChainId>,
        id: &TransactionId,
    ) -> Result<Option<Found>, Unanswered> {
        let network = self.genesis.network();
        for at in 0..stored.record.chains.len() {
            let of_chain = &stored.record.chains[at];
            if of_chain.transactions == 0 || chain.is_some_and(|chain| chain != of_chain.chain) {
                continue;
            }
            let certificates = stored.block.certificates_of(of_chain.chain);
            let batches: Result<Vec<_>, _> =
                certificates.iter().map(|certificate| self.batch(certificate.batch())).collect();
            let batches = batches?;
            let outcomes = outcomes_of(of_chain);
            if batches.iter().map(|batch| batch.packets().len()).sum::<usize>() != outcomes.len() {
                return Err(Unanswered::Damaged(format!("height {}", stored.record.height)));
            }
            let tree = TransactionTree::new(network, batches.iter().map(Batch::packets), &outcomes);
            if let Some(place) = tree.position(id) {
                return Ok(Some(Found { chain: of_chain.chain, place, tree, batches, stored }));
            }
        }
        Ok(None)
    }

    fn transaction(
        &self,
        chain: Option<ChainId>,
        id: &TransactionId,
    ) -> Result<TransactionAnswer, Unanswered> {
        let Found { chain, place, tree, batches, stored } = self.find(chain, id)?;
        let damaged = || Unanswered::Damaged(format!("height {}", stored.record.height));
        let (_, outcome) = tree.entries().nth(place).ok_or_else(damaged)?;
        let mut packets =
            batches.iter().flat_map(|batch| batch.packets().iter().map(move |packet| (batch.id(), packet)));
        let (batch, packet) = packets.nth(place).ok_or_else(damaged)?;
        Ok(TransactionAnswer {
            id: *id,
            chain,
            height: stored.record.height,
            position: place as u64,
            outcome,
            author: batch.author,
            sequence: batch.sequence,
            packet: hex::encode(packet.0),
        })
    }

    fn proof(&self, chain: ChainId, id: &TransactionId) -> Result<ProofAnswer, Unanswered> {
        let Found { chain, place, tree, stored, .. } = self.find(Some(chain), id)?;
        let record = &stored.record;
        let proof = StateRoot::recorded(record.height, entries_of(record), &record.state_root)
            .and_then(|root| TransactionProof::new(&root, chain, &tree, place))
            .ok_or_else(|| Unanswered::Damaged(format!("height {}", record.height)))?;
        Ok(ProofAnswer { state_root: record.state_root, proof })
    }

    fn block_answer(&self, height: Height) -> Result<BlockAnswer, Unanswered> {
        let Stored { record, block } = self.stored(height)?;
        Ok(BlockAnswer {
            height,
            digest: *block.digest(),
            block: hex::encode(&record.block),
            certificate: hex::encode(&record.certificate),
            state_root: record.state_root,
            entries: entries_of(&record),
            failures: record.chains.iter().map(|chain| chain.failures.len() as u64).sum(),
        })
    }

    fn status(&self) -> Result<StatusAnswer, Unanswered> {
        let committed = self.committed();
        let state_root = match committed {
            Height(0) => self.report.genesis_root,
            height => self.stored(height)?.record.state_root,
        };
        let name = self
            .genesis
            .validator(self.validator)
            .map_or_else(String::new, |validator| validator.name.clone());
        Ok(StatusAnswer {
            network: *self.genesis.network(),
            network_name: self.genesis.name().to_owned(),
            validator: self.validator,
            name,
            committed,
            finalized: Height(self.report.counters.finalized.load(Relaxed)),
            state_root,
            peers: self.peers.connected().into_iter().map(ValidatorIndex).collect(),
            pending: self.report.pending(),
            storage: self.journal.metrics().backend.to_owned(),
            uptime_seconds: self.clock.now().as_secs(),
        })
    }
}

/// A transaction in its block.
struct Found {
    chain: ChainId,
    place: usize,
    tree: TransactionTree,
    batches: Vec<Batch>,
    stored: Stored,
}

fn answer<T: Serialize>(question: &Question, answer: Result<T, Unanswered>) {
    match answer {
        Ok(answer) => question.answer(&answer),
        Err(Unanswered::NotFound(reason)) => question.answer(&ErrorAnswer::not_found(reason)),
        Err(error) => question.answer(&ErrorAnswer::unavailable(error.to_string())),
    }
}

/// The outcomes of a chain's transactions, in order.
pub(super) fn outcomes_of(chain: &ChainRecord) -> Vec<Outcome> {
    let mut outcomes = vec![Outcome::Applied; chain.transactions as usize];
    for (position, outcome) in &chain.failures {
        if let Some(slot) = outcomes.get_mut(*position as usize) {
            *slot = *outcome;
        }
    }
    outcomes
}

/// What the record says of each chain, as the state root has it.
pub(super) fn entries_of(record: &CommittedBlock) -> Vec<ChainEntry> {
    let entry = |chain: &ChainRecord| ChainEntry {
        chain: chain.chain,
        transactions_root: chain.transactions_root,
        accounts_root: chain.accounts_root,
        transactions: chain.transactions,
    };
    record.chains.iter().map(entry).collect()
}
