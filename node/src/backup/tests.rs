//! Backups of a journal that somebody writes, and what is refused.

use std::fs;

use engine::replica::Boot;
use engine::store::{Backend, Lock, Log, LogKind, Options, Owner, Position, Repair};

use super::*;

const OWNER: Owner = Owner { network: [3; 32], validator: [4; 32], log: LogKind::Journal };

fn open(data: &Path) -> Log {
    let options = Options { backend: Backend::Portable, segment_bytes: 32 << 10, ..Options::new(OWNER) };
    Log::open(&data.join("journal"), options).unwrap().0
}

fn append(log: &Log, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let position = log.append(1, &[&number.to_le_bytes(), &[7; 3_000]]).unwrap();
        log.wait_durable(position).unwrap();
    }
}

fn numbers(data: &Path) -> Vec<u64> {
    let (_, replay) = Log::inspect(&data.join("journal"), Lock::Shared).unwrap();
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
    replay.map(|record| number(&record.unwrap().bytes)).collect()
}

/// A data directory whose log is open, and a backup of it with 40 records.
fn scene() -> (tempfile::TempDir, Log, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&directory.path().join("data"));
    append(&log, 0..40);
    let to = directory.path().join("backup");
    let made = backup(&directory.path().join("data"), &to, &mut |_| {}).unwrap();
    assert_eq!((made.records, made.manifest.checkpoint), (40, None));
    (directory, log, to)
}

#[test]
fn what_was_durable_comes_back_and_the_log_goes_on_from_there() {
    let (directory, log, to) = scene();
    append(&log, 40..60);
    let place = directory.path().join("restored");
    let mut copied = 0;
    restore(&to, &place, &mut |bytes| copied = bytes).unwrap();
    assert!(copied > 40 * 3_000);
    let again = open(&place);
    append(&again, 100..102);
    drop(again);
    assert_eq!(numbers(&place), (0..40).chain(100..102).collect::<Vec<_>>());
    let (identity, votes) = Log::inspect(&place.join("consensus"), Lock::Shared).unwrap();
    let votes: Vec<_> = votes.map(|record| record.unwrap().bytes).collect();
    assert_eq!(identity.owner.log, LogKind::Votes);
    assert_eq!(votes, [Boot::LOST.encode()], "the votes are in no backup, and a start is told so");
    assert!(!unfinished(&to).exists() && !unfinished(&place).exists());
    drop(log);
    assert_eq!(numbers(&directory.path().join("data")), (0..60).collect::<Vec<_>>());
}

#[test]
fn what_is_read_in_the_place_of_rot_is_in_the_backup() {
    let (directory, log, to) = scene();
    let data = directory.path().join("data");
    let whole: Vec<_> = log.scrub().map(Result::unwrap).collect();
    let (file, _) = log.scrub().locate(Position::from_raw(9_000));
    let mut bytes = fs::read(&file).unwrap();
    bytes[9_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let mut scrub = log.scrub();
    let rot = scrub.by_ref().any(|record| record.is_err()).then(|| scrub.skip_rot().unwrap()).unwrap();
    fs::remove_dir_all(&to).unwrap();
    match backup(&data, &to, &mut |_| {}).unwrap_err() {
        BackupError::SourceDamaged { file: named, .. } => assert_eq!(named, file, "the source, not the copy"),
        other => panic!("{other}"),
    }
    let records = whole.into_iter().filter(|record| (rot.from..rot.until).contains(&record.position));
    log.repair(&Repair { from: rot.from, until: rot.until, records: records.collect() }).unwrap();
    backup(&data, &to, &mut |_| {}).unwrap();
    let place = directory.path().join("restored");
    restore(&to, &place, &mut |_| {}).unwrap();
    assert_eq!(numbers(&place), (0..40).collect::<Vec<_>>());
}

#[test]
fn nothing_is_overwritten() {
    let (directory, _log, to) = scene();
    let data = directory.path().join("data");
    assert!(matches!(backup(&data, &to, &mut |_| {}), Err(BackupError::Exists(_))));
    assert!(matches!(restore(&to, &data, &mut |_| {}), Err(BackupError::Exists(_))));
    let nothing = backup(&directory.path().join("nothing"), &directory.path().join("b"), &mut |_| {});
    assert!(nothing.unwrap_err().is_usage());
    let within = backup(&data, &data.join("some/backup"), &mut |_| {}).unwrap_err();
    assert!(matches!(within, BackupError::InsideData(_)) && within.is_usage(), "{within}");
}

#[test]
fn each_file_that_is_damaged_lost_or_added_is_named_and_nothing_is_restored() {
    let (directory, _log, to) = scene();
    let place = directory.path().join("restored");
    let refused = |file: &Path| match restore(&to, &place, &mut |_| {}) {
        Err(BackupError::BackupDamaged { file: named, .. }) => {
            assert_eq!(named, file);
            assert!(!place.exists() && !unfinished(&place).exists());
        }
        other => panic!("{}: {other:?}", file.display()),
    };
    let files = Manifest::read(&to).unwrap().files;
    assert!(files.len() > 3, "{files:?}");
    for BackedUp { path, bytes, .. } in files {
        let file = to.join(path);
        let good = fs::read(&file).unwrap();
        let mut bad = good.clone();
        bad[bytes as usize / 2] ^= 1;
        fs::write(&file, &bad).unwrap();
        refused(&file);
        fs::write(&file, &good[..good.len() - 1]).unwrap();
        refused(&file);
        fs::remove_file(&file).unwrap();
        refused(&file);
        fs::write(&file, good).unwrap();
    }
    let added = to.join("journal/0000000000000099.segment");
    fs::write(&added, "").unwrap();
    refused(&added);
    fs::remove_file(&added).unwrap();
    restore(&to, &place, &mut |_| {}).unwrap();
}

#[test]
fn a_backup_that_was_cut_short_or_leads_elsewhere_is_refused() {
    let (directory, _log, to) = scene();
    let place = directory.path().join("restored");
    let file = to.join(MANIFEST);
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    assert!(matches!(restore(&to, &place, &mut |_| {}), Err(BackupError::Manifest { .. })));
    for elsewhere in
        ["../identity", "consensus/identity", "first-start", "journal/lock", "journal/x/identity"]
    {
        fs::write(&file, good.replace("journal/identity", elsewhere)).unwrap();
        assert!(
            matches!(restore(&to, &place, &mut |_| {}), Err(BackupError::Manifest { .. })),
            "{elsewhere}"
        );
    }
    fs::write(&file, good.replace("\"format\": 1", "\"format\": 9")).unwrap();
    assert!(matches!(restore(&to, &place, &mut |_| {}), Err(BackupError::Manifest { .. })));
    fs::remove_file(&file).unwrap();
    assert!(matches!(restore(&to, &place, &mut |_| {}), Err(BackupError::NoBackup(_))));
    assert!(!place.exists());
}
