//! The replica's state, and the way of an input through it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kernels::ed25519::SigningKey;

use super::fetching::Bodies;
use super::pace::Pace;
use super::rejoin::{Hearing, Learning, Rejoin};
use super::states::Gap;
use super::{
    Check, Epochs, Halt, Input, Losses, Now, Observation, Ports, QuestionId, Recovered, Schedule, Tuning,
    Work,
};
use crate::availability::{Fetches, Stream};
use crate::limits::{PUBLIC_KEY_BYTES, STREAM_BYTES_MIN, STREAMS_BYTES_MAX};
use crate::mempool::{Mempools, Origin};
use crate::order::{BlockTree, Finality, FinalityVerifier, Finalized, Proposal};
use crate::roots::Decided;
use crate::store::Position;
use crate::sync::{CatchUp, StateSync};
use crate::types::{self, Digest, Epoch, Genesis, Head, Height, PacketRun, Sequence, ValidatorIndex};
use crate::verify::Verified;
use crate::wire::{Batch, Block};

/// How often time-outs are looked at.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// What a replica is, and its patience. Safety never depends on the durations.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which validator of the last epoch that is known this is; with a number that none has, it follows without voting.
    pub me: ValidatorIndex,
    /// The epochs, where more of them are known than those of the journal. The peers are then the validators of the
    /// last one, whose numbers say nothing of authors, and this validator follows: it has no voice in an epoch that is
    /// over.
    pub known: Option<Epochs>,
    /// How many observers may be connected: peers with the numbers behind those of the validators, which are told where
    /// this validator stands and given what they ask for, and are not heard otherwise.
    pub observers: usize,
    /// No batch has more packets than this: 4,096, or fewer in tests.
    pub batch_packets_limit: usize,
    /// A batch is sealed when so many packets wait…
    pub batch_packets_max: usize,
    /// …or when its oldest transaction has waited this long (four times as long while two own batches that are not full
    /// are on their way)…
    pub batch_delay: Duration,
    /// …or, while no own batch is on its way, this long after the last one, if a block has been finalized since then,
    /// 256 packets wait, or no batch of any author waits for a block (R14).
    pub seal_interval: Duration,
    /// The least time between two reports of what this validator holds to the next leaders; where views are slow, a
    /// quarter of a view. The others are told after four times as long.
    pub holding_interval: Duration,
    /// The shortest time between two blocks that take batches; where views are slow, as long as a view takes.
    pub view_interval: Duration,
    /// A leader with nothing to order proposes an empty block after this long.
    pub idle_interval: Duration,
    /// How long the reply to a proposal may wait for something missing.
    pub verify_patience: Duration,
    /// Whether a state may be fetched in the place of blocks that cannot be had. Always so where there are none yet.
    pub skips_blocks: bool,
}

impl Settings {
    /// The settings of PROTOCOL.md for validator `me` of a network of `validators`, except `verify_patience`: the node
    /// raises it with the number of validators, as it does the time-outs of consensus.
    #[must_use]
    pub fn new(me: ValidatorIndex, validators: usize) -> Self {
        let n = validators as u64;
        Self {
            me,
            known: None,
            observers: 0,
            batch_packets_limit: crate::limits::BATCH_PACKETS_MAX,
            batch_packets_max: crate::limits::BATCH_PACKETS_MAX,
            batch_delay: Duration::from_millis(50),
            seal_interval: Duration::from_millis(n),
            holding_interval: Duration::from_millis((n / 4).clamp(1, 20)),
            view_interval: Duration::from_millis(n.min(100)),
            idle_interval: Duration::from_millis(200),
            verify_patience: Duration::from_millis(400),
            skips_blocks: true,
        }
    }
}

/// An own batch that is not executed yet: who waits for it.
#[derive(Debug)]
pub(super) struct Own {
    pub head: Head,
    pub batch: Verified<Batch>,
    pub origins: Vec<Origin>,
    pub sealed: Duration,
    /// When a quorum held it.
    pub available: Option<Duration>,
}

/// What one peer has been sent of the own stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Push {
    /// Whether it has said what it holds since it connected.
    pub heard: bool,
    pub sent: Sequence,
    pub told: Sequence,
    pub progress: Duration,
}

/// An open question for a block.
#[derive(Debug)]
pub(super) struct Proposing {
    pub question: QuestionId,
    pub proposal: Proposal,
    pub since: Duration,
    /// When the first author was seen to be ready.
    pub ready: Option<Duration>,
}

