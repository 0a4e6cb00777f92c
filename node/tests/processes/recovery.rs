//! kill -9, as a power cut would: of one validator under load, and of all at once.

use crate::stage::{Stage, verdicts, wait};
use engine::types::Verdict;
use engine::wire::Query;
use loadgen::Start;
use loadgen::progress::Silent;
use node::network::{Member, Tie, ValidatorProcess};
use node::validator::counters::CountersReport;
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

/// Waits until the load, which signs and connects first, is executed.
fn until_executed(stage: &Stage) {
    let report = || stage.client(0).ask::<CountersReport>(Query::Counters).unwrap().value;
    wait("the load is executed", || report().totals["executed"] > 0);
}

#[test]
fn one_of_four_dies_under_load_and_comes_back() {
    let mut stage = Stage::up(4, 400);
    let plan = stage.plan(&[0, 1, 2], 300.0, 6, Start::Fresh);
    let moment = a_moment();
    let load = std::thread::spawn(move || loadgen::run(&plan, &mut Silent).unwrap());
    until_executed(&stage);
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
    until_executed(&stage);
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

/// How many power cuts `just crash-rounds` asks for.
const ROUNDS: &str = "MILLRACE_CRASH_ROUNDS";
/// Transactions a second: more than four validators on a test machine take.
const FULL_LOAD: f64 = 10_000.0;

#[test]
fn rounds_of_full_load_and_power_cuts_lose_nothing() {
    let rounds = std::env::var(ROUNDS).map_or(2, |rounds| rounds.parse().expect("a number of rounds"));
    let all = [0, 1, 2, 3];
    let mut stage = Stage::up(4, 4_000);
    let mut told = Vec::new();
    for round in 1..=rounds {
        let start = if told.is_empty() { Start::Fresh } else { Start::Resume };
        let plan = stage.plan(&all, FULL_LOAD, 10, start);
        let executed =
            || stage.client(0).ask::<CountersReport>(Query::Counters).unwrap().value.totals["executed"];
        let before = executed();
        let load = std::thread::spawn(move || loadgen::run(&plan, &mut Silent).unwrap());
        // Late enough that something is committed, in the middle of what comes then.
        wait("the load is executed", || executed() > before);
        let moment = a_moment();
        std::thread::sleep(moment);
        all.iter().for_each(|index| stage.kill(*index));
        let cut_off = load.join().unwrap();
        eprintln!("round {round}: killed after {moment:?}; {:?}", cut_off.tally());
        assert_eq!(cut_off.lost.len(), 4, "killed after {moment:?}");
        told.push(cut_off);

        all.iter().for_each(|index| stage.spawn(*index));
        stage.ready();
        let after = stage.load(&all, 200.0, 2, Start::Resume);
        assert!(after.tally().committed > 0, "killed after {moment:?}: {:?}", after.tally());
        told.push(after);
    }
    stage.settle();
    stage.all_alive();
    stage.stop_all();
    stage.audit(&told.iter().collect::<Vec<_>>());
}

#[test]
fn one_that_lost_its_data_rejoins_under_load_and_nothing_that_clients_were_told_is_false() {
    let mut stage = Stage::up(4, 400);
    let before = stage.load(&[3], 200.0, 2, Start::Fresh);
    stage.stop(3);
    let data = stage.network.members[3].data();
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    let plan = stage.plan(&[0, 1, 2], 200.0, 8, Start::Resume);
    let load = std::thread::spawn(move || loadgen::run(&plan, &mut Silent).unwrap());
    std::thread::sleep(Duration::from_secs(1));
    stage.spawn(3);
    let mut lost = false;
    wait("it knows its stream and votes again", || {
        let Ok(mut client) = stage.network.members[3].connect(&stage.network.genesis) else { return false };
        let status = client.status().unwrap().value;
        lost |= status.stream_lost || status.votes_forgotten;
        lost && !status.stream_lost && !status.votes_forgotten
    });
    let during = load.join().unwrap();
    assert!(during.tally().committed > 0 && during.tally().timed_out == 0, "{:?}", during.tally());

    // It takes part again: with another one gone, a quorum needs it.
    stage.wait_height(3, stage.height(0));
    stage.stop(0);
    let through = stage.load(&[3], 100.0, 2, Start::Resume);
    assert!(through.tally().committed > 0 && through.tally().timed_out == 0, "{:?}", through.tally());
    stage.spawn(0);
    stage.ready();
    stage.settle();

    // What it told before it lost everything, it and another one still prove.
    for index in [0, 3] {
        let mut client = stage.client(index);
        for packet in before.acknowledged().take(20).chain(through.acknowledged().take(20)) {
            let found =
                client.check(&packet.id(stage.network.genesis.network()), Verdict::Committed).unwrap();
            assert!(found.is_some());
        }
    }
    stage.stop_all();
    stage.audit(&[&before, &during, &through]);
}

#[test]
fn two_processes_with_one_identity_are_an_alarm_and_do_not_replace_each_other_endlessly() {
    let mut stage = Stage::up(4, 100);
    let spare = Stage::new(4, 100);
    // The keys of validator 0, copied by mistake: other ports, and a data directory of its own.
    let member = &stage.network.members[0];
    let text = fs::read_to_string(member.config_file()).unwrap();
    let other = fs::read_to_string(spare.network.members[0].config_file()).unwrap();
    let line =
        |text: &str, start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    let text = ["peers = ", "clients = "]
        .iter()
        .fold(text.clone(), |copy, field| copy.replacen(&line(&text, field), &line(&other, field), 1));
    let directory = stage.path().join("copy");
    fs::create_dir_all(directory.join("data")).unwrap();
    fs::write(directory.join("node.toml"), text).unwrap();
    for file in ["consensus.key", "tls.crt", "tls.key"] {
        fs::copy(member.directory.join(file), directory.join(file)).unwrap();
    }
    let copy = Member { directory, ..member.clone() };
    let mut copy = ValidatorProcess::spawn(Path::new(crate::stage::MILLRACE), &copy, Tie::Tied).unwrap();

    let counted = |index: usize, name: &str| {
        let report = stage.client(index).ask::<CountersReport>(Query::Counters).unwrap().value;
        report.bytes[name]
    };
    wait("the alarm is counted", || (1..4).all(|index| counted(index, "duplicate_identities") > 0));
    let before: Vec<u64> = (1..4).map(|index| counted(index, "peer_connected")).collect();
    std::thread::sleep(Duration::from_secs(5));
    for (index, before) in (1..4).zip(before) {
        let since = counted(index, "peer_connected") - before;
        assert!(since <= 3, "validator {index}: {since} connections in 5 s");
    }
    let mut client = stage.client(1);
    assert_eq!(verdicts(&mut client, &[stage.transfer(5, 0)]), [Verdict::Committed], "the others go on");

    copy.kill();
    wait("the right one is connected everywhere", || {
        stage.client(0).status().unwrap().value.peers.len() == 3
    });
    stage.settle();
    stage.all_alive();
    stage.stop_all();
    stage.audit(&[]);
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
