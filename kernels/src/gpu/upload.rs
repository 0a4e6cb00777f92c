//! What goes to the device for one batch, packed by the host.

use super::Claim;
use super::program::{BLOCK_WORDS, CLAIM_WORDS, ENCODING_WORDS, blocks};
use crate::ed25519::PublicKey;
use std::collections::BTreeMap;

/// The keys whose tables are on the device: each has a slot. Where there is no room for those of a batch, all are
/// forgotten and the batch begins anew, so every batch finds room.
#[derive(Debug)]
pub(super) struct Keys {
    slots: BTreeMap<PublicKey, u32>,
    most: usize,
}

impl Keys {
    pub(super) fn new(most: usize) -> Self {
        Self { slots: BTreeMap::new(), most }
    }

    /// The tables are gone, or may be wrong.
    pub(super) fn forget(&mut self) {
        self.slots.clear();
    }
}

/// Words that all kernels see of a batch.
pub(super) const PARAM_WORDS: usize = 8;
/// Words of a coefficient of a combination.
pub(super) const COEFFICIENT_WORDS: usize = 4;

/// How much is in a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    pub(super) claims: u32,
    /// Keys that are new.
    pub(super) keys: u32,
    /// Of new keys, then of each claim's R.
    pub(super) encodings: u32,
}

/// A packed batch.
#[derive(Debug, Default)]
pub(super) struct Upload {
    /// Claims, and behind them coefficients, if there are any.
    pub(super) claims: Vec<u32>,
    pub(super) messages: Vec<u32>,
    pub(super) encodings: Vec<u32>,
    sizes: Sizes,
    slots: u32,
}

impl Upload {
    /// Packs a batch of at most as many claims as `keys` has slots, with the coefficients of a combination.
    pub(super) fn pack(batch: &[Claim], coefficients: &[u128], keys: &mut Keys) -> Self {
        debug_assert!(batch.len() <= keys.most, "every key of a batch has a slot");
        let new = batch.iter().filter(|claim| !keys.slots.contains_key(&claim.key)).count();
        if keys.slots.len() + new > keys.most {
            keys.forget();
        }
        let total = batch.iter().map(blocks).sum::<usize>() * BLOCK_WORDS;
        let mut upload = Self {
            claims: Vec::with_capacity(batch.len() * CLAIM_WORDS + coefficients.len() * COEFFICIENT_WORDS),
            messages: Vec::with_capacity(total),
            encodings: Vec::with_capacity(2 * batch.len() * ENCODING_WORDS),
            sizes: Sizes { claims: batch.len() as u32, ..Sizes::default() },
            slots: keys.most as u32,
        };
        for claim in batch {
            let next = keys.slots.len() as u32;
            let slot = *keys.slots.entry(claim.key).or_insert_with(|| {
                upload.encoding(next, &claim.key);
                upload.sizes.keys += 1;
                next
            });
            let first = upload.messages.len() / BLOCK_WORDS;
            upload.claims.extend([slot, first as u32, blocks(claim) as u32]);
            upload.claims.extend(words(&claim.signature[32..]));
            upload.message(claim);
        }
        for claim in batch {
            upload.encoding(0, &claim.signature[..32]);
        }
        upload.sizes.encodings = upload.sizes.keys + upload.sizes.claims;
        upload.claims.extend(coefficients.iter().flat_map(|z| [0, 32, 64, 96].map(|low| (z >> low) as u32)));
        upload
    }

    pub(super) fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Whether there are coefficients.
    pub(super) fn is_weighted(&self) -> bool {
        self.claims.len() > self.sizes.claims as usize * CLAIM_WORDS
    }

    /// What all kernels see: claims, new keys, encodings, slots, claims of a group, and words that are not used.
    pub(super) fn params(&self, group: u32) -> [u32; PARAM_WORDS] {
        let Sizes { claims, keys, encodings } = self.sizes;
        [claims, keys, encodings, self.slots, group, 0, 0, 0]
    }

    fn encoding(&mut self, slot: u32, bytes: &[u8]) {
        self.encodings.push(slot);
        self.encodings.extend(words(bytes));
    }

    /// `R ‖ A ‖ M`, a one, zeros, and the number of bits as 128 bits from the highest byte on, in words as memory has
    /// them.
    fn message(&mut self, claim: &Claim) {
        let begin = self.messages.len();
        let end = begin + blocks(claim) * BLOCK_WORDS;
        self.messages.extend(words(&claim.signature[..32]));
        self.messages.extend(words(&claim.key));
        let (whole, rest) = claim.message.as_chunks::<4>();
        self.messages.extend(whole.iter().map(|word| u32::from_le_bytes(*word)));
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        last[rest.len()] = 0x80;
        self.messages.push(u32::from_le_bytes(last));
        self.messages.resize(end, 0);
        let bits = 8 * (64 + claim.message.len() as u64);
        self.messages[end - 2] = ((bits >> 32) as u32).swap_bytes();
        self.messages[end - 1] = (bits as u32).swap_bytes();
    }
}

/// Little-endian words of bytes, whose number is a multiple of four.
fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word))
}
