//! Rows of a chain's table, and what the keys of rows are about.
//!
//! ```text
//! key of the ledger's own = 16 zero bytes | tag (1) | ..        1 record of an account   0 (7) | account (8)
//! any other key           = a fingerprint, or a proposal        2 old key                0 (3) | version (4) | account (8)
//!                           (numbers in keys are big-endian)    5 administrators         0 (15)
//!                                                               6 charter                0 (15)
//!                                                               7 reservation            0 (3) | account (4) | nonce (8)
//!                                                               8 member                 0 (13) | place (2)
//!                                                               9 members                0 (15)
//! ```

use alloc::vec::Vec;

use crate::codec::FormError;
use crate::{Digest, ProofError};

/// Bytes of the value of any row.
pub const ROW_VALUE_BYTES_MAX: usize = 576;

/// The key of the row in which a chain says what it is. No fingerprint has it.
pub const CHARTER_KEY: Digest = own_key(CHARTER);
/// The key of the row in which the chain that decides says who does. No proposal has it.
pub const ADMINISTRATORS_KEY: Digest = own_key(ADMINISTRATORS);

/// The key of the row in which the chain that decides says which members were decided last. No proposal has it.
pub const MEMBERS_KEY: Digest = own_key(MEMBERS);

/// The key of the row of the member at a place of the set that was decided last.
#[must_use]
pub fn member_key(place: u16) -> Digest {
    let mut key = own_key(MEMBER);
    let (_, end) = key.split_at_mut(30);
    end.copy_from_slice(&place.to_be_bytes());
    key
}

const ZEROS: usize = 16;
const RECORD: u8 = 1;
const OLD_KEY: u8 = 2;
const ADMINISTRATORS: u8 = 5;
const CHARTER: u8 = 6;
const RESERVATION: u8 = 7;
const MEMBER: u8 = 8;
const MEMBERS: u8 = 9;
const NONE: Digest = [0; 32];

const fn own_key(tag: u8) -> Digest {
    let mut key = [0; 32];
    key[ZEROS] = tag;
    key
}

/// A row as its leaf has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: Digest,
    /// The next higher key of the table, or zeros.
    pub next: Digest,
    /// What it says of its key.
    pub value: Vec<u8>,
}

impl Row {
    /// The leaf.
    pub(crate) fn leaf(&self) -> Vec<u8> {
        [&self.key[..], &self.next, &self.value].concat()
    }

    /// What the table says of a key: the value of its row, or `None` where this row shows that there is none.
    ///
    /// # Errors
    /// [`ProofError::OtherRow`]: this row says nothing of it. Or what `decode` finds wrong.
    pub(crate) fn says<T>(
        &self,
        key: &Digest,
        decode: impl FnOnce(&[u8]) -> Result<T, FormError>,
    ) -> Result<Option<T>, ProofError> {
        if self.key == *key {
            return Ok(Some(decode(&self.value)?));
        }
        match self.key < *key && (*key < self.next || self.next == NONE) {
            true => Ok(None),
            false => Err(ProofError::OtherRow),
        }
    }
}

/// Whether a key of the table begins with 16 zero bytes. Such rows are the ledger's own, and no fingerprint and no
/// proposal has such a key.
pub(crate) fn is_reserved(key: &Digest) -> bool {
    key[..ZEROS] == [0; ZEROS]
}

/// What a key of the table is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// What the chain keeps of an account beside its leaf.
    Record(u64),
    /// A key that the account had, with its version.
    OldKey(u64, u32),
    /// Who decides.
    Administrators,
    /// What the chain is.
    Charter,
    /// What an account has set aside, with the nonce that names it.
    Reservation(u32, u64),
    /// Who is at a place of the members that were decided last.
    Member(u16),
    /// Which members were decided last.
    Members,
    /// A fingerprint, or a proposal: what the chain's kind has.
    Named,
}

impl Subject {
    /// `None` for a key of the ledger's own of which no proof speaks.
    pub(crate) fn of(key: &Digest) -> Option<Self> {
        if !is_reserved(key) {
            return Some(Self::Named);
        }
        let version = u32::from_be_bytes(*key[20..].first_chunk()?);
        let last = u64::from_be_bytes(*key.last_chunk()?);
        Some(match (key[ZEROS], &key[ZEROS + 1..20], version) {
            (RECORD, [0, 0, 0], 0) => Self::Record(last),
            (OLD_KEY, [0, 0, 0], version) => Self::OldKey(last, version),
            (RESERVATION, [0, 0, 0], payer) => Self::Reservation(payer, last),
            _ if *key == ADMINISTRATORS_KEY => Self::Administrators,
            _ if *key == CHARTER_KEY => Self::Charter,
            _ if *key == MEMBERS_KEY => Self::Members,
            _ if *key == member_key(last as u16) => Self::Member(last as u16),
            _ => return None,
        })
    }
}
