use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::network::{ChainDraft, InitOptions, init};

/// A network of two validators, whose first configuration the tests spoil.
struct Spoilt {
    directory: tempfile::TempDir,
}

impl Spoilt {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        init(
            directory.path(),
            &InitOptions { validators: 2, chains: ChainDraft::alike(1, 20, 1_000), ..InitOptions::default() },
        )
        .unwrap();
        Self { directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join("validator-0").join(name)
    }

    fn replace(self, name: &str, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(self.file(name)).unwrap();
        assert!(text.contains(from), "{from:?} is in {name}:\n{text}");
        fs::write(self.file(name), text.replacen(from, to, 1)).unwrap();
        self
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.file("node.toml"))
    }

    fn error(&self) -> String {
        self.load().unwrap_err().to_string()
    }
}

/// Replaces the line that begins with `start` in the first node.toml.
fn with_line(start: &str, line: &str) -> Spoilt {
    let spoilt = Spoilt::new();
    let text = fs::read_to_string(spoilt.file("node.toml")).unwrap();
    let old = text.lines().find(|line| line.starts_with(start)).expect("the line is there").to_owned();
    spoilt.replace("node.toml", &old, line)
}

#[test]
fn a_written_configuration_loads_with_its_defaults() {
    let config = Spoilt::new().load().unwrap();
    assert_eq!(config.work.batch_packets_max, 4096);
    assert_eq!(config.work.batch_delay, Duration::from_millis(50));
    assert_eq!(config.storage, StorageBackend::Auto);
    assert_eq!(config.identity.fingerprint().0, config.genesis.validators()[0].certificate_fingerprint);
}

#[test]
fn every_required_field_is_missed_by_its_name() {
    let fields = [
        ("index =", "validator.index"),
        ("name =", "validator.name"),
        ("genesis =", "network.genesis"),
        ("consensus_key =", "identity.consensus_key"),
        ("certificate =", "identity.certificate"),
        ("private_key =", "identity.private_key"),
        ("peers =", "listen.peers"),
        ("clients =", "listen.clients"),
        ("directory =", "storage.directory"),
        ("address =", "peer[0].address"),
        ("public_key =", "peer[0].public_key"),
        ("certificate_fingerprint =", "peer[0].certificate_fingerprint"),
    ];
    for (line, field) in fields {
        let spoilt = with_line(line, "");
        let error = spoilt.load().unwrap_err();
        let ConfigError::Missing { file, field: missing, .. } = &error else { panic!("{field}: {error}") };
        assert_eq!((missing.as_str(), file), (field, &spoilt.file("node.toml")));
        assert!(error.to_string().contains("write "), "{error}");
    }
}

#[test]
fn a_misspelt_field_is_refused_with_the_known_ones() {
    let error = with_line("level =", "levle = \"info\"").error();
    assert!(error.contains("log.levle") && error.contains("known are: level"), "{error}");
    assert!(error.contains("did you mean `level`?"), "{error}");
    // One that must be there is told as missing, with what stands there instead.
    let error = with_line("directory =", "directroy = \"data\"").error();
    assert!(error.contains("`storage.directory` is missing") && error.contains("Is `directroy`"), "{error}");
    let error = with_line("directory =", "").error();
    assert!(!error.contains("slip"), "{error}");
    let error = with_line("[log]", "[lgo]").error();
    assert!(error.contains("`lgo`"), "{error}");
}

#[test]
fn values_that_cannot_be_meant_say_what_belongs_there() {
    let cases = [
        (("index =", "index = -1"), "validator.index"),
        (("index =", "index = \"one\""), "validator.index"),
        (("clients =", "clients = \"localhost\""), "listen.clients"),
        (("backend =", "backend = \"tape\""), "storage.backend"),
        (("public_key =", "public_key = \"abcd\""), "peer[0].public_key"),
        (("[log]", "[work]\nbatch_packets_max = 4097\n[log]"), "work.batch_packets_max"),
        (("[log]", "[work]\nverify_threads = 0\n[log]"), "work.verify_threads"),
    ];
    for ((start, line), field) in cases {
        let error = with_line(start, line).load().unwrap_err();
        assert!(matches!(&error, ConfigError::Invalid { field: f, .. } if f == field), "{line}: {error}");
    }
}

