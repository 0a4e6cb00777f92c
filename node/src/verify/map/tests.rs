//! The maps of logs that rot, are repaired, or are not there.

use engine::store::{Backend, LogKind, Options, Owner, Repair};

use super::*;

const SECTOR: u64 = 4096;

fn open(data: &Path, log: LogKind) -> Log {
    let owner = Owner { network: [5; 32], validator: [6; 32], log };
    let name = if log == LogKind::Journal { "journal" } else { "consensus" };
    let options = Options {
        backend: Backend::Portable,
        segment_bytes: 48 * SECTOR,
        group_bytes: 8 * SECTOR as usize,
        ..Options::new(owner)
    };
    Log::open(&data.join(name), options).unwrap().0
}

fn write(log: &Log, records: u64) -> Vec<engine::store::Position> {
    let append = |number: u64| {
        let block = CommittedBlock {
            height: Height(number),
            delta_digest: Digest::default(),
            state_root: Digest::default(),
            block: Vec::new(),
            certificate: Vec::new(),
            members: None,
            batches: Vec::new(),
            chains: Vec::new(),
        };
        let batch = log.append(KIND_BATCH, &[&[7; 6_000]]).unwrap();
        let position = log.append(KIND_COMMITTED, &[&block.encode()]).unwrap();
        log.wait_durable(position).unwrap();
        batch
    };
    (1..=records).map(append).collect()
}

fn map(data: &Path) -> Map {
    Map::of(data, &|done, of| assert!(done <= of)).unwrap()
}

#[test]
fn a_map_says_what_is_where_what_is_rotten_and_what_is_repaired() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let log = open(data, LogKind::Journal);
    write(&log, 60);
    drop(log);
    write(&open(data, LogKind::Votes), 3);
    let before = map(data);
    assert!(before.is_whole && before.checkpoints.is_empty());
    let [journal, votes] = &before.logs[..] else { panic!("{before:?}") };
    assert_eq!((journal.log, votes.log), ("journal", "vote log"));
    assert_eq!(votes.segments[0].heights, None);
    let first = &journal.segments[0];
    assert!(
        first.cells.starts_with(&"#".repeat(47)),
        "its last sector may only say that it ends: {}",
        first.cells
    );
    assert_eq!((first.begins_at, first.bytes), (0, 48 * SECTOR));
    let (heights, batches) = (first.heights.unwrap(), first.batches);
    assert_eq!(heights.0, Height(1));
    let second = journal.segments[1].heights.unwrap();
    assert!(second.0 == heights.1 || second.0 == heights.1.next());
    assert!(journal.segments.last().unwrap().cells.ends_with("..."));

    let file = &first.file;
    let mut bytes = fs::read(file).unwrap();
    bytes[10 * SECTOR as usize + 77] ^= 1;
    fs::write(file, &bytes).unwrap();
    let rotten = map(data);
    assert!(!rotten.is_whole);
    let [rot] = &rotten.logs[0].rot[..] else { panic!("{:?}", rotten.logs[0].rot) };
    assert_eq!(rot.file, *file);
    assert!(rot.wrong.contains(&format!("byte {}", 10 * SECTOR)), "{}", rot.wrong);
    assert!(rot.from <= 10 * SECTOR && 11 * SECTOR <= rot.until && rot.offset == rot.from);
    let segment = &rotten.logs[0].segments[0];
    assert_eq!(&segment.cells[10..11], "X");
    assert!(segment.batches < batches && segment.cells.contains('#'));
    let text = rotten.to_string();
    assert!(
        text.contains("NOT WHOLE") && text.contains("ROTTEN: ") && text.contains(&segment.cells),
        "{text}"
    );

    let log = open(data, LogKind::Journal);
    let [from, until] = [rot.from, rot.until].map(engine::store::Position::from_raw);
    log.repair(&Repair { from, until, records: Vec::new() }).unwrap();
    drop(log);
    let repaired = map(data);
    assert!(repaired.is_whole, "{repaired}");
    assert_eq!(repaired.logs[0].repairs.len(), 1);
    assert_eq!(&repaired.logs[0].segments[0].cells[10..11], "R");
    let repair = &repaired.logs[0].repairs[0].file;
    fs::write(repair, "half").unwrap();
    let spoiled = map(data);
    assert!(!spoiled.is_whole && spoiled.logs[0].spoiled[0].file == *repair);
    assert!(spoiled.to_string().contains("counts for nothing"));
}

#[test]
fn a_directory_in_use_has_no_map() {
    let data = tempfile::tempdir().unwrap();
    write(&open(data.path(), LogKind::Votes), 1);
    let log = open(data.path(), LogKind::Journal);
    let in_use = StoreError::InUse { path: data.path().join("journal") };
    assert_eq!(Map::of(data.path(), &|_, _| {}).err(), Some(in_use));
    drop(log);
    assert!(map(data.path()).is_whole);
}

#[test]
fn a_log_that_cannot_be_opened_is_a_problem_and_the_other_is_shown() {
    let data = tempfile::tempdir().unwrap();
    write(&open(data.path(), LogKind::Journal), 4);
    let map = map(data.path());
    assert!(!map.is_whole);
    assert!(map.logs[1].problem.as_ref().unwrap().contains("holds no log"));
    assert_eq!(map.logs[0].segments[0].batches, 4);
    assert!(map.to_string().contains("CANNOT BE READ"));
    let json = serde_json::to_value(&map).unwrap();
    assert_eq!(json["logs"][0]["segments"][0]["heights"][1], 4);
}
