//! Writing with `std::fs` alone: a positioned write and `sync_data`, one after the other, through the page cache.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::disk::{Done, Event, Waker, Write, Writer};
use super::files::Files;

/// Writes at once, in the thread that submits; completions queue up for `wait`.
pub(super) struct PortableWriter {
    files: Files,
    done: VecDeque<Done>,
    parking: Parking,
}

impl PortableWriter {
    pub(super) fn new(files: Files) -> PortableWriter {
        PortableWriter { files, done: VecDeque::new(), parking: Parking::default() }
    }

    fn write(&self, write: &Write) -> io::Result<()> {
        let file = self.files.file(write.segment)?;
        file.write_all_at(&write.buffer.bytes()[..write.bytes], write.offset)?;
        file.sync_data()
    }
}

impl Writer for PortableWriter {
    fn submit(&mut self, write: Write) {
        let result = self.write(&write);
        self.done.push_back(Done { ticket: write.ticket, buffer: write.buffer, result });
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Event {
        match self.done.pop_front() {
            Some(done) => Event::Done(done),
            None => self.parking.park(timeout),
        }
    }

    fn waker(&mut self) -> io::Result<Waker> {
        Ok(self.parking.waker())
    }
}

/// Parking of a thread that has no ring to sleep in.
#[derive(Default)]
pub(super) struct Parking {
    woken: Arc<AtomicBool>,
}

impl Parking {
    /// Sleeps until woken or until the time is over; a spurious wake-up counts as being woken, which harms nothing.
    pub(super) fn park(&self, timeout: Option<Duration>) -> Event {
        if self.woken.swap(false, Ordering::Acquire) {
            return Event::Woken;
        }
        match timeout {
            None => thread::park(),
            Some(timeout) => thread::park_timeout(timeout),
        }
        match timeout.is_none() || self.woken.swap(false, Ordering::Acquire) {
            true => Event::Woken,
            false => Event::TimedOut,
        }
    }

    /// A waker for the calling thread.
    pub(super) fn waker(&self) -> Waker {
        let (woken, thread) = (Arc::clone(&self.woken), thread::current());
        Box::new(move || {
            woken.store(true, Ordering::Release);
            thread.unpark();
        })
    }
}
