//! The core's thread: it drives the [`Replica`], one event after another.
//!
//! The replica is the only state that knows the protocol, and this is its only thread, so it needs no lock. It never
//! waits for the network or for execution; it waits for the journal only when the disk cannot take more, which is the
//! back-pressure that we want.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use consensus::{Payload, Reply};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use engine::order::Finality;
use engine::replica::{
    Answer, Boot, Check, Halt, Input, KIND_BOOT, Observation, Ports, QuestionId, Replica, To, Work,
};
use engine::store::{Position, StoreError};
use engine::types::{Height, ValidatorIndex};
use engine::wire::answers::{FetchingAnswer, MissingAnswer};
use engine::wire::{Notice, PeerMessage, PeerVersion};
use net::{LogLimit, PeerNetwork, Permit};

use super::checkpoints::CheckpointWork;
use super::counters::Counters;
use super::events::CoreEvent;
use super::executor;
use super::fatal::fatal;
use super::ordering::SeenVotes;
use super::peer_scores::PeerScores;
use super::peers::channel_of;
use super::reader::{Requests, Wanted};
use super::service::Watchdog;
use super::shared::Shared;

/// The shortest wait for an event: what is due and could not be done waits for another one, and must not spin
/// meanwhile.
const WAIT_MIN: Duration = Duration::from_micros(500);
/// How often a validator is named in the log for one kind of fault.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// How long others may take to be heard before the log says so.
const HEARING_PATIENCE: Duration = Duration::from_secs(10);
/// How often the log says how far the fetch of a state is.
const FETCHING_EVERY: Duration = Duration::from_secs(5);
/// How many events are handled before the rest of the loop runs.
const ROUND_EVENTS_MAX: usize = 256;

/// To a verifier: a batch, and the bytes of its sender's budget that go back when it is checked.
pub type Checks = Box<dyn Fn(Check, Option<Permit>) + Send>;
/// Starts consensus, from a finalized block where there is one.
pub type Begin = Box<dyn FnOnce(Option<Finality>) -> anyhow::Result<()> + Send>;

/// What the core's thread works with.
pub struct Wiring {
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// The other validators.
    pub peers: PeerNetwork,
    /// How many validators the epoch has; peers with higher numbers only follow.
    pub validators: u16,
    /// The core's own queue, for the journal to answer through.
    pub events: Sender<CoreEvent>,
    /// To the executor.
    pub executor: Sender<executor::Event>,
    /// To the verifiers.
    pub checks: Checks,
    /// To the thread that reads the journal for peers.
    pub requests: Requests,
    /// To the thread that writes checkpoints.
    pub checkpoints: Sender<CheckpointWork>,
    /// Starts consensus, once.
    pub begin: Option<Begin>,
    /// Whether votes of earlier runs are forgotten.
    pub votes_forgotten: bool,
    /// What is known of votes before that.
    pub votes: SeenVotes,
    /// Consensus, once it runs.
    pub consensus: Arc<Mutex<Option<consensus::Handle>>>,
}

/// The core.
pub struct Core {
    replica: Replica,
    host: Host,
}

impl Core {
    /// A core for this replica.
    #[must_use]
    pub fn new(replica: Replica, wiring: Wiring) -> Self {
        let host = Host {
            wiring,
            questions: BTreeMap::new(),
            next_question: 0,
            permit: None,
            refusals: LogLimit::new(SAY_EVERY, 256),
            fetching: LogLimit::new(FETCHING_EVERY, 1),
            scores: PeerScores::default(),
        };
        Self { replica, host }
    }

    /// Works until told to stop.
    pub fn run(mut self, events: &Receiver<CoreEvent>) {
        let mut watchdog = Watchdog::new();
        self.host.count(&self.replica);
        loop {
            let now = self.host.wiring.shared.clock.now();
            watchdog.turn(now);
            let deadline = self.replica.deadline().unwrap_or(Duration::MAX);
            let first = match events.recv_timeout(deadline.saturating_sub(now).max(WAIT_MIN)) {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    self.input(Input::Time);
                    self.host.count(&self.replica);
                    continue;
                }
                Ok(first) => first,
            };
            for event in std::iter::once(first).chain(events.try_iter()).take(ROUND_EVENTS_MAX) {
                match self.host.input_of(event) {
                    ControlFlow::Break(()) => return,
                    ControlFlow::Continue(input) => input.into_iter().for_each(|input| self.input(input)),
                }
            }
            self.host.count(&self.replica);
        }
    }

    fn input(&mut self, input: Input) {
        let now = self.host.wiring.shared.clock.moment();
        self.replica.handle(input, now, &mut self.host);
        self.host.permit = None;
    }
}

