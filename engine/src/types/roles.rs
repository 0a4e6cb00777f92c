//! What a chain lets its accounts do: who orders what, how long changes wait, how much of a block it may take.

use serde::{Deserialize, Serialize};

use super::genesis::ChainKind;
use super::{AccountId, Asset};
use crate::limits::{
    ACCOUNTS_MAX, BLOCK_PACKET_BYTES_MAX, LOCK_WINDOW_SECONDS_MAX, PACKET_BYTES, QUOTA_BYTES_MIN, ROWS_MAX,
};

/// The holder of a role that nobody holds, in the encoding.
const NOBODY: AccountId = AccountId(u64::MAX);
/// The registrar of a chain where any account opens others, in the encoding.
const ANYONE: AccountId = AccountId(u64::MAX - 1);

/// Who may order what on a chain. A role that nobody holds cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// The account that issues and burns.
    pub issuer: Option<AccountId>,
    /// How much more may be issued than is burned; 0 without an issuer.
    pub issuance_cap: u64,
    /// The account that freezes and unfreezes.
    pub freezer: Option<AccountId>,
    /// Who opens accounts.
    pub registrar: Registrar,
    /// How many accounts the chain may have in all; 0 where nobody opens any.
    pub accounts_cap: u64,
    /// How many attestations the chain may have in all; 0 where its kind has none.
    pub attestations_cap: u64,
    /// How long a change of an account can be cancelled.
    pub windows: LockWindows,
    /// How much of a block its transactions may take.
    pub quota: Quota,
}

/// How many bytes of transactions of a chain one block may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quota(pub u32);

impl Quota {
    /// A whole block: no other limit than that of blocks.
    pub const WHOLE: Self = Self(BLOCK_PACKET_BYTES_MAX as u32);
    /// The lowest one: the largest envelope fits.
    pub const LEAST: Self = Self(QUOTA_BYTES_MIN as u32);

    /// Whether it is one: from [`Self::LEAST`] to [`Self::WHOLE`].
    pub fn is_valid(self) -> bool {
        (Self::LEAST..=Self::WHOLE).contains(&self)
    }

    /// How many whole packets that is.
    pub fn packets(self) -> usize {
        self.0 as usize / PACKET_BYTES
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self::WHOLE
    }
}

/// How long changes of an account wait before they take effect, in seconds of the chain's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockWindows {
    /// A key that the account's own key asks for, and closing; at least 1.
    pub rekey_seconds: u32,
    /// A key that a recovery key or guardians ask for, and other safeguards; longer than the other window, at most
    /// [`LOCK_WINDOW_SECONDS_MAX`].
    pub recovery_seconds: u32,
}

impl Default for LockWindows {
    /// A day and a week.
    fn default() -> Self {
        Self { rekey_seconds: 24 * 3_600, recovery_seconds: 7 * 24 * 3_600 }
    }
}

impl LockWindows {
    /// Whether the longer window is the longer one, and neither is too short or too long.
    pub fn are_valid(self) -> bool {
        self.rekey_seconds > 0
            && self.rekey_seconds < self.recovery_seconds
            && self.recovery_seconds <= LOCK_WINDOW_SECONDS_MAX
    }
}

/// Who opens accounts of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registrar {
    /// Nobody.
    #[default]
    Nobody,
    /// This account.
    Account(AccountId),
    /// Any account of the chain.
    Anyone,
}

impl Roles {
    /// Bytes of their encoding.
    pub const BYTES: usize = 6 * 8 + 3 * 4;

