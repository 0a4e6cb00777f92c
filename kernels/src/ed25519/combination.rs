//! The random linear combination: `[8]( Σ zᵢRᵢ + Σ (zᵢkᵢ)Aᵢ − (Σ zᵢsᵢ)B ) = 0` with a 128-bit `zᵢ` for each entry.
//!
//! If every entry satisfies the single equation the sum does; if one does not, the sum vanishes for at most one
//! in 2¹²⁸ choices of its `z`. The factor 8 lets scalars be taken modulo L although points may have a torsion part.
//! Entries of one key share a term, since Σ (zᵢkᵢ)A = (Σ zᵢkᵢ)A.

use super::{
    Backend, DecodedKey, Item,
    decompress::Decompress,
    field::Row,
    msm::{self, Msm},
    point::{BASEPOINT_ROW, IDENTITY_ROW},
    scalar::{self, Words},
    single,
};

/// A stream of 128-bit coefficients: SHA-512 of the seed and a counter, four to a digest.
pub(super) struct Coefficients {
    seed: [u8; 32],
    counter: u64,
}

/// A coefficient: −2¹²⁷ ..= 2¹²⁷ − 1, never twice in a stream. Signed, because windows of digits are.
type Coefficient = i128;

impl Coefficients {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }

    /// The next `count` of the stream.
    fn take(&mut self, count: usize, out: &mut Vec<Coefficient>) {
        let first = self.counter;
        self.counter += count.div_ceil(4) as u64;
        let counters: Vec<[u8; 8]> = (first..self.counter).map(u64::to_le_bytes).collect();
        let messages: Vec<[&[u8]; 2]> = counters.iter().map(|counter| [&self.seed[..], counter]).collect();
        let mut digests = vec![[0; 64]; messages.len()];
        crate::sha2::sha512_each(&messages, &mut digests);
        out.clear();
        out.extend(
            digests.iter().flat_map(|d| d.as_chunks::<16>().0).map(|z| i128::from_le_bytes(*z)).take(count),
        );
    }
}

/// Memory that is reused from batch to batch.
#[derive(Default)]
pub(super) struct Scratch {
    coefficients: Vec<Coefficient>,
    digests: Vec<[u8; 64]>,
    /// Entries ordered by key.
    order: Vec<(u64, u32)>,
    rows: Vec<Row>,
    scalars: Vec<Words>,
    valid: Vec<bool>,
    msm: msm::Scratch,
}

/// |z| in words.
fn magnitude(z: Coefficient) -> [u64; 2] {
    let z = z.unsigned_abs();
    [z as u64, (z >> 64) as u64]
}

/// z·k modulo L for a 512-bit k.
fn weighted(z: Coefficient, k: &[u8; 64]) -> Words {
    let mut wide = [0; 8];
    for (word, chunk) in wide.iter_mut().zip(k.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*chunk);
    }
    let product = scalar::reduce(&scalar::multiply::<8, 2, 10>(&wide, &magnitude(z)));
    if z < 0 { scalar::negate(&product) } else { product }
}

/// Whether every encoding in `entries` is acceptable and the combined equation holds.
pub(super) fn holds(
    backend: Backend,
    entries: &[Item<'_>],
    coefficients: &mut Coefficients,
    scratch: &mut Scratch,
) -> bool {
    let Scratch { coefficients: zs, digests, order, rows, scalars, valid, msm } = scratch;
    let n = entries.len();
    coefficients.take(n, zs);

    // −Σ zs. Each product is below 2³⁸⁰ in size and a batch has at most 2¹² of them: 2³⁹² fits eight signed words.
    let mut base = [0u64; 8];
    for (entry, z) in entries.iter().zip(zs.iter()) {
        let s = scalar::words(single::s_bytes(entry.signature));
        if !scalar::is_canonical(&s) {
            return false;
        }
        let product: [u64; 6] = scalar::multiply(&s, &magnitude(*z));
        let mut wide = [0; 8];
        wide[..6].copy_from_slice(&product);
        base = if *z < 0 { scalar::add_words(&base, &wide) } else { scalar::sub_words(&base, &wide) };
    }

    let challenges: Vec<[&[u8]; 3]> =
        entries.iter().map(|e| [&single::r_bytes(e.signature)[..], &e.key[..], e.message]).collect();
    digests.clear();
    digests.resize(n, [0; 64]);
    crate::sha2::sha512_each(&challenges, digests);

    // Equal keys stand together; few keys share their first eight bytes without being equal, and those merely do not merge.
    order.clear();
    order.extend(entries.iter().enumerate().map(|(i, e)| (scalar::words(e.key)[0], i as u32)));
    order.sort_unstable();

    scalars.clear();
    scalars.push(base_scalar(base));
    let mut signers: Vec<&Item<'_>> = Vec::with_capacity(n);
    for (_, i) in order.iter() {
        let i = *i as usize;
        let term = weighted(zs[i], &digests[i]);
        match (signers.last(), scalars.last_mut()) {
            (Some(last), Some(sum)) if last.key == entries[i].key => *sum = scalar::add(sum, &term),
            _ => {
                signers.push(&entries[i]);
                scalars.push(term);
            }
        }
    }
    let long = scalars.len();
    // Where every signer is decoded, only the Rs are left to decompress.
    let decoded: Option<Vec<&Row>> = signers.iter().map(|item| item.decoded.map(DecodedKey::row)).collect();
    let mut encodings: Vec<&[u8; 32]> = Vec::with_capacity(2 * n);
    if decoded.is_none() {
        encodings.extend(signers.iter().map(|item| item.key));
    }
    for (entry, z) in entries.iter().zip(zs.iter()) {
        encodings.push(single::r_bytes(entry.signature));
        scalars.push([*z as u64, (*z >> 64) as u64, 0, 0]);
    }

    let all = scalars.len() + 1;
    if rows.len() < all {
        rows.resize(all, IDENTITY_ROW);
    }
    let rows = &mut rows[..all];
    (rows[0], rows[1]) = (IDENTITY_ROW, BASEPOINT_ROW);
    for (row, decoded) in rows[2..].iter_mut().zip(decoded.into_iter().flatten()) {
        *row = *decoded;
    }
    valid.clear();
    valid.resize(encodings.len(), false);
    let encoded = all - encodings.len();
    backend.run(Decompress { encodings: &encodings, rows: &mut rows[encoded..], valid });
    if valid.contains(&false) {
        return false;
    }
    backend.run(Msm { rows, scalars, long, width: msm::width_for(n), scratch: msm })
}

/// A signed number modulo L.
fn base_scalar(base: [u64; 8]) -> Words {
    let negative = base[7] >> 63 == 1;
    let magnitude = if negative { scalar::sub_words(&[0; 8], &base) } else { base };
    let mut wide = [0; 10];
    wide[..8].copy_from_slice(&magnitude);
    let reduced = scalar::reduce(&wide);
    if negative { scalar::negate(&reduced) } else { reduced }
}
