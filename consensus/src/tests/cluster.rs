//! The harness: validators wired to each other, on one thread in virtual time or each on its own thread.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::{Signer as _, ed25519};
use commonware_runtime::{Clock as _, Runner as _, Supervisor as _, deterministic};

use super::{
    network::{Link, Network},
    pace::Pace,
    validator::{Behaviour, MemoryStore, Seen, TestApplication, assert_child},
};
use crate::{Config, Handle, Payload, Replay, StartError, Verifier, Wiring, inbound, spawn, start};

/// Nothing here takes nearly as long, in virtual or in real time; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often the tests look.
pub(crate) const TICK: Duration = Duration::from_millis(1);

pub(crate) const NETWORK: Payload = [7; 32];

pub(crate) fn seed(validator: usize) -> [u8; 32] {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&(validator as u64).to_le_bytes());
    seed
}

pub(crate) fn private_key(validator: usize) -> ed25519::PrivateKey {
    ed25519::PrivateKey::decode(Copying(&seed(validator))).unwrap()
}

fn key(validator: usize) -> [u8; 32] {
    private_key(validator).public_key().as_ref().try_into().unwrap()
}

pub(crate) fn keys(validators: usize) -> Vec<[u8; 32]> {
    (0..validators).map(key).collect()
}

/// Runs a test of a cluster on the deterministic runtime.
pub(crate) fn simulate<T>(validators: usize, test: impl AsyncFnOnce(&mut Cluster) -> T) -> T {
    simulate_with(0, validators, test)
}

/// The same with another seed.
pub(crate) fn simulate_with<T>(seed: u64, validators: usize, test: impl AsyncFnOnce(&mut Cluster) -> T) -> T {
    let config = deterministic::Config::new().with_seed(seed).with_cycle(Duration::from_micros(100));
    deterministic::Runner::new(config).start(|context| async move {
        let mut cluster =
            Cluster::new(validators, Pace::of(context.child("pace")), Place::Simulation(context));
        test(&mut cluster).await
    })
}

/// Where engines run.
enum Place {
    Simulation(deterministic::Context),
    Threads(tempfile::TempDir),
}

/// One running validator.
pub(crate) struct Validator {
    pub(crate) handle: Handle,
    pub(crate) application: Arc<TestApplication>,
}

pub(crate) struct Cluster {
    /// Who is the validator of each index.
    members: Vec<usize>,
    pub(crate) pace: Pace,
    pub(crate) network: Network,
    pub(crate) stores: Vec<MemoryStore>,
    pub(crate) config: Config,
    pub(crate) running: BTreeMap<usize, Validator>,
    place: Place,
}

impl Cluster {
    fn new(validators: usize, pace: Pace, place: Place) -> Self {
        Self {
            members: (0..validators).collect(),
            network: Network::new(pace.clone()),
            stores: (0..validators).map(|_| MemoryStore::new(pace.clone())).collect(),
            config: Config::new(NETWORK, keys(validators), seed(0)),
            running: BTreeMap::new(),
            pace,
            place,
        }
    }

    /// The same machines in the next epoch, with these members: the stores of those who stay go with them.
    pub(crate) fn next_epoch(&self, members: &[usize], root: Payload) -> Self {
        let Place::Simulation(context) = &self.place else { panic!("only in simulations") };
        let label: &'static str = ["first", "second", "third"][self.config.epoch as usize];
        let mut next = Self::new(members.len(), self.pace.clone(), Place::Simulation(context.child(label)));
        let keys = members.iter().map(|member| key(*member)).collect();
        next.config = Config { epoch: self.config.epoch + 1, root, validators: keys, ..self.config.clone() };
        for (index, member) in members.iter().enumerate() {
            if let Some(before) = self.members.iter().position(|other| other == member) {
                next.stores[index] = self.stores[before].clone();
            }
        }
        next.members = members.to_vec();
        next
    }

