use std::cell::Cell;
use std::collections::BTreeMap;

use engine::replica::{BlockIndex, ChainRecord, CommittedBlock, KIND_BATCH, KIND_COMMITTED};
use engine::roots::ChainEntry;
use engine::store::{Position, Record, StoreError};
use engine::types::{Digest, Epoch, Head, Packet, ValidatorIndex};
use engine::wire::{Batch, BatchSection, Block, Header};
use kernels::merkle::Frontier;

use super::*;

const NETWORK: Digest = Digest([7; 32]);
const CHAIN: ChainId = ChainId(1);
const NOWHERE: TransactionId = TransactionId([9; 32]);

/// A journal in memory that counts what is read from it and can stop its reader.
struct Shelf {
    records: BTreeMap<Position, Record>,
    index: BlockIndex,
    hints: Hints,
    reads: Cell<usize>,
    stops_after: usize,
    stopping: AtomicBool,
}

impl Records for Shelf {
    fn read(&self, position: Position) -> Result<Record, StoreError> {
        self.reads.set(self.reads.get() + 1);
        self.stopping.store(self.reads.get() >= self.stops_after, Relaxed);
        Ok(self.records[&position].clone())
    }
}

fn packet(height: u64, number: u32) -> Packet {
    let mut packet = Packet([0; engine::limits::PACKET_BYTES]);
    packet.0[48..56].copy_from_slice(&height.to_le_bytes());
    packet.0[8..12].copy_from_slice(&number.to_le_bytes());
    packet
}

fn id(height: u64, number: u32) -> TransactionId {
    packet(height, number).id(&NETWORK)
}

impl Shelf {
    /// So many blocks of one batch each, without any hint.
    fn new(blocks: u64, transactions: u32) -> Self {
        let mut shelf = Self {
            records: BTreeMap::new(),
            index: BlockIndex::default(),
            hints: Hints::default(),
            reads: Cell::new(0),
            stops_after: usize::MAX,
            stopping: AtomicBool::new(false),
        };
        let mut head = Head::NONE;
        for height in 1..=blocks {
            let packets: Vec<Packet> = (0..transactions).map(|number| packet(height, number)).collect();
            let section = BatchSection { chain: CHAIN, packets: transactions };
            let author = ValidatorIndex(0);
            let batch = Batch::seal(
                &NETWORK,
                (Epoch(0), author),
                &head,
                Height(0),
                &[section],
                packets.iter(),
                |_| [0; 64],
            );
            head = batch.head();
            let position = shelf.put(KIND_BATCH, batch.bytes().to_vec());
            shelf.commit(Height(height), position, head, transactions);
        }
        shelf
    }

    fn put(&mut self, kind: u8, bytes: Vec<u8>) -> Position {
        let position = Position::from_raw(1 + self.records.len() as u64);
        self.records.insert(position, Record { position, kind, bytes });
        position
    }

    fn commit(&mut self, height: Height, batch: Position, head: Head, transactions: u32) {
        let header = Header {
            epoch: Epoch(0),
            height,
            view: height.0,
            parent: Digest::default(),
            proposer: ValidatorIndex(0),
            time_ms: 0,
            roots_first: Height(0),
            next_members: Digest::default(),
            roots: Vec::new(),
            cut: vec![head],
            log: Frontier::new(height.0, vec![[0; 32]; height.0.count_ones() as usize]).unwrap(),
        };
        let entry = ChainEntry { chain: CHAIN, transactions: transactions.into(), ..ChainEntry::default() };
        let chain = ChainRecord { entry, failures: Vec::new(), returned: Vec::new(), effects: Vec::new() };
        let record = CommittedBlock {
            height,
            delta_digest: Digest::default(),
            state_root: Digest::default(),
            block: Block::new(header).unwrap().encode(),
            certificate: Vec::new(),
            members: None,
            batches: vec![batch],
            chains: vec![chain],
        };
        let position = self.put(KIND_COMMITTED, record.encode());
        self.index.committed(height, position);
    }

    fn find(&self, chain: Option<ChainId>, id: &TransactionId) -> Result<Found, Unanswered> {
        self.reads.set(0);
        let reader = JournalReader { records: self, index: &self.index, network: &NETWORK };
        Search { reader, hints: &self.hints, stopping: &self.stopping }.find(chain, id)
    }
}

#[test]
fn a_search_looks_at_so_many_transactions_however_they_are_cut_into_blocks() {
    let full = Shelf::new(40, 4_096);
    let Err(Unanswered::NotFound(words)) = full.find(None, &NOWHERE) else { panic!("it is nowhere") };
    assert!(words.contains("in the blocks 25 to 40"), "{words}");
    // Sixteen blocks with their batches, and the record of the one that was too much.
    assert_eq!(full.reads.get(), 2 * 16 + 1);

    let small = Shelf::new(300, 1);
    let Err(Unanswered::NotFound(words)) = small.find(None, &NOWHERE) else { panic!("it is nowhere") };
    assert!(words.contains("in the blocks 45 to 300"), "{words}");
}

#[test]
fn what_is_in_reach_is_found_with_its_place() {
    let shelf = Shelf::new(30, 100);
    for (height, number) in [(30, 99), (1, 0), (17, 50)] {
        let found = shelf.find(None, &id(height, number)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((found.stored.record.height, found.place), (Height(height), number as usize));
        assert_eq!(found.tree.len(), 100);
    }
    assert!(matches!(shelf.find(Some(ChainId(2)), &id(30, 0)), Err(Unanswered::NotFound(_))));
    assert_eq!(shelf.reads.get(), 30, "batches without transactions of the chain are not read");
}

#[test]
fn a_hint_leads_beyond_the_reach_of_a_search() {
    let shelf = Shelf::new(40, 4_096);
    shelf.hints.note(&id(3, 5), Height(3));
    let found = shelf.find(Some(CHAIN), &id(3, 5)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((found.stored.record.height, found.place, shelf.reads.get()), (Height(3), 5, 2));
}

#[test]
fn a_search_ends_at_the_next_block_when_the_validator_stops() {
    let shelf = Shelf { stops_after: 5, ..Shelf::new(30, 10) };
    assert!(matches!(shelf.find(None, &NOWHERE), Err(Unanswered::Stopping)));
    assert_eq!(shelf.reads.get(), 6, "the block that was begun is read to its end");
}
