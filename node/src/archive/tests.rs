//! A journal of a network of one, with real signatures and certificates, archived while it grows; and archives that are
//! cut, changed, moved and exchanged.

mod crashes;
mod epochs;
mod forged;
mod questions;
mod rig;

use std::fs;

use engine::audit::AuditReport;
use proptest::prelude::*;
use rig::{Rig, archived, pass};

use super::archiver::Passed;
use super::*;

/// Audits an archive, and behind it the journal if that is wanted.
fn audit(rig: &Rig, archive: &Path, with_journal: bool) -> AuditReport {
    let listed = Archive::open(archive).unwrap();
    let mut source = AuditedArchive::new(listed, &rig.genesis);
    let mut auditor = crate::verify::auditor(rig.genesis.clone()).unwrap();
    let directory = with_journal.then(|| rig.data());
    let audited =
        auditor.audit_archive((&mut source, archive), directory.as_deref(), &|_, _| {}, &mut |_, _, _| {});
    audited.unwrap()
}

/// What is wrong with the files, each by itself.
fn wrongs(rig: &Rig, archive: &Path) -> Vec<String> {
    let listed = Archive::open(archive).unwrap();
    let files = ArchivedFile::list(&listed, &rig.genesis, &|_, _| {});
    files.into_iter().filter_map(|file| file.wrong).collect()
}

fn files(archive: &Path) -> Vec<PathBuf> {
    let listed = Archive::open(archive).unwrap();
    listed.files.iter().map(|heights| listed.path(*heights)).collect()
}

/// An audit reads the same from an archive, from an archive and the journal behind it, and from the journal.
#[test]
fn what_is_archived_is_what_the_journal_has() {
    let mut rig = Rig::new();
    (0..30).for_each(|_| rig.commit(3, true));
    // What no certificate covers waits.
    rig.commit(2, false);
    rig.commit(2, false);
    let archive = rig.archive();
    let written = pass(&rig, 4_000);
    assert!(written.len() > 3, "{written:?}");
    assert_eq!(written.last().unwrap().last, Height(30));
    assert_eq!(wrongs(&rig, &archive), Vec::<String>::new());
    let alone = audit(&rig, &archive, false);
    assert!(alone.ok, "{:?}", alone.finding);
    assert_eq!((alone.archived_to, alone.height, alone.applied), (Some(Height(30)), Height(30), 90));
    rig.close();
    let both = audit(&rig, &archive, true);
    assert!(both.ok, "{:?}", both.finding);
    let mut auditor = crate::verify::auditor(rig.genesis.clone()).unwrap();
    let journal = auditor.audit(&rig.data(), &|_, _| {}, &mut |_, _, _| {}).unwrap();
    assert_eq!((both.archived_to, both.audited_above), (Some(Height(30)), Height(0)));
    assert_eq!((both.height, both.state_root), (journal.height, journal.state_root));
    assert_eq!((both.transactions, both.applied), (journal.transactions, journal.applied));
    assert_eq!((both.signatures, both.finalizations), (journal.signatures, journal.finalizations));
    assert_eq!(both.supply, journal.supply);
}

/// What was released is audited from the archive, and what is not there any more at all is said.
#[test]
fn the_archive_and_the_rest_of_a_pruned_journal_are_audited_from_the_genesis() {
    let mut rig = Rig::new();
    (0..40).for_each(|_| rig.commit(4, true));
    pass(&rig, 4_000);
    rig.release(Height(30));
    (0..10).for_each(|_| rig.commit(4, true));
    assert!(rig.is_pruned());
    let archive = rig.archive();
    let report = audit(&rig, &archive, false);
    assert_eq!((report.ok, report.height), (true, Height(40)));
    pass(&rig, 4_000);
    assert_eq!(Archive::open(&archive).unwrap().last(), Height(50));
    // One that begins now has lost its chance.
    let late = archived(&rig, &rig.path("late"), 4_000).unwrap_err();
    assert!(matches!(&late, ArchiveError::Gap { archived: Height(0), .. }), "{late}");
    assert!(late.to_string().contains("no longer has all of height 1"), "{late}");
    // And so has one whose last files were taken away.
    fs::remove_file(files(&archive).pop().unwrap()).unwrap();
    let missing = archived(&rig, &archive, 4_000).unwrap_err();
    assert!(matches!(missing, ArchiveError::LastFileMissing { height: Height(50), .. }), "{missing}");
}

