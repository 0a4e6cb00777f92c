//! Products and carries where signed limbs stand at their bounds, which no element from memory reaches.

use super::*;
use crate::ed25519::field::laws::{next, product, reduce, value, wide};

/// The largest size of a tight limb.
const TIGHT: i64 = (1 << 50) + (1 << 12);
/// And of a loose one.
const LOOSE: i64 = 3 * TIGHT;

/// `[limb][lane]`.
type Signed = [[i64; LANES]; 5];

/// Limbs at random, or at an edge of what is allowed.
fn signed(state: &mut u64, most: i64) -> Signed {
    let edges = [most, -most, most - 1, 1 << 50, -(1 << 50), (1 << 50) - 1, 0, 1, -1];
    std::array::from_fn(|_| {
        std::array::from_fn(|_| {
            let random = next(state);
            match random % 12 {
                i @ 0..9 => edges[i as usize],
                _ => (random >> 4) as i64 % (most + 1),
            }
        })
    })
}

fn element(limbs: &Signed) -> Fe {
    let doubles = limbs.map(|limb| limb.map(|lane| lane as f64));
    // SAFETY: both are vectors of doubles of one size, and any bits are doubles.
    let vectors: [[__m256d; HALVES]; 5] = unsafe { std::mem::transmute(doubles) };
    Fe(std::array::from_fn(|half| vectors.map(|limb| limb[half])))
}

fn limbs(element: Fe) -> Signed {
    let vectors: [[__m256d; HALVES]; 5] = std::array::from_fn(|limb| element.0.map(|half| half[limb]));
    // SAFETY: as above.
    let doubles: [[f64; LANES]; 5] = unsafe { std::mem::transmute(vectors) };
    doubles.map(|limb| limb.map(|lane| lane as i64))
}

/// One lane with a multiple of p added that leaves no limb negative.
fn lifted(limbs: &Signed, lane: usize) -> Limbs {
    std::array::from_fn(|i| (4 * P[i]).wrapping_add_signed(limbs[i][lane]))
}

/// tight · loose, tight² and loose + loose, and what the tight one is in memory.
#[target_feature(enable = "avx2,fma")]
fn results(f: Avx2, tight: Fe, loose: Fe) -> ([Fe; 3], LaneLimbs) {
    ([f.mul(tight, loose), f.square(tight), f.add(loose, loose)], f.integers(tight))
}

fn holds_for(f: Avx2, tight: &Signed, loose: &Signed) {
    // SAFETY: the token proves the features.
    let (results, stored) = unsafe { results(f, element(tight), element(loose)) };
    let [mul, square, sum] = results.map(limbs);
    for result in [&mul, &square, &sum] {
        assert!(result.as_flattened().iter().all(|limb| limb.abs() <= TIGHT), "{tight:?} {loose:?}");
    }
    assert!(stored.as_flattened().iter().all(|limb| *limb < (1 << 51) + (1 << 15)), "{tight:?}");
    for lane in 0..LANES {
        let [a, b] = [lifted(tight, lane), lifted(loose, lane)];
        let times = |a: &Limbs, b: &Limbs| reduce(product(&wide(a), &wide(b)));
        assert_eq!(value(&lifted(&mul, lane)), times(&a, &b), "{a:x?} {b:x?}");
        assert_eq!(value(&lifted(&square, lane)), times(&a, &a), "{a:x?}");
        assert_eq!(value(&lifted(&sum, lane)), value(&b.map(|limb| 2 * limb)), "{b:x?}");
        assert_eq!(value(&stored.map(|limb| limb[lane])), value(&a), "{a:x?}");
    }
}

#[test]
fn signed_limbs_at_their_bounds() {
    let Some(f) = Avx2::detect() else { return };
    for (a, b) in [(TIGHT, LOOSE), (TIGHT, -LOOSE), (-TIGHT, LOOSE), (-TIGHT, -LOOSE), (0, LOOSE), (TIGHT, 0)]
    {
        holds_for(f, &[[a; LANES]; 5], &[[b; LANES]; 5]);
    }
    let mut state = 1;
    for _ in 0..2000 {
        let (tight, loose) = (signed(&mut state, TIGHT), signed(&mut state, LOOSE));
        holds_for(f, &tight, &loose);
    }
}
