//! `millrace bench`: a network, its load, its audit, and a table.
//!
//! ```text
//! init ── conditions: the disk, the generator's ceiling ── start N processes ── load ── settle ── stop ── audit ── report
//!                  load: sign, search, warm up, measure (counters and CPU when the window opens and closes)
//! ```
//!
//! Invariants: no process and no temporary directory outlives the benchmark; the verdict comes from the files on
//! disk and from what clients were told, never from what a validator says of itself. Where a validator dies, the load
//! goes on with the others, all directories are audited, and the benchmark fails.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use loadgen::outcome::{LoadOutcome, LostConnection};
use loadgen::report::{BenchConfig, BenchReport, BytesPerTx, Machine, Stages, Style, ValidatorFigures};
use loadgen::validity::Validity;
use loadgen::{ChainLoad, Endpoint, LoadError, LoadPlan, Start, bytes_beyond};

use engine::limits::{ACCOUNTS_MAX, ROWS_MAX};
use engine::types::{ChainKind, Registrar};

use crate::cli::{BenchArgs, LoadArgs, Output, Rate, Workload, quoted};
use crate::config::ConfigError;
use crate::keys::{self, AccountKey, Source};
use crate::network::{ACCOUNT_BALANCE, ChainDraft, InitOptions, Network};
use crate::series::saturate;

mod check;
mod conditions;
mod durability;
mod faults;
mod figures;
mod interrupt;
mod manifest;
mod signed;
mod targets;
mod testbed;
mod watch;

use conditions::{Conditions, check_memory};
pub use faults::Fault;
use faults::Faulty;
pub(crate) use interrupt::Interrupt;
use manifest::{build, manifest};
pub use signed::{ReportError, verify_report};
use targets::LoadTarget;
pub(crate) use testbed::Testbed;
use watch::{Sampler, Watched, Watcher, Window};

/// How long the validators may take to agree on a height after the load.
const SETTLE_POLLS: usize = 600;
const SETTLE_POLL: Duration = Duration::from_millis(100);

/// Runs a benchmark; `false` if its audit does not hold.
///
/// # Errors
/// The network could not be made, a validator died, or the load could not be run.
pub fn bench(args: &BenchArgs) -> Result<bool> {
    check(args)?;
    let json = args.json.as_deref().map(Output::open).transpose()?;
    args.report.as_deref().map(prepare_report_directory).transpose()?;
    let key = args.sign_with.as_deref().map(|file| keys::read(file, &Source::of(&args.passphrase)));
    let key = key.transpose()?.map(|(key, _)| key);
    let options = InitOptions {
        name: "bench".into(),
        validators: args.validators,
        chains: chains(args),
        storage: args.storage.word().into(),
        work: crate::network::verify_setting(args.verify).into_iter().chain(args.set.clone()).collect(),
        ..InitOptions::default()
    };
    let mut testbed = Testbed::build(args.data.as_deref(), args.keep, &options)?;
    if args.keep || args.data.is_some() {
        eprintln!("the network is in {}", testbed.network.directory.display());
    }
    let plan = LoadPlan {
        traffic: args.workload.traffic(),
        data_bytes: args.data_bytes,
        cross_percent: args.cross_chain,
        payments: args.linked,
        opened: args.opened,
        shape: args.shape.clone(),
        arrivals: args.arrivals.of_load(),
        ..plan(
            (&testbed.network, &LoadTarget::all(&testbed.network)),
            args.rate,
            args.seed,
            args.seconds,
            args.warm_up,
            Start::Fresh,
        )?
    };
    let directory = testbed.network.directory.clone();
    let conditions = Conditions::look(&plan, args.ceiling, Some(&directory), &testbed.interrupt);
    if testbed.interrupt.signal().is_some() {
        testbed.clear();
        testbed.interrupt.end_if_asked();
    }
    testbed.start()?;
    let sampler = Sampler::connect(&testbed.network, testbed.pids())?;
    let watcher = Watcher::start(sampler)?;
    let mut watched = Watched::new(testbed.interrupt.clone(), || watcher.sample());
    let mut faulty = Faulty::new(&mut watched, &mut testbed, &args.fault);
    let outcome = loadgen::run(&plan, &mut faulty);
    faulty.finish()?;
    drop(watched);
    if testbed.interrupt.signal().is_some() {
        let judge = |outcome: &LoadOutcome| conditions.judge(outcome, &plan);
        return interrupted(&mut testbed, outcome, args, judge);
    }
    let mut dead = testbed.take_dead();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        // A validator that died explains a failed load better than the load does.
        Err(error) => return Err(dead.pop().map_or(error.into(), |(_, died)| died.into())),
    };
    let (mut sampler, window) = watcher.finish()?;
    settle(&mut sampler, &testbed);
    let last = sampler.sample();
    drop(sampler);
    dead.extend(testbed.take_dead());
    testbed.stop()?;
    for (_, died) in &dead {
        eprintln!("{died}");
    }
    let died: Vec<usize> = dead.into_iter().map(|(at, _)| at).collect();
    let dead = [died.clone(), faults::left_dead(&args.fault)].concat();

    let storage = last.iter().map(|sample| sample.counters.storage.as_str());
    let config = bench_config(args, backends(storage));
    let mut report = BenchReport::from_outcome(&outcome, Machine::here(), build(), config);
    report.faults = faults::figures(&args.fault, &report.seconds);
    fill(&mut report, &outcome, &window, |of| faults::is_replaced(&args.fault, of));
    let total = |name| last.iter().map(|sample| sample.total(name)).collect();
    let verified = (total("signatures_verified"), total("signatures_by_device"));
    report.audit = check::audit(&testbed.network, &outcome, verified, &dead)?;
    report.validity = conditions.judge(&outcome, &plan).audited(report.audit.ok, died.len());
    report.manifest = manifest();
    present(&report, json, args.report.as_deref(), key.as_ref())?;
    Ok(report.audit.ok && died.is_empty() && outcome.ended_early.is_none())
}

