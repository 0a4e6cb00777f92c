//! A queue for each source, served in turn: deficit round robin (Shreedhar and Varghese, 1995), by packets.
//!
//! ```text
//!   A  ▪▪▪▪▪▪▪▪▪   a turn gives QUANTUM packets of credit; what an item holds is taken from it; what is left is kept
//!   B  ▪▪           for the next turn, unless the queue is empty: then queue and credit go
//!   C  ▪▪▪▪▪
//! ```
//!
//! One source alone may fill the room. When it is full, a source that holds less than its part of it (all of the room
//! divided by those that wait) still gets in: the longest queue gives back what came last. So a flood is turned away,
//! however many connections it comes from, and a source that holds little is not.
//!
//! Invariants: `bytes <= bytes_max + one item`; there are as many queues as sources that have something waiting; of two
//! sources that always have something waiting, neither is ever ahead by more than `QUANTUM + 2 items` packets.

use std::collections::{BTreeMap, VecDeque};

use super::{Source, Weighed};
use crate::limits::PACKET_BYTES;

/// Packets that a turn is worth.
pub(super) const QUANTUM: usize = 256;

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<T>,
    bytes: usize,
    credit: usize,
    /// Whether this turn has been credited; a round may be full in the midst of it.
    in_turn: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), bytes: 0, credit: 0, in_turn: false }
    }
}

/// The queues of one lane.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    bytes_max: usize,
    bytes: usize,
    packets: usize,
    queues: BTreeMap<Source, Queue<T>>,
    /// Who has something waiting; the first is served next.
    turns: VecDeque<Source>,
}

/// Even an item without packets takes memory.
fn bytes_of<T: Weighed>(item: &T) -> usize {
    item.bytes().max(PACKET_BYTES)
}

fn packets_of<T: Weighed>(item: &T) -> usize {
    item.packets().max(1)
}

impl<T: Weighed> FairQueue<T> {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, packets: 0, queues: BTreeMap::new(), turns: VecDeque::new() }
    }

    /// Another bound from now on. What waits stays.
    pub(super) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Packets that wait; an item without any counts as one.
    pub(super) fn packets(&self) -> usize {
        self.packets
    }

    /// Puts an item at the end of its source's queue. Where there is no room, either the item is given back, since its
    /// source holds its part of the room already, or what others have to give up for it.
    pub(super) fn offer(&mut self, item: T) -> Result<Vec<T>, T> {
        let source = item.source();
        let queued = self.queues.get(&source).map(|queue| queue.bytes);
        let sources = self.queues.len() + usize::from(queued.is_none());
        if self.bytes >= self.bytes_max && queued.unwrap_or(0) >= self.bytes_max / sources {
            return Err(item);
        }
        // It holds less than the average, so the longest queue is another one.
        let mut evicted = Vec::new();
        while self.bytes >= self.bytes_max
            && let Some(last) = self.evict()
        {
            evicted.push(last);
        }
        let queue = self.queues.entry(source).or_default();
        if queue.items.is_empty() {
            self.turns.push_back(source);
        }
        queue.bytes += bytes_of(&item);
        self.bytes += bytes_of(&item);
        self.packets += packets_of(&item);
        queue.items.push_back(item);
        Ok(evicted)
    }

    /// What came last into the longest queue.
    fn evict(&mut self) -> Option<T> {
        let (source, queue) = self.queues.iter_mut().max_by_key(|(_, queue)| queue.bytes)?;
        let (source, item) = (*source, queue.items.pop_back()?);
        queue.bytes -= bytes_of(&item);
        self.bytes -= bytes_of(&item);
        self.packets -= packets_of(&item);
        if queue.items.is_empty() {
            self.discard(source);
        }
        Some(item)
    }

    /// Takes items, from each source in turn, until they hold `packets_max` packets or nothing waits.
    pub(super) fn take(&mut self, packets_max: usize, items: &mut Vec<T>) {
        let mut taken = 0;
        while taken < packets_max
            && let Some(source) = self.turns.front().copied()
        {
            let queue = self.queues.get_mut(&source).expect("a turn has its queue");
            if !queue.in_turn {
                (queue.in_turn, queue.credit) = (true, queue.credit + QUANTUM);
            }
            while taken < packets_max
                && let Some(item) = queue.items.pop_front_if(|item| packets_of(item) <= queue.credit)
            {
                let (bytes, packets) = (bytes_of(&item), packets_of(&item));
                queue.credit -= packets;
                queue.bytes -= bytes;
                self.bytes -= bytes;
                self.packets -= packets;
                taken += packets;
                items.push(item);
            }
            let next = queue.items.front().map(packets_of);
            match next {
                None => {
                    self.queues.remove(&source);
                    self.turns.pop_front();
                }
                Some(packets) if packets > queue.credit => {
                    queue.in_turn = false;
                    self.turns.rotate_left(1);
                }
                Some(_) => {}
            }
        }
    }

    /// Drops what waits from one source.
    pub(super) fn discard(&mut self, source: Source) {
        if let Some(queue) = self.queues.remove(&source) {
            self.bytes -= queue.bytes;
            self.packets -= queue.items.iter().map(packets_of).sum::<usize>();
            self.turns.retain(|turn| *turn != source);
        }
    }

    /// Drops all that waits.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
    }

    /// How many sources have something waiting.
    #[cfg(test)]
    pub(super) fn sources(&self) -> usize {
        assert_eq!(self.queues.len(), self.turns.len());
        self.queues.len()
    }
}
