//! Feeds spoiled bytes to every decoder that reads what others wrote. It needs the stable toolchain and nothing else.
//!
//! ```text
//! good encodings, fuzz/corpus/TARGET/* ── pick one ── spoil it ── check ── a new answer? keep it
//!                                                                   └── panic, or a broken law? save it, exit with 1
//! ```
//!
//! The laws: no input panics; what is accepted is encoded to the same bytes again; and decoding allocates at most
//! [`PER_BYTE`] bytes for each byte of the input. The answers stand in for coverage: a refusal names the field at
//! fault, so an input that gets another refusal has come further, or elsewhere.
//!
//! ```text
//! fuzz [--seconds N] [--seed N] [--save] [TARGET..]
//! ```

mod allocation;
mod mutation;
mod targets;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use mutation::Random;
use targets::{TARGETS, Target};

/// Bytes that decoding may allocate for each byte of the input, beside [`IN_ANY_CASE`].
const PER_BYTE: usize = 32;
/// Bytes that decoding may allocate in any case: the text of an error, the first elements of a list.
const IN_ANY_CASE: usize = 4096;
/// Inputs that are kept for one target.
const KEPT_MAX: usize = 4096;
/// Inputs that are tried before the clock is looked at.
const ROUND: usize = 256;

/// What was asked for on the command line.
#[derive(Debug)]
struct Arguments {
    seconds: u64,
    seed: u64,
    save: bool,
    targets: BTreeSet<String>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self { seconds: 10, seed: 1, save: false, targets: BTreeSet::new() };
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().and_then(|value| value.parse().ok());
                value.ok_or_else(|| format!("{word} needs a number"))
            };
            match word.as_str() {
                "--seconds" => arguments.seconds = number()?,
                "--seed" => arguments.seed = number()?,
                "--save" => arguments.save = true,
                name if TARGETS.iter().any(|target| target.name == name) => {
                    arguments.targets.insert(word);
                }
                _ => return Err(format!("{word}: neither an option nor a target")),
            }
        }
        Ok(arguments)
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse(env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!(
                "{error}\nfuzz [--seconds N] [--seed N] [--save] [TARGET..]\ntargets: {}",
                names.join(" ")
            );
            return ExitCode::from(2);
        }
    };
    let wanted = |target: &&Target| arguments.targets.is_empty() || arguments.targets.contains(target.name);
    let chosen: Vec<&Target> = TARGETS.iter().filter(wanted).collect();
    let share = Duration::from_secs(arguments.seconds) / chosen.len() as u32;
    for target in chosen {
        if let Err(fault) = fuzz(target, share, &arguments) {
            eprintln!("{}: {fault}", target.name);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn directory(target: &Target) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).join(target.name)
}

/// The good encodings, and what earlier runs have kept.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let files = fs::read_dir(directory(target)).into_iter().flatten().flatten();
    let mut kept: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
    kept.sort();
    let kept = kept.iter().map(|path| fs::read(path).expect("a file of the corpus"));
    (target.seeds)().into_iter().chain(kept).collect()
}

/// Tries spoiled inputs until the time is over.
#[allow(clippy::disallowed_methods, reason = "how long it runs is the only thing that depends on the clock")]
fn fuzz(target: &Target, share: Duration, arguments: &Arguments) -> Result<(), String> {
    let end = Instant::now() + share;
    let mut random = Random::new(arguments.seed);
    let mut kept = Vec::new();
    let mut answers: BTreeMap<String, u64> = BTreeMap::new();
    let mut tried = 0_u64;
    for input in corpus(target) {
        let answer = check(target, &input)?;
        answers.insert(answer, 0);
        kept.push(input);
    }
    while Instant::now() < end {
        for _ in 0..ROUND {
            let input = random.spoiled(&kept);
            let answer = check(target, &input)?;
            tried += 1;
            let count = answers.entry(answer).or_default();
            *count += 1;
            if *count == 1 && kept.len() < KEPT_MAX {
                if arguments.save {
                    save(target, &input, "")?;
                }
                kept.push(input);
            }
        }
    }
    println!("{:<16} {tried:>9} inputs, {:>3} different answers", target.name, answers.len());
    Ok(())
}

/// The target's answer to one input.
fn check(target: &Target, input: &[u8]) -> Result<String, String> {
    let bytes = bytes::Bytes::copy_from_slice(input);
    let most = allocation::peak();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.decode)(&bytes)));
    let allocated = most.so_far();
    let fault = match outcome {
        Err(_) => "it panics".to_owned(),
        Ok(Err(law)) => law,
        Ok(Ok(_)) if allocated > PER_BYTE * input.len() + IN_ANY_CASE => {
            format!("{allocated} bytes are allocated for {} bytes", input.len())
        }
        // Numbers in an answer tell inputs apart, not paths.
        Ok(Ok(answer)) => return Ok(answer.chars().filter(|c| !c.is_ascii_digit()).collect()),
    };
    let path = save(target, input, "fault-")?;
    Err(format!("{fault}; the input is in {}", path.display()))
}

fn save(target: &Target, input: &[u8], prefix: &str) -> Result<PathBuf, String> {
    // FNV-1a: a name for the file, nothing more.
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let directory = directory(target);
    let path = directory.join(format!("{prefix}{hash:016x}"));
    let written = fs::create_dir_all(&directory).and_then(|()| fs::write(&path, input));
    written.map(|()| path.clone()).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
