//! The executor's thread: finalized blocks in, state roots, durable records and notices out.
//!
//! ```text
//!   Block ─▶ compare the roots it carries with ours ─▶ execute ─▶ state root ─▶ core
//!                                                        └─▶ journal ─ ─ ─▶ Durable ─▶ receipts ─▶ notices, core
//! ```
//!
//! Invariants: `durable <= executed` in heights; a customer hears *committed* only from a receipt, and a receipt needs the
//! durable record and the state root; an account is read only at a height whose record is durable.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender};
use engine::mempool::{Mempool, Origin};
use engine::order::{Finalized, Roots};
use engine::receipts::{NoticeBook, Receipt};
use engine::roots::{Executed, Ledger};
use engine::store::{Durable, Log, Position};
use engine::types::{AccountId, ChainId, Digest, Height, Outcome};
use engine::verify::Verified;
use engine::wire::{Batch, Block};

use super::clients::{Clients, Question};
use super::clock::Clock;
use super::counters::{Counters, Stage};
use super::events::CoreEvent;
use super::fatal::fatal;
use super::hints::Hints;
use super::index::JournalIndex;
use super::journal::{ChainRecord, CommittedBlock, KIND_COMMITTED};
use crate::query::answers::{AccountAnswer, ErrorAnswer};

/// How many state roots are kept to be compared with what later blocks carry.
pub(super) const ROOTS_KEPT: u64 = 4 * engine::limits::ROOT_LAG_MAX;

/// An own batch in a block: its customers wait for notices.
#[derive(Debug)]
pub struct OwnBatch {
    /// Its place among the block's batches.
    pub place: usize,
    /// Who waits for each of its transactions.
    pub origins: Vec<Origin>,
    /// When its certificate was there.
    pub available_us: u64,
}

/// A finalized block with everything that its execution needs.
#[derive(Debug)]
pub struct Job {
    /// The block.
    pub block: Finalized<Block>,
    /// Its batches, in its order.
    pub batches: Vec<Verified<Batch>>,
    /// Which of them this validator has sealed since it was started.
    pub own: Vec<OwnBatch>,
    /// When the block was finalized here.
    pub finalized_us: u64,
}

/// One thing for the executor to do.
#[derive(Debug)]
pub enum Work {
    /// Execute the next block.
    Block(Box<Job>),
    /// The journal holds the record of a height.
    Durable(Height, Durable),
    /// Read an account at a committed height.
    Account(Question, ChainId, AccountId),
    /// Stop.
    Stop,
}

/// A height that is executed and not yet durable.
#[derive(Debug)]
struct Waiting {
    height: Height,
    position: Position,
    executed: Executed,
    own: Vec<(OwnBatch, Vec<Outcome>)>,
    executed_us: u64,
    questions: Vec<(Question, ChainId, AccountId)>,
}

/// What the executor shares with other threads.
#[derive(Clone)]
pub struct Shared {
    /// Time.
    pub clock: Clock,
    /// The journal.
    pub journal: Arc<Log>,
    /// Where records stand.
    pub index: Arc<JournalIndex>,
    /// Where transactions are.
    pub hints: Arc<Hints>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// One for each chain.
    pub mempools: Arc<BTreeMap<ChainId, Mempool>>,
    /// Who is to be told.
    pub clients: Arc<Clients>,
    /// To the core.
    pub core: Sender<CoreEvent>,
}

/// The executor.
pub struct Executor {
    ledger: Ledger,
    roots: Roots,
    waiting: VecDeque<Waiting>,
    durable: Height,
    shared: Shared,
    work: Sender<Work>,
}

impl Executor {
    /// An executor over a ledger whose last height is durable, with the roots that later blocks may still carry. `work` is
    /// the sending end of its own queue: the journal answers through it.
    #[must_use]
    pub fn new(ledger: Ledger, roots: Roots, shared: Shared, work: Sender<Work>) -> Self {
        let durable = ledger.height();
        Self { ledger, roots, waiting: VecDeque::new(), durable, shared, work }
    }

