//! The evidence that signatures were checked.

use std::ops::Deref;

use crate::types::{BatchId, Transaction};
use crate::wire::Batch;

/// A value whose every signature this process has checked. Only the [`Verifier`](super::Verifier) makes one: the field is
/// private, there is no `Deserialize`, and recovery checks again.
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
    /// Seals transactions of one chain that are each verified: the batch is, too. There must be 1 to
    /// [`BATCH_TRANSACTIONS_MAX`](crate::limits::BATCH_TRANSACTIONS_MAX).
    pub fn seal<'a>(
        id: BatchId,
        transactions: impl ExactSizeIterator<Item = &'a Verified<Transaction>>,
    ) -> Self {
        let packet = |transaction: &'a Verified<Transaction>| {
            assert_eq!(transaction.chain(), id.chain, "a transaction of another chain");
            transaction.packet()
        };
        Self(Batch::seal(id, transactions.map(packet)))
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
