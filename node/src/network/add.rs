//! Another validator for a network: its keys and its configuration, and what the others and the administrators need to
//! let it in.
//!
//! ```text
//! DIR/validator-4/      consensus.key  tls.crt  tls.key  node.toml  data/      it follows, as an observer
//!            request.toml                                                      what administrators admit
//! DIR/validator-0/node.toml, ..   [[observer]]                                 the others let it follow
//! ```
//!
//! Nothing here makes it a validator: `millrace chain admit` proposes that.

use std::fs;
use std::path::{Path, PathBuf};

use engine::types::{Member as Candidate, Membership, ValidatorIndex};
use net::Address;

use super::init::{CONSENSUS_KEY, Draft, InitOptions, addresses, at, peer_section};
use super::{InitError, Member, NETWORK_FILE, Network};
use crate::config::genesis::quoted;
use crate::config::{ADDRESS, ConfigError, HEX32, Section};
use crate::disk::replace_file;

/// The file with what administrators admit, in the directory of a new validator.
pub const REQUEST_FILE: &str = "request.toml";

/// A validator that was prepared.
#[derive(Debug)]
pub struct Added {
    /// It, as `network.toml` lists it.
    pub member: Member,
    /// What administrators admit.
    pub request: PathBuf,
    /// What the configuration of each validator must say so that it can follow.
    pub section: String,
    /// The configurations of the directory that say so now: of one other validator or more.
    pub extended: Vec<PathBuf>,
    /// Whether the others run elsewhere: none of their secret keys is in the directory.
    pub others_elsewhere: bool,
}

/// Why no validator can be added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The genesis says that the members are fixed.
    #[error(
        "the genesis of this network says that its validators are fixed, so nobody can admit another one: make a network \
         with `millrace network init --governance K/N --decide-members`"
    )]
    Fixed,
    /// Nothing says where a validator of the genesis is reached.
    #[error(
        "nothing in {} says where validator {index} (\"{name}\") is reached: copy the node.toml of two other validators \
         into their directories there", .directory.display()
    )]
    Unreached {
        /// The directory of the network.
        directory: PathBuf,
        /// Its place.
        index: usize,
        /// Its name.
        name: String,
    },
    /// Another one is reached there.
    #[error(
        "\"{name}\" is reached at {address} already: choose other ports with --base-port, or another --host"
    )]
    Taken {
        /// The address.
        address: Address,
        /// Who has it.
        name: String,
    },
    /// A configuration that is there cannot be read.
    #[error("{}: {problem}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        problem: String,
    },
    /// As for a new network.
    #[error(transparent)]
    Init(#[from] InitError),
    /// What was written does not load.
    #[error(transparent)]
    Load(#[from] ConfigError),
}

/// Makes the directory of another validator of a network, which listens where `options` say, and lets it follow those
/// validators whose configurations are here.
///
/// # Errors
/// [`AddError`]; what was written until then stays.
pub fn add(network: &Network, options: &InitOptions) -> Result<Added, AddError> {
    if network.genesis.membership() != Membership::Decided {
        return Err(AddError::Fixed);
    }
    let index = network.members.len();
    let directory = network.directory.join(format!("validator-{index}"));
    if directory.symlink_metadata().is_ok() {
        return Err(InitError::InTheWay(directory).into());
    }
    let known = known(network)?;
    let peers = peers(network, &known)?;
    let reached = addresses(&InitOptions { validators: 1, ..options.clone() })?.remove(0);
    let taken = known.iter().find(|of| of.address == reached.0.0 || of.address == reached.1.0);
    if let Some(Known { name, address, .. }) = taken.cloned() {
        return Err(AddError::Taken { address, name });
    }
    let draft = Draft::new(&network.directory, index, reached)?;
    draft.save()?;
    let mut text = format!(
        "# \"{}\", which is to be a validator of the network \"{}\". Paths are relative to this file.\n\
         # Until administrators admit it, it follows. Run it in this directory: millrace node --config node.toml\n",
        draft.name,
        network.genesis.name().escape_debug(),
    );
    text.push_str(&draft.settings(options, None));
    text.push_str(&peers);
    let config = directory.join("node.toml");
    fs::write(&config, text).map_err(at(&config))?;

    let fingerprint = draft.identity.fingerprint();
    let request = directory.join(REQUEST_FILE);
    let asks = format!(
        "# What administrators admit: millrace chain admit {REQUEST_FILE} --as ACCOUNT --network DIR\n\
         name = {}\npublic_key = \"{}\"\ncertificate_fingerprint = \"{fingerprint}\"\n\
         peers = \"{}\"\nclients = \"{}\"\n",
        quoted(&draft.name),
        hex::encode(draft.public_key()),
        draft.peers.0,
        draft.clients.0,
    );
    fs::write(&request, asks).map_err(at(&request))?;
    let section = format!(
        "[[observer]]\nname = {}\naddress = \"{}\"\ncertificate_fingerprint = \"{fingerprint}\"\n",
        quoted(&draft.name),
        draft.peers.0
    );
    let mut extended = Vec::new();
    for member in network.members.iter().filter(|member| member.config_file().exists()) {
        let file = member.config_file();
        extend(&file, &section)?;
        extended.push(file);
    }
    extend(&network.directory.join(NETWORK_FILE), &draft.listed(index))?;
    let Draft { name, clients: (clients, _), .. } = draft;
    let member = Member { index: ValidatorIndex(index as u16), name, clients, fingerprint, directory };
    let others_elsewhere =
        !network.members.iter().any(|member| member.directory.join(CONSENSUS_KEY).exists());
    Ok(Added { member, request, section, extended, others_elsewhere })
}

/// Writes a section behind what a file has.
fn extend(file: &Path, section: &str) -> Result<(), InitError> {
    let text = fs::read_to_string(file).map_err(at(file))?;
    let extended = format!("{}\n\n{section}", text.trim_end());
    replace_file(file, extended.as_bytes()).map_err(at(file))
}

/// An address that the files here give to somebody.
#[derive(Debug, Clone)]
struct Known {
    name: String,
    address: Address,
    /// Its place in the genesis, where the address is that for peers of a validator of the genesis.
    index: Option<usize>,
}

/// All addresses in the configurations that are here, and in `network.toml`.
fn known(network: &Network) -> Result<Vec<Known>, AddError> {
    let listed =
        |member: &Member| Known { name: member.name.clone(), address: member.clients.clone(), index: None };
    let mut known: Vec<_> = network.members.iter().map(listed).collect();
    for (place, member) in network.members.iter().enumerate().filter(|(_, of)| of.config_file().exists()) {
        let file = member.config_file();
        let unreadable = |problem: String| AddError::Unreadable { file: file.clone(), problem };
        let text = fs::read_to_string(&file).map_err(|error| unreadable(error.to_string()))?;
        let table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| unreadable(error.to_string()))?;
        for kind in ["peer", "observer"] {
            for section in table.get(kind).and_then(toml::Value::as_array).into_iter().flatten() {
                let text = |field| section.get(field).and_then(toml::Value::as_str);
                let index = section.get("index").and_then(toml::Value::as_integer);
                let index = index.and_then(|index| usize::try_from(index).ok());
                let address = text("address").map(str::parse);
                if let (Some(name), Some(Ok(address))) = (text("name"), address) {
                    known.push(Known { name: name.to_owned(), address, index });
                }
            }
        }
        // Of the only one no other says where it is reached.
        let listens = table.get("listen").and_then(|listen| listen.get("peers"));
        let port = listens.and_then(toml::Value::as_str).and_then(|text| text.rsplit_once(':'));
        let clients = member.clients.to_string();
        let host = clients.rsplit_once(':');
        if let (0, 1, Some((_, port)), Some((host, _))) =
            (place, network.genesis.validators().len(), port, host)
        {
            let address = format!("{host}:{port}").parse();
            known.extend(address.ok().map(|address| Known {
                name: member.name.clone(),
                address,
                index: Some(0),
            }));
        }
    }
    Ok(known)
}