#[test]
fn contradictions_name_both_sides() {
    let cases = [
        (("index =", "index = 7"), ["validator.index", "there are 2 validators"]),
        (("name =", "name = \"oak\""), ["\"oak\"", "\"alder\""]),
        (("index = 1", "index = 0"), ["not its own peer", "validator.index"]),
        (("index = 1", "index = 5"), ["peer with index 5", "there are 2 validators"]),
        (
            (
                "public_key =",
                "public_key = \"1111111111111111111111111111111111111111111111111111111111111111\"",
            ),
            ["peer with index 1: public_key", "genesis.toml"],
        ),
    ];
    for ((start, line), words) in cases {
        let error = with_line(start, line).error();
        for word in words {
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}

#[test]
fn one_port_cannot_serve_peers_and_clients() {
    let spoilt = Spoilt::new();
    let text = fs::read_to_string(spoilt.file("node.toml")).unwrap();
    let clients =
        text.lines().find(|line| line.starts_with("clients =")).unwrap().replace("clients", "peers");
    let error = with_line("peers =", &clients);
    // The ports of another network differ, so take this one's own client port.
    let own = fs::read_to_string(error.file("node.toml")).unwrap();
    let port = own.lines().find(|line| line.starts_with("clients =")).unwrap().replace("clients", "peers");
    let error = error.replace("node.toml", &clients, &port).error();
    assert!(error.contains("listen.peers") && error.contains("listen.clients"), "{error}");
}

#[test]
fn a_missing_peer_is_missed() {
    let spoilt = Spoilt::new();
    let text = fs::read_to_string(spoilt.file("node.toml")).unwrap();
    let (without, _) = text.split_once("[[peer]]").unwrap();
    fs::write(spoilt.file("node.toml"), without).unwrap();
    let error = spoilt.error();
    assert!(error.contains("peer with index 1 (\"birch\")"), "{error}");
}

#[test]
fn another_validators_keys_are_refused() {
    let cases =
        [(&["consensus.key"][..], "public_key"), (&["tls.crt", "tls.key"], "certificate_fingerprint")];
    for (keys, words) in cases {
        let spoilt = Spoilt::new();
        for key in keys {
            let other = spoilt.directory.path().join("validator-1").join(key);
            fs::copy(other, spoilt.file(key)).unwrap();
        }
        let error = spoilt.load().unwrap_err();
        assert!(matches!(error, ConfigError::Contradiction(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_key_that_others_can_read_is_refused_and_its_group_may_on_request() {
    let on_request = "private_key = \"tls.key\"\ngroup_may_read = true";
    let (owner, group) = (Spoilt::new(), with_line("private_key =", on_request));
    let set = |spoilt: &Spoilt, key: &str, mode| {
        fs::set_permissions(spoilt.file(key), fs::Permissions::from_mode(mode)).unwrap();
    };
    for key in ["consensus.key", "tls.key"] {
        for (mode, alone, with_group) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o640, false, true),
            (0o440, false, true),
            (0o660, false, false),
            (0o644, false, false),
            (0o604, false, false),
            (0o602, false, false),
        ] {
            set(&owner, key, mode);
            set(&group, key, mode);
            assert_eq!((owner.load().is_ok(), group.load().is_ok()), (alone, with_group), "{key} {mode:o}");
            if !alone {
                let error = owner.error();
                let words = [&format!("{key}: this secret key"), &format!("mode {mode:04o}"), "chmod 600"];
                assert!(words.iter().all(|word| error.contains(*word)), "{error}");
                assert_eq!(error.contains("group_may_read = true"), with_group, "{error}");
            }
        }
        set(&owner, key, 0o600);
        set(&group, key, 0o600);
    }
}

#[test]
fn peers_are_called_by_names_and_addresses_and_listening_has_lists() {
    for address in ["birch.example:7000", "192.0.2.7:7000", "[2001:db8::7]:7000"] {
        let config = with_line("address =", &format!("address = \"{address}\"")).load().unwrap();
        assert_eq!(config.peers[0].address.to_string(), address);
    }
    for (line, addresses) in [
        ("\"0.0.0.0:7000\"", &["0.0.0.0:7000"][..]),
        ("[\"10.0.0.5:7000\", \"[::]:7000\"]", &["10.0.0.5:7000", "[::]:7000"]),
    ] {
        let config = with_line("peers =", &format!("peers = {line}")).load().unwrap();
        let read: Vec<String> = config.listen_peers.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(read, addresses);
    }
    for (line, field) in [
        ("address = \"0.0.0.0:7000\"", "peer[0].address"),
        ("address = \"[::]:7000\"", "peer[0].address"),
        ("address = \"birch.example\"", "peer[0].address"),
        ("address = \"not a name:7000\"", "peer[0].address"),
        ("peers = []", "listen.peers"),
        ("peers = \"localhost:7000\"", "listen.peers"),
        ("peers = [\"0.0.0.0:7000\", \"127.0.0.1:7000\"]", "listen.peers"),
        ("clients = \"127.0.0.1:0\"", "listen.clients"),
    ] {
        let (start, _) = line.split_once('=').unwrap();
        let error = with_line(&format!("{start}="), line).load().unwrap_err();
        assert!(matches!(&error, ConfigError::Invalid { field: f, .. } if f == field), "{line}: {error}");
        assert!(error.to_string().contains("validator-0/node.toml"), "{error}");
    }
}

#[test]
fn a_changed_genesis_is_noticed() {
    let spoilt = Spoilt::new();
    let accounts = spoilt.directory.path().join("chain-1.accounts");
    let mut bytes = fs::read(&accounts).unwrap();
    bytes[39] ^= 1;
    fs::write(&accounts, &bytes).unwrap();
    let error = spoilt.error();
    assert!(error.contains("network_id"), "{error}");
    fs::write(&accounts, &bytes[1..]).unwrap();
    let error = spoilt.error();
    assert!(error.contains("20 accounts take 40 bytes each"), "{error}");
}

#[test]
fn files_that_are_not_there_are_named() {
    let spoilt = with_line("genesis =", "genesis = \"elsewhere.toml\"");
    let error = spoilt.error();
    assert!(error.contains("elsewhere.toml"), "{error}");
    let error = Config::load(Path::new("/nowhere/node.toml")).unwrap_err().to_string();
    assert!(error.contains("/nowhere/node.toml"), "{error}");
}

#[test]
fn what_is_not_toml_is_shown_with_its_line() {
    let error = with_line("[log]", "[log").error();
    assert!(error.contains("not valid TOML") && error.contains("line"), "{error}");
}

#[test]
fn a_secret_is_not_shown() {
    let config = Spoilt::new().load().unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains(&hex::encode(config.consensus_seed.0)));
    assert!(shown.contains("Secret"), "{shown}");
}
