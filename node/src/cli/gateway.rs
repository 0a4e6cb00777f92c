//! The command lines of `millrace gateway`, `token`, `monitor`, `top` and `support`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use gateway::{STREAMS_OF_CALLER, Scope, Webhook};

use super::WhomArgs;

/// Offer the ledger over HTTP: JSON-RPC 2.0, REST, streams of events, metrics.
///
/// The gateway is a process of its own that calls one validator over the client
/// protocol. It holds no key that signs transactions, and it can do nothing that a
/// client cannot. For callers that are not trusted, run it on another machine than
/// the validator. Ask http://ADDRESS/docs what can be asked.
///
/// Beyond this machine it starts only with TLS and a file of tokens, and callers
/// without a token may then do nothing.
///
/// Examples:
///   millrace gateway --network /tmp/mill --listen 127.0.0.1:7480
///   millrace gateway --network /tmp/mill --validator 2 --listen 127.0.0.1:7480
///   millrace gateway --endpoint 10.0.0.5:7401 --fingerprint 9a41… \
///                    --network-id 77e0… --listen 0.0.0.0:443 \
///                    --certificate tls.crt --private-key tls.key \
///                    --tokens tokens.toml --anonymous none --host pay.example
///
/// Exit codes: 0 stopped when asked; 1 an address cannot be listened on; 2 the
/// options, the network, the tokens or the certificate cannot be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct GatewayArgs {
    /// The validator that it calls.
    #[command(flatten)]
    pub node: WhomArgs,
    /// Where it listens, with commas between them.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7480", value_delimiter = ',')]
    pub listen: Vec<SocketAddr>,
    /// What callers without a token may do, with commas between them: read, submit, metrics; or none.
    #[arg(long, value_name = "SCOPES", default_value = "read,submit", value_parser = parse_scopes)]
    pub anonymous: Scoped,
    /// The file of tokens, as `millrace token` writes it.
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Its TLS certificate, with those that vouch for it, in PEM.
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate, in PEM; without, the file of the certificate with the ending .key.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub private_key: Option<PathBuf>,
    /// The certificates of the authorities that vouch for client certificates, in PEM: who shows one may do what the
    /// file of clients says of its key.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub client_authority: Option<PathBuf>,
    /// What the key of each client certificate may do; without, clients.toml beside the authorities.
    #[arg(long, value_name = "FILE", requires = "client_authority")]
    pub clients: Option<PathBuf>,
    /// A name under which it is called, beside localhost and the addresses on which it listens. Can be given again.
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
    /// An origin whose pages may call it, such as https://shop.example. Can be given again.
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Vec<String>,
    /// Where the alarms of the validator are posted as JSON, such as https://relay.example/alarms. Can be given again.
    #[arg(long, value_name = "ADDRESS")]
    pub webhook: Vec<Webhook>,
    /// How many streams of events a token, or an address without one, may have open.
    #[arg(long, value_name = "COUNT", default_value_t = STREAMS_OF_CALLER, value_parser = parse_count)]
    pub streams_per_caller: usize,
}

fn parse_count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=8_192).contains(count));
    count.ok_or_else(|| "write a number from 1 to 8192".to_owned())
}

/// Some scopes, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scoped(pub Vec<Scope>);

impl std::ops::Deref for Scoped {
    type Target = [Scope];

    fn deref(&self) -> &[Scope] {
        &self.0
    }
}

fn parse_scopes(text: &str) -> Result<Scoped, String> {
    if text == "none" {
        return Ok(Scoped(Vec::new()));
    }
    text.split(',').map(str::parse).collect::<Result<_, _>>().map(Scoped)
}

/// Make, list and revoke the tokens of a gateway.
///
/// A token is 256 bits of chance, shown once. The file has its hash, what it allows
/// and when it ends. A gateway that runs takes changes over within a second.
#[derive(Debug, Clone, Subcommand)]
#[allow(missing_docs, reason = "the text of each argument struct is the manual; one here would replace it")]
pub enum TokenCommand {
    New(NewTokenArgs),
    List(ListTokensArgs),
    Revoke(RevokeTokenArgs),
}

/// Make a token and print it, once.
///
/// Example:
///   millrace token new --file tokens.toml --name till-7 --scope submit,read --days 90
///
/// Exit codes: 0 done; 2 the file cannot be used, or has a token of this name.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct NewTokenArgs {
    /// The file. It is made, for its owner alone, if it does not exist.
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// A name for people.
    #[arg(long)]
    pub name: String,
    /// What it allows, with commas between them: read, submit, metrics, admin.
    #[arg(long, value_name = "SCOPES", required = true, value_delimiter = ',')]
    pub scope: Vec<Scope>,
    /// After how many days it ends.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub days: u32,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// List the tokens of a file: names, scopes and ends.
///
/// Exit codes: 0 done; 2 the file cannot be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ListTokensArgs {
    /// The file.
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Revoke a token: no gateway takes it any more, from the next second on.
///
/// Exit codes: 0 done; 2 the file cannot be used, or has no token of this name.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct RevokeTokenArgs {
    /// The file.
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// The name of the token.
    #[arg(long)]
    pub name: String,
}

/// Say how each validator of a network is, a line each, for cron and Nagios.
///
/// The alarms are those that the validators have found (docs/ALARMS.md). One that
/// cannot be reached is critical.
///
/// Example:
///   millrace monitor --network /tmp/mill
///
/// Exit codes: 0 no alarm; 1 warnings; 2 something is critical, or the network
/// cannot be read.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct MonitorArgs {
    /// The network's directory, as `network init` made it.
    #[arg(long, value_name = "DIR")]
    pub network: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Show how the validators of a network are, in this terminal, once a second.
///
/// The page has a line for each validator and one for each alarm, the worst ones
/// first. The alarms are those that the validators have found (docs/ALARMS.md). q or
/// Ctrl-C ends it.
///
/// Example:
///   millrace top --network /tmp/mill
///
/// Exit codes: 0 ended; 2 the network cannot be read, or this is no terminal.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct TopArgs {
    /// The network's directory, as `network init` made it.
    #[arg(long, value_name = "DIR")]
    pub network: PathBuf,
}

/// Gather what a bug report needs into one text, without any secret.
///
/// It has the versions, the machine, the network, and of each validator that is on
/// this machine its configuration without keys, tokens and webhooks, its status and
/// counters, the last 200 lines of its log, and its files with their sizes. It is
/// searched for every secret of the directory before it is written. Look at it
/// before you send it: it has names and addresses.
///
/// Example:
///   millrace support --network /tmp/mill --output support.txt
///
/// Exit codes: 0 done; 1 a log has a secret, and nothing was written; 2 the network
/// cannot be read, or the file is there.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct SupportArgs {
    /// The network's directory, as `network init` made it.
    #[arg(long, value_name = "DIR")]
    pub network: PathBuf,
    /// The file to make.
    #[arg(long, value_name = "FILE", default_value = "support.txt")]
    pub output: PathBuf,
}
