//! What the commands that make, start and stop a network do and print.

use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use engine::types::{ChainGenesis, ChainId, ChainKind, Membership};
use serde_json::{Value, json};

use super::print::{grouped, print_json, quoted, rows};
use super::{
    AddArgs, ChainsArg, DownArgs, InitArgs, LearnArgs, MembersArgs, PlacesArgs, RebuildArgs, RenewArgs,
    UpArgs, genesis_beside, progress_bar,
};
use crate::config::genesis;
use crate::disk::{ROOM_LOW_BYTES, free_bytes};
use crate::network::verify_setting;
use crate::network::{self, ChainDraft, Down, InitError, InitOptions, Network, REQUEST_FILE, Up};
use crate::query::{NoValidator, print};

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
        gateway: !args.no_gateway,
        membership: if args.decide_members { Membership::Decided } else { Membership::Fixed },
        ..placed(&args.places)
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

/// The places of the validators that are meant.
fn chosen(args: &MembersArgs, network: &Network) -> Result<Vec<usize>, NoValidator> {
    let listed = network.members.len();
    if let Some(index) = args.only.iter().find(|index| usize::from(**index) >= listed) {
        return Err(NoValidator::local(*index, network));
    }
    let is_meant =
        |at: &usize| args.only.is_empty() || args.only.iter().any(|only| usize::from(*only) == *at);
    Ok((0..network.members.len()).filter(is_meant).collect())
}

/// Starts the validators of a network; `false` if one is not up.
///
/// # Errors
/// There is no network.
pub(super) fn up(args: &UpArgs) -> Result<bool> {
    let (args, patience) = (&args.network, Duration::from_secs(args.patience));
    let network = Network::load(&args.directory)?;
    let chosen = chosen(args, &network)?;
    let executable = std::env::current_exe().context("cannot find this executable")?;
    let begun = network::stop_new_on_signal()?;
    let mut tell = |line| eprintln!("{line}");
    let (outcomes, quorum) = network::up((&network, &chosen), &executable, &begun, patience, &mut tell);
    warn_of_full_disks(&network, &chosen);
    let up = outcomes.values().filter(|outcome| matches!(outcome, Up::Running(_))).count();
    let is_up = up == outcomes.len();
    let both = || outcomes.iter().map(|(at, outcome)| (&network.members[*at], outcome));
    if args.json {
        let validators = both().map(|(of, outcome)| {
            let mut validator = member(of);
            validator["up"] = json!(matches!(outcome, Up::Running(_)));
            match outcome {
                Up::Running(running) => {
                    validator["process"] = json!(running.pid);
                    validator["was_running"] = json!(running.before);
                    validator["committed"] = json!(running.status.committed);
                    validator["epoch"] = json!(running.status.standing.epoch);
                    validator["follows"] = json!(running.follows);
                }
                Up::Not(pid, error) => {
                    validator["process"] = json!(pid);
                    validator["problem"] = json!(error.to_string());
                }
            }
            validator
        });
        print_json(&json!({
            "network": network.genesis.name(),
            "network_id": network.genesis.network(),
            "up": is_up,
            "quorum": quorum,
            "validators": validators.collect::<Vec<_>>(),
        }))?;
        return Ok(is_up);
    }
    let name = network.genesis.name().escape_debug();
    let were = outcomes.values().all(|outcome| matches!(outcome, Up::Running(running) if running.before));
    let follow =
        outcomes.values().filter(|outcome| matches!(outcome, Up::Running(one) if one.follows.is_some()));
    let (all, follow) = (network.members.len(), follow.count());
    let of_them = match follow {
        0 => String::new(),
        1 => ", one of which only follows".to_owned(),
        _ => format!(", {follow} of which only follow"),
    };
    let is_whole = outcomes.len() == all;
    let validators = if outcomes.len() == 1 { "validator" } else { "validators" };
    match (is_up, were) {
        (true, true) if is_whole => println!("network \"{name}\" was up already: {up} {validators}{of_them}"),
        (true, false) if is_whole => println!("network \"{name}\" is up: {up} {validators}{of_them}"),
        (true, true) => println!("{up} {validators} of the network \"{name}\": up already"),
        (true, false) => println!("{up} {validators} of the network \"{name}\": up"),
        (false, _) if is_whole && up - follow < quorum => println!(
            "network \"{name}\": {up} of {all} validators are up{of_them}, and {quorum} make a quorum: nothing is committed"
        ),
        (false, _) => {
            let are = if outcomes.len() == 1 { "is" } else { "are" };
            println!("network \"{name}\": {up} of {} {validators} {are} up", outcomes.len());
        }
    }
    for (member, outcome) in both() {
        match outcome {
            Up::Running(running) => println!(
                "  {:<10}  clients {}  height {:<6}  peers {:<3}  process {}{}  log {}{}",
                member.name,
                member.clients,
                running.status.committed,
                running.status.peers.len(),
                running.pid,
                if running.before { " (was running)" } else { "" },
                member.log_file().display(),
                running.follows.as_ref().map_or_else(String::new, |words| format!("  {words}"))
            ),
            Up::Not(None, _) => println!("  {:<10}  NOT UP, see below", member.name),
            Up::Not(Some(pid), _) => println!("  {:<10}  NOT UP, see below; process {pid}", member.name),
        }
    }
    let reached = outcomes.values().filter_map(|outcome| match outcome {
        Up::Running(running) => Some(running.status.peers.len() + 1),
        Up::Not(..) => None,
    });
    if !is_whole && reached.max().is_some_and(|reached| reached < quorum) {
        println!(
            "\nthese validators reach fewer than {quorum} validators so far; nothing is committed before they reach a \
             quorum of {quorum}"
        );
    }
    let directory = quoted(&args.directory);
    if is_up && is_whole {
        println!("\nload:   millrace load --network {directory} --rate 1000 --seconds 15");
        println!("query:  millrace query --network {directory} account 1 7");
        println!("stop:   millrace network down {directory}");
    }
    for (member, outcome) in both() {
        if let Up::Not(_, error) = outcome {
            let index = member.index.0;
            eprintln!("\nerror: {error}");
            eprintln!("when that is mended:  millrace network up {directory} --only {index}");
        }
    }
    Ok(is_up)
}

