//! Blobs against a plain model, with a crash at every record.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use commonware_runtime::{Blob as _, BlobVersion, DEFAULT_BLOB_VERSION, Error, ReadOptions, WriteOptions};

use super::{
    RECORD_BYTES_MAX, Replay, ReplayError, Store, SyncDone,
    blob::Blob,
    record::{CHUNK_BYTES, Identity, Record},
    volume::Volume,
};
use crate::{StopReason, halt::Halt};

const IDENTITY: Identity = Identity { validator: [3; 32], committee: [1; 32], epoch: 4 };
const STRANGER: Identity = Identity { validator: [4; 32], ..IDENTITY };

/// All records ever, and what could be released when each was appended.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    records: Vec<Vec<u8>>,
    /// For each record: how many before it were released by then.
    released: Vec<u64>,
    released_now: u64,
    answers: Answers,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Answers {
    #[default]
    AtOnce,
    Never,
    Fails,
}

impl Store for Log {
    fn append(&self, record: &[u8]) -> io::Result<u64> {
        assert!(record.len() <= RECORD_BYTES_MAX);
        let mut log = self.0.lock().unwrap();
        let released = log.released_now;
        log.records.push(record.to_vec());
        log.released.push(released);
        Ok(log.records.len() as u64 - 1)
    }

    fn sync(&self, position: u64, done: SyncDone) {
        let (len, answers) = {
            let log = self.0.lock().unwrap();
            (log.records.len() as u64, log.answers)
        };
        assert!(position < len);
        match answers {
            Answers::AtOnce => done(Ok(())),
            Answers::Never => drop(done),
            Answers::Fails => done(Err(io::Error::other("broken"))),
        }
    }

    fn release(&self, before: u64) {
        let mut log = self.0.lock().unwrap();
        assert!(before <= log.records.len() as u64);
        log.released_now = log.released_now.max(before);
    }
}

impl Log {
    /// The log as a crash leaves it: records `from..to`.
    fn cut(&self, from: usize, to: usize) -> Replay {
        let mut replay = Replay::new();
        for (position, record) in self.0.lock().unwrap().records[..to].iter().enumerate().skip(from) {
            replay.record(position as u64, record);
        }
        replay
    }

    fn truncated(&self, to: usize) -> Log {
        let log = self.0.lock().unwrap();
        Log(Arc::new(Mutex::new(Inner {
            records: log.records[..to].to_vec(),
            released: log.released[..to].to_vec(),
            ..Inner::default()
        })))
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().records.len()
    }
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn open_volume(log: &Log, replay: Replay, compact_after: u64, halt: &Halt) -> Arc<Volume> {
    open_epoch(log, replay, IDENTITY, (compact_after, halt)).unwrap()
}

fn open_epoch(
    log: &Log,
    replay: Replay,
    identity: Identity,
    (compact_after, halt): (u64, &Halt),
) -> Result<Arc<Volume>, ReplayError> {
    let (store, recovered) = (Arc::new(log.clone()), replay.finish(identity)?);
    Ok(Arc::new(Volume::new(store, recovered, identity, compact_after, halt.clone()).unwrap()))
}

fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn now<F: Future>(future: F) -> F::Output {
    match poll(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("must complete at once"),
    }
}

fn open(volume: &Arc<Volume>, name: &[u8]) -> Result<(Blob, u64), Error> {
    now(volume.open("part", name, DEFAULT_BLOB_VERSION..=DEFAULT_BLOB_VERSION))
        .map(|(blob, len, _)| (blob, len))
}

fn write(blob: &Blob, offset: u64, bytes: &[u8]) -> Result<(), Error> {
    now(blob.write_at(offset, bytes.to_vec(), WriteOptions::SYNC))
}

fn content(volume: &Arc<Volume>) -> Model {
    let names = volume.scan("part").unwrap_or_default();
    names
        .into_iter()
        .map(|name| {
            let (blob, len) = open(volume, &name).unwrap();
            let bytes = now(blob.read_at(0, len as usize, ReadOptions::default())).unwrap();
            (name, bytes.coalesce().as_ref().to_vec())
        })
        .collect()
}

/// A small generator: the same cases in every run.
struct Chance {
    state: u64,
    /// Whether some writes are longer than a record.
    long_writes: bool,
}

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % bound
    }
}

