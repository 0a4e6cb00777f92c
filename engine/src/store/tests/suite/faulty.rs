//! A disk over another one, which does wrong what it is told to. The one below need not know.
//!
//! ```text
//! the log ── Disk, Writer ──▶ Faulty: torn, short, late, lost, lied about, misdirected, refused ──▶ files or memory
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::store::buffer::Buffer;
use crate::store::disk::{Disk, Done, Event, Waker, Write, Writer};
use crate::store::sector::SECTOR_BYTES;

pub(super) type Sector = [u8; SECTOR_BYTES];
/// A segment, and a sector in it.
pub(super) type Place = (u64, u64);

/// What becomes of one write.
#[derive(Debug, Clone)]
pub(super) enum Wrong {
    /// The power goes while it is under way: of each of its sectors so many bytes arrive, in 512s, and nothing else
    /// does anything any more.
    Cut(Vec<usize>),
    /// Its first sectors arrive, so many, and then it fails with this error.
    Short(usize, i32),
    /// It arrives, and its sync fails.
    Unsynced(i32),
    /// It is reported to be done, and nothing has arrived.
    Lost,
    /// It is reported to be durable, and is until the power goes.
    Lied,
    /// It is reported to be done, and stands elsewhere.
    Misdirected(Place),
    /// It arrives after the one that is submitted behind it.
    Late,
}

/// What goes wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    /// Of the writes, each by its number since the log was opened.
    pub(super) writes: BTreeMap<u64, Wrong>,
    /// Segments can be neither made nor used again.
    pub(super) creations: Option<i32>,
    /// Segments cannot be removed.
    pub(super) removals: Option<i32>,
    /// Sectors that cannot be read, and those that another one is read for; so many times.
    pub(super) reads: BTreeMap<Place, (Read, u32)>,
}

/// What becomes of the reading of a sector.
#[derive(Debug, Clone, Copy)]
pub(super) enum Read {
    Fails(i32),
    /// The bytes of another one come.
    From(Place),
}

#[derive(Default)]
struct State {
    faults: Faults,
    writes: u64,
    reads: u64,
    is_off: bool,
    /// What a lying disk has in its memory only.
    cached: BTreeMap<Place, Sector>,
}

/// The disk.
#[derive(Clone)]
pub(super) struct Faulty {
    inner: Arc<dyn Disk>,
    state: Arc<Mutex<State>>,
}

impl Faulty {
    pub(super) fn new(inner: Arc<dyn Disk>, faults: Faults) -> Self {
        Self { inner, state: Arc::new(Mutex::new(State { faults, ..State::default() })) }
    }

    /// From now on.
    pub(super) fn set(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Cuts the power: what a lying disk had in its memory is gone.
    pub(super) fn power_off(&self) {
        let mut state = self.lock();
        (state.is_off, state.cached) = (true, BTreeMap::new());
    }

    /// Writes that the log has submitted.
    pub(super) fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Reads that were asked for.
    pub(super) fn reads(&self) -> u64 {
        self.lock().reads
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn on(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.is_off { Err(io::Error::other("the power is off")) } else { Ok(state) }
    }
}

/// The bytes of a sector.
pub(super) fn read(disk: &dyn Disk, (segment, sector): Place) -> Sector {
    let mut buffer = Buffer::new(1);
    disk.read(segment, sector * SECTOR_BYTES as u64, &mut buffer, 1).unwrap();
    *buffer.sector(0)
}

/// Changes a sector behind the log's back.
pub(super) fn spoil(disk: &dyn Disk, place: Place, change: impl FnOnce(&mut Sector)) {
    let mut bytes = read(disk, place);
    change(&mut bytes);
    write(disk.writer().unwrap().as_mut(), place, &[bytes]);
}

fn write(writer: &mut dyn Writer, (segment, first): Place, sectors: &[Sector]) {
    let mut buffer = Buffer::new(sectors.len());
    sectors.iter().enumerate().for_each(|(index, bytes)| *buffer.sector_mut(index) = *bytes);
    let (offset, bytes) = (first * SECTOR_BYTES as u64, sectors.len() * SECTOR_BYTES);
    writer.submit(Write { ticket: u64::MAX / 4, segment, offset, buffer, bytes });
    finish(writer).result.unwrap();
}

fn finish(writer: &mut dyn Writer) -> Done {
    loop {
        if let Event::Done(done) = writer.wait(None) {
            return done;
        }
    }
}

impl Disk for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.inner.path(segment)
    }

    fn segments(&self) -> io::Result<Vec<u64>> {
        drop(self.on()?);
        self.inner.segments()
    }

    fn create(&self, segment: u64, bytes: u64) -> io::Result<()> {
        match self.on()?.faults.creations {
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None => self.inner.create(segment, bytes),
        }
    }

    fn recycle(&self, from: u64, to: u64) -> io::Result<()> {
        match self.on()?.faults.creations {
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None => self.inner.recycle(from, to),
        }
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        match self.on()?.faults.removals {
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None => self.inner.remove(segment),
        }
    }

