//! kill -9, as a power cut would: of one validator under load, and of all at once.

use crate::testbed::{Testbed, expect, verdicts, wait};
use engine::types::{Height, ValidatorIndex, Verdict};
use engine::wire::Query;
use engine::wire::answers::AlarmKind;
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
pub fn until_executed(testbed: &Testbed) {
    let report = || testbed.client(0).ask::<CountersReport>(Query::Counters).unwrap().value;
    wait("the load is executed", || report().totals["executed"] > 0);
}

#[test]
fn one_of_four_dies_under_load_and_comes_back() {
    let mut testbed = Testbed::up(4, 400);
    let plan = testbed.plan(&[0, 1, 2], 300.0, 6, Start::Fresh);
    let moment = a_moment();
    let load = std::thread::spawn(move || loadgen::run(&plan, &mut Silent).unwrap());
    until_executed(&testbed);
    std::thread::sleep(moment);
    testbed.kill(3);
    let killed_at = testbed.height(0);
    std::thread::sleep(Duration::from_secs(1));
    testbed.spawn(3);
    let outcome = load.join().unwrap();
    assert_eq!(outcome.lost, [], "killed after {moment:?}");
    assert_eq!(outcome.tally().timed_out, 0, "killed after {moment:?}");
    assert!(outcome.tally().applied() > 0);

    testbed.ready();
    let goal = testbed.height(0);
    assert!(goal > killed_at, "the others went on");
    testbed.wait_height(3, goal);

    // It takes part again: with another one gone, a quorum needs it.
    testbed.kill(0);
    let through = testbed.load_in_need_of(3);
    testbed.spawn(0);
    testbed.ready();
    testbed.settle();
    testbed.stop_all();
    testbed.audit(&[&outcome, &through]);
}

#[test]
fn all_four_die_at_once_and_nothing_acknowledged_is_missing() {
    let mut testbed = Testbed::up(4, 400);
    let plan = testbed.plan(&[0, 1, 2, 3], 400.0, 5, Start::Fresh);
    let moment = a_moment();
    let load = std::thread::spawn(move || loadgen::run(&plan, &mut Silent).unwrap());
    until_executed(&testbed);
    std::thread::sleep(moment);
    (0..4).for_each(|index| testbed.kill(index));
    let outcome = load.join().unwrap();
    assert_eq!(outcome.lost.len(), 4, "killed after {moment:?}");

    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    // The network lives: new transfers are committed.
    let mut client = testbed.client(1);
    let packet = testbed.transfer(1, 60);
    assert_eq!(verdicts(&mut client, &[packet]), [Verdict::Committed], "killed after {moment:?}");
    testbed.settle();
    testbed.stop_all();
    testbed.audit(&[&outcome]);
}

/// A network whose validators write a checkpoint after so many KiB of transactions. They do not run yet.
pub fn with_checkpoints(accounts: u64, kib: u64) -> Testbed {
    let testbed = Testbed::new(4, accounts);
    testbed.network.members.iter().for_each(|member| store(member, &format!("checkpoint_every_kib = {kib}")));
    testbed
}

/// Adds lines to the section on storage of a validator's configuration.
pub fn store(member: &Member, lines: &str) {
    let file = member.config_file();
    let config = fs::read_to_string(&file).unwrap();
    assert!(config.contains("\n[storage]\n"), "{config}");
    fs::write(&file, config.replacen("\n[storage]\n", &format!("\n[storage]\n{lines}\n"), 1)).unwrap();
}

/// The checkpoints of a validator, oldest first.
pub fn checkpoints(member: &Member) -> Vec<PathBuf> {
    let files = fs::read_dir(member.data().join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|of| of == "checkpoint")).collect();
    files.sort();
    files
}

/// What a validator said from its last start on.
fn said(member: &Member) -> String {
    let log = fs::read_to_string(member.log_file()).unwrap();
    let last = log.rfind("recovered").expect("it has started");
    let before = log[..last].rfind("peer connected").unwrap_or(0);
    log[before..].to_owned()
}

