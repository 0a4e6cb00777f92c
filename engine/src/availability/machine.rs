//! The state machine.

mod evidence;

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use super::stream::{Entry, Fetch, Stream};
use super::{Available, Committee, FETCH_TIMEOUT, OWN_UNORDERED_MAX, RESEND_AFTER};
use crate::types::{BatchId, ChainId, Digest, Sequence, ValidatorIndex};
use crate::verify::Verified;
use crate::wire::{Acknowledgement, Batch, Certificate, PeerMessage};

/// What happens to a validator's availability.
#[derive(Debug)]
pub enum Event {
    /// This validator has sealed a batch under [`Availability::next_own`].
    Sealed(Verified<Batch>),
    /// A batch has arrived, from its author or from a peer that was asked, and every signature in it is good.
    Received(ValidatorIndex, Verified<Batch>),
    /// The journal holds a batch durably.
    Durable(BatchId, Digest),
    /// Peers acknowledge batches of ours. All signatures of an event are checked in one round, which is cheaper.
    Acknowledged(Vec<(ValidatorIndex, Acknowledgement)>),
    /// Peers show certificates. All signatures of an event are checked in one round, which is cheaper.
    Certified(Vec<(ValidatorIndex, Certificate)>),
    /// A finalized block orders this batch, and its body is not here.
    Needed(Certificate),
    /// A finalized block with this batch has gone to execution: nothing about it is needed any more.
    Ordered(BatchId),
    /// A peer has connected: what it may have missed is sent again.
    Connected(ValidatorIndex),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Append the batch to the journal; `Durable` follows.
    Store(Verified<Batch>),
    /// Send to one peer.
    Send(ValidatorIndex, PeerMessage),
    /// Send to all peers.
    Broadcast(PeerMessage),
    /// A certificate is there: a leader may order the batch.
    Available(BatchId),
    /// The body of a needed batch has arrived.
    Arrived(BatchId),
    /// An event was refused.
    Refused(Refused),
}

/// Why an event was refused. None of these can come from a correct peer over a working network but `OutsideWindow` and
/// `NotAsked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// No such validator or chain.
    #[error("the batch {0} belongs to no stream of this network")]
    UnknownStream(BatchId),
    /// Below what is ordered, or too far above it.
    #[error("the batch {0} is outside the window of its stream")]
    OutsideWindow(BatchId),
    /// Another validator's batch that was not asked for, or another one than was asked for.
    #[error("validator {1} sent the batch {0} of another validator, which was not asked of it")]
    NotAsked(BatchId, ValidatorIndex),
    /// Two batches under one sequence number: the author contradicts itself.
    #[error("two batches are signed for as {batch}: {first} and {second}")]
    Equivocation {
        /// The batch.
        batch: BatchId,
        /// The digest known first.
        first: Digest,
        /// The other digest.
        second: Digest,
    },
    /// An acknowledgement in another validator's name, of another batch, or with a bad signature.
    #[error("the acknowledgement of {0} by validator {1} is not valid")]
    Acknowledgement(BatchId, ValidatorIndex),
    /// A certificate without a quorum of good signatures.
    #[error("the certificate of {0} from validator {1} is not valid")]
    Certificate(BatchId, ValidatorIndex),
}

/// The availability of all batches, at one validator.
#[derive(Debug)]
pub struct Availability {
    committee: Committee,
    chains: Vec<ChainId>,
    streams: BTreeMap<(ChainId, ValidatorIndex), Stream>,
    own_next: BTreeMap<ChainId, Sequence>,
}

impl Availability {
    /// Nothing received and nothing sealed yet.
    #[must_use]
    pub fn new(committee: Committee, chains: Vec<ChainId>) -> Self {
        let own_next = chains.iter().map(|chain| (*chain, Sequence(1))).collect();
        Self { committee, chains, streams: BTreeMap::new(), own_next }
    }

