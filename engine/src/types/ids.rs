//! Small numbers that must not be confused with each other.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Digest, RULES_FIRST, RulesVersion};

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
    /// A validator: its place among those of its epoch.
    ValidatorIndex(u16)
);
id!(
    /// How many sets of validators a network has had before: 0 for that of the genesis.
    Epoch(u64)
);
id!(
    /// The number of a block. The genesis is height 0.
    Height(u64)
);
id!(
    /// The number of a batch in the stream of its author, from 1 without gaps.
    Sequence(u64)
);

/// A height and the time of its block: what execution knows of when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainTime {
    /// The height.
    pub height: Height,
    /// The time of the block, in milliseconds since 1970. It never decreases from one height to the next.
    pub time_ms: u64,
    /// The epoch of the block: whose validators have ordered it.
    pub epoch: Epoch,
    /// The rules of the epoch, by which the height is executed.
    pub rules: RulesVersion,
}

impl ChainTime {
    /// The height at this time, in epoch 0 and by the first rules.
    pub const fn new(height: Height, time_ms: u64) -> Self {
        Self { height, time_ms, epoch: Epoch(0), rules: RULES_FIRST }
    }

    /// The same in another epoch.
    #[must_use]
    pub const fn in_epoch(self, epoch: Epoch) -> Self {
        Self { epoch, ..self }
    }

    /// The same by other rules. The ledger says so: it knows which ones an epoch has.
    #[must_use]
    pub(crate) const fn by(self, rules: RulesVersion) -> Self {
        Self { rules, ..self }
    }

    /// So many seconds later, in milliseconds since 1970.
    pub fn after(self, seconds: u32) -> u64 {
        self.time_ms.saturating_add(u64::from(seconds) * 1_000)
    }
}

/// What the balances of a chain are balances of. Money moves between chains of one asset only.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asset(pub [u8; 16]);

impl Asset {
    /// The asset of the chains of a network that names no other: `UNIT`, padded with zeroes.
    pub const UNIT: Self = Self(*b"UNIT\0\0\0\0\0\0\0\0\0\0\0\0");

    /// The asset of a chain that has no money.
    pub const NONE: Self = Self([0; 16]);

    /// The name, if it has one; any 16 bytes are an asset.
    pub fn name(&self) -> Option<&str> {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(16);
        let (name, padding) = self.0.split_at(length);
        let is_name = !name.is_empty()
            && name.iter().all(u8::is_ascii_graphic)
            && padding.iter().all(|byte| *byte == 0);
        is_name.then(|| std::str::from_utf8(name).ok()).flatten()
    }
}

/// Text that names no asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an asset is a name of 1 to 16 printable ASCII characters, or 32 hexadecimal digits")]
pub struct NoAsset;

impl std::str::FromStr for Asset {
    type Err = NoAsset;

    /// A name is padded with zeroes.
    fn from_str(text: &str) -> Result<Self, NoAsset> {
        let mut bytes = [0; 16];
        match text.len() {
            1..=16 if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                bytes[..text.len()].copy_from_slice(text.as_bytes());
            }
            _ => hex::decode_to_slice(text, &mut bytes).map_err(|_| NoAsset)?,
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&hex::encode(self.0)),
        }
    }
}

impl Serialize for Asset {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Asset {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asset({self})")
    }
}

impl Height {
    /// The height after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Epoch {
    /// The epoch after this one.
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
