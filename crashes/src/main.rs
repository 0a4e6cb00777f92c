//! Crashes a validator at every boundary between two calls of its operating system, and recovers it.
//!
//! ```text
//! a validator and its client, recorded ──▶ a model of its disk ──▶ crashed behind every act ──▶ recovered ──▶ audited
//!   (tape, life)                             (disk)                 (round)                       (judge)
//! ```
//!
//! It covers all that a validator has on its disk: journal, log of votes, checkpoints, identities, `first-start`, and
//! the directories, while epochs change and segments are used again. [`rules`] breaks the order of syncs, to show
//! that the checks can fail.
//!
//! ```text
//! crashes [--points N] [--each N] [--seed N] [--break RULE]      crashes --rules
//! ```

mod chance;
mod disk;
mod epochs;
mod judge;
mod life;
mod reel;
mod round;
mod rules;
mod tape;

use std::path::Path;
use std::process::ExitCode;

use life::{Life, Plan};
use mimalloc::MiMalloc;
use round::{Count, Round};
use rules::{RULES, Rule};

// Each recovery takes large buffers and gives them back.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const USAGE: &str = "crashes [--points N] [--each N] [--seed N] [--break RULE], or crashes --rules";

/// What was asked for on the command line.
#[derive(Debug)]
struct Arguments {
    points: u64,
    /// About so many points of one history, drawn from all of it; none: behind every act.
    each: Option<u64>,
    seed: u64,
    rule: Option<Rule>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self { points: 100_000, each: None, seed: 0, rule: None };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            let number = || value.parse().map_err(|_| format!("{word} needs a number"));
            match word.as_str() {
                "--points" => arguments.points = number()?,
                "--each" => arguments.each = Some(number()?),
                "--seed" => arguments.seed = number()?,
                "--break" => {
                    let rule = Rule::named(&value).ok_or_else(|| format!("{value}: not one of --rules"))?;
                    arguments.rule = Some(rule);
                }
                _ => return Err(format!("{word}: not an option")),
            }
        }
        Ok(arguments)
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("--live") => match Life::told(&words[1..]).and_then(Life::be_lived) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("{error:#}")),
        },
        Some("--rules") => {
            RULES.iter().for_each(|rule| println!("{}", rule.name));
            ExitCode::SUCCESS
        }
        _ => match Arguments::parse(words.into_iter()) {
            Ok(arguments) => run(&arguments),
            Err(error) => {
                eprintln!("{error}\n{USAGE}");
                ExitCode::from(2)
            }
        },
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

fn run(arguments: &Arguments) -> ExitCode {
    let (mut all, mut histories) = (Count::default(), 0);
    for seed in arguments.seed.. {
        if all.points >= arguments.points {
            break;
        }
        let memory = Path::new("/dev/shm");
        let made = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        let directory = match made {
            Ok(directory) => directory,
            Err(error) => return fail(&format!("no directory for the files: {error}")),
        };
        let most = arguments.points - all.points;
        match Round::run(directory.path(), Plan::of(seed), arguments.rule, (most, arguments.each)) {
            Err(error) => return fail(&format!("seed {seed}: {error:#}")),
            Ok(Err(failure)) => {
                let points = all.points + failure.points;
                return fail(&format!("seed {seed}: after {points} points: {}", failure.what));
            }
            Ok(Ok(count)) => {
                histories += 1;
                all.points += count.points;
                all.again += count.again;
                all.acts += count.acts;
                all.went_on += count.went_on;
                all.epochs += count.epochs;
                all.segments += count.segments;
                println!(
                    "seed {seed}: {} points behind {} acts, {} epochs begun, {} segments given up; {} points so far",
                    count.points, count.acts, count.epochs, count.segments, all.points
                );
            }
        }
    }
    println!(
        "{} crash points of {histories} histories, {} of them in a recovery, behind {} acts: all recovered and audited; \
         in these histories {} epochs began and {} segments were used again or removed; {} validators went on",
        all.points, all.again, all.acts, all.epochs, all.segments, all.went_on
    );
    ExitCode::SUCCESS
}
