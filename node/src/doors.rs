//! The gateway as a part of the `millrace` program: in a validator's process, and as a process of its own.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use engine::types::{Digest, Genesis, Transaction};
use gateway::{
    Administration, ClientFiles, Doors, Host, Remote, Running, Settings, Share, TlsFiles, TokenFile, Words,
};
use serde_json::{Value, json};

use crate::cli::{GatewayArgs, TokenCommand, print_json, rows};
use crate::config::{Config, PeerConfig};
use crate::log::Log;
use crate::network::Network;
use crate::query;
use crate::signals;
use crate::validator::clock::Clock;

mod alarm;
mod monitor;
mod steward;
mod support;
mod top;

pub use alarm::alarm;
pub use monitor::{Critical, monitor};
pub use support::{HoldsSecret, support};
pub use top::{NoTerminal, top};

use steward::OfValidator;

/// How much a validator's own threads go before those of the gateway in its process.
const NICENESS: libc::c_int = 10;
/// Connections of a gateway, at most.
const CONNECTIONS_MAX: usize = 10_240;
/// Threads of a gateway in a validator's process.
const GUESTS: usize = 2;

/// Opens the doors of a validator, in its process, if it has any.
///
/// # Errors
/// They cannot be opened.
pub fn open(config: &Config, here: Arc<dyn Host>, log: &Log) -> Result<Option<Running>> {
    let Some(doors) = &config.gateway else { return Ok(None) };
    let mut settings = settings(doors.clone(), *config.genesis.network(), Some(config.genesis.clone()));
    settings.administration = config.admin.as_ref().map(|doors| Administration {
        doors: doors.clone(),
        steward: Arc::new(OfValidator::new(&config.data, log.clone())),
    });
    let reached = |peer: &PeerConfig| Some((peer.certificate_fingerprint, peer.clients.clone()?));
    settings.others = config.peers.iter().filter_map(reached).collect();
    let share = Share { count: GUESTS, begin: after_the_validator, connections: connections() };
    let running = gateway::start(settings, here, share)?;
    told(&running);
    Ok(Some(running))
}

fn told(running: &Running) {
    let addresses: Vec<String> = running.addresses.iter().map(ToString::to_string).collect();
    tracing::info!(http = addresses.join(", "), "the gateway is open");
    if !running.admin.is_empty() {
        let addresses: Vec<String> = running.admin.iter().map(ToString::to_string).collect();
        tracing::info!(http = addresses.join(", "), "administration is open");
    }
}

fn settings(doors: Doors, network: Digest, genesis: Option<Arc<Genesis>>) -> Settings {
    let words = Words {
        fields: describe,
        line: query::print::says,
        decision: query::decisions::decision,
        proposal: query::decisions::proposal_fields,
        charter: query::decisions::charter_fields,
    };
    Settings { doors, network, genesis, words, administration: None, others: Vec::new() }
}

/// What a transaction says, as `millrace query transaction --json` has it.
fn describe(transaction: &Transaction) -> Value {
    query::print::with_content(json!({}), transaction)
}

/// Has the system run this thread after those of the validator.
fn after_the_validator() {
    // SAFETY: the call takes numbers only, and on Linux speaks of the calling thread.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
}

/// How many connections there may be: half of the files that the process may have open, once that limit is as high as
/// the system lets it be. The other half is the validator's, which stops if it cannot open a file.
fn connections() -> usize {
    // SAFETY: the limit is plain numbers, for which zeros are values, and a valid place for the answer; raising the
    // soft limit to the hard one changes nothing else.
    let limit = unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) == 0 {
                raised.rlim_cur
            } else {
                limit.rlim_cur
            }
        } else {
            0
        }
    };
    usize::try_from(limit / 2).unwrap_or(CONNECTIONS_MAX).clamp(1, CONNECTIONS_MAX)
}

