//! The simulated disk as the log's code sees it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::disk::{DIRECTORY, Segment, SimulatedDisk, State, Unsynced};
use crate::store::buffer::Buffer;
use crate::store::disk::{Disk, Done, Event, Waker, Write, Writer};
use crate::store::sector::SECTOR_BYTES;

/// The disk in one life of the log.
#[derive(Clone)]
pub(in crate::store) struct Handle {
    disk: SimulatedDisk,
    life: u64,
}

impl Handle {
    pub(super) fn new(disk: SimulatedDisk, life: u64) -> Handle {
        Handle { disk, life }
    }

    fn lock(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        match state.life == self.life {
            true => Ok(state),
            false => Err(io::Error::other("this life of the log is over")),
        }
    }
}

impl Disk for Handle {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn path(&self, segment: u64) -> PathBuf {
        Path::new(DIRECTORY).join(segment.to_string())
    }

    fn segments(&self) -> io::Result<Vec<u64>> {
        Ok(self.lock()?.contents.segments.keys().copied().collect())
    }

    fn create(&self, segment: u64, bytes: u64) -> io::Result<()> {
        let mut state = self.lock()?;
        if let Some(kind) = state.faults.creations {
            return Err(kind.into());
        }
        let blocks = Segment { sectors: bytes / SECTOR_BYTES as u64, durable: BTreeMap::new() };
        state.contents.segments.insert(segment, blocks);
        state.changed();
        Ok(())
    }

    fn recycle(&self, from: u64, to: u64) -> io::Result<()> {
        let mut state = self.lock()?;
        let contents = &mut state.contents;
        let blocks = contents.segments.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        contents.segments.insert(to, blocks);
        let moved: Vec<_> = contents.unsynced.extract_if((from, 0)..=(from, u64::MAX), |_, _| true).collect();
        contents.unsynced.extend(moved.into_iter().map(|((_, sector), value)| ((to, sector), value)));
        state.changed();
        Ok(())
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        let mut state = self.lock()?;
        state.contents.segments.remove(&segment).ok_or(io::ErrorKind::NotFound)?;
        state.contents.unsynced.retain(|(of, _), _| *of != segment);
        state.changed();
        Ok(())
    }

    fn read(&self, segment: u64, offset: u64, into: &mut Buffer, sectors: usize) -> io::Result<()> {
        let state = self.lock()?;
        let blocks = state.contents.segments.get(&segment).ok_or(io::ErrorKind::NotFound)?;
        let first = offset / SECTOR_BYTES as u64;
        if first + sectors as u64 > blocks.sectors {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (index, sector) in (first..first + sectors as u64).enumerate() {
            match state.contents.read(segment, sector) {
                Some(bytes) => *into.sector_mut(index) = **bytes,
                None => into.sector_mut(index).fill(0),
            }
        }
        Ok(())
    }

    fn writer(&self) -> io::Result<Box<dyn Writer>> {
        Ok(Box::new(SimulatedWriter { handle: self.clone(), queue: VecDeque::new() }))
    }
}

struct SimulatedWriter {
    handle: Handle,
    /// What is in flight, each with its number.
    queue: VecDeque<(u64, Write)>,
}

impl SimulatedWriter {
    fn write(&self, write: &Write) -> io::Result<u64> {
        let mut state = self.handle.lock()?;
        let number = state.contents.writes;
        state.contents.writes += 1;
        let blocks = state.contents.segments.get(&write.segment).expect("only prepared segments are written");
        let (first, count) = (write.offset / SECTOR_BYTES as u64, (write.bytes / SECTOR_BYTES) as u64);
        assert!(first + count <= blocks.sectors, "the log writes inside its segments");
        for index in 0..count {
            let bytes = Arc::new(*write.buffer.sector(index as usize));
            let unsynced = Unsynced { write: number, bytes };
            state.contents.unsynced.insert((write.segment, first + index), unsynced);
        }
        state.changed();
        Ok(number)
    }

    /// The sync behind a write returns.
    fn complete(&self, number: u64, segment: u64) -> io::Result<()> {
        let mut state = self.handle.lock()?;
        let (faults, since_opened) = (&state.faults, number - state.writes_before);
        let this = faults.write.filter(|(failing, _)| *failing == since_opened).map(|(_, kind)| kind);
        let failure = this.or(faults.writes).or(faults.syncs);
        let is_lying = faults.lying;
        if failure.is_none() && !is_lying {
            state.contents.sync(segment, number);
        }
        state.changed();
        failure.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl Writer for SimulatedWriter {
    fn submit(&mut self, write: Write) {
        // What a life that is over writes goes nowhere, and it hears of that when the write is completed.
        let number = self.write(&write).unwrap_or(u64::MAX);
        self.queue.push_back((number, write));
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Event {
        let is_reordering = self.handle.disk.lock().faults.reordering;
        let next = if is_reordering { self.queue.pop_back() } else { self.queue.pop_front() };
        let Some((number, write)) = next else {
            return if timeout.is_some() { Event::TimedOut } else { Event::Woken };
        };
        let result = self.complete(number, write.segment);
        Event::Done(Done { ticket: write.ticket, buffer: write.buffer, result })
    }

    fn waker(&mut self) -> io::Result<Waker> {
        Ok(Box::new(|| {}))
    }
}
