//! What each command does, and what it prints.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use engine::audit::AuditError;
use engine::store::StoreError;
use engine::types::Genesis;
use indicatif::{ProgressBar, ProgressStyle};
use loadgen::LoadError;
use net::NetError;

use super::{
    AccountCommand, ChainCommand, Cli, Command, KernelsCommand, KeyCommand, NetworkCommand, NodeArgs, Output,
    OutputError, ReservationCommand, SwapCommand, Verify, VerifyArgs, WhomError,
};
use super::{backup, network};
use crate::accounts::{ChangeError, RequestError};
use crate::archive::{Archive, ArchiveError, ArchivedFile, AuditedArchive};
use crate::attestations::AttestError;
use crate::backup::BackupError;
use crate::config::{Config, ConfigError, genesis};
use crate::governance::{self, GovernanceError};
use crate::keys::{self, KeyError};
use crate::log::Log;
use crate::network::{AddError, InitError, LearnError, RebuildError};
use crate::proofs::GenesisHeaderError;
use crate::reservations::ReserveError;
use crate::transfer::{FileError, PaymentsError, TransferError};
use crate::verify::{ArchiveText, Audit, CheckpointFile, Map, Text, VerifyError};
use crate::{
    accounts, archive, attestations, bench, demo, device, doors, kernels, proofs, query, reservations,
    series, sink, transfer, validator, verify,
};

