//! The genesis on disk: a file for people, and the accounts of each chain beside it.
//!
//! ```text
//! genesis.toml          name, network id, members, validators, chains        (read by people, compared by operators)
//! genesis.header        the same without the accounts, for strangers: its SHA-256 is the network id; not read here
//! chain-1.accounts      public key [32] | balance u64 little-endian (40 bytes an account, in account order)
//! ```
//!
//! Invariant: what [`load`] returns hashes to the network id that genesis.toml records, so a changed byte in
//! either file is noticed before anything is signed for the wrong network.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use engine::limits::{ACCOUNTS_MAX, LOCK_WINDOW_SECONDS_MAX};
use engine::types::{
    AccountGenesis, AccountId, Asset, ChainGenesis, ChainId, ChainKind, CryptoSuite, Digest, Genesis, Height,
    LockWindows, Membership, Origin, Quota, Registrar, Roles, ValidatorGenesis,
};

use super::{ConfigError, Contradiction, HEX32, Section};

/// Bytes of one account in an accounts file.
const ACCOUNT_BYTES: usize = 40;
/// How many attestations a chain may have that names no cap.
const ATTESTATIONS_CAP: u64 = 10_000_000;
/// Name of the file that strangers need, beside [`GENESIS_FILE`].
pub const HEADER_FILE: &str = "genesis.header";
/// Name of the genesis file in a network's directory.
pub const GENESIS_FILE: &str = "genesis.toml";

/// Name of the file with a chain's accounts in a network's directory.
#[must_use]
pub fn accounts_file(chain: ChainId) -> String {
    format!("chain-{chain}.accounts")
}

/// Reads a genesis and checks its content against the network id that it records.
///
/// # Errors
/// A [`ConfigError`] that names the file and what is wrong with it.
pub fn load(file: &Path) -> Result<Genesis, ConfigError> {
    let mut top = Section::open(file)?;
    let name: String = top.required("name", "the name of the network")?;
    let recorded = Digest(top.required::<[u8; 32]>("network_id", HEX32)?);
    let origin = top.optional_section("origin")?.map(read_origin).transpose()?;
    let memberships = [Membership::Fixed, Membership::Decided].map(|one| (one.name(), one));
    let what = "\"fixed\", or \"decided\" if administrators decide who validates";
    let membership = top.choice("membership", &memberships, Membership::Fixed, what)?;
    let validators =
        top.sections("validator")?.into_iter().map(read_validator).collect::<Result<Vec<_>, _>>()?;
    let chains = top.sections("chain")?.into_iter().map(read_chain).collect::<Result<Vec<_>, _>>()?;
    top.finish()?;
    let genesis = Genesis::with_origin(name, validators, (membership, origin), chains)
        .map_err(|error| ConfigError::Content { file: file.to_owned(), problem: error.to_string() })?;
    if *genesis.network() != recorded {
        return Err(ConfigError::from(Box::new(Contradiction {
            file: file.to_owned(),
            field: "network_id".into(),
            says: recorded.to_string(),
            other_file: file.to_owned(),
            other_field: "the content of this file and its accounts files".into(),
            other_says: genesis.network().to_string(),
            help: "a byte was changed, so copy the genesis files again from where the network was made; or another version \
                   of millrace made it, and only that one can use it",
        })));
    }
    Ok(genesis)
}

