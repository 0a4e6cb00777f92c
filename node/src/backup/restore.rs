//! Makes a data directory from a backup.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use engine::replica::{Boot, KIND_BOOT};
use engine::store::{Backend, Log, LogKind, Options, Owner};

use super::error::BackupError;
use super::make::{remove, sync};
use super::manifest::{BackedUp, Manifest, copy, digest};
use super::{MANIFEST, unfinished};
use crate::disk::put_in_place;
use crate::validator::VOTE_SEGMENT_BYTES;

/// Checks every file of a backup, and makes a data directory from it where nothing is. `told` hears how many bytes are
/// copied. What the directory then lacks are the votes.
///
/// # Errors
/// [`BackupError`]; nothing is left then.
pub fn restore(backup: &Path, data: &Path, told: &mut dyn FnMut(u64)) -> Result<Manifest, BackupError> {
    let manifest = Manifest::read(backup)?;
    if data.exists() {
        return Err(BackupError::Exists(data.to_owned()));
    }
    check(backup, &manifest)?;
    let place = unfinished(data);
    remove(&place)?;
    let made = fill(backup, &place, &manifest, told)
        .and_then(|()| put_in_place(&place, data).map_err(BackupError::io("naming", data)));
    if let Err(error) = made {
        remove(&place)?;
        return Err(error);
    }
    Ok(manifest)
}

/// Whether a backup has exactly the files that it says, each as it was written.
fn check(backup: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let mut listed = BTreeSet::new();
    for BackedUp { path, bytes, sha256 } in &manifest.files {
        let file = backup.join(path);
        let damaged = |what: String| BackupError::BackupDamaged { file: file.clone(), what };
        let (found, length) = digest(&file).map_err(|error| damaged(error.to_string()))?;
        if length != *bytes {
            return Err(damaged(format!("it has {length} bytes, and {bytes} were written")));
        }
        if found != *sha256 {
            return Err(damaged(format!("its SHA-256 is {found}, and {sha256} was written")));
        }
        listed.insert(path.clone());
    }
    let all = below(backup, Path::new(""))?;
    match all.iter().find(|path| !listed.contains(*path) && **path != Path::new(MANIFEST)) {
        Some(path) => Err(BackupError::BackupDamaged {
            file: backup.join(path),
            what: "it was not in this backup".into(),
        }),
        None => Ok(()),
    }
}

/// The files below a directory of a backup.
fn below(backup: &Path, directory: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let place = backup.join(directory);
    let mut files = Vec::new();
    for entry in fs::read_dir(&place).map_err(BackupError::io("reading", &place))? {
        let entry = entry.map_err(BackupError::io("reading", &place))?;
        let path = directory.join(entry.file_name());
        match entry.path().is_dir() {
            true => files.extend(below(backup, &path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

fn fill(
    backup: &Path,
    place: &Path,
    manifest: &Manifest,
    told: &mut dyn FnMut(u64),
) -> Result<(), BackupError> {
    let mut copied = 0;
    let mut directories = BTreeSet::from([place.to_owned()]);
    for BackedUp { path, bytes, sha256 } in &manifest.files {
        let (from, to) = (backup.join(path), place.join(path));
        let directory = to.parent().unwrap_or(place);
        fs::create_dir_all(directory).map_err(BackupError::io("making", directory))?;
        directories.insert(directory.to_owned());
        if copy(&from, &to, *bytes, *bytes)? != *sha256 {
            return Err(BackupError::BackupDamaged {
                file: from,
                what: "it changes while it is read".into(),
            });
        }
        copied += bytes;
        told(copied);
    }
    // Who audits it before the first start finds what a data directory has: locks, and a log of votes without any.
    let lock = place.join("journal/lock");
    fs::File::create(&lock).map_err(BackupError::io("making", &lock))?;
    let owner = Owner { network: manifest.network.0, validator: manifest.validator.0, log: LogKind::Votes };
    let (segment_bytes, backend) = (VOTE_SEGMENT_BYTES, Backend::Portable);
    let (votes, _) =
        Log::open(&place.join("consensus"), Options { segment_bytes, backend, ..Options::new(owner) })?;
    // Whatever the journal of the backup says of starts, its votes are lost.
    votes.wait_durable(votes.append(KIND_BOOT, &[&Boot::LOST.encode()])?)?;
    drop(votes);
    directories.iter().try_for_each(|directory| sync(directory))
}
