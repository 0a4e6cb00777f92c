//! The one reason for which an engine stops. The first reason wins.

use std::sync::Arc;

use commonware_utils::channel::watch;

/// Why an engine stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// It was asked to.
    #[error("consensus was asked to stop")]
    Requested,
    /// Its records can no longer be made durable.
    #[error(
        "consensus stopped because its records cannot be made durable: {0}. A validator that cannot remember its \
         votes must not vote; repair the storage and restart, nothing acknowledged is lost"
    )]
    Storage(String),
    /// An invariant broke in the engine or in a callback of the application.
    #[error("consensus stopped on a broken invariant: {0}. Restart the validator and report this message")]
    Panic(String),
    /// One of the engine's tasks ended by itself.
    #[error(
        "consensus stopped because one of its tasks ended unexpectedly. Restart the validator and report this"
    )]
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
