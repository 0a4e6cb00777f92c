//! The evidence that signatures were checked.

use std::ops::Deref;

use crate::limits::SIGNATURE_BYTES;
use crate::types::{Digest, Epoch, Head, Height, Transaction, ValidatorIndex};
use crate::wire::{Batch, BatchSection};

/// A value whose every signature this process has checked. Only the [`Verifier`](super::Verifier) makes one: the field
/// is private and there is no `Deserialize`. Recovery earns it again, or takes it from a finalized cut
/// (`committed`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(super) fn new(value: T) -> Self {
        Self(value)
    }

    /// Evidence without a check, for tests of the rooms behind this one.
    #[cfg(test)]
    pub(crate) fn assumed(value: T) -> Self {
        Self(value)
    }

    /// The value, without the evidence.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl Verified<Batch> {
    /// Seals transactions that are each verified by the accounts of a height at or below `as_of`, ascending by chain:
    /// the batch is verified, too.
    ///
    /// # Panics
    /// The transactions do not ascend by chain, or do not have 1 to
    /// [`BATCH_PACKETS_MAX`](crate::limits::BATCH_PACKETS_MAX) packets.
    pub fn seal(
        network: &Digest,
        of: (Epoch, ValidatorIndex),
        previous: &Head,
        as_of: Height,
        transactions: &[&Verified<Transaction>],
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES],
    ) -> Self {
        assert!(
            transactions.is_sorted_by_key(|transaction| transaction.chain()),
            "transactions ascend by chain"
        );
        let sections: Vec<BatchSection> = transactions
            .chunk_by(|a, b| a.chain() == b.chain())
            .map(|of_chain| {
                let packets = of_chain.iter().map(|transaction| transaction.run().packets().len() as u32);
                BatchSection { chain: of_chain[0].chain(), packets: packets.sum() }
            })
            .collect();
        let packets = transactions.iter().flat_map(|transaction| transaction.run().packets());
        Self(Batch::seal(network, of, previous, as_of, &sections, packets, sign))
    }

    /// The evidence for a batch whose digest a *finalized* cut names: f+1 honest validators checked its signatures
    /// before they voted, so only the body is compared with the digest. For recovery, which follows the digests of a
    /// cut.
    pub(crate) fn committed(batch: Batch) -> Option<Self> {
        batch.body_matches().then_some(Self(batch))
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