#[test]
fn a_start_goes_on_from_a_checkpoint_and_needs_none() {
    let mut testbed = with_checkpoints(400, 16);
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    let all = [0, 1, 2, 3];
    let members = testbed.network.members.clone();
    let mut told = vec![testbed.load(&all, 300.0, 3, Start::Fresh)];
    // One that is due while another is written is left out, so a slow disk needs more load.
    while !members.iter().all(|member| checkpoints(member).len() == 2) {
        told.push(testbed.load(&all, 300.0, 1, Start::Resume));
    }
    testbed.settle();
    let height = testbed.height(0);
    (0..4).for_each(|index| testbed.kill(index));

    // The newest is damaged; the older one does. Both are damaged; the journal does. There are none. One is whole.
    let damage = |file: &Path| {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
    };
    checkpoints(&members[1]).last().into_iter().for_each(|newest| damage(newest));
    checkpoints(&members[2]).iter().for_each(|file| damage(file));
    fs::remove_dir_all(members[3].data().join("checkpoints")).unwrap();
    fs::write(members[0].data().join("checkpoints/checkpoint.new"), "half").unwrap();
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    for (member, (resumed, refused)) in members.iter().zip([(true, 0), (true, 1), (false, 2), (false, 0)]) {
        let said = said(member);
        assert_eq!(said.contains("continuing from a checkpoint"), resumed, "{said}");
        assert_eq!(said.matches("cannot be used: it cannot be read: chunk").count(), refused, "{said}");
    }
    (0..4).for_each(|index| testbed.wait_height(index, height));
    assert!(!members[0].data().join("checkpoints/checkpoint.new").exists());
    // Blocks below the checkpoint are still answered for.
    assert_eq!(testbed.client(0).block(Height(1)).unwrap().value.block.height().0, 1);
    told.push(testbed.load(&all, 300.0, 1, Start::Resume));
    while checkpoints(&members[3]).is_empty() {
        told.push(testbed.load(&all, 300.0, 1, Start::Resume));
    }
    testbed.settle();
    // A journal that is lost leaves checkpoints behind that are not its own.
    testbed.kill(3);
    fs::remove_dir_all(members[3].data().join("journal")).unwrap();
    testbed.spawn(3);
    testbed.ready();
    let lost = said(&members[3]);
    assert!(
        lost.contains("the journal does not continue it") && lost.contains("were lost or put back"),
        "{lost}"
    );
    // It may be the journal that is the wrong one, so none of them is deleted.
    let aside = fs::read_dir(members[3].data().join("checkpoints")).unwrap();
    let aside =
        aside.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|of| of == "unfit"));
    assert!(aside.count() > 0);
    let goal = testbed.height(0);
    testbed.wait_height(3, goal);
    testbed.settle();
    testbed.stop_all();
    testbed.audit(&told.iter().collect::<Vec<_>>());
}

/// The logs of another validator, and one in the place of the other, are named; nothing of them is changed.
#[test]
fn a_log_in_the_place_of_another_one_is_refused() {
    let mut testbed = Testbed::up(2, 100);
    testbed.load(&[0, 1], 100.0, 1, Start::Fresh);
    testbed.stop_all();
    let [mine, other] = [0, 1].map(|index: usize| testbed.network.members[index].data());
    let start = |said: &str| {
        let config = testbed.network.members[0].config_file();
        let (_, error) = expect(2, &["node", "--config", config.to_str().unwrap()]);
        assert!(error.contains(said), "{error}");
    };
    let swapped = |one: &Path, two: &Path, said: &str| {
        let aside = mine.join("aside");
        for (from, to) in [(one, &*aside), (two, one), (&*aside, two)] {
            fs::rename(from, to).unwrap();
        }
        start(said);
        for (from, to) in [(two, &*aside), (one, two), (&*aside, one)] {
            fs::rename(from, to).unwrap();
        }
    };
    swapped(&mine.join("journal"), &other.join("journal"), "holds the journal of another validator");
    swapped(&mine.join("consensus"), &other.join("consensus"), "holds the vote log of another validator");
    let (journal, votes) = (mine.join("journal"), mine.join("consensus"));
    swapped(&journal, &votes, "holds the vote log of a validator, where its journal belongs");
    (0..2).for_each(|index| testbed.spawn(index));
    testbed.ready();
}

