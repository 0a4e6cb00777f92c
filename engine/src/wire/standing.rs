//! What a validator is to its network, as far as its own journal goes.
//!
//! ```text
//! never among the members ─▶ observer ── admitted ──▶ member ── removed, or another key in its place ──▶ follower
//! ```
//!
//! Only a member takes transactions. The other two check everything and answer questions.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Reader, WireError, Writer};
use crate::types::{Epoch, Members};

/// The part of a validator in its present epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Role {
    /// It votes and takes transactions.
    Member,
    /// It was a member before.
    Follower {
        /// The first epoch of which it is no member any more.
        since_epoch: Epoch,
    },
    /// It has never been a member.
    Observer,
}

/// The present epoch of a validator, and its part in it. One whom nobody has told of its removal does not know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The epoch.
    pub epoch: Epoch,
    /// Its part.
    #[serde(flatten)]
    pub role: Role,
}

impl Standing {
    /// What a validator is taken for whose release does not say it: before there were others, all were members.
    pub const UNSAID: Self = Self { epoch: Epoch(0), role: Role::Member };

    /// The standing of the validator with this key. `epochs` are the members of all epochs, in their order.
    pub fn of<'a>(key: &[u8; 32], epochs: impl Iterator<Item = &'a Members>) -> Self {
        epochs.fold(Self { epoch: Epoch(0), role: Role::Observer }, |before, members| {
            let epoch = members.epoch;
            let role = match before.role {
                _ if members.place_of(key).is_some() => Role::Member,
                Role::Member => Role::Follower { since_epoch: epoch },
                role => role,
            };
            Self { epoch, role }
        })
    }

    /// Whether it takes transactions.
    pub fn is_member(&self) -> bool {
        self.role == Role::Member
    }

    pub(super) fn write<'a>(&self, writer: &'a mut Writer) -> &'a mut Writer {
        writer.u64(self.epoch.0);
        match self.role {
            Role::Member => writer.u8(0),
            Role::Follower { since_epoch } => writer.u8(1).u64(since_epoch.0),
            Role::Observer => writer.u8(2),
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let epoch = Epoch(reader.u64("the validator's epoch")?);
        let what = "the validator's part";
        let role = match reader.u8(what)? {
            0 => Role::Member,
            1 => Role::Follower { since_epoch: Epoch(reader.u64(what)?) },
            2 => Role::Observer,
            _ => return Err(WireError::Invalid { what, reason: "no part is numbered so" }),
        };
        Ok(Self { epoch, role })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Role::Member => f.write_str("member"),
            Role::Follower { since_epoch } => {
                write!(f, "follower: not a member any more since epoch {since_epoch}")
            }
            Role::Observer => f.write_str("observer: it is not a member, and never was"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{RULES_FIRST, member};

    #[test]
    fn who_came_left_and_came_again_is_what_it_is_now() {
        let sets: Vec<_> = [&[1, 2][..], &[1, 2, 3], &[1, 3], &[1], &[1, 2]]
            .into_iter()
            .zip(0..)
            .map(|(numbers, epoch)| Members {
                epoch: Epoch(epoch),
                rules: RULES_FIRST,
                list: numbers.iter().copied().map(member).collect(),
            })
            .collect();
        let of = |number, epochs| Standing::of(&member(number).public_key, sets.iter().take(epochs));
        let standing = |epoch, role| Standing { epoch: Epoch(epoch), role };
        let left = |since| Role::Follower { since_epoch: Epoch(since) };
        assert_eq!(of(1, 5), standing(4, Role::Member));
        assert_eq!(of(2, 1), standing(0, Role::Member));
        assert_eq!((of(2, 3), of(2, 4)), (standing(2, left(2)), standing(3, left(2))));
        assert_eq!(of(2, 5), standing(4, Role::Member));
        assert_eq!(of(3, 1), standing(0, Role::Observer));
        assert_eq!(of(3, 5), standing(4, left(3)));
        assert!(of(1, 1).is_member() && !of(3, 1).is_member() && !of(3, 5).is_member());
        let json = serde_json::to_value(of(3, 5)).unwrap();
        assert_eq!(json, serde_json::json!({ "epoch": 4, "role": "follower", "since_epoch": 3 }));
        assert_eq!(serde_json::from_value::<Standing>(json).unwrap(), of(3, 5));
    }
}
