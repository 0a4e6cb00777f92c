//! Small numbers that must not be confused with each other.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// The number of a batch in the stream of one author on one chain, from 1 without gaps.
    Sequence(u64)
);

impl Height {
    /// The height after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Sequence {
    /// The sequence after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The name of a batch. The order of the fields is the order of batches in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BatchId {
    /// The chain of all its transactions.
    pub chain: ChainId,
    /// The validator that sealed it.
    pub author: ValidatorIndex,
    /// Its number in the author's stream on this chain.
    pub sequence: Sequence,
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chain {} author {} sequence {}", self.chain, self.author, self.sequence)
    }
}