/// Three of four prune their journals: they take no more room, go on after a crash, and say what they do not keep. One
/// that has lost everything learns it from the one that keeps all.
#[test]
fn a_journal_that_is_pruned_has_what_is_needed() {
    let mut testbed = with_checkpoints(400, 16);
    let members = testbed.network.members.clone();
    members.iter().for_each(|member| store(member, "segment_mib = 4"));
    members[..3].iter().for_each(|member| store(member, "keep_heights = 1100"));
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    let all = [0, 1, 2, 3];
    let first_segment = |member: &Member| member.data().join("journal/0000000000000000.segment");
    let kept_from = |testbed: &Testbed, index: usize| testbed.client(index).status().unwrap().value.kept_from;
    let mut told = vec![testbed.load(&all, 1_000.0, 3, Start::Fresh)];
    while kept_from(&testbed, 1).0 == 1 {
        told.push(testbed.load(&all, 1_000.0, 3, Start::Resume));
    }
    // It may have released a part of its first segment only, and its newest checkpoint may be older than that.
    testbed.kill(1);
    testbed.spawn(1);
    testbed.ready();
    assert!(kept_from(&testbed, 1).0 > 1, "it knows again what it does not have");
    while members[..3].iter().any(|member| first_segment(member).exists()) {
        told.push(testbed.load(&all, 1_000.0, 3, Start::Resume));
    }
    testbed.settle();
    assert_eq!(kept_from(&testbed, 3).0, 1);
    for index in 0..3 {
        let (first, committed) = (kept_from(&testbed, index), testbed.height(index));
        assert!(first.0 > 1 && first.0 + 1_000 < committed, "{first} of {committed}");
        let below = testbed.client(index).block(Height(first.0 - 2)).unwrap_err();
        assert!(matches!(below, client::ClientError::BelowRetention { .. }), "{below}");
        assert!(below.to_string().contains("is below what this validator keeps"), "{below}");
        assert_eq!(testbed.client(index).block(first).unwrap().value.block.height(), first);
        assert!(testbed.client(3).block(Height(1)).is_ok());
    }
    let network = testbed.network.directory.display().to_string();
    let ask = |code, words: &str| {
        expect(code, &[&["query", "--network", &*network], &*words.split(' ').collect::<Vec<_>>()].concat())
    };
    let (block, _) = ask(0, "block 1");
    assert!(block.contains("height 1"), "the last of the four keeps it: {block}");
    let (_, error) = ask(1, "--validator 0 block 1");
    assert!(error.contains("is below what this validator keeps"), "{error}");
    let (whole, told_of) = ask(0, "history 1 7");
    assert!(whole.lines().count() > 1 && !told_of.contains("beginning there"), "{told_of}");
    let first = kept_from(&testbed, 0);
    let (_, told_of) = ask(0, "--validator 0 history 1 7");
    assert!(told_of.contains(&format!("beginning there, as with --from {first}.0")), "{told_of}");
    let (_, error) = ask(1, "--validator 0 history 1 7 --from 2.0");
    assert!(error.contains("is below what this validator keeps"), "{error}");
    let height = testbed.height(0);
    // Another one loses everything while it runs. It does not go on with files that nobody would find.
    fs::rename(members[2].data(), members[2].directory.join("taken")).unwrap();
    let mut robbed = testbed.processes[2].take().unwrap();
    wait("it stops by itself", || robbed.check().is_err());
    let log = fs::read_to_string(members[2].log_file()).unwrap();
    assert!(log.contains("was deleted, renamed or replaced") && !log.contains("is complete"), "{log}");
    [0, 1, 3].into_iter().for_each(|index| testbed.kill(index));
    // One without checkpoints says that it cannot go on; with them it does.
    let (files, aside) = (members[0].data().join("checkpoints"), members[0].data().join("aside"));
    fs::rename(&files, &aside).unwrap();
    let (_, error) = expect(1, &["node", "--config", members[0].config_file().to_str().unwrap()]);
    assert!(error.contains("was pruned, and no checkpoint"), "{error}");
    fs::remove_dir_all(&files).unwrap();
    fs::rename(&aside, &files).unwrap();
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    (0..4).for_each(|index| testbed.wait_height(index, height));
    assert!(kept_from(&testbed, 0).0 > 1 && kept_from(&testbed, 1).0 > 1);
    told.push(testbed.load(&all, 300.0, 2, Start::Resume));
    testbed.settle();
    testbed.stop_all();
    let from = testbed.audit(&told.iter().collect::<Vec<_>>());
    assert!(from[3].0 == 0 && from[0].0 > 0 && from[1].0 > 0, "{from:?}");
    // The audit names the checkpoints. Where none can be used, it says from where on the journal is kept.
    let data = members[1].data();
    let (audit, _) = expect(0, &["verify", data.to_str().unwrap()]);
    let lines =
        audit.lines().filter(|line| line.contains("checkpoint of height") && line.ends_with(" whole"));
    assert!(lines.count() >= 2, "{audit}");
    checkpoints(&members[1]).iter().for_each(|file| fs::write(file, "no checkpoint").unwrap());
    let (audit, _) = expect(1, &["verify", data.to_str().unwrap()]);
    assert!(audit.contains("cannot be used") && audit.contains("no block"), "{audit}");
    assert!(audit.contains("blocks are kept") && !audit.contains("committed height"), "{audit}");
}

