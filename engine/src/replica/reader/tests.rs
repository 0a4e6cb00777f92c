use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;
use crate::store::Record;
use crate::types::{ChainId, Epoch, Packet};
use crate::wire::{BatchSection, Header};

const NETWORK: Digest = Digest([7; 32]);
const IDLE: ValidatorIndex = ValidatorIndex(0);
const BUSY: ValidatorIndex = ValidatorIndex(1);
/// The heights of the first epoch.
const ALL: (Height, Height) = (Height(0), Height(u64::MAX));

/// A journal of two authors in memory that counts what is read from it.
#[derive(Default)]
struct Shelf {
    records: BTreeMap<Position, Record>,
    index: BlockIndex,
    reads: Cell<usize>,
    streams: [Vec<Batch>; 2],
}

impl Records for Shelf {
    fn read(&self, position: Position) -> Result<Record, StoreError> {
        self.reads.set(self.reads.get() + 1);
        self.records.get(&position).cloned().ok_or(StoreError::NotDurable { position: position.raw() })
    }
}

impl Shelf {
    /// A chain of `blocks` heights. `BUSY` has a batch in each of them, `IDLE` in those that are named.
    fn new(blocks: u64, of_idle: &[u64]) -> Self {
        let mut shelf = Self::default();
        for height in 1..=blocks {
            let idle = of_idle.contains(&height).then(|| shelf.seal(IDLE));
            let batches: Vec<Position> = idle.into_iter().chain([shelf.seal(BUSY)]).collect();
            shelf.commit(Height(height), batches);
        }
        shelf
    }

    fn head(&self, author: ValidatorIndex) -> Head {
        self.streams[usize::from(author.0)].last().map_or(Head::NONE, Batch::head)
    }

    fn put(&mut self, kind: u8, bytes: Vec<u8>) -> Position {
        let position = Position::from_raw(1 + self.records.len() as u64);
        self.records.insert(position, Record { position, kind, bytes });
        position
    }

    fn seal(&mut self, author: ValidatorIndex) -> Position {
        self.seal_of(author, 1)
    }

    fn seal_of(&mut self, author: ValidatorIndex, packets: usize) -> Position {
        let section = BatchSection { chain: ChainId(1), packets: packets as u32 };
        let packet = Packet([author.0 as u8; crate::limits::PACKET_BYTES]);
        let batch = Batch::seal(
            &NETWORK,
            (Epoch(0), author),
            &self.head(author),
            Height(0),
            &[section],
            std::iter::repeat_n(&packet, packets),
            |_| [0; 64],
        );
        let bytes = batch.bytes().to_vec();
        self.streams[usize::from(author.0)].push(batch);
        self.put(KIND_BATCH, bytes)
    }

    fn commit(&mut self, height: Height, batches: Vec<Position>) {
        let header = Header {
            epoch: Epoch(0),
            height,
            view: height.0,
            parent: Digest::default(),
            proposer: BUSY,
            time_ms: 0,
            roots_first: Height(0),
            next_members: Digest::default(),
            roots: Vec::new(),
            cut: vec![self.head(IDLE), self.head(BUSY)],
            log: crate::wire::tests::log(height.0),
        };
        let record = CommittedBlock {
            height,
            delta_digest: Digest::default(),
            state_root: Digest::default(),
            block: Block::new(header).unwrap().encode(),
            certificate: Vec::new(),
            members: None,
            batches,
            chains: Vec::new(),
        };
        let position = self.put(KIND_COMMITTED, record.encode());
        self.index.committed(height, position);
    }

    fn reader(&self) -> JournalReader<'_, Self> {
        JournalReader { records: self, index: &self.index, network: &NETWORK }
    }

    /// The sequences that answer a request, and how many records were read for it.
    fn sequences(&self, author: ValidatorIndex, above: u64, head: Head) -> (Vec<u64>, usize) {
        self.reads.set(0);
        let answer =
            self.reader().answer(&Read::Batches { author, above: Sequence(above), head, heights: ALL });
        (sequences(&answer), self.reads.get())
    }
}

fn sequences(answer: &[PeerMessage]) -> Vec<u64> {
    let sequence = |message: &PeerMessage| match message {
        PeerMessage::Batch(bytes) => Batch::decode(&NETWORK, bytes.clone()).unwrap().id().sequence.0,
        other => panic!("{other:?} is no batch"),
    };
    answer.iter().map(sequence).collect()
}

#[test]
fn a_stretch_in_which_an_author_was_idle_is_jumped_over() {
    let shelf = Shelf::new(5_000, &[10, 4_999]);
    let (found, reads) = shelf.sequences(IDLE, 0, shelf.head(IDLE));
    assert_eq!(found, [2, 1]);
    // A few times the logarithm of the heights, and not the heights.
    assert!(reads < 100, "{reads} records were read");
}

#[test]
fn one_answer_reads_a_bounded_number_of_heights_and_the_next_goes_on_from_there() {
    let shelf = Shelf::new(500, &[]);
    let (found, reads) = shelf.sequences(BUSY, 0, shelf.head(BUSY));
    let expected: Vec<u64> = (0..STREAM_HEIGHTS_MAX as u64).map(|back| 500 - back).collect();
    assert_eq!(found, expected);
    assert!(reads < 10 * STREAM_HEIGHTS_MAX, "{reads} records were read");
    let next = shelf.streams[1][500 - STREAM_HEIGHTS_MAX - 1].head();
    assert_eq!(shelf.sequences(BUSY, 430, next).0, (431..=436).rev().collect::<Vec<u64>>());
}

