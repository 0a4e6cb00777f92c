//! The random linear combination: `[8]( Σ zᵢRᵢ + Σ (zᵢkᵢ)Aᵢ − (Σ zᵢsᵢ)B ) = 0` with a 128-bit `zᵢ` for each entry.
//!
//! If every entry satisfies the single equation the sum does; if one does not, the sum vanishes for at most one
//! in 2¹²⁸ choices of its `z`. The factor 8 lets scalars be taken modulo L although points may have a torsion part.
//! Entries of one key share a term, since Σ (zᵢkᵢ)A = (Σ zᵢkᵢ)A.
//!
//! What costs most is done once ([`Combination::prepare`]): hashing and decompression. Sums over parts of the entries
//! then share it, and their coefficients: a bound of 2⁻¹²⁸ for each part that is asked about is no worse for that. An
//! entry whose encodings are refused gets the coefficient 0, so that it is in no sum and spoils none.

use super::{
    Backend, DecodedKey, Item,
    decompress::Decompress,
    field::Row,
    msm::{self, Difference, Msm, Sum},
    point::{BASEPOINT_ROW, IDENTITY_ROW},
    scalar::{self, Words},
    single,
};
use std::ops::Range;

/// A stream of 128-bit coefficients: SHA-512 of the seed and a counter, four to a digest.
pub(super) struct Coefficients {
    seed: [u8; 32],
    counter: u64,
}

/// A coefficient: −2¹²⁷ ..= 2¹²⁷ − 1, never twice in a stream. Signed, because windows of digits are.
pub(super) type Coefficient = i128;

impl Coefficients {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }

    /// The next `count` of the stream.
    pub(super) fn take(&mut self, count: usize, out: &mut Vec<Coefficient>) {
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
    /// zᵢkᵢ of each entry.
    terms: Vec<Words>,
    acceptable: Vec<bool>,
    /// Keys that came encoded, each once, and for each entry which of them is its own.
    keys: Vec<Row>,
    key_of: Vec<u32>,
    /// Room for the other points of a combination of all, and behind it each entry's R.
    rows: Vec<Row>,
    /// The points of a combination of some.
    part: Vec<Row>,
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

/// Entries that are ready to be summed up, together or in parts.
pub(super) struct Combination<'a, 's> {
    backend: Backend,
    entries: &'a [Item<'a>],
    scratch: &'s mut Scratch,
}

