//! Reads the journal for peers that catch up, so that the core never waits for a disk. Peers are served in turns: one that
//! asks for much waits for itself alone.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use engine::replica::Read;
use engine::types::ValidatorIndex;
use net::PeerNetwork;

use super::peers::channel_of;
use super::shared::Shared;
use super::turns::Turns;

/// Requests of one peer that may wait.
const REQUESTS_PER_PEER: usize = 64;

#[derive(Debug)]
struct Queue {
    turns: Turns<ValidatorIndex, Read>,
    closed: bool,
}

/// Where requests wait, a few for each peer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Requests(Arc<(Mutex<Queue>, Condvar)>);

impl Default for Requests {
    fn default() -> Self {
        let queue = Queue { turns: Turns::new(REQUESTS_PER_PEER), closed: false };
        Self(Arc::new((Mutex::new(queue), Condvar::new())))
    }
}

impl Requests {
    /// Adds a request; false if too many of the same peer wait.
    pub fn offer(&self, peer: ValidatorIndex, read: Read) -> bool {
        let mut queue = self.queue();
        let taken = !queue.turns.contains(&peer, &read) && queue.turns.offer(peer, read).is_ok();
        if taken {
            self.0.1.notify_one();
        }
        taken
    }

    /// Lets the reader end, whatever waits.
    pub fn close(&self) {
        self.queue().closed = true;
        self.0.1.notify_all();
    }

    fn is_closed(&self) -> bool {
        self.queue().closed
    }

    fn take(&self) -> Option<(ValidatorIndex, Read)> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(next) = queue.turns.take() {
                return Some(next);
            }
            queue = self.0.1.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers peers' requests until they are closed.
pub fn run(shared: &Shared, peers: &PeerNetwork, requests: &Requests) {
    let reader = shared.reader();
    while let Some((peer, read)) = requests.take() {
        let mut answer = Vec::new();
        if let Err(error) = reader.answer_unless(&read, &|| requests.is_closed(), &mut answer) {
            shared.damage.note(&error, shared.clock.now());
        }
        for message in answer {
            // A reply that cannot be sent now is dropped; the peer asks again.
            let _counted = peers.send(peer.0, channel_of(&message), message.encode());
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::types::Height;

    use super::*;

    fn block(height: u64) -> Read {
        Read::Block(Height(height))
    }

    #[test]
    fn peers_are_served_in_turns_and_each_within_its_bound() {
        let requests = Requests::default();
        let (greedy, modest) = (ValidatorIndex(1), ValidatorIndex(2));
        let taken = (0..1_000).filter(|height| requests.offer(greedy, block(*height))).count();
        assert_eq!(taken, REQUESTS_PER_PEER);
        assert!(requests.offer(modest, block(7)));
        assert_eq!(requests.take(), Some((greedy, block(0))));
        assert_eq!(
            requests.take(),
            Some((modest, block(7))),
            "one request of the greedy peer goes before it, not all"
        );
        requests.close();
        assert_eq!(requests.take(), None);
    }
}
