//! kill -9, as a power cut would: of one validator under load, and of all at once.

use crate::stage::{Stage, verdicts, wait};
use engine::types::Verdict;
use loadgen::Start;
use loadgen::progress::Silent;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Milliseconds after the start of the load; another one in each run.
fn a_moment() -> Duration {
    let mut random = [0; 2];
    getrandom::fill(&mut random).unwrap();
    Duration::from_millis(500 + u64::from(u16::from_le_bytes(random)) % 2_500)
}

#[test]
fn one_of_four_dies_under_load_and_comes_back() {
    let mut stage = Stage::up(4, 400);
    let plan = stage.plan(&[0, 1, 2], 300.0, 6, Start::Fresh);
    let moment = a_moment();
    let load = std::thread::spawn(move || loadgen::run(&plan, &mut Silent).unwrap());
    std::thread::sleep(moment);
    stage.kill(3);
    let killed_at = stage.height(0);
    std::thread::sleep(Duration::from_secs(1));
    stage.spawn(3);
    let outcome = load.join().unwrap();
    assert_eq!(outcome.lost, [], "killed after {moment:?}");
    assert_eq!(outcome.tally().timed_out, 0, "killed after {moment:?}");
    assert!(outcome.tally().committed > 0);

    stage.ready();
    let goal = stage.height(0);
    assert!(goal > killed_at, "the others went on");
    stage.wait_height(3, goal);

    // It takes part again: with another one gone, a quorum needs it.
    stage.kill(0);
    let through = stage.load(&[3], 100.0, 2, Start::Resume);
    assert!(through.tally().committed > 0 && through.tally().timed_out == 0, "{:?}", through.tally());
    stage.spawn(0);
    stage.ready();
    stage.settle();
    stage.stop_all();
    stage.audit(&[&outcome, &through]);
}

#[test]
fn all_four_die_at_once_and_nothing_acknowledged_is_missing() {
    let mut stage = Stage::up(4, 400);
    let plan = stage.plan(&[0, 1, 2, 3], 400.0, 5, Start::Fresh);
    let moment = a_moment();
    let load = std::thread::spawn(move || loadgen::run(&plan, &mut Silent).unwrap());
    std::thread::sleep(moment);
    (0..4).for_each(|index| stage.kill(index));
    let outcome = load.join().unwrap();
    assert_eq!(outcome.lost.len(), 4, "killed after {moment:?}");

    (0..4).for_each(|index| stage.spawn(index));
    stage.ready();
    // The network lives: new transfers are committed.
    let mut client = stage.client(1);
    let packet = stage.transfer(1, 60);
    assert_eq!(verdicts(&mut client, &[packet]), [Verdict::Committed], "killed after {moment:?}");
    stage.settle();
    stage.stop_all();
    stage.audit(&[&outcome]);
}

#[test]
fn a_validator_that_was_away_for_long_catches_up_by_blocks() {
    let mut stage = Stage::up(4, 400);
    stage.stop(2);
    let outcome = stage.load(&[0, 1, 3], 300.0, 5, Start::Fresh);
    let goal = stage.height(0);
    stage.spawn(2);
    stage.ready();
    stage.wait_height(2, goal);
    stage.stop_all();
    stage.audit(&[&outcome]);
}

#[test]
fn a_network_of_one_recovers_too() {
    let mut stage = Stage::up(1, 100);
    let outcome = stage.load(&[0], 200.0, 2, Start::Fresh);
    stage.kill(0);
    stage.spawn(0);
    stage.ready();
    let again = stage.load(&[0], 200.0, 1, Start::Resume);
    wait("a height", || stage.height(0) > 0);
    stage.stop_all();
    stage.audit(&[&outcome, &again]);
}

/// A small file system of its own, unmounted when the test ends.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount.
    fn mount(path: &Path, mib: u64) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let size = format!("size={mib}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
        mount.is_ok_and(|mount| mount.status.success()).then(|| Self(path.to_owned()))
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_one_validator_with_words_and_the_others_go_on() {
    let mut stage = Stage::new(4, 400);
    let member = &stage.network.members[3];
    let Some(disk) = SmallDisk::mount(&member.data(), 64) else {
        eprintln!("skipped: this user may not mount a small file system");
        return;
    };
    let (file, log) = (member.config_file(), member.log_file());
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[storage]\n", "[storage]\nsegment_mib = 4\n")).unwrap();
    (0..4).for_each(|index| stage.spawn(index));
    stage.ready();
    disk.fill();
    let mut told = vec![stage.load(&[0, 1, 2], 1_000.0, 2, Start::Fresh)];
    while stage.processes[3].as_mut().unwrap().check().is_ok() {
        told.push(stage.load(&[0, 1, 2], 1_000.0, 2, Start::Resume));
        assert!(told.len() < 60, "the disk of {} should be full by now", log.display());
    }
    let words = fs::read_to_string(&log).unwrap();
    assert!(words.contains("the disk is full"), "{words}");
    assert!(told.iter().all(|outcome| outcome.lost.is_empty() && outcome.tally().timed_out == 0));

    // With room again it comes back, catches up, and everything holds.
    fs::remove_file(disk.0.join("filler")).unwrap();
    stage.spawn(3);
    stage.ready();
    stage.wait_height(3, stage.height(0));
    stage.stop_all();
    stage.audit(&told.iter().collect::<Vec<_>>());
}