impl<'a, 's> Combination<'a, 's> {
    /// Hashes and decompresses.
    pub(super) fn prepare(
        backend: Backend,
        entries: &'a [Item<'a>],
        coefficients: &mut Coefficients,
        scratch: &'s mut Scratch,
    ) -> Self {
        let Scratch {
            coefficients: zs, digests, order, terms, acceptable, keys, key_of, rows, valid, ..
        } = scratch;
        let n = entries.len();
        coefficients.take(n, zs);

        let challenges: Vec<[&[u8]; 3]> =
            entries.iter().map(|e| [&single::r_bytes(e.signature)[..], &e.key[..], e.message]).collect();
        digests.clear();
        digests.resize(n, [0; 64]);
        crate::sha2::sha512_each(&challenges, digests);

        // Equal keys stand together; few keys share their first eight bytes without being equal, and those merely do
        // not merge.
        order.clear();
        order.extend(entries.iter().enumerate().map(|(i, e)| (scalar::words(e.key)[0], i as u32)));
        order.sort_unstable();

        key_of.clear();
        key_of.resize(n, 0);
        let mut encodings: Vec<&[u8; 32]> = Vec::new();
        for i in order.iter().map(|(_, i)| *i as usize).filter(|i| entries[*i].decoded.is_none()) {
            if encodings.last() != Some(&entries[i].key) {
                encodings.push(entries[i].key);
            }
            key_of[i] = encodings.len() as u32 - 1;
        }
        let encoded = encodings.len();
        encodings.extend(entries.iter().map(|entry| single::r_bytes(entry.signature)));
        valid.clear();
        valid.resize(encodings.len(), false);
        keys.clear();
        keys.resize(encoded, IDENTITY_ROW);
        if rows.len() < 2 * n + 2 {
            rows.resize(2 * n + 2, IDENTITY_ROW);
        }
        let (keys_valid, rs_valid) = valid.split_at_mut(encoded);
        backend.run(Decompress { encodings: &encodings[..encoded], rows: keys, valid: keys_valid });
        let rs = &mut rows[n + 2..2 * n + 2];
        backend.run(Decompress { encodings: &encodings[encoded..], rows: rs, valid: rs_valid });

        acceptable.clear();
        acceptable.extend(entries.iter().enumerate().map(|(i, entry)| {
            let key = entry.decoded.map_or_else(|| keys_valid[key_of[i] as usize], DecodedKey::is_valid);
            key && rs_valid[i] && scalar::is_canonical(&scalar::words(single::s_bytes(entry.signature)))
        }));
        for (z, _) in zs.iter_mut().zip(acceptable.iter()).filter(|(_, acceptable)| !**acceptable) {
            *z = 0;
        }
        terms.clear();
        terms.extend(zs.iter().zip(digests.iter()).map(|(z, digest)| weighted(*z, digest)));
        Self { backend, entries, scratch }
    }

    /// For each entry whether its encodings are acceptable. Those of others are in no sum.
    pub(super) fn acceptable(&self) -> &[bool] {
        &self.scratch.acceptable
    }

    /// Sums up the acceptable entries of `range`: every one of them is good where the sum vanishes.
    pub(super) fn sum(&mut self, range: Range<usize>) -> Sum {
        let Self { backend, entries, scratch } = self;
        let Scratch { coefficients: zs, order, terms, keys, key_of, rows, part, scalars, msm, .. } =
            &mut **scratch;
        let n = entries.len();

        // −Σ zs. Each product is below 2³⁸⁰ in size and a batch has at most 2¹² of them: 2³⁹² fits eight signed words.
        let mut base = [0u64; 8];
        for (entry, z) in entries[range.clone()].iter().zip(&zs[range.clone()]) {
            let s = scalar::words(single::s_bytes(entry.signature));
            let product: [u64; 6] = scalar::multiply(&s, &magnitude(*z));
            let mut wide = [0; 8];
            wide[..6].copy_from_slice(&product);
            base = if *z < 0 { scalar::add_words(&base, &wide) } else { scalar::sub_words(&base, &wide) };
        }

        scalars.clear();
        scalars.push(base_scalar(base));
        let mut heads: Vec<&Row> = vec![&IDENTITY_ROW, &BASEPOINT_ROW];
        let mut last = None;
        for i in order.iter().map(|(_, i)| *i as usize).filter(|i| range.contains(i)) {
            let (key, term) = (entries[i].key, terms[i]);
            match scalars.last_mut() {
                Some(sum) if last == Some(key) => *sum = scalar::add(sum, &term),
                _ => {
                    heads.push(entries[i].decoded.map_or_else(|| &keys[key_of[i] as usize], DecodedKey::row));
                    scalars.push(term);
                }
            }
            last = Some(key);
        }
        let long = scalars.len();
        scalars.extend(zs[range.clone()].iter().map(|z| [*z as u64, (*z >> 64) as u64, 0, 0]));

        // A sum of all uses the Rs where they are.
        let rows = if range.len() == n {
            let first = n + 2 - heads.len();
            rows[first..n + 2].iter_mut().zip(heads).for_each(|(row, head)| *row = *head);
            &rows[first..2 * n + 2]
        } else {
            part.clear();
            part.extend(heads.into_iter().chain(&rows[n + 2..][range.clone()]));
            &part[..]
        };
        backend.run(Msm { rows, scalars, long, width: msm::width_for(range.len()), scratch: msm })
    }

    /// What is left of `whole` without `part`, which is in it.
    pub(super) fn without(&self, whole: &Sum, part: &Sum) -> Sum {
        self.backend.run(Difference { whole, part })
    }
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
