//! An operator's bad days: what goes wrong while a network is made, started, stopped and moved, and what is said then.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use node::network::Network;
use serde_json::Value;

use crate::testbed::{Down, MILLRACE, expect, free_base_port, millrace};

/// Makes a network in a directory that is removed at the end.
fn init(directory: &Path, validators: &str) -> Network {
    let base = free_base_port();
    let dir = directory.to_str().unwrap();
    expect(
        0,
        &["network", "init", dir, "--validators", validators, "--accounts", "100", "--base-port", &base],
    );
    Network::load(directory).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&expect(0, &[arguments, &["--json"]].concat()).0).unwrap()
}

fn pid(network: &Network, member: usize) -> String {
    fs::read_to_string(network.members[member].pid_file()).unwrap().trim().to_owned()
}

fn signal(pid: &str, signal: &str) {
    assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
}

/// Whether a process lives; one that has ended and that nobody has asked for yet does not.
fn alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.starts_with(" Z"))
}

/// Runs a line of a shell in a directory, in which `millrace` is the binary under test.
fn shell(directory: &Path, line: &str) -> Output {
    let function = format!("millrace() {{ {MILLRACE} \"$@\"; }}; {line}");
    Command::new("bash").args(["-c", &function]).current_dir(directory).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_process_is_found_under_every_name_of_its_directory_and_without_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("net");
    let network = init(&place, "1");
    let dir = place.to_str().unwrap();
    let _down = Down(dir);
    std::os::unix::fs::symlink(&place, directory.path().join("link")).unwrap();
    for (up, down) in
        [("net", "./net"), ("./net", "$PWD/net"), ("$PWD/net", "link"), ("link", "../$OLDNAME/net")]
    {
        let name = directory.path().file_name().unwrap().to_str().unwrap();
        let down = down.replace("$OLDNAME", name);
        let output =
            shell(directory.path(), &format!("millrace network up {up} && millrace network down {down}"));
        let said = text(&output.stdout);
        assert!(
            output.status.success() && said.contains("stopped") && !said.contains("not running"),
            "{said}"
        );
    }

    expect(0, &["network", "up", dir]);
    let first = pid(&network, 0);
    let (out, _) = expect(0, &["network", "up", dir]);
    assert!(out.contains("was up already") && out.contains(&first), "{out}");
    // Its file is lost, or names a process of somebody else.
    for stale in ["", "1\n"] {
        fs::write(network.members[0].pid_file(), stale).unwrap();
        let up = json(&["network", "up", dir]);
        assert_eq!(up["validators"][0]["process"].to_string(), first, "{up}");
        assert_eq!(up["validators"][0]["was_running"], true);
        assert_eq!(pid(&network, 0), first, "its file is there again");
    }
    // Its data has another name beside the configuration.
    let data = place.join("validator-0/data");
    fs::rename(&data, place.join("validator-0/data.old")).unwrap();
    let up = json(&["network", "up", dir]);
    assert_eq!(up["validators"][0]["process"].to_string(), first, "{up}");
    fs::rename(place.join("validator-0/data.old"), &data).unwrap();
    // The whole directory is moved while it runs.
    let moved = directory.path().join("moved");
    fs::rename(&place, &moved).unwrap();
    fs::remove_file(moved.join("validator-0/node.pid")).unwrap();
    let (out, _) = expect(0, &["network", "down", moved.to_str().unwrap()]);
    assert!(out.contains(&format!("process {first} stopped")) && !alive(&first), "{out}");
}

#[test]
fn one_validator_is_stopped_and_started_alone() {
    let directory = tempfile::tempdir().unwrap();
    let network = init(directory.path(), "4");
    let dir = directory.path().to_str().unwrap();
    let _down = Down(dir);
    expect(0, &["network", "up", dir]);
    let others: Vec<String> = [0, 1, 3].map(|member| pid(&network, member)).to_vec();
    let (out, _) = expect(0, &["network", "down", dir, "--only", "2"]);
    assert!(out.contains("cedar") && out.matches("stopped").count() == 1, "{out}");
    assert!(others.iter().all(|pid| alive(pid)));
    let (out, _) = expect(0, &["network", "up", dir, "--only", "3"]);
    assert!(
        out.contains("1 validator of the network \"millrace\": up already") && !out.contains("load:"),
        "{out}"
    );
    let up = json(&["network", "up", dir, "--only", "2"]);
    assert_eq!(up["validators"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&up["validators"][0]["index"], &up["validators"][0]["was_running"]),
        (&2.into(), &false.into())
    );
    let down = json(&["network", "down", dir, "--only", "0,3"]);
    assert_eq!(down["validators"].as_array().unwrap().len(), 2);
    for command in ["up", "down"] {
        let (_, error) = expect(2, &["network", command, dir, "--only", "4"]);
        assert!(error.contains("there is no validator 4"), "{error}");
    }
}

