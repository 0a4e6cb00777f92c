//! What the engine asks of, and tells to, the application that gives the payloads their meaning.
//!
//! ```text
//!   propose -> relay -+-> verify (others') -> a vote to notarize
//!                     |        a quorum of those: notarized
//!                     +-> certify (everybody) -> a vote to finalize, and the next view
//!                              a quorum of those: finalized
//! ```

use commonware_utils::channel::oneshot;

use crate::{Finalization, Payload, StopReason, committee::Digest};

/// The caller's side. All methods are called from the engine's tasks and must return at once; what takes time is
/// answered later, from any thread, through the [`Reply`].
pub trait Application: Send + Sync + 'static {
    /// This validator leads `context.view`: name a payload that extends `context.parent`.
    ///
    /// Declining skips the view soon. A reply kept for longer than the leader time-out loses the view as well;
    /// [`Reply::is_abandoned`] tells. The payload must commit to `context.parent`, which is certified or finalized
    /// here.
    fn propose(&self, context: ProposalContext, reply: Reply<Payload>);

    /// Another validator proposed `payload`: is it valid as a child of `context.parent`?
    ///
    /// Asked once a view in one run, when the parent is certified or finalized here; abandoned when the view ends.
    /// Answer `false` only if the payload can never become valid. While something is missing or late, keep the reply
    /// for a while: the view goes on without this vote.
    ///
    /// Declining and `false` do the same: this validator votes to skip the view, now instead of at its time-out, and
    /// so never votes to finalize it. Neither keeps the payload from being certified later, here or elsewhere.
    fn verify(&self, context: ProposalContext, payload: Payload, reply: Reply<bool>);

    /// `payload` is notarized in `view`: is it safe here, so that this validator may build on it and vote to finalize
    /// it?
    ///
    /// **Answer only `true`, and only once the payload, its ancestors that are not final, and all that they stand for
    /// are durable here. Never drop a reply that is not [abandoned](Reply::is_abandoned)**: a dropped one is not asked
    /// for again in this run, and without a certified payload the view can end only by being skipped. `false` would say
    /// that every correct validator answers `false`, which is never true of something that a quorum has verified.
    ///
    /// Asked for every notarization above the highest finalization: also for this validator's own proposals, for
    /// payloads that it never verified or refused, and for views that were skipped meanwhile. Only a finalization of
    /// this view or a later one abandons the question. As long as it is pending, this validator casts no vote to
    /// finalize; if the view is not left before [`crate::Timing::certification_timeout`], it votes to skip the view,
    /// and a later answer certifies the payload without a vote to finalize it.
    ///
    /// After a restart, an answer whose record is durable is not asked for again; any other one is. The same payload
    /// may be notarized in several views, and each is a question of its own.
    fn certify(&self, view: u64, payload: Payload, reply: Reply<bool>);

    /// This validator's proposal for `view` is about to be voted on: send what `payload` stands for to all peers.
    ///
    /// After a crash the same view may be relayed again with another payload; only the one that this validator
    /// voted for counts.
    fn relay(&self, view: u64, payload: Payload);

    /// The payload and all its ancestors are final.
    ///
    /// Views increase strictly within one run, but not every ancestor is announced by itself: fetch what is missing
    /// by parent digests. After a restart the floor, if there is one, and the finalizations that are still in the store
    /// are announced again.
    fn finalized(&self, finalization: Finalization);

    /// A peer broke the protocol.
    fn fault(&self, fault: Fault);

    /// The engine has stopped, and why. The last call that is made.
    fn stopped(&self, reason: StopReason);
}

/// Where a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposalContext {
    /// The view it is proposed in.
    pub view: u64,
    /// The validator that proposes.
    pub leader: u16,
    /// The view of the parent; 0 for the root of the epoch.
    pub parent_view: u64,
    /// The parent's payload.
    pub parent: Payload,
}

/// What a peer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The validator that did it.
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

/// Carries one answer back to the engine, from any thread. Dropping it declines.
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

    /// Gives no answer. What that means depends on the question.
    pub fn decline(self) {}

    /// Whether the engine has withdrawn the question, so that no answer is needed.
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
        /// The answer in the engine's type.
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