    /// Brings back a batch that the journal holds, after a restart and before any event. What is ordered already is told
    /// by [`Event::Ordered`], before or after.
    pub fn restore(&mut self, batch: Verified<Batch>) {
        let (id, digest) = (batch.id(), *batch.digest());
        self.note_own(id);
        let stream = self.streams.entry((id.chain, id.author)).or_default();
        if id.sequence > stream.ordered {
            let entry =
                stream.entries.entry(id.sequence).or_insert_with(|| Entry::new(digest, Duration::ZERO));
            // The journal may hold two digests of one author's sequence: the one that was acknowledged, and later the one
            // that the quorum ordered. The first is our word; the other is fetched again if it is still needed.
            if entry.digest == digest {
                entry.body = Some(batch);
                entry.durable = true;
            }
        }
    }

    fn note_own(&mut self, id: BatchId) {
        if id.author == self.committee.me()
            && let Some(next) = self.own_next.get_mut(&id.chain)
        {
            *next = (*next).max(id.sequence.next());
        }
    }

    /// The name that the next own batch on a chain must have.
    #[must_use]
    pub fn next_own(&self, chain: ChainId) -> BatchId {
        let sequence = self.own_next.get(&chain).copied().expect("a chain of the genesis");
        BatchId { chain, author: self.committee.me(), sequence }
    }

    /// Whether this validator may seal another batch on a chain, or must first see its earlier ones ordered.
    #[must_use]
    pub fn may_seal(&self, chain: ChainId) -> bool {
        let own = self.streams.get(&(chain, self.committee.me()));
        own.is_none_or(|stream| stream.entries.len() < OWN_UNORDERED_MAX)
    }

    /// The evidence for a batch that is available and not ordered yet.
    #[must_use]
    pub fn available(&self, batch: &BatchId) -> Option<&Available<Batch>> {
        self.entry(batch)?.available.as_ref()
    }

    /// The body of a batch that is not ordered yet.
    #[must_use]
    pub fn body(&self, batch: &BatchId, digest: &Digest) -> Option<&Verified<Batch>> {
        self.entry(batch).filter(|entry| entry.digest == *digest)?.body.as_ref()
    }

    /// Whether a certificate is valid. One that was seen before is not checked again, and this one is remembered while its
    /// stream keeps anything about the batch.
    pub fn check(&mut self, certificate: &Certificate) -> bool {
        let batch = certificate.batch();
        if !self.is_stream(&batch) {
            return false;
        }
        let known = self.entry(&batch).and_then(|entry| entry.available.as_ref());
        if known.is_some_and(|known| known.certificate() == certificate) {
            return true;
        }
        let Some(available) = self.committee.certify_one(certificate.clone()) else { return false };
        if let Ok(stream) = self.stream(&batch) {
            let digest = *certificate.digest();
            let entry =
                stream.entries.entry(batch.sequence).or_insert_with(|| Entry::new(digest, Duration::ZERO));
            if entry.digest == digest && entry.available.is_none() && entry.acknowledged.is_empty() {
                entry.available = Some(available);
            }
        }
        true
    }

