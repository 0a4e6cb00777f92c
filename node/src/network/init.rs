//! Makes a network: keys, certificates, genesis and one configuration for each validator.

use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use engine::limits::PUBLIC_KEY_BYTES;
use engine::types::{
    AccountGenesis, ChainGenesis, ChainId, CryptoSuite, Genesis, GenesisError, Membership, ValidatorGenesis,
};
use kernels::ed25519::SigningKey;
use loadgen::client_keys::ClientSeed;
use net::{Address, Host, Identity};

use super::{ChainDraft, NETWORK_FILE, Network, STATE_FILE, names};
use crate::config::genesis::{self, quoted};
use crate::config::{ConfigError, FIRST_START, ListenOn, Secret};

/// What the network is to be like.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// The network's name.
    pub name: String,
    /// How many validators.
    pub validators: u16,
    /// The chains, ascending.
    pub chains: Vec<ChainDraft>,
    /// Whether administrators decide about the validators, too.
    pub membership: Membership,
    /// Where the validators are reached: one host for all of them, or one for each, in their order.
    pub hosts: Vec<Host>,
    /// The addresses that every validator listens on; if there are none, each listens on that of its host.
    pub listen: Vec<IpAddr>,
    /// Validator i takes the UDP ports `base + 2i` (peers) and `base + 2i + 1` (clients); without it, ports
    /// that are free now.
    pub base_port: Option<u16>,
    /// Lines for the `[work]` section of every validator.
    pub work: Vec<(String, String)>,
    /// Whether each validator answers HTTP at 127.0.0.1, at the TCP port with the number of its port for clients.
    pub gateway: bool,
    /// The storage backend of every validator: auto, uring or portable.
    pub storage: String,
    /// The log level of every validator.
    pub log_level: String,
    /// Is told how many of all accounts have a key, now and then.
    pub progress: fn(u64, u64),
}

/// What an account holds at the start, if nothing else is said.
pub const ACCOUNT_BALANCE: u64 = 1_000_000_000;

impl Default for InitOptions {
    fn default() -> Self {
        Self {
            name: "millrace".into(),
            validators: 4,
            chains: ChainDraft::alike(1, 100_000, ACCOUNT_BALANCE),
            membership: Membership::Fixed,
            hosts: vec![Host::from(IpAddr::V4(Ipv4Addr::LOCALHOST))],
            listen: Vec::new(),
            base_port: None,
            work: Vec::new(),
            gateway: false,
            storage: "auto".into(),
            log_level: "info".into(),
            progress: |_, _| {},
        }
    }
}

/// Why a network could not be made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The directory already holds a network.
    #[error("{}: there is a network here already; choose another directory, or remove this one", .0.display())]
    Exists(PathBuf),
    /// Something is there that would be overwritten, perhaps of an earlier attempt that was cut short.
    #[error("{}: this is there already and is not overwritten; choose another directory, or remove it", .0.display())]
    InTheWay(PathBuf),
    /// Another process makes a network there.
    #[error("{}: another command makes a network here: wait until it has ended, or choose another directory", .0.display())]
    Busy(PathBuf),
    /// The name would break lines of files and of terminals.
    #[error("the name {0:?} of the network has control characters in it: leave them out")]
    Name(String),
    /// Too few hosts, or too many.
    #[error(
        "--host names {hosts} hosts for {validators} validators: name one for all of them, or one for each"
    )]
    Hosts {
        /// How many hosts.
        hosts: usize,
        /// How many validators.
        validators: u16,
    },
    /// A host without an address, and nothing else to listen on.
    #[error(
        "the host {0} is a name, and one listens on addresses: name them with --listen, for example --listen 0.0.0.0 \
         for every IPv4 address of the machine"
    )]
    NoListen(Host),
    /// These addresses cannot all be listened on.
    #[error(
        "--listen: name up to 16 different addresses of the machine; 0.0.0.0 and :: stand for all of their kind, so no \
         other one of that kind may stand beside them"
    )]
    Listen,
    /// The ports do not fit.
    #[error("{validators} validators need {} ports, but only {} follow {base}; choose a lower --base-port",
        u32::from(*validators) * 2, 65_535 - u32::from(*base) + 1)]
    Ports {
        /// The first port.
        base: u16,
        /// How many validators.
        validators: u16,
    },
    /// Chains that are listed list the one that decides, too.
    #[error(
        "--governance goes with a number of chains: in the file of chains, list a [[chain]] with kind = \"governance\" instead"
    )]
    GovernanceBesideFile,
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was being written.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// A certificate could not be made.
    #[error(transparent)]
    Identity(#[from] net::IdentityError),
    /// The numbers make no valid genesis.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// What was written does not load.
    #[error("the network was written but does not load: {0}")]
    Load(#[from] ConfigError),
}

/// Name of the file with the secret key of a validator's votes.
pub(super) const CONSENSUS_KEY: &str = "consensus.key";

/// Name of the file with the secret behind every account's key.
pub(super) const SEED_FILE: &str = "customers.seed";

/// The secrets and addresses of one validator to be.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) directory: PathBuf,
    seed: Secret,
    pub(super) identity: Identity,
    /// For peers and for clients: where it is reached, and where it listens.
    pub(super) peers: Reached,
    pub(super) clients: Reached,
}

