//! What surrounds one engine: an application that chains digests, and a log in memory.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use commonware_cryptography::{Hasher as _, Sha256};

use super::pace::Pace;
use crate::{
    Application, Fault, Finalization, Payload, ProposalContext, Replay, Reply, StopReason, Store, SyncDone,
};

/// The longest that a sync takes.
const SYNC: Duration = Duration::from_millis(4);

/// What extends `parent` in `view`: anybody can tell valid children, of which there are two.
pub(crate) fn child(parent: &Payload, view: u64, other: bool) -> Payload {
    Sha256::hash(&[parent, &view.to_le_bytes(), &[u8::from(other)]]).0
}

fn is_child(payload: &Payload, parent: &Payload, view: u64) -> bool {
    [false, true].into_iter().any(|other| *payload == child(parent, view, other))
}

pub(crate) fn assert_child(payload: &Payload, parent: &Payload, view: u64) {
    assert!(is_child(payload, parent, view), "the payload of view {view} does not extend its parent");
}

/// A log that survives the engine.
#[derive(Clone)]
pub(crate) struct MemoryStore {
    pace: Pace,
    log: Arc<Mutex<Records>>,
}

#[derive(Default)]
pub(crate) struct Records {
    pub(crate) records: BTreeMap<u64, Vec<u8>>,
    pub(crate) next: u64,
    pub(crate) durable: u64,
    pub(crate) bytes_held_max: usize,
    pub(crate) appends_left: Option<u64>,
    pub(crate) syncs_left: Option<u64>,
    /// Syncs do not end any more; they wait in `unended`.
    pub(crate) stuck: bool,
    unended: Vec<SyncDone>,
    /// Counts the crashes: a sync that began before one makes nothing durable after it.
    run: u64,
}

impl MemoryStore {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, log: Arc::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Records> {
        self.log.lock().unwrap()
    }

    /// A copy of what is durable, which the engine does not write to.
    pub(crate) fn copy(&self) -> Self {
        let log = self.lock();
        let records =
            log.records.range(..log.durable).map(|(position, record)| (*position, record.clone())).collect();
        let copy = Records { records, next: log.durable, durable: log.durable, ..Records::default() };
        Self { pace: self.pace.clone(), log: Arc::new(Mutex::new(copy)) }
    }

    /// Forgets what was never synced, and replays the rest.
    pub(crate) fn crash(&self) -> Replay {
        let mut log = self.lock();
        let durable = log.durable;
        log.records.retain(|position, _| *position < durable);
        log.next = durable;
        log.run += 1;
        let mut replay = Replay::new();
        for (position, record) in &log.records {
            replay.record(*position, record);
        }
        replay
    }
}

impl Store for MemoryStore {
    fn append(&self, record: &[u8]) -> io::Result<u64> {
        let mut log = self.lock();
        if let Some(left) = &mut log.appends_left {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("no space left in the test"))?;
        }
        let position = log.next;
        log.next += 1;
        log.records.insert(position, record.to_vec());
        let held = log.records.values().map(Vec::len).sum();
        log.bytes_held_max = log.bytes_held_max.max(held);
        Ok(position)
    }

    fn sync(&self, position: u64, done: SyncDone) {
        let run = self.lock().run;
        let log = self.log.clone();
        self.pace.later(SYNC, move || {
            let outcome = {
                let mut log = log.lock().unwrap();
                if log.run != run {
                    return;
                }
                if log.stuck {
                    return log.unended.push(done);
                }
                let broken = match &mut log.syncs_left {
                    Some(0) => true,
                    Some(left) => {
                        *left -= 1;
                        false
                    }
                    None => false,
                };
                if !broken {
                    log.durable = log.durable.max(position + 1);
                }
                if broken { Err(io::Error::other("the test's disk is broken")) } else { Ok(()) }
            };
            done(outcome);
        });
    }

    fn release(&self, before: u64) {
        let mut log = self.lock();
        log.records = log.records.split_off(&before);
    }
}

