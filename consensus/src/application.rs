//! What the engine asks of, and tells to, whoever gives the payloads their meaning.

use commonware_utils::channel::oneshot;

use crate::{Payload, StopReason, committee::Digest};

/// The caller's side. All methods are called on the engine's thread and must return at once; whatever takes time is
/// answered later, from any thread, through the [`Reply`].
pub trait Application: Send + Sync + 'static {
    /// This validator leads `context.view`: name a payload that extends `context.parent`.
    ///
    /// Dropping the reply declines: the view is skipped soon. A reply kept for longer than the leader time-out loses
    /// the view as well; [`Reply::is_abandoned`] tells. The payload must commit to `context.parent`.
    fn propose(&self, context: ProposalContext, reply: Reply<Payload>);

    /// Another validator proposed `payload`: is it valid as a child of `context.parent`?
    ///
    /// Asked once a view. Answer `false` only if it can never become valid. While something is missing or late, keep
    /// the reply: the view goes on without this vote. **Dropping the reply is a refusal**, like `false`.
    fn verify(&self, context: ProposalContext, payload: Payload, reply: Reply<bool>);

    /// This validator's proposal for `view` is about to be voted on: send what `payload` stands for to all peers.
    ///
    /// After a crash the same view may be relayed again with another payload; only the one that this validator
    /// voted for counts.
    fn relay(&self, view: u64, payload: Payload);

    /// `finalization.payload` and all its ancestors are final.
    ///
    /// Views increase strictly within one run, but not every ancestor is announced by itself: fetch what is missing
    /// by parent digests. After a restart the finalizations that are still in the store are announced again.
    fn finalized(&self, finalization: Finalization);

    /// A peer broke the protocol.
    fn fault(&self, fault: Fault);

    /// The engine has stopped, and why. The last call ever made.
    fn stopped(&self, reason: StopReason);
}

/// Where a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposalContext {
    /// The view it is proposed in.
    pub view: u64,
    /// The validator that proposes.
    pub leader: u16,
    /// The view of the parent; 0 for the genesis.
    pub parent_view: u64,
    /// The parent's payload; the network id for the genesis.
    pub parent: Payload,
}

/// A final payload with its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finalization {
    /// The view in which the payload was proposed.
    pub view: u64,
    /// The view of its parent.
    pub parent_view: u64,
    /// The payload.
    pub payload: Payload,
    /// The certificate, for [`crate::Verifier::verify`].
    pub certificate: Vec<u8>,
}

/// What a peer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which validator.
    pub validator: u16,
    /// What it did.
    pub kind: FaultKind,
    /// The view in which it did so, where that is known.
    pub view: Option<u64>,
    /// The two contradictory signed votes, for [`crate::Verifier::check_evidence`]; empty for
    /// [`FaultKind::InvalidMessage`], which proves nothing to anybody else.
    pub evidence: Vec<u8>,
}

/// The ways to break the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Voted for two proposals in one view.
    ConflictingNotarize,
    /// Voted to finalize two proposals in one view.
    ConflictingFinalize,
    /// Voted both to skip and to finalize a view.
    NullifyFinalize,
    /// Sent something that no correct validator sends: undecodable, wrongly signed, or contradictory. Nothing more
    /// is taken from it for [`crate::Timing::block_for`].
    InvalidMessage,
}

/// Carries one answer back to the engine, from any thread.
#[derive(Debug)]
pub struct Reply<T: Answer> {
    sender: oneshot::Sender<T::Wire>,
}

impl<T: Answer> Reply<T> {
    pub(crate) fn new() -> (Self, oneshot::Receiver<T::Wire>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender }, receiver)
    }

    /// Answers. An answer that nobody waits for any more is discarded.
    pub fn send(self, answer: T) {
        let _abandoned = self.sender.send(answer.into_wire());
    }

    /// Whether the engine has left the view, so that no answer is needed.
    pub fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }
}

pub use sealed::Answer;

mod sealed {
    use super::{Digest, Payload};

    /// What may be answered.
    pub trait Answer {
        /// The engine's type for it.
        type Wire: Send + std::fmt::Debug;
        /// Converts.
        fn into_wire(self) -> Self::Wire;
    }

    impl Answer for bool {
        type Wire = bool;
        fn into_wire(self) -> bool {
            self
        }
    }

    impl Answer for Payload {
        type Wire = Digest;
        fn into_wire(self) -> Digest {
            Digest::from(self)
        }
    }
}
