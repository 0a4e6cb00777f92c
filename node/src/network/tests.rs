use engine::types::{AccountId, Asset, ChainKind, LockWindows, Quota, Registrar, Roles};

use super::*;
use crate::config::Config;

fn options(validators: u16) -> InitOptions {
    InitOptions { validators, chains: ChainDraft::alike(1, 20, 1_000), ..InitOptions::default() }
}

#[test]
fn what_init_writes_loads_at_every_validator() {
    let directory = tempfile::tempdir().unwrap();
    let made = init(directory.path(), &InitOptions { chains: ChainDraft::alike(2, 20, 1_000), ..options(4) })
        .unwrap();
    let loaded = Network::load(directory.path()).unwrap();
    assert_eq!(loaded.genesis, made.genesis);
    assert_eq!(loaded.chains().collect::<Vec<_>>(), [ChainId(1), ChainId(2)]);
    for member in &loaded.members {
        let config = Config::load(&member.config_file()).unwrap();
        assert_eq!(config.index, Some(member.index.0));
        assert_eq!(config.listen_clients.to_string(), member.clients.to_string());
        assert_eq!(config.peers.len(), 3);
        assert_eq!(config.data, member.data());
        assert_eq!(config.genesis.network(), made.genesis.network());
    }
    let account = made.genesis.account(ChainId(2), engine::types::AccountId(7)).unwrap();
    let key = loaded.client_seed().unwrap().signing_key(ChainId(2), engine::types::AccountId(7));
    assert_eq!(account.public_key, key.public_key());
    // The directory of a validator is not that of the network.
    let error = Network::load(&loaded.members[0].directory).unwrap_err().to_string();
    assert!(error.contains("network.toml") && error.contains("name the directory of a network"), "{error}");
    // A file of the identity that is not there is named once.
    std::fs::remove_file(loaded.members[0].directory.join("tls.crt")).unwrap();
    let error = Config::load(&loaded.members[0].config_file()).unwrap_err().to_string();
    assert_eq!(error.matches("tls.crt").count(), 1, "{error}");
}

#[test]
fn chains_are_listed_in_a_file_and_what_it_does_not_say_is_as_on_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("chains.toml");
    let read = |text: &str| {
        std::fs::write(&file, text).unwrap();
        ChainDraft::read(&file, 20, 1_000)
    };
    let chains = read(
        "[[chain]]\nid = 9\n[[chain]]\nid = 2\nkind = \"transfers\"\nasset = \"EUR\"\naccounts = 7\nbalance = 3\n\
         issuer = 4\nissuance_cap = 50\nfreezer = 0\nregistrar = 3\naccounts_cap = 77\n\
         rekey_window = 5\nrecovery_window = 1000\nquota = 70000\n\
         [[chain]]\nid = 10\nkind = \"attestations\"\nattestations_cap = 5\n\
         [[chain]]\nid = 11\nkind = \"attestations\"\n",
    )
    .unwrap();
    let account = |number| Some(engine::types::AccountId(number));
    let governed = Roles {
        issuer: account(4),
        issuance_cap: 50,
        freezer: account(0),
        registrar: Registrar::Account(AccountId(3)),
        accounts_cap: 77,
        attestations_cap: 0,
        windows: LockWindows { rekey_seconds: 5, recovery_seconds: 1_000 },
        quota: Quota(70_000),
    };
    let chain = |id, asset: &str, roles, accounts, balance| ChainDraft {
        id: ChainId(id),
        kind: ChainKind::Transfers,
        asset: asset.parse().unwrap(),
        roles,
        threshold: 0,
        accounts,
        balance,
    };
    let register = |id, attestations_cap| ChainDraft {
        id: ChainId(id),
        kind: ChainKind::Attestations,
        asset: Asset::NONE,
        roles: Roles { attestations_cap, ..Roles::default() },
        threshold: 0,
        accounts: 20,
        balance: 0,
    };
    let (money, other) = (chain(2, "EUR", governed, 7, 3), chain(9, "UNIT", Roles::default(), 20, 1_000));
    assert_eq!(chains, [money, other, register(10, 5), register(11, 10_000_000)]);
    let made = init(&directory.path().join("made"), &InitOptions { chains, ..options(1) }).unwrap();
    let of = |chain: &engine::types::ChainGenesis| {
        (chain.id.0, chain.asset.to_string(), chain.accounts.len(), chain.supply())
    };
    assert_eq!(
        made.genesis.chains().iter().take(2).map(of).collect::<Vec<_>>(),
        [(2, "EUR".into(), 7, Some(21)), (9, "UNIT".into(), 20, Some(20_000))]
    );
    let loaded = Network::load(&directory.path().join("made")).unwrap();
    assert_eq!(loaded.genesis.chains()[0].roles, governed);
    assert_eq!(loaded.genesis, made.genesis);
    for (text, words) in [
        ("[[chain]]\nasset = \"EUR\"\n", "chain[0].id"),
        ("[[chain]]\nid = 1\naccounts = 0\n", "1 to 16777216"),
        ("[[chain]]\nid = 1\nkind = \"attest\"\n", "\"transfers\""),
        ("[[chain]]\nid = 1\nkind = \"attest\"\n", "\"attestations\""),
        ("[[chain]]\nid = 1\nblance = 7\n", "blance"),
        ("[[chain]]\nid = 1\nfreezer = -1\n", "chain[0].freezer"),
        ("[[chain]]\nid = 1\nregistrar = \"nobody\"\n", "chain[0].registrar"),
        ("[[chain]]\nid = 1\nregistrar = -1\n", "chain[0].registrar"),
        ("[[chain]]\nid = 1\nrekey_window = 0\n", "chain[0].rekey_window"),
        ("[[chain]]\nid = 1\nrecovery_window = 99999999\n", "chain[0].recovery_window"),
        ("[[chains]]\nid = 1\n", "chains"),
        ("[[chain]\nid = 1\n", "chains.toml"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    let twice = read("[[chain]]\nid = 1\n[[chain]]\nid = 1\n").unwrap();
    let stranger = read("[[chain]]\nid = 1\nfreezer = 20\n").unwrap();
    let capless = read("[[chain]]\nid = 1\nissuer = 2\n").unwrap();
    for chains in [twice, Vec::new(), stranger, capless] {
        let error = init(&directory.path().join("bad"), &InitOptions { chains, ..options(1) }).unwrap_err();
        assert!(matches!(error, InitError::Genesis(_)), "{error}");
    }
}

#[test]
fn a_genesis_says_whether_its_members_are_decided_and_a_file_without_the_line_that_they_are_fixed() {
    use crate::config::{ConfigError, genesis};
    use engine::types::{Genesis, Membership};
    let directory = tempfile::tempdir().unwrap();
    let chains = vec![ChainDraft::governance(ChainId(0), 3, 2)];
    let fixed = init(directory.path(), &InitOptions { chains, ..options(1) }).unwrap().genesis;
    let file = directory.path().join(genesis::GENESIS_FILE);
    let change = |from: &str, to: &str| {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
        genesis::load(&file)
    };
    assert_eq!(change("membership = \"fixed\"\n", "").unwrap(), *fixed);
    let (name, validators) = (fixed.name().to_owned(), fixed.validators().to_vec());
    let decided =
        Genesis::with_membership(name, validators, Membership::Decided, fixed.chains().to_vec()).unwrap();
    genesis::save(&decided, directory.path()).unwrap();
    assert_eq!(genesis::load(&file).unwrap(), decided);
    let other = change("\"decided\"", "\"fixed\"").unwrap_err();
    assert!(matches!(other, ConfigError::Contradiction(_)), "it is under the network id: {other}");
    let unknown = change("membership = \"fixed\"", "membership = \"some\"").unwrap_err().to_string();
    assert!(unknown.contains("membership") && unknown.contains("\"decided\""), "{unknown}");
}

#[test]
fn a_network_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let made = init(directory.path(), &options(1)).unwrap();
    assert!(matches!(init(directory.path(), &options(1)), Err(InitError::Exists(_))));
    assert_eq!(Network::load(directory.path()).unwrap().genesis, made.genesis);
}