/// An open question for a vote.
#[derive(Debug)]
pub(super) struct Judging {
    pub question: QuestionId,
    pub proposal: Proposal,
    pub digest: Digest,
    pub since: Duration,
}

/// An open question for a finalize vote.
#[derive(Debug)]
pub(super) struct Certifying {
    pub question: QuestionId,
    pub digest: Digest,
}

/// Who has been told what this validator holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nobody,
    Leaders,
    All,
}

/// Copies of one batch that are with the verifiers. A wrong copy has the right digest, which covers the header alone,
/// so one that waits must not keep others out: one copy of each peer is taken.
#[derive(Debug)]
pub(super) struct Checking {
    pub author: ValidatorIndex,
    pub sequence: Sequence,
    pub copies: BTreeSet<ValidatorIndex>,
    /// When the first copy was handed on.
    pub since: Duration,
}

/// Something in the journal that is not durable yet.
#[derive(Debug)]
pub(super) enum Unstable {
    Batch(ValidatorIndex, Digest),
    Block(Digest),
}

/// One validator.
pub struct Replica {
    pub(super) settings: Settings,
    pub(super) network: Digest,
    /// Of a network that was rebuilt: the height of the state from which it goes on.
    pub(super) origin: Option<Height>,
    /// The epoch, whose validators these are, and those before it.
    pub(super) epoch: Epoch,
    pub(super) epochs: Epochs,
    /// The epoch in which each peer says that it is, since it connected.
    pub(super) epochs_of: Vec<Option<Epoch>>,
    /// The validators' public keys, which sign the headers of batches.
    pub(super) authors: Vec<[u8; PUBLIC_KEY_BYTES]>,
    pub(super) key: SigningKey,
    pub(super) quorum: usize,
    /// How many validators may be faulty.
    pub(super) faulty: usize,
    /// How many validators there are among the peers, this one included if it is one of them, and how many others.
    pub(super) heard: usize,
    pub(super) others: usize,
    pub(super) certificates: Box<dyn FinalityVerifier + Send>,
    pub(super) mempools: Arc<Mempools>,

    pub(super) streams: Vec<Stream>,
    pub(super) fetches: Fetches,
    pub(super) tree: BlockTree,
    pub(super) sync: CatchUp,
    pub(super) states: StateSync,
    /// Whether the gap to others is closing.
    pub(super) gap: Gap,

    pub(super) connected: BTreeSet<ValidatorIndex>,
    /// Those that only follow.
    pub(super) observers: BTreeSet<ValidatorIndex>,
    /// Batches that are with the verifiers: whose, and from whom each copy came.
    pub(super) checking: BTreeMap<Digest, Checking>,
    /// Batches that name a height which is not executed here yet.
    pub(super) early: Vec<BTreeMap<Digest, Check>>,
    /// Blocks that are in the journal and not final yet: their heights, and where they stand.
    pub(super) journaled: BTreeMap<Digest, (Height, Position)>,
    /// The last position that is known: what is appended later stands behind it.
    pub(super) appended: Position,
    pub(super) schedule: Schedule,
    /// Where the journal ended when the last checkpoint was due, and when the one before was. Batches up to the second
    /// place that are still unordered are written again.
    pub(super) last_due: Position,
    pub(super) rewrite_up_to: Position,
    pub(super) unstable: VecDeque<(Position, Unstable)>,

    pub(super) own: BTreeMap<Digest, Own>,
    pub(super) own_head: Head,
    /// How far a quorum holds the own stream.
    pub(super) own_available: Head,
    pub(super) pushes: Vec<Push>,
    pub(super) waiting_since: Option<Duration>,
    pub(super) last_seal: Duration,
    pub(super) pace: Pace,
    /// Whether sealing waits because as much is on its way as may be.
    pub(super) held_back: bool,
    pub(super) next_chain: usize,
    pub(super) learning: Option<Learning>,
    pub(super) rejoin: Option<Rejoin>,
    /// Others are heard before the first vote and the first batch.
    pub(super) hearing: Option<Hearing>,
    /// Whether consensus was started.
    pub(super) has_begun: bool,
    /// The last finality that the journal has.
    pub(super) last_finality: Option<Finality>,

    /// Who knows what this validator holds now.
    pub(super) holding: Told,
    pub(super) last_holding: Duration,
    pub(super) last_holding_to_all: Duration,

