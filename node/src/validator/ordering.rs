//! Consensus, wired: its questions become events of the core, its messages frames, its memory a log of its own.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use consensus::{
    Application, Channel, Fault, Finalization, Payload, ProposalContext, Recipients, Reply, StopReason,
    SyncDone,
};
use crossbeam::channel::Sender;
use engine::order::{Finality, FinalityEvidence, FinalityVerifier};
use engine::replica::{Boot, Boots, Input, KIND_BOOT};
use engine::store::{Log, Position, StoreError};
use engine::types::{Digest, Epoch, Genesis, Members, ValidatorIndex};
use net::PeerNetwork;

use super::events::{CoreEvent, proposal};
use super::fatal::fatal;

/// Kind of the records of consensus in its own log.
const KIND_CONSENSUS: u8 = 1;

/// Hands every call of consensus to the core.
pub struct ToCore {
    core: Sender<CoreEvent>,
    votes: Arc<VoteLog>,
    /// The view from which the engine begins.
    floor: u64,
}

impl ToCore {
    /// Calls become events of `core`; `votes` is the engine's store, `floor` the view of what it begins from, or 0.
    #[must_use]
    pub fn new(core: Sender<CoreEvent>, votes: Arc<VoteLog>, floor: u64) -> Self {
        Self { core, votes, floor }
    }

    /// A core that is gone is stopping; what consensus says then does not matter any more.
    fn tell(&self, event: CoreEvent) {
        let _stopping = self.core.send(event);
    }
}

impl Application for ToCore {
    fn propose(&self, context: ProposalContext, reply: Reply<Payload>) {
        self.tell(CoreEvent::Propose(proposal(&context), reply));
    }

    fn verify(&self, context: ProposalContext, payload: Payload, reply: Reply<bool>) {
        self.tell(CoreEvent::Verify(proposal(&context), Digest(payload), reply));
    }

    fn certify(&self, view: u64, payload: Payload, reply: Reply<bool>) {
        self.tell(CoreEvent::Certify(view, Digest(payload), reply));
    }

    fn relay(&self, _view: u64, payload: Payload) {
        self.tell(CoreEvent::Input(Input::Relay(Digest(payload))));
    }

    fn finalized(&self, finalization: Finalization) {
        if finalization.view() > self.floor {
            self.votes.made_good();
        }
        self.tell(CoreEvent::Input(Input::Finalized(finality(&finalization))));
    }

    fn fault(&self, fault: Fault) {
        self.tell(CoreEvent::Fault(fault));
    }

    fn stopped(&self, reason: StopReason) {
        if reason != StopReason::Requested {
            fatal(format!("consensus has stopped: {reason}"));
        }
    }
}

/// Bytes before each message of consensus: its epoch.
pub const EPOCH_BYTES: usize = 8;

/// Carries the engine's messages over the channels of the peers' network that have the same numbers. The epoch stands
/// before each: validators enter the next one at different moments, and an engine takes a vote of another epoch for an
/// offence.
pub struct OverQuic {
    /// The network.
    pub peers: PeerNetwork,
    /// The epoch.
    pub epoch: Epoch,
    /// How many validators it has.
    pub validators: u16,
}

impl OverQuic {
    /// A message of consensus, if it is of this epoch.
    #[must_use]
    pub fn of_epoch(epoch: Epoch, frame: &Bytes) -> Option<Bytes> {
        let (said, _) = frame.split_first_chunk()?;
        (u64::from_le_bytes(*said) == epoch.0).then(|| frame.slice(EPOCH_BYTES..))
    }
}

impl consensus::Transport for OverQuic {
    /// A message that cannot be sent now is dropped and counted by the network; consensus repeats what matters.
    fn send(&self, to: Recipients, channel: Channel, message: Bytes) {
        let number = channel as usize;
        let frame = Bytes::from([&self.epoch.0.to_le_bytes()[..], &message].concat());
        let one = |peer: u16| {
            let _counted = self.peers.send(peer, number, frame.clone());
        };
        match to {
            Recipients::All => {
                self.peers.broadcast(self.validators, number, &frame);
            }
            Recipients::One(peer) => one(peer),
            Recipients::Some(peers) => peers.into_iter().for_each(one),
        }
    }
}