#[test]
fn the_batches_of_heights_come_in_their_order_each_height_backwards() {
    let shelf = Shelf::new(40, &[3, 5]);
    let bodies = |from: u64, heights: u32, committed: u64| {
        let read = Read::Bodies { from: Height(from), heights, committed: Height(committed) };
        sequences(&shelf.reader().answer(&read))
    };
    assert_eq!(bodies(2, 4, 40), [2, 3, 1, 4, 5, 2], "of heights 3 and 5 the busy author's first");
    assert_eq!(bodies(39, 4, 40), [39, 40]);
    assert_eq!(bodies(3, 4, 3), [3, 1], "what is not committed is not given");
    assert_eq!(bodies(6, u32::MAX, 40), (6..22).collect::<Vec<u64>>());
    assert_eq!((bodies(41, 4, 40), bodies(0, 0, 40)), (vec![], vec![]));
    assert_eq!(bodies(u64::MAX, u32::MAX, 40), Vec::<u64>::new());
}

/// Who asks cannot tell an answer that was cut in the middle of a block from one whose rest got lost.
#[test]
fn an_answer_of_bodies_has_whole_blocks() {
    let mut shelf = Shelf::default();
    let batches_a_block = FETCH_REPLY_BYTES_MAX / crate::limits::BATCH_BYTES_MAX + 2;
    for height in 1..=2 {
        let batches =
            (0..batches_a_block).map(|_| shelf.seal_of(BUSY, crate::limits::BATCH_PACKETS_MAX)).collect();
        shelf.commit(Height(height), batches);
    }
    let read = Read::Bodies { from: Height(1), heights: 2, committed: Height(2) };
    let backwards: Vec<u64> = (1..=batches_a_block as u64).rev().collect();
    assert_eq!(sequences(&shelf.reader().answer(&read)), backwards);
}

#[test]
fn an_answer_holds_what_was_asked_for_and_nothing_of_another_branch() {
    let shelf = Shelf::new(20, &[3, 4, 9]);
    assert_eq!(shelf.sequences(IDLE, 1, shelf.head(IDLE)).0, [3, 2]);
    assert_eq!(shelf.sequences(IDLE, 3, shelf.head(IDLE)).0, Vec::<u64>::new());
    assert_eq!(shelf.sequences(IDLE, 0, Head::NONE).0, Vec::<u64>::new());
    let elsewhere = Head { sequence: Sequence(2), digest: Digest([1; 32]) };
    assert_eq!(shelf.sequences(IDLE, 0, elsewhere).0, Vec::<u64>::new());
    assert_eq!(shelf.sequences(ValidatorIndex(2), 0, shelf.head(IDLE)).0, Vec::<u64>::new());
    assert_eq!(shelf.sequences(IDLE, 0, Head { sequence: Sequence(4), ..elsewhere }).0, Vec::<u64>::new());
}

#[test]
fn a_host_that_stops_waits_for_one_height_only() {
    let shelf = Shelf::new(100, &[]);
    let looks = Cell::new(0);
    let stopped = || looks.replace(looks.get() + 1) == 3;
    let mut answer = Vec::new();
    let read = Read::Batches { author: BUSY, above: Sequence(0), head: shelf.head(BUSY), heights: ALL };
    shelf.reader().answer_unless(&read, &stopped, &mut answer).unwrap();
    assert_eq!(sequences(&answer), [100, 99, 98]);

    let mut answer = Vec::new();
    looks.set(0);
    let read = Read::Blocks { from: Height(1), max: 64, committed: Height(100) };
    shelf.reader().answer_unless(&read, &stopped, &mut answer).unwrap();
    let [PeerMessage::BlocksReply(blocks)] = &answer[..] else { panic!("{answer:?}") };
    assert_eq!(blocks.len(), 3);
}

#[test]
fn damage_is_told_and_what_lies_before_it_is_answered() {
    let mut shelf = Shelf::new(20, &[]);
    let position = shelf.index.position(Height(12)).unwrap();
    shelf.records.get_mut(&position).unwrap().bytes.truncate(9);
    let damaged = |read: Read| {
        let mut answer = Vec::new();
        let error = shelf.reader().answer_unless(&read, &|| false, &mut answer).unwrap_err();
        assert!(matches!(error, ReadError::Damaged(Height(12))), "{error}");
        answer
    };
    let batches =
        damaged(Read::Batches { author: BUSY, above: Sequence(0), head: shelf.head(BUSY), heights: ALL });
    // The cut of the damaged height says where the batches of the next one begin.
    assert_eq!(sequences(&batches), (14..=20).rev().collect::<Vec<u64>>());
    let blocks = damaged(Read::Blocks { from: Height(5), max: 64, committed: Height(20) });
    let [PeerMessage::BlocksReply(blocks)] = &blocks[..] else { panic!("{blocks:?}") };
    assert_eq!(blocks.len(), 7);
    assert!(damaged(Read::Block(Height(12))).is_empty());
}