#[test]
fn one_that_cannot_start_is_named_and_the_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let network = init(directory.path(), "4");
    let dir = directory.path().to_str().unwrap();
    let _down = Down(dir);
    let file = network.members[3].config_file();
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replacen("index = 3", "index = 9", 1)).unwrap();
    let (out, error) = expect(1, &["network", "up", dir]);
    assert!(out.contains("3 of 4 validators are up") && out.matches("clients").count() == 3, "{out}");
    assert!(error.contains("\"damson\" ended by itself") && error.contains("validator.index"), "{error}");
    assert!(error.contains(&format!("millrace network up {dir} --only 3")), "{error}");
    assert!([0, 1, 2].iter().all(|member| alive(&pid(&network, *member))));
    fs::write(&file, good).unwrap();
    let up = json(&["network", "up", dir]);
    let before: Vec<&Value> =
        up["validators"].as_array().unwrap().iter().map(|of| &of["was_running"]).collect();
    assert_eq!(before, [true, true, true, false]);
}

#[test]
fn one_that_does_not_answer_is_named_and_down_ends_it_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let network = init(directory.path(), "4");
    let dir = directory.path().to_str().unwrap();
    let _down = Down(dir);
    expect(0, &["network", "up", dir]);
    let stopped = pid(&network, 2);
    signal(&stopped, "-STOP");
    let (out, error) = expect(1, &["network", "up", dir, "--patience", "6"]);
    assert!(out.contains("3 of 4 validators are up") && out.contains("cedar"), "{out}");
    let words =
        format!("its process {stopped} was stopped by a signal; `kill -CONT {stopped}` lets it go on");
    assert!(error.contains("waiting for \"cedar\" (") && error.matches(&words).count() >= 2, "{error}");
    assert!(alive(&stopped), "it is left alone");
    let (out, _) = expect(0, &["network", "down", dir]);
    assert_eq!(out.matches("stopped").count(), 4, "also the one that would not have heard of it: {out}");
}

#[test]
fn too_few_are_told_from_a_network_that_works() {
    let directory = tempfile::tempdir().unwrap();
    let network = init(directory.path(), "4");
    let dir = directory.path().to_str().unwrap();
    let _down = Down(dir);
    for member in [1, 2] {
        fs::write(network.members[member].config_file(), "").unwrap();
    }
    let up = millrace(&["network", "up", dir, "--json"]);
    assert_eq!(up.status.code(), Some(1));
    let up: Value = serde_json::from_slice(&up.stdout).unwrap();
    assert_eq!(
        (&up["up"], &up["quorum"], &up["validators"][1]["up"]),
        (&false.into(), &3.into(), &false.into())
    );
    assert!(up["validators"][1]["problem"].as_str().unwrap().contains("validator.name"), "{up}");
    let (out, _) = expect(1, &["network", "up", dir]);
    assert!(out.contains("2 of 4 validators are up, and 3 make a quorum: nothing is committed"), "{out}");
}

#[test]
fn only_those_who_sign_for_clients_need_their_secret() {
    let directory = tempfile::tempdir().unwrap();
    init(directory.path(), "1");
    let dir = directory.path().to_str().unwrap();
    let _down = Down(dir);
    fs::remove_file(directory.path().join("customers.seed")).unwrap();
    expect(0, &["network", "up", dir]);
    expect(0, &["query", "--network", dir, "status"]);
    for arguments in [
        &["load", "--network", dir, "--seconds", "1"][..],
        &["transfer", "--network", dir, "--from", "1:1", "--to", "1:2", "--amount", "1"],
    ] {
        let (_, error) = expect(2, arguments);
        assert!(error.contains("customers.seed"), "{error}");
    }
    expect(0, &["network", "down", dir]);
}

#[test]
fn names_with_quotes_and_line_breaks_make_files_that_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("it's \"my\"\nnet; $HOME #1");
    let base = free_base_port();
    let dir = place.to_str().unwrap();
    let init = |name: &str| {
        millrace(&[
            "network",
            "init",
            dir,
            "--validators",
            "1",
            "--accounts",
            "20",
            "--base-port",
            &base,
            "--name",
            name,
        ])
    };
    for name in ["two\nlines", "\u{1b}[31mred", "a\u{0085}b"] {
        let output = init(name);
        assert_eq!(output.status.code(), Some(2), "{name:?}");
        assert!(text(&output.stderr).contains("control characters"), "{}", text(&output.stderr));
        assert!(!place.exists());
    }
    let name = "the \"mill\" \\ '''of''' # Jürgen = 1";
    let output = init(name);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let _down = Down(dir);
    // What is printed as a hint is run as it stands.
    let said = text(&output.stdout);
    let hint = said.split_once("start it:  ").unwrap().1;
    let up = shell(directory.path(), hint);
    assert!(up.status.success(), "{hint}: {}", text(&up.stderr));
    let said = text(&up.stdout);
    let (_, stop) = said.split_once("stop:   ").unwrap();
    assert_eq!(json(&["network", "up", dir])["network"], name);
    let down = shell(directory.path(), stop);
    assert!(text(&down.stdout).contains("stopped"), "{}", text(&down.stderr));
}