    /// The bytes in a genesis, in a decision and in the row of a chain.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let registrar = match self.registrar {
            Registrar::Nobody => NOBODY,
            Registrar::Anyone => ANYONE,
            Registrar::Account(account) => account,
        };
        let LockWindows { rekey_seconds, recovery_seconds } = self.windows;
        let windows = u64::from(rekey_seconds) | u64::from(recovery_seconds) << 32;
        let holder = |of: Option<AccountId>| of.unwrap_or(NOBODY).0;
        let (issuer, freezer) = (holder(self.issuer), holder(self.freezer));
        let caps = [self.accounts_cap, self.attestations_cap];
        let fields = [issuer, self.issuance_cap, freezer, registrar.0, caps[0], caps[1], windows];
        let mut bytes = [0; Self::BYTES];
        for (place, field) in bytes.as_chunks_mut().0.iter_mut().zip(fields) {
            *place = field.to_le_bytes();
        }
        *bytes.last_chunk_mut().expect("longer than the last field") = self.quota.0.to_le_bytes();
        bytes
    }

    /// The inverse of [`Self::encode`]. All bytes are roles, if not those of a chain.
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let field = |at: usize| u64::from_le_bytes(bytes.as_chunks().0[at]);
        let holder = |at: usize| Some(AccountId(field(at))).filter(|account| *account != NOBODY);
        Self {
            issuer: holder(0),
            issuance_cap: field(1),
            freezer: holder(2),
            registrar: match AccountId(field(3)) {
                NOBODY => Registrar::Nobody,
                ANYONE => Registrar::Anyone,
                account => Registrar::Account(account),
            },
            accounts_cap: field(4),
            attestations_cap: field(5),
            windows: LockWindows {
                rekey_seconds: field(6) as u32,
                recovery_seconds: (field(6) >> 32) as u32,
            },
            quota: Quota(u32::from_le_bytes(*bytes.last_chunk().expect("longer than the last field"))),
        }
    }

    /// Whether an account holds any of them.
    pub fn are_held_by(&self, account: AccountId) -> bool {
        self.holders().any(|holder| holder == account)
    }

    /// The accounts that hold one.
    pub fn holders(&self) -> impl Iterator<Item = AccountId> {
        let registrar = match self.registrar {
            Registrar::Account(account) => Some(account),
            Registrar::Nobody | Registrar::Anyone => None,
        };
        [self.issuer, self.freezer, registrar].into_iter().flatten()
    }

    /// Without the roles of accounts that cannot have them, and what goes with those.
    #[must_use]
    pub fn kept(mut self, may_hold: impl Fn(AccountId) -> bool) -> Self {
        let lost = |holder: Option<AccountId>| holder.is_some_and(|account| !may_hold(account));
        if lost(self.issuer) {
            (self.issuer, self.issuance_cap) = (None, 0);
        }
        if lost(self.freezer) {
            self.freezer = None;
        }
        if let Registrar::Account(account) = self.registrar
            && lost(Some(account))
        {
            (self.registrar, self.accounts_cap) = (Registrar::Nobody, 0);
        }
        self
    }

    /// Whether a chain of this kind and asset can have them, whatever accounts it has.
    pub fn fit(&self, kind: ChainKind, asset: Asset) -> bool {
        let cap = self.attestations_cap;
        let fits_kind = match kind {
            ChainKind::Transfers => cap == 0 && asset != Asset::NONE,
            ChainKind::Attestations => (1..ROWS_MAX).contains(&cap) && self.are_without_money(asset),
            ChainKind::Governance => cap == 0 && self.are_without_money(asset),
        };
        fits_kind
            && self.issuer.is_some() == (self.issuance_cap > 0)
            && (self.registrar == Registrar::Nobody) == (self.accounts_cap == 0)
            && self.accounts_cap <= ACCOUNTS_MAX
            && self.holders().all(|account| account.0 < ACCOUNTS_MAX)
            && self.windows.are_valid()
            && self.quota.is_valid()
    }

    fn are_without_money(&self, asset: Asset) -> bool {
        asset == Asset::NONE && self.issuer.is_none()
    }
}

impl Registrar {
    /// Whether an account may open others.
    pub fn is(self, account: AccountId) -> bool {
        match self {
            Self::Nobody => false,
            Self::Account(holder) => holder == account,
            Self::Anyone => true,
        }
    }
}

/// What has been issued and burned on a chain since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuance {
    /// The sum of all that was issued.
    pub issued: u64,
    /// The sum of all that was burned.
    pub burned: u64,
}

impl Issuance {
    /// After issuing more, if that stays below a cap on what is issued and not burned.
    pub fn issue(self, amount: u64, cap: u64) -> Option<Self> {
        let issued = self.issued.checked_add(amount)?;
        let within = u128::from(issued) <= u128::from(self.burned) + u128::from(cap);
        within.then_some(Self { issued, ..self })
    }

    /// After burning, if the sum of all burns still fits.
    pub fn burn(self, amount: u64) -> Option<Self> {
        Some(Self { burned: self.burned.checked_add(amount)?, ..self })
    }

    /// Without a part of it.
    pub fn without(self, part: Self) -> Self {
        Self { issued: self.issued - part.issued, burned: self.burned - part.burned }
    }
}
