//! Validators that keep little, an archive that follows one of them, and what comes out of it when they are pruned.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::recovery::{store, with_checkpoints};
use crate::testbed::{MILLRACE, Testbed, expect, wait};
use engine::types::{Height, Outcome, PacketRun};
use loadgen::Start;
use node::archive::{Archive, AuditedArchive};
use node::verify;

/// `millrace archive --follow`, killed when the test ends.
struct Follower(Child);

impl Follower {
    fn new(data: &Path, archive: &Path) -> Self {
        let command = ["archive", data.to_str().unwrap(), "--to", archive.to_str().unwrap()];
        let command = [&command[..], &["--follow", "--every", "1"]].concat();
        Self(Command::new(MILLRACE).args(command).stderr(Stdio::null()).spawn().unwrap())
    }

    fn signal(&mut self, signal: &str) -> Option<i32> {
        assert!(Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn archived_to(archive: &Path) -> u64 {
    Archive::open(archive).map_or(0, |archive| archive.last().0)
}

/// The first height that a validator keeps.
fn kept_from(testbed: &Testbed, index: usize) -> u64 {
    testbed.client(index).status().unwrap().value.kept_from.0
}

#[test]
fn what_validators_have_pruned_is_audited_and_proved_out_of_the_archive() {
    let mut testbed = with_checkpoints(400, 16);
    let members = testbed.network.members.clone();
    members.iter().for_each(|member| store(member, "segment_mib = 4\nkeep_heights = 1100"));
    // One of them waits for the archive.
    store(&members[2], "archive = \"../archive\"");
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    let archive: PathBuf = testbed.path().join("archive");
    let all = [0, 1, 2, 3];
    let mut told = vec![testbed.load(&all, 1_000.0, 2, Start::Fresh)];
    let mut follower = Follower::new(&members[0].data(), &archive);
    wait("something is archived", || archived_to(&archive) > 0);
    // A second one is refused, and the first one is killed while it works.
    let [data, to] = [members[1].data(), archive.clone()].map(|path| path.to_str().unwrap().to_owned());
    let (_, error) = expect(2, &["archive", &data, "--to", &to]);
    assert!(error.contains("another `millrace archive` writes this archive"), "{error}");
    told.push(testbed.load(&all, 1_000.0, 3, Start::Resume));
    assert_eq!(follower.signal("-KILL"), None);
    // From now on it is the journal of another one.
    let mut follower = Follower::new(&members[1].data(), &archive);
    let is_pruned = |index: usize| {
        kept_from(&testbed, index) > 200
            && !members[index].data().join("journal/0000000000000000.segment").exists()
    };
    while !all.iter().all(|index| is_pruned(*index)) {
        told.push(testbed.load(&all, 1_000.0, 3, Start::Resume));
        // The archive only grows, so it is looked at behind the validator.
        let kept = kept_from(&testbed, 2);
        assert!(kept <= archived_to(&archive) + 1, "nothing that is not archived is released: {kept}");
    }
    testbed.settle();
    let goal = testbed.height(1) - 5;
    wait("the archive has caught up", || archived_to(&archive) >= goal);
    assert_eq!(follower.signal("-TERM"), Some(0), "it ends in order");

    // An early transaction, of which no validator has anything any more.
    let early = told[0].acknowledged().next().unwrap();
    let (id, account) = (early.id(testbed.network.genesis.network()).to_string(), early.debit().to_string());
    let network = testbed.network.directory.display().to_string();
    let (_, error) = expect(1, &["query", "--network", &network, "block", "1"]);
    assert!(error.contains("is below what this validator keeps"), "{error}");
    testbed.stop_all();
    let ask = |code, words: &[&str]| expect(code, &[&["query", "--archive", &to], words].concat());
    let (found, _) = ask(0, &["transaction", &id]);
    assert!(
        found.contains("applied") && found.contains("a finalization certificate in the archive"),
        "{found}"
    );
    let proof = testbed.path().join("early.proof");
    let proof = proof.to_str().unwrap();
    ask(0, &["transaction", &id, "--proof", proof]);
    let header = archive.join("genesis.header");
    let (holds, _) = expect(0, &["verify-proof", proof, "--genesis", header.to_str().unwrap()]);
    assert!(holds.contains("the proof holds") && holds.contains(&id), "{holds}");
    let (history, _) = ask(0, &["history", "1", &account]);
    assert!(history.contains(&id), "{history}");
    let (block, _) = ask(0, &["--network", &network, "block", "1"]);
    assert!(block.contains("height 1"), "{block}");
    let (_, error) = ask(2, &["status"]);
    assert!(error.contains("no answer to `status`"), "{error}");
    let (_, error) = ask(1, &["block", "99999999"]);
    assert!(error.contains("the archive ends with height"), "{error}");

    // From the genesis on, with everything that clients were told.
    for (index, alone) in [(0, false), (3, false), (0, true)] {
        let listed = Archive::open(&archive).unwrap();
        let mut source = AuditedArchive::new(listed, &testbed.network.genesis);
        let mut trails: Vec<_> = told.iter().map(|outcome| outcome.trail()).collect();
        let visit = &mut |_: Height, transaction: PacketRun<'_>, outcome: Outcome| {
            if outcome == Outcome::Applied {
                for trail in &mut trails {
                    let _ = trail.applied(transaction);
                }
            }
        };
        let mut auditor = verify::auditor(testbed.network.genesis.clone()).unwrap();
        let data = members[index].data();
        let behind = (!alone).then_some(&*data);
        let report = auditor.audit_archive((&mut source, &archive), behind, &|_, _| {}, visit).unwrap();
        assert!(report.ok, "{:?}", report.finding);
        assert_eq!(report.audited_above, Height(0));
        assert!(alone || report.height.0 > goal, "{}", report.height);
        for trail in trails.into_iter().filter(|_| !alone) {
            assert!(trail.acknowledged > 0);
            assert_eq!((trail.missing(None), trail.duplicated), (0, 0));
        }
    }
    let data = members[2].data();
    let (audit, _) = expect(0, &["verify", data.to_str().unwrap(), "--archive", &to]);
    assert!(audit.contains("from the archive") && audit.contains("all of them whole"), "{audit}");
    assert!(!audit.contains("audited above"), "{audit}");
    let genesis = testbed.network.directory.join("genesis.toml");
    expect(0, &["verify", "--archive", &to, "--genesis", genesis.to_str().unwrap()]);
    // The files are all that it takes; one of them that was changed is named.
    let moved = testbed.path().join("moved");
    fs::create_dir(&moved).unwrap();
    let files = fs::read_dir(&archive).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|of| of == "archive")).collect();
    files.sort();
    for file in &files {
        fs::copy(file, moved.join(file.file_name().unwrap())).unwrap();
    }
    let moved_to = moved.to_str().unwrap();
    let verify = ["verify", "--archive", moved_to, "--genesis", genesis.to_str().unwrap()];
    expect(0, &verify);
    let changed = moved.join(files[0].file_name().unwrap());
    let mut bytes = fs::read(&changed).unwrap();
    bytes[300] ^= 1;
    fs::write(&changed, bytes).unwrap();
    let (audit, _) = expect(1, &verify);
    assert!(audit.contains("something is WRONG with 1") && audit.contains("damaged at byte"), "{audit}");
}