    pub(super) proposing: Option<Proposing>,
    pub(super) judging: Vec<Judging>,
    pub(super) certifying: Vec<Certifying>,
    /// Views in which bodies of an author came late, lately: R8.
    pub(super) late: Vec<u32>,
    /// Bodies that came too late for a view, or never: they count when they do come.
    pub(super) awaited: BTreeMap<Digest, ValidatorIndex>,
    /// When each peer was last asked for something, and what it was served in the running second.
    pub(super) last_asked: Vec<Option<Duration>>,
    pub(super) served: Vec<(Duration, usize)>,
    /// Something has changed that decides what a leader may take.
    pub(super) ready_changed: bool,
    pub(super) view: u64,
    pub(super) last_block: Duration,
    /// How long a view takes, smoothed.
    pub(super) view_time: Duration,
    /// When each block above the head became known here.
    pub(super) started: BTreeMap<Digest, Duration>,

    /// Finalized blocks that are not dispatched yet, lowest first, and when they became so.
    pub(super) finalized: VecDeque<(Finalized<Block>, Duration)>,
    /// The last executed blocks, oldest first, and their heights.
    pub(super) recent: VecDeque<Digest>,
    pub(super) recent_heights: BTreeMap<Digest, Height>,
    pub(super) dispatched: Height,
    /// Bodies of finalized blocks that are asked for by height.
    pub(super) bodies: Bodies,
    pub(super) executed: Height,
    /// Whether the height after the last executed one has payments between chains to execute.
    pub(super) in_flight: bool,
    pub(super) committed: Height,

    pub(super) last_tick: Duration,
    pub(super) last_status: (Duration, Height),
    pub(super) last_told_observers: Duration,
    pub(super) halted: bool,
}

impl Replica {
    /// A replica of `genesis` that goes on where recovery ended.
    #[must_use]
    pub fn new(
        genesis: &Genesis,
        settings: Settings,
        signing_seed: &[u8; 32],
        certificates: Box<dyn FinalityVerifier + Send>,
        mempools: Arc<Mempools>,
        recovered: Recovered,
        losses: Losses,
    ) -> Self {
        let members = recovered.epochs.members();
        let (n, quorum, authors) = (members.list.len(), members.quorum(), members.keys());
        let share = (STREAMS_BYTES_MAX / n).max(STREAM_BYTES_MIN);
        let Recovered { head, uncarried, unordered, blocks, finality, in_flight, .. } = recovered;
        let (appended, schedule) = (recovered.last, recovered.schedule);
        let mut streams: Vec<Stream> = head.cut.iter().map(|cut| Stream::new(*cut, n, share)).collect();
        // One that follows without being a validator has a stream in which nothing ever stands.
        let known = settings.known.filter(|known| known.present() > recovered.epochs.present());
        let heard = known.as_ref().map_or(n, |known| known.members().list.len());
        let others = heard - usize::from(usize::from(settings.me.0) < heard);
        let heard_faulty = heard - types::quorum(heard);
        let follows = known.is_some() || usize::from(settings.me.0) >= n;
        streams.extend(follows.then(|| Stream::new(Head::NONE, n, share)));
        for (batch, position) in unordered {
            let (author, digest) = (usize::from(batch.id().author.0), *batch.digest());
            streams[author].insert(batch, true);
            streams[author].stored(&digest, position);
            streams[author].durable(&digest);
        }
        let me = if follows { ValidatorIndex(n as u16) } else { settings.me };
        let settings = Settings { me, known, ..settings };
        let own_head = streams[usize::from(settings.me.0)].held();
        let (height, epoch, view) = (head.height, head.epoch, head.view);
        let settings = Settings { skips_blocks: settings.skips_blocks || height.0 == 0, ..settings };
        let mut tree = BlockTree::new(head, recovered.quotas, recovered.next_members);
        uncarried.into_iter().for_each(|(height, root)| tree.executed(height, root));
        let mut journaled = BTreeMap::new();
        for (block, position) in blocks {
            let (digest, height) = (*block.digest(), block.height());
            tree.insert(block, true);
            tree.durable(&digest);
            journaled.insert(digest, (height, position));
        }
        let peers = n.max(heard) + settings.observers;
        let losses = if follows { Losses::default() } else { losses };
        if losses.stream_lost || follows {
            mempools.pause();
        }
        Self {
            network: *genesis.network(),
            origin: genesis.origin().map(|origin| origin.height),
            epoch,
            epochs: recovered.epochs,
            epochs_of: vec![None; peers],
            authors,
            key: SigningKey::from_seed(*signing_seed),
            quorum,
            faulty: n - quorum,
            heard,
            others,
            certificates,
            mempools,
            streams,
            fetches: Fetches::new(),
            tree,
            sync: if follows { CatchUp::following(heard_faulty) } else { CatchUp::new(heard_faulty) },
            states: StateSync::new(*genesis.network(), heard_faulty),
            gap: Gap::default(),
            connected: BTreeSet::new(),
            observers: BTreeSet::new(),
            checking: BTreeMap::new(),
            early: vec![BTreeMap::new(); n + usize::from(follows)],
            journaled,
            appended,
            schedule,
            last_due: appended,
            rewrite_up_to: Position::from_raw(0),
            unstable: VecDeque::new(),
            own: BTreeMap::new(),
            own_head,
            own_available: Head::NONE,
            pushes: vec![Push::default(); peers],
            waiting_since: None,
            last_seal: Duration::ZERO,
            pace: Pace::new(n),
            held_back: false,
            next_chain: 0,
            learning: losses.stream_lost.then(Learning::default),
            rejoin: losses.votes_forgotten.then(Rejoin::default),
            hearing: (losses.hears_others && !losses.votes_forgotten).then(Hearing::default),
            has_begun: follows,
            last_finality: finality,
            holding: Told::Nobody,
            last_holding: Duration::ZERO,
            last_holding_to_all: Duration::ZERO,
            proposing: None,
            judging: Vec::new(),
            certifying: Vec::new(),
            late: vec![0; n],
            awaited: BTreeMap::new(),
            last_asked: vec![None; peers],
            served: vec![(Duration::ZERO, 0); peers],
            ready_changed: true,
            view,
            last_block: Duration::ZERO,
            view_time: Duration::from_millis(5),
            started: BTreeMap::new(),
            finalized: VecDeque::new(),
            recent: VecDeque::new(),
            recent_heights: BTreeMap::new(),
            dispatched: height,
            bodies: Bodies::new(height),
            executed: height,
            in_flight,
            committed: height,
            last_tick: Duration::ZERO,
            last_status: (Duration::ZERO, Height(0)),
            last_told_observers: Duration::ZERO,
            halted: false,
            settings,
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Now, ports: &mut impl Ports) {
        if self.halted {
            return;
        }
        let done = self.take(input, now, ports).and_then(|()| self.on_time(now, ports));
        if let Err(halt) = done {
            self.halted = true;
            ports.halt(halt);
        }
    }

    /// When time alone makes a difference again.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let tick = self.last_tick + TICK;
        let others = [
            self.seal_deadline(),
            self.propose_deadline(),
            self.judge_deadline(),
            self.holding_deadline(),
            self.fetches.deadline(),
            self.states.deadline(),
        ];
        (!self.halted).then(|| others.into_iter().flatten().fold(tick, Duration::min))
    }

