//! Consensus, wired: its questions become events of the core, its messages frames, its memory a log of its own.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use consensus::{
    Application, Channel, Fault, Finalization, Payload, ProposalContext, Recipients, Reply, StopReason,
    SyncDone,
};
use crossbeam::channel::Sender;
use engine::order::{Finality, FinalityVerifier};
use engine::store::{Log, Position, StoreError};
use engine::types::{Digest, Genesis};
use net::PeerNetwork;

use super::events::{CoreEvent, proposal};
use super::fatal::fatal;

/// Kind of the records of consensus in its own log.
const KIND_CONSENSUS: u8 = 1;

/// Hands every call of consensus to the core.
pub struct ToCore {
    core: Sender<CoreEvent>,
}

impl ToCore {
    /// Calls become events of `core`.
    #[must_use]
    pub fn new(core: Sender<CoreEvent>) -> Self {
        Self { core }
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
        self.tell(CoreEvent::Judge(proposal(&context), Digest(payload), reply));
    }

    fn relay(&self, _view: u64, payload: Payload) {
        self.tell(CoreEvent::Relay(Digest(payload)));
    }

    fn finalized(&self, finalization: Finalization) {
        self.tell(CoreEvent::Finalized(finalization));
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

/// Carries the engine's messages over the channels of the peers' network that have the same numbers.
pub struct OverQuic(pub PeerNetwork);

impl consensus::Transport for OverQuic {
    /// A message that cannot be sent now is dropped and counted by the network; consensus repeats what matters.
    fn send(&self, to: Recipients, channel: Channel, message: Bytes) {
        let number = channel as usize;
        let one = |peer: u16| {
            let _counted = self.0.send(peer, number, message.clone());
        };
        match to {
            Recipients::All => {
                self.0.broadcast(number, &message);
            }
            Recipients::One(peer) => one(peer),
            Recipients::Some(peers) => peers.into_iter().for_each(one),
        }
    }
}

/// The memory of consensus: a log of its own, so that votes never wait behind batches.
pub struct VoteLog(Arc<Log>);

impl VoteLog {
    /// Opens the log in `directory` and reads what an earlier run has left.
    ///
    /// # Errors
    /// [`StoreError`]: the directory is in use, belongs to another network, or is damaged.
    pub fn open(
        directory: &Path,
        options: engine::store::Options,
    ) -> Result<(Arc<Self>, consensus::Replay, Arc<Log>), StoreError> {
        let (log, records) = Log::open(directory, options)?;
        let log = Arc::new(log);
        let mut replay = consensus::Replay::new();
        for record in records {
            let record = record?;
            replay.record(record.position.raw(), &record.bytes);
        }
        Ok((Arc::new(Self(log.clone())), replay, log))
    }
}

impl consensus::Store for VoteLog {
    fn append(&self, record: &[u8]) -> io::Result<u64> {
        self.0.append(KIND_CONSENSUS, &[record]).map(Position::raw).map_err(io::Error::other)
    }

    fn sync(&self, position: u64, done: SyncDone) {
        let done = Box::new(move |outcome: Result<_, StoreError>| {
            done(outcome.map(|_| ()).map_err(io::Error::other))
        });
        self.0.on_durable(Position::from_raw(position), done);
    }

    fn release(&self, before: u64) {
        self.0.release(Position::from_raw(before));
    }
}

/// Checks finalization certificates for the ledger.
#[derive(Debug)]
pub struct Certificates(consensus::Verifier);

impl Certificates {
    /// For the network of `genesis`.
    ///
    /// # Errors
    /// A public key of the genesis is not one.
    pub fn new(genesis: &Genesis) -> Result<Self, consensus::StartError> {
        consensus::Verifier::new(genesis.network().as_bytes(), &public_keys(genesis)).map(Self)
    }
}

impl FinalityVerifier for Certificates {
    fn verify(&self, certificate: &[u8]) -> Option<Finality> {
        let finalized = self.0.verify(certificate).ok()?;
        Some(Finality { view: finalized.view, digest: Digest(finalized.payload) })
    }
}

/// The validators' public keys, by index.
#[must_use]
pub fn public_keys(genesis: &Genesis) -> Vec<[u8; 32]> {
    genesis.validators().iter().map(|validator| validator.public_key).collect()
}
