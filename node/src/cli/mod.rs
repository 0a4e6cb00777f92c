//! The command line: what can be typed, said in help texts that are the manual.
//!
//! ```text
//! main ── Cli::parse ── run(command) ──> Ok(true)  0: done, and what was to be checked holds
//!                                    ├── Ok(false) 1: an audit, a proof or a vector does not hold
//!                                    └── Err       2: usage or configuration;  1: anything else
//! ```

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand};
use engine::types::{RULES_FIRST, RULES_LAST};
use engine::wire::{PROTOCOL_VERSION, PROTOCOL_VERSION_FIRST};

mod account;
mod alarm;
mod archive;
mod backup;
mod attest;
mod bench;
mod choices;
mod compare;
mod commands;
mod chain;
mod gateway;
mod kernels;
mod keys;
mod pay;
mod network;
mod output;
mod print;
mod query;
mod reserve;
mod whom;

pub use account::{
    AccountCommand, CancelArgs, CloseArgs, FreezeArgs, NewAccountKeyArgs, OpenArgs, ProtectArgs, RecoverArgs,
    RekeyArgs, RequestArgs, UnfreezeArgs,
};
pub use alarm::{AlarmCommand, SilenceArgs, SilencesArgs, UnsilenceArgs};
pub use archive::ArchiveArgs;
pub use attest::{AttestArgs, FingerprintArgs, RevokeArgs};
pub use backup::{BackupArgs, RestoreArgs};
pub use bench::{Arriving, BenchArgs, DemoArgs, LoadArgs, Rate, SinkArgs, VerifyReportArgs, Workload};
pub use chain::{
    AdministratorsArgs, AdmitArgs, ApproveArgs, BurnArgs, ChainCommand, ChainListArgs, ChainRulesArgs,
    CloseChainArgs, CreateArgs, IssueArgs, Leaver, MembersListArgs, PauseArgs, ProposalArgs, ProposalsArgs,
    ProposingArgs, RemoveArgs, ResumeArgs, RoleArgs, RolesArgs,
};
pub use choices::{Storage, Verify};
pub use commands::{exit_code, reasons, run};
pub(crate) use commands::{genesis_beside, genesis_file_beside, progress_bar};
pub use compare::{CompareArgs, Figure};
pub use gateway::{
    GatewayArgs, ListTokensArgs, MonitorArgs, NewTokenArgs, RevokeTokenArgs, Scoped, SupportArgs,
    TokenCommand, TopArgs,
};
pub use kernels::KernelsCommand;
pub use keys::{DeriveKeyArgs, KeyCommand, NewKeyArgs, PassphraseArgs, ProtectionArgs, ShowKeyArgs};
pub use output::OutputError;
pub(crate) use output::{Output, write_new};
pub use pay::{AuthorityArgs, MemoArgs, Place, SigningArgs, SubmitArgs, TransferArgs};
pub(crate) use print::{grouped, on_network, print_json, quoted, rows, with_key};
pub use query::{FeedArgs, QueryArgs, Question, SignedSource, VerifyProofArgs};
pub use reserve::{
    OfferArgs, ReservationCommand, ReserveArgs, Reserved, SettleArgs, SwapCommand, TakeArgs, VoidArgs,
    WithdrawArgs,
};
pub use whom::{Named, WhomArgs, WhomError};

const EXIT_CODES: &str = "\
Exit codes:
  0  done; what was to be checked holds
  1  something failed: an audit, a proof, a test vector, a validator that died
  2  the command line, a configuration file, a port or a data directory cannot be used; the message says where
     and what to do
  3  a running validator stopped itself rather than go on wrongly (`millrace node` only)
  130  interrupted (but `millrace node`, which then stops, with 0); 143 after SIGTERM, 129 after SIGHUP";

/// What `--version` says: this release, the rules that it runs, and what it speaks.
pub(crate) fn versions() -> &'static str {
    static VERSIONS: LazyLock<String> = LazyLock::new(|| {
        let names = |all: &[&[u8]]| {
            all.iter().map(|name| String::from_utf8_lossy(name)).collect::<Vec<_>>().join(", ")
        };
        format!(
            "{}\nrules {RULES_FIRST} to {RULES_LAST}\nbetween validators {}\nwith clients {}, versions \
             {PROTOCOL_VERSION_FIRST} to {PROTOCOL_VERSION}",
            env!("CARGO_PKG_VERSION"),
            names(net::PEER_PROTOCOLS),
            names(net::CLIENT_PROTOCOLS)
        )
    });
    &VERSIONS
}

