//! The beginning of a network: who validates, which chains there are, who holds what.

use std::collections::BTreeMap;

use kernels::ed25519::is_small_order;
use serde::{Deserialize, Serialize};

use super::{
    AccountId, Asset, ChainId, Council, Digest, Height, Membership, Origin, Registrar, Roles, ValidatorIndex,
};
use crate::limits::{
    ACCOUNTS_MAX, ADMINISTRATORS_MAX, BLOCK_PACKET_BYTES_MAX, CHAINS_MAX, GENESIS_ACCOUNTS_MAX,
    LOCK_WINDOW_SECONDS_MAX, NAME_BYTES_MAX, QUOTA_BYTES_MIN, ROWS_MAX, VALIDATORS_MAX,
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

/// What a chain does with transactions: transfers, where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u16)]
pub enum ChainKind {
    /// Accounts and transfers.
    #[default]
    Transfers = 1,
    /// Accounts and the fingerprints that they register.
    Attestations = 2,
    /// Administrators, and what they decide about all chains. A network has at most one such chain.
    Governance = 3,
}

impl ChainKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Transfers, Self::Attestations, Self::Governance];

    /// The kind of this number.
    pub fn of(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u16 == number)
    }

    /// What it is called in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Attestations => "attestations",
            Self::Governance => "governance",
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

impl CryptoSuite {
    /// The suite of this number.
    pub fn of(number: u16) -> Option<Self> {
        (number == Self::Ed25519 as u16).then_some(Self::Ed25519)
    }
}

/// One account at the beginning. Its id is its place in the chain's array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountGenesis {
    /// The key of version [`FIRST_KEY_VERSION`].
    pub public_key: [u8; 32],
    /// Its balance at height 0.
    pub balance: u64,
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
    /// How many of its accounts, which are the administrators, must approve a decision; 0 unless the kind is
    /// *governance*.
    pub threshold: u8,
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
        for account in roles.holders() {
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
        if !roles.quota.is_valid() {
            return Err(GenesisError::Quota(chain));
        }
        self.check_kind()
    }

    /// A chain has what its kind has, and nothing else.
    fn check_kind(&self) -> Result<(), GenesisError> {
        let cap = self.roles.attestations_cap;
        let money = self.accounts.iter().any(|account| account.balance > 0);
        let has_money = money || self.roles.issuer.is_some() || self.asset != Asset::NONE;
        if (self.threshold > 0) != (self.kind == ChainKind::Governance) {
            return Err(GenesisError::Threshold(self.id));
        }
        match self.kind {
            ChainKind::Transfers | ChainKind::Governance if cap > 0 => {
                Err(GenesisError::AttestationsCap(self.id))
            }
            ChainKind::Transfers => {
                (self.asset != Asset::NONE).then_some(()).ok_or(GenesisError::NoAsset(self.id))
            }
            ChainKind::Attestations if !(1..ROWS_MAX).contains(&cap) => {
                Err(GenesisError::AttestationsCap(self.id))
            }
            ChainKind::Attestations | ChainKind::Governance if has_money => {
                Err(GenesisError::Money { chain: self.id, kind: self.kind.name() })
            }
            ChainKind::Attestations => Ok(()),
            ChainKind::Governance => {
                let accounts = (0..self.accounts.len() as u64).map(AccountId).collect();
                let council = Council { threshold: self.threshold, accounts };
                council.is_valid().then_some(()).ok_or(GenesisError::Administrators(self.id))
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
    /// SHA-256 of the public key of its TLS certificate (its SubjectPublicKeyInfo in DER).
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
    /// An account with a key under which one signature fits every message.
    #[error("the key of account {1} of chain {0} has small order: under it anybody could sign")]
    AccountKey(ChainId, AccountId),
    /// A validator with a key under which anybody could vote.
    #[error("the key of validator {0} has small order: under it anybody could vote")]
    ValidatorKey(ValidatorIndex),
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
        "chain {0}: rekey_window must be at least 1 second and shorter than recovery_window, which may be \
         {LOCK_WINDOW_SECONDS_MAX} seconds at most"
    )]
    LockWindows(ChainId),
    /// A quota that is too small for the largest envelope, or more than a block.
    #[error("chain {0} needs a quota from {QUOTA_BYTES_MIN} to {BLOCK_PACKET_BYTES_MAX} bytes a block")]
    Quota(ChainId),
    /// No asset on a chain that has money.
    #[error("chain {0} is of the kind \"transfers\": it needs an asset, and 16 zero bytes are none")]
    NoAsset(ChainId),
    /// Money on a chain that has none.
    #[error("chain {chain} is of the kind \"{kind}\": it has no asset, no issuer, and no balances")]
    Money {
        /// The chain.
        chain: ChainId,
        /// Its kind.
        kind: &'static str,
    },
    /// A threshold where nobody decides, or none where somebody does.
    #[error(
        "chain {0}: a chain of the kind \"governance\" needs a threshold, how many of its accounts must approve; any \
         other has none"
    )]
    Threshold(ChainId),
    /// Too many administrators, or a threshold that they cannot reach.
    #[error(
        "chain {0}: the accounts of a chain of the kind \"governance\" are the administrators: there are 1 to \
         {ADMINISTRATORS_MAX}, and the threshold is at most their number"
    )]
    Administrators(ChainId),
    /// Two chains that decide.
    #[error("chains {0} and {1} are both of the kind \"governance\": a network has at most one")]
    Governances(ChainId, ChainId),
    /// Administrators should decide who validates, and there are none.
    #[error(
        "administrators decide who validates only where there are some: a network whose members are \"decided\" needs a \
         chain of the kind \"governance\""
    )]
    NobodyDecides,
    /// A network goes on from nothing.
    #[error("a rebuilt network goes on from a height between 1 and {}", u64::MAX - 1)]
    Origin,
    /// An issuance cap without an issuer, or the other way round.
    #[error("chain {0} needs both an issuer and an issuance cap above 0, or neither")]
    IssuanceCap(ChainId),
}