/// How many power cuts `just crash-rounds` asks for.
const ROUNDS: &str = "MILLRACE_CRASH_ROUNDS";
/// Transactions a second: more than four validators on a test machine take.
pub const FULL_LOAD: f64 = 10_000.0;

#[test]
fn rounds_of_full_load_and_power_cuts_lose_nothing() {
    let rounds = std::env::var(ROUNDS).map_or(2, |rounds| rounds.parse().expect("a number of rounds"));
    let all = [0, 1, 2, 3];
    let mut testbed = with_checkpoints(4_000, 1_024);
    all.iter().for_each(|index| testbed.spawn(*index));
    testbed.ready();
    let mut told = Vec::new();
    for round in 1..=rounds {
        let start = if told.is_empty() { Start::Fresh } else { Start::Resume };
        let plan = testbed.plan(&all, FULL_LOAD, 10, start);
        let executed =
            || testbed.client(0).ask::<CountersReport>(Query::Counters).unwrap().value.totals["executed"];
        let before = executed();
        let load = std::thread::spawn(move || loadgen::run(&plan, &mut Silent).unwrap());
        // Late enough that something is committed, in the middle of what comes then.
        wait("the load is executed", || executed() > before);
        let moment = a_moment();
        std::thread::sleep(moment);
        all.iter().for_each(|index| testbed.kill(*index));
        let cut_off = load.join().unwrap();
        eprintln!("round {round}: killed after {moment:?}; {:?}", cut_off.tally());
        assert_eq!(cut_off.lost.len(), 4, "killed after {moment:?}");
        told.push(cut_off);

        all.iter().for_each(|index| testbed.spawn(*index));
        testbed.ready();
        let after = testbed.load(&all, 200.0, 2, Start::Resume);
        assert!(after.tally().applied() > 0, "killed after {moment:?}: {:?}", after.tally());
        told.push(after);
    }
    testbed.settle();
    testbed.all_alive();
    testbed.stop_all();
    testbed.audit(&told.iter().collect::<Vec<_>>());
}

