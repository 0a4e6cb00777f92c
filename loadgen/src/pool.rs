//! The signed transactions of a run: cut into frames while it runs, compared with the disk after it.
//!
//! ```text
//!   lane 0: │ stretch 0 (warm-up) ││ stretch 1 (window) │     number = place in the lane, across the stretches
//!                                                             tag    = number × packets of a transaction
//! ```
//!
//! All transactions of a run have as many packets, so each lies where its number says.

use bytes::Bytes;
use engine::limits::PACKET_BYTES;
use engine::types::{Packet, PacketRun, PacketSlab};
use std::ops::Range;

/// Transactions of every lane, in the order of their numbers.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    lanes: Vec<Vec<Stretch>>,
    /// Packets of each.
    packets: usize,
}

#[derive(Debug, Clone)]
struct Stretch {
    first: u64,
    bytes: Bytes,
}

impl Pool {
    /// An empty pool of transactions of so many packets.
    pub fn new(lanes: usize, packets: usize) -> Pool {
        Pool { lanes: vec![Vec::new(); lanes], packets }
    }

    /// Packets of each transaction.
    pub fn packets(&self) -> u64 {
        self.packets as u64
    }

    fn end(&self, stretch: &Stretch) -> u64 {
        stretch.first + (stretch.bytes.len() / (PACKET_BYTES * self.packets)) as u64
    }

    /// Adds what was signed to the end of every lane.
    pub fn add(&mut self, lanes: Vec<Vec<u8>>) {
        for (lane, bytes) in lanes.into_iter().enumerate() {
            let first = self.lanes[lane].last().map_or(0, |last| self.end(last));
            self.lanes[lane].push(Stretch { first, bytes: bytes.into() });
        }
    }

    /// One transaction.
    pub fn transaction(&self, lane: usize, number: u64) -> Option<PacketRun<'_>> {
        let stretch = self.lanes.get(lane)?.iter().find(|s| (s.first..self.end(s)).contains(&number))?;
        let at = (number - stretch.first) as usize * self.packets;
        PacketRun::split_first(&Packet::slice(&stretch.bytes)[at..]).map(|(run, _)| run)
    }

    /// A run of numbers as slabs that share the pool's memory, each with the tag of its first packet: one, or two where
    /// a stretch ends inside.
    pub fn slabs(&self, lane: usize, numbers: Range<u64>) -> impl Iterator<Item = (u64, PacketSlab)> + '_ {
        self.lanes[lane].iter().filter_map(move |stretch| {
            let (first, end) = (numbers.start.max(stretch.first), numbers.end.min(self.end(stretch)));
            if first >= end {
                return None;
            }
            let at = |number: u64| (number - stretch.first) as usize * self.packets * PACKET_BYTES;
            let bytes = stretch.bytes.slice(at(first)..at(end));
            Some((first * self.packets(), PacketSlab::new(bytes).expect("cut at packet bounds")))
        })
    }
}

#[cfg(test)]
mod tests;
