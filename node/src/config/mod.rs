//! A validator's configuration: one TOML file, read at start and on SIGHUP, checked against itself and the
//! genesis.
//!
//! ```text
//! node.toml ──> Config ──┬── genesis.toml + chain-N.accounts ──> Genesis (content hashes to the network id)
//!                        ├── consensus.key  (mode 0600; on request 0640 or 0440)
//!                        └── tls.crt, tls.key
//! ```
//!
//! Invariants of a [`Config`] that loaded:
//! - the genesis' content hashes to the network id that the genesis file records;
//! - the peers are exactly the genesis' validators without this one, and keys and fingerprints agree;
//! - this validator's own keys are those the genesis knows it by;
//! - `1 <= batch_packets_max <= 4096`, and every other number is within its bounds.
//!
//! Paths in the file are relative to the file. Nothing is read from the environment. Names of hosts are not looked up
//! here: a name that leads nowhere today is no mistake of the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::limits::{CHECKPOINT_EVERY_BYTES, PUBLIC_KEY_BYTES, RETENTION_HEIGHTS_MIN};
use engine::replica::Retention;
use engine::types::Genesis;
use kernels::ed25519::SigningKey;
use net::{Address, Identity, IdentityError};

use crate::device::Policy;

mod changes;
mod error;
mod fields;
mod gateway;
pub mod genesis;
mod identity;
mod listen;

pub use changes::{Change, Takes};
pub use error::{ConfigError, Contradiction};
pub(crate) use fields::Section;
pub(crate) use identity::create_private;
pub use identity::{Readers, Secret};
pub use listen::ListenOn;

/// The file in a validator's data directory that says that it has never run. `network init` makes it and the first
/// start removes it: an empty directory without it is one that has lost its journal, and such a validator must not vote
/// or seal before its peers have told it what it may have forgotten.
pub const FIRST_START: &str = "first-start";

/// How the journal is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageBackend {
    /// io_uring where the kernel offers it, else portable.
    Auto,
    /// io_uring, or refuse to start.
    Uring,
    /// Plain file calls of the standard library.
    Portable,
}

/// Another validator, as this one reaches and recognises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Its place in the genesis.
    pub index: u16,
    /// Its name in the genesis.
    pub name: String,
    /// Where it is reached by its peers.
    pub address: Address,
    /// Where it is reached by clients, if that was said: the console asks there for its links.
    pub clients: Option<Address>,
    /// SHA-256 of the public key of its TLS certificate (DER).
    pub certificate_fingerprint: [u8; 32],
    /// The key of its votes and batches.
    pub public_key: [u8; 32],
}

/// One that may follow this validator without being one: a candidate, or a regulator's seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObserverConfig {
    /// A name for people.
    pub name: String,
    /// Where it is reached by validators.
    pub address: Address,
    /// SHA-256 of the public key of its TLS certificate (DER).
    pub certificate_fingerprint: [u8; 32],
}

/// Observers of one validator.
pub const OBSERVERS_MAX: usize = 16;

/// How much work is taken at once, and how much may wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkConfig {
    /// Threads that check signatures.
    pub verify_threads: usize,
    /// Whether a device checks signatures beside them.
    pub verify: Policy,
    /// A batch is sealed when so many packets wait…
    pub batch_packets_max: usize,
    /// …or, while earlier batches are on their way, when its oldest transaction has waited this long.
    pub batch_delay: Duration,
    /// A leader with work waits this long after the last block before it proposes the next; by default as many
    /// milliseconds as there are validators, at most 100.
    pub block_interval: Option<Duration>,
    /// Verified transactions that may wait in one chain's mempool.
    pub mempool_transactions: usize,
    /// Of these, how many may come from one account.
    pub mempool_per_account: usize,
    /// Packets from clients that may wait for verification; what exceeds it is shed with `Busy`.
    pub ingress_packets: usize,
}

