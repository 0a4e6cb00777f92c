//! The core's thread: the protocols of the engine, one event after another.
//!
//! ```text
//!                    ┌── sealing: mempool ─▶ batches ─┐
//!   events ─▶ handle ┼── exchange: peers' messages ───┼─▶ availability, order, sync (sans-IO) ─▶ outputs ─▶ act
//!    or time         └── blocks: propose, judge, finalize, dispatch ─▶ executor
//! ```
//!
//! The core is the only thread that knows the protocols' state, so it needs no lock. It never waits for the network or for
//! execution; it waits for the journal only when the disk cannot take more, which is the back-pressure that we want.
//!
//! Invariants: `dispatched <= finalized`; a block is dispatched when every body is here, in the order of heights.

mod blocks;
mod exchange;
mod sealing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use consensus::{Payload, Reply};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use engine::availability::{Availability, Event, Output, Refused};
use engine::mempool::{Mempool, Origin};
use engine::order::{BlockTree, Finalized, Proposal};
use engine::store::Log;
use engine::sync::CatchUp;
use engine::types::{BatchId, ChainId, Digest, Height, ValidatorIndex};
use engine::verify::Verified;
use engine::wire::{Acknowledgement, Batch, Block, Certificate, PeerMessage};
use net::PeerNetwork;

use super::clients::Clients;
use super::clock::Clock;
use super::counters::{Counters, Stage};
use super::events::CoreEvent;
use super::executor::{Work, stop_for_disk};
use super::index::JournalIndex;
use super::journal::KIND_BATCH;
use super::ordering::Certificates;
use super::peers::{BULK, CONTROL};
use super::server::Request;
use crate::config::WorkConfig;

/// How often time-outs are looked at.
const TICK: Duration = Duration::from_millis(100);
/// The shortest wait for an event.
const WAIT_MIN: Duration = Duration::from_millis(1);
/// How many events are handled before time is looked at again.
const ROUND_EVENTS_MAX: usize = 256;
/// How often peers are told where this validator stands, at most.
const STATUS_EVERY: Duration = Duration::from_millis(500);
/// How many committed blocks are found by their digest, for peers that miss the body of one.
const RECENT_BLOCKS: usize = 1_024;

/// What the core works with.
pub struct Wiring {
    /// Every batch stream of the network.
    pub streams: Vec<(ChainId, ValidatorIndex)>,
    /// Sizes and delays.
    pub work: WorkConfig,
    /// Time.
    pub clock: Clock,
    /// Checks finalization certificates.
    pub certificates: Certificates,
    /// The journal.
    pub journal: Arc<Log>,
    /// Where its records are.
    pub index: Arc<JournalIndex>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// One for each chain.
    pub mempools: Arc<BTreeMap<ChainId, Mempool>>,
    /// Set while the core knows that the mempools hold something.
    pub filled: Arc<AtomicBool>,
    /// Customers.
    pub clients: Arc<Clients>,
    /// The other validators.
    pub peers: PeerNetwork,
    /// To the executor.
    pub executor: Sender<Work>,
    /// To the thread that reads the journal for peers.
    pub server: Sender<Request>,
    /// The core's own queue, for the journal to answer through.
    pub events: Sender<CoreEvent>,
}

/// An own batch that is not ordered yet: who waits for it.
#[derive(Debug)]
struct Own {
    origins: Vec<Origin>,
    sealed_us: u64,
    available_us: u64,
}

/// A question of consensus for a block.
#[derive(Debug)]
struct Proposing {
    proposal: Proposal,
    reply: Reply<Payload>,
    since: Duration,
}

/// The core.
pub struct Core {
    wiring: Wiring,
    availability: Availability,
    tree: BlockTree,
    sync: CatchUp,
    proposing: Option<Proposing>,
    judging: Vec<(Proposal, Digest, Reply<bool>)>,
    /// Finalized blocks that wait for bodies, lowest first.
    finalized: VecDeque<(Finalized<Block>, u64)>,
    own: BTreeMap<BatchId, Own>,
    /// What peers have signed and nobody has checked yet; empty between two rounds of events.
    acknowledgements: Vec<(ValidatorIndex, Acknowledgement)>,
    certificates: Vec<(ValidatorIndex, Certificate)>,
    recent: VecDeque<(Digest, Height)>,
    executed: Height,
    committed: Height,
    /// When the last block was learned of: the next one waits for the block interval.
    last_block: Duration,
    /// Since when transactions wait to be sealed, if any do.
    waiting_since: Option<Duration>,
    last_tick: Duration,
    last_status: (Duration, Height),
}

impl Core {
    /// A core that continues where recovery ended: `tree` has its head at the last committed block.
    #[must_use]
    pub fn new(wiring: Wiring, availability: Availability, tree: BlockTree) -> Self {
        let head = tree.head().height;
        Self {
            wiring,
            availability,
            tree,
            sync: CatchUp::new(),
            proposing: None,
            judging: Vec::new(),
            finalized: VecDeque::new(),
            own: BTreeMap::new(),
            acknowledgements: Vec::new(),
            certificates: Vec::new(),
            recent: VecDeque::new(),
            executed: head,
            committed: head,
            last_block: Duration::ZERO,
            waiting_since: None,
            last_tick: Duration::ZERO,
            last_status: (Duration::ZERO, Height(0)),
        }
    }

