//! What a chain keeps of an account beside its leaf: who can give it a new key, what is about to change, and which keys
//! it had. Few accounts have any of it.
//!
//! ```text
//! row of an account    key 16 zero bytes | 1 | 0 (7) | account (8, big-endian)
//!     value            changes (8) | key since (8) | safeguards | pending | how many approvals (1) | approvals..
//!     safeguards       threshold (1) | guardians (1) | 1 with a recovery key (1) | recovery key (32)? | accounts (8)..
//!     pending          0, or: 1 key, 2 safeguards, 3 close (1) | 1 by recovery (1) | begun (8) | due (8) | what
//!     approval         place of the guardian (1) | until (8) | key (32)
//! row of an old key    key 16 zero bytes | 2 | 0 (3) | version (4, big-endian) | account (8, big-endian)
//!     value            key (32) | since (8) | until (8)
//! row of the clock     key 16 zero bytes | 3 | 0 (15)
//!     value            time by which lock windows end (8) | time of the block (8)
//! ```
//!
//! A key of the table that begins with 16 zero bytes is the ledger's own: no fingerprint has such a one.

use kernels::ed25519::is_small_order;

use super::{AccountId, ChangeKind, Height};
use crate::limits::{GUARDIANS_MAX, LOCK_STEP_MS, PUBLIC_KEY_BYTES, ROW_VALUE_BYTES_MAX};

/// Bytes of the zeros before each key of the ledger's own.
pub(super) const RESERVED_ZEROS: usize = 16;
const RECORD_TAG: u8 = 1;
const OLD_KEY_TAG: u8 = 2;
const CLOCK_TAG: u8 = 3;

/// The table's key of the [`LockClock`].
pub const CLOCK_KEY: [u8; 32] = {
    let mut key = [0; 32];
    key[RESERVED_ZEROS] = CLOCK_TAG;
    key
};

const SAFEGUARDS_BYTES_MAX: usize = 3 + PUBLIC_KEY_BYTES + GUARDIANS_MAX * 8;
const APPROVAL_BYTES: usize = 1 + 8 + PUBLIC_KEY_BYTES;
const _: () = assert!(
    16 + SAFEGUARDS_BYTES_MAX + 18 + SAFEGUARDS_BYTES_MAX + 1 + GUARDIANS_MAX * APPROVAL_BYTES
        <= ROW_VALUE_BYTES_MAX
);

/// The table's key of the record of an account.
pub fn record_key(account: AccountId) -> [u8; 32] {
    own_key(RECORD_TAG, 0, account)
}

/// The table's key of a key that an account had.
pub fn old_key_key(account: AccountId, version: u32) -> [u8; 32] {
    own_key(OLD_KEY_TAG, version, account)
}

pub(super) const fn own_key(tag: u8, version: u32, account: AccountId) -> [u8; 32] {
    let mut key = [0; 32];
    key[RESERVED_ZEROS] = tag;
    let (version, account) = (version.to_be_bytes(), account.0.to_be_bytes());
    let (_, end) = key.split_at_mut(20);
    let (of_version, of_account) = end.split_at_mut(4);
    of_version.copy_from_slice(&version);
    of_account.copy_from_slice(&account);
    key
}

/// What a row of the ledger's own is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnRow {
    /// The record of an account.
    Record(AccountId),
    /// A key that an account had, with its version.
    OldKey(AccountId, u32),
}

impl OwnRow {
    /// What a key of the table is about, if it is one of those.
    pub fn of(key: &[u8; 32]) -> Option<Self> {
        let version = u32::from_be_bytes(*key[20..].first_chunk()?);
        let account = AccountId(u64::from_be_bytes(*key.last_chunk()?));
        let row = match key[RESERVED_ZEROS] {
            RECORD_TAG => Self::Record(account),
            OLD_KEY_TAG => Self::OldKey(account, version),
            _ => return None,
        };
        (row.key() == *key).then_some(row)
    }

    fn key(self) -> [u8; 32] {
        match self {
            Self::Record(account) => record_key(account),
            Self::OldKey(account, version) => old_key_key(account, version),
        }
    }
}

