//! The one reason for which an engine stops. The first reason wins.
//!
//! From the moment at which there is a reason, no record is appended ([`crate::store::volume::Volume`]), no message
//! is sent ([`crate::transport::wire::Outlet`]) and no question asked ([`Quiet`]), although the engine's tasks may
//! still be on their way out.

use std::sync::Arc;

use commonware_utils::channel::watch;

use crate::{Application, Fault, Finalization, Payload, ProposalContext, Reply};

/// Why an engine stopped. The texts go on after "consensus has stopped: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// It was asked to.
    #[error("it was asked to stop")]
    Requested,
    /// It was ended by [`crate::Handle::crash`].
    #[error("it was ended as by a crash")]
    Crashed,
    /// Its records can no longer be made durable.
    #[error(
        "its records cannot be made durable: {0}. A validator that cannot remember its votes must not vote; repair \
         the storage and restart, nothing that clients were told is lost"
    )]
    Storage(String),
    /// An invariant broke in the engine or in a callback of the application.
    #[error("a broken invariant: {0}. Restart the validator and report this message")]
    Panic(String),
    /// One of the engine's tasks ended by itself.
    #[error("one of its tasks ended unexpectedly. Restart the validator and report this")]
    Ended,
}

#[derive(Clone, Debug)]
pub(crate) struct Halt(Arc<watch::Sender<Option<StopReason>>>);

impl Halt {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }

    pub(crate) fn stop(&self, reason: StopReason) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(reason);
            }
            first
        });
    }

    pub(crate) fn reason(&self) -> Option<StopReason> {
        self.0.borrow().clone()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(crate) async fn stopped(&self) -> StopReason {
        let mut receiver = self.0.subscribe();
        let reason =
            receiver.wait_for(Option::is_some).await.expect("this side of the channel is held by self");
        reason.clone().expect("waited until it is set")
    }
}

/// An application that is told nothing more once the engine stops.
pub(crate) struct Quiet {
    pub(crate) application: Arc<dyn Application>,
    pub(crate) halt: Halt,
}

impl Quiet {
    fn live(&self) -> Option<&dyn Application> {
        (!self.halt.is_stopped()).then_some(&*self.application)
    }
}

impl Application for Quiet {
    fn propose(&self, context: ProposalContext, reply: Reply<Payload>) {
        if let Some(application) = self.live() {
            application.propose(context, reply);
        }
    }

    fn verify(&self, context: ProposalContext, payload: Payload, reply: Reply<bool>) {
        if let Some(application) = self.live() {
            application.verify(context, payload, reply);
        }
    }

    fn certify(&self, view: u64, payload: Payload, reply: Reply<bool>) {
        if let Some(application) = self.live() {
            application.certify(view, payload, reply);
        }
    }

    fn relay(&self, view: u64, payload: Payload) {
        if let Some(application) = self.live() {
            application.relay(view, payload);
        }
    }

    fn finalized(&self, finalization: Finalization) {
        if let Some(application) = self.live() {
            application.finalized(finalization);
        }
    }

    fn fault(&self, fault: Fault) {
        if let Some(application) = self.live() {
            application.fault(fault);
        }
    }

    fn stopped(&self, _reason: StopReason) {
        unreachable!("told past this wrapper, by the engine's last step");
    }
}