/// Writes a genesis into a directory.
///
/// # Errors
/// What the operating system answered.
pub fn save(genesis: &Genesis, directory: &Path) -> io::Result<PathBuf> {
    let mut text = format!(
        "# The beginning of the network \"{}\". Every validator and client holds the same file: the network\n\
         # id is the SHA-256 of genesis.header, which covers everything in here and in the accounts files. It is\n\
         # under every signature.\n\
         name = {}\nnetwork_id = \"{}\"\nmembership = \"{}\"\n",
        genesis.name().escape_debug(),
        quoted(genesis.name()),
        genesis.network(),
        genesis.membership().name(),
    );
    if let Some(Origin { network, height, block, state_root, quotas }) = genesis.origin() {
        let _ = write!(
            text,
            "\n# The network was rebuilt: it goes on from this state of another one.\n\
             [origin]\nnetwork = \"{network}\"\nheight = {height}\nblock = \"{block}\"\nstate_root = \"{state_root}\"\nquotas = \"{quotas}\"\n",
        );
    }
    for validator in genesis.validators() {
        let _ = write!(
            text,
            "\n[[validator]]\nname = {}\npublic_key = \"{}\"\ncertificate_fingerprint = \"{}\"\n",
            quoted(&validator.name),
            hex::encode(validator.public_key),
            hex::encode(validator.certificate_fingerprint),
        );
    }
    for chain in genesis.chains() {
        let accounts_file = accounts_file(chain.id);
        let mut bytes = Vec::with_capacity(chain.accounts.len() * ACCOUNT_BYTES);
        for account in &chain.accounts {
            bytes.extend_from_slice(&account.public_key);
            bytes.extend_from_slice(&account.balance.to_le_bytes());
        }
        fs::write(directory.join(&accounts_file), bytes)?;
        let _ = write!(
            text,
            "\n[[chain]]\nid = {}\nkind = \"{}\"\nsuite = \"ed25519\"\naccounts = {}\naccounts_file = \"{accounts_file}\"\n",
            chain.id,
            chain.kind.name(),
            chain.accounts.len(),
        );
        let Roles {
            issuer,
            issuance_cap,
            freezer,
            registrar,
            accounts_cap,
            attestations_cap,
            windows,
            quota,
        } = chain.roles;
        let _ = match chain.kind {
            ChainKind::Transfers => writeln!(text, "asset = {}", quoted(&chain.asset.to_string())),
            ChainKind::Attestations => writeln!(text, "attestations_cap = {attestations_cap}"),
            ChainKind::Governance => writeln!(text, "threshold = {}", chain.threshold),
        };
        if let Some(issuer) = issuer {
            let _ = writeln!(text, "issuer = {issuer}\nissuance_cap = {issuance_cap}");
        }
        if let Some(freezer) = freezer {
            let _ = writeln!(text, "freezer = {freezer}");
        }
        let _ = match registrar {
            Registrar::Nobody => Ok(()),
            Registrar::Account(account) => {
                writeln!(text, "registrar = {account}\naccounts_cap = {accounts_cap}")
            }
            Registrar::Anyone => writeln!(text, "registrar = \"anyone\"\naccounts_cap = {accounts_cap}"),
        };
        let LockWindows { rekey_seconds, recovery_seconds } = windows;
        let _ = writeln!(
            text,
            "rekey_window = {rekey_seconds}\nrecovery_window = {recovery_seconds}\nquota = {}",
            quota.0
        );
    }
    fs::write(directory.join(HEADER_FILE), genesis.header())?;
    let file = directory.join(GENESIS_FILE);
    fs::write(&file, text)?;
    Ok(file)
}

/// A TOML string.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn read_origin(mut section: Section) -> Result<Origin, ConfigError> {
    let origin = Origin {
        network: Digest(section.required::<[u8; 32]>("network", HEX32)?),
        height: Height(section.required("height", "the height of the state from which the network goes on")?),
        block: Digest(section.required::<[u8; 32]>("block", HEX32)?),
        state_root: Digest(section.required::<[u8; 32]>("state_root", HEX32)?),
        quotas: Digest(section.required::<[u8; 32]>("quotas", HEX32)?),
    };
    section.finish()?;
    Ok(origin)
}

fn read_validator(mut section: Section) -> Result<ValidatorGenesis, ConfigError> {
    let validator = ValidatorGenesis {
        name: section.required("name", "the validator's name")?,
        public_key: section.required("public_key", HEX32)?,
        certificate_fingerprint: section.required("certificate_fingerprint", HEX32)?,
    };
    section.finish()?;
    Ok(validator)
}

/// What a chain does with transactions.
pub(crate) fn read_kind(section: &mut Section) -> Result<ChainKind, ConfigError> {
    let kinds = ChainKind::ALL.map(|kind| (kind.name(), kind));
    section.choice("kind", &kinds, ChainKind::Transfers, "\"transfers\", \"attestations\" or \"governance\"")
}

/// What the balances of a chain are balances of; a chain without money has none unless one is named.
pub(crate) fn read_asset(section: &mut Section, kind: ChainKind) -> Result<Asset, ConfigError> {
    let unnamed = match kind {
        ChainKind::Transfers => Asset::UNIT,
        ChainKind::Attestations | ChainKind::Governance => Asset::NONE,
    };
    section.optional("asset", unnamed, "the name of what is counted, 1 to 16 characters")
}