/// Who can give an account a new key when its own is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Safeguards {
    /// A key that is kept for that alone.
    pub recovery_key: Option<[u8; PUBLIC_KEY_BYTES]>,
    /// How many guardians must approve; 0 exactly where there are none.
    pub threshold: u8,
    /// Accounts of the same chain, ascending, at most [`GUARDIANS_MAX`].
    pub guardians: Vec<AccountId>,
}

impl Safeguards {
    /// Whether nobody can.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it is one: guardians ascend, as many as must approve can, and under the recovery key a signature shows
    /// something.
    pub fn is_valid(&self) -> bool {
        let count = self.guardians.len();
        count <= GUARDIANS_MAX
            && usize::from(self.threshold) <= count
            && (self.threshold == 0) == (count == 0)
            && self.guardians.is_sorted_by(|a, b| a < b)
            && !self.recovery_key.as_ref().is_some_and(is_small_order)
    }

    /// The bytes in a record and in the envelope that sets them.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend([self.threshold, self.guardians.len() as u8, u8::from(self.recovery_key.is_some())]);
        bytes.extend(self.recovery_key.iter().flatten());
        bytes.extend(self.guardians.iter().flat_map(|guardian| guardian.0.to_le_bytes()));
    }

    /// Reads them from the front of bytes, if they are valid.
    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let [threshold, count, has_key] = take(bytes)?;
        let recovery_key = match has_key {
            0 => None,
            1 => Some(take(bytes)?),
            _ => return None,
        };
        if usize::from(count) > GUARDIANS_MAX {
            return None;
        }
        let guardians = (0..count).map(|_| Some(AccountId(number(bytes)?))).collect::<Option<_>>()?;
        Some(Self { recovery_key, threshold, guardians }).filter(Self::is_valid)
    }
}

/// What is about to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The account gets this key.
    Key([u8; PUBLIC_KEY_BYTES]),
    /// Its safeguards are these.
    Safeguards(Safeguards),
    /// It is closed for good, if it is empty then.
    Close,
}

impl Change {
    /// What of the account it is about.
    #[must_use]
    pub fn what(&self) -> ChangeKind {
        match self {
            Self::Key(_) => ChangeKind::Key,
            Self::Safeguards(_) => ChangeKind::Safeguards,
            Self::Close => ChangeKind::Closing,
        }
    }
}

/// A change in its lock window: until it is due, it can be cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What changes.
    pub change: Change,
    /// Whether the recovery key or the guardians want it; otherwise the account's own key.
    pub by_recovery: bool,
    /// The height at which it was begun.
    pub begun: Height,
    /// The time of the [`LockClock`] from which on it takes effect.
    pub due_ms: u64,
}

/// The clock by which lock windows end, in milliseconds. It runs while a change is in its window, and adds at most
/// [`LOCK_STEP_MS`] for a block: time in which there are no blocks is no time in which anybody could cancel. It is
/// never ahead of the time of the blocks, which are in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockClock {
    /// What it shows.
    pub now_ms: u64,
    /// The time of the block that has set it.
    pub block_ms: u64,
}

impl LockClock {
    /// A block while a change is in its window.
    #[must_use]
    pub fn at(self, block_ms: u64) -> Self {
        let step = block_ms.saturating_sub(self.block_ms).min(LOCK_STEP_MS);
        Self { now_ms: self.now_ms.saturating_add(step), block_ms }
    }

    /// A block with the first change after none was in its window.
    #[must_use]
    pub fn wound(self, block_ms: u64) -> Self {
        Self { now_ms: self.now_ms.max(block_ms), block_ms }
    }

    /// The bytes under the table's root; the picture above has the places.
    pub fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.now_ms.to_le_bytes());
        bytes[8..].copy_from_slice(&self.block_ms.to_le_bytes());
        bytes
    }

    /// The inverse of [`Self::encode`].
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let clock = Self { now_ms: number(bytes)?, block_ms: number(bytes)? };
        bytes.is_empty().then_some(clock)
    }
}

/// A guardian wants an account to have a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Which guardian: its place among those of the safeguards.
    pub guardian: u8,
    /// The time of the chain, in milliseconds since 1970, up to which it counts.
    pub until_ms: u64,
    /// The key.
    pub key: [u8; PUBLIC_KEY_BYTES],
}

