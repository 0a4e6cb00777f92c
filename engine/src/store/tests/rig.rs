//! A log on a disk in memory, driven turn by turn in one thread, whose power can be cut behind any operation.

use super::*;
use crate::store::memory::{Faults, Image, Memory, Operation};
use crate::store::pump::{Pump, Turn};

/// A small generator, so that a failure is a seed.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What a life of the log did, for the one who cuts it short.
pub(super) struct Life {
    pub(super) start: Image,
    pub(super) trace: Vec<Operation>,
    /// After so many operations so many records (of the whole history) had been acknowledged.
    pub(super) acknowledged: Vec<(usize, u64)>,
    /// After so many operations the records before this one had been given up.
    pub(super) released: Vec<(usize, u64)>,
    /// The history at the end: each record's number and position.
    pub(super) history: Vec<(u64, Position)>,
}

impl Life {
    pub(super) fn acknowledged_after(&self, operations: usize) -> u64 {
        self.acknowledged.iter().rev().find(|(at, _)| *at <= operations).map_or(0, |(_, count)| *count)
    }

    pub(super) fn released_after(&self, operations: usize) -> u64 {
        self.released.iter().rev().find(|(at, _)| *at <= operations).map_or(0, |(_, count)| *count)
    }
}

pub(super) struct Rig {
    pub(super) memory: Memory,
    pub(super) log: Log,
    pub(super) pump: Pump,
    start: Image,
    history: Vec<(u64, Position)>,
    acknowledged: Vec<(usize, u64)>,
    released: Vec<(usize, u64)>,
}

/// Recovers from an image and returns what is replayed.
pub(super) fn recovered(
    image: &Image,
    incarnation: u32,
    options: &Options,
    faults: Faults,
) -> Result<(Rig, Vec<Record>), StoreError> {
    let memory = Memory::new(image.clone(), faults);
    let identity = Identity { owner: OWNER, segment_bytes: options.segment_bytes, incarnation };
    let (log, replay, pump) = Log::assemble(Arc::new(memory.clone()), identity, options, false)?;
    let records = replay.collect::<Result<Vec<Record>, StoreError>>()?;
    let history = records.iter().map(|record| (u64::MAX, record.position)).collect::<Vec<_>>();
    let acknowledged = vec![(0, history.len() as u64)];
    let rig = Rig { memory, log, pump, start: image.clone(), history, acknowledged, released: vec![(0, 0)] };
    Ok((rig, records))
}

impl Rig {
    /// Tells the rig the history that its records came from.
    pub(super) fn resume(&mut self, history: Vec<(u64, Position)>, released: u64) {
        self.acknowledged = vec![(0, history.len() as u64)];
        self.released = vec![(0, released)];
        self.history = history;
    }

    pub(super) fn append(&mut self, number: u64) -> Result<Position, StoreError> {
        loop {
            let bytes = content(number, length(number));
            let offered = self.log.shared.offer(&mut self.log.shared.lock(), number as u8, &[&bytes])?;
            if let Some(position) = offered {
                self.history.push((number, position));
                return Ok(position);
            }
            self.turn();
        }
    }

    pub(super) fn turn(&mut self) -> Turn {
        let turn = self.pump.turn();
        let operations = self.memory.trace().len();
        let durable = Position::of_sector(self.log.shared.lock().durable);
        let count = self.history.iter().filter(|(_, position)| *position < durable).count() as u64;
        self.acknowledged.push((operations, count));
        turn
    }

    /// Gives up every record before this one of the history.
    pub(super) fn release(&mut self, record: u64) {
        let Some((_, position)) = self.history.get(record as usize) else { return };
        self.log.release(*position);
        let before = self.released[self.released.len() - 1].1;
        self.released.push((self.memory.trace().len(), record.max(before)));
    }

    /// Turns until everything is durable, marked and recycled.
    pub(super) fn settle(&mut self) {
        for _ in 0..64 {
            self.turn();
        }
    }

    /// Turns until the group at hand is durable, without a mark behind it.
    pub(super) fn settle_group(&mut self) {
        self.turn();
        self.turn();
    }

    pub(super) fn end(self) -> Life {
        Life {
            start: self.start,
            trace: self.memory.trace(),
            acknowledged: self.acknowledged,
            released: self.released,
            history: self.history,
        }
    }
}

/// What a replay must be: the history's records from some released one on, all acknowledged ones, and no more than were
/// appended. Returns the index in the history of the first one and of the one behind the last.
pub(super) fn judge(
    records: &[Record],
    history: &[(u64, Position)],
    acknowledged: u64,
    released: u64,
) -> Result<(u64, u64), String> {
    let first = match records.first() {
        Some(record) => history
            .iter()
            .position(|(_, position)| *position == record.position)
            .ok_or_else(|| format!("a record at {:?} that was never appended", record.position))?
            as u64,
        None => released.max(acknowledged),
    };
    if first > released && first > 0 && !(records.is_empty() && released >= acknowledged) {
        return Err(format!("record {first} is the first, but only those before {released} were released"));
    }
    for (record, (number, position)) in records.iter().zip(&history[first as usize..]) {
        if record.position != *position || record.bytes != content(*number, length(*number)) {
            return Err(format!("another record than number {number} at {:?}", record.position));
        }
    }
    let end = first + records.len() as u64;
    if end < acknowledged {
        return Err(format!("{acknowledged} records were acknowledged, but the last is {end}"));
    }
    if end > history.len() as u64 {
        return Err("more records than were appended".into());
    }
    Ok((first, end))
}
