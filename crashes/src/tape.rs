//! What a process does to its files, in order, as it asks the operating system for it.
//!
//! The functions below have the names of the C library's, so the calls of the standard library and of the crates in
//! this binary come here first. What is below the directory given to [`begin`] is noted; everything is handed on. So
//! the shipped code is recorded as it is, and nothing that it does to a file can be forgotten:
//! [`crate::disk::Disk::is_seen_at`] compares at the end.
//!
//! One lock is held over each call and its note, so that the order of the tape is the order of the calls.

#![allow(clippy::missing_safety_doc, reason = "the contracts are those of the C library")]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A file, by its number in its file system.
pub type File = u64;

/// One step of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A name for a new, empty file.
    Create { path: PathBuf, file: File },
    /// A length for a file; what is added is zeros, what is cut off is gone.
    Length { file: File, bytes: u64 },
    /// Bytes at an offset.
    Write { file: File, offset: u64, bytes: Vec<u8> },
    /// A file's bytes and length are durable.
    Sync { file: File },
    /// What happened to the names in a directory is durable.
    SyncDirectory { path: PathBuf },
    /// A file has another name, in the same directory.
    Rename { from: PathBuf, to: PathBuf },
    /// A name is gone.
    Remove { path: PathBuf },
    /// A new directory.
    MakeDirectory { path: PathBuf },
    /// A client was told that its transaction of this number is committed.
    Told { number: u64 },
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { path, .. } => write!(f, "create {}", path.display()),
            Self::Length { bytes, .. } => write!(f, "a length of {bytes}"),
            Self::Write { offset, bytes, .. } => write!(f, "write {} bytes at {offset}", bytes.len()),
            Self::Sync { .. } => f.write_str("sync"),
            Self::SyncDirectory { path } => write!(f, "sync {}", path.display()),
            Self::Rename { to, .. } => write!(f, "rename to {}", to.display()),
            Self::Remove { path } => write!(f, "remove {}", path.display()),
            Self::MakeDirectory { path } => write!(f, "make {}", path.display()),
            Self::Told { number } => write!(f, "told of {number}"),
        }
    }
}

/// What the recording is of, and what it has.
struct Recorder {
    root: PathBuf,
    open: BTreeMap<c_int, Open>,
    acts: Vec<Act>,
}

/// A file that is open.
struct Open {
    path: PathBuf,
    file: File,
    is_directory: bool,
}

static RECORDER: Mutex<Option<Recorder>> = Mutex::new(None);
static IS_ON: AtomicBool = AtomicBool::new(false);

fn recorder() -> MutexGuard<'static, Option<Recorder>> {
    RECORDER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to record what happens below a directory, given as an absolute path.
pub fn begin(root: &Path) {
    *recorder() = Some(Recorder { root: root.to_owned(), open: BTreeMap::new(), acts: Vec::new() });
    IS_ON.store(true, SeqCst);
}

/// Ends the recording, and returns it.
pub fn end() -> Vec<Act> {
    IS_ON.store(false, SeqCst);
    recorder().take().map_or_else(Vec::new, |recorder| recorder.acts)
}

/// The same, at the death of this process: no thread comes through to its files any more, and this one only to
/// [`leave`].
pub fn freeze() -> Vec<Act> {
    let mut recorder = recorder();
    let acts = recorder.as_mut().map_or_else(Vec::new, |recorder| std::mem::take(&mut recorder.acts));
    std::mem::forget(recorder);
    acts
}

/// Writes a file past the recording, and ends this process at once, as a kill does.
pub fn leave(path: &Path, bytes: &[u8]) -> ! {
    use std::os::unix::ffi::OsStrExt as _;
    let name = std::ffi::CString::new(path.as_os_str().as_bytes()).expect("a path has no zeros");
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    let mut left = bytes;
    // SAFETY: the name ends with a zero, and each write is given a part of `bytes`, with its length.
    unsafe {
        let file = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, name.as_ptr(), flags, 0o644);
        while !left.is_empty() {
            match libc::syscall(libc::SYS_write, file, left.as_ptr(), left.len()) {
                count if count > 0 => left = &left[count as usize..],
                _ => libc::_exit(1),
            }
        }
        libc::_exit(0)
    }
}