    /// Takes one event and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Duration) -> Vec<Output> {
        let mut out = Vec::new();
        let refused = match event {
            Event::Sealed(batch) => self.sealed(batch, now, &mut out),
            Event::Received(from, batch) => self.received(from, batch, now, &mut out),
            Event::Durable(batch, digest) => self.durable(batch, digest, now, &mut out),
            Event::Acknowledged(shown) => self.acknowledged(shown, now, &mut out),
            Event::Certified(shown) => self.certified(shown, now, &mut out),
            Event::Needed(certificate) => self.needed(certificate, now, &mut out),
            Event::Ordered(batch) => self.ordered(batch),
            Event::Connected(peer) => self.connected(peer, &mut out),
            Event::Tick => self.tick(now, &mut out),
        };
        if let Err(refused) = refused {
            out.push(Output::Refused(refused));
        }
        out
    }

    fn entry(&self, batch: &BatchId) -> Option<&Entry> {
        self.streams.get(&(batch.chain, batch.author))?.entries.get(&batch.sequence)
    }

    fn is_stream(&self, batch: &BatchId) -> bool {
        self.committee.contains(batch.author) && self.chains.contains(&batch.chain)
    }

    fn stream(&mut self, batch: &BatchId) -> Result<&mut Stream, Refused> {
        if !self.is_stream(batch) {
            return Err(Refused::UnknownStream(*batch));
        }
        let stream = self.streams.entry((batch.chain, batch.author)).or_default();
        if stream.accepts(batch.sequence) || stream.entries.contains_key(&batch.sequence) {
            Ok(stream)
        } else {
            Err(Refused::OutsideWindow(*batch))
        }
    }

    fn sealed(
        &mut self,
        batch: Verified<Batch>,
        now: Duration,
        out: &mut Vec<Output>,
    ) -> Result<(), Refused> {
        let id = batch.id();
        assert_eq!(id, self.next_own(id.chain), "own batches are sealed under consecutive sequences");
        self.note_own(id);
        let mut entry = Entry::new(*batch.digest(), now);
        entry.body = Some(batch.clone());
        self.stream(&id)?.entries.insert(id.sequence, entry);
        // Peers see it when it is durable: were it lost in a crash after they had acknowledged it, its sequence would be
        // sealed again with another content, which they must refuse, and the stream would be stuck for ever.
        out.push(Output::Store(batch));
        Ok(())
    }

    fn received(
        &mut self,
        from: ValidatorIndex,
        batch: Verified<Batch>,
        now: Duration,
        out: &mut Vec<Output>,
    ) -> Result<(), Refused> {
        let (id, digest) = (batch.id(), *batch.digest());
        let stream = self.stream(&id)?;
        let asked = stream.entries.get(&id.sequence).is_some_and(|entry| entry.fetch.is_some());
        if from != id.author && !asked {
            return Err(Refused::NotAsked(id, from));
        }
        let entry = stream.entries.entry(id.sequence).or_insert_with(|| Entry::new(digest, now));
        if entry.digest != digest {
            // Only what comes from the author speaks against the author.
            return Err(match from == id.author {
                true => Refused::Equivocation { batch: id, first: entry.digest, second: digest },
                false => Refused::NotAsked(id, from),
            });
        }
        if entry.durable {
            // The author has not heard our acknowledgement.
            if from == id.author && !entry.contested {
                out.push(self.acknowledgement(id, digest));
            }
            return Ok(());
        }
        if entry.body.is_some() {
            return Ok(());
        }
        entry.body = Some(batch.clone());
        let needed = entry.fetch.take().is_some();
        // Before anything is done with it: the journal holds a batch ahead of the block that orders it.
        out.push(Output::Store(batch));
        if needed {
            out.push(Output::Arrived(id));
        }
        Ok(())
    }

    fn acknowledgement(&self, batch: BatchId, digest: Digest) -> Output {
        Output::Send(batch.author, PeerMessage::Acknowledgement(self.committee.acknowledge(batch, digest)))
    }

    fn durable(
        &mut self,
        batch: BatchId,
        digest: Digest,
        now: Duration,
        out: &mut Vec<Output>,
    ) -> Result<(), Refused> {
        let me = self.committee.me();
        let Ok(stream) = self.stream(&batch) else { return Ok(()) };
        let Some(entry) = stream.entries.get_mut(&batch.sequence).filter(|entry| entry.digest == digest)
        else {
            return Ok(());
        };
        if std::mem::replace(&mut entry.durable, true) || entry.contested {
            return Ok(());
        }
        if batch.author == me {
            entry.sent = now;
            let bytes = entry.body.as_ref().expect("an own batch has its body").bytes().clone();
            out.push(Output::Broadcast(PeerMessage::Batch(bytes)));
            let own = self.committee.acknowledge(batch, digest);
            return self.count(&own, now, out);
        }
        out.push(self.acknowledgement(batch, digest));
        Ok(())
    }

    fn needed(
        &mut self,
        certificate: Certificate,
        now: Duration,
        out: &mut Vec<Output>,
    ) -> Result<(), Refused> {
        let (id, digest) = (certificate.batch(), *certificate.digest());
        let me = self.committee.me();
        let entries = &mut self.streams.entry((id.chain, id.author)).or_default().entries;
        let entry = entries.entry(id.sequence).or_insert_with(|| Entry::new(digest, now));
        if entry.digest != digest {
            entry.replace(digest, now);
        }
        if entry.body.is_some() || entry.fetch.is_some() {
            return Ok(());
        }
        if entry.available.is_none() {
            entry.available = self.committee.certify_one(certificate);
        }
        entry.fetch = Some(Fetch { asked: usize::from(me.0), deadline: Duration::ZERO });
        ask(id, entry, me, now, out);
        Ok(())
    }

    fn ordered(&mut self, batch: BatchId) -> Result<(), Refused> {
        self.streams.entry((batch.chain, batch.author)).or_default().order(batch.sequence);
        self.note_own(batch);
        Ok(())
    }

    fn connected(&mut self, peer: ValidatorIndex, out: &mut Vec<Output>) -> Result<(), Refused> {
        let me = self.committee.me();
        for entry in self.own_entries(me).map(|(_, entry)| entry) {
            out.extend(again(entry).map(|message| Output::Send(peer, message)));
        }
        Ok(())
    }

    fn own_entries(&mut self, me: ValidatorIndex) -> impl Iterator<Item = (BatchId, &mut Entry)> {
        let own = self.streams.iter_mut().filter(move |((_, author), _)| *author == me);
        own.flat_map(|(&(chain, author), stream)| {
            let entries = stream.entries.iter_mut();
            entries.map(move |(&sequence, entry)| (BatchId { chain, author, sequence }, entry))
        })
    }

    fn tick(&mut self, now: Duration, out: &mut Vec<Output>) -> Result<(), Refused> {
        let me = self.committee.me();
        // What was brought back from the journal has our word too.
        let restored: Vec<_> = self
            .own_entries(me)
            .filter(|(_, entry)| {
                entry.durable && entry.available.is_none() && !entry.acknowledged.contains_key(&me)
            })
            .map(|(batch, entry)| (batch, entry.digest))
            .collect();
        for (batch, digest) in restored {
            let own = self.committee.acknowledge(batch, digest);
            self.count(&own, now, out)?;
        }
        let peers: Vec<_> = self.committee.peers().collect();
        for (_, entry) in self.own_entries(me).filter(|(_, entry)| now >= entry.sent + RESEND_AFTER) {
            entry.sent = now;
            let silent = peers.iter().filter(|peer| !entry.acknowledged.contains_key(peer));
            out.extend(silent.flat_map(|peer| again(entry).map(|message| Output::Send(*peer, message))));
        }
        for (&(chain, author), stream) in &mut self.streams {
            for (&sequence, entry) in &mut stream.entries {
                ask(BatchId { chain, author, sequence }, entry, me, now, out);
            }
        }
        Ok(())
    }
}

