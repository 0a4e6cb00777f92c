//! Archives of networks whose validators change.

use engine::types::MemberChange;
use rig::member;

use super::*;

/// Long enough for nothing: an archive has all that it will ever have.
const NOW: std::time::Duration = std::time::Duration::ZERO;

/// Heights 4 and 9 are the last ones of two epochs: validator 1 comes, and validator 0 leaves.
fn changed() -> Rig {
    let mut rig = Rig::new();
    (0..2).for_each(|_| rig.commit(2, true));
    rig.decide(MemberChange::Add(member(1)));
    rig.commit(2, true);
    (0..3).for_each(|more| rig.commit(2, more == 1));
    rig.decide(MemberChange::Remove { key: member(0).public_key, below_four: false });
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
        record.members = Some(engine::types::Members {
            epoch: engine::types::Epoch(1),
            rules: engine::types::RULES_FIRST,
            list: vec![member(1)],
        })
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

/// Proofs lead from the genesis over the ends of epochs that an archive has.
#[test]
fn an_archive_proves_what_was_in_every_epoch_and_says_where_its_files_end() {
    let rig = changed();
    for (name, file_bytes) in [("whole", 1 << 20), ("single", 1)] {
        let archive = rig.path(name);
        archived(&rig, &archive, file_bytes).unwrap();
        let mut client = client(&archive, (*rig.genesis.network(), Height(0))).unwrap();
        let genesis = proof::Genesis::decode(rig.genesis.header()).unwrap();
        let changes = client.epoch_changes(2).unwrap();
        let last: Vec<u64> = changes.iter().map(|change| change.header.height).collect();
        assert_eq!(last, [4, 9], "{name}");
        let (keys, height) = proof::validators_after(&genesis, &changes).unwrap();
        assert_eq!((keys, height), (vec![member(1).public_key], 9));
        let mut epochs = Vec::new();
        for (height, id) in rig.transactions.iter().filter(|(height, _)| height.0 < 12) {
            let proof = client.prove_transaction(None, id, NOW).unwrap();
            let statement = proof::verify(&proof.encode().unwrap(), rig.genesis.header()).unwrap();
            assert_eq!(statement.height, height.0);
            epochs.push(statement.epoch);
        }
        assert_eq!(epochs, [0, 0, 1, 1, 1, 1, 2, 2, 2], "that of the block with the certificate, {name}");
        assert!(client.epoch_changes(3).is_err(), "the third epoch goes on");
    }
    // Without the file in which the first epoch ended nothing of the second one can be proved.
    let archive = rig.path("single");
    fs::remove_file(archive.join(name_of(Height(4), Height(4)))).unwrap();
    let mut partial = client(&archive, (*rig.genesis.network(), Height(0))).unwrap();
    let error = partial.epoch_changes(2).unwrap_err();
    assert!(error.to_string().contains("how all epochs"), "{error}");
    assert!(partial.epoch_changes(0).is_ok_and(|none| none.is_empty()));
}
