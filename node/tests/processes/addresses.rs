//! Addresses as operators have them: host names, IPv6, several interfaces, and what one can only listen on.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use node::network::Network;

use crate::testbed::{Down, Testbed, expect, free_base_port, wait};

/// Makes a network of four in a directory.
fn init(dir: &str, arguments: &[&str]) {
    let base = free_base_port();
    let all = ["network", "init", dir, "--accounts", "100", "--base-port", &base];
    expect(0, &[&all, arguments].concat());
}

/// Starts it, drives load at it, asks it and stops it.
fn works(dir: &str) {
    let (out, _) = expect(0, &["network", "up", dir]);
    assert!(out.contains("is up: 4 validators"), "{out}");
    let (out, _) =
        expect(0, &["load", "--network", dir, "--rate", "300", "--seconds", "2", "--warm-up", "1"]);
    assert!(out.contains("committed") && !out.contains("refused") && !out.contains("went away"), "{out}");
    expect(0, &["query", "--network", dir, "--validator", "3", "status"]);
}

/// Whether this machine has IPv6; says so loudly where it has not.
fn has_ipv6() -> bool {
    let has = UdpSocket::bind("[::1]:0").is_ok();
    if !has {
        eprintln!("SKIPPED: this machine has no IPv6, so nothing of it was tested");
    }
    has
}

#[test]
fn a_network_of_ipv6_alone_works() {
    if !has_ipv6() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().to_str().unwrap();
    init(dir, &["--host", "::1"]);
    let _down = Down(dir);
    works(dir);
    let network = Network::load(directory.path()).unwrap();
    for member in &network.members {
        let text = fs::read_to_string(member.config_file()).unwrap();
        assert!(!text.contains("127.0.0.1") && text.contains("peers = \"[::1]:"), "{text}");
        assert!(member.clients.to_string().starts_with("[::1]:"), "{}", member.clients);
    }
}

#[test]
fn a_name_leads_to_several_addresses_and_one_of_them_answers() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().to_str().unwrap();
    // On most machines the name leads to ::1 first, where nobody listens.
    init(dir, &["--host", "localhost", "--listen", "127.0.0.1"]);
    let _down = Down(dir);
    works(dir);
    let network = Network::load(directory.path()).unwrap();
    let member = &network.members[1];
    let (fingerprint, id) = (member.fingerprint.to_string(), network.genesis.network().to_string());
    let endpoint = member.clients.to_string();
    assert!(endpoint.starts_with("localhost:"), "{endpoint}");
    let whom =
        ["query", "--endpoint", &endpoint, "--fingerprint", &fingerprint, "--network-id", &id, "status"];
    expect(0, &whom);
    let nowhere = endpoint.replace("localhost", "nowhere.invalid");
    let whom =
        ["query", "--endpoint", &nowhere, "--fingerprint", &fingerprint, "--network-id", &id, "status"];
    let (_, error) = expect(1, &whom);
    assert!(error.contains("nowhere.invalid"), "{error}");
}

#[test]
fn a_validator_listens_on_several_interfaces_and_on_all() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().to_str().unwrap();
    init(dir, &["--host", "127.0.0.2,127.0.0.3,127.0.0.2,127.0.0.3", "--listen", "127.0.0.2,127.0.0.3"]);
    let network = Network::load(directory.path()).unwrap();
    // One of them listens on everything that the machine has.
    let file = network.members[2].config_file();
    let text = fs::read_to_string(&file).unwrap();
    let all = if has_ipv6() { "\"0.0.0.0:$1\", \"[::]:$1\"" } else { "\"0.0.0.0:$1\"" };
    let lines = text.lines().map(|line| match line.split_once(" = [\"127.0.0.2:") {
        Some((field, rest)) => format!("{field} = [{}]", all.replace("$1", rest.split_once('"').unwrap().0)),
        None => line.to_owned(),
    });
    let changed = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(changed.matches("0.0.0.0:").count(), 2, "{changed}");
    fs::write(&file, changed).unwrap();
    let _down = Down(dir);
    works(dir);
    let id = network.genesis.network().to_string();
    let ask = |member: usize, host: &str| {
        let member = &network.members[member];
        let (_, port) =
            member.clients.to_string().rsplit_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let (endpoint, fingerprint) = (format!("{host}:{port}"), member.fingerprint.to_string());
        expect(
            0,
            &["query", "--endpoint", &endpoint, "--fingerprint", &fingerprint, "--network-id", &id, "status"],
        );
    };
    ["127.0.0.2", "127.0.0.3"].iter().for_each(|host| ask(1, host));
    ["127.0.0.1", "127.0.0.9"].iter().for_each(|host| ask(2, host));
    if has_ipv6() {
        ask(2, "[::1]");
    }
}

