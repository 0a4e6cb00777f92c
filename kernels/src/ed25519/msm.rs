//! Σ sᵢPᵢ for many points at once, and whether eight times it vanishes. Variable time.
//!
//! Sums are kept: where a whole and one part of it are known, the other part is their difference.
//!
//! Pippenger's buckets, but each window's terms are first *sorted* by bucket, so that a bucket's sum stays in registers
//! while eight buckets of about equal size fill the eight lanes:
//!
//! ```text
//! window w:  digits → count → buckets by falling size, eight to a group → interleaved list → sums
//!
//!   group 0   b17 b3 b9 b30 b1 b8 b22 b5      list[base + 8·step + lane] = which term, and its sign
//!             +P  +P −P +P  −P +P +P  −P      every step is one mixed addition in eight lanes,
//!             −P  +P +P  ·  −P  · +P  +P      empty places add the identity (row 0)
//! ```
//!
//! Eight windows share the lanes when Σ b·Bucket[b] is formed, and Horner's rule joins the windows.

use super::{
    field::{Field, LANES, Row, Work},
    point::{Extended, Niels, Stored},
    scalar::{self, Words},
};

/// The scalars of one combination and the points they multiply.
pub(super) struct Msm<'a> {
    /// Row 0 is the identity; row `i + 1` belongs to scalar `i`.
    pub(super) rows: &'a [Row],
    /// First `long` scalars modulo L, then *short* ones: two's complement, −2¹²⁷ ..= 2¹²⁷ − 1, in the low two words.
    /// Left recoded.
    pub(super) scalars: &'a mut [Words],
    /// How many are long.
    pub(super) long: usize,
    /// Bits in a window, 4 ..= [`WIDTH_MAX`].
    pub(super) width: u32,
    /// Memory to work in.
    pub(super) scratch: &'a mut Scratch,
}

/// A sum of points.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    point: Stored,
    /// Whether eight times it is the identity.
    pub(super) vanishes: bool,
}

impl Sum {
    /// The same sum in every lane.
    #[inline(always)]
    fn of<F: Field>(f: F, total: Extended<F>) -> Self {
        let mut stored = [Stored::IDENTITY; LANES];
        total.scatter(f, stored.each_mut());
        Self { point: stored[0], vanishes: total.torsion_lanes(f) & 1 == 1 }
    }
}

/// A sum without one of its parts: what the other part sums to.
pub(super) struct Difference<'a> {
    pub(super) whole: &'a Sum,
    pub(super) part: &'a Sum,
}

impl Work for Difference<'_> {
    type Output = Sum;

    #[inline(always)]
    fn run<F: Field>(self, f: F) -> Sum {
        let whole = Extended::identity(f).add(f, Extended::gather(f, [&self.whole.point; LANES]));
        let part = Extended::gather(f, [&self.part.point; LANES]);
        Sum::of(f, whole.add(f, part.negate_where(f, u8::MAX)))
    }
}

/// The widest window. Its windows must end within the 256 bits of a biased scalar, which those of 10 bits do not.
pub(super) const WIDTH_MAX: u32 = 9;
const _: () = {
    let mut width = 4;
    while width <= WIDTH_MAX {
        assert!(windows(252, width) as u32 * width <= 256);
        width += 1;
    }
};

/// Bucket sizes are told apart up to this; larger ones share a class.
const SIZE_CLASSES: usize = 512;

/// Reused from call to call.
#[derive(Default)]
pub(super) struct Scratch {
    digits: Vec<i16>,
    list: Vec<u32>,
    counts: Vec<u32>,
    order: Vec<u16>,
    next: Vec<u32>,
    /// `[bucket][window of the group]`.
    buckets: Vec<Stored>,
}

/// The width that measured best for so many signatures (two points each).
pub(super) fn width_for(signatures: usize) -> u32 {
    match signatures {
        0..40 => 4,
        40..110 => 5,
        110..260 => 6,
        260..700 => 7,
        700..2000 => 8,
        _ => 9,
    }
}

/// Windows that cover `bits` bits of a signed number.
pub(super) const fn windows(bits: u32, width: u32) -> usize {
    bits.div_ceil(width) as usize
}

