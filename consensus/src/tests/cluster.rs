//! The harness: validators wired to each other, each with an application that chains digests.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::simplex::{scheme::ed25519::Scheme, types::Vote};
use commonware_cryptography::{Hasher as _, Sha256, Signer as _, ed25519};

use crate::{
    Application, Channel, Config, Fault, Finalization, Handle, Inbound, Payload, ProposalContext, Recipients,
    Replay, Reply, StartError, StopReason, Store, SyncDone, Timing, Transport, Verifier, Wiring,
    committee::Digest, inbound, start,
};

/// Nothing here takes nearly as long; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const NETWORK: Payload = [7; 32];

pub(crate) fn seed(validator: usize) -> [u8; 32] {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&(validator as u64).to_le_bytes());
    seed
}

pub(crate) fn private_key(validator: usize) -> ed25519::PrivateKey {
    ed25519::PrivateKey::decode(Copying(&seed(validator))).unwrap()
}

pub(crate) fn keys(validators: usize) -> Vec<[u8; 32]> {
    (0..validators).map(|index| private_key(index).public_key().as_ref().try_into().unwrap()).collect()
}

/// What extends `parent` in `view`: valid children are recognized by anybody.
pub(crate) fn child(parent: &Payload, view: u64) -> Payload {
    Sha256::hash(&[parent, &view.to_le_bytes()]).0
}

/// A log that survives the engine. Records are durable as soon as they are synced.
#[derive(Clone, Default)]
pub(crate) struct MemoryStore(Arc<Mutex<Records>>);

#[derive(Default)]
pub(crate) struct Records {
    pub(crate) records: BTreeMap<u64, Vec<u8>>,
    pub(crate) next: u64,
    pub(crate) durable: u64,
    pub(crate) bytes_held_max: usize,
    pub(crate) appends_left: Option<u64>,
    pub(crate) syncs_left: Option<u64>,
}

impl MemoryStore {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap()
    }

    /// Forgets what was never synced, and replays the rest.
    pub(crate) fn crash(&self) -> Replay {
        let mut log = self.lock();
        let durable = log.durable;
        log.records.retain(|position, _| *position < durable);
        log.next = durable;
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
        let mut log = self.lock();
        if let Some(left) = &mut log.syncs_left {
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => {
                    drop(log);
                    return done(Err(io::Error::other("the test's disk is broken")));
                }
            }
        }
        log.durable = log.durable.max(position + 1);
        drop(log);
        done(Ok(()));
    }

    fn release(&self, before: u64) {
        let mut log = self.lock();
        log.records = log.records.split_off(&before);
    }
}

/// How an application behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Honest,
    /// Holds every verification until told otherwise.
    HoldsVerifications,
    /// Drops every verification.
    DropsVerifications,
    /// Declines to propose.
    Declines,
    /// Panics when asked to propose.
    PanicsOnPropose,
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) finalized: BTreeMap<u64, Finalization>,
    pub(crate) relayed: u64,
    pub(crate) faults: Vec<Fault>,
    pub(crate) stopped: Vec<StopReason>,
    pub(crate) held: Vec<Reply<bool>>,
}

impl Seen {
    pub(crate) fn last(&self) -> u64 {
        self.finalized.keys().next_back().copied().unwrap_or(0)
    }
}

