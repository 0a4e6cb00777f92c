//! The only door to io_uring: direct writes, each with an fdatasync linked behind it, and an eventfd to be woken by.
//!
//! Write, `IO_LINK`, fdatasync rather than O_DSYNC: a synchronous direct write on ext4 waits for scheduler ticks when
//! the cores are busy. A group is durable only once its last write is complete and the sync behind that write has
//! returned 0. A failed or short write breaks the link, so its sync comes back cancelled. A short write is continued
//! from where it stopped, with a sync of its own; it is not a retry of anything that failed. A sync that was cancelled
//! behind a complete write did nothing, so the group has failed.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::types::{Fd, FsyncFlags, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};

use super::buffer::Buffer;
use super::disk::{Done, Event, IN_FLIGHT, Waker, Write, Writer};
use super::files::Files;

/// User data of the eventfd's read; tickets count up from 0 and are doubled.
const WAKE: u64 = u64::MAX;
/// Twice what can be outstanding: a write and a sync for each slot, and the eventfd.
const ENTRIES: u32 = 16;
const _: () = assert!(2 * IN_FLIGHT + 1 < ENTRIES as usize);

/// A write that the kernel has, or whose sync it has.
struct Outstanding {
    ticket: u64,
    file: Arc<File>,
    buffer: Buffer,
    offset: u64,
    bytes: usize,
    written: usize,
    /// Completions still to come before the buffer is ours again.
    expected: u8,
    /// What the sync behind the last write returned; 0 is success.
    sync: i32,
    result: io::Result<()>,
}

impl Outstanding {
    /// Is the rest of a short write still to be written? Its sync was cancelled with it, which says nothing.
    fn is_short(&self) -> bool {
        self.result.is_ok() && self.written < self.bytes && (self.sync == 0 || self.sync == -libc::ECANCELED)
    }

    /// What became of the group, once nothing is expected any more.
    fn outcome(self) -> Done {
        let result = self.result.and_then(|()| match self.sync {
            0 => Ok(()),
            code if code < 0 => Err(io::Error::from_raw_os_error(-code)),
            code => Err(io::Error::other(format!("fdatasync returned {code}"))),
        });
        Done { ticket: self.ticket, buffer: self.buffer, result }
    }
}

/// Writes through a ring of its own.
pub(super) struct UringWriter {
    // Dropped before the buffers below it would be; `Drop` waits for the kernel first.
    ring: IoUring,
    files: Files,
    event: Arc<File>,
    /// Where the kernel puts the eventfd's count.
    count: Box<[u8; 8]>,
    armed: bool,
    outstanding: Vec<Outstanding>,
    done: Vec<Done>,
}