#[test]
fn what_is_there_is_not_overwritten_even_if_it_is_no_network() {
    for name in ["genesis.toml", "genesis.header", "customers.seed", "chain-1.accounts", "validator-0"] {
        let directory = tempfile::tempdir().unwrap();
        let taken = directory.path().join(name);
        std::fs::write(&taken, "mine").unwrap();
        let error = init(directory.path(), &options(1)).unwrap_err();
        assert!(matches!(&error, InitError::InTheWay(path) if *path == taken), "{error}");
        assert_eq!(std::fs::read_to_string(&taken).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else was written");
    }
}

#[test]
fn an_unfinished_network_is_removed_and_nothing_of_others() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("net");
    let claim = || init::Claim::of(&directory, &options(1), [ChainId(1)].into_iter());
    let make = || {
        std::fs::create_dir_all(directory.join("validator-0/data")).unwrap();
        std::fs::write(directory.join("chain-1.accounts"), "half").unwrap();
    };
    let mut half = claim().unwrap();
    assert!(matches!(claim(), Err(InitError::Busy(_))), "one at a time");
    assert!(matches!(init(&directory, &options(1)), Err(InitError::Busy(_))));
    half.begin().unwrap();
    make();
    drop(half);
    assert!(!directory.exists());

    let mut late = claim().unwrap();
    make();
    assert!(matches!(late.begin(), Err(InitError::InTheWay(_))), "somebody else was faster");
    drop(late);
    assert!(directory.join("chain-1.accounts").exists() && directory.join("validator-0/data").exists());
    std::fs::remove_dir_all(&directory).unwrap();

    let mut whole = claim().unwrap();
    whole.begin().unwrap();
    make();
    whole.keep();
    assert!(matches!(claim(), Err(InitError::InTheWay(_))));
}

#[test]
fn ports_that_do_not_fit_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let high = InitOptions { base_port: Some(65_530), ..options(4) };
    assert!(matches!(init(directory.path(), &high), Err(InitError::Ports { .. })));
    let fits = InitOptions { base_port: Some(65_528), ..options(4) };
    init(directory.path(), &fits).unwrap();
}

#[test]
fn a_network_file_that_disagrees_with_the_genesis_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    init(directory.path(), &options(2)).unwrap();
    let file = directory.path().join(NETWORK_FILE);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"birch\"", "\"beech\"")).unwrap();
    let error = Network::load(directory.path()).unwrap_err();
    assert!(matches!(error, ConfigError::Contradiction(_)), "{error}");
    assert!(error.to_string().contains("beech"), "{error}");
}
