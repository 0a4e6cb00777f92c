//! Eight elements of GF(2²⁵⁵ − 19) at a time, behind one trait and one set of laws.
//!
//! ```text
//! Portable ─┐
//! Avx2 ─────┼─▶ Field ──▶ point, decompress, multiply: written once, generic over the backend
//! Avx512 ───┤     └─────▶ laws.rs: what every backend must satisfy at random values and at the bounds
//! Quad ─────┘     four lanes, for one point's coordinates side by side: packed
//! ```
//!
//! An element has five limbs of 51 bits. Three bounds matter, and each operation says which it takes and gives; what is
//! tight is loose too:
//!
//! - **tight**: every limb below 2⁵¹ + 2¹⁵.
//! - **loose**: every limb below 2⁵², so that 52-bit multipliers see the whole limb.
//! - **uncarried**: a product before its carry, which `add` and `sub` make up for; tight in backends that carry every
//!   product.
//!
//! `tight + tight` is *not* loose (2⁵² + 2¹⁶), therefore `add` and `sub` carry once. A backend may bound its limbs
//! otherwise (`avx2` does, whose limbs are signed: there three tight elements may be added up uncarried); in a [`Row`],
//! and wherever else limbs are in memory, they are unsigned and bounded as above. The value of a backend is a token: to
//! hold one proves that this CPU has what its instructions need.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(test)]
pub(crate) mod laws;
pub(crate) mod portable;
#[cfg(target_arch = "x86_64")]
pub(crate) mod quad;

/// How many elements stand side by side.
pub(crate) const LANES: usize = 8;
/// Bits in a limb.
pub(crate) const LIMB_BITS: u32 = 51;
/// The low 51 bits.
pub(crate) const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;

/// One element as limbs, least significant first.
pub(crate) type Limbs = [u64; 5];
/// Eight elements as limbs: `[limb][lane]`.
pub(crate) type LaneLimbs = [[u64; LANES]; 5];

/// n·p, limb by limb.
const fn times_p(n: u64) -> Limbs {
    [n * (LIMB_MASK - 18), n * LIMB_MASK, n * LIMB_MASK, n * LIMB_MASK, n * LIMB_MASK]
}

/// Three elements of one lane, five limbs each, and a spare word: two cache lines, so that a gather is two loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(128))]
pub(crate) struct Row(pub(crate) [u64; 16]);

impl Row {
    /// Three elements of tight limbs.
    pub(crate) const fn new(a: Limbs, b: Limbs, c: Limbs) -> Self {
        Self([a[0], a[1], a[2], a[3], a[4], b[0], b[1], b[2], b[3], b[4], c[0], c[1], c[2], c[3], c[4], 0])
    }
}

/// Entries of a [`LookUp`].
pub(crate) const ENTRIES: usize = 1 << 5;

/// A table for [`Field::look_up`]: the three elements of an entry as in a [`Row`], but word by word, so that a word of
/// all entries is a few vectors: `[word][entry]`. Limbs are tight.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct LookUp(pub(crate) [[u64; ENTRIES]; 15]);

/// Work that is written for any backend. [`Field::enter`] runs it where the compiler may use the backend's
/// instructions.
pub(crate) trait Work {
    /// What comes out.
    type Output;
    /// Runs the work on the backend of `field`. Implementations are `#[inline(always)]`, and so is all they call that
    /// takes a backend.
    fn run<F: Field>(self, field: F) -> Self::Output;
}

