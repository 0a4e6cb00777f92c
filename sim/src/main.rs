//! `sim`: explores seeds, or replays one.

mod cost;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use sim::{Report, Rule, Run, Scenario, SetAside, simulate};

/// Whole networks of validators in virtual time, under faults that a seed draws. Exits with 1 if anything that must
/// hold does not.
#[derive(Debug, Parser)]
#[command(name = "sim")]
struct Arguments {
    /// Validators of the network.
    #[arg(long, default_value_t = 4)]
    validators: usize,
    /// Explores so many seeds.
    #[arg(long, value_name = "N", conflicts_with = "seed")]
    seeds: Option<u64>,
    /// The first seed to explore.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Replays this seed and prints who said what when.
    #[arg(long)]
    seed: Option<u64>,
    /// Breaks a rule on purpose: exploring it must end with a violation.
    #[arg(long = "break", value_name = "RULE", value_parser = rule)]
    broken: Option<Rule>,
    /// Names the rules that can be broken, one a line.
    #[arg(long)]
    rules: bool,
    /// Runs a scripted scenario instead of drawn faults.
    #[arg(long, value_name = "NAME", value_parser = scenario, conflicts_with = "validators")]
    scenario: Option<&'static Scenario>,
    /// Names the scenarios, one a line, with what they show.
    #[arg(long)]
    scenarios: bool,
    /// Has a device check signatures beside the verifiers: its verdicts come late, out of order, or not at all.
    #[arg(long)]
    devices: bool,
    /// Runs networks of these sizes without faults and prints what they cost: 50 ms between any two validators, 500
    /// transactions a second in all, the settings of the node.
    #[arg(long, value_name = "VALIDATORS", value_delimiter = ',', conflicts_with_all = ["seeds", "broken"])]
    cost: Vec<usize>,
    /// Runs each seed once instead of twice: faster, but whether it is repeated exactly is not seen.
    #[arg(long)]
    once: bool,
    /// Does not print the trace of a seed.
    #[arg(long)]
    quiet: bool,
    /// Threads that explore; the number of cores if not given.
    #[arg(long)]
    threads: Option<usize>,
    /// Goes on after violations, up to so many.
    #[arg(long, default_value_t = 1)]
    violations: usize,
}

fn rule(name: &str) -> Result<Rule, String> {
    Rule::named(name).ok_or_else(|| format!("there is no rule {name}; `sim --rules` names them"))
}