/// The engine's evidence, as the ledger takes it.
fn finality(finalization: &Finalization) -> Finality {
    Finality::handed_on(FinalityEvidence {
        epoch: Epoch(finalization.epoch()),
        view: finalization.view(),
        digest: Digest(finalization.payload()),
        certificate: finalization.certificate(),
    })
}

/// The memory of consensus: a log of its own, so that votes never wait behind batches.
pub struct VoteLog {
    log: Arc<Log>,
    /// The boot of this run, to be written again before its record is released.
    boot: Mutex<Option<Boot>>,
}

/// What the log of votes remembers of earlier runs.
pub struct Votes {
    /// The log.
    pub log: Arc<VoteLog>,
    /// The records of consensus.
    pub replay: consensus::Replay,
    /// The starts.
    pub boots: Boots,
}

impl VoteLog {
    /// Opens the log in `directory` and reads what an earlier run has left.
    ///
    /// # Errors
    /// The directory is in use, belongs to another network, or is damaged.
    pub fn open(directory: &Path, options: engine::store::Options) -> anyhow::Result<Votes> {
        let (log, records) = Log::open(directory, options)?;
        let (mut replay, mut boots) = (consensus::Replay::new(), Boots::default());
        for record in records {
            let record = record?;
            match record.kind {
                KIND_BOOT => boots.note(Boot::decode(&record.bytes)?),
                _ => replay.record(record.position.raw(), &record.bytes),
            }
        }
        Ok(Votes { log: Arc::new(Self { log: Arc::new(log), boot: Mutex::default() }), replay, boots })
    }

    /// Remembers the boot of this run, durably, and whether votes of earlier runs are `lost`.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn boot(&self, number: u64, lost: bool) -> Result<(), StoreError> {
        let boot = Boot::of_votes(number, lost);
        let position = self.log.append(KIND_BOOT, &[&boot.encode()])?;
        self.log.wait_durable(position)?;
        *self.boot_of_this_run() = Some(boot);
        Ok(())
    }

    /// Votes of earlier runs are lost, as others have shown. Remembered durably.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn lost(&self) -> Result<(), StoreError> {
        let mut boot = self.boot_of_this_run();
        let Some(boot) = &mut *boot else { return Ok(()) };
        boot.lost = true;
        let position = self.log.append(KIND_BOOT, &[&boot.encode()])?;
        self.log.wait_durable(position).map(drop)
    }

    /// Something above the floor of this run is final: if votes were lost, that is made good, since an engine reports
    /// nothing above its floor before the floor's record is durable.
    pub fn made_good(&self) {
        if let Some(boot) = &mut *self.boot_of_this_run()
            && boot.lost
        {
            boot.lost = false;
            // A log that refuses has failed, which the next sync reports.
            let _reported = self.log.append(KIND_BOOT, &[&boot.encode()]);
        }
    }

    fn boot_of_this_run(&self) -> MutexGuard<'_, Option<Boot>> {
        self.boot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log itself, for its metrics.
    #[must_use]
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }
}

impl consensus::Store for VoteLog {
    fn append(&self, record: &[u8]) -> io::Result<u64> {
        self.log.append(KIND_CONSENSUS, &[record]).map(Position::raw).map_err(io::Error::other)
    }

    fn sync(&self, position: u64, done: SyncDone) {
        let done = Box::new(move |outcome: Result<_, StoreError>| {
            done(outcome.map(|_| ()).map_err(io::Error::other))
        });
        self.log.on_durable(Position::from_raw(position), done);
    }