    fn read(&self, segment: u64, offset: u64, into: &mut Buffer, sectors: usize) -> io::Result<()> {
        let mut state = self.on()?;
        state.reads += 1;
        self.inner.read(segment, offset, into, sectors)?;
        for index in 0..sectors {
            let place = (segment, offset / SECTOR_BYTES as u64 + index as u64);
            if let Some(cached) = state.cached.get(&place) {
                *into.sector_mut(index) = *cached;
            }
            let Some((wrong, times)) = state.faults.reads.get_mut(&place).filter(|(_, times)| *times > 0)
            else {
                continue;
            };
            *times -= 1;
            match *wrong {
                Read::Fails(code) => return Err(io::Error::from_raw_os_error(code)),
                Read::From(other) => *into.sector_mut(index) = read(self.inner.as_ref(), other),
            }
        }
        Ok(())
    }

    fn writer(&self) -> io::Result<Box<dyn Writer>> {
        let (disk, inner) = (self.clone(), self.inner.writer()?);
        Ok(Box::new(FaultyWriter { disk, inner, below: 0, late: None, done: VecDeque::new() }))
    }
}

struct FaultyWriter {
    disk: Faulty,
    inner: Box<dyn Writer>,
    /// Writes that the disk below has.
    below: usize,
    /// One that waits for the one behind it.
    late: Option<Write>,
    /// What is reported without the disk below.
    done: VecDeque<Done>,
}

impl FaultyWriter {
    /// What is left of a write, where only that is at fault. The disk below has nothing else then.
    fn spoiled(&mut self, wrong: &Wrong, write: &Write) -> io::Result<()> {
        let place = (write.segment, write.offset / SECTOR_BYTES as u64);
        let sectors: Vec<Sector> =
            (0..write.bytes / SECTOR_BYTES).map(|index| *write.buffer.sector(index)).collect();
        let (inner, below) = (self.inner.as_mut(), self.disk.inner.clone());
        match wrong {
            Wrong::Cut(arrived) => {
                for (index, bytes) in sectors.iter().enumerate() {
                    let place = (place.0, place.1 + index as u64);
                    let mut there = read(below.as_ref(), place);
                    let count = arrived.get(index).map_or(0, |count| count.min(&8) * 512);
                    there[..count].copy_from_slice(&bytes[..count]);
                    self::write(inner, place, &[there]);
                }
                self.disk.power_off();
                Err(io::Error::other("the power is off"))
            }
            Wrong::Short(count, code) => {
                let arrived = &sectors[..sectors.len().min(*count)];
                if !arrived.is_empty() {
                    self::write(inner, place, arrived);
                }
                Err(io::Error::from_raw_os_error(*code))
            }
            Wrong::Unsynced(code) => {
                self::write(inner, place, &sectors);
                Err(io::Error::from_raw_os_error(*code))
            }
            Wrong::Lost => Ok(()),
            Wrong::Lied => {
                let places = (place.1..).map(|sector| (place.0, sector));
                self.disk.lock().cached.extend(places.zip(sectors));
                Ok(())
            }
            Wrong::Misdirected(to) => {
                self::write(inner, *to, &sectors);
                Ok(())
            }
            Wrong::Late => unreachable!("a late write is whole"),
        }
    }

    fn below(&mut self, write: Write) {
        self.below += 1;
        self.inner.submit(write);
    }

    /// Has the disk below finish what it has, so that one write can be spoiled by itself.
    fn drain(&mut self) {
        for _ in 0..std::mem::take(&mut self.below) {
            let done = finish(self.inner.as_mut());
            self.done.push_back(done);
        }
    }
}

impl Writer for FaultyWriter {
    fn submit(&mut self, write: Write) {
        let mut state = self.disk.lock();
        let number = state.writes;
        state.writes += 1;
        let wrong = state.faults.writes.get(&number).cloned();
        drop(state);
        match wrong {
            _ if self.disk.on().is_err() => {
                let result = self.disk.on().map(drop);
                self.done.push_back(Done { ticket: write.ticket, buffer: write.buffer, result });
            }
            None => self.below(write),
            Some(Wrong::Late) => self.late = Some(write),
            Some(wrong) => {
                self.drain();
                let result = self.spoiled(&wrong, &write);
                self.done.push_back(Done { ticket: write.ticket, buffer: write.buffer, result });
            }
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Event {
        if let Some(done) = self.done.pop_front() {
            return Event::Done(done);
        }
        if self.below == 0
            && let Some(late) = self.late.take()
        {
            if let Err(error) = self.disk.on().map(drop) {
                return Event::Done(Done { ticket: late.ticket, buffer: late.buffer, result: Err(error) });
            }
            self.below(late);
        }
        if self.below == 0 {
            return if timeout.is_some() { Event::TimedOut } else { Event::Woken };
        }
        self.below -= 1;
        Event::Done(finish(self.inner.as_mut()))
    }

    fn waker(&mut self) -> io::Result<Waker> {
        self.inner.waker()
    }
}
