//! A journal on a real disk, rotten in one sector after the other, and others who have it whole, or lie.

use std::fs;
use std::path::Path;

use kernels::ed25519::SigningKey;

use super::*;
use crate::order::Finality;
use crate::replica::{BlockIndex, Read};
use crate::store::{Backend, Lock, Log, LogKind, Options, Owner, Replay};
use crate::types::{ChainId, Epoch, Head, Member, Members, Packet, RULES_FIRST, Sequence, Support};
use crate::wire::{BatchSection, Header, PeerMessage};

const NETWORK: Digest = Digest([7; 32]);
const BLOCKS: u64 = 24;
const SETTLED: Height = Height(20);
const SECTOR: usize = 4096;
const BOOTS: Boots = Boots { begun: 3, done: 3, lost: false, counterpart_lost: false };

/// A certificate is the digest itself.
struct Plain;

impl FinalityVerifier for Plain {
    fn verify(&self, certificate: &[u8]) -> Option<Finality> {
        let digest = Digest(certificate.try_into().ok()?);
        Some(Finality::handed_on(crate::order::FinalityEvidence {
            epoch: Epoch(0),
            view: 1,
            digest,
            certificate,
        }))
    }

    fn leader(&self, _: Epoch, _: u64) -> ValidatorIndex {
        ValidatorIndex(0)
    }

    fn learn(&self, _: &Members) {}
}

/// A journal of two authors, and what it was before anything rotted.
struct Scene {
    directory: tempfile::TempDir,
    index: BlockIndex,
    settled: CheckpointMark,
    /// What others give for a height and a place.
    whole: BTreeMap<(Height, u32), Bytes>,
    /// Every batch of every block.
    batches: BTreeMap<Height, Vec<Batch>>,
    epochs: Epochs,
}

fn key(author: u16) -> SigningKey {
    SigningKey::from_seed([author as u8; 32])
}

fn options() -> Options {
    let owner = Owner { network: NETWORK.0, validator: [1; 32], log: LogKind::Journal };
    Options {
        backend: Backend::Portable,
        segment_bytes: 16 * SECTOR as u64,
        group_bytes: 4 * SECTOR,
        ..Options::new(owner)
    }
}