    /// What is released may hold this run's boot: it is written again first, and is durable before anything goes.
    fn release(&self, before: u64) {
        // Held until it is appended: what is made good meanwhile must be written behind it, not before.
        let boot = self.boot_of_this_run();
        let Some(record) = *boot else { return };
        // A log that refuses has failed, which its next append or sync reports.
        let Ok(position) = self.log.append(KIND_BOOT, &[&record.encode()]) else { return };
        drop(boot);
        let log = Arc::downgrade(&self.log);
        let release = move |outcome: Result<_, StoreError>| {
            if let (Some(log), Ok(_)) = (log.upgrade(), outcome) {
                log.release(Position::from_raw(before));
            }
        };
        self.log.on_durable(position, Box::new(release));
    }
}

const _: () = assert!(consensus::VOTE_BYTES_MAX <= engine::limits::VOTE_BYTES_MAX);

/// Votes before consensus begins: those of others that have come, and the own ones that the log remembers.
pub struct SeenVotes {
    /// Where the votes of others come in.
    pub inbound: consensus::Inbound,
    /// What the log remembers.
    pub memory: consensus::Memory,
    /// The log.
    pub log: Arc<VoteLog>,
    /// Checks signatures.
    pub certificates: Arc<Certificates>,
    /// This validator.
    pub me: ValidatorIndex,
    /// The epoch.
    pub epoch: Epoch,
}

impl SeenVotes {
    /// The last vote of a peer; empty if none has come.
    #[must_use]
    pub fn last_of(&self, peer: ValidatorIndex) -> Bytes {
        self.inbound.last_vote(peer.0).unwrap_or_default()
    }

    /// Whether this validator has signed a vote that its log does not remember.
    #[must_use]
    pub fn lacks(&self, vote: &[u8]) -> bool {
        self.certificates.with(self.epoch, |of| self.memory.lacks(vote, self.me.0, of)).unwrap_or(false)
    }
}

/// Checks finalization certificates for the ledger, of all epochs whose validators are known.
#[derive(Debug)]
pub struct Certificates {
    network: Digest,
    /// By epoch.
    epochs: RwLock<Vec<consensus::Verifier>>,
}

impl Certificates {
    /// For the network of `genesis`, of which the first epoch is known.
    ///
    /// # Errors
    /// A public key of the genesis is not a key.
    pub fn new(genesis: &Genesis) -> Result<Self, consensus::StartError> {
        let first = verifier(genesis.network(), &Members::of_genesis(genesis))?;
        Ok(Self { network: *genesis.network(), epochs: RwLock::new(vec![first]) })
    }

    /// The engine's own form of a finality, from its certificate.
    #[must_use]
    pub fn floor(&self, finality: &Finality) -> Option<Finalization> {
        self.check(finality.certificate())
    }

    fn check(&self, certificate: &[u8]) -> Option<Finalization> {
        let epoch = Epoch(Finalization::epoch_of(certificate)?);
        self.with(epoch, |of| of.verify(certificate).ok()).flatten()
    }

    fn with<T>(&self, epoch: Epoch, ask: impl FnOnce(&consensus::Verifier) -> T) -> Option<T> {
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        epochs.get(usize::try_from(epoch.0).ok()?).map(ask)
    }
}

impl FinalityVerifier for Certificates {
    fn verify(&self, certificate: &[u8]) -> Option<Finality> {
        self.check(certificate).as_ref().map(finality)
    }

    fn leader(&self, epoch: Epoch, view: u64) -> ValidatorIndex {
        ValidatorIndex(self.with(epoch, |of| of.leader(view)).expect("the epoch is known"))
    }

    fn learn(&self, members: &Members) {
        let mut epochs = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        if members.epoch.0 == epochs.len() as u64 {
            // Each member of a set that was decided has shown a signature under its key, or was there before.
            epochs.push(verifier(&self.network, members).expect("members have keys"));
        }
    }
}

/// Checks what the validators of an epoch have signed.
///
/// # Errors
/// A public key of theirs is not a key.
pub fn verifier(network: &Digest, members: &Members) -> Result<consensus::Verifier, consensus::StartError> {
    consensus::Verifier::new(network.as_bytes(), members.epoch.0, &members.keys())
}