/// Millrace: a permissioned multi-chain ledger.
///
/// Validators take signed transfers from clients over QUIC, check every
/// signature, order batches through a BFT engine, execute in memory, write
/// durably, and tell the client "committed" only then. Every figure that
/// `bench` prints is followed by an audit of the files on disk.
///
/// First steps:
///   millrace demo                            a network to look at, in a browser
///   millrace bench                           load, audit and a table
///   millrace network init /tmp/mill          keys, genesis, configurations
///   millrace network up /tmp/mill            start four validators
///   millrace load --network /tmp/mill        clients for them
///   millrace transfer --network /tmp/mill --from 1:7 --to 1:8 --amount 100
///   millrace query --network /tmp/mill account 1 7 --proof account.proof
///   millrace verify-proof account.proof --genesis /tmp/mill/genesis.header
///   millrace network down /tmp/mill          stop them
///   millrace verify /tmp/mill/validator-0/data
#[derive(Debug, Parser)]
#[command(name = "millrace", version = versions(), verbatim_doc_comment, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Whether the command may end when it prints to somebody who has stopped reading. A validator goes on then, and so
    /// does a benchmark with its processes.
    #[must_use]
    pub fn ends_on_closed_pipe(&self) -> bool {
        !matches!(self.command, Command::Bench(_) | Command::Demo(_) | Command::Node(_))
    }

    /// Whether the command itself waits for the signals that ask it to stop.
    #[must_use]
    pub fn takes_signals(&self) -> bool {
        match &self.command {
            Command::Bench(_)
            | Command::Compare(_)
            | Command::Demo(_)
            | Command::Load(_)
            | Command::Node(_)
            | Command::Gateway(_)
            | Command::Archive(_)
            | Command::Network(NetworkCommand::Up(_)) => true,
            Command::Query(QueryArgs { question, .. }) => {
                matches!(question, Question::Feed { .. } | Question::History { .. })
            }
            _ => false,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the text of each argument struct is the manual; one here would replace it")]
pub enum Command {
    Bench(BenchArgs),
    Compare(CompareArgs),
    Demo(DemoArgs),
    Node(NodeArgs),
    #[command(subcommand)]
    Network(NetworkCommand),
    Load(LoadArgs),
    #[command(subcommand)]
    Key(KeyCommand),
    Transfer(TransferArgs),
    #[command(subcommand)]
    Reservation(ReservationCommand),
    #[command(subcommand)]
    Swap(SwapCommand),
    Attest(AttestArgs),
    Revoke(RevokeArgs),
    Submit(SubmitArgs),
    #[command(subcommand)]
    Account(AccountCommand),
    #[command(subcommand)]
    Chain(ChainCommand),
    Query(QueryArgs),
    Gateway(GatewayArgs),
    #[command(subcommand)]
    Token(TokenCommand),
    Monitor(MonitorArgs),
    #[command(subcommand)]
    Alarm(AlarmCommand),
    /// Check signatures on a device; a validator starts this itself.
    #[command(hide = true)]
    DeviceChild {
        /// Allow a software device.
        #[arg(long)]
        software: bool,
    },
    #[command(hide = true)]
    Sink(SinkArgs),
    Top(TopArgs),
    Support(SupportArgs),
    Archive(ArchiveArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Verify(VerifyArgs),
    VerifyProof(VerifyProofArgs),
    VerifyReport(VerifyReportArgs),
    #[command(subcommand)]
    Kernels(KernelsCommand),
}

/// Run one validator, in the foreground, until SIGTERM or Ctrl-C.
///
/// The configuration is one TOML file; `millrace network init` writes complete
/// ones to start from. Missing, unknown and contradictory fields are named with
/// the file they stand in. A validator refuses a data directory that belongs to
/// another network or that another process uses.
///
/// SIGHUP has it read the configuration again: what can be changed while it
/// runs is changed, and the log names the rest. A service manager that has set
/// NOTIFY_SOCKET hears when it is ready.
///
/// Example:
///   millrace node --config /etc/millrace/node.toml
///
/// Exit codes: 0 stopped when asked; 2 the configuration, a port or the data
/// directory cannot be used; 1 it could not start for another reason; 3 it had
/// to stop itself (a disk error, a diverging state root): the last line of the
/// log says why.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct NodeArgs {
    /// The validator's configuration.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Who checks signatures, in place of what the configuration says; docs/GPU.md explains the choices.
    #[arg(long, value_enum, value_name = "WHO")]
    pub verify: Option<Verify>,
}

/// Make, start and stop a network of validators on this machine.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = EXIT_CODES)]
#[allow(missing_docs, reason = "the text of each argument struct is the manual; one here would replace it")]
pub enum NetworkCommand {
    Init(InitArgs),
    Up(UpArgs),
    Down(DownArgs),
    Renew(RenewArgs),
    Add(AddArgs),
    Learn(LearnArgs),
    Rebuild(RebuildArgs),
}

/// Make keys, certificates, a genesis and one configuration for each validator.
///
/// Nothing is started, and nothing that exists is overwritten. The directory
/// then holds genesis.toml (compare its network id when you copy it to another
/// machine), the accounts of each chain, genesis.header (all that a stranger
/// needs to check proofs; its SHA-256 is the network id), customers.seed (the
/// secret behind every account's key: this is a network for test money) and one
/// directory for each validator. `millrace key derive` writes the key of one
/// account into a file.
///
/// Examples:
///   millrace network init /tmp/mill
///   millrace network init /tmp/mill --validators 7 --base-port 9000
///   millrace network init /tmp/mill --chains chains.toml
///   millrace network init /tmp/mill --listen 0.0.0.0 \
///                         --host a.example,b.example,c.example,d.example
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct InitArgs {
    /// Where. It is made if it does not exist; it may hold other things, but nothing that would be overwritten.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The name of the network.
    #[arg(long, default_value = "millrace")]
    pub name: String,
    /// How many validators; (N-1)/3 of them, rounded down, may fail.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=128))]
    pub validators: u16,
    /// How many chains, 1 to 256; or a TOML file that lists them: `[[chain]]` with `id`, and where wanted `kind`
    /// (transfers, attestations or governance), `asset`, `accounts`, `balance`, `issuer`, `issuance_cap`, `freezer`,
    /// `registrar`, `accounts_cap`, `attestations_cap`, `rekey_window`, `recovery_window`, `quota` and `threshold`.
    #[arg(long, default_value = "1", value_name = "CHAINS|FILE", value_parser = parse_chains)]
    pub chains: ChainsArg,
    /// Adds chain 0, of the kind "governance": N administrators, of whom K decide about all chains. With a file of
    /// chains, list it there instead.
    #[arg(long, value_name = "K/N", value_parser = parse_governance)]
    pub governance: Option<(u8, u64)>,
    /// Administrators also decide who validates: `network add`, `chain admit`, `chain remove`. It takes a chain of the
    /// kind "governance".
    #[arg(long)]
    pub decide_members: bool,
    /// How many accounts each chain has.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=16_777_216))]
    pub accounts: u64,
    /// Opens no HTTP at 127.0.0.1: without this each validator answers there, at the TCP port with the number of its
    /// port for clients, everybody on the machine.
    #[arg(long)]
    pub no_gateway: bool,
    /// Balance of each account at the start.
    #[arg(long, default_value_t = crate::network::ACCOUNT_BALANCE)]
    pub balance: u64,
    /// Where its validators are.
    #[command(flatten)]
    pub places: PlacesArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Where the validators of a new network are reached and listen, and how they write.
#[derive(Debug, Clone, Args)]
pub struct PlacesArgs {
    /// Where the validators are reached: a host name, an IPv4 or an IPv6 address; with commas between them, one for
    /// each validator. It goes into the configurations as it is; names are looked up whenever somebody connects.
    #[arg(long, default_value = "127.0.0.1", value_name = "HOST", value_delimiter = ',', value_parser = parse_host)]
    pub host: Vec<net::Host>,
    /// The IP addresses that every validator listens on, with commas between them; 0.0.0.0 and :: stand for all of the
    /// machine. Without it each listens on the address of its --host.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', value_parser = parse_listen)]
    pub listen: Vec<std::net::IpAddr>,
    /// Validator i is reached at the UDP ports BASE + 2i for peers and BASE + 2i + 1 for clients.
    #[arg(long, default_value_t = 7400, value_name = "BASE", value_parser = clap::value_parser!(u16).range(1..))]
    pub base_port: u16,
    /// How journals are written.
    #[arg(long, value_enum, default_value_t = Storage::Auto)]
    pub storage: Storage,
    /// Who checks signatures; docs/GPU.md explains the choices.
    #[arg(long, value_enum, default_value_t = Verify::Cpu)]
    pub verify: Verify,
}

/// The chains of a new network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainsArg {
    /// So many, all alike.
    Alike(u32),
    /// Those of a file.
    Listed(PathBuf),
}

/// Start the validators of a network, in the background.
///
/// Starts every validator that is not running. Its output goes to
/// validator-N/node.log, and its process id to validator-N/node.pid. Waits until
/// each validator answers clients and is connected to a quorum (an observer: to one
/// member; a removed validator only has to answer). Then prints the endpoints, and
/// the lines that load, question and stop the network.
///
/// A validator that replays its journal is waited for as long as it makes
/// progress. One that ends, or makes no progress for a minute (--patience), is
/// named with the end of its log. The others go on.
///
/// Examples:
///   millrace network up /tmp/mill
///   millrace network up /tmp/mill --only 2
///
/// Exit codes: 0 all are up, 1 one is not, 2 there is no network that can be
/// read.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct UpArgs {
    /// Which network, and which of its validators.
    #[command(flatten)]
    pub network: MembersArgs,
    /// How long a validator that makes no progress is waited for.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub patience: u64,
}

/// Stop the validators of a network.
///
/// Asks every running validator to stop, waits until all have, and says what it
/// stopped. One that has not stopped after 20 seconds is killed; nothing that a
/// client was told is lost by that.
///
/// Examples:
///   millrace network down /tmp/mill
///   millrace network down /tmp/mill --only 2
///
/// Exit codes: 0 all have stopped, or were not running; 1 one had to be killed;
/// 2 there is no network that can be read.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct DownArgs {
    /// Which network, and which of its validators.
    #[command(flatten)]
    pub network: MembersArgs,
}