impl Draft {
    /// The validator with a number in a network's directory, with new secrets. Nothing is written.
    pub(super) fn new(network: &Path, index: usize, reached: (Reached, Reached)) -> Result<Self, InitError> {
        let (name, (peers, clients)) = (names::name(index), reached);
        Ok(Self {
            directory: network.join(format!("validator-{index}")),
            seed: Secret::generate().map_err(at(network))?,
            identity: Identity::generate(&name)?,
            name,
            peers,
            clients,
        })
    }

    /// What a genesis says of it.
    pub(super) fn genesis(&self) -> ValidatorGenesis {
        ValidatorGenesis {
            name: self.name.clone(),
            public_key: self.public_key(),
            certificate_fingerprint: self.identity.fingerprint().0,
        }
    }

    pub(super) fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES] {
        SigningKey::from_seed(self.seed.0).public_key()
    }

    /// Makes its directory, with its secrets and the mark of a first start.
    pub(super) fn save(&self) -> Result<(), InitError> {
        make_directory(&self.directory)?;
        let key = self.directory.join(CONSENSUS_KEY);
        self.seed.save(&key).map_err(at(&key))?;
        self.identity.save(&self.directory.join("tls.crt"), &self.directory.join("tls.key"))?;
        let data = self.directory.join("data");
        make_directory(&data)?;
        let first = data.join(FIRST_START);
        fs::write(&first, FIRST_START_TEXT).map_err(at(&first))
    }

    /// What its `node.toml` says of itself. `place` is that in the genesis, if it has one there.
    pub(super) fn settings(&self, options: &InitOptions, place: Option<usize>) -> String {
        let mut text = format!(
            "\n[validator]\n{place}name = {name}\n\
             \n[network]\ngenesis = \"../genesis.toml\"\n\
             \n[identity]\n\
             consensus_key = \"consensus.key\"   # secret: votes and batches\n\
             certificate = \"tls.crt\"\n\
             private_key = \"tls.key\"           # secret: TLS\n\
             \n[listen]                        # UDP; also 0.0.0.0, [::], and lists: [\"10.0.0.5:7400\", \"[::1]:7400\"]\n\
             peers = {peers}\nclients = {clients}\n\
             \n[storage]\n\
             directory = \"data\"\n\
             backend = {storage}             # auto, uring or portable\n\
             \n[log]\nlevel = {level}\n",
            place = place.map_or_else(String::new, |place| format!("index = {place}\n")),
            name = quoted(&self.name),
            peers = listen(&self.peers.1),
            clients = listen(&self.clients.1),
            storage = quoted(&options.storage),
            level = quoted(&options.log_level),
        );
        if options.gateway {
            let here = self.gateway_address();
            let _ = write!(
                text,
                "\n[gateway]                       # HTTP, for programs on this machine: docs/guides/developer.md\n\
                 listen = \"{here}\"\n\
                 anonymous = [\"read\", \"submit\"]\n"
            );
        }
        if !options.work.is_empty() {
            text.push_str("\n[work]\n");
            for (field, value) in &options.work {
                let _ = writeln!(text, "{field} = {value}");
            }
        }
        text
    }

    /// Where it answers HTTP: on this machine alone, at the TCP port with the number of its port for clients. On ::1 if
    /// it listens on IPv6 addresses only, for the machine may have no others.
    fn gateway_address(&self) -> SocketAddr {
        let listen = self.clients.1.addresses();
        let ip = match listen.iter().all(SocketAddr::is_ipv6) {
            true => IpAddr::V6(Ipv6Addr::LOCALHOST),
            false => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        SocketAddr::new(ip, listen.first().map_or(0, SocketAddr::port))
    }

    /// What `network.toml` says of it.
    pub(super) fn listed(&self, index: usize) -> String {
        format!(
            "[[validator]]\nindex = {index}\nname = {}\nclients = \"{}\"\n\
             certificate_fingerprint = \"{}\"\ndirectory = \"validator-{index}\"\n",
            quoted(&self.name),
            self.clients.0,
            self.identity.fingerprint(),
        )
    }
}

