//! The query thread: everything that clients ask, from the journal and from a view of the committed accounts.
//!
//! ```text
//!   executor ── deltas of committed heights ──▶ view ─▶ accounts
//!   journal ── records ───────────────────────▶ transactions, blocks, proofs
//! ```
//!
//! No query waits for execution, and no query has unbounded work: a transaction that the hints do not know is looked for
//! in the last [`SEARCHED_BLOCKS`] blocks, and the answer says so.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam::channel::{Receiver, select};
use engine::execute::Delta;
use engine::replica::{ChainRecord, CommittedBlock, JournalReader, ReadError};
use engine::roots::{ChainEntry, CommittedView, StateRoot, TransactionProof, TransactionTree};
use engine::store::Log;
use engine::types::{AccountId, ChainId, Height, Outcome, Packet, TransactionId, ValidatorIndex};
use engine::wire::answers::{
    AccountAnswer, BlockAnswer, ErrorAnswer, ProofAnswer, StatusAnswer, TransactionAnswer,
};
use engine::wire::{AsOf, Batch, Block, Query};
use net::PeerNetwork;
use serde::Serialize;
use thiserror::Error;

use super::clients::Question;
use super::report::Report;
use super::shared::Shared;

/// How many blocks are searched for a transaction that the hints do not know.
const SEARCHED_BLOCKS: u64 = 256;

/// What the executor tells the query thread.
#[derive(Debug)]
pub enum ReaderEvent {
    /// The next height is committed: what it changed, and its state root.
    Committed(Vec<Delta>, StateRoot),
    /// Stop.
    Stop,
}

/// Why a question has no answer.
#[derive(Debug, Error)]
enum Unanswered {
    #[error("{0}")]
    NotFound(String),
    #[error(transparent)]
    Journal(ReadError),
}

impl From<ReadError> for Unanswered {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotCommitted(..) => Self::NotFound(error.to_string()),
            error => Self::Journal(error),
        }
    }
}

/// The query thread.
pub struct QueryThread {
    shared: Arc<Shared>,
    view: CommittedView,
    report: Report,
    peers: PeerNetwork,
}

/// A committed block, as the journal holds it.
struct Stored {
    record: CommittedBlock,
    block: Block,
}

impl QueryThread {
    /// A thread whose view of the accounts is that of the last committed height.
    #[must_use]
    pub fn new(shared: Arc<Shared>, view: CommittedView, report: Report, peers: PeerNetwork) -> Self {
        Self { shared, view, report, peers }
    }

    /// Answers until it is told to stop.
    pub fn run(mut self, events: &Receiver<ReaderEvent>, questions: &Receiver<(Question, Query)>) {
        loop {
            select! {
                recv(events) -> event => match event {
                    Ok(ReaderEvent::Committed(deltas, root)) => self.view.commit(&deltas, root),
                    Ok(ReaderEvent::Stop) | Err(_) => return,
                },
                recv(questions) -> question => match question {
                    Ok((question, query)) => self.answer(&question, query),
                    // The network is gone; the executor says when to stop.
                    Err(_) => return,
                },
            }
        }
    }

    fn answer(&mut self, question: &Question, query: Query) {
        // Answers speak of the view's height; blocks above it may be in the index already and are not answered with.
        let as_of = AsOf { height: self.view.height(), ..self.shared.counters.as_of() };
        match query {
            Query::Account { chain, account } => answer(question, as_of, self.account(chain, account)),
            Query::Transaction { chain, id } => answer(question, as_of, self.transaction(chain, &id)),
            Query::Proof { chain, id } => answer(question, as_of, self.proof(chain, &id)),
            Query::Block { height } => answer(question, as_of, self.block_answer(height)),
            Query::Status => answer(question, as_of, self.status()),
            Query::Counters => question.answer(as_of, &self.report.make()),
        }
    }

