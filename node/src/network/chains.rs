//! The chains of a network that is to be made: alike and numbered, or listed in a file.
//!
//! ```toml
//! [[chain]]
//! id = 1
//! kind = "transfers"   # or "attestations", or "governance"; transfers, if nothing is said
//! asset = "EUR"        # UNIT, if nothing is said
//! accounts = 5000      # these two from the command line, if nothing is said
//! balance = 1000000
//! issuer = 0           # nobody, if nothing is said; so is the freezer
//! issuance_cap = 500   # with an issuer
//! freezer = 1
//! registrar = 2        # or "anyone": who opens accounts
//! accounts_cap = 9000  # with a registrar: how many there may be in all
//! rekey_window = 86400      # seconds in which another key can be cancelled; a day, if nothing is said
//! recovery_window = 604800  # the same for a recovery; a week
//! quota = 1048576           # bytes of its transactions in one block; a whole block, if nothing is said
//!
//! [[chain]]
//! id = 2
//! kind = "attestations"     # without asset, balance and issuer
//! attestations_cap = 50000  # how many there may be in all; ten million, if nothing is said
//!
//! [[chain]]
//! id = 0
//! kind = "governance"       # at most one; without asset, balance and issuer
//! accounts = 3              # the administrators, at most 16; 3, if nothing is said
//! threshold = 2             # how many must approve; more than half, if nothing is said
//! ```

use std::path::Path;

use engine::limits::GENESIS_ACCOUNTS_MAX;
use engine::types::{Asset, ChainId, ChainKind, Roles};

use crate::config::{ConfigError, Section, genesis};

/// Administrators of a chain of the kind *governance* that does not say how many.
const ADMINISTRATORS: u64 = 3;

/// One chain of a network that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainDraft {
    /// Its number.
    pub id: ChainId,
    /// What it does.
    pub kind: ChainKind,
    /// What its balances are balances of.
    pub asset: Asset,
    /// Who may order what.
    pub roles: Roles,
    /// How many of its accounts must approve a decision; 0 unless it is the chain that decides.
    pub threshold: u8,
    /// How many accounts it has.
    pub accounts: u64,
    /// What each account holds.
    pub balance: u64,
}

impl ChainDraft {
    /// So many chains of one asset, numbered from 1.
    #[must_use]
    pub fn alike(chains: u32, accounts: u64, balance: u64) -> Vec<Self> {
        let chain = |id| Self {
            id: ChainId(id),
            kind: ChainKind::Transfers,
            asset: Asset::UNIT,
            roles: Roles::default(),
            threshold: 0,
            accounts,
            balance,
        };
        (1..=chains).map(chain).collect()
    }

    /// A chain that takes up to so many fingerprints.
    #[must_use]
    pub fn attestations(id: ChainId, accounts: u64, attestations_cap: u64) -> Self {
        let roles = Roles { attestations_cap, ..Roles::default() };
        let (kind, asset) = (ChainKind::Attestations, Asset::NONE);
        Self { id, kind, asset, roles, threshold: 0, accounts, balance: 0 }
    }

    /// The chain that decides about the others: so many administrators, of whom `threshold` must approve.
    #[must_use]
    pub fn governance(id: ChainId, administrators: u64, threshold: u8) -> Self {
        let (kind, asset, roles) = (ChainKind::Governance, Asset::NONE, Roles::default());
        Self { id, kind, asset, roles, threshold, accounts: administrators, balance: 0 }
    }

    /// The chains of a file, ascending. What one does not say of its accounts is `accounts` and `balance`.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the field at fault. Whether the chains go together is for the genesis to say.
    pub fn read(file: &Path, accounts: u64, balance: u64) -> Result<Vec<Self>, ConfigError> {
        let mut top = Section::open(file)?;
        let mut chains = Vec::new();
        for mut section in top.sections("chain")? {
            let id = ChainId(section.required("id", "the number of the chain")?);
            let kind = genesis::read_kind(&mut section)?;
            let balance = if kind == ChainKind::Transfers { balance } else { 0 };
            let decides = kind == ChainKind::Governance;
            let unnamed = if decides { ADMINISTRATORS } else { accounts };
            let accounts = section.bounded(
                "accounts",
                unnamed,
                1..=GENESIS_ACCOUNTS_MAX as u64,
                "how many accounts the chain has, 1 to 16777216",
            )?;
            let majority = if decides { 1 + accounts.min(254) as u8 / 2 } else { 0 };
            chains.push(Self {
                id,
                kind,
                asset: genesis::read_asset(&mut section, kind)?,
                roles: genesis::read_roles(&mut section, kind)?,
                threshold: genesis::read_threshold(&mut section, majority)?,
                accounts,
                balance: section.optional("balance", balance, "what each account holds")?,
            });
            section.finish()?;
        }
        top.finish()?;
        chains.sort_by_key(|chain| chain.id);
        Ok(chains)
    }
}
