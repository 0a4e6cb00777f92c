//! The [`Application`] as simplex sees it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use commonware_actor::Feedback;
use commonware_codec::Encode as _;
use commonware_consensus::{
    Automaton, CertifiableAutomaton, Handoff, Relay, Reporter, Viewable as _,
    simplex::{
        Plan,
        scheme::ed25519::Scheme,
        types::{Activity, Context},
    },
    types::Round,
};
use commonware_utils::channel::oneshot;

use crate::{
    Application, Fault, Finalization, ProposalContext, Reply,
    certificate::{contradiction, holds},
    committee::{Committee, Digest, PublicKey},
};

/// Shared by the engine's tasks.
#[derive(Clone)]
pub(crate) struct Adapter {
    pub(crate) application: Arc<dyn Application>,
    pub(crate) committee: Arc<Committee>,
    pub(crate) scheme: Scheme,
    pub(crate) progress: Arc<Progress>,
}

/// How far the engine has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// One more than the highest view known to be certified, skipped or final; at the start, the highest of which
    /// there is a record.
    pub(crate) view: AtomicU64,
    pub(crate) finalized_view: AtomicU64,
    pub(crate) finalized: AtomicU64,
    pub(crate) nullified: AtomicU64,
    pub(crate) faults: AtomicU64,
}

impl Progress {
    /// Simplex enters the next view when one is certified, skipped or final, and reports that before any vote in it.
    fn left(&self, view: u64) {
        self.view.fetch_max(view.saturating_add(1), Ordering::Relaxed);
    }
}

impl Adapter {
    fn context(&self, context: &Context<Digest, PublicKey>) -> ProposalContext {
        let (parent_view, parent) = context.parent;
        ProposalContext {
            view: context.round.view().get(),
            leader: self
                .committee
                .validator(&context.leader)
                .expect("leaders are elected from the committee"),
            parent_view: parent_view.get(),
            parent: parent.0,
        }
    }
}

impl Automaton for Adapter {
    type Context = Context<Digest, PublicKey>;
    type Digest = Digest;

    async fn propose(&mut self, context: Self::Context) -> oneshot::Receiver<Digest> {
        let (reply, answer) = Reply::new();
        self.application.propose(self.context(&context), reply);
        answer
    }

    async fn verify(&mut self, context: Self::Context, payload: Digest) -> oneshot::Receiver<bool> {
        let (reply, answer) = Reply::new();
        self.application.verify(self.context(&context), payload.0, reply);
        answer
    }
}

impl CertifiableAutomaton for Adapter {
    /// Waits: a leader is asked to propose once the parent is certified here, so it never builds on a payload
    /// whose certification may still be pending for long.
    async fn prepare(&mut self, _context: Self::Context) -> oneshot::Receiver<Handoff<Digest>> {
        let (sender, answer) = oneshot::channel();
        let _receiver_is_below = sender.send(Handoff::Wait);
        answer
    }

    async fn certify(&mut self, round: Round, payload: Digest) -> oneshot::Receiver<bool> {
        let (reply, answer) = Reply::new();
        self.application.certify(round.view().get(), payload.0, reply);
        answer
    }
}

impl Relay for Adapter {
    type Digest = Digest;
    type PublicKey = PublicKey;
    type Plan = Plan<PublicKey>;

    fn broadcast(&mut self, payload: Digest, plan: Plan<PublicKey>) -> Feedback {
        // The other plans belong to forwarding, which is disabled, and to hand-offs that do not wait.
        if let Plan::Propose { round } = plan {
            self.application.relay(round.view().get(), payload.0);
        }
        Feedback::Ok
    }
}

impl Reporter for Adapter {
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        match &activity {
            Activity::Finalization(finalization) => {
                let view = finalization.view().get();
                self.progress.left(view);
                // One task reports finalizations; an older one than the last says nothing new.
                if self.progress.finalized_view.fetch_max(view, Ordering::Relaxed) < view {
                    self.progress.finalized.fetch_add(1, Ordering::Relaxed);
                    self.application.finalized(Finalization::checked(finalization));
                }
            }
            Activity::Certification(notarization) => self.progress.left(notarization.view().get()),
            Activity::Nullification(nullification) => {
                self.progress.left(nullification.view().get());
                self.progress.nullified.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                if let Some(evidence) = contradiction(&self.committee, &activity) {
                    // Votes are checked in batches, so evidence may arrive before its signatures were looked at.
                    if holds(&self.committee, &self.scheme, &activity) {
                        self.progress.faults.fetch_add(1, Ordering::Relaxed);
                        self.application.fault(Fault {
                            validator: evidence.validator,
                            kind: evidence.kind,
                            view: Some(evidence.view),
                            evidence: activity.encode().to_vec(),
                        });
                    }
                }
            }
        }
        Feedback::Ok
    }
}
