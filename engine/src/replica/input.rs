//! What a replica is told, and what it says.

use std::time::Duration;

use bytes::Bytes;

use crate::order::{Divergence, Finality, Proposal};
use crate::replica::Job;
use crate::roots::Decided;
use crate::store::{Durable, Position, StoreError};
use crate::sync::StateWork;
use crate::types::{Digest, Head, Height, Sequence, ValidatorIndex};
use crate::verify::{BatchRefusal, Verified};
use crate::wire::{Batch, Notice, PeerMessage, PeerVersion};

/// The time at which something happens, as its host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since the host started; never goes back.
    pub monotonic: Duration,
    /// Milliseconds since 1970, for block times only.
    pub unix_ms: u64,
}

/// The name of a question of consensus, given by the host; used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuestionId(pub u64);

/// One event for a replica.
#[derive(Debug)]
pub enum Input {
    /// A peer is connected, and both speak this version.
    Connected(ValidatorIndex, PeerVersion),
    /// A peer is gone.
    Disconnected(ValidatorIndex),
    /// A peer says something.
    Message(ValidatorIndex, PeerMessage),
    /// A batch that was handed on as [`Work::Check`] has a verdict.
    Checked {
        /// Who sent it.
        from: ValidatorIndex,
        /// Its author, sequence and digest.
        batch: (ValidatorIndex, Head),
        /// Whether its author sent it by itself.
        pushed: bool,
        /// The evidence, or why the batch is refused.
        verdict: Result<Verified<Batch>, BatchRefusal>,
    },
    /// There was no room for the batch with this digest that this peer had sent (see [`Work::Check`]): it is as if it
    /// had not come.
    Unchecked(ValidatorIndex, Digest),
    /// The journal is durable up to here.
    Durable(Durable),
    /// The mempool holds something and held nothing before.
    MempoolFilled,
    /// Consensus wants a block to be proposed.
    Propose(QuestionId, Proposal),
    /// Consensus wants a proposal to be judged.
    Verify(QuestionId, Proposal, Digest),
    /// Consensus has a notarization: may this validator vote to finalize?
    Certify(QuestionId, u64, Digest),
    /// Consensus votes for our proposal now: send the block.
    Relay(Digest),
    /// Consensus has finalized.
    Finalized(Finality),
    /// A block is executed.
    Executed {
        /// Its height.
        height: Height,
        /// The state root after it.
        root: Digest,
        /// Whether the next height has payments between chains to execute, whatever else it has.
        in_flight: bool,
        /// What it has decided.
        decided: Decided,
    },
    /// A block's record is durable.
    Committed(Height),
    /// A chunk of the state of this height is on the disk (see [`Work::State`]).
    ChunkWritten(Height, u32),
    /// The state of this height cannot be written or used.
    StateRefused(Height),
    /// The evidence that came with the state of this height does not hold; the state is on the disk and may be good.
    EvidenceRefused(Height),
    /// Other settings from now on.
    Tune(Tuning),
    /// Nothing but time has passed.
    Time,
}

/// Those of the [`Settings`](super::Settings) that may be changed at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// A batch is sealed when so many packets wait…
    pub batch_packets_max: usize,
    /// …or when its oldest transaction has waited this long.
    pub batch_delay: Duration,
    /// The shortest time between two blocks that take batches.
    pub view_interval: Duration,
    /// Whether a state may be fetched in the place of blocks that cannot be had.
    pub skips_blocks: bool,
}

/// What consensus is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `Propose`: this block.
    Propose(Digest),
    /// To `Verify` and `Certify`.
    Vote(bool),
    /// No answer will come: the view may be skipped.
    Decline,
}

/// To whom a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// To every peer.
    All,
    /// To this peer.
    One(ValidatorIndex),
    /// To these peers.
    Some(Vec<ValidatorIndex>),
}

/// A batch whose body and signatures are to be checked.
#[derive(Clone, Debug)]
pub struct Check {
    /// Who sent it.
    pub from: ValidatorIndex,
    /// Whether its author sent it by itself.
    pub pushed: bool,
    /// The batch.
    pub batch: Batch,
}

