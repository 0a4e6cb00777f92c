//! What the data of a network lies on, and whether a sync reaches it: the test of fsync before a load.
//!
//! It finds a file system in memory, and a sync that something between here and the medium swallows without asking it.
//! A drive or a hypervisor that says *written* and is not cannot be found from here: only pulling the plug shows that.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use loadgen::validity::Disk;

use crate::validator::clock::Clock;

/// So many writes are synced, each by itself.
const WRITES: usize = 32;
const PAGE_BYTES: usize = 4096;

/// Numbers of file systems (statfs(2)) and their names.
const FILE_SYSTEMS: [(i64, &str); 11] = [
    (0xEF53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0x2FC1_2FC1, "zfs"),
    (0xF2F5_2010, "f2fs"),
    (0x794C_7630, "overlayfs"),
    (0x6969, "nfs"),
    (0x6573_5546, "fuse"),
    (0xFF53_4D42, "cifs"),
    (TMPFS, "tmpfs"),
    (RAMFS, "ramfs"),
];
/// The first so many keep files on a disk of this machine.
const LOCAL: usize = 5;
const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58F6;

/// What a directory lies on.
///
/// # Errors
/// In words, what the operating system answered.
pub(super) fn look(directory: &Path) -> Result<Disk, String> {
    let unknown = |error: io::Error| format!("the file system of {}: {error}", directory.display());
    let number = file_system(directory).map_err(unknown)?;
    let sync_us_p50 = sync_us_p50(directory)
        .map_err(|error| format!("no sync was tried in {}: {error}", directory.display()));
    Ok(Disk { file_system: name(number), in_memory: in_memory(number), sync_us_p50 })
}

/// Whether a file system keeps its files in memory. `None` of one that lies on others, is elsewhere, or is not known.
fn in_memory(number: i64) -> Option<bool> {
    match number {
        TMPFS | RAMFS => Some(true),
        _ => FILE_SYSTEMS[..LOCAL].iter().any(|(known, _)| *known == number).then_some(false),
    }
}

fn name(number: i64) -> String {
    let known = FILE_SYSTEMS.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("file system {number:#x}"), |(_, name)| (*name).to_owned())
}

fn file_system(directory: &Path) -> io::Result<i64> {
    Ok(rustix::fs::statfs(directory)?.f_type)
}

/// The median time of a sync after a write of 4 KiB into room that the file has already. The write itself goes to the
/// cache, so that the sync alone has to reach the medium.
fn sync_us_p50(directory: &Path) -> io::Result<f64> {
    let path = directory.join(format!("sync-test-{}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    // Without a name it is gone when this ends, however that is.
    fs::remove_file(&path)?;
    file.write_all_at(&vec![0; WRITES * PAGE_BYTES], 0)?;
    file.sync_all()?;
    let clock = Clock::start();
    let mut times = Vec::with_capacity(WRITES);
    for at in 0..WRITES {
        file.write_all_at(&[at as u8 + 1; PAGE_BYTES], (at * PAGE_BYTES) as u64)?;
        let begun = clock.now();
        file.sync_data()?;
        times.push(clock.now() - begun);
    }
    times.sort_unstable();
    Ok(times[WRITES / 2].as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_in_memory_is_known_by_its_number() {
        assert_eq!([TMPFS, RAMFS, 0xEF53].map(name), ["tmpfs", "ramfs", "ext4"]);
        assert_eq!(name(0x1234), "file system 0x1234");
        // What lies on other file systems, or is elsewhere, may be in memory all the same.
        assert_eq!(
            [0xEF53, 0xF2F5_2010, 0x794C_7630, 0x6969, 0x1234].map(in_memory),
            [Some(false), Some(false), None, None, None]
        );
        // Linux has one there, if it has any.
        if let Ok(disk) = look(Path::new("/dev/shm")) {
            assert_eq!(disk.in_memory, Some(true), "{disk:?}");
        }
    }

    #[test]
    fn the_test_leaves_nothing_and_takes_some_time() {
        let directory = tempfile::tempdir().unwrap();
        let disk = look(directory.path()).unwrap();
        assert!(disk.sync_us_p50.unwrap() > 0.0);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(look(&directory.path().join("nowhere")).unwrap_err().contains("nowhere"));
    }
}
