use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::network::{ChainDraft, InitOptions, init};

/// The guide in which operators read when a field takes effect.
const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guides/operators.md");

/// A network of two validators; the configuration of the first, which has an observer.
fn configuration() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let chains = ChainDraft::alike(1, 20, 1_000);
    init(directory.path(), &InitOptions { validators: 2, chains, ..InitOptions::default() }).unwrap();
    let file = directory.path().join("validator-0/node.toml");
    let observer = format!(
        "\n[[observer]]\nname = \"elm\"\naddress = \"127.0.0.1:4\"\ncertificate_fingerprint = \"{}\"\n",
        hex::encode([7; 32])
    );
    let doors = "\n[gateway]\nlisten = \"127.0.0.1:6\"\ntokens = \"first.toml\"\ncertificate = \"gateway.crt\"\n\
                 client_authority = \"ca.crt\"\nclients = \"keys.toml\"\n\
                 \n[gateway.admin]\nlisten = \"127.0.0.1:8\"\naudit = \"audit.log\"\ncertificate = \"admin.crt\"\n\
                 private_key = \"admin.key\"\nclient_authority = \"ca.crt\"\nclients = \"keys.toml\"\n";
    fs::write(&file, fs::read_to_string(&file).unwrap() + doors + &observer).unwrap();
    (directory, file)
}

/// Says something else in one field, in words that replace the line of the field or stand in its section.
fn change(file: &Path, section: &str, field: &str, value: &str) {
    let text = fs::read_to_string(file).unwrap();
    let line = format!("{field} = {value}");
    let place = text.find(&format!("[{section}]")).map(|at| at + text[at..].find('\n').unwrap() + 1);
    let changed = match place {
        None => format!("[{section}]\n{line}\n{text}"),
        Some(place) => {
            let end = text[place..].find("\n[").map_or(text.len(), |end| place + end + 1);
            let others = text[place..end].lines().filter(|other| !other.starts_with(&format!("{field} =")));
            let lines: Vec<&str> = std::iter::once(line.as_str()).chain(others).collect();
            format!("{}{}\n{}", &text[..place], lines.join("\n"), &text[end..])
        }
    };
    fs::write(file, changed).unwrap();
}

#[test]
fn each_field_is_named_when_it_says_something_else_and_taken_over_where_it_can_be() {
    let (_directory, file) = configuration();
    let before = Config::load(&file).unwrap();
    assert_eq!(before.changes(&before), []);
    let changes = [
        ("listen", "peers", "\"127.0.0.1:1\""),
        ("listen", "clients", "\"127.0.0.1:2\""),
        ("storage", "directory", "\"elsewhere\""),
        ("storage", "backend", "\"portable\""),
        ("storage", "segment_mib", "8"),
        ("storage", "checkpoint_every_kib", "1024"),
        ("storage", "scrub_mib_per_second", "3"),
        ("storage", "keep_mib", "100"),
        ("storage", "keep_heights", "5000"),
        ("storage", "keep_minutes", "90"),
        ("work", "verify", "\"auto\""),
        ("work", "verify_threads", "2"),
        ("work", "batch_packets_max", "100"),
        ("work", "batch_delay_ms", "20"),
        ("work", "block_interval_ms", "7"),
        ("work", "mempool_transactions", "1000"),
        ("work", "mempool_per_account", "3"),
        ("work", "ingress_packets", "5000"),
        ("log", "level", "\"debug\""),
        ("identity", "group_may_read", "true"),
        ("storage", "archive", "\"elsewhere\""),
        ("gateway", "listen", "[\"127.0.0.1:6\", \"[::1]:6\"]"),
        ("gateway", "anonymous", "[\"read\"]"),
        ("gateway", "tokens", "\"tokens.toml\""),
        ("gateway", "private_key", "\"other.key\""),
        ("gateway", "client_authority", "\"other-ca.crt\""),
        ("gateway", "clients", "\"other-keys.toml\""),
        ("gateway.admin", "listen", "\"127.0.0.1:9\""),
        ("gateway.admin", "audit", "\"other.log\""),
        ("gateway.admin", "certificate", "\"other.crt\""),
        ("gateway.admin", "private_key", "\"other.key\""),
        ("gateway.admin", "client_authority", "\"other-ca.crt\""),
        ("gateway.admin", "clients", "\"other-keys.toml\""),
        ("gateway.admin", "hosts", "[\"admin.example\"]"),
        ("gateway", "hosts", "[\"mill.example\"]"),
        ("gateway", "origins", "[\"https://mill.example\"]"),
        ("gateway", "webhooks", "[\"http://127.0.0.1:7/\"]"),
        ("gateway", "streams_per_caller", "7"),
        ("[peer]", "address", "\"127.0.0.1:3\""),
        ("[peer]", "clients", "\"127.0.0.1:4\""),
        ("[observer]", "name", "\"fir\""),
        ("[observer]", "address", "\"127.0.0.1:5\""),
        ("[observer]", "certificate_fingerprint", &format!("\"{}\"", hex::encode([8; 32]))),
    ];
    // These are what the genesis says, or the file is refused.
    let fixed = ["validator.index", "validator.name", "network.genesis", "identity.consensus_key"];
    let fixed = fixed.into_iter().chain(["identity.certificate", "identity.private_key", "peer.index"]);
    // Another file of the certificate is another one of the key, too.
    let fixed =
        fixed.chain(["gateway.certificate", "peer.name", "peer.certificate_fingerprint", "peer.public_key"]);
    let mut tried: BTreeSet<String> = fixed.map(str::to_owned).collect();
    for (section, field, value) in changes {
        let text = fs::read_to_string(&file).unwrap();
        change(&file, section, field, value);
        let after = Config::load(&file).unwrap();
        let name = format!("{}.{field}", section.trim_matches(['[', ']']));
        let found = before.changes(&after);
        assert_eq!(found.iter().map(|change| change.field).collect::<Vec<_>>(), [name.as_str()]);
        let mut running = before.clone();
        running.adopt(&after);
        let left = running.changes(&after);
        assert_eq!(left.is_empty(), found[0].takes == Takes::Reload, "{name}: {left:?}");
        assert_eq!(running.changes(&before).is_empty(), found[0].takes == Takes::Restart, "{name}");
        tried.insert(name);
        fs::write(&file, text).unwrap();
    }
    let all: BTreeSet<String> = SETTINGS.iter().map(|setting| setting.name.to_owned()).collect();
    assert_eq!(tried, all, "every field is tried");
}