/// What the `node.toml` of others says of a validator of the genesis that is reached at an address, and by clients at
/// another.
pub(super) fn peer_section(
    index: usize,
    of: &ValidatorGenesis,
    (address, clients): (&str, Option<&Address>),
) -> String {
    let clients = clients.map_or_else(String::new, |clients| format!("clients = \"{clients}\"\n"));
    format!(
        "\n[[peer]]\nindex = {index}\nname = {}\naddress = {}\n{clients}public_key = \"{}\"\n\
         certificate_fingerprint = \"{}\"\n",
        quoted(&of.name),
        quoted(address),
        hex::encode(of.public_key),
        hex::encode(of.certificate_fingerprint),
    )
}

/// Makes a network in `directory`. It may exist and may hold something, but nothing of what is written.
///
/// # Errors
/// [`InitError`]; nothing of what was written stays.
pub fn init(directory: &Path, options: &InitOptions) -> Result<Network, InitError> {
    let mut claim = Claim::of(directory, options, options.chains.iter().map(|chain| chain.id))?;
    let drafts = drafts(directory, options)?;
    let client_seed = Secret::generate().map_err(at(directory))?;
    // Numbers that make no genesis leave nothing behind that is in the way of better ones.
    let genesis = make_genesis(options, &drafts, &ClientSeed(client_seed.0))?;
    claim.begin()?;
    write(directory, options, (&genesis, &drafts), Some(&client_seed), |_| Ok(()))?;
    let network = Network::load(directory)?;
    claim.keep();
    Ok(network)
}

/// A directory in which this process alone makes a network. What it has written is removed again unless [`Self::keep`]
/// is called: half a network, as a full disk would leave it, is of no use and in the way of the next attempt.
pub(super) struct Claim {
    directory: PathBuf,
    /// The directory was made for it.
    is_new: bool,
    /// What a network is written to.
    names: Vec<PathBuf>,
    /// All names were free a moment before the first was written: what has one of them was made by this process.
    is_begun: bool,
    /// Held as long as it lives: another process that makes a network here is refused.
    _lock: File,
}

impl Claim {
    /// The files and directories of a network with accounts files of these chains. None of them is there yet.
    pub(super) fn of(
        directory: &Path,
        options: &InitOptions,
        chains: impl Iterator<Item = ChainId>,
    ) -> Result<Self, InitError> {
        if options.name.chars().any(char::is_control) {
            return Err(InitError::Name(options.name.clone()));
        }
        let is_new = !directory.exists();
        make_directory(directory)?;
        let lock = File::open(directory).map_err(at(directory))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(InitError::Busy(directory.to_owned())),
            Err(TryLockError::Error(error)) => return Err(at(directory)(error)),
        }
        let files = [genesis::GENESIS_FILE, genesis::HEADER_FILE, SEED_FILE, STATE_FILE, NETWORK_FILE];
        let mut names: Vec<PathBuf> = files.map(|name| directory.join(name)).to_vec();
        names.extend(chains.map(|chain| directory.join(genesis::accounts_file(chain))));
        names.extend((0..options.validators).map(|index| directory.join(format!("validator-{index}"))));
        let directory = directory.to_owned();
        let claim = Self { directory, is_new, names, is_begun: false, _lock: lock };
        claim.are_free().map(|()| claim)
    }

    fn are_free(&self) -> Result<(), InitError> {
        // A link that leads nowhere is something, too: a file would be written where it points to.
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        if is_there(&self.directory.join(NETWORK_FILE)) {
            return Err(InitError::Exists(self.directory.clone()));
        }
        match self.names.iter().find(|path| is_there(path)) {
            Some(taken) => Err(InitError::InTheWay(taken.clone())),
            None => Ok(()),
        }
    }

    /// To be called right before the first is written.
    pub(super) fn begin(&mut self) -> Result<(), InitError> {
        self.are_free()?;
        self.is_begun = true;
        Ok(())
    }

    /// The network is whole.
    pub(super) fn keep(mut self) {
        (self.is_begun, self.is_new) = (false, false);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        for name in self.names.iter().filter(|_| self.is_begun) {
            // What cannot be removed is named as being in the way by the next attempt.
            let _ = if name.is_dir() { fs::remove_dir_all(name) } else { fs::remove_file(name) };
        }
        if self.is_new {
            // It stays where somebody else has put something into it.
            let _ = fs::remove_dir(&self.directory);
        }
    }
}