/// Everything one validator needs to start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file this was read from.
    pub file: PathBuf,
    /// This validator's place in the genesis; none if it came, or is to come, by a decision.
    pub index: Option<u16>,
    /// Its name in the genesis, or in the decision.
    pub name: String,
    /// The genesis file of the network.
    pub genesis_file: PathBuf,
    /// The genesis, checked against the network id that its file records.
    pub genesis: Arc<Genesis>,
    /// Directory of journal and vote log; owned by one process at a time.
    pub data: PathBuf,
    /// How the journal is written.
    pub storage: StorageBackend,
    /// Bytes of one journal segment file.
    pub segment_bytes: u64,
    /// Bytes of batches in blocks after which a checkpoint is written.
    pub checkpoint_every_bytes: u64,
    /// Bytes that the scrubber reads in a second at most; 0: nothing is scrubbed.
    pub scrub_bytes_per_second: u64,
    /// How much of the journal is kept.
    pub retention: Retention,
    /// The archive that must have what the journal releases.
    pub archive: Option<PathBuf>,
    /// Whether the group of the secret keys may read them.
    pub group_may_read: bool,
    /// The ed25519 seed of votes and batches.
    pub consensus_seed: Secret,
    /// The file of the TLS certificate.
    pub certificate_file: PathBuf,
    /// The TLS certificate with its key.
    pub identity: Identity,
    /// Where this validator listens for other validators.
    pub listen_peers: ListenOn,
    /// Where it listens for clients.
    pub listen_clients: ListenOn,
    /// HTTP in the validator's process, if there is any.
    pub gateway: Option<::gateway::Doors>,
    /// How it is administered over HTTP, if it is.
    pub admin: Option<::gateway::AdminDoors>,
    /// The other validators of the genesis, ascending by index.
    pub peers: Vec<PeerConfig>,
    /// Those that may follow.
    pub observers: Vec<ObserverConfig>,
    /// Batch sizes, delays and queue lengths.
    pub work: WorkConfig,
    /// Log filter: a level, or `tracing` directives.
    pub log_level: String,
}

pub(crate) const HEX32: &str = "64 hexadecimal digits (32 bytes)";
/// What belongs where somebody is to be called.
pub(crate) const ADDRESS: &str = "a host name or IP address and a port where it can be called, such as \"node-3.example:7000\", \
                       \"192.0.2.7:7000\" or \"[2001:db8::7]:7000\"; 0.0.0.0 and [::] are only to listen on";
