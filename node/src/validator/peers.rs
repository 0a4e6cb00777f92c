//! What arrives from peers, on the network's thread: sorted, never worked on.
//!
//! ```text
//!   vote, certificate, resolver ──▶ consensus
//!   control: holdings, blocks, questions ──▶ core
//!   bulk: records for a repair ──▶ scrubber
//!   bulk: batches ──▶ core, which decides whether they are wanted, ──▶ verify
//!                                             (their bytes stay charged to the peer until they are checked)
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use consensus::Inbound;
use crossbeam::channel::Sender;
use engine::limits::{PEER_MESSAGE_BYTES_MAX, VALIDATORS_MAX};
use engine::replica::Input;
use engine::types::{Epoch, ValidatorIndex};
use engine::wire::{PeerMessage, PeerVersion};
use net::{Channel, Flow, Frame, LogLimit, OnFull, PeerEvent};

use super::counters::Counters;
use super::events::CoreEvent;
use super::ordering::OverQuic;
use super::scrub::Stored;
use super::shared::Shared;

/// The channel of everything small that belongs to no other channel.
pub const CONTROL: usize = 3;
/// The channel of batches.
pub const BULK: usize = 4;

const MIB: usize = 1 << 20;
/// How often one peer's unreadable messages are told in the log.
const SAY_EVERY: Duration = Duration::from_secs(10);

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
            frame_bytes_max: PEER_MESSAGE_BYTES_MAX,
            queue_bytes: 32 * MIB,
            inbound_bytes: 16 * MIB,
            on_full: OnFull::Drop,
        },
    ]
}

/// Sorts what peers send.
pub struct Sorter {
    core: Sender<CoreEvent>,
    /// The epoch, and where what consensus says in it goes; none where this is no validator of it.
    consensus: Option<(Epoch, Inbound)>,
    shared: Arc<Shared>,
    stored: Sender<Stored>,
    unreadable: Mutex<LogLimit<ValidatorIndex>>,
}

impl Sorter {
    /// Sorts for these two, and for the scrubber what peers have stored; what is refused is counted among the shared
    /// counters.
    #[must_use]
    pub fn new(
        core: Sender<CoreEvent>,
        consensus: Option<(Epoch, Inbound)>,
        shared: Arc<Shared>,
        stored: Sender<Stored>,
    ) -> Self {
        let unreadable = Mutex::new(LogLimit::new(SAY_EVERY, VALIDATORS_MAX));
        Self { core, consensus, shared, stored, unreadable }
    }

    /// Takes one event of the network.
    pub fn take(&self, event: PeerEvent) -> Flow {
        match event {
            PeerEvent::Connected { peer, version } => {
                self.tell(CoreEvent::Input(Input::Connected(ValidatorIndex(peer), PeerVersion(version))))
            }
            // The network says why in the log, as often as it is good for the log.
            PeerEvent::Disconnected { peer, .. } => {
                self.shared.checking.heard(ValidatorIndex(peer), false);
                self.tell(CoreEvent::Input(Input::Disconnected(ValidatorIndex(peer))))
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
            if let Some((epoch, consensus)) = &self.consensus
                && let Some(message) = OverQuic::of_epoch(*epoch, &frame.bytes)
            {
                consensus.deliver(from.0, channel, message);
            }
            return Flow::Continue;
        }
        match PeerMessage::decode(&frame.bytes) {
            Ok(PeerMessage::Stored { height, place, bytes }) => {
                // The scrubber asks again for what has no room; what it has not asked for it does not miss.
                let _dropped = self.stored.try_send(Stored { from, height, place, bytes });
                Flow::Continue
            }
            Ok(PeerMessage::Verifies { by_device }) => {
                self.shared.checking.heard(from, by_device);
                Flow::Continue
            }
            Ok(message) => self.tell(CoreEvent::Peer(from, message, frame.permit)),
            Err(error) => {
                Counters::add(&self.shared.counters.peer_frames_refused, 1);
                let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(suppressed) = unreadable.admit(from, self.shared.clock.now()) {
                    let peer = from.0;
                    tracing::warn!(peer, %error, suppressed, "a peer's message cannot be read; the connection is closed");
                }
                Flow::Close(format!("a message on channel {channel} cannot be read: {error}"))
            }
        }
    }
}

/// Batches must not stand before what is small and urgent.
#[must_use]
pub fn channel_of(message: &PeerMessage) -> usize {
    match message {
        PeerMessage::Batch(_)
        | PeerMessage::BlocksReply(_)
        | PeerMessage::ChunkList { .. }
        | PeerMessage::Chunk { .. }
        | PeerMessage::Stored { .. } => BULK,
        _ => CONTROL,
    }
}
