//! The beginning of a network: who validates, which chains there are, who holds what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AccountId, Asset, ChainId, Digest, ValidatorIndex};
use crate::limits::{
    ACCOUNTS_MAX, CHAINS_MAX, GENESIS_ACCOUNTS_MAX, LOCK_WINDOW_SECONDS_MAX, NAME_BYTES_MAX, ROWS_MAX,
    VALIDATORS_MAX,
};

/// The key version of every account's first key.
pub const FIRST_KEY_VERSION: u32 = 1;

/// How many of `n` validators are a quorum: 2f+1 where n = 3f+1.
///
/// # Panics
/// `n` is 0.
pub fn quorum(n: usize) -> usize {
    assert!(n > 0, "a network has validators");
    n - (n - 1) / 3
}

/// What a chain does with transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ChainKind {
    /// Accounts and transfers.
    Transfers = 1,
    /// Accounts and the fingerprints that they register.
    Attestations = 2,
}

impl ChainKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Transfers, Self::Attestations];

    /// What it is called in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Attestations => "attestations",
        }
    }
}

/// The signatures and hashes of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CryptoSuite {
    /// ZIP-215 Ed25519 with SHA-256.
    Ed25519 = 1,
}

/// One account at the beginning. Its id is its place in the chain's array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountGenesis {
    /// The key of version [`FIRST_KEY_VERSION`].
    pub public_key: [u8; 32],
    /// Its balance at height 0.
    pub balance: u64,
}

/// Who may order what on a chain. A role that nobody holds cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// The account that issues and burns.
    pub issuer: Option<AccountId>,
    /// How much more may be issued than is burned; 0 without an issuer.
    pub issuance_cap: u64,
    /// The account that freezes and unfreezes.
    pub freezer: Option<AccountId>,
    /// Who opens accounts.
    pub registrar: Registrar,
    /// How many accounts the chain may have in all; 0 where nobody opens any.
    pub accounts_cap: u64,
    /// How many attestations the chain may have in all; 0 where its kind has none.
    pub attestations_cap: u64,
    /// How long a change of an account can be cancelled.
    pub windows: LockWindows,
}

/// How long changes of an account wait before they take effect, in seconds of the chain's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockWindows {
    /// A key that the account's own key asks for, and closing; at least 1.
    pub rekey_seconds: u32,
    /// A key that a recovery key or guardians ask for, and other safeguards; longer than the other window, at most
    /// [`LOCK_WINDOW_SECONDS_MAX`].
    pub recovery_seconds: u32,
}

impl Default for LockWindows {
    /// A day and a week.
    fn default() -> Self {
        Self { rekey_seconds: 24 * 3_600, recovery_seconds: 7 * 24 * 3_600 }
    }
}

impl LockWindows {
    /// Whether the longer window is the longer one, and neither is too short or too long.
    pub fn are_valid(self) -> bool {
        self.rekey_seconds > 0
            && self.rekey_seconds < self.recovery_seconds
            && self.recovery_seconds <= LOCK_WINDOW_SECONDS_MAX
    }
}

/// Who opens accounts of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registrar {
    /// Nobody.
    #[default]
    Nobody,
    /// This account.
    Account(AccountId),
    /// Any account of the chain.
    Anyone,
}

impl Roles {
    /// Whether an account holds any of them.
    pub fn are_held_by(&self, account: AccountId) -> bool {
        [self.issuer, self.freezer].contains(&Some(account)) || self.registrar == Registrar::Account(account)
    }
}

impl Registrar {
    /// Whether an account may open others.
    pub fn is(self, account: AccountId) -> bool {
        match self {
            Self::Nobody => false,
            Self::Account(holder) => holder == account,
            Self::Anyone => true,
        }
    }
}

/// What has been issued and burned on a chain since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuance {
    /// The sum of all that was issued.
    pub issued: u64,
    /// The sum of all that was burned.
    pub burned: u64,
}

impl Issuance {
    /// After issuing more, if that stays below a cap on what is issued and not burned.
    pub fn issue(self, amount: u64, cap: u64) -> Option<Self> {
        let issued = self.issued.checked_add(amount)?;
        let within = u128::from(issued) <= u128::from(self.burned) + u128::from(cap);
        within.then_some(Self { issued, ..self })
    }

    /// After burning, if the sum of all burns still fits.
    pub fn burn(self, amount: u64) -> Option<Self> {
        Some(Self { burned: self.burned.checked_add(amount)?, ..self })
    }

    /// Without a part of it.
    pub fn without(self, part: Self) -> Self {
        Self { issued: self.issued - part.issued, burned: self.burned - part.burned }
    }
}

/// One chain at the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainGenesis {
    /// Its number, which transactions name.
    pub id: ChainId,
    /// What it does with transactions.
    pub kind: ChainKind,
    /// How it signs and hashes.
    pub suite: CryptoSuite,
    /// What its balances are balances of.
    pub asset: Asset,
    /// Who may order what.
    pub roles: Roles,
    /// Its accounts, dense from 0.
    pub accounts: Vec<AccountGenesis>,
}

