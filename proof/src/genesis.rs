//! The header of a genesis: all that a stranger must have, and trust, before the first proof.
//!
//! ```text
//! magic | name | #validators | (name, key, certificate fingerprint).. | membership | origin | #chains | chains..
//! origin = 0, or 1 | network | height | block | state root | digest of the quotas
//! chain = id | kind | suite | asset | roles | threshold | accounts | accounts root | supply
//! roles = issuer | issuance cap | freezer | registrar | accounts cap | attestations cap | re-key window |
//!         recovery window | quota
//! ```
//!
//! The network id is the SHA-256 of these bytes, and every signature of a validator is over it. So a stranger who
//! has the right 32 bytes of a network can take the header from anywhere.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::Digest;
use crate::codec::{FormError, Reader};

/// Bytes of the largest header.
pub const GENESIS_HEADER_BYTES_MAX: usize = 64 << 10;
/// Validators of a network.
pub(crate) const VALIDATORS_MAX: usize = 128;
/// Chains of a network.
const CHAINS_MAX: usize = 256;
/// Accounts of a chain, as far as formats go.
const ACCOUNTS_MAX: u64 = 1 << 32;
/// Administrators of a network.
pub(crate) const ADMINISTRATORS_MAX: u64 = 16;
/// Bytes of a name.
pub(crate) const NAME_BYTES_MAX: usize = 64;

pub(crate) const MAGIC: &[u8; 26] = b"millrace/genesis-header/10";
const VALIDATOR_BYTES_MIN: usize = 4 + 1 + 32 + 32;
pub(crate) const CHAIN_BYTES: usize = 4 + 2 + 2 + 16 + Roles::BYTES + 4 + 8 + 32 + 8;
/// The holder of a role that nobody holds.
const NOBODY: u64 = u64::MAX;
/// The registrar of a chain where every account may open others.
pub const ANYONE: u64 = u64::MAX - 1;
/// Rows of a table, as far as formats go.
const ROWS_MAX: u64 = 1 << 32;
/// Seconds of the longest lock window.
const WINDOW_SECONDS_MAX: u32 = 366 * 24 * 3_600;
/// Bytes of transactions in a block that a chain may have: at least the largest envelope, at most all.
const QUOTAS: RangeInclusive<u32> = 64 << 10..=8 << 20;
/// The asset of a chain without money.
const NO_ASSET: [u8; 16] = [0; 16];
/// ZIP-215 Ed25519 with SHA-256.
pub(crate) const SUITE_ED25519: u16 = 1;

/// A validator of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    /// Its name, for people.
    pub name: String,
    /// The Ed25519 key of its votes.
    pub key: Digest,
    /// SHA-256 of its TLS certificate.
    pub certificate_fingerprint: Digest,
}

/// What a chain does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKind {
    /// Accounts that hold money and pay each other.
    Transfers,
    /// Accounts that register fingerprints.
    Attestations,
    /// Administrators, who decide about all chains.
    Governance,
}

impl ChainKind {
    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Attestations => "attestations",
            Self::Governance => "governance",
        }
    }

    pub(crate) fn number(self) -> u16 {
        match self {
            Self::Transfers => 1,
            Self::Attestations => 2,
            Self::Governance => 3,
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>, what: &'static str) -> Result<Self, FormError> {
        match reader.u16(what)? {
            1 => Ok(Self::Transfers),
            2 => Ok(Self::Attestations),
            3 => Ok(Self::Governance),
            _ => Err(FormError::Invalid { what, reason: "it is unknown here" }),
        }
    }
}

/// Who may order what on a chain, and how much of everything it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// The account that issues and burns, if there is one.
    pub issuer: Option<u64>,
    /// How much more may be issued than is burned.
    pub issuance_cap: u64,
    /// The account that freezes and unfreezes, if there is one.
    pub freezer: Option<u64>,
    /// The account that opens others, if there is one; [`ANYONE`] is every account.
    pub registrar: Option<u64>,
    /// How many accounts it may have in all; 0 where nobody opens any.
    pub accounts_cap: u64,
    /// How many attestations it may have in all; 0 where its kind has none.
    pub attestations_cap: u64,
    /// For how many seconds an account can cancel another key that its own key has asked for.
    pub rekey_window: u32,
    /// For how many seconds it can cancel a recovery.
    pub recovery_window: u32,
    /// How many bytes of its transactions one block may take.
    pub quota: u32,
}

impl Roles {
    /// Bytes of their encoding.
    pub const BYTES: usize = 6 * 8 + 3 * 4;

