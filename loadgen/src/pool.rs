//! The signed packets of a run: cut into frames while it runs, compared with the disk after it.
//!
//! ```text
//!   lane 0: │ stretch 0 (warm-up) ││ stretch 1 (window) │     tag = place in the lane, across the stretches
//! ```

use bytes::Bytes;
use engine::limits::PACKET_BYTES;
use engine::types::{Packet, PacketSlab};
use std::ops::Range;

/// Packets of every lane, in the order of their tags.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    lanes: Vec<Vec<Stretch>>,
}

#[derive(Debug, Clone)]
struct Stretch {
    first: u64,
    bytes: Bytes,
}

impl Stretch {
    fn end(&self) -> u64 {
        self.first + (self.bytes.len() / PACKET_BYTES) as u64
    }
}

impl Pool {
    /// An empty pool.
    pub fn new(lanes: usize) -> Pool {
        Pool { lanes: vec![Vec::new(); lanes] }
    }

    /// Adds what was signed to the end of every lane.
    pub fn add(&mut self, lanes: Vec<Vec<u8>>) {
        for (stretches, bytes) in self.lanes.iter_mut().zip(lanes) {
            let first = stretches.last().map_or(0, Stretch::end);
            stretches.push(Stretch { first, bytes: bytes.into() });
        }
    }

    /// One packet.
    pub fn packet(&self, lane: usize, tag: u64) -> Option<&Packet> {
        let stretch = self.lanes.get(lane)?.iter().find(|s| (s.first..s.end()).contains(&tag))?;
        Packet::slice(&stretch.bytes).get((tag - stretch.first) as usize)
    }

    /// A run of tags as slabs that share the pool's memory: one, or two where a stretch ends inside.
    pub fn slabs(&self, lane: usize, tags: Range<u64>) -> impl Iterator<Item = (u64, PacketSlab)> + '_ {
        self.lanes[lane].iter().filter_map(move |stretch| {
            let (first, end) = (tags.start.max(stretch.first), tags.end.min(stretch.end()));
            if first >= end {
                return None;
            }
            let at = |tag: u64| (tag - stretch.first) as usize * PACKET_BYTES;
            let bytes = stretch.bytes.slice(at(first)..at(end));
            Some((first, PacketSlab::new(bytes).expect("cut at packet bounds")))
        })
    }
}

#[cfg(test)]
mod tests;
