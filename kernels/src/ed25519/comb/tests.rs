use super::*;
use crate::ed25519::{
    Backend,
    encode::encode,
    field::{LaneLimbs, Limbs, Work, portable::Portable},
};
use proptest::prelude::*;
use std::cell::RefCell;

/// The encodings of the scalars' multiples.
struct Multiply([Words; LANES]);

impl Work for &Multiply {
    type Output = [[u8; 32]; LANES];

    #[inline(always)]
    fn run<F: Field>(self, f: F) -> Self::Output {
        let mut out = [[[0; 32]; LANES]];
        encode(f, &[Comb::get().multiply(f, &self.0)], &mut out);
        out[0]
    }
}

fn agrees_with_dalek(scalars: [Scalar; LANES]) {
    let work = Multiply(scalars.map(|s| scalar::words(s.as_bytes())));
    let expected = scalars.map(|s| EdwardsPoint::mul_base(&s).compress().to_bytes());
    for backend in Backend::all() {
        assert_eq!(backend.run(&work), expected, "{backend}");
    }
}

/// Scalars whose windows are all of one digit, and those at the ends, the identity among their multiples.
#[test]
fn multiples_at_the_edges_agree_with_dalek() {
    let of = |n: u64| Scalar::from(n);
    agrees_with_dalek([
        of(0),
        of(1),
        of(2),
        -of(1),
        -of(2),
        of(ENTRIES as u64),
        of(2 * ENTRIES as u64 - 1),
        of(u64::MAX),
    ]);
    let offset = Scalar::from_bytes_mod_order(scalar::bytes(&Comb::get().offset));
    let repeated = |digit: u64| (0..WINDOWS).fold(of(0), |sum, _| sum * of(2 * ENTRIES as u64) + of(digit));
    agrees_with_dalek([0, 1, 2, 15, 31, 32, 62, 63].map(|digit| repeated(digit) - offset));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn multiples_agree_with_dalek(wide in proptest::array::uniform8(proptest::array::uniform32(any::<u8>()))) {
        agrees_with_dalek(wide.map(Scalar::from_bytes_mod_order));
    }
}

thread_local! {
    /// What a [`Traced`] field was asked, and with which constants; never what the lanes hold.
    static TRACE: RefCell<Vec<(&'static str, Limbs)>> = RefCell::default();
}

/// The portable field, which writes down what it is asked.
#[derive(Clone, Copy)]
struct Traced;

fn note(operation: &'static str, constant: &Limbs) {
    TRACE.with_borrow_mut(|trace| trace.push((operation, *constant)));
}

impl Field for Traced {
    type Fe = <Portable as Field>::Fe;

    fn enter<W: Work>(self, work: W) -> W::Output {
        work.run(self)
    }
    fn splat(self, limbs: &Limbs) -> Self::Fe {
        note("splat", limbs);
        Portable.splat(limbs)
    }
    fn load(self, limbs: &LaneLimbs) -> Self::Fe {
        note("load", &[0; 5]);
        Portable.load(limbs)
    }
    fn store(self, a: Self::Fe) -> LaneLimbs {
        note("store", &[0; 5]);
        Portable.store(a)
    }
    fn add(self, a: Self::Fe, b: Self::Fe) -> Self::Fe {
        note("add", &[0; 5]);
        Portable.add(a, b)
    }
    fn sub(self, a: Self::Fe, b: Self::Fe) -> Self::Fe {
        note("sub", &[0; 5]);
        Portable.sub(a, b)
    }
    fn twice(self, a: Self::Fe) -> Self::Fe {
        note("twice", &[0; 5]);
        Portable.twice(a)
    }
    fn mul(self, a: Self::Fe, b: Self::Fe) -> Self::Fe {
        note("mul", &[0; 5]);
        Portable.mul(a, b)
    }
    fn square(self, a: Self::Fe) -> Self::Fe {
        note("square", &[0; 5]);
        Portable.square(a)
    }
    fn negate_where(self, lanes: u8, a: Self::Fe) -> Self::Fe {
        note("negate_where", &[0; 5]);
        Portable.negate_where(lanes, a)
    }
    fn select(self, lanes: u8, yes: Self::Fe, no: Self::Fe) -> Self::Fe {
        note("select", &[0; 5]);
        Portable.select(lanes, yes, no)
    }
    fn zero_lanes(self, a: Self::Fe) -> u8 {
        note("zero_lanes", &[0; 5]);
        Portable.zero_lanes(a)
    }
    fn odd_lanes(self, a: Self::Fe) -> u8 {
        note("odd_lanes", &[0; 5]);
        Portable.odd_lanes(a)
    }
    fn gather(self, rows: [&Row; LANES]) -> [Self::Fe; 3] {
        note("gather", &[0; 5]);
        Portable.gather(rows)
    }
    fn scatter(self, elements: [Self::Fe; 3], rows: [&mut Row; LANES]) {
        note("scatter", &[0; 5]);
        Portable.scatter(elements, rows);
    }
    fn prefetch(self, row: &Row) {
        note("prefetch", &[0; 5]);
        Portable.prefetch(row);
    }
}

/// The table's entries are constants of the trace, so one that is left out for some scalars would show.
#[test]
fn the_operations_are_the_same_for_all_scalars() {
    let trace = |scalars: [Scalar; LANES]| {
        TRACE.take();
        Traced.enter(&Multiply(scalars.map(|s| scalar::words(s.as_bytes()))));
        TRACE.take()
    };
    let zero = trace([Scalar::ZERO; LANES]);
    let entries_read = zero.iter().filter(|(operation, _)| *operation == "splat").count();
    assert!(entries_read > 3 * ENTRIES * WINDOWS, "{entries_read}");
    for scalar in [Scalar::ONE, -Scalar::ONE, Scalar::from(u64::MAX).invert()] {
        assert!(trace([scalar; LANES]) == zero);
    }
}