    /// Those that a chain has.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        let roles = Self::read_any(reader)?;
        let Self { rekey_window, recovery_window, .. } = roles;
        if rekey_window == 0 || rekey_window >= recovery_window || recovery_window > WINDOW_SECONDS_MAX {
            let reason = "the window of a recovery is the longer one, of at most 366 days";
            return Err(FormError::Invalid { what: "lock windows of a chain", reason });
        }
        if !QUOTAS.contains(&roles.quota) {
            let reason = "it is from 64 KiB to 8 MiB";
            return Err(FormError::Invalid { what: "quota of a chain", reason });
        }
        Ok(roles)
    }

    /// Those that somebody proposes, whether a chain could have them or not.
    pub(crate) fn read_any(reader: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(Self {
            issuer: holder(reader, "issuer of a chain")?,
            issuance_cap: reader.u64("issuance cap of a chain")?,
            freezer: holder(reader, "freezer of a chain")?,
            registrar: holder(reader, "registrar of a chain")?,
            accounts_cap: reader.u64("accounts cap of a chain")?,
            attestations_cap: reader.u64("attestations cap of a chain")?,
            rekey_window: reader.u32("re-key window of a chain")?,
            recovery_window: reader.u32("recovery window of a chain")?,
            quota: reader.u32("quota of a chain")?,
        })
    }
}

/// A chain of the network as it was at height 0. Its accounts sign with Ed25519.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its number.
    pub id: u32,
    /// What it does.
    pub kind: ChainKind,
    /// What its balances are balances of: a name padded with zeroes, or any 16 bytes.
    pub asset: [u8; 16],
    /// Who may order what.
    pub roles: Roles,
    /// How many of its accounts, which are the administrators, must approve a decision; 0 where its kind has none.
    pub threshold: u32,
    /// How many accounts it has.
    pub accounts: u64,
    /// The root over its accounts at height 0.
    pub accounts_root: Digest,
    /// The sum of all balances.
    pub supply: u64,
}

/// From where a rebuilt network goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The network from whose last state it goes on.
    pub network: Digest,
    /// The height of that state.
    pub height: u64,
    /// The block that its first one extends.
    pub block: Digest,
    /// The state root from which it goes on.
    pub state_root: Digest,
    /// SHA-256 of the quotas of its chains.
    pub quotas: Digest,
}

/// The header of a genesis, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The network id: SHA-256 of the header.
    pub network: Digest,
    /// The name of the network.
    pub name: String,
    /// The validators, in the order of their indices; no two share a key.
    pub validators: Vec<Validator>,
    /// Whether administrators can put others in their places; otherwise they stay.
    pub members_are_decided: bool,
    /// From where it goes on, if it was rebuilt.
    pub origin: Option<Origin>,
    /// The chains, ascending by id.
    pub chains: Vec<Chain>,
}

impl Genesis {
    /// Decodes a header.
    ///
    /// # Errors
    /// [`FormError`]: the bytes are not one header in its one form.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormError> {
        if bytes.len() > GENESIS_HEADER_BYTES_MAX {
            let (count, max) = (bytes.len(), GENESIS_HEADER_BYTES_MAX);
            return Err(FormError::TooMany { what: "bytes of the genesis header", count, max });
        }
        let mut reader = Reader::new(bytes);
        if reader.array("magic of the genesis header")? != *MAGIC {
            let reason = "this is not a genesis header of version 10";
            return Err(FormError::Invalid { what: "magic of the genesis header", reason });
        }
        let name = text(&mut reader, "name of the network")?;
        let validators = many(&mut reader, "validators", VALIDATORS_MAX, VALIDATOR_BYTES_MIN, validator)?;
        let shared = |(at, one): (usize, &Validator)| {
            let same = |other: &Validator| {
                other.key == one.key || other.certificate_fingerprint == one.certificate_fingerprint
            };
            validators.iter().take(at).any(same)
        };
        if validators.iter().enumerate().any(shared) {
            return Err(FormError::Invalid {
                what: "validators",
                reason: "two share a key or a certificate",
            });
        }
        let members_are_decided = match reader.u8("membership")? {
            0 => false,
            1 => true,
            _ => return Err(FormError::Invalid { what: "membership", reason: "it is unknown here" }),
        };
        let origin = origin(&mut reader)?;
        let chains = many(&mut reader, "chains", CHAINS_MAX, CHAIN_BYTES, chain)?;
        if !chains.is_sorted_by(|a, b| a.id < b.id) {
            return Err(FormError::Invalid { what: "chains", reason: "their ids do not ascend" });
        }
        match chains.iter().filter(|chain| chain.kind == ChainKind::Governance).count() {
            0 if members_are_decided => {
                return Err(FormError::Invalid {
                    what: "membership",
                    reason: "there is no chain that decides",
                });
            }
            0 | 1 => {}
            _ => return Err(FormError::Invalid { what: "chains", reason: "two are of the kind governance" }),
        }
        reader.finish()?;
        let network = kernels::sha2::sha256(bytes);
        Ok(Self { network, name, validators, members_are_decided, origin, chains })
    }

    /// How many validators are a quorum: all but those that may be faulty.
    #[must_use]
    pub fn quorum(&self) -> usize {
        quorum(self.validators.len())
    }
}