/// One random operation on both; whether it may take several records besides a snapshot.
fn step(chance: &mut Chance, volume: &Arc<Volume>, model: &mut Model) -> bool {
    let name = vec![b'a' + chance.below(4) as u8];
    match chance.below(12) {
        0 if model.contains_key(&name) => {
            now(volume.remove("part", Some(&name))).unwrap();
            model.remove(&name);
            false
        }
        1 if chance.below(6) == 0 && !model.is_empty() => {
            now(volume.remove("part", None)).unwrap();
            model.clear();
            true
        }
        2 => {
            let len = chance.below(400);
            let created = !model.contains_key(&name);
            now(open(volume, &name).unwrap().0.resize(len)).unwrap();
            model.entry(name).or_default().resize(len as usize, 0);
            created
        }
        kind => {
            let long = chance.long_writes && kind == 3 && chance.below(4) == 0;
            let len = if long { CHUNK_BYTES as u64 + chance.below(100) } else { chance.below(200) };
            let offset = chance.below(300);
            let bytes: Vec<u8> = (0..len).map(|_| chance.below(3) as u8).collect();
            let created = !model.contains_key(&name);
            write(&open(volume, &name).unwrap().0, offset, &bytes).unwrap();
            let blob = model.entry(name).or_default();
            if len > 0 {
                let end = (offset + len) as usize;
                if blob.len() < end {
                    blob.resize(end, 0);
                }
                blob[offset as usize..end].copy_from_slice(&bytes);
            }
            created || long
        }
    }
}

#[test]
fn a_crash_at_any_record_loses_only_what_came_after() {
    for seed in 1..=6_u64 {
        let (log, halt) = (Log::default(), Halt::new());
        let chance = &mut Chance { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), long_writes: seed == 6 };
        let volume = open_volume(&log, Replay::new(), 3000, &halt);
        let mut model = Model::new();
        // (records so far, what must be there, whether the step before may be seen half done)
        let mut history = vec![(log.len(), model.clone(), false)];
        for _ in 0..120 {
            let several = step(chance, &volume, &mut model);
            assert_eq!(content(&volume), model);
            history.push((log.len(), model.clone(), several));
        }
        let released: Vec<u64> = log.0.lock().unwrap().released.clone();
        assert!(released.last().is_some_and(|released| *released > 0), "compaction released nothing");
        let compactions = volume.counters.compactions.load(std::sync::atomic::Ordering::Relaxed);
        assert!(chance.long_writes || compactions > 1, "seed {seed}: {compactions} compactions");

        for pair in history.windows(2) {
            let [(before_len, before, _), (after_len, after, several)] = pair else { unreachable!() };
            for to in before_len + 1..=*after_len {
                let allowed = released[to - 1] as usize;
                // A release may be honoured wholly, in part, or not at all.
                for from in [0, allowed / 2, allowed] {
                    let found = content(&open_volume(&log.truncated(to), log.cut(from, to), 3000, &halt));
                    if to == *after_len {
                        assert_eq!(found, *after, "seed {seed}, records {from}..{to}");
                    } else if !several {
                        assert!(found == *before || found == *after, "seed {seed}, records {from}..{to}");
                    }
                }
            }
        }
    }
}

#[test]
fn life_goes_on_after_a_crash_inside_a_snapshot() {
    let (log, halt) = (Log::default(), Halt::new());
    let volume = open_volume(&log, Replay::new(), 600, &halt);
    for turn in 0..90_u8 {
        let (blob, len) = open(&volume, &[b'a' + turn % 3]).unwrap();
        write(&blob, len.min(50), &[turn; 100]).unwrap();
    }
    let records = log.0.lock().unwrap().records.clone();
    let mut inside = 0;
    for to in 1..=records.len() {
        if matches!(
            Record::decode(&records[to - 1]),
            Some(Record::SnapshotBegin { .. } | Record::SnapshotBlob { .. })
        ) {
            inside += 1;
        }
        let log = log.truncated(to);
        let volume = open_volume(&log, log.cut(0, to), 600, &halt);
        let mut expected = content(&volume);
        for turn in 0..8_u8 {
            let (blob, len) = open(&volume, b"z").unwrap();
            write(&blob, len, &[turn; 90]).unwrap();
            expected.entry(b"z".to_vec()).or_default().extend_from_slice(&[turn; 90]);
        }
        let again = open_volume(&log, log.cut(0, log.len()), 600, &halt);
        assert_eq!(content(&again), expected, "after a crash at record {to}");
    }
    assert!(inside > 4, "no crash fell inside a snapshot");
}