/// A signal has ended the load: what it has measured is said, and nothing is audited.
fn interrupted(
    testbed: &mut Testbed,
    outcome: Result<LoadOutcome, LoadError>,
    args: &BenchArgs,
    judge: impl FnOnce(&LoadOutcome) -> Validity,
) -> Result<bool> {
    match outcome {
        Ok(outcome) => {
            println!("{}", judge(&outcome).line());
            print_load(&outcome, &bench_config(args, String::new()), &LoadTarget::all(&testbed.network));
            println!("  not audited: the files were not looked at");
        }
        Err(error) => eprintln!("{error}"),
    }
    testbed.clear();
    testbed.interrupt.end_if_asked();
    bail!("a signal has ended the load, and is gone")
}

fn bench_config(args: &BenchArgs, storage: String) -> BenchConfig {
    BenchConfig {
        validators: u64::from(args.validators),
        chains: u64::from(args.chains),
        accounts: args.accounts,
        seconds: args.seconds,
        rate: rate_text(args.rate),
        shape: args.shape.to_string(),
        arrivals: args.arrivals.of_load().to_string(),
        workload: workload(args.workload, args.linked).into(),
        cross_chain_percent: f64::from(args.cross_chain),
        payments: args.linked.into(),
        opened: if args.workload == Workload::Open { args.opened.into() } else { 0 },
        data_bytes: args.data_bytes.into(),
        storage,
        verify: args.verify.policy().word().to_owned(),
    }
}

/// The backends of several journals, each once.
fn backends<'a>(of: impl Iterator<Item = &'a str>) -> String {
    let found: BTreeSet<&str> = of.filter(|name| !name.is_empty()).collect();
    found.into_iter().collect::<Vec<_>>().join(", ")
}

/// Refuses what does not go together or takes more chains, before anything is made.
pub(crate) fn check(args: &BenchArgs) -> Result<(), LoadError> {
    args.shape.check_load(args.arrivals.of_load(), args.rate.of_load(), args.seconds)?;
    faults::check(&args.fault, args.validators.into(), args.seconds)?;
    if let Rate::Fixed(rate) = args.rate {
        check_room(args, rate, args.seconds)?;
    }
    args.workload.traffic().check(args.data_bytes, (args.linked, args.opened), args.cross_chain)?;
    let problem = match (args.workload, args.chains) {
        (Workload::Mixed, 1) => "--workload mixed takes chains of two kinds; add --chains 2",
        (Workload::Mixed, 2) if args.cross_chain > 0 => {
            "every other chain is one of transfers, and --cross-chain takes two of them; add --chains 3"
        }
        (_, 1) if args.cross_chain > 0 => "--cross-chain takes at least two chains; add --chains 2",
        _ => return Ok(()),
    };
    Err(LoadError::Plan(problem.to_owned()))
}

