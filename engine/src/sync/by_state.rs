//! Catching up by state: a state machine without network, disk and clock.
//!
//! ```text
//!   FetchStates to all ──▶ States ── f+1 name the same one? ──▶ FetchChunkList ──▶ ChunkList: has it that digest?
//!                                                                                     │
//!          host: write ◀── has it its digest? ◀── Chunk ◀── FetchChunk, of several peers at once
//! ```
//!
//! Where nobody keeps the blocks any more that a validator needs, it fetches what all validators have at the height
//! of a checkpoint. One of f+1 that name the same digest is correct, so this is what the network had; each chunk is
//! checked by its own digest before it goes to the disk. Who sends another one is not asked again for a while, and
//! somebody else is asked.
//!
//! Invariants: no chunk goes to the disk twice in one fetch; at most [`CHUNKS_ON_THE_WAY`] are asked for and not on the
//! disk; a peer that names states that nobody else has moves nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use kernels::sha2::sha256_parts;
use thiserror::Error;

use crate::limits::STATE_CHUNKS_MAX;
use crate::replica::is_chunk;
use crate::types::{Digest, Height, ValidatorIndex};
use crate::wire::{PeerMessage, StateOffer};

/// How often peers are asked which checkpoints they keep, while none is fetched.
const OFFERS_EVERY: Duration = Duration::from_secs(5);
/// How long the answers of others are waited for when f+1 have named the same checkpoint: there may be a newer one.
const OFFERS_PATIENCE: Duration = Duration::from_secs(1);
/// How long a peer may take for a chunk before it is asked of another one.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(5);
/// The shortest time between two requests to one peer: who serves has other work, and gives nobody more than 64 MiB
/// in a second.
const CHUNK_INTERVAL: Duration = Duration::from_millis(20);
/// Chunks that one peer is asked for at a time.
const CHUNKS_PER_PEER: usize = 2;
/// Chunks that are asked for and not on the disk yet.
const CHUNKS_ON_THE_WAY: usize = 8;
/// How long a peer that sent something false is not asked.
const PAUSE: Duration = Duration::from_secs(60);
/// Without a new chunk for so long, another state is looked for.
const STALLED: Duration = Duration::from_secs(30);
/// How long a state that the host could not use is left alone, and any other one where the disk is to blame.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// The digests of the chunks of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkList {
    /// The height.
    pub height: Height,
    /// One for each chunk.
    pub digests: Vec<Digest>,
}

impl ChunkList {
    /// How a validator names the state to its peers.
    #[must_use]
    pub fn offer(&self, network: &Digest) -> StateOffer {
        let chunks = u32::try_from(self.digests.len()).unwrap_or(u32::MAX);
        let fixed =
            [&b"millrace/chunks/1"[..], &network.0, &self.height.0.to_le_bytes(), &chunks.to_le_bytes()];
        let parts: Vec<&[u8]> =
            fixed.into_iter().chain(self.digests.iter().map(|digest| &digest.0[..])).collect();
        StateOffer { height: self.height, chunks, digest: Digest(sha256_parts(&parts)) }
    }
}

/// A peer said something that no correct validator says: an offence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FalseState {
    /// The digests of the chunks do not have the digest that f+1 have named.
    #[error("its list of chunks of height {0} is another one than f+1 validators have named")]
    List(Height),
    /// The evidence beside the list does not hold.
    #[error("the finalizations beside its list of chunks of height {0} are not valid")]
    Evidence(Height),
    /// A chunk does not have its digest.
    #[error("chunk {0} of its state does not have its digest")]
    Chunk(u32),
}

/// What the host is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateWork {
    /// A fetch begins: what there is of another one is of no use any more.
    Begin(StateOffer),
    /// Write a chunk; the answer is [`StateSync::stored`].
    Write {
        /// Of the state of this height.
        height: Height,
        /// Which chunk.
        number: u32,
        /// Its bytes.
        bytes: Bytes,
    },
    /// All chunks are written: go on from this state. If it cannot be used, the answer is [`StateSync::refused`].
    Complete {
        /// The state.
        offer: StateOffer,
        /// Its [`Evidence`](crate::replica::Evidence), encoded: from its last finalization consensus begins. If it does
        /// not hold, the answer is [`StateSync::evidence_refused`].
        evidence: Bytes,
    },
}