/// What a peer that may have missed it is to be told of an own batch: the certificate, else the batch.
fn again(entry: &Entry) -> Option<PeerMessage> {
    match (&entry.available, &entry.body) {
        (Some(available), _) => Some(PeerMessage::Certificate(available.certificate().clone())),
        // Not before it is durable, see `sealed`.
        (None, body) if entry.durable => body.as_ref().map(|body| PeerMessage::Batch(body.bytes().clone())),
        (None, _) => None,
    }
}

/// Asks the next signer for a body that is needed, if the last one had its time.
fn ask(batch: BatchId, entry: &mut Entry, me: ValidatorIndex, now: Duration, out: &mut Vec<Output>) {
    let (Some(fetch), Some(available)) = (&mut entry.fetch, &entry.available) else { return };
    if now < fetch.deadline {
        return;
    }
    let others: Vec<_> = available
        .certificate()
        .signers()
        .iter()
        .map(|(signer, _)| *signer)
        .filter(|signer| *signer != me)
        .collect();
    let Some(signer) = others.get(fetch.asked % others.len().max(1)) else { return };
    fetch.asked += 1;
    fetch.deadline = now + FETCH_TIMEOUT;
    out.push(Output::Send(*signer, PeerMessage::FetchBatch { batch, digest: entry.digest }));
}