/// How many administrators must approve, on the chain that decides.
pub(crate) fn read_threshold(section: &mut Section, unnamed: u8) -> Result<u8, ConfigError> {
    let what = "how many of its accounts must approve a decision, if the kind is \"governance\"";
    section.optional("threshold", unnamed, what)
}

/// Who may order what on a chain, and how much of everything it may have.
pub(crate) fn read_roles(section: &mut Section, kind: ChainKind) -> Result<Roles, ConfigError> {
    let accounts = 0..=ACCOUNTS_MAX - 1;
    let issuer = section.optional_bounded("issuer", accounts.clone(), "the account that issues and burns")?;
    let cap = "how much more may be issued than is burned; it takes an issuer";
    let issuance_cap = section.optional("issuance_cap", 0, cap)?;
    let freezer = section.optional_bounded("freezer", accounts, "the account that freezes and unfreezes")?;
    let who = "the number of the account that opens others, or \"anyone\" for every account of the chain";
    let registrar = section.optional("registrar", Registrar::Nobody, who)?;
    let cap = "how many accounts the chain may have in all; it takes a registrar";
    let accounts_cap = section.optional("accounts_cap", 0, cap)?;
    let unnamed = match kind {
        ChainKind::Transfers | ChainKind::Governance => 0,
        ChainKind::Attestations => ATTESTATIONS_CAP,
    };
    let cap = "how many attestations the chain may have in all, if it is of the kind \"attestations\"";
    let attestations_cap = section.optional("attestations_cap", unnamed, cap)?;
    let (issuer, freezer) = (issuer.map(AccountId), freezer.map(AccountId));
    let (unnamed, bounds) = (LockWindows::default(), 1..=LOCK_WINDOW_SECONDS_MAX);
    let what = "seconds in which an account can cancel another key of its own";
    let rekey_seconds = section.optional_bounded("rekey_window", bounds.clone(), what)?;
    let what = "seconds in which an account can cancel a recovery; more than rekey_window";
    let recovery_seconds = section.optional_bounded("recovery_window", bounds, what)?;
    let windows = LockWindows {
        rekey_seconds: rekey_seconds.unwrap_or(unnamed.rekey_seconds),
        recovery_seconds: recovery_seconds.unwrap_or(unnamed.recovery_seconds),
    };
    let what = "how many bytes of its transactions one block may take, 65536 to 8388608";
    let quota = section.optional_bounded("quota", Quota::LEAST.0..=Quota::WHOLE.0, what)?;
    let quota = quota.map_or(Quota::WHOLE, Quota);
    Ok(Roles { issuer, issuance_cap, freezer, registrar, accounts_cap, attestations_cap, windows, quota })
}

fn read_chain(mut section: Section) -> Result<ChainGenesis, ConfigError> {
    let id = ChainId(section.required("id", "the number of the chain")?);
    let kind = read_kind(&mut section)?;
    let suite =
        section.choice("suite", &[("ed25519", CryptoSuite::Ed25519)], CryptoSuite::Ed25519, "\"ed25519\"")?;
    let asset = read_asset(&mut section, kind)?;
    let roles = read_roles(&mut section, kind)?;
    let threshold = read_threshold(&mut section, 0)?;
    let count: usize = section.required("accounts", "how many accounts the accounts file holds")?;
    let file = section.path("accounts_file", "the path of the chain's accounts")?;
    section.finish()?;
    let bytes = fs::read(&file).map_err(|source| ConfigError::Unreadable { file: file.clone(), source })?;
    if Some(bytes.len()) != count.checked_mul(ACCOUNT_BYTES) {
        let problem = format!(
            "this file has {} bytes, but {count} accounts take {ACCOUNT_BYTES} bytes each; copy it again from \
             where the network was made",
            bytes.len()
        );
        return Err(ConfigError::Content { file, problem });
    }
    let accounts = bytes
        .chunks_exact(ACCOUNT_BYTES)
        .map(|account| AccountGenesis {
            public_key: account[..32].try_into().expect("32 of 40 bytes"),
            balance: u64::from_le_bytes(account[32..].try_into().expect("8 of 40 bytes")),
        })
        .collect();
    Ok(ChainGenesis { id, kind, suite, asset, roles, threshold, accounts })
}