/// Refuses a rate whose signed transactions do not fit into the memory.
///
/// # Errors
/// [`LoadError::NoRoom`].
pub(crate) fn check_room(args: &BenchArgs, rate: f64, seconds: u64) -> Result<(), LoadError> {
    let beyond = bytes_beyond(args.workload.traffic(), args.data_bytes, (args.linked, args.opened));
    check_memory(Rate::Fixed(rate), seconds.saturating_add(args.warm_up), beyond)
}

/// The chains of the network: alike, or every other one of the other kind.
fn chains(args: &BenchArgs) -> Vec<ChainDraft> {
    let mut chains = ChainDraft::alike(args.chains, args.accounts, ACCOUNT_BALANCE);
    let kinds = args.workload.traffic().kinds();
    for (chain, kind) in chains.iter_mut().zip(kinds.iter().cycle()) {
        if *kind == ChainKind::Attestations {
            *chain = ChainDraft::attestations(chain.id, chain.accounts, ROWS_MAX - 1);
        }
        if args.workload == Workload::Open {
            (chain.roles.registrar, chain.roles.accounts_cap) = (Registrar::Anyone, ACCOUNTS_MAX);
        }
    }
    chains
}

/// The kind of traffic, for the report.
fn workload(workload: Workload, payments: u16) -> &'static str {
    match workload {
        Workload::Transfer if payments > 1 => "linked",
        Workload::Transfer => "transfer",
        Workload::Attest => "attest",
        Workload::Mixed => "mixed",
        Workload::Open => "open",
    }
}

/// Offers load to a network that is running; `false` if a validator went away and stayed away, transactions got no
/// answer, or somebody else used the same accounts.
///
/// # Errors
/// The network is not there, or the load could not be run.
pub fn load(args: &LoadArgs) -> Result<bool> {
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let network = Network::load(&args.network)?;
    let mut plan = load_plan(args, &network)?;
    plan.check()?;
    check_memory(args.rate, args.seconds.saturating_add(args.warm_up), plan.bytes_beyond())?;
    // Validators that do not answer are waited for.
    let interrupt = Interrupt::watch(|| {})?;
    let (lanes, storage) = targets::answering(&network, args.validators.as_deref())?;
    plan.endpoints = endpoints(&lanes);
    let offered = Offered { args, plan, lanes: &lanes, storage, interrupt: &interrupt };
    if args.saturate {
        return saturate(args.rate, json, &interrupt, |wanted| {
            check_memory(
                Rate::Fixed(wanted.rate),
                wanted.seconds + args.warm_up,
                offered.plan.bytes_beyond(),
            )?;
            let plan = LoadPlan {
                rate: loadgen::Rate::Fixed(wanted.rate),
                seconds: wanted.seconds,
                ..offered.plan.clone()
            };
            let (outcome, report) = offered.run(&plan, args.ceiling)?;
            if outcome.tally().timed_out > 0 {
                // What was given up here is still on its way, and the next run would meet it.
                std::thread::sleep(plan.timeout);
            }
            Ok(report)
        });
    }
    let result = offered.run(&offered.plan, args.ceiling);
    if result.is_err() {
        interrupt.end_if_asked();
    }
    let (outcome, report) = result?;
    let is_printed = json.as_ref().is_some_and(Output::is_stdout);
    if !is_printed {
        println!("{}", report.validity.line());
        print_load(&outcome, &report.config, &lanes);
    }
    json.map(|json| json.write(&report.to_json())).transpose()?;
    interrupt.end_if_asked();
    if let Some(transaction) = outcome.acknowledged().last().filter(|_| !is_printed) {
        let (directory, id) = (quoted(&args.network), transaction.id(network.genesis.network()));
        println!("one of them:  millrace query --network {directory} transaction {id}");
    }
    Ok(is_whole(&outcome))
}

/// A load of a running network, but for its rate and its length.
struct Offered<'a> {
    args: &'a LoadArgs,
    plan: LoadPlan,
    lanes: &'a [LoadTarget],
    /// The backends of the journals.
    storage: String,
    interrupt: &'a Interrupt,
}

