//! From encodings to points, sixteen at a time: two vectors side by side hide the latency of a long chain of squarings.
//!
//! x = ±√(u/v) with u = y² − 1 and v = dy² + 1, as u·v³·(u·v⁷)^((p−5)/8), times √−1 where that misses. Accepts what
//! ZIP-215 accepts: y at or above p, and a sign bit beside x = 0.

use super::{
    field::{Field, LANES, LIMB_MASK, LaneLimbs, Limbs, Row, Work},
    point::{D, IDENTITY_ROW, Niels, ONE},
    power::pow_p58,
};

/// √−1.
pub(super) const SQRT_M1: Limbs =
    [0x61b274a0ea0b0, 0xd5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d];
/// The encoding of the identity, which fills empty lanes.
pub(super) const IDENTITY: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

/// Vectors worked on side by side.
const WIDE: usize = 2;

/// Decodes `encodings` into Niels rows, and says of each whether it is a point; rows of others hold the identity.
pub(super) struct Decompress<'a> {
    pub(super) encodings: &'a [&'a [u8; 32]],
    pub(super) rows: &'a mut [Row],
    pub(super) valid: &'a mut [bool],
}

impl Work for Decompress<'_> {
    type Output = ();

    #[inline(always)]
    fn run<F: Field>(self, f: F) {
        assert!(self.encodings.len() == self.rows.len() && self.rows.len() == self.valid.len());
        const { assert!(F::LIVE == LANES, "points go to every lane") };
        const STEP: usize = WIDE * LANES;
        let chunks =
            self.encodings.chunks(STEP).zip(self.rows.chunks_mut(STEP)).zip(self.valid.chunks_mut(STEP));
        for ((encodings, rows), valid) in chunks {
            let mut padded = [[&IDENTITY; LANES]; WIDE];
            padded.as_flattened_mut()[..encodings.len()].copy_from_slice(encodings);
            let (points, good) = decompress(f, &padded);
            for (i, point) in points.into_iter().enumerate() {
                let here = (i * LANES).min(rows.len())..rows.len().min((i + 1) * LANES);
                let (rows, valid) = (&mut rows[here.clone()], &mut valid[here]);
                if let Ok(whole) = <&mut [Row; LANES]>::try_from(&mut *rows) {
                    point.scatter(f, whole.each_mut());
                } else {
                    let mut block = [IDENTITY_ROW; LANES];
                    point.scatter(f, block.each_mut());
                    rows.copy_from_slice(&block[..rows.len()]);
                }
                for (l, (row, valid)) in rows.iter_mut().zip(valid).enumerate() {
                    *valid = good[i] >> l & 1 == 1;
                    if !*valid {
                        *row = IDENTITY_ROW;
                    }
                }
            }
        }
    }
}

/// y as limbs, and the sign bits.
#[inline(always)]
fn unpack<F: Field>(f: F, encodings: &[&[u8; 32]]) -> (F::Fe, u8) {
    let mut limbs: LaneLimbs = [[0; LANES]; 5];
    let mut signs = 0;
    for (l, bytes) in encodings.iter().enumerate() {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*chunk);
        }
        limbs[0][l] = words[0] & LIMB_MASK;
        limbs[1][l] = (words[0] >> 51 | words[1] << 13) & LIMB_MASK;
        limbs[2][l] = (words[1] >> 38 | words[2] << 26) & LIMB_MASK;
        limbs[3][l] = (words[2] >> 25 | words[3] << 39) & LIMB_MASK;
        limbs[4][l] = (words[3] >> 12) & LIMB_MASK;
        signs |= ((words[3] >> 63) as u8) << l;
    }
    (f.load(&limbs), signs)
}

/// Decodes `N` vectors of encodings, and says which lanes of each are points.
#[inline(always)]
pub(super) fn decompress<F: Field, const N: usize>(
    f: F,
    encodings: &[[&[u8; 32]; LANES]; N],
) -> ([Niels<F>; N], [u8; N]) {
    let one = f.splat(&ONE);
    let (mut ys, mut signs, mut us, mut vs, mut bases, mut roots) =
        ([one; N], [0; N], [one; N], [one; N], [one; N], [one; N]);
    for k in 0..N {
        (ys[k], signs[k]) = unpack(f, &encodings[k]);
        let yy = f.square(ys[k]);
        us[k] = f.sub(yy, one);
        vs[k] = f.add(f.mul(yy, f.splat(&D)), one);
        let v3 = f.mul(f.square(vs[k]), vs[k]);
        let uv3 = f.mul(us[k], v3);
        roots[k] = uv3;
        bases[k] = f.mul(uv3, f.square(f.square(vs[k])));
    }
    let powers = pow_p58(f, bases);
    let mut points = [Niels::from_affine(f, one, one); N];
    let mut valid = [0; N];
    for k in 0..N {
        let mut x = f.mul(roots[k], powers[k]);
        let vxx = f.mul(vs[k], f.square(x));
        let plus = f.zero_lanes(f.sub(vxx, us[k]));
        let minus = f.zero_lanes(f.add(vxx, us[k]));
        valid[k] = plus | minus;
        x = f.select(plus, x, f.mul(x, f.splat(&SQRT_M1)));
        let flip = f.odd_lanes(x) ^ signs[k];
        x = f.select(flip, f.sub(f.splat(&[0; 5]), x), x);
        points[k] = Niels::from_affine(f, x, ys[k]);
    }
    (points, valid)
}