#[test]
fn one_that_lost_its_data_rejoins_under_load_and_nothing_that_clients_were_told_is_false() {
    let mut testbed = Testbed::up(4, 400);
    let before = testbed.load(&[3], 200.0, 2, Start::Fresh);
    testbed.stop(3);
    let data = testbed.network.members[3].data();
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    let plan = testbed.plan(&[0, 1, 2], 200.0, 8, Start::Resume);
    let load = std::thread::spawn(move || loadgen::run(&plan, &mut Silent).unwrap());
    std::thread::sleep(Duration::from_secs(1));
    testbed.spawn(3);
    let mut lost = false;
    wait("it knows its stream and votes again", || {
        let Ok(mut client) = testbed.network.members[3].connect(&testbed.network.genesis) else {
            return false;
        };
        let status = client.status().unwrap().value;
        lost |= status.stream_lost || status.votes_forgotten;
        lost && !status.stream_lost && !status.votes_forgotten
    });
    let during = load.join().unwrap();
    assert!(during.tally().applied() > 0 && during.tally().timed_out == 0, "{:?}", during.tally());

    // It takes part again: with another one gone, a quorum needs it.
    testbed.wait_height(3, testbed.height(0));
    testbed.stop(0);
    let through = testbed.load_in_need_of(3);
    testbed.spawn(0);
    testbed.ready();
    testbed.settle();

    // What it told before it lost everything, it and another one still prove.
    for index in [0, 3] {
        let mut client = testbed.client(index);
        for packet in before.acknowledged().take(20).chain(through.acknowledged().take(20)) {
            let found =
                client.check(&packet.id(testbed.network.genesis.network()), Verdict::Committed).unwrap();
            assert!(found.is_some());
        }
    }
    testbed.stop_all();
    testbed.audit(&[&before, &during, &through]);
}

/// The keys of a validator, copied by mistake: a process on other ports, with a data directory of its own.
fn copied(testbed: &Testbed, index: usize, prepare: impl FnOnce(&Path)) -> ValidatorProcess {
    let spare = Testbed::new(4, 100);
    let member = &testbed.network.members[index];
    let text = fs::read_to_string(member.config_file()).unwrap();
    let other = fs::read_to_string(spare.network.members[index].config_file()).unwrap();
    let line =
        |text: &str, start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    let text = ["peers = ", "clients = "]
        .iter()
        .fold(text.clone(), |copy, field| copy.replacen(&line(&text, field), &line(&other, field), 1));
    let directory = testbed.path().join("copy");
    fs::create_dir_all(directory.join("data")).unwrap();
    fs::write(directory.join("node.toml"), text).unwrap();
    for file in ["consensus.key", "tls.crt", "tls.key"] {
        fs::copy(member.directory.join(file), directory.join(file)).unwrap();
    }
    prepare(&directory);
    let copy = Member { directory, ..member.clone() };
    ValidatorProcess::spawn(Path::new(crate::testbed::MILLRACE), &copy, Tie::Tied).unwrap()
}

/// The same machine once more, with all that it remembers: it votes as well.
#[test]
fn a_clone_of_a_machine_is_an_alarm_that_names_it_and_the_others_go_on() {
    let mut testbed = Testbed::up(4, 100);
    let told = testbed.load(&[0, 1, 2, 3], 200.0, 2, Start::Fresh);
    // The copy calls those that the right one calls. Who would call it knows only the address of the right one.
    let caller = testbed.caller();
    let others: Vec<usize> = (0..4).filter(|index| *index != caller).collect();
    let data = testbed.network.members[caller].data();
    let mut copy = copied(&testbed, caller, |directory| {
        let copied = Command::new("cp").arg("-r").arg(&data).arg(directory).status().unwrap();
        assert!(copied.success());
    });
    let load = testbed.plan(&others, 200.0, 12, Start::Resume);
    let load = std::thread::spawn(move || loadgen::run(&load, &mut Silent).unwrap());
    let alarms = |index: usize| {
        let report = testbed.client(index).ask::<CountersReport>(Query::Counters).unwrap().value;
        report.bytes["duplicate_identities"] + report.totals["faults"]
    };
    wait("it is counted", || others.iter().all(|index| alarms(*index) > 0));
    let outcome = load.join().unwrap();
    assert_eq!((&outcome.lost[..], outcome.tally().timed_out), (&[][..], 0), "{:?}", outcome.tally());
    let named = ["the identity of validator ", "validator=", "author=", "peer="];
    let named = named.map(|start| format!("{start}{caller}"));
    for index in &others {
        let log = fs::read_to_string(testbed.network.members[*index].log_file()).unwrap();
        let is_alarm = |line: &&str| line.contains(" WARN ") && named.iter().any(|name| line.contains(name));
        let lines: Vec<&str> = log.lines().filter(is_alarm).collect();
        assert!((1..=4).contains(&lines.len()), "validator {index}: {lines:#?}");
    }
    // The right one finds the others again and has everything.
    copy.kill();
    testbed.settle();
    testbed.all_alive();
    testbed.stop_all();
    testbed.audit(&[&told, &outcome]);
}