/// Prepare another validator for a network: keys, a configuration, and the file
/// that administrators admit.
///
/// It becomes a directory beside those of the others. Until it is admitted it
/// follows the network as an observer: it checks everything, answers queries, and
/// neither votes nor takes transactions. The others let it follow when their
/// configurations say so; those that are in DIR are extended, and read again with
/// SIGHUP.
///
/// On a machine of its own: copy network.toml, genesis.toml and the *.accounts
/// files of the network there, and the node.toml of two validators into directories
/// of their names. None of these is secret, and no secret leaves the machine.
///
/// Examples:
///   millrace network add /tmp/mill
///   millrace network add mill --host e.example --listen 0.0.0.0 --base-port 7400
///
/// Exit codes: 0 done; 2 the network cannot be used, its validators are fixed, an
/// address is taken already, or a file cannot be written.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct AddArgs {
    /// The directory of the network.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Where the validator is reached: a host name, an IPv4 or an IPv6 address.
    #[arg(long, default_value = "127.0.0.1", value_name = "HOST", value_parser = parse_host)]
    pub host: net::Host,
    /// The IP addresses that it listens on, with commas between them; without it, the address of its --host.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', value_parser = parse_listen)]
    pub listen: Vec<std::net::IpAddr>,
    /// It is reached at the UDP port BASE for peers and BASE + 1 for clients; without it, at ports that are free now.
    #[arg(long, value_name = "BASE", value_parser = clap::value_parser!(u16).range(1..))]
    pub base_port: Option<u16>,
    /// How its journal is written.
    #[arg(long, value_enum, default_value_t = Storage::Auto)]
    pub storage: Storage,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Fetch who has validated since the genesis, for validators that cannot find it