/// What a peer wants from the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Committed batches of a stream, the last one first.
    Batches {
        /// Whose stream.
        author: ValidatorIndex,
        /// Those above this one.
        above: Sequence,
        /// The last one.
        head: Head,
        /// The last height before the epoch whose stream it is, and the last one that is looked at.
        heights: (Height, Height),
    },
    /// One committed block.
    Block(Height),
    /// Committed blocks with their certificates.
    Blocks {
        /// The first height.
        from: Height,
        /// How many at most.
        max: u32,
        /// The last height that may be given.
        committed: Height,
    },
    /// The batches of committed blocks.
    Bodies {
        /// The first height.
        from: Height,
        /// Of how many heights.
        heights: u32,
        /// The last height that may be given.
        committed: Height,
    },
    /// One record of a committed height.
    Stored {
        /// The height.
        height: Height,
        /// 0 for the record of the block, else which of its batches, from 1.
        place: u32,
    },
}

/// What a peer wants from the checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateRead {
    /// Which there are.
    States,
    /// The digests of the chunks of that of this height.
    ChunkList(Height),
    /// A chunk of that of this height.
    Chunk(Height, u32),
}

/// Work for others: none of it is done by the replica itself, since it takes long.
#[derive(Debug)]
pub enum Work {
    /// Check a batch; the answer is [`Input::Checked`] or [`Input::Unchecked`].
    Check(Check),
    /// Execute a block; for the committer.
    Execute(Box<Job>),
    /// Read the journal and answer the peer.
    Read(ValidatorIndex, Read),
    /// Read the checkpoints and answer the peer.
    ReadState(ValidatorIndex, StateRead),
    /// Keep what is fetched of a state; the answers are [`Input::ChunkWritten`] and [`Input::StateRefused`]. When it is
    /// complete, this replica ends, and one that goes on from there begins.
    State(StateWork),
    /// The last block of the epoch is executed and durable at this height, and so is its finalization: this replica
    /// ends, and one of the next epoch begins.
    NextEpoch(Height),
}

/// What a peer did that no correct validator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offence {
    /// A batch, block or head that cannot be read or cannot exist in this network.
    Malformed,
    /// A batch of another author, or a block of another proposer, that was not asked for.
    Unwanted,
    /// A batch with a wrong body or signature.
    BadBatch,
    /// A third branch of one stream: its author contradicts itself once more.
    Equivocation,
    /// An answer to a request for blocks that does not chain or is not final.
    FalseSync,
    /// A chunk, or a list of them, that is not of the state that f+1 have named.
    FalseState,
}

impl Offence {
    /// The name in counters and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unwanted => "unwanted",
            Self::BadBatch => "bad_batch",
            Self::Equivocation => "equivocation",
            Self::FalseSync => "false_sync",
            Self::FalseState => "false_state",
        }
    }
}

/// The stages of a transaction at the validator that took it from its client, in the order of its walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// From the frame's arrival until a verifier picks it up.
    Ingress,
    /// Until its signature has a verdict.
    Verify,
    /// Until it is sealed in a batch.
    Mempool,
    /// Until a quorum holds the batch.
    Available,
    /// Until the block that orders the batch is finalized.
    Ordered,
    /// Until the block is executed and its roots are known.
    Executed,
    /// Until the block's record is on disk.
    Durable,
    /// Until the notice is handed to the client's connection.
    Notified,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 8] = [
        Self::Ingress,
        Self::Verify,
        Self::Mempool,
        Self::Available,
        Self::Ordered,
        Self::Executed,
        Self::Durable,
        Self::Notified,
    ];

    /// The stage's name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Verify => "verify",
            Self::Mempool => "mempool",
            Self::Available => "available",
            Self::Ordered => "ordered",
            Self::Executed => "executed",
            Self::Durable => "durable",
            Self::Notified => "notified",
        }
    }
}

