//! The [`Application`] as simplex sees it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use commonware_actor::Feedback;
use commonware_codec::Encode as _;
use commonware_consensus::{
    Automaton, CertifiableAutomaton, Relay, Reporter, Viewable as _,
    simplex::{
        Plan,
        scheme::ed25519::Scheme,
        types::{Activity, Context},
    },
};
use commonware_parallel::Sequential;
use commonware_utils::{channel::oneshot, sys_rng};

use crate::{
    Application, Fault, Finalization, ProposalContext, Reply,
    certificate::contradiction,
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
    pub(crate) finalized_view: AtomicU64,
    pub(crate) finalized: AtomicU64,
    pub(crate) nullified: AtomicU64,
    pub(crate) faults: AtomicU64,
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

/// Every notarized payload is certified at once: a quorum has verified it, so it can be fetched from an honest peer.
impl CertifiableAutomaton for Adapter {}

impl Relay for Adapter {
    type Digest = Digest;
    type PublicKey = PublicKey;
    type Plan = Plan<PublicKey>;

    fn broadcast(&mut self, payload: Digest, plan: Plan<PublicKey>) -> Feedback {
        // The other plans belong to hand-offs and to forwarding, which are not configured.
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
                // One task reports finalizations; an older one than the last says nothing new.
                if self.progress.finalized_view.fetch_max(view, Ordering::Relaxed) < view {
                    self.progress.finalized.fetch_add(1, Ordering::Relaxed);
                    self.application.finalized(Finalization {
                        view,
                        parent_view: finalization.proposal.parent.get(),
                        payload: finalization.proposal.payload.0,
                        certificate: finalization.encode().to_vec(),
                    });
                }
            }
            Activity::Nullification(_) => {
                self.progress.nullified.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                if let Some(evidence) = contradiction(&self.committee, &activity) {
                    // Votes are checked in batches, so evidence may arrive before its signatures were looked at.
                    if activity.verify(&mut sys_rng(), &self.scheme, &Sequential) {
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