/// Runs a gateway until it is asked to stop.
///
/// # Errors
/// It cannot begin: no node is named, or its doors cannot be opened.
pub fn serve(args: &GatewayArgs) -> Result<bool> {
    let doors = Doors {
        listen: args.listen.clone(),
        anonymous: args.anonymous.iter().copied().collect(),
        tokens: args.tokens.clone(),
        tls: args.certificate.as_ref().map(|certificate| TlsFiles {
            certificate: certificate.clone(),
            private_key: args.private_key.clone().unwrap_or_else(|| certificate.with_extension("key")),
        }),
        clients: args.client_authority.as_ref().map(|authority| ClientFiles {
            authority: authority.clone(),
            clients: args.clients.clone().unwrap_or_else(|| authority.with_file_name("clients.toml")),
        }),
        hosts: args.host.clone(),
        origins: args.origin.clone(),
        webhooks: args.webhook.clone(),
        streams_of_caller: args.streams_per_caller,
    };
    doors.check()?;
    let network = args.node.network.as_deref().map(Network::load).transpose()?;
    let remote = whom(args, network.as_ref())?;
    let mut settings =
        settings(doors, remote.network, network.as_ref().map(|network| network.genesis.clone()));
    let members = network.iter().flat_map(|network| &network.members);
    settings.others = members.map(|member| (member.fingerprint.0, member.clients.clone())).collect();
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    println!("the gateway calls {}", remote.address);
    let share = Share { count: threads, begin: || {}, connections: connections() };
    let running = gateway::start(settings, Arc::new(remote), share)?;
    for address in &running.addresses {
        let scheme = if args.certificate.is_some() { "https" } else { "http" };
        println!("it listens on {scheme}://{address}; {scheme}://{address}/docs says what can be asked");
    }
    // Ctrl-C and SIGTERM end it well; it has nothing to lose.
    let signal = signals::wait().context("cannot wait for signals")?;
    drop(running);
    println!("stopped by {signal:?}");
    Ok(true)
}

/// The node that is named.
fn whom(args: &GatewayArgs, network: Option<&Network>) -> Result<Remote> {
    let whom = &args.node;
    whom.check()?;
    if let (Some(endpoint), Some(fingerprint), Some(network)) =
        (&whom.endpoint, whom.fingerprint, whom.network_id)
    {
        return Ok(Remote { address: endpoint.clone(), fingerprint, network });
    }
    let client = query::reach(whom, network)?;
    let (id, shown) = (*client.network(), client.fingerprint().context("an archive is no node")?);
    let listed = network.into_iter().flat_map(|network| &network.members).find(|of| of.fingerprint == shown);
    let address = whom.endpoint.clone().or_else(|| listed.map(|member| member.clients.clone()));
    let address = address
        .context("network.toml does not list this validator: name it with --endpoint and --fingerprint")?;
    Ok(Remote { address, fingerprint: shown, network: id })
}

/// Makes, lists and revokes tokens.
///
/// # Errors
/// The file cannot be read or written, or the name is taken or unknown.
pub fn token(command: &TokenCommand) -> Result<bool> {
    let now = Clock::start().moment().unix_ms / 1_000;
    match command {
        TokenCommand::New(args) => {
            let expires = now + u64::from(args.days) * 86_400;
            let token =
                TokenFile::change(&args.file, |file| file.add(&args.file, &args.name, &args.scope, expires))?;
            if args.json {
                return print_json(&json!({ "name": args.name, "token": token, "expires": expires }));
            }
            println!("{token}");
            eprintln!(
                "This is the only time that it is shown. It ends {}.",
                query::print::time(expires * 1_000)
            );
        }
        TokenCommand::List(args) => list(&args.file, now, args.json)?,
        TokenCommand::Revoke(args) => {
            TokenFile::change(&args.file, |file| file.revoke(&args.file, &args.name))?;
            println!("{:?} is revoked; a gateway that runs knows it within a second", args.name);
        }
    }
    Ok(true)
}

fn list(path: &Path, now: u64, json: bool) -> Result<()> {
    let file = TokenFile::load(path)?;
    let scopes = |of: &gateway::Listed| of.scopes.iter().copied().collect::<gateway::Scopes>().to_string();
    if json {
        let fields =
            |of: &gateway::Listed| json!({ "name": of.name, "scopes": of.scopes, "expires": of.expires });
        print_json(&file.tokens.iter().map(fields).collect())?;
        return Ok(());
    }
    for of in &file.tokens {
        println!("{}", of.name);
        let ended = if of.expires <= now { " (ended)" } else { "" };
        rows(&[
            ("scopes", scopes(of)),
            ("until", format!("{}{ended}", query::print::time(of.expires * 1_000))),
        ]);
    }
    Ok(())
}
