//! The committer: finalized blocks in; state roots, durable records and notices out.
//!
//! ```text
//!   Job ─▶ compare the roots it carries with ours ─▶ execute ─▶ state root ─▶ replica
//!                                                     └─▶ journal ─ ─ ─▶ Durable ─▶ receipts ─▶ notices, replica
//! ```
//!
//! It is a value like the replica, and apart from it so that a node can give it a thread of its own: executing a block
//! takes as long as thousands of messages.
//!
//! A client that pays an account of another chain waits until the payment is credited or refunded, at most two heights
//! later.
//!
//! Invariants: `durable <= executed` in heights; a client hears *committed* only from a receipt, and a receipt needs
//! the durable record and the state root; payments of ours that are in flight are no more than two blocks sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{ChainRecord, CheckpointDue, CommittedBlock, Halt, KIND_COMMITTED, Now, Stage};
use crate::execute::{Delivered, Leg};
use crate::limits::ROOT_LAG_MAX;
use crate::mempool::{Mempools, Origin};
use crate::order::{Finalized, Roots};
use crate::receipts::{NoticeBook, Receipt};
use crate::roots::{Executed, Ledger};
use crate::store::{Durable, Position, StoreError};
use crate::types::{ChainId, Digest, Height, Members, Outcome, PacketRun, Signed, TransactionId};
use crate::verify::Verified;
use crate::wire::{Batch, Block, Notice};

/// How many state roots are kept to be compared with what later blocks carry.
pub(super) const ROOTS_KEPT: u64 = 4 * ROOT_LAG_MAX;

/// An own batch in a block: its clients wait for notices.
#[derive(Debug)]
pub struct OwnBatch {
    /// Its place among the block's batches.
    pub place: usize,
    /// Who waits for each of its transactions.
    pub origins: Vec<Origin>,
}

/// A finalized block with everything that its execution needs.
#[derive(Debug)]
pub struct Job {
    /// The block.
    pub block: Finalized<Block>,
    /// Its batches, by author and sequence.
    pub batches: Vec<Verified<Batch>>,
    /// Where the journal has them.
    pub positions: Vec<Position>,
    /// Which of them this validator has sealed since it was started.
    pub own: Vec<OwnBatch>,
    /// When the block was finalized here, in microseconds.
    pub finalized_us: u64,
    /// What a checkpoint needs, if one is due at this height.
    pub checkpoint: Option<CheckpointDue>,
}

/// What the committer says.
#[derive(Debug)]
pub enum CommitterEvent<'a> {
    /// A height is executed, with this root, and its record is on its way to the disk.
    Executed {
        /// The height.
        height: Height,
        /// Its state root.
        root: Digest,
        /// Everything that was computed.
        executed: &'a Executed,
        /// Whether the next height has payments between chains to execute, whatever else it has.
        in_flight: bool,
    },
    /// The record of a height is durable.
    Committed {
        /// The height.
        height: Height,
        /// What a checkpoint needs, if one is due at it.
        checkpoint: Option<CheckpointDue>,
    },
    /// Transactions spent so many microseconds in a stage.
    Stage {
        /// Which stage.
        stage: Stage,
        /// Microseconds that each of them spent.
        us: u64,
        /// How many transactions.
        transactions: u64,
    },
}