/// Two epochs in one log, each with snapshots, cut at every record, and begun at every record that may be the oldest.
#[test]
fn an_epoch_begins_without_what_was_written_in_the_one_before() {
    let (log, halt) = (Log::default(), Halt::new());
    let next = Identity { committee: [2; 32], epoch: IDENTITY.epoch + 1, ..IDENTITY };
    let fill = |volume: &Arc<Volume>, byte| {
        for turn in 0..40_u8 {
            let (blob, len) = open(volume, &[b'a' + turn % 3]).unwrap();
            write(&blob, len.min(50), &[byte; 100]).unwrap();
        }
    };
    fill(&open_volume(&log, Replay::new(), 600, &halt), 1);
    let first = log.len();
    let volume = open_epoch(&log, log.cut(0, first), next, (600, &halt)).unwrap();
    assert_eq!(content(&volume), Model::new());
    fill(&volume, 2);
    for to in 1..=log.len() {
        let released = log.0.lock().unwrap().released[to - 1] as usize;
        for from in [0, released] {
            let (cut, older) = (log.truncated(to), to <= first);
            assert_eq!(log.cut(from, to).epoch(), if older { IDENTITY.epoch } else { next.epoch });
            let found = content(&open_epoch(&cut, log.cut(from, to), next, (600, &halt)).unwrap());
            assert!(found.values().flatten().all(|byte| *byte != 1), "of the epoch before, at {from}..{to}");
            assert!(!older || found.is_empty());
            // It is as it was at the next start, and the votes of the later epoch are not taken for the earlier one's.
            let again = |identity| open_epoch(&cut, cut.cut(from, cut.len()), identity, (600, &halt));
            assert_eq!(content(&again(next).unwrap()), found, "at {from}..{to}");
            let later = ReplayError::LaterEpoch { found: next.epoch, expected: IDENTITY.epoch };
            assert_eq!(again(IDENTITY).err(), Some(later));
            // That start releases what stands before the epoch; a log drops whole files, so a part of it may stay.
            let released = cut.0.lock().unwrap().released_now as usize;
            for from in (from..=released).rev().take(3) {
                let found_again = open_epoch(&cut, cut.cut(from, cut.len()), next, (600, &halt)).unwrap();
                assert_eq!(content(&found_again), found, "begun at {from}");
            }
        }
    }
}

#[test]
fn blobs_keep_the_contract() {
    let (log, halt) = (Log::default(), Halt::new());
    let volume = open_volume(&log, Replay::new(), 1 << 20, &halt);
    let (blob, len) = open(&volume, b"one").unwrap();
    assert_eq!(len, 0);
    assert!(matches!(open(&volume, b"one"), Err(Error::BlobAlreadyOpen(..))));
    write(&blob, 2, b"abc").unwrap();
    let read = |offset, len| now(blob.read_at(offset, len, ReadOptions::default())).map(|b| b.coalesce());
    assert_eq!(read(0, 5).unwrap().as_ref(), b"\0\0abc");
    assert!(matches!(read(1, 5), Err(Error::BlobInsufficientLength)));
    assert!(matches!(read(u64::MAX, 5), Err(Error::OffsetOverflow)));
    assert!(matches!(write(&blob, u64::MAX, b"x"), Err(Error::OffsetOverflow)));

    let before = log.len();
    write(&blob, 2, b"abc").unwrap();
    assert_eq!(log.len(), before, "a write that changes nothing is no record");
    write(&blob, 2, b"abcdef").unwrap();
    assert_eq!(log.0.lock().unwrap().records[before].len(), 1 + 8 + 8 + 3, "only what changed is recorded");
    now(blob.sync()).unwrap();
    now(now(blob.start_sync())).unwrap();

    now(volume.remove("part", Some(b"one"))).unwrap();
    assert_eq!(read(2, 3).unwrap().as_ref(), b"abc", "an open blob outlives its name");
    assert!(matches!(write(&blob, 0, b"x"), Err(Error::BlobMissing(..))));
    assert!(matches!(now(blob.resize(1)), Err(Error::BlobMissing(..))));
    assert_eq!(open(&volume, b"one").unwrap().1, 0, "a new blob under the old name");
    assert!(matches!(now(volume.remove("part", Some(b"two"))), Err(Error::BlobMissing(..))));
    assert!(matches!(now(volume.remove("none", None)), Err(Error::PartitionMissing(..))));
    assert!(matches!(volume.scan("none"), Err(Error::PartitionMissing(..))));
    assert!(matches!(volume.scan("../x"), Err(Error::PartitionNameInvalid(..))));
    let other = BlobVersion::new(5)..=BlobVersion::new(6);
    assert!(matches!(now(volume.open("part", b"one", other)), Err(Error::BlobVersionMismatch { .. })));
}

