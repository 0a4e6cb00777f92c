//! Whose log it is: copies of another one are told apart, however they came into its place.

use std::fmt;

/// What a validator keeps in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Batches and blocks.
    Journal,
    /// What it has voted for.
    Votes,
}

/// The owner of a log: one log of one validator of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The network id.
    pub network: [u8; 32],
    /// The validator's public key.
    pub validator: [u8; 32],
    /// Which of its logs it is.
    pub role: Role,
}

impl Role {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Journal => 1,
            Self::Votes => 2,
        }
    }

    pub(super) fn of(code: u8) -> Option<Self> {
        [Self::Journal, Self::Votes].into_iter().find(|role| role.code() == code)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Journal => "journal",
            Self::Votes => "log of votes",
        })
    }
}

impl Owner {
    /// How it differs from another owner, in words; empty where it does not.
    pub(super) fn difference(&self, expected: &Self) -> String {
        if self.network != expected.network {
            let [found, expected] = [self.network, expected.network].map(hex::encode);
            return format!("belongs to another network: expected {expected}, found {found}");
        }
        if self.role != expected.role {
            return format!("holds the {} of a validator, where its {} belongs", self.role, expected.role);
        }
        if self.validator != expected.validator {
            let [found, expected] = [self.validator, expected.validator].map(hex::encode);
            let role = self.role;
            return format!(
                "holds the {role} of another validator: expected the public key {expected}, found {found}"
            );
        }
        String::new()
    }
}
