//! What is missing, and whom to ask for it next.
//!
//! Something is wanted as long as somebody says so again: what nobody has wanted for [`FORGET_AFTER`] is forgotten, so
//! this table is bounded by what the open questions and finalized blocks need. A digest that is wanted is accepted from
//! anybody; a peer that answers wrongly or not at all costs one [`RETRY_AFTER`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::types::{Digest, Head, Sequence, ValidatorIndex};

/// When a request that brought nothing is repeated, to more peers.
pub const RETRY_AFTER: Duration = Duration::from_millis(300);
/// When a request is repeated whose answer has come and is being checked.
const CHECKED_AFTER: Duration = Duration::from_millis(1_500);
/// When something that nobody wants any more is forgotten.
pub const FORGET_AFTER: Duration = Duration::from_secs(3);

/// Something to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A block.
    Block,
    /// The batches of a stream above a sequence that end with a head.
    Batches {
        /// Whose stream.
        author: ValidatorIndex,
        /// What is here already.
        above: Sequence,
        /// The last one; its digest is the name of the request.
        head: Head,
        /// Whether a finalized cut names it: such batches are taken however many they are.
        finalized: bool,
    },
}

/// What a request is known by. A liar can name the digest of a batch with another author or sequence than its own: that
/// is another request, so it keeps nobody from the true one.
type Name = (Digest, Option<(ValidatorIndex, Sequence)>);

impl Wanted {
    fn name(&self, digest: Digest) -> Name {
        match self {
            Self::Block => (digest, None),
            Self::Batches { author, head, .. } => (digest, Some((*author, head.sequence))),
        }
    }

    /// What was wanted for a vote may be wanted for a finalized block by now, and more of it.
    fn strengthen(&mut self, other: Self) {
        if let (
            Self::Batches { above, finalized, .. },
            Self::Batches { above: other_above, finalized: other_finalized, .. },
        ) = (self, other)
        {
            *above = (*above).min(other_above);
            *finalized |= other_finalized;
        }
    }
}

/// A request to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The peer that is asked.
    pub to: ValidatorIndex,
    /// The digest of the block, or of the last batch.
    pub digest: Digest,
    /// What it is the digest of.
    pub wanted: Wanted,
}

#[derive(Debug)]
struct Request {
    wanted: Wanted,
    /// Who probably has it, best first.
    holders: Vec<ValidatorIndex>,
    attempts: u32,
    /// How many were asked in all attempts.
    asked: usize,
    next: Duration,
    last_asked: Option<Duration>,
    last_wanted: Duration,
}

/// The requests of one validator.
#[derive(Debug, Default)]
pub struct Fetches {
    requests: BTreeMap<Name, Request>,
    /// No request is due before.
    next: Option<Duration>,
}

impl Fetches {
    /// Nothing is missing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that something is missing, who probably has it (best first), and how long to wait before the first request
    /// because it is probably on its way.
    pub fn want(
        &mut self,
        digest: Digest,
        wanted: Wanted,
        holders: impl FnOnce() -> Vec<ValidatorIndex>,
        patience: Duration,
        now: Duration,
    ) {
        let request = self.requests.entry(wanted.name(digest)).or_insert_with(|| Request {
            wanted,
            holders: holders(),
            attempts: 0,
            asked: 0,
            next: now + patience,
            last_asked: None,
            last_wanted: now,
        });
        request.wanted.strengthen(wanted);
        request.last_wanted = now;
        request.next = request.next.min(now + patience.max(RETRY_AFTER));
        self.next = Some(self.next.map_or(request.next, |next| next.min(request.next)));
    }

    /// What was asked for by this digest, or is about to be.
    #[must_use]
    pub fn wanted(&self, digest: &Digest) -> Option<Wanted> {
        self.named(digest).next().map(|(_, request)| request.wanted)
    }

    /// The request for the batches of an author that end with a head.
    #[must_use]
    pub fn wanted_batches(&self, author: ValidatorIndex, head: &Head) -> Option<Wanted> {
        self.requests.get(&(head.digest, Some((author, head.sequence)))).map(|request| request.wanted)
    }

    /// It is here.
    pub fn arrived(&mut self, digest: &Digest) {
        let names: Vec<Name> = self.named(digest).map(|(name, _)| *name).collect();
        for name in names {
            self.requests.remove(&name);
        }
    }

    fn named(&self, digest: &Digest) -> impl Iterator<Item = (&Name, &Request)> {
        let last = Some((ValidatorIndex(u16::MAX), Sequence(u64::MAX)));
        self.requests.range((*digest, None)..=(*digest, last))
    }

    /// How many things are wanted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// When [`Self::poll`] is to be called again; perhaps for nothing.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.next
    }

    /// The requests that are due: at first to one peer, then to two, four, eight and at last sixteen at a time, those
    /// that probably have it before the others of `connected`. What `is_coming` has come and is being checked. It may
    /// be wrong, so it is asked for again, of one peer at a time, but from the third time on later, however long checks
    /// take.
    pub fn poll(
        &mut self,
        connected: &[ValidatorIndex],
        is_coming: impl Fn(&Digest) -> bool,
        now: Duration,
    ) -> Vec<Ask> {
        self.requests.retain(|_, request| now < request.last_wanted + FORGET_AFTER);
        let mut due = Vec::new();
        for ((digest, _), request) in self.requests.iter_mut().filter(|(_, request)| now >= request.next) {
            let is_coming = is_coming(digest);
            if let Some(last) = request.last_asked
                && is_coming
                && request.attempts > 1
                && now < last + CHECKED_AFTER
            {
                request.next = last + CHECKED_AFTER;
                continue;
            }
            let mut candidates: Vec<ValidatorIndex> =
                request.holders.iter().copied().filter(|holder| connected.contains(holder)).collect();
            for peer in connected {
                if !candidates.contains(peer) {
                    candidates.push(*peer);
                }
            }
            // Each attempt goes on behind those that were asked before, so everybody is asked in the end.
            let count = if is_coming { 1 } else { 1_usize << request.attempts.min(4) }.min(candidates.len());
            let chosen = candidates.iter().cycle().skip(request.asked % candidates.len().max(1)).take(count);
            due.extend(chosen.map(|to| Ask { to: *to, digest: *digest, wanted: request.wanted }));
            request.asked += count;
            request.attempts += 1;
            request.next = now + RETRY_AFTER;
            request.last_asked = Some(now);
        }
        self.next = self.requests.values().map(|request| request.next).min();
        due
    }
}
