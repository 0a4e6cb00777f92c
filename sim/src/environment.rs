//! What does not change in a run: the network's genesis and everybody's keys.

use std::ops::Range;
use std::sync::Arc;

use engine::types::{
    AccountGenesis, AccountId, Action, Asset, ChainGenesis, ChainId, ChainKind, Command, CryptoSuite, Digest,
    Genesis, Height, Linked, NewAccount, NewAccounts, Opening, Payment, Payments, Registrar, Roles,
    Transaction, Transfer, ValidatorGenesis, possession_message,
};
use kernels::ed25519::SigningKey;

/// What an account holds at the beginning.
pub(crate) const BALANCE: u64 = 1_000;
/// The account of each chain that issues and burns.
pub(crate) const ISSUER: u64 = 0;
/// The account of each chain that freezes and unfreezes.
pub(crate) const FREEZER: u64 = 1;
/// The account of each chain that opens others.
pub(crate) const REGISTRAR: u64 = 2;
/// How many accounts a chain may have beside those of its genesis.
pub(crate) const OPENED_MAX: u64 = 30;
/// How much more a chain may issue than it burns.
pub(crate) const ISSUANCE_CAP: u64 = 2_000;

/// Genesis and keys.
pub(crate) struct Environment {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) signing_seeds: Vec<[u8; 32]>,
    accounts: Vec<SigningKey>,
}

fn account(key: &SigningKey, balance: u64) -> AccountGenesis {
    AccountGenesis { public_key: key.public_key(), balance }
}

fn seed(kind: u8, number: u64) -> [u8; 32] {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    seed
}

impl Environment {
    pub(crate) fn new(validators: usize, chains: u32, accounts: u64) -> Self {
        let signing_seeds: Vec<_> = (0..validators as u64).map(|index| seed(0xa1, index)).collect();
        let validator = |(index, signing_seed): (usize, &[u8; 32])| ValidatorGenesis {
            name: format!("v{index}"),
            public_key: SigningKey::from_seed(*signing_seed).public_key(),
            certificate_fingerprint: seed(0xf1, index as u64),
        };
        let keys: Vec<_> = (0..accounts).map(|account| SigningKey::from_seed(seed(0xac, account))).collect();
        let chain = |id: u32| ChainGenesis {
            id: ChainId(id),
            kind: ChainKind::Transfers,
            suite: CryptoSuite::Ed25519,
            // The third chain has money of its own.
            asset: if id < 3 { Asset::UNIT } else { Asset(*b"another asset...") },
            roles: Roles {
                issuer: Some(AccountId(ISSUER)),
                issuance_cap: ISSUANCE_CAP,
                freezer: Some(AccountId(FREEZER)),
                registrar: Registrar::Account(AccountId(REGISTRAR)),
                accounts_cap: accounts + OPENED_MAX,
                attestations_cap: 0,
            },
            accounts: keys.iter().map(|key| account(key, BALANCE)).collect(),
        };
        let validators = signing_seeds.iter().enumerate().map(validator).collect();
        let genesis = Genesis::new("simulated".into(), validators, (1..=chains).map(chain).collect());
        Self { genesis: Arc::new(genesis.expect("a small network is valid")), signing_seeds, accounts: keys }
    }

    /// The same network, but each account has one more: for the broken rule of conservation.
    pub(crate) fn richer(&self) -> Genesis {
        let mut chains = self.genesis.chains().to_vec();
        for chain in &mut chains {
            chain.accounts = self.accounts.iter().map(|key| account(key, BALANCE + 1)).collect();
        }
        Genesis::new("simulated".into(), self.genesis.validators().to_vec(), chains).expect("it is valid")
    }

    pub(crate) fn network(&self) -> Digest {
        *self.genesis.network()
    }

    pub(crate) fn keys(&self) -> Vec<[u8; 32]> {
        self.genesis.validators().iter().map(|validator| validator.public_key).collect()
    }

    /// A signed command.
    pub(crate) fn command(&self, chain: u32, authority: u64, action: Action, nonce: u64) -> Transaction {
        let command = Command {
            chain: ChainId(chain),
            key_version: engine::types::FIRST_KEY_VERSION,
            reference: [0; 12],
            authority: AccountId(authority),
            action,
            nonce,
            expiry: Height(u64::MAX),
        };
        let signed = command.sign(&self.network(), |message| self.accounts[authority as usize].sign(message));
        signed.run().transaction().expect("a command has a shape")
    }

    /// The key of an account that is opened in a run.
    pub(crate) fn new_key(number: u64) -> SigningKey {
        SigningKey::from_seed(seed(0xae, number))
    }

    /// Signs for an account: with a key of its own where it was opened in the run.
    fn sign(&self, account: u64, opened: Option<u64>, message: &[u8]) -> [u8; 64] {
        match opened {
            Some(number) => Self::new_key(number).sign(message),
            None => self.accounts[account as usize].sign(message),
        }
    }

    /// A signed opening of accounts with new keys.
    pub(crate) fn opening(&self, chain: u32, registrar: u64, keys: Range<u64>, nonce: u64) -> Transaction {
        let (chain, network) = (ChainId(chain), self.network());
        let account = |number: u64| {
            let key = Self::new_key(number);
            let public_key = key.public_key();
            let message = possession_message(&network, chain, AccountId(registrar), &public_key);
            NewAccount { key: &public_key, possession: &key.sign(&message) }.encode()
        };
        let encoded: Vec<_> = keys.map(account).collect();
        let opening = Opening {
            chain,
            key_version: engine::types::FIRST_KEY_VERSION,
            reference: [0; 12],
            registrar: AccountId(registrar),
            accounts: NewAccounts::of(&encoded),
            nonce,
            expiry: Height(u64::MAX),
        };
        let signed = opening.sign(&network, |message| self.accounts[registrar as usize].sign(message));
        signed.expect("a few accounts")
    }

    /// Signed linked transfers.
    pub(crate) fn linked(
        &self,
        chain: u32,
        (debit, opened): (u64, Option<u64>),
        payments: &[Payment],
        nonce: u64,
        expiry: u64,
    ) -> Transaction {
        let encoded: Vec<_> = payments.iter().map(Payment::encode).collect();
        let linked = Linked {
            chain: ChainId(chain),
            key_version: engine::types::FIRST_KEY_VERSION,
            reference: [0; 12],
            debit: AccountId(debit),
            payments: Payments::of(&encoded),
            memo: b"simulated",
            nonce,
            expiry: Height(expiry),
        };
        let signed = linked.sign(&self.network(), |message| self.sign(debit, opened, message));
        signed.expect("1 to 1,000 payments and a short memo")
    }

    /// A signed transfer; the credit may be on another chain.
    pub(crate) fn transfer(
        &self,
        (chain, credit_chain): (u32, Option<u32>),
        (debit, opened, credit): (u64, Option<u64>, u64),
        amount: u64,
        nonce: u64,
        expiry: u64,
    ) -> Transaction {
        let transfer = Transfer {
            chain: ChainId(chain),
            key_version: engine::types::FIRST_KEY_VERSION,
            reference: [0; 12],
            debit: AccountId(debit),
            credit_chain: credit_chain.map(ChainId),
            credit: AccountId(credit),
            amount,
            nonce,
            expiry: Height(expiry),
        };
        let signed = transfer.sign(&self.network(), |message| self.sign(debit, opened, message));
        signed.run().transaction().expect("a transfer has a shape")
    }
}
