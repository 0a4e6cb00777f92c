//! Money that is set aside: a *reservation*, which waits to be settled, and what it waits for.
//!
//! ```text
//! row of a reservation   key 16 zero bytes | 7 | 0 (3) | account (4, big-endian) | nonce (8, big-endian)
//!     value              amount (8) | due (8) | 1 | payee (4) | settler (4)                            a payment
//!                        amount (8) | due (8) | 2 | chain (4) | price (8) | to (4) | 1 taker, or 0 (1) | taker (4)
//! ```
//!
//! The row is there for as long as the reservation is open.

use std::fmt;
use std::str::FromStr;

use super::record::{RESERVED_ZEROS, number, take};
use super::{AccountId, ChainId};

const RESERVATION_TAG: u8 = 7;

/// The highest number of an account that a reservation, or a transaction about one, can name.
pub const ACCOUNT_MAX: u64 = u32::MAX as u64;

/// Which reservation: the account that has set the money aside, and the nonce with which it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId {
    /// The account, at most [`ACCOUNT_MAX`].
    pub payer: AccountId,
    /// The nonce of its transaction. An account uses each once.
    pub nonce: u64,
}

/// What waits to be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// How much is set aside.
    pub amount: u64,
    /// The time of the [`LockClock`](super::LockClock) from which on the payer has it back.
    pub due_ms: u64,
    /// What it is for.
    pub purpose: Purpose,
}

/// What money is set aside for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A payment to an account of the same chain.
    Payment {
        /// Who receives.
        payee: AccountId,
        /// Who says how much of it is paid: payee, payer or a third account.
        settler: AccountId,
    },
    /// A swap: it is for an account whose owner pays on another chain.
    Swap(Price),
}

/// What an offer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// The other chain.
    pub chain: ChainId,
    /// How much must be paid there.
    pub amount: u64,
    /// To which account there.
    pub to: AccountId,
    /// By which account there, if not by any.
    pub taker: Option<AccountId>,
}

impl Reservation {
    /// Whom it is for, as who settles it says: who may be paid; of an offer who made it.
    pub fn payee(&self, id: ReservationId) -> AccountId {
        match self.purpose {
            Purpose::Payment { payee, .. } => payee,
            Purpose::Swap(_) => id.payer,
        }
    }
}

impl ReservationId {
    /// The lowest and the highest key of reservations in a table.
    pub const RANGE: ([u8; 32], [u8; 32]) = {
        let (mut first, mut last) = ([0; 32], [0xff; 32]);
        first[RESERVED_ZEROS] = RESERVATION_TAG;
        last[RESERVED_ZEROS] = RESERVATION_TAG;
        let mut at = 0;
        while at < RESERVED_ZEROS {
            last[at] = 0;
            at += 1;
        }
        (first, last)
    };

    /// The table's key of the reservation; `None` if no account has such a number.
    pub fn key(self) -> Option<[u8; 32]> {
        let payer = u32::try_from(self.payer.0).ok()?;
        let mut key = [0; 32];
        key[RESERVED_ZEROS] = RESERVATION_TAG;
        key[20..24].copy_from_slice(&payer.to_be_bytes());
        key[24..].copy_from_slice(&self.nonce.to_be_bytes());
        Some(key)
    }

    /// Which reservation a key of the table is about, if it is about one.
    pub fn of(key: &[u8; 32]) -> Option<Self> {
        let payer = u32::from_be_bytes(*key[20..].first_chunk()?);
        let id = Self { payer: AccountId(payer.into()), nonce: u64::from_be_bytes(*key.last_chunk()?) };
        (id.key() == Some(*key)).then_some(id)
    }
}

/// `account/nonce`.
impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.payer, self.nonce)
    }
}

/// A text that names no reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reservation is named by its account and the nonce that made it: ACCOUNT/NONCE, for example 12/3")]
pub struct NoReservation;

impl FromStr for ReservationId {
    type Err = NoReservation;

    fn from_str(text: &str) -> Result<Self, NoReservation> {
        let (payer, nonce) = text.split_once('/').ok_or(NoReservation)?;
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().map_err(|_| NoReservation),
            false => Err(NoReservation),
        };
        let payer = number(payer)?;
        (payer <= ACCOUNT_MAX)
            .then_some(Self { payer: AccountId(payer), nonce: number(nonce)? })
            .ok_or(NoReservation)
    }
}