/// The validators of a new network. Nothing is written.
pub(super) fn drafts(directory: &Path, options: &InitOptions) -> Result<Vec<Draft>, InitError> {
    let addresses = addresses(options)?.into_iter().enumerate();
    addresses.map(|(index, reached)| Draft::new(directory, index, reached)).collect()
}

/// Writes a network, with the secret behind every account's key if there is one. `fill` adds something to the directory
/// of each validator.
pub(super) fn write(
    directory: &Path,
    options: &InitOptions,
    (genesis, drafts): (&Genesis, &[Draft]),
    client_seed: Option<&Secret>,
    fill: impl Fn(&Draft) -> io::Result<()>,
) -> Result<(), InitError> {
    make_directory(directory)?;
    if let Some(client_seed) = client_seed {
        let seed_file = directory.join(SEED_FILE);
        client_seed.save(&seed_file).map_err(at(&seed_file))?;
    }
    genesis::save(genesis, directory).map_err(at(directory))?;
    for (index, draft) in drafts.iter().enumerate() {
        draft.save()?;
        let file = draft.directory.join("node.toml");
        fs::write(&file, node_toml(options, genesis, drafts, index)).map_err(at(&file))?;
        fill(draft).map_err(at(&draft.directory))?;
    }
    let network_file = directory.join(NETWORK_FILE);
    fs::write(&network_file, network_toml(drafts, client_seed.is_some())).map_err(at(&network_file))
}

/// What a person finds in that file.
const FIRST_START_TEXT: &str = "This validator has never run. Its first start removes this file.\n";

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> InitError {
    let path = path.to_owned();
    move |source| InitError::Io { path, source }
}

fn make_directory(path: &Path) -> Result<(), InitError> {
    fs::create_dir_all(path).map_err(at(path))
}

/// Ports that are drawn from: below those that the operating system hands out by itself, so that no client's socket
/// takes one of them before its validator starts.
const FREE_PORTS: std::ops::Range<u16> = 10_240..32_000;
/// Draws before a machine without free ports is believed to have none.
const DRAWS_MAX: usize = 10_000;

