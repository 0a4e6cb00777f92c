//! What arrives from peers, on the network's thread: sorted, never worked on.
//!
//! ```text
//!   vote, certificate, resolver ──▶ consensus
//!   control: acknowledgements, certificates, blocks, questions ──▶ core
//!   bulk: batches ──▶ verify                  (their bytes stay charged to the peer until they are checked)
//! ```

use std::sync::Arc;

use consensus::Inbound;
use crossbeam::channel::Sender;
use engine::ingress::{Lane, PeerBatch, Refused};
use engine::limits::{BATCH_BYTES_MAX, PEER_MESSAGE_BYTES_MAX};
use engine::types::ValidatorIndex;
use engine::wire::PeerMessage;
use net::{Channel, Flow, Frame, OnFull, PeerEvent};

use super::clock::Clock;
use super::counters::Counters;
use super::events::CoreEvent;

/// The channel of everything small that belongs to no other channel.
pub const CONTROL: usize = 3;
/// The channel of batches.
pub const BULK: usize = 4;

const MIB: usize = 1 << 20;

/// The channels between validators; consensus goes first, batches last.
#[must_use]
pub fn channels(consensus_bytes_max: usize) -> Vec<Channel> {
    let consensus = |name, priority| Channel {
        name,
        priority,
        frame_bytes_max: consensus_bytes_max,
        queue_bytes: 2 * MIB + consensus_bytes_max,
        inbound_bytes: MIB + consensus_bytes_max,
        on_full: OnFull::Drop,
    };
    vec![
        consensus("vote", 40),
        consensus("certificate", 30),
        consensus("resolver", 20),
        Channel {
            name: "control",
            priority: 10,
            frame_bytes_max: PEER_MESSAGE_BYTES_MAX,
            queue_bytes: 2 * PEER_MESSAGE_BYTES_MAX,
            inbound_bytes: PEER_MESSAGE_BYTES_MAX + MIB,
            on_full: OnFull::Drop,
        },
        Channel {
            name: "bulk",
            priority: 0,
            frame_bytes_max: BATCH_BYTES_MAX + 128,
            queue_bytes: 32 * MIB,
            inbound_bytes: 16 * MIB,
            on_full: OnFull::Drop,
        },
    ]
}

/// Sorts what peers send.
pub struct Sorter {
    /// To the core.
    pub core: Sender<CoreEvent>,
    /// To consensus.
    pub consensus: Inbound,
    /// To the verifiers.
    pub batches: Lane<PeerBatch>,
    /// Time.
    pub clock: Clock,
    /// Counts what is refused.
    pub counters: Arc<Counters>,
}

impl Sorter {
    /// Takes one event of the network.
    pub fn take(&self, event: PeerEvent) -> Flow {
        match event {
            PeerEvent::Connected { peer } => self.tell(CoreEvent::Connected(ValidatorIndex(peer))),
            PeerEvent::Disconnected { peer, reason } => {
                tracing::info!(peer, reason, "peer disconnected");
                self.tell(CoreEvent::Disconnected(ValidatorIndex(peer)))
            }
            PeerEvent::Message { from, channel, frame } => self.message(ValidatorIndex(from), channel, frame),
        }
    }

    /// A core that is gone is stopping: the connection need not go on.
    fn tell(&self, event: CoreEvent) -> Flow {
        match self.core.send(event) {
            Ok(()) => Flow::Continue,
            Err(_) => Flow::Close("stopping".into()),
        }
    }

    fn message(&self, from: ValidatorIndex, channel: usize, frame: Frame) -> Flow {
        if let Some(channel) = u8::try_from(channel).ok().and_then(consensus::Channel::from_number) {
            // What consensus drops it counts itself.
            self.consensus.deliver(from.0, channel, frame.bytes);
            return Flow::Continue;
        }
        match PeerMessage::decode(&frame.bytes) {
            Ok(PeerMessage::Batch(bytes) | PeerMessage::BatchReply { bytes: Some(bytes), .. }) => {
                let (received_us, hold) = (self.clock.now_us(), Some(Arc::new(frame.permit) as _));
                match self.batches.offer(PeerBatch { from, received_us, bytes, hold }) {
                    // A batch that is dropped here is not acknowledged; its author sends it again.
                    Ok(()) | Err(Refused::Full(_)) => Flow::Continue,
                    Err(Refused::Closed(_)) => Flow::Close("stopping".into()),
                }
            }
            Ok(message) => self.tell(CoreEvent::Peer(from, message, frame.permit)),
            Err(error) => {
                Counters::add(&self.counters.peer_frames_refused, 1);
                tracing::warn!(peer = from.0, %error, "a peer's message cannot be read; the connection is closed");
                Flow::Close(format!("a message on channel {channel} cannot be read: {error}"))
            }
        }
    }
}
