//! Thirty-two bytes with a meaning.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::record::RESERVED_ZEROS;

/// Why a text does not name thirty-two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHex {
    /// A character that is no digit.
    #[error("write 64 hexadecimal digits: '{}' is not one", .0.escape_debug())]
    Character(char),
    /// Too few or too many.
    #[error("write all 64 hexadecimal digits; here are {0}")]
    Length(usize),
}

impl NotHex {
    fn of(text: &str) -> Self {
        let wrong = text.chars().find(|character| !character.is_ascii_hexdigit());
        wrong.map_or(Self::Length(text.len()), Self::Character)
    }
}

macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 64];
                hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
                f.pad(str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self:.16})", stringify!($name))
            }
        }

        impl std::str::FromStr for $name {
            type Err = NotHex;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; 32];
                let decoded = hex::decode_to_slice(text, &mut bytes);
                decoded.map(|()| Self(bytes)).map_err(|_| NotHex::of(text))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }
    };
}

bytes32!(
    /// A SHA-256 digest: of a batch, a header, a tree, a genesis.
    Digest
);
bytes32!(
    /// What a client calls a transfer: the digest of network id and body, never of the signature.
    TransactionId
);
bytes32!(
    /// What identifies a document or a file: its SHA-256, or any 256 bits that its owner takes.
    Fingerprint
);

impl Fingerprint {
    /// No fingerprint; it cannot be registered.
    pub const NONE: Self = Self([0; 32]);

    /// Whether it begins with 16 zero bytes. Such keys of a chain's table are the ledger's own
    /// ([`OwnRow`](super::OwnRow)), and cannot be registered.
    pub fn is_reserved(self) -> bool {
        self.0[..RESERVED_ZEROS] == [0; RESERVED_ZEROS]
    }
}
