//! A replica's world and a committer's world, as queues: what they say is collected and carried out by the simulator.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use consensus::{Payload, Reply};
use engine::execute::Delta;
use engine::mempool::Origin;
use engine::order::Finality;
use engine::replica::{
    Answer, BlockIndex, Boot, Boots, CheckpointDue, CommitPorts, CommitterEvent, Halt, KIND_BATCH,
    KIND_BLOCK, KIND_BOOT, Observation, Ports, QuestionId, To, Work,
};
use engine::roots::Decided;
use engine::store::simulated::SimulatedLog;
use engine::store::{Position, StoreError};
use engine::types::{
    Digest, Epoch, Head, Height, Outcome, PacketRun, Signed, TransactionId, ValidatorIndex, Verdict,
};
use engine::wire::{Batch, Block, Notice, PeerMessage};

use crate::bell::Certificates;
use crate::checkpoints::CheckpointTaker;
use crate::disks::VoteLog;
use crate::moments::Moment;
use crate::rules::Rule;

/// What a replica wants done.
#[derive(Debug)]
pub(crate) enum Output {
    Send(To, PeerMessage),
    Notify(Vec<Notice>),
    Work(Work),
    Begin(Option<Finality>),
    Moment(Moment, u64, Digest),
    /// A broken rule: it votes for a block that its replica has refused and forgotten.
    VotesBlindly(Digest),
    Observe(Observation),
    Halt(Halt),
}

/// A question of consensus.
#[derive(Debug)]
pub(crate) enum Question {
    Propose(Reply<Payload>),
    Verify(Reply<bool>, u64, Digest),
    Certify(Reply<bool>, u64, Digest),
}

/// How a Byzantine leader changes its own block before it is proposed, given the head of its own stream.
pub(crate) type Forge = Box<dyn FnMut(&Block, Head) -> Option<Block> + Send>;

/// The replica's world.
pub(crate) struct Host {
    pub(crate) journal: Arc<SimulatedLog>,
    /// Where its committed blocks stand.
    pub(crate) index: Arc<BlockIndex>,
    /// The starts that the journal remembers.
    pub(crate) boots: Arc<Mutex<Boots>>,
    pub(crate) rule: Option<Rule>,
    /// The view that consensus is in.
    pub(crate) view: u64,
    pub(crate) me: ValidatorIndex,
    pub(crate) epoch: Epoch,
    /// Votes of others come in here; what the own log remembers, and who checks.
    pub(crate) inbound: consensus::Inbound,
    pub(crate) memory: consensus::Memory,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) votes: Arc<VoteLog>,
    pub(crate) network: Digest,
    /// Transactions of own batches, for the broken rule of notices.
    pub(crate) sealed: BTreeSet<TransactionId>,
    pub(crate) out: Vec<Output>,
    pub(crate) questions: BTreeMap<QuestionId, Question>,
    pub(crate) asked: u64,
    pub(crate) forge: Option<Forge>,
    /// The last block that was written to the journal: at a proposal, the proposer's own.
    pub(crate) written: Option<Block>,
    pub(crate) forged: BTreeMap<Digest, Block>,
    /// Height and next root of blocks that were seen, for the broken rule of the lag.
    pub(crate) lags: BTreeMap<Digest, (Height, Height)>,
    /// The latest time of a block that was seen, for the broken rule of time.
    pub(crate) latest_ms: u64,
    /// The last own batches, for scripts that show them to somebody.
    pub(crate) recent: VecDeque<Bytes>,
    /// The head of the last own batch.
    pub(crate) own: Head,
    pub(crate) sealed_batches: u64,
}

/// How many own batches are kept for scripts.
const RECENT: usize = 48;
/// Questions of the broken rule of bounds.
const BLIND: u64 = 1 << 63;