/// How an application behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Behaviour {
    #[default]
    Honest,
    /// Proposes the other valid child.
    ProposesOthers,
    /// Holds every verification until told otherwise.
    HoldsVerifications,
    /// Drops every verification.
    DropsVerifications,
    /// Holds every certification from this view on until told otherwise.
    HoldsCertificationsFrom(u64),
    /// Declines to propose.
    Declines,
    /// Panics when asked to propose.
    PanicsOnPropose,
    /// Ends the epoch with the first payload that [`is_last`].
    EndsEpoch,
}

/// Whether a payload ends its epoch, where epochs end: one in sixteen does.
pub(crate) fn is_last(payload: &Payload) -> bool {
    payload[0] < 16
}

/// What an application was asked and told.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) proposed: Vec<u64>,
    pub(crate) verified: Vec<u64>,
    pub(crate) certified: Vec<u64>,
    pub(crate) finalized: BTreeMap<u64, Finalization>,
    pub(crate) relayed: u64,
    pub(crate) faults: Vec<Fault>,
    pub(crate) stopped: Vec<StopReason>,
    pub(crate) held: Vec<Reply<bool>>,
    pub(crate) held_certifications: BTreeMap<u64, Reply<bool>>,
}

impl Seen {
    pub(crate) fn last(&self) -> u64 {
        self.finalized.keys().next_back().copied().unwrap_or(0)
    }
}

pub(crate) struct TestApplication {
    me: u16,
    behaviour: Behaviour,
    pace: Pace,
    seen: Mutex<Seen>,
}

impl TestApplication {
    pub(crate) fn new(me: u16, behaviour: Behaviour, pace: Pace) -> Arc<Self> {
        Arc::new(Self { me, behaviour, pace, seen: Mutex::default() })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    fn record(&self, event: std::fmt::Arguments<'_>) {
        self.pace.record(|| format!("{} {event}", self.me));
    }
}

/// Whether only the parent itself may follow: it is the last of this epoch, and not the last of the one before.
fn ends(context: &ProposalContext) -> bool {
    context.parent_view > 0 && is_last(&context.parent)
}

impl Application for TestApplication {
    fn propose(&self, context: ProposalContext, reply: Reply<Payload>) {
        self.record(format_args!("is to propose in {context:?}"));
        self.lock().proposed.push(context.view);
        match self.behaviour {
            Behaviour::Declines => reply.decline(),
            Behaviour::PanicsOnPropose => panic!("asked to propose in view {}", context.view),
            Behaviour::ProposesOthers => reply.send(child(&context.parent, context.view, true)),
            Behaviour::EndsEpoch if ends(&context) => reply.send(context.parent),
            _ => reply.send(child(&context.parent, context.view, false)),
        }
    }

    fn verify(&self, context: ProposalContext, payload: Payload, reply: Reply<bool>) {
        assert!(context.parent_view < context.view);
        self.record(format_args!("is to verify {payload:?} in {context:?}"));
        let mut seen = self.lock();
        seen.verified.push(context.view);
        match self.behaviour {
            Behaviour::HoldsVerifications => seen.held.push(reply),
            Behaviour::DropsVerifications => reply.decline(),
            Behaviour::EndsEpoch if ends(&context) => reply.send(payload == context.parent),
            _ => reply.send(is_child(&payload, &context.parent, context.view)),
        }
    }

    fn certify(&self, view: u64, payload: Payload, reply: Reply<bool>) {
        self.record(format_args!("is to certify {payload:?} in view {view}"));
        let mut seen = self.lock();
        seen.certified.push(view);
        match self.behaviour {
            Behaviour::HoldsCertificationsFrom(first) if view >= first => {
                drop(seen.held_certifications.insert(view, reply));
            }
            _ => reply.send(true),
        }
    }

    fn relay(&self, view: u64, payload: Payload) {
        self.record(format_args!("relays {payload:?} in view {view}"));
        self.lock().relayed += 1;
    }

    fn finalized(&self, finalization: Finalization) {
        self.record(format_args!("is told that {:?} is final", finalization.payload()));
        let mut seen = self.lock();
        assert!(finalization.view() > seen.last(), "views must increase");
        seen.finalized.insert(finalization.view(), finalization);
    }

    fn fault(&self, fault: Fault) {
        self.record(format_args!("is told of {fault:?}"));
        self.lock().faults.push(fault);
    }

    fn stopped(&self, reason: StopReason) {
        self.lock().stopped.push(reason);
    }
}