impl StateWork {
    /// The height of the state that it is about.
    #[must_use]
    pub fn height(&self) -> Height {
        match self {
            Self::Begin(offer) | Self::Complete { offer, .. } => offer.height,
            Self::Write { height, .. } => *height,
        }
    }
}

#[derive(Debug, Default)]
struct Peer {
    connected: bool,
    /// It is to be asked which checkpoints it keeps, and has said so since it was asked last.
    to_ask: bool,
    answered: bool,
    offers: Vec<StateOffer>,
    /// It is not asked before.
    paused_until: Duration,
    asked_at: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Missing,
    Asked(ValidatorIndex, Duration),
    /// It is with the host.
    Writing,
    Written,
}

#[derive(Debug)]
struct Fetch {
    offer: StateOffer,
    list: Option<(Vec<Digest>, Bytes)>,
    /// Who has sent it.
    list_from: Option<ValidatorIndex>,
    /// Whom the list was asked of, and when another one is.
    list_asked: Option<(ValidatorIndex, Duration)>,
    chunks: Vec<Chunk>,
    written: u32,
    /// When the last chunk came.
    since: Duration,
    complete: bool,
}

impl Fetch {
    /// What is left to do, once all chunks are written and the list is here.
    fn completed(&mut self) -> Option<StateWork> {
        let (_, evidence) = self.list.as_ref().filter(|_| self.written == self.offer.chunks)?;
        self.complete = true;
        Some(StateWork::Complete { offer: self.offer, evidence: evidence.clone() })
    }
}

/// The catch-up by state of one validator.
#[derive(Debug)]
pub struct StateSync {
    network: Digest,
    faulty: usize,
    peers: BTreeMap<ValidatorIndex, Peer>,
    offers_asked: Option<Duration>,
    fetch: Option<Fetch>,
    /// States that could not be used, and until when.
    refused: BTreeMap<StateOffer, Duration>,
    turn: usize,
    /// When a peer may be asked for a chunk again, if that is what a missing one waits for.
    next_chunk: Option<Duration>,
}

impl StateSync {
    /// Nothing known of anybody, in a network of which `faulty` validators may lie.
    #[must_use]
    pub fn new(network: Digest, faulty: usize) -> Self {
        let (peers, refused) = (BTreeMap::new(), BTreeMap::new());
        let (offers_asked, fetch, next_chunk) = (None, None, None);
        Self { network, faulty, peers, offers_asked, fetch, refused, turn: 0, next_chunk }
    }

    /// A peer has connected.
    pub fn connected(&mut self, peer: ValidatorIndex) {
        let peer = self.peers.entry(peer).or_default();
        // What it has offered before counts until it says something else.
        (peer.connected, peer.to_ask, peer.asked_at) = (true, true, None);
    }