impl Host {
    pub(crate) fn ask(&mut self, question: Question) -> QuestionId {
        self.questions.retain(|_, question| !question.is_abandoned());
        let id = QuestionId(self.asked);
        self.asked += 1;
        self.questions.insert(id, question);
        id
    }

    /// The broken rule of bounds: a question that consensus has not asked.
    pub(crate) fn ask_blindly(&mut self) -> QuestionId {
        self.asked += 1;
        QuestionId(BLIND | self.asked)
    }

    pub(crate) fn saw(&mut self, block: &Block) {
        let header = block.header();
        if self.rule == Some(Rule::TimeBounded) {
            self.latest_ms = self.latest_ms.max(header.time_ms);
        }
        if self.rule == Some(Rule::EmptyBlocksPass) {
            let next = Height(header.roots_first.0 + header.roots.len() as u64);
            self.lags.insert(*block.digest(), (header.height, next));
        }
    }

    pub(crate) fn has_sealed(&self, id: &TransactionId) -> bool {
        self.sealed.contains(id)
    }

    fn remember(&mut self, bytes: &[u8]) {
        let batch = Batch::decode(&self.network, bytes.to_vec().into());
        let Some(batch) = batch.ok().filter(|batch| batch.id().author == self.me) else { return };
        self.sealed_batches += 1;
        self.own = batch.head();
        self.recent.push_back(batch.bytes().clone());
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        if self.rule != Some(Rule::NoticesByDigest) {
            return;
        }
        self.sealed.extend(PacketRun::all(batch.packets()).map(|run| run.id(&self.network)));
    }

    fn lags(&self, digest: &Digest) -> bool {
        let lag = self.lags.get(digest).map(|(height, next)| height.0.saturating_sub(next.0));
        lag.is_some_and(|lag| lag >= engine::limits::ROOT_LAG_MAX)
    }
}

impl Question {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Propose(reply) => reply.is_abandoned(),
            Self::Verify(reply, ..) | Self::Certify(reply, ..) => reply.is_abandoned(),
        }
    }
}

impl Ports for Host {
    fn send(&mut self, to: To, message: &PeerMessage) {
        self.out.push(Output::Send(to, message.clone()));
    }

