//! A log on a disk in memory, driven turn by turn in one thread, whose power can be cut behind any operation.

use super::*;

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

/// What a life of the log did, to be cut short by the test.
pub(super) struct Life {
    start: SimulatedDisk,
    /// The disk after each operation.
    pub(super) moments: Vec<SimulatedDisk>,
    /// After so many operations so many records (of the whole history) had been acknowledged.
    pub(super) acknowledged: Vec<(usize, u64)>,
    /// After so many operations the records before this one had been given up.
    pub(super) released: Vec<(usize, u64)>,
    /// The history at the end: each record's number and position.
    pub(super) history: Vec<(u64, Position)>,
}

impl Life {
    /// The disk after so many operations and a power cut.
    pub(super) fn cut(&self, operations: usize, fate: impl FnMut() -> Fate) -> SimulatedDisk {
        let disk = match operations.checked_sub(1) {
            Some(last) => self.moments[last].copy(),
            None => self.start.copy(),
        };
        disk.crash(fate);
        disk
    }

    pub(super) fn acknowledged_after(&self, operations: usize) -> u64 {
        self.acknowledged.iter().rev().find(|(at, _)| *at <= operations).map_or(0, |(_, count)| *count)
    }

    pub(super) fn released_after(&self, operations: usize) -> u64 {
        self.released.iter().rev().find(|(at, _)| *at <= operations).map_or(0, |(_, count)| *count)
    }
}

pub(super) struct Rig {
    pub(super) disk: SimulatedDisk,
    pub(super) log: SimulatedLog,
    start: SimulatedDisk,
    history: Vec<(u64, Position)>,
    acknowledged: Vec<(usize, u64)>,
    released: Vec<(usize, u64)>,
}

/// Recovers from a copy of a disk and returns what is replayed.
pub(super) fn recovered(
    start: &SimulatedDisk,
    options: &Options,
    faults: Faults,
) -> Result<(Rig, Vec<Record>), StoreError> {
    let disk = start.copy();
    disk.set_faults(faults);
    let (log, replay) = SimulatedLog::open(&disk, options)?;
    let records = replay.collect::<Result<Vec<Record>, StoreError>>()?;
    let history = records.iter().map(|record| (u64::MAX, record.position)).collect::<Vec<_>>();
    let acknowledged = vec![(0, history.len() as u64)];
    let rig = Rig { disk, log, start: start.copy(), history, acknowledged, released: vec![(0, 0)] };
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
        let bytes = content(number, length(number));
        let position = self.log.append(number as u8, &[&bytes])?;
        self.history.push((number, position));
        self.note();
        Ok(position)
    }

    pub(super) fn turn(&mut self) {
        self.log.turn();
        self.note();
    }

    fn note(&mut self) {
        let durable = self.log.durable();
        let count = self.history.iter().filter(|(_, position)| durable.covers(*position)).count() as u64;
        self.acknowledged.push((self.disk.operations(), count));
    }

    /// Gives up every record before this one of the history.
    pub(super) fn release(&mut self, record: u64) {
        let Some((_, position)) = self.history.get(record as usize) else { return };
        self.log.release(*position);
        // What is not durable yet stays, as the log promises.
        let record = record.min(self.acknowledged[self.acknowledged.len() - 1].1);
        let before = self.released[self.released.len() - 1].1;
        self.released.push((self.disk.operations(), record.max(before)));
    }

    /// Turns until everything is durable, marked and recycled.
    pub(super) fn settle(&mut self) {
        self.log.settle();
        self.note();
    }

    /// Turns until the group at hand is durable, without a mark behind it.
    pub(super) fn settle_group(&mut self) {
        self.turn();
        self.turn();
    }

    pub(super) fn end(self) -> Life {
        Life {
            start: self.start,
            moments: self.disk.moments(),
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