/// The world of a committer.
pub trait CommitPorts {
    /// Appends a record to the journal.
    ///
    /// # Errors
    /// The journal has failed or is full; the committer halts.
    fn append(&mut self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError>;

    /// Tells a client what became of its transactions.
    fn notify(&mut self, connection: u64, notices: Vec<Notice>);

    /// A client's transaction stands in a committed block and was replayed there: these bytes, or others with their
    /// nonce, had been executed before. The host tells the client what became of the same bytes then, or, where it does
    /// not know or they were others, that they failed as replayed.
    fn repeated(&mut self, origin: Origin, transaction: Signed);

    /// Something has happened.
    fn tell(&mut self, event: CommitterEvent<'_>);
}

/// A height that is executed and not yet durable.
#[derive(Debug)]
struct Waiting {
    height: Height,
    position: Position,
    executed: Executed,
    own: Vec<Settled>,
    /// Our clients' transactions that were replayed.
    repeated: Vec<(Origin, Signed)>,
    executed_us: u64,
    checkpoint: Option<CheckpointDue>,
}

/// Our clients' transactions of one batch or one inbox that have their final outcome.
type Settled = (Vec<Origin>, Vec<Outcome>);

/// The committer of one validator.
#[derive(Debug)]
pub struct Committer {
    ledger: Ledger,
    roots: Roots,
    waiting: VecDeque<Waiting>,
    /// Which clients wait for payments that are in flight between chains.
    crossing: BTreeMap<TransactionId, Origin>,
    mempools: Arc<Mempools>,
}

impl Committer {
    /// A committer over a ledger whose last height is durable, with the roots that later blocks may still carry.
    #[must_use]
    pub fn new(ledger: Ledger, roots: Roots, mempools: Arc<Mempools>) -> Self {
        Self { ledger, roots, waiting: VecDeque::new(), crossing: BTreeMap::new(), mempools }
    }

    /// The ledger as it is executed, durable or not.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Executes the next block.
    ///
    /// # Errors
    /// [`Halt`]: the block carries another root than ours, or the journal has failed.
    pub fn execute(&mut self, job: Job, now: Now, ports: &mut impl CommitPorts) -> Result<(), Halt> {
        let Job { block, batches, positions, own, finalized_us, checkpoint } = job;
        let height = block.value().height();
        self.roots.compare(block.value().header())?;
        let executed = self.ledger.execute(block.value().chain_time(), &batches);
        let root = *executed.state_root.digest();
        self.roots.executed(height, root);
        self.roots.forget_below(Height(height.0.saturating_sub(ROOTS_KEPT)));

        let members = block.value().next_members().map(|_| self.ledger.members());
        let record = record_of(&block, members, positions, &executed);
        let position = ports.append(KIND_COMMITTED, &[&record.encode()])?;
        let in_flight = self.ledger.in_flight().next().is_some();
        ports.tell(CommitterEvent::Executed { height, root, executed: &executed, in_flight });
        // Chains that this height has created are behind the others.
        for delta in executed.deltas.iter().skip(self.mempools.len()) {
            self.mempools.add(delta.chain(), delta.opened().len() as u64);
        }
        for (chain, packets) in batches.iter().flat_map(|batch| batch.sections()) {
            if let Some(mempool) = self.mempools.get(chain) {
                mempool.release(PacketRun::all(packets));
            }
        }
        let executed_us = now.monotonic.as_micros() as u64;
        let mut repeated = Vec::new();
        let network = self.ledger.network();
        let mut own = own_outcomes(network, &batches, own, &executed, &mut self.crossing, &mut repeated);
        own.extend(self.arrivals(&executed));
        for (origins, _) in &own {
            let (us, transactions) = (executed_us.saturating_sub(finalized_us), origins.len() as u64);
            ports.tell(CommitterEvent::Stage { stage: Stage::Executed, us, transactions });
        }
        let waiting = Waiting { height, position, executed, own, repeated, executed_us, checkpoint };
        self.waiting.push_back(waiting);
        Ok(())
    }

    /// Whose payments from chain to chain are decided: credited, or back at the payer.
    fn arrivals(&mut self, executed: &Executed) -> Option<Settled> {
        if self.crossing.is_empty() {
            return None;
        }
        let mut settled = Settled::default();
        for Delivered { delivery, outcome } in executed.deltas.iter().flat_map(|delta| delta.inbox()) {
            let decided = match delivery.leg {
                // Who takes an offer has what was offered now; its price is as good as there.
                Leg::Credit | Leg::Take(_) => (*outcome == Outcome::Applied).then_some(Outcome::Applied),
                Leg::Refund(reason) => Some(reason),
                Leg::Swapped(_) => None,
            };
            if let Some(decided) = decided
                && let Some(origin) = self.crossing.remove(&delivery.crossing.transaction)
            {
                settled.0.push(origin);
                settled.1.push(decided);
            }
        }
        Some(settled)
    }

    /// The journal is durable up to here: tells everybody whose transactions are in it.
    pub fn durable(&mut self, durable: &Durable, now: Now, ports: &mut impl CommitPorts) {
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| durable.covers(waiting.position)) {
            let receipt = Receipt::mint(durable, waiting.position, &waiting.executed.state_root)
                .expect("the durable log covers the record");
            let mut notices = NoticeBook::new();
            for (origins, outcomes) in &waiting.own {
                notices.executed(&receipt, waiting.height, origins, outcomes);
            }
            // What is told can be asked for: the height is announced first.
            let (height, checkpoint) = (waiting.height, waiting.checkpoint);
            ports.tell(CommitterEvent::Committed { height, checkpoint });
            for (connection, notices) in notices.drain() {
                ports.notify(connection, notices);
            }
            for (origin, transaction) in waiting.repeated {
                ports.repeated(origin, transaction);
            }
            let us = (now.monotonic.as_micros() as u64).saturating_sub(waiting.executed_us);
            for (origins, _) in &waiting.own {
                let transactions = origins.len() as u64;
                ports.tell(CommitterEvent::Stage { stage: Stage::Durable, us, transactions });
            }
        }
    }
}

/// The journal's record of an executed block, and of the members that follow if it is the last of its epoch.
fn record_of(
    block: &Finalized<Block>,
    members: Option<Members>,
    batches: Vec<Position>,
    executed: &Executed,
) -> CommittedBlock {
    let chains =
        executed.state_root.entries().iter().zip(&executed.deltas).map(|(entry, delta)| ChainRecord {
            entry: *entry,
            failures: (0..)
                .zip(delta.outcomes().iter().copied())
                .filter(|(_, outcome)| outcome.is_failure())
                .collect(),
            returned: delta
                .inbox()
                .iter()
                .filter(|came| came.outcome.is_failure())
                .map(|came| (came.delivery.crossing.transaction, came.outcome))
                .collect(),
            effects: delta.effects().to_vec(),
        });
    let digests: Vec<[u8; 32]> = executed.deltas.iter().map(|delta| delta.digest().0).collect();
    CommittedBlock {
        height: block.value().height(),
        delta_digest: Digest(kernels::sha2::sha256(digests.as_flattened())),
        state_root: *executed.state_root.digest(),
        block: block.value().encode(),
        certificate: block.certificate().to_vec(),
        members,
        batches,
        chains: chains.collect(),
    }
}

/// The origins of own batches with their outcomes, in the order of the batch: a chain's outcomes stand in the order of
/// the block's batches, a batch's transactions in the order of its sections. Those who have sent money to another chain
/// go to `crossing` instead, and those whose transaction was replayed to `repeated`.
fn own_outcomes(
    network: &Digest,
    batches: &[Verified<Batch>],
    own: Vec<OwnBatch>,
    executed: &Executed,
    crossing: &mut BTreeMap<TransactionId, Origin>,
    repeated: &mut Vec<(Origin, Signed)>,
) -> Vec<Settled> {
    let chains: Vec<ChainId> = executed.deltas.iter().map(|delta| delta.chain()).collect();
    let mut next: Vec<usize> = vec![0; chains.len()];
    let mut own = own.into_iter().peekable();
    let mut out = Vec::new();
    for (place, batch) in batches.iter().enumerate() {
        let mut origins = own.next_if(|own| own.place == place).map(|own| own.origins.into_iter());
        let mut settled = Settled::default();
        for (chain, packets) in batch.sections() {
            let at = chains.binary_search(&chain).expect("a verified batch has chains of the network only");
            let first = next[at];
            next[at] += PacketRun::all(packets).count();
            let Some(origins) = &mut origins else { continue };
            let (outcomes, tree) = (&executed.deltas[at].outcomes()[first..next[at]], &executed.trees[at]);
            let outcomes = outcomes.iter().zip(PacketRun::all(packets));
            for (place, ((outcome, run), origin)) in (first..).zip(outcomes.zip(origins)) {
                match outcome {
                    Outcome::Sent => drop(crossing.insert(tree.id(place), origin)),
                    Outcome::Replayed => {
                        repeated.push((origin, run.signed(network)));
                    }
                    outcome => {
                        settled.0.push(origin);
                        settled.1.push(*outcome);
                    }
                }
            }
        }
        out.extend(origins.map(|_| settled));
    }
    out
}
