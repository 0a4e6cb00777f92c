//! The logs of one data directory, read in order.

use std::path::Path;

use super::{AuditError, Finding, FindingKind};
use crate::limits::{BATCH_BYTES_MAX, PUBLIC_KEY_BYTES};
use crate::store::{Lock, Log, LogKind, Owner, Record, Replay, StoreError};
use crate::types::Genesis;

/// Record bytes that are read before they are checked together.
const WAVE_BYTES: usize = 32 * BATCH_BYTES_MAX;

/// Opens a log for reading, of whatever validator, or of this one; and whose it is. Damage is a finding; anything else
/// means that there is nothing to audit.
pub(super) fn open(
    directory: &Path,
    genesis: &Genesis,
    (log, validator): (LogKind, Option<[u8; PUBLIC_KEY_BYTES]>),
) -> Result<Result<(Owner, Replay), Finding>, AuditError> {
    let opened = Log::inspect(directory, Lock::Shared).and_then(|(identity, replay)| {
        let validator = validator.unwrap_or(identity.owner.validator);
        let owner = Owner { network: genesis.network().0, validator, log };
        identity.belongs_to(&owner, directory).map(|()| (owner, replay))
    });
    match opened {
        Ok(opened) => Ok(Ok(opened)),
        Err(error) => damage(error, directory).map(Err),
    }
}

/// Reads records until there is enough to keep all cores busy.
pub(super) fn read_wave(
    replay: &mut Replay,
    directory: &Path,
) -> Result<(Vec<Record>, Option<Finding>), AuditError> {
    let mut wave = Vec::new();
    let mut bytes = 0;
    while bytes < WAVE_BYTES {
        match replay.next() {
            None => break,
            Some(Ok(record)) => {
                bytes += record.bytes.len();
                wave.push(record);
            }
            Some(Err(error)) => return Ok((wave, Some(damage(error, directory)?))),
        }
    }
    Ok((wave, None))
}

fn damage(error: StoreError, directory: &Path) -> Result<Finding, AuditError> {
    match error {
        StoreError::Corrupt { path, offset, expected, found } => Ok(Finding {
            kind: FindingKind::Damage,
            file: path,
            offset,
            what: "a sector of the log".into(),
            expected,
            found,
        }),
        StoreError::MissingSegment { path } => Ok(Finding {
            kind: FindingKind::Damage,
            file: path,
            offset: 0,
            what: "a segment of the log".into(),
            expected: "the file".into(),
            found: "no such file".into(),
        }),
        StoreError::Unreadable { path, offset, detail } => Ok(Finding {
            kind: FindingKind::Damage,
            file: path,
            offset,
            what: "a sector of the log".into(),
            expected: "bytes".into(),
            found: format!("none: the disk cannot read it ({detail})"),
        }),
        StoreError::Short { path, expected, found } => Ok(Finding {
            kind: FindingKind::Damage,
            file: path,
            offset: found,
            what: "a segment of the log".into(),
            expected: format!("{expected} bytes"),
            found: format!("{found} bytes"),
        }),
        source => Err(AuditError::Store { directory: directory.to_owned(), source }),
    }
}
