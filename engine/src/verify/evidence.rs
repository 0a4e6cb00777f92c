//! The evidence that signatures were checked.

use std::ops::Deref;

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

impl<T> Deref for Verified<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
