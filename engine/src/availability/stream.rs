//! What is known of the batches of one (chain, author) that are not ordered yet.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Available, WINDOW};
use crate::types::{Digest, Sequence, ValidatorIndex};
use crate::verify::Verified;
use crate::wire::Batch;

/// One batch of a stream.
#[derive(Debug)]
pub(super) struct Entry {
    pub digest: Digest,
    pub body: Option<Verified<Batch>>,
    /// The body is in the journal, durably.
    pub durable: bool,
    /// Another digest stood here before, and may have our acknowledgement: this one never gets it.
    pub contested: bool,
    pub available: Option<Available<Batch>>,
    /// Acknowledgements of an own batch, until the certificate is made.
    pub acknowledged: BTreeMap<ValidatorIndex, [u8; 64]>,
    /// When an own batch or certificate was last sent to everybody.
    pub sent: Duration,
    pub fetch: Option<Fetch>,
}

/// A body that a finalized block needs.
#[derive(Debug)]
pub(super) struct Fetch {
    pub asked: usize,
    pub deadline: Duration,
}

impl Entry {
    pub fn new(digest: Digest, now: Duration) -> Self {
        Self {
            digest,
            body: None,
            durable: false,
            contested: false,
            available: None,
            acknowledged: BTreeMap::new(),
            sent: now,
            fetch: None,
        }
    }

    /// Puts the digest that a quorum holds in the place of another; returns that one.
    pub fn replace(&mut self, digest: Digest, now: Duration) -> Digest {
        std::mem::replace(self, Entry { contested: true, ..Entry::new(digest, now) }).digest
    }
}

/// The batches of one (chain, author) above what is ordered.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub ordered: Sequence,
    pub entries: BTreeMap<Sequence, Entry>,
}

impl Stream {
    /// Whether a sequence is one that this validator keeps anything about.
    pub fn accepts(&self, sequence: Sequence) -> bool {
        sequence > self.ordered && sequence.0 <= self.ordered.0 + WINDOW
    }

    /// Forgets everything up to `sequence`.
    pub fn order(&mut self, sequence: Sequence) {
        self.ordered = self.ordered.max(sequence);
        self.entries = self.entries.split_off(&self.ordered.next());
    }
}