/// What a chain keeps of an account beside its leaf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountRecord {
    /// How many changes were begun so far; the number of the last one.
    pub changes: u64,
    /// The height from which on the account has had its present key.
    pub key_since: Height,
    /// Who can give it a new key when its own is lost.
    pub safeguards: Safeguards,
    /// What is about to change.
    pub pending: Option<Pending>,
    /// Which guardians want which key, ascending by guardian: at most one approval of each.
    pub approvals: Vec<Approval>,
}

impl AccountRecord {
    /// The bytes under the table's root; the picture above has the places.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend(self.changes.to_le_bytes());
        bytes.extend(self.key_since.0.to_le_bytes());
        self.safeguards.write(&mut bytes);
        match &self.pending {
            None => bytes.push(0),
            Some(Pending { change, by_recovery, begun, due_ms }) => {
                bytes.extend([change.what() as u8, u8::from(*by_recovery)]);
                bytes.extend(begun.0.to_le_bytes());
                bytes.extend(due_ms.to_le_bytes());
                match change {
                    Change::Key(key) => bytes.extend(key),
                    Change::Safeguards(safeguards) => safeguards.write(&mut bytes),
                    Change::Close => {}
                }
            }
        }
        bytes.push(self.approvals.len() as u8);
        for Approval { guardian, until_ms, key } in &self.approvals {
            bytes.push(*guardian);
            bytes.extend(until_ms.to_le_bytes());
            bytes.extend(key);
        }
        bytes
    }

    /// The inverse of [`Self::encode`].
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let (changes, key_since) = (number(bytes)?, Height(number(bytes)?));
        let safeguards = Safeguards::read(bytes)?;
        let pending = match take::<1>(bytes)? {
            [0] => None,
            [code] => {
                let [by_recovery] = take(bytes)?;
                let (begun, due_ms) = (Height(number(bytes)?), number(bytes)?);
                let change = match code {
                    1 => Change::Key(take(bytes)?),
                    2 => Change::Safeguards(Safeguards::read(bytes)?),
                    3 => Change::Close,
                    _ => return None,
                };
                let by_recovery = (by_recovery < 2).then_some(by_recovery == 1)?;
                Some(Pending { change, by_recovery, begun, due_ms })
            }
        };
        let [count] = take(bytes)?;
        if usize::from(count) > GUARDIANS_MAX {
            return None;
        }
        let approval = |_| {
            let [guardian] = take(bytes)?;
            Some(Approval { guardian, until_ms: number(bytes)?, key: take(bytes)? })
        };
        let approvals = (0..count).map(approval).collect::<Option<Vec<_>>>()?;
        let ascend = approvals.is_sorted_by(|a, b| a.guardian < b.guardian);
        (bytes.is_empty() && ascend).then_some(Self { changes, key_since, safeguards, pending, approvals })
    }
}

/// A key that an account had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldKey {
    /// The key.
    pub key: [u8; PUBLIC_KEY_BYTES],
    /// The height from which on the account had it; 0 for one that began with the account.
    pub since: Height,
    /// The height from which on the account had the next one.
    pub until: Height,
}

impl OldKey {
    /// The bytes under the table's root; the picture above has the places.
    pub fn encode(&self) -> Vec<u8> {
        [&self.key[..], &self.since.0.to_le_bytes(), &self.until.0.to_le_bytes()].concat()
    }

    /// The inverse of [`Self::encode`].
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let old = Self { key: take(bytes)?, since: Height(number(bytes)?), until: Height(number(bytes)?) };
        bytes.is_empty().then_some(old)
    }
}

pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