/// The reader of a journal that is written meanwhile, and whose segments are used again under it.
#[test]
fn a_journal_is_followed_while_it_is_pruned() {
    let mut rig = Rig::new();
    let mut archiver = rig.archiver(&rig.archive(), 4_000).unwrap();
    let mut told = |_| {};
    for _ in 0..40 {
        (0..5).for_each(|_| rig.commit(2, true));
        assert_eq!(archiver.pass(|_, _| false, &mut told).unwrap(), Passed::All);
        archiver.close(&mut told).unwrap();
        assert_eq!(archiver.height(), rig.height());
        rig.release(Height(rig.height().0 - 1));
    }
    assert!(rig.is_pruned());
    let report = audit(&rig, &rig.archive(), false);
    assert_eq!((report.ok, report.height, report.applied), (true, Height(200), 400), "{:?}", report.finding);
    // It has fallen behind what the journal keeps.
    (0..60).for_each(|_| rig.commit(4, true));
    rig.release(rig.height());
    (0..30).for_each(|_| rig.commit(4, true));
    let error = archiver.pass(|_, _| false, &mut told).unwrap_err();
    assert!(matches!(error, ArchiveError::Gap { archived: Height(200), .. }), "{error}");
}

#[test]
fn another_network_and_a_second_archiver_are_refused() {
    let (mut rig, other) = (Rig::new(), Rig::named("another"));
    rig.commit(1, true);
    let archive = rig.archive();
    let first = rig.archiver(&archive, 4_000).unwrap();
    assert!(matches!(rig.archiver(&archive, 4_000), Err(ArchiveError::InUse(_))));
    drop(first);
    pass(&rig, 4_000);
    let refused = archived(&other, &archive, 4_000).unwrap_err();
    assert!(matches!(refused, ArchiveError::OtherNetwork { .. }) && refused.is_usage(), "{refused}");
    fs::remove_file(archive.join(crate::config::genesis::HEADER_FILE)).unwrap();
    let refused = archived(&other, &archive, 4_000).unwrap_err();
    assert!(matches!(refused, ArchiveError::OtherNetwork { .. }), "{refused}");
    assert_eq!(wrongs(&other, &archive), [format!("of another network, {}", rig.genesis.network())]);
    // Nor does a validator of the other one prune by it.
    assert_eq!(Archive::reaches(&archive, rig.genesis.network()), Height(1));
    assert_eq!(Archive::reaches(&archive, other.genesis.network()), Height(0));
}

/// The same heights with another content.
#[test]
fn a_journal_that_goes_on_from_another_block_is_refused() {
    let (mut rig, mut forked) = (Rig::new(), Rig::new());
    (0..3).for_each(|_| rig.commit(1, true));
    (0..4).for_each(|_| forked.commit(2, true));
    pass(&rig, 4_000);
    let error = archived(&forked, &rig.archive(), 4_000).unwrap_err();
    assert!(matches!(error, ArchiveError::Fork { height: Height(3), .. }), "{error}");
    // A file of the one among those of the other.
    pass(&forked, 100);
    let (of_one, of_other) = (files(&rig.archive()), files(&forked.archive()));
    assert_eq!((of_one.len(), of_other.len()), (1, 4));
    let mixed = rig.path("mixed");
    fs::create_dir(&mixed).unwrap();
    for file in of_one.iter().chain(of_other.last()) {
        fs::copy(file, mixed.join(file.file_name().unwrap())).unwrap();
    }
    assert!(wrongs(&rig, &mixed)[0].contains("out of sequence"), "{:?}", wrongs(&rig, &mixed));
    assert!(!audit(&rig, &mixed, false).ok);
}

#[test]
fn what_a_journal_says_wrongly_is_not_archived() {
    let mut rig = Rig::new();
    rig.commit(2, true);
    rig.commit_with(2, |record| record.certificate[40] ^= 1);
    let error = archived(&rig, &rig.archive(), 4_000).unwrap_err();
    assert!(
        matches!(&error, ArchiveError::Unsound { height: Height(2), what: Unsound::Certificate(_), .. }),
        "{error}"
    );
    assert_eq!(Archive::open(&rig.archive()).unwrap().last(), Height(1), "what is proved is kept");
    let mut rig = Rig::new();
    rig.commit_with(2, |record| record.state_root.0[0] ^= 1);
    let error = archived(&rig, &rig.archive(), 4_000).unwrap_err();
    assert!(matches!(error, ArchiveError::Unsound { what: Unsound::StateRoot(_), .. }), "{error}");
}

