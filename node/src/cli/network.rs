//! What the commands that make, start and stop a network do and print.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use engine::types::{ChainGenesis, ChainId, ChainKind};
use serde_json::{Value, json};

use super::print::{grouped, print_json, quoted, rows};
use super::{ChainsArg, DirectoryArgs, InitArgs};
use crate::config::genesis;
use crate::network::{self, ChainDraft, Down, InitError, InitOptions, Network};

/// Makes a network.
///
/// # Errors
/// The list of chains or the numbers make no sense, or a file cannot be written.
pub(super) fn init(args: &InitArgs) -> Result<bool> {
    let options = InitOptions {
        name: args.name.clone(),
        validators: args.validators,
        chains: match &args.chains {
            ChainsArg::Alike(chains) => {
                let deciding = args.governance.map(|(k, n)| ChainDraft::governance(ChainId(0), n, k));
                let alike = ChainDraft::alike(*chains, args.accounts, args.balance);
                deciding.into_iter().chain(alike).collect()
            }
            ChainsArg::Listed(_) if args.governance.is_some() => {
                return Err(InitError::GovernanceBesideFile.into());
            }
            ChainsArg::Listed(file) => ChainDraft::read(file, args.accounts, args.balance)?,
        },
        progress: report_accounts,
        hosts: args.host.clone(),
        listen: args.listen.clone(),
        base_port: Some(args.base_port),
        storage: args.storage.word().into(),
        ..InitOptions::default()
    };
    let network = network::init(&args.directory, &options)?;
    let [genesis, header] =
        [genesis::GENESIS_FILE, genesis::HEADER_FILE].map(|name| args.directory.join(name));
    if args.json {
        let chain = |chain: &ChainGenesis| {
            let asset = (chain.kind == ChainKind::Transfers).then(|| chain.asset.to_string());
            json!({ "id": chain.id, "kind": chain.kind.name(), "asset": asset, "accounts": chain.accounts.len() })
        };
        return print_json(&json!({
            "network": network.genesis.name(),
            "network_id": network.genesis.network(),
            "directory": args.directory,
            "genesis": genesis,
            "genesis_header": header,
            "quorum": network.genesis.quorum(),
            "validators": network.members.iter().map(member).collect::<Vec<_>>(),
            "chains": network.genesis.chains().iter().map(chain).collect::<Vec<_>>(),
        }));
    }
    let directory = args.directory.display();
    println!("network \"{}\" in {directory}", network.genesis.name().escape_debug());
    rows(&[
        ("network id", network.genesis.network().to_string()),
        ("validators", format!("{} ({} make a quorum)", args.validators, network.genesis.quorum())),
        ("chains", described_chains(network.genesis.chains())),
        ("genesis", genesis.display().to_string()),
        ("for strangers", header.display().to_string()),
    ]);
    println!("\nstart it:  millrace network up {}", quoted(&args.directory));
    Ok(true)
}

/// Shows how far the keys of the accounts are; few are made before anybody could read it.
fn report_accounts(made: u64, total: u64) {
    const MANY: u64 = 500_000;
    let shown = || format!("keys of accounts: {} of {}", grouped(made), grouped(total));
    if total < MANY {
        return;
    }
    if std::io::stderr().is_terminal() {
        eprint!("{}{}", shown(), if made == total { "\n" } else { "\r" });
    } else if made == total || made.is_multiple_of(MANY.next_power_of_two()) {
        eprintln!("{}", shown());
    }
    if made == total {
        eprintln!("writing the genesis, and reading it back");
    }
}

/// How many chains, and what they are.
fn described_chains(chains: &[ChainGenesis]) -> String {
    let alike =
        |a: &ChainGenesis, b: &ChainGenesis| (a.asset, a.accounts.len()) == (b.asset, b.accounts.len());
    match chains {
        [first, rest @ ..] if rest.iter().all(|chain| alike(first, chain)) => {
            format!("{}, of {} accounts each", chains.len(), grouped(first.accounts.len() as u64))
        }
        _ => {
            let one = |chain: &ChainGenesis| {
                let accounts = grouped(chain.accounts.len() as u64);
                match chain.kind {
                    ChainKind::Transfers => format!("{}: {accounts} accounts of {}", chain.id, chain.asset),
                    kind => format!("{}: {}, {accounts} accounts", chain.id, kind.name()),
                }
            };
            chains.iter().map(one).collect::<Vec<_>>().join("; ")
        }
    }
}

/// Starts the validators of a network.
///
/// # Errors
/// There is no network, or a validator does not come up.
pub(super) fn up(args: &DirectoryArgs) -> Result<bool> {
    let network = Network::load(&args.directory)?;
    let executable = std::env::current_exe().context("cannot find this executable")?;
    network::stop_new_on_signal(&network)?;
    let started = network::up(&network, &executable)
        .context("the network is not up; validators that this command had started were stopped again")?;
    let both = || network.members.iter().zip(&started);
    if args.json {
        let validators = both().map(|(of, running)| {
            let mut validator = member(of);
            validator["process"] = json!(running.pid);
            validator["was_running"] = json!(running.before);
            validator["committed"] = json!(running.status.committed);
            validator
        });
        return print_json(&json!({
            "network": network.genesis.name(),
            "network_id": network.genesis.network(),
            "validators": validators.collect::<Vec<_>>(),
        }));
    }
    println!("network \"{}\" is up: {} validators", network.genesis.name(), started.len());
    for (member, running) in both() {
        println!(
            "  {:<10}  clients {}  height {:<6}  process {}{}  log {}",
            member.name,
            member.clients,
            running.status.committed,
            running.pid,
            if running.before { " (was running)" } else { "" },
            member.log_file().display()
        );
    }
    let directory = quoted(&args.directory);
    println!("\nload:   millrace load --network {directory} --rate 1000 --seconds 15");
    println!("query:  millrace query --network {directory} account 1 7");
    println!("stop:   millrace network down {directory}");
    Ok(true)
}

/// Stops the validators of a network; `false` if one had to be killed.
///
/// # Errors
/// There is no network, or a process cannot be asked.
pub(super) fn down(args: &DirectoryArgs) -> Result<bool> {
    let network = Network::load(&args.directory)?;
    let stopped = network::down(&network)?;
    let gracefully = !stopped.iter().any(|outcome| matches!(outcome, Down::Killed(_)));
    let both = || network.members.iter().zip(&stopped);
    if args.json {
        let validators = both().map(|(member, outcome)| {
            let (word, process) = match outcome {
                Down::Stopped(pid) => ("stopped", Some(pid)),
                Down::NotRunning => ("not running", None),
                Down::Killed(pid) => ("killed", Some(pid)),
            };
            json!({ "index": member.index, "name": member.name, "outcome": word, "process": process })
        });
        print_json(&json!({ "validators": validators.collect::<Vec<_>>(), "gracefully": gracefully }))?;
        return Ok(gracefully);
    }
    for (member, outcome) in both() {
        match outcome {
            Down::Stopped(pid) => println!("  {:<10}  process {pid} stopped", member.name),
            Down::NotRunning => println!("  {:<10}  was not running", member.name),
            Down::Killed(pid) => println!("  {:<10}  process {pid} did not stop and was killed", member.name),
        }
    }
    println!("\naudit:  millrace verify {}", quoted(network.members[0].data()));
    Ok(gracefully)
}

/// What a program needs to talk to a validator, and where its files are.
fn member(member: &network::Member) -> Value {
    json!({
        "index": member.index,
        "name": member.name,
        "clients": member.clients.to_string(),
        "fingerprint": member.fingerprint.to_string(),
        "directory": member.directory,
        "log": member.log_file(),
    })
}
