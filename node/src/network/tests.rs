use super::*;
use crate::config::Config;

fn options(validators: u16) -> InitOptions {
    InitOptions { validators, accounts: 20, ..InitOptions::default() }
}

#[test]
fn what_init_writes_loads_at_every_validator() {
    let directory = tempfile::tempdir().unwrap();
    let made = init(directory.path(), &InitOptions { chains: 2, ..options(4) }).unwrap();
    let loaded = Network::load(directory.path()).unwrap();
    assert_eq!(loaded.genesis, made.genesis);
    assert_eq!(loaded.chains().collect::<Vec<_>>(), [ChainId(1), ChainId(2)]);
    for member in &loaded.members {
        let config = Config::load(&member.config_file()).unwrap();
        assert_eq!(config.index, member.index.0);
        assert_eq!(config.listen_clients, member.clients);
        assert_eq!(config.peers.len(), 3);
        assert_eq!(config.data, member.data());
        assert_eq!(config.genesis.network(), made.genesis.network());
    }
    let account = made.genesis.account(ChainId(2), engine::types::AccountId(7)).unwrap();
    let key = loaded.client_seed.signing_key(ChainId(2), engine::types::AccountId(7));
    assert_eq!(account.public_key, key.public_key());
}

#[test]
fn a_network_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let made = init(directory.path(), &options(1)).unwrap();
    assert!(matches!(init(directory.path(), &options(1)), Err(InitError::Exists(_))));
    assert_eq!(Network::load(directory.path()).unwrap().genesis, made.genesis);
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

#[test]
fn a_process_that_is_not_ours_does_not_run() {
    let here = std::process::id();
    assert!(!process::runs(here, Path::new("/nowhere/node.toml")));
    assert!(!process::runs(u32::MAX, Path::new("/nowhere/node.toml")));
}