fn open(directory: &Path) -> Log {
    Log::open(directory, options()).unwrap().0
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path());
        let index = BlockIndex::default();
        let (mut heads, mut parent, mut root) = ([Head::NONE; 2], NETWORK, Digest::default());
        let (mut settled, mut batches) = (None, BTreeMap::new());
        for height in 1..=BLOCKS {
            if height % 3 == 0 {
                log.append(KIND_BOOT, &[&Boot::LEARNT.encode()]).unwrap();
            }
            let mut of_block = Vec::new();
            for author in [0_u16, 1, 1].into_iter().skip(usize::from(height % 4 == 0)) {
                let head = &mut heads[usize::from(author)];
                let packets: Vec<Packet> =
                    vec![Packet([height as u8; crate::limits::PACKET_BYTES]); 5 + height as usize % 7];
                let section = BatchSection { chain: ChainId(1), packets: packets.len() as u32 };
                let sign = |message: &[u8]| key(author).sign(message);
                let author = (Epoch(0), ValidatorIndex(author));
                let as_of = Height(height - 1);
                let batch = Batch::seal(&NETWORK, author, head, as_of, &[section], packets.iter(), sign);
                *head = batch.head();
                of_block.push((log.append(KIND_BATCH, &[batch.bytes()]).unwrap(), batch));
            }
            if height == SETTLED.0 {
                settled = Some(of_block[0].0);
            }
            let header = Header {
                height: Height(height),
                epoch: Epoch(0),
                view: height,
                parent,
                proposer: ValidatorIndex(0),
                time_ms: height,
                roots_first: Height(height - 1),
                next_members: Digest::default(),
                roots: if height > 1 { vec![root] } else { Vec::new() },
                cut: heads.to_vec(),
                log: crate::wire::tests::log(height),
            };
            let block = Block::new(header).unwrap();
            (parent, root) = (*block.digest(), *StateRoot::new(Height(height), Vec::new()).digest());
            let record = CommittedBlock {
                height: Height(height),
                delta_digest: Digest([height as u8; 32]),
                state_root: root,
                block: block.encode(),
                certificate: parent.0.to_vec(),
                members: None,
                batches: of_block.iter().map(|(position, _)| *position).collect(),
                chains: Vec::new(),
            };
            let position = log.append(KIND_COMMITTED, &[&record.encode()]).unwrap();
            log.wait_durable(position).unwrap();
            index.committed(Height(height), position);
            batches.insert(Height(height), of_block.into_iter().map(|(_, batch)| batch).collect());
        }
        let replay_from = settled.unwrap();
        let settled = CheckpointMark { height: SETTLED, replay_from, time_ms: 0 };
        let mut whole = BTreeMap::new();
        let reader = JournalReader { records: &log, index: &index, network: &NETWORK };
        for (height, place) in
            (1..=BLOCKS).flat_map(|height| (0..4).map(move |place| (Height(height), place)))
        {
            let answer = reader.answer(&Read::Stored { height, place });
            let [PeerMessage::Stored { height: of, place: at, bytes }] = &answer[..] else {
                panic!("{answer:?}")
            };
            assert_eq!((*of, *at), (height, place));
            whole.insert((height, place), bytes.clone());
        }
        drop(log);
        let member = |author| Member {
            name: format!("author-{author}"),
            public_key: key(author).public_key(),
            certificate_fingerprint: [author as u8; 32],
            peer_address: String::new(),
            client_address: String::new(),
        };
        let members = Members { epoch: Epoch(0), rules: RULES_FIRST, list: [0, 1].map(member).into() };
        let epochs = Epochs::beginning(NETWORK, members, Support::OURS);
        Self { directory, index, settled, whole, batches, epochs }
    }

    fn reader<'a>(&'a self, log: &'a Log) -> JournalReader<'a, Log> {
        JournalReader { records: log, index: &self.index, network: &NETWORK }
    }

    fn mender<'a>(&'a self, log: &'a Log) -> Mender<'a, Log> {
        let (certificates, epochs, settled) = (&Plain, &self.epochs, self.settled);
        let (agree, boots, room) = (2, BOOTS, 1 << 20);
        Mender { reader: self.reader(log), certificates, epochs, agree, settled, boots, room }
    }

    /// Peers of whom the first answers whatever it likes.
    fn others(&self, lie: fn(Bytes) -> Bytes, honest: usize) -> Peers<'_> {
        Peers { whole: &self.whole, lie, honest, asked: 0 }
    }

    /// Everything is there and in an order that a start can execute.
    fn check(&self, log: &Log, what: &str) {
        for height in (1..=BLOCKS).map(Height) {
            let (record, block) = self.reader(log).block(height).unwrap();
            let theirs = CommittedBlock::decode(&self.whole[&(height, 0)]).unwrap();
            assert_eq!(*block.digest().as_bytes(), record.certificate[..], "{what}");
            assert_eq!(CommittedBlock { batches: Vec::new(), ..record.clone() }, theirs, "{what}");
            assert!(self.reader(log).batches(&record).unwrap() == self.batches[&height], "{what}: {height}");
        }
        let (_, replay) = Log::inspect(self.directory.path(), Lock::None).unwrap();
        let (mut height, mut seen) = (Height(0), Vec::new());
        for record in replay.map(Result::unwrap) {
            match record.kind {
                KIND_BATCH => {
                    let batch = Batch::decode(&NETWORK, record.bytes.into()).unwrap();
                    assert!(batch.as_of() <= height, "{what}");
                    seen.push(batch);
                }
                KIND_COMMITTED => {
                    height = height.next();
                    assert_eq!(CommittedBlock::decode(&record.bytes).unwrap().height, height, "{what}");
                    assert!(
                        self.batches[&height].iter().all(|batch| seen.contains(batch)),
                        "{what}: {height}"
                    );
                }
                KIND_BOOT => {
                    Boot::decode(&record.bytes).unwrap();
                }
                kind => panic!("{what}: kind {kind}"),
            }
        }
        assert_eq!(height, Height(BLOCKS), "{what}");
    }
}

