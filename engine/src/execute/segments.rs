//! An array that grows at its end, while others read it, without moving what is in it.
//!
//! ```text
//! places   0 … 1,023 │ 1,024 … 2,047 │ 2,048 … 4,095 │ …      a segment each; every further one doubles the array
//! ```
//!
//! A segment is made when its first place is asked for, and stays. Looking a place up is a shift and two loads.

use std::sync::OnceLock;

/// Places of the first segment, and of the second one.
const FIRST: usize = 1 << 10;
/// Segments up to 2^32 places.
const SEGMENTS: usize = 33 - FIRST.trailing_zeros() as usize;

/// Places with values that can be changed in place; all of them begin as their default.
#[derive(Debug)]
pub(crate) struct Segments<T> {
    segments: [OnceLock<Box<[T]>>; SEGMENTS],
}

impl<T: Default> Segments<T> {
    /// Nothing is made yet.
    pub(crate) fn new() -> Self {
        Self { segments: [const { OnceLock::new() }; SEGMENTS] }
    }

    /// The value at a place, if its segment has been made.
    #[inline]
    pub(crate) fn get(&self, place: usize) -> Option<&T> {
        let (segment, offset) = segment_of(place);
        self.segments.get(segment)?.get()?.get(offset)
    }

    /// The value at a place, whose segment is made if it is not there yet.
    ///
    /// # Panics
    /// The place is not below 2^32.
    pub(crate) fn make(&self, place: usize) -> &T {
        let (segment, offset) = segment_of(place);
        assert!(segment < SEGMENTS, "place {place} of an array of at most 2^32");
        let length = if segment == 0 { FIRST } else { FIRST << (segment - 1) };
        let made = self.segments[segment].get_or_init(|| (0..length).map(|_| T::default()).collect());
        &made[offset]
    }
}

/// Which segment a place is in, and where there.
#[inline]
fn segment_of(place: usize) -> (usize, usize) {
    match place / FIRST {
        0 => (0, place),
        blocks => {
            let doublings = blocks.ilog2() as usize;
            (doublings + 1, place - (FIRST << doublings))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    #[test]
    fn every_place_is_in_one_segment_and_nothing_moves() {
        let array: Segments<AtomicU64> = Segments::new();
        assert!(array.get(0).is_none() && array.get(1 << 32).is_none());
        let first = std::ptr::from_ref(array.make(0));
        for place in 0..10_000 {
            array.make(place).store(place as u64 + 1, Relaxed);
        }
        for place in 0..10_000 {
            assert_eq!(array.get(place).map(|value| value.load(Relaxed)), Some(place as u64 + 1));
        }
        assert_eq!(std::ptr::from_ref(array.make(0)), first);
        // 10,000 places are in segments for 16,384.
        assert_eq!(array.get(16_383).map(|value| value.load(Relaxed)), Some(0));
        assert!(array.get(16_384).is_none());
        assert_eq!(segment_of((1 << 32) - 1), (SEGMENTS - 1, (1 << 31) - 1));
        assert_eq!(segment_of(1 << 32).0, SEGMENTS);
    }
}
