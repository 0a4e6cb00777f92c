//! Reads the journal for peers that catch up, so that the core never waits for a disk. Peers are served in turns: one that
//! asks for much waits for itself alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use engine::replica::{JournalReader, Read};
use engine::types::ValidatorIndex;
use net::PeerNetwork;

use super::peers::channel_of;
use super::shared::Shared;

/// Requests of one peer that may wait.
const REQUESTS_PER_PEER: usize = 64;

#[derive(Debug, Default)]
struct Queue {
    by_peer: BTreeMap<ValidatorIndex, VecDeque<Read>>,
    last: ValidatorIndex,
    closed: bool,
}

impl Queue {
    /// The next request of the peer after the one that was served last.
    fn next(&mut self) -> Option<(ValidatorIndex, Read)> {
        let after = ValidatorIndex(self.last.0.saturating_add(1));
        let peer = self.by_peer.range(after..).next().or_else(|| self.by_peer.iter().next())?;
        let peer = *peer.0;
        let waiting = self.by_peer.get_mut(&peer)?;
        let read = waiting.pop_front();
        if waiting.is_empty() {
            self.by_peer.remove(&peer);
        }
        self.last = peer;
        read.map(|read| (peer, read))
    }
}

/// Where requests wait, a few for each peer. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<(Mutex<Queue>, Condvar)>);

impl Requests {
    /// Adds a request; false if too many of the same peer wait.
    pub fn offer(&self, peer: ValidatorIndex, read: Read) -> bool {
        let (queue, waker) = &*self.0;
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = queue.by_peer.entry(peer).or_default();
        if waiting.len() >= REQUESTS_PER_PEER || waiting.contains(&read) {
            return false;
        }
        waiting.push_back(read);
        waker.notify_one();
        true
    }

    /// Lets the reader end, whatever waits.
    pub fn close(&self) {
        let (queue, waker) = &*self.0;
        queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        waker.notify_all();
    }

    fn take(&self) -> Option<(ValidatorIndex, Read)> {
        let (queue, waker) = &*self.0;
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if queue.closed {
                return None;
            }
            if let Some(next) = queue.next() {
                return Some(next);
            }
            queue = waker.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Answers peers' requests until they are closed.
pub fn run(shared: &Shared, peers: &PeerNetwork, requests: &Requests) {
    let network = shared.genesis.network();
    let reader = JournalReader { records: &*shared.journal, index: &shared.index, network };
    while let Some((peer, read)) = requests.take() {
        for message in reader.answer(&read) {
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