/// Adds 2^(width − 1) in every window, so that each signed digit can be read on its own as an unsigned one:
/// digit = window − 2^(width − 1). The topmost window is read to the end of the number and may reach 2^width.
pub(super) fn bias(windows: usize, width: u32) -> Words {
    let mut out = [0; 4];
    for window in 0..windows {
        let bit = window * width as usize + width as usize - 1;
        out[bit / 64] |= 1 << (bit % 64);
    }
    out
}

impl Work for Msm<'_> {
    type Output = Sum;

    #[inline(always)]
    fn run<F: Field>(self, f: F) -> Sum {
        let Self { rows, scalars, long, width, scratch } = self;
        assert!(rows.len() == scalars.len() + 1 && long <= scalars.len());
        assert!((4..=WIDTH_MAX).contains(&width));
        // Long scalars are read as −L/2 ..= L/2: 252 signed bits, where L/2 = 2²⁵¹ + … makes the top digit reach
        // 2^(width−1).
        let (long_windows, short_windows) = (windows(252, width), windows(128, width));
        let (long_bias, short_bias) = (bias(long_windows, width), bias(short_windows, width));
        for s in &mut scalars[..long] {
            *s = scalar::add_words(&scalar::centred(s), &long_bias);
        }
        for s in &mut scalars[long..] {
            let sign = ((s[1] as i64) >> 63) as u64;
            *s = scalar::add_words(&[s[0], s[1], sign, sign], &short_bias);
        }

        let bucket_count = 1usize << (width - 1);
        // `weigh` leaves the buckets empty; one level more takes what idle lanes sum up.
        scratch.buckets.resize((bucket_count + 1) * LANES, Stored::IDENTITY);
        let mut total = Extended::identity(f);
        for group in (0..long_windows.div_ceil(LANES)).rev() {
            for lane in 0..LANES {
                let window = group * LANES + lane;
                if window >= long_windows {
                    continue;
                }
                // Where the short scalars end, only the long ones go on.
                let terms = if window < short_windows { scalars.len() } else { long };
                let top = |windows: usize| window + 1 == windows;
                let (long_digits, short_digits) = scalars[..terms].split_at(long);
                scratch.digits.clear();
                read_digits(long_digits, window, width, top(long_windows), &mut scratch.digits);
                read_digits(short_digits, window, width, top(short_windows), &mut scratch.digits);
                fill_window(f, rows, lane, bucket_count, scratch);
            }
            let mut sums = [Stored::IDENTITY; LANES];
            weigh(f, bucket_count, &mut scratch.buckets).scatter(f, sums.each_mut());
            for lane in (0..LANES).rev() {
                if group * LANES + lane >= long_windows {
                    continue;
                }
                if group * LANES + lane + 1 < long_windows {
                    total = total.double_times(f, width);
                }
                total = total.add(f, Extended::gather(f, [&sums[lane]; LANES]));
            }
        }
        Sum::of(f, total)
    }
}

/// One signed digit of each biased scalar.
#[inline(always)]
fn read_digits(scalars: &[Words], window: usize, width: u32, top: bool, digits: &mut Vec<i16>) {
    let bit = window * width as usize;
    let (word, shift) = (bit / 64, bit % 64);
    let next = word + 1;
    let mask = if top { u64::MAX } else { (1 << width) - 1 };
    let offset = 1i16 << (width - 1);
    if next < 4 && shift > 0 {
        digits.extend(
            scalars.iter().map(|s| ((s[word] >> shift | s[next] << (64 - shift)) & mask) as i16 - offset),
        );
    } else {
        digits.extend(scalars.iter().map(|s| ((s[word] >> shift) & mask) as i16 - offset));
    }
}