enum Question {
    Propose(Reply<Payload>),
    Vote(Reply<bool>),
}

/// The replica's world, made of threads and sockets.
struct Host {
    wiring: Wiring,
    questions: BTreeMap<QuestionId, Question>,
    next_question: u64,
    /// The permit of the message that is being handled.
    permit: Option<Permit>,
    /// Limits the log: one line for each validator and kind in a while.
    refusals: LogLimit<(u16, &'static str)>,
    /// The same for a fetch that takes long.
    fetching: LogLimit<()>,
    scores: PeerScores,
}

impl Host {
    /// What an event is to the replica; `Break` where the validator is to stop.
    fn input_of(&mut self, event: CoreEvent) -> ControlFlow<(), Option<Input>> {
        ControlFlow::Continue(Some(match event {
            CoreEvent::Input(input) => {
                if let Input::Connected(peer, version) = input {
                    self.say_how_signatures_are_checked(peer, version);
                }
                input
            }
            CoreEvent::Peer(from, message, permit) => {
                self.permit = Some(permit);
                Input::Message(from, message)
            }
            CoreEvent::MempoolFilled => {
                // Before the replica looks: what comes in afterwards is told again.
                self.wiring.shared.filled.store(false, std::sync::atomic::Ordering::Relaxed);
                Input::MempoolFilled
            }
            CoreEvent::Propose(proposal, reply) => {
                Input::Propose(self.ask(Question::Propose(reply)), proposal)
            }
            CoreEvent::Verify(proposal, digest, reply) => {
                Input::Verify(self.ask(Question::Vote(reply)), proposal, digest)
            }
            CoreEvent::Certify(view, digest, reply) => {
                Input::Certify(self.ask(Question::Vote(reply)), view, digest)
            }
            CoreEvent::Fault(fault) => {
                Counters::add(&self.wiring.shared.counters.faults, 1);
                let now = self.wiring.shared.clock.now();
                if let Some(suppressed) = self.refusals.admit((fault.validator, "fault"), now) {
                    tracing::warn!(validator = fault.validator, kind = ?fault.kind, view = fault.view, suppressed, "a validator broke consensus");
                }
                return ControlFlow::Continue(None);
            }
            CoreEvent::Stop => return ControlFlow::Break(()),
        }))
    }

    fn say_how_signatures_are_checked(&mut self, peer: ValidatorIndex, version: PeerVersion) {
        let message = PeerMessage::Verifies { by_device: self.wiring.shared.checking.by_device() };
        if message.since() <= version {
            self.send(To::One(peer), &message);
        }
    }

    fn ask(&mut self, question: Question) -> QuestionId {
        self.questions.retain(|_, question| match question {
            Question::Propose(reply) => !reply.is_abandoned(),
            Question::Vote(reply) => !reply.is_abandoned(),
        });
        let id = QuestionId(self.next_question);
        self.next_question += 1;
        self.questions.insert(id, question);
        id
    }

    fn count(&mut self, replica: &Replica) {
        use std::sync::atomic::Ordering::Relaxed;
        let counters = &self.wiring.shared.counters;
        counters.behind.store(replica.behind().unwrap_or(0), Relaxed);
        let flag = |on: bool| u64::from(on);
        counters.unheard.store(flag(!replica.knows_the_height()), Relaxed);
        counters.stream_lost.store(flag(replica.is_learning()), Relaxed);
        counters.votes_forgotten.store(flag(replica.is_rejoining()), Relaxed);
        let now = self.wiring.shared.clock.now();
        if replica.is_hearing()
            && now > HEARING_PATIENCE
            && self.refusals.admit((0, "hearing"), now).is_some()
        {
            tracing::warn!(
                "too few other validators have been heard: until a quorum has shown what it remembers of this one, it \
                 neither votes nor seals"
            );
        }
    }
}

impl Ports for Host {
    fn send(&mut self, to: To, message: &PeerMessage) {
        let vouches =
            matches!(message, PeerMessage::Batch(_) | PeerMessage::Holding(_) | PeerMessage::Block(_));
        if vouches && self.wiring.shared.checking.withholds_votes() {
            return;
        }
        let (peers, channel) = (&self.wiring.peers, channel_of(message));
        // A message that cannot be sent now is dropped and counted by the network: the protocol repeats what matters.
        match to {
            To::All => {
                let _counted = peers.broadcast(self.wiring.validators, channel, &message.encode());
            }
            To::One(peer) => {
                let _counted = peers.send(peer.0, channel, message.encode());
            }
            To::Some(some) => {
                let bytes = message.encode();
                for peer in some {
                    let _counted = peers.send(peer.0, channel, bytes.clone());
                }
            }
        }
    }

