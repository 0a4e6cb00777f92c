//! What a backup says of itself: whose it is, up to where it goes, and the digest of each file.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use engine::types::{Digest, Height};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::BackupError;
use super::{MANIFEST, unfinished};
use crate::disk::put_in_place;

/// The number of this format.
const FORMAT: u32 = 1;

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// Its path below the backup, and below the data directory.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The number of the format: 1.
    format: u32,
    /// The network.
    pub network: Digest,
    /// The public key of the validator.
    pub validator: Digest,
    /// The height of its newest checkpoint; none where there is none yet.
    pub checkpoint: Option<Height>,
    /// Bytes of the journal that are in it, up to its end of that moment.
    pub journal_bytes: u64,
    /// All files but this one.
    pub files: Vec<BackedUp>,
}

impl Manifest {
    pub(super) fn new(
        (network, validator): (Digest, Digest),
        checkpoint: Option<Height>,
        journal_bytes: u64,
        files: Vec<BackedUp>,
    ) -> Self {
        Self { format: FORMAT, network, validator, checkpoint, journal_bytes, files }
    }

    /// Writes it, durably: then the backup is whole.
    pub(super) fn write(&self, backup: &Path) -> Result<(), BackupError> {
        let (file, new) = (backup.join(MANIFEST), unfinished(&backup.join(MANIFEST)));
        let write = || {
            let mut out = File::create(&new)?;
            out.write_all(&serde_json::to_vec_pretty(self)?)?;
            out.sync_all()?;
            put_in_place(&new, &file)
        };
        write().map_err(BackupError::io("writing", &file))
    }

    /// Reads that of a backup.
    ///
    /// # Errors
    /// [`BackupError::NoBackup`], [`BackupError::Manifest`].
    pub(super) fn read(backup: &Path) -> Result<Self, BackupError> {
        let file = backup.join(MANIFEST);
        let bytes = fs::read(&file).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => BackupError::NoBackup(backup.to_owned()),
            _ => BackupError::io("reading", &file)(error),
        })?;
        let wrong = |why: String| BackupError::Manifest { file: file.clone(), why };
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(wrong(format!(
                "it has format {}, this build reads format {FORMAT}",
                manifest.format
            )));
        }
        // It may have been written by anybody: nothing outside of the target is written, and no votes.
        match manifest.files.iter().find(|file| !is_of_backup(&file.path)) {
            Some(file) => Err(wrong(format!("{:?} is no file of a backup", file.path))),
            None => Ok(manifest),
        }
    }
}

/// Whether a backup may have a file of this path.
fn is_of_backup(path: &Path) -> bool {
    let parts: Option<Vec<&str>> = path
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    match parts.as_deref() {
        Some(["journal", "identity"] | ["device.json"]) => true,
        Some(["journal", name]) => name.ends_with(".segment") || name.ends_with(".repair"),
        Some(["checkpoints", name]) => name.ends_with(".checkpoint"),
        _ => false,
    }
}

/// Copies a stream of so many bytes into a new file, durably; what lies behind is zeros up to `length`. Its digest is
/// that of the whole file.
pub(super) fn copy(from: &Path, to: &Path, bytes: u64, length: u64) -> Result<Digest, BackupError> {
    let mut source = File::open(from).map_err(BackupError::io("opening", from))?.take(bytes);
    let mut target = File::create_new(to).map_err(BackupError::io("making", to))?;
    let mut hasher = Sha256::new();
    let mut copied = 0;
    each_piece(&mut source, |piece| {
        copied += piece.len() as u64;
        hasher.update(piece);
        target.write_all(piece)
    })
    .map_err(BackupError::io("copying", from))?;
    if copied < bytes {
        let what = format!("it ends at byte {copied}, and {bytes} are needed");
        return Err(BackupError::BackupDamaged { file: from.to_owned(), what });
    }
    each_piece(&mut std::io::repeat(0).take(length - bytes), |piece| {
        hasher.update(piece);
        Ok(())
    })
    .and_then(|()| target.set_len(length))
    .and_then(|()| target.sync_all())
    .map_err(BackupError::io("writing", to))?;
    Ok(Digest(hasher.finalize().into()))
}

/// The digest of a file, and its length.
pub(super) fn digest(file: &Path) -> std::io::Result<(Digest, u64)> {
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    each_piece(&mut File::open(file)?, |piece| {
        bytes += piece.len() as u64;
        hasher.update(piece);
        Ok(())
    })?;
    Ok((Digest(hasher.finalize().into()), bytes))
}

fn each_piece(
    source: &mut impl std::io::Read,
    mut each: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut piece = vec![0; 1 << 20];
    loop {
        match source.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => each(&piece[..count])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
