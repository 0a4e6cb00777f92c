//! What the gateway needs of a node: one trait with two hosts. [`Remote`](crate::Remote) is a process of its own that
//! calls over the client protocol; in the node's process the node implements the trait itself.
//!
//! ```text
//! Host::open ─▶ Talk ─┬─ Speak: submissions (which ask to be told what is accepted), questions
//!                     └─ Listen: accepted tags, verdicts, answers, in the words of the client protocol
//! ```
//!
//! Invariant: a conversation that has ended says so on both sides, and everything that waited in it is failed.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use client::{Event, Query, Welcome};
use engine::types::PacketSlab;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// A future in a box, so that hosts are objects.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The conversation with the node has ended, or could not begin; for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Gone(pub String);

/// A node, or a way to one.
pub trait Host: Send + Sync + 'static {
    /// Begins a conversation.
    fn open(&self) -> Boxed<'_, Result<Talk, Gone>>;
}

/// A conversation, in two halves that two tasks hold.
pub struct Talk {
    /// The way to the node.
    pub speak: Box<dyn Speak>,
    /// The way back.
    pub listen: Box<dyn Listen>,
    /// What the node says of itself.
    pub welcome: Welcome,
}

/// The way to the node.
pub trait Speak: Send {
    /// Submits whole transactions; their packets have the tags from `first` on. Waits while the node pushes back.
    fn submit(&mut self, first: u64, packets: PacketSlab) -> Boxed<'_, Result<(), Gone>>;
    /// Asks questions, each under a number that its answer repeats.
    fn ask(&mut self, questions: Vec<(u64, Query)>) -> Boxed<'_, Result<(), Gone>>;
}

/// The way back.
pub trait Listen: Send {
    /// What the node says next.
    fn next(&mut self) -> Boxed<'_, Result<Event, Gone>>;
}

/// Events that may wait for a gateway in the node's process before it is cut off.
const EVENTS_MAX: usize = 16_384;

/// The way back inside one process: what the node's threads say to the gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventSender(Sender<Event>, Arc<Mutex<Option<String>>>);

/// The other end of it.
#[derive(Debug)]
pub struct EventReceiver(Receiver<Event>, Arc<Mutex<Option<String>>>);

/// The gateway reads too slowly, or has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the gateway does not read its events")]
pub struct NotRead;

/// The two ends of a way inside one process.
#[must_use]
pub fn events() -> (EventSender, EventReceiver) {
    let ((sender, receiver), closed) = (channel(EVENTS_MAX), Arc::default());
    (EventSender(sender, Arc::clone(&closed)), EventReceiver(receiver, closed))
}

impl EventSender {
    /// Says something, from any thread; never waits.
    ///
    /// # Errors
    /// [`NotRead`]: it is not said.
    pub fn send(&self, event: Event) -> Result<(), NotRead> {
        self.0.try_send(event).map_err(|_| NotRead)
    }

    /// Ends the conversation with these words: the listener hears them before anything that still waits.
    pub fn close(&self, reason: &str) {
        let mut closed = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        closed.get_or_insert_with(|| reason.to_owned());
    }
}

impl Listen for EventReceiver {
    fn next(&mut self) -> Boxed<'_, Result<Event, Gone>> {
        Box::pin(async {
            let event = self.0.recv().await;
            if let Some(reason) = self.1.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                return Err(Gone(reason));
            }
            event.ok_or_else(|| Gone("the validator is stopping, or starts again".to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;

    #[test]
    fn what_is_not_read_is_refused_and_never_waited_for() {
        let (sender, mut receiver) = events();
        let sent = (0..).take_while(|tag| sender.send(Event::Accepted(vec![*tag])).is_ok()).count();
        assert_eq!(sent, EVENTS_MAX);
        assert_eq!(run(receiver.next()), Ok(Event::Accepted(vec![0])));
        sender.close("too slow");
        assert_eq!(run(receiver.next()), Err(Gone("too slow".to_owned())));
    }

    #[test]
    fn a_node_that_is_gone_is_heard() {
        let (sender, mut receiver) = events();
        drop(sender);
        assert!(run(receiver.next()).unwrap_err().0.contains("stopping"));
    }
}