impl ChainGenesis {
    /// The sum of all balances, which no transfer changes; only issuing and burning do.
    pub fn supply(&self) -> Option<u64> {
        self.accounts.iter().try_fold(0_u64, |sum, account| sum.checked_add(account.balance))
    }

    fn check_roles(&self) -> Result<(), GenesisError> {
        let (chain, accounts, roles) = (self.id, self.accounts.len(), &self.roles);
        let registrar = match roles.registrar {
            Registrar::Account(account) => Some(account),
            Registrar::Nobody | Registrar::Anyone => None,
        };
        for account in [roles.issuer, roles.freezer, registrar].into_iter().flatten() {
            if account.0 >= accounts as u64 {
                return Err(GenesisError::RoleAccount { chain, accounts, account });
            }
        }
        if roles.issuer.is_some() != (roles.issuance_cap > 0) {
            return Err(GenesisError::IssuanceCap(chain));
        }
        let caps = match roles.registrar {
            Registrar::Nobody => 0..=0,
            Registrar::Account(_) | Registrar::Anyone => accounts as u64..=ACCOUNTS_MAX,
        };
        if !caps.contains(&roles.accounts_cap) {
            return Err(GenesisError::AccountsCap { chain, accounts });
        }
        if !roles.windows.are_valid() {
            return Err(GenesisError::LockWindows(chain));
        }
        self.check_kind()
    }

    /// A chain has what its kind has, and nothing else.
    fn check_kind(&self) -> Result<(), GenesisError> {
        let cap = self.roles.attestations_cap;
        match self.kind {
            ChainKind::Transfers if cap > 0 => Err(GenesisError::AttestationsCap(self.id)),
            ChainKind::Transfers => {
                (self.asset != Asset::NONE).then_some(()).ok_or(GenesisError::NoAsset(self.id))
            }
            ChainKind::Attestations if !(1..ROWS_MAX).contains(&cap) => {
                Err(GenesisError::AttestationsCap(self.id))
            }
            ChainKind::Attestations => {
                let money = self.accounts.iter().any(|account| account.balance > 0);
                let has_money = money || self.roles.issuer.is_some() || self.asset != Asset::NONE;
                (!has_money).then_some(()).ok_or(GenesisError::Money(self.id))
            }
        }
    }
}

/// One validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorGenesis {
    /// A name for people.
    pub name: String,
    /// The Ed25519 key of its votes and batches.
    pub public_key: [u8; 32],
    /// SHA-256 of its TLS certificate.
    pub certificate_fingerprint: [u8; 32],
}

/// Why a genesis is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// A name is empty or too long.
    #[error("a name must have 1 to {NAME_BYTES_MAX} bytes, this one has {0}")]
    Name(usize),
    /// No validator, or too many.
    #[error("a network has 1 to {VALIDATORS_MAX} validators, not {0}")]
    Validators(usize),
    /// Two validators share a key or a certificate.
    #[error("validators {0} and {1} share a key or a certificate")]
    SharedIdentity(ValidatorIndex, ValidatorIndex),
    /// No chain, or too many.
    #[error("a network has 1 to {CHAINS_MAX} chains, not {0}")]
    Chains(usize),
    /// Chain ids do not ascend.
    #[error("chain {0} is not above the chain before it")]
    ChainOrder(ChainId),
    /// A chain without accounts, or with too many.
    #[error("chain {chain} must have 1 to {GENESIS_ACCOUNTS_MAX} accounts at its genesis, not {accounts}")]
    Accounts {
        /// The chain.
        chain: ChainId,
        /// How many it has.
        accounts: usize,
    },
    /// The money of an asset, with all that may be issued, does not fit into 64 bits: a credit could overflow.
    #[error("the balances of all chains of asset {0} and what may be issued add up to more than 2^64 - 1")]
    Supply(Asset),
    /// A role is held by an account that does not exist.
    #[error("chain {chain} has {accounts} accounts, so account {account} cannot hold a role")]
    RoleAccount {
        /// The chain.
        chain: ChainId,
        /// How many accounts it has.
        accounts: usize,
        /// The account that should hold it.
        account: AccountId,
    },
    /// A cap on accounts without a registrar, or one that is no cap.
    #[error(
        "chain {chain} has {accounts} accounts: with a registrar it needs a cap on accounts from there to {ACCOUNTS_MAX}, \
         and none without"
    )]
    AccountsCap {
        /// The chain.
        chain: ChainId,
        /// How many accounts it has.
        accounts: usize,
    },
    /// A cap on attestations where there are none, or none where there are.
    #[error(
        "chain {0}: a chain of the kind \"attestations\" needs a cap on attestations from 1 to 4294967295, and any other \
         none"
    )]
    AttestationsCap(ChainId),
    /// A lock window of no length, or one that is too long.
    #[error(
        "chain {0}: the lock window of a re-key must be at least 1 second and shorter than that of a recovery, which may \
         be {LOCK_WINDOW_SECONDS_MAX} seconds at most"
    )]
    LockWindows(ChainId),
    /// No asset on a chain that has money.
    #[error("chain {0} is of the kind \"transfers\": it needs an asset, and 16 zero bytes are none")]
    NoAsset(ChainId),
    /// Money on a chain that has none.
    #[error("chain {0} is of the kind \"attestations\": it has no asset, no issuer, and no balances")]
    Money(ChainId),
    /// An issuance cap without an issuer, or the other way round.
    #[error("chain {0} needs both an issuer and an issuance cap above 0, or neither")]
    IssuanceCap(ChainId),
}

