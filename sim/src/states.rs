//! States that validators fetch from each other, where the blocks are not kept any more: serving them, keeping what
//! comes, and going on from it.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use engine::limits::STATE_CHUNK_BYTES;
use engine::order::FinalityVerifier;
use engine::replica::{
    Boot, Evidence, FetchedState, Input, KIND_BOOT, Recovered, ServedState, StateRead, To, chunk_frame,
};
use engine::store::simulated::SimulatedLog;
use engine::sync::StateWork;
use engine::types::{Digest, Genesis, Height, Support, ValidatorIndex};
use engine::wire::{PeerMessage, StateOffer};

use crate::checkpoints::{Files, of};
use crate::schedule::Loss;
use crate::world::{Event, World};

/// What is there of a state.
#[derive(Clone, Debug)]
pub(crate) enum Fetched {
    /// Chunks, as they come. A power cut takes them.
    Partial(StateOffer, BTreeMap<u32, Bytes>),
    /// The file, whole and durable.
    Complete(Vec<u8>),
}

/// What a host does with what is fetched, and what it tells the replica.
pub(crate) enum Kept {
    Nothing,
    Tell(Input),
    /// It is complete: the validator starts again, from there.
    GoOn(Height),
    /// What f+1 have named cannot be used.
    Unusable(Height, String),
}

impl Files {
    /// What there is for a peer.
    fn answer(&self, network: &Digest, read: StateRead) -> PeerMessage {
        let serve = |bytes: &Vec<u8>| ServedState::of(of(network), &mut Cursor::new(bytes)).ok();
        let found = |height| self.newest_first().into_iter().find(|(mark, _)| mark.height == height);
        match read {
            StateRead::States => {
                let files = self.newest_first();
                let states = files.iter().filter_map(|(_, bytes)| Some(serve(bytes)?.list.offer(network)));
                PeerMessage::States(states.collect())
            }
            StateRead::ChunkList(height) => {
                let served = found(height).and_then(|(_, bytes)| serve(&bytes));
                let (digests, evidence) =
                    served.map(|served| (served.list.digests, served.evidence)).unwrap_or_default();
                PeerMessage::ChunkList { height, digests, evidence: evidence.into() }
            }
            StateRead::Chunk(height, number) => {
                let chunk = found(height)
                    .and_then(|(_, bytes)| serve(&bytes)?.chunk(&mut Cursor::new(&bytes), number).ok());
                PeerMessage::Chunk { height, number, bytes: chunk.unwrap_or_default().into() }
            }
        }
    }

    /// How the newest checkpoint is named to peers.
    pub(crate) fn newest_offer(&self, network: &Digest) -> Option<StateOffer> {
        let (_, bytes) = self.newest_first().into_iter().next()?;
        let served = ServedState::of(of(network), &mut Cursor::new(&bytes)).ok()?;
        Some(served.list.offer(network))
    }

    /// Does what a replica wants done with what it fetches.
    fn fetch(
        &self,
        work: StateWork,
        network: (&Genesis, Support),
        certificates: &dyn FinalityVerifier,
    ) -> Kept {
        let mut directory = self.lock();
        match (work, &mut directory.fetched) {
            (StateWork::Begin(offer), fetched) => {
                *fetched = Some(Fetched::Partial(offer, BTreeMap::new()));
                Kept::Nothing
            }
            (StateWork::Write { height, number, bytes }, Some(Fetched::Partial(offer, chunks)))
                if offer.height == height =>
            {
                chunks.insert(number, bytes);
                Kept::Tell(Input::ChunkWritten(height, number))
            }
            (StateWork::Complete { offer, evidence }, Some(Fetched::Partial(begun, chunks)))
                if *begun == offer =>
            {
                let mut file: Vec<u8> =
                    chunks.iter().flat_map(|(number, bytes)| chunk_frame(*number, bytes)).collect();
                file.extend(FetchedState::tail(offer.chunks, &evidence));
                let read =
                    FetchedState::read(network.0.network(), &file[..]).map_err(|error| error.to_string());
                let state = match read {
                    Ok(state) => state,
                    Err(why) => return Kept::Unusable(offer.height, why),
                };
                match state.check(network, certificates) {
                    Ok(_) => {
                        directory.fetched = Some(Fetched::Complete(file));
                        Kept::GoOn(state.height())
                    }
                    Err(error) if error.is_of_evidence() => Kept::Tell(Input::EvidenceRefused(offer.height)),
                    Err(error) => Kept::Unusable(offer.height, error.to_string()),
                }
            }
            (StateWork::Write { height, .. }, _)
            | (StateWork::Complete { offer: StateOffer { height, .. }, .. }, _) => {
                Kept::Tell(Input::StateRefused(height))
            }
        }
    }