    fn append(&mut self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError> {
        if kind == KIND_BLOCK {
            self.written = Block::decode(&parts.concat()).ok();
            if let Some(block) = self.written.clone() {
                self.saw(&block);
            }
            if self.rule == Some(Rule::BlocksJournaled) {
                self.boots.lock().unwrap_or_else(PoisonError::into_inner).note(Boot::LEARNT);
                return self.journal.append(KIND_BOOT, &[&Boot::LEARNT.encode()]);
            }
        }
        if kind == KIND_BATCH {
            self.remember(&parts.concat());
        }
        if kind == KIND_BOOT
            && let Ok(boot) = Boot::decode(&parts.concat())
        {
            self.boots.lock().unwrap_or_else(PoisonError::into_inner).note(boot);
        }
        self.journal.append(kind, parts)
    }

    fn answer(&mut self, question: QuestionId, answer: Answer) {
        match (self.questions.remove(&question), answer) {
            (Some(Question::Propose(reply)), Answer::Propose(digest)) => {
                let own = self.written.as_ref().filter(|block| *block.digest() == digest);
                let head = self.own;
                let forged = self.forge.as_mut().zip(own).and_then(|(forge, own)| forge(own, head));
                let digest = forged.as_ref().map_or(digest, |block| *block.digest());
                self.forged.extend(forged.map(|block| (digest, block)));
                reply.send(digest.0);
            }
            (Some(Question::Verify(reply, _, digest)), Answer::Vote(vote)) => {
                let broken = self.rule == Some(Rule::EmptyBlocksPass) && self.lags(&digest);
                let blind = matches!(
                    self.rule,
                    Some(Rule::RootsCompared | Rule::BlocksBounded | Rule::QuotasKept | Rule::LogsCompared)
                );
                if blind && !vote {
                    self.out.push(Output::VotesBlindly(digest));
                }
                reply.send((vote || blind) && !broken);
            }
            (Some(Question::Certify(reply, view, digest)), Answer::Vote(vote)) => {
                self.out.push(Output::Moment(Moment::MayFinalize, view, digest));
                reply.send(vote);
            }
            (Some(Question::Verify(_, view, digest)), Answer::Decline) => {
                self.out.push(Output::Moment(Moment::GivesUp, view, digest));
            }
            (_, Answer::Decline) | (None, _) => {}
            (Some(question), answer) => panic!("{answer:?} is no answer to {question:?}"),
        }
    }

    fn is_open(&self, question: QuestionId) -> bool {
        question.0 & BLIND != 0
            || self.questions.get(&question).is_some_and(|question| !question.is_abandoned())
    }

    fn notify(&mut self, _connection: u64, notices: Vec<Notice>) {
        self.out.push(Output::Notify(notices));
    }

    fn hand_on(&mut self, work: Work) {
        self.out.push(Output::Work(work));
    }

    fn begin_consensus(&mut self, floor: Option<Finality>) {
        self.out.push(Output::Begin(floor));
    }

    fn last_vote(&self, of: ValidatorIndex) -> Bytes {
        self.inbound.last_vote(of.0).unwrap_or_default()
    }

    fn lacks_vote(&self, vote: &[u8]) -> bool {
        self.certificates.lacks(&self.memory, (self.epoch, usize::from(self.me.0)), vote)
    }

    fn forget_votes(&mut self) -> Result<(), StoreError> {
        self.votes.lost()
    }

    fn view(&self) -> u64 {
        self.view.max(self.memory.view())
    }

    fn kept_from(&self) -> Height {
        self.index.kept_from()
    }

    fn observe(&mut self, observation: Observation) {
        self.out.push(Output::Observe(observation));
    }

    fn halt(&mut self, halt: Halt) {
        self.out.push(Output::Halt(halt));
    }
}

/// What a committer says.
#[derive(Debug)]
pub(crate) enum Committed {
    Notify(Vec<Notice>),
    Executed(Height, Digest, Vec<Delta>, bool, Decided),
    /// What a checkpoint needs, if one is due.
    At(Height, Option<CheckpointDue>),
}

/// The committer's world.
pub(crate) struct CommitHost {
    pub(crate) journal: Arc<SimulatedLog>,
    pub(crate) out: Vec<Committed>,
    pub(crate) appended: BTreeMap<Height, Position>,
    pub(crate) position: Option<Position>,
    pub(crate) checkpoints: CheckpointTaker,
}

impl CommitPorts for CommitHost {
    fn append(&mut self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError> {
        let position = self.journal.append(kind, parts)?;
        self.position = Some(position);
        Ok(position)
    }

    fn notify(&mut self, _connection: u64, notices: Vec<Notice>) {
        self.out.push(Committed::Notify(notices));
    }

    /// This host looks nothing up.
    fn repeated(&mut self, origin: Origin, _transaction: Signed) {
        let verdict = Verdict::Failed(Outcome::Replayed);
        self.out.push(Committed::Notify(vec![Notice { tag: origin.tag, verdict }]));
    }

    fn tell(&mut self, event: CommitterEvent<'_>) {
        match event {
            CommitterEvent::Executed { height, root, executed, in_flight } => {
                self.appended.extend(self.position.take().map(|position| (height, position)));
                self.checkpoints.executed(executed.deltas.clone(), executed.state_root.clone());
                let (decided, deltas) = (executed.decided(), executed.deltas.clone());
                self.out.push(Committed::Executed(height, root, deltas, in_flight, decided));
            }
            CommitterEvent::Committed { height, checkpoint } => {
                self.out.push(Committed::At(height, checkpoint));
            }
            CommitterEvent::Stage { .. } => {}
        }
    }
}
