//! The records and their encoding. All integers are little-endian; `rest` is what is left of the record.

use super::RECORD_BYTES_MAX;

/// The longest content that one record carries, with room for everything else in it.
pub(crate) const CHUNK_BYTES: usize = RECORD_BYTES_MAX - 1024;

/// The longest partition or blob name.
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// Whose records these are, and of which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// A digest of the network and the validator's key.
    pub(crate) validator: [u8; 32],
    /// A digest of all keys of the epoch.
    pub(crate) committee: [u8; 32],
    pub(crate) epoch: u64,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    /// Opens a log, or a later epoch in it: what comes before says nothing any more.
    Identity(Identity),
    /// A new, empty blob.
    Create { id: u64, version: u16, partition: &'a str, name: &'a [u8] },
    /// Bytes at an offset; a gap before them becomes zeros.
    Write { id: u64, offset: u64, bytes: &'a [u8] },
    /// A new length; what is added is zeros.
    Resize { id: u64, len: u64 },
    /// The blob is gone.
    Remove { id: u64 },
    /// What follows, up to the end of the snapshot, replaces everything before.
    SnapshotBegin { identity: Identity, next_id: u64 },
    /// One live blob, and the beginning of its content.
    SnapshotBlob { id: u64, version: u16, partition: &'a str, name: &'a [u8], bytes: &'a [u8] },
    /// More content of the blob before.
    SnapshotMore { id: u64, bytes: &'a [u8] },
    /// The snapshot is complete and holds this many blobs.
    SnapshotEnd { blobs: u64 },
}

impl<'a> Record<'a> {
    /// Appends the encoding to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Record::Identity(identity) => {
                out.push(1);
                whose(out, identity);
            }
            Record::Create { id, version, partition, name } => {
                out.push(2);
                blob(out, id, version, partition, name);
            }
            Record::Write { id, offset, bytes } => {
                out.push(3);
                out.extend_from_slice(&id.to_le_bytes());
                out.extend_from_slice(&offset.to_le_bytes());
                out.extend_from_slice(bytes);
            }
            Record::Resize { id, len } => {
                out.push(4);
                out.extend_from_slice(&id.to_le_bytes());
                out.extend_from_slice(&len.to_le_bytes());
            }
            Record::Remove { id } => {
                out.push(5);
                out.extend_from_slice(&id.to_le_bytes());
            }
            Record::SnapshotBegin { identity, next_id } => {
                out.push(6);
                whose(out, identity);
                out.extend_from_slice(&next_id.to_le_bytes());
            }
            Record::SnapshotBlob { id, version, partition, name, bytes } => {
                out.push(7);
                blob(out, id, version, partition, name);
                out.extend_from_slice(bytes);
            }
            Record::SnapshotMore { id, bytes } => {
                out.push(8);
                out.extend_from_slice(&id.to_le_bytes());
                out.extend_from_slice(bytes);
            }
            Record::SnapshotEnd { blobs } => {
                out.push(9);
                out.extend_from_slice(&blobs.to_le_bytes());
            }
        }
    }

    /// Decodes a whole record; `None` if it is not one.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (kind, mut rest) = bytes.split_first()?;
        let rest = &mut rest;
        let record = match kind {
            1 => Record::Identity(take_whose(rest)?),
            2 => {
                let (id, version, partition, name) = take_blob(rest)?;
                Record::Create { id, version, partition, name }
            }
            3 => Record::Write { id: integer(rest)?, offset: integer(rest)?, bytes: std::mem::take(rest) },
            4 => Record::Resize { id: integer(rest)?, len: integer(rest)? },
            5 => Record::Remove { id: integer(rest)? },
            6 => Record::SnapshotBegin { identity: take_whose(rest)?, next_id: integer(rest)? },
            7 => {
                let (id, version, partition, name) = take_blob(rest)?;
                Record::SnapshotBlob { id, version, partition, name, bytes: std::mem::take(rest) }
            }
            8 => Record::SnapshotMore { id: integer(rest)?, bytes: std::mem::take(rest) },
            9 => Record::SnapshotEnd { blobs: integer(rest)? },
            _ => return None,
        };
        rest.is_empty().then_some(record)
    }
}

fn whose(out: &mut Vec<u8>, identity: Identity) {
    out.extend_from_slice(&identity.validator);
    out.extend_from_slice(&identity.committee);
    out.extend_from_slice(&identity.epoch.to_le_bytes());
}

fn take_whose(rest: &mut &[u8]) -> Option<Identity> {
    Some(Identity { validator: array(rest)?, committee: array(rest)?, epoch: integer(rest)? })
}

fn blob(out: &mut Vec<u8>, id: u64, version: u16, partition: &str, name: &[u8]) {
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&version.to_le_bytes());
    for part in [partition.as_bytes(), name] {
        out.push(
            u8::try_from(part.len()).expect("names are checked against NAME_BYTES_MAX when a blob is opened"),
        );
        out.extend_from_slice(part);
    }
}

fn take_blob<'a>(rest: &mut &'a [u8]) -> Option<(u64, u16, &'a str, &'a [u8])> {
    let id = integer(rest)?;
    let version = u16::from_le_bytes(array(rest)?);
    let partition = std::str::from_utf8(short(rest)?).ok()?;
    Some((id, version, partition, short(rest)?))
}

fn short<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let [len] = array(rest)?;
    let (part, after) = rest.split_at_checked(usize::from(len))?;
    *rest = after;
    Some(part)
}

fn integer(rest: &mut &[u8]) -> Option<u64> {
    array(rest).map(u64::from_le_bytes)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*head)
}

const _: () = assert!(CHUNK_BYTES + 1 + 8 + 2 + 2 * (1 + NAME_BYTES_MAX) <= RECORD_BYTES_MAX);