/// Notes that a client was told.
pub fn told(number: u64) {
    note(Act::Told { number });
}

fn note(act: Act) {
    if let Some(recorder) = recorder().as_mut() {
        recorder.acts.push(act);
    }
}

impl Recorder {
    fn is_within(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    fn file(&self, descriptor: c_int) -> Option<File> {
        self.open.get(&descriptor).filter(|open| !open.is_directory).map(|open| open.file)
    }
}

/// Runs a call under the lock, if anything is recorded.
fn recorded<T>(call: impl FnOnce(Option<&mut Recorder>) -> T) -> T {
    match IS_ON.load(SeqCst) {
        true => call(recorder().as_mut()),
        false => call(None),
    }
}

/// # Safety
/// As the pointer of the C library's functions.
unsafe fn path(path: *const c_char) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    // SAFETY: the caller hands on what its own caller promises: a string that ends with a zero.
    let bytes = unsafe { CStr::from_ptr(path) };
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes.to_bytes()))
}

/// Whether something has this name.
fn exists(path: *const c_char) -> bool {
    // SAFETY: the caller's string.
    unsafe { libc::syscall(libc::SYS_faccessat, libc::AT_FDCWD, path, libc::F_OK) == 0 }
}

fn looked_at(descriptor: c_int) -> (File, bool) {
    // SAFETY: the structure is written whole by the call, which is given a descriptor that was opened just now.
    unsafe {
        let mut found: libc::stat = std::mem::zeroed();
        libc::fstat(descriptor, &raw mut found);
        (found.st_ino, found.st_mode & libc::S_IFMT == libc::S_IFDIR)
    }
}

fn opened(name: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    recorded(|recorder| {
        let is_new = recorder.is_some() && flags & libc::O_CREAT != 0 && !exists(name);
        // SAFETY: the caller's arguments, unchanged.
        let answer = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, name, flags, mode) } as c_int;
        let Some(recorder) = recorder.filter(|_| answer >= 0) else { return answer };
        // SAFETY: the caller's string.
        let path = unsafe { path(name) };
        if recorder.is_within(&path) {
            let (file, is_directory) = looked_at(answer);
            if is_new {
                recorder.acts.push(Act::Create { path: path.clone(), file });
            } else if flags & libc::O_TRUNC != 0 {
                recorder.acts.push(Act::Length { file, bytes: 0 });
            }
            recorder.open.insert(answer, Open { path, file, is_directory });
        }
        answer
    })
}

/// The C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(name: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    opened(name, flags, mode)
}

/// The C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(name: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    opened(name, flags, mode)
}

/// The C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(descriptor: c_int) -> c_int {
    recorded(|recorder| {
        if let Some(recorder) = recorder {
            recorder.open.remove(&descriptor);
        }
        // SAFETY: the caller's argument, unchanged.
        unsafe { libc::syscall(libc::SYS_close, descriptor) as c_int }
    })
}

fn wrote(
    recorder: Option<&mut Recorder>,
    file: Option<File>,
    offset: u64,
    from: *const c_void,
    count: isize,
) {
    if let (Some(recorder), Some(file), true) = (recorder, file, count > 0) {
        // SAFETY: the system has just read so many bytes there.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), count as usize) }.to_vec();
        recorder.acts.push(Act::Write { file, offset, bytes });
    }
}

/// The C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(descriptor: c_int, from: *const c_void, count: usize) -> isize {
    recorded(|recorder| {
        let file = recorder.as_ref().and_then(|recorder| recorder.file(descriptor));
        // SAFETY: the caller's arguments, unchanged; the second asks where the descriptor of a file stands.
        let (answer, end) = unsafe {
            let answer = libc::syscall(libc::SYS_write, descriptor, from, count) as isize;
            let end = file.map(|_| libc::syscall(libc::SYS_lseek, descriptor, 0, libc::SEEK_CUR));
            (answer, end.unwrap_or(0))
        };
        wrote(recorder, file, (end as u64).saturating_sub(answer.max(0) as u64), from, answer);
        answer
    })
}

