//! Rebuilding the blobs from the records of earlier runs, one record at a time.
//!
//! A log that was compacted and partly released begins in the middle: what lies before its last complete snapshot is
//! applied leniently and then replaced. A snapshot that a crash cut short is ignored: nothing before it was
//! released.

use std::collections::BTreeMap;

use super::{
    PARTITION,
    record::{Identity, Record},
};
use crate::votes::Memory;

/// A blob of at most this length is believed; a record that claims more is corrupt.
const BLOB_BYTES_MAX: u64 = 1 << 30;

/// One blob, rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) version: u16,
    pub(crate) partition: String,
    pub(crate) name: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug)]
struct Snapshot {
    begin: u64,
    next_id: u64,
    blobs: BTreeMap<u64, Image>,
}

/// Takes the records of earlier runs, in order, before the engine is started.
#[derive(Debug, Default)]
pub struct Replay {
    blobs: BTreeMap<u64, Image>,
    next_id: u64,
    building: Option<Snapshot>,
    identity: Option<Identity>,
    /// The first record that made no sense, since the last complete snapshot.
    error: Option<ReplayError>,
    last: Option<u64>,
    snapshot: Option<u64>,
    bytes: u64,
}

/// Why the records cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A record that is not one of ours, or contradicts those before it.
    #[error("the record at position {position} {problem}")]
    Corrupt {
        /// Its position in the log.
        position: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The records of another network or validator.
    #[error("they belong to another network or another validator")]
    Foreign,
    /// The records of an epoch that is still to come, as far as the rest of the validator knows.
    #[error(
        "they are of epoch {found}, and everything else that is found here ends in epoch {expected}: it is older than \
         the votes. Put back what belongs to them, or nothing"
    )]
    LaterEpoch {
        /// That of the records.
        found: u64,
        /// The one that was to be entered.
        expected: u64,
    },
}

/// The blob of the highest view: simplex names each of its blobs by the view that it is about.
fn highest(blobs: &BTreeMap<u64, Image>) -> Option<(u64, &Image)> {
    let view = |blob: &Image| blob.name.as_slice().try_into().ok().map(u64::from_be_bytes);
    let of_views = blobs.values().filter(|blob| blob.partition == PARTITION && !blob.bytes.is_empty());
    of_views.filter_map(|blob| Some((view(blob)?, blob))).max_by_key(|(view, _)| *view)
}

/// What a replay amounts to.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) blobs: BTreeMap<u64, Image>,
    pub(crate) next_id: u64,
    /// The last record's position; `None` for a new store.
    pub(crate) last: Option<u64>,
    /// Whether there is no record of this epoch yet.
    pub(crate) begins: bool,
    /// Where the last complete snapshot begins.
    pub(crate) snapshot: Option<u64>,
    /// Bytes of records since then.
    pub(crate) bytes: u64,
}

impl Replay {
    /// For a store without any records, and the beginning for one with some.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next record.
    pub fn record(&mut self, position: u64, bytes: &[u8]) {
        let ordered = self.last.is_none_or(|last| position > last);
        self.last = Some(position);
        self.bytes += bytes.len() as u64;
        let applied = match Record::decode(bytes) {
            _ if !ordered => Err("does not follow the one before it"),
            None => Err("does not decode"),
            Some(record) => self.apply(position, record),
        };
        if let Err(problem) = applied {
            self.error.get_or_insert(ReplayError::Corrupt { position, problem });
        }
    }

    /// Whether the records know of no view: they are of a validator that has never voted in their epoch, or has
    /// forgotten it. One that may have voted before must then not start from the root; see [`crate::Config::floor`].
    pub fn is_empty(&self) -> bool {
        self.highest_view() == 0
    }

    /// The epoch of the records, 0 if there are none.
    pub fn epoch(&self) -> u64 {
        self.identity.map_or(0, |identity| identity.epoch)
    }

    /// The highest view of their epoch about which there is a record: a vote of this validator, a certificate that it
    /// saw, or that it certified. 0: none.
    pub fn highest_view(&self) -> u64 {
        highest(&self.blobs).map_or(0, |(view, _)| view)
    }

    /// Whether an engine can start from the records, as far as can be seen without it.
    ///
    /// # Errors
    /// [`ReplayError::Corrupt`].
    pub fn check(&self) -> Result<(), ReplayError> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// What the records remember of this validator's votes in an epoch: nothing, unless it is that of the records.
    pub fn memory(&self, epoch: u64) -> Memory {
        let of_epoch = highest(&self.blobs).filter(|_| self.epoch() == epoch);
        of_epoch.map(|(view, blob)| Memory::new(view, &blob.bytes)).unwrap_or_default()
    }