/// `count` different UDP ports that nobody uses now on any of these addresses. All are held until the last is found, so
/// none is handed out twice.
fn free_ports(addresses: &[IpAddr], count: usize) -> io::Result<Vec<u16>> {
    let mut held: Vec<(u16, Vec<UdpSocket>)> = Vec::with_capacity(count);
    for _ in 0..DRAWS_MAX {
        if held.len() == count {
            return Ok(held.iter().map(|(port, _)| *port).collect());
        }
        let mut draw = [0; 2];
        getrandom::fill(&mut draw).map_err(io::Error::other)?;
        let port = FREE_PORTS.start + u16::from_le_bytes(draw) % FREE_PORTS.len() as u16;
        let all: Vec<SocketAddr> = addresses.iter().map(|address| (*address, port).into()).collect();
        if let Ok(sockets) = net::bind(&all) {
            held.push((port, sockets));
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no {count} of the ports {FREE_PORTS:?} are free")))
}

/// Where a port is reached, and where it is listened on.
pub(super) type Reached = (Address, ListenOn);

/// Both ports, for peers and for clients, of every validator.
pub(super) fn addresses(options: &InitOptions) -> Result<Vec<(Reached, Reached)>, InitError> {
    let (count, hosts) = (usize::from(options.validators), &options.hosts);
    if hosts.len() != 1 && hosts.len() != count {
        return Err(InitError::Hosts { hosts: hosts.len(), validators: options.validators });
    }
    let hosts: Vec<&Host> = hosts.iter().cycle().take(count).collect();
    let listens_on = |host: &Host| match (&options.listen[..], host.ip()) {
        ([], Some(ip)) => Ok(vec![ip]),
        ([], None) => Err(InitError::NoListen(host.clone())),
        (named, _) => Ok(named.to_vec()),
    };
    let listen = hosts.iter().map(|host| listens_on(host)).collect::<Result<Vec<_>, _>>()?;
    let ports: Vec<u16> = match options.base_port {
        Some(base) if usize::from(base) + 2 * count > 65_536 => {
            return Err(InitError::Ports { base, validators: options.validators });
        }
        Some(base) => (0..2 * count).map(|offset| base + offset as u16).collect(),
        None => {
            let first = listen.first().map_or(&[][..], Vec::as_slice);
            free_ports(first, 2 * count).map_err(at(Path::new("free UDP ports")))?
        }
    };
    let reached = |host: &Host, listen: &[IpAddr], port: u16| -> Result<Reached, InitError> {
        let all = listen.iter().map(|address| (*address, port).into()).collect();
        Ok((host.at(port), ListenOn::new(all).ok_or(InitError::Listen)?))
    };
    let each = hosts.iter().zip(&listen).zip(ports.chunks_exact(2));
    each.map(|((host, listen), ports)| {
        Ok((reached(host, listen, ports[0])?, reached(host, listen, ports[1])?))
    })
    .collect()
}

/// Accounts whose keys are made between two reports of progress.
const ACCOUNTS_AT_ONCE: usize = 1 << 16;

fn make_genesis(
    options: &InitOptions,
    drafts: &[Draft],
    client_seed: &ClientSeed,
) -> Result<Genesis, GenesisError> {
    let validators = drafts.iter().map(Draft::genesis).collect();
    let total = options.chains.iter().map(|chain| chain.accounts).sum();
    let mut made = 0;
    let mut chains = Vec::with_capacity(options.chains.len());
    for ChainDraft { id, kind, asset, roles, threshold, accounts: count, balance } in &options.chains {
        let mut accounts = Vec::with_capacity(*count as usize);
        for first in (0..*count).step_by(ACCOUNTS_AT_ONCE) {
            (options.progress)(made, total);
            let keys = client_seed.public_keys(*id, first..(first + ACCOUNTS_AT_ONCE as u64).min(*count));
            made += keys.len() as u64;
            let account = |public_key| AccountGenesis { public_key, balance: *balance };
            accounts.extend(keys.into_iter().map(account));
        }
        let (kind, suite, threshold) = (*kind, CryptoSuite::Ed25519, *threshold);
        chains.push(ChainGenesis { id: *id, kind, suite, asset: *asset, roles: *roles, threshold, accounts });
    }
    (options.progress)(made, total);
    Genesis::with_membership(options.name.clone(), validators, options.membership, chains)
}

fn node_toml(options: &InitOptions, genesis: &Genesis, drafts: &[Draft], index: usize) -> String {
    let me = &drafts[index];
    let mut text = format!(
        "# Validator {index} (\"{}\") of the network \"{}\". Paths are relative to this file.\n\
         # Run it in this directory: millrace node --config node.toml\n",
        me.name, options.name
    );
    text.push_str(&me.settings(options, Some(index)));
    let others = genesis.validators().iter().zip(drafts).enumerate().filter(|(other, _)| *other != index);
    for (other, (of, draft)) in others {
        let reached = (&*draft.peers.0.to_string(), Some(&draft.clients.0));
        text.push_str(&peer_section(other, of, reached));
    }
    text
}

/// One address, or a list of them.
fn listen(on: &ListenOn) -> String {
    let quoted: Vec<String> = on.addresses().iter().map(|address| format!("\"{address}\"")).collect();
    match &quoted[..] {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

fn network_toml(drafts: &[Draft], has_client_seed: bool) -> String {
    let mut text = "# A network of validators on this machine, made by `millrace network`.\n\
                    # Start: millrace network up DIR    Stop: millrace network down DIR\n\
                    genesis = \"genesis.toml\"\n"
        .to_owned();
    if has_client_seed {
        text.push_str(
            "customers = \"customers.seed\"   # the secret behind every account's key: test money only\n",
        );
    }
    for (index, draft) in drafts.iter().enumerate() {
        text.push('\n');
        text.push_str(&draft.listed(index));
    }
    text
}
