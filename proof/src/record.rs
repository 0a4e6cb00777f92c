//! What a chain keeps of an account beside its leaf, as the rows have it: who can give it another key, what is about to
//! change, and which keys it had.

use alloc::vec::Vec;

use kernels::ed25519::is_small_order;

use crate::Digest;
use crate::codec::{FormError, Reader};

/// Guardians of an account.
const GUARDIANS_MAX: usize = 8;

/// What a chain keeps of an account beside its leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// How many changes were begun so far; the number of the last one.
    pub changes: u64,
    /// The height from which on the account has had its present key; 0 for one that began with the account.
    pub key_since: u64,
    /// Who can give it another key when its own is lost.
    pub safeguards: Safeguards,
    /// What is about to change.
    pub pending: Option<Pending>,
    /// Which guardians want which key, ascending by guardian.
    pub approvals: Vec<Approval>,
}

/// Who can give an account another key when its own is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Safeguards {
    /// A key that is kept for that alone.
    pub recovery_key: Option<Digest>,
    /// How many guardians must approve; 0 exactly where there are none.
    pub threshold: u8,
    /// Accounts of the same chain, ascending, at most 8.
    pub guardians: Vec<u64>,
}

/// A change in its lock window: until it is due, it can be cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What changes.
    pub change: Change,
    /// Whether the recovery key or the guardians want it; otherwise the account's own key.
    pub by_recovery: bool,
    /// The height at which it was begun.
    pub begun: u64,
    /// The time of the chain's lock clock from which on it takes effect, in milliseconds since 1970.
    pub due_ms: u64,
}

/// What is about to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The account gets this key.
    Key(Digest),
    /// Its safeguards are these.
    Safeguards(Safeguards),
    /// It is closed for good, if it is empty then.
    Close,
}

/// A guardian wants an account to have a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Which guardian: its place among those of the safeguards.
    pub guardian: u8,
    /// The time of a block up to which it counts, in milliseconds since 1970.
    pub until_ms: u64,
    /// The key.
    pub key: Digest,
}

/// A key that an account had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldKey {
    /// The key.
    pub key: Digest,
    /// The height from which on the account had it; 0 for one that began with the account.
    pub since: u64,
    /// The height from which on the account had the next one.
    pub until: u64,
}

impl AccountRecord {
    /// Decodes the value of a row.
    ///
    /// # Errors
    /// [`FormError`]: it is not one record in its one form.
    pub fn decode(value: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(value);
        let changes = reader.u64("changes of the account")?;
        let key_since = reader.u64("height of the key")?;
        let safeguards = Safeguards::read(&mut reader)?;
        let pending = match reader.u8("pending change")? {
            0 => None,
            kind => Some(Pending::read(kind, &mut reader)?),
        };
        let count = usize::from(reader.u8("approvals")?);
        let count = reader.bounded("approvals", count, GUARDIANS_MAX, 1 + 8 + 32)?;
        let approval = |_| {
            Ok(Approval {
                guardian: reader.u8("guardian of an approval")?,
                until_ms: reader.u64("time of an approval")?,
                key: reader.array("key of an approval")?,
            })
        };
        let approvals = (0..count).map(approval).collect::<Result<Vec<_>, FormError>>()?;
        if !approvals.is_sorted_by(|a, b| a.guardian < b.guardian) {
            return Err(FormError::Invalid { what: "approvals", reason: "their guardians do not ascend" });
        }
        reader.finish()?;
        Ok(Self { changes, key_since, safeguards, pending, approvals })
    }
}

impl Safeguards {
    fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        let invalid = |reason| FormError::Invalid { what: "safeguards", reason };
        let [threshold, count, has_key] = reader.array("safeguards")?;
        let recovery_key = match has_key {
            0 => None,
            1 => Some(reader.array("recovery key")?),
            _ => return Err(invalid("the flag of the recovery key is neither 0 nor 1")),
        };
        if recovery_key.as_ref().is_some_and(is_small_order) {
            return Err(invalid("anybody could sign under the recovery key"));
        }
        let guardians = reader.accounts("guardians", count, GUARDIANS_MAX)?;
        if usize::from(threshold) > guardians.len() || (threshold == 0) != guardians.is_empty() {
            return Err(invalid("the threshold does not fit the number of guardians"));
        }
        Ok(Self { recovery_key, threshold, guardians })
    }
}

impl Pending {
    fn read(kind: u8, reader: &mut Reader<'_>) -> Result<Self, FormError> {
        let invalid = |reason| FormError::Invalid { what: "pending change", reason };
        let by_recovery = match reader.u8("pending change")? {
            0 => false,
            1 => true,
            _ => return Err(invalid("the flag of a recovery is neither 0 nor 1")),
        };
        let begun = reader.u64("height of the change")?;
        let due_ms = reader.u64("time of the change")?;
        let change = match kind {
            1 => Change::Key(reader.array("key of the change")?),
            2 => Change::Safeguards(Safeguards::read(reader)?),
            3 => Change::Close,
            _ => return Err(invalid("it is unknown here")),
        };
        Ok(Self { change, by_recovery, begun, due_ms })
    }
}

impl OldKey {
    /// Decodes the value of a row.
    ///
    /// # Errors
    /// [`FormError`]: it is not one key in its one form.
    pub fn decode(value: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader::new(value);
        let key = reader.array("key")?;
        let (since, until) = (reader.u64("height of the key")?, reader.u64("height of the next key")?);
        reader.finish()?;
        Ok(Self { key, since, until })
    }
}