/// Arithmetic on eight elements at a time.
pub(crate) trait Field: Copy + Send + Sync + 'static {
    /// Eight elements.
    type Fe: Copy;
    /// The first so many lanes hold something; any others take nothing and read as zero.
    const LIVE: usize = LANES;

    /// Compiles and runs `work` with this backend's instructions.
    fn enter<W: Work>(self, work: W) -> W::Output;

    /// The same tight element in every lane.
    fn splat(self, limbs: &Limbs) -> Self::Fe;
    /// Eight loose elements from memory become tight.
    fn load(self, limbs: &LaneLimbs) -> Self::Fe;
    /// The limbs of a tight element.
    #[cfg(test)]
    fn store(self, a: Self::Fe) -> LaneLimbs;

    /// Each loose or uncarried, the first also twice uncarried → tight.
    fn add(self, a: Self::Fe, b: Self::Fe) -> Self::Fe;
    /// As [`Field::add`].
    fn sub(self, a: Self::Fe, b: Self::Fe) -> Self::Fe;
    /// Of at most three tight elements in all, operands of operands included → loose. Uncarried where limbs have room.
    #[inline(always)]
    fn add_loose(self, a: Self::Fe, b: Self::Fe) -> Self::Fe {
        self.add(a, b)
    }
    /// As [`Field::add_loose`].
    #[inline(always)]
    fn sub_loose(self, a: Self::Fe, b: Self::Fe) -> Self::Fe {
        self.sub(a, b)
    }
    /// Twice an uncarried element, as no more than the first operand of `add`, `sub` or one of their loose forms.
    fn twice(self, a: Self::Fe) -> Self::Fe;
    /// tight, loose → tight.
    fn mul(self, a: Self::Fe, b: Self::Fe) -> Self::Fe;
    /// tight → tight.
    fn square(self, a: Self::Fe) -> Self::Fe;
    /// [`Field::mul`] without its carry: tight, loose → uncarried.
    #[inline(always)]
    fn product(self, a: Self::Fe, b: Self::Fe) -> Self::Fe {
        self.mul(a, b)
    }
    /// [`Field::square`] without its carry: tight → uncarried.
    #[inline(always)]
    fn square_product(self, a: Self::Fe) -> Self::Fe {
        self.square(a)
    }
    /// uncarried → tight.
    #[inline(always)]
    fn carried(self, a: Self::Fe) -> Self::Fe {
        a
    }
    /// Lanes of `lanes`, which may be secret, are negated: tight, or as gathered → loose (without a carry).
    fn negate_where(self, lanes: u8, a: Self::Fe) -> Self::Fe;
    /// `yes` in the lanes of `lanes`, which may be secret, `no` elsewhere.
    fn select(self, lanes: u8, yes: Self::Fe, no: Self::Fe) -> Self::Fe;
    /// The lanes that are zero modulo p. Takes loose or uncarried.
    fn zero_lanes(self, a: Self::Fe) -> u8;
    /// The lanes whose canonical representative is odd. Takes loose.
    fn odd_lanes(self, a: Self::Fe) -> u8;

    /// Three loose elements for each lane, each lane from a row of its own.
    fn gather(self, rows: [&Row; LANES]) -> [Self::Fe; 3];
    /// The opposite of [`Field::gather`], for tight elements.
    fn scatter(self, elements: [Self::Fe; 3], rows: [&mut Row; LANES]);
    /// In each lane the entry, as gathered, that its index, below [`ENTRIES`], names. Indices may be secret: every
    /// entry is read whole whatever they are, at addresses and in an order that do not depend on them, and kept or
    /// dropped by masks.
    #[inline(always)]
    fn look_up(self, table: &LookUp, index: &[u64; LANES]) -> [Self::Fe; 3] {
        let mut found = [self.splat(&[0; 5]); 3];
        for entry in 0..ENTRIES {
            let mut lanes = 0;
            for (l, index) in index.iter().enumerate() {
                // Only where they are equal does the subtraction borrow from the topmost bit.
                let equal = (index ^ entry as u64).wrapping_sub(1) >> 63;
                lanes |= (equal as u8) << l;
            }
            for (part, found) in found.iter_mut().enumerate() {
                let mut limbs = [0; 5];
                for (limb, to) in limbs.iter_mut().enumerate() {
                    *to = table.0[5 * part + limb][entry];
                }
                *found = self.select(lanes, self.splat(&limbs), *found);
            }
        }
        found
    }
    /// Asks for `row` to be in the cache soon.
    fn prefetch(self, row: &Row);
}
