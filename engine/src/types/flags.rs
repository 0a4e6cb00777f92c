//! What may happen to an account: which ways it is frozen, and whether it is being closed.

use serde::{Deserialize, Serialize};

use super::{Frozen, Outcome};

/// Which ways an account is closed to money, and for good or not. A payment of its own that comes back is credited to
/// it even then.
///
/// ```text
/// bit   0 debit frozen | 1 credit frozen | 2 closing: it closes when its lock window ends | 3 closed for good
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountFlags(u32);

const FROZEN: u32 = 0b0011;
const CLOSING: u32 = 0b0100;
const CLOSED: u32 = 0b1000;

impl AccountFlags {
    /// Open both ways.
    pub const OPEN: Self = Self(0);
    /// Closed for good.
    pub const CLOSED: Self = Self(CLOSED);

    /// From the bits of a leaf. Bits without a meaning are kept.
    #[inline]
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits.
    #[inline]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Which ways it is frozen.
    #[inline]
    pub fn frozen(self) -> Frozen {
        Frozen::from_bits(self.0 & FROZEN)
    }

    /// The same account, frozen so.
    #[must_use]
    pub fn with_frozen(self, frozen: Frozen) -> Self {
        Self(self.0 & !FROZEN | frozen.bits() & FROZEN)
    }

    /// Whether it closes when its lock window ends.
    pub fn is_closing(self) -> bool {
        self.0 & CLOSING != 0
    }

    /// The same account, closing or not.
    #[must_use]
    pub fn with_closing(self, closing: bool) -> Self {
        Self(self.0 & !CLOSING | if closing { CLOSING } else { 0 })
    }

    /// Whether it is closed for good.
    pub fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// Why nothing leaves it, if nothing does.
    #[inline]
    pub fn debit(self) -> Result<(), Outcome> {
        self.way(Frozen::DEBIT, Outcome::DebitFrozen, Outcome::DebitClosed)
    }

    /// Why nothing new comes to it, if nothing does.
    #[inline]
    pub fn credit(self) -> Result<(), Outcome> {
        self.way(Frozen::CREDIT, Outcome::CreditFrozen, Outcome::CreditClosed)
    }

    #[inline]
    fn way(self, way: Frozen, frozen: Outcome, closed: Outcome) -> Result<(), Outcome> {
        match self.0 & (way.bits() | CLOSING | CLOSED) {
            0 => Ok(()),
            bits if bits & (CLOSING | CLOSED) != 0 => Err(closed),
            _ => Err(frozen),
        }
    }

    /// What to call it.
    pub fn name(self) -> &'static str {
        match (self.is_closed(), self.is_closing()) {
            (true, _) => "closed",
            (false, true) => "closing",
            (false, false) => "open",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_is_said_before_what_is_frozen() {
        let both = AccountFlags::OPEN.with_frozen(Frozen::BOTH);
        assert_eq!((both.debit(), both.credit()), (Err(Outcome::DebitFrozen), Err(Outcome::CreditFrozen)));
        let debit = both.with_frozen(Frozen::DEBIT);
        assert_eq!((debit.debit(), debit.credit()), (Err(Outcome::DebitFrozen), Ok(())));
        let closing = both.with_closing(true);
        assert_eq!(
            (closing.debit(), closing.credit()),
            (Err(Outcome::DebitClosed), Err(Outcome::CreditClosed))
        );
        assert_eq!(closing.frozen(), Frozen::BOTH);
        assert_eq!(closing.with_closing(false), both);
        assert_eq!(AccountFlags::CLOSED.credit(), Err(Outcome::CreditClosed));
        assert_eq!((closing.name(), AccountFlags::CLOSED.name(), both.name()), ("closing", "closed", "open"));
    }
}