/// Does what was typed; `false` where something that was to be checked does not hold.
///
/// # Errors
/// Whatever went wrong, with context; [`exit_code`] says what it means to the shell.
pub fn run(cli: Cli) -> Result<bool> {
    match cli.command {
        Command::Bench(args) if args.saturate => series::saturate_bench(&args),
        Command::Bench(args) if args.repeat > 1 => series::repeat(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Compare(args) => series::compare(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Node(args) => node(&args),
        Command::DeviceChild { software } => device::work(software).map(|()| true),
        Command::Sink(args) => sink::serve(&args).map(|()| true),
        Command::Network(NetworkCommand::Init(args)) => network::init(&args),
        Command::Network(NetworkCommand::Up(args)) => network::up(&args),
        Command::Network(NetworkCommand::Down(args)) => network::down(&args),
        Command::Network(NetworkCommand::Renew(args)) => network::renew(&args),
        Command::Network(NetworkCommand::Add(args)) => network::add(&args),
        Command::Network(NetworkCommand::Learn(args)) => network::learn(&args),
        Command::Network(NetworkCommand::Rebuild(args)) => network::rebuild(&args),
        Command::Load(args) => bench::load(&args),
        Command::Key(KeyCommand::New(args)) => keys::new(&args),
        Command::Key(KeyCommand::Show(args)) => keys::show(&args),
        Command::Key(KeyCommand::Derive(args)) => keys::derive(&args),
        Command::Transfer(args) => transfer::transfer(&args),
        Command::Reservation(ReservationCommand::Make(args)) => reservations::make(&args),
        Command::Reservation(ReservationCommand::Settle(args)) => reservations::settle(&args),
        Command::Reservation(ReservationCommand::Void(args)) => reservations::void(&args),
        Command::Swap(SwapCommand::Offer(args)) => reservations::offer(&args),
        Command::Swap(SwapCommand::Take(args)) => reservations::take(&args),
        Command::Swap(SwapCommand::Withdraw(args)) => reservations::withdraw(&args),
        Command::Attest(args) => attestations::attest(&args),
        Command::Revoke(args) => attestations::revoke(&args),
        Command::Submit(args) => transfer::submit(&args),
        Command::Account(AccountCommand::Request(args)) => accounts::request(&args),
        Command::Account(AccountCommand::Open(args)) => accounts::open(&args),
        Command::Account(AccountCommand::Freeze(args)) => transfer::freeze(&args),
        Command::Account(AccountCommand::Unfreeze(args)) => transfer::unfreeze(&args),
        Command::Account(AccountCommand::NewKey(args)) => accounts::new_key(&args),
        Command::Account(AccountCommand::Rekey(args)) => accounts::rekey(&args),
        Command::Account(AccountCommand::Protect(args)) => accounts::protect(&args),
        Command::Account(AccountCommand::Recover(args)) => accounts::recover(&args),
        Command::Account(AccountCommand::Cancel(args)) => accounts::cancel(&args),
        Command::Account(AccountCommand::Close(args)) => accounts::close(&args),
        Command::Chain(ChainCommand::List(args)) => query::list_chains(&args),
        Command::Chain(ChainCommand::Issue(args)) => transfer::issue(&args),
        Command::Chain(ChainCommand::Burn(args)) => transfer::burn(&args),
        Command::Chain(ChainCommand::Create(args)) => governance::create(&args),
        Command::Chain(ChainCommand::Pause(args)) => governance::pause(&args),
        Command::Chain(ChainCommand::Resume(args)) => governance::resume(&args),
        Command::Chain(ChainCommand::Close(args)) => governance::close(&args),
        Command::Chain(ChainCommand::Roles(args)) => governance::roles(&args),
        Command::Chain(ChainCommand::Administrators(args)) => governance::administrators(&args),
        Command::Chain(ChainCommand::Members(args)) => governance::members(&args),
        Command::Chain(ChainCommand::Admit(args)) => governance::admit(&args),
        Command::Chain(ChainCommand::Remove(args)) => governance::remove(&args),
        Command::Chain(ChainCommand::Rules(args)) => governance::next_rules(&args),
        Command::Chain(ChainCommand::Approve(args)) => governance::approve(&args),
        Command::Chain(ChainCommand::Proposal(args)) => governance::proposal(&args),
        Command::Chain(ChainCommand::Proposals(args)) => governance::proposals(&args),
        Command::Query(args) => query::query(&args),
        Command::Gateway(args) => doors::serve(&args),
        Command::Token(command) => doors::token(&command),
        Command::Monitor(args) => doors::monitor(&args),
        Command::Alarm(command) => doors::alarm(&command),
        Command::Top(args) => doors::top(&args),
        Command::Support(args) => doors::support(&args),
        Command::Archive(args) => archive::archive(&args),
        Command::Backup(args) => backup::make(&args),
        Command::Restore(args) => backup::put_back(&args),
        Command::Verify(args) => audit(&args),
        Command::VerifyProof(args) => proofs::verify_proof(&args),
        Command::VerifyReport(args) => bench::verify_report(&args),
        Command::Kernels(KernelsCommand::Check { file, backend, json }) => {
            kernels::check(&file, backend, json)
        }
        Command::Kernels(KernelsCommand::Bench { crossover: Some(directory), json, batch_max, .. }) => {
            kernels::crossover(&directory, batch_max as usize, json)
        }
        Command::Kernels(KernelsCommand::Bench { backend, json, .. }) => kernels::bench(backend, json),
    }
}

/// What an error means to the shell: 2 where the command line or a file has to be changed, else 1.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let usage = error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.is::<InitError>()
            || cause.is::<AddError>()
            || cause.is::<VerifyError>()
            || cause.is::<AuditError>()
            || cause.downcast_ref().is_some_and(ArchiveError::is_usage)
            || cause.downcast_ref().is_some_and(BackupError::is_usage)
            || cause.is::<KeyError>()
            || cause.is::<FileError>()
            || cause.is::<PaymentsError>()
            || cause.is::<RequestError>()
            || cause.is::<ChangeError>()
            || cause.is::<AttestError>()
            || cause.is::<GovernanceError>()
            || matches!(cause.downcast_ref(), Some(error) if !matches!(error, ReserveError::NotOpen(_)))
            || cause.is::<TransferError>()
            || cause.is::<GenesisHeaderError>()
            || cause.is::<bench::ReportError>()
            || cause.is::<OutputError>()
            || cause.is::<WhomError>()
            || cause.is::<gateway::DoorsError>()
            || cause.is::<doors::Critical>()
            || cause.is::<doors::NoTerminal>()
            || cause.is::<gateway::TokenError>()
            || matches!(cause.downcast_ref(), Some(error) if !matches!(error, gateway::StartError::Threads(_)))
            || cause.is::<query::NoValidator>()
            || matches!(cause.downcast_ref(), Some(LearnError::Rules(_)))
            || cause.downcast_ref().is_some_and(RebuildError::is_usage)
            || cause.is::<engine::types::UnsupportedRules>()
            || matches!(cause.downcast_ref(), Some(LoadError::Plan(_) | LoadError::NoRoom(_)))
            || is_configuration(cause)
    });
    match usage {
        true => ExitCode::from(2),
        // As where a running validator stops itself: it is not to be started again by anybody but a person.
        false if error.chain().any(|cause| cause.is::<validator::Forgery>()) => {
            ExitCode::from(validator::EXIT_FATAL as u8)
        }
        false => ExitCode::FAILURE,
    }
}