/// How many of so many validators are a quorum: all but those that may be faulty.
pub(crate) fn quorum(validators: usize) -> usize {
    validators - validators.saturating_sub(1) / 3
}

fn text(reader: &mut Reader<'_>, what: &'static str) -> Result<String, FormError> {
    let count = reader.u32(what)? as usize;
    let length = reader.bounded(what, count, NAME_BYTES_MAX, 1)?;
    if length == 0 {
        return Err(FormError::Invalid { what, reason: "it is empty" });
    }
    let bytes = reader.take(what, length)?;
    let text = str::from_utf8(bytes).map_err(|_| FormError::Invalid { what, reason: "it is not UTF-8" })?;
    Ok(String::from(text))
}

fn origin(reader: &mut Reader<'_>) -> Result<Option<Origin>, FormError> {
    let what = "origin of the network";
    let origin = match reader.u8(what)? {
        0 => return Ok(None),
        1 => Origin {
            network: reader.array(what)?,
            height: reader.u64(what)?,
            block: reader.array(what)?,
            state_root: reader.array(what)?,
            quotas: reader.array(what)?,
        },
        _ => return Err(FormError::Invalid { what, reason: "it is unknown here" }),
    };
    match origin.height {
        0 | u64::MAX => Err(FormError::Invalid { what, reason: "nothing goes on from its height" }),
        _ => Ok(Some(origin)),
    }
}

/// At least one of something.
fn many<'a, T>(
    reader: &mut Reader<'a>,
    what: &'static str,
    max: usize,
    item_bytes: usize,
    item: impl Fn(&mut Reader<'a>) -> Result<T, FormError>,
) -> Result<Vec<T>, FormError> {
    let count = reader.u32(what)? as usize;
    match reader.bounded(what, count, max, item_bytes)? {
        0 => Err(FormError::Invalid { what, reason: "there are none" }),
        count => (0..count).map(|_| item(reader)).collect(),
    }
}

fn validator(reader: &mut Reader<'_>) -> Result<Validator, FormError> {
    Ok(Validator {
        name: text(reader, "name of a validator")?,
        key: reader.array("key of a validator")?,
        certificate_fingerprint: reader.array("certificate fingerprint of a validator")?,
    })
}

fn chain(reader: &mut Reader<'_>) -> Result<Chain, FormError> {
    let id = reader.u32("id of a chain")?;
    let kind = ChainKind::read(reader, "kind of a chain")?;
    if reader.u16("suite of a chain")? != SUITE_ED25519 {
        return Err(FormError::Invalid { what: "suite of a chain", reason: "it is unknown here" });
    }
    let asset = reader.array("asset of a chain")?;
    let roles = Roles::read(reader)?;
    let threshold = reader.u32("threshold of a chain")?;
    let accounts = reader.u64("accounts of a chain")?;
    if accounts == 0 || accounts > ACCOUNTS_MAX {
        return Err(FormError::Invalid { what: "accounts of a chain", reason: "there are 1 to 2^32" });
    }
    let accounts_root = reader.array("accounts root of a chain")?;
    let supply = reader.u64("supply of a chain")?;
    let Roles { issuer, issuance_cap, attestations_cap, .. } = roles;
    let has_money = asset != NO_ASSET || issuer.is_some() || issuance_cap > 0 || supply > 0;
    let fits = match kind {
        ChainKind::Transfers => asset != NO_ASSET && attestations_cap == 0,
        ChainKind::Attestations => !has_money && (1..ROWS_MAX).contains(&attestations_cap),
        ChainKind::Governance => !has_money && attestations_cap == 0 && accounts <= ADMINISTRATORS_MAX,
    };
    let decides = kind == ChainKind::Governance;
    let fits = fits && (threshold > 0) == decides && u64::from(threshold) <= accounts;
    if !fits {
        return Err(FormError::Invalid {
            what: "kind of a chain",
            reason: "its other fields do not fit to it",
        });
    }
    Ok(Chain { id, kind, asset, roles, threshold, accounts, accounts_root, supply })
}

fn holder(reader: &mut Reader<'_>, what: &'static str) -> Result<Option<u64>, FormError> {
    let account = reader.u64(what)?;
    Ok((account != NOBODY).then_some(account))
}