/// Sums the terms of one window by digit and leaves the sums as lane `lane` of the buckets.
#[inline(always)]
fn fill_window<F: Field>(f: F, rows: &[Row], lane: usize, bucket_count: usize, scratch: &mut Scratch) {
    let Scratch { digits, list, counts, order, next, buckets } = scratch;
    // How many terms each bucket gets; number 0 counts the zero digits, which go nowhere.
    counts.clear();
    counts.resize(bucket_count + 1, 0);
    for digit in digits.iter() {
        counts[usize::from(digit.unsigned_abs())] += 1;
    }
    by_falling_size(&counts[1..], order);

    // Eight buckets to a group; their lists interleaved.
    next.clear();
    next.resize(bucket_count + 1, 0);
    let mut end = 0;
    for group in order.chunks(LANES) {
        let longest = group.iter().map(|b| counts[usize::from(*b)]).max().unwrap_or(0);
        for (i, b) in group.iter().enumerate() {
            next[usize::from(*b)] = end + i as u32;
        }
        end += longest * LANES as u32;
    }
    list.clear();
    list.resize(end as usize, 0);
    for (i, digit) in digits.iter().enumerate() {
        let b = usize::from(digit.unsigned_abs());
        if b != 0 {
            let at = &mut next[b];
            list[*at as usize] = (i as u32 + 1) << 1 | u32::from(*digit < 0);
            *at += LANES as u32;
        }
    }

    let mut start = 0;
    for group in order.chunks(LANES) {
        let longest = group.iter().map(|b| counts[usize::from(*b)]).max().unwrap_or(0) as usize;
        let sums = sum_lists(f, rows, &list[start..start + longest * LANES]);
        start += longest * LANES;
        // Idle lanes have summed identities only; their places are behind the last bucket.
        let mut places = [0; LANES];
        for (i, place) in places.iter_mut().enumerate() {
            *place = match group.get(i) {
                Some(b) => (usize::from(*b) - 1) * LANES + lane,
                None => bucket_count * LANES + i,
            };
        }
        sums.scatter(f, buckets.get_disjoint_mut(places).expect("buckets of a group differ and exist"));
    }
}

/// The numbers (from 1) of the buckets that are not empty, large ones first: a counting sort by size.
#[inline(always)]
fn by_falling_size(counts: &[u32], order: &mut Vec<u16>) {
    let class = |count: u32| SIZE_CLASSES - (count as usize).min(SIZE_CLASSES);
    let mut starts = [0u16; SIZE_CLASSES + 1];
    for count in counts {
        starts[class(*count)] += 1;
    }
    let mut sum = 0;
    for start in &mut starts {
        (*start, sum) = (sum, sum + *start);
    }
    order.clear();
    order.resize(counts.len(), 0);
    for (b, count) in counts.iter().enumerate() {
        let at = &mut starts[class(*count)];
        order[usize::from(*at)] = b as u16 + 1;
        *at += 1;
    }
    let empty = counts.iter().filter(|count| **count == 0).count();
    order.truncate(counts.len() - empty);
}

/// Sums eight interleaved lists of terms.
#[inline(always)]
fn sum_lists<F: Field>(f: F, rows: &[Row], list: &[u32]) -> Extended<F> {
    const AHEAD: usize = 2;
    let (steps, _) = list.as_chunks::<LANES>();
    let Some((first, rest)) = steps.split_first() else { return Extended::identity(f) };
    let (point, negative) = term(f, rows, first);
    let mut sum = Extended::from_niels(f, point).negate_where(f, negative);
    for (i, step) in rest.iter().enumerate() {
        if let Some(later) = rest.get(i + AHEAD) {
            for entry in later {
                f.prefetch(&rows[(entry >> 1) as usize]);
            }
        }
        let (point, negative) = term(f, rows, step);
        sum = sum.add_niels(f, point.negate_where(f, negative));
    }
    sum
}

/// The points that a step of the interleaved lists names, and the lanes in which they are subtracted.
#[inline(always)]
fn term<F: Field>(f: F, rows: &[Row], step: &[u32; LANES]) -> (Niels<F>, u8) {
    let mut from = [&rows[0]; LANES];
    let mut negative = 0;
    for (l, entry) in step.iter().enumerate() {
        from[l] = &rows[(entry >> 1) as usize];
        negative |= ((entry & 1) as u8) << l;
    }
    (Niels::gather(f, from), negative)
}

/// Σ b·Bucket[b] in every lane, by summing suffix sums. Leaves the buckets empty.
#[inline(always)]
fn weigh<F: Field>(f: F, bucket_count: usize, buckets: &mut [Stored]) -> Extended<F> {
    let (mut suffix, mut sum) = (Extended::identity(f), Extended::identity(f));
    let (levels, _) = buckets.as_chunks_mut::<LANES>();
    for level in levels[..bucket_count].iter_mut().rev() {
        suffix = suffix.add(f, Extended::gather(f, level.each_ref()));
        sum = sum.add(f, suffix);
        *level = [Stored::IDENTITY; LANES];
    }
    sum
}