#[test]
fn a_full_stdout_and_a_reader_that_goes_end_a_command_in_order() {
    let directory = tempfile::tempdir().unwrap();
    init(&directory.path().join("net"), "1");
    for line in [
        "millrace network down net > /dev/full",
        "millrace network down net --json > /dev/full",
        "millrace verify net/validator-0 2>&1 > /dev/full",
        "millrace bench --validators 1 --accounts 100 --seconds 1 --warm-up 0 --rate 100 --ceiling 0 > /dev/full",
    ] {
        let output = shell(directory.path(), line);
        let (code, error) = (output.status.code(), text(&output.stderr) + &text(&output.stdout));
        assert!(matches!(code, Some(1 | 2)) && !error.contains("panicked"), "{line}: {code:?} {error}");
        assert!(error.contains("No space left on device") || code == Some(2), "{line}: {error}");
    }
    for line in ["millrace --help | head -1", "millrace network down net | head -1"] {
        let output = shell(directory.path(), line);
        assert!(output.status.success() && !text(&output.stderr).contains("panicked"), "{line}");
    }
    let output = shell(directory.path(), "millrace node --config /nowhere 2> /dev/full");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn loads_that_cannot_be_are_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("net");
    let dir = place.to_str().unwrap();
    let base = free_base_port();
    expect(0, &["network", "init", dir, "--validators", "1", "--accounts", "1", "--base-port", &base]);
    for rate in ["1e12", "-1", "NaN", "inf", "0.5"] {
        let (_, error) = expect(2, &["load", "--network", dir, &format!("--rate={rate}")]);
        assert!(error.contains("from 1 to 10000000"), "{rate}: {error}");
    }
    let _down = Down(dir);
    expect(0, &["network", "up", dir]);
    let (_, error) = expect(2, &["load", "--network", dir, "--seconds", "1"]);
    assert!(error.contains("account") && !error.contains("panicked"), "{error}");
}

/// A small disk of its own, taken away at the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None`, loudly, where this user may not make one.
    fn new(at: &'a Path, mib: u32) -> Option<Self> {
        let size = format!("size={mib}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "millrace-test"]).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        eprintln!("SKIPPED: this user may not mount a small disk, so nothing was tested on a full one");
        None
    }

    fn grow(&self, mib: u32) {
        let size = format!("remount,size={mib}m");
        assert!(Command::new("mount").args(["-o", &size]).arg(self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_disk_without_room_is_told_before_a_validator_is_up_and_one_with_little_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::new(directory.path(), 40) else { return };
    let place = directory.path().join("net");
    let network = init(&place, "1");
    let dir = place.to_str().unwrap();
    let _down = Down(dir);
    let (out, error) = expect(1, &["network", "up", dir]);
    assert!(out.contains("0 of 1 validators are up"), "{out}");
    assert!(error.contains("disk") && error.contains("full"), "{error}");
    assert!(error.contains("warning: only "), "{error}");
    disk.grow(300);
    let (out, error) = expect(0, &["network", "up", dir]);
    assert!(out.contains("is up: 1 validator"), "{out}");
    assert!(error.contains("warning: only ") && error.contains("MiB are free"), "{error}");
    let log = fs::read_to_string(network.members[0].log_file()).unwrap();
    assert!(log.contains("MiB are free on the disk of"), "{log}");
    expect(0, &["network", "down", dir]);
}

#[test]
fn a_directory_that_holds_other_things_may_take_a_network_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mine = directory.path().join("chains.toml");
    fs::write(&mine, "[[chain]]\nid = 5\naccounts = 20\n").unwrap();
    let base = free_base_port();
    let init = |dir: &Path| {
        let (dir, chains) = (dir.to_str().unwrap().to_owned(), mine.to_str().unwrap());
        millrace(&["network", "init", &dir, "--chains", chains, "--validators", "1", "--base-port", &base])
    };
    assert!(init(directory.path()).status.success());
    assert!(fs::read_to_string(&mine).unwrap().contains("id = 5"));
    // A link that leads nowhere is not written through.
    let other = tempfile::tempdir().unwrap();
    let target = other.path().join("elsewhere");
    let place = other.path().join("net");
    fs::create_dir(&place).unwrap();
    std::os::unix::fs::symlink(&target, place.join("genesis.toml")).unwrap();
    let refused = init(&place);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused.stderr).contains("not overwritten") && !target.exists(),
        "{}",
        text(&refused.stderr)
    );
}
