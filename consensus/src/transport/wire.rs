//! The engine's view of the transport: commonware's sender, receiver and blocker traits.

use std::{
    convert::Infallible,
    fmt,
    future::pending,
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use bytes::Bytes;
use commonware_actor::{Feedback, Unreliable};
use commonware_p2p::{
    BlockedSubscription, Blocker, CheckedSender, LimitedSender, Message, Receiver, Recipients as To,
};
use commonware_runtime::{IoBuf, IoBufs};
use commonware_utils::{
    TryFromIterator as _,
    channel::{mpsc, ring},
    ordered::Set,
    sync::Mutex,
};

use super::{Channel, PEER_QUEUE, Queued, Recipients, Shared, Transport};
use crate::{
    Application, Fault, FaultKind,
    committee::{Committee, PublicKey},
    halt::Halt,
};

/// Sends on one channel.
#[derive(Clone)]
pub(crate) struct Outlet {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) committee: Arc<Committee>,
    pub(crate) me: u16,
    pub(crate) channel: Channel,
    pub(crate) halt: Halt,
}

/// One message's recipients; nothing is rate-limited here.
pub(crate) struct Addressed<'a> {
    outlet: &'a Outlet,
    to: Recipients,
}

impl LimitedSender for Outlet {
    type PublicKey = PublicKey;
    type Checked<'a> = Addressed<'a>;

    fn check(&mut self, recipients: To<PublicKey>) -> Result<Addressed<'_>, SystemTime> {
        let index = |key: &PublicKey| self.committee.validator(key).filter(|validator| *validator != self.me);
        let to = match recipients {
            To::All => Recipients::All,
            To::One(key) => index(&key).map_or_else(|| Recipients::Some(Vec::new()), Recipients::One),
            To::Some(keys) => Recipients::Some(keys.iter().filter_map(index).collect()),
        };
        Ok(Addressed { outlet: self, to })
    }
}

impl CheckedSender for Addressed<'_> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        let committee = &self.outlet.committee;
        let key = |validator: &u16| committee.key(*validator).cloned();
        match &self.to {
            Recipients::All => (0..u16::try_from(committee.len()).expect("bounded by VALIDATORS_MAX"))
                .filter(|validator| *validator != self.outlet.me)
                .filter_map(|validator| key(&validator))
                .collect(),
            Recipients::One(validator) => key(validator).into_iter().collect(),
            Recipients::Some(validators) => validators.iter().filter_map(key).collect(),
        }
    }

    fn send(self, message: impl Into<IoBufs> + Send, _priority: bool) -> Unreliable<Feedback> {
        if self.outlet.halt.is_stopped() {
            return Unreliable::new(Feedback::Ok);
        }
        let message = Bytes::from(message.into().coalesce());
        self.outlet.transport.send(self.to, self.outlet.channel, message);
        Unreliable::new(Feedback::Ok)
    }
}

/// Receives on one channel.
pub(crate) struct Inlet {
    pub(crate) queue: mpsc::UnboundedReceiver<Queued>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) committee: Arc<Committee>,
    pub(crate) channel: Channel,
}

impl fmt::Debug for Inlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inlet").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl Receiver for Inlet {
    type Error = Infallible;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, Infallible> {
        loop {
            let Some((from, message)) = self.queue.recv().await else {
                // Every `Inbound` is gone: nothing will ever come, which is no reason to stop (a lone validator).
                return pending().await;
            };
            self.shared.taken(from, self.channel);
            if self.shared.is_blocked(from) {
                self.shared.counters.dropped_blocked.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let key = self.committee.key(from).expect("deliver checked the sender's index");
            return Ok((key.clone(), IoBuf::from(message)));
        }
    }

    fn capacity(&self) -> NonZeroUsize {
        let peers = NonZeroUsize::new(self.committee.len()).expect("a committee is never empty");
        peers.saturating_mul(const { NonZeroUsize::new(PEER_QUEUE as usize).expect("not zero") })
    }
}

/// Stops taking anything from a peer for a while.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) shared: Arc<Shared>,
    pub(crate) committee: Arc<Committee>,
    pub(crate) application: Arc<dyn Application>,
    /// Newly blocked validators, for the task that lifts the block in time.
    pub(crate) blocked: mpsc::UnboundedSender<u16>,
    pub(crate) subscribers: Arc<Mutex<Vec<ring::Sender<Set<PublicKey>>>>>,
}

impl Gate {
    fn current(&self) -> Set<PublicKey> {
        let blocked =
            self.shared.blocked.iter().enumerate().filter(|(_, blocked)| blocked.load(Ordering::Relaxed));
        let keys = blocked.filter_map(|(index, _)| self.committee.key(u16::try_from(index).ok()?).cloned());
        Set::try_from_iter(keys).expect("the committee's keys are distinct")
    }

    fn publish(&self) {
        let current = self.current();
        self.subscribers.lock().retain(|subscriber| {
            subscriber.send_lossy(current.clone());
            !subscriber.is_closed()
        });
    }

    pub(crate) fn lift(&self, validator: u16) {
        if let Some(blocked) = self.shared.blocked.get(usize::from(validator)) {
            blocked.store(false, Ordering::Relaxed);
            self.publish();
        }
    }
}

impl Blocker for Gate {
    type PublicKey = PublicKey;

    fn block(&mut self, peer: PublicKey) -> Feedback {
        let Some(validator) = self.committee.validator(&peer) else {
            return Feedback::Ok;
        };
        if self.shared.blocked[usize::from(validator)].swap(true, Ordering::Relaxed) {
            return Feedback::Ok;
        }
        self.publish();
        let _engine_gone = self.blocked.send(validator);
        self.application.fault(Fault {
            validator,
            kind: FaultKind::InvalidMessage,
            view: None,
            evidence: Vec::new(),
        });
        Feedback::Ok
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        let (sender, receiver) = ring::channel(const { NonZeroUsize::new(1).expect("not zero") });
        sender.send_lossy(self.current());
        self.subscribers.lock().push(sender);
        receiver
    }
}