/// Says which disks will be full soon, once for those that the validators share.
fn warn_of_full_disks(network: &Network, chosen: &[usize]) {
    let mut told = Vec::new();
    for member in chosen.iter().map(|at| &network.members[*at]) {
        let data = member.data();
        let Ok(disk) = std::fs::metadata(&data).map(|metadata| metadata.dev()) else { continue };
        match free_bytes(&data) {
            Ok(free) if free < ROOM_LOW_BYTES && !told.contains(&disk) => {
                told.push(disk);
                let (free, data) = (free >> 20, data.display());
                eprintln!(
                    "warning: only {free} MiB are free on the disk of {data}; a validator stops when it is full"
                );
            }
            _ => {}
        }
    }
}

/// Stops the validators of a network; `false` if one had to be killed.
///
/// # Errors
/// There is no network, or a process cannot be asked.
pub(super) fn down(args: &DownArgs) -> Result<bool> {
    let args = &args.network;
    let network = Network::load(&args.directory)?;
    let stopped = network::down(&network, &chosen(args, &network)?)?;
    let gracefully = stopped.values().all(|outcome| matches!(outcome, Down::Stopped(_) | Down::NotRunning));
    let both = || stopped.iter().map(|(at, outcome)| (&network.members[*at], outcome));
    if args.json {
        let validators = both().map(|(member, outcome)| {
            let (word, process) = match outcome {
                Down::Stopped(pid) => ("stopped", Some(pid)),
                Down::NotRunning => ("not running", None),
                Down::Killed(pid) => ("killed", Some(pid)),
                Down::Stays(pid) => ("killed, and still there", Some(pid)),
            };
            json!({ "index": member.index, "name": member.name, "outcome": word, "process": process })
        });
        print_json(&json!({ "validators": validators.collect::<Vec<_>>(), "gracefully": gracefully }))?;
        return Ok(gracefully);
    }
    for (member, outcome) in both() {
        let name = &member.name;
        match outcome {
            Down::Stopped(pid) => println!("  {name:<10}  process {pid} stopped"),
            Down::NotRunning => println!("  {name:<10}  was not running"),
            Down::Killed(pid) => println!("  {name:<10}  process {pid} did not stop and was killed"),
            Down::Stays(pid) => println!(
                "  {name:<10}  process {pid} was killed and is still there: it waits for the machine, mostly for a disk"
            ),
        }
    }
    if let Some((member, _)) = both().next() {
        println!("\naudit:  millrace verify {}", quoted(member.data()));
    }
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

/// Prepares another validator.
///
/// # Errors
/// There is no network, its validators are fixed, or a file cannot be written.
pub(super) fn add(args: &AddArgs) -> Result<bool> {
    let network = Network::load(&args.directory)?;
    let options = InitOptions {
        hosts: vec![args.host.clone()],
        listen: args.listen.clone(),
        base_port: args.base_port,
        storage: args.storage.word().into(),
        ..InitOptions::default()
    };
    let added = network::add(&network, &options)?;
    if args.json {
        return print_json(&json!({
            "validator": member(&added.member),
            "request": added.request,
            "observer": added.section,
            "extended": added.extended,
            "others_elsewhere": added.others_elsewhere,
        }));
    }
    let directory = quoted(&args.directory);
    println!("\"{}\" in {}", added.member.name, quoted(&added.member.directory));
    println!("\nlet it follow: the node.toml of every validator needs this section\n\n{}", added.section);
    let start = format!("start it:       millrace network up {directory} --only {}", added.member.index);
    if added.others_elsewhere {
        println!(
            "Give it to the other operators: each adds it to node.toml and sends SIGHUP to the validator.\n"
        );
        println!("{start}");
        println!(
            "admit it:       give {} to an administrator, for\n                millrace chain admit {REQUEST_FILE} --as \
             ACCOUNT --network DIR",
            quoted(&added.request)
        );
        return Ok(true);
    }
    println!(
        "{} of the files in {directory} have it now. To have those that are in use here read again:",
        added.extended.len()
    );
    println!("  kill -HUP $(cat {directory}/validator-*/node.pid)\n");
    println!("{start}");
    println!("admit it:       millrace chain admit {} --network {directory}", quoted(&added.request));
    Ok(true)
}

/// Fetches who has validated since the genesis.
///
/// # Errors
/// There is no network, or [`network::LearnError`].
pub(super) fn learn(args: &LearnArgs) -> Result<bool> {
    let network = Network::load(&args.directory)?;
    let learnt = network::learn(&network, args.endpoint.clone().zip(args.fingerprint), args.trust)?;
    let members = learnt.epochs.members();
    let (count, digest) = (members.list.len(), members.digest());
    if args.json {
        return print_json(&json!({
            "epoch": members.epoch,
            "members": count,
            "digest": digest,
            "agree": learnt.agree,
            "lies": learnt.lies,
            "files": learnt.files,
        }));
    }
    learnt.lies.iter().for_each(|lie| eprintln!("note: {lie}"));
    println!("epoch {}, of {count} validators with the digest {digest}", members.epoch);
    println!("{} of them answer and say that it is the present one", learnt.agree);
    for file in &learnt.files {
        println!("  written to {}", file.display());
    }
    match learnt.files.is_empty() {
        true => {
            println!("nothing is written: no validator of {} has its node.toml here", quoted(&args.directory))
        }
        false => println!("\neach reads its file when it starts: restart those that run"),
    }
    Ok(true)
}

/// What the options say of the validators of a new network.
fn placed(places: &PlacesArgs) -> InitOptions {
    InitOptions {
        hosts: places.host.clone(),
        listen: places.listen.clone(),
        base_port: Some(places.base_port),
        storage: places.storage.word().into(),
        work: verify_setting(places.verify),
        ..InitOptions::default()
    }
}

/// Makes a network that goes on from the data of another one.
///
/// # Errors
/// [`network::RebuildError`].
pub(super) fn rebuild(args: &RebuildArgs) -> Result<bool> {
    let genesis = Arc::new(genesis_beside(&args.data, args.genesis.as_deref())?);
    let options = InitOptions {
        name: args.name.clone().unwrap_or_else(|| genesis.name().to_owned()),
        validators: args.validators,
        chains: Vec::new(),
        membership: genesis.membership(),
        ..placed(&args.places)
    };
    let bar = progress_bar("auditing");
    let progress = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let rebuilt = network::rebuild((&args.data, &genesis), &args.to, &options, &progress);
    bar.finish_and_clear();
    let network::Rebuilt { network, from: (height, root), left_out } = rebuilt?;
    let state = args.to.join(network::STATE_FILE);
    if args.json {
        return print_json(&json!({
            "network": network.genesis.name(),
            "network_id": network.genesis.network(),
            "rebuilt_from": {
                "network_id": genesis.network(), "height": height, "state_root": root, "left_out": left_out
            },
            "directory": args.to,
            "state": state,
            "quorum": network.genesis.quorum(),
            "validators": network.members.iter().map(member).collect::<Vec<_>>(),
        }));
    }
    if left_out > 0 {
        eprintln!(
            "note: {left_out} heights above height {height} are left out, because no certificate in this data proves that \
             they are final"
        );
    }
    println!("network \"{}\" in {}", network.genesis.name().escape_debug(), args.to.display());
    rows(&[
        ("network id", network.genesis.network().to_string()),
        ("goes on from", format!("height {height} of {}", genesis.network())),
        ("state root", root.to_string()),
        ("state", state.display().to_string()),
        ("validators", format!("{} ({} make a quorum)", args.validators, network.genesis.quorum())),
    ]);
    println!(
        "\nkeep {} and the old genesis: earlier blocks are nowhere else, and their proofs need that genesis",
        quoted(&args.data)
    );
    println!("start it:  millrace network up {}", quoted(&args.to));
    Ok(true)
}

/// Renews the certificates of validators.
///
/// # Errors
/// There is no network, or a certificate cannot be made or written.
pub(super) fn renew(args: &RenewArgs) -> Result<bool> {
    let (days, args) = (args.days, &args.network);
    let network = Network::load(&args.directory)?;
    let mut renewed = Vec::new();
    for at in chosen(args, &network)? {
        let member = &network.members[at];
        let until = network::renew(member, days)?;
        if !args.json {
            println!("  {:<10}  its certificate is valid until {}", member.name, print::time(until * 1_000));
        }
        renewed.push(json!({ "index": member.index, "name": member.name, "valid_until": until }));
    }
    if args.json {
        print_json(&json!({ "validators": renewed }))?;
    } else {
        println!("\nshow them:  kill -HUP $(cat {}/validator-N/node.pid)", quoted(&args.directory));
    }
    Ok(true)
}
