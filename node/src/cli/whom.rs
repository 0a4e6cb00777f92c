//! Which validator is meant.
//!
//! ```text
//! --network DIR                         the first that answers
//! --network DIR --validator 2|elm       as network.toml numbers it, or as the members now are named
//! --network DIR --endpoint HOST:PORT    one that network.toml does not list
//! --endpoint, --fingerprint, --network-id    without a directory
//! ```

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use net::{Address, Fingerprint};

/// A validator, as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By its number in `network.toml`.
    Index(u16),
    /// By its name, in `network.toml` or among the members that the network has now.
    Name(String),
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::Name(text.to_owned()));
        }
        text.parse()
            .map(Self::Index)
            .map_err(|_| "write the number of a validator in network.toml, or its name".to_owned())
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Name(name) => write!(f, "\"{}\"", name.escape_debug()),
        }
    }
}

/// Which validator to ask. The options are global: `query` takes them before its question or after it. So the parser
/// cannot hold them together, and [`WhomArgs::check`] does.
#[derive(Debug, Clone, Default, Args)]
pub struct WhomArgs {
    /// A network's directory, as `network init` made it.
    #[arg(long, value_name = "DIR", global = true)]
    pub network: Option<PathBuf>,
    /// With --network: which validator, by its number in network.toml or by its name in `chain members`; without it,
    /// the first that answers.
    #[arg(long, value_name = "INDEX|NAME", global = true)]
    pub validator: Option<Named>,
    /// The address for clients of a validator. Needed without --network, or if network.toml does not list it.
    #[arg(long, value_name = "HOST:PORT", global = true)]
    pub endpoint: Option<Address>,
    /// With --endpoint: the SHA-256 of the public key of the validator's certificate, as genesis.toml lists it. With
    /// --network it is needed only if neither network.toml nor `chain members` lists the validator.
    #[arg(long, value_name = "HEX", global = true)]
    pub fingerprint: Option<Fingerprint>,
    /// With --endpoint and without --network: the network id, as genesis.toml records it.
    #[arg(long, value_name = "HEX", global = true)]
    pub network_id: Option<engine::types::Digest>,
}

/// Why it is not clear which validator is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhomError {
    /// No validator is named, or not all that it takes.
    #[error("name a network with --network, or a validator with --endpoint, --fingerprint and --network-id")]
    Missing,
    /// The network is named twice.
    #[error("--network says which network it is: leave out --network-id")]
    Both,
    /// The validator is named twice.
    #[error("--validator and --endpoint both say which validator is meant: use one of them")]
    Twice,
    /// A fingerprint of nobody.
    #[error("--fingerprint is that of the validator at an address: add --endpoint")]
    NoEndpoint,
    /// Nobody says who is at the address.
    #[error(
        "neither network.toml nor the members that the network has now say who is at {0}: add --fingerprint, which \
         `chain members --json` and the validator's request.toml have as certificate_fingerprint"
    )]
    Unpinned(Address),
    /// An archive, and a validator.
    #[error(
        "--archive asks an archive instead of a validator: leave out --validator, --endpoint, --fingerprint and \
         --network-id"
    )]
    Archive,
    /// A validator of nothing.
    #[error("--validator names a validator of a network: name the network with --network")]
    NoNetwork,
}

impl WhomArgs {
    /// Whether the options go together beside an archive that is asked instead of a validator.
    ///
    /// # Errors
    /// [`WhomError::Archive`].
    pub fn check_beside_archive(&self) -> Result<(), WhomError> {
        let of_endpoint = self.endpoint.is_some() || self.fingerprint.is_some() || self.network_id.is_some();
        if of_endpoint || self.validator.is_some() { Err(WhomError::Archive) } else { Ok(()) }
    }

    /// Whether the options go together.
    ///
    /// # Errors
    /// [`WhomError`].
    pub fn check(&self) -> Result<(), WhomError> {
        let has = (self.endpoint.is_some(), self.fingerprint.is_some(), self.network_id.is_some());
        match (&self.network, has) {
            (Some(_), (.., true)) => Err(WhomError::Both),
            (Some(_), (true, ..)) if self.validator.is_some() => Err(WhomError::Twice),
            (Some(_), (false, true, _)) => Err(WhomError::NoEndpoint),
            (Some(_), _) => Ok(()),
            (None, _) if self.validator.is_some() => Err(WhomError::NoNetwork),
            (None, (true, true, true)) => Ok(()),
            (None, _) => Err(WhomError::Missing),
        }
    }
}