fn wrote_at(descriptor: c_int, from: *const c_void, count: usize, offset: libc::off_t) -> isize {
    recorded(|recorder| {
        let file = recorder.as_ref().and_then(|recorder| recorder.file(descriptor));
        // SAFETY: the caller's arguments, unchanged.
        let answer = unsafe { libc::syscall(libc::SYS_pwrite64, descriptor, from, count, offset) as isize };
        wrote(recorder, file, offset as u64, from, answer);
        answer
    })
}

/// The C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(d: c_int, from: *const c_void, count: usize, offset: libc::off_t) -> isize {
    wrote_at(d, from, count, offset)
}

/// The C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(d: c_int, from: *const c_void, count: usize, offset: libc::off_t) -> isize {
    wrote_at(d, from, count, offset)
}

fn synced(number: c_long, descriptor: c_int) -> c_int {
    recorded(|recorder| {
        // SAFETY: the caller's argument, unchanged.
        let answer = unsafe { libc::syscall(number, descriptor) as c_int };
        if let Some(recorder) = recorder.filter(|_| answer == 0)
            && let Some(open) = recorder.open.get(&descriptor)
        {
            recorder.acts.push(match open.is_directory {
                true => Act::SyncDirectory { path: open.path.clone() },
                false => Act::Sync { file: open.file },
            });
        }
        answer
    })
}

/// The C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(descriptor: c_int) -> c_int {
    synced(libc::SYS_fsync, descriptor)
}

/// The C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    synced(libc::SYS_fdatasync, descriptor)
}

fn lengthened(descriptor: c_int, bytes: libc::off_t, is_cut: bool) -> c_int {
    recorded(|recorder| {
        // SAFETY: the caller's arguments, unchanged; blocks are reserved from the beginning of the file.
        let answer = unsafe {
            match is_cut {
                true => libc::syscall(libc::SYS_ftruncate, descriptor, bytes),
                false => libc::syscall(libc::SYS_fallocate, descriptor, 0, 0 as libc::off_t, bytes),
            }
        };
        if let Some(recorder) = recorder.filter(|_| answer == 0)
            && let Some(file) = recorder.file(descriptor)
        {
            recorder.acts.push(Act::Length { file, bytes: bytes as u64 });
        }
        answer as c_int
    })
}

/// The C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(descriptor: c_int, bytes: libc::off_t) -> c_int {
    lengthened(descriptor, bytes, true)
}

/// The C library's, for what is reserved from the beginning of a new file; it answers with the number of an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_fallocate(descriptor: c_int, from: libc::off_t, bytes: libc::off_t) -> c_int {
    assert_eq!(from, 0, "nothing else is reserved here");
    match lengthened(descriptor, bytes, false) {
        0 => 0,
        // SAFETY: the call gives a valid place of this thread.
        _ => unsafe { *libc::__errno_location() },
    }
}

/// One call with paths, noted if it succeeds and the first one is below the root.
fn named(call: impl FnOnce() -> c_long, first: *const c_char, act: impl FnOnce(PathBuf) -> Act) -> c_int {
    recorded(|recorder| {
        let answer = call();
        if let Some(recorder) = recorder.filter(|_| answer == 0) {
            // SAFETY: the caller's string.
            let path = unsafe { path(first) };
            if recorder.is_within(&path) {
                recorder.acts.push(act(path));
            }
        }
        answer as c_int
    })
}

/// The C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller's arguments, unchanged, and its string.
    let call = || unsafe { libc::syscall(libc::SYS_renameat2, libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) };
    // SAFETY: as above.
    named(call, from, |from| Act::Rename { from, to: unsafe { path(to) } })
}

/// The C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(name: *const c_char) -> c_int {
    // SAFETY: the caller's arguments, unchanged.
    let call = || unsafe { libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, name, 0) };
    named(call, name, |path| Act::Remove { path })
}

/// The C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(name: *const c_char, mode: libc::mode_t) -> c_int {
    // SAFETY: the caller's arguments, unchanged.
    let call = || unsafe { libc::syscall(libc::SYS_mkdirat, libc::AT_FDCWD, name, mode) };
    named(call, name, |path| Act::MakeDirectory { path })
}
