//! Multiples of the basepoint by secret scalars, eight at a time: additions from a table, and no doubling.
//!
//! With n = 43 windows of w = 6 bits and every bit of s′ read as ±½ instead of 0 or 1, a window's digit is one of
//! ±½, ±1½, …, ±31½:
//!
//! ```text
//! s = s′ − (2ⁿʷ − 1)/2 = Σ dᵢ·2ʷⁱ   where   dᵢ = uᵢ − (2ʷ − 1)/2   and   uᵢ are the windows of   s′ = s + (2ⁿʷ − 1)/2 mod L
//!
//! table[i] = { ½, 1½, 2½, …, 31½ } · 2ʷⁱ B       sB = Σ ± table[i][entry of uᵢ]
//! ```
//!
//! No digit is zero, so no entry is the identity, 32 entries fill four vectors, and nothing is special. The table has
//! 43 × 32 × 120 bytes, 161 KiB, and is built at first use. (Windows of 5 bits need 96 KiB and a tenth more time.)
//!
//! Constant time: a window's place is public, its digit becomes an index and a sign by arithmetic, [`Field::look_up`]
//! reads every entry, and the sign is a mask of [`Niels::negate_where`]. The order of operations is the same for all
//! scalars, which a test holds against a field that writes down what it is asked.

use super::{
    DecodedKey,
    field::{ENTRIES, Field, LANES, LookUp, Row},
    point::{Extended, Niels},
    scalar::{self, Words},
};
use curve25519_dalek::{EdwardsPoint, Scalar, constants::ED25519_BASEPOINT_POINT};
use std::sync::LazyLock;

/// w.
const WIDTH: usize = ENTRIES.ilog2() as usize + 1;
/// n: scalars are below 2²⁵³.
const WINDOWS: usize = 253usize.div_ceil(WIDTH);
/// Bits in all windows, of which the last may end beyond four words.
const BITS: usize = WINDOWS * WIDTH;
const _: () = assert!(BITS < 320);

/// The precomputed multiples.
pub(super) struct Comb {
    windows: Vec<LookUp>,
    /// (2ⁿʷ − 1)/2 mod L.
    offset: Words,
}

static COMB: LazyLock<Comb> = LazyLock::new(Comb::new);

impl Comb {
    /// The table, built if nobody has asked before.
    pub(super) fn get() -> &'static Self {
        &COMB
    }

    fn new() -> Self {
        let half = Scalar::from(2u8).invert();
        let mut encodings = Vec::with_capacity(WINDOWS * ENTRIES);
        let mut first = ED25519_BASEPOINT_POINT * half;
        for _ in 0..WINDOWS {
            let mut multiples = [first; ENTRIES];
            for i in 1..ENTRIES {
                multiples[i] = multiples[i - 1] + (first + first);
            }
            encodings.extend(EdwardsPoint::compress_batch(&multiples).map(|encoding| encoding.to_bytes()));
            for _ in 0..WIDTH {
                first += first;
            }
        }
        let mut windows = vec![LookUp([[0; ENTRIES]; 15]); WINDOWS];
        for (at, point) in DecodedKey::many(&encodings).iter().enumerate() {
            let Row(words) = point.row();
            let LookUp(window) = &mut windows[at / ENTRIES];
            for (entries, word) in window.iter_mut().zip(words) {
                entries[at % ENTRIES] = *word;
            }
        }
        let ones = (0..BITS).fold(Scalar::ZERO, |sum, _| sum + sum + Scalar::ONE);
        Self { windows, offset: scalar::words((ones * half).as_bytes()) }
    }

    /// scalars[l] · B in lane `l`, for scalars below L.
    #[inline(always)]
    pub(super) fn multiply<F: Field>(&self, f: F, scalars: &[Words; LANES]) -> Extended<F> {
        let mut words = [[0; LANES]; 5];
        for (l, s) in scalars.iter().enumerate() {
            for (i, word) in scalar::add(s, &self.offset).into_iter().enumerate() {
                words[i][l] = word;
            }
        }
        let mut sum = Extended::from_niels(f, self.term(f, &words, 0));
        for window in 1..WINDOWS {
            sum = sum.add_niels(f, self.term(f, &words, window));
        }
        sum
    }

    /// The multiples that the scalars' digits in one window name.
    #[inline(always)]
    fn term<F: Field>(&self, f: F, words: &[[u64; LANES]; 5], window: usize) -> Niels<F> {
        let bit = window * WIDTH;
        let (word, shift) = (bit / 64, bit % 64);
        let mut index = [0; LANES];
        let mut negative = 0;
        for l in 0..LANES {
            let u = words[word][l] >> shift | words[(word + 1).min(4)][l] << 1 << (63 - shift);
            // The upper half of the windows stands for ½, 1½, …; the lower half, its complement, for −½, −1½, …
            let upper = u >> (WIDTH - 1) & 1;
            index[l] = (u ^ upper.wrapping_sub(1)) & (ENTRIES as u64 - 1);
            negative |= ((upper ^ 1) as u8) << l;
        }
        Niels::look_up(f, &self.windows[window], &index).negate_where(f, negative)
    }
}

#[cfg(test)]
mod tests;
