//! The command line as its users meet it: help, wrong usage, wrong configurations.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::testbed::{Testbed, expect};

fn node(config: &Path) -> String {
    expect(2, &["node", "--config", config.to_str().unwrap()]).1
}

/// Replaces text in a file that has it.
fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from:?} is in {}", file.display());
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

fn config(testbed: &Testbed) -> PathBuf {
    testbed.network.members[0].config_file()
}

#[test]
fn every_command_explains_itself() {
    let commands: [&[&str]; 21] = [
        &[],
        &["bench"],
        &["node"],
        &["network"],
        &["network", "init"],
        &["network", "up"],
        &["network", "down"],
        &["load"],
        &["key"],
        &["key", "new"],
        &["key", "show"],
        &["key", "derive"],
        &["transfer"],
        &["submit"],
        &["query"],
        &["archive"],
        &["verify"],
        &["verify-proof"],
        &["kernels"],
        &["kernels", "check"],
        &["kernels", "bench"],
    ];
    for command in commands {
        let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let (help, _) = expect(0, &arguments);
        assert!(help.contains("Usage: millrace"), "{help}");
    }
    for command in [
        "bench",
        "node",
        "load",
        "transfer",
        "submit",
        "query",
        "archive",
        "verify",
        "verify-proof",
        "verify-report",
    ] {
        let (help, _) = expect(0, &[command, "--help"]);
        assert!(help.contains("Example") && help.contains("Exit codes"), "{command}: {help}");
        assert!(help.contains(&format!("millrace {command}")), "{command}: {help}");
    }
    let of_chains = [
        "list",
        "issue",
        "burn",
        "create",
        "pause",
        "resume",
        "close",
        "roles",
        "administrators",
        "approve",
        "proposal",
        "proposals",
    ];
    for command in of_chains {
        let (help, _) = expect(0, &["chain", command, "--help"]);
        assert!(help.contains("Example") && help.contains("Exit codes: 0"), "{command}: {help}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let wrong: [&[&str]; 17] = [
        &[],
        &["bnech"],
        &["bench", "--rate", "0"],
        &["bench", "--rate", "fast"],
        &["bench", "--validators", "0"],
        &["bench", "--cross-chain", "5"],
        &["query", "status"],
        &["transfer", "--network", "/tmp", "--from", "1", "--to", "1:2", "--amount", "1"],
        &["transfer", "--network", "/tmp", "--from", "1:1", "--to", "1:2", "--amount", "1", "--offline", "x"],
        &["transfer", "--from", "1:1", "--to", "1:2", "--amount", "1"],
        &["key", "new"],
        &["key", "new", "/nowhere/key.pem", "--no-passphrase", "--passphrase-env", "HOME"],
        &["submit", "/nowhere/pay.json", "--network", "/tmp"],
        &["query", "--endpoint", "127.0.0.1:1", "status"],
        &["network", "init"],
        &["query", "--network", "/tmp", "never", "00", "--proof", "x"],
        &["verify-proof"],
    ];
    for arguments in wrong {
        expect(2, arguments);
    }
    // More than any machine has room to sign for.
    let beyond = ["bench", "--rate", "10000000", "--seconds", "86400"];
    assert!(expect(2, &beyond).1.contains("GiB are free: lower --rate"));
    let (_, words) = expect(2, &["bench", "--cross-chain", "5"]);
    assert!(words.contains("--chains 2"), "{words}");
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    assert!(node(Path::new("/nowhere/node.toml")).contains("/nowhere/node.toml"));
}

#[test]
fn missing_unknown_and_contradictory_fields_are_named_with_their_file() {
    let cases = [
        ("name = \"alder\"\n", "", "validator.name"),
        ("[log]", "[logs]", "logs"),
        ("name = \"alder\"", "name = \"oak\"", "genesis.toml"),
        ("index = 1", "index = 9", "peer with index 9"),
    ];
    for (from, to, words) in cases {
        let testbed = Testbed::new(4, 100);
        replace(&config(&testbed), from, to);
        let error = node(&config(&testbed));
        assert!(error.contains(words) && error.contains("node.toml"), "{words}: {error}");
    }
}

#[test]
fn a_setting_that_makes_no_sense_stops_the_bench_before_it_begins() {
    let (_, error) =
        expect(2, &["bench", "--validators", "1", "--accounts", "100", "--set", "verify_threads=0"]);
    assert!(error.contains("work.verify_threads"), "{error}");
}

#[test]
fn an_invalid_log_level_is_refused() {
    let testbed = Testbed::new(1, 100);
    replace(&config(&testbed), "level = \"info\"", "level = \"a=b=c\"");
    let error = node(&config(&testbed));
    assert!(error.contains("log.level"), "{error}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let testbed = Testbed::new(1, 100);
    let address = testbed.network.members[0].clients.to_string();
    let _taken = UdpSocket::bind(&address).unwrap();
    let error = node(&config(&testbed));
    assert!(error.contains(&address) && error.contains("taken"), "{error}");
}

#[test]
fn a_directory_in_use_is_refused_and_its_user_goes_on() {
    let mut testbed = Testbed::up(1, 100);
    let other = Testbed::new(1, 100);
    // The same validator once more, on other ports.
    let (mine, theirs) = (config(&testbed), config(&other));
    let copy = testbed.network.members[0].directory.join("again.toml");
    fs::copy(&mine, &copy).unwrap();
    for field in ["peers = ", "clients = "] {
        let line = |file: &Path| {
            let text = fs::read_to_string(file).unwrap();
            text.lines().find(|line| line.starts_with(field)).unwrap().to_owned()
        };
        replace(&copy, &line(&mine), &line(&theirs));
    }
    let error = node(&copy);
    assert!(error.contains("in use"), "{error}");
    testbed.all_alive();
    let (_, error) = expect(2, &["verify", testbed.network.members[0].data().to_str().unwrap()]);
    assert!(error.contains("in use"), "{error}");
}

#[test]
fn a_directory_of_another_network_is_refused() {
    let mut one = Testbed::up(1, 100);
    one.stop_all();
    let other = Testbed::new(1, 100);
    fs::remove_dir_all(other.network.members[0].data()).unwrap();
    fs::rename(one.network.members[0].data(), other.network.members[0].data()).unwrap();
    let error = node(&config(&other));
    assert!(error.contains("another network"), "{error}");
    let (_, error) = expect(2, &["verify", other.network.members[0].data().to_str().unwrap()]);
    assert!(error.contains("another network"), "{error}");
}

#[test]
fn init_does_not_overwrite() {
    let testbed = Testbed::new(1, 100);
    let (_, error) = expect(2, &["network", "init", testbed.path().to_str().unwrap()]);
    assert!(error.contains("there is a network here already"), "{error}");
}

#[test]
fn a_network_has_the_chains_of_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let [file, dir] = [path("chains.toml"), path("mill")];
    let init = ["network", "init", &dir, "--chains", &file, "--accounts", "30", "--json"];
    fs::write(&file, "[[chain]]\nid = 3\nasset = \"EUR\"\n[[chain]]\nid = 1\naccounts = 0\n").unwrap();
    let (_, error) = expect(2, &init);
    assert!(error.contains("chain[1].accounts") && error.contains("1 to 16777216"), "{error}");
    fs::write(&file, "[[chain]]\nid = 3\nasset = \"EUR\"\n[[chain]]\nid = 1\naccounts = 20\n").unwrap();
    let made: Value = serde_json::from_str(&expect(0, &init).0).unwrap();
    assert_eq!(
        made["chains"],
        json!([
            { "id": 1, "kind": "transfers", "asset": "UNIT", "accounts": 20 },
            { "id": 3, "kind": "transfers", "asset": "EUR", "accounts": 30 },
        ])
    );
    assert_eq!(made["validators"].as_array().unwrap().len(), 4);
    for wrong in ["0", "257", "chains"] {
        let (_, error) = expect(2, &["network", "init", &dir, "--chains", wrong]);
        assert!(error.contains("a number from 1 to 256, or the name of a file"), "{error}");
    }
}

#[test]
fn verify_of_what_is_no_data_directory_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = directory.path().to_str().unwrap();
    let (_, error) = expect(2, &["verify", nothing]);
    assert!(error.contains("no data directory") && error.contains("DIR/validator-0/data"), "{error}");
    let mut testbed = Testbed::new(1, 100);
    let data = testbed.path().join("validator-0/data");
    let (_, error) = expect(2, &["verify", data.to_str().unwrap()]);
    assert!(error.contains("never run"), "{error}");
    testbed.spawn(0);
    testbed.ready();
    testbed.stop_all();
    for (near, meant) in
        [("validator-0", "validator-0/data"), ("", "validator-0/data"), ("validator-0/data/journal", "..")]
    {
        let near = testbed.path().join(near);
        let (_, error) = expect(2, &["verify", near.to_str().unwrap()]);
        assert!(error.contains("as in") && error.trim_end().ends_with(meant), "{error}");
    }
    let moved = directory.path().join("moved");
    std::fs::rename(&data, &moved).unwrap();
    let (_, error) = expect(2, &["verify", moved.to_str().unwrap()]);
    assert!(error.contains("node.toml") && error.contains("--genesis"), "{error}");
}

#[test]
fn kernels_check_reads_vectors() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vectors.jsonl");
    // RFC 8032, 7.1, test 1, with the right and the wrong expectation.
    let vector = |expect: &str| {
        format!(
            r#"{{"key":"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a","msg":"","sig":"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b","expect":{expect}}}"#
        )
    };
    fs::write(&file, vector("true") + "\n" + &vector("null")).unwrap();
    expect(0, &["kernels", "check", file.to_str().unwrap()]);
    let (out, _) = expect(0, &["kernels", "check", file.to_str().unwrap(), "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&told["vectors"], &told["ok"], &told["paths"][0]["accepted"]),
        (&json!(2), &json!(true), &json!(2))
    );
    let one = |name| ["kernels", "check", file.to_str().unwrap(), "--backend", name];
    let (out, _) = expect(0, &one("portable"));
    assert!(out.contains("portable") && !out.contains("avx"), "{out}");
    let (_, err) = expect(2, &one("mmx"));
    assert!(err.contains(r#"no backend called "mmx""#), "{err}");
    fs::write(&file, vector("false")).unwrap();
    expect(1, &["kernels", "check", file.to_str().unwrap()]);
}