/// The sections about the validators of the genesis, as the configurations that are here have them.
fn peers(network: &Network, known: &[Known]) -> Result<String, AddError> {
    let mut text = String::new();
    for (index, validator) in network.genesis.validators().iter().enumerate() {
        let found = known.iter().find(|of| of.index == Some(index)).ok_or_else(|| AddError::Unreached {
            directory: network.directory.clone(),
            index,
            name: validator.name.clone(),
        })?;
        let listed = network.members.iter().find(|of| of.fingerprint.0 == validator.certificate_fingerprint);
        let reached = (&*found.address.to_string(), listed.map(|member| &member.clients));
        text.push_str(&peer_section(index, validator, reached));
    }
    Ok(text)
}

/// Reads what a validator asks to be admitted as.
///
/// # Errors
/// A [`ConfigError`] that names the file and the field.
pub fn request(file: &Path) -> Result<Candidate, ConfigError> {
    if file.is_dir() {
        let request = file.join(REQUEST_FILE);
        let name = if request.is_file() { request } else { REQUEST_FILE.into() };
        return Err(ConfigError::Directory { file: file.to_owned(), name });
    }
    let mut top = Section::open(file)?;
    let (peers, clients): (Address, Address) =
        (top.required("peers", ADDRESS)?, top.required("clients", ADDRESS)?);
    let candidate = Candidate {
        name: top.required("name", "the name of the validator")?,
        public_key: top.required("public_key", HEX32)?,
        certificate_fingerprint: top.required::<[u8; 32]>("certificate_fingerprint", HEX32)?,
        peer_address: peers.to_string(),
        client_address: clients.to_string(),
    };
    top.finish()?;
    Ok(candidate)
}
