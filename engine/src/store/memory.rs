//! A disk in memory that remembers everything that was done to it, so that a test can cut its power at any point.
//!
//! What it promises is the least that a real disk promises: a write that was synced stays; of writes that were not, any
//! sectors may have arrived, whole or torn; names are durable when the call that made them returns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::buffer::Buffer;
use super::disk::{Disk, Done, Event, Waker, Write, Writer};
use super::sector::SECTOR_BYTES;

/// The segments of a disk at one moment.
pub(super) type Image = BTreeMap<u64, Vec<u8>>;

/// What was done to the disk, in order.
#[derive(Clone)]
pub(super) enum Operation {
    Create { segment: u64, bytes: u64 },
    Recycle { from: u64, to: u64 },
    Remove { segment: u64 },
    Write { ticket: u64, segment: u64, offset: u64, bytes: Vec<u8> },
    Synced { ticket: u64 },
}

/// What goes wrong, and when.
#[derive(Default, Clone)]
pub(super) struct Faults {
    /// The write with this ticket fails with this error, after any part of it may have arrived.
    pub(super) write: Option<(u64, io::ErrorKind)>,
    /// Segments cannot be created any more.
    pub(super) full: bool,
    /// Of two writes in flight the younger one is completed first.
    pub(super) reorder: bool,
}

struct Inner {
    image: Image,
    trace: Vec<Operation>,
    faults: Faults,
}

/// The disk.
#[derive(Clone)]
pub(super) struct Memory(Arc<Mutex<Inner>>);

impl Memory {
    pub(super) fn new(image: Image, faults: Faults) -> Memory {
        Memory(Arc::new(Mutex::new(Inner { image, trace: Vec::new(), faults })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// What reads see now.
    pub(super) fn image(&self) -> Image {
        self.lock().image.clone()
    }

    /// Everything that was done since the disk was made.
    pub(super) fn trace(&self) -> Vec<Operation> {
        self.lock().trace.clone()
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }
}

/// What became of a sector that had not been synced when the power went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Lost,
    /// Only the first so many bytes arrived.
    Torn(usize),
}

/// The sectors that are not synced after a prefix of a trace.
pub(super) fn unsynced(trace: &[Operation]) -> usize {
    let synced = synced(trace);
    let count = |operation: &Operation| match operation {
        Operation::Write { ticket, bytes, .. } if !synced.contains(ticket) => bytes.len() / SECTOR_BYTES,
        _ => 0,
    };
    trace.iter().map(count).sum()
}

fn synced(trace: &[Operation]) -> BTreeSet<u64> {
    let ticket = |operation: &Operation| match operation {
        Operation::Synced { ticket } => Some(*ticket),
        _ => None,
    };
    trace.iter().filter_map(ticket).collect()
}

/// The disk after its power went behind a prefix of a trace. `fate` is asked once for each unsynced sector.
/// With `lying` the syncs had done nothing: the control that shows that the tests can fail.
pub(super) fn crash(
    start: &Image,
    trace: &[Operation],
    lying: bool,
    mut fate: impl FnMut() -> Fate,
) -> Image {
    let mut image = start.clone();
    let synced = if lying { BTreeSet::new() } else { synced(trace) };
    for operation in trace {
        match operation {
            Operation::Create { segment, bytes } => drop(image.insert(*segment, vec![0; *bytes as usize])),
            Operation::Recycle { from, to } => {
                let blocks = image.remove(from).unwrap();
                image.insert(*to, blocks);
            }
            Operation::Remove { segment } => drop(image.remove(segment)),
            Operation::Write { ticket, segment, offset, bytes } => {
                let Some(blocks) = image.get_mut(segment) else { continue };
                for (index, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                    let at = *offset as usize + index * SECTOR_BYTES;
                    let count = match synced.contains(ticket) {
                        true => SECTOR_BYTES,
                        false => match fate() {
                            Fate::Kept => SECTOR_BYTES,
                            Fate::Lost => 0,
                            Fate::Torn(count) => count,
                        },
                    };
                    blocks[at..at + count].copy_from_slice(&sector[..count]);
                }
            }
            Operation::Synced { .. } => {}
        }
    }
    image
}

impl Disk for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn path(&self, segment: u64) -> PathBuf {
        PathBuf::from(format!("/memory/{segment}"))
    }

    fn segments(&self) -> io::Result<Vec<u64>> {
        Ok(self.lock().image.keys().copied().collect())
    }

    fn create(&self, segment: u64, bytes: u64) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.faults.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        inner.image.insert(segment, vec![0; bytes as usize]);
        inner.trace.push(Operation::Create { segment, bytes });
        Ok(())
    }

    fn recycle(&self, from: u64, to: u64) -> io::Result<()> {
        let mut inner = self.lock();
        let blocks = inner.image.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        inner.image.insert(to, blocks);
        inner.trace.push(Operation::Recycle { from, to });
        Ok(())
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        let mut inner = self.lock();
        inner.image.remove(&segment).ok_or(io::ErrorKind::NotFound)?;
        inner.trace.push(Operation::Remove { segment });
        Ok(())
    }

    fn read(&self, segment: u64, offset: u64, into: &mut Buffer, sectors: usize) -> io::Result<()> {
        let inner = self.lock();
        let blocks = inner.image.get(&segment).ok_or(io::ErrorKind::NotFound)?;
        let (from, count) = (offset as usize, sectors * SECTOR_BYTES);
        let bytes = blocks.get(from..from + count).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.bytes_mut()[..count].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self, _segment: u64) -> io::Result<()> {
        Ok(())
    }

    fn writer(&self) -> io::Result<Box<dyn Writer>> {
        Ok(Box::new(MemoryWriter { memory: self.clone(), queue: VecDeque::new() }))
    }
}

struct MemoryWriter {
    memory: Memory,
    queue: VecDeque<Write>,
}

impl Writer for MemoryWriter {
    fn submit(&mut self, write: Write) {
        let mut inner = self.memory.lock();
        let bytes = write.buffer.bytes()[..write.bytes].to_vec();
        let (segment, offset) = (write.segment, write.offset);
        let blocks = inner.image.get_mut(&segment).expect("only prepared segments are written");
        blocks[offset as usize..offset as usize + bytes.len()].copy_from_slice(&bytes);
        inner.trace.push(Operation::Write { ticket: write.ticket, segment, offset, bytes });
        drop(inner);
        self.queue.push_back(write);
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Event {
        let mut inner = self.memory.lock();
        let next = if inner.faults.reorder { self.queue.pop_back() } else { self.queue.pop_front() };
        let Some(write) = next else {
            return if timeout.is_some() { Event::TimedOut } else { Event::Woken };
        };
        let result = match inner.faults.write {
            Some((ticket, kind)) if ticket == write.ticket => Err(kind.into()),
            _ => {
                inner.trace.push(Operation::Synced { ticket: write.ticket });
                Ok(())
            }
        };
        Event::Done(Done { ticket: write.ticket, buffer: write.buffer, result })
    }

    fn waker(&mut self) -> io::Result<Waker> {
        Ok(Box::new(|| {}))
    }
}
