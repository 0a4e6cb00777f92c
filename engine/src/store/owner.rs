//! Whose log it is. The log of another network, of another validator, or of the other kind is refused.

use std::fmt;

/// The logs of a validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// Batches and blocks.
    Journal,
    /// What it has said in consensus.
    Votes,
}

/// The owner of a log: one log of one validator of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The network id.
    pub network: [u8; 32],
    /// The validator's public key.
    pub validator: [u8; 32],
    /// Which of its logs.
    pub log: LogKind,
}

impl LogKind {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Journal => 1,
            Self::Votes => 2,
        }
    }

    pub(super) fn of(code: u8) -> Option<Self> {
        [Self::Journal, Self::Votes].into_iter().find(|log| log.code() == code)
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Journal => "journal",
            Self::Votes => "vote log",
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
        if self.log != expected.log {
            return format!("holds the {} of a validator, where its {} belongs", self.log, expected.log);
        }
        if self.validator != expected.validator {
            let [found, expected] = [self.validator, expected.validator].map(hex::encode);
            let log = self.log;
            return format!(
                "holds the {log} of another validator: expected the public key {expected}, found {found}"
            );
        }
        String::new()
    }
}
