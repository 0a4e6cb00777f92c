//! Accounts that are used with a key file: from the network's directory, from elsewhere, and offline.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::testbed::{MILLRACE, Testbed, expect};

#[test]
fn an_account_pays_with_its_key_file_and_with_no_other() {
    let mut testbed = Testbed::up(4, 100);
    let dir = testbed.path().to_str().unwrap().to_owned();
    let outside = tempfile::tempdir().unwrap();
    let file = |name: &str| outside.path().join(name).to_str().unwrap().to_owned();
    let [seven, other, pass, pay] = ["seven.pem", "other.pem", "pass", "pay.json"].map(file);
    std::fs::write(&pass, "correct horse\n").unwrap();
    std::fs::set_permissions(&pass, std::fs::Permissions::from_mode(0o600)).unwrap();

    let derive = ["key", "derive", &seven, "--network", &dir, "--account", "1:7", "--passphrase-file", &pass];
    let (out, _) = expect(0, &derive);
    let public_key = hex::encode(testbed.network.genesis.chains()[0].accounts[7].public_key);
    assert!(out.contains(&public_key) && out.contains("scrypt"), "{out}");
    let (_, error) = expect(2, &derive);
    assert!(error.contains("never overwritten"), "{error}");
    let nobody = ["key", "derive", &other, "--network", &dir, "--account", "1:100", "--no-passphrase"];
    let (_, error) = expect(2, &nobody);
    assert!(error.contains("no account 1:100"), "{error}");

    let transfer = |code: i32, arguments: &[&str]| {
        let paying = ["--from", "1:7", "--to", "1:8", "--amount", "100"];
        let all: Vec<&str> = ["transfer"].iter().chain(arguments).chain(&paying).copied().collect();
        let (out, error) = expect(code, &all);
        out + &error
    };
    let with_key = ["--key", &seven, "--passphrase-file", &pass];
    let said = transfer(0, &[&["--network", &dir][..], &with_key].concat());
    assert!(said.contains("committed"), "{said}");
    // Without the network's directory.
    let member = &testbed.network.members[2];
    let [endpoint, fingerprint, network_id] =
        [&member.clients, &member.fingerprint as &dyn ToString, testbed.network.genesis.network()]
            .map(ToString::to_string);
    let whom = ["--endpoint", &endpoint, "--fingerprint", &fingerprint, "--network-id", &network_id];
    let said = transfer(0, &[&whom[..], &with_key, &["--json"]].concat());
    assert!(said.contains("\"committed\": true"), "{said}");
    // Signed by one who knows nothing but the network id, submitted by one who does not have the key.
    let offline = [
        "--network-id",
        &network_id,
        "--nonce",
        "2",
        "--expiry",
        "1000000",
        "--offline",
        &pay,
        "--reference",
        "2",
    ];
    transfer(0, &[&offline[..], &with_key].concat());
    let (out, _) = expect(0, &["submit", &pay, "--network", &dir]);
    assert!(out.contains("committed"), "{out}");

    // Another key is refused before anything is signed, wherever the account's key is known.
    expect(0, &["key", "new", &other, "--no-passphrase"]);
    for network in [&["--network", &dir][..], &whom] {
        let said = transfer(2, &[network, &["--key", &other]].concat());
        assert!(said.contains(&public_key) && said.contains("--key"), "{said}");
    }
    let not_signed = file("not-signed.json");
    let offline = ["--nonce", "3", "--expiry", "1000000", "--offline", &not_signed, "--key", &other];
    transfer(2, &[&["--network", &dir][..], &offline].concat());
    assert!(!std::path::Path::new(&not_signed).exists());

    // What is missing is named.
    for (arguments, words) in [
        (&["--network-id", &network_id][..], "--key"),
        (&["--network-id", &network_id, "--key", &other], "--endpoint"),
        (&["--network", &dir, "--passphrase-file", &pass], "--key"),
        (&["--network", &dir, "--key", &seven], "--passphrase-file"),
        (&["--network", &dir, "--network-id", &network_id, "--key", &seven], "--network"),
    ] {
        let said = transfer(2, arguments);
        assert!(said.contains(words), "{words}: {said}");
    }
    testbed.all_alive();
}

#[test]
fn a_key_file_is_made_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let millrace = |arguments: &[&str]| {
        let mut command = Command::new(MILLRACE);
        let output =
            command.current_dir(directory.path()).env("MILL_PASS", "correct horse").args(arguments).output();
        let output = output.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, made, _) = millrace(&["key", "new", "a.pem", "--passphrase-env", "MILL_PASS", "--json"]);
    assert_eq!(code, Some(0));
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let (code, shown, _) = millrace(&["key", "show", "a.pem", "--passphrase-env", "MILL_PASS"]);
    assert_eq!(code, Some(0));
    assert!(shown.contains(made["public_key"].as_str().unwrap()), "{shown}");
    assert_eq!((&made["encrypted"], &made["file"]), (&true.into(), &"a.pem".into()));
    assert_eq!(directory.path().join("a.pem").metadata().unwrap().permissions().mode() & 0o777, 0o600);

    for (arguments, words) in [
        (&["key", "new", "a.pem", "--no-passphrase"][..], "never overwritten"),
        (&["key", "new", "b.pem"], "no terminal"),
        (&["key", "new", "b.pem", "--passphrase-env", "MILL_NONE"], "MILL_NONE"),
        (&["key", "new", "nowhere/b.pem", "--no-passphrase"], "nowhere/b.pem"),
        (&["key", "show", "a.pem"], "no terminal"),
        (&["key", "show", "a.pem", "--passphrase-env", "PATH"], "wrong"),
        (&["key", "show", "b.pem"], "b.pem"),
    ] {
        let (code, out, error) = millrace(arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}: {error}");
        assert!(error.contains(words), "{words}: {error}");
    }
    assert!(!directory.path().join("b.pem").exists());
}
