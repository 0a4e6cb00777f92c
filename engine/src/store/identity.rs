//! Whose log this is, how it is cut, and how many lives it has had: one small file, replaced atomically.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::files::sync_directory;
use super::owner::{LogKind, Owner};
use super::sector::{SECTOR_BYTES, u32_at, u64_at};

const NAME: &str = "identity";
const MAGIC: [u8; 8] = *b"millrlog";
const FORMAT: u32 = 3;
const BYTES: usize = 96;
/// Where the checksum stands.
const CHECKSUM: usize = BYTES - 4;

/// What a log's directory says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The log's owner.
    pub owner: Owner,
    /// Bytes of each segment.
    pub segment_bytes: u64,
    /// The number of this life of the log: above that of each earlier one, as far as this file and the sectors know.
    pub incarnation: u32,
}

impl Identity {
    /// Sectors of each segment.
    pub(super) fn segment_sectors(&self) -> u64 {
        self.segment_bytes / SECTOR_BYTES as u64
    }

    pub(super) fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.segment_bytes.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[24..56].copy_from_slice(&self.owner.network);
        bytes[56..88].copy_from_slice(&self.owner.validator);
        bytes[88] = self.owner.log.code();
        let checksum = crc32fast::hash(&bytes[..CHECKSUM]);
        bytes[CHECKSUM..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads it back; `path` is only for the report.
    pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<Identity, StoreError> {
        let corrupt = |offset: u64, expected: String, found: String| StoreError::Corrupt {
            path: path.to_path_buf(),
            offset,
            expected,
            found,
        };
        let length = bytes.len();
        let short = || corrupt(length as u64, format!("{BYTES} bytes"), format!("{length} bytes"));
        let magic = bytes.get(..8).ok_or_else(short)?;
        if magic != MAGIC {
            return Err(corrupt(0, hex::encode(MAGIC), hex::encode(magic)));
        }
        // Older formats are shorter. The number of the format stands in the same place.
        if length != BYTES {
            return Err(match bytes.get(8..12).map(|_| u32_at(bytes, 8)) {
                Some(found) if found != FORMAT && found < 1 << 16 => {
                    StoreError::Format { path: path.to_path_buf(), expected: FORMAT, found }
                }
                _ => short(),
            });
        }
        let (carried, computed) = (u32_at(bytes, CHECKSUM), crc32fast::hash(&bytes[..CHECKSUM]));
        if carried != computed {
            return Err(corrupt(
                CHECKSUM as u64,
                format!("checksum {computed:08x}"),
                format!("{carried:08x}"),
            ));
        }
        let found = u32_at(bytes, 8);
        if found != FORMAT {
            return Err(StoreError::Format { path: path.to_path_buf(), expected: FORMAT, found });
        }
        let key = |from: usize| bytes[from..from + 32].try_into().expect("32 bytes");
        let log = LogKind::of(bytes[88])
            .ok_or_else(|| corrupt(88, "a log of a validator".into(), format!("code {}", bytes[88])))?;
        let owner = Owner { network: key(24), validator: key(56), log };
        Ok(Identity { owner, segment_bytes: u64_at(bytes, 12), incarnation: u32_at(bytes, 20) })
    }

    /// Where it is.
    pub(super) fn path(directory: &Path) -> PathBuf {
        directory.join(NAME)
    }

    /// The directory's identity; `None` if there is none.
    pub(super) fn load(directory: &Path) -> Result<Option<Identity>, StoreError> {
        let path = Self::path(directory);
        match fs::read(&path) {
            Ok(bytes) => Identity::decode(&bytes, &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("reading", &path, &error)),
        }
    }

    /// Writes it durably, so that either the old or the new one is there whatever happens.
    pub(super) fn save(&self, directory: &Path) -> Result<(), StoreError> {
        let path = Self::path(directory);
        let unfinished = directory.join("identity.new");
        let write = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(&self.encode())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            sync_directory(directory)
        };
        write().map_err(|error| StoreError::writing(&path, &error))
    }

    /// Refuses another owner's directory.
    ///
    /// # Errors
    /// [`StoreError::ForeignOwner`].
    pub fn belongs_to(&self, owner: &Owner, directory: &Path) -> Result<(), StoreError> {
        match self.owner == *owner {
            true => Ok(()),
            false => Err(StoreError::ForeignOwner {
                path: directory.to_path_buf(),
                expected: Box::new(*owner),
                found: Box::new(self.owner),
            }),
        }
    }
}