struct Peers<'a> {
    whole: &'a BTreeMap<(Height, u32), Bytes>,
    lie: fn(Bytes) -> Bytes,
    honest: usize,
    asked: usize,
}

impl Others for Peers<'_> {
    fn ask(&mut self, height: Height, place: u32, take: &mut dyn FnMut(ValidatorIndex, &Bytes) -> bool) {
        self.asked += 1;
        let truth = &self.whole[&(height, place)];
        let answers = std::iter::once((self.lie)(truth.clone())).chain(vec![truth.clone(); self.honest]);
        // A liar may answer as often as it likes.
        let from = |number: usize| ValidatorIndex(number.saturating_sub(1) as u16);
        for (number, bytes) in std::iter::once((self.lie)(truth.clone())).chain(answers).enumerate() {
            if take(from(number), &bytes) {
                return;
            }
        }
    }

    fn goes_on(&mut self) -> bool {
        true
    }
}

fn rots(mut replay: Replay) -> Vec<Rot> {
    let mut rots = Vec::new();
    while let Some(record) = replay.next() {
        if record.is_err() {
            rots.push(replay.skip_rot().unwrap());
        }
    }
    rots
}

/// The lies of one of four, each in another place of an answer.
const LIES: [fn(Bytes) -> Bytes; 7] = [
    |_| Bytes::new(),
    |truth| forged(truth, |record| record.delta_digest.0[3] ^= 1),
    |truth| forged(truth, |record| record.state_root.0[3] ^= 1),
    |truth| forged(truth, |record| record.certificate[3] ^= 1),
    |truth| {
        let mut bytes = truth.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes.into()
    },
    // The batch, with a signature that its author has not made: no digest covers it.
    |truth| match Batch::decode(&NETWORK, truth.clone()) {
        Ok(_) => {
            let mut bytes = truth.to_vec();
            bytes[crate::limits::BATCH_HEADER_BYTES - 1] ^= 1;
            bytes.into()
        }
        Err(_) => Bytes::new(),
    },
    // Another batch in the same place of the stream.
    |truth| match Batch::decode(&NETWORK, truth.clone()) {
        Ok(batch) => {
            let section = BatchSection { chain: ChainId(1), packets: 1 };
            let packet = Packet([0xee; crate::limits::PACKET_BYTES]);
            let (before, as_of) = (batch.previous(), batch.as_of());
            let author = (Epoch(0), batch.id().author);
            let sections = [section];
            let packets = [&packet].into_iter();
            Batch::seal(&NETWORK, author, &before, as_of, &sections, packets, |_| [0; 64]).bytes().clone()
        }
        Err(_) => Bytes::new(),
    },
];

/// Changes a record; of a batch the last byte.
fn forged(truth: Bytes, change: impl Fn(&mut CommittedBlock)) -> Bytes {
    let mut bytes = truth.to_vec();
    match CommittedBlock::decode(&truth) {
        Ok(mut record) => {
            change(&mut record);
            record.encode().into()
        }
        Err(_) => {
            *bytes.last_mut().unwrap() ^= 1;
            bytes.into()
        }
    }
}

