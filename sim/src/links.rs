//! Links between nodes.
//!
//! A connection carries channels, and each channel keeps its order, as streams of QUIC do; channels overtake each
//! other. Any message may be lost all the same, because a sender drops what its queue has no room for. In some seeds
//! votes, certificates and batches overtake each other in their channel, too, which is more than the transport does.
//! Only the control channel keeps its order always: a status that goes back is taken for a lie. What was sent on one
//! connection never arrives on a later one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::chance::Chance;

/// The channel of everything small that is not of consensus, as in the node.
pub(crate) const CONTROL: u8 = 3;
/// The channel of batches and of blocks for those that catch up.
pub(crate) const BULK: u8 = 4;

/// The quality of all links of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quality {
    pub(crate) delay_us: (u64, u64),
    pub(crate) loss_permille: u64,
    pub(crate) duplicate_permille: u64,
    pub(crate) reordering: bool,
}

/// One direction between two nodes.
#[derive(Clone, Debug, Default)]
struct Direction {
    /// Nothing passes.
    cut: bool,
    /// Everything takes this much longer.
    slow_us: u64,
    /// When the last message of a channel arrives.
    last: BTreeMap<u8, Duration>,
}

/// All links.
#[derive(Debug)]
pub(crate) struct Links {
    quality: Quality,
    /// Loss and duplication end with the faults.
    pub(crate) fair: bool,
    directions: BTreeMap<(usize, usize), Direction>,
    /// The connections by their nodes, the lower first: a number that grows with each connection.
    connections: BTreeMap<(usize, usize), u64>,
    made: u64,
    chance: Chance,
}

impl Links {
    pub(crate) fn new(quality: Quality, chance: Chance) -> Self {
        Self {
            quality,
            fair: false,
            directions: BTreeMap::new(),
            connections: BTreeMap::new(),
            made: 0,
            chance,
        }
    }

    /// The connection between two nodes, if they have one.
    pub(crate) fn connection(&self, a: usize, b: usize) -> Option<u64> {
        self.connections.get(&(a.min(b), a.max(b))).copied()
    }

    /// Whether two nodes that both run can connect now.
    pub(crate) fn is_open(&self, a: usize, b: usize) -> bool {
        !self.is_cut(a, b) && !self.is_cut(b, a)
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.directions.get(&(from, to)).is_some_and(|direction| direction.cut)
    }

    pub(crate) fn connect(&mut self, a: usize, b: usize) {
        self.made += 1;
        self.connections.insert((a.min(b), a.max(b)), self.made);
        for pair in [(a, b), (b, a)] {
            self.directions.entry(pair).or_default().last.clear();
        }
    }

    /// True if there was a connection.
    pub(crate) fn disconnect(&mut self, a: usize, b: usize) -> bool {
        self.connections.remove(&(a.min(b), a.max(b))).is_some()
    }

    pub(crate) fn set_cut(&mut self, from: usize, to: usize, cut: bool) {
        self.directions.entry((from, to)).or_default().cut = cut;
    }

    pub(crate) fn set_slow(&mut self, from: usize, to: usize, slow_us: u64) {
        self.directions.entry((from, to)).or_default().slow_us = slow_us;
    }

    /// Ends all faults of the links.
    pub(crate) fn heal(&mut self) {
        self.fair = true;
        for direction in self.directions.values_mut() {
            (direction.cut, direction.slow_us) = (false, 0);
        }
    }

    /// When a message arrives, none, once or twice.
    pub(crate) fn arrivals(&mut self, from: usize, to: usize, channel: u8, now: Duration) -> Vec<Duration> {
        let Quality { delay_us: (least, most), loss_permille, duplicate_permille, reordering } = self.quality;
        let direction = self.directions.entry((from, to)).or_default();
        let chance = &mut self.chance;
        if direction.cut || (!self.fair && chance.permille(loss_permille)) {
            return Vec::new();
        }
        let copies = 1 + usize::from(!self.fair && chance.permille(duplicate_permille));
        let mut arrivals = Vec::with_capacity(copies);
        for _ in 0..copies {
            let mut at = now + Duration::from_micros(direction.slow_us) + chance.micros(least..most);
            if !reordering || self.fair || channel == CONTROL {
                let last = direction.last.entry(channel).or_default();
                at = at.max(*last + Duration::from_micros(1));
                *last = at;
            }
            arrivals.push(at);
        }
        arrivals
    }
}