impl Offered<'_> {
    /// Runs a plan of this load, after a look at the generator's own ceiling for so many seconds.
    fn run(&self, plan: &LoadPlan, ceiling: u64) -> Result<(LoadOutcome, BenchReport)> {
        let (args, interrupt) = (self.args, self.interrupt);
        let conditions = Conditions::look(plan, ceiling, None, interrupt);
        if interrupt.signal().is_some() {
            bail!("stopped by a signal");
        }
        let mut watcher = Watched::new(interrupt.clone(), || {});
        let outcome = loadgen::run(plan, &mut watcher)?;
        let config = BenchConfig {
            validators: self.lanes.len() as u64,
            chains: plan.chains.len() as u64,
            accounts: plan.chains.first().map_or(0, |chain| chain.accounts),
            seconds: plan.seconds,
            rate: match plan.rate {
                loadgen::Rate::Max => rate_text(Rate::Max),
                loadgen::Rate::Fixed(rate) => rate_text(Rate::Fixed(rate)),
            },
            shape: plan.shape.to_string(),
            arrivals: plan.arrivals.to_string(),
            workload: workload(args.workload, args.linked).into(),
            cross_chain_percent: f64::from(args.cross_chain),
            payments: args.linked.into(),
            opened: if args.workload == Workload::Open { args.opened.into() } else { 0 },
            data_bytes: args.data_bytes.into(),
            storage: self.storage.clone(),
            verify: String::new(),
        };
        let mut report = BenchReport::from_outcome(&outcome, Machine::here(), build(), config);
        report.validity = conditions.judge(&outcome, plan);
        report.manifest = manifest();
        Ok((outcome, report))
    }
}

/// What the load of a running network is asked to do, but for the validators that get it.
fn load_plan(args: &LoadArgs, network: &Network) -> Result<LoadPlan> {
    let traffic = args.workload.traffic();
    let seed = args.seed.map_or_else(random_seed, Ok)?;
    let mut plan = LoadPlan {
        traffic,
        data_bytes: args.data_bytes,
        cross_percent: args.cross_chain,
        payments: args.linked,
        opened: args.opened,
        share: args.share,
        shape: args.shape.clone(),
        arrivals: args.arrivals.of_load(),
        ..plan((network, &[]), args.rate, seed, args.seconds, args.warm_up, Start::Resume)?
    };
    // Nothing is asked of chains that get no load.
    plan.chains.retain(|chain| traffic.kinds().contains(&chain.kind));
    if let Some(chains) = &args.chains {
        let takes_part = |chain: &&u32| plan.chains.iter().any(|of| of.chain.0 == **chain);
        if let Some(chain) = chains.iter().find(|chain| !takes_part(chain)) {
            let workload = workload(args.workload, args.linked);
            bail!(LoadError::Plan(format!(
                "--chains: the genesis has no chain {chain} that takes part in the workload \"{workload}\"; \
                 `millrace chain list` shows what there is"
            )));
        }
        plan.chains.retain(|of| chains.contains(&of.chain.0));
    }
    Ok(plan)
}

/// A seed that nobody has chosen.
pub(crate) fn random_seed() -> Result<u64> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(std::io::Error::other).context("the system gives no randomness")?;
    Ok(u64::from_le_bytes(seed))
}

/// Whether the run came to its end, every validator was there at it, every transaction was answered, and nobody else
/// used the same accounts.
fn is_whole(outcome: &LoadOutcome) -> bool {
    outcome.ended_early.is_none()
        && outcome.lost.iter().all(|lost| lost.came_back)
        && outcome.tally().timed_out == 0
        && outcome.contested() == 0
}

/// The load of the chains of a network, on these lanes.
fn plan(
    (network, lanes): (&Network, &[LoadTarget]),
    rate: Rate,
    seed: u64,
    seconds: u64,
    warm_up: u64,
    start: Start,
) -> Result<LoadPlan, ConfigError> {
    let chain = |chain: &engine::types::ChainGenesis| ChainLoad {
        chain: chain.id,
        kind: chain.kind,
        accounts: chain.accounts.len() as u64,
        asset: chain.asset,
        balance: chain.accounts.iter().map(|account| account.balance).min().unwrap_or(0),
    };
    Ok(LoadPlan {
        chains: network.genesis.chains().iter().map(chain).collect(),
        seed,
        start,
        seconds,
        warm_up: Duration::from_secs(warm_up),
        rate: rate.of_load(),
        ..LoadPlan::new(*network.genesis.network(), endpoints(lanes), network.client_seed()?)
    })
}