fn scenario(name: &str) -> Result<&'static Scenario, String> {
    Scenario::named(name).ok_or_else(|| format!("there is no scenario {name}; `sim --scenarios` names them"))
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if let Some(scenario) = arguments.scenario {
        arguments.validators = scenario.validators;
    }
    if arguments.scenarios {
        Scenario::ALL.iter().for_each(|scenario| println!("{:<24}{}", scenario.name, scenario.about));
        return ExitCode::SUCCESS;
    }
    if arguments.rules {
        Rule::ALL.iter().for_each(|rule| println!("{}", rule.name()));
        return ExitCode::SUCCESS;
    }
    if !arguments.cost.is_empty() {
        let seed = arguments.seed.unwrap_or(arguments.from);
        return if cost::print(&arguments.cost, seed) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let well = match (arguments.seed, arguments.seeds) {
        (Some(seed), _) => replay(&arguments, seed),
        (None, Some(seeds)) => explore(&arguments, seeds),
        (None, None) => {
            eprintln!("nothing to do: give --seeds N, --seed S, --rules or --scenarios");
            return ExitCode::from(2);
        }
    };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(arguments: &Arguments, seed: u64, trace: bool) -> Report {
    let run = Run {
        seed,
        validators: arguments.validators,
        broken: arguments.broken,
        scenario: arguments.scenario,
        cost: false,
        devices: arguments.devices,
        trace,
    };
    let mut report = simulate(&run);
    if let Some(rule) = arguments.broken {
        // Another checker may be faster than the one that this rule is for, but that shows nothing of its own.
        let own = format!("s: {}", rule.checker());
        report.violations.retain(|violation| violation.contains(&own));
    }
    if !arguments.once {
        let again = simulate(&Run { trace: false, ..run });
        if again.digest != report.digest {
            report
                .violations
                .push(format!("two runs differ: {:016x} and {:016x}", report.digest, again.digest));
        }
    }
    report
}

fn replay(arguments: &Arguments, seed: u64) -> bool {
    let report = run(arguments, seed, !arguments.quiet);
    report.trace.iter().for_each(|line| println!("{line}"));
    println!("plan: {}", report.plan);
    println!(
        "seed {seed}: digest {:016x}, {:.3} virtual seconds, {} events, {} blocks, {} transactions submitted, {} starts \
         from a checkpoint, {} states fetched",
        report.digest,
        report.virtual_time.as_secs_f64(),
        report.events,
        report.heights,
        report.submitted,
        report.resumed,
        report.fetched
    );
    println!(
        "where blocks had to go on: at most {:.3} s and {} views without one",
        report.gap_max.as_secs_f64(),
        report.views_max
    );
    println!(
        "{} chains created, {} transactions on them; {} pauses, {} payments to paused chains",
        report.decided.0, report.on_decided.0, report.decided.1, report.on_decided.1
    );
    println!("money set aside: {:?}", report.set_aside);
    println!("largest sizes: {:?}", report.sizes);
    println!("outcomes in blocks, and refusals, by their bytes: {:?}", report.verdicts);
    report.violations.iter().for_each(|violation| println!("VIOLATION {violation}"));
    report.violations.is_empty()
}

#[allow(clippy::disallowed_methods, reason = "how fast the simulator is, is measured in real time")]
fn explore(arguments: &Arguments, seeds: u64) -> bool {
    let threads =
        arguments.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let (next, done, found) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(Vec::new()));
    let slowest = Mutex::new((Duration::ZERO, 0));
    let gaps = Mutex::new(((Duration::ZERO, 0), (0, 0)));
    let (set_aside, fetched) = (Mutex::new(SetAside::default()), AtomicU64::new(0));
    let epochs = AtomicU64::new(0);
    let (enough, virtual_ms, heights) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    // A panic is a violation, and reported as one.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !enough.load(Relaxed) {
                    let number = next.fetch_add(1, Relaxed);
                    if number >= seeds {
                        return;
                    }
                    let seed = arguments.from + number;
                    let report = run(arguments, seed, false);
                    virtual_ms.fetch_add(report.virtual_time.as_millis() as u64, Relaxed);
                    heights.fetch_add(report.heights, Relaxed);
                    let mut slow = slowest.lock().unwrap_or_else(PoisonError::into_inner);
                    *slow = (*slow).max((report.recovery, seed));
                    drop(slow);
                    let mut longest = gaps.lock().unwrap_or_else(PoisonError::into_inner);
                    longest.0 = longest.0.max((report.gap_max, seed));
                    longest.1 = longest.1.max((report.views_max, seed));
                    drop(longest);
                    *set_aside.lock().unwrap_or_else(PoisonError::into_inner) += report.set_aside;
                    fetched.fetch_add(report.fetched as u64, Relaxed);
                    epochs.fetch_add(report.epochs, Relaxed);
                    let count = done.fetch_add(1, Relaxed) + 1;
                    if !report.violations.is_empty() {
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        println!("seed {seed}:");
                        report
                            .violations
                            .iter()
                            .take(5)
                            .for_each(|violation| println!("  VIOLATION {violation}"));
                        found.push(seed);
                        enough.fetch_or(found.len() >= arguments.violations, Relaxed);
                    } else if count.is_multiple_of(100) {
                        println!("{count} seeds, {}", pace(began.elapsed(), &virtual_ms));
                    }
                }
            });
        }
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{} seeds of {} validators, {} violated, {} blocks, {}",
        done.load(Relaxed),
        arguments.validators,
        found.len(),
        heights.load(Relaxed),
        pace(began.elapsed(), &virtual_ms)
    );
    let (recovery, seed) = slowest.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("slowest to be well again after all faults: {:.2} s, seed {seed}", recovery.as_secs_f64());
    let ((gap, gap_seed), (views, views_seed)) = gaps.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "longest without a block where they had to go on: {:.2} s, seed {gap_seed}, and {views} views, seed {views_seed}",
        gap.as_secs_f64()
    );
    println!("money set aside: {:?}", set_aside.into_inner().unwrap_or_else(PoisonError::into_inner));
    let (fetched, epochs) = (fetched.load(Relaxed), epochs.load(Relaxed));
    println!("states fetched: {fetched}; epochs that have begun behind the first: {epochs}");
    for seed in &found {
        let broken = arguments.broken.map_or_else(String::new, |rule| format!(" --break {}", rule.name()));
        let network = match arguments.scenario {
            Some(scenario) => format!("--scenario {}", scenario.name),
            None => format!("--validators {}", arguments.validators),
        };
        println!("replay: cargo run --release -p sim -- {network} --seed {seed}{broken}");
    }
    found.is_empty()
}

fn pace(elapsed: Duration, virtual_ms: &AtomicU64) -> String {
    let (seconds, virtual_seconds) = (elapsed.as_secs_f64(), virtual_ms.load(Relaxed) as f64 / 1e3);
    format!("{seconds:.1} s, {:.1} virtual seconds a second", virtual_seconds / seconds.max(1e-9))
}