pub(super) fn number(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    pub(in crate::types) fn any_safeguards() -> impl Strategy<Value = Safeguards> + Clone {
        let guardians = proptest::collection::btree_set(0..20_u64, 0..=GUARDIANS_MAX);
        (any::<Option<[u8; 32]>>(), guardians, any::<u8>()).prop_map(
            |(recovery_key, guardians, threshold)| {
                let guardians: Vec<_> = guardians.into_iter().map(AccountId).collect();
                let threshold = match guardians.len() {
                    0 => 0,
                    count => 1 + threshold % count as u8,
                };
                Safeguards { recovery_key, threshold, guardians }
            },
        )
    }

    fn any_record() -> impl Strategy<Value = AccountRecord> {
        let change = prop_oneof![
            any::<[u8; 32]>().prop_map(Change::Key),
            any_safeguards().prop_map(Change::Safeguards),
            Just(Change::Close),
        ];
        let pending = (change, any::<bool>(), any::<u64>(), any::<u64>()).prop_map(
            |(change, by_recovery, begun, due_ms)| Pending {
                change,
                by_recovery,
                begun: Height(begun),
                due_ms,
            },
        );
        let approvals =
            proptest::collection::btree_map(any::<u8>(), any::<(u64, [u8; 32])>(), 0..=GUARDIANS_MAX);
        let approvals = approvals.prop_map(|all| {
            let approval = |(guardian, (until_ms, key))| Approval { guardian, until_ms, key };
            all.into_iter().map(approval).collect()
        });
        (any::<[u64; 2]>(), any_safeguards(), proptest::option::of(pending), approvals).prop_map(
            |([changes, since], safeguards, pending, approvals)| AccountRecord {
                changes,
                key_since: Height(since),
                safeguards,
                pending,
                approvals,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_record_has_one_encoding_that_fits_into_a_row(record in any_record(), more in any::<u8>()) {
            let bytes = record.encode();
            prop_assert!(bytes.len() <= ROW_VALUE_BYTES_MAX);
            prop_assert_eq!(AccountRecord::decode(&bytes), Some(record));
            prop_assert_eq!(AccountRecord::decode(&[&bytes[..], &[more]].concat()), None);
            prop_assert_eq!(AccountRecord::decode(&bytes[..bytes.len() - 1]), None);
        }

        #[test]
        fn bytes_that_are_a_record_are_its_encoding(bytes in vec(prop_oneof![3 => 0..4_u8, 1 => any::<u8>()], 0..120)) {
            if let Some(record) = AccountRecord::decode(&bytes) {
                prop_assert_eq!(record.encode(), bytes);
            }
        }

        #[test]
        fn rows_of_the_ledgers_own_are_told_apart(account in any::<u64>(), version in any::<u32>(), since in any::<[u64; 2]>()) {
            let account = AccountId(account);
            prop_assert_eq!(OwnRow::of(&record_key(account)), Some(OwnRow::Record(account)));
            prop_assert_eq!(OwnRow::of(&old_key_key(account, version)), Some(OwnRow::OldKey(account, version)));
            prop_assert_eq!(OwnRow::of(&[0; 32]), None);
            let old = OldKey { key: [7; 32], since: Height(since[0]), until: Height(since[1]) };
            prop_assert_eq!(OldKey::decode(&old.encode()), Some(old));
        }
    }

    #[test]
    fn the_clock_of_lock_windows_never_jumps() {
        let clock = LockClock::default().wound(5_000);
        assert_eq!(clock, LockClock { now_ms: 5_000, block_ms: 5_000 });
        assert_eq!(clock.at(5_400).now_ms, 5_400);
        let after_an_outage = clock.at(900_000);
        assert_eq!(after_an_outage, LockClock { now_ms: 5_000 + LOCK_STEP_MS, block_ms: 900_000 });
        // A block whose time stands still adds nothing, and the next one no more than a step.
        assert_eq!(clock.at(5_000), clock);
        assert_eq!(after_an_outage.wound(900_010).now_ms, 900_010);
        assert_eq!(LockClock::decode(&clock.encode()), Some(clock));
        assert_eq!(OwnRow::of(&CLOCK_KEY), None);
    }

    #[test]
    fn safeguards_that_nobody_could_use_are_none() {
        let of = |threshold, guardians: &[u64]| Safeguards {
            recovery_key: None,
            threshold,
            guardians: guardians.iter().copied().map(AccountId).collect(),
        };
        let valid = [of(0, &[]), of(1, &[4]), of(2, &[1, 4]), of(8, &[0, 1, 2, 3, 4, 5, 6, 7])];
        let invalid = [of(1, &[]), of(0, &[4]), of(3, &[1, 4]), of(1, &[4, 1]), of(1, &[4, 4])];
        assert!(valid.iter().all(Safeguards::is_valid));
        assert!(!invalid.iter().any(Safeguards::is_valid));
        assert!(!of(1, &[0, 1, 2, 3, 4, 5, 6, 7, 8]).is_valid());
    }
}
