//! Ingress: what the network thread has received and the verify threads have not yet looked at.
//!
//! ```text
//! client frames ─▶ lane of submissions (bytes <= bound) ──┐
//!                    full: shed, counted, told the client  ├─▶ Intake::take ─▶ a round for the verifier
//! peers' batches ─▶ lane of batches     (bytes <= bound) ──┘    each lane is sure of half a round
//! ```
//!
//! Packets stay as they were received: a submission shares the bytes of its frame. Nobody spins: a verify thread parks
//! until something arrives.
//!
//! Invariants: `bytes queued in a lane <= its bound + one item`; an item is either taken once or refused to whoever
//! offered it; a flood on one lane never keeps the other from its half of a round.

mod lane;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossbeam::channel::Select;

use lane::Outlet;
pub use lane::{Lane, LaneCounters, Refused};

use crate::limits::{BATCH_HEADER_BYTES, PACKET_BYTES};
use crate::types::{PacketSlab, Refusal, ValidatorIndex};

#[cfg(test)]
mod tests;

/// Something that is given back where it came from when what holds it has been checked: a share of a peer's or client's
/// budget of bytes. Nobody here looks inside.
pub type Hold = Option<Arc<dyn Any + Send + Sync>>;

/// Packets of one client frame.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The client's connection.
    pub connection: u64,
    /// The tag of the first packet.
    pub tag: u64,
    /// When the frame arrived, on the validator's own clock.
    pub received_us: u64,
    /// The packets.
    pub packets: PacketSlab,
    /// Dropped with the submission.
    pub hold: Hold,
}

/// An encoded batch from a peer.
#[derive(Clone, Debug)]
pub struct PeerBatch {
    /// Who sent it.
    pub from: ValidatorIndex,
    /// When it arrived, on the validator's own clock.
    pub received_us: u64,
    /// The encoding, not parsed.
    pub bytes: Bytes,
    /// Dropped with the batch.
    pub hold: Hold,
}

/// Something with a size.
pub trait Weighed {
    /// Bytes that it holds.
    fn bytes(&self) -> usize;
    /// Packets that it holds.
    fn packets(&self) -> usize;
}

impl Weighed for Submission {
    fn bytes(&self) -> usize {
        self.packets.as_bytes().len()
    }

    fn packets(&self) -> usize {
        self.packets.len()
    }
}

impl Weighed for PeerBatch {
    fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn packets(&self) -> usize {
        self.bytes.len().saturating_sub(BATCH_HEADER_BYTES) / PACKET_BYTES
    }
}

/// What a verify thread checks in one go.
#[derive(Debug, Default)]
pub struct Round {
    /// From clients.
    pub submissions: Vec<Submission>,
    /// From peers.
    pub batches: Vec<PeerBatch>,
}

impl Round {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.submissions.is_empty() && self.batches.is_empty()
    }

    /// How many packets it holds.
    pub fn packets(&self) -> usize {
        packets(&self.submissions) + packets(&self.batches)
    }
}

/// The bounds of the lanes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of submissions that may wait.
    pub submission_bytes_max: usize,
    /// Bytes of peers' batches that may wait.
    pub batch_bytes_max: usize,
}

/// The ends of both lanes: where the network thread puts things in, and where verify threads take them out.
pub fn open(bounds: Bounds) -> (Lane<Submission>, Lane<PeerBatch>, Intake) {
    let (submissions, submission_outlet) = lane::open(bounds.submission_bytes_max);
    let (batches, batch_outlet) = lane::open(bounds.batch_bytes_max);
    (submissions, batches, Intake { submissions: submission_outlet, batches: batch_outlet })
}

/// Where verify threads take rounds; each has a clone.
#[derive(Clone, Debug)]
pub struct Intake {
    submissions: Outlet<Submission>,
    batches: Outlet<PeerBatch>,
}

impl Intake {
    /// Waits up to `timeout` for something, and takes what there is: about `packets_max` packets (never less than one
    /// item of a lane that has one). `None` once both lanes are closed and empty.
    pub fn take(&self, packets_max: usize, timeout: Duration) -> Option<Round> {
        let mut select = Select::new();
        select.recv(self.submissions.receiver());
        select.recv(self.batches.receiver());
        // Only waits; whether a lane is closed shows below. A closed lane is always ready, so wait for the other alone.
        match (self.submissions.is_finished(), self.batches.is_finished()) {
            (true, true) => return None,
            (true, false) => select.remove(0),
            (false, true) => select.remove(1),
            (false, false) => {}
        }
        let mut round = Round::default();
        if select.ready_timeout(timeout).is_ok() {
            self.batches.take((packets_max / 2).max(1), &mut round.batches);
            let left = packets_max.saturating_sub(packets(&round.batches));
            self.submissions.take(left.max(1), &mut round.submissions);
            let left = packets_max.saturating_sub(round.packets());
            self.batches.take(left, &mut round.batches);
        }
        Some(round)
    }
}

fn packets<T: Weighed>(items: &[T]) -> usize {
    items.iter().map(Weighed::packets).sum()
}

impl<T> Refused<T> {
    /// What the sender is told.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Full(_) => Refusal::Busy,
            Self::Closed(_) => Refusal::Stopping,
        }
    }
}