#[test]
fn a_name_that_leads_nowhere_is_told_and_keeps_nobody_from_starting() {
    let mut testbed = Testbed::new(4, 100);
    let file = testbed.network.members[0].config_file();
    let text = fs::read_to_string(&file).unwrap();
    let (before, last) = text.rsplit_once("address = \"127.0.0.1:").unwrap();
    fs::write(&file, format!("{before}address = \"nowhere.invalid:{last}")).unwrap();
    (0..4).for_each(|index| testbed.spawn(index));
    testbed.ready();
    let log = testbed.network.members[0].log_file();
    wait("the log names the name", || {
        let log = fs::read_to_string(&log).unwrap();
        log.contains("the name of a peer leads nowhere at present") && log.contains("nowhere.invalid")
    });
    testbed.wait_height(0, 3);
    testbed.all_alive();
}

#[test]
fn what_can_only_be_listened_on_is_refused_where_somebody_is_to_call() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("mill");
    let init = |arguments: &[&str]| {
        let (_, error) = expect(2, &[&["network", "init", dir.to_str().unwrap()], arguments].concat());
        assert!(!dir.exists(), "nothing is left behind");
        error
    };
    for host in ["0.0.0.0", "::", "[::]"] {
        let error = init(&["--host", host]);
        assert!(error.contains("only to listen on") && error.contains("--listen"), "{error}");
    }
    for (arguments, words) in [
        (&["--host", "mill.example"][..], "--listen 0.0.0.0"),
        (&["--host", "127.0.0.1,127.0.0.2"], "2 hosts for 4 validators"),
        (&["--host", "bad host"], "is no host"),
        (&["--host", "127.0.0.1:7000"], "is no host"),
        (&["--listen", "0.0.0.0,127.0.0.1"], "stand for all"),
        (&["--listen", "localhost"], "goes with --host"),
    ] {
        let error = init(arguments);
        assert!(error.contains(words), "{words}: {error}");
    }
    let testbed = Testbed::new(2, 100);
    let file = testbed.network.members[0].config_file();
    let text = fs::read_to_string(&file).unwrap();
    let node = |address: &str| {
        let line = text.lines().find(|line| line.starts_with("address = ")).unwrap();
        fs::write(&file, text.replace(line, &format!("address = \"{address}\""))).unwrap();
        expect(2, &["node", "--config", file.to_str().unwrap()]).1
    };
    for address in ["0.0.0.0:7000", "[::]:7000", "no-port.example", "a b:7000", "192.0.2:7000"] {
        let error = node(address);
        let place = Path::new("validator-0/node.toml").to_str().unwrap();
        assert!(error.contains(place) && error.contains("peer[0].address"), "{error}");
        assert!(error.contains("0.0.0.0 and [::] are only to listen on"), "{error}");
    }
    let zeros = "00".repeat(32);
    let whom = ["--fingerprint", &zeros, "--network-id", &zeros, "status"];
    let (_, error) = expect(2, &[&["query", "--endpoint", "0.0.0.0:7000"], &whom[..]].concat());
    assert!(error.contains("only an address to listen on"), "{error}");
}
