//! Chance from a seed: small, fast and the same on every machine (splitmix64, Steele and others, OOPSLA 2014).

use std::ops::Range;
use std::time::Duration;

/// A stream of numbers that its seed determines.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x6d69_6c6c_7261_6365)
    }

    /// A stream of its own, so that what one part of the world draws does not shift another part.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start).max(1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.within(0..end as u64) as usize
    }

    pub(crate) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    pub(crate) fn micros(&mut self, range: Range<u64>) -> Duration {
        Duration::from_micros(self.within(range))
    }

    /// True in `permille` of a thousand cases.
    pub(crate) fn permille(&mut self, permille: u64) -> bool {
        self.within(0..1_000) < permille
    }

    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes());
        }
        bytes
    }

    /// 1 to `most` of `0..end`, ascending.
    pub(crate) fn any(&mut self, end: usize, most: usize) -> Vec<usize> {
        let count = 1 + self.below(most);
        self.some(end, count)
    }

    /// `count` of `0..end`, ascending.
    pub(crate) fn some(&mut self, end: usize, count: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..end).collect();
        let mut taken: Vec<usize> =
            (0..count.min(end)).map(|_| left.swap_remove(self.below(left.len()))).collect();
        taken.sort_unstable();
        taken
    }
}
