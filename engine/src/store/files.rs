//! Segments as files of one directory: names, allocation, reading, and the choice between the two ways of writing.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::buffer::Buffer;
use super::disk::{Disk, Write, Writer};
use super::portable::PortableWriter;
use super::sector::SECTOR_BYTES;
use super::uring::UringWriter;

/// Open files kept at hand; a log has one per 64 MiB, which would exhaust the usual limit of descriptors.
const OPEN_FILES: usize = 16;
const SUFFIX: &str = ".segment";
const UNFINISHED: &str = "segment.new";

/// The files of a log's directory.
#[derive(Clone)]
pub(super) struct Files {
    directory: Arc<PathBuf>,
    /// O_DIRECT and io_uring, or the page cache and `std::fs`.
    direct: bool,
    writable: bool,
    open: Arc<Mutex<BTreeMap<u64, Arc<File>>>>,
}

impl Files {
    /// The segments of a directory that exists.
    pub(super) fn new(directory: &Path, direct: bool, writable: bool) -> Files {
        Files { directory: Arc::new(directory.to_path_buf()), direct, writable, open: Arc::default() }
    }

    /// Tries the fast backend out: one direct write through io_uring with its linked sync.
    pub(super) fn probe(&self) -> io::Result<()> {
        let path = self.directory.join("probe.new");
        let outcome = options(true, true).create(true).truncate(true).open(&path).and_then(|file| {
            let write =
                Write { ticket: 0, segment: 0, offset: 0, buffer: Buffer::new(1), bytes: SECTOR_BYTES };
            UringWriter::new(self.clone())?.probe(file, write)
        });
        let removed = fs::remove_file(&path);
        outcome.and(removed)
    }

    /// The file of a segment, opened if it is not at hand.
    pub(super) fn file(&self, segment: u64) -> io::Result<Arc<File>> {
        if let Some(file) = self.lock().get(&segment) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(options(self.direct, self.writable).open(self.path(segment))?);
        let mut open = self.lock();
        if open.len() >= OPEN_FILES {
            // The oldest segment is the least likely to be written or read again.
            open.pop_first();
        }
        open.insert(segment, Arc::clone(&file));
        Ok(file)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<File>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn options(direct: bool, writable: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(writable);
    if direct {
        options.custom_flags(libc::O_DIRECT);
    }
    options
}

/// Makes names in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

impl Disk for Files {
    fn name(&self) -> &'static str {
        match self.direct {
            true => "uring",
            false => "portable",
        }
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.directory.join(format!("{segment:016x}{SUFFIX}"))
    }

    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(self.directory.as_path())? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            let number = number.and_then(|number| u64::from_str_radix(number, 16).ok());
            // A file of nearly such a name, as a person may have made it, is none of the log's.
            segments.extend(number.filter(|number| self.path(*number).file_name() == Some(name.as_os_str())));
        }
        segments.sort_unstable();
        Ok(segments)
    }

    fn create(&self, segment: u64, bytes: u64) -> io::Result<()> {
        let unfinished = self.directory.join(UNFINISHED);
        let file = options(false, true).create(true).truncate(true).open(&unfinished)?;
        allocate(&file, bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&unfinished, self.path(segment))?;
        sync_directory(&self.directory)
    }

    fn recycle(&self, from: u64, to: u64) -> io::Result<()> {
        self.lock().remove(&from);
        fs::rename(self.path(from), self.path(to))?;
        sync_directory(&self.directory)
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        self.lock().remove(&segment);
        fs::remove_file(self.path(segment))
    }

    fn read(&self, segment: u64, offset: u64, into: &mut Buffer, sectors: usize) -> io::Result<()> {
        self.file(segment)?.read_exact_at(&mut into.bytes_mut()[..sectors * SECTOR_BYTES], offset)
    }

    fn forget(&self, segment: u64, offset: u64, bytes: u64) {
        use std::os::fd::AsRawFd;
        // Direct reads see no page cache.
        if self.direct {
            return;
        }
        let Ok(file) = self.file(segment) else { return };
        let [offset, bytes] = [offset, bytes].map(|at| libc::off_t::try_from(at).unwrap_or(0));
        // Advice that is not taken makes a scrubbing read less from the disk, and nothing else.
        // SAFETY: the descriptor is open for as long as `file` is alive, and the call touches no memory of ours.
        let _ = unsafe { libc::posix_fadvise(file.as_raw_fd(), offset, bytes, libc::POSIX_FADV_DONTNEED) };
    }

    fn writer(&self) -> io::Result<Box<dyn Writer>> {
        Ok(match self.direct {
            true => Box::new(UringWriter::new(self.clone())?),
            false => Box::new(PortableWriter::new(self.clone())),
        })
    }
}

/// Reserves a file's blocks, so that a full disk shows here and not in the middle of a group.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let length = libc::off_t::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call touches no memory of ours.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}
