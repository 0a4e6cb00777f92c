//! The network of the rig.

use kernels::ed25519::SigningKey;

use super::rig::{ACCOUNTS, CHAIN, OTHER};
use crate::types::{
    AccountGenesis, Asset, ChainGenesis, ChainKind, CryptoSuite, Digest, Genesis, Packet, Quota, Roles,
    Transfer, ValidatorGenesis,
};

/// The key of an account or of a validator.
pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

/// The seed of a validator's key.
pub fn validator_seed(validator: usize) -> u8 {
    100 + validator as u8
}

/// Two chains of one asset, of which the first has a quota.
pub fn genesis(validators: usize, quota: Quota) -> Genesis {
    let validator = |i: usize| ValidatorGenesis {
        name: format!("v{i}"),
        public_key: key(validator_seed(i)).public_key(),
        certificate_fingerprint: [i as u8; 32],
    };
    let account = |i: u64| AccountGenesis { public_key: key(i as u8 + 1).public_key(), balance: 1_000 };
    let (kind, suite) = (ChainKind::Transfers, CryptoSuite::Ed25519);
    let chain = |id, quota| ChainGenesis {
        id,
        kind,
        suite,
        asset: Asset::UNIT,
        roles: Roles { quota, ..Roles::default() },
        threshold: 0,
        accounts: (0..ACCOUNTS).map(account).collect(),
    };
    let chains = vec![chain(CHAIN, quota), chain(OTHER, Quota::WHOLE)];
    Genesis::new("rig".into(), (0..validators).map(validator).collect(), chains).unwrap()
}

/// A payment to the next account.
pub fn transfer(network: &Digest, sender: u64, nonce: u64, amount: u64) -> Packet {
    let transfer = crate::execute::tests::transfer(sender, (sender + 1) % ACCOUNTS, amount, nonce);
    let transfer = Transfer { chain: CHAIN, ..transfer };
    transfer.sign(network, |message| key(sender as u8 + 1).sign(message))
}