/// out by themselves: a new one, or one that was away while others came and left.
///
/// Any validator can be asked, and none is believed: the last blocks of all epochs,
/// with the signatures of their validators, lead from the genesis to the present
/// members. What is false is named and left out. Each validator of DIR that has a
/// node.toml here reads the result at its next start, follows those members, and
/// fetches the state from them.
///
/// Give --trust. A thief of enough keys of *former* members can make another such
/// history, and answer at the addresses in it. The digest that an administrator
/// reads out from `millrace chain members` is proof against that. Without it,
/// f + 1 of the present members must answer, and no two histories may differ.
///
/// Examples:
///   millrace network learn DIR --trust 5d1c...
///   millrace network learn DIR --endpoint e.example:7401 --fingerprint 9b02...
///
/// Exit codes: 0 done; 1 nobody answers, what they say is false, histories differ,
/// the digest is another one, or too few agree; 2 the network cannot be used, or it
/// has rules that this program does not run.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct LearnArgs {
    /// The directory of the network.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The client port of a validator; without it, those that network.toml lists are asked.
    #[arg(long, value_name = "HOST:PORT", requires = "fingerprint")]
    pub endpoint: Option<net::Address>,
    /// The fingerprint of its certificate.
    #[arg(long, value_name = "HEX", requires = "endpoint")]
    pub fingerprint: Option<net::Fingerprint>,
    /// The digest of the present members that `chain members` prints, as an administrator has told it.
    #[arg(long, value_name = "DIGEST")]
    pub trust: Option<engine::types::Digest>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Make a new network from what one validator of an old one has, where too many