/// The beginning of a network, valid by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    name: String,
    validators: Vec<ValidatorGenesis>,
    membership: Membership,
    origin: Option<Origin>,
    chains: Vec<ChainGenesis>,
    header: Vec<u8>,
    network: Digest,
}

impl Genesis {
    /// A network whose validators stay. Checks everything, hashes all accounts and computes the network id.
    ///
    /// # Errors
    /// [`GenesisError`]: the first thing that is invalid.
    pub fn new(
        name: String,
        validators: Vec<ValidatorGenesis>,
        chains: Vec<ChainGenesis>,
    ) -> Result<Self, GenesisError> {
        Self::with_membership(name, validators, Membership::Fixed, chains)
    }

    /// The same, and it says whether the validators may become others.
    ///
    /// # Errors
    /// [`GenesisError`]: the first thing that is invalid.
    pub fn with_membership(
        name: String,
        validators: Vec<ValidatorGenesis>,
        membership: Membership,
        chains: Vec<ChainGenesis>,
    ) -> Result<Self, GenesisError> {
        Self::with_origin(name, validators, (membership, None), chains)
    }

    /// The same, which goes on from the state of another network if it names one. The chains are those of that
    /// network's genesis.
    ///
    /// # Errors
    /// [`GenesisError`]: the first thing that is invalid.
    pub fn with_origin(
        name: String,
        validators: Vec<ValidatorGenesis>,
        (membership, origin): (Membership, Option<Origin>),
        chains: Vec<ChainGenesis>,
    ) -> Result<Self, GenesisError> {
        if origin.is_some_and(|origin| origin.height.0 == 0 || origin.height.0 == u64::MAX) {
            return Err(GenesisError::Origin);
        }
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
        if let Some(weak) = validators.iter().position(|validator| is_small_order(&validator.public_key)) {
            return Err(GenesisError::ValidatorKey(ValidatorIndex(weak as u16)));
        }
        if chains.is_empty() || chains.len() > CHAINS_MAX {
            return Err(GenesisError::Chains(chains.len()));
        }
        if let Some(pair) = chains.windows(2).find(|pair| pair[0].id >= pair[1].id) {
            return Err(GenesisError::ChainOrder(pair[1].id));
        }
        let mut deciding = chains.iter().filter(|chain| chain.kind == ChainKind::Governance);
        match (deciding.next(), deciding.next()) {
            (Some(one), Some(other)) => return Err(GenesisError::Governances(one.id, other.id)),
            (None, _) if membership == Membership::Decided => return Err(GenesisError::NobodyDecides),
            _ => {}
        }
        let mut supplies = BTreeMap::new();
        for chain in &chains {
            if chain.accounts.is_empty() || chain.accounts.len() > GENESIS_ACCOUNTS_MAX {
                return Err(GenesisError::Accounts { chain: chain.id, accounts: chain.accounts.len() });
            }
            let weak = chain.accounts.iter().position(|account| is_small_order(&account.public_key));
            if let Some(account) = weak {
                return Err(GenesisError::AccountKey(chain.id, AccountId(account as u64)));
            }
            chain.check_roles()?;
            let supply = supplies.entry(chain.asset).or_insert(0_u64);
            let most = chain.supply().and_then(|of_chain| of_chain.checked_add(chain.roles.issuance_cap));
            let sum = most.and_then(|of_chain| supply.checked_add(of_chain));
            *supply = sum.ok_or(GenesisError::Supply(chain.asset))?;
        }
        let (header, network) = (Vec::new(), Digest::default());
        let mut genesis = Self { name, validators, membership, origin, chains, header, network };
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

    /// The genesis without its accounts: the validators, whether they stay, and of each chain the root over its
    /// accounts. It is all that a stranger needs to check a proof.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// The validators; a [`ValidatorIndex`] is a place in here.
    pub fn validators(&self) -> &[ValidatorGenesis] {
        &self.validators
    }

    /// Whether they may become others.
    pub fn membership(&self) -> Membership {
        self.membership
    }

    /// The network from whose state it goes on, if it was rebuilt.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// What the first block extends, and its height: the network id at height 0, or the end of what a rebuilt network
    /// goes on from.
    pub fn first_parent(&self) -> (Height, Digest) {
        self.origin.map_or((Height(0), self.network), |origin| (origin.height, origin.block))
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

    /// Whether there can be a chain of this number: one of the genesis, or one that is created later.
    pub fn may_have(&self, chain: ChainId) -> bool {
        let is_later = self.chains.last().is_some_and(|last| chain > last.id);
        self.chain(chain).is_some() || (is_later && self.governance().is_some())
    }

    /// The chain that decides about the others, if there is one.
    pub fn governance(&self) -> Option<&ChainGenesis> {
        self.chains.iter().find(|chain| chain.kind == ChainKind::Governance)
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