const LISTEN: &str = "an IP address and port to listen on, such as \"127.0.0.1:7000\", or \"0.0.0.0:7000\" and \
                      \"[::]:7000\" for all addresses of the machine; or a list of up to 16 such that are not in each \
                      other's way";

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the file and the field.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let mut top = Section::open(file)?;

        let mut validator = top.section("validator")?;
        let place = "this validator's place in the genesis, counted from 0; none if it is not there";
        let index = validator.optional_bounded("index", 0..=u16::MAX, place)?;
        let name: String = validator.required("name", "this validator's name")?;
        validator.finish()?;

        let mut network = top.section("network")?;
        let genesis_file = network.path("genesis", "the path of the network's genesis.toml")?;
        network.finish()?;

        let mut identity = top.section("identity")?;
        let consensus_key_file =
            identity.path("consensus_key", "the path of this validator's consensus key")?;
        let certificate_file =
            identity.path("certificate", "the path of this validator's TLS certificate")?;
        let private_key_file =
            identity.path("private_key", "the path of this validator's TLS private key")?;
        let group_may_read = identity.optional(
            "group_may_read",
            false,
            "true, if the group of the two secret keys may read them, else false",
        )?;
        let readers = if group_may_read { Readers::Group } else { Readers::Owner };
        identity.finish()?;

        let mut listen = top.section("listen")?;
        let listen_peers: ListenOn = listen.required("peers", LISTEN)?;
        let listen_clients: ListenOn = listen.required("clients", LISTEN)?;
        listen.finish()?;
        if listen_peers.clashes(&listen_clients) {
            return Err(ConfigError::from(Box::new(Contradiction {
                file: file.to_owned(),
                field: "listen.peers".into(),
                says: listen_peers.to_string(),
                other_file: file.to_owned(),
                other_field: "listen.clients".into(),
                other_says: listen_clients.to_string(),
                help: "peers and clients need a port each",
            })));
        }

        let (gateway, admin) = gateway::read(&mut top)?.unzip();

        let mut storage = top.section("storage")?;
        let data = storage.path("directory", "the directory of this validator's journal")?;
        let backend = storage.choice(
            "backend",
            &[
                ("auto", StorageBackend::Auto),
                ("uring", StorageBackend::Uring),
                ("portable", StorageBackend::Portable),
            ],
            StorageBackend::Auto,
            "\"auto\", \"uring\" or \"portable\"",
        )?;
        let segment_mib: u64 =
            storage.bounded("segment_mib", 64, 4..=4096, "the size of a journal segment, 4 to 4096 MiB")?;
        let checkpoint_every_kib: u64 = storage.bounded(
            "checkpoint_every_kib",
            CHECKPOINT_EVERY_BYTES >> 10,
            16..=1 << 30,
            "after how many KiB of transactions in blocks the next checkpoint is written, 16 to 1073741824",
        )?;
        let scrub_mib: u64 = storage.bounded(
            "scrub_mib_per_second",
            8,
            0..=1024,
            "how many MiB are read in a second to find rot, at most, 0 to 1024; with 0 nobody looks",
        )?;
        let retention = read_retention(&mut storage)?;
        let archive = storage
            .optional_path("archive", "the directory of an archive, as `millrace archive` writes it")?;
        storage.finish()?;

        let work = read_work(top.section("work")?)?;

        let mut log = top.section("log")?;
        let log_level =
            log.optional("level", "info".to_owned(), "error, warn, info, debug or trace, or directives")?;
        log.finish()?;

        let mut peers =
            top.sections("peer")?.into_iter().map(read_peer).collect::<Result<Vec<PeerConfig>, _>>()?;
        peers.sort_by_key(|peer| peer.index);
        let observers = read_observers(&mut top, file)?;
        top.finish()?;

        let genesis = Arc::new(genesis::load(&genesis_file)?);
        let consensus_seed = Secret::load(&consensus_key_file, readers)?;
        readers.check(&private_key_file)?;
        let identity = Identity::load(&certificate_file, &private_key_file).map_err(|error| match error {
            IdentityError::File { path: file, source } => ConfigError::Unreadable { file, source },
            other => ConfigError::Content { file: certificate_file.clone(), problem: other.to_string() },
        })?;
        identity::Claims {
            file,
            genesis_file: &genesis_file,
            index,
            name: &name,
            peers: &peers,
            consensus_key_file: &consensus_key_file,
            consensus_seed: &consensus_seed,
            certificate_file: &certificate_file,
            identity: &identity,
        }
        .check(&genesis)?;

        Ok(Self {
            file: file.to_owned(),
            index,
            name,
            genesis_file,
            genesis,
            data,
            storage: backend,
            segment_bytes: segment_mib << 20,
            checkpoint_every_bytes: checkpoint_every_kib << 10,
            scrub_bytes_per_second: scrub_mib << 20,
            retention,
            archive,
            group_may_read,
            consensus_seed,
            certificate_file,
            identity,
            listen_peers,
            listen_clients,
            gateway,
            admin: admin.flatten(),
            peers,
            observers,
            work,
            log_level,
        })
    }
}

impl Config {
    /// The public key of this validator's votes and batches.
    #[must_use]
    pub fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES] {
        SigningKey::from_seed(self.consensus_seed.0).public_key()
    }
}

/// The genesis file that a validator's configuration names; nothing else of it is read or checked.
///
/// # Errors
/// A [`ConfigError`] that names the file and the field.
pub fn genesis_of(file: &Path) -> Result<PathBuf, ConfigError> {
    Section::open(file)?.section("network")?.path("genesis", "the path of the network's genesis.toml")
}