impl Reservation {
    /// The bytes under the table's root; the picture above has the places.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(38);
        bytes.extend(self.amount.to_le_bytes());
        bytes.extend(self.due_ms.to_le_bytes());
        match &self.purpose {
            Purpose::Payment { payee, settler } => {
                bytes.push(1);
                bytes.extend([*payee, *settler].map(account_bytes).as_flattened());
            }
            Purpose::Swap(price) => {
                bytes.push(2);
                price.write(&mut bytes);
            }
        }
        bytes
    }

    /// The inverse of [`Self::encode`].
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let (amount, due_ms) = (number(bytes)?, number(bytes)?);
        let purpose = match take(bytes)? {
            [1] => Purpose::Payment { payee: account(bytes)?, settler: account(bytes)? },
            [2] => Purpose::Swap(Price::read(bytes)?),
            _ => return None,
        };
        bytes.is_empty().then_some(Self { amount, due_ms, purpose })
    }
}

impl Price {
    /// Appends the encoding: chain, amount, account, and the taker or that there is none.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.chain.0.to_le_bytes());
        bytes.extend(self.amount.to_le_bytes());
        bytes.extend(account_bytes(self.to));
        bytes.push(u8::from(self.taker.is_some()));
        bytes.extend(account_bytes(self.taker.unwrap_or(AccountId(0))));
    }

    /// Reads it from the front of bytes.
    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let chain = ChainId(u32::from_le_bytes(take(bytes)?));
        let (amount, to) = (number(bytes)?, account(bytes)?);
        let taker = match (take(bytes)?, account(bytes)?) {
            ([0], AccountId(0)) => None,
            ([1], taker) => Some(taker),
            _ => return None,
        };
        Some(Self { chain, amount, to, taker })
    }
}

/// The four bytes of an account.
///
/// # Panics
/// Its number exceeds [`ACCOUNT_MAX`].
pub(super) fn account_bytes(account: AccountId) -> [u8; 4] {
    u32::try_from(account.0).expect("accounts have 32 bits").to_le_bytes()
}

/// Reads an account from the front of bytes.
pub(super) fn account(bytes: &mut &[u8]) -> Option<AccountId> {
    take(bytes).map(|bytes| AccountId(u32::from_le_bytes(bytes).into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::OwnRow;

    fn any_account() -> impl Strategy<Value = AccountId> {
        any::<u32>().prop_map(|account| AccountId(account.into()))
    }

    pub(super) fn any_reservation() -> impl Strategy<Value = Reservation> {
        let payment =
            (any_account(), any_account()).prop_map(|(payee, settler)| Purpose::Payment { payee, settler });
        let swap = (any::<u32>(), any::<u64>(), any_account(), proptest::option::of(any_account())).prop_map(
            |(chain, amount, to, taker)| Purpose::Swap(Price { chain: ChainId(chain), amount, to, taker }),
        );
        (any::<[u64; 2]>(), prop_oneof![payment, swap]).prop_map(|([amount, due_ms], purpose)| Reservation {
            amount,
            due_ms,
            purpose,
        })
    }

    proptest! {
        #[test]
        fn a_reservation_has_one_encoding(reservation in any_reservation(), more in any::<u8>()) {
            let bytes = reservation.encode();
            prop_assert_eq!(Reservation::decode(&bytes), Some(reservation));
            prop_assert_eq!(Reservation::decode(&[&bytes[..], &[more]].concat()), None);
            prop_assert_eq!(Reservation::decode(&bytes[..bytes.len() - 1]), None);
        }

        #[test]
        fn bytes_that_are_a_reservation_are_its_encoding(
            mut bytes in proptest::collection::vec(0..3_u8, 25..40), purpose in 0..4_u8,
        ) {
            bytes[16] = purpose;
            if let Some(reservation) = Reservation::decode(&bytes) {
                prop_assert_eq!(reservation.encode(), bytes);
            }
        }

        #[test]
        fn a_key_leads_back_to_its_reservation(payer in any_account(), nonce in any::<u64>(), other in any::<[u8; 32]>()) {
            let id = ReservationId { payer, nonce };
            let key = id.key().unwrap();
            prop_assert_eq!(ReservationId::of(&key), Some(id));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(OwnRow::of(&key), None);
            prop_assert!((ReservationId::RANGE.0..=ReservationId::RANGE.1).contains(&key));
            prop_assert!(ReservationId::of(&other).is_none_or(|id| id.key() == Some(other)));
        }
    }

    #[test]
    fn accounts_that_no_chain_has_are_no_payers() {
        assert_eq!(ReservationId { payer: AccountId(ACCOUNT_MAX + 1), nonce: 0 }.key(), None);
        for text in
            ["", "/", "3", "3/", "/4", "+3/4", "3/-4", "3/4/5", "4294967296/0", "3/18446744073709551616"]
        {
            assert_eq!(text.parse::<ReservationId>(), Err(NoReservation), "{text:?}");
        }
    }
}