/// of the old validators are gone for good.
///
/// A network stops when more than f of its validators are down, and goes on when
/// enough are back. If they never come back, this makes another network with other
/// validators: the same chains, accounts, balances and administrators, but another
/// network id. DATA_DIR is audited first, as `verify` does. Nothing in it is
/// changed, so the old network is still there if its validators do come back.
///
/// Take DATA_DIR from the validator with the highest height: what only others had
/// is not in the new network. The new one goes on with the next height. Earlier
/// blocks stay with the old network: keep its genesis and an archive of it, or this
/// directory, for audits and proofs of that time. Transactions that were signed for
/// the old network are refused.
///
/// The directory DIR is like that of `network init`, with genesis.state beside it:
/// the state from which every validator goes on. Compare the network id, and the
/// height and state root that are printed, with the other operators before anybody
/// starts one.
///
/// Examples:
///   millrace network rebuild /tmp/mill/validator-2/data --to /tmp/heir
///   millrace network up /tmp/heir
///
/// Exit codes: 0 done; 1 the audit has found something, or the state cannot be
/// used; 2 the directory cannot be read, or DIR cannot be written.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct RebuildArgs {
    /// The data directory of a validator of the old network. It must not run.
    #[arg(value_name = "DATA_DIR")]
    pub data: PathBuf,
    /// Where the new network is made. The directory may hold other things, but nothing that would be overwritten.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// The old network's genesis.toml; without it, the one that DATA_DIR/../node.toml names.
    #[arg(long, value_name = "FILE")]
    pub genesis: Option<PathBuf>,
    /// The name of the new network; without it, that of the old one.
    #[arg(long)]
    pub name: Option<String>,
    /// How many validators the new network has.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=128))]
    pub validators: u16,
    /// Where its validators are.
    #[command(flatten)]
    pub places: PlacesArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Make new TLS certificates for the keys of validators.
///
/// Others know a validator by its key, so nothing else changes, in no file and at
/// nobody else. A validator that runs shows the new certificate after a SIGHUP.
///
/// Examples:
///   millrace network renew /tmp/mill --days 365
///   millrace network renew /tmp/mill --only 2 && kill -HUP $(cat /tmp/mill/validator-2/node.pid)
///
/// Exit codes: 0 done; 1 a file cannot be written; 2 a configuration cannot be
/// used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct RenewArgs {
    /// Which network, and which of its validators.
    #[command(flatten)]
    pub network: MembersArgs,
    /// How long the new certificates are valid, from now on.
    #[arg(long, default_value_t = 365, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,
}

