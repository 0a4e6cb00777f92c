//! Eight signatures at once, a verdict each: no randomness, no company that could matter.
//!
//! Every lane forms sB − kA − R with one chain of doublings for all (Straus) and asks whether eight times it is the
//! identity. For small batches, and for those in which a combination has failed.

use super::{
    Item,
    decompress::{Decompress, IDENTITY},
    field::{Field, LANES, Row, Work},
    msm::{bias, windows},
    point::{BASEPOINT_ROW, Extended, IDENTITY_ROW, Niels, Stored},
    scalar::{self, Words},
    single,
};

/// Bits in a window.
const WIDTH: u32 = 4;
/// Multiples 0 ..= 8 of a point.
const MULTIPLES: usize = 1 + (1 << (WIDTH - 1));

/// Multiples of a point in each lane.
type Table = [[Stored; LANES]; MULTIPLES];

/// A verdict for each of at most eight entries.
pub(super) fn verify<F: Field>(f: F, entries: &[Item<'_>], verdicts: &mut [bool]) {
    assert!(entries.len() <= LANES && entries.len() == verdicts.len());
    let n = entries.len();
    let challenges: Vec<[&[u8]; 3]> =
        entries.iter().map(|e| [&single::r_bytes(e.signature)[..], &e.key[..], e.message]).collect();
    let mut digests = [[0; 64]; LANES];
    crate::sha2::sha512_each(&challenges, &mut digests[..n]);
    let mut good = [false; LANES];
    let (mut s, mut k) = ([[0; 4]; LANES], [[0; 4]; LANES]);
    let mut encodings = [&IDENTITY; 2 * LANES];
    for (l, entry) in entries.iter().enumerate() {
        let words = scalar::words(single::s_bytes(entry.signature));
        good[l] = scalar::is_canonical(&words);
        if good[l] {
            s[l] = words;
        }
        k[l] = scalar::from_wide(&digests[l]);
        encodings[l] = entry.key;
        encodings[LANES + l] = single::r_bytes(entry.signature);
    }
    let mut rows = [IDENTITY_ROW; 2 * LANES];
    let mut valid = [false; 2 * LANES];
    f.enter(Decompress { encodings: &encodings, rows: &mut rows, valid: &mut valid });
    let (a, r) = rows.split_at(LANES);
    let holds = f.enter(Equation { a, r, s, k });
    for (l, verdict) in verdicts.iter_mut().enumerate() {
        *verdict = good[l] && valid[l] && valid[LANES + l] && holds >> l & 1 == 1;
    }
}

/// The lanes in which [8](sB − kA − R) = 0. A scalar above L/2 is read as negative, so `s` must be below L.
struct Equation<'a> {
    a: &'a [Row],
    r: &'a [Row],
    s: [Words; LANES],
    k: [Words; LANES],
}

impl Work for Equation<'_> {
    type Output = u8;

    #[inline(always)]
    fn run<F: Field>(self, f: F) -> u8 {
        let Self { a, r, mut s, mut k } = self;
        let windows = windows(252, WIDTH);
        let bias = bias(windows, WIDTH);
        for scalars in [&mut s, &mut k] {
            for words in scalars {
                *words = scalar::add_words(&scalar::centred(words), &bias);
            }
        }
        let mut points = [Extended::identity(f); 2];
        let (mut from_a, mut from_r) = ([&IDENTITY_ROW; LANES], [&IDENTITY_ROW; LANES]);
        for l in 0..LANES {
            (from_a[l], from_r[l]) = (&a[l], &r[l]);
        }
        points[0] = Extended::from_niels(f, Niels::gather(f, from_a)).negate_where(f, u8::MAX);
        points[1] = Extended::from_niels(f, Niels::gather(f, [&BASEPOINT_ROW; LANES]));
        let mut tables = [[[Stored::IDENTITY; LANES]; MULTIPLES]; 2];
        for (table, point) in tables.iter_mut().zip(points) {
            let mut multiple = Extended::identity(f);
            for row in &mut table[1..] {
                multiple = multiple.add(f, point);
                multiple.scatter(f, row.each_mut());
            }
        }
        let mut sum = Extended::identity(f);
        for window in (0..windows).rev() {
            sum = sum.double_times(f, WIDTH);
            for (table, scalars) in tables.iter().zip([&k, &s]) {
                sum = sum.add(f, look_up(f, table, scalars, window, window + 1 == windows));
            }
        }
        let minus_r = Niels::gather(f, from_r).negate_where(f, u8::MAX);
        sum.add_niels(f, minus_r).torsion_lanes(f)
    }
}

/// In each lane the multiple that its scalar's digit names.
#[inline(always)]
fn look_up<F: Field>(f: F, table: &Table, scalars: &[Words; LANES], window: usize, top: bool) -> Extended<F> {
    let bit = window * WIDTH as usize;
    let mask = if top { u64::MAX } else { (1 << WIDTH) - 1 };
    let mut from = [&table[0][0]; LANES];
    let mut negative = 0;
    for (l, words) in scalars.iter().enumerate() {
        // Windows of four bits never straddle two words.
        let digit = (words[bit / 64] >> (bit % 64) & mask) as i64 - (1 << (WIDTH - 1));
        from[l] = &table[digit.unsigned_abs() as usize][l];
        negative |= u8::from(digit < 0) << l;
    }
    Extended::gather(f, from).negate_where(f, negative)
}
