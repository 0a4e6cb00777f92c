//! Ingress: what the network thread has received and the verify threads have not yet looked at.
//!
//! ```text
//! client frames ─▶ lane of submissions: a queue for each connection ──┐
//!                    full: shed, counted, told that client alone       ├─▶ Intake::take ─▶ a round for the verifier
//! peers' batches ─▶ lane of batches: a queue for each peer ───────────┘    each lane is sure of half of a round
//! ```
//!
//! Packets stay as they were received: a submission shares the bytes of its frame. Rounds take from the queues of a
//! lane in turn (`fair`), so a client that floods its queue gets its share and no more. Nobody spins: a verify thread
//! parks until something arrives. While there is much to do, a small round waits a moment for more, because signatures
//! are cheaper in company; while there is little, it does not.
//!
//! Invariants: `bytes queued in a lane <= its bound + one item`; an item is either taken once, discarded with its
//! source, or given back to be refused; a flood on one lane never keeps the other from its half of a round; memory is
//! bounded by what waits, not by how many connections there have been.

mod fair;
mod lane;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use lane::Shared;
pub use lane::{Lane, LaneCounters, Refused};

use crate::types::{PacketSlab, Refusal, ValidatorIndex};
use crate::wire::Batch;

#[cfg(test)]
mod tests;

/// Something that is given back where it came from when what holds it has been checked: a share of a peer's or client's
/// budget of bytes. Nobody here looks inside.
pub type Hold = Option<Arc<dyn Any + Send + Sync>>;

/// Where something comes from: what it costs is charged there, and what is wrong with it is held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// This validator itself: its journal.
    Own,
    /// A client's connection.
    Connection(u64),
    /// Another validator.
    Peer(ValidatorIndex),
}

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
    /// Whether the client wants to be told what of it is accepted.
    pub tell: bool,
    /// Dropped with the submission.
    pub hold: Hold,
}

/// A batch from a peer that the core wants checked.
#[derive(Clone, Debug)]
pub struct PeerBatch {
    /// Who sent it.
    pub from: ValidatorIndex,
    /// Whether its author sent it by itself.
    pub pushed: bool,
    /// The batch.
    pub batch: Batch,
    /// Dropped with the batch.
    pub hold: Hold,
}

/// Something with a size and a source.
pub trait Weighed {
    /// Bytes that it holds.
    fn bytes(&self) -> usize;
    /// Packets that it holds.
    fn packets(&self) -> usize;
    /// Whose queue it waits in.
    fn source(&self) -> Source;
}

impl Weighed for Submission {
    fn bytes(&self) -> usize {
        self.packets.as_bytes().len()
    }

    fn packets(&self) -> usize {
        self.packets.len()
    }

    fn source(&self) -> Source {
        Source::Connection(self.connection)
    }
}

impl Weighed for PeerBatch {
    fn bytes(&self) -> usize {
        self.batch.bytes().len()
    }

    fn packets(&self) -> usize {
        self.batch.packets().len()
    }

    fn source(&self) -> Source {
        Source::Peer(self.from)
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

/// The bounds of the lanes. A source may fill its lane while no other wants a part of it.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of submissions that may wait.
    pub submission_bytes_max: usize,
    /// Bytes of peers' batches that may wait.
    pub batch_bytes_max: usize,
}

/// The ends of both lanes: where the network thread puts things in, and where verify threads take them out.
pub fn open(bounds: Bounds) -> (Lane<Submission>, Lane<PeerBatch>, Intake) {
    let (submissions, batches, shared) = lane::open(bounds);
    (submissions, batches, Intake(shared))
}

/// Where verify threads take rounds; each has a clone. When the last is gone, nothing is let in any more.
#[derive(Debug)]
pub struct Intake(Arc<Shared>);

impl Intake {
    /// Waits up to `timeout` for something, and takes what there is: about `packets_max` packets (never less than one
    /// item of a lane that has one). `None` once both lanes are closed and empty. `now` is asked for the time since
    /// some fixed point: shortly after a large round, a small one waits up to two milliseconds for more.
    pub fn take(&self, packets_max: usize, timeout: Duration, now: impl Fn() -> Duration) -> Option<Round> {
        self.0.take(packets_max, timeout, now)
    }

    /// A device checks signatures, too, and is worth its while from so many packets on: in busy times a round of fewer
    /// waits for more, up to five milliseconds.
    pub fn device_from(&self, packets: usize) {
        self.0.device_from(packets);
    }

    /// Drops what waits from a source that has been cut off.
    pub fn discard(&self, source: Source) {
        self.0.discard(source);
    }
}

impl Clone for Intake {
    fn clone(&self) -> Self {
        self.0.add_taker();
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.0.remove_taker();
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
