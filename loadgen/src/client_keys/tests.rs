use super::ClientSeed;
use engine::types::{AccountId, ChainId};

#[test]
fn keys_differ_by_seed_chain_and_account_and_repeat() {
    let seed = ClientSeed([7; 32]);
    let key = |s: ClientSeed, c, a| s.signing_key(ChainId(c), AccountId(a)).public_key();
    let mut all = vec![
        key(seed, 1, 0),
        key(seed, 1, 1),
        key(seed, 2, 0),
        key(seed, 2, 1),
        key(ClientSeed([8; 32]), 1, 0),
        // Chain and account must not be able to run into each other's bytes.
        key(seed, 0, 1 << 32),
        key(seed, 0, 0),
    ];
    assert_eq!(key(seed, 1, 1), all[1]);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 7);
}

#[test]
fn the_public_keys_of_a_genesis_are_those_that_sign() {
    let seed = ClientSeed([9; 32]);
    let public = seed.public_keys(ChainId(3), 0..20);
    let signing = seed.signing_keys(ChainId(3), 20);
    assert_eq!(public, signing.iter().map(|k| k.public_key()).collect::<Vec<_>>());
    let signature = signing[11].sign(b"hello");
    assert!(kernels::ed25519::verify(&public[11], b"hello", &signature));
    assert!(!kernels::ed25519::verify(&public[12], b"hello", &signature));
}

#[test]
fn the_secret_does_not_print() {
    assert_eq!(format!("{:?}", ClientSeed([0xab; 32])), "ClientSeed(secret)");
}
