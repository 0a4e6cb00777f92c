//! One signature alone with AVX-512: A and R decompress side by side, halved scalars need half the doublings, and the
//! coordinates of one point share a vector.
//!
//! ```text
//! k = v/u mod L     [8](sB − R − kA) = 0   ⇔   [8]((us mod L)B − uR − vA) = 0      since 0 < |u| < L
//!
//! us mod L = low + 2¹²⁸ high:   128 doublings for   low·B + high·(2¹²⁸B) − uR − vA
//!                               static tables ────┘            └──── built for the signature
//! ```
//!
//! Multiplying by u changes nothing: [8] leads into the subgroup of prime order L, where only the identity vanishes
//! times u.

use super::{r_bytes, s_bytes};
use crate::{
    cpu::Avx512,
    ed25519::{
        Item,
        base::{BASE, BASE_WIDTH, Multiples},
        decompress::{IDENTITY, decompress},
        field::{LANES, Row, quad::Quad},
        halve::{Halves, halve},
        naf::{Digits, naf},
        packed::{Packed, Prepared},
        point::IDENTITY_ROW,
        scalar::{self, Words},
    },
};
use std::sync::OnceLock;

/// Width of the forms of u and v, whose tables are built for each signature.
const WIDTH: u32 = 5;
const MULTIPLES: usize = 1 << (WIDTH - 2);
const BASE_MULTIPLES: usize = 1 << (BASE_WIDTH - 2);

/// Odd multiples of B and of 2¹²⁸B: 1, 3, 5, … In 2 × 64 × 160 bytes.
static ODD: OnceLock<[[Prepared; BASE_MULTIPLES]; 2]> = OnceLock::new();

fn odd_base_multiples(f: Quad) -> [[Prepared; BASE_MULTIPLES]; 2] {
    let odd = |multiples: &Multiples| std::array::from_fn(|i| Prepared::from_row(f, &multiples[2 * i + 1]));
    [odd(&BASE[0]), odd(&BASE[1])]
}

/// [`super::verify`] for this backend.
pub(in crate::ed25519) fn verify(token: Avx512, entry: &Item<'_>) -> bool {
    let s = scalar::words(s_bytes(entry.signature));
    if !scalar::is_canonical(&s) {
        return false;
    }
    let r = r_bytes(entry.signature);
    let k = scalar::from_wide(&crate::sha2::sha512_parts(&[r, entry.key, entry.message]));
    let field = Quad(token);
    let base = ODD.get_or_init(|| odd_base_multiples(field));
    // SAFETY: the token proves the features.
    unsafe { holds(field, base, [entry.key, r], &s, &k) }
}

/// Whether both encodings, of A and of R, are points and [8](sB − R − kA) = 0.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512ifma")]
fn holds(
    f: Quad,
    base: &[[Prepared; BASE_MULTIPLES]; 2],
    encodings: [&[u8; 32]; 2],
    s: &Words,
    k: &Words,
) -> bool {
    let mut lanes = [[&IDENTITY; LANES]];
    lanes[0][..2].copy_from_slice(&encodings);
    let ([points], [valid]) = decompress(f, &lanes);
    if valid & 0b11 != 0b11 {
        return false;
    }
    let mut rows = [IDENTITY_ROW; LANES];
    points.scatter(f, rows.each_mut());
    let [a, r] = odd_multiples(f, [&rows[0], &rows[1]]);

    let Halves { u, v } = halve(k);
    let size = u.unsigned_abs();
    let mut wide = [0; 10];
    wide[..6].copy_from_slice(&scalar::multiply::<4, 2, 6>(s, &[size as u64, (size >> 64) as u64]));
    let us = scalar::reduce(&wide);
    let half = |low: u64, high: u64| u128::from(low) | u128::from(high) << 64;

    // With u below zero, everything is taken times −1: |u|s, |u|R and +vA.
    let terms = [
        Term { digits: naf::<WIDTH>(v), multiples: &a, negative: u > 0 },
        Term { digits: naf::<WIDTH>(size), multiples: &r, negative: true },
        Term { digits: naf::<BASE_WIDTH>(half(us[0], us[1])), multiples: &base[0], negative: false },
        Term { digits: naf::<BASE_WIDTH>(half(us[2], us[3])), multiples: &base[1], negative: false },
    ];
    sum(f, &terms).is_torsion(f)
}

/// 1, 3, 5, … times each of two points, whose latencies hide behind each other. (No closures: they would be compiled
/// without the vectors' instructions.)
#[inline(always)]
fn odd_multiples(f: Quad, rows: [&Row; 2]) -> [[Prepared; MULTIPLES]; 2] {
    let first = [Prepared::from_row(f, rows[0]), Prepared::from_row(f, rows[1])];
    let mut points = [Packed::identity(f).add(&first[0], false), Packed::identity(f).add(&first[1], false)];
    let twice = [points[0].double().prepare(f), points[1].double().prepare(f)];
    let mut multiples = [[first[0]; MULTIPLES], [first[1]; MULTIPLES]];
    let [of_first, of_second] = &mut multiples;
    for (a, b) in of_first.iter_mut().zip(of_second).skip(1) {
        points = [points[0].add(&twice[0], false), points[1].add(&twice[1], false)];
        (*a, *b) = (points[0].prepare(f), points[1].prepare(f));
    }
    multiples
}

/// A multiple of a point to sum up, or minus it.
struct Term<'a> {
    digits: Digits,
    multiples: &'a [Prepared],
    negative: bool,
}

/// The terms' sum: Straus, with one chain of doublings.
#[inline(always)]
fn sum(f: Quad, terms: &[Term<'_>; 4]) -> Packed {
    let mut sum = Packed::identity(f);
    let top = terms.iter().filter_map(|term| term.digits.iter().rposition(|digit| *digit != 0)).max();
    for at in (0..top.map_or(0, |top| top + 1)).rev() {
        sum = sum.double();
        for term in terms {
            let digit = term.digits[at];
            if digit != 0 {
                let multiple = &term.multiples[usize::from(digit.unsigned_abs()) / 2];
                sum = sum.add(multiple, (digit < 0) != term.negative);
            }
        }
    }
    sum
}
