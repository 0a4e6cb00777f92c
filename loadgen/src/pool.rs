//! The signed transactions of a run: cut into frames while it runs, compared with the disk after it.
//!
//! ```text
//!   lane 0: │ stretch 0 (warm-up) ││ stretch 1 (window) │     number = place in the lane, across the stretches
//!                                                             tag    = packets of those before it
//! ```
//!
//! The sizes of the transactions of a lane repeat ([`Sizes`]), so each lies where its number says.

use bytes::Bytes;
use engine::limits::PACKET_BYTES;
use engine::types::{Packet, PacketRun, PacketSlab};
use std::ops::Range;

/// How many packets the transactions of a lane have: the same sizes again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Packets of the first so many transactions of a round, from none of them to all.
    sums: Vec<u64>,
    largest: u64,
}

impl Sizes {
    /// So many packets of the first transaction, the second one, and so on, and then from the beginning.
    ///
    /// # Panics
    /// There is no size, or one is 0.
    pub fn repeating(of: &[u64]) -> Sizes {
        assert!(!of.is_empty() && of.iter().all(|size| *size > 0), "each transaction has packets");
        let mut sums = vec![0];
        let mut largest = 0;
        for size in of {
            sums.push(sums[sums.len() - 1] + size);
            largest = largest.max(*size);
        }
        Sizes { sums, largest }
    }

    /// After how many transactions the sizes begin again.
    pub fn period(&self) -> u64 {
        self.sums.len() as u64 - 1
    }

    /// Packets of one round.
    fn round(&self) -> u64 {
        self.sums[self.sums.len() - 1]
    }

    /// Packets of so many transactions.
    pub fn packets(&self, transactions: u64) -> u64 {
        let (rounds, rest) = (transactions / self.period(), transactions % self.period());
        rounds * self.round() + self.sums[rest as usize]
    }

    /// The number of the transaction whose first packet has this tag.
    pub fn number(&self, tag: u64) -> Option<u64> {
        let (rounds, rest) = (tag / self.round(), tag % self.round());
        let place = self.sums.binary_search(&rest).ok()?;
        Some(rounds * self.period() + place as u64)
    }

    /// The most transactions that so many packets hold, whatever comes first; at least one.
    pub fn within(&self, packets: u64) -> u64 {
        (packets / self.largest).max(1)
    }
}

/// Transactions of every lane, in the order of their numbers.
#[derive(Debug, Clone)]
pub struct Pool {
    lanes: Vec<Vec<Stretch>>,
    sizes: Sizes,
}

#[derive(Debug, Clone)]
struct Stretch {
    numbers: Range<u64>,
    bytes: Bytes,
}

impl Pool {
    /// An empty pool of transactions of these sizes.
    pub fn new(lanes: usize, sizes: Sizes) -> Pool {
        Pool { lanes: vec![Vec::new(); lanes], sizes }
    }

    /// An empty pool without lanes, left in place of the real one when that is taken away.
    pub(crate) fn empty() -> Pool {
        Pool::new(0, Sizes::repeating(&[1]))
    }

    /// How many packets the transactions have.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Adds `per_lane` signed transactions to the end of every lane.
    pub fn add(&mut self, lanes: Vec<Vec<u8>>, per_lane: u64) {
        for (lane, bytes) in lanes.into_iter().enumerate() {
            let first = self.lanes[lane].last().map_or(0, |last| last.numbers.end);
            let numbers = first..first + per_lane;
            let packets = self.sizes.packets(numbers.end) - self.sizes.packets(first);
            assert_eq!(bytes.len() as u64, packets * PACKET_BYTES as u64, "as many bytes as their sizes say");
            self.lanes[lane].push(Stretch { numbers, bytes: bytes.into() });
        }
    }

    /// Where a transaction begins among the bytes of its stretch.
    fn place(&self, stretch: &Stretch, number: u64) -> usize {
        let packets = self.sizes.packets(number) - self.sizes.packets(stretch.numbers.start);
        packets as usize * PACKET_BYTES
    }

    /// One transaction.
    pub fn transaction(&self, lane: usize, number: u64) -> Option<PacketRun<'_>> {
        let stretch = self.lanes.get(lane)?.iter().find(|stretch| stretch.numbers.contains(&number))?;
        let bytes = &stretch.bytes[self.place(stretch, number)..];
        PacketRun::split_first(Packet::slice(bytes)).map(|(run, _)| run)
    }

    /// A run of numbers as slabs that share the pool's memory, each with the tag of its first packet: one, or two where
    /// a stretch ends inside.
    pub fn slabs(&self, lane: usize, numbers: Range<u64>) -> impl Iterator<Item = (u64, PacketSlab)> + '_ {
        self.lanes[lane].iter().filter_map(move |stretch| {
            let first = numbers.start.max(stretch.numbers.start);
            let end = numbers.end.min(stretch.numbers.end);
            if first >= end {
                return None;
            }
            let bytes = stretch.bytes.slice(self.place(stretch, first)..self.place(stretch, end));
            Some((self.sizes.packets(first), PacketSlab::new(bytes).expect("cut at packet bounds")))
        })
    }
}

#[cfg(test)]
mod tests;
