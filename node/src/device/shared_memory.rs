//! Memory that the validator and its child share.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A stretch of memory that two processes see. Each word is read and written as a whole, and may change at any time.
#[derive(Debug)]
pub(super) struct SharedMemory {
    first: NonNull<AtomicU32>,
    words: usize,
}

// SAFETY: what is behind the pointer stays mapped as long as the value lives, is only reached through `words`, as
// atomics, and belongs to no thread.
unsafe impl Send for SharedMemory {}
// SAFETY: as above: all access is atomic.
unsafe impl Sync for SharedMemory {}

/// Neither process can take memory away from the other.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

impl SharedMemory {
    /// New memory, all zeros, and the file that another process maps it from.
    pub(super) fn create(words: usize) -> io::Result<(Self, OwnedFd)> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create("millrace-device", flags)?;
        ftruncate(&file, bytes(words)? as u64)?;
        fcntl_add_seals(&file, SEALS)?;
        Ok((Self::map(&file, words)?, file))
    }

    /// Maps the memory behind a file that [`create`](Self::create) made.
    pub(super) fn map(file: impl AsFd, words: usize) -> io::Result<Self> {
        let length = bytes(words)?;
        let other = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        if !fcntl_get_seals(&file)?.contains(SEALS) {
            return Err(other("the file is no memory of a validator"));
        }
        if fstat(&file)?.st_size != length as i64 {
            return Err(other("the memory has another size: the two processes are of different releases"));
        }
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: no address is asked for, so nothing that is mapped is replaced. The file has `length` bytes and is
        // sealed against becoming shorter, so each of them can be reached.
        let first = unsafe { mmap(std::ptr::null_mut(), length, protection, flags, &file, 0) }?;
        let first = NonNull::new(first.cast()).ok_or_else(|| other("the memory is at address 0"))?;
        Ok(Self { first, words })
    }

    /// All of it.
    pub(super) fn words(&self) -> &[AtomicU32] {
        // SAFETY: `map` has mapped so many words from there on, readable and writable, aligned to a page, and they stay
        // mapped until `drop`. This process reaches them only as atomics. What another one writes there is outside of
        // the language's memory; each word is read once and whole, and every value of it is one.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.words) }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length, and no reference into it outlives `self`.
        let _unmapped = unsafe { munmap(self.first.as_ptr().cast(), self.words * size_of::<AtomicU32>()) };
    }
}

fn bytes(words: usize) -> io::Result<usize> {
    let bytes = words.checked_mul(size_of::<AtomicU32>()).filter(|bytes| *bytes > 0 && *bytes <= 1 << 30);
    bytes.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "4 bytes to 1 GiB can be shared"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn both_see_the_same_words_and_neither_can_make_them_fewer() {
        let (here, file) = SharedMemory::create(1024).unwrap();
        let there = SharedMemory::map(&file, 1024).unwrap();
        here.words()[1023].store(7, Relaxed);
        assert_eq!(there.words()[1023].load(Relaxed), 7);
        assert!(ftruncate(&file, 4096 - 4).is_err());
        assert!(ftruncate(&file, 8192).is_err());
        drop(here);
        assert_eq!(there.words()[1023].load(Relaxed), 7);
    }

    #[test]
    fn a_file_of_another_size_or_kind_is_refused() {
        let (_, file) = SharedMemory::create(1024).unwrap();
        assert!(SharedMemory::map(&file, 1025).unwrap_err().to_string().contains("different releases"));
        assert!(SharedMemory::map(&file, 1 << 40).is_err());
        assert!(SharedMemory::create(0).is_err());
        let plain = tempfile::tempfile().unwrap();
        assert!(SharedMemory::map(&plain, 1024).is_err());
    }
}
