//! Bytes between validators: out through the caller's [`Transport`], in through an [`Inbound`].
//!
//! ```text
//!   net thread --Inbound::deliver--> [queue per channel, a share per peer] --> engine
//!   engine ------Transport::send---> net
//! ```
//!
//! A peer can fill only its own share of a queue; what exceeds it, or the largest message that a correct validator
//! sends, or comes from a blocked peer, is dropped and counted. The engine repeats what matters.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use bytes::Bytes;
use commonware_consensus::simplex::{max_payload_size, scheme::ed25519::Scheme};
use commonware_utils::{channel::mpsc, sync::Mutex};

use crate::{
    committee::{Digest, VALIDATORS_MAX},
    votes::{self, VOTE_BYTES_MAX},
};

pub(crate) mod certificates;
pub(crate) mod wire;

/// How many messages of one peer may wait in one channel.
pub(crate) const PEER_QUEUE: u32 = 128;

/// Carries the engine's messages to peers over authenticated links.
pub trait Transport: Send + Sync + 'static {
    /// Sends `message` to `to`, never to this validator itself. Must not block; a message that cannot be sent now
    /// is dropped.
    fn send(&self, to: Recipients, channel: Channel, message: Bytes);
}

/// Who is to receive a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Every other validator.
    All,
    /// One validator.
    One(u16),
    /// These validators.
    Some(Vec<u16>),
}

/// The engine's three kinds of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Channel {
    /// Votes: the most urgent.
    Vote = 0,
    /// Certificates.
    Certificate = 1,
    /// Requests for missing certificates, and their answers.
    Resolver = 2,
}

impl Channel {
    /// All channels, in the order of their numbers.
    pub const ALL: [Channel; 3] = [Channel::Vote, Channel::Certificate, Channel::Resolver];

    /// The channel with this number.
    pub fn from_number(number: u8) -> Option<Channel> {
        Self::ALL.into_iter().find(|channel| *channel as u8 == number)
    }
}

/// What came in and what was done with it.
#[derive(Debug, Default)]
pub(crate) struct InboundCounters {
    pub(crate) delivered: AtomicU64,
    pub(crate) dropped_full: AtomicU64,
    pub(crate) dropped_invalid: AtomicU64,
    pub(crate) dropped_blocked: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct Shared {
    message_bytes_max: usize,
    waiting: Vec<[AtomicU32; 3]>,
    pub(crate) blocked: Vec<AtomicBool>,
    /// The vote of the highest view that has come from each peer, and that view.
    last_votes: Vec<Mutex<Option<(u64, Bytes)>>>,
    pub(crate) counters: InboundCounters,
}

impl Shared {
    pub(crate) fn is_blocked(&self, peer: u16) -> bool {
        self.blocked.get(usize::from(peer)).is_some_and(|blocked| blocked.load(Ordering::Relaxed))
    }
}

pub(crate) type Queued = (u16, Bytes);

/// Where the network delivers what peers sent. Cheap to clone; any thread.
#[derive(Clone, Debug)]
pub struct Inbound {
    shared: Arc<Shared>,
    queues: [mpsc::UnboundedSender<Queued>; 3],
}

/// The engine's end of an [`Inbound`].
#[derive(Debug)]
pub struct Inbox {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queues: [mpsc::UnboundedReceiver<Queued>; 3],
}

/// The largest message, in bytes, that a correct validator of a committee of `validators` sends.
pub fn message_bytes_max(validators: usize) -> usize {
    let committee = u32::try_from(validators.min(VALIDATORS_MAX)).expect("bounded by VALIDATORS_MAX");
    max_payload_size::<Scheme, Digest>(committee)
}

/// Makes the way in for a committee of `validators`. It exists before the engine so that the network can be started
/// first; what is delivered before the engine runs waits.
pub fn inbound(validators: usize) -> (Inbound, Inbox) {
    let validators = validators.min(VALIDATORS_MAX);
    let shared = Arc::new(Shared {
        message_bytes_max: message_bytes_max(validators),
        waiting: (0..validators).map(|_| Default::default()).collect(),
        blocked: (0..validators).map(|_| AtomicBool::new(false)).collect(),
        last_votes: (0..validators).map(|_| Mutex::new(None)).collect(),
        counters: InboundCounters::default(),
    });
    let [(vote, votes), (certificate, certificates), (resolver, resolvers)] =
        std::array::from_fn(|_| mpsc::unbounded_channel());
    (
        Inbound { shared: shared.clone(), queues: [vote, certificate, resolver] },
        Inbox { shared, queues: [votes, certificates, resolvers] },
    )
}

impl Inbound {
    /// Hands over a message that the authenticated peer `from` sent. Never blocks; `false` means dropped.
    pub fn deliver(&self, from: u16, channel: Channel, message: Bytes) -> bool {
        let shared = &self.shared;
        let counters = &shared.counters;
        let Some(waiting) = shared.waiting.get(usize::from(from)) else {
            counters.dropped_invalid.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        if message.is_empty() || message.len() > shared.message_bytes_max {
            counters.dropped_invalid.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        if shared.is_blocked(from) {
            counters.dropped_blocked.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        if channel == Channel::Vote {
            shared.note_vote(from, &message);
        }
        let waiting = &waiting[channel as usize];
        let reserved = waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < PEER_QUEUE).then_some(count + 1)
        });
        if reserved.is_err() || self.queues[channel as usize].send((from, message)).is_err() {
            counters.dropped_full.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        counters.delivered.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// The vote of the highest view that has come from a peer, its signature unchecked: to be shown to that peer when
    /// it starts again ([`crate::Memory::lacks`]).
    pub fn last_vote(&self, of: u16) -> Option<Bytes> {
        self.shared.last_votes.get(usize::from(of))?.lock().as_ref().map(|(_, vote)| vote.clone())
    }
}

impl Shared {
    /// One that is not a vote, or longer than any, is nothing to be shown.
    fn note_vote(&self, from: u16, vote: &Bytes) {
        let Some(view) =
            Some(vote).filter(|vote| vote.len() <= VOTE_BYTES_MAX).and_then(|vote| votes::view_of(vote))
        else {
            return;
        };
        let mut last = self.last_votes[usize::from(from)].lock();
        if last.as_ref().is_none_or(|(before, _)| *before <= view) {
            *last = Some((view, vote.clone()));
        }
    }

    /// Gives back the share that a queued message took.
    pub(crate) fn taken(&self, from: u16, channel: Channel) {
        if let Some(waiting) = self.waiting.get(usize::from(from)) {
            waiting[channel as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn committee_size(&self) -> usize {
        self.waiting.len()
    }
}
