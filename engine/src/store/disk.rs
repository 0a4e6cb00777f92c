//! What the log asks of a disk, so that files and the simulated disk are interchangeable.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::buffer::Buffer;

/// One directory of numbered segments of equal size.
pub(super) trait Disk: Send + Sync {
    /// The backend's name, for metrics.
    fn name(&self) -> &'static str;

    /// Where a segment lies, for error reports.
    fn path(&self, segment: u64) -> PathBuf;

    /// All segments, ascending.
    fn segments(&self) -> io::Result<Vec<u64>>;

    /// Allocates a segment; on return its name and its blocks are durable.
    fn create(&self, segment: u64, bytes: u64) -> io::Result<()>;

    /// Gives an old segment's blocks a new number; on return the new name is durable.
    fn recycle(&self, from: u64, to: u64) -> io::Result<()>;

    /// Removes a segment.
    fn remove(&self, segment: u64) -> io::Result<()>;

    /// Fills the buffer's first `sectors` sectors from `offset`.
    fn read(&self, segment: u64, offset: u64, into: &mut Buffer, sectors: usize) -> io::Result<()>;

    /// Lets the page cache forget some of a segment, so that it is read from the disk next.
    fn forget(&self, _segment: u64, _offset: u64, _bytes: u64) {}

    /// The queue of writes. One per disk.
    fn writer(&self) -> io::Result<Box<dyn Writer>>;
}

/// A group to be written.
pub(super) struct Write {
    /// Counts up; completions may come in another order.
    pub(super) ticket: u64,
    pub(super) segment: u64,
    /// In bytes, from the segment's start.
    pub(super) offset: u64,
    pub(super) buffer: Buffer,
    /// How many of the buffer's bytes to write.
    pub(super) bytes: usize,
}

/// A group that was written and synced, or not.
pub(super) struct Done {
    pub(super) ticket: u64,
    pub(super) buffer: Buffer,
    pub(super) result: io::Result<()>,
}

/// Why `Writer::wait` returned.
pub(super) enum Event {
    /// A write completed: its data are durable if the result is `Ok`.
    Done(Done),
    /// The waker was called.
    Woken,
    /// Nothing happened for as long as was asked.
    TimedOut,
}

/// Wakes the thread that sits in `Writer::wait`; from any thread.
pub(super) type Waker = Box<dyn Fn() + Send + Sync>;

/// Writes with a sync behind each; at most `IN_FLIGHT` of them are submitted before one is waited for.
pub(super) trait Writer: Send {
    /// Starts a write and, after it, the sync that makes it durable. Never fails: the outcome comes through `wait`.
    fn submit(&mut self, write: Write);

    /// Parks until a write is done, the waker is called or the time is over.
    fn wait(&mut self, timeout: Option<Duration>) -> Event;

    /// To be called once, on the thread that will wait.
    fn waker(&mut self) -> io::Result<Waker>;
}

/// Writes in flight: enough that the disk has work while the next group fills; more only splits groups.
pub(super) const IN_FLIGHT: usize = 2;