    /// A peer has gone: what it was asked is asked elsewhere.
    pub fn disconnected(&mut self, peer: ValidatorIndex) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.connected = false;
            self.let_go(peer);
        }
    }

    /// How far the fetch is: its height, chunks that are written, all chunks.
    #[must_use]
    pub fn progress(&self) -> Option<(Height, u32, u32)> {
        self.fetch.as_ref().map(|fetch| (fetch.offer.height, fetch.written, fetch.offer.chunks))
    }

    /// When [`Self::poll`] has something to ask, before anything else changes.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.next_chunk
    }

    /// Whom chunks of it are asked of.
    #[must_use]
    pub fn asked(&self) -> Vec<ValidatorIndex> {
        let of = |chunk: &Chunk| match chunk {
            Chunk::Asked(peer, _) => Some(*peer),
            Chunk::Missing | Chunk::Writing | Chunk::Written => None,
        };
        let chunks = self.fetch.iter().flat_map(|fetch| &fetch.chunks);
        chunks.filter_map(of).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Says what to ask of whom, given the height that is needed and that nobody keeps; without one, the fetch is given
    /// up. To be called at every tick and after every change.
    pub fn poll(
        &mut self,
        needed: Option<Height>,
        now: Duration,
    ) -> (Vec<(ValidatorIndex, PeerMessage)>, Option<StateWork>) {
        let (mut asked, mut work) = (Vec::new(), None);
        self.next_chunk = None;
        self.refused.retain(|_, until| now < *until);
        let Some(needed) = needed else {
            self.fetch = None;
            return (asked, work);
        };
        let useless = |fetch: &Fetch| fetch.offer.height < needed || now > fetch.since + STALLED;
        self.fetch.take_if(|fetch| !fetch.complete && useless(fetch));
        // One that is away for a moment may still have it.
        let peers = &self.peers;
        let may_be_had = |offer: &StateOffer| {
            peers.values().any(|peer| now >= peer.paused_until && peer.offers.contains(offer))
        };
        self.fetch.take_if(|fetch| !fetch.complete && !may_be_had(&fetch.offer));
        if self.fetch.is_none() && self.offers_asked.is_none_or(|at| now >= at + OFFERS_EVERY) {
            self.offers_asked = Some(now);
            self.peers.values_mut().for_each(|peer| peer.to_ask = true);
        }
        for (index, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.connected && peer.to_ask) {
            (peer.to_ask, peer.answered) = (false, false);
            asked.push((*index, PeerMessage::FetchStates));
        }
        if self.fetch.is_none() {
            let Some(offer) = self.choose(needed, now) else { return (asked, work) };
            let chunks = vec![Chunk::Missing; offer.chunks as usize];
            let (list, list_from, list_asked, complete) = (None, None, None, false);
            self.fetch =
                Some(Fetch { offer, list, list_from, list_asked, chunks, written: 0, since: now, complete });
            work = Some(StateWork::Begin(offer));
        }
        asked.extend(self.ask_list(now));
        asked.extend(self.ask_chunks(now));
        (asked, work)
    }

    /// The highest state that f+1 name alike.
    fn choose(&self, needed: Height, now: Duration) -> Option<StateOffer> {
        let able = || self.peers.values().filter(|peer| peer.connected && now >= peer.paused_until);
        let waited = self.offers_asked.is_some_and(|at| now >= at + OFFERS_PATIENCE);
        if !waited && !able().all(|peer| peer.answered) {
            return None;
        }
        let mut named: BTreeMap<StateOffer, usize> = BTreeMap::new();
        for peer in able() {
            let different: BTreeSet<&StateOffer> = peer.offers.iter().collect();
            different.into_iter().for_each(|offer| *named.entry(*offer).or_default() += 1);
        }
        let usable = |offer: &StateOffer| {
            offer.height >= needed
                && (1..=STATE_CHUNKS_MAX).contains(&(offer.chunks as usize))
                && !self.refused.contains_key(offer)
        };
        named
            .into_iter()
            .rev()
            .find(|(offer, count)| *count > self.faulty && usable(offer))
            .map(|(offer, _)| offer)
    }

    /// Who has a state and may be asked now or later.
    fn sources(&self, offer: &StateOffer, now: Duration) -> Vec<ValidatorIndex> {
        let has = |peer: &Peer| peer.connected && now >= peer.paused_until && peer.offers.contains(offer);
        self.peers.iter().filter(|(_, peer)| has(peer)).map(|(index, _)| *index).collect()
    }

    fn ask_list(&mut self, now: Duration) -> Option<(ValidatorIndex, PeerMessage)> {
        let fetch = self.fetch.as_ref()?;
        if fetch.list.is_some() || fetch.list_asked.is_some_and(|(_, until)| now < until) {
            return None;
        }
        let sources = self.sources(&fetch.offer, now);
        self.turn = self.turn.wrapping_add(1);
        let peer = *sources.get(self.turn % sources.len().max(1))?;
        let fetch = self.fetch.as_mut()?;
        fetch.list_asked = Some((peer, now + CHUNK_TIMEOUT));
        Some((peer, PeerMessage::FetchChunkList { height: fetch.offer.height }))
    }

    fn ask_chunks(&mut self, now: Duration) -> Vec<(ValidatorIndex, PeerMessage)> {
        let mut asked = Vec::new();
        let Some(offer) = self.fetch.as_ref().filter(|fetch| fetch.list.is_some()).map(|fetch| fetch.offer)
        else {
            return asked;
        };
        let mut sources = self.sources(&offer, now);
        let Some(fetch) = &mut self.fetch else { return asked };
        let mut busy: BTreeMap<ValidatorIndex, usize> = BTreeMap::new();
        let mut on_the_way = 0;
        for chunk in &mut fetch.chunks {
            match chunk {
                Chunk::Asked(peer, until) if now >= *until => {
                    // It is slow, or its answer was lost: others go before it for a while.
                    if let Some(slow) = self.peers.get_mut(peer) {
                        slow.asked_at = Some(now + CHUNK_TIMEOUT);
                    }
                    *chunk = Chunk::Missing;
                }
                Chunk::Asked(peer, _) => {
                    *busy.entry(*peer).or_default() += 1;
                    on_the_way += 1;
                }
                Chunk::Writing => on_the_way += 1,
                Chunk::Missing | Chunk::Written => {}
            }
        }
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn % sources.len().max(1);
        sources.rotate_left(first);
        let mut missing =
            (0..).zip(&mut fetch.chunks).filter(|(_, chunk)| **chunk == Chunk::Missing).peekable();
        for source in sources {
            let Some(peer) = self.peers.get_mut(&source) else { continue };
            let at_work = busy.get(&source).copied().unwrap_or(0);
            if at_work >= CHUNKS_PER_PEER {
                continue;
            }
            if on_the_way >= CHUNKS_ON_THE_WAY || missing.peek().is_none() {
                break;
            }
            let mut rested_at = peer.asked_at.map_or(now, |at| at + CHUNK_INTERVAL);
            if now >= rested_at
                && let Some((number, chunk)) = missing.next()
            {
                *chunk = Chunk::Asked(source, now + CHUNK_TIMEOUT);
                peer.asked_at = Some(now);
                on_the_way += 1;
                asked.push((source, PeerMessage::FetchChunk { height: offer.height, number }));
                rested_at = now + CHUNK_INTERVAL;
                if at_work + 1 >= CHUNKS_PER_PEER {
                    continue;
                }
            }
            self.next_chunk = Some(self.next_chunk.map_or(rested_at, |at| at.min(rested_at)));
        }
        if missing.peek().is_none() || on_the_way >= CHUNKS_ON_THE_WAY {
            self.next_chunk = None;
        }
        asked
    }

    /// A peer says which checkpoints it keeps.
    pub fn offers(&mut self, from: ValidatorIndex, offers: Vec<StateOffer>) {
        if let Some(peer) = self.peers.get_mut(&from) {
            (peer.offers, peer.answered) = (offers, true);
        }
    }

    /// A list of chunks has come, with the evidence for its state. Whether that holds, as far as it can be seen from
    /// here, is asked only of a list that was wanted.
    ///
    /// # Errors
    /// [`FalseState`]: the peer is not asked for a while.
    pub fn chunk_list(
        &mut self,
        from: ValidatorIndex,
        (list, evidence): (ChunkList, Bytes),
        holds: impl FnOnce(&Bytes) -> bool,
        now: Duration,
    ) -> Result<Option<StateWork>, FalseState> {
        let Some(fetch) = &mut self.fetch else { return Ok(None) };
        let asked = fetch.list_asked.take_if(|(peer, _)| *peer == from && fetch.list.is_none());
        if asked.is_none() || list.height != fetch.offer.height {
            return Ok(None);
        }
        let height = list.height;
        // One without a finalization helps nobody to begin.
        if list.digests.is_empty() || evidence.is_empty() {
            self.has_it_no_more(from, height);
            return Ok(None);
        }
        if list.offer(&self.network) != fetch.offer {
            self.pause(from, now);
            return Err(FalseState::List(height));
        }
        if !holds(&evidence) {
            self.pause(from, now);
            return Err(FalseState::Evidence(height));
        }
        (fetch.list, fetch.list_from, fetch.since) = (Some((list.digests, evidence)), Some(from), now);
        Ok(fetch.completed())
    }

    /// A chunk has come. It goes to the host if it is the right one and still missing.
    ///
    /// # Errors
    /// [`FalseState`]: the peer is not asked for a while.
    pub fn chunk(
        &mut self,
        from: ValidatorIndex,
        (height, number): (Height, u32),
        bytes: Bytes,
        now: Duration,
    ) -> Result<Option<StateWork>, FalseState> {
        let Some(fetch) = &mut self.fetch else { return Ok(None) };
        let Some((digests, _)) = fetch.list.as_ref().filter(|_| fetch.offer.height == height) else {
            return Ok(None);
        };
        let writing = fetch.chunks.iter().filter(|chunk| **chunk == Chunk::Writing).count();
        let place = number as usize;
        let (Some(chunk), Some(digest)) = (fetch.chunks.get_mut(place), digests.get(place)) else {
            return Ok(None);
        };
        // One that comes after its time is still good, as far as the disk keeps up.
        let is_wanted = match chunk {
            Chunk::Asked(..) => true,
            Chunk::Missing => writing < CHUNKS_ON_THE_WAY,
            Chunk::Writing | Chunk::Written => false,
        };
        if !is_wanted {
            return Ok(None);
        }
        if bytes.is_empty() {
            self.has_it_no_more(from, height);
            return Ok(None);
        }
        if !is_chunk(number, &bytes, digest) {
            self.pause(from, now);
            return Err(FalseState::Chunk(number));
        }
        *chunk = Chunk::Writing;
        fetch.since = now;
        Ok(Some(StateWork::Write { height, number, bytes }))
    }

    /// The host has written a chunk.
    pub fn stored(&mut self, height: Height, number: u32) -> Option<StateWork> {
        let fetch = self.fetch.as_mut().filter(|fetch| fetch.offer.height == height)?;
        let chunk = fetch.chunks.get_mut(number as usize).filter(|chunk| **chunk == Chunk::Writing)?;
        *chunk = Chunk::Written;
        fetch.written += 1;
        fetch.completed()
    }

    /// The evidence beside a state that is written does not hold. Who has sent it is named and not asked for a while;
    /// another one is asked for the evidence alone.
    pub fn evidence_refused(&mut self, height: Height, now: Duration) -> Option<ValidatorIndex> {
        let fetch = self.fetch.as_mut().filter(|fetch| fetch.offer.height == height && fetch.complete)?;
        (fetch.list, fetch.complete, fetch.since) = (None, false, now);
        let liar = fetch.list_from.take()?;
        self.pause(liar, now);
        Some(liar)
    }

    /// The host could not write or use the state.
    pub fn refused(&mut self, height: Height, now: Duration) {
        if let Some(fetch) = self.fetch.take_if(|fetch| fetch.offer.height == height) {
            self.refused.insert(fetch.offer, now + REFUSED_FOR);
        }
    }

    /// A peer does not keep a checkpoint any more.
    fn has_it_no_more(&mut self, peer: ValidatorIndex, height: Height) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.offers.retain(|offer| offer.height != height);
        }
        self.let_go(peer);
    }

    fn pause(&mut self, peer: ValidatorIndex, now: Duration) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.paused_until = now + PAUSE;
        }
        self.let_go(peer);
    }

    /// What a peer was asked is asked elsewhere.
    fn let_go(&mut self, peer: ValidatorIndex) {
        let Some(fetch) = &mut self.fetch else { return };
        fetch.list_asked.take_if(|(asked, _)| *asked == peer);
        for chunk in &mut fetch.chunks {
            if matches!(chunk, Chunk::Asked(asked, _) if *asked == peer) {
                *chunk = Chunk::Missing;
            }
        }
    }
}

#[cfg(test)]
mod tests;