    fn append(&mut self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError> {
        let position = self.wiring.shared.journal.append(kind, parts)?;
        if kind == KIND_BOOT
            && let Ok(boot) = Boot::decode(&parts.concat())
        {
            self.wiring.shared.note_boot(boot);
        }
        let events = self.wiring.events.clone();
        self.wiring.shared.journal.on_durable(
            position,
            Box::new(move |outcome| match outcome {
                // A core that is gone is stopping; the record is durable all the same.
                Ok(durable) => drop(events.send(CoreEvent::Input(Input::Durable(durable)))),
                Err(error) => stop(&Halt::Disk(error)),
            }),
        );
        Ok(position)
    }

    fn answer(&mut self, question: QuestionId, answer: Answer) {
        let answer = if self.wiring.shared.checking.withholds_votes() { Answer::Decline } else { answer };
        match (self.questions.remove(&question), answer) {
            (Some(Question::Propose(reply)), Answer::Propose(digest)) => reply.send(digest.0),
            (Some(Question::Vote(reply)), Answer::Vote(vote)) => reply.send(vote),
            // Dropping the reply declines; a question that consensus has withdrawn needs no answer.
            (_, Answer::Decline) | (None, _) => {}
            (Some(_), answer) => unreachable!("{answer:?} is no answer to this question"),
        }
    }

    fn is_open(&self, question: QuestionId) -> bool {
        match self.questions.get(&question) {
            Some(Question::Propose(reply)) => !reply.is_abandoned(),
            Some(Question::Vote(reply)) => !reply.is_abandoned(),
            None => false,
        }
    }

    fn notify(&mut self, connection: u64, notices: Vec<Notice>) {
        self.wiring.shared.clients.notify(connection, notices);
    }

    fn hand_on(&mut self, work: Work) {
        match work {
            Work::Check(check) => (self.wiring.checks)(check, self.permit.take()),
            // An executor that is gone is stopping.
            Work::Execute(job) => drop(self.wiring.executor.send(executor::Event::Block(job))),
            Work::Read(peer, read) => self.request(peer, Wanted::Journal(read)),
            Work::ReadState(peer, read) => self.request(peer, Wanted::State(read)),
            // A thread that is gone is stopping.
            Work::State(work) => drop(self.wiring.checkpoints.send(CheckpointWork::State(work))),
            Work::NextEpoch(height) => {
                tracing::info!(
                    height = height.0,
                    "the last block of the epoch is durable: the next one begins"
                );
                self.wiring.shared.starts_again.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    fn begin_consensus(&mut self, floor: Option<Finality>) {
        let view = floor.as_ref().map(Finality::view);
        if self.wiring.votes_forgotten {
            tracing::info!(view, "taking part in consensus again, from a finalized block on");
        } else {
            tracing::info!(view, "taking part in consensus");
        }
        if let Some(Err(error)) = self.wiring.begin.take().map(|begin| begin(floor)) {
            fatal(format!("consensus cannot start: {error:#}"));
        }
    }

    fn last_vote(&self, of: ValidatorIndex) -> Bytes {
        self.wiring.votes.last_of(of)
    }

    fn lacks_vote(&self, vote: &[u8]) -> bool {
        self.wiring.votes.lacks(vote)
    }

    fn forget_votes(&mut self) -> Result<(), StoreError> {
        self.wiring.votes_forgotten = true;
        self.wiring.votes.log.lost()
    }

    fn view(&self) -> u64 {
        let consensus = self.wiring.consensus.lock().unwrap_or_else(PoisonError::into_inner);
        let view = consensus.as_ref().map_or(0, consensus::Handle::view);
        view.max(self.wiring.votes.memory.view())
    }

    fn kept_from(&self) -> Height {
        self.wiring.shared.index.kept_from()
    }

    fn observe(&mut self, observation: Observation) {
        let counters = &self.wiring.shared.counters;
        match observation {
            Observation::Sealed(transactions) => {
                Counters::add(&counters.batches_sealed, 1);
                Counters::add(&counters.transactions_sealed, transactions);
            }
            Observation::BatchAccepted => Counters::add(&counters.batches_accepted, 1),
            Observation::Fetched => Counters::add(&counters.batches_fetched, 1),
            Observation::Proposed => Counters::add(&counters.blocks_proposed, 1),
            Observation::ProposalRefused { leader, view, flaw } => {
                Counters::add(&counters.proposals_refused, 1);
                let now = self.wiring.shared.clock.now();
                if let Some(suppressed) = self.refusals.admit((leader.0, "proposal"), now) {
                    tracing::warn!(leader = leader.0, view, flaw, suppressed, "a proposal is refused");
                }
            }
            Observation::Finalized(height) => {
                counters.finalized.store(height.0, std::sync::atomic::Ordering::Relaxed);
            }
            Observation::Stage { stage, us, transactions } => counters.record(stage, us, transactions),
            Observation::Refused(refusal, transactions) => counters.refuse(refusal.name(), transactions),
            Observation::Offence(peer, offence) => {
                counters.offend(offence.name());
                let now = self.wiring.shared.clock.now();
                self.scores.note(&self.wiring.peers, peer, offence.name(), now);
            }
            Observation::Contradiction { author, one, after } => {
                Counters::add(&counters.faults, 1);
                let now = self.wiring.shared.clock.now();
                if let Some(suppressed) = self.refusals.admit((author.0, "contradiction"), now) {
                    tracing::warn!(author = author.0, %one, %after, suppressed, "a validator has signed two batches in one place of its stream");
                }
            }
            Observation::StreamLost => tracing::warn!(
                "peers have batches of this validator that its journal does not know: it was emptied or put back. Clients \
                 are answered Busy until enough peers have told how far the stream goes"
            ),
            Observation::OlderCopy => tracing::error!(
                "others hold a vote or a batch of this validator that its data does not have: the data is an older copy, or \
                 another process runs with the same keys. It follows without voting and sealing until both are safe \
                 again; make sure that it runs only once"
            ),
            Observation::StreamLearnt(head) => tracing::info!(%head, "the own stream is known again"),
            Observation::FarBehind => {
                tracing::debug!("far behind: finalizations are dropped until it has caught up")
            }
            Observation::BelowRetention { height, kept_from, skips_blocks } => {
                let now = self.wiring.shared.clock.now();
                let missing = MissingAnswer { height, kept_from, fetches_states: skips_blocks };
                self.wiring.shared.catch_up.missing(missing, now);
                if let Some(suppressed) = self.refusals.admit((0, "below retention"), now) {
                    let (height, kept_from) = (height.0, kept_from.0);
                    let what = "no connected validator keeps the next height any more";
                    if skips_blocks {
                        tracing::warn!(
                            height,
                            kept_from,
                            suppressed,
                            "{what}: this validator cannot catch up by blocks. It looks for a state of a later height \
                             that f+1 others offer"
                        );
                    } else {
                        tracing::error!(
                            height,
                            kept_from,
                            suppressed,
                            "{what}, and this one is to keep everything, so it does not fetch a state and skip blocks that \
                             may be nowhere else. Connect one that keeps more; or see *How much is kept* in the operators' \
                             guide"
                        );
                    }
                }
            }
            Observation::FetchingState { height, written, chunks, from } => {
                let now = self.wiring.shared.clock.now();
                let fetching = FetchingAnswer { height, chunks: written, of: chunks, from };
                self.wiring.shared.catch_up.fetching(fetching, now);
                if self.fetching.admit((), now).is_some() {
                    tracing::info!(height = height.0, "fetching a state: {written} of {chunks} MiB are here");
                }
            }
        }
    }

    fn halt(&mut self, halt: Halt) {
        stop(&halt)
    }
}

impl Host {
    fn request(&self, peer: ValidatorIndex, wanted: Wanted) {
        if !self.wiring.requests.offer(peer, wanted) {
            tracing::debug!(peer = peer.0, "a peer's request is dropped: too many of its own are waiting");
        }
    }
}

/// Ends the process in words that an operator can act on.
pub fn stop(halt: &Halt) -> ! {
    match halt {
        Halt::Disk(error) => fatal(format!(
            "the disk cannot be relied on any more: {error}. Nothing that was acknowledged is lost. Free or replace the \
             disk, then start the validator again with the same command"
        )),
        Halt::Fork(error) => fatal(format!(
            "{error}. More than a third of the validators are faulty, or this validator's disk was exchanged; do not \
             restart it before its operator has compared its last blocks with the other validators'"
        )),
        Halt::Diverged(divergence) => fatal(format!(
            "{divergence}. This validator's state has diverged from the network's: keep its data directory for \
             examination, run `millrace verify` on it, and let the validator start again from an empty one"
        )),
    }
}