#[test]
fn without_room_for_a_file_none_is_begun() {
    let mut rig = Rig::new();
    rig.commit(2, true);
    let error = archived(&rig, &rig.archive(), u64::MAX).unwrap_err();
    assert!(matches!(error, ArchiveError::NoRoom { .. }), "{error}");
    assert!(!rig.archive().join("next.new").exists());
    assert_eq!(pass(&rig, 4_000).len(), 1, "it goes on when there is room");
}

#[test]
fn files_that_are_missing_are_named_and_the_others_are_whole() {
    let mut rig = Rig::new();
    (0..30).for_each(|_| rig.commit(3, true));
    pass(&rig, 4_000);
    let archive = rig.archive();
    let all = files(&archive);
    fs::remove_file(&all[1]).unwrap();
    assert_eq!(wrongs(&rig, &archive), ["no file has these heights"]);
    let finding = audit(&rig, &archive, false).finding.unwrap();
    assert!(finding.found.contains("the archive has no file with height"), "{finding}");
    fs::copy(&all[0], archive.join(name_of(Height(1), Height(29)))).unwrap();
    let wrong = wrongs(&rig, &archive);
    assert!(wrong.iter().any(|wrong| wrong.contains("the heights of its name")), "{wrong:?}");
}

#[test]
fn verify_notices_that_the_last_file_is_missing() {
    let mut rig = Rig::new();
    (0..30).for_each(|_| rig.commit(3, true));
    pass(&rig, 4_000);
    let archive = rig.archive();
    assert!(wrongs(&rig, &archive).is_empty() && audit(&rig, &archive, false).ok);
    fs::remove_file(files(&archive).last().unwrap()).unwrap();
    let wrong = wrongs(&rig, &archive);
    assert!(matches!(&wrong[..], [one] if one.contains("archived.json")), "{wrong:?}");
    let finding = audit(&rig, &archive, false).finding.unwrap();
    assert!(finding.found.contains("the archive has no file with height"), "{finding}");
    // What is archived after an archive was listed is no part of it.
    let listed = Archive::open(&archive).unwrap();
    assert_eq!((listed.recorded_last_height, listed.last() < Height(30)), (Some(Height(30)), true));
    fs::remove_file(archive.join("archived.json")).unwrap();
    assert!(wrongs(&rig, &archive).is_empty() && audit(&rig, &archive, false).ok);
    pass(&rig, 4_000);
    assert_eq!(Archive::open(&archive).unwrap().last(), Height(30), "what is missing is archived again");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Every byte counts, wherever it is; and so does every byte that is missing.
    #[test]
    fn a_changed_byte_and_a_cut_are_found(place in 0.0..1.0_f64, bit in 0_u8..8, cut in 0.0..1.0_f64) {
        let rig = rig::shared();
        let copy = tempfile::tempdir().unwrap();
        let all = files(&rig.archive());
        for file in &all {
            fs::copy(file, copy.path().join(file.file_name().unwrap())).unwrap();
        }
        let total: u64 = all.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        let mut at = (place * total as f64) as u64;
        for file in &all {
            let file = copy.path().join(file.file_name().unwrap());
            let bytes = fs::read(&file).unwrap();
            if at >= bytes.len() as u64 {
                at -= bytes.len() as u64;
                continue;
            }
            let mut changed = bytes.clone();
            changed[at as usize] ^= 1 << bit;
            fs::write(&file, changed).unwrap();
            prop_assert_eq!(wrongs(rig, copy.path()).len(), 1, "byte {} of {}", at, file.display());
            fs::write(&file, &bytes[..(cut * bytes.len() as f64) as usize]).unwrap();
            prop_assert_eq!(wrongs(rig, copy.path()).len(), 1, "cut");
            prop_assert!(!audit(rig, copy.path(), false).ok);
            fs::write(&file, [&bytes[..], &[7]].concat()).unwrap();
            prop_assert_eq!(wrongs(rig, copy.path()).len(), 1, "one byte more");
            break;
        }
    }
}

/// Each byte of header, index and trailer, and some of the rest.
#[test]
fn no_byte_of_a_file_can_be_changed() {
    let mut rig = Rig::new();
    (0..3).for_each(|_| rig.commit(1, true));
    pass(&rig, 4_000);
    let archive = rig.archive();
    let file = files(&archive).pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&file, changed).unwrap();
        assert_eq!(wrongs(&rig, &archive).len(), 1, "byte {at}");
    }
    fs::write(&file, &bytes).unwrap();
    assert_eq!(wrongs(&rig, &archive), Vec::<String>::new());
}
