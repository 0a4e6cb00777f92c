//! Reads the journal and the checkpoints for peers that catch up, so that the core never waits for a disk. Peers are
//! served in turns: one that asks for much waits for itself alone.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use engine::replica::{Read, StateRead};
use engine::types::ValidatorIndex;
use net::PeerNetwork;

use super::checkpoints::ServedStates;
use super::peers::channel_of;
use super::shared::Shared;
use super::turns::Turns;

/// Requests of one peer that may wait.
const REQUESTS_PER_PEER: usize = 64;

/// What a peer wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Something of the journal.
    Journal(Read),
    /// Something of the checkpoints.
    State(StateRead),
}

#[derive(Debug)]
struct Queue {
    turns: Turns<ValidatorIndex, Wanted>,
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
    pub fn offer(&self, peer: ValidatorIndex, wanted: Wanted) -> bool {
        let mut queue = self.queue();
        let taken = !queue.turns.contains(&peer, &wanted) && queue.turns.offer(peer, wanted).is_ok();
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

    fn take(&self) -> Option<(ValidatorIndex, Wanted)> {
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
pub fn run(shared: &Shared, mut states: ServedStates, peers: &PeerNetwork, requests: &Requests) {
    let reader = shared.reader();
    while let Some((peer, wanted)) = requests.take() {
        let mut answer = Vec::new();
        match wanted {
            Wanted::Journal(read) => {
                if let Err(error) = reader.answer_unless(&read, &|| requests.is_closed(), &mut answer) {
                    shared.damage.note(&error, shared.clock.now());
                }
            }
            Wanted::State(read) => {
                let (message, served) = states.answer(read);
                served.inspect(|height| shared.held().note(*height, shared.clock.now()));
                answer.push(message);
            }
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

    fn block(height: u64) -> Wanted {
        Wanted::Journal(Read::Block(Height(height)))
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