    fn reader(&self) -> JournalReader<'_, Log> {
        let network = self.shared.genesis.network();
        JournalReader { records: &*self.shared.journal, index: &self.shared.index, network }
    }

    fn stored(&self, height: Height) -> Result<Stored, Unanswered> {
        let (record, block) = self.reader().block(height)?;
        Ok(Stored { record, block })
    }

    fn account(&mut self, chain: ChainId, account: AccountId) -> Result<AccountAnswer, Unanswered> {
        let none = || {
            Unanswered::NotFound(format!(
                "chain {chain} has no account {account}, or the network has no chain {chain}"
            ))
        };
        let proof = self.view.prove(chain, account).ok_or_else(none)?;
        Ok(AccountAnswer { state_root: *self.view.state_root().digest(), proof })
    }

    /// Looks where the hint says, then in the last blocks.
    fn find(&self, chain: Option<ChainId>, id: &TransactionId) -> Result<Found, Unanswered> {
        let committed = self.shared.index.height();
        let hint = self.shared.hints.find(id, committed);
        let lowest = committed.0.saturating_sub(SEARCHED_BLOCKS) + 1;
        let backwards = (lowest..=committed.0).rev().map(Height).filter(|height| Some(*height) != hint);
        for height in hint.into_iter().chain(backwards) {
            if let Some(found) = self.find_in(self.stored(height)?, chain, id)? {
                return Ok(found);
            }
        }
        Err(Unanswered::NotFound(format!(
            "no transaction {id} is in the blocks {lowest} to {committed}, nor known from an earlier one"
        )))
    }

    fn find_in(
        &self,
        stored: Stored,
        chain: Option<ChainId>,
        id: &TransactionId,
    ) -> Result<Option<Found>, Unanswered> {
        let network = self.shared.genesis.network();
        let batches = self.reader().batches(&stored.record)?;
        for of_chain in &stored.record.chains {
            if of_chain.transactions == 0 || chain.is_some_and(|chain| chain != of_chain.chain) {
                continue;
            }
            let packets = || batches.iter().map(|batch| batch.packets_of(of_chain.chain));
            let outcomes = outcomes_of(of_chain);
            if packets().map(<[Packet]>::len).sum::<usize>() != outcomes.len() {
                return Err(ReadError::Damaged(stored.record.height).into());
            }
            let tree = TransactionTree::new(network, packets(), &outcomes);
            if let Some(place) = tree.position(id) {
                let chain = of_chain.chain;
                return Ok(Some(Found { chain, place, tree, batches, stored }));
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
        let damaged = || ReadError::Damaged(stored.record.height);
        let (_, outcome) = tree.entries().nth(place).ok_or_else(damaged)?;
        let mut packets = batches
            .iter()
            .flat_map(|batch| batch.packets_of(chain).iter().map(move |packet| (batch.id(), packet)));
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
            .ok_or(ReadError::Damaged(record.height))?;
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
        let shared = &self.shared;
        let name = shared.genesis.validator(shared.me).map_or_else(String::new, |me| me.name.clone());
        Ok(StatusAnswer {
            network: *shared.genesis.network(),
            network_name: shared.genesis.name().to_owned(),
            validator: shared.me,
            name,
            committed: self.view.height(),
            finalized: Height(shared.counters.finalized.load(Relaxed)),
            state_root: *self.view.state_root().digest(),
            stream_lost: shared.counters.stream_lost.load(Relaxed) != 0,
            votes_forgotten: shared.counters.votes_forgotten.load(Relaxed) != 0,
            peers: self.peers.connected().into_iter().map(ValidatorIndex).collect(),
            pending: self.report.pending(),
            storage: shared.journal.metrics().backend.to_owned(),
            uptime_seconds: shared.clock.now().as_secs(),
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

fn answer<T: Serialize>(question: &Question, as_of: AsOf, answer: Result<T, Unanswered>) {
    match answer {
        Ok(answer) => question.answer(as_of, &answer),
        Err(Unanswered::NotFound(reason)) => question.answer(as_of, &ErrorAnswer::not_found(reason)),
        Err(error) => question.answer(as_of, &ErrorAnswer::unavailable(error.to_string())),
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