#[test]
fn every_field_that_is_read_stands_here_and_in_the_guide() {
    let source = concat!(include_str!("../mod.rs"), include_str!("../gateway.rs"));
    let readers =
        ["required", "optional", "bounded", "optional_bounded", "choice", "path", "optional_path", "maybe"];
    let mut read = BTreeSet::new();
    for reader in readers {
        for (_, rest) in
            source.match_indices(&format!(".{reader}(")).map(|(at, found)| (at, &source[at + found.len()..]))
        {
            if let Some(name) = rest.trim_start().strip_prefix('"').and_then(|name| name.split('"').next()) {
                read.insert(name.to_owned());
            }
        }
    }
    let here: BTreeSet<String> = SETTINGS
        .iter()
        .filter_map(|setting| setting.name.rsplit_once('.'))
        .map(|(_, name)| name.to_owned())
        .collect();
    assert_eq!(read, here);

    let guide = fs::read_to_string(GUIDE).unwrap();
    let says = |setting: &Setting| match setting.takes {
        Takes::Reload => format!("| `{}` | reloaded |", setting.name),
        Takes::Restart => format!("| `{}` | needs a restart |", setting.name),
    };
    let missing: Vec<String> = SETTINGS.iter().map(says).filter(|row| !guide.contains(row)).collect();
    assert!(missing.is_empty(), "the guide has no row\n{}", missing.join("\n"));
    let rows = guide.lines().filter(|line| {
        line.starts_with("| `") && (line.contains("` | reloaded |") || line.contains("` | needs a restart |"))
    });
    assert_eq!(rows.count(), SETTINGS.len(), "no other field has a row");
}

#[test]
fn a_renewed_certificate_is_taken_over_and_that_of_another_key_is_refused() {
    let (_directory, file) = configuration();
    let before = Config::load(&file).unwrap();
    let until = |days: u64| UNIX_EPOCH..UNIX_EPOCH + Duration::from_secs(days * 86_400);
    before.identity.renewed("v", until(40_000)).unwrap().save_certificate(&before.certificate_file).unwrap();
    let after = Config::load(&file).unwrap();
    let found = before.changes(&after);
    assert_eq!(found.iter().map(|change| change.field).collect::<Vec<_>>(), ["identity.certificate"]);
    let (mut running, shown) = (before.clone(), before.identity.clone());
    running.adopt(&after);
    assert_eq!((running.changes(&after), shown.valid_until()), (Vec::new(), Some(40_000 * 86_400)));
    net::Identity::generate("v").unwrap().save_certificate(&before.certificate_file).unwrap();
    assert!(Config::load(&file).is_err(), "the certificate of another key");
}
