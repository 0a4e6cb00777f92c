//! In which block a transaction probably is: a table of fixed size that is only ever a hint.
//!
//! Looking a transaction up by its id without an index means searching the journal. This table remembers the heights of
//! the last ids in 16 MiB: eight places for each of 2^18 kinds of id, one line of the cache, in which the oldest makes
//! room. So almost all of the last half million are there, and half of the last two million. An entry is 40 bits of the
//! id and 24 bits of the height; its user looks into the block and, where the hint was wrong or overwritten, searches
//! the last blocks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::execute::{PREFETCH_AHEAD, prefetch};
use crate::roots::TransactionTree;
use crate::types::{Height, TransactionId};

const BUCKETS: usize = 1 << 18;
const WAYS: usize = 8;
const HEIGHT_BITS: u32 = 24;
const HEIGHT_MASK: u64 = (1 << HEIGHT_BITS) - 1;

/// The places of one kind of id; 0 where there is no entry.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket([AtomicU64; WAYS]);

/// The table. Written by the executor, read by queries; a torn pair of entries is impossible since an entry is one
/// word.
#[derive(Debug)]
pub struct Hints {
    buckets: Box<[Bucket]>,
}

impl Default for Hints {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Bucket::default()).collect() }
    }
}

impl Hints {
    /// The table of a checkpoint; an empty one where it has none of this size.
    #[must_use]
    pub fn restored(entries: &[u64]) -> Self {
        let hints = Self::default();
        if entries.len() == BUCKETS * WAYS {
            hints.slots().zip(entries).for_each(|(slot, entry)| slot.store(*entry, Relaxed));
        }
        hints
    }

    fn slots(&self) -> impl Iterator<Item = &AtomicU64> {
        self.buckets.iter().flat_map(|bucket| &bucket.0)
    }

    /// The table as it is, 16 MiB.
    #[must_use]
    pub fn copy(&self) -> Vec<u64> {
        self.slots().map(|slot| slot.load(Relaxed)).collect()
    }

    /// Notes that a transaction is in the block at `height`.
    #[inline]
    pub fn note(&self, id: &TransactionId, height: Height) {
        let (bucket, tag) = place(id);
        // An entry of the same id first, then an empty place, then the oldest.
        let age = |slot: &&AtomicU64| match slot.load(Relaxed) {
            entry if entry & !HEIGHT_MASK == tag => u64::MAX,
            0 => u64::MAX - 1,
            entry => height.0.wrapping_sub(entry) & HEIGHT_MASK,
        };
        let slot = self.buckets[bucket].0.iter().max_by_key(age).expect("a bucket has places");
        slot.store(tag | (height.0 & HEIGHT_MASK), Relaxed);
    }

    /// Notes the transactions of a block. The place that spent the nonce is the one that is asked for; a replay
    /// elsewhere only names it again.
    pub fn note_block(&self, tree: &TransactionTree, height: Height) {
        for (at, (id, outcome)) in tree.entries().enumerate() {
            if at + PREFETCH_AHEAD < tree.len() {
                prefetch(&self.buckets[place(&tree.id(at + PREFETCH_AHEAD)).0]);
            }
            if outcome.spends_nonce() || self.find(&id, height).is_none() {
                self.note(&id, height);
            }
        }
    }

    /// The height at which a transaction probably is, at most `highest`.
    #[must_use]
    pub fn find(&self, id: &TransactionId, highest: Height) -> Option<Height> {
        let (bucket, tag) = place(id);
        let mut entries = self.buckets[bucket].0.iter().map(|slot| slot.load(Relaxed));
        let low = entries.find(|entry| *entry != 0 && entry & !HEIGHT_MASK == tag)? & HEIGHT_MASK;
        // The highest height with these low bits that exists.
        let wraps = highest.0.checked_sub(low)? >> HEIGHT_BITS;
        Some(Height(low + (wraps << HEIGHT_BITS)))
    }
}

fn place(id: &TransactionId) -> (usize, u64) {
    let (first, rest) = id.0.split_first_chunk::<8>().expect("an id has 32 bytes");
    let (second, _) = rest.split_first_chunk::<8>().expect("an id has 32 bytes");
    let bucket = u64::from_le_bytes(*first) as usize % BUCKETS;
    (bucket, u64::from_le_bytes(*second) & !HEIGHT_MASK)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id of the same bucket as all others.
    fn id(number: u8) -> TransactionId {
        let mut id = TransactionId([7; 32]);
        id.0[12] = number;
        id
    }

    #[test]
    fn the_oldest_of_a_bucket_makes_room() {
        let hints = Hints::default();
        let found = |hints: &Hints, number| hints.find(&id(number), Height(100)).map(|height| height.0);
        // The first is the newest, and what is noted again takes no second place.
        (0..8).for_each(|number| hints.note(&id(number), Height(20 - u64::from(number))));
        hints.note(&id(7), Height(21));
        assert_eq!((0..8).map_while(|number| found(&hints, number)).count(), 8);
        hints.note(&id(8), Height(22));
        assert_eq!((found(&hints, 6), found(&hints, 7), found(&hints, 8)), (None, Some(21), Some(22)));
        assert_eq!((0..6).map_while(|number| found(&hints, number)).count(), 6);
        let again = Hints::restored(&hints.copy());
        assert_eq!((0..=8).map(|number| found(&again, number)).max(), Some(Some(22)));
        assert_eq!(found(&Hints::restored(&[1]), 8), None, "of another size");
    }

    #[test]
    fn almost_all_of_the_last_half_million_are_there() {
        let hints = Hints::default();
        let id = |number: u64| TransactionId(kernels::sha2::sha256(&number.to_le_bytes()));
        (0..2_500_000).for_each(|number| hints.note(&id(number), Height(1 + number / 1_000)));
        let lost = (2_000_000..2_500_000)
            .filter(|number| hints.find(&id(*number), Height(5_000)) != Some(Height(1 + number / 1_000)));
        assert!(lost.count() < 1_000);
    }

    #[test]
    fn heights_beyond_the_table_wrap_to_the_latest_that_exists() {
        let hints = Hints::default();
        let id = TransactionId([1; 32]);
        let high = (3 << HEIGHT_BITS) + 17;
        hints.note(&id, Height(high));
        assert_eq!(hints.find(&id, Height(high + 5)), Some(Height(high)));
        assert_eq!(hints.find(&id, Height(16)), None, "no such height exists");
    }
}
