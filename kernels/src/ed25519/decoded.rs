//! Public keys decoded once and kept: a batch over them decompresses only its `R`s.

use super::{
    Backend, Item, PublicKey, Signature, decompress::Decompress, field::Row, point::IDENTITY_ROW,
    verify_items,
};

/// A public key beside the point that it encodes; one that encodes none is remembered as invalid.
///
/// 256 bytes and aligned to two cache lines, since a batch reads the point in two loads.
#[derive(Clone, Debug)]
pub struct DecodedKey {
    row: Row,
    encoded: PublicKey,
    valid: bool,
}

impl DecodedKey {
    /// Decodes one key. [`DecodedKey::many`] takes an eighth of the time for each of many.
    #[must_use]
    pub fn new(key: &PublicKey) -> Self {
        let [decoded] = Self::many(std::slice::from_ref(key)).try_into().expect("one key gives one");
        decoded
    }

    /// Decodes many keys.
    #[must_use]
    pub fn many(keys: &[PublicKey]) -> Vec<Self> {
        let encodings: Vec<&PublicKey> = keys.iter().collect();
        let mut rows = vec![IDENTITY_ROW; keys.len()];
        let mut valid = vec![false; keys.len()];
        Backend::best().run(Decompress { encodings: &encodings, rows: &mut rows, valid: &mut valid });
        keys.iter()
            .zip(rows.into_iter().zip(valid))
            .map(|(key, (row, valid))| Self { row, encoded: *key, valid })
            .collect()
    }

    /// Whether the bytes encode a point, so that signatures by this key can be good.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.valid
    }

    /// The bytes, as they came.
    #[must_use]
    pub fn encoded(&self) -> &PublicKey {
        &self.encoded
    }

    pub(super) fn row(&self) -> &Row {
        &self.row
    }
}

/// One signature to check, by a decoded key.
#[derive(Clone, Copy, Debug)]
pub struct DecodedEntry<'a> {
    /// The signer's key.
    pub key: &'a DecodedKey,
    /// The signed bytes, exactly.
    pub message: &'a [u8],
    /// `R ‖ s`.
    pub signature: &'a Signature,
}

/// [`super::verify_batch`] over decoded keys: the same verdicts for a fifth to a quarter less work.
///
/// # Panics
///
/// If `entries` and `verdicts` differ in length.
pub fn verify_batch_decoded(entries: &[DecodedEntry<'_>], seed: [u8; 32], verdicts: &mut [bool]) {
    verify_batch_decoded_on(Backend::best(), entries, seed, verdicts);
}

/// [`verify_batch_decoded`] on a chosen backend.
///
/// # Panics
///
/// If `entries` and `verdicts` differ in length.
pub fn verify_batch_decoded_on(
    backend: Backend,
    entries: &[DecodedEntry<'_>],
    seed: [u8; 32],
    verdicts: &mut [bool],
) {
    let items: Vec<_> = entries.iter().map(Item::from).collect();
    verify_items(backend, &items, seed, verdicts);
}