fn endpoints(lanes: &[LoadTarget]) -> Vec<Endpoint> {
    lanes.iter().map(|lane| lane.endpoint.clone()).collect()
}

/// Waits until all validators that run have committed the same height: one may be a block behind when the load ends,
/// and one that was started again may be far behind.
fn settle(sampler: &mut Sampler, testbed: &Testbed) {
    let mut goal = 0;
    for _ in 0..SETTLE_POLLS {
        let all_are_there = sampler.find_again(&testbed.network, |at| testbed.pid_of(at));
        let heights = sampler.heights();
        goal = goal.max(heights.iter().copied().max().unwrap_or(0));
        if all_are_there && heights.into_iter().all(|height| height >= goal) {
            return;
        }
        std::thread::sleep(SETTLE_POLL);
    }
    // The audit will show what the one behind is missing.
}

/// Adds what only the validators know. What one whose process was replaced has used is not known, and counts for
/// nothing.
fn fill(
    report: &mut BenchReport,
    outcome: &LoadOutcome,
    window: &Window,
    is_replaced: impl Fn(usize) -> bool,
) {
    let committed = outcome.tally().committed.max(1) as f64;
    let stage = |name| figures::stage_between(&window.open, &window.close, name);
    report.stages_us = Stages {
        ingress: stage("ingress"),
        verify: stage("verify"),
        mempool: stage("mempool"),
        available: stage("available"),
        ordered: stage("ordered"),
        executed: stage("executed"),
        durable: stage("durable"),
        notified: stage("notified"),
    };
    report.validators = window
        .open
        .iter()
        .zip(&window.close)
        .enumerate()
        .map(|(at, (open, close))| {
            if is_replaced(at) {
                return ValidatorFigures::default();
            }
            let used = close.usage.since(&open.usage);
            let threads = used.threads_us.into_iter();
            ValidatorFigures {
                cpu_us_per_tx: used.cpu_us as f64 / committed,
                resident_bytes_max: used.resident_bytes_max,
                threads_us_per_tx: threads.map(|(name, us)| (name, us as f64 / committed)).collect(),
            }
        })
        .collect();
    let cpu: f64 = report.validators.iter().map(|validator| validator.cpu_us_per_tx).sum();
    let known = (0..report.validators.len()).filter(|at| !is_replaced(*at)).count();
    report.cpu_us_per_tx_per_validator = cpu / known.max(1) as f64;
    let (wire, disk) = figures::bytes_between(&window.open, &window.close);
    report.bytes_per_tx = BytesPerTx { wire: wire as f64 / committed, disk: disk as f64 / committed };
}

fn cannot_write_report(directory: &Path) -> String {
    format!("cannot write the report into {}", directory.display())
}

/// Makes the directory of a report, and tries whether its files can be written, before the work that they tell of.
fn prepare_report_directory(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| cannot_write_report(directory))?;
    // It leaves nothing that was not there.
    Output::open(&directory.join("report.json")).map(drop).with_context(|| cannot_write_report(directory))
}

fn present(
    report: &BenchReport,
    json: Option<Output>,
    directory: Option<&Path>,
    key: Option<&AccountKey>,
) -> Result<()> {
    if !json.as_ref().is_some_and(Output::is_stdout) {
        print!("{}", report.text(Style::of_stdout()));
    }
    json.map(|json| json.write(&report.to_json())).transpose()?;
    if let Some(directory) = directory {
        signed::forget(directory).with_context(|| cannot_write_report(directory))?;
        report.write_dir(directory).with_context(|| cannot_write_report(directory))?;
        key.map(|key| signed::sign(directory, key)).transpose()?;
        println!("report in {}", directory.display());
    }
    Ok(())
}

