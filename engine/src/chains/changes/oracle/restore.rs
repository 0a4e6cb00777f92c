//! The rows that chains of every kind have of their accounts, and that of the clock, read.

use std::collections::BTreeMap;

use super::{Key, PlainChange, PlainPending, PlainRecord, PlainSafeguards, row_key};
use crate::execute::oracle::{Fault, Fields, Oracle};
use crate::types::{AccountId, Height};

impl PlainSafeguards {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (threshold, count, has_key) = (fields.byte()?, fields.byte()?, fields.byte()?);
        let recovery_key = if has_key == 0 { None } else { Some(fields.array()?) };
        let guardians = (0..count).map(|_| fields.number()).collect::<Option<Vec<u64>>>()?;
        let enough_can = threshold <= count && (threshold == 0) == (count == 0);
        let ascend = guardians.is_sorted_by(|a, b| a < b);
        (count <= 8 && enough_can && ascend).then_some(Self { recovery_key, threshold, guardians })
    }
}

impl PlainRecord {
    fn read(value: &[u8]) -> Option<Self> {
        let mut fields = Fields(value);
        let (changes, key_since) = (fields.number()?, fields.number()?);
        let safeguards = PlainSafeguards::read(&mut fields)?;
        let pending = match fields.byte()? {
            0 => None,
            what => {
                let by_recovery = fields.byte()? == 1;
                let (begun, due_ms) = (fields.number()?, fields.number()?);
                let change = match what {
                    1 => PlainChange::Key(fields.array()?),
                    2 => PlainChange::Safeguards(PlainSafeguards::read(&mut fields)?),
                    3 => PlainChange::Close,
                    _ => return None,
                };
                Some(PlainPending { change, by_recovery, begun, due_ms })
            }
        };
        let mut approvals = BTreeMap::new();
        for _ in 0..fields.byte()? {
            let (guardian, until, key) = (fields.byte()?, fields.number()?, fields.array()?);
            approvals.insert(guardian, (until, key));
        }
        let record = Self { changes, key_since, safeguards, pending, approvals };
        (record.value() == value).then_some(record)
    }
}

/// What the chain keeps of an account, and whether it is changing.
pub(crate) fn restore_record(
    oracle: &mut Oracle,
    height: Height,
    account: u64,
    value: &[u8],
) -> Result<(), Fault> {
    let record = PlainRecord::read(value).ok_or("is not what a chain keeps of an account")?;
    let begun = record.pending.as_ref().map(|pending| pending.begun);
    if begun.is_some_and(|begun| begun > height.0) {
        return Err("has a change that was begun later");
    }
    oracle.named(account)?.record = record;
    if begun.is_some() {
        oracle.changing.insert(AccountId(account));
    }
    Ok(())
}

/// What the clock of lock windows shows. It is never ahead of the block that has set it.
pub(crate) fn restore_clock(oracle: &mut Oracle, value: &[u8]) -> Result<(), Fault> {
    let mut fields = Fields(value);
    let clock = fields.number().zip(fields.number()).filter(|_| fields.rest().is_empty());
    let (now_ms, block_ms) = clock.ok_or("is not a clock")?;
    if now_ms > block_ms {
        return Err("is a clock that is ahead of its block");
    }
    oracle.clock = (now_ms, block_ms);
    Ok(())
}

/// key | since | until
fn old_key(value: &[u8]) -> Option<(Key, u64, u64)> {
    let mut fields = Fields(value);
    let old = (fields.array()?, fields.number()?, fields.number()?);
    fields.rest().is_empty().then_some(old)
}

/// A key that an account had: one of the versions below the present one. [`restore_keys`] takes them in their order.
pub(crate) fn restore_old_key(
    oracle: &mut Oracle,
    version: u32,
    account: u64,
    value: &[u8],
) -> Result<(), Fault> {
    old_key(value).ok_or("is not a key that an account had")?;
    let present = oracle.named(account)?.key_version;
    if (1..present).contains(&version) { Ok(()) } else { Err("has a version that no earlier key has") }
}

/// The keys that accounts had, each of them until the height that gave the next one.
pub(crate) fn restore_keys(oracle: &mut Oracle, height: Height) -> Result<(), (AccountId, Fault)> {
    for (id, account) in (0..).zip(&mut oracle.accounts) {
        let wrong = |why| (AccountId(id), why);
        let mut given = 0;
        for version in 1..account.key_version {
            let row = oracle.table.get(&row_key(2, version, id));
            let (key, since, until) = row.and_then(old_key).ok_or(wrong("lacks a key that it had"))?;
            if since != given || until <= since {
                return Err(wrong("had two keys at a time, or none"));
            }
            account.former_keys.push((key, Height(since)));
            given = until;
        }
        if account.record.key_since != given || given > height.0 {
            return Err(wrong("has its key since another height than the one that ended the key before"));
        }
    }
    Ok(())
}