    /// Works until told to stop.
    pub fn run(mut self, work: &Receiver<Work>) {
        for work in work {
            match work {
                Work::Block(job) => self.execute(*job),
                Work::Durable(height, durable) => self.durable(height, durable),
                Work::Account(question, chain, account) => self.account(question, chain, account),
                Work::Stop => return,
            }
        }
    }

    fn execute(&mut self, job: Job) {
        let Job { block, batches, own, finalized_us } = job;
        let header = block.value().header();
        let height = header.height;
        check_roots(&self.roots, block.value());
        let executed = self.ledger.execute(height, &batches);
        let state_root = *executed.state_root.digest();
        self.roots.executed(height, state_root);
        self.roots.forget_below(Height(height.0.saturating_sub(ROOTS_KEPT)));
        self.tell(CoreEvent::Executed(height, state_root));
        let executed_us = self.shared.clock.now_us();

        let position = self.journal(&block, &executed);
        self.count(&executed);
        for batch in &batches {
            if let Some(mempool) = self.shared.mempools.get(&batch.id().chain) {
                mempool.release(batch.packets().iter());
            }
        }
        for (id, _) in executed.trees.iter().flat_map(|tree| tree.entries()) {
            self.shared.hints.note(&id, height);
        }
        let outcomes = outcomes_by_batch(&batches, &executed);
        let with_outcomes = |own: OwnBatch| {
            let mine = outcomes[own.place].to_vec();
            (own, mine)
        };
        let own: Vec<_> = own.into_iter().map(with_outcomes).collect();
        for (batch, _) in &own {
            let transactions = batch.origins.len() as u64;
            let counters = &self.shared.counters;
            counters.record(Stage::Ordered, finalized_us.saturating_sub(batch.available_us), transactions);
            counters.record(Stage::Executed, executed_us.saturating_sub(finalized_us), transactions);
        }
        let questions = Vec::new();
        self.waiting.push_back(Waiting { height, position, executed, own, executed_us, questions });
    }

    fn journal(&self, block: &Finalized<Block>, executed: &Executed) -> Position {
        let record = record_of(block, executed);
        let height = record.height;
        let appended = self.shared.journal.append(KIND_COMMITTED, &[&record.encode()]);
        let position = appended.unwrap_or_else(|error| stop_for_disk(&error));
        self.shared.index.block(height, position);
        let work = self.work.clone();
        self.shared.journal.on_durable(
            position,
            Box::new(move |outcome| match outcome {
                // An executor that is gone is stopping; the record is durable all the same.
                Ok(durable) => drop(work.send(Work::Durable(height, durable))),
                Err(error) => stop_for_disk(&error),
            }),
        );
        position
    }

    fn count(&self, executed: &Executed) {
        let counters = &self.shared.counters;
        let outcomes = || executed.deltas.iter().flat_map(|delta| delta.outcomes());
        let applied = outcomes().filter(|outcome| **outcome == Outcome::Applied).count() as u64;
        Counters::add(&counters.blocks, 1);
        Counters::add(&counters.executed, outcomes().count() as u64);
        Counters::add(&counters.applied, applied);
    }

