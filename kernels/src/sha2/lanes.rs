//! The rounds of both functions, written once for vectors of any width.
//!
//! ```text
//! Avx512 ─┬─▶ Lanes<Word> ─▶   Lanes<u32>: SHA-256          one block: words ─▶ 16 rounds as they are,
//! Avx2 ───┘                    Lanes<u64>: SHA-512                     then 16 at a time with the schedule
//! ```
//!
//! Each round waits for the one before. Two chains of vectors fill each other's waits: their rounds alternate.

use super::{group::Group, word::Word};

/// A vector of words, one of each message. The value is a token: to hold one proves that this CPU has what it needs.
pub(super) trait Lanes<W: Word>: Copy {
    /// [`Lanes::COUNT`] words.
    type Vector: Copy;
    /// How many messages stand side by side.
    const COUNT: usize;

    /// The same word in every lane.
    fn splat(self, word: W) -> Self::Vector;
    /// a + b
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a ⊕ b ⊕ c
    fn xor3(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The bits of `b` where `a` is one, of `c` where it is zero.
    fn choose(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// What two of three agree on.
    fn majority(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// No operation. Tells the compiler that nothing which follows can begin before `a` and `e` of a round are there:
    /// the registers hold the rounds of two chains, and what is computed ahead of them would be spilled.
    #[inline(always)]
    fn settle(self, _a: &mut Self::Vector, _e: &mut Self::Vector) {}
    /// To the right, around.
    fn rotate<const N: i32>(self, a: Self::Vector) -> Self::Vector;
    /// To the right, zeros after it.
    fn shift<const N: u32>(self, a: Self::Vector) -> Self::Vector;

    /// The words of row `row` of the messages from `first` on: as many as 64 bytes have.
    fn load<const PARTS: usize>(
        self,
        group: &Group<'_, PARTS>,
        row: usize,
        first: usize,
        words: &mut [Self::Vector],
    );
    /// The digests that the states make, for as many lanes as `out` has places.
    fn store(self, state: [Self::Vector; 8], out: &mut [W::Digest]);
}

/// Digests of the messages of a group, as many as `out` has places, [`Lanes::COUNT`] in each chain at most.
#[inline(always)]
pub(super) fn digest<W: Word, L: Lanes<W>, const CHAINS: usize, const PARTS: usize>(
    lanes: L,
    group: &Group<'_, PARTS>,
    out: &mut [W::Digest],
) {
    let mut start = [lanes.splat(W::START[0]); 8];
    for (state, word) in start.iter_mut().zip(W::START) {
        *state = lanes.splat(word);
    }
    let mut states = [start; CHAINS];
    let rows = W::BLOCK / super::group::ROW;
    for block in 0..group.rows() / rows {
        let mut words = [[start[0]; 16]; CHAINS];
        for (chain, words) in words.iter_mut().enumerate() {
            for (row, words) in words.chunks_exact_mut(16 / rows).enumerate() {
                lanes.load(group, block * rows + row, chain * L::COUNT, words);
            }
        }
        compress(lanes, &mut states, &mut words);
    }
    for (state, out) in states.iter().zip(out.chunks_mut(L::COUNT)) {
        lanes.store(*state, out);
    }
}

/// Sixteen rounds, unrolled: then all places are constant and the state moves by renaming. The loop around them stays
/// rolled: all 64 or 80 rounds of two chains would leave the op cache.
macro_rules! sixteen {
    ($extend:literal: $lanes:ident, $s:ident, $w:ident, $k:ident) => {
        sixteen!($extend: $lanes, $s, $w, $k; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    ($extend:literal: $lanes:ident, $s:ident, $w:ident, $k:ident; $($at:literal)*) => {
        $(for (s, w) in $s.iter_mut().zip($w.iter_mut()) { round::<W, L, $at, $extend>($lanes, s, w, $k); })*
    };
}

#[inline(always)]
fn compress<W: Word, L: Lanes<W>, const CHAINS: usize>(
    lanes: L,
    states: &mut [[L::Vector; 8]; CHAINS],
    words: &mut [[L::Vector; 16]; CHAINS],
) {
    let mut s = *states;
    let (opening, rest) = W::ROUNDS.split_at(1);
    for constants in opening {
        sixteen!(false: lanes, s, words, constants);
    }
    for constants in rest {
        sixteen!(true: lanes, s, words, constants);
    }
    for (state, s) in states.iter_mut().zip(s) {
        for (state, s) in state.iter_mut().zip(s) {
            *state = lanes.add(*state, s);
        }
    }
}

/// One round with word `AT`, which is first replaced by the one sixteen rounds on if it is to `EXTEND`.
#[inline(always)]
fn round<W: Word, L: Lanes<W>, const AT: usize, const EXTEND: bool>(
    lanes: L,
    s: &mut [L::Vector; 8],
    w: &mut [L::Vector; 16],
    constants: &[W; 16],
) {
    if EXTEND {
        let low = lanes.add(w[AT], W::mix0(lanes, w[(AT + 1) % 16]));
        w[AT] = lanes.add(low, lanes.add(w[(AT + 9) % 16], W::mix1(lanes, w[(AT + 14) % 16])));
    }
    let [a, b, c, d, e, f, g, h] = *s;
    let early = lanes.add(h, lanes.add(lanes.splat(constants[AT]), w[AT]));
    let t1 = lanes.add(early, lanes.add(W::sum1(lanes, e), lanes.choose(e, f, g)));
    let t2 = lanes.add(W::sum0(lanes, a), lanes.majority(a, b, c));
    *s = [lanes.add(t1, t2), a, b, c, lanes.add(d, t1), e, f, g];
    let [a, _, _, _, e, ..] = s;
    lanes.settle(a, e);
}
