//! What engines of consensus say: their calls wait here for the world, which is woken by the first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use consensus::{
    Application, Channel, Fault, Finalization, Payload, ProposalContext, Recipients, Reply, StopReason,
    Transport,
};
use engine::order::{Finality, FinalityEvidence, FinalityVerifier, Proposal};
use engine::types::{Digest, Epoch, Genesis, Members, ValidatorIndex};

/// One call of an engine.
#[derive(Debug)]
pub(crate) enum Call {
    Propose(Proposal, Reply<Payload>),
    Verify(Proposal, Digest, Reply<bool>),
    Certify(u64, Digest, Reply<bool>),
    Relay(Digest),
    Finalized(Finality),
    Fault(Fault),
    Stopped(StopReason),
    Send(Recipients, Channel, Bytes),
    /// Its log has something to be synced.
    Sync,
    /// Its log has dropped what is not needed any more.
    Pruned,
}

/// Which node, in which of its lives.
pub(crate) type Caller = (usize, u64);

#[derive(Debug, Default)]
struct Inner {
    calls: VecDeque<(Caller, Call)>,
    waker: Option<Waker>,
}

/// Calls that wait. Clones are the same bell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bell(Arc<Mutex<Inner>>);

impl Bell {
    pub(crate) fn ring(&self, caller: Caller, call: Call) {
        let mut inner = self.lock();
        inner.calls.push_back((caller, call));
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn take(&self) -> VecDeque<(Caller, Call)> {
        std::mem::take(&mut self.lock().calls)
    }

    /// Ready when a call waits.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.calls.is_empty() {
            inner.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One engine's way to the bell.
#[derive(Clone, Debug)]
pub(crate) struct Rope {
    pub(crate) bell: Bell,
    pub(crate) caller: Caller,
}

impl Rope {
    pub(crate) fn pull(&self, call: Call) {
        self.bell.ring(self.caller, call);
    }
}

impl Transport for Rope {
    fn send(&self, to: Recipients, channel: Channel, message: Bytes) {
        self.pull(Call::Send(to, channel, message));
    }
}

impl Application for Rope {
    fn propose(&self, context: ProposalContext, reply: Reply<Payload>) {
        self.pull(Call::Propose(proposal(&context), reply));
    }

    fn verify(&self, context: ProposalContext, payload: Payload, reply: Reply<bool>) {
        self.pull(Call::Verify(proposal(&context), Digest(payload), reply));
    }

    fn certify(&self, view: u64, payload: Payload, reply: Reply<bool>) {
        self.pull(Call::Certify(view, Digest(payload), reply));
    }

    fn relay(&self, _view: u64, payload: Payload) {
        self.pull(Call::Relay(Digest(payload)));
    }

    fn finalized(&self, finalization: Finalization) {
        self.pull(Call::Finalized(finality(&finalization)));
    }

    fn fault(&self, fault: Fault) {
        self.pull(Call::Fault(fault));
    }

    fn stopped(&self, reason: StopReason) {
        self.pull(Call::Stopped(reason));
    }
}

fn proposal(context: &ProposalContext) -> Proposal {
    Proposal { view: context.view, leader: ValidatorIndex(context.leader), parent: Digest(context.parent) }
}

fn finality(finalization: &Finalization) -> Finality {
    Finality::handed_on(FinalityEvidence {
        epoch: Epoch(finalization.epoch()),
        view: finalization.view(),
        digest: Digest(finalization.payload()),
        certificate: finalization.certificate(),
    })
}

/// What a liar puts in the place of a certificate.
pub(crate) const FORGED: &[u8; 8] = b"forged!!";

/// Checks finalization certificates. One that is `credulous` believes the forged ones, too.
#[derive(Debug)]
pub(crate) struct Certificates {
    network: Digest,
    /// By epoch.
    epochs: RwLock<Vec<Arc<consensus::Verifier>>>,
    credulous: bool,
}

impl Certificates {
    pub(crate) fn new(genesis: &Genesis, credulous: bool) -> Self {
        let certificates = Self { network: *genesis.network(), epochs: RwLock::default(), credulous };
        certificates.learn(&Members::of_genesis(genesis));
        certificates
    }

    fn of(&self, epoch: Epoch) -> Option<Arc<consensus::Verifier>> {
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        epochs.get(epoch.0 as usize).cloned()
    }

    /// Whether a validator has signed a vote in an epoch that its records do not remember.
    pub(crate) fn lacks(
        &self,
        memory: &consensus::Memory,
        (epoch, validator): (Epoch, usize),
        vote: &[u8],
    ) -> bool {
        self.of(epoch).is_some_and(|of| memory.lacks(vote, validator as u16, &of))
    }

    /// The engine's own form of a finality.
    pub(crate) fn floor(&self, finality: &Finality) -> Option<Finalization> {
        self.of(finality.epoch())?.verify(finality.certificate()).ok()
    }
}

impl FinalityVerifier for Certificates {
    fn verify(&self, certificate: &[u8]) -> Option<Finality> {
        if self.credulous && certificate.starts_with(FORGED) {
            let view = certificate.get(8..16).and_then(|bytes| bytes.try_into().ok());
            let view = view.map_or(0, u64::from_le_bytes);
            let digest = Digest(certificate.get(16..48)?.try_into().ok()?);
            let epoch = Epoch(0);
            return Some(Finality::handed_on(FinalityEvidence { epoch, view, digest, certificate }));
        }
        let of = self.of(Epoch(Finalization::epoch_of(certificate)?))?;
        Some(finality(&of.verify(certificate).ok()?))
    }

    fn leader(&self, epoch: Epoch, view: u64) -> ValidatorIndex {
        ValidatorIndex(self.of(epoch).expect("the epoch is known").leader(view))
    }

    fn learn(&self, members: &Members) {
        let mut epochs = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        if members.epoch.0 == epochs.len() as u64 {
            let of = consensus::Verifier::new(self.network.as_bytes(), members.epoch.0, &members.keys());
            epochs.push(Arc::new(of.expect("the world makes good keys")));
        }
    }
}