    fn durable(&mut self, height: Height, durable: Durable) {
        let waiting = self.waiting.pop_front().expect("a record becomes durable once, after its execution");
        assert_eq!(waiting.height, height, "records become durable in the order of execution");
        self.durable = height;
        self.shared.counters.height.store(height.0, std::sync::atomic::Ordering::Relaxed);
        let durable_us = self.shared.clock.now_us();
        let receipt = Receipt::mint(&durable, waiting.position, &waiting.executed.state_root)
            .expect("the journal says that the record is durable");
        let mut notices = NoticeBook::new();
        for (own, outcomes) in &waiting.own {
            notices.executed(&receipt, height, &own.origins, outcomes);
        }
        for (connection, notices) in notices.drain() {
            self.shared.clients.notify(connection, notices);
        }
        let notified_us = self.shared.clock.now_us();
        for (own, _) in &waiting.own {
            let transactions = own.origins.len() as u64;
            let counters = &self.shared.counters;
            counters.record(Stage::Durable, durable_us.saturating_sub(waiting.executed_us), transactions);
            counters.record(Stage::Notified, notified_us.saturating_sub(durable_us), transactions);
        }
        self.tell(CoreEvent::Committed(height));
        for (question, chain, account) in waiting.questions {
            self.account(question, chain, account);
        }
    }

    /// Answers at once if the ledger stands at a durable height, else when it does.
    fn account(&mut self, question: Question, chain: ChainId, account: AccountId) {
        if let Some(last) = self.waiting.back_mut() {
            last.questions.push((question, chain, account));
            return;
        }
        match self.ledger.prove_account(chain, account) {
            Some(proof) => {
                question.answer(&AccountAnswer { state_root: *self.ledger.state_root().digest(), proof })
            }
            None => {
                let reason =
                    format!("chain {chain} has no account {account}, or the network has no chain {chain}");
                question.answer(&ErrorAnswer::not_found(reason));
            }
        }
    }

    fn tell(&self, event: CoreEvent) {
        let _stopping = self.shared.core.send(event);
    }
}

/// A finalized block that carries another root than ours: somebody has executed wrongly, and it may be us.
pub(super) fn check_roots(roots: &Roots, block: &Block) {
    if let Err(divergence) = roots.compare(block.header()) {
        fatal(format!(
            "{divergence}. This validator's state has diverged from the network's: keep its data directory for \
             examination, run `millrace verify` on it, and let the validator start again from an empty one"
        ));
    }
}

/// The disk refused something: after that nothing may be promised any more.
pub(super) fn stop_for_disk(error: &engine::store::StoreError) -> ! {
    fatal(format!(
        "the disk cannot be relied on any more: {error}. Nothing that was acknowledged is lost. Free or replace the disk, \
         then start the validator again with the same command"
    ))
}

/// The journal's record of an executed block.
pub(super) fn record_of(block: &Finalized<Block>, executed: &Executed) -> CommittedBlock {
    let chains =
        executed.state_root.entries().iter().zip(&executed.deltas).map(|(entry, delta)| ChainRecord {
            chain: entry.chain,
            transactions_root: entry.transactions_root,
            accounts_root: entry.accounts_root,
            transactions: entry.transactions,
            failures: (0..)
                .zip(delta.outcomes())
                .filter(|(_, outcome)| **outcome != Outcome::Applied)
                .map(|(position, outcome)| (position, *outcome))
                .collect(),
        });
    let digests: Vec<[u8; 32]> = executed.deltas.iter().map(|delta| delta.digest().0).collect();
    CommittedBlock {
        height: block.value().height(),
        delta_digest: Digest(kernels::sha2::sha256(digests.as_flattened())),
        state_root: *executed.state_root.digest(),
        block: block.value().encode(),
        certificate: block.certificate().to_vec(),
        chains: chains.collect(),
    }
}

/// The outcomes of each batch, in the order of the block.
fn outcomes_by_batch<'a>(batches: &[Verified<Batch>], executed: &'a Executed) -> Vec<&'a [Outcome]> {
    let mut rest: BTreeMap<ChainId, &[Outcome]> =
        executed.deltas.iter().map(|delta| (delta.chain(), delta.outcomes())).collect();
    let of_batch = |batch: &Verified<Batch>| {
        let outcomes = rest.get_mut(&batch.id().chain).expect("every batch is of a chain of the network");
        let (mine, others) = outcomes.split_at(batch.packets().len());
        *outcomes = others;
        mine
    };
    batches.iter().map(of_batch).collect()
}
