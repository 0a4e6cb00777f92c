//! Which accounts the block at hand has touched, and how they were before.
//!
//! A bitmap answers the question "touched before?" from the first-level cache. What was touched is put in order by a
//! radix sort, so a block costs by what it touches, and nothing by how many accounts there are.

use super::{Balance, ChainState, Change};
use crate::types::AccountId;

/// Up to so many accounts a sort by comparison is quicker than two passes over the digits.
const FEW: usize = 256;
/// Bits of a digit of the radix sort: its counters fit into the first-level cache.
const DIGIT_BITS: u32 = 11;
const DIGITS: usize = 1 << DIGIT_BITS;

#[derive(Debug)]
pub(super) struct Touched {
    bits: Vec<u64>,
    before: Vec<(u32, Balance)>,
    /// Accounts with their places in `before`; a second one for the passes of the sort.
    order: Vec<(u32, u32)>,
    scratch: Vec<(u32, u32)>,
}

impl Touched {
    pub(super) fn new(accounts: usize) -> Self {
        let bits = vec![0; accounts.div_ceil(64)];
        Self { bits, before: Vec::new(), order: Vec::new(), scratch: Vec::new() }
    }

    /// There are so many accounts now.
    pub(super) fn grow(&mut self, accounts: usize) {
        self.bits.resize(self.bits.len().max(accounts.div_ceil(64)), 0);
    }

    #[inline]
    pub(super) fn note(&mut self, index: usize, before: Balance) {
        let (word, bit) = (&mut self.bits[index / 64], 1 << (index % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.before.push((index as u32, before));
        }
    }

    /// The accounts that differ from before, ascending; forgets them.
    pub(super) fn drain(&mut self, state: &ChainState) -> Vec<Change> {
        self.sort();
        let mut changes = Vec::with_capacity(self.order.len());
        for (index, place) in &self.order {
            self.bits[*index as usize / 64] = 0;
            let before = self.before[*place as usize].1;
            let after = state.mutable(*index as usize);
            if before != after {
                changes.push(Change { account: AccountId(u64::from(*index)), before, after });
            }
        }
        self.before.clear();
        changes
    }

    /// Fills `order` with what was touched, ascending by account.
    fn sort(&mut self) {
        self.order.clear();
        self.order.extend((0..).zip(&self.before).map(|(place, (index, _))| (*index, place)));
        if self.order.len() <= FEW {
            return self.order.sort_unstable();
        }
        let highest = self.order.iter().map(|(index, _)| *index).max().unwrap_or(0);
        let digits = (u32::BITS - highest.leading_zeros()).div_ceil(DIGIT_BITS);
        for shift in (0..digits).map(|digit| digit * DIGIT_BITS) {
            let digit = |index: u32| (index >> shift) as usize % DIGITS;
            let mut next = [0_u32; DIGITS];
            self.order.iter().for_each(|(index, _)| next[digit(*index)] += 1);
            let mut sum = 0;
            for place in &mut next {
                sum += std::mem::replace(place, sum);
            }
            self.scratch.resize(self.order.len(), (0, 0));
            for entry in &self.order {
                let place = &mut next[digit(entry.0)];
                self.scratch[*place as usize] = *entry;
                *place += 1;
            }
            std::mem::swap(&mut self.order, &mut self.scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn touched(indices: &[u32]) -> Touched {
        let mut touched = Touched::new(indices.iter().max().map_or(0, |most| *most as usize + 1));
        for index in indices {
            touched.note(*index as usize, Balance::default());
        }
        touched
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn each_account_is_there_once_and_in_order(indices in prop_oneof![
            vec(0..40_u32, 0..100),
            vec(0..(1_u32 << 23), 0..600),
            vec(any::<u32>().prop_map(|index| index >> (index % 9)), FEW..2 * FEW).prop_map(|mut indices| {
                // Three digits, and few accounts of them, so that the bitmap of a test stays small.
                indices.iter_mut().for_each(|index| *index %= 1 << 24);
                indices
            }),
        ]) {
            let mut touched = touched(&indices);
            touched.sort();
            let mut expected = indices.clone();
            expected.sort_unstable();
            expected.dedup();
            let sorted: Vec<u32> = touched.order.iter().map(|(index, _)| *index).collect();
            prop_assert_eq!(sorted, expected);
            prop_assert!(touched.order.iter().all(|(index, place)| touched.before[*place as usize].0 == *index));
        }
    }
}
