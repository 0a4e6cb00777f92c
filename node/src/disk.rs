//! Names that are durable; the room on a disk, and who says in time that it runs out.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Makes the names in a directory durable.
///
/// # Errors
/// What the operating system answered.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The directory that has the name of a file.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Whether a place, which need not exist, lies in a directory or is it.
pub(crate) fn lies_within(place: &Path, directory: &Path) -> bool {
    let Ok(directory) = directory.canonicalize() else { return false };
    let place = std::path::absolute(place).unwrap_or_else(|_| place.to_owned());
    let there = place.ancestors().find_map(|place| place.canonicalize().ok());
    there.is_some_and(|place| place.starts_with(&directory))
}

/// Gives a file or directory that is whole and synced its name, durably: the old one is there, or this one.
///
/// # Errors
/// What the operating system answered.
pub(crate) fn put_in_place(unfinished: &Path, path: &Path) -> io::Result<()> {
    fs::rename(unfinished, path)?;
    sync_directory(directory_of(path))
}

/// Writes a file, durably: what it had before is there, or these bytes.
///
/// # Errors
/// What the operating system answered.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, bytes)?;
    fs::File::open(&new)?.sync_all()?;
    put_in_place(&new, path)
}

/// Bytes that are free on the disk of a directory.
///
/// # Errors
/// What the operating system answered.
pub(crate) fn free_bytes(directory: &Path) -> io::Result<u64> {
    let path = CString::new(directory.as_os_str().as_bytes())?;
    // SAFETY: a statvfs is plain numbers, for which zeros are values; `path` ends with a zero byte and outlives the
    // call, and `found` is a valid place for the answer.
    let (found, answer) = unsafe {
        let mut found: libc::statvfs = std::mem::zeroed();
        let answer = libc::statvfs(path.as_ptr(), &raw mut found);
        (found, answer)
    };
    match answer {
        0 => Ok(found.f_bavail.saturating_mul(found.f_frsize)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Below so much it is said that a disk will be full.
pub(crate) const ROOM_LOW_BYTES: u64 = 512 << 20;

/// Judges how much is free, look by look: a disk that fills is told when little is left and each time that this has
/// halved, so that the log, which may lie on the same disk, does not fill it.
#[derive(Debug, Default)]
pub(crate) struct RoomWatch {
    /// What was free when it was told last.
    told: Option<u64>,
}

/// What is to be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// It will be full.
    Low,
    /// There is enough again.
    Enough,
}

impl RoomWatch {
    /// What is to be told of so many free bytes, if anything is.
    pub(crate) fn judge(&mut self, free: u64) -> Option<Room> {
        match self.told {
            None if free < ROOM_LOW_BYTES => {
                self.told = Some(free);
                Some(Room::Low)
            }
            Some(told) if free <= told / 2 => {
                self.told = Some(free);
                // From nothing to nothing is no news.
                (told > 0).then_some(Room::Low)
            }
            Some(_) if free >= 2 * ROOM_LOW_BYTES => {
                self.told = None;
                Some(Room::Enough)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fills_is_told_in_time_and_not_at_every_look() {
        let mut watch = RoomWatch::default();
        let mib = |mib: u64| mib << 20;
        for (free, told) in [
            (mib(5_000), None),
            (mib(512), None),
            (mib(511), Some(Room::Low)),
            (mib(500), None),
            (mib(600), None),
            (mib(255), Some(Room::Low)),
            (mib(200), None),
            (mib(120), Some(Room::Low)),
            (0, Some(Room::Low)),
            (0, None),
            (mib(1_024), Some(Room::Enough)),
            (mib(100), Some(Room::Low)),
        ] {
            assert_eq!(watch.judge(free), told, "{free}");
        }
    }

    #[test]
    fn a_bare_name_stands_in_the_working_directory() {
        for (path, directory) in [("tls.crt", "."), ("./tls.crt", "."), ("a/tls.crt", "a"), ("/a", "/")] {
            assert_eq!(directory_of(Path::new(path)), Path::new(directory));
        }
    }

    #[test]
    fn the_room_of_a_directory_is_known() {
        assert!(free_bytes(Path::new("/")).unwrap() > 0);
        assert!(free_bytes(Path::new("/nowhere/at/all")).is_err());
    }
}