/// Something worth counting. Observations only leave the replica; nothing is ever decided by them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// An own batch of so many transactions was sealed.
    Sealed(u64),
    /// A peer's batch passed every check.
    BatchAccepted,
    /// Something was asked back from a peer.
    Fetched,
    /// A block was proposed.
    Proposed,
    /// A proposal was refused, and why.
    ProposalRefused {
        /// Who proposed it.
        leader: ValidatorIndex,
        /// In which view.
        view: u64,
        /// What is wrong with it.
        flaw: String,
    },
    /// The head of finalized blocks is known to be here.
    Finalized(Height),
    /// Transactions spent so many microseconds in a stage.
    Stage {
        /// Which stage.
        stage: Stage,
        /// Microseconds that each of them spent.
        us: u64,
        /// How many transactions.
        transactions: u64,
    },
    /// So many own transactions were refused after they had been accepted, for this reason.
    Refused(crate::types::Refusal, u64),
    /// A peer broke a rule.
    Offence(ValidatorIndex, Offence),
    /// An author signed two batches that follow the same one.
    Contradiction {
        /// The author.
        author: ValidatorIndex,
        /// One of the batches.
        one: Head,
        /// The batch that both follow.
        after: Head,
    },
    /// This validator's own stream is not known here as far as peers know it: sealing waits.
    StreamLost,
    /// This validator's own stream is known again, up to here.
    StreamLearnt(Head),
    /// Others hold a vote or a batch of this validator that its directory does not have: that is an older copy.
    OlderCopy,
    /// Far behind: finalizations are dropped until it has caught up.
    FarBehind,
    /// No connected peer keeps the next height any more.
    BelowRetention {
        /// The height that is needed.
        height: Height,
        /// The first that a peer keeps.
        kept_from: Height,
        /// Whether a state may be fetched instead.
        skips_blocks: bool,
    },
    /// The state of a height is being fetched.
    FetchingState {
        /// The height.
        height: Height,
        /// Chunks that are on the disk.
        written: u32,
        /// All of them.
        chunks: u32,
        /// Whom it is asked of at present.
        from: Vec<ValidatorIndex>,
    },
}

/// Why a replica cannot go on. The host stops it and says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The journal refused something.
    #[error("the disk cannot be relied on any more: {0}")]
    Disk(#[from] StoreError),
    /// Two final branches.
    #[error("{0}")]
    Fork(#[from] crate::order::FinalizeError),
    /// Another state root than the network's.
    #[error("{0}")]
    Diverged(#[from] Divergence),
}

/// The world of a replica. Called once an event, batch or block, never once a transaction.
pub trait Ports {
    /// Sends a message to peers. One that cannot be sent now is dropped: the protocol repeats what matters.
    fn send(&mut self, to: To, message: &PeerMessage);

    /// Appends a record to the journal. That it has become durable is told by [`Input::Durable`].
    ///
    /// # Errors
    /// The journal has failed or is full; the replica halts.
    fn append(&mut self, kind: u8, parts: &[&[u8]]) -> Result<Position, StoreError>;

    /// Answers a question of consensus; each is answered at most once.
    fn answer(&mut self, question: QuestionId, answer: Answer);

    /// Whether consensus still waits for an answer.
    fn is_open(&self, question: QuestionId) -> bool;

    /// Tells a client what became of its transactions.
    fn notify(&mut self, connection: u64, notices: Vec<Notice>);

    /// Hands on work.
    fn hand_on(&mut self, work: Work);

    /// Starts consensus, once: from its records, or from this finalized block on where that is above them. After votes
    /// were forgotten, nothing below it is voted on.
    fn begin_consensus(&mut self, floor: Option<Finality>);

    /// The vote of the highest view that has come from a peer; empty if there is none.
    fn last_vote(&self, of: ValidatorIndex) -> Bytes;

    /// Whether a vote has this validator's signature and is not among those that its log remembers. Asked before
    /// consensus begins.
    fn lacks_vote(&self, vote: &[u8]) -> bool;

    /// Remembers durably that votes of earlier runs are lost. Asked before consensus begins.
    ///
    /// # Errors
    /// The log of votes has failed; the replica halts.
    fn forget_votes(&mut self) -> Result<(), StoreError>;

    /// The view that consensus is in; before it runs, the highest that its records know. Never below a view in which
    /// this validator has voted and knows it: peers that have forgotten their votes count on it.
    fn view(&self) -> u64;

    /// The first height whose block and batches the journal has.
    fn kept_from(&self) -> Height;

    /// Reports an observation; nothing is decided by it.
    fn observe(&mut self, observation: Observation);

    /// Stops this validator.
    fn halt(&mut self, halt: Halt);
}
