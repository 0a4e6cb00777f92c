//! Bytes that rot on the disk of a validator, while it runs and while it does not.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use engine::replica::{CheckpointMark, KIND_BATCH, KIND_COMMITTED, ValidatorId};
use engine::store::{Lock, Log, Owner, Position, Record};
use engine::types::{Digest, Height};
use engine::wire::answers::ScrubAnswer;
use loadgen::Start;
use node::network::Member;

use super::recovery::{checkpoints, store, with_checkpoints};
use super::testbed::{Testbed, expect, wait};

/// The newest checkpoint of a validator; with none, the beginning.
fn settled(member: &Member) -> CheckpointMark {
    let (identity, _) = Log::inspect(&member.data().join("journal"), Lock::None).unwrap();
    let Owner { network, validator, .. } = identity.owner;
    let of = ValidatorId { network: &Digest(network), validator: &validator };
    let newest = checkpoints(member).pop();
    let none = CheckpointMark { height: Height(0), replay_from: Position::from_raw(0), time_ms: 0 };
    newest.and_then(|file| CheckpointMark::read(of, File::open(file).unwrap()).ok()).unwrap_or(none)
}

/// Where in a journal below its newest checkpoint the record of a kind stands, in hundredths of all of these.
fn record(member: &Member, kind: u8, hundredths: usize) -> (PathBuf, u64) {
    let (_, mut replay) = Log::inspect(&member.data().join("journal"), Lock::None).unwrap();
    let settled = settled(member).replay_from;
    let is_of = |record: &Record| record.kind == kind && record.position < settled;
    let all: Vec<_> = replay.by_ref().map_while(Result::ok).filter(is_of).collect();
    replay.locate(all[all.len() * hundredths / 100].position)
}

/// Changes a byte in place, as rot does: the file is not written anew.
fn rot((file, offset): (PathBuf, u64)) {
    let file = File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset + 20).unwrap();
    file.write_all_at(&[byte[0] ^ 4], offset + 20).unwrap();
    file.sync_all().unwrap();
}

fn scrub(testbed: &Testbed, index: usize) -> ScrubAnswer {
    testbed.client(index).status().unwrap().value.scrub
}

/// Waits until a validator has looked at everything that is on its disk now.
fn wait_repaired(testbed: &Testbed, index: usize, repaired: u64) {
    let rounds = scrub(testbed, index).rounds;
    wait(&format!("validator {index} has repaired {repaired}"), || {
        let now = scrub(testbed, index);
        now.rounds >= rounds + 2 && now.repaired >= repaired && now.rotten == 0
    });
}

#[test]
fn what_rots_is_repaired_from_others_and_nothing_is_missing() {
    let mut testbed = with_checkpoints(400, 16);
    let members = testbed.network.members.clone();
    members.iter().for_each(|member| store(member, "segment_mib = 4\nscrub_mib_per_second = 1024"));
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    let all = [0, 1, 2, 3];
    let mut told = vec![testbed.load(&all, 400.0, 2, Start::Fresh)];
    while members.iter().any(|member| settled(member).height < Height(20)) {
        told.push(testbed.load(&all, 400.0, 1, Start::Resume));
    }
    testbed.settle();
    let height = testbed.height(0);

    // One that runs: a batch and the records of two blocks.
    rot(record(&members[1], KIND_BATCH, 20));
    rot(record(&members[1], KIND_COMMITTED, 40));
    rot(record(&members[1], KIND_COMMITTED, 60));
    wait_repaired(&testbed, 1, 3);
    let log = fs::read_to_string(members[1].log_file()).unwrap();
    assert!(log.matches("It is repaired").count() >= 3, "{log}");
    let (mut mended, mut whole) = (testbed.client(1), testbed.client(0));
    for height in (1..=height).map(Height) {
        let [mine, theirs] = [&mut mended, &mut whole].map(|client| client.block(height).unwrap().value);
        assert_eq!(mine.block.digest(), theirs.block.digest());
        assert_eq!(mine.answer.entries, theirs.answer.entries);
    }

    // One that did not run meanwhile, and one that has to execute all of its repaired journal again.
    testbed.kill(2);
    rot(record(&members[2], KIND_BATCH, 10));
    rot(record(&members[2], KIND_COMMITTED, 30));
    let (map, _) = expect(1, &["verify", "--map", members[2].data().to_str().unwrap()]);
    assert!(map.contains("NOT WHOLE") && map.contains("ROTTEN"), "{map}");
    testbed.kill(1);
    fs::remove_dir_all(members[1].data().join("checkpoints")).unwrap();
    testbed.spawn(1);
    testbed.spawn(2);
    testbed.ready();
    wait_repaired(&testbed, 2, 2);
    [1, 2].into_iter().for_each(|index| testbed.wait_height(index, height));
    // A repair that rots itself is made again.
    let repair = fs::read_dir(members[2].data().join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let repair = repair.filter(|file| file.extension().is_some_and(|of| of == "repair")).min().unwrap();
    let end = fs::metadata(&repair).unwrap().len();
    rot((repair, end - 32 - 40));
    wait_repaired(&testbed, 2, 2);

    testbed.settle();
    testbed.stop_all();
    testbed.audit(&told.iter().collect::<Vec<_>>());
    for index in [1, 2] {
        let (map, _) = expect(0, &["verify", "--map", members[index].data().to_str().unwrap()]);
        assert!(map.contains("nothing is rotten") && map.contains("repaired: "), "{map}");
    }
}

#[test]
fn what_rots_in_the_vote_log_is_said_and_never_repaired() {
    let mut testbed = Testbed::new(4, 100);
    let members = testbed.network.members.clone();
    members.iter().for_each(|member| store(member, "scrub_mib_per_second = 1024"));
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    testbed.load(&[0, 1, 2, 3], 100.0, 1, Start::Fresh);
    // Without a quorum nothing more is final, so no vote is released.
    [2, 3].into_iter().for_each(|index| testbed.kill(index));
    let votes = members[0].data().join("consensus");
    let (_, mut replay) = Log::inspect(&votes, Lock::None).unwrap();
    let last = replay.by_ref().map_while(Result::ok).last().unwrap();
    rot(replay.locate(last.position));
    wait("the rot is found", || scrub(&testbed, 0).rotten == 1);
    let log = fs::read_to_string(members[0].log_file()).unwrap();
    assert!(
        log.contains("the vote log cannot be read") && log.contains("never repaired from others"),
        "{log}"
    );
    testbed.all_alive();
    testbed.kill(0);
    let files = fs::read_dir(&votes).unwrap().map(|entry| entry.unwrap().path());
    assert!(files.into_iter().all(|file| file.extension().is_none_or(|of| of != "repair")));
    // The other log of the directory is whole.
    let (map, _) = expect(1, &["verify", "--map", members[0].data().to_str().unwrap()]);
    assert_eq!(map.matches("ROTTEN: ").count(), 1, "{map}");
}
