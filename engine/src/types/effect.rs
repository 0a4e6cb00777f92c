//! What takes effect on a chain by itself: at its height, or because its time is over, and not as a transaction of the
//! block.
//!
//! ```text
//! effect = 1 | proposal (32)                                             a decision of administrators
//!        | 2 | account (8) | number (8) | what (1) | 1 if it stands (1)  a change of an account
//!        | 3 | payer (8) | nonce (8) | amount (8)                        a reservation whose time is over
//! what   = 1 key, 2 safeguards, 3 closing
//! ```

use serde::{Deserialize, Serialize};

use super::{AccountId, Digest};

/// Something that takes effect on a chain without a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Effect {
    /// The chain is from now on what administrators have decided; of the chain that decides, also who they are.
    InEffect {
        /// The proposal.
        proposal: Digest,
    },
    /// The lock window of a change is over.
    Changed {
        /// The account.
        account: AccountId,
        /// Which of its changes: a number that `account cancel --change` takes.
        change: u64,
        /// What was to change.
        what: ChangeKind,
        /// Whether it is so now. What an account's own key has begun is void while the account is frozen, and an
        /// account that has received money meanwhile stays open.
        stands: bool,
    },
    /// The time of a reservation, or of an offer, is over: who had set it aside has the money back.
    Released {
        /// The account that has it back.
        payer: AccountId,
        /// The nonce that names the reservation.
        nonce: u64,
        /// How much.
        amount: u64,
    },
}

/// What of an account was to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ChangeKind {
    /// It was to get another key.
    Key = 1,
    /// Others were to be able to give it another key.
    Safeguards = 2,
    /// It was to be closed.
    Closing = 3,
}

impl Effect {
    /// Whether it is about an account.
    #[must_use]
    pub fn concerns(&self, account: AccountId) -> bool {
        match self {
            Self::InEffect { .. } => false,
            Self::Changed { account: of, .. } | Self::Released { payer: of, .. } => *of == account,
        }
    }

    /// Appends the bytes that a journal has; the picture above has the places.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::InEffect { proposal } => {
                bytes.push(1);
                bytes.extend(proposal.0);
            }
            Self::Changed { account, change, what, stands } => {
                bytes.push(2);
                bytes.extend(account.0.to_le_bytes());
                bytes.extend(change.to_le_bytes());
                bytes.extend([*what as u8, u8::from(*stands)]);
            }
            Self::Released { payer, nonce, amount } => {
                bytes.push(3);
                [payer.0, *nonce, *amount].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
            }
        }
    }

    /// How many bytes one has that begins with this byte, if any does.
    #[must_use]
    pub fn length(kind: u8) -> Option<usize> {
        Some(match kind {
            1 => 1 + 32,
            2 => 1 + 18,
            3 => 1 + 24,
            _ => return None,
        })
    }

    /// The inverse of [`Self::write`].
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, fields) = bytes.split_first()?;
        if Self::length(*kind) != Some(bytes.len()) {
            return None;
        }
        let number = |place: usize| fields.as_chunks().0.get(place).copied().map(u64::from_le_bytes);
        Some(match kind {
            1 => Self::InEffect { proposal: Digest(fields.try_into().ok()?) },
            2 => Self::Changed {
                account: AccountId(number(0)?),
                change: number(1)?,
                what: match fields[16] {
                    1 => ChangeKind::Key,
                    2 => ChangeKind::Safeguards,
                    3 => ChangeKind::Closing,
                    _ => return None,
                },
                stands: match fields[17] {
                    0 => false,
                    1 => true,
                    _ => return None,
                },
            },
            _ => Self::Released { payer: AccountId(number(0)?), nonce: number(1)?, amount: number(2)? },
        })
    }
}