/// How much of the journal is kept: everything, if nothing is said.
fn read_retention(storage: &mut Section) -> Result<Retention, ConfigError> {
    let mib = storage.optional_bounded(
        "keep_mib",
        1..=1_u64 << 30,
        "the most MiB of the journal that are kept, 1 to 1073741824; what a start needs is always kept",
    )?;
    let heights = storage.optional_bounded(
        "keep_heights",
        1..=1_u64 << 48,
        "the most heights that are kept, 1 to 281474976710656; what a start needs is always kept",
    )?;
    let minutes = storage.optional_bounded(
        "keep_minutes",
        1..=100 * 366 * 24 * 60_u64,
        "the most minutes of blocks that are kept, 1 to 52704000 (100 years); what a start needs is always kept",
    )?;
    let (bytes, ms) = (mib.map(|mib| mib << 20), minutes.map(|minutes| minutes * 60_000));
    Ok(Retention { bytes, heights, ms, heights_min: RETENTION_HEIGHTS_MIN })
}

fn read_work(mut work: Section) -> Result<WorkConfig, ConfigError> {
    let millis = |value: u64| Duration::from_millis(value);
    let read = WorkConfig {
        verify: work.choice(
            "verify",
            &[Policy::Cpu, Policy::Gpu, Policy::Auto].map(|policy| (policy.word(), policy)),
            Policy::Cpu,
            "\"cpu\", \"gpu\" or \"auto\"",
        )?,
        verify_threads: work.bounded("verify_threads", 1, 1..=256, "the number of threads, 1 to 256")?,
        batch_packets_max: work.bounded(
            "batch_packets_max",
            4096,
            1..=4096,
            "the number of packets, 1 to 4096",
        )?,
        batch_delay: work
            .bounded("batch_delay_ms", 50, 1..=10_000, "milliseconds, 1 to 10000")
            .map(millis)?,
        block_interval: work
            .optional_bounded("block_interval_ms", 0..=10_000, "milliseconds, 0 to 10000")?
            .map(millis),
        mempool_transactions: work.bounded(
            "mempool_transactions",
            65_536,
            64..=16_777_216,
            "the number of transactions, 64 to 16777216",
        )?,
        mempool_per_account: work.bounded(
            "mempool_per_account",
            64,
            1..=64,
            "the number of transactions, 1 to 64 (the replay window holds no more)",
        )?,
        ingress_packets: work.bounded(
            "ingress_packets",
            65_536,
            4096..=16_777_216,
            "the number of packets, 4096 to 16777216",
        )?,
    };
    work.finish()?;
    Ok(read)
}

fn read_peer(mut peer: Section) -> Result<PeerConfig, ConfigError> {
    let read = PeerConfig {
        index: peer.required("index", "the peer's place in the genesis, counted from 0")?,
        name: peer.required("name", "the peer's name in the genesis")?,
        address: peer.required("address", ADDRESS)?,
        clients: peer.maybe("clients", ADDRESS)?,
        certificate_fingerprint: peer.required("certificate_fingerprint", HEX32)?,
        public_key: peer.required("public_key", HEX32)?,
    };
    peer.finish()?;
    Ok(read)
}

fn read_observers(top: &mut Section, file: &Path) -> Result<Vec<ObserverConfig>, ConfigError> {
    let observer = |mut section: Section| -> Result<ObserverConfig, ConfigError> {
        let read = ObserverConfig {
            name: section.required("name", "a name of the observer for people")?,
            address: section.required("address", ADDRESS)?,
            certificate_fingerprint: section.required("certificate_fingerprint", HEX32)?,
        };
        section.finish()?;
        Ok(read)
    };
    let all = top.sections("observer")?.into_iter().map(observer).collect::<Result<Vec<_>, _>>()?;
    let twice = (1..all.len()).find(|at| {
        all[..*at].iter().any(|of| of.certificate_fingerprint == all[*at].certificate_fingerprint)
    });
    let problem = match twice {
        Some(at) => {
            format!("the observer \"{}\" has the certificate of another one: list each once", all[at].name)
        }
        None if all.len() > OBSERVERS_MAX => {
            format!("a validator has at most {OBSERVERS_MAX} observers, and here are {}", all.len())
        }
        None => return Ok(all),
    };
    Err(ConfigError::Content { file: file.to_owned(), problem })
}

#[cfg(test)]
mod tests;