fn flip(directory: &Path, at: u64) {
    let size = 16 * SECTOR as u64;
    let file = directory.join(format!("{:016x}.segment", at / size));
    let mut bytes = fs::read(&file).unwrap();
    bytes[(at % size) as usize] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn mend(scene: &Scene, log: &Log, rot: &Rot, others: &mut Peers<'_>) -> Result<Repair, MendError> {
    let mut made = None;
    scene.mender(log).mend(std::slice::from_ref(rot), others, &mut |_, repair| made = Some(repair));
    made.unwrap()
}

/// Two that need each other, and everything below the checkpoint: none is longer than a segment, and each is beside the
/// journal before the next one is put together.
#[test]
fn stretches_that_say_what_the_other_has_lost_are_mended_one_after_the_other() {
    for (of, is_all) in [(vec![8, 10, 11], false), (vec![5, 7, 8, 10], false), (vec![3], true)] {
        let scene = Scene::new();
        for height in &of {
            let record = scene.index.position(Height(*height)).unwrap();
            flip(scene.directory.path(), record.raw() + 9);
        }
        if is_all {
            let sectors = 0..scene.settled.replay_from.raw() / SECTOR as u64;
            sectors.for_each(|sector| flip(scene.directory.path(), sector * SECTOR as u64 + 99));
        }
        let log = open(scene.directory.path());
        let found = rots(log.scrub());
        let segment = |position: Position| position.raw() / (16 * SECTOR as u64);
        let last = |rot: &Rot| segment(Position::from_raw(rot.until.raw() - 1));
        assert!(found.len() > 1 && found.iter().all(|rot| segment(rot.from) == last(rot)), "{found:?}");
        let settled = scene.settled.replay_from.raw() / SECTOR as u64;
        assert!(!is_all || found.len() as u64 == settled.div_ceil(16), "{found:?}");
        let mut kept = 0;
        scene.mender(&log).mend(&found, &mut scene.others(LIES[1], 2), &mut |rot, repair| {
            let repair = repair.unwrap_or_else(|error| panic!("{of:?}: {error}"));
            assert_eq!((repair.from, repair.until), (rot.from, rot.until));
            log.repair(&repair).unwrap();
            kept += 1;
            assert_eq!(log.repairs().len(), kept);
        });
        assert_eq!(kept, found.len());
        scene.check(&log, &format!("{of:?}"));
        assert_eq!(rots(log.scrub()), []);
    }
}

#[test]
fn every_sector_below_the_checkpoint_is_mended_whatever_one_of_four_says() {
    let scene = Scene::new();
    let directory = scene.directory.path();
    let (mut mended, mut asked) = (0, 0);
    let settled = scene.settled.replay_from.raw();
    for (sector, at) in (0..settled / SECTOR as u64).map(|sector| (sector, sector * SECTOR as u64 + 1_234)) {
        let what = format!("sector {sector}");
        flip(directory, at);
        let log = open(directory);
        let found = rots(log.scrub());
        assert!(found.len() <= 1, "{what}: {found:?}");
        let Some(rot) = found.first() else { continue };
        let mut others = scene.others(LIES[sector as usize % LIES.len()], 2);
        match mend(&scene, &log, rot, &mut others) {
            Ok(repair) => {
                let repaired = log.repair(&repair).unwrap();
                scene.check(&log, &what);
                assert_eq!(rots(log.scrub()), [], "{what}");
                // A second sector of the same stretch, or one before it: the wider repair has all that the first had.
                let before = rot.from.raw().saturating_sub(SECTOR as u64);
                flip(directory, before);
                for wider in rots(log.scrub()) {
                    let repair = mend(&scene, &log, &wider, &mut scene.others(|_| Bytes::new(), 2)).unwrap();
                    log.repair(&repair).unwrap();
                    scene.check(&log, &what);
                }
                flip(directory, before);
                log.repairs().iter().for_each(|repaired| fs::remove_file(&repaired.file).unwrap());
                assert!(!repaired.file.exists());
                (mended, asked) = (mended + 1, asked + others.asked);
            }
            Err(error) => {
                assert!(matches!(error, MendError::Unsettled), "{what}: {error}");
                assert!(rot.until > scene.settled.replay_from, "{what}");
            }
        }
        drop(log);
        flip(directory, at);
    }
    assert!(mended > 10 && asked > mended, "{mended} mended, {asked} questions");
}

/// There may stand what nobody else knows that this validator has sent.
#[test]
fn above_the_newest_checkpoint_nothing_is_mended_and_nobody_asked() {
    let mut scene = Scene::new();
    let record = scene.index.position(Height(9)).unwrap();
    flip(scene.directory.path(), record.raw() + 20);
    let log = open(scene.directory.path());
    let rot = &rots(log.scrub())[0];
    scene.settled.replay_from = Position::from_raw(rot.until.raw() - 1);
    let mut others = scene.others(LIES[0], 2);
    assert!(matches!(mend(&scene, &log, rot, &mut others), Err(MendError::Unsettled)));
    assert_eq!(others.asked, 0);
}

#[test]
fn a_repair_takes_no_more_memory_than_it_may() {
    let scene = Scene::new();
    let record = scene.index.position(Height(9)).unwrap();
    flip(scene.directory.path(), record.raw() + 20);
    let log = open(scene.directory.path());
    let rots = rots(log.scrub());
    for (room, fits) in [(1_000, false), (1 << 20, true)] {
        let mender = Mender { room, ..scene.mender(&log) };
        mender.mend(&rots, &mut scene.others(LIES[0], 2), &mut |_, repair| match repair {
            Err(error) => assert!(matches!(error, MendError::TooLarge(1_000)) && !fits, "{error}"),
            Ok(_) => assert!(fits),
        });
    }
}

#[test]
fn nothing_is_believed_that_fewer_than_a_quorum_s_honest_part_says() {
    let scene = Scene::new();
    let record = scene.index.position(Height(9)).unwrap();
    flip(scene.directory.path(), record.raw() + 20);
    let log = open(scene.directory.path());
    let rot = &rots(log.scrub())[0];
    let mend = |lie, honest| mend(&scene, &log, rot, &mut scene.others(lie, honest));
    // A liar that says the same twice is one; with one honest one beside it nobody can tell who lies.
    for lie in LIES.into_iter().filter(|lie| lie(scene.whole[&(Height(9), 0)].clone()).len() > 1) {
        match mend(lie, 1) {
            Err(MendError::Unanswered(Height(9))) => {}
            // Only its certificate was forged: the rest is what two say, and the certificate is the honest one's.
            Ok(repair) => {
                let record = repair.records.iter().find(|of| of.position == record).unwrap();
                let record = CommittedBlock::decode(&record.bytes).unwrap();
                let theirs = CommittedBlock::decode(&scene.whole[&(Height(9), 0)]).unwrap();
                assert_eq!(CommittedBlock { batches: Vec::new(), ..record }, theirs);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(matches!(mend(|_| Bytes::new(), 1), Err(MendError::Unanswered(Height(9)))));
    assert!(matches!(mend(|_| Bytes::new(), 0), Err(MendError::Unanswered(Height(9)))));
    assert!(mend(|_| Bytes::new(), 2).is_ok());
    assert!(log.repairs().is_empty());
    // Batches prove themselves.
    let repair = mend(LIES[5], 2).unwrap();
    let batches = repair.records.iter().filter(|record| record.kind == KIND_BATCH);
    assert!(batches.clone().count() > 0);
    for batch in batches {
        let batch = Batch::decode(&NETWORK, batch.bytes.clone().into()).unwrap();
        assert!(scene.batches.values().flatten().any(|known| *known == batch));
    }
    let boots: Vec<_> = repair.records.iter().filter(|record| record.kind == KIND_BOOT).collect();
    let [boot] = &boots[..] else { panic!("{boots:?}") };
    assert_eq!(Boot::decode(&boot.bytes).unwrap().number, BOOTS.begun);
    assert_eq!(scene.batches[&Height(9)][0].id().sequence, Sequence(7));
}