pub(crate) struct TestApplication {
    behaviour: Behaviour,
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl TestApplication {
    fn new(behaviour: Behaviour) -> Arc<Self> {
        Arc::new(Self { behaviour, seen: Mutex::default(), changed: Condvar::new() })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    fn update(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until `reached`.
    pub(crate) fn wait(&self, what: &str, reached: impl Fn(&Seen) -> bool) {
        let (seen, timeout) =
            self.changed.wait_timeout_while(self.lock(), PATIENCE, |seen| !reached(seen)).unwrap();
        assert!(!timeout.timed_out(), "waited in vain for {what}; stopped: {:?}", seen.stopped);
    }
}

impl Application for TestApplication {
    fn propose(&self, context: ProposalContext, reply: Reply<Payload>) {
        match self.behaviour {
            Behaviour::Declines => drop(reply),
            Behaviour::PanicsOnPropose => panic!("asked to propose in view {}", context.view),
            _ => reply.send(child(&context.parent, context.view)),
        }
    }

    fn verify(&self, context: ProposalContext, payload: Payload, reply: Reply<bool>) {
        assert!(context.parent_view < context.view);
        match self.behaviour {
            Behaviour::HoldsVerifications => self.update(|seen| seen.held.push(reply)),
            Behaviour::DropsVerifications => drop(reply),
            _ => reply.send(payload == child(&context.parent, context.view)),
        }
    }

    fn relay(&self, _view: u64, _payload: Payload) {
        self.update(|seen| seen.relayed += 1);
    }

    fn finalized(&self, finalization: Finalization) {
        self.update(|seen| {
            assert!(finalization.view > seen.last(), "views must increase");
            seen.finalized.insert(finalization.view, finalization);
        });
    }

    fn fault(&self, fault: Fault) {
        self.update(|seen| seen.faults.push(fault));
    }

    fn stopped(&self, reason: StopReason) {
        self.update(|seen| seen.stopped.push(reason));
    }
}

/// Delivers at once, unless the recipient is away, and remembers what everybody voted.
#[derive(Clone, Default)]
pub(crate) struct Network(Arc<Mutex<Links>>);

#[derive(Default)]
struct Links {
    inbounds: BTreeMap<u16, Inbound>,
    votes: BTreeMap<(u16, u64), Votes>,
}

#[derive(Default)]
struct Votes {
    notarized: BTreeSet<Payload>,
    finalized: BTreeSet<Payload>,
    nullified: bool,
}

impl Network {
    pub(crate) fn connect(&self, validator: u16, inbound: Inbound) {
        self.0.lock().unwrap().inbounds.insert(validator, inbound);
    }

    pub(crate) fn disconnect(&self, validator: u16) {
        self.0.lock().unwrap().inbounds.remove(&validator);
    }

    pub(crate) fn deliver(&self, from: u16, to: u16, channel: Channel, message: Bytes) -> bool {
        let inbound = self.0.lock().unwrap().inbounds.get(&to).cloned();
        inbound.is_some_and(|inbound| inbound.deliver(from, channel, message))
    }

    fn remember(&self, from: u16, message: &[u8]) {
        let vote = Vote::<Scheme, Digest>::decode(Copying(message)).expect("engines send votes");
        let view = commonware_consensus::Viewable::view(&vote).get();
        let mut links = self.0.lock().unwrap();
        let votes = links.votes.entry((from, view)).or_default();
        match vote {
            Vote::Notarize(vote) => drop(votes.notarized.insert(vote.proposal.payload.0)),
            Vote::Finalize(vote) => drop(votes.finalized.insert(vote.proposal.payload.0)),
            Vote::Nullify(_) => votes.nullified = true,
        }
    }

    /// Whether nobody ever contradicted itself, over all runs.
    pub(crate) fn assert_nobody_voted_twice(&self) {
        for ((validator, view), votes) in &self.0.lock().unwrap().votes {
            assert!(votes.notarized.len() <= 1, "validator {validator} notarized twice in view {view}");
            assert!(votes.finalized.len() <= 1, "validator {validator} finalized twice in view {view}");
            assert!(
                votes.finalized.is_empty() || !votes.nullified,
                "validator {validator} both skipped and finalized view {view}"
            );
        }
    }
}

struct Link {
    me: u16,
    network: Network,
}

impl Transport for Link {
    fn send(&self, to: Recipients, channel: Channel, message: Bytes) {
        if channel == Channel::Vote {
            self.network.remember(self.me, &message);
        }
        let to = match to {
            Recipients::All => {
                let links = self.network.0.lock().unwrap();
                links.inbounds.keys().copied().filter(|peer| *peer != self.me).collect()
            }
            Recipients::One(peer) => vec![peer],
            Recipients::Some(peers) => peers,
        };
        for peer in to {
            assert_ne!(peer, self.me, "nobody sends to itself");
            self.network.deliver(self.me, peer, channel, message.clone());
        }
    }
}

/// One running validator.
pub(crate) struct Validator {
    pub(crate) handle: Handle,
    pub(crate) application: Arc<TestApplication>,
}

pub(crate) struct Cluster {
    pub(crate) network: Network,
    pub(crate) stores: Vec<MemoryStore>,
    pub(crate) config: Config,
    pub(crate) running: BTreeMap<usize, Validator>,
    scratch: tempfile::TempDir,
}

impl Cluster {
    pub(crate) fn new(validators: usize) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut config = Config::new(NETWORK, keys(validators), seed(0), scratch.path());
        config.timing = Timing {
            leader_timeout: Duration::from_millis(400),
            certification_timeout: Duration::from_millis(700),
            retry: Duration::from_millis(300),
            skip_after: Some(Duration::from_millis(900)),
            fetch_timeout: Duration::from_millis(300),
            fetch_retry: Duration::from_millis(20),
            block_for: Duration::from_secs(600),
        };
        Self {
            network: Network::default(),
            stores: (0..validators).map(|_| MemoryStore::default()).collect(),
            config,
            running: BTreeMap::new(),
            scratch,
        }
    }

    /// A cluster whose validators all run.
    pub(crate) fn started(validators: usize) -> Self {
        let mut cluster = Self::new(validators);
        for validator in 0..validators {
            cluster.start(validator);
        }
        cluster
    }

    pub(crate) fn start(&mut self, validator: usize) {
        self.start_as(validator, Behaviour::Honest);
    }

    pub(crate) fn start_as(&mut self, validator: usize, behaviour: Behaviour) {
        let started = self.try_start(validator, behaviour, self.stores[validator].crash()).unwrap();
        self.running.insert(validator, started);
    }

    pub(crate) fn try_start(
        &self,
        validator: usize,
        behaviour: Behaviour,
        replay: Replay,
    ) -> Result<Validator, StartError> {
        let (inbound, inbox) = inbound(self.stores.len());
        let me = validator as u16;
        self.network.connect(me, inbound);
        let application = TestApplication::new(behaviour);
        let config = Config {
            signing_seed: seed(validator),
            scratch: self.scratch.path().join(validator.to_string()),
            ..self.config.clone()
        };
        let wiring = Wiring {
            transport: Arc::new(Link { me, network: self.network.clone() }),
            inbox,
            store: Arc::new(self.stores[validator].clone()),
            replay,
            application: application.clone(),
        };
        Ok(Validator { handle: start(config, wiring)?, application })
    }

    /// Takes a validator away at some moment.
    pub(crate) fn stop(&mut self, validator: usize) {
        self.network.disconnect(validator as u16);
        self.running.remove(&validator).unwrap().handle.stop();
    }

    pub(crate) fn application(&self, validator: usize) -> &TestApplication {
        &self.running[&validator].application
    }

    pub(crate) fn last(&self, validator: usize) -> u64 {
        self.application(validator).lock().last()
    }

    /// Waits until every running validator has finalized a view after `view`.
    pub(crate) fn wait_past(&self, view: u64) {
        for (index, validator) in &self.running {
            validator
                .application
                .wait(&format!("validator {index} past view {view}"), |seen| seen.last() > view);
        }
    }

    pub(crate) fn verifier(&self) -> Verifier {
        Verifier::new(&NETWORK, &self.config.validators).unwrap()
    }

    /// Whether all agree, and every certificate proves what was announced.
    pub(crate) fn assert_agreement(&self) {
        let verifier = self.verifier();
        let mut chain: BTreeMap<u64, Payload> = BTreeMap::new();
        for validator in self.running.values() {
            for (view, finalization) in &validator.application.lock().finalized {
                let payload = chain.entry(*view).or_insert(finalization.payload);
                assert_eq!(*payload, finalization.payload, "a fork in view {view}");
            }
        }
        // Verifying all would be most of the test's time.
        for validator in self.running.values() {
            for finalization in validator.application.lock().finalized.values().take(5) {
                let proven = verifier.verify(&finalization.certificate).unwrap();
                assert_eq!(
                    (proven.view, proven.parent_view, proven.payload),
                    (finalization.view, finalization.parent_view, finalization.payload)
                );
            }
        }
        for (view, payload) in &chain {
            let finalization = self
                .running
                .values()
                .find_map(|validator| validator.application.lock().finalized.get(view).cloned());
            let parent_view = finalization.unwrap().parent_view;
            let parent = if parent_view == 0 { Some(&NETWORK) } else { chain.get(&parent_view) };
            if let Some(parent) = parent {
                assert_eq!(*payload, child(parent, *view), "view {view} does not extend view {parent_view}");
            }
        }
        self.network.assert_nobody_voted_twice();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (_, validator) in std::mem::take(&mut self.running) {
            validator.handle.stop();
        }
    }
}
