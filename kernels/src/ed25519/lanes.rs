//! Eight signatures at once, a verdict each: no randomness, no company that could matter.
//!
//! ```text
//! k = v/u mod L     [8](sB − R − kA) = 0   ⇔   [8]((us mod L)B − uR − vA) = 0      (why: `single::quad`)
//!
//! us mod L = low + 2¹²⁸ high:   128 doublings for   low·B + high·(2¹²⁸B) − uR − vA     every lane its own signature
//!                               8 bits a window ──┘            └──── 4 bits a window
//! ```
//!
//! One chain of doublings does for all terms of a lane (Straus). For small batches, and for those in which a
//! combination has failed.

use super::{
    Backend, Item,
    base::{BASE, BASE_WIDTH, Multiples},
    decompress::{Decompress, IDENTITY},
    field::{Field, LANES, Row, Work},
    halve::{Halves, halve},
    msm::{bias, windows},
    point::{Extended, IDENTITY_ROW, Niels, Prepared, Stored},
    scalar::{self, Words},
    single,
};

/// Bits in a window of u and v, whose tables are built for the signature.
const WIDTH: u32 = 4;
/// Windows in u and in v, and in as many bits of us.
const WINDOWS: usize = windows(128, WIDTH);
const BASE_WINDOWS: usize = windows(128, BASE_WIDTH);
/// Multiples 0 ..= 8 of a point.
const MULTIPLES: usize = 1 + (1 << (WIDTH - 1));

/// Multiples of a point in each lane.
type Table = [[Stored; LANES]; MULTIPLES];

/// A verdict for each of at most eight entries.
pub(super) fn verify(backend: Backend, entries: &[Item<'_>], verdicts: &mut [bool]) {
    assert!(entries.len() <= LANES && entries.len() == verdicts.len());
    let n = entries.len();
    let challenges: Vec<[&[u8]; 3]> =
        entries.iter().map(|e| [&single::r_bytes(e.signature)[..], &e.key[..], e.message]).collect();
    let mut digests = [[0; 64]; LANES];
    crate::sha2::sha512_each(&challenges, &mut digests[..n]);
    let mut good = [false; LANES];
    let mut scalars = Scalars::default();
    let mut encodings = [&IDENTITY; 2 * LANES];
    for (l, entry) in entries.iter().enumerate() {
        let s = scalar::words(single::s_bytes(entry.signature));
        good[l] = scalar::is_canonical(&s);
        if good[l] {
            scalars.set(l, &s, &scalar::from_wide(&digests[l]));
        }
        encodings[l] = entry.key;
        encodings[LANES + l] = single::r_bytes(entry.signature);
    }
    let mut rows = [IDENTITY_ROW; 2 * LANES];
    let mut valid = [false; 2 * LANES];
    backend.run(Decompress { encodings: &encodings, rows: &mut rows, valid: &mut valid });
    let (a, r) = rows.split_at(LANES);
    let holds = backend.run(Equation { points: [a, r], scalars });
    for (l, verdict) in verdicts.iter_mut().enumerate() {
        *verdict = good[l] && valid[l] && valid[LANES + l] && holds >> l & 1 == 1;
    }
}

/// The scalars of every lane, biased, so that windows can be read as signed digits: see [`bias`].
#[derive(Default)]
struct Scalars {
    v: [Words; LANES],
    /// |u|, and the lanes in which u is positive.
    u: [Words; LANES],
    positive: u8,
    /// |u|s mod L.
    us: [Words; LANES],
}

impl Scalars {
    /// Both u and v are below 2¹²⁷ in size, so that with its bias the top digit is at most 7 + 1.
    fn set(&mut self, lane: usize, s: &Words, k: &Words) {
        let Halves { u, v } = halve(k);
        let short = |a: u128| scalar::add_words(&[a as u64, (a >> 64) as u64, 0, 0], &bias(WINDOWS, WIDTH));
        (self.v[lane], self.u[lane]) = (short(v), short(u.unsigned_abs()));
        self.positive |= u8::from(u > 0) << lane;
        let size = u.unsigned_abs();
        let mut wide = [0; 10];
        wide[..6].copy_from_slice(&scalar::multiply::<4, 2, 6>(s, &[size as u64, (size >> 64) as u64]));
        let us = scalar::centred(&scalar::reduce(&wide));
        self.us[lane] = scalar::add_words(&us, &bias(2 * BASE_WINDOWS, BASE_WIDTH));
    }
}

/// The lanes in which [8](usB − uR − vA) = 0, for points A and R. With u below zero, everything is taken times −1.
struct Equation<'a> {
    points: [&'a [Row]; 2],
    scalars: Scalars,
}

impl Work for Equation<'_> {
    type Output = u8;

    #[inline(always)]
    fn run<F: Field>(self, f: F) -> u8 {
        let Self { points, scalars } = self;
        let mut tables = [[[Stored::IDENTITY_PREPARED; LANES]; MULTIPLES]; 2];
        for ((table, rows), negative) in tables.iter_mut().zip(points).zip([scalars.positive, u8::MAX]) {
            let mut from = [&IDENTITY_ROW; LANES];
            for (from, row) in from.iter_mut().zip(rows) {
                *from = row;
            }
            let point = Niels::gather(f, from).negate_where(f, negative);
            let mut multiple = Extended::from_niels(f, point);
            multiple.prepare(f).scatter(f, table[1].each_mut());
            for row in &mut table[2..] {
                multiple = multiple.add_niels(f, point);
                multiple.prepare(f).scatter(f, row.each_mut());
            }
        }
        let [low, high] = &*BASE;
        let mut sum = Extended::identity(f);
        for window in (0..WINDOWS).rev() {
            sum = sum.double_times(f, WIDTH);
            sum = sum.add_prepared(f, multiple(f, &tables[0], &scalars.v, window));
            sum = sum.add_prepared(f, multiple(f, &tables[1], &scalars.u, window));
            if window % 2 == 0 {
                sum = sum.add_niels(f, base_multiple(f, low, &scalars.us, window / 2));
                sum = sum.add_niels(f, base_multiple(f, high, &scalars.us, BASE_WINDOWS + window / 2));
            }
        }
        sum.torsion_lanes(f)
    }
}