/// What went wrong and why, each reason once: many messages name their cause themselves.
#[must_use]
pub fn reasons(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

/// Whether a validator did not start because of its configuration or its place.
fn is_configuration(cause: &(dyn std::error::Error + 'static)) -> bool {
    let net = matches!(cause.downcast_ref(), Some(NetError::AddressInUse { .. } | NetError::Config(_)));
    let store = matches!(
        cause.downcast_ref(),
        Some(
            StoreError::InUse { .. }
                | StoreError::ForeignOwner { .. }
                | StoreError::Format { .. }
                | StoreError::MissingIdentity { .. }
                | StoreError::OtherIdentity { .. }
                | StoreError::UringUnavailable { .. }
        )
    );
    net || store
}

fn node(args: &NodeArgs) -> Result<bool> {
    let mut config = Config::load(&args.config)?;
    config.work.verify = args.verify.map_or(config.work.verify, Verify::policy);
    let log = Log::start(&config)?;
    validator::run(config, &log)?;
    Ok(true)
}

/// The genesis that is named, or the one of the configuration beside a data directory.
///
/// # Errors
/// It cannot be found or read.
pub(crate) fn genesis_beside(data: &Path, named: Option<&Path>) -> Result<Genesis> {
    Ok(genesis::load(&genesis_file_beside(data, named)?)?)
}

/// The file of it.
///
/// # Errors
/// It cannot be found.
pub(crate) fn genesis_file_beside(data: &Path, named: Option<&Path>) -> Result<PathBuf> {
    if let Some(file) = named {
        return Ok(file.to_owned());
    }
    let file = crate::config::genesis_of(&data.join("../node.toml"));
    file.with_context(
        || "the genesis is found through the node.toml beside the data directory; name it with --genesis",
    )
}

fn audit(args: &VerifyArgs) -> Result<bool> {
    let data = args.data.as_deref();
    data.map(verify::check_data).transpose()?;
    if let Some(data) = data.filter(|_| args.map) {
        return map(data, args.json.as_deref());
    }
    let archive = args.archive.as_deref().map(Archive::open).transpose()?;
    let output = args.json.as_deref().map(Output::open).transpose()?;
    // Without a directory clap has asked for the genesis.
    let genesis = genesis_beside(data.unwrap_or(Path::new(".")), args.genesis.as_deref())?;
    let bar = progress_bar("auditing");
    let progress = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let (network, genesis) = (*genesis.network(), Arc::new(genesis));
    let mut auditor = verify::auditor(Arc::clone(&genesis))?;
    let listed = archive.as_ref().map(|archive| ArchivedFile::list(archive, &genesis, &progress));
    let report = match (archive, data) {
        (Some(archive), data) => {
            let at = archive.directory().to_owned();
            let mut archive = AuditedArchive::new(archive, &genesis);
            auditor.audit_archive((&mut archive, &at), data, &progress, &mut |_, _, _| {})?
        }
        (None, Some(data)) => auditor.audit(data, &progress, &mut |_, _, _| {})?,
        (None, None) => unreachable!("clap asks for one of them"),
    };
    let checkpoints = data.map_or_else(Vec::new, |data| CheckpointFile::list(data, &network));
    bar.finish_and_clear();
    let both = Audit { report: &report, checkpoints: &checkpoints, archive: listed.as_deref() };
    let json = serde_json::to_string_pretty(&both).context("the report as JSON")?;
    if !output.as_ref().is_some_and(Output::is_stdout) {
        print!("{}", Text(&report, &checkpoints));
        listed.as_deref().into_iter().for_each(|files| print!("{}", ArchiveText(files)));
    }
    output.map(|output| output.write(&json)).transpose()?;
    Ok(report.ok && listed.iter().flatten().all(|file| file.wrong.is_none()))
}

/// Shows what is where in a data directory; false where something is rotten.
fn map(data: &Path, json: Option<&Path>) -> Result<bool> {
    let output = json.map(Output::open).transpose()?;
    let bar = progress_bar("reading");
    let map = Map::of(data, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let map = map?;
    match output {
        Some(output) => {
            if !output.is_stdout() {
                print!("{map}");
            }
            output.write(&serde_json::to_string_pretty(&map).context("the map as JSON")?)?;
        }
        None => print!("{map}"),
    }
    Ok(map.is_whole)
}

/// A bar of bytes on the terminal; nothing where there is none.
pub(crate) fn progress_bar(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>12} {bar:30} {percent:>3} %  {msg}")
        .expect("a constant template")
        .progress_chars("━━╌");
    ProgressBar::new(0).with_style(style).with_prefix(what.to_owned())
}
