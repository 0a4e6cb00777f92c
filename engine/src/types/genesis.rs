//! The beginning of a network: who validates, which chains there are, who holds what.

use std::collections::BTreeMap;

use kernels::ed25519::is_small_order;
use serde::{Deserialize, Serialize};

use super::{AccountId, Asset, ChainId, Council, Digest, Membership, ValidatorIndex};
use crate::limits::{
    ACCOUNTS_MAX, ADMINISTRATORS_MAX, BLOCK_PACKET_BYTES_MAX, CHAINS_MAX, GENESIS_ACCOUNTS_MAX,
    LOCK_WINDOW_SECONDS_MAX, NAME_BYTES_MAX, PACKET_BYTES, QUOTA_BYTES_MIN, ROWS_MAX, VALIDATORS_MAX,
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

/// The holder of a role that nobody holds, in the encoding.
const NOBODY: AccountId = AccountId(u64::MAX);
/// The registrar of a chain where any account opens others, in the encoding.
const ANYONE: AccountId = AccountId(u64::MAX - 1);

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
    /// How much of a block its transactions may take.
    pub quota: Quota,
}

/// How many bytes of transactions of a chain one block may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quota(pub u32);

impl Quota {
    /// A whole block: no other limit than that of blocks.
    pub const WHOLE: Self = Self(BLOCK_PACKET_BYTES_MAX as u32);
    /// The lowest one: the largest envelope fits.
    pub const LEAST: Self = Self(QUOTA_BYTES_MIN as u32);

    /// Whether it is one: from [`Self::LEAST`] to [`Self::WHOLE`].
    pub fn is_valid(self) -> bool {
        (Self::LEAST..=Self::WHOLE).contains(&self)
    }

    /// How many whole packets that is.
    pub fn packets(self) -> usize {
        self.0 as usize / PACKET_BYTES
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self::WHOLE
    }
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
    /// Bytes of their encoding.
    pub const BYTES: usize = 6 * 8 + 3 * 4;

    /// The bytes in a genesis, in a decision and in the row of a chain.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let registrar = match self.registrar {
            Registrar::Nobody => NOBODY,
            Registrar::Anyone => ANYONE,
            Registrar::Account(account) => account,
        };
        let LockWindows { rekey_seconds, recovery_seconds } = self.windows;
        let windows = u64::from(rekey_seconds) | u64::from(recovery_seconds) << 32;
        let holder = |of: Option<AccountId>| of.unwrap_or(NOBODY).0;
        let (issuer, freezer) = (holder(self.issuer), holder(self.freezer));
        let caps = [self.accounts_cap, self.attestations_cap];
        let fields = [issuer, self.issuance_cap, freezer, registrar.0, caps[0], caps[1], windows];
        let mut bytes = [0; Self::BYTES];
        for (place, field) in bytes.as_chunks_mut().0.iter_mut().zip(fields) {
            *place = field.to_le_bytes();
        }
        *bytes.last_chunk_mut().expect("longer than the last field") = self.quota.0.to_le_bytes();
        bytes
    }

    /// The inverse of [`Self::encode`]. All bytes are roles, if not those of a chain.
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let field = |at: usize| u64::from_le_bytes(bytes.as_chunks().0[at]);
        let holder = |at: usize| Some(AccountId(field(at))).filter(|account| *account != NOBODY);
        Self {
            issuer: holder(0),
            issuance_cap: field(1),
            freezer: holder(2),
            registrar: match AccountId(field(3)) {
                NOBODY => Registrar::Nobody,
                ANYONE => Registrar::Anyone,
                account => Registrar::Account(account),
            },
            accounts_cap: field(4),
            attestations_cap: field(5),
            windows: LockWindows {
                rekey_seconds: field(6) as u32,
                recovery_seconds: (field(6) >> 32) as u32,
            },
            quota: Quota(u32::from_le_bytes(*bytes.last_chunk().expect("longer than the last field"))),
        }
    }

    /// Whether an account holds any of them.
    pub fn are_held_by(&self, account: AccountId) -> bool {
        self.holders().any(|holder| holder == account)
    }

    /// The accounts that hold one.
    pub fn holders(&self) -> impl Iterator<Item = AccountId> {
        let registrar = match self.registrar {
            Registrar::Account(account) => Some(account),
            Registrar::Nobody | Registrar::Anyone => None,
        };
        [self.issuer, self.freezer, registrar].into_iter().flatten()
    }

    /// Without the roles of accounts that cannot have them, and what goes with those.
    #[must_use]
    pub fn kept(mut self, may_hold: impl Fn(AccountId) -> bool) -> Self {
        let lost = |holder: Option<AccountId>| holder.is_some_and(|account| !may_hold(account));
        if lost(self.issuer) {
            (self.issuer, self.issuance_cap) = (None, 0);
        }
        if lost(self.freezer) {
            self.freezer = None;
        }
        if let Registrar::Account(account) = self.registrar
            && lost(Some(account))
        {
            (self.registrar, self.accounts_cap) = (Registrar::Nobody, 0);
        }
        self
    }

    /// Whether a chain of this kind and asset can have them, whatever accounts it has.
    pub fn fit(&self, kind: ChainKind, asset: Asset) -> bool {
        let cap = self.attestations_cap;
        let fits_kind = match kind {
            ChainKind::Transfers => cap == 0 && asset != Asset::NONE,
            ChainKind::Attestations => (1..ROWS_MAX).contains(&cap) && self.are_without_money(asset),
            ChainKind::Governance => cap == 0 && self.are_without_money(asset),
        };
        fits_kind
            && self.issuer.is_some() == (self.issuance_cap > 0)
            && (self.registrar == Registrar::Nobody) == (self.accounts_cap == 0)
            && self.accounts_cap <= ACCOUNTS_MAX
            && self.holders().all(|account| account.0 < ACCOUNTS_MAX)
            && self.windows.are_valid()
            && self.quota.is_valid()
    }

    fn are_without_money(&self, asset: Asset) -> bool {
        asset == Asset::NONE && self.issuer.is_none()
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
        let mut genesis = Self { name, validators, membership, chains, header, network };
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