#[test]
fn nothing_completes_after_a_failure() {
    for (answers, why) in [(Answers::Fails, "broken"), (Answers::Never, "without an answer")] {
        let (log, halt) = (Log::default(), Halt::new());
        let volume = open_volume(&log, Replay::new(), 1 << 20, &halt);
        let (blob, _) = open(&volume, b"one").unwrap();
        log.0.lock().unwrap().answers = answers;
        assert!(poll(blob.write_at(0, b"vote".to_vec(), WriteOptions::SYNC)).is_pending());
        assert!(matches!(halt.reason(), Some(StopReason::Storage(reason)) if reason.contains(why)));
        log.0.lock().unwrap().answers = Answers::AtOnce;
        let records = log.len();
        assert!(poll(blob.write_at(9, b"vote".to_vec(), WriteOptions::default())).is_pending());
        assert!(poll(volume.remove("part", None)).is_pending());
        assert_eq!(log.len(), records, "no record may follow one that was lost");
    }
}

#[test]
fn records_that_make_no_sense_are_refused() {
    let encoded = |record: Record<'_>| {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        bytes
    };
    let identity = encoded(Record::Identity(IDENTITY));
    let create = encoded(Record::Create { id: 0, version: 0, partition: "p", name: b"n" });
    let broken = |records: &[&[u8]]| {
        let mut replay = Replay::new();
        for (position, record) in records.iter().enumerate() {
            replay.record(position as u64, record);
        }
        match replay.finish(IDENTITY) {
            Ok(_) => None,
            Err(ReplayError::Corrupt { position, .. }) => Some(position),
            Err(ReplayError::Foreign | ReplayError::LaterEpoch { .. }) => Some(u64::MAX),
        }
    };
    assert_eq!(broken(&[]), None);
    assert_eq!(broken(&[&identity, &create]), None);
    assert_eq!(broken(&[&create]), Some(0), "no identity");
    assert_eq!(broken(&[&identity, &create, &create]), Some(2), "the same blob twice");
    assert_eq!(broken(&[&identity, &encoded(Record::Remove { id: 0 })]), Some(1));
    assert_eq!(broken(&[&identity, &encoded(Record::Resize { id: 0, len: 1 })]), Some(1));
    assert_eq!(broken(&[&identity, &encoded(Record::Write { id: 0, offset: 0, bytes: b"x" })]), Some(1));
    let far = encoded(Record::Write { id: 0, offset: u64::MAX - 3, bytes: b"x" });
    assert_eq!(broken(&[&identity, &create, &far]), Some(2), "no absurd allocation");
    assert_eq!(broken(&[&identity, &encoded(Record::SnapshotEnd { blobs: 0 })]), Some(1));
    assert_eq!(broken(&[&encoded(Record::Identity(STRANGER))]), Some(u64::MAX));
    assert_eq!(broken(&[&identity, &encoded(Record::Identity(STRANGER))]), Some(1));
    let other = |epoch| Identity { epoch, ..IDENTITY };
    let begins = |epoch| encoded(Record::SnapshotBegin { identity: other(epoch), next_id: 1 });
    assert_eq!(broken(&[&identity, &encoded(Record::Identity(other(3)))]), Some(1), "an earlier epoch");
    assert_eq!(broken(&[&identity, &begins(5)]), Some(1), "a snapshot begins no epoch");
    assert_eq!(broken(&[&encoded(Record::Identity(other(5)))]), Some(u64::MAX), "a later epoch");
    assert_eq!(broken(&[&encoded(Record::Identity(other(3)))]), None);
    let others = Identity { committee: [2; 32], ..IDENTITY };
    assert_eq!(broken(&[&encoded(Record::Identity(others))]), Some(u64::MAX), "other validators");
    assert_eq!(broken(&[&identity, &encoded(Record::Identity(others))]), Some(1));
    let begin = encoded(Record::SnapshotBegin { identity: IDENTITY, next_id: 1 });
    assert_eq!(broken(&[&begin, &encoded(Record::SnapshotEnd { blobs: 1 })]), Some(1), "a blob is missing");
    for record in [&identity, &create, &begin, &far] {
        for len in 0..record.len() {
            let shorter = Record::decode(&record[..len]);
            assert!(shorter.is_none() || matches!(shorter, Some(Record::Write { .. })), "{shorter:?}");
        }
    }
    let mut replay = Replay::new();
    replay.record(5, &identity);
    replay.record(5, &create);
    assert!(replay.finish(IDENTITY).is_err(), "positions must increase");
}