const _: () = assert!(BASE_WIDTH == 2 * WIDTH, "every other window has a digit for the basepoint");

/// Sizes of the digits of one window, and the lanes in which they are negative. `last` windows reach to the end of the
/// number.
#[inline(always)]
fn digits<const WIDTH: u32>(scalars: &[Words; LANES], window: usize, last: bool) -> ([usize; LANES], u8) {
    // Windows of four and of eight bits never straddle two words.
    const { assert!(64 % WIDTH == 0) };
    let bit = window * WIDTH as usize;
    let (mut sizes, mut negative) = ([0; LANES], 0);
    for (l, words) in scalars.iter().enumerate() {
        let above =
            if last { words.get(bit / 64 + 1).map_or(0, |next| next << 1 << (63 - bit % 64)) } else { 0 };
        let mask = if last { u64::MAX } else { (1 << WIDTH) - 1 };
        let digit = ((words[bit / 64] >> (bit % 64) | above) & mask) as i64 - (1 << (WIDTH - 1));
        sizes[l] = digit.unsigned_abs() as usize;
        negative |= u8::from(digit < 0) << l;
    }
    (sizes, negative)
}

/// In each lane the multiple that its scalar's digit names.
#[inline(always)]
fn multiple<F: Field>(f: F, table: &Table, scalars: &[Words; LANES], window: usize) -> Prepared<F> {
    let (sizes, negative) = digits::<WIDTH>(scalars, window, window + 1 == WINDOWS);
    let mut from = [&table[0][0]; LANES];
    for (l, size) in sizes.into_iter().enumerate() {
        from[l] = &table[size][l];
    }
    Prepared::gather(f, from).negate_where(f, negative)
}

/// The same of the basepoint or of 2¹²⁸ times it.
#[inline(always)]
fn base_multiple<F: Field>(f: F, table: &Multiples, scalars: &[Words; LANES], window: usize) -> Niels<F> {
    let (sizes, negative) = digits::<BASE_WIDTH>(scalars, window, window + 1 == 2 * BASE_WINDOWS);
    let mut from = [&table[0]; LANES];
    for (l, size) in sizes.into_iter().enumerate() {
        from[l] = &table[size];
    }
    Niels::gather(f, from).negate_where(f, negative)
}