    /// The last finalized block that was handed out.
    #[must_use]
    pub fn finalized(&self) -> Height {
        self.tree.head().height
    }

    /// The last committed block.
    #[must_use]
    pub fn committed(&self) -> Height {
        self.committed
    }

    /// How many blocks a quorum of peers is ahead, if that is more than the normal course explains.
    #[must_use]
    pub fn behind(&self) -> Option<u64> {
        self.sync.lag(self.committed)
    }

    /// Whether this validator hears enough of its peers to tell whether it is behind.
    #[must_use]
    pub fn knows_the_height(&self) -> bool {
        self.others == 0 || self.sync.hears()
    }

    /// Sizes of everything that is keyed by what a peer says, by name: for checkers and reports.
    #[must_use]
    pub fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("stream_batches", self.streams.iter().map(Stream::len).max().unwrap_or(0)),
            ("stream_bytes", self.streams.iter().map(Stream::bytes).max().unwrap_or(0)),
            ("blocks", self.tree.len()),
            ("quotas", self.tree.quotas().len()),
            ("fetches", self.fetches.len()),
            ("checking", self.checking.len()),
            ("early", self.early.iter().map(BTreeMap::len).sum()),
            ("judging", self.judging.len()),
            ("certifying", self.certifying.len()),
            ("journaled_blocks", self.journaled.len()),
            ("undispatched", self.finalized.len()),
            ("own", self.own.len()),
            ("awaited", self.awaited.len()),
            ("started", self.started.len()),
        ]
    }

    fn take(&mut self, input: Input, now: Now, ports: &mut impl Ports) -> Result<(), Halt> {
        match input {
            Input::Connected(peer, version) => self.connect(peer, version, now, ports),
            Input::Disconnected(peer) => self.disconnect(peer),
            Input::Message(from, message) => self.message(from, message, now, ports)?,
            Input::Checked { from, batch, pushed, verdict } => {
                self.checked(from, batch, pushed, verdict, now, ports)?;
            }
            Input::Unchecked(from, digest) => self.checked_copy(from, &digest),
            Input::Durable(durable) => self.durable(&durable, now, ports)?,
            Input::MempoolFilled => self.mempool_filled(now),
            Input::Propose(question, proposal) => self.propose(question, proposal, now),
            Input::Verify(question, proposal, digest) => {
                self.verify(question, proposal, digest, now, ports)?;
            }
            Input::Certify(question, view, digest) => self.certify(question, view, digest, now, ports)?,
            Input::Relay(digest) => self.relay(&digest, ports),
            Input::Finalized(finality) => self.finalize(finality, now, ports)?,
            Input::Executed { height, root, in_flight, decided: Decided { charters, members } } => {
                self.executed = height;
                self.release_early(ports);
                self.ready_changed |= in_flight;
                self.in_flight = in_flight;
                self.tree.executed(height, root);
                self.tree.decided(height, charters);
                if let Some(members) = members {
                    self.tree.decided_members(height, members.digest());
                }
                self.reconsider(now, ports)?;
                self.dispatch(ports)?;
                self.want_finalized(now, ports);
                self.poll_sync(now, ports);
            }
            Input::Committed(height) => {
                self.committed = height;
                self.tell_observers(now, ports);
                let head = self.tree.head();
                if head.ends_epoch && head.height == height {
                    ports.hand_on(Work::NextEpoch(height));
                }
            }
            Input::ChunkWritten(height, number) => self.chunk_written(height, number, now, ports),
            Input::StateRefused(height) => self.states.refused(height, now.monotonic),
            Input::EvidenceRefused(height) => {
                if let Some(liar) = self.states.evidence_refused(height, now.monotonic) {
                    self.offence(liar, super::Offence::FalseState, ports);
                }
                self.poll_states(now, ports);
            }
            Input::Tune(tuning) => self.tune(tuning),
            Input::Time => {}
        }
        Ok(())
    }

    fn on_time(&mut self, now: Now, ports: &mut impl Ports) -> Result<(), Halt> {
        self.hear(now, ports)?;
        self.seal_if_due(now, ports)?;
        self.propose_if_due(now, ports)?;
        self.give_up_judging(now, ports);
        self.tell_holding_if_due(now, ports);
        if now.monotonic >= self.last_tick + TICK {
            self.last_tick = now.monotonic;
            self.refuse_expired(ports);
            self.fetch_what_others_hold(now);
            self.want_finalized(now, ports);
            self.reconsider(now, ports)?;
            self.tell_overloaded(now, ports);
            self.push_again(now, ports);
            self.poll_sync(now, ports);
            self.poll_states(now, ports);
            self.tell_status(now, ports);
            self.learn(now, ports)?;
            self.settle_rejoin(now, ports);
        }
        if self.states.deadline().is_some_and(|deadline| now.monotonic >= deadline) {
            self.poll_states(now, ports);
        }
        self.send_requests(now, ports);
        Ok(())
    }

    fn tune(&mut self, tuning: Tuning) {
        let Tuning { batch_packets_max, batch_delay, view_interval, skips_blocks } = tuning;
        let settings = &mut self.settings;
        settings.batch_packets_max = batch_packets_max.min(settings.batch_packets_limit);
        (settings.batch_delay, settings.view_interval) = (batch_delay, view_interval);
        settings.skips_blocks = skips_blocks || self.executed.0 == 0;
    }

    pub(super) fn me(&self) -> usize {
        usize::from(self.settings.me.0)
    }

    pub(super) fn validators(&self) -> usize {
        self.authors.len()
    }

    /// Whether this is no validator of the epoch: it follows, and neither votes nor seals.
    #[must_use]
    pub fn is_follower(&self) -> bool {
        self.me() == self.validators()
    }

    /// Whether a later epoch is known than that of the journal, so that the peers are not those that are authors here.
    pub(super) fn is_outdated(&self) -> bool {
        self.settings.known.is_some()
    }

    /// The epochs up to the one in which this replica is.
    #[must_use]
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Gives back the mempools' slots of a batch that will not be executed.
    pub(super) fn release(&self, batch: &Batch) {
        for (chain, packets) in batch.sections() {
            if let Some(mempool) = self.mempools.get(chain) {
                mempool.release(PacketRun::all(packets));
            }
        }
    }

    pub(super) fn offence(&self, peer: ValidatorIndex, offence: super::Offence, ports: &mut impl Ports) {
        ports.observe(Observation::Offence(peer, offence));
    }
}
