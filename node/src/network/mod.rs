//! A network in one directory: made by `init`, run by `up`, stopped by `down`.
//!
//! ```text
//! DIR/network.toml        where to find everything below, and every validator's addresses
//! DIR/genesis.toml        DIR/chain-1.accounts …
//! DIR/genesis.header      what a stranger needs to check proofs
//! DIR/genesis.state       of a network that was rebuilt: the state from which it goes on
//! DIR/customers.seed      the secret behind every account's key: test money only
//! DIR/validator-0/        node.toml  consensus.key  tls.crt  tls.key  data/  node.log  node.pid
//! ```
//!
//! Invariants: a directory that has a `network.toml` was written completely (it is written last); no file of
//! an existing network is ever overwritten; `node.pid` names a process that was started with this
//! validator's `node.toml`, or is stale and recognised as such.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use client::{Client, ClientError};
use engine::types::{ChainId, Genesis, ValidatorIndex};
use loadgen::client_keys::ClientSeed;
use net::{Address, Fingerprint};

use crate::cli::Verify;
use crate::config::{ADDRESS, ConfigError, Contradiction, Readers, Secret, Section, genesis};
use crate::device::Policy;

mod add;
mod chains;
mod found;
mod init;
mod learn;
mod names;
mod process;
mod rebuild;
mod renew;
mod running;
mod waiting;

pub use add::{AddError, Added, REQUEST_FILE, add, request};
pub use chains::ChainDraft;
pub use init::{ACCOUNT_BALANCE, InitError, InitOptions, init};
pub(crate) use learn::told_epochs;
pub use learn::{LearnError, Learnt, ToldError, learn};
pub(crate) use process::signal;
pub use process::{ProcessError, Tie, ValidatorProcess};
pub use rebuild::{RebuildError, Rebuilt, STATE_FILE, rebuild};
pub use renew::renew;
pub use running::{Down, RunError, Running, Up, down, stop_new_on_signal, up, wait_ready};

/// The line of a `[work]` section that says who checks signatures; none where that is the CPU.
pub(crate) fn verify_setting(verify: Verify) -> Vec<(String, String)> {
    let policy = verify.policy();
    let line = (policy != Policy::Cpu).then(|| ("verify".to_owned(), format!("\"{}\"", policy.word())));
    line.into_iter().collect()
}

/// Name of the file that makes a directory a network.
pub const NETWORK_FILE: &str = "network.toml";

const SEED_HELP: &str = "the path of the clients' seed, which makes the keys of test money";

/// One validator of a network, as its operator and its clients see it.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its place in the genesis.
    pub index: ValidatorIndex,
    /// Its name.
    pub name: String,
    /// Where clients connect.
    pub clients: Address,
    /// What clients recognise it by.
    pub fingerprint: Fingerprint,
    /// The directory with its configuration, keys, log and data.
    pub directory: PathBuf,
}

impl Member {
    /// Connects to its client port.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn connect(&self, genesis: &Genesis) -> Result<Client, ClientError> {
        Client::connect(&self.clients, self.fingerprint, *genesis.network())
    }

    /// Its configuration.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.directory.join("node.toml")
    }

    /// What it prints.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.directory.join("node.log")
    }

    /// The id of its process, while `network up` runs it.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.directory.join("node.pid")
    }

    /// Its data directory: journal and vote log.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }
}

/// A network that was made by [`init`].
#[derive(Debug, Clone)]
pub struct Network {
    /// Its directory.
    pub directory: PathBuf,
    /// Its genesis.
    pub genesis: Arc<Genesis>,
    /// Its validators, in the order of the genesis.
    pub members: Vec<Member>,
    /// The file of the secret behind every account's key, if the network has one.
    seed_file: Option<PathBuf>,
}

impl Network {
    /// Where clients reach a member of an epoch: as was decided about it, or else as `network.toml` says.
    #[must_use]
    pub fn client_address_of(&self, member: &engine::types::Member) -> Option<Address> {
        let listed = || self.members.iter().find(|of| of.fingerprint.0 == member.certificate_fingerprint);
        member.client_address.parse().ok().or_else(|| Some(listed()?.clients.clone()))
    }

    /// Reads the network in `directory`.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the file and the field.
    pub fn load(directory: &Path) -> Result<Self, ConfigError> {
        let file = directory.join(NETWORK_FILE);
        let mut top = Section::open(&file).map_err(|error| match error {
            ConfigError::Unreadable { file, source } if source.kind() == ErrorKind::NotFound => {
                let problem = "there is no such file; name the directory of a network, as `millrace network init` made it";
                ConfigError::Content { file, problem: problem.into() }
            }
            other => other,
        })?;
        let genesis_file = top.path("genesis", "the path of genesis.toml")?;
        let seed_file = top.optional_path("customers", SEED_HELP)?;
        let members =
            top.sections("validator")?.into_iter().map(read_member).collect::<Result<Vec<_>, _>>()?;
        top.finish()?;
        let genesis = Arc::new(genesis::load(&genesis_file)?);
        for (at, validator) in genesis.validators().iter().enumerate() {
            let member = members.get(at).filter(|member| {
                usize::from(member.index.0) == at
                    && member.fingerprint.0 == validator.certificate_fingerprint
                    && member.name == validator.name
            });
            if member.is_none() {
                return Err(ConfigError::from(Box::new(Contradiction {
                    file,
                    field: format!("validator[{at}]"),
                    says: members.get(at).map_or("nothing".into(), |member| {
                        let (index, print) = (member.index, member.fingerprint);
                        format!("\"{}\" with index {index} and the fingerprint {print}", member.name)
                    }),
                    other_file: genesis_file,
                    other_field: format!("validator[{at}]"),
                    other_says: format!(
                        "\"{}\" with index {at} and the fingerprint {}",
                        validator.name,
                        Fingerprint(validator.certificate_fingerprint)
                    ),
                    help: "index, name and fingerprint must be those of the genesis, in its order. Where all differ, one \
                           of the files is of another network",
                })));
            }
        }
        Ok(Self { directory: directory.to_owned(), genesis, members, seed_file })
    }

    /// The secret behind every account's key: only those who sign as clients with test money need it.
    ///
    /// # Errors
    /// A [`ConfigError`]: the network has none here, or others can read it.
    pub fn client_seed(&self) -> Result<ClientSeed, ConfigError> {
        let missing = || ConfigError::Missing {
            file: self.directory.join(NETWORK_FILE),
            field: "customers".into(),
            help: SEED_HELP,
            misspelt: None,
        };
        Ok(ClientSeed(Secret::load(self.seed_file.as_ref().ok_or_else(missing)?, Readers::Owner)?.0))
    }

    /// The chains of the genesis.
    pub fn chains(&self) -> impl Iterator<Item = ChainId> + '_ {
        self.genesis.chains().iter().map(|chain| chain.id)
    }
}

fn read_member(mut section: Section) -> Result<Member, ConfigError> {
    let member = Member {
        index: ValidatorIndex(section.required("index", "the validator's place in the genesis")?),
        name: section.required("name", "the validator's name")?,
        clients: section.required("clients", ADDRESS)?,
        fingerprint: Fingerprint(section.required(
            "certificate_fingerprint",
            "the SHA-256 of the public key of the validator's certificate, 64 hexadecimal digits",
        )?),
        directory: section.path("directory", "the validator's directory")?,
    };
    section.finish()?;
    Ok(member)
}

#[cfg(test)]
mod tests;
