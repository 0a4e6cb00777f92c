//! Small numbers that must not be confused with each other.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Digest;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($number:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        #[repr(transparent)]
        pub struct $name(pub $number);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A chain of the network, as its genesis numbers it.
    ChainId(u32)
);
id!(
    /// An account of a chain: dense, assigned by the chain from 0.
    AccountId(u64)
);
id!(
    /// A validator: its place in the genesis.
    ValidatorIndex(u16)
);
id!(
    /// The number of a block. The genesis is height 0.
    Height(u64)
);
id!(
    /// The number of a batch in the stream of its author, from 1 without gaps.
    Sequence(u64)
);

impl Height {
    /// The height after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Sequence {
    /// The sequence after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The place of a batch: its author's stream and its number there. Two batches of a dishonest author may share a place;
/// a digest tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BatchId {
    /// The validator that sealed it.
    pub author: ValidatorIndex,
    /// Its number in the author's stream.
    pub sequence: Sequence,
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "author {} sequence {}", self.author, self.sequence)
    }
}

/// A batch with everything before it in its stream: each batch names the digest of the one before, so a head names a
/// whole prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Head {
    /// The number of the last batch of the prefix; 0 for an empty prefix.
    pub sequence: Sequence,
    /// Its digest; zero for an empty prefix.
    pub digest: Digest,
}

impl Head {
    /// The empty prefix, before the first batch of a stream.
    pub const NONE: Self = Self { sequence: Sequence(0), digest: Digest([0; 32]) };

    /// Whether the prefix is empty.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.sequence.0 == 0
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sequence {} ({:.16})", self.sequence, self.digest)
    }
}