fn print_load(outcome: &LoadOutcome, config: &BenchConfig, lanes: &[LoadTarget]) {
    let (tally, latency) = (outcome.tally(), outcome.latency());
    let name = |lane: usize| lanes.get(lane).map_or("", |lane| lane.name.as_str());
    println!(
        "offered {:.0}/s  committed {:.0}/s  latency p50 {} ms  p99 {} ms  max {} ms",
        outcome.offered_tps(),
        outcome.committed_tps(),
        latency.p50 / 1000,
        latency.p99 / 1000,
        latency.max / 1000
    );
    if let Some(why) = &outcome.ended_early {
        let (lasted, wanted) = (outcome.seconds(), config.seconds);
        println!("  ended early, after {lasted} of {wanted} s: {why}");
    }
    if config.payments > 1 {
        let payments = config.payments;
        println!(
            "  of {payments} payments each: {:.0} payments/s",
            outcome.committed_tps() * payments as f64
        );
    }
    if config.opened > 0 {
        let opened = config.opened;
        println!(
            "  of {opened} new accounts each: {:.0} accounts/s",
            outcome.committed_tps() * opened as f64
        );
    }
    println!("  workload: {}", config.workload);
    if config.data_bytes > 0 {
        println!("  data with each fingerprint: {} bytes", config.data_bytes);
    }
    if !config.storage.is_empty() {
        println!("  storage: {}", config.storage);
    }
    for (reason, count) in &tally.rejected {
        println!("  refused: {reason}  {count}");
    }
    for (reason, count) in &tally.failed {
        println!("  failed: {reason}  {count}");
    }
    if outcome.contested() > 0 {
        println!(
            "  {} of all transactions have met others with their nonces: somebody else uses the same accounts. Loads that \
             run at the same time go together if each takes its own --share, as in 1/2 and 2/2, or other --chains",
            outcome.contested()
        );
    }
    if tally.timed_out > 0 {
        println!("  without an answer in time: {}", tally.timed_out);
    }
    for LostConnection { lane, reason, times, came_back } in &outcome.lost {
        let often = if *times == 1 { String::new() } else { format!(" {times} times") };
        let end = if *came_back { ", and was there again at the end" } else { "" };
        println!("  \"{}\" went away{often}{end}: {reason}", name(*lane));
    }
}

fn rate_text(rate: Rate) -> String {
    match rate {
        Rate::Max => "max".into(),
        Rate::Fixed(rate) => format!("{rate}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn args(more: &str) -> BenchArgs {
        let line = format!("millrace bench {more}");
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Bench(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_kinds_of_the_chains_follow_from_the_workload() {
        let kinds = |more: &str| chains(&args(more)).iter().map(|chain| chain.kind).collect::<Vec<_>>();
        let (transfers, attestations) = (ChainKind::Transfers, ChainKind::Attestations);
        assert_eq!(kinds("--chains 2"), [transfers; 2]);
        assert_eq!(kinds("--chains 2 --workload attest"), [attestations; 2]);
        assert_eq!(kinds("--chains 3 --workload mixed"), [transfers, attestations, transfers]);
        for chain in chains(&args("--chains 4 --workload mixed --accounts 500")) {
            let room = chain.roles.attestations_cap;
            assert_eq!((chain.accounts, room > 1 << 31), (500, chain.kind == attestations), "{chain:?}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_what_to_do() {
        for good in [
            "--workload attest --data-bytes 1024",
            "--workload mixed --chains 2 --data-bytes 1",
            "--workload mixed --chains 3 --cross-chain 10",
            "--chains 2 --cross-chain 10",
            "--linked 2",
        ] {
            assert!(check(&args(good)).is_ok(), "{good}");
        }
        for (bad, says) in [
            ("--data-bytes 1", "--workload attest"),
            ("--workload mixed", "--chains 2"),
            ("--workload mixed --chains 2 --cross-chain 10", "--chains 3"),
            ("--workload attest --cross-chain 10", "leave out --cross-chain"),
            ("--workload attest --chains 4 --cross-chain 10", "leave out --cross-chain"),
            ("--workload attest --linked 2", "leave out --linked"),
            ("--workload mixed --chains 2 --linked 2", "leave out --linked"),
            ("--linked 2 --cross-chain 10 --chains 2", "leave out --linked or --cross-chain"),
            ("--cross-chain 10", "--chains 2"),
        ] {
            let error = check(&args(bad)).unwrap_err();
            assert!(
                matches!(error, LoadError::Plan(_)) && error.to_string().contains(says),
                "{bad}: {error}"
            );
        }
    }
}
