//! In which block a transaction probably is: a table of fixed size that is only ever a hint.
//!
//! Looking a transaction up by its id without an index means searching the journal. This direct-mapped table
//! remembers the heights of the last few million ids in 16 MiB. An entry is 40 bits of the id and 24 bits of the
//! height; its user looks into the block and, where the hint was wrong or overwritten, searches the last blocks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::types::{Height, TransactionId};

const SLOTS: usize = 1 << 21;
const HEIGHT_BITS: u32 = 24;

/// The table. Written by the executor, read by queries; a torn pair of entries is impossible since an entry is one
/// word.
#[derive(Debug)]
pub struct Hints {
    slots: Box<[AtomicU64]>,
}

impl Default for Hints {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Hints {
    /// The table of a checkpoint; an empty one where it has none of this size.
    #[must_use]
    pub fn restored(slots: &[u64]) -> Self {
        let hints = Self::default();
        if slots.len() == hints.slots.len() {
            hints.slots.iter().zip(slots).for_each(|(slot, entry)| slot.store(*entry, Relaxed));
        }
        hints
    }

    /// The table as it is, 16 MiB.
    #[must_use]
    pub fn copy(&self) -> Vec<u64> {
        self.slots.iter().map(|slot| slot.load(Relaxed)).collect()
    }

    /// Notes that a transaction is in the block at `height`.
    #[inline]
    pub fn note(&self, id: &TransactionId, height: Height) {
        let (slot, tag) = place(id);
        self.slots[slot].store(tag | (height.0 & ((1 << HEIGHT_BITS) - 1)), Relaxed);
    }

    /// The height at which a transaction probably is, at most `highest`.
    #[must_use]
    pub fn find(&self, id: &TransactionId, highest: Height) -> Option<Height> {
        let (slot, tag) = place(id);
        let entry = self.slots[slot].load(Relaxed);
        let low_mask = (1 << HEIGHT_BITS) - 1;
        if entry & !low_mask != tag || entry == 0 {
            return None;
        }
        // The highest height with these low bits that exists.
        let low = entry & low_mask;
        let wraps = highest.0.checked_sub(low)? >> HEIGHT_BITS;
        Some(Height(low + (wraps << HEIGHT_BITS)))
    }
}

fn place(id: &TransactionId) -> (usize, u64) {
    let (first, rest) = id.0.split_first_chunk::<8>().expect("an id has 32 bytes");
    let (second, _) = rest.split_first_chunk::<8>().expect("an id has 32 bytes");
    let slot = u64::from_le_bytes(*first) as usize % SLOTS;
    (slot, u64::from_le_bytes(*second) & !((1 << HEIGHT_BITS) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_found_until_it_is_overwritten() {
        let hints = Hints::default();
        let (first, mut second) = (TransactionId([7; 32]), TransactionId([7; 32]));
        second.0[12] = 9;
        hints.note(&first, Height(5));
        assert_eq!(hints.find(&first, Height(10)), Some(Height(5)));
        assert_eq!(hints.find(&second, Height(10)), None, "the same slot, another id");
        hints.note(&second, Height(6));
        assert_eq!(hints.find(&first, Height(10)), None, "overwritten");
        let again = Hints::restored(&hints.copy());
        assert_eq!(again.find(&second, Height(10)), Some(Height(6)));
        assert_eq!(Hints::restored(&[1]).find(&second, Height(10)), None, "of another size");
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
