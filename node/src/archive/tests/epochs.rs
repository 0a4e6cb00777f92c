//! Archives of networks whose validators change.

use engine::types::{MemberChange, ValidatorIndex};
use rig::member;

use super::*;

/// Heights 4 and 9 are the last ones of two epochs: validator 1 comes, and validator 0 leaves.
fn changed() -> Rig {
    let mut rig = Rig::new();
    (0..2).for_each(|_| rig.commit(2, true));
    rig.decide(MemberChange::Add(member(1)));
    rig.commit(2, true);
    (0..3).for_each(|more| rig.commit(2, more == 1));
    rig.decide(MemberChange::Remove { place: ValidatorIndex(0), below_four: false });
    (0..4).for_each(|_| rig.commit(2, true));
    rig
}

#[test]
fn an_archive_goes_through_epochs_in_one_pass_and_in_many() {
    let mut rig = changed();
    for (name, file_bytes) in [("whole", 1 << 20), ("single", 1)] {
        let archive = rig.path(name);
        let written = archived(&rig, &archive, file_bytes).unwrap();
        assert_eq!(written.last().unwrap().last, Height(12), "{name}");
        assert_eq!(wrongs(&rig, &archive), Vec::<String>::new());
        let report = audit(&rig, &archive, false);
        assert!(report.ok, "{name}: {:?}", report.finding);
        assert_eq!((report.height, report.epochs, report.applied), (Height(12), 3, 20));
    }
    // The last block of an epoch may be the last one of a file, or stand between two.
    for end in 1..=12 {
        let archive = rig.path(&format!("to {end}"));
        let mut archiver = rig.archiver(&archive, 1 << 20).unwrap();
        let mut left = end;
        let stop = |_, _| {
            left -= 1;
            left < 0
        };
        archiver.pass(stop, &mut |_| {}).unwrap();
        archiver.close(&mut |_| {}).unwrap();
        drop(archiver);
        let written = archived(&rig, &archive, 1 << 20).unwrap();
        assert!(written.last().is_none_or(|of| of.last == Height(12)));
        let report = audit(&rig, &archive, false);
        assert!(report.ok, "{end}: {:?}", report.finding);
        assert_eq!((report.height, report.epochs), (Height(12), 3));
    }
    rig.close();
    let both = audit(&rig, &rig.path("single"), true);
    assert!(both.ok, "{:?}", both.finding);
    assert_eq!((both.epochs, both.audited_above), (3, Height(0)));
}

#[test]
fn an_epoch_that_does_not_follow_from_the_one_before_is_not_archived() {
    type Change = fn(&mut engine::replica::CommittedBlock);
    let changes: [(Change, &str); 4] = [
        (|record| record.members = None, "other members"),
        (|record| record.members.as_mut().unwrap().list[0].name.push('x'), "other members"),
        (|record| record.certificate.clear(), "must have one"),
        (|record| record.certificate[40] ^= 1, "does not hold"),
    ];
    for (change, words) in changes {
        let mut rig = Rig::new();
        rig.decide(MemberChange::Add(member(1)));
        rig.commit_with(2, change);
        rig.commit(1, true);
        let error = archived(&rig, &rig.archive(), 1 << 20).unwrap_err();
        assert!(matches!(error, ArchiveError::Unsound { height: Height(2), .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(Archive::open(&rig.archive()).unwrap().last(), Height(1), "what is proved is kept");
    }
    // A block that names members where the epoch goes on, and one that the validators of the first epoch made final.
    let mut rig = Rig::new();
    rig.commit_with(1, |record| {
        record.members =
            Some(engine::types::Members { epoch: engine::types::Epoch(1), list: vec![member(1)] })
    });
    let error = archived(&rig, &rig.archive(), 1 << 20).unwrap_err();
    assert!(error.to_string().contains("other members"), "{error}");
    let mut rig = Rig::new();
    let mut first = Vec::new();
    rig.commit_with(1, |record| first.clone_from(&record.certificate));
    rig.decide(MemberChange::Add(member(1)));
    rig.commit(1, true);
    rig.commit_with(1, |record| record.certificate = first);
    let error = archived(&rig, &rig.archive(), 1 << 20).unwrap_err();
    assert!(
        matches!(&error, ArchiveError::Unsound { height: Height(4), what: Unsound::Certificate(_), .. }),
        "{error}"
    );
}