#[test]
fn two_processes_with_one_identity_are_an_alarm_and_do_not_replace_each_other_endlessly() {
    let mut testbed = Testbed::up(4, 100);
    let caller = testbed.caller();
    let others: Vec<usize> = (0..4).filter(|index| *index != caller).collect();
    let mut copy = copied(&testbed, caller, |_| {});

    let counted = |index: usize, name: &str| {
        let report = testbed.client(index).ask::<CountersReport>(Query::Counters).unwrap().value;
        report.bytes[name]
    };
    wait("the alarm is counted", || others.iter().all(|index| counted(*index, "duplicate_identities") > 0));
    let alarm = (AlarmKind::ClonedIdentity, Some(ValidatorIndex(caller as u16)));
    wait("the alarm names the validator", || {
        let alarms = testbed.client(others[0]).status().unwrap().value.alarms;
        alarms.iter().any(|of| (of.alarm, of.about) == alarm)
    });
    let before: Vec<u64> = others.iter().map(|index| counted(*index, "peer_connected")).collect();
    std::thread::sleep(Duration::from_secs(5));
    for (index, before) in others.iter().zip(before) {
        let since = counted(*index, "peer_connected") - before;
        assert!(since <= 3, "validator {index}: {since} connections in 5 s");
    }
    let mut client = testbed.client(others[0]);
    assert_eq!(verdicts(&mut client, &[testbed.transfer(5, 0)]), [Verdict::Committed], "the others go on");

    copy.kill();
    wait("the right one is connected everywhere", || {
        testbed.client(caller).status().unwrap().value.peers.len() == 3
    });
    testbed.settle();
    testbed.all_alive();
    testbed.stop_all();
    testbed.audit(&[]);
}

#[test]
fn a_validator_that_was_away_for_long_catches_up_by_blocks() {
    let mut testbed = Testbed::up(4, 400);
    testbed.stop(2);
    let outcome = testbed.load(&[0, 1, 3], 300.0, 5, Start::Fresh);
    let goal = testbed.height(0);
    testbed.spawn(2);
    testbed.ready();
    testbed.wait_height(2, goal);
    testbed.stop_all();
    testbed.audit(&[&outcome]);
}

#[test]
fn a_network_of_one_recovers_too() {
    let mut testbed = Testbed::up(1, 100);
    let outcome = testbed.load(&[0], 200.0, 2, Start::Fresh);
    testbed.kill(0);
    testbed.spawn(0);
    testbed.ready();
    let again = testbed.load(&[0], 200.0, 1, Start::Resume);
    wait("a height", || testbed.height(0) > 0);
    testbed.stop_all();
    testbed.audit(&[&outcome, &again]);
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
    let mut testbed = Testbed::new(4, 400);
    let member = &testbed.network.members[3];
    let Some(disk) = SmallDisk::mount(&member.data(), 64) else {
        eprintln!("skipped: this user may not mount a small file system");
        return;
    };
    let (file, log) = (member.config_file(), member.log_file());
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[storage]\n", "[storage]\nsegment_mib = 4\n")).unwrap();
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    disk.fill();
    let mut told = vec![testbed.load(&[0, 1, 2], 1_000.0, 2, Start::Fresh)];
    while testbed.processes[3].as_mut().unwrap().check().is_ok() {
        told.push(testbed.load(&[0, 1, 2], 1_000.0, 2, Start::Resume));
        assert!(told.len() < 60, "the disk of {} should be full by now", log.display());
    }
    let words = fs::read_to_string(&log).unwrap();
    assert!(words.contains("the disk is full"), "{words}");
    assert!(told.iter().all(|outcome| outcome.lost.is_empty() && outcome.tally().timed_out == 0));

    // With room again it comes back, catches up, and everything holds.
    fs::remove_file(disk.0.join("filler")).unwrap();
    testbed.spawn(3);
    testbed.ready();
    testbed.wait_height(3, testbed.height(0));
    testbed.stop_all();
    testbed.audit(&told.iter().collect::<Vec<_>>());
}