    /// A cluster whose validators have threads of their own, in real time.
    pub(crate) fn on_threads(validators: usize) -> Self {
        Self::new(validators, Pace::default(), Place::Threads(tempfile::tempdir().unwrap()))
    }

    pub(crate) fn start_all(&mut self) {
        self.start_all_as(Behaviour::Honest);
    }

    pub(crate) fn start_all_as(&mut self, behaviour: Behaviour) {
        for validator in 0..self.stores.len() {
            self.start_as(validator, behaviour);
        }
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
        let application = TestApplication::new(me, behaviour, self.pace.clone());
        let config = Config { signing_seed: seed(self.members[validator]), ..self.config.clone() };
        let wiring = Wiring {
            transport: Arc::new(Link { me, network: self.network.clone() }),
            inbox,
            store: Arc::new(self.stores[validator].clone()),
            replay,
            application: application.clone(),
        };
        let handle = match &self.place {
            Place::Simulation(context) => {
                spawn(context.child("validator").with_attribute("index", me), config, wiring)?
            }
            Place::Threads(scratch) => start(config, wiring, &scratch.path().join(validator.to_string()))?,
        };
        Ok(Validator { handle, application })
    }

    /// Takes a validator away at some moment.
    pub(crate) fn crash(&mut self, validator: usize) {
        self.network.disconnect(validator as u16);
        self.running.remove(&validator).unwrap().handle.crash();
    }

    pub(crate) fn crash_all(&mut self) {
        for validator in self.running.keys().copied().collect::<Vec<_>>() {
            self.crash(validator);
        }
    }

    pub(crate) fn application(&self, validator: usize) -> &TestApplication {
        &self.running[&validator].application
    }

    pub(crate) fn last(&self, validator: usize) -> u64 {
        self.application(validator).lock().last()
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        match &self.place {
            Place::Simulation(context) => context.sleep(duration).await,
            Place::Threads(_) => std::thread::sleep(duration),
        }
    }

    /// Waits until `reached`.
    pub(crate) async fn until(&self, what: &str, mut reached: impl FnMut() -> bool) {
        let mut waited = Duration::ZERO;
        while !reached() {
            assert!(waited < PATIENCE, "waited in vain for {what}");
            self.sleep(TICK).await;
            waited += TICK;
        }
    }

    /// Waits until a validator's application has seen what `reached` asks for.
    pub(crate) async fn wait(&self, validator: usize, what: &str, reached: impl Fn(&Seen) -> bool) {
        let application = self.running[&validator].application.clone();
        self.until(&format!("validator {validator}: {what}"), || reached(&application.lock())).await;
    }

    /// Waits until every running validator has finalized a view after `view`.
    pub(crate) async fn wait_past(&self, view: u64) {
        for index in self.running.keys() {
            self.wait(*index, &format!("past view {view}"), |seen| seen.last() > view).await;
        }
    }

    pub(crate) fn verifier(&self) -> Verifier {
        Verifier::new(&NETWORK, self.config.epoch, &self.config.validators).unwrap()
    }

    /// Whether all agree, and every certificate proves what was announced.
    pub(crate) fn assert_agreement(&self) {
        let verifier = self.verifier();
        let mut chain = BTreeMap::new();
        for validator in self.running.values() {
            for (view, finalization) in &validator.application.lock().finalized {
                let known = chain.entry(*view).or_insert_with(|| finalization.clone());
                assert_eq!(known.payload(), finalization.payload(), "a fork in view {view}");
            }
            // Verifying all would be most of the test's time.
            for finalization in validator.application.lock().finalized.values().take(5) {
                assert_eq!(&verifier.verify(finalization.certificate()).unwrap(), finalization);
            }
        }
        for (view, finalization) in &chain {
            let parent = match finalization.parent_view() {
                0 => Some(self.config.root),
                parent => chain.get(&parent).map(crate::Finalization::payload),
            };
            if let Some(parent) = parent.filter(|parent| *parent != finalization.payload()) {
                assert_child(&finalization.payload(), &parent, *view);
            }
        }
        self.network.assert_nobody_voted_twice();
    }
}