/// The beginning of a network, valid by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    name: String,
    validators: Vec<ValidatorGenesis>,
    chains: Vec<ChainGenesis>,
    header: Vec<u8>,
    network: Digest,
}

impl Genesis {
    /// Checks everything, hashes all accounts and computes the network id.
    ///
    /// # Errors
    /// [`GenesisError`]: the first thing that is invalid.
    pub fn new(
        name: String,
        validators: Vec<ValidatorGenesis>,
        chains: Vec<ChainGenesis>,
    ) -> Result<Self, GenesisError> {
        check_name(&name)?;
        if validators.is_empty() || validators.len() > VALIDATORS_MAX {
            return Err(GenesisError::Validators(validators.len()));
        }
        for (i, validator) in validators.iter().enumerate() {
            check_name(&validator.name)?;
            for (j, earlier) in validators[..i].iter().enumerate() {
                if earlier.public_key == validator.public_key
                    || earlier.certificate_fingerprint == validator.certificate_fingerprint
                {
                    return Err(GenesisError::SharedIdentity(
                        ValidatorIndex(j as u16),
                        ValidatorIndex(i as u16),
                    ));
                }
            }
        }
        if chains.is_empty() || chains.len() > CHAINS_MAX {
            return Err(GenesisError::Chains(chains.len()));
        }
        if let Some(pair) = chains.windows(2).find(|pair| pair[0].id >= pair[1].id) {
            return Err(GenesisError::ChainOrder(pair[1].id));
        }
        let mut supplies = BTreeMap::new();
        for chain in &chains {
            if chain.accounts.is_empty() || chain.accounts.len() > GENESIS_ACCOUNTS_MAX {
                return Err(GenesisError::Accounts { chain: chain.id, accounts: chain.accounts.len() });
            }
            chain.check_roles()?;
            let supply = supplies.entry(chain.asset).or_insert(0_u64);
            let most = chain.supply().and_then(|of_chain| of_chain.checked_add(chain.roles.issuance_cap));
            let sum = most.and_then(|of_chain| supply.checked_add(of_chain));
            *supply = sum.ok_or(GenesisError::Supply(chain.asset))?;
        }
        let mut genesis = Self { name, validators, chains, header: Vec::new(), network: Digest::default() };
        genesis.header = genesis.encode_header();
        genesis.network = Digest(kernels::sha2::sha256(&genesis.header));
        Ok(genesis)
    }

    /// The name of the network.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The network id: SHA-256 of the [header](Self::header). It is the digest of the block at height 0.
    pub fn network(&self) -> &Digest {
        &self.network
    }

    /// The genesis without its accounts: the validators, and of each chain the root over its accounts. It is all that a
    /// stranger needs to check a proof.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// The validators; a [`ValidatorIndex`] is a place in here.
    pub fn validators(&self) -> &[ValidatorGenesis] {
        &self.validators
    }

    /// One validator.
    pub fn validator(&self, index: ValidatorIndex) -> Option<&ValidatorGenesis> {
        self.validators.get(usize::from(index.0))
    }

    /// The chains, ascending by id.
    pub fn chains(&self) -> &[ChainGenesis] {
        &self.chains
    }

    /// One chain.
    pub fn chain(&self, id: ChainId) -> Option<&ChainGenesis> {
        let at = self.chains.binary_search_by_key(&id, |chain| chain.id).ok()?;
        self.chains.get(at)
    }

    /// The key of an account at the beginning.
    pub fn account(&self, chain: ChainId, account: AccountId) -> Option<&AccountGenesis> {
        self.chain(chain)?.accounts.get(usize::try_from(account.0).ok()?)
    }

    /// How many validators are a quorum.
    pub fn quorum(&self) -> usize {
        quorum(self.validators.len())
    }
}

fn check_name(name: &str) -> Result<(), GenesisError> {
    match name.len() {
        1..=NAME_BYTES_MAX => Ok(()),
        length => Err(GenesisError::Name(length)),
    }
}
