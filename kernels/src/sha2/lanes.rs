//! The rounds of both functions, written once for vectors of any width.
//!
//! ```text
//! Avx512 ─┐                    Lanes<u32>: SHA-256          one block: words ─▶ 16 rounds as they are,
//! Avx2 ───┼─▶ Lanes<Word> ─▶   Lanes<u64>: SHA-512                     then 16 at a time with the schedule
//! Twice ──┘
//! ```

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

/// Digests of the messages of a group, as many as `out` has places, [`Lanes::COUNT`] at most.
#[inline(always)]
pub(super) fn digest<W: Word, L: Lanes<W>, const PARTS: usize>(
    lanes: L,
    group: &Group<'_, PARTS>,
    out: &mut [W::Digest],
) {
    let mut state = [lanes.splat(W::START[0]); 8];
    for (state, word) in state.iter_mut().zip(W::START) {
        *state = lanes.splat(word);
    }
    let rows = W::BLOCK / super::group::ROW;
    for block in 0..group.rows() / rows {
        let mut words = [state[0]; 16];
        for (row, words) in words.chunks_exact_mut(16 / rows).enumerate() {
            lanes.load(group, block * rows + row, 0, words);
        }
        compress(lanes, &mut state, &mut words);
    }
    lanes.store(state, out);
}

/// Sixteen rounds, unrolled: then all places are constant and the state moves by renaming. The loop around them stays
/// rolled: all 64 or 80 rounds of two streams would leave the op cache.
macro_rules! sixteen {
    ($extend:literal: $lanes:ident, $s:ident, $w:ident, $k:ident) => {
        sixteen!($extend: $lanes, $s, $w, $k; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    ($extend:literal: $lanes:ident, $s:ident, $w:ident, $k:ident; $($at:literal)*) => {
        $(round::<W, L, $at, $extend>($lanes, &mut $s, $w, $k);)*
    };
}

#[inline(always)]
fn compress<W: Word, L: Lanes<W>>(lanes: L, state: &mut [L::Vector; 8], words: &mut [L::Vector; 16]) {
    let mut s = *state;
    let (opening, rest) = W::ROUNDS.split_at(1);
    for constants in opening {
        sixteen!(false: lanes, s, words, constants);
    }
    for constants in rest {
        sixteen!(true: lanes, s, words, constants);
    }
    for (state, s) in state.iter_mut().zip(s) {
        *state = lanes.add(*state, s);
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
}

/// Two vectors as one: two chains whose instructions alternate, so that one's fill the other's waits.
#[derive(Clone, Copy)]
pub(super) struct Twice<L>(pub(super) L);

/// Applies `f` to both halves.
macro_rules! both {
    ($self:ident, $f:ident $(::<$n:ident>)?, $($v:ident),+) => {
        [$self.0.$f$(::<$n>)?($($v[0]),+), $self.0.$f$(::<$n>)?($($v[1]),+)]
    };
}

impl<W: Word, L: Lanes<W>> Lanes<W> for Twice<L> {
    type Vector = [L::Vector; 2];
    const COUNT: usize = 2 * L::COUNT;

    #[inline(always)]
    fn splat(self, word: W) -> Self::Vector {
        [self.0.splat(word); 2]
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        both!(self, add, a, b)
    }

    #[inline(always)]
    fn xor3(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        both!(self, xor3, a, b, c)
    }

    #[inline(always)]
    fn choose(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        both!(self, choose, a, b, c)
    }

    #[inline(always)]
    fn majority(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        both!(self, majority, a, b, c)
    }

    #[inline(always)]
    fn rotate<const N: i32>(self, a: Self::Vector) -> Self::Vector {
        both!(self, rotate::<N>, a)
    }

    #[inline(always)]
    fn shift<const N: u32>(self, a: Self::Vector) -> Self::Vector {
        both!(self, shift::<N>, a)
    }

    #[inline(always)]
    fn load<const PARTS: usize>(
        self,
        group: &Group<'_, PARTS>,
        row: usize,
        first: usize,
        words: &mut [Self::Vector],
    ) {
        for half in 0..2 {
            let mut of_half = [words[0][0]; 16];
            let of_half = &mut of_half[..words.len()];
            self.0.load(group, row, first + half * L::COUNT, of_half);
            for (word, of_half) in words.iter_mut().zip(of_half) {
                word[half] = *of_half;
            }
        }
    }

    #[inline(always)]
    fn store(self, state: [Self::Vector; 8], out: &mut [W::Digest]) {
        let (left, right) = out.split_at_mut(L::COUNT.min(out.len()));
        for (half, out) in [left, right].into_iter().enumerate() {
            let mut of_half = [state[0][half]; 8];
            for (of_half, word) in of_half.iter_mut().zip(&state) {
                *of_half = word[half];
            }
            self.0.store(of_half, out);
        }
    }
}
