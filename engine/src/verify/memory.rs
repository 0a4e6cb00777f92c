//! Batches that were found good lately.
//!
//! An author repeats a batch until a quorum has acknowledged it, and it does so most when everybody is busiest. Whoever
//! still has the evidence answers at the price of a hash.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::Verified;
use crate::types::Digest;
use crate::wire::Batch;

/// The first in are the first out. Shared by the verify threads.
#[derive(Debug)]
pub(super) struct Memory {
    bytes_max: usize,
    good: Mutex<Good>,
}

#[derive(Debug, Default)]
struct Good {
    bytes: usize,
    by_digest: BTreeMap<Digest, Verified<Batch>>,
    by_age: VecDeque<Digest>,
}

impl Memory {
    /// Remembers at most so many bytes of batches; 0 remembers none.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, good: Mutex::default() }
    }

    /// The evidence for a batch of this digest, if there still is any. The digest covers every byte of the batch, its
    /// signatures too.
    pub(super) fn recall(&self, digest: &Digest) -> Option<Verified<Batch>> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner).by_digest.get(digest).cloned()
    }

    /// Keeps the evidence and forgets the oldest that there is no more room for.
    pub(super) fn note(&self, batch: &Verified<Batch>) {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good.by_digest.insert(*batch.digest(), batch.clone()).is_some() {
            return;
        }
        good.bytes += batch.bytes().len();
        good.by_age.push_back(*batch.digest());
        while good.bytes > self.bytes_max
            && let Some(oldest) = good.by_age.pop_front()
        {
            let forgotten = good.by_digest.remove(&oldest);
            good.bytes -= forgotten.map_or(0, |batch| batch.bytes().len());
        }
    }
}
