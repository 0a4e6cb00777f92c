//! An archiver that is killed between any two of its steps, and goes on.

use proptest::prelude::*;

use super::*;

/// Every height from 1 on, each once, and nothing between them.
fn is_whole(rig: &Rig, archive: &Path) -> Height {
    assert_eq!(wrongs(rig, archive), Vec::<String>::new());
    let listed = Archive::open(archive).unwrap();
    let mut next = Height(1);
    for (first, last) in &listed.files {
        assert_eq!(*first, next);
        next = last.next();
    }
    let report = audit(rig, archive, false);
    assert!(report.ok, "{:?}", report.finding);
    assert_eq!(report.height, listed.last());
    report.height
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// What a crash leaves is a file without its name, of any length, and a note that is old, missing or a part of one:
    /// each step is durable before the next one begins.
    #[test]
    fn killed_between_any_two_steps_it_goes_on_without_gap_or_repeat(
        steps in prop::collection::vec((1_u64..12, 0_u64..3, 1_u32..8, 0_u8..5, 0.0..1.0_f64), 1..8),
    ) {
        let mut rig = Rig::new();
        let archive = rig.archive();
        let mut note_before: Option<Vec<u8>> = None;
        for (heights, payments, passes, kind, cut) in steps {
            (0..heights).for_each(|height| rig.commit(payments, (height + payments) % 3 != 1));
            let mut archiver = rig.archiver(&archive, 3_000).unwrap();
            let mut left = passes;
            archiver.pass(|_, _| { left -= 1; left == 0 }, &mut |_| {}).unwrap();
            let note = archive.join("archived.json");
            let before = fs::read(&note).ok();
            match kind {
                // Killed before anything of the last file had its name.
                0 => drop(archiver),
                // After it had, and before the note was written, or while it was.
                1 | 2 => {
                    archiver.close(&mut |_| {}).unwrap();
                    drop(archiver);
                    match &before {
                        Some(before) => fs::write(&note, before).unwrap(),
                        None => drop(fs::remove_file(&note)),
                    }
                    fs::write(archive.join("archived.new"), "{ \"hei").unwrap();
                }
                // A disk that has lost the note, or has one of long ago.
                3 => {
                    archiver.close(&mut |_| {}).unwrap();
                    drop(archiver);
                    match &note_before {
                        Some(before) => fs::write(&note, before).unwrap(),
                        None => drop(fs::remove_file(&note)),
                    }
                }
                _ => archiver.close(&mut |_| {}).unwrap(),
            }
            note_before = before;
            // A part of a file, as the disk has it after a power cut.
            let unfinished = archive.join("next.new");
            if let Ok(bytes) = fs::read(&unfinished) {
                fs::write(&unfinished, &bytes[..(cut * bytes.len() as f64) as usize]).unwrap();
            }
        }
        rig.commit(1, true);
        pass(&rig, 3_000);
        prop_assert_eq!(is_whole(&rig, &archive), rig.height());
        prop_assert!(!archive.join("next.new").exists());
    }
}

/// The note of another life of the journal leads nowhere.
#[test]
fn a_note_that_does_not_fit_costs_nothing_but_time() {
    let mut rig = Rig::new();
    (0..20).for_each(|_| rig.commit(2, true));
    pass(&rig, 3_000);
    let note = rig.archive().join("archived.json");
    let text = fs::read_to_string(&note).unwrap();
    let mut fields: serde_json::Value = serde_json::from_str(&text).unwrap();
    let position = fields["position"].as_u64().unwrap();
    assert!(position > 4096, "it spares reading what was read: {text}");
    for wrong in [position + 4096, 7, u64::MAX / 2] {
        fields["position"] = wrong.into();
        fs::write(&note, fields.to_string()).unwrap();
        (0..3).for_each(|_| rig.commit(2, true));
        pass(&rig, 3_000);
        assert_eq!(is_whole(&rig, &rig.archive()), rig.height());
    }
}

/// What is asked to stop has closed nothing that lacks its certificate.
#[test]
fn a_pass_that_is_stopped_ends_at_a_certificate() {
    let mut rig = Rig::new();
    (0..12).for_each(|height| rig.commit(2, height % 4 == 3));
    let mut archiver = rig.archiver(&rig.archive(), 1 << 20).unwrap();
    let height = std::cell::Cell::new(0);
    let stop = |_, _| height.replace(height.get() + 1) > 0;
    assert_eq!(archiver.pass(stop, &mut |_| {}).unwrap(), Passed::Stopped);
    archiver.close(&mut |_| {}).unwrap();
    assert_eq!(archiver.height(), Height(4));
    drop(archiver);
    pass(&rig, 1 << 20);
    assert_eq!(is_whole(&rig, &rig.archive()), Height(12));
}