    /// The state that was fetched whole, if it is above what the journal has recovered. It is put into the journal, and
    /// what a start needs that goes on from there is among the files. `Ok(None)`: there is none, or it was cut short.
    pub(crate) fn adopt(
        &self,
        network: &Digest,
        recovered: &Recovered,
        journal: &SimulatedLog,
        dies: bool,
    ) -> Result<Option<Height>, String> {
        let fetched = match &self.lock().fetched {
            Some(Fetched::Complete(file)) => file.clone(),
            _ => return Ok(None),
        };
        let state = FetchedState::read(network, &fetched[..]).map_err(|error| error.to_string())?;
        let height = state.height();
        if height <= recovered.head.height {
            self.lock().fetched = None;
            return Ok(None);
        }
        let before = journal.append(KIND_BOOT, &[&Boot::nothing_new(recovered.boots).encode()]);
        before.map_err(|error| format!("the journal cannot be written: {error}"))?;
        journal.settle();
        let checkpoint = state
            .adopt(recovered, |kind, parts| journal.append(kind, parts))
            .map_err(|error| format!("a fetched state cannot be written down: {error}"))?;
        journal.settle();
        if let Some(error) = journal.failure() {
            return Err(error.to_string());
        }
        if !dies {
            self.begin_with(&checkpoint, network);
            self.lock().fetched = None;
        }
        Ok(Some(height))
    }
}

/// Makes the finalizations of an evidence those of nothing.
fn spoil(evidence: &mut Bytes) {
    if let Ok(mut spoilt) = Evidence::decode(evidence) {
        let all = spoilt.handovers.iter_mut().chain([&mut spoilt.last]);
        all.filter_map(|of| of.last_mut()).for_each(|byte| *byte ^= 1);
        *evidence = spoilt.encode().into();
    }
}

impl World {
    pub(crate) fn read_state(&mut self, node: usize, peer: ValidatorIndex, read: StateRead) {
        if let StateRead::ChunkList(height) | StateRead::Chunk(height, _) = read {
            self.nodes[node].disks.checkpoints.lock().held.note(height, self.now);
        }
        let network = self.environment.network();
        let mut answer = self.nodes[node].disks.checkpoints.answer(&network, read);
        if !self.is_honest(node) && !self.lie_about(&mut answer) {
            return;
        }
        self.send(node, &To::One(peer), &answer);
    }

    /// What a liar makes of an answer; false if it says nothing.
    fn lie_about(&mut self, answer: &mut PeerMessage) -> bool {
        let lie = self.chance.below(5);
        match (answer, lie) {
            (_, 0) => return false,
            (PeerMessage::States(offers), 1) => offers.iter_mut().for_each(|offer| offer.height.0 += 1_000),
            (PeerMessage::States(offers), 2) => offers.iter_mut().for_each(|offer| offer.digest.0[0] ^= 1),
            (PeerMessage::States(offers), 3) => offers.iter_mut().for_each(|offer| offer.chunks = u32::MAX),
            (PeerMessage::ChunkList { digests, .. }, 1) => digests.push(Digest::default()),
            (PeerMessage::ChunkList { evidence, .. }, 2) => *evidence = Bytes::from_static(b"none"),
            (PeerMessage::ChunkList { evidence, .. }, 3) => spoil(evidence),
            (PeerMessage::Chunk { bytes, .. }, 1) => *bytes = vec![7; STATE_CHUNK_BYTES / 64].into(),
            (PeerMessage::Chunk { number, .. }, 2) => *number += 1,
            _ => {}
        }
        true
    }

    pub(crate) fn state_work(&mut self, node: usize, work: StateWork) {
        let Some(running) = &self.nodes[node].running else { return };
        let files = self.nodes[node].disks.checkpoints.clone();
        let network = (&*self.environment.genesis, self.nodes[node].disks.release.support());
        match files.fetch(work, network, &*running.certificates) {
            Kept::Nothing => {}
            Kept::Tell(input) => self.feed(node, input),
            Kept::GoOn(height) => {
                self.say(node, format_args!("has fetched the state of height {height}, and starts again"));
                self.fetched += 1;
                self.goes_on_from_its_disks(node);
            }
            Kept::Unusable(height, why) => {
                if self.lacks_rules(node, &why) {
                    self.stop(node);
                } else if self.is_honest(node) {
                    let what = format!("states: v{node} cannot use the state of height {height}: {why}");
                    self.checks.violation(self.now, what);
                }
                self.feed(node, Input::StateRefused(height));
            }
        }
    }

    /// Its process ends, and another one begins with what is on its disks.
    pub(crate) fn goes_on_from_its_disks(&mut self, node: usize) {
        self.stop(node);
        if std::mem::take(&mut self.probed) {
            // It must show again that it serves clients.
            self.after(Duration::from_millis(100), Event::Submit);
        }
        let wait = self.chance.millis(5..300);
        self.after(wait, Event::Start(node, Loss::Nothing));
    }

    /// An honest validator has written a checkpoint: all have the same state at its height.
    pub(crate) fn check_state(&mut self, node: usize) {
        let network = self.environment.network();
        let Some(offer) = self.nodes[node].disks.checkpoints.newest_offer(&network) else { return };
        let known = *self.states.entry(offer.height).or_insert(offer);
        if known != offer && self.is_honest(node) {
            let what = format!("states: v{node} has another state at height {} than others", offer.height);
            self.checks.violation(self.now, what);
        }
    }
}