    /// Works until told to stop.
    pub fn run(mut self, events: &Receiver<CoreEvent>) {
        loop {
            let now = self.wiring.clock.now();
            // What is due and could not be done waits for another event; without the floor the thread would spin on it.
            match events.recv_timeout(self.next_deadline().saturating_sub(now).max(WAIT_MIN)) {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
                // What has come in meanwhile goes together: many signatures at once are cheaper to check.
                Ok(first) => {
                    for event in std::iter::once(first).chain(events.try_iter()).take(ROUND_EVENTS_MAX) {
                        match event {
                            CoreEvent::Stop => return,
                            event => self.handle(event),
                        }
                    }
                    self.weigh();
                }
            }
            self.on_time();
        }
    }

    fn next_deadline(&self) -> Duration {
        let tick = self.last_tick + TICK;
        let seal = self.seal_deadline().unwrap_or(tick);
        let propose = self.propose_deadline().unwrap_or(tick);
        tick.min(seal).min(propose)
    }

    fn on_time(&mut self) {
        let now = self.wiring.clock.now();
        self.seal_if_due(now);
        self.propose_if_due(now);
        if now >= self.last_tick + TICK {
            self.last_tick = now;
            self.availability(Event::Tick);
            self.poll_sync(now);
            self.tell_status(now);
        }
    }

    fn handle(&mut self, event: CoreEvent) {
        match event {
            CoreEvent::Connected(peer) => self.connected(peer),
            CoreEvent::Disconnected(peer) => self.sync.disconnected(peer),
            CoreEvent::Peer(from, message, _permit) => self.peer_message(from, message),
            CoreEvent::BatchVerified { from, batch } => {
                Counters::add(&self.wiring.counters.batches_accepted, 1);
                self.availability(Event::Received(from, batch));
            }
            CoreEvent::BatchDurable(batch, digest) => self.availability(Event::Durable(batch, digest)),
            CoreEvent::MempoolFilled => self.mempool_filled(),
            CoreEvent::Propose(proposal, reply) => self.propose(proposal, reply),
            CoreEvent::Judge(proposal, digest, reply) => {
                // The proposal rests on certificates; whatever of them is here need not be checked one by one.
                self.weigh();
                self.judge(proposal, digest, reply);
            }
            CoreEvent::Relay(digest) => self.relay(&digest),
            CoreEvent::Finalized(finalization) => self.finalize(&finalization.certificate),
            CoreEvent::Fault(fault) => {
                Counters::add(&self.wiring.counters.faults, 1);
                tracing::warn!(validator = fault.validator, kind = ?fault.kind, view = fault.view, "a validator broke consensus");
            }
            CoreEvent::Executed(height, root) => self.block_executed(height, root),
            CoreEvent::Committed(height) => self.committed = height,
            CoreEvent::Stop => unreachable!("the loop ends before"),
        }
    }

    /// Hands an event to availability and does what it says.
    fn availability(&mut self, event: Event) {
        let now = self.wiring.clock.now();
        for output in self.availability.handle(event, now) {
            match output {
                Output::Store(batch) => self.store(&batch),
                Output::Send(to, message) => {
                    if matches!(message, PeerMessage::FetchBatch { .. }) {
                        Counters::add(&self.wiring.counters.batches_fetched, 1);
                    }
                    self.send(to, &message);
                }
                Output::Broadcast(message) => self.broadcast(&message),
                Output::Available(batch) => self.available(&batch),
                Output::Arrived(_) => self.dispatch(),
                // The network repeats and reorders: not worth a warning.
                Output::Refused(refused @ (Refused::OutsideWindow(_) | Refused::NotAsked(..))) => {
                    tracing::debug!(%refused, "refused");
                }
                Output::Refused(refused) => {
                    Counters::add(&self.wiring.counters.peer_messages_refused, 1);
                    tracing::warn!(%refused, "refused");
                }
            }
        }
    }

    fn store(&mut self, batch: &Verified<Batch>) {
        let (id, digest) = (batch.id(), *batch.digest());
        let appended = self.wiring.journal.append(KIND_BATCH, &[batch.bytes()]);
        let position = appended.unwrap_or_else(|error| stop_for_disk(&error));
        self.wiring.index.batch(id, position);
        let events = self.wiring.events.clone();
        self.wiring.journal.on_durable(
            position,
            Box::new(move |outcome| match outcome {
                // A core that is gone is stopping; the batch is durable all the same.
                Ok(_) => drop(events.send(CoreEvent::BatchDurable(id, digest))),
                Err(error) => stop_for_disk(&error),
            }),
        );
    }

    fn available(&mut self, batch: &BatchId) {
        if let Some(own) = self.own.get_mut(batch) {
            own.available_us = self.wiring.clock.now_us();
            let us = own.available_us.saturating_sub(own.sealed_us);
            self.wiring.counters.record(Stage::Available, us, own.origins.len() as u64);
        }
    }

    /// A message that cannot be sent now is dropped and counted by the network: every protocol here repeats what matters.
    fn send(&self, to: ValidatorIndex, message: &PeerMessage) {
        let _counted = self.wiring.peers.send(to.0, channel_of(message), message.encode());
    }

    fn broadcast(&self, message: &PeerMessage) {
        self.wiring.peers.broadcast(channel_of(message), &message.encode());
    }
}

/// Batches must not stand before what is small and urgent.
pub(in crate::validator) fn channel_of(message: &PeerMessage) -> usize {
    match message {
        PeerMessage::Batch(_) | PeerMessage::BatchReply { .. } | PeerMessage::BlocksReply(_) => BULK,
        _ => CONTROL,
    }
}
