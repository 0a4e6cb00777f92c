//! What an authority of a chain orders, or an owner of the own account: a packet like a transfer's, signed by the
//! account that holds the role, or by that account.
//!
//! ```text
//! 0      2         4      8            12          24         32       40      48     56      64         128
//! | kind | reserved | chain | key version | reference | authority | account | value | nonce | expiry | signature |
//! kind 3  issue   the account that receives   the amount
//! kind 4  burn    the authority itself        the amount
//! kind 5  freeze  any account                 the new flags
//! kind 6  close   the account itself          0
//! kind 7  cancel  the account itself          the number of the change
//! ```

use serde::{Deserialize, Serialize};

use super::packet::{BURN_KIND, Body, CANCEL_KIND, CLOSE_KIND, FREEZE_KIND, ISSUE_KIND, sign_body};
use super::{AccountId, ChainId, Digest, Height, Packet};
use crate::limits::{BODY_BYTES, SIGNATURE_BYTES};

/// Which ways an account is frozen; both may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Frozen(u32);

impl Frozen {
    /// Open both ways.
    pub const NONE: Self = Self(0);
    /// It can neither pay nor, as an issuer, issue and burn.
    pub const DEBIT: Self = Self(1);
    /// Nothing can be paid to it.
    pub const CREDIT: Self = Self(2);
    /// Both.
    pub const BOTH: Self = Self(3);

    /// From bits: bit 0 is the debit, bit 1 the credit. Bits without a meaning are kept.
    #[inline]
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits.
    #[inline]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether nothing leaves the account.
    #[inline]
    pub fn debit(self) -> bool {
        self.0 & Self::DEBIT.0 != 0
    }

    /// Whether nothing new comes to it.
    #[inline]
    pub fn credit(self) -> bool {
        self.0 & Self::CREDIT.0 != 0
    }

    /// What to call it.
    pub fn name(self) -> &'static str {
        match (self.debit(), self.credit()) {
            (false, false) => "no",
            (true, false) => "debit",
            (false, true) => "credit",
            (true, true) => "debit and credit",
        }
    }
}

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// New money on an account. Only the issuer may.
    Issue {
        /// The account.
        to: AccountId,
        /// How much.
        amount: u64,
    },
    /// Money of the issuer's own account ceases to exist.
    Burn {
        /// How much.
        amount: u64,
    },
    /// An account is frozen so from now on, whatever it was before. Only the freezer may.
    Freeze {
        /// The account.
        account: AccountId,
        /// How.
        frozen: Frozen,
    },
    /// The account that orders closes for good when its lock window ends. It must be empty.
    Close,
    /// A change of the account that orders does not take effect.
    Cancel {
        /// The number of the change.
        change: u64,
    },
}

/// The fields of a command, without its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// The chain on which it executes.
    pub chain: ChainId,
    /// The version of the authority's key under which it is signed.
    pub key_version: u32,
    /// The authority's own reference, opaque to the ledger.
    pub reference: [u8; 12],
    /// The account that orders and signs.
    pub authority: AccountId,
    /// What it orders.
    pub action: Action,
    /// The authority's number for this command, from the same window as its transfers; used once.
    pub nonce: u64,
    /// The last height at which it may execute.
    pub expiry: Height,
}

impl Command {
    /// The 64 signed bytes.
    pub fn body(&self) -> [u8; BODY_BYTES] {
        let (kind, credit, value) = match self.action {
            Action::Issue { to, amount } => (ISSUE_KIND, to, amount),
            Action::Burn { amount } => (BURN_KIND, self.authority, amount),
            Action::Freeze { account, frozen } => (FREEZE_KIND, account, u64::from(frozen.bits())),
            Action::Close => (CLOSE_KIND, self.authority, 0),
            Action::Cancel { change } => (CANCEL_KIND, self.authority, change),
        };
        Body {
            kind,
            chain: self.chain,
            key_version: self.key_version,
            reference: self.reference,
            debit: self.authority,
            credit: credit.0,
            value,
            nonce: self.nonce,
            expiry: self.expiry,
        }
        .encode()
    }

    /// The packet, signed by `sign`, which is given the message and returns a signature.
    pub fn sign(&self, network: &Digest, sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES]) -> Packet {
        sign_body(network, &self.body(), &[], sign)
    }
}