impl UringWriter {
    pub(super) fn new(files: Files) -> io::Result<UringWriter> {
        let ring = IoUring::new(ENTRIES)?;
        if !ring.params().is_feature_ext_arg() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the kernel's io_uring has no timed waits",
            ));
        }
        // SAFETY: creates a descriptor and touches no memory of ours.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just created and has no other owner.
        let event = Arc::new(unsafe { File::from_raw_fd(descriptor) });
        let count = Box::new([0; 8]);
        Ok(UringWriter { ring, files, event, count, armed: false, outstanding: Vec::new(), done: Vec::new() })
    }

    /// Writes one group to a file of its own and waits for it: does this machine let us?
    pub(super) fn probe(&mut self, file: File, write: Write) -> io::Result<()> {
        self.start(Arc::new(file), write);
        loop {
            if let Event::Done(done) = self.wait(None) {
                return done.result;
            }
        }
    }

    fn start(&mut self, file: Arc<File>, write: Write) {
        assert!(self.outstanding.len() < IN_FLIGHT, "the caller waits before it submits more");
        let Write { ticket, offset, buffer, bytes, .. } = write;
        assert!(bytes > 0 && bytes <= buffer.bytes().len(), "the bytes to write lie inside the buffer");
        self.outstanding.push(Outstanding {
            ticket,
            file,
            buffer,
            offset,
            bytes,
            written: 0,
            expected: 0,
            sync: 0,
            result: Ok(()),
        });
        self.push_write(self.outstanding.len() - 1);
    }

    /// Queues what is left of a write, and the sync behind it.
    fn push_write(&mut self, index: usize) {
        let write = &mut self.outstanding[index];
        let rest = &write.buffer.bytes()[write.written..write.bytes];
        let file = Fd(write.file.as_raw_fd());
        let length = u32::try_from(rest.len()).expect("a group is far below 4 GiB");
        let write_entry = opcode::Write::new(file, rest.as_ptr(), length)
            .offset(write.offset + write.written as u64)
            .build()
            .flags(squeue::Flags::IO_LINK)
            .user_data(write.ticket * 2);
        let sync_entry =
            opcode::Fsync::new(file).flags(FsyncFlags::DATASYNC).build().user_data(write.ticket * 2 + 1);
        write.expected = 2;
        // SAFETY: the buffer's sectors live on the heap and stay in `outstanding`, untouched, until both completions
        // have been seen (`Drop` waits for them too); the file is held open there as well.
        unsafe { self.ring.submission().push_multiple(&[write_entry, sync_entry]) }
            .expect("the ring has room for every outstanding entry");
    }

    fn arm(&mut self) {
        if self.armed {
            return;
        }
        let entry =
            opcode::Read::new(Fd(self.event.as_raw_fd()), self.count.as_mut_ptr(), 8).build().user_data(WAKE);
        // SAFETY: `count` is on the heap and lives until the ring is gone; only the kernel writes it while armed.
        unsafe { self.ring.submission().push(&entry) }
            .expect("the ring has room for every outstanding entry");
        self.armed = true;
    }

    /// Takes what the kernel has completed; true if the eventfd was among it.
    fn reap(&mut self) -> bool {
        let mut woken = false;
        let completions: Vec<(u64, i32)> =
            self.ring.completion().map(|entry| (entry.user_data(), entry.result())).collect();
        for (user, result) in completions {
            if user == WAKE {
                self.armed = false;
                woken = true;
            } else {
                self.completed(user, result);
            }
        }
        woken
    }

    fn completed(&mut self, user: u64, result: i32) {
        let index = self
            .outstanding
            .iter()
            .position(|write| write.ticket == user / 2)
            .expect("the kernel completes only what was submitted");
        let write = &mut self.outstanding[index];
        write.expected -= 1;
        let is_write = user.is_multiple_of(2);
        match (is_write, result) {
            (true, count) if count > 0 => write.written += count as usize,
            (true, 0) => write.result = Err(io::Error::from(io::ErrorKind::WriteZero)),
            (true, code) => write.result = Err(io::Error::from_raw_os_error(-code)),
            (false, code) => write.sync = code,
        }
        if write.expected > 0 {
            return;
        }
        if write.is_short() {
            self.push_write(index);
            return;
        }
        let write = self.outstanding.swap_remove(index);
        self.done.push(write.outcome());
    }
}

impl Writer for UringWriter {
    fn submit(&mut self, write: Write) {
        match self.files.file(write.segment) {
            Ok(file) => self.start(file, write),
            Err(error) => {
                self.done.push(Done { ticket: write.ticket, buffer: write.buffer, result: Err(error) });
            }
        }
        // Handed to the kernel now; an error here comes again, and is reported, when waiting.
        let _ = self.ring.submit();
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Event {
        if let Some(done) = self.done.pop() {
            return Event::Done(done);
        }
        self.arm();
        let outcome = match timeout {
            None => self.ring.submit_and_wait(1),
            Some(timeout) => {
                let span = Timespec::from(timeout);
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&span))
            }
        };
        let woken = self.reap();
        if let Some(done) = self.done.pop() {
            return Event::Done(done);
        }
        match outcome {
            Ok(_) if woken => Event::Woken,
            // A short write was continued: nothing to report yet.
            Ok(_) => Event::Woken,
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => Event::TimedOut,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Event::Woken,
            Err(error) => panic!("io_uring cannot be waited on any more: {error}"),
        }
    }

    fn waker(&mut self) -> io::Result<Waker> {
        use std::io::Write as _;
        let event = Arc::clone(&self.event);
        Ok(Box::new(move || {
            // The only failure is a counter at its maximum, and then the reader is awake anyway.
            let _ = (&*event).write(&1u64.to_ne_bytes());
        }))
    }
}

impl Drop for UringWriter {
    fn drop(&mut self) {
        // The kernel may still write from our buffers: they must outlive its use of them.
        while !self.outstanding.is_empty() {
            if self.ring.submit_and_wait(1).is_err() {
                // It cannot be waited on: better leak the memory than hand it to the allocator under the kernel.
                std::mem::forget(std::mem::take(&mut self.outstanding));
                break;
            }
            self.reap();
        }
        if self.armed {
            // The read of the eventfd is still outstanding; complete it so that `count` can go.
            use std::io::Write as _;
            let _ = (&*self.event).write(&1u64.to_ne_bytes());
            if self.ring.submit_and_wait(1).is_err() {
                std::mem::forget(std::mem::replace(&mut self.count, Box::new([0; 8])));
            }
        }
    }
}

#[cfg(test)]
mod tests;