/// A network on this machine, or some of its validators.
#[derive(Debug, Clone, Args)]
pub struct MembersArgs {
    /// The network's directory, as `network init` made it.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Only these validators, by their numbers in network.toml, with commas between them; all, if nothing is said.
    #[arg(long, value_name = "INDEX", value_delimiter = ',')]
    pub only: Vec<u16>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Audit one validator's files, with no validator running; or an archive.
///
/// Reads the journal from the first byte to the last and believes nothing in
/// it: every checksum, batch digest, author's signature, finalization
/// certificate and transaction signature is checked; every block is executed
/// again by the slow executor that is the definition; roots, balances and
/// sequences are compared. The first wrong byte is reported with its file and
/// offset, what was expected there and what was found. Where the journal was
/// pruned, the audit begins with the oldest checkpoint. All checkpoints are listed,
/// each with what is wrong with it.
///
/// With --archive the audit begins with the genesis, goes through the archive, and
/// on with the journal where the archive ends. Every byte of each file of the
/// archive is checked by itself, too: which are damaged, missing, of another
/// network or out of sequence. The archive can be on a read-only file system.
///
/// With --map nothing is audited. Every byte is read, and the output says for each
/// file what it has, what is rotten, and what is read from a repair instead. A copy
/// of the directory is enough, without the genesis.
///
/// The genesis is found through the node.toml beside the data directory, or
/// named with --genesis.
///
/// Examples:
///   millrace verify /tmp/mill/validator-0/data
///   millrace verify /backup/data --genesis /tmp/mill/genesis.toml
///   millrace verify /tmp/mill/validator-0/data --json audit.json
///   millrace verify /tmp/mill/validator-0/data --archive /archive/mill
///   millrace verify --archive /archive/mill --genesis /tmp/mill/genesis.toml
///   millrace verify --map /tmp/mill/validator-0/data
///
/// Exit codes: 0 everything holds, 1 something does not, 2 the directory or the
/// genesis cannot be read.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct VerifyArgs {
    /// The validator's data directory.
    #[arg(value_name = "DATA_DIR", required_unless_present = "archive")]
    pub data: Option<PathBuf>,
    /// An archive, as `millrace archive` wrote it: it is audited first.
    #[arg(long, value_name = "ARCHIVE")]
    pub archive: Option<PathBuf>,
    /// The network's genesis.toml; without it, the one that DATA_DIR/../node.toml names.
    #[arg(long, value_name = "FILE", required_unless_present = "data")]
    pub genesis: Option<PathBuf>,
    /// Instead of an audit, a map of the directory: what is where, and what is rotten. It needs no genesis. The
    /// validator must not run.
    #[arg(long, conflicts_with_all = ["archive", "genesis"], requires = "data")]
    pub map: bool,
    /// Write the report, or the map, as JSON; "-" prints it instead of the text.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// K of N administrators.
fn parse_governance(text: &str) -> Result<(u8, u64), String> {
    const MOST: u64 = engine::limits::ADMINISTRATORS_MAX as u64;
    let parsed = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    match parsed {
        Some((k @ 1.., n @ 1..=MOST)) if u64::from(k) <= n => Ok((k, n)),
        _ => Err(format!(
            "write how many must approve, a slash, and how many there are, at most {MOST}: as in 2/3"
        )),
    }
}

fn parse_host(text: &str) -> Result<net::Host, String> {
    text.parse().map_err(|error| match error {
        net::AddressError::OnlyToListen(ip) => format!(
            "{ip} is only to listen on: nobody can call it. Name the machine with --host, and add --listen {ip}"
        ),
        other => other.to_string(),
    })
}

fn parse_listen(text: &str) -> Result<std::net::IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| {
        "write an IPv4 or IPv6 address of the machine without a port, or 0.0.0.0 or :: for all of them; a host name goes \
         with --host"
            .to_owned()
    })
}

fn parse_chains(text: &str) -> Result<ChainsArg, String> {
    const CHAINS_MAX: u32 = engine::limits::CHAINS_MAX as u32;
    match text.parse::<u32>() {
        Ok(chains @ 1..=CHAINS_MAX) => Ok(ChainsArg::Alike(chains)),
        Err(_) if text.ends_with(".toml") => Ok(ChainsArg::Listed(text.into())),
        _ => Err(format!("write a number from 1 to {CHAINS_MAX}, or the name of a file that ends in .toml")),
    }
}

#[cfg(test)]
mod tests;