    fn apply(&mut self, position: u64, record: Record<'_>) -> Result<(), &'static str> {
        if let Record::Identity(identity) | Record::SnapshotBegin { identity, .. } = record {
            let is_first = self.identity.is_none();
            let before = *self.identity.get_or_insert(identity);
            if before.validator != identity.validator {
                return Err("is stamped with another identity than those before it");
            }
            match record {
                // What stands before it may be the rest of an epoch that was released but for the end of a file.
                Record::Identity(_) if is_first || before.epoch < identity.epoch => {
                    self.begin_epoch(position, identity);
                }
                _ if before != identity => {
                    return Err("is of another epoch than those before it");
                }
                _ => {}
            }
        } else if self.identity.is_none() && self.error.is_none() {
            self.error =
                Some(ReplayError::Corrupt { position, problem: "comes before any snapshot or identity" });
        }
        match record {
            Record::SnapshotBegin { next_id, .. } => {
                self.building = Some(Snapshot { begin: position, next_id, blobs: BTreeMap::new() });
                return Ok(());
            }
            Record::SnapshotBlob { id, version, partition, name, bytes } => {
                let building = self.building.as_mut().ok_or("is part of a snapshot that never began")?;
                let image = Image {
                    version,
                    partition: partition.to_owned(),
                    name: name.to_owned(),
                    bytes: bytes.to_owned(),
                };
                if building.blobs.insert(id, image).is_some() {
                    return Err("holds a blob a second time");
                }
                return Ok(());
            }
            Record::SnapshotMore { id, bytes } => {
                let building = self.building.as_mut().ok_or("is part of a snapshot that never began")?;
                let blob =
                    building.blobs.get_mut(&id).ok_or("continues a blob that is not in its snapshot")?;
                blob.bytes.extend_from_slice(bytes);
                return Ok(());
            }
            Record::SnapshotEnd { blobs } => {
                let complete = self.building.take().ok_or("ends a snapshot that never began")?;
                if complete.blobs.len() as u64 != blobs {
                    return Err("ends a snapshot from which blobs are missing");
                }
                self.blobs = complete.blobs;
                self.next_id = complete.next_id;
                self.snapshot = Some(complete.begin);
                self.error = None;
                self.bytes = 0;
                return Ok(());
            }
            _ => {}
        }
        // A snapshot is written in one piece: another record inside it means that a crash cut it short.
        self.building = None;
        match record {
            Record::Create { id, version, partition, name } => {
                if id < self.next_id {
                    return Err("creates a blob under a number already used");
                }
                self.next_id = id + 1;
                let image = Image {
                    version,
                    partition: partition.to_owned(),
                    name: name.to_owned(),
                    bytes: Vec::new(),
                };
                self.blobs.insert(id, image);
            }
            Record::Write { id, offset, bytes } => {
                let blob = self.blobs.get_mut(&id).ok_or("writes to a blob that does not exist")?;
                let end = end_of(offset, bytes.len() as u64)?;
                if end > blob.bytes.len() {
                    blob.bytes.resize(end, 0);
                }
                blob.bytes[end - bytes.len()..end].copy_from_slice(bytes);
            }
            Record::Resize { id, len } => {
                let blob = self.blobs.get_mut(&id).ok_or("resizes a blob that does not exist")?;
                blob.bytes.resize(end_of(len, 0)?, 0);
            }
            Record::Remove { id } => {
                self.blobs.remove(&id).ok_or("removes a blob that does not exist")?;
            }
            _ => {}
        }
        Ok(())
    }

    /// What came before is of no use in an epoch that begins.
    fn begin_epoch(&mut self, position: u64, identity: Identity) {
        self.identity = Some(identity);
        self.blobs.clear();
        (self.building, self.error) = (None, None);
        (self.snapshot, self.bytes) = (Some(position), 0);
    }

    pub(crate) fn finish(mut self, identity: Identity) -> Result<Recovered, ReplayError> {
        let stamped = self.identity.unwrap_or(identity);
        let is_of_epoch = stamped.epoch == identity.epoch;
        if stamped.validator != identity.validator || (is_of_epoch && stamped != identity) {
            return Err(ReplayError::Foreign);
        }
        if stamped.epoch > identity.epoch {
            return Err(ReplayError::LaterEpoch { found: stamped.epoch, expected: identity.epoch });
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let begins = self.identity.is_none() || stamped.epoch < identity.epoch;
        if begins {
            self.blobs.clear();
        }
        Ok(Recovered {
            blobs: self.blobs,
            next_id: self.next_id,
            last: self.last,
            begins,
            snapshot: self.snapshot,
            bytes: self.bytes,
        })
    }
}

impl Recovered {
    pub(crate) fn highest_view(&self) -> u64 {
        highest(&self.blobs).map_or(0, |(view, _)| view)
    }
}

fn end_of(offset: u64, len: u64) -> Result<usize, &'static str> {
    let end =
        offset.checked_add(len).filter(|end| *end <= BLOB_BYTES_MAX).ok_or("makes a blob absurdly long")?;
    usize::try_from(end).map_err(|_| "makes a blob absurdly long")
}
