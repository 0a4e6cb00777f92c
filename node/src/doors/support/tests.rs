use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::network::{InitOptions, init};

/// Every file of a fresh network that only its owner may read.
fn secrets(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(directory, &mut |path, metadata| {
        if metadata.mode() & 0o077 == 0 {
            found.push(path.to_owned());
        }
    });
    found
}

#[test]
fn the_text_has_everything_but_the_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let network = init(directory.path(), &InitOptions { validators: 4, ..InitOptions::default() }).unwrap();
    let member = &network.members[1];
    fs::write(member.log_file(), (0..500).map(|line| format!("line {line}\n")).collect::<String>()).unwrap();
    let config = fs::read_to_string(member.config_file()).unwrap();
    let config = format!("{config}\n[other]\nwebhooks = [\"http://relay.example/{}\"]\n", "s3cr3t".repeat(4));
    fs::write(member.config_file(), config).unwrap();
    let text = gathered(&network);
    for has in [
        "rules 1 to",
        "network_id",
        "validator 1 (",
        "it cannot be asked",
        "line 499",
        "line 300",
        "node.toml",
    ] {
        assert!(text.contains(has), "{has:?} is not in\n{text}");
    }
    assert!(!text.contains("line 299") && !text.contains("s3cr3t"));
    assert!(text.contains("consensus_key = \"(left out)\""), "{text}");
    let all = secrets(directory.path());
    // Votes and TLS of four validators, and the seed of the accounts.
    assert!(all.len() >= 9, "{all:?}");
    for file in &all {
        let secret = fs::read(file).unwrap();
        for part in secret.windows(12) {
            let is_shared = part.contains(&b'-') || part.contains(&b' ');
            let found = text.as_bytes().windows(12).any(|of| of == part);
            assert!(is_shared || !found, "{}: {:?}", file.display(), String::from_utf8_lossy(part));
        }
    }
    assert_eq!(check(directory.path(), &text, &[]), Ok(()));
}

#[test]
fn a_text_with_a_secret_is_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let network = init(directory.path(), &InitOptions { validators: 1, ..InitOptions::default() }).unwrap();
    let member = &network.members[0];
    for file in secrets(directory.path()) {
        let secret = fs::read_to_string(&file).unwrap();
        let word =
            secret.lines().map(str::trim).find(|line| line.len() >= 16 && !line.starts_with('-')).unwrap();
        fs::write(member.log_file(), format!("somebody has logged {word}\n")).unwrap();
        let text = gathered(&network);
        assert_eq!(check(directory.path(), &text, &[]), Err(HoldsSecret(file.clone())));
        let output = directory.path().join("support.txt");
        let args = SupportArgs { network: directory.path().to_owned(), output: output.clone() };
        let error = support(&args).unwrap_err();
        assert!(error.is::<HoldsSecret>() && !output.exists(), "{error}");
    }
    // Secrets that are bytes are looked for in hexadecimal.
    let file = directory.path().join("raw.key");
    fs::write(&file, [0xab; 32]).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(check(directory.path(), &"ab".repeat(32), &[]), Err(HoldsSecret(file)));
}

#[test]
fn an_audit_log_that_the_configuration_names_is_no_secret_whatever_it_is_called() {
    let directory = tempfile::tempdir().unwrap();
    let network = init(directory.path(), &InitOptions { validators: 1, ..InitOptions::default() }).unwrap();
    let member = &network.members[0];
    let owned = |name: &str, text: &str| {
        let file = member.directory.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    };
    let word = "administration_by_ops";
    let config = fs::read_to_string(member.config_file()).unwrap();
    fs::write(member.config_file(), format!("{config}\n[gateway.admin]\naudit = \"changes.jsonl\"\n"))
        .unwrap();
    let audited: Vec<_> = audit_log(&member.config_file()).into_iter().collect();
    assert_eq!(audited.len(), 1);
    for name in ["changes.jsonl", "changes.jsonl.1", "changes.jsonl.reads"] {
        owned(name, word);
    }
    assert_eq!(check(directory.path(), word, &audited), Ok(()));
    // A key with such a name is a key.
    let key = owned("audit.log.pem", word);
    assert_eq!(check(directory.path(), word, &audited), Err(HoldsSecret(key)));
}
